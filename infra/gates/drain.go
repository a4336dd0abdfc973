package gates

import (
	"context"
	"errors"
	"slices"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// NodeDrainedArgs describe the wait for a node whose instance is about to end.
type NodeDrainedArgs struct {
	// Environment is the stack, Index the node's.
	Environment string
	Index       int
	// Jobs are those whose allocations must have left the node.
	Jobs []string
	// Deadline is after how long Nomad stops what it held back for the sake of
	// other nodes. What it stops takes its own time all the same.
	Deadline time.Duration
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// NodeDrained drains a node and holds when nothing runs there any more: its
// allocations have stopped in their own way, clients moved first. A drain that is
// under way, or over, is not begun again; a node that Nomad does not have, or has
// lost, has nothing to drain.
func NodeDrained(client NomadClient, args NodeDrainedArgs) Gate {
	name := cluster.NodeName(args.Environment, args.Index)
	reader := &nodeReader{client: client, known: map[string]*nomad.Node{}}
	return Gate{
		ID: "drain of", Title: name, Timeout: args.Timeout, Interval: args.Interval,
		Next: "`nomad node status -self` there, and the stop of the allocations named; the next update goes on here, `nomad node drain -disable` takes it back",
		Check: func(ctx context.Context) (Status, error) {
			live, err := reader.live(ctx, args.Environment, args.Index)
			if err != nil {
				return Status{}, err
			}
			var busy []string
			for _, n := range live {
				left, err := drain(ctx, client, args, n)
				if err != nil {
					return Status{}, err
				}
				busy = append(busy, left...)
			}
			if len(busy) == 0 {
				return Status{Holds: true, Seen: "nothing runs there"}, nil
			}
			return Status{Seen: joinSome(busy)}, nil
		},
	}
}

// drain drains a node that is not drained yet, and says what still runs there.
func drain(ctx context.Context, client NomadClient, args NodeDrainedArgs, n *nomad.Node) ([]string, error) {
	left, err := runningOn(ctx, client, n.ID, args.Jobs)
	if err != nil {
		return nil, err
	}
	switch {
	case n.DrainStrategy == nil && n.SchedulingEligibility == nomad.NodeSchedulingIneligible && len(left) == 0:
		return nil, nil
	case n.DrainStrategy == nil:
		return append(left, "the drain begins"), client.Drain(ctx, n.ID, args.Deadline)
	case len(left) == 0:
		return []string{"Nomad still drains it"}, nil // of other jobs
	}
	return left, nil
}

// live are the entries of a node that Nomad has not lost.
func (r *nodeReader) live(ctx context.Context, environment string, index int) ([]*nomad.Node, error) {
	nodes, err := r.read(ctx)
	if err != nil {
		return nil, err
	}
	live, _ := nodesOf(NodesReadyArgs{Environment: environment}, index, nodes)
	return live, nil
}

func runningOn(ctx context.Context, client NomadClient, node string, jobs []string) ([]string, error) {
	var running []string
	for _, job := range jobs {
		allocs, err := client.Allocations(ctx, job)
		if err != nil && !errors.Is(err, ErrNotFound) {
			return nil, err
		}
		for _, a := range allocs {
			if a.NodeID == node && (a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending) {
				running = append(running, allocState(a))
			}
		}
	}
	slices.Sort(running)
	return running, nil
}

// Standing is what a node is to the cluster before it is relaunched. In the order
// of these values they are relaunched: nobody misses a node that is away.
type Standing int

const (
	// Away is a node that Nomad does not have, or has lost.
	Away Standing = iota
	// Drained is one whose work has been taken from it, or is about to be.
	Drained
	// Serving is every other.
	Serving
)

// StandingOf asks Nomad for a node's standing and for the ids that it has there.
func StandingOf(ctx context.Context, client NomadClient, environment string, index int) (standing Standing, ids []string, err error) {
	reader := &nodeReader{client: client, known: map[string]*nomad.Node{}}
	live, err := reader.live(ctx, environment, index)
	if err != nil {
		return Away, nil, err
	}
	for _, n := range live {
		ids = append(ids, n.ID)
		if n.SchedulingEligibility == nomad.NodeSchedulingEligible {
			standing = Serving
		} else {
			standing = max(standing, Drained)
		}
	}
	return standing, ids, nil
}

// Forget purges nodes whose instance has ended: Nomad itself would take them for
// ready until it misses their heartbeat. One whose agent still answers stays.
func Forget(ctx context.Context, client NomadClient, ids []string) error {
	for _, id := range ids {
		if !ended(ctx, client, id) {
			continue
		}
		if err := client.Purge(ctx, id); err != nil && !errors.Is(err, ErrNotFound) {
			return err
		}
	}
	return nil
}

// aliveTries: the agent of a busy node answers late, and one that went without a word
// never; to forget a node that lives would take its work from it.
const aliveTries = 3

func ended(ctx context.Context, client NomadClient, id string) bool {
	for range aliveTries {
		if err := client.Alive(ctx, id); err == nil || errors.Is(err, errNoPath) {
			return err != nil
		}
	}
	return true
}

// GiveBack ends the drains that this program began on nodes that are not to be
// relaunched any more: an update was interrupted, and the next one thinks better
// of it.
func GiveBack(ctx context.Context, client NomadClient, environment string, keep []int) error {
	reader := &nodeReader{client: client, known: map[string]*nomad.Node{}}
	nodes, err := reader.read(ctx)
	if err != nil {
		return err
	}
	for _, i := range keep {
		live, _ := nodesOf(NodesReadyArgs{Environment: environment}, i, nodes)
		for _, n := range live {
			ours := n.LastDrain != nil && n.LastDrain.Meta[drainMark] != ""
			if ours && n.SchedulingEligibility == nomad.NodeSchedulingIneligible {
				if err := client.Undrain(ctx, n.ID); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// JobCount is how many allocations a job has as it stands in Nomad; zero when
// there is no such job, or it is stopped.
func JobCount(ctx context.Context, client NomadClient, id string) (int, error) {
	job, err := client.Job(ctx, id)
	switch {
	case errors.Is(err, ErrNotFound):
		return 0, nil
	case err != nil:
		return 0, err
	case value(job.Stop):
		return 0, nil
	}
	count := 0
	for _, g := range job.TaskGroups {
		count += value(g.Count)
	}
	return count, nil
}
