package cloud

import (
	"context"
	"errors"
	"testing"

	"gotest.tools/v3/assert"
)

func TestPoliciesByOraclesNames(t *testing.T) {
	l := newLab(t)
	out, err := l.Invoke(context.Background(), getVolumeBackupPolicies, Props{})
	assert.NilError(t, err)
	var names []string
	for _, p := range subs(out, "volumeBackupPolicies") {
		names = append(names, str(p, "displayName"))
		assert.Assert(t, knownPolicy(str(p, "id")))
	}
	assert.DeepEqual(t, names, []string{"gold", "silver", "bronze"})
	// A compartment has those that its users made.
	out, err = l.Invoke(context.Background(), getVolumeBackupPolicies, Props{"compartmentId": CompartmentID})
	assert.NilError(t, err)
	assert.Equal(t, len(subs(out, "volumeBackupPolicies")), 0)
	_, err = l.Invoke(context.Background(), getVolumeBackupPolicies, Props{"compartmentId": "ocid1.compartment.oc1..other"})
	l.isError(err, 404, "other")
}

func TestBackupPolicyAssignment(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	gold, silver := policies[0].id, policies[1].id
	vol, _ := l.create(typeVolume, volumeArgs(0))
	in := Props{"assetId": vol, "policyId": gold}
	first, out := l.create(typeBackupAssignment, in)
	assert.Equal(t, out["assetId"], vol)
	l.refused(typeBackupAssignment, with(in, "policyId", "ocid1.volumebackuppolicy.oc1..none"), 404, "none")
	l.refused(typeBackupAssignment, with(in, "assetId", "ocid1.volume.oc1.lab-1.none"), 404, "none")
	// A volume has one: the next takes the place of the one before.
	second, out := l.create(typeBackupAssignment, with(in, "policyId", silver))
	assert.Equal(t, out["policyId"], silver)
	_, err := l.Read(ctx, typeBackupAssignment, first)
	assert.Assert(t, errors.Is(err, ErrNotFound), err)
	assert.NilError(t, l.Delete(ctx, typeBackupAssignment, first))
	_, err = l.Read(ctx, typeBackupAssignment, second)
	assert.NilError(t, err)
}

func TestVolumeOfABackup(t *testing.T) {
	l := newLab(t)
	ctx := context.Background()
	vol, _ := l.create(typeVolume, volumeArgs(0))
	caller := l.instanceOf(l.pool(0)).ID
	l.run() // instances may speak once they are admitted
	b := l.oci(caller, "bv backup create --volume-id "+vol+" --display-name night --type FULL --wait-for-state AVAILABLE").(Props)
	id := str(b, "id")
	assert.Equal(t, b["lifecycle-state"], "AVAILABLE")
	assert.Equal(t, l.m.backups[id], vol)
	assert.Equal(t, l.oci(caller, "bv backup get --volume-backup-id "+id).(Props)["display-name"], "night")
	list := l.ociList(caller, "bv backup list --compartment-id "+CompartmentID+" --volume-id "+vol+" --all")
	assert.Equal(t, len(list), 1)
	assert.Equal(t, str(list[0], "id"), id)

	// The volume goes, its backup stays: another one is made of it, also a larger one.
	assert.Assert(t, l.oci(caller, "bv volume delete --volume-id "+vol+" --force") == nil)
	l.ociFails(caller, "bv volume delete --volume-id "+vol+" --force", 1, "NotAuthorizedOrNotFound")
	from := Props{"type": "volumeBackup", "id": id}
	next, out := l.create(typeVolume, with(volumeArgs(0), "sizeInGbs", "200", "sourceDetails", from))
	assert.Equal(t, l.m.restored[next], id)
	assert.Equal(t, l.m.volumes[next], 200)
	assert.DeepEqual(t, out["sourceDetails"], from)
	_, err := l.Update(ctx, typeVolume, next, Props{"sourceDetails": Props{"type": "volumeBackup", "id": "ocid1.volumebackup.oc1..other"}})
	l.isError(err, 400, "sourceDetails of a volume cannot be changed")

	l.refused(typeVolume, with(volumeArgs(0), "sizeInGbs", "100", "sourceDetails", from), 400, "must not be smaller than the 150 GB")
	l.refused(typeVolume, with(volumeArgs(0), "sourceDetails", Props{"type": "volumeBackup", "id": "ocid1.volumebackup.oc1..none"}), 404, "none")
	l.refused(typeVolume, with(volumeArgs(0), "sourceDetails", Props{"type": "volume", "id": next}), 501, "volumeBackup only")

	l.ociFails(caller, "bv backup create --volume-id "+vol, 1, "NotAuthorizedOrNotFound")
	assert.Assert(t, l.oci(caller, "bv backup delete --volume-backup-id "+id+" --force") == nil)
	assert.Equal(t, len(l.m.backups), 0)
	assert.Assert(t, l.oci(caller, "bv backup list --compartment-id "+CompartmentID) == nil)
}

func TestUnfinishedBackupIsFaulty(t *testing.T) {
	l := newLab(t)
	vol, _ := l.create(typeVolume, volumeArgs(0))
	l.m.set(func() { l.m.fail["backup"] = errors.New("no space") })
	_, err := l.backUp(context.Background(), vol, "", "FULL", nil)
	l.isError(err, 500, "no space")
	var id string
	l.read(func(s *state) { id = s.backups()[0].ID; assert.Equal(t, s.backups()[0].State, faulty) })
	l.refused(typeVolume, with(volumeArgs(1), "sourceDetails", Props{"type": "volumeBackup", "id": id}), 409, "FAULTY")

	// One that a process left when it died.
	assert.NilError(t, l.change(func(s *state) error { s.Backups[id].State = creating; return nil }))
	l = l.restart()
	l.run()
	l.eventually("the backup is FAULTY", func() (is bool) {
		l.read(func(s *state) { is = s.Backups[id].State == faulty })
		return is
	})
}
