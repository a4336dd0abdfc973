// Package flexible puts OCI's load balancer, whose shape is called flexible, in front of a cluster: it takes connections
// itself, ends TLS where it is to, and tells the proxies by PROXY protocol v2 who the client is. It is an implementation
// of [seams.Edge].
package flexible

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Edge is a load balancer of flexible shape.
type Edge struct{}

var _ seams.Edge = Edge{}

// typePrefix begins the types of all that is here.
const typePrefix = "oci:LoadBalancer/"

// Provider is OCI's.
func (Edge) Provider() *seams.Provider { return oci.Provider }

// Phase is the part of a deployment that a type belongs to.
func (Edge) Phase(typ string) string {
	if strings.HasPrefix(typ, typePrefix) {
		return "load balancer"
	}
	return ""
}

// StandIn gives what is named an OCID. The subnet has any range.
func (Edge) StandIn(s *settings.Settings) seams.Answers {
	oci.StandInID(&s.Network.VCN, "vcn")
	oci.StandInID(&s.Network.PublicSubnet, "subnet")
	return seams.Answers{"oci:Core/getSubnet:getSubnet": oci.AnySubnet(s.Network.VCN)}
}

// Arrival is with a header from the balancer's subnet.
func (Edge) Arrival(s settings.Settings) cluster.Arrival {
	return cluster.Arrival{ProxyProtocolFrom: s.Network.PublicSubnetCIDR}
}

// Hint names what may keep clients from a balancer that is healthy.
func (Edge) Hint(s settings.Settings) string {
	text := "emqx-oci:network.publicSubnetCidr, which is " + s.Network.PublicSubnetCIDR + ": a balancer with an address outside of it is not believed, and its clients are refused"
	if s.TLS.AtEdge() {
		text += "; and whether the balancer's listeners have the certificate and the cipher suite of the stack"
	}
	if !s.Edge.Public && s.Gates.Proxy == "" {
		text = "whether this machine is inside the network, as emqx-oci:edge.public is false, or set emqx-oci:gates.proxy; " + text
	}
	return text
}

// front is the balancer of one cluster.
type front struct {
	seams.Given
	subnet   string
	balancer *LoadBalancer
}

// Find looks at the balancer's subnet: OCI would accept a private one for a public balancer, or one without room, and
// fail minutes later; and no HAProxy would believe a balancer of another range.
func (Edge) Find(ctx *pulumi.Context, in seams.Given, network string, f *fault.List) (seams.Front, error) {
	const setting = settings.Project + ":network.publicSubnet"
	s := in.Settings
	l := oci.Lookup{Ctx: ctx, Compartment: s.OCI.Compartment, By: in.Invoke(oci.Package), Faults: f}
	found := l.Subnet("publicSubnet", s.Network.PublicSubnet, network)
	if found.Known() {
		if found.Private && s.Edge.Public {
			f.Add(setting, "must allow public addresses, which the balancer has, got %q, a private subnet", s.Network.PublicSubnet)
		}
		if found.Usable() < addresses {
			f.Add(setting, "must have %d addresses for the balancer, got %s with %d", addresses, found, found.Usable())
		}
		if !found.Any && !slices.Contains(found.Ranges, s.Network.PublicSubnetCIDR) {
			f.Add(setting+"Cidr", "must be the public subnet's range %s, got %q", found, s.Network.PublicSubnetCIDR)
		}
	}
	return &front{Given: in, subnet: found.ID}, nil
}

// addresses are what a balancer takes of its subnet: one of its own, one for its standby, and one that they move
// between them (OCI's documents, "Load Balancer Management").
const addresses = 3

func (e *front) Declare(ctx *pulumi.Context, nodes []cluster.Node, hosts seams.Prepared, opts ...pulumi.ResourceOption) (err error) {
	s := e.Settings
	backends := make([]Backend, len(nodes))
	for i, n := range nodes {
		backends[i] = Backend{Name: n.Name, Address: hosts.Addresses[i]}
	}
	args := &LoadBalancerArgs{
		Environment:     s.Environment,
		CompartmentID:   s.OCI.Compartment,
		SubnetID:        e.subnet,
		SecurityGroupID: hosts.EdgeGroup,
		Listeners:       cluster.AtEdge(e.Listeners),
		Backends:        backends,
		Policy:          policies[s.Edge.Policy],
		MinMbps:         s.Edge.MinMbps,
		MaxMbps:         s.Edge.MaxMbps,
		Health: HealthCheck{
			Port:            s.Ports.Admin,
			Path:            e.HealthPath,
			IntervalSeconds: int(s.Edge.HealthInterval.Seconds()),
			TimeoutSeconds:  int(s.Edge.HealthTimeout.Seconds()),
			Retries:         s.Edge.HealthRetries,
		},
		Private: !s.Edge.Public,
		Tags:    s.Tags,
	}
	if s.TLS.AtEdge() {
		args.TLS = &TLS{Certificate: s.TLS.Certificate.Reveal(), PrivateKey: s.TLS.PrivateKey.Reveal(), Profile: s.TLS.Profile}
	}
	e.balancer, err = NewLoadBalancer(ctx, e.Name+"-balancer", args, opts...)
	return err
}

// policies are OCI's words for those of the settings.
var policies = map[string]string{"leastConnections": "LEAST_CONNECTIONS", "roundRobin": "ROUND_ROBIN", "ipHash": "IP_HASH"}

func (e *front) Address() pulumi.StringOutput { return e.balancer.Address }

func (e *front) Healthy(ctx *pulumi.Context, nodes []cluster.Node) gates.Gate {
	var health func(context.Context) (map[string]string, error)
	if e.balancer != nil { // none in a recording of the gates alone
		health = e.balancer.BackendHealth(ctx, cluster.Names(nodes), e.Invoke(oci.Package))
	}
	return gates.EdgeHealthy(health, gates.EdgeArgs{
		Count:   len(nodes) * len(cluster.AtEdge(e.Listeners)),
		Timeout: e.Settings.Gates.EdgeHealthy,
		Next:    fmt.Sprintf("whether the nodes' security group admits the balancer on %d, and http://<node>:%d%s", e.Settings.Ports.Admin, e.Settings.Ports.Admin, e.HealthPath),
	})
}

func (e *front) Open(ctx *pulumi.Context, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error) {
	open, err := NewListeners(ctx, e.Name+"-listeners", &ListenersArgs{
		Balancer:           e.balancer,
		Listeners:          cluster.AtEdge(e.Listeners),
		IdleTimeoutSeconds: cluster.IdleTimeout(e.Settings.Broker.KeepAliveMax),
		ChildOptions:       gates,
	}, opts...)
	if err != nil {
		return nil, err
	}
	return open.Each, nil
}

// Health asks the stack's balancer, which it finds by its name, and which knows nodes by their addresses.
func (Edge) Health(ctx *pulumi.Context, in seams.Given, nodes []string) (map[string]string, error) {
	s := in.Settings
	var f fault.List
	l := oci.Lookup{Ctx: ctx, Compartment: s.OCI.Compartment, By: in.Invoke(oci.Package), Faults: &f}
	known, err := l.NodeAddresses(s.Network.VCN, s.Network.PrivateSubnet, nodes)
	if err != nil {
		return nil, err
	}
	return edgeHealth(ctx, s.OCI.Compartment, s.Environment, cluster.AtEdge(in.Listeners), known, in.Invoke(oci.Package))
}
