package operate

import (
	"context"
	"slices"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// listening is a world whose brokers are asked about their listeners.
type listening struct {
	*world
	says map[string]string // by allocation
}

func (l listening) Exec(ctx context.Context, alloc, task string, command ...string) (gates.ExecResult, error) {
	if !slices.Contains(command, "the script") {
		return l.world.Exec(ctx, alloc, task, command...)
	}
	return gates.ExecResult{Stdout: l.says[alloc]}, nil
}

func TestStatusNamesListenersThatDoNotStand(t *testing.T) {
	w := newWorld(t, 3)
	c := w.cluster()
	says := map[string]string{}
	for _, a := range w.allocs {
		says[a.ID] = "mqtt ok\nws ok\n"
	}
	c.Nomad, c.ListenersScript = listening{w, says}, "the script"
	s := c.Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Well, "%v", what(s))
	assert.DeepEqual(t, s.Nodes[1].Listeners, map[string]string{"mqtt": "ok", "ws": "ok"})

	says[w.allocs[1].ID] = "mqtt refuses connections at 10.80.1.11:21883\nws ok\n"
	s = c.Status(t.Context(), StatusOptions{})
	assert.DeepEqual(t, what(s), []string{"EMQX on emqx-lab-1 does not accept all clients: mqtt refuses connections at 10.80.1.11:21883"})
	assert.Equal(t, s.Problems[0].Next, gates.NextOfListener("emqx", w.allocs[1].ID))
	assert.Equal(t, s.Nodes[1].Listeners["mqtt"], "refuses connections at 10.80.1.11:21883")

	// No answer is no illness, of one or of all.
	says[w.allocs[1].ID] = "mqtt late: no answer from 10.80.1.11:21883 in time\nws ok\n"
	s = c.Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Well, "%v", what(s))
	assert.DeepEqual(t, s.Nodes[1].Listeners, map[string]string{"ws": "ok"})
	says[w.allocs[1].ID] = ""
	s = c.Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Well, "%v", what(s))
	assert.Assert(t, s.Nodes[1].Listeners == nil)
}
