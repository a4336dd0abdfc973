package stacks

import (
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// deploy declares the graph:
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
func deploy(ctx *pulumi.Context, s settings.Settings, makeGates gateMaker) (pulumi.Map, error) {
	in, err := newProviders(ctx, s)
	if err != nil {
		return nil, err
	}
	if err := findCompartment(ctx, s, in); err != nil {
		return nil, err
	}
	if s.Network, err = findNetwork(ctx, s, in); err != nil {
		return nil, err
	}
	if s.Volumes.BackupPolicy, err = findBackupPolicy(ctx, s, in); err != nil {
		return nil, err
	}
	places, err := assignDomains(ctx, s, in)
	if err != nil {
		return nil, err
	}
	recordLayout, err := guard(ctx, s, places)
	if err != nil {
		return nil, err
	}
	nodes := places[:s.Nodes.Count]
	listeners := cluster.Listeners(s.Ports.Cluster(), s.TLS.Enabled())

	// Phase 1, all beside each other: network, storage, addresses, balancer.
	groups, err := oci.NewSecurityGroups(ctx, "groups", groupsArgs(s, listeners), in.all)
	if err != nil {
		return nil, err
	}
	volumes, err := oci.NewVolumes(ctx, volumesName, volumesArgs(s, places), in.all)
	if err != nil {
		return nil, err
	}
	if err := recordLayout(volumes.Each); err != nil {
		return nil, err
	}
	addresses, err := oci.NewAddresses(ctx, "addresses", addressesArgs(s, nodes), in.all)
	if err != nil {
		return nil, err
	}
	balancer, err := oci.NewLoadBalancer(ctx, "balancer", balancerArgs(s, nodes, listeners, groups, addresses), in.all)
	if err != nil {
		return nil, err
	}
	gate, err := makeGates(ctx, s, nodes, balancer, in)
	if err != nil {
		return nil, err
	}
	// Where instances become other ones, the program stays here until the last of
	// them is back: no hook could wait for it (decision 22).
	pools, err := oci.NewInstancePools(ctx, "pools", poolsArgs(s, nodes, groups, volumes, addresses, gate.inTurn), in.all)
	if err != nil {
		return nil, err
	}

	// What the jobs find when they start.
	secrets, err := nomad.NewSecrets(ctx, "secrets", secretsArgs(s), in.all)
	if err != nil {
		return nil, err
	}
	members, err := consul.NewMembers(ctx, "members", membersArgs(s, nodes), in.all)
	if err != nil {
		return nil, err
	}
	entries, err := consul.NewEntries(ctx, "entries", entriesArgs(s, listeners), in.all)
	if err != nil {
		return nil, err
	}

	// Phases 2 to 4, one behind the other, a gate before each.
	emqx, err := nomad.NewEMQX(ctx, "emqx", emqxArgs(s,
		gate.before[beforeEMQX], after(pools.Each, secrets.Each, members.Each, entries.Each)), in.all)
	if err != nil {
		return nil, err
	}
	proxies, err := nomad.NewHAProxy(ctx, "haproxy", haproxyArgs(s,
		gate.before[beforeHAProxy], after(emqx.Each, secrets.Each)), in.all)
	if err != nil {
		return nil, err
	}
	open, err := oci.NewListeners(ctx, "listeners", listenersArgs(s, balancer, listeners,
		gate.before[beforeListeners], after(proxies.Each)), in.all)
	if err != nil {
		return nil, err
	}
	record, err := oci.NewDNSRecord(ctx, "dns", recordArgs(s, balancer,
		gate.before[beforeRecord], after(open.Each)), in.all)
	if err != nil {
		return nil, err
	}

	// Changed or not, an update ends by asking again: a sick cluster is never
	// reported as a success (decision 16).
	verified, err := gate.verify(ctx, emqx.ModifyIndex, proxies.ModifyIndex, record.Name)
	if err != nil {
		return nil, err
	}
	return outputs(s, nodes, listeners, balancer, record, verified), nil
}

// after waits for custom resources, never for a component: a dependency on a
// component covers only the children that the SDK happens to know by then.
func after(resources ...[]pulumi.Resource) pulumi.ResourceOption {
	return pulumi.DependsOn(slices.Concat(resources...))
}
