package cloud

import (
	"context"
	"errors"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// As in OCI, programs have to look at the state of what they find.
func TestWhatHasEndedIsShownForAWhile(t *testing.T) {
	clock := &fakeClock{now: time.Unix(1700000000, 0)}
	l := openLab(t, t.TempDir(), newFake(), Options{Clock: clock})
	ctx := context.Background()
	volume, _ := l.create(typeVolume, volumeArgs(0))
	balancer, _ := l.create(typeBalancer, balancerArgs())
	address, _ := l.create(typePrivateIP, addressArgs(0))
	for id, token := range map[string]string{volume: typeVolume, balancer: typeBalancer, address: typePrivateIP} {
		assert.NilError(t, l.Delete(ctx, token, id))
	}
	l = l.restart()
	state := func(token, id string) string {
		out, err := l.Read(ctx, token, id)
		if errors.Is(err, ErrNotFound) {
			return "not found"
		}
		assert.NilError(t, err)
		return str(out, "state")
	}
	assert.Equal(t, state(typeVolume, volume), "TERMINATED")
	assert.Equal(t, state(typeBalancer, balancer), "DELETED")
	assert.Equal(t, state(typePrivateIP, address), "not found", "it has no lifecycle state")
	out, err := l.Invoke(ctx, "oci:Core/getVolumes:getVolumes", Props{"compartmentId": CompartmentID})
	assert.NilError(t, err)
	assert.Equal(t, str(subs(out, "volumes")[0], "state"), "TERMINATED")
	_, err = l.Update(ctx, typeVolume, volume, volumeArgs(0))
	assert.ErrorIs(t, err, ErrNotFound)

	clock.mu.Lock()
	clock.now = clock.now.Add(2 * shownAfterEnd)
	clock.mu.Unlock()
	other, _ := l.create(typeVolume, volumeArgs(1))
	assert.NilError(t, l.Delete(ctx, typeVolume, other))
	assert.Equal(t, state(typeVolume, volume), "not found")
	assert.Equal(t, state(typeVolume, other), "TERMINATED")
}

func TestAnUpdateChangesWhatItNames(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(typeVolume, volumeArgs(0))
	out, err := l.Update(context.Background(), typeVolume, id, Props{"displayName": "other"})
	assert.NilError(t, err)
	assert.Equal(t, out["displayName"], "other")
	assert.DeepEqual(t, out["freeformTags"], clone(volumeArgs(0))["freeformTags"])
	assert.Equal(t, out["sizeInGbs"], "150")
}

// A set's backends are written with it, or left as they are.
func TestASetIsChangedWithoutItsBackends(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	nlb, _ := l.create(typeBalancer, balancerArgs())
	one := Props{"name": "emqx-lab-0", "ipAddress": "10.80.1.10", "port": 1883}
	id, _ := l.create(typeBackendSet, with(setArgs(nlb, "mqtt"), "backends", []any{one}))
	l.create(typeBackend, backendArgs(nlb, "mqtt", "10.80.1.11"))
	out, err := l.Update(ctx, typeBackendSet, id, with(setArgs(nlb, "mqtt"), "isFailOpen", true))
	assert.NilError(t, err)
	assert.Equal(t, out["isFailOpen"], true)
	assert.Equal(t, len(subs(out, "backends")), 2)
	_, err = l.Update(ctx, typeBackendSet, id, with(setArgs(nlb, "mqtt"), "backends", []any{Props{"port": nil}, Props{"port": nil}}))
	l.isError(err, 400, "backends[0]: Invalid backend OCID")
	out, err = l.Update(ctx, typeBackendSet, id, Props{"backends": []any{}})
	assert.NilError(t, err)
	assert.Equal(t, len(subs(out, "backends")), 0)
	l.read(func(s *state) { assert.Assert(t, s.Resources[id].In["backends"] == nil) })
}
