package components

import (
	"context"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// Both are read by people who want to know what waits for what.
func TestTheListOfGatesIsTheTableOfTheDocuments(t *testing.T) {
	page, err := os.ReadFile("../docs/architecture.md")
	assert.NilError(t, err)
	_, section, ok := strings.Cut(string(page), "\n## Gates\n")
	assert.Assert(t, ok)
	section, _, _ = strings.Cut(section, "\n## ")
	var got []string
	for line := range strings.Lines(section) {
		if cells := strings.Split(line, "|"); len(cells) == 6 && !strings.HasPrefix(line, "|---") {
			got = append(got, strings.TrimSpace(cells[1])+" | "+strings.TrimSpace(cells[2]))
		}
	}
	want := []string{"gate | before"}
	for _, e := range gateList(conditions{proxy: haproxy.Proxy{}, edgeHealthy: gates.EdgeHealthy(nil, gates.EdgeArgs{})}) {
		name := e.Gate.ID + " " + e.Gate.Title
		for _, s := range e.Steps {
			want = append(want, "step: "+s.Name+" | "+name)
		}
		for _, s := range e.AtEnd {
			want = append(want, "step: "+s.Name+" | "+gates.TheEnd)
		}
		want = append(want, name+" | "+strings.Join(e.Before, ", "))
	}
	assert.DeepEqual(t, got, want)
}

// An entry before a word that nothing is called by would wait in vain: whatever is in the
// list stands before a resource, or is asked at the end.
func TestEveryGateOfTheListStandsBeforeWhatItSays(t *testing.T) {
	opts, err := example.Options("..", "lab", true)
	assert.NilError(t, err)
	r, err := recorder.Run(func(ctx *pulumi.Context) error {
		s, err := settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
		if err != nil {
			return err
		}
		_, err = DeclareCluster(WithoutGates(ctx), "emqx", s)
		return err
	}, opts)
	assert.NilError(t, err)
	resources := map[string]string{
		beforeEMQX: "Job emqx-emqx", beforeProxies: "Job emqx-haproxy", beforeEdge: "Listener emqx-listeners-mqtt", beforeName: "Rrset emqx-dns",
	}
	for _, e := range openGates(settings.Settings{}, haproxy.Proxy{}) {
		assert.Assert(t, len(e.Before) > 0, e.Gate.ID)
		for _, b := range e.Before {
			if b == gates.TheEnd {
				continue
			}
			kind, name, ok := strings.Cut(resources[b], " ")
			assert.Assert(t, ok, "%s is before %q, which nothing is called by", e.Gate.ID, b)
			x, ok := r.Find(kind, name)
			assert.Assert(t, ok, resources[b])
			assert.Assert(t, slices.Contains(x.Gates, "emqx: "+e.Gate.ID+" "+e.Gate.Title), "%s waits for %v", name, x.Gates)
		}
	}
}

// nomadOfAsks fails the test when something is changed there.
type nomadOfAsks struct {
	nomadOf
	t *testing.T
}

func (n *nomadOfAsks) Drain(context.Context, string, time.Duration) error { return n.changes("drain") }
func (n *nomadOfAsks) Undrain(context.Context, string) error              { return n.changes("undrain") }
func (n *nomadOfAsks) Purge(context.Context, string) error                { return n.changes("purge") }

func (n *nomadOfAsks) changes(what string) error {
	n.t.Errorf("%s: a check only asks", what)
	return nil
}

func (n *nomadOfAsks) Deployments(context.Context, string) ([]*nomad.Deployment, error) {
	return nil, nil
}

func (n *nomadOfAsks) Evaluations(context.Context, string) ([]*nomad.Evaluation, error) {
	return nil, nil
}

type noServices struct{ gates.ConsulClient }

func (noServices) Service(context.Context, string, string) ([]*consul.ServiceEntry, error) {
	return nil, nil
}

func TestNoCheckOfTheListChangesAnything(t *testing.T) {
	n := &nomadOfAsks{nomadOf{nodes: map[string]*nomad.Node{}}, t}
	for i := range 3 {
		n.boots(i, nomad.NodeSchedulingEligible)
	}
	dead := *n.nodes["node-0-0"] // of an index that is no more
	dead.ID, dead.Name, dead.Status = "dead", "emqx-lab-3", nomad.NodeStatusDown
	dead.Meta = map[string]string{"pool_type": "emqx", "group-index": "3", "emqx_cluster": "lab"}
	n.nodes["dead"] = &dead
	s := settings.Settings{Environment: "lab"}
	s.Nodes.Count, s.DNS.Name, s.Ports.MQTT = 3, "127.0.0.1", 1 // nobody listens there
	due := ""
	for _, e := range gateList(conditions{
		Settings: s, nomadAPI: n, consulAPI: noServices{}, proxy: haproxy.Proxy{},
		edgeHealthy: gates.EdgeHealthy(func(context.Context) (map[string]string, error) { return nil, nil }, gates.EdgeArgs{}),
	}) {
		status, err := e.Gate.Check(t.Context())
		assert.NilError(t, err, e.Gate.ID)
		assert.Assert(t, !status.Holds, e.Gate.ID)
		if status.Due {
			due += e.Gate.ID
			assert.Assert(t, len(e.Steps) > 0, "%s finds a step due that the list does not have", e.Gate.ID)
		}
	}
	assert.Equal(t, due, "G1")
}
