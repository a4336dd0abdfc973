package components

import (
	"context"
	"crypto/tls"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// What waits for gates, in the words of docs/architecture.md.
const (
	beforeEMQX    = "EMQX job"
	beforeProxies = "proxies' job"
	beforeEdge    = "edge opens"
	beforeName    = "public name"
)

// gateList are all gates, and what waits for them: docs/architecture.md has the same table.
// A new one is an entry here, and its file.
func gateList(c conditions) gates.List {
	settle := c.Gates.Settle
	return gates.List{
		{Gate: c.nodesReady(), Before: []string{beforeEMQX, beforeProxies}, Steps: []gates.Step{c.purgeDeadNodes()}},
		{Gate: c.clusterFormed(), Before: []string{beforeProxies, gates.TheEnd}, Settle: settle},
		{Gate: c.proxiesReady(), Before: []string{beforeEdge, gates.TheEnd}, Settle: settle},
		{Gate: c.edgeHealthy, Before: []string{beforeName}},
		// A name that did not resolve may be cached for a while: this one keeps its own timeout.
		{Gate: c.roundTrip(), Before: []string{gates.TheEnd}, AtEnd: c.atEnd()},
	}
}

// gateSet are the gates as options of the resources behind them, and the check
// at the end.
type gateSet struct {
	// before are the gates of what waits for them: beforeEMQX and so on.
	before map[string]pulumi.ResourceOption
	verify func(ctx *pulumi.Context, parent pulumi.ResourceOption, after ...pulumi.Output) (pulumi.StringOutput, error)
	// inTurn says when it is a host's turn to be relaunched; nil: at once.
	inTurn seams.Turns
}

// then are the options of what waits for gates, and for resources.
func (g gateSet) then(before string, resources ...[]pulumi.Resource) []pulumi.ResourceOption {
	return []pulumi.ResourceOption{g.before[before], after(resources...)}
}

type withoutGates struct{}

// WithoutGates returns a Pulumi context whose clusters wait for nothing: for a recording, in which there is
// nobody to ask.
func WithoutGates(ctx *pulumi.Context) *pulumi.Context { return ctx.WithValue(withoutGates{}, true) }

func newGates(
	ctx *pulumi.Context, name string, s settings.Settings, k kinds.Kinds, nodes []cluster.Node, edge seams.Front,
) (gateSet, error) {
	if ctx.Value(withoutGates{}) != nil {
		return bindGates(ctx, name, openGates(s, k.Proxy), func(context.Context) bool { return false })
	}
	nomadAPI, consulAPI, err := agents(s)
	if err != nil {
		return gateSet{}, err
	}
	of := func(count int, jobs jobTexts) conditions {
		sized := s
		sized.Nodes.Count = count
		return conditions{
			Settings: sized, jobs: jobs, nomadAPI: nomadAPI, consulAPI: consulAPI, proxy: k.Proxy,
			edgeHealthy: edge.Healthy(ctx, nodes[:min(count, len(nodes))]), edgeHint: k.Edge.Hint(s),
		}
	}
	c := of(len(nodes), wantedJobs(s, k))
	set, err := bindGates(ctx, name, gateList(c), c.rolling(), c.servers()...)
	// Relaunches come before the jobs are registered: what stands has to be whole.
	turns := newRelauncher(s, k.Proxy, nomadAPI, func(count int) gates.List { return gateList(of(count, asTheyStand())) })
	set.inTurn = func(later []cluster.Node, launch func(cluster.Node) error) error {
		return turns.inTurn(ctx, nodes, later, launch)
	}
	return set, err
}

// conditions make the gates of a stack.
type conditions struct {
	settings.Settings
	jobs      jobTexts
	nomadAPI  gates.NomadClient
	consulAPI gates.ConsulClient
	proxy     seams.Proxy
	// edgeHealthy is G4, which the edge makes: it is asked through the engine. edgeHint is for G5.
	edgeHealthy gates.Gate
	edgeHint    string
}

func (c conditions) nodesReadyArgs() gates.NodesReadyArgs {
	return gates.NodesReadyArgs{
		Environment: c.Environment, Count: c.Nodes.Count, Timeout: c.Gates.NodesReady,
		Job: cluster.EMQXJobID(c.Environment),
	}
}

func (c conditions) nodesReady() gates.Gate { return gates.NodesReady(c.nomadAPI, c.nodesReadyArgs()) }

func (c conditions) purgeDeadNodes() gates.Step {
	return gates.PurgeDeadNodes(c.nomadAPI, c.nodesReadyArgs())
}

func (c conditions) clusterFormed() gates.Gate {
	members := make([]string, c.Nodes.Count)
	for i := range members {
		members[i] = cluster.EMQXName(cluster.NodeName(c.Environment, i), c.Consul.Datacenter)
	}
	return gates.ClusterFormed(c.nomadAPI, gates.ClusterFormedArgs{
		Job: cluster.EMQXJobID(c.Environment), Nodes: members, Timeout: c.Gates.ClusterFormed,
		Text: c.jobs.emqx, Discovery: c.jobs.discovery, Listeners: nomad.EMQXListeners,
	})
}

func (c conditions) proxiesReady() gates.Gate {
	return c.proxy.Ready(c.Settings, seams.ProxyReadyArgs{Nomad: c.nomadAPI, Consul: c.consulAPI, Text: c.jobs.proxies})
}

// atEnd are the steps of an update before its round trip.
func (c conditions) atEnd() []gates.Step {
	if c.Auth.Anonymous {
		return []gates.Step{gates.OpenAccess(c.nomadAPI, cluster.EMQXJobID(c.Environment), settings.GateUser)}
	}
	return []gates.Step{gates.MatchUsers(c.nomadAPI, matchUsersArgs(c.Settings))}
}

func (c conditions) roundTripArgs() gates.RoundTripArgs {
	args := c.openRoundTripArgs()
	if !c.Auth.Anonymous {
		args.Username, args.Password = settings.GateUser, c.Secrets.GatePassword.Reveal()
	}
	return args
}

func (c conditions) openRoundTripArgs() gates.RoundTripArgs {
	args := gates.RoundTripArgs{
		Name: c.DNS.Name, Listeners: cluster.AtEdge(c.Offered()), Unasked: c.Unasked(), Proxy: c.Gates.Proxy,
		CACert: c.TLS.CA.Reveal(), Certificate: c.TLS.Certificate.Reveal(), Timeout: c.Gates.RoundTrip, Edge: c.edgeHint,
	}
	if c.TLS.VerifiesClients() {
		args.ClientCertificate = func() (tls.Certificate, error) {
			authority, err := c.GateAuthority()
			if err != nil {
				return tls.Certificate{}, err
			}
			return authority.Issue(time.Now())
		}
	}
	return args
}

func (c conditions) roundTrip() gates.Gate { return gates.RoundTrip(c.roundTripArgs()) }

// rolling tells whether Nomad is still deploying.
func (c conditions) rolling() func(context.Context) bool {
	return deploying(c.nomadAPI, cluster.EMQXJobID(c.Environment), c.proxy.JobID(c.Environment))
}

// servers are what a preview must reach.
func (c conditions) servers() []gates.Server {
	return []gates.Server{
		{Setting: "emqx-oci:nomad.address", Leader: c.nomadAPI.Leader, Part: "emqx-oci:nomad.namespace", Has: c.nomadAPI.Namespace},
		{Setting: "emqx-oci:consul.address", Leader: c.consulAPI.Leader},
	}
}

// jobTexts are both jobs as somebody wants them, and the name that has to answer all
// members.
type jobTexts struct {
	emqx, proxies gates.JobText
	discovery     string
}

// asTheyStand asks nothing of the jobs but to be whole. Nor of discovery: what it
// lacks may be what the relaunch is to bring.
func asTheyStand() jobTexts { return jobTexts{} }

func wantedJobs(s settings.Settings, k kinds.Kinds) jobTexts {
	emqx, err := emqxArgs(s).HCL2()
	return jobTexts{
		discovery: cluster.ServiceName(s.Environment, cluster.MembersService),
		emqx:      jobText(nomad.EMQXJob, emqx, err),
		proxies:   jobText(k.Proxy.Job(s, k.Edge.Arrival(s))),
	}
}

// jobText is a job as this stack registers it. Variables with a fault are no job;
// whoever registers it says so.
func jobText(file string, variables map[string]string, err error) gates.JobText {
	if err != nil {
		return gates.JobText{}
	}
	return gates.JobText{File: file, Variables: nomad.VariablesFile(variables)}
}

// openGates are the same gates, but they hold at once.
func openGates(s settings.Settings, proxy seams.Proxy) gates.List {
	list := gateList(conditions{Settings: s, proxy: proxy, edgeHealthy: gates.EdgeHealthy(nil, gates.EdgeArgs{})})
	for i := range list {
		list[i].AtEnd = nil
		list[i].Gate.Check = func(context.Context) (gates.Status, error) { return gates.Status{Holds: true}, nil }
	}
	return list
}

// bindGates binds the list to a program. Rolling tells whether Nomad is still deploying;
// a preview must reach the servers.
func bindGates(
	ctx *pulumi.Context, name string, list gates.List, rolling func(context.Context) bool, servers ...gates.Server,
) (gateSet, error) {
	before, err := list.Hooks(ctx, name)
	if err != nil {
		return gateSet{}, err
	}
	verify := func(ctx *pulumi.Context, parent pulumi.ResourceOption, after ...pulumi.Output) (pulumi.StringOutput, error) {
		if err := gates.Reachable(ctx, servers...); err != nil {
			return pulumi.StringOutput{}, err
		}
		args := gates.VerifyArgs{After: after, Gates: lastGates(list, rolling), Steps: map[string][]gates.Step{}}
		for _, e := range list.Before(gates.TheEnd) {
			args.Steps[e.Gate.ID] = e.AtEnd
		}
		for _, g := range args.Gates {
			args.Settle = max(args.Settle, g.Timeout) // each has its own
		}
		return gates.Verify(ctx, name+"-verify", args, parent)
	}
	return gateSet{before: before, verify: verify}, nil
}

// lastGates are those that are asked once more at the end of an update.
func lastGates(list gates.List, rolling func(context.Context) bool) []gates.Gate {
	var last []gates.Gate
	for _, e := range list.Before(gates.TheEnd) {
		if e.Settle > 0 {
			e.Gate = whileRolling(e.Gate, e.Settle, rolling, time.Now)
		}
		last = append(last, e.Gate)
	}
	return last
}
