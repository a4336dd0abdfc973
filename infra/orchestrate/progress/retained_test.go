package progress

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"gotest.tools/v3/assert"
)

// What stays is what the state says, and only of a resource that the stack lets go.
func TestWhatTheCloudKeeps(t *testing.T) {
	for _, c := range []struct {
		op              apitype.OpType
		retained, stays bool
	}{
		{apitype.OpDelete, true, true},
		{apitype.OpDelete, false, false},
		{apitype.OpReplace, true, true},
		{apitype.OpUpdate, true, false},
	} {
		state := &apitype.StepEventStateMetadata{ID: "ocid1.volume.oc1..a", Custom: true, RetainOnDelete: c.retained}
		m := apitype.StepEventMetadata{Op: c.op, URN: "urn:pulumi:lab::emqx-oci::oci:Core/volume:Volume::volumes-3", Type: "oci:Core/volume:Volume", Old: state}
		if c.op != apitype.OpDelete {
			m.New = &apitype.StepEventStateMetadata{ID: state.ID, Custom: true}
		}
		got := NewReader(Preview).Read(apitype.EngineEvent{ResourcePreEvent: &apitype.ResourcePreEvent{Metadata: m}})
		assert.Equal(t, len(got), 1, "%s", c.op)
		assert.Equal(t, got[0].Retained, c.stays, "%s", c.op)
		assert.Equal(t, got[0].ID, "ocid1.volume.oc1..a")
		assert.Equal(t, strings.Contains(PlanText(got[0])[0], "stays in the cloud"), c.stays)
	}
}
