package cloud

import (
	"context"
	"errors"
	"os"
	"regexp"
	"testing"

	"gotest.tools/v3/assert"
)

var ocidForm = regexp.MustCompile(`^ocid1\.[a-z]+\.oc1\.lab-1\.[a-z2-7]{60}$`)

func TestVolumeOutputsAreTheRealOnes(t *testing.T) {
	l := newLab(t)
	id, out := l.create(typeVolume, volumeArgs(0))
	assert.Assert(t, ocidForm.MatchString(id), id)
	assert.Equal(t, out["id"], id)
	assert.Equal(t, out["state"], "AVAILABLE")
	assert.Equal(t, out["sizeInGbs"], "150") // a string, as in the SDK
	assert.Equal(t, out["sizeInMbs"], "153600")
	assert.Equal(t, out["availabilityDomain"], "LAB:AD-1")
	assert.Equal(t, out["freeformTags"].(Props)["group-index"], "0")
	assert.Assert(t, out["timeCreated"] != "")
	assert.Equal(t, l.m.volumes[id], 150)
}

func TestVolumeGrowsAndNeverShrinks(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	id, _ := l.create(typeVolume, volumeArgs(0))
	out, err := l.Update(ctx, typeVolume, id, with(volumeArgs(0), "sizeInGbs", "200"))
	assert.NilError(t, err)
	assert.Equal(t, out["sizeInGbs"], "200")
	assert.Equal(t, l.m.volumes[id], 200)
	_, err = l.Update(ctx, typeVolume, id, volumeArgs(0))
	l.isError(err, 400, "can only grow")
	assert.Equal(t, l.m.volumes[id], 200)
	_, err = l.Update(ctx, typeVolume, id, with(volumeArgs(0), "sizeInGbs", "200", "availabilityDomain", "LAB:AD-2"))
	l.isError(err, 400, "availabilityDomain")
}

func TestVolumeRefusals(t *testing.T) {
	l := newLab(t)
	l.refused(typeVolume, with(volumeArgs(0), "sizeInGbs", "49"), 400, "between 50 and 32768")
	l.refused(typeVolume, with(volumeArgs(0), "sizeInGbs", "many"), 400, "whole number")
	l.refused(typeVolume, with(volumeArgs(0), "vpusPerGb", "15"), 400, "multiple of 10")
	l.refused(typeVolume, with(volumeArgs(0), "availabilityDomain", "AD-9"), 400, "AD-9")
	l.refused(typeVolume, with(volumeArgs(0), "availabilityDomain", nil), 400, "availabilityDomain is required")
	l.refused(typeVolume, with(volumeArgs(0), "compartmentId", "ocid1.compartment.oc1..other"), 404, "NotAuthorizedOrNotFound")
	l.refused("oci:Core/vcn:Vcn", Props{}, 501, "does not simulate")
	assert.Equal(t, len(l.m.volumes), 0)
}

func TestUnknownResources(t *testing.T) {
	l := newLab(t)
	_, err := l.Read(context.Background(), typeVolume, "ocid1.volume.oc1.lab-1.none")
	assert.Assert(t, errors.Is(err, ErrNotFound), err)
	_, err = l.Update(context.Background(), typeVolume, "ocid1.volume.oc1.lab-1.none", volumeArgs(0))
	l.isError(err, 404, "none")
	assert.NilError(t, l.Delete(context.Background(), typeVolume, "ocid1.volume.oc1.lab-1.none"))
	id, _ := l.create(typeVolume, volumeArgs(0))
	_, err = l.Read(context.Background(), typePool, id)
	assert.Assert(t, errors.Is(err, ErrNotFound), "a volume is no pool")
}

func TestStateSurvivesRestart(t *testing.T) {
	l := newLab(t)
	id, before := l.create(typeVolume, volumeArgs(0))
	l = l.restart()
	after, err := l.Read(context.Background(), typeVolume, id)
	assert.NilError(t, err)
	assert.DeepEqual(t, before, after)
}

