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
