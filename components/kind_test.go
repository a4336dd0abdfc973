package components

import (
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/internal/toyhosts"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// recordOn records the lab's stack on other hosts: one line of the table is another one.
func recordOn(t *testing.T, hosts toyhosts.Hosts, preview bool) (*recorder.Recording, error) {
	t.Helper()
	opts, err := example.Options("..", "lab", true)
	assert.NilError(t, err)
	opts.Preview = preview
	return recorder.Run(func(ctx *pulumi.Context) error {
		s, err := settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
		if err != nil {
			return err
		}
		k := kinds.Of(s)
		k.Hosts = hosts
		c := &Cluster{}
		if err := ctx.RegisterComponentResource(ClusterType, "emqx", c); err != nil {
			return err
		}
		return c.declare(WithoutGates(guards.WithCollector(ctx, &guards.Collector{})), "emqx", s, k)
	}, opts)
}

// The whole cluster stands on hosts that are not OCI's: nothing of it asks them for more than the seam promises.
func TestAnotherKindOfHost(t *testing.T) {
	r, err := recordOn(t, toyhosts.Hosts{Racks: []string{"left", "right"}}, false)
	assert.NilError(t, err)
	hosts, disks := r.Kind("Host"), r.Kind("Disk")
	assert.Equal(t, len(hosts), 3)
	assert.Equal(t, len(disks), 3)
	for _, x := range append(hosts, disks...) {
		assert.Equal(t, x.Provider, "emqx-toy", x.Name)
		assert.Equal(t, x.Parent, "emqx", x.Name)
	}
	for _, none := range []string{"InstancePool", "InstanceConfiguration", "Volume", "PrivateIp", "NetworkSecurityGroup"} {
		assert.Equal(t, len(r.Kind(none)), 0, none)
	}
	// The jobs wait for the hosts, with their gates.
	job, ok := r.Find("Job", "emqx-emqx")
	assert.Assert(t, ok)
	for _, h := range hosts {
		assert.Assert(t, slices.Contains(job.DependsOn, h.Name), "%v", job.DependsOn)
	}
	assert.DeepEqual(t, job.Gates, []string{"emqx: G1 nodes ready"})
	// The edge, still OCI's, leads to their addresses and is in their firewall's group.
	balancer, ok := r.Find("NetworkLoadBalancer", "emqx-balancer")
	assert.Assert(t, ok)
	assert.Equal(t, balancer.Inputs["networkSecurityGroupIds"].ArrayValue()[0].StringValue(), "toy-wall")
	set, ok := r.Find("NetworkLoadBalancersBackendSetsUnified", "emqx-balancer-mqtt")
	assert.Assert(t, ok)
	for i, b := range set.Inputs["backends"].ArrayValue() {
		assert.Equal(t, b.ObjectValue()["ipAddress"].StringValue(), []string{"192.0.2.1", "192.0.2.2", "192.0.2.3"}[i])
	}
	// What is guarded is their layout.
	layout, ok := r.Find("Layout", "emqx-layout")
	assert.Assert(t, ok)
	assert.Equal(t, layout.Inputs["compartment"].StringValue(), "box")
	var racks []string
	for _, v := range layout.Inputs["volumes"].ArrayValue() {
		racks = append(racks, v.ObjectValue()["domain"].StringValue())
	}
	assert.DeepEqual(t, racks, []string{"left", "right", "left"})

	// A preview knows as much, and a fault of theirs comes before anything is registered.
	preview, err := recordOn(t, toyhosts.Hosts{Racks: []string{"left"}}, true)
	assert.NilError(t, err)
	assert.Equal(t, len(preview.Kind("Host")), 3)
	refused, err := recordOn(t, toyhosts.Hosts{}, true)
	assert.ErrorContains(t, err, "emqx-oci:toy.racks: must name at least one rack")
	for _, x := range refused.Resources {
		assert.Assert(t, strings.HasPrefix(x.Type, "pulumi:") || x.Type == ClusterType, x.Type)
	}
}

// A guard says what would be lost in the words of the cloud that it is in.
func TestGuardsSpeakInTheWordsOfTheHosts(t *testing.T) {
	hosts := toyhosts.Hosts{}
	layoutOf := func(zone string, gb int) guards.Layout {
		return guards.LayoutOf(settings.Settings{Nodes: settings.Nodes{Count: 1}, Volumes: settings.Volumes{SizeGB: gb}}, "box",
			[]cluster.Node{{Name: "emqx-lab-0", Zone: zone}})
	}
	var said string
	for _, next := range []guards.Layout{layoutOf("right", 50), layoutOf("left", 40)} {
		for _, v := range guards.Compare(layoutOf("left", 50), next, "", "", settings.Guards{}, hosts.Guarded(settings.Settings{})) {
			said += v.Message + "\n"
		}
	}
	assert.Assert(t, strings.Contains(said, "because the rack changes (emqx-lab-0: left to right): put emqx-oci:toy.racks back in its order"), said)
	assert.Assert(t, strings.Contains(said, "and the toy only grows volumes"), said)
	assert.Assert(t, !strings.Contains(said, "OCI"), said)
}
