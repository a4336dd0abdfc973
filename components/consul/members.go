package consul

import (
	"fmt"

	"github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const membersType = "emqx:consul:Members"

// nowhere is the address of the external node that carries the list. Nobody
// asks for it, each entry has its own; it is from a range that is never routed.
const nowhere = "192.0.2.1"

// MembersArgs describe the members of a cluster.
type MembersArgs struct {
	// Required.

	// Environment is the tag of every entry.
	Environment string
	// Nodes are the Consul names of the members: "emqx-prod-0".
	Nodes []string

	// Defaulted.

	// Datacenter of Consul; default "dc1".
	Datacenter string
}

// Members is the stack's own list of members in Consul's catalog: an external
// node with one entry per member, whose address is the member's stable name, so
// that an SRV lookup always answers all members and each target is a node name.
// Registered by Nomad instead, the list would grow as members come up; a first
// node would see only itself, end discovery, and split the cluster for good
// (ADR 0004).
//
//	members, err := consul.NewMembers(ctx, "members", &consul.MembersArgs{
//		Environment: "prod",
//		Nodes:       []string{"emqx-prod-0", "emqx-prod-1", "emqx-prod-2"},
//	})
type Members struct {
	pulumi.ResourceState

	// Each are its custom resources, for others to depend on. A dependency on
	// the component itself is a race: the SDK learns of children in the
	// background.
	Each []pulumi.Resource
}

// NewMembers registers the list; every fault of args is reported before
// anything is.
func NewMembers(ctx *pulumi.Context, name string, args *MembersArgs, opts ...pulumi.ResourceOption) (*Members, error) {
	a := MembersArgs{}
	if args != nil {
		a = *args
	}
	if a.Datacenter == "" {
		a.Datacenter = cluster.DefaultDatacenter
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating the members %q: %w", name, err)
	}
	m := &Members{}
	if err := ctx.RegisterComponentResource(membersType, name, m, opts...); err != nil {
		return nil, err
	}
	node, err := consul.NewNode(ctx, name, &consul.NodeArgs{
		Name:       pulumi.String(cluster.Name(a.Environment) + "-members"),
		Address:    pulumi.String(nowhere),
		Datacenter: pulumi.String(a.Datacenter),
		Meta:       pulumi.StringMap{"external-node": pulumi.String("true")},
	}, pulumi.Parent(m))
	if err != nil {
		return nil, fmt.Errorf("creating the external node of the members: %w", err)
	}
	for i, member := range a.Nodes {
		entry, err := consul.NewService(ctx, fmt.Sprintf("%s-%d", name, i), &consul.ServiceArgs{
			Node:       node.Name,
			Name:       pulumi.String(cluster.MembersService),
			ServiceId:  pulumi.String(fmt.Sprintf("%s-%s-%d", cluster.MembersService, a.Environment, i)),
			Address:    pulumi.String(cluster.Host(member, a.Datacenter)),
			Port:       pulumi.Int(cluster.Distribution),
			Tags:       pulumi.ToStringArray([]string{a.Environment}),
			Datacenter: pulumi.String(a.Datacenter),
		}, pulumi.Parent(m))
		if err != nil {
			return nil, fmt.Errorf("creating the entry of member %q: %w", member, err)
		}
		m.Each = append(m.Each, entry)
	}
	return m, ctx.RegisterResourceOutputs(m, pulumi.Map{})
}

func (a *MembersArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	if len(a.Nodes) == 0 {
		f.Add("nodes", "must hold at least one name")
	}
	for i, n := range a.Nodes {
		f.Require(fmt.Sprintf("nodes[%d]", i), n)
	}
	return f.Err()
}