func TestRunAssertsWhatTheMachineLost(t *testing.T) {
	l := newLab(t)
	vol, _ := l.create(typeVolume, volumeArgs(0))
	g := l.group("nodes")
	l.create(typeRule, ingress(g, "10.80.9.0/24", 22, 22))
	i := l.instanceOf(l.pool(0, g))
	_, err := l.attach(context.Background(), i.ID, vol, "", "paravirtualized", "")
	assert.NilError(t, err)
	l.edge()
	l.m.set(func() {
		l.m.volumes, l.m.tied, l.m.firewalls, l.m.balancers = map[string]int{}, map[string]string{}, map[string]Firewall{}, nil
	})
	l.run()
	l.eventually("everything is there again", func() bool {
		l.m.mu.Lock()
		defer l.m.mu.Unlock()
		return l.m.volumes[vol] == 150 && l.m.tied[vol] == i.ID && len(l.m.firewalls[i.ID].Ingress) == 1 && len(l.m.balancers) == 1
	})
}

// What the machine refuses while it is asked for something else is tried again.
func TestRunRetriesWhatTheMachineRefused(t *testing.T) {
	l := newLab(t)
	l.run()
	l.m.set(func() { l.m.fail["zone"] = errors.New("no resolver") })
	in := Props{"zoneNameOrId": ZoneName, "domain": "a.lab.test", "rtype": "A", "items": []any{
		Props{"domain": "a.lab.test", "rtype": "A", "rdata": "198.51.100.10", "ttl": 60},
	}}
	_, _, err := l.Create(context.Background(), typeRrset, in)
	assert.ErrorContains(t, err, "no resolver")
	l.m.set(func() { l.m.fail = map[string]error{} })
	l.eventually("the record is served", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return len(l.m.records) == 1 })
}

func TestOneProcessAtATime(t *testing.T) {
	l := newLab(t)
	_, err := Open(l.dir, l.m, Options{})
	assert.ErrorContains(t, err, "another process has it open")
}

func TestBrokenStateIsSaidAndKept(t *testing.T) {
	l := newLab(t)
	l.create(typeVolume, volumeArgs(0))
	assert.NilError(t, l.Close())
	for text, want := range map[string]string{"{": "unexpected end", `{"Version": 99}`: "version 99"} {
		assert.NilError(t, os.WriteFile(l.path, []byte(text), 0o600))
		_, err := Open(l.dir, l.m, Options{})
		assert.ErrorContains(t, err, want)
		kept, err := os.ReadFile(l.path)
		assert.NilError(t, err)
		assert.Equal(t, string(kept), text)
	}
}

// A process that dies half way leaves nothing that the next one does not know:
// the volume is on record before the machine is asked, and the next try of the same
// Create takes it over instead of making a second one.
func TestCutOffCreateIsTakenOver(t *testing.T) {
	l := newLab(t)
	l.m.block["create volume"] = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, _, err := l.Create(WithRetryToken(ctx, "one"), typeVolume, volumeArgs(0))
		done <- err
	}()
	l.eventually("the machine is asked", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.calls["create volume"] == 1 })
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)

	l = l.restart()
	l.m.set(func() { l.m.block = map[string]chan struct{}{} })
	unclaimed := l.Snapshot().Unclaimed
	assert.Equal(t, len(unclaimed), 1)
	id, out, err := l.Create(WithRetryToken(context.Background(), "one"), typeVolume, volumeArgs(0))
	assert.NilError(t, err)
	assert.Equal(t, id, unclaimed[0])
	assert.Equal(t, out["state"], "AVAILABLE")
	assert.Equal(t, len(l.Snapshot().Unclaimed), 0)

	other, _ := l.create(typeVolume, volumeArgs(0))
	assert.Assert(t, other != id, "a finished one belongs to whoever asked for it")
}

func TestCutOffDeleteIsFinishedByRun(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(typeVolume, volumeArgs(0))
	l.m.set(func() { l.m.fail["delete volume"] = errors.New("busy") })
	assert.ErrorContains(t, l.Delete(context.Background(), typeVolume, id), "busy")
	l = l.restart()
	out, err := l.Read(context.Background(), typeVolume, id)
	assert.NilError(t, err)
	assert.Equal(t, out["state"], "TERMINATING", "OCI shows a volume on its way out")
	l.m.set(func() { l.m.fail = map[string]error{} })
	l.run()
	l.eventually("the file is gone", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return len(l.m.volumes) == 0 })
	l.eventually("the record is gone", func() bool { return len(l.Snapshot().Volumes) == 0 })
	out, err = l.Read(context.Background(), typeVolume, id)
	assert.NilError(t, err)
	assert.Equal(t, out["state"], "TERMINATED")
}
