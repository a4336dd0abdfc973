package cloud

import (
	"context"
	"errors"
	"path/filepath"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// cutOff calls f and goes away as soon as the machine is at work on op; it
// returns what lets the machine go on.
func (l *lab) cutOff(op string, f func(ctx context.Context) error) (release func()) {
	l.t.Helper()
	block := make(chan struct{})
	calls := 0
	l.m.set(func() { l.m.block[op], calls = block, l.m.calls[op] })
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	l.eventually("the machine is asked to "+op, func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.calls[op] > calls })
	cancel()
	select {
	case err := <-done:
		assert.ErrorIs(l.t, err, context.Canceled)
	case <-time.After(5 * time.Second):
		l.t.Fatal("the call must return when its caller goes away")
	}
	return func() {
		l.m.set(func() { delete(l.m.block, op) })
		close(block)
	}
}

func TestADeletionWhoseCallerIsGoneIsFinished(t *testing.T) {
	l := newLab(t)
	pool := l.pool(0)
	volume, _ := l.create(typeVolume, volumeArgs(1))
	releasePool := l.cutOff("terminate", func(ctx context.Context) error { return l.Delete(ctx, typePool, pool) })
	releaseVolume := l.cutOff("delete volume", func(ctx context.Context) error { return l.Delete(ctx, typeVolume, volume) })
	releasePool()
	releaseVolume()
	l.eventually("both are gone", func() bool { s := l.Snapshot(); return len(s.Instances)+len(s.Volumes) == 0 })
	assert.NilError(t, l.Delete(context.Background(), typePool, pool))
	assert.NilError(t, l.Delete(context.Background(), typeVolume, volume))
}

// What lives in the records alone only waits: a load balancer's backend.
func TestADeletionThatIsCutOffWhileItWaitsIsFinished(t *testing.T) {
	t.Parallel()
	l := openLab(t, t.TempDir(), newFake(), Options{Latency: LatencyOCI(0.01)})
	nlb, _ := l.create(typeBalancer, balancerArgs())
	set, _ := l.create(typeBackendSet, setArgs(nlb, "mqtt"))
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, l.Delete(ctx, typeBackendSet, set), context.DeadlineExceeded)
	l.eventually("the record is gone", func() bool {
		gone := false
		l.read(func(s *state) { _, there := s.Resources[set]; gone = !there })
		return gone
	})
	assert.NilError(t, l.Delete(context.Background(), typeBackendSet, set))
	l.eventually("the balancer takes a set of that name", func() bool { // it is UPDATING a moment longer
		_, _, err := l.Create(context.Background(), typeBackendSet, setArgs(nlb, "mqtt"))
		return err == nil
	})
}

func TestTheNextDeletionWaitsForTheOneThatWasCutOff(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(typeVolume, volumeArgs(0))
	release := l.cutOff("delete volume", func(ctx context.Context) error { return l.Delete(ctx, typeVolume, id) })
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	assert.ErrorIs(t, l.Delete(ctx, typeVolume, id), context.DeadlineExceeded)
	again := make(chan error, 1)
	go func() { again <- l.Delete(context.Background(), typeVolume, id) }()
	release()
	assert.NilError(t, <-again)
	assert.Equal(t, len(l.m.volumes), 0)
	assert.Equal(t, l.m.calls["delete volume"], 1)
}

func TestACreationThatIsRepeatedMakesOneResource(t *testing.T) {
	l := newLab(t)
	tries := WithRetryToken(context.Background(), "one")
	release := l.cutOff("create volume", func(ctx context.Context) error {
		_, _, err := l.Create(WithRetryToken(ctx, "one"), typeVolume, volumeArgs(0))
		return err
	})
	type end struct {
		id  string
		err error
	}
	again := make(chan end, 1)
	go func() { // asked while the first one is under way
		id, _, err := l.Create(tries, typeVolume, volumeArgs(0))
		again <- end{id, err}
	}()
	unclaimed := l.Snapshot().Unclaimed
	assert.Equal(t, len(unclaimed), 1)
	release()
	e := <-again
	assert.NilError(t, e.err)
	assert.Equal(t, e.id, unclaimed[0])
	id, _, err := l.Create(tries, typeVolume, volumeArgs(0)) // long after its end
	assert.NilError(t, err)
	assert.Equal(t, e.id, id)
	assert.Equal(t, len(l.m.volumes), 1)
	assert.Equal(t, len(l.Snapshot().Unclaimed), 0)
}

