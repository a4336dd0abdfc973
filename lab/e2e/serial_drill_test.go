//go:build lab && drill

package e2e

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestOneAtATime lets the engine do one thing at a time, as `pulumi up --parallel 1`
// does: a gate that waited for something that comes later in line would wait for
// ever. First creation, instances in turn, a node more, a node less, and the end.
func TestOneAtATime(t *testing.T) {
	t.Setenv("PULUMI_PARALLEL", "1")
	b := newBed(t)
	t.Cleanup(func() {
		if t.Failed() {
			b.diagnose(t)
		}
	})
	b.must(t, "lab", "up")
	serially(t, b.must(t, "up", "lab", "--yes", "--json"))
	placement(t)

	before := nodesOf(t, b)
	b.edit(t, "memoryGb: 4", "memoryGb: 6")
	serially(t, b.must(t, "up", "lab", "--yes", "--json"))
	now := nodesOf(t, b)
	for i := range now {
		assert.Assert(t, now[i].instance != before[i].instance, "instance %d stays", i)
		assert.Equal(t, now[i].volume, before[i].volume)
	}
	placement(t)

	b.edit(t, "    count: 3\n", "    count: 4\n")
	serially(t, b.must(t, "up", "lab", "--yes", "--json"))
	wantMembers(t, nomadClient(t), 4)
	b.edit(t, "    count: 4\n", "    count: 3\n")
	const allowed = "  emqx-oci:guards:\n    allowVolumeDelete: true\n"
	b.edit(t, "  emqx-oci:broker:\n", allowed+"  emqx-oci:broker:\n")
	serially(t, b.must(t, "up", "lab", "--yes", "--json"))
	wantMembers(t, nomadClient(t), 3)

	serially(t, b.must(t, "destroy", "lab", "--yes", "--json"))
}

// serially wants that no operation on a resource began before the one before it had
// ended: else the setting did not reach the engine, and the test showed nothing.
func serially(t *testing.T, r result) {
	t.Helper()
	under, most, ended := map[string]bool{}, 0, 0
	for line := range strings.Lines(r.stdout) {
		var e struct{ Event, Status, Op, URN string }
		if json.Unmarshal([]byte(line), &e) != nil || e.Event != "resource" || e.Op == "read" {
			continue
		}
		if e.Status == "started" {
			under[e.URN] = true
		} else {
			delete(under, e.URN)
			ended++
		}
		most = max(most, len(under))
	}
	t.Logf("%d operations after %s, at most %d at a time", ended, r.took.Round(100*time.Millisecond), most)
	assert.Assert(t, ended > 0 && most == 1, "%d operations, %d at a time:\n%s", ended, most, r)
}
