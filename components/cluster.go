package components

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// ClusterType is the type token of [Cluster].
const ClusterType = "emqx:index:Cluster"

// Cluster is a whole EMQX cluster, with everything that it stands on.
type Cluster struct {
	pulumi.ResourceState

	// Endpoints are the URLs that clients are given, by protocol: mqtt, ws, and with a certificate mqtts and wss.
	Endpoints pulumi.StringMapOutput `pulumi:"endpoints"`
	// DNSName is the public name.
	DNSName pulumi.StringOutput `pulumi:"dnsName"`
	// BalancerAddress is what the public name resolves to.
	BalancerAddress pulumi.StringOutput `pulumi:"balancerAddress"`
	// NodeNames are the nodes' names in OCI, Consul and Nomad, by their index.
	NodeNames pulumi.StringArrayOutput `pulumi:"nodeNames"`
	// JobNames are the ids of the Nomad jobs: emqx, haproxy.
	JobNames pulumi.StringMapOutput `pulumi:"jobNames"`
	// DashboardAddress is the URL of EMQX's dashboard and REST API inside the network.
	DashboardAddress pulumi.StringOutput `pulumi:"dashboardAddress"`
	// Verified says which gates held at the end of the update, or which did not and why.
	Verified pulumi.StringOutput `pulumi:"verified"`

	// typed is set for a cluster of typed args, whose names have no project.
	typed bool
}

// DeclareCluster registers a cluster with everything that it stands on, of settings that are checked
// ([settings.Load]). [NewCluster] takes typed args instead.
//
//	firewall ──┐
//	volumes ───┼─> hosts ─[G1]─> EMQX job ─[G2]─> proxies' job ─[G3]─> edge opens ─[G4]─> public name ─[G5]
//	addresses ─┘                    ↑                 ↑                     ↑
//	edge, closed ───────────────────┼─────────────────┼─────────────────────┘
//	secrets, members and entries ───┴─────────────────┘
//
// Hosts, edge, proxies and name are of the kinds that the settings ask for ([kinds.Of]). A gate is a hook on the
// resource behind it: the resource is not touched before the condition holds. Everything on the left is created at
// once; an edge that is slow to make is ready when the proxies are, but open to nobody.
//
// What only the cloud knows is asked before anything but the cluster itself and its providers
// is registered; a fault in it is a [*fault.Error].
func DeclareCluster(ctx *pulumi.Context, name string, s settings.Settings, opts ...pulumi.ResourceOption) (*Cluster, error) {
	return declareCluster(ctx, name, s, &Cluster{}, opts...)
}

func declareCluster(ctx *pulumi.Context, name string, s settings.Settings, c *Cluster, opts ...pulumi.ResourceOption) (*Cluster, error) {
	if err := ctx.RegisterComponentResource(ClusterType, name, c, opts...); err != nil {
		return nil, fmt.Errorf("registering the cluster: %w", err)
	}
	if err := c.declare(ctx, name, s, kinds.Of(s)); err != nil {
		return nil, err
	}
	if err := ctx.RegisterResourceOutputs(c, pulumi.Map{
		"endpoints": c.Endpoints, "dnsName": c.DNSName, "balancerAddress": c.BalancerAddress, "nodeNames": c.NodeNames,
		"jobNames": c.JobNames, "dashboardAddress": c.DashboardAddress, "verified": c.Verified,
	}); err != nil {
		return nil, fmt.Errorf("registering the cluster's outputs: %w", err)
	}
	return c, nil
}

