//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// scaling goes from three nodes to four and back, twice, under clients that stay:
// the fourth joins empty, leaves the cluster by itself, and can come back; the
// others are not restarted.
func scaling(t *testing.T, b *bed) {
	b.edit(t, "  emqx-oci:gates:\n", "  emqx-oci:guards:\n    allowVolumeDelete: true\n    allowScaleIn: true\n  emqx-oci:gates:\n")
	var out syncBuffer
	clients := 0
	more := func() {
		t.Helper()
		const batch = 24
		// -c keeps the session, and mosquitto_sub connects again by itself.
		b.start(t, &out, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
			`for i in $(seq %d); do mosquitto_sub -h %s -i stays-%d-$i -c -q 1 -t e2e/stays/%d/$i & done; wait`, batch, name, clients, clients))
		clients += batch
	}
	connected := func(nodes int) {
		t.Helper()
		eventually(t, time.Minute, "every client connected", func() error {
			seen, count := staying(t), 0
			for _, n := range seen {
				count += n
			}
			if count != clients || len(seen) != nodes {
				return fmt.Errorf("of %d clients by node: %v", clients, seen)
			}
			return nil
		})
	}
	more()
	connected(3)
	before := allocations(t)

	for range 2 {
		b.edit(t, "    count: 3\n", "    count: 4\n")
		b.must(t, "up", "lab", "--yes")
		assert.DeepEqual(t, members(t), []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2", "emqx-lab-3"})
		more() // the new node has the fewest: it gets most of them
		connected(4)
		b.edit(t, "    count: 4\n", "    count: 3\n")
		b.must(t, "up", "lab", "--yes")
		// No `emqx ctl cluster force-leave` by hand.
		assert.DeepEqual(t, members(t), []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"})
		connected(3)
		assert.DeepEqual(t, allocations(t), before)
	}
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}

// allocations are the brokers' by their names: an id and the number of restarts.
func allocations(t *testing.T) map[string]string {
	t.Helper()
	found := map[string]string{}
	for _, a := range running(t, nomadClient(t), emqxJob) {
		found[a.Name] = fmt.Sprintf("%s %d", a.ID, a.TaskStates["emqx"].Restarts)
	}
	return found
}

// members are the nodes of the cluster, all of which must run and be told of by
// each other.
func members(t *testing.T) []string {
	t.Helper()
	var list []string
	for _, a := range running(t, nomadClient(t), emqxJob) {
		var status struct {
			Running []string `json:"running_nodes"`
			Stopped []string `json:"stopped_nodes"`
		}
		text := inBroker(t, a, "emqx", "ctl", "cluster", "status", "--json")
		assert.NilError(t, json.Unmarshal([]byte(text), &status), text)
		assert.Equal(t, len(status.Stopped), 0, text)
		for i, n := range status.Running {
			n, _, _ = strings.Cut(strings.TrimPrefix(n, "emqx@"), ".")
			status.Running[i] = n
		}
		slices.Sort(status.Running)
		if list != nil {
			assert.DeepEqual(t, status.Running, list)
		}
		list = status.Running
	}
	return list
}

// staying counts this story's clients by node; nodes without one are left out.
func staying(t *testing.T) map[string]int {
	t.Helper()
	count := map[string]int{}
	for _, a := range running(t, nomadClient(t), emqxJob) {
		for line := range strings.Lines(inBroker(t, a, "emqx", "ctl", "clients", "list")) {
			if strings.Contains(line, "Client(stays-") && strings.Contains(line, "connected=true") {
				count[a.NodeName]++
			}
		}
	}
	return count
}

func inBroker(t *testing.T, stub *nomad.AllocationListStub, command ...string) string {
	t.Helper()
	c := nomadClient(t)
	a, _, err := c.Allocations().Info(stub.ID, nil)
	assert.NilError(t, err)
	var out, errs syncBuffer
	code, err := c.Allocations().Exec(t.Context(), a, "emqx", false, command, strings.NewReader(""), &out, &errs, nil, nil)
	assert.NilError(t, err)
	assert.Equal(t, code, 0, "%v: %s%s", command, out.String(), errs.String())
	return out.String()
}
