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
	id, out := l.create(tokenVolume, volumeArgs(0))
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
	id, _ := l.create(tokenVolume, volumeArgs(0))
	out, err := l.Update(ctx, tokenVolume, id, with(volumeArgs(0), "sizeInGbs", "200"))
	assert.NilError(t, err)
	assert.Equal(t, out["sizeInGbs"], "200")
	assert.Equal(t, l.m.volumes[id], 200)
	_, err = l.Update(ctx, tokenVolume, id, volumeArgs(0))
	l.isError(err, 400, "can only grow")
	assert.Equal(t, l.m.volumes[id], 200)
	_, err = l.Update(ctx, tokenVolume, id, with(volumeArgs(0), "sizeInGbs", "200", "availabilityDomain", "LAB:AD-2"))
	l.isError(err, 400, "availabilityDomain")
}

func TestVolumeRefusals(t *testing.T) {
	l := newLab(t)
	l.refused(tokenVolume, with(volumeArgs(0), "sizeInGbs", "49"), 400, "between 50 and 32768")
	l.refused(tokenVolume, with(volumeArgs(0), "sizeInGbs", "many"), 400, "whole number")
	l.refused(tokenVolume, with(volumeArgs(0), "vpusPerGb", "15"), 400, "multiple of 10")
	l.refused(tokenVolume, with(volumeArgs(0), "availabilityDomain", "AD-9"), 400, "AD-9")
	l.refused(tokenVolume, with(volumeArgs(0), "availabilityDomain", nil), 400, "availabilityDomain is required")
	l.refused(tokenVolume, with(volumeArgs(0), "compartmentId", "ocid1.compartment.oc1..other"), 404, "NotAuthorizedOrNotFound")
	l.refused("oci:Core/vcn:Vcn", Props{}, 501, "does not simulate")
	assert.Equal(t, len(l.m.volumes), 0)
}

func TestUnknownResources(t *testing.T) {
	l := newLab(t)
	_, err := l.Read(context.Background(), tokenVolume, "ocid1.volume.oc1.lab-1.none")
	assert.Assert(t, errors.Is(err, ErrNotFound), err)
	_, err = l.Update(context.Background(), tokenVolume, "ocid1.volume.oc1.lab-1.none", volumeArgs(0))
	l.isError(err, 404, "none")
	assert.NilError(t, l.Delete(context.Background(), tokenVolume, "ocid1.volume.oc1.lab-1.none"))
	id, _ := l.create(tokenVolume, volumeArgs(0))
	_, err = l.Read(context.Background(), tokenPool, id)
	assert.Assert(t, errors.Is(err, ErrNotFound), "a volume is no pool")
}

func TestBackupPolicyAssignment(t *testing.T) {
	l := newLab(t)
	vol, _ := l.create(tokenVolume, volumeArgs(0))
	in := Props{"assetId": vol, "policyId": "ocid1.volumebackuppolicy.oc1..gold"}
	id, out := l.create(tokenBackupAssignment, in)
	assert.Equal(t, out["assetId"], vol)
	l.refused(tokenBackupAssignment, with(in, "policyId", "ocid1.volumebackuppolicy.oc1..silver"), 409, "already")
	l.refused(tokenBackupAssignment, with(in, "assetId", "ocid1.volume.oc1.lab-1.none"), 404, "none")
	assert.NilError(t, l.Delete(context.Background(), tokenBackupAssignment, id))
	l.create(tokenBackupAssignment, in)
}

func TestStateSurvivesRestart(t *testing.T) {
	l := newLab(t)
	id, before := l.create(tokenVolume, volumeArgs(0))
	l = l.restart()
	after, err := l.Read(context.Background(), tokenVolume, id)
	assert.NilError(t, err)
	assert.DeepEqual(t, before, after)
}

func TestOneProcessAtATime(t *testing.T) {
	l := newLab(t)
	_, err := Open(l.dir, l.m, Options{})
	assert.ErrorContains(t, err, "another process has it open")
}

func TestBrokenStateIsSaidAndKept(t *testing.T) {
	l := newLab(t)
	l.create(tokenVolume, volumeArgs(0))
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
// the volume is on record before the machine is asked, and the next Create with
// the same inputs takes it over instead of making a second one.
func TestCutOffCreateIsTakenOver(t *testing.T) {
	l := newLab(t)
	l.m.block["create volume"] = make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() {
		_, _, err := l.Create(ctx, tokenVolume, volumeArgs(0))
		done <- err
	}()
	l.eventually("the machine is asked", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return l.m.calls["create volume"] == 1 })
	cancel()
	assert.ErrorIs(t, <-done, context.Canceled)

	l = l.restart()
	l.m.set(func() { l.m.block = map[string]chan struct{}{} })
	unclaimed := l.Snapshot().Unclaimed
	assert.Equal(t, len(unclaimed), 1)
	id, out := l.create(tokenVolume, volumeArgs(0))
	assert.Equal(t, id, unclaimed[0])
	assert.Equal(t, out["state"], "AVAILABLE")
	assert.Equal(t, len(l.Snapshot().Unclaimed), 0)

	other, _ := l.create(tokenVolume, volumeArgs(0))
	assert.Assert(t, other != id, "a finished one belongs to whoever asked for it")
}

func TestCutOffDeleteIsFinishedByRun(t *testing.T) {
	l := newLab(t)
	id, _ := l.create(tokenVolume, volumeArgs(0))
	l.m.set(func() { l.m.fail["delete volume"] = errors.New("busy") })
	assert.ErrorContains(t, l.Delete(context.Background(), tokenVolume, id), "busy")
	l = l.restart()
	_, err := l.Read(context.Background(), tokenVolume, id)
	assert.Assert(t, errors.Is(err, ErrNotFound), "a volume on its way out is gone for its users")
	l.m.set(func() { l.m.fail = map[string]error{} })
	l.run()
	l.eventually("the file is gone", func() bool { l.m.mu.Lock(); defer l.m.mu.Unlock(); return len(l.m.volumes) == 0 })
	l.eventually("the record is gone", func() bool { return len(l.Snapshot().Volumes) == 0 })
}
