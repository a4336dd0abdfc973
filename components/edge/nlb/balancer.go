package nlb

import (
	"fmt"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

const loadBalancerType = "emqx:oci:LoadBalancer"

// Backend is a node that the balancer sends clients to.
type Backend struct {
	// Name of the node; OCI would take its address and port.
	Name string
	// Address is the node's reserved address, stable over a relaunch. Either it or
	// TargetID is set.
	Address pulumi.StringInput
	// TargetID is the OCID of the reserved address instead: OCI then finds the VNIC
	// that has claimed it.
	TargetID pulumi.StringInput
}

// HealthCheck is how the balancer asks a node's proxy. Zero fields take OCI's own
// defaults, but for the port.
type HealthCheck struct {
	// Path of the proxy's health page, which answers 200. It has no default.
	Path string
	// Port of the health page; default 8080.
	Port int
	// IntervalSeconds between checks, 1 to 1800; default 10.
	IntervalSeconds int
	// TimeoutSeconds of one check, 1 to 600 and at most the interval; default 3.
	TimeoutSeconds int
	// Retries before a backend changes state, 1 to 10; default 3.
	Retries int
}

// LoadBalancerArgs describe a network load balancer without its listeners.
type LoadBalancerArgs struct {
	// Required.

	// Environment names the balancer and its tags.
	Environment string
	// CompartmentID is the OCID of the compartment.
	CompartmentID string
	// SubnetID is the OCID of the balancer's subnet, a public one unless Private.
	SubnetID string
	// SecurityGroupID is the OCID of the balancer's network security group.
	SecurityGroupID pulumi.StringInput
	// Listeners get one backend set each, of the same name.
	Listeners []cluster.Listener
	// Backends are in every set, on the listener's port.
	Backends []Backend

	// Defaulted.

	// Health is the check of every backend set: HTTP on the proxies' admin port.
	Health HealthCheck

	// Optional.

	// Private keeps the balancer without a public address.
	Private bool
	// Tags are extra freeform tags.
	Tags map[string]string
}

// LoadBalancer is OCI's network load balancer with its backend sets, and not yet
// a listener: all of this is slow and may be created while the nodes boot, and no
// client gets in before [Listeners].
//
// The children are created, and deleted, strictly one after another: the service
// answers 409 to parallel changes of one balancer. Backends are inside their set
// (ADR 0040): one change of the balancer for all nodes, and none that forgets
// them.
//
//	balancer, err := oci.NewLoadBalancer(ctx, "balancer", &nlb.LoadBalancerArgs{
//		Environment:     "prod",
//		CompartmentID:   "ocid1.compartment.oc1..example",
//		SubnetID:        "ocid1.subnet.oc1.eu-frankfurt-1.example",
//		SecurityGroupID: groups.BalancerID,
//		Listeners:       cluster.Listeners(cluster.DefaultPorts, true),
//		Health:          nlb.HealthCheck{Path: "/health"},
//		Backends:        []nlb.Backend{{Name: "emqx-prod-0", Address: addresses.IP(0)}},
//	})
type LoadBalancer struct {
	pulumi.ResourceState

	// ID is the balancer's OCID.
	ID pulumi.StringOutput
	// Address is what clients reach: the public address, or the private one of
	// a private balancer.
	Address pulumi.StringOutput

	sets map[string]*networkloadbalancer.NetworkLoadBalancersBackendSetsUnified
	// last is the youngest child, lastTLS the youngest of a TLS listener; the next
	// one waits for them.
	last, lastTLS pulumi.Resource
}

// NewLoadBalancer registers the balancer and its sets; every fault of
// args is reported before anything is.
func NewLoadBalancer(ctx *pulumi.Context, name string, args *LoadBalancerArgs, opts ...pulumi.ResourceOption) (*LoadBalancer, error) {
	a := LoadBalancerArgs{}
	if args != nil {
		a = *args
	}
	a.setDefaults()
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating load balancer %q: %w", name, err)
	}
	b := &LoadBalancer{sets: map[string]*networkloadbalancer.NetworkLoadBalancersBackendSetsUnified{}}
	if err := ctx.RegisterComponentResource(loadBalancerType, name, b, opts...); err != nil {
		return nil, err
	}
	shell, err := networkloadbalancer.NewNetworkLoadBalancer(ctx, name, &networkloadbalancer.NetworkLoadBalancerArgs{
		CompartmentId:           pulumi.String(a.CompartmentID),
		SubnetId:                pulumi.String(a.SubnetID),
		DisplayName:             pulumi.String(cluster.Name(a.Environment)),
		IsPrivate:               pulumi.Bool(a.Private),
		NetworkSecurityGroupIds: pulumi.StringArray{a.SecurityGroupID},
		FreeformTags:            pulumi.ToStringMap(cluster.Tags(a.Environment, a.Tags)),
	}, pulumi.Parent(b))
	if err != nil {
		return nil, fmt.Errorf("creating network load balancer %q: %w", name, err)
	}
	b.ID, b.last = shell.ID().ToStringOutput(), shell
	if err := b.addSets(ctx, name, &a); err != nil {
		return nil, err
	}
	b.Address = shell.IpAddresses.ApplyT(func(found []networkloadbalancer.NetworkLoadBalancerIpAddress) (string, error) {
		return clientAddress(found, a.Private)
	}).(pulumi.StringOutput)
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{"id": b.ID, "address": b.Address})
}

