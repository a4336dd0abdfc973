package blast

import (
	"bytes"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"
)

func TestVolumesThatComeWithData(t *testing.T) {
	const volume = "oci:Core/volume:Volume"
	from := func(id string) map[string]any {
		return map[string]any{"sizeInGbs": "50", "sourceDetails": map[string]any{"type": "volumeBackup", "id": id}}
	}
	changes := []Change{
		{Op: opCreate, Type: volume, Name: "volumes-1", New: from("ocid1.volumebackup.oc1..night")},
		{Op: opImport, Type: volume, Name: "volumes-2", New: map[string]any{"sizeInGbs": "50"}},
	}
	s := lab()
	s.Volumes.Restore = map[string]string{"0": "ocid1.volumebackup.oc1..old", "1": "ocid1.volumebackup.oc1..night"}
	s.Volumes.Adopt = map[string]string{"2": "ocid1.volume.oc1..kept"}
	report := Assess(changes, s)
	accounted(t, changes, report)
	var text bytes.Buffer
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-with-data.txt")

	// Settings that stay in the file when all is done are no reason to worry.
	report = Assess(nil, s)
	text.Reset()
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-as-they-are.txt")
}

// The plan of a scale-in as the engine gives it where the volume is retained.
func TestVolumesThatStay(t *testing.T) {
	changes := plan(t, "scale-in")
	for i := range changes {
		switch c := &changes[i]; short(c.Type) {
		case typeVolume:
			c.Retained, c.ID = true, "ocid1.volume.oc1.lab-1.2"
			policy := Change{
				Op: opDelete, Type: "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment",
				Name: c.Name + "-backup", Retained: true,
			}
			changes = append(changes, policy)
		}
	}
	s := lab()
	s.Nodes.Count = 2
	report := Assess(changes, s)
	accounted(t, changes, report)
	assert.Assert(t, report.Severity != DataLoss && len(report.Nodes.VolumeLost) == 0, "%+v", report)
	var text bytes.Buffer
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "scale-in-retained.txt")

	changes = nil
	for _, n := range []string{"1", "2"} {
		changes = append(changes, Change{
			Op: opReplace, Type: "oci:Core/volume:Volume", Name: "volumes-" + n, Retained: true, ID: "ocid1.volume.oc1.lab-1." + n,
			Old:   map[string]any{"sizeInGbs": "50"},
			Diffs: []Diff{{Path: "availabilityDomain", Kind: "update", Replaces: true, Old: "AD-" + n, New: "AD-3"}},
		})
	}
	report = Assess(changes, lab())
	accounted(t, changes, report)
	assert.Assert(t, len(report.Nodes.VolumeLost) == 0, "%+v", report)
	text.Reset()
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "volumes-exchanged-retained.txt")
}
