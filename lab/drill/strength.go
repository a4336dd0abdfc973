package drill

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// whole waits until the gates G2, G3 and G4 hold for so many nodes, one after another and then once more together, and
// every node has the retained message.
func (d *Drill) whole(ctx context.Context, nodes int, within time.Duration) error {
	deadline := time.Now().Add(within)
	for {
		// They may be a moment behind: what held first must still hold when the last one does.
		for range 2 {
			for _, g := range d.gates(nodes) {
				g.Timeout, g.Interval = max(time.Until(deadline), time.Second), 300*time.Millisecond
				if err := gates.Wait(ctx, gates.SystemClock(), g, nil); err != nil {
					return err
				}
			}
		}
		err := d.kept(ctx, nodes)
		if err == nil {
			return nil
		}
		if time.Now().After(deadline) {
			return err
		}
		if err := pause(ctx, 300*time.Millisecond); err != nil {
			return err
		}
	}
}

// member is the name of a node's broker.
func member(node int) string { return "emqx@" + nodeName(node) + ".node.dc1.consul" }

func (d *Drill) gates(nodes int) []gates.Gate {
	names := make([]string, nodes)
	for i := range names {
		names[i] = member(i)
	}
	return []gates.Gate{
		gates.ClusterFormed(d.gateNomad, gates.ClusterFormedArgs{Job: brokerJob, Nodes: names}),
		gates.ProxiesReady(d.gateConsul, gates.ProxiesReadyArgs{Service: "emqx-haproxy", Environment: stack, Count: nodes, Nomad: d.gateNomad, Job: proxyJob}),
		gates.EdgeHealthy(d.edge, gates.EdgeArgs{Count: 4 * nodes}),
	}
}

// edge is the health of the balancer's backends.
func (d *Drill) edge(ctx context.Context) (map[string]string, error) {
	s, err := d.Status(ctx)
	if err != nil {
		return nil, err
	}
	health := map[string]string{}
	for _, b := range s.Cloud.Balancers {
		for _, set := range b.Sets {
			for _, be := range set.Backends {
				health[set.Name+"/"+be.Name] = be.Health
			}
		}
	}
	if len(health) == 0 {
		return nil, errors.New("the balancer has no backends")
	}
	return health, nil
}

// retained is a message that no fault may take.
const retainedTopic, retainedText = "drill/retained", "kept"

func (d *Drill) retain(ctx context.Context) error {
	if err := d.in(ctx, "internet", fmt.Sprintf("mosquitto_pub -h %s -r -q 1 -t %s -m %s", publicName, retainedTopic, retainedText)); err != nil {
		return fmt.Errorf("publishing the retained message: %w", err)
	}
	return nil
}

// kept asks every node for the retained message.
func (d *Drill) kept(ctx context.Context, nodes int) error {
	allocs, err := d.brokers(ctx)
	if err != nil {
		return err
	}
	if len(allocs) != nodes {
		return fmt.Errorf("%d of %d brokers run", len(allocs), nodes)
	}
	for _, a := range allocs {
		r, err := d.gateNomad.Exec(ctx, a.ID, brokerTask, "emqx", "ctl", "retainer", "topics")
		if err != nil {
			return fmt.Errorf("asking %s for retained messages: %w", a.Name, err)
		}
		if r.Exit != 0 || !strings.Contains(r.Stdout, retainedTopic) {
			return fmt.Errorf("%s has lost the retained message: %s%s", a.Name, r.Stdout, r.Stderr)
		}
	}
	return nil
}
