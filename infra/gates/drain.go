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

// NodeDrained holds when nothing runs on a node any more: its allocations have stopped
// in their own way, clients moved first. Until its drain has begun, [DrainNode] is due. A
// node that Nomad does not have, or has lost, has nothing to drain.
func NodeDrained(client NomadClient, args NodeDrainedArgs) Gate {
	reader := newNodeReader(client)
	return Gate{
		ID: "drain of", Title: args.name(), Timeout: args.Timeout, Interval: args.Interval,
		Next: "`nomad node status -self` there, and the stop of the allocations named; the next update goes on here, `nomad node drain -disable` takes it back",
		Check: func(ctx context.Context) (Status, error) {
			nodes, err := reader.undrained(ctx, args)
			if err != nil {
				return Status{}, err
			}
			var status Status
			var busy []string
			for _, n := range nodes {
				switch {
				case n.begins:
					busy, status.Due = append(append(busy, n.left...), "its drain has not begun"), true
				case len(n.left) == 0:
					busy = append(busy, "Nomad still drains it") // of other jobs
				default:
					busy = append(busy, n.left...)
				}
			}
			if status.Seen = joinSome(busy); len(busy) == 0 {
				status.Holds, status.Seen = true, "nothing runs there"
			}
			return status, nil
		},
	}
}

// DrainNode is the step that [NodeDrained] needs, with the same arguments: it begins the
// drain. One that is under way, or over, is not begun again.
func DrainNode(client NomadClient, args NodeDrainedArgs) Step {
	reader := newNodeReader(client)
	return Step{
		Name: "drain " + args.name(),
		Do: func(ctx context.Context) (string, error) {
			nodes, err := reader.undrained(ctx, args)
			if err != nil {
				return "", err
			}
			done := ""
			for _, n := range nodes {
				if !n.begins {
					continue
				}
				if err := client.Drain(ctx, n.ID, args.Deadline); err != nil {
					return done, err
				}
				done = "begun"
			}
			return done, nil
		},
	}
}

func (a NodeDrainedArgs) name() string {
	return cluster.NodeName(a.Environment, a.Index)
}

// undrainedNode is one that is not drained yet.
type undrainedNode struct {
	*nomad.Node
	left   []string // what still runs there
	begins bool     // nobody has begun its drain
}

func (r *nodeReader) undrained(ctx context.Context, args NodeDrainedArgs) (nodes []undrainedNode, err error) {
	live, err := r.live(ctx, args.Environment, args.Index)
	if err != nil {
		return nil, err
	}
	for _, n := range live {
		left, err := runningOn(ctx, r.client, n.ID, args.Jobs)
		if err != nil {
			return nil, err
		}
		if n.DrainStrategy == nil && n.SchedulingEligibility == nomad.NodeSchedulingIneligible && len(left) == 0 {
			continue
		}
		nodes = append(nodes, undrainedNode{n, left, n.DrainStrategy == nil})
	}
	return nodes, nil
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
			if a.NodeID == node && pendingOrRunning(a) {
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
	live, err := newNodeReader(client).live(ctx, environment, index)
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

// PurgeEndedNodes is the step that follows the end of an instance: it purges the nodes of
// these ids, which Nomad itself would take for ready until it misses their heartbeat. One
// whose agent still answers stays.
func PurgeEndedNodes(client NomadClient, ids []string) Step {
	return Step{
		Name: "purge ended nodes", Timeout: time.Minute, Next: "whether Nomad answers",
		Do: func(ctx context.Context) (string, error) {
			var purged []string
			for _, id := range ids {
				if !agentSilent(ctx, client, id) {
					continue
				}
				switch err := client.Purge(ctx, id); {
				case err == nil:
					purged = append(purged, ShortID(id))
				case !errors.Is(err, ErrNotFound):
					return joinSome(purged), err
				}
			}
			return joinSome(purged), nil
		},
	}
}

// aliveTries: the agent of a busy node answers late, and one that went without a word
// never; to forget a node that lives would take its work from it.
const aliveTries = 3

// agentSilent tells whether the agent of a node answers no more.
func agentSilent(ctx context.Context, client NomadClient, id string) bool {
	for range aliveTries {
		if err := client.Alive(ctx, id); err == nil || errors.Is(err, errNoPath) {
			return err != nil
		}
	}
	return true
}

// EndDrains is the step that ends the drains which this program began on nodes that are
// not to be relaunched any more, and gives them work again: an update was interrupted,
// and the next one thinks better of it. Keep are the indexes of such nodes.
func EndDrains(client NomadClient, environment string, keep []int) Step {
	reader := newNodeReader(client)
	return Step{
		Name: "end drains", Timeout: time.Minute, Next: "whether Nomad answers",
		Do: func(ctx context.Context) (string, error) {
			nodes, err := reader.read(ctx)
			if err != nil {
				return "", err
			}
			var done []string
			for _, i := range keep {
				live, _ := nodesOf(NodesReadyArgs{Environment: environment}, i, nodes)
				for _, n := range live {
					ours := n.LastDrain != nil && n.LastDrain.Meta[drainMark] != ""
					if !ours || n.SchedulingEligibility != nomad.NodeSchedulingIneligible {
						continue
					}
					if err := client.Undrain(ctx, n.ID); err != nil {
						return joinSome(done), err
					}
					done = append(done, n.Name)
				}
			}
			return joinSome(done), nil
		},
	}
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
	case Deref(job.Stop):
		return 0, nil
	}
	count := 0
	for _, g := range job.TaskGroups {
		count += Deref(g.Count)
	}
	return count, nil
}
