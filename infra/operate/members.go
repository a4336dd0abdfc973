package operate

import (
	"context"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// view is the cluster as one member sees it.
type view struct {
	gates.MemberView
	asked   bool      // its task runs, and was asked
	started time.Time // the task
	noPath  bool      // the servers have no connection to its node's agent
}

// startPatience is how long a member may be closed after its task's start before it
// counts as waiting: it starts in 4 s alone, three fresh ones within 18 s, and more of
// them share two cores.
const startPatience = time.Minute

// view asks the member in an allocation; nil is none.
func (c *Cluster) view(ctx context.Context, a *nomad.AllocationListStub) (v view) {
	if a == nil || a.ClientStatus != nomad.AllocClientStatusRunning {
		return v
	}
	v.asked = true
	if t := a.TaskStates[cluster.EMQXTask]; t != nil {
		v.started = t.StartedAt
	}
	var err error
	if v.MemberView, err = gates.AskMember(ctx, c.Nomad, cluster.EMQXTask, a); err != nil {
		v.MemberView = gates.MemberView{Lost: true, Says: err.Error()}
	}
	v.noPath = strings.Contains(v.Says, "No path to node") // the servers' words
	return v
}

// members says what EMQX is on each node: by its own answer, else by those of the
// others, else by its task.
func (c *Cluster) members(nodes []NodeStatus) {
	seen := func(name string, in func(view) []string) bool {
		return slices.ContainsFunc(nodes, func(n NodeStatus) bool { return slices.Contains(in(n.seen), name) })
	}
	running := func(v view) []string { return v.Running }
	stopped := func(v view) []string { return v.Stopped }
	for i := range nodes {
		n := &nodes[i]
		name := c.Member(i)
		silent := n.seen.Lost || n.Broker.State == "" || n.Broker.State == nomad.AllocClientStatusUnknown
		switch {
		case n.seen.Answered, silent && seen(name, running):
			n.Member = "running"
		case (silent || n.seen.Late) && seen(name, stopped), !silent && !n.seen.asked:
			n.Member = "stopped"
		case silent, n.seen.Late:
			n.Member = "unknown"
		case c.Clock.Now().Sub(n.seen.started) < startPatience:
			n.Member = "starting"
		default:
			n.Member = "waiting"
		}
	}
}
