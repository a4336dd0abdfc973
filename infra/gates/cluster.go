package gates

import (
	"context"
	"time"
)

// ClusterFormedArgs describe gate G2.
type ClusterFormedArgs struct {
	// Job is the id of the EMQX job; Group and Task default to "emqx".
	Job, Group, Task string
	// Nodes are the EMQX node names that must run, exactly these:
	// "emqx@emqx-lab-0.node.dc1.consul".
	Nodes []string
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	// Timeout should exceed the job's progress deadline, or the gate gives up
	// before Nomad says why.
	Timeout, Interval time.Duration
}

// ClusterFormed is gate G2: the latest deployment of the EMQX job's current
// version succeeded, len(Nodes) allocations run and are healthy, and EMQX itself
// says that exactly these nodes run and none is stopped. A failed deployment of
// the current version ends the wait at once, with the failing task's last
// events or the reason why an allocation could not be placed.
func ClusterFormed(client NomadClient, args ClusterFormedArgs) Gate {
	return Gate{
		ID: "G2", Title: "cluster formed", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) { panic("soon") },
	}
}
