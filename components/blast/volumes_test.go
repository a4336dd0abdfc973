package blast_test

import (
	"bytes"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/blast"
)

// The plan of a scale-in as the engine gives it where the volume is retained.
func TestVolumesThatStay(t *testing.T) {
	changes := plan(t, "scale-in")
	for i := range changes {
		switch c := &changes[i]; c.ShortType() {
		case "oci:Volume":
			c.Retained, c.ID = true, "ocid1.volume.oc1.lab-1.2"
			policy := blast.Change{
				Op: blast.Delete, Type: "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment",
				Name: c.Name + "-backup", Retained: true,
			}
			changes = append(changes, policy)
		}
	}
	s := lab()
	s.Nodes.Count = 2
	report := blast.Assess(changes, s, kinds)
	accounted(t, changes, report)
	assert.Assert(t, report.Severity != blast.DataLoss && len(report.Nodes.VolumeLost) == 0, "%+v", report)
	var text bytes.Buffer
	assert.NilError(t, report.Text(&text, false))
	golden.Assert(t, text.String(), "scale-in-retained.txt")
}
