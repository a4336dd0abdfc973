package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// NodesReadyArgs describe gate G1.
type NodesReadyArgs struct {
	// Environment is the stack, Count the number of nodes: node i is named
	// [cluster.NodeName] and carries the meta [cluster.NodeMeta].
	Environment string
	Count       int
	// Only restricts the gate to these indexes; nil means all of 0..Count-1.
	Only []int
	// Job is one that the nodes run, and that is about to change: Nomad must have decided
	// what becomes of each of its allocations. Empty: it does not matter.
	Job string
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration

	driver string // the task driver that must be healthy: docker, save in tests
}

func (a NodesReadyArgs) indexes() []int {
	if a.Only != nil {
		return a.Only
	}
	all := make([]int, a.Count)
	for i := range all {
		all[i] = i
	}
	return all
}

// NodesReady is gate G1: every index 0..Count-1 has exactly one Nomad node that
// is ready and eligible, with a healthy docker driver and the host volume
// "emqx[i]", and whose agent answers. An instance that has just gone stays "ready"
// until its heartbeat is missed, and what is placed there meanwhile is lost: hence
// the question to the agent.
//
// Then no dead entry of a node is left in Nomad, for which [PurgeDeadNodes] is due, and
// Nomad has settled what runs on a node that came back; see undecided.
func NodesReady(client NomadClient, args NodesReadyArgs) Gate {
	look := newNodesLook(client, args)
	return Gate{
		ID: "G1", Title: "nodes ready", Timeout: args.Timeout, Interval: args.Interval,
		Next: "the instance's console, where its boot says what it waits for (docs/runbook.md), or /var/log/emqx-boot.log on it; " +
			"then its consul and nomad units; `nomad node status`",
		Check: func(ctx context.Context) (Status, error) {
			status, dead, err := look.ask(ctx)
			if err != nil || !status.Holds {
				return status, err
			}
			if len(dead) > 0 {
				return Status{
					Seen: status.Seen + ", and Nomad still counts what ran on " + joinSome(dead.texts()), Due: true,
					Next: "the next update purges them; `nomad operator api -X POST /v1/node/<id>/purge` does it now",
				}, nil
			}
			if args.Job == "" {
				return status, nil
			}
			open, err := undecided(ctx, client, args.Job, time.Now())
			if err != nil || len(open) == 0 {
				return status, err
			}
			return Status{
				Seen: status.Seen + ", and Nomad is not through: " + joinSome(open),
				Next: "`nomad job status " + args.Job + "` and `nomad eval list`; a node that came back has its allocation again, or another one, within a minute",
			}, nil
		},
	}
}

// PurgeDeadNodes is the step that [NodesReady] needs, with the same arguments.
//
// A relaunched instance registers anew and leaves a dead entry behind. For as long as
// that may come back (disconnect.lost_after in the job) Nomad counts what ran there, and
// an update of the job would put allocation i onto the node of another index. The living
// one has volume i, so the dead one does not come back. Nor does that of an index which
// the stack no longer has. Nothing is purged before all nodes are ready and answer: an
// entry that lives again by then is none of these.
func PurgeDeadNodes(client NomadClient, args NodesReadyArgs) Step {
	look := newNodesLook(client, args)
	return Step{
		Name: "purge dead nodes",
		Do: func(ctx context.Context) (string, error) {
			_, dead, err := look.ask(ctx)
			if err != nil {
				return "", err
			}
			var purged deadNodes
			for _, d := range dead {
				// The boot script of its successor purges it, too.
				if err := client.Purge(ctx, d.id); err != nil && !errors.Is(err, ErrNotFound) {
					return joinSome(purged.texts()), fmt.Errorf("%s: %w", d, err)
				}
				purged = append(purged, d)
			}
			return joinSome(purged.texts()), nil
		},
	}
}

// nodesLook is what gate and step see of the nodes.
type nodesLook struct {
	reader *nodeReader
	args   NodesReadyArgs
}

func newNodesLook(client NomadClient, args NodesReadyArgs) *nodesLook {
	if args.driver == "" {
		args.driver = "docker"
	}
	return &nodesLook{reader: newNodeReader(client), args: args}
}

