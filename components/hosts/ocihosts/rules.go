package ocihosts

import (
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// The two groups, and how their rules name them.
const (
	balancerGroup = "balancer"
	nodesGroup    = "nodes"
)

// Protocol numbers: the API wants IANA's, and refuses "TCP" long after a
// preview has let it through.
const (
	protocolTCP = "6"
	protocolUDP = "17"
	protocolAll = "all"
)

// rule is one line of the port table. Peer is a range or a group; a rule
// without ports is the one that lets everything out.
type rule struct {
	group    string
	egress   bool
	peer     string
	protocol string
	min, max int
	why      string
}

// rules is the port table, in a fixed order.
func (a *SecurityGroupsArgs) rules() []rule {
	var table []rule
	in := func(group, peer, protocol string, low, high int, why string) {
		table = append(table, rule{group: group, peer: peer, protocol: protocol, min: low, max: high, why: why})
	}
	servers := slices.Sorted(slices.Values(a.ServerCIDRs))
	for _, cidr := range a.allClients() {
		for _, l := range a.Listeners {
			switch {
			case !slices.Contains(a.clientsOf(l), cidr):
			case l.Inside:
				in(nodesGroup, cidr, protocolTCP, l.Port, l.Port, "clients inside the network, "+l.Name)
			default:
				in(balancerGroup, cidr, protocolTCP, l.Port, l.Port, "clients, "+l.Name)
				if !a.Arrival.Announced() { // else no client's address comes as far as here
					in(nodesGroup, cidr, protocolTCP, l.Port, l.Port, "clients through the balancer, "+l.Name)
				}
			}
		}
	}
	for _, l := range a.Listeners {
		if a.Arrival.Announced() && !l.Inside {
			in(nodesGroup, balancerGroup, protocolTCP, l.Port, l.Port, "the balancer, for clients of "+l.Name)
		}
	}
	in(nodesGroup, balancerGroup, protocolTCP, a.AdminPort, a.AdminPort, "the balancer's health check")
	in(nodesGroup, nodesGroup, protocolTCP, cluster.Distribution, cluster.Distribution, "Erlang distribution")
	in(nodesGroup, nodesGroup, protocolTCP, cluster.RPC, cluster.RPC, "EMQX cluster RPC")
	in(nodesGroup, nodesGroup, protocolTCP, cluster.Dashboard, cluster.Dashboard, "HAProxy asks EMQX's status")
	for _, l := range a.brokerPorts() {
		in(nodesGroup, nodesGroup, protocolTCP, l.BrokerPort, l.BrokerPort, "HAProxy to EMQX, "+l.Name)
	}
	for _, cidr := range slices.Sorted(slices.Values(a.DashboardCIDRs)) {
		in(nodesGroup, cidr, protocolTCP, cluster.Dashboard, cluster.Dashboard, "the dashboard and the REST API")
	}
	for _, protocol := range []string{protocolTCP, protocolUDP} {
		in(nodesGroup, nodesGroup, protocol, cluster.Gossip, cluster.Gossip, "Consul gossip between nodes")
		for _, cidr := range servers {
			in(nodesGroup, cidr, protocol, cluster.Gossip, cluster.Gossip, "Consul gossip with the servers")
		}
	}
	for _, group := range []string{balancerGroup, nodesGroup} {
		table = append(table, rule{group: group, egress: true, peer: "0.0.0.0/0", protocol: protocolAll, why: "everything out"})
	}
	return table
}

// clientsOf are the ranges that a listener admits.
func (a *SecurityGroupsArgs) clientsOf(l cluster.Listener) []string {
	if len(l.ClientCIDRs) > 0 {
		return l.ClientCIDRs
	}
	return a.ClientCIDRs
}

// allClients are the ranges that any listener admits, in order.
func (a *SecurityGroupsArgs) allClients() []string {
	var all []string
	for _, l := range a.Listeners {
		all = append(all, a.clientsOf(l)...)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// brokerPorts are the listeners with their ports at EMQX, and the plain ones that the proxy
// leads to for those whose TLS it ends, each once.
func (a *SecurityGroupsArgs) brokerPorts() []cluster.Listener {
	all := slices.Clone(a.Listeners)
	for _, l := range a.Listeners {
		if l.LeadsTo != 0 && !slices.ContainsFunc(all, func(x cluster.Listener) bool { return x.BrokerPort == l.LeadsTo }) {
			l.BrokerPort = l.LeadsTo
			all = append(all, l)
		}
	}
	return all
}

func (r rule) peerIsGroup() bool { return r.peer == balancerGroup || r.peer == nodesGroup }

// name is stable: it holds what makes the rule, so another range in a list
// does not rename its neighbours.
func (r rule) name() string {
	if r.egress {
		return r.group + "-out"
	}
	ports := fmt.Sprint(r.min)
	if r.max != r.min {
		ports = fmt.Sprintf("%d-%d", r.min, r.max)
	}
	protocol := "tcp"
	if r.protocol == protocolUDP {
		protocol = "udp"
	}
	return fmt.Sprintf("%s-in-%s-%s-from-%s", r.group, protocol, ports, strings.ReplaceAll(r.peer, "/", "-"))
}

func (r rule) args(ids map[string]pulumi.StringOutput) *core.NetworkSecurityGroupSecurityRuleArgs {
	peer, peerType := pulumi.StringInput(pulumi.String(r.peer)), "CIDR_BLOCK"
	if r.peerIsGroup() {
		peer, peerType = ids[r.peer], "NETWORK_SECURITY_GROUP"
	}
	args := &core.NetworkSecurityGroupSecurityRuleArgs{
		NetworkSecurityGroupId: ids[r.group],
		Protocol:               pulumi.String(r.protocol),
		Description:            pulumi.String(r.why),
		Stateless:              pulumi.Bool(false),
	}
	if r.egress {
		args.Direction = pulumi.String("EGRESS")
		args.Destination = peer.ToStringOutput().ToStringPtrOutput()
		args.DestinationType = pulumi.String(peerType)
	} else {
		args.Direction = pulumi.String("INGRESS")
		args.Source = peer.ToStringOutput().ToStringPtrOutput()
		args.SourceType = pulumi.String(peerType)
	}
	switch r.protocol {
	case protocolTCP:
		args.TcpOptions = core.NetworkSecurityGroupSecurityRuleTcpOptionsArgs{
			DestinationPortRange: core.NetworkSecurityGroupSecurityRuleTcpOptionsDestinationPortRangeArgs{
				Min: pulumi.Int(r.min), Max: pulumi.Int(r.max),
			},
		}
	case protocolUDP:
		args.UdpOptions = core.NetworkSecurityGroupSecurityRuleUdpOptionsArgs{
			DestinationPortRange: core.NetworkSecurityGroupSecurityRuleUdpOptionsDestinationPortRangeArgs{
				Min: pulumi.Int(r.min), Max: pulumi.Int(r.max),
			},
		}
	}
	return args
}
