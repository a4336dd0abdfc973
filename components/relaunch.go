package components

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// relauncher replaces instances that have to become other ones, one at a time
// and only in a cluster that is whole (ADR 0022).
type relauncher struct {
	nomad       gates.NomadClient
	environment string
	// emqx and proxies are the ids of the two jobs.
	emqx, proxies string
	// of are the gates of a cluster of so many nodes: as many as the jobs have at
	// that time, which the update may be about to change.
	of func(nodes int) gates.List
	// stop is how long a node's allocations take to stop, ready how long an
	// instance takes from its launch to Nomad.
	stop, ready time.Duration
}

func newRelauncher(s settings.Settings, proxy seams.Proxy, client gates.NomadClient, of func(int) gates.List) relauncher {
	return relauncher{
		nomad: client, environment: s.Environment, emqx: cluster.EMQXJobID(s.Environment), proxies: proxy.JobID(s.Environment),
		of: of, ready: s.Gates.NodesReady,
		stop: max(s.Broker.ShutdownDelay+s.Broker.KillTimeout, proxy.StopTime(s)),
	}
}

// inTurn relaunches nodes, those first that nobody misses.
func (r relauncher) inTurn(ctx *pulumi.Context, all, nodes []cluster.Node, launch func(cluster.Node) error) error {
	var keep []int
	for _, n := range all {
		if !slices.Contains(nodes, n) {
			keep = append(keep, n.Index)
		}
	}
	endDrains := gates.EndDrains(r.nomad, r.environment, keep)
	if len(nodes) == 0 {
		// What stands in the way of it, the gates will say.
		asked, cancel := context.WithTimeout(ctx.Context(), 10*time.Second)
		defer cancel()
		_, _ = endDrains.Do(asked)
		return nil
	}
	if err := gates.Take(ctx, endDrains); err != nil {
		return err
	}
	var turns []turn
	if err := gates.Await(ctx, r.ask(func(asked context.Context) (string, error) {
		size, err := gates.JobCount(asked, r.nomad, r.emqx)
		if err != nil {
			return "", err
		}
		if size == 0 {
			turns = nil
			return fmt.Sprintf("%d instances are relaunched at once: no EMQX runs on them", len(nodes)), nil
		}
		turns, err = r.order(asked, nodes)
		return fmt.Sprintf("%d instances are relaunched, one after another", len(nodes)), err
	})); err != nil {
		return err
	}
	if turns == nil {
		for _, n := range nodes {
			if err := launch(n); err != nil {
				return err
			}
		}
		return nil
	}
	for i, t := range turns {
		if err := r.relaunch(ctx, t, launch); err != nil {
			return fmt.Errorf("relaunching instance %q, %d of %d: %w", t.node.Name, i+1, len(turns), err)
		}
	}
	return r.awaitWhole(ctx)
}

// ask is a question to Nomad, asked again while nobody answers.
func (r relauncher) ask(question func(context.Context) (string, error)) gates.Gate {
	return gates.Gate{
		ID: "relaunch", Title: "in turn", Timeout: time.Minute, Next: "whether Nomad answers",
		Check: func(asked context.Context) (gates.Status, error) {
			answer, err := question(asked)
			return gates.Status{Holds: err == nil, Seen: answer}, err
		},
	}
}

// turn is a node and what it was when the turns were given.
type turn struct {
	node     cluster.Node
	standing gates.Standing
	ids      []string
}

func (r relauncher) order(ctx context.Context, nodes []cluster.Node) ([]turn, error) {
	turns := make([]turn, len(nodes))
	for i, n := range nodes {
		standing, ids, err := gates.StandingOf(ctx, r.nomad, r.environment, n.Index)
		if err != nil {
			return nil, err
		}
		turns[i] = turn{n, standing, ids}
	}
	slices.SortStableFunc(turns, func(a, b turn) int { return int(a.standing) - int(b.standing) })
	return turns, nil
}

func (r relauncher) relaunch(ctx *pulumi.Context, t turn, launch func(cluster.Node) error) error {
	// One that is away or drained already must come back before the cluster is whole.
	if t.standing == gates.Serving {
		if err := r.awaitWhole(ctx); err != nil {
			return err
		}
	}
	drain := gates.NodeDrainedArgs{
		Environment: r.environment, Index: t.node.Index, Jobs: []string{r.emqx, r.proxies},
		Deadline: r.stop, Timeout: 2*r.stop + time.Minute,
	}
	if err := gates.Await(ctx, gates.NodeDrained(r.nomad, drain), gates.DrainNode(r.nomad, drain)); err != nil {
		return err
	}
	if err := launch(t.node); err != nil {
		return err
	}
	if err := gates.Take(ctx, gates.PurgeEndedNodes(r.nomad, t.ids)); err != nil {
		return err
	}
	back := gates.NodesReadyArgs{Environment: r.environment, Only: []int{t.node.Index}, Timeout: r.ready}
	return gates.Await(ctx, gates.NodesReady(r.nomad, back), gates.PurgeDeadNodes(r.nomad, back))
}

// awaitWhole waits until nothing of the cluster is away.
func (r relauncher) awaitWhole(ctx *pulumi.Context) error {
	var emqx, proxies int
	if err := gates.Await(ctx, r.ask(func(asked context.Context) (string, error) {
		var err error
		if emqx, err = gates.JobCount(asked, r.nomad, r.emqx); err != nil {
			return "", err
		}
		proxies, err = gates.JobCount(asked, r.nomad, r.proxies)
		return fmt.Sprintf("the cluster of %d nodes has to be whole", emqx), err
	})); err != nil {
		return err
	}
	if emqx == 0 {
		return nil
	}
	waiting := []string{beforeEMQX, beforeProxies}
	if proxies > 0 {
		waiting = append(waiting, beforeEdge, beforeName)
	}
	for _, e := range r.of(emqx).Before(waiting...) {
		if err := gates.Await(ctx, e.Gate, e.Steps...); err != nil {
			return err
		}
	}
	return nil
}
