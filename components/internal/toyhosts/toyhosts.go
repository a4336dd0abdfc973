// Package toyhosts is a second implementation of [seams.Hosts], of a cloud that does not exist: it shows, in a test, that
// a cluster asks its hosts for nothing that only the first one could give.
package toyhosts

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// The types of what it registers.
const (
	DiskType = "toy:index:Disk"
	HostType = "toy:index:Host"
)

// Hosts stand in racks.
type Hosts struct {
	// Racks are what nodes are spread over; none is a fault.
	Racks []string
	// Other are the indexes of nodes whose host has to become another one.
	Other []int
}

var _ seams.Hosts = Hosts{}

// Provider is one of its own.
func (Hosts) Provider() *seams.Provider {
	return &seams.Provider{Package: "toy", New: func(ctx *pulumi.Context, name string, _ settings.Settings) (pulumi.ProviderResource, error) {
		p := &pulumi.ProviderResourceState{}
		return p, ctx.RegisterResource("pulumi:providers:toy", name, pulumi.Map{}, p)
	}}
}

// Phase is the part of a deployment that a type belongs to.
func (Hosts) Phase(typ string) string {
	return map[string]string{DiskType: "volumes", HostType: "nodes"}[typ]
}

// StandIn has nothing to stand in for.
func (Hosts) StandIn(*settings.Settings) seams.Answers { return nil }

// Guarded are the guards' words.
func (Hosts) Guarded(settings.Settings) guards.Words {
	return guards.Words{Cloud: "the toy", Scope: "box", ScopeName: "box", ScopeSetting: "emqx-oci:toy.box", ZoneName: "rack", ZoneSetting: "emqx-oci:toy.racks"}
}

// DataVolume reads a disk.
func (Hosts) DataVolume(typ string, inputs map[string]any) (v seams.DataVolume, ok bool) {
	v.Name, _ = inputs["name"].(string)
	return v, typ == DiskType
}

type fleet struct {
	seams.Given
	Hosts
	disks []pulumi.Resource
}

// Find needs a rack.
func (h Hosts) Find(_ *pulumi.Context, in seams.Given, f *fault.List) (seams.Fleet, error) {
	if len(h.Racks) == 0 {
		f.Add("emqx-oci:toy.racks", "must name at least one rack")
	}
	return &fleet{Given: in, Hosts: h}, nil
}

func (c *fleet) Nodes() []cluster.Node {
	nodes := cluster.NamedNodes(c.Settings.Environment, max(c.Settings.Nodes.Count, c.Settings.Volumes.Count))
	for i := range nodes {
		nodes[i].Zone = c.Racks[i%len(c.Racks)]
	}
	return nodes
}

// Network is none: whoever stands in front is told addresses.
func (c *fleet) Network() string { return "" }

func (c *fleet) Prepare(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (p seams.Prepared, err error) {
	for i, n := range c.Nodes() {
		disk := &pulumi.CustomResourceState{}
		if err := ctx.RegisterResource(DiskType, fmt.Sprintf("%s-disks-%d", c.Name, i), pulumi.Map{"name": pulumi.String(n.Name), "rack": pulumi.String(n.Zone)}, disk, opts...); err != nil {
			return p, err
		}
		c.disks = append(c.disks, disk)
	}
	p = seams.Prepared{Volumes: c.disks, EdgeGroup: pulumi.String("toy-wall")}
	for i := range c.Settings.Nodes.Count {
		p.Addresses = append(p.Addresses, pulumi.Sprintf("192.0.2.%d", i+1))
	}
	return p, nil
}

func (c *fleet) Launch(ctx *pulumi.Context, turns seams.Turns, opts ...pulumi.ResourceOption) (l seams.Launched, err error) {
	l.Each = make([]pulumi.Resource, c.Settings.Nodes.Count)
	launch := func(n cluster.Node) error {
		host := &pulumi.CustomResourceState{}
		l.Each[n.Index] = host
		return ctx.RegisterResource(HostType, fmt.Sprintf("%s-hosts-%d", c.Name, n.Index), pulumi.Map{
			"name": pulumi.String(n.Name), "hall": pulumi.String("north"), "color": pulumi.String("grey"), "units": pulumi.Int(42),
		}, host,
			append(opts, pulumi.DependsOn([]pulumi.Resource{c.disks[n.Index]}))...)
	}
	for _, n := range c.Nodes()[:c.Settings.Nodes.Count] {
		other := false
		for _, i := range c.Other {
			other = other || i == n.Index
		}
		if other {
			l.Relaunched = append(l.Relaunched, n)
		} else if err := launch(n); err != nil {
			return l, err
		}
	}
	if turns == nil {
		turns = func(nodes []cluster.Node, launch func(cluster.Node) error) error {
			for _, n := range nodes {
				if err := launch(n); err != nil {
					return err
				}
			}
			return nil
		}
	}
	return l, turns(l.Relaunched, launch)
}