// ask says whether each node is ready and answers; once all are, also which entries in
// Nomad are dead.
func (l *nodesLook) ask(ctx context.Context) (Status, deadNodes, error) {
	nodes, err := l.reader.read(ctx)
	if err != nil {
		return Status{}, nil, err
	}
	status := nodesReady(l.args, nodes)
	if !status.Holds {
		return status, nil, nil
	}
	status, err = nodesAnswer(ctx, l.reader.client, l.args, nodes)
	if err != nil || !status.Holds {
		return status, nil, err
	}
	return status, deadOf(l.args, nodes), nil
}

// deadNode is an entry that Nomad keeps of an instance that is gone.
type deadNode struct{ id, name, until string }

func (d deadNode) String() string {
	return fmt.Sprintf("%s, which was %s before %s", ShortID(d.id), d.name, d.until)
}

type deadNodes []deadNode

func (d deadNodes) texts() []string {
	texts := make([]string, len(d))
	for i := range d {
		texts[i] = d[i].String()
	}
	return texts
}

// deadOf finds the dead entries of indexes that have a live one, and those of indexes
// that are no longer wanted.
func deadOf(args NodesReadyArgs, nodes []*nomad.Node) (found deadNodes) {
	for _, i := range args.indexes() {
		_, dead := nodesOf(args, i, nodes)
		for _, n := range dead {
			found = append(found, deadNode{n.ID, n.Name, "its instance was relaunched"})
		}
	}
	if args.Only != nil {
		return found
	}
	for _, n := range nodes {
		i, err := strconv.Atoi(n.Meta[cluster.MetaIndex])
		if err != nil || i < args.Count || !cluster.HasMeta(n.Meta, args.Environment, i) || !NodeLost(n.Status) {
			continue
		}
		found = append(found, deadNode{n.ID, n.Name, "it was removed"})
	}
	return found
}

// NodeLost tells whether a node's status is that of one which Nomad has lost: it missed its heartbeats.
func NodeLost(status string) bool {
	return status == nomad.NodeStatusDown || status == nomad.NodeStatusDisconnected
}

// nodeReader reads nodes whole. The list lacks meta and volumes, so each node
// is read on its own, but again only when it changed: a large cluster is not
// read anew at every poll.
type nodeReader struct {
	client NomadClient
	mu     sync.Mutex // a gate may be asked from two places at once
	known  map[string]*nomad.Node
}

func newNodeReader(client NomadClient) *nodeReader {
	return &nodeReader{client: client, known: map[string]*nomad.Node{}}
}

// readsAtOnce bounds the requests in flight.
const readsAtOnce = 8

