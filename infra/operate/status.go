package operate

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"sync"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// Status is a cluster at one moment, as those say who know it: Nomad, Consul and
// each member. Times are absolute; a zero one is unknown.
type Status struct {
	Stack string    `json:"stack"`
	Time  time.Time `json:"time"`
	// Well says that nothing is the matter.
	Well bool `json:"well"`
	// Problems are what is the matter, what to do first at the front.
	Problems []Problem    `json:"problems"`
	Nodes    []NodeStatus `json:"nodes"`
	Broker   JobStatus    `json:"broker"`
	Proxy    JobStatus    `json:"proxy"`
	// ProxyTitle is what people call a proxy.
	ProxyTitle string `json:"-"`
	// RoundTrip is what became of a message through the public name; empty when
	// none was sent.
	RoundTrip string `json:"roundTrip,omitempty"`
	// AccessDrift is what somebody else has changed in EMQX of who may connect and what they may
	// do; empty for nothing, and where it is not known.
	AccessDrift string `json:"accessDrift,omitempty"`
	// Certificate is that of the settings; nil where the stack has none, or it cannot be read here.
	Certificate *CertificateStatus `json:"certificate,omitempty"`
	// Outside is what else is known of one that comes from outside the stack; nil where none does.
	Outside *OutsideStatus `json:"outsideCertificate,omitempty"`
	// Further are those of tls.certificates.
	Further []CertificateStatus `json:"furtherCertificates,omitempty"`
	// ClientAuthorities are the authorities of clients' certificates that end before long.
	ClientAuthorities []CertificateStatus `json:"clientAuthorities,omitempty"`
	// Balancer and LastUpdate are as fresh as who was asked for them; nil is not asked.
	// That they are not known is told in them, and makes a cluster no worse.
	Balancer   *BalancerStatus `json:"balancer,omitempty"`
	LastUpdate *UpdateStatus   `json:"lastUpdate,omitempty"`
}

// Problem is one thing that is the matter.
type Problem struct {
	What string `json:"what"`
	// Next is what to look at, or to do; empty when What says it.
	Next string `json:"next,omitempty"`

	// Of what several nodes have in common: see diagnosis.each.
	on, is string
	nodes  []string
}

// NodeStatus is one node.
type NodeStatus struct {
	Name string `json:"name"`
	// Nomad is the node's state there: ready, draining, ineligible, initializing,
	// down, disconnected, absent; silent when the servers still call it ready and have
	// no connection to it; "" when Nomad did not say.
	Nomad string `json:"nomad"`
	// ID and Address are Nomad's.
	ID      string     `json:"id,omitempty"`
	Address string     `json:"address,omitempty"`
	Broker  Allocation `json:"broker"`
	// Member is what EMQX on the node is: running, starting, waiting (its task runs,
	// but it does not serve for longer than a start takes), stopped (other members
	// say so, or no task runs), unknown (nobody said: it may be busy).
	Member string `json:"member"`
	// Clients are connected now; Sessions are theirs and those of clients that are
	// away. Nil is unknown.
	Clients  *int `json:"clients,omitempty"`
	Sessions *int `json:"sessions,omitempty"`
	// Listeners are EMQX's: "ok", or what is wrong, by mqtt, mqtts, ws, wss; nil is
	// unknown.
	Listeners map[string]string `json:"listeners,omitempty"`
	Proxy     Allocation        `json:"proxy"`
	// Check is HAProxy's in Consul: passing, warning, critical, absent; "" when
	// Consul did not say.
	Check string `json:"check"`
	// CheckSays is the output of a check that does not pass.
	CheckSays string `json:"checkSays,omitempty"`

	seen view
	id   string // of the running EMQX allocation
}

// Allocation is one task on one node.
type Allocation struct {
	ID string `json:"id,omitempty"`
	// State is Nomad's: pending, running, complete, failed, lost, unknown; stopping
	// while it runs and is not meant to; none when there is none, "" when Nomad did
	// not say.
	State   string `json:"state"`
	Version uint64 `json:"version"`
	// Restarts of this allocation's task.
	Restarts uint64    `json:"restarts"`
	Since    time.Time `json:"since,omitzero"`
	// Event is the last one of the task, with its cause before it where it failed.
	Event string `json:"event,omitempty"`

	neverStarted bool
}

// JobStatus is one job.
type JobStatus struct {
	ID string `json:"id"`
	// State: running, dead, stopped, absent, "" when Nomad did not say.
	State   string    `json:"state"`
	Version uint64    `json:"version"`
	Image   string    `json:"image,omitempty"`
	Changed time.Time `json:"changed,omitzero"`
	// Deployment is the newest one of this version: "successful", "running: 1 of 3
	// healthy"; empty when Nomad keeps none.
	Deployment string `json:"deployment,omitempty"`
	deploying  bool
}

// StatusOptions are the choices of a look.
type StatusOptions struct {
	// Probe sends a message through the public name, too.
	Probe bool
	// Timeout bounds the whole look; default 15 s. What does not answer by then is
	// told as not answering.
	Timeout time.Duration
	// Balancer and LastUpdate ask the cloud and the stack's backend; nil is nobody.
	Balancer   func(context.Context) BalancerStatus
	LastUpdate func(context.Context) UpdateStatus
}

