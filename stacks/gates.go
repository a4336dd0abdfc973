package stacks

import (
	"context"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// gateSet are the gates as options of the resources behind them, and the check
// at the end.
type gateSet struct {
	nodesReady, clusterFormed, proxiesReady, edgeHealthy pulumi.ResourceOption
	verify                                               func(ctx *pulumi.Context, after ...pulumi.Output) (pulumi.StringOutput, error)
	// inTurn says when it is an instance's turn to be relaunched; nil: at once.
	inTurn func(nodes []cluster.Node, launch func(cluster.Node) error) error
}

// gateMaker binds the gates to a program; tests bind ones that hold.
type gateMaker func(*pulumi.Context, settings.Settings, []cluster.Node, *oci.LoadBalancer, providers) (gateSet, error)

func newGates(
	ctx *pulumi.Context, s settings.Settings, nodes []cluster.Node, balancer *oci.LoadBalancer, in providers,
) (gateSet, error) {
	nomadAPI, consulAPI, err := agents(s)
	if err != nil {
		return gateSet{}, err
	}
	of := func(count int, jobs jobTexts) gateList {
		sized := s
		sized.Nodes.Count = count
		list := conditions(sized, jobs, nomadAPI, consulAPI)
		edge := cluster.Names(nodes[:min(count, len(nodes))])
		list.edgeHealthy = gates.EdgeHealthy(balancer.BackendHealth(ctx, edge, pulumi.Provider(in.oci)), gates.EdgeArgs{
			Count: len(edge) * len(cluster.Listeners(s.Ports.Cluster(), s.TLS.Enabled())), Timeout: s.Gates.EdgeHealthy,
			AdminPort: s.Ports.Admin,
		})
		return list
	}
	set, err := bindGates(ctx, s.Gates, of(len(nodes), wantedJobs(s)))
	// Relaunches come before the jobs are registered: what stands has to be whole.
	turns := newRelauncher(s, nomadAPI, func(count int) gateList { return of(count, asTheyStand()) })
	set.inTurn = func(later []cluster.Node, launch func(cluster.Node) error) error {
		return turns.inTurn(ctx, nodes, later, launch)
	}
	return set, err
}

// conditions are the gates of a stack, but for the balancer's: that one is asked
// through the engine.
func conditions(s settings.Settings, jobs jobTexts, nomadAPI gates.NomadClient, consulAPI gates.ConsulClient) gateList {
	members := make([]string, s.Nodes.Count)
	for i := range members {
		members[i] = cluster.EMQXName(cluster.NodeName(s.Environment, i), s.Consul.Datacenter)
	}
	return gateList{
		nodesReady: gates.NodesReady(nomadAPI, gates.NodesReadyArgs{
			Environment: s.Environment, Count: s.Nodes.Count, Timeout: s.Gates.NodesReady,
			Job: nomad.EMQXJobID(s.Environment),
		}),
		clusterFormed: gates.ClusterFormed(nomadAPI, gates.ClusterFormedArgs{
			Job: nomad.EMQXJobID(s.Environment), Nodes: members, Timeout: s.Gates.ClusterFormed,
			Text: jobs.emqx, Discovery: jobs.discovery, Listeners: nomad.EMQXListeners,
		}),
		proxiesReady: gates.ProxiesReady(consulAPI, gates.ProxiesReadyArgs{
			Environment: s.Environment, Count: s.Nodes.Count, Timeout: s.Gates.ProxiesReady,
			AdminPort: s.Ports.Admin,
			Nomad:     nomadAPI, Job: nomad.HAProxyJobID(s.Environment),
			Text: jobs.haproxy,
		}),
		roundTrip: gates.RoundTrip(gates.RoundTripArgs{
			Name: s.DNS.Name, Port: s.Ports.MQTT, Proxy: s.Gates.Proxy, Timeout: s.Gates.RoundTrip, Edge: onTheWay(s),
		}),
		rolling: deploying(nomadAPI, nomad.EMQXJobID(s.Environment), nomad.HAProxyJobID(s.Environment)),
		servers: []gates.Server{
			{Setting: "emqx-oci:nomad.address", Leader: nomadAPI.Leader, Part: "emqx-oci:nomad.namespace", Has: nomadAPI.Namespace},
			{Setting: "emqx-oci:consul.address", Leader: consulAPI.Leader},
		},
	}
}

// onTheWay is what may keep a client from a broker though every gate before G5 holds.
func onTheWay(s settings.Settings) string {
	other := map[string]string{"address": "privateIp", "privateIp": "address"}[s.Edge.Backend]
	text := "emqx-oci:edge.backend, which is " + s.Edge.Backend + ": where G4 holds and no client gets through, try " + other
	if !s.Edge.Public && s.Gates.Proxy == "" {
		text = "whether this machine is inside the network, as emqx-oci:edge.public is false, or set emqx-oci:gates.proxy; " + text
	}
	return text
}

// jobTexts are both jobs as somebody wants them, and the name that has to answer all
// members.
type jobTexts struct {
	emqx, haproxy gates.JobText
	discovery     string
}

// asTheyStand asks nothing of the jobs but to be whole. Nor of discovery: what it
// lacks may be what the relaunch is to bring.
func asTheyStand() jobTexts { return jobTexts{} }

func wantedJobs(s settings.Settings) jobTexts {
	return jobTexts{
		discovery: consul.MembersName(s.Environment),

		emqx:    jobText(nomad.EMQXJob, emqxArgs(s).EMQXVars),
		haproxy: jobText(nomad.HAProxyJob, haproxyArgs(s).HAProxyVars),
	}
}

// jobVars are the variables of a job file.
type jobVars interface {
	HCL2() (map[string]string, error)
}

// jobText is a job as this stack registers it. Variables with a fault are no job;
// whoever registers it says so.
func jobText(file string, vars jobVars) gates.JobText {
	values, err := vars.HCL2()
	if err != nil {
		return gates.JobText{}
	}
	return gates.JobText{File: file, Variables: nomad.VariablesFile(values)}
}

// gateList are the five conditions, whether Nomad is still deploying, and what a
// preview must reach.
type gateList struct {
	servers                                                         []gates.Server
	nodesReady, clusterFormed, proxiesReady, edgeHealthy, roundTrip gates.Gate
	rolling                                                         func(context.Context) bool
}

func bindGates(ctx *pulumi.Context, s settings.Gates, g gateList) (gateSet, error) {
	var set gateSet
	for _, b := range []struct {
		gate gates.Gate
		into *pulumi.ResourceOption
	}{
		{g.nodesReady, &set.nodesReady},
		{g.clusterFormed, &set.clusterFormed},
		{g.proxiesReady, &set.proxiesReady},
		{g.edgeHealthy, &set.edgeHealthy},
	} {
		option, err := gates.Hook(ctx, b.gate)
		if err != nil {
			return gateSet{}, err
		}
		*b.into = option
	}
	set.verify = func(ctx *pulumi.Context, after ...pulumi.Output) (pulumi.StringOutput, error) {
		if err := gates.Reachable(ctx, g.servers...); err != nil {
			return pulumi.StringOutput{}, err
		}
		return gates.Verify(ctx, gates.VerifyArgs{
			After:  after,
			Gates:  g.last(s),
			Settle: max(s.ClusterFormed, s.ProxiesReady, s.RoundTrip),
		})
	}
	return set, nil
}

// last are the gates that are asked once more at the end of an update.
func (g gateList) last(s settings.Gates) []gates.Gate {
	return []gates.Gate{
		whileRolling(g.clusterFormed, s.Settle, g.rolling, time.Now),
		whileRolling(g.proxiesReady, s.Settle, g.rolling, time.Now),
		// A name that did not resolve may be cached for a while: this one keeps its
		// own timeout.
		g.roundTrip,
	}
}
