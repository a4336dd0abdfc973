package flexible

import (
	"crypto/sha256"
	"fmt"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/loadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const loadBalancerType = "emqx:oci:FlexibleLoadBalancer"

// Backend is a node that the balancer sends clients to.
type Backend struct {
	// Name of the node; OCI knows it by its address and port.
	Name string
	// Address is the node's reserved address, stable over a relaunch.
	Address pulumi.StringInput
}

// HealthCheck is how the balancer asks a node's proxy. Zero fields take the defaults of
// OCI's network load balancer, but for the port.
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

// LoadBalancerArgs describe a load balancer without its listeners.
type LoadBalancerArgs struct {
	// Required.

	// Environment names the balancer and its tags.
	Environment string
	// CompartmentID is the OCID of the compartment.
	CompartmentID string
	// SubnetID is the OCID of the balancer's subnet, a regional one, and public unless Private.
	SubnetID string
	// SecurityGroupID is the OCID of the balancer's network security group.
	SecurityGroupID pulumi.StringInput
	// Listeners get one backend set each.
	Listeners []cluster.Listener
	// Backends are in every set, on the listener's port.
	Backends []Backend

	// Defaulted.

	// Health is the check of every backend set: HTTP on the proxies' admin port.
	Health HealthCheck
	// Policy is LEAST_CONNECTIONS, the default, ROUND_ROBIN or IP_HASH.
	Policy string
	// MinMbps and MaxMbps bound the bandwidth, both ways together, 10 to 8000 Mbit/s; default
	// 10 and 100.
	MinMbps, MaxMbps int

	// Optional.

	// TLS is what the balancer ends that of the TLS listeners with; nil passes it through.
	TLS *TLS
	// Private keeps the balancer without a public address.
	Private bool
	// Tags are extra freeform tags.
	Tags map[string]string
}

// LoadBalancer is OCI's load balancer with its backend sets, their backends, its
// certificate and its cipher suite, and not yet a listener: all of this is slow and may be
// created while the nodes boot, and no client gets in before [Listeners].
//
// Unlike the network load balancer's, changes of one balancer wait for each other in the
// service: its children are no chain. What cannot be changed in place has a name that
// follows from what it is, so that another one is made beside it, the listener moves, and
// the old one goes: certificates, cipher suites and, because the provider would write it
// without its backends, sets (ADR 0062).
//
//	balancer, err := flexible.NewLoadBalancer(ctx, "balancer", &flexible.LoadBalancerArgs{
//		Environment:     "prod",
//		CompartmentID:   "ocid1.compartment.oc1..example",
//		SubnetID:        "ocid1.subnet.oc1.eu-frankfurt-1.example",
//		SecurityGroupID: groups.BalancerID,
//		Listeners:       cluster.Listeners(cluster.DefaultPorts, true),
//		Health:          flexible.HealthCheck{Path: "/health"},
//		Backends:        []flexible.Backend{{Name: "emqx-prod-0", Address: addresses.IP(0)}},
//	})
type LoadBalancer struct {
	pulumi.ResourceState

	// ID is the balancer's OCID.
	ID pulumi.StringOutput
	// Address is what clients reach: the public address, or the private one of
	// a private balancer.
	Address pulumi.StringOutput

	sets     map[string]*loadbalancer.BackendSet
	setNames map[string]string
	nodes    []Backend
	// backends are those of a listener's set: it opens when they are in it.
	backends map[string][]pulumi.Resource
	tls      *loadbalancer.ListenerSslConfigurationArgs
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
	b := &LoadBalancer{sets: map[string]*loadbalancer.BackendSet{}, setNames: map[string]string{}, backends: map[string][]pulumi.Resource{}, nodes: a.Backends}
	if err := ctx.RegisterComponentResource(loadBalancerType, name, b, opts...); err != nil {
		return nil, err
	}
	shell, err := loadbalancer.NewLoadBalancer(ctx, name, &loadbalancer.LoadBalancerArgs{
		CompartmentId: pulumi.String(a.CompartmentID),
		SubnetIds:     pulumi.ToStringArray([]string{a.SubnetID}),
		DisplayName:   pulumi.String(cluster.Name(a.Environment)),
		IsPrivate:     pulumi.Bool(a.Private),
		Shape:         pulumi.String("flexible"),
		ShapeDetails: loadbalancer.LoadBalancerShapeDetailsArgs{
			MinimumBandwidthInMbps: pulumi.Int(a.MinMbps), MaximumBandwidthInMbps: pulumi.Int(a.MaxMbps),
		},
		NetworkSecurityGroupIds: pulumi.StringArray{a.SecurityGroupID},
		FreeformTags:            pulumi.ToStringMap(cluster.Tags(a.Environment, a.Tags)),
	}, pulumi.Parent(b))
	if err != nil {
		return nil, fmt.Errorf("creating load balancer %q: %w", name, err)
	}
	b.ID = shell.ID().ToStringOutput()
	for _, l := range a.Listeners {
		if err := b.addSet(ctx, name, &a, l); err != nil {
			return nil, err
		}
	}
	if a.TLS != nil {
		if err := b.addTLS(ctx, name, a.TLS); err != nil {
			return nil, err
		}
	}
	b.Address = shell.IpAddressDetails.ApplyT(func(found []loadbalancer.LoadBalancerIpAddressDetail) (string, error) {
		return clientAddress(found, a.Private)
	}).(pulumi.StringOutput)
	return b, ctx.RegisterResourceOutputs(b, pulumi.Map{"id": b.ID, "address": b.Address})
}

func (b *LoadBalancer) addSet(ctx *pulumi.Context, name string, a *LoadBalancerArgs, l cluster.Listener) error {
	b.setNames[l.Name] = a.setName(l)
	set, err := loadbalancer.NewBackendSet(ctx, name+"-"+l.Name, &loadbalancer.BackendSetArgs{
		LoadBalancerId: b.ID,
		Name:           pulumi.String(b.setNames[l.Name]),
		Policy:         pulumi.String(a.Policy),
		HealthChecker: loadbalancer.BackendSetHealthCheckerArgs{
			Protocol:        pulumi.String("HTTP"),
			Port:            pulumi.Int(a.Health.Port),
			UrlPath:         pulumi.String(a.Health.Path),
			ReturnCode:      pulumi.Int(200),
			IntervalMs:      pulumi.Int(a.Health.IntervalSeconds * 1000),
			TimeoutInMillis: pulumi.Int(a.Health.TimeoutSeconds * 1000),
			Retries:         pulumi.Int(a.Health.Retries),
		},
	}, pulumi.Parent(b))
	if err != nil {
		return fmt.Errorf("creating backend set %q: %w", l.Name, err)
	}
	b.sets[l.Name] = set
	for i, node := range a.Backends {
		backend, err := loadbalancer.NewBackend(ctx, fmt.Sprintf("%s-%s-%d", name, l.Name, i), &loadbalancer.BackendArgs{
			LoadBalancerId: b.ID,
			BackendsetName: set.Name,
			IpAddress:      node.Address,
			Port:           pulumi.Int(l.Port),
			Weight:         pulumi.Int(1),
			Backup:         pulumi.Bool(false),
			Drain:          pulumi.Bool(false),
			Offline:        pulumi.Bool(false),
		}, pulumi.Parent(b))
		if err != nil {
			return fmt.Errorf("creating backend of %s in set %q: %w", node.Name, l.Name, err)
		}
		b.backends[l.Name] = append(b.backends[l.Name], backend)
	}
	return nil
}

// setName follows from all of a set that changes in place elsewhere.
func (a *LoadBalancerArgs) setName(l cluster.Listener) string {
	return l.Name + "-" + digest(a.Policy, fmt.Sprint(a.Health))
}

// digest is short enough for a name, and another one for every other text.
func digest(texts ...string) string {
	h := sha256.New()
	for _, text := range texts {
		fmt.Fprintf(h, "%d %s", len(text), text)
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}

// clientAddress picks the address that clients reach.
func clientAddress(found []loadbalancer.LoadBalancerIpAddressDetail, private bool) (string, error) {
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
	for _, d := range []struct {
		field *int
		value int
	}{
		{&a.Health.Port, cluster.DefaultPorts.Admin},
		{&a.Health.IntervalSeconds, 10},
		{&a.Health.TimeoutSeconds, 3},
		{&a.Health.Retries, 3},
		{&a.MinMbps, limits.MinMbps},
		{&a.MaxMbps, max(a.MinMbps, 100)},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	if a.Policy == "" {
		a.Policy = "LEAST_CONNECTIONS"
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
		at := fmt.Sprintf("backends[%d].", i)
		f.Require(at+"name", b.Name)
		if b.Address == nil {
			f.Add(at+"address", "must be set")
		}
	}
	f.Require("health.path", a.Health.Path)
	f.Range("health.port", a.Health.Port, 1, 65535)
	f.Range("health.intervalSeconds", a.Health.IntervalSeconds, 1, 1800)
	f.Range("health.timeoutSeconds", a.Health.TimeoutSeconds, 1, min(600, a.Health.IntervalSeconds))
	f.Range("health.retries", a.Health.Retries, 1, 10)
	f.Range("minMbps", a.MinMbps, limits.MinMbps, limits.MaxMbps)
	f.Range("maxMbps", a.MaxMbps, a.MinMbps, limits.MaxMbps)
	if a.TLS != nil {
		a.TLS.validate(&f)
	}
	return f.Err()
}
