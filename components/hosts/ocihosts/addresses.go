package ocihosts

import (
	"fmt"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const addressesType = "emqx:oci:Addresses"

// updatable are all properties of a private IP that OCI's provider would update
// in place. Any such update, a tag's included, detaches the address from the
// VNIC of the running node and reports success: the resource must never be
// updated once it exists (ADR 0005).
var updatable = []string{
	"vnicId", "displayName", "hostnameLabel", "freeformTags", "definedTags", "lifetime",
	"routeTableId", "cidrPrefixLength", "ipv4subnetCidrAtCreation",
}

// AddressesArgs describe the reserved addresses of a cluster.
type AddressesArgs struct {
	// Required.

	// Environment names the cluster in the tags that the boot script looks for.
	Environment string
	// SubnetID is the OCID of the nodes' private subnet.
	SubnetID string
	// Nodes get one address each.
	Nodes []cluster.Node

	// Optional.

	// Tags are extra freeform tags. They are set once: see [Addresses].
	Tags map[string]string
}

// Addresses are one reserved private address per node. The boot script claims
// the node's own for its VNIC, so a relaunched instance answers where the
// balancer and the other nodes expect it. Later changes of name or tags are
// ignored on purpose; subnet changes replace.
//
//	addresses, err := oci.NewAddresses(ctx, "addresses", &ocihosts.AddressesArgs{
//		Environment: "prod",
//		SubnetID:    "ocid1.subnet.oc1.eu-frankfurt-1.example",
//		Nodes:       nodes,
//	})
type Addresses struct {
	pulumi.ResourceState

	// IPs are the addresses, by node index.
	IPs pulumi.StringArrayOutput

	// Each is the address of a node, by index, for others to depend on: see
	// [Volumes].
	Each []pulumi.Resource

	perNode, ids []pulumi.StringOutput
}

// IP is the address of node index.
func (a *Addresses) IP(index int) pulumi.StringOutput { return a.perNode[index] }

// ID is the OCID of node index's address.
func (a *Addresses) ID(index int) pulumi.StringOutput { return a.ids[index] }

// NewAddresses registers the addresses; every fault of args is reported before
// anything is.
func NewAddresses(ctx *pulumi.Context, name string, args *AddressesArgs, opts ...pulumi.ResourceOption) (*Addresses, error) {
	a := AddressesArgs{}
	if args != nil {
		a = *args
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating addresses %q: %w", name, err)
	}
	r := &Addresses{}
	if err := ctx.RegisterComponentResource(addressesType, name, r, opts...); err != nil {
		return nil, err
	}
	ips := pulumi.StringArray{}
	for _, n := range a.Nodes {
		ip, err := core.NewPrivateIp(ctx, childName(name, n), &core.PrivateIpArgs{
			SubnetId:     pulumi.String(a.SubnetID),
			Lifetime:     pulumi.String("RESERVED"),
			DisplayName:  pulumi.String(n.Name),
			FreeformTags: pulumi.ToStringMap(cluster.NodeTags(a.Environment, n.Index, a.Tags)),
		}, pulumi.Parent(r), pulumi.IgnoreChanges(updatable))
		if err != nil {
			return nil, fmt.Errorf("reserving the address of node %q: %w", n.Name, err)
		}
		ips = append(ips, ip.IpAddress)
		r.Each = append(r.Each, ip)
		r.perNode = append(r.perNode, ip.IpAddress)
		r.ids = append(r.ids, ip.ID().ToStringOutput())
	}
	r.IPs = ips.ToStringArrayOutput()
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"ips": r.IPs})
}

func (a *AddressesArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("subnetId", a.SubnetID)
	requireNodes(&f, a.Nodes)
	return f.Err()
}
