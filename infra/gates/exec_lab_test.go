//go:build lab

package gates

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// The way that a command waits for its input's end works on a real agent, side by side
// and for answers of many frames. What Nomad loses without it is too rare to be
// provoked here: TestExecHoldsTheCommandUntilItsOutputIsHere is about that.
func TestANomadAgentLosesNothingOfAnExec(t *testing.T) {
	client, api := newTestNomad(t, startNomad(t))
	assert.NilError(t, Wait(t.Context(), SystemClock(), NodesReady(client, NodesReadyArgs{
		Environment: "lab", Count: 1, Timeout: time.Minute, Interval: 200 * time.Millisecond, driver: "raw_exec",
	}), nil))
	register(t, api, "exec sleep 3600")
	assert.NilError(t, Wait(t.Context(), SystemClock(), ClusterFormed(client, ClusterFormedArgs{
		Job: "emqx-lab", Nodes: []string{"emqx@emqx-lab-0.node.dc1.consul"}, Timeout: time.Minute, Interval: 200 * time.Millisecond,
	}), nil))
	allocs, err := client.Allocations(t.Context(), "emqx-lab")
	assert.NilError(t, err)
	const size = 200000
	var group sync.WaitGroup
	for i := range 60 {
		if i%6 == 0 {
			group.Wait()
		}
		group.Go(func() {
			r, err := client.Exec(t.Context(), allocs[0].ID, "emqx", "/bin/sh", "-c",
				fmt.Sprintf("head -c %d /dev/zero | tr '\\0' x; echo said >&2; exit %d", size, i))
			assert.Check(t, err)
			assert.Check(t, r.Exit == i && r.Stderr == "said\n" && r.Stdout == strings.Repeat("x", size), "%d: exit %d, %d bytes, %q", i, r.Exit, len(r.Stdout), r.Stderr)
		})
	}
	group.Wait()
	_, _, err = api.Jobs().Deregister("emqx-lab", true, nil)
	assert.NilError(t, err)
}
