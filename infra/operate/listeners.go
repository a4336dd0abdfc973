package operate

import (
	"cmp"
	"context"
	"strings"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// listeners asks those of the broker in an allocation; what is
// not in it is not known.
func (c *Cluster) listeners(ctx context.Context, a *nomad.AllocationListStub) map[string]string {
	if c.ListenersScript == "" || a == nil || a.ClientStatus != nomad.AllocClientStatusRunning {
		return nil
	}
	states, err := gates.AskListeners(ctx, c.Nomad, cluster.EMQXTask, a.ID, c.ListenersScript)
	if err != nil {
		return nil
	}
	found := map[string]string{}
	for _, s := range states {
		if s.Late == "" {
			found[s.Name] = cmp.Or(s.Wrong, "ok")
		}
	}
	return found
}

// closed are listeners that do not stand, of brokers that otherwise do: one that starts
// or waits has none yet.
func (d *diagnosis) closed() {
	for _, n := range d.status.Nodes {
		if n.Member != "running" {
			continue
		}
		var wrong []string
		for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
			if state := n.Listeners[l.Name]; state != "" && state != "ok" {
				wrong = append(wrong, l.Name+" "+state)
			}
		}
		if len(wrong) > 0 {
			d.add("EMQX on "+n.Name+" does not accept all clients: "+strings.Join(wrong, "; "), gates.NextOfListener(cluster.EMQXTask, n.Broker.ID))
		}
	}
}
