//go:build lab

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// healthChecks changes how the balancer asks, on a stack that runs and beside clients:
// each set is changed with all of its backends, which stay as they are, and nobody is
// cut. Neither an update nor a refresh finds anything to do after it.
func healthChecks(t *testing.T, b *bed) {
	const before, after = "    healthInterval: 2s\n    healthTimeout: 1s\n    healthRetries: 2\n", "    healthInterval: 3s\n    healthTimeout: 2s\n    healthRetries: 3\n"
	backends := func() (all []string) {
		for _, set := range b.status(t).Cloud.Balancers[0].Sets {
			for _, be := range set.Backends {
				all = append(all, fmt.Sprintf("%s %s %s:%d %s", set.Name, be.Name, be.Address, be.Port, be.Health))
			}
		}
		return all
	}
	had := backends()
	assert.Equal(t, len(had), 12)
	b.edit(t, before, after)
	p := b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(strings.Join(strings.Fields(p.stdout), " "), "Backend sets change: mqtt, mqtts, ws, wss (health check every ms 2000 -> 3000, its retries 2 -> 3, its timeout in ms 1000 -> 2000)"), "%s", p)
	assert.Assert(t, strings.Contains(p.stdout, "0 nodes restarted; no interruption"), "%s", p)
	b.underLoadOf(t, func() {
		up := b.must(t, "up", "lab", "--yes", "--json")
		assert.Equal(t, summary(t, up).Changed(), 4, "%s", up)
	})
	assert.DeepEqual(t, backends(), had)
	assert.Equal(t, summary(t, b.must(t, "up", "lab", "--yes", "--json")).Changed(), 0)
	b.must(t, "refresh", "lab")
	assert.Equal(t, summary(t, b.must(t, "preview", "lab", "--json")).Changed(), 0)
	b.edit(t, after, before)
	b.must(t, "up", "lab", "--yes")
	assert.DeepEqual(t, backends(), had)
}
