package blast_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/internal/toyhosts"
)

// Hosts of another kind are words of their own: all else is told as ever.
func TestHostsOfAnotherKind(t *testing.T) {
	other := kinds
	other.Hosts = toyhosts.Hosts{}.Words()
	node := func(op string, i int) []blast.Change {
		backend := map[string]any{"backends": []any{map[string]any{"name": fmt.Sprintf("emqx-lab-%d", i), "port": 1883}}}
		set := blast.Change{
			Op: blast.Update, Type: "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified",
			Name: "cluster-balancer-mqtt", New: backend,
		}
		if op == blast.Delete {
			set.Old, set.New = set.New, nil
		}
		changes := []blast.Change{
			{Op: op, Type: "toy:index:Host", Name: fmt.Sprintf("cluster-hosts-%d", i)},
			{Op: op, Type: "toy:index:Disk", Name: fmt.Sprintf("cluster-disks-%d", i)},
			{Op: op, Type: "consul:index/service:Service", Name: fmt.Sprintf("cluster-members-%d", i)},
			set,
			{Op: blast.Update, Type: "toy:index:Host", Name: "cluster-hosts-0", Diffs: []blast.Diff{{Path: "sticker", Kind: "add", New: "x"}}},
		}
		if op == blast.Create {
			changes = append(changes, blast.Change{
				Op: blast.Update, Type: "nomad:index/job:Job", Name: "cluster-emqx",
				Diffs: []blast.Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "3", New: "4"}},
			})
		}
		return changes // where the job is as it should be already, hosts alone tell how many nodes there were
	}
	for name, c := range map[string]struct {
		op       string
		index    int
		nodes    int
		headline string
		want     []string
		parts    []string
	}{
		"one comes": {
			op: blast.Create, index: 3, nodes: 4, headline: "1 node added; 0 nodes restarted; no interruption",
			want: []string{
				"1 node added: emqx-lab-3",
				"With a disk, a host, an entry in the list of members and 1 backend of the balancer (mqtt).",
				"It joins the running cluster.",
				"Another sticker for emqx-lab-0",
			},
			parts: []string{"hosts to boot", "1 part of the balancer", "EMQX on new nodes: image, start, join", "the engine and its checks"},
		},
		"one goes": {
			op: blast.Delete, index: 2, nodes: 2, headline: "DATA LOSS: 1 disk wiped; 1 node removed; 0 nodes restarted",
			want: []string{
				"The disk of emqx-lab-2 is wiped",
				"1 node removed: emqx-lab-2",
				"What goes with it: a host, an entry in the list of members and 1 backend of the balancer (mqtt).",
				"EMQX stops there first: about 1/3 of the clients reconnect to the others.",
			},
			parts: []string{"1 part of the balancer", "hosts to halt", "the engine and its checks"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := lab()
			s.Nodes.Count = c.nodes
			changes := node(c.op, c.index)
			r := blast.Assess(changes, s, other)
			accounted(t, changes, r)
			assert.Equal(t, r.Headline, c.headline)
			names := []string{fmt.Sprintf("emqx-lab-%d", c.index)}
			if c.op == blast.Create {
				assert.DeepEqual(t, r.Nodes.Added, names)
			} else {
				assert.DeepEqual(t, r.Nodes.Removed, names)
				assert.DeepEqual(t, r.Nodes.VolumeLost, names)
			}
			assert.Equal(t, len(r.Nodes.Added)+len(r.Nodes.Removed), 1)
			var parts []string
			for _, p := range r.Estimate.Parts {
				parts = append(parts, p.What)
			}
			assert.DeepEqual(t, parts, c.parts)
			// Of its hosts nothing is left over, and nothing is told as of another kind.
			for _, l := range r.Lines {
				assert.Assert(t, l.Area != "other", "%+v", l)
				assert.Assert(t, !strings.Contains(l.Text, "instance"), "%+v", l)
			}
			// An area of its own comes behind those that every report has.
			assert.Equal(t, r.Lines[len(r.Lines)-1].Area, "hosts")
			var text bytes.Buffer
			assert.NilError(t, r.Text(&text, false))
			told := strings.Join(strings.Fields(text.String()), " ")
			for _, want := range c.want {
				assert.Assert(t, strings.Contains(told, want), "%q in:\n%s", want, text.String())
			}
		})
	}
}
