// Package nlb puts OCI's network load balancer in front of a cluster: it keeps the clients' addresses, opens last, and
// is never asked what it could not tell apart. It is an implementation of [seams.Edge].
package nlb

import (
	"context"
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Edge is a network load balancer.
type Edge struct{}

var _ seams.Edge = Edge{}

// Provider is OCI's.
func (Edge) Provider() *seams.Provider { return oci.Provider }

// Phase is the part of a deployment that a type belongs to.
func (Edge) Phase(typ string) string {
	if strings.HasPrefix(typ, "oci:NetworkLoadBalancer/") {
		return "load balancer"
	}
	return ""
}

// StandIn gives what is named an OCID.
func (Edge) StandIn(s *settings.Settings) seams.Answers {
	oci.StandInID(&s.Network.VCN, "vcn")
	oci.StandInID(&s.Network.PublicSubnet, "subnet")
	return seams.Answers{"oci:Core/getSubnet:getSubnet": oci.AnySubnet(s.Network.VCN)}
}

// Arrival is with packets as the clients send them.
func (Edge) Arrival(settings.Settings) cluster.Arrival { return cluster.Arrival{} }

// Hint names the settings by which a balancer that is healthy may lead nowhere.
func (Edge) Hint(s settings.Settings) string {
	other := map[string]string{"address": "privateIp", "privateIp": "address"}[s.Edge.Backend]
	text := "emqx-oci:edge.backend, which is " + s.Edge.Backend + ": where G4 holds and no client gets through, try " + other
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
// fail minutes later.
func (Edge) Find(ctx *pulumi.Context, in seams.Given, network string, f *fault.List) (seams.Front, error) {
	const setting = settings.Project + ":network.publicSubnet"
	s := in.Settings
	l := oci.Lookup{Ctx: ctx, Compartment: s.OCI.Compartment, By: in.Invoke(oci.Package), Faults: f}
	found := l.Subnet("publicSubnet", s.Network.PublicSubnet, network)
	if found.Known() {
		if found.Private && s.Edge.Public {
			f.Add(setting, "must allow public addresses, which the balancer has, got %q, a private subnet", s.Network.PublicSubnet)
		}
		if found.Usable() < 1 {
			f.Add(setting, "must have an address for the balancer, got %s with none", found)
		}
	}
	return &front{Given: in, subnet: found.ID}, nil
}

func (e *front) Declare(ctx *pulumi.Context, nodes []cluster.Node, hosts seams.Prepared, opts ...pulumi.ResourceOption) (err error) {
	s := e.Settings
	backends := make([]Backend, len(nodes))
	for i, n := range nodes {
		backends[i] = Backend{Name: n.Name}
		if s.Edge.Backend == "privateIp" {
			backends[i].TargetID = hosts.AddressIDs[i]
		} else {
			backends[i].Address = hosts.Addresses[i]
		}
	}
	e.balancer, err = NewLoadBalancer(ctx, e.Name+"-balancer", &LoadBalancerArgs{
		Environment:     s.Environment,
		CompartmentID:   s.OCI.Compartment,
		SubnetID:        e.subnet,
		SecurityGroupID: hosts.EdgeGroup,
		Listeners:       cluster.AtEdge(e.Listeners),
		Backends:        backends,
		Health: HealthCheck{
			Port:            s.Ports.Admin,
			Path:            e.HealthPath,
			IntervalSeconds: int(s.Edge.HealthInterval.Seconds()),
			TimeoutSeconds:  int(s.Edge.HealthTimeout.Seconds()),
			Retries:         s.Edge.HealthRetries,
		},
		Private: !s.Edge.Public,
		Tags:    s.Tags,
	}, opts...)
	return err
}

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

// Health asks the stack's balancer, which it finds by its name.
func (Edge) Health(ctx *pulumi.Context, in seams.Given, nodes []string) (map[string]string, error) {
	sets := cluster.ListenerNames(cluster.AtEdge(in.Listeners))
	return edgeHealth(ctx, in.Settings.OCI.Compartment, in.Settings.Environment, sets, nodes, in.Invoke(oci.Package))
}
