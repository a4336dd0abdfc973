package seams

import (
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Given is what each implementation is told of a cluster.
type Given struct {
	// Name is the cluster's among the resources of its program; the names of all that is in it begin with it and a dash.
	Name string
	// Settings are checked, and complete but for what a Find looks up.
	Settings settings.Settings
	// Listeners are the protocols that clients speak to it. An edge has those of
	// [cluster.AtEdge].
	Listeners []cluster.Listener
	// HealthPath is the page of the proxies that an edge asks on their admin port.
	HealthPath string
	// Arrival is how clients come through the edge to the hosts and their proxies.
	Arrival cluster.Arrival
	// Providers are those that the implementations ask for, by their packages ([Provider]).
	Providers map[string]pulumi.ProviderResource
}

// Invoke is the option that asks a question of a package's provider.
func (g Given) Invoke(pkg string) pulumi.InvokeOption { return pulumi.Provider(g.Providers[pkg]) }

// Provider is a Pulumi provider that an implementation registers its resources with, besides Nomad's and Consul's.
type Provider struct {
	// Package is its name among Pulumi's packages: "oci". Implementations that name the same one share it.
	Package string
	// New registers it under the name given.
	New func(ctx *pulumi.Context, name string, s settings.Settings) (pulumi.ProviderResource, error)
	// Find gives the ids of what may be a resource that an interrupted run was creating: of its name and tags, and not on
	// its way out. Of a type whose creation can be repeated it gives none.
	Find func(ctx *pulumi.Context, lost interrupted.Lost, opts ...pulumi.InvokeOption) ([]string, error)
	// Fates tells by their ids what became of resources that were to be deleted. Those that are there are left out.
	Fates func(ctx *pulumi.Context, held []interrupted.Held, opts ...pulumi.InvokeOption) (map[string]interrupted.Fate, error)
}

// Kind is what all implementations have in common.
type Kind interface {
	// Provider is nil for one that needs none.
	Provider() *Provider
	// Checks are those of what it registers, and of the settings that it alone reads.
	Checks() []preflight.Check
	// Phase is the part of a deployment that a resource of that type belongs to, in a word or two; "" for a type that it
	// never registers.
	Phase(typ string) string
	// StandIn changes settings so that a recording can be made of them without a cloud: what only the cloud knows, or has
	// an id for, gets a stand-in. It answers the questions that are left, by the tokens of their functions.
	StandIn(s *settings.Settings) Answers
}

// Answers are what a cloud would say to a question.
type Answers map[string]func() map[string]any

// Hosts answers which nodes there are.
type Hosts interface {
	Kind
	// Words tell what a plan does to its resources.
	Words() blast.HostWords
	// Guarded are the words in which a guard speaks of it.
	Guarded(s settings.Settings) guards.Words
	// DataVolume is the volume with a node's data that a resource of the state is, if it is one.
	DataVolume(typ string, inputs map[string]any) (v DataVolume, ok bool)
	// Find looks up what the stack is given and places the nodes. What is wrong with it are faults, by the paths of
	// settings; with one the fleet is good for nothing. It registers nothing.
	Find(ctx *pulumi.Context, in Given, f *fault.List) (Fleet, error)
}

// DataVolume is a volume with a node's data, as the stack registered it.
type DataVolume struct {
	// Name is that of its node, Zone the part of the cloud that it is in.
	Name, Zone string
	SizeGB     int
}

// Fleet are the hosts of one cluster.
type Fleet interface {
	// Nodes are all that the cluster has data of, by their index, each with its zone. The first nodes.count of them run.
	Nodes() []cluster.Node
	// Network is the id of the network that the hosts are in, "" where their cloud has no such thing.
	Network() string
	// Prepare registers what is to be there before the hosts: volumes, addresses, who may reach them.
	Prepare(ctx *pulumi.Context, opts ...pulumi.ResourceOption) (Prepared, error)
	// Launch registers the hosts themselves. Those that have to become other ones wait for their turn.
	Launch(ctx *pulumi.Context, turns Turns, opts ...pulumi.ResourceOption) (Launched, error)
}

// Prepared is what stands before the hosts do.
type Prepared struct {
	// Volumes hold the data, by the index of [Fleet.Nodes].
	Volumes []pulumi.Resource
	// Addresses are the running nodes' private ones, by their index; they outlive the hosts. AddressIDs are what the
	// cloud calls them, where it has names for them, else nil.
	Addresses, AddressIDs []pulumi.StringOutput
	// EdgeGroup is the id of the firewall's group that the hosts admit to the clients' ports and the health page: an
	// edge of the same cloud is to be in it. Nil where there is none.
	EdgeGroup pulumi.StringInput
}

// Turns is given the nodes whose host has to become another one, none as a rule, and calls launch for each when it is
// that node's turn; launch returns when the new host runs. Nil launches all of them at once.
type Turns func(nodes []cluster.Node, launch func(cluster.Node) error) error

// Launched are hosts that are registered.
type Launched struct {
	// Each is what a node's host is, by the nodes' index, for others to wait for.
	Each []pulumi.Resource
	// Relaunched are the nodes whose host this update ends for another one.
	Relaunched []cluster.Node
}

// Edge answers who stands in front.
type Edge interface {
	Kind
	// Words tell what a plan does to its resources.
	Words() blast.EdgeWords
	// Arrival is how clients come through it: what the proxies have to expect, and whom the hosts admit.
	Arrival(s settings.Settings) cluster.Arrival
	// Find looks up what the stack is given for it, in a network of that id; see [Hosts].
	Find(ctx *pulumi.Context, in Given, network string, f *fault.List) (Front, error)
	// Hint is what may keep clients from the proxies though the edge is healthy, for whoever looks next; "" for nothing.
	Hint(s settings.Settings) string
	// Health asks how the edge of a cluster that this program does not manage sees the nodes, by "<listener>/<node>": OK,
	// or a word of its own.
	Health(ctx *pulumi.Context, in Given, nodes []string) (map[string]string, error)
}

// Front is the edge of one cluster.
type Front interface {
	// Declare registers it in front of the nodes, closed to clients.
	Declare(ctx *pulumi.Context, nodes []cluster.Node, hosts Prepared, opts ...pulumi.ResourceOption) error
	// Address is what clients reach.
	Address() pulumi.StringOutput
	// Healthy is gate G4 of so many of the nodes, asked through the engine.
	Healthy(ctx *pulumi.Context, nodes []cluster.Node) gates.Gate
	// Open lets clients in. Gates are options of each resource that does.
	Open(ctx *pulumi.Context, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption) ([]pulumi.Resource, error)
}

// Proxy answers what is between the edge and the brokers: one on every node.
type Proxy interface {
	Kind
	// Words tell what a plan does to its resources.
	Words() blast.ProxyWords
	// Title is what people call it.
	Title() string
	// JobID is the id of its Nomad job.
	JobID(environment string) string
	// Service is its name in Consul's catalog.
	Service() string
	// HealthPath is the page on its admin port that answers 200 while it can pass clients on.
	HealthPath() string
	// Job is its job as these settings have it registered, behind an edge that clients come through in this way.
	// Variables with a fault are an error.
	Job(s settings.Settings, arrival cluster.Arrival) (file string, variables map[string]string, err error)
	// Secrets are what its job must not carry in its text; nil for none.
	Secrets(s settings.Settings) (*nomad.JobSecrets, error)
	// Declare registers it. Gates are options of the job.
	Declare(ctx *pulumi.Context, in Given, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption) (Proxies, error)
	// Ready is gate G3.
	Ready(s settings.Settings, ask ProxyReadyArgs) gates.Gate
	// Refused is a command in a task of its job, which prints the list of devices' certificates that new connections are
	// refused for by now: that in [cluster.RevokedKey], as soon as it has read it.
	Refused() (task string, command []string)
	// StopTime is how long one takes to stop.
	StopTime(s settings.Settings) time.Duration
}

// ProxyReadyArgs are whom gate G3 asks.
type ProxyReadyArgs struct {
	Nomad  gates.NomadClient
	Consul gates.ConsulClient
	// Text is what the job is to be; the zero text is whatever runs.
	Text gates.JobText
}

// Proxies are proxies that are registered.
type Proxies struct {
	// ModifyIndex grows with every version of their job.
	ModifyIndex pulumi.StringOutput
	// Each are their resources, for others to wait for.
	Each []pulumi.Resource
}

// Names answers who tells clients the public name's address.
type Names interface {
	Kind
	// Words tell what a plan does to its resources.
	Words() blast.NameWords
	// Declare registers the name. Gates are options of the record itself. The name is known once the record exists.
	Declare(ctx *pulumi.Context, in Given, address pulumi.StringOutput, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption) (pulumi.StringOutput, error)
}
