package ocihosts

import (
	"cmp"
	"fmt"
	"net/netip"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const securityGroupsType = "emqx:oci:SecurityGroups"

// SecurityGroupsArgs describe who may reach what.
type SecurityGroupsArgs struct {
	// Required.

	// Environment names the cluster in display names and tags.
	Environment string
	// CompartmentID is the OCID of the compartment.
	CompartmentID string
	// VCNID is the OCID of the network.
	VCNID string
	// ClientCIDRs are the ranges that MQTT clients come from, but for listeners with ranges
	// of their own. They are admitted on the nodes too: the network balancer keeps the
	// client's address.
	ClientCIDRs []string
	// ServerCIDRs are the ranges of the Consul servers, which gossip with the
	// nodes.
	ServerCIDRs []string
	// Listeners are the protocols offered.
	Listeners []cluster.Listener

	// Defaulted.

	// AdminPort is HAProxy's health page, which the balancer asks; default 8080.
	AdminPort int

	// Optional.

	// Arrival is how clients come through the balancer: with their own addresses, by default, or
	// with the balancer's, which is then all that the nodes admit there.
	Arrival cluster.Arrival
	// DashboardCIDRs are the ranges that may reach EMQX's dashboard and REST API
	// on the nodes; none by default.
	DashboardCIDRs []string
	// Tags are extra freeform tags.
	Tags map[string]string
}

// SecurityGroups are the group of the balancer and the group of the nodes, with
// every rule of the port table and no other:
//
//	to       from      ports
//	balancer clients   the MQTT listeners
//	nodes    clients   the MQTT listeners (HAProxy)
//	nodes    balancer  8080 (health check; AdminPort)
//	nodes    nodes     4370 5370 (EMQX), 18083 (HAProxy asks /status), EMQX's
//	                   listeners (HAProxy), 8301 tcp+udp
//	nodes    servers   8301 tcp+udp (Consul gossip)
//	nodes    dashboard 18083, from DashboardCIDRs only
//	any      both      out: everything
//
// Example:
//
//	groups, err := oci.NewSecurityGroups(ctx, "groups", &ocihosts.SecurityGroupsArgs{
//		Environment:   "prod",
//		CompartmentID: "ocid1.compartment.oc1..example",
//		VCNID:         "ocid1.vcn.oc1.eu-frankfurt-1.example",
//		ClientCIDRs:   []string{"0.0.0.0/0"},
//		ServerCIDRs:   []string{"10.0.2.0/24"},
//		Listeners:     cluster.Listeners(cluster.DefaultPorts, true),
//	})
type SecurityGroups struct {
	pulumi.ResourceState

	// BalancerID and NodesID are the OCIDs of the two groups.
	BalancerID pulumi.StringOutput
	NodesID    pulumi.StringOutput

	// Each are the rules, for others to depend on: see [Volumes].
	Each []pulumi.Resource
}

// NewSecurityGroups registers the groups and their rules; every fault of args
// is reported before anything is.
func NewSecurityGroups(ctx *pulumi.Context, name string, args *SecurityGroupsArgs, opts ...pulumi.ResourceOption) (*SecurityGroups, error) {
	a := SecurityGroupsArgs{}
	if args != nil {
		a = *args
	}
	a.AdminPort = cmp.Or(a.AdminPort, cluster.DefaultPorts.Admin)
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating security groups %q: %w", name, err)
	}
	g := &SecurityGroups{}
	if err := ctx.RegisterComponentResource(securityGroupsType, name, g, opts...); err != nil {
		return nil, err
	}
	ids := map[string]pulumi.StringOutput{}
	for _, member := range []string{balancerGroup, nodesGroup} {
		group, err := core.NewNetworkSecurityGroup(ctx, name+"-"+member, &core.NetworkSecurityGroupArgs{
			CompartmentId: pulumi.String(a.CompartmentID),
			VcnId:         pulumi.String(a.VCNID),
			DisplayName:   pulumi.String(cluster.Name(a.Environment) + "-" + member),
			FreeformTags:  pulumi.ToStringMap(cluster.Tags(a.Environment, a.Tags)),
		}, pulumi.Parent(g))
		if err != nil {
			return nil, fmt.Errorf("creating the %s' security group: %w", member, err)
		}
		ids[member] = group.ID().ToStringOutput()
	}
	for _, r := range a.rules() {
		rule, err := core.NewNetworkSecurityGroupSecurityRule(ctx, name+"-"+r.name(), r.args(ids), pulumi.Parent(g))
		if err != nil {
			return nil, fmt.Errorf("creating security rule %q: %w", r.name(), err)
		}
		g.Each = append(g.Each, rule)
	}
	g.BalancerID, g.NodesID = ids[balancerGroup], ids[nodesGroup]
	return g, ctx.RegisterResourceOutputs(g, pulumi.Map{"balancerId": g.BalancerID, "nodesId": g.NodesID})
}

func (a *SecurityGroupsArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("compartmentId", a.CompartmentID)
	f.Require("vcnId", a.VCNID)
	for path, cidrs := range map[string][]string{"clientCidrs": a.ClientCIDRs, "serverCidrs": a.ServerCIDRs} {
		if len(cidrs) == 0 {
			f.Add(path, "must hold at least one range")
		}
		checkCIDRs(&f, path, cidrs)
	}
	checkCIDRs(&f, "dashboardCidrs", a.DashboardCIDRs)
	for i, l := range a.Listeners {
		checkCIDRs(&f, fmt.Sprintf("listeners[%d].clientCidrs", i), l.ClientCIDRs)
	}
	f.Range("adminPort", a.AdminPort, 1, 65535)
	if len(a.Listeners) == 0 {
		f.Add("listeners", "must hold at least one listener")
	}
	return f.Err()
}

func checkCIDRs(f *fault.List, path string, cidrs []string) {
	seen := map[string]bool{}
	for i, c := range cidrs {
		at := fmt.Sprintf("%s[%d]", path, i)
		prefix, err := netip.ParsePrefix(c)
		switch {
		case err != nil || !prefix.Addr().Is4():
			f.Add(at, "must be an IPv4 range such as 10.0.0.0/16, got %q", c)
		case prefix.Masked() != prefix:
			f.Add(at, "must be the range's own address %s, got %q", prefix.Masked(), c)
		case seen[c]:
			f.Add(at, "is listed twice: %q", c)
		}
		seen[c] = true
	}
}