func (b *LoadBalancer) addSets(ctx *pulumi.Context, name string, a *LoadBalancerArgs) error {
	for _, l := range a.Listeners {
		set, err := networkloadbalancer.NewNetworkLoadBalancersBackendSetsUnified(ctx, name+"-"+l.Name, &networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedArgs{
			NetworkLoadBalancerId: b.ID,
			Name:                  pulumi.String(l.Name),
			Policy:                pulumi.String("FIVE_TUPLE"),
			Backends:              a.backends(l),
			// Off, all clients would share one source address, and a node could
			// hold about 64,500 connections a listener (ADR 0005).
			IsPreserveSource: pulumi.Bool(true),
			// Clients of a node that died are told so as soon as its check fails, rather
			// than by their own time-outs: whoever else gets their packets knows nothing
			// of their connections.
			IsInstantFailoverEnabled:         pulumi.Bool(true),
			IsInstantFailoverTcpResetEnabled: pulumi.Bool(true),
			HealthChecker: networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedHealthCheckerArgs{
				Protocol:         pulumi.String("HTTP"),
				Port:             pulumi.Int(a.Health.Port),
				UrlPath:          pulumi.String(a.Health.Path),
				ReturnCode:       pulumi.Int(200),
				IntervalInMillis: pulumi.Int(a.Health.IntervalSeconds * 1000),
				TimeoutInMillis:  pulumi.Int(a.Health.TimeoutSeconds * 1000),
				Retries:          pulumi.Int(a.Health.Retries),
			},
		}, pulumi.Parent(b), b.next(l))
		if err != nil {
			return fmt.Errorf("creating backend set %q: %w", l.Name, err)
		}
		b.sets[l.Name] = set
		b.add(l, set)
	}
	return nil
}

// backends are the nodes at a listener's port. OCI's provider knows an element of
// this set by everything but its name, so what it would fill in is spelled out: else
// it reads back another element than it was given, and plans a change for ever.
func (a *LoadBalancerArgs) backends(l cluster.Listener) networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedBackendArray {
	all := make(networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedBackendArray, len(a.Backends))
	for i, node := range a.Backends {
		backend := networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedBackendArgs{
			Name:      pulumi.String(node.Name),
			Port:      pulumi.Int(l.Port),
			Weight:    pulumi.Int(1),
			IsBackup:  pulumi.Bool(false),
			IsDrain:   pulumi.Bool(false),
			IsOffline: pulumi.Bool(false),
		}
		if node.TargetID != nil {
			backend.TargetId = node.TargetID.ToStringOutput().ToStringPtrOutput()
		} else {
			backend.IpAddress = node.Address.ToStringOutput().ToStringPtrOutput()
		}
		all[i] = backend
	}
	return all
}

// next makes the balancer's next child wait for its elder. Deletions keep to
// direct dependencies only: what an update may take away together, all that belongs
// to TLS, must be a chain without the rest, so it has one of its own.
func (b *LoadBalancer) next(l cluster.Listener) pulumi.ResourceOption {
	elders := []pulumi.Resource{b.last}
	if l.TLS && b.lastTLS != nil {
		elders = append(elders, b.lastTLS)
	}
	return pulumi.DependsOn(elders)
}

func (b *LoadBalancer) add(l cluster.Listener, child pulumi.Resource) {
	b.last = child
	if l.TLS {
		b.lastTLS = child
	}
}

// clientAddress picks the address that clients reach: a public balancer lists
// its private address too.
func clientAddress(found []networkloadbalancer.NetworkLoadBalancerIpAddress, private bool) (string, error) {
	for _, a := range found {
		public := a.IsPublic != nil && *a.IsPublic
		if a.IpAddress != nil && *a.IpAddress != "" && public != private {
			return *a.IpAddress, nil
		}
	}
	kind := "public"
	if private {
		kind = "private"
	}
	return "", fmt.Errorf("reading the balancer's addresses: none of %d is %s; look at its subnet", len(found), kind)
}

func (a *LoadBalancerArgs) setDefaults() {
	if a.Health.Port == 0 {
		a.Health.Port = cluster.DefaultPorts.Admin
	}
	if a.Health.IntervalSeconds == 0 {
		a.Health.IntervalSeconds = 10
	}
	if a.Health.TimeoutSeconds == 0 {
		a.Health.TimeoutSeconds = 3
	}
	if a.Health.Retries == 0 {
		a.Health.Retries = 3
	}
}

func (a *LoadBalancerArgs) validate() error {
	var f fault.List
	f.Require("environment", a.Environment)
	f.Require("compartmentId", a.CompartmentID)
	f.Require("subnetId", a.SubnetID)
	if a.SecurityGroupID == nil {
		f.Add("securityGroupId", "must be set")
	}
	if len(a.Listeners) == 0 {
		f.Add("listeners", "must hold at least one listener")
	}
	if len(a.Backends) == 0 {
		f.Add("backends", "must hold at least one backend")
	}
	for i, b := range a.Backends {
		f.Require(fmt.Sprintf("backends[%d].name", i), b.Name)
		if (b.Address == nil) == (b.TargetID == nil) {
			f.Add(fmt.Sprintf("backends[%d].address", i), "must be set, or targetId, and not both")
		}
	}
	f.Require("health.path", a.Health.Path)
	f.Range("health.port", a.Health.Port, 1, 65535)
	f.Range("health.intervalSeconds", a.Health.IntervalSeconds, 1, 1800)
	f.Range("health.timeoutSeconds", a.Health.TimeoutSeconds, 1, min(600, max(a.Health.IntervalSeconds, 1)))
	f.Range("health.retries", a.Health.Retries, 1, 10)
	return f.Err()
}