// look is what was asked for one status, and what came back.
type look struct {
	nodes               []*nomad.NodeListStub
	broker, proxy       jobLook
	checks              []*consul.ServiceEntry
	nomadErr, consulErr error
	formed, proxies     gateAnswer
	trip                gateAnswer
}

type jobLook struct {
	job         *nomad.Job
	allocs      []*nomad.AllocationListStub
	deployments []*nomad.Deployment
	err         error
}

// gateAnswer is a gate's answer.
type gateAnswer struct {
	asked, holds bool
	seen, next   string
}

const statusTimeout = 15 * time.Second

// Status asks Nomad, Consul and every member, all side by side, and changes nothing.
// Who does not answer is part of the answer: there is no error.
func (c *Cluster) Status(ctx context.Context, o StatusOptions) Status {
	if o.Timeout <= 0 {
		o.Timeout = statusTimeout
	}
	ctx, cancel := context.WithTimeout(gates.AskingOnce(ctx), o.Timeout)
	defer cancel()
	var l look
	var balancer *BalancerStatus
	var update *UpdateStatus
	var drift string
	var outside *OutsideStatus
	var fromOutside *x509.Certificate
	views, listeners := make([]view, len(c.Nodes)), make([]map[string]string, len(c.Nodes))
	together(
		func() { l.nodes, l.nomadErr = c.Nomad.Nodes(ctx) },
		func() {
			l.broker = c.job(ctx, c.BrokerJob)
			together(eachNode(len(c.Nodes), func(i int) {
				a := newest(l.broker.allocs, i)
				together(func() { views[i] = c.view(ctx, a) }, func() { listeners[i] = c.listeners(ctx, a) })
			})...)
		},
		func() { l.proxy = c.job(ctx, c.Proxy.Job) },
		func() { l.checks, l.consulErr = c.Consul.Service(ctx, c.Proxy.Service, c.Environment) },
		func() { outside, fromOutside = c.outside(ctx) },
		func() { l.formed = askGate(ctx, c.Formed) },
		func() { l.proxies = askGate(ctx, c.Proxies) },
		func() {
			if o.Probe && len(c.RoundTrip.Listeners) > 0 {
				l.trip = askGate(ctx, gates.RoundTrip(c.RoundTrip))
			}
		},
		func() {
			if c.AccessDrift != nil {
				drift, _ = c.AccessDrift(ctx) // a member that does not answer is told of by itself
			}
		},
		func() {
			if o.Balancer != nil {
				b := o.Balancer(ctx)
				balancer = &b
			}
		},
		func() {
			if o.LastUpdate != nil {
				u := o.LastUpdate(ctx)
				update = &u
			}
		},
	)
	s := Status{Stack: c.Environment, ProxyTitle: c.Proxy.Title, Time: c.Clock.Now(), RoundTrip: l.trip.seen, Balancer: balancer, LastUpdate: update}
	s.Certificate, s.Further = c.certificates(s.Time)
	if s.Outside = outside; fromOutside != nil {
		s.Certificate = outsideStatus(outside.Variable, fromOutside, s.Time)
	}
	s.ClientAuthorities = c.endingAuthorities(s.Time)
	s.AccessDrift = drift
	s.Broker, s.Proxy = jobStatus(c.BrokerJob, l.broker), jobStatus(c.Proxy.Job, l.proxy)
	s.Nodes = make([]NodeStatus, len(c.Nodes))
	for i := range c.Nodes {
		s.Nodes[i] = c.node(i, &l, views[i])
		s.Nodes[i].Listeners = listeners[i]
	}
	c.members(s.Nodes)
	s.Problems = c.problems(&s, &l)
	s.Well = len(s.Problems) == 0
	return s
}

// together runs functions side by side and waits for all.
func together(fs ...func()) {
	var group sync.WaitGroup
	for _, f := range fs {
		group.Go(f)
	}
	group.Wait()
}

func eachNode(count int, f func(i int)) []func() {
	fs := make([]func(), count)
	for i := range fs {
		fs[i] = func() { f(i) }
	}
	return fs
}

func (c *Cluster) job(ctx context.Context, id string) (l jobLook) {
	var errs [3]error
	together(
		func() { l.job, errs[0] = c.Nomad.Job(ctx, id) },
		func() { l.allocs, errs[1] = c.Nomad.Allocations(ctx, id) },
		func() { l.deployments, errs[2] = c.Nomad.Deployments(ctx, id) },
	)
	for _, err := range errs {
		if err != nil {
			l.err = err
			break
		}
	}
	return l
}

// askGate asks a gate a single time.
func askGate(ctx context.Context, g gates.Gate) gateAnswer {
	if g.Check == nil {
		return gateAnswer{}
	}
	status, err := g.Check(ctx)
	v := gateAnswer{asked: true, holds: status.Holds && err == nil, seen: status.Seen, next: g.Next}
	if status.Next != "" {
		v.next = status.Next
	}
	if err != nil {
		v.seen = err.Error()
	}
	return v
}

