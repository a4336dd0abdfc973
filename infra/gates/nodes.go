package gates

import (
	"context"
	"time"
)

// NodesReadyArgs describe gate G1.
type NodesReadyArgs struct {
	// Environment is the stack, Count the number of nodes: node i is named
	// "emqx-<environment>-<i>" and carries the meta pool_type=emqx,
	// group-index=<i> and emqx_cluster=<environment>.
	Environment string
	Count       int
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// NodesReady is gate G1: every index 0..Count-1 has exactly one Nomad node that
// is ready and eligible, with a healthy docker driver and the host volume
// "emqx[i]". A node that is down does not count: a relaunched instance registers
// anew and leaves the old entry behind for a while.
func NodesReady(client NomadClient, args NodesReadyArgs) Gate {
	return Gate{
		ID: "G1", Title: "nodes ready", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) { panic("soon") },
	}
}