// declare registers what is in the cluster, made of these kinds.
func (c *Cluster) declare(ctx *pulumi.Context, name string, s settings.Settings, k kinds.Kinds) error {
	listeners := s.Offered()
	in := seams.Given{Name: name, Settings: s, Listeners: listeners, HealthPath: k.Proxy.HealthPath(), Arrival: k.Edge.Arrival(s)}
	every, err := newProviders(ctx, &in, k)
	if err != nil {
		return err
	}
	hosts, edge, err := find(ctx, in, k)
	if err != nil {
		return err
	}
	jobs, err := newJobPlanner(ctx, s, k)
	if err != nil {
		return err
	}
	if err := jobs.beforeUpdate(ctx); err != nil {
		return err
	}
	child := pulumi.Composite(pulumi.Parent(c), every)
	say := func(found []guards.Violation) []guards.Violation { return found }
	if c.typed {
		say = guards.ByArgument
	}
	recordLayout, err := guard(ctx, name, s, say, k.Hosts.Guarded(s), hosts.Nodes(), pulumi.Parent(c))
	if err != nil {
		return err
	}
	nodes := hosts.Nodes()[:s.Nodes.Count]

	// Phase 1, all beside each other: what hosts need, hosts, edge.
	prepared, err := hosts.Prepare(ctx, child)
	if err != nil {
		return err
	}
	if err := recordLayout(prepared.Volumes); err != nil {
		return err
	}
	if err := edge.Declare(ctx, nodes, prepared, child); err != nil {
		return err
	}
	gate, err := newGates(ctx, name, s, k, nodes, edge)
	if err != nil {
		return err
	}
	// Where hosts become other ones, the program stays here until the last of
	// them is back: no hook could wait for it (ADR 0022).
	launched, err := hosts.Launch(ctx, gate.inTurn, child)
	if err != nil {
		return err
	}

	// What the jobs find when they start.
	forJobs, err := secretsArgs(s, k.Proxy)
	if err != nil {
		return err
	}
	secrets, err := nomad.NewSecrets(ctx, name+"-secrets", forJobs, child)
	if err != nil {
		return err
	}
	members, err := consul.NewMembers(ctx, name+"-members", membersArgs(s, nodes), child)
	if err != nil {
		return err
	}
	entries, err := consul.NewEntries(ctx, EntriesName(name), entriesArgs(s, listeners), child)
	if err != nil {
		return err
	}

	// Phases 2 to 4, one behind the other, a gate before each.
	broker, err := nomad.NewEMQX(ctx, name+"-emqx", emqxArgs(s,
		gate.before[beforeEMQX], after(launched.Each, secrets.Each, members.Each, entries.Each)), child)
	if err != nil {
		return err
	}
	proxies, err := k.Proxy.Declare(ctx, in, gate.then(beforeProxies, broker.Each, secrets.Each), child)
	if err != nil {
		return err
	}
	open, err := edge.Open(ctx, gate.then(beforeEdge, proxies.Each), child)
	if err != nil {
		return err
	}
	public, err := k.Names.Declare(ctx, in, edge.Address(), gate.then(beforeName, open), child)
	if err != nil {
		return err
	}

	// Changed or not, an update ends by asking again: a sick cluster is never
	// reported as a success (ADR 0018).
	c.Verified, err = gate.verify(ctx, pulumi.Parent(c), broker.ModifyIndex, proxies.ModifyIndex, public)
	if err := errors.Join(err, jobs.afterPreview(ctx, launched.Relaunched), tellAccessDrift(ctx, s)); err != nil {
		return err
	}
	c.Endpoints = pulumi.ToStringMap(endpoints(s, listeners)).ToStringMapOutput()
	c.DNSName, c.BalancerAddress = public, edge.Address()
	c.NodeNames = pulumi.ToStringArray(cluster.Names(nodes)).ToStringArrayOutput()
	c.JobNames = pulumi.ToStringMap(map[string]string{
		"emqx": cluster.EMQXJobID(s.Environment), strings.ToLower(k.Proxy.Title()): k.Proxy.JobID(s.Environment),
	}).ToStringMapOutput()
	// Inside the network only: the dashboard is not opened to the internet.
	c.DashboardAddress = pulumi.Sprintf("http://%s:%d", cluster.ServiceName(s.Environment, cluster.DashboardService), cluster.Dashboard)
	return nil
}

// find looks up what the stack is given for its hosts and its edge. All that is wrong with it is one [*fault.Error].
func find(ctx *pulumi.Context, in seams.Given, k kinds.Kinds) (seams.Fleet, seams.Front, error) {
	var f fault.List
	hosts, err := k.Hosts.Find(ctx, in, &f)
	if err != nil {
		return nil, nil, err
	}
	if hosts == nil {
		return nil, nil, f.Err()
	}
	edge, err := k.Edge.Find(ctx, in, hosts.Network(), &f)
	return hosts, edge, errors.Join(err, f.Err())
}

// EntriesName is the name of a cluster's record in Consul.
func EntriesName(clusterName string) string { return clusterName + "-entries" }

// endpoints are the URLs that clients are given, by protocol. They are known at
// plan time: the name is the stack's, whatever address the balancer gets. What a public
// balancer does not have is with the proxies, whom Consul names.
func endpoints(s settings.Settings, listeners []cluster.Listener) map[string]string {
	urls := map[string]string{}
	for _, l := range listeners {
		name := s.DNS.Name
		if l.Inside {
			name = cluster.ServiceName(s.Environment, kinds.Of(s).Proxy.Service())
		}
		urls[l.Name] = fmt.Sprintf("%s://%s:%d%s", l.Scheme, name, l.Port, l.Path)
	}
	return urls
}

// after waits for custom resources, never for a component: a dependency on a
// component covers only the children that the SDK happens to know by then.
func after(resources ...[]pulumi.Resource) pulumi.ResourceOption {
	return pulumi.DependsOn(slices.Concat(resources...))
}