// node puts together what Nomad and Consul say of node i.
func (c *Cluster) node(i int, l *look, v view) NodeStatus {
	n := NodeStatus{Name: c.Nodes[i].Name, seen: v}
	if l.nomadErr == nil {
		n.Nomad = "absent"
	}
	var best *nomad.NodeListStub
	for _, stub := range l.nodes {
		// A relaunched instance registers anew, and leaves the old entry for a while.
		if stub.Name == n.Name && (best == nil || supersedes(stub, best)) {
			best = stub
		}
	}
	if best != nil {
		n.ID, n.Address, n.Nomad = best.ID, best.Address, nodeState(best)
	}
	n.Broker, n.Proxy = allocation(l.broker, i, ""), allocation(l.proxy, -1, n.ID)
	if n.Broker.State == nomad.AllocClientStatusRunning || n.Broker.State == stopping {
		n.id = n.Broker.ID
	}
	if l.consulErr == nil {
		n.Check = "absent"
	}
	for _, e := range l.checks {
		if e.Node.Node != n.Name {
			continue
		}
		n.Check = e.Checks.AggregatedStatus()
		for _, check := range e.Checks {
			if check.Status != consul.HealthPassing {
				n.CheckSays = gates.OneLine(check.Output)
			}
		}
	}
	if v.noPath && n.Nomad == nomad.NodeStatusReady {
		n.Nomad = silent
	}
	n.Clients, n.Sessions = v.Clients, v.Sessions
	return n
}

// supersedes tells which of two entries of a node counts: the one that Nomad has not lost, of two such the one that
// changed later.
func supersedes(n, other *nomad.NodeListStub) bool {
	lost, otherLost := gates.NodeLost(n.Status), gates.NodeLost(other.Status)
	return otherLost && !lost || otherLost == lost && n.ModifyIndex > other.ModifyIndex
}

// silent is a node that has gone before it missed its heartbeat.
const silent = "silent"

func nodeState(n *nomad.NodeListStub) string {
	switch {
	case n.Status != nomad.NodeStatusReady:
		return n.Status
	case n.Drain:
		return "draining"
	case n.SchedulingEligibility != nomad.NodeSchedulingEligible:
		return "ineligible"
	}
	return n.Status
}

// stopping is an allocation that still runs and is not meant to.
const stopping = "stopping"

// allocation is the one with an index, or the one on a node.
func allocation(l jobLook, i int, node string) Allocation {
	if l.err != nil && l.allocs == nil && !errors.Is(l.err, gates.ErrNotFound) {
		return Allocation{}
	}
	var a *nomad.AllocationListStub
	if i >= 0 {
		a = newest(l.allocs, i)
	} else {
		for _, candidate := range l.allocs {
			if candidate.NodeID == node && (a == nil || candidate.CreateIndex > a.CreateIndex) {
				a = candidate
			}
		}
	}
	if a == nil {
		return Allocation{State: "none"}
	}
	out := Allocation{ID: a.ID, State: a.ClientStatus, Version: a.JobVersion}
	if gates.Stopping(a) {
		out.State = stopping
	}
	for _, t := range a.TaskStates {
		out.Restarts += t.Restarts
		out.neverStarted = out.neverStarted || gates.NeverStarted(t)
		out.Since = t.StartedAt
		if t.State == "dead" {
			out.Since = t.FinishedAt
		}
		if n := len(t.Events); n > 0 {
			e := t.Events[n-1]
			out.Event = e.Type
			if e.DisplayMessage != "" {
				out.Event += ": " + gates.OneLine(e.DisplayMessage)
			}
			if cause := gates.TaskReason(t); cause != "" {
				out.Event = cause
			}
		}
	}
	return out
}

func jobStatus(id string, l jobLook) JobStatus {
	s := JobStatus{ID: id}
	if l.job == nil {
		if errors.Is(l.err, gates.ErrNotFound) {
			s.State = "absent"
		}
		return s
	}
	j := l.job
	s.State, s.Version = gates.Deref(j.Status), gates.Deref(j.Version)
	if gates.Deref(j.Stop) {
		s.State = "stopped"
	}
	if at := gates.Deref(j.SubmitTime); at > 0 {
		s.Changed = time.Unix(0, at)
	}
	for _, g := range j.TaskGroups {
		for _, t := range g.Tasks {
			if image, ok := t.Config["image"].(string); ok {
				s.Image = image
			}
		}
	}
	d := gates.DeploymentOf(j, l.deployments)
	if d == nil {
		return s
	}
	s.Deployment = d.Status
	if d.Status == nomad.DeploymentStatusRunning {
		s.deploying = true
		var healthy, wanted int
		for _, g := range d.TaskGroups {
			healthy, wanted = healthy+g.HealthyAllocs, wanted+g.DesiredTotal
		}
		s.Deployment = fmt.Sprintf("running: %d of %d healthy", healthy, wanted)
	}
	return s
}