func (r *nodeReader) read(ctx context.Context) ([]*nomad.Node, error) {
	stubs, err := r.client.Nodes(ctx)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	nodes := make([]*nomad.Node, len(stubs))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for i, stub := range stubs {
		if n := r.known[stub.ID]; n != nil && n.ModifyIndex == stub.ModifyIndex {
			nodes[i] = n
			continue
		}
		group.Go(func() (err error) {
			nodes[i], err = r.client.Node(ctx, stub.ID)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	known := make(map[string]*nomad.Node, len(nodes))
	for _, n := range nodes {
		known[n.ID] = n
	}
	r.known = known
	return nodes, nil
}

func nodesReady(args NodesReadyArgs, nodes []*nomad.Node) Status {
	var problems []string
	want := args.indexes()
	for _, i := range want {
		if p := nodeProblem(args, i, nodes); p != "" {
			problems = append(problems, p)
		}
	}
	ready := fmt.Sprintf("%d/%d nodes", len(want)-len(problems), len(want))
	if len(problems) == 0 {
		return Status{Holds: true, Seen: ready + " ready"}
	}
	return Status{Seen: ready + ": " + joinSome(problems)}
}

// nodesAnswer asks the agents of the nodes that are ready by the servers' account.
func nodesAnswer(ctx context.Context, client NomadClient, args NodesReadyArgs, nodes []*nomad.Node) (Status, error) {
	want := args.indexes()
	silent := make([]string, len(want))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(readsAtOnce)
	for at, i := range want {
		live, _ := nodesOf(args, i, nodes)
		group.Go(func() error {
			err := client.Alive(ctx, live[0].ID)
			if IsFatal(err) {
				return err
			}
			if err != nil {
				silent[at] = silentNode(cluster.NodeName(args.Environment, i), err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return Status{}, err
	}
	silent = slices.DeleteFunc(silent, func(s string) bool { return s == "" })
	ready := fmt.Sprintf("%d/%d nodes", len(want)-len(silent), len(want))
	if len(silent) == 0 {
		return Status{Holds: true, Seen: ready + " ready"}, nil
	}
	return Status{
		Seen: ready + ": " + joinSome(silent),
		Next: "whether the instances run: one that has ended stays ready in Nomad until it misses its heartbeat; then the nomad unit of the node",
	}, nil
}

func silentNode(name string, err error) string {
	return fmt.Sprintf("%s is ready in Nomad, but its agent does not answer (%s)", name, err)
}

// nodesOf finds what Nomad has of node i: the entries that live, and the dead ones.
func nodesOf(args NodesReadyArgs, i int, nodes []*nomad.Node) (live, dead []*nomad.Node) {
	for _, n := range nodes {
		if n.Name != cluster.NodeName(args.Environment, i) && !cluster.HasMeta(n.Meta, args.Environment, i) {
			continue
		}
		if NodeLost(n.Status) {
			dead = append(dead, n)
		} else {
			live = append(live, n)
		}
	}
	return live, dead
}

// nodeProblem says what node i lacks, or nothing.
func nodeProblem(args NodesReadyArgs, i int, nodes []*nomad.Node) string {
	name := cluster.NodeName(args.Environment, i)
	live, dead := nodesOf(args, i, nodes)
	switch {
	case len(live) == 0 && len(dead) > 0:
		return fmt.Sprintf("%s is %s in Nomad", name, dead[len(dead)-1].Status)
	case len(live) == 0:
		return name + " not registered in Nomad"
	case len(live) > 1:
		var ids []string
		for _, n := range live {
			ids = append(ids, fmt.Sprintf("%s (%s)", ShortID(n.ID), n.Name))
		}
		slices.Sort(ids)
		return fmt.Sprintf("%s has %d live nodes in Nomad: %s", name, len(live), strings.Join(ids, ", "))
	}
	if lacks := nodeLacks(args, name, i, live[0]); len(lacks) > 0 {
		return name + " " + strings.Join(lacks, ", ")
	}
	return ""
}

func nodeLacks(args NodesReadyArgs, name string, i int, n *nomad.Node) []string {
	var lacks []string
	lack := func(format string, a ...any) { lacks = append(lacks, fmt.Sprintf(format, a...)) }
	if n.Name != name {
		lack("is named %s", n.Name)
	}
	if n.Status != nomad.NodeStatusReady {
		lack("is %s", n.Status)
	}
	switch {
	case n.Drain:
		lack("is draining")
	case n.SchedulingEligibility != nomad.NodeSchedulingEligible:
		lack("is not eligible for scheduling (`nomad node eligibility -enable %s`)", ShortID(n.ID))
	}
	for _, want := range cluster.NodeMeta(args.Environment, i) {
		if got := n.Meta[want.Key]; got != want.Value {
			lack("has meta %s=%q instead of %q", want.Key, got, want.Value)
		}
	}
	switch d := n.Drivers[args.driver]; {
	case d == nil || !d.Detected:
		lack("has no %s driver", args.driver)
	case !d.Healthy:
		lack("has an unhealthy %s driver (%s)", args.driver, OneLine(d.HealthDescription))
	}
	if volume := cluster.HostVolume(i); n.HostVolumes[volume] == nil {
		lack("lacks host volume %s", volume)
	}
	// The boot script tells it where the agent runs already; it tries again by itself.
	if said := n.Meta[cluster.MetaBoot]; said != "" && len(lacks) > 0 {
		lack("and its boot says: %s", OneLine(said))
	}
	return lacks
}