// As in OCI: who does not know that it exists makes another one, unless it asks first.
func TestACreationWhoseCallerIsGoneIsFinishedAndIsNobodys(t *testing.T) {
	l := newLab(t)
	l.cutOff("create volume", func(ctx context.Context) error {
		_, _, err := l.Create(ctx, typeVolume, volumeArgs(0))
		return err
	})()
	l.eventually("it is there", func() bool { s := l.Snapshot(); return len(s.Volumes) == 1 && s.Volumes[0].State == available })
	lost := l.Snapshot().Unclaimed
	assert.Equal(t, len(lost), 1)
	other, _ := l.create(typeVolume, volumeArgs(0))
	assert.Assert(t, other != lost[0])

	out, err := l.Invoke(context.Background(), "oci:Core/getVolumes:getVolumes", Props{"compartmentId": CompartmentID, "displayName": volumeArgs(0)["displayName"]})
	assert.NilError(t, err)
	var found []string
	for _, v := range subs(out, "volumes") {
		found = append(found, str(v, "id"))
	}
	assert.DeepEqual(t, found, []string{lost[0], other})
	_, err = l.Read(context.Background(), typeVolume, lost[0])
	assert.NilError(t, err)
	assert.Equal(t, len(l.Snapshot().Unclaimed), 0, "it is somebody's")
}

func TestAnAnswerThatIsLostIsOfACallThatWasDone(t *testing.T) {
	l := newLab(t)
	l.SetTroubles(0, []APIFault{{Done: true, Rate: 1, Match: "CreateVolume", Until: time.Now().Add(apiTimeout)}})
	var late *TimeoutError
	ctx := WithRetryToken(context.Background(), "one")
	_, _, err := l.Create(ctx, typeVolume, volumeArgs(0))
	assert.Assert(t, errors.As(err, &late), "%v", err)
	assert.Equal(t, len(l.m.volumes), 1)
	assert.Equal(t, len(l.Snapshot().Unclaimed), 1)
	_, _, err = l.Create(ctx, typeVolume, volumeArgs(0))
	assert.NilError(t, err)
	assert.Equal(t, len(l.m.volumes), 1)
}

func TestAnUpdateWhoseCallerIsGoneIsFinished(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(typeVolume, volumeArgs(0))
	larger := with(volumeArgs(0), "sizeInGbs", "200")
	release := l.cutOff("resize volume", func(ctx context.Context) error {
		_, err := l.Update(ctx, typeVolume, id, larger)
		return err
	})
	release()
	l.eventually("it has grown", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.volumes[id] == 200 })
	out, err := l.Update(context.Background(), typeVolume, id, larger)
	assert.NilError(t, err)
	assert.Equal(t, out["state"], available)
}

func TestADeletionThatFailsWithNobodyWaitingIsTriedAgain(t *testing.T) {
	l := newLab(t)
	l.run()
	id, _ := l.create(typeVolume, volumeArgs(0))
	l.m.set(func() { l.m.fail["delete volume"] = errors.New("busy") })
	l.cutOff("delete volume", func(ctx context.Context) error { return l.Delete(ctx, typeVolume, id) })()
	l.eventually("it was tried again", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.calls["delete volume"] > 1 })
	l.m.set(func() { l.m.fail = map[string]error{} })
	l.eventually("the record is gone", func() bool { return len(l.Snapshot().Volumes) == 0 })
}

func TestTheCloudsEndCutsOffWhatIsUnderWay(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(typeVolume, volumeArgs(0))
	l.cutOff("delete volume", func(ctx context.Context) error { return l.Delete(ctx, typeVolume, id) })
	old := l.Cloud
	l = l.restart() // Close waits for it
	old.path = filepath.Join(t.TempDir(), "junk")
	assert.ErrorIs(t, old.Delete(context.Background(), typeVolume, id), errClosed)
	l.m.set(func() { l.m.block = map[string]chan struct{}{} })
	l.run()
	l.eventually("the record is gone", func() bool { return len(l.Snapshot().Volumes) == 0 })
}

// A caller that is told to stop while it waits has the id already, as in OCI: it knows what it made.
func TestACreationThatIsCutOffIsKnownToItsCaller(t *testing.T) {
	l := newLab(t)
	var id string
	release := l.cutOff("create volume", func(ctx context.Context) (err error) {
		id, _, err = l.Create(ctx, typeVolume, volumeArgs(0))
		return err
	})
	assert.Assert(t, id != "")
	_, err := l.Read(context.Background(), typeVolume, id)
	assert.NilError(t, err)
	release()
	l.eventually("it is made", func() bool {
		out, err := l.Read(context.Background(), typeVolume, id)
		return err == nil && out["state"] == available
	})
	assert.Equal(t, len(l.Snapshot().Unclaimed), 0)
}
