package components

import (
	"errors"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
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
}

// DeclareCluster registers a cluster with everything that it stands on, of settings that are checked
// ([settings.Load]). [NewCluster] takes typed args instead.
//
//	security groups ─┐
//	volumes ─────────┼─> instance pools ─[G1]─> EMQX job ─[G2]─> HAProxy job ─[G3]─> listeners ─[G4]─> DNS record ─[G5]
//	addresses ───────┘                            ↑                 ↑                    ↑
//	load balancer with its backend sets ──────────┼─────────────────┼────────────────────┘
//	secrets, members and entries ─────────────────┴─────────────────┘
//
// A gate is a hook on the resource behind it: the resource is not touched
// before the condition holds. Everything on the left is created at once; the
// slow load balancer is ready when the proxies are, but open to nobody.
//
// What only the cloud knows is asked before anything but the cluster itself and its providers
// is registered; a fault in it is a [*fault.Error].
func DeclareCluster(ctx *pulumi.Context, name string, s settings.Settings, opts ...pulumi.ResourceOption) (*Cluster, error) {
	c := &Cluster{}
	if err := ctx.RegisterComponentResource(ClusterType, name, c, opts...); err != nil {
		return nil, fmt.Errorf("registering the cluster: %w", err)
	}
	if err := c.declare(ctx, name, s); err != nil {
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

func (c *Cluster) declare(ctx *pulumi.Context, name string, s settings.Settings) error {
	in, err := newProviders(ctx, name, s)
	if err != nil {
		return err
	}
	existing, err := findCompartment(ctx, s, in)
	if err != nil {
		return err
	}
	if s.Network, err = findNetwork(ctx, s, in); err != nil {
		return err
	}
	if s.Volumes.BackupPolicy, err = findBackupPolicy(ctx, s, in); err != nil {
		return err
	}
	places, err := assignDomains(ctx, s, in)
	if err != nil {
		return err
	}
	jobs, err := newJobPlanner(ctx, s)
	if err != nil {
		return err
	}
	if err := jobs.beforeUpdate(ctx); err != nil {
		return err
	}
	child := pulumi.Composite(pulumi.Parent(c), in.all)
	recordLayout, err := guard(ctx, name, s, places, pulumi.Parent(c))
	if err != nil {
		return err
	}
	nodes := places[:s.Nodes.Count]
	listeners := cluster.Listeners(s.Ports.Cluster(), s.TLS.Enabled())

	// Phase 1, all beside each other: network, storage, addresses, balancer.
	groups, err := oci.NewSecurityGroups(ctx, name+"-groups", groupsArgs(s, listeners), child)
	if err != nil {
		return err
	}
	volumes, err := oci.NewVolumes(ctx, VolumesName(name), volumesArgs(s, places), child)
	if err != nil {
		return err
	}
	if err := recordLayout(volumes.Each); err != nil {
		return err
	}
	addresses, err := oci.NewAddresses(ctx, name+"-addresses", addressesArgs(s, nodes), child)
	if err != nil {
		return err
	}
	balancer, err := oci.NewLoadBalancer(ctx, name+"-balancer", balancerArgs(s, nodes, listeners, groups, addresses), child)
	if err != nil {
		return err
	}
	gate, err := newGates(ctx, name, s, nodes, balancer, in)
	if err != nil {
		return err
	}
	// Where instances become other ones, the program stays here until the last of
	// them is back: no hook could wait for it (ADR 0022).
	pools, err := oci.NewInstancePools(ctx, name+"-pools", poolsArgs(s, nodes, groups, volumes, addresses, existing, gate.inTurn), child)
	if err != nil {
		return err
	}

	// What the jobs find when they start.
	secrets, err := nomad.NewSecrets(ctx, name+"-secrets", secretsArgs(s), child)
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
		gate.before[beforeEMQX], after(pools.Each, secrets.Each, members.Each, entries.Each)), child)
	if err != nil {
		return err
	}
	proxies, err := haproxy.New(ctx, name+"-haproxy", haproxyArgs(s,
		gate.before[beforeHAProxy], after(broker.Each, secrets.Each)), child)
	if err != nil {
		return err
	}
	open, err := oci.NewListeners(ctx, name+"-listeners", listenersArgs(s, balancer, listeners,
		gate.before[beforeListeners], after(proxies.Each)), child)
	if err != nil {
		return err
	}
	record, err := oci.NewDNSRecord(ctx, name+"-dns", recordArgs(s, balancer,
		gate.before[beforeRecord], after(open.Each)), child)
	if err != nil {
		return err
	}

	// Changed or not, an update ends by asking again: a sick cluster is never
	// reported as a success (ADR 0018).
	c.Verified, err = gate.verify(ctx, pulumi.Parent(c), broker.ModifyIndex, proxies.ModifyIndex, record.Name)
	if err := errors.Join(err, jobs.afterPreview(ctx, pools.Relaunched)); err != nil {
		return err
	}
	c.Endpoints = pulumi.ToStringMap(endpoints(s, listeners)).ToStringMapOutput()
	c.DNSName, c.BalancerAddress = record.Name, balancer.Address
	c.NodeNames = pulumi.ToStringArray(cluster.Names(nodes)).ToStringArrayOutput()
	c.JobNames = pulumi.ToStringMap(map[string]string{
		"emqx": cluster.EMQXJobID(s.Environment), "haproxy": cluster.HAProxyJobID(s.Environment),
	}).ToStringMapOutput()
	// Inside the network only: the dashboard is not opened to the internet.
	c.DashboardAddress = pulumi.Sprintf("http://%s:%d", cluster.ServiceName(s.Environment, cluster.DashboardService), cluster.Dashboard)
	return nil
}

// VolumesName is what the names of a cluster's volumes begin with, "-<index>" behind it.
func VolumesName(clusterName string) string { return clusterName + "-volumes" }

// EntriesName is the name of a cluster's record in Consul.
func EntriesName(clusterName string) string { return clusterName + "-entries" }

// endpoints are the URLs that clients are given, by protocol. They are known at
// plan time: the name is the stack's, whatever address the balancer gets.
func endpoints(s settings.Settings, listeners []cluster.Listener) map[string]string {
	urls := map[string]string{}
	for _, l := range listeners {
		urls[l.Name] = fmt.Sprintf("%s://%s:%d%s", l.Scheme, s.DNS.Name, l.Port, l.Path)
	}
	return urls
}

// after waits for custom resources, never for a component: a dependency on a
// component covers only the children that the SDK happens to know by then.
func after(resources ...[]pulumi.Resource) pulumi.ResourceOption {
	return pulumi.DependsOn(slices.Concat(resources...))
}
