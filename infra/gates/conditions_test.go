package gates

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// labNode is node i of stack lab as a healthy client registers it.
func labNode(i int, change ...func(*nomad.Node)) *nomad.Node {
	n := &nomad.Node{
		ID: fmt.Sprintf("%d0000000-aaaa", i), Name: fmt.Sprintf("emqx-lab-%d", i), Status: nomad.NodeStatusReady,
		SchedulingEligibility: nomad.NodeSchedulingEligible,
		Meta:                  map[string]string{"pool_type": "emqx", "group-index": fmt.Sprint(i), "emqx_cluster": "lab"},
		Drivers:               map[string]*nomad.DriverInfo{"docker": {Detected: true, Healthy: true}},
		HostVolumes:           map[string]*nomad.HostVolumeInfo{fmt.Sprintf("emqx[%d]", i): {Path: "/opt/nomad/data/emqx"}},
		ModifyIndex:           7,
	}
	for _, c := range change {
		c(n)
	}
	return n
}

func TestNodesReady(t *testing.T) {
	id := func(id string) func(*nomad.Node) { return func(n *nomad.Node) { n.ID = id } }
	status := func(s string) func(*nomad.Node) { return func(n *nomad.Node) { n.Status = s } }
	for _, c := range []struct {
		name  string
		nodes []*nomad.Node
		holds bool
		seen  string
	}{
		{"all", []*nomad.Node{labNode(2), labNode(0), labNode(1)}, true, "3/3 nodes ready"},
		{"none", nil, false, "0/3 nodes: emqx-lab-0 not registered in Nomad; emqx-lab-1 not registered in Nomad; emqx-lab-2 not registered in Nomad"},
		{"one missing", []*nomad.Node{labNode(0), labNode(2)}, false, "2/3 nodes: emqx-lab-1 not registered in Nomad"},
		{"one down", []*nomad.Node{labNode(0), labNode(1, status("down")), labNode(2)}, false, "2/3 nodes: emqx-lab-1 is down in Nomad"},
		{
			"relaunched: the old one is down",
			[]*nomad.Node{labNode(0), labNode(1, status("down"), id("old")), labNode(1), labNode(2)},
			true, "3/3 nodes ready",
		},
		{
			"relaunched: the old one is disconnected",
			[]*nomad.Node{labNode(0), labNode(1, status("disconnected"), id("old")), labNode(1), labNode(2)},
			true, "3/3 nodes ready",
		},
		{
			"two live ones",
			[]*nomad.Node{labNode(0), labNode(1), labNode(1, id("twin0000-1")), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-1 has 2 live nodes in Nomad: 10000000 (emqx-lab-1), twin0000 (emqx-lab-1)",
		},
		{
			"another name claims the index",
			[]*nomad.Node{labNode(0), labNode(1), labNode(2), labNode(2, id("thief000"), func(n *nomad.Node) { n.Name = "ip-10-0-0-5" })},
			false, "2/3 nodes: emqx-lab-2 has 2 live nodes in Nomad: 20000000 (emqx-lab-2), thief000 (ip-10-0-0-5)",
		},
		{
			"named by the cloud",
			[]*nomad.Node{labNode(0), labNode(1), labNode(2, func(n *nomad.Node) { n.Name = "ip-10-0-0-5" })},
			false, "2/3 nodes: emqx-lab-2 is named ip-10-0-0-5",
		},
		{"initializing", []*nomad.Node{labNode(0, status("initializing")), labNode(1), labNode(2)}, false, "2/3 nodes: emqx-lab-0 is initializing"},
		{
			"not eligible",
			[]*nomad.Node{labNode(0, func(n *nomad.Node) { n.SchedulingEligibility = "ineligible" }), labNode(1), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-0 is not eligible for scheduling (`nomad node eligibility -enable 00000000`)",
		},
		{
			"draining",
			[]*nomad.Node{labNode(0, func(n *nomad.Node) { n.Drain, n.SchedulingEligibility = true, "ineligible" }), labNode(1), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-0 is draining",
		},
		{
			"docker missing, volume missing",
			[]*nomad.Node{labNode(0, func(n *nomad.Node) { n.Drivers, n.HostVolumes = nil, nil }), labNode(1), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-0 has no docker driver, lacks host volume emqx[0]",
		},
		{
			"what the boot script told Nomad",
			[]*nomad.Node{
				labNode(0, func(n *nomad.Node) { n.Meta["emqx_boot"] = "of no matter while nothing is missing" }),
				labNode(1, func(n *nomad.Node) {
					n.HostVolumes, n.Meta["emqx_boot"] = nil, "claiming the volume:\ngave up after 1800 s"
				}), labNode(2),
			},
			false,
			"2/3 nodes: emqx-lab-1 lacks host volume emqx[1], and its boot says: claiming the volume: gave up after 1800 s",
		},
		{
			"docker unhealthy",
			[]*nomad.Node{labNode(0, func(n *nomad.Node) {
				n.Drivers["docker"] = &nomad.DriverInfo{Detected: true, HealthDescription: "Failed to connect to\ndocker daemon"}
			}), labNode(1), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-0 has an unhealthy docker driver (Failed to connect to docker daemon)",
		},
		{
			"the volume of another index",
			[]*nomad.Node{labNode(0), labNode(1, func(n *nomad.Node) {
				n.HostVolumes = map[string]*nomad.HostVolumeInfo{"emqx[0]": {}}
			}), labNode(2)},
			false,
			"2/3 nodes: emqx-lab-1 lacks host volume emqx[1]",
		},
		{
			"another stack's meta",
			[]*nomad.Node{labNode(0, func(n *nomad.Node) { n.Meta["emqx_cluster"] = "prod" }), labNode(1), labNode(2)},
			false,
			`2/3 nodes: emqx-lab-0 has meta emqx_cluster="prod" instead of "lab"`,
		},
		{
			"others do not matter", []*nomad.Node{
				labNode(0), labNode(1), labNode(2), labNode(3), labNode(1, id("x"), func(n *nomad.Node) { n.Name, n.Meta["emqx_cluster"] = "emqx-prod-1", "prod" }),
			}, true, "3/3 nodes ready",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := nodesReady(NodesReadyArgs{Environment: "lab", Count: 3, driver: "docker"}, c.nodes)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
		})
	}
}

func TestNodesReadyNamesOnlyTheFirstOfMany(t *testing.T) {
	s := nodesReady(NodesReadyArgs{Environment: "lab", Count: 9}, nil)
	assert.Equal(t, s.Seen, "0/9 nodes: emqx-lab-0 not registered in Nomad; emqx-lab-1 not registered in Nomad; "+
		"emqx-lab-2 not registered in Nomad; emqx-lab-3 not registered in Nomad; and 5 more")
}

// fakeNomad answers from memory.
type fakeNomad struct {
	nodes       []*nomad.Node
	silent      map[string]error // nodes whose agent does not answer
	late        map[string]int   // how many questions to a node's agent run out of time
	job         *nomad.Job
	deployments []*nomad.Deployment
	allocs      []*nomad.AllocationListStub
	evals       []*nomad.Evaluation
	exec        func(alloc, task string, command []string) (ExecResult, error)
	err         error
	nodeReads   atomic.Int32
	changed     []string // what was done to nodes
	denied      error
	purged      func(id string) error // in the place of what is changed
	stands      JobText               // the job that is registered, as text
}

func (f *fakeNomad) Plan(context.Context, JobText) (JobPlan, error) { return JobPlan{}, f.err }

func (f *fakeNomad) Stands(_ context.Context, text JobText) (bool, error) {
	return text == f.stands, f.denied
}

// checking is in the context of a check, with its test.
type checking struct{}

func (f *fakeNomad) onlyAsks(ctx context.Context, what, id string) {
	if t, ok := ctx.Value(checking{}).(interface{ Errorf(string, ...any) }); ok {
		t.Errorf("%s %s: a check only asks", what, id)
	}
}

func (f *fakeNomad) change(ctx context.Context, what, id string) error {
	f.onlyAsks(ctx, what, id)
	if f.denied == nil {
		f.changed = append(f.changed, what+" "+id)
	}
	return f.denied
}

func (f *fakeNomad) Drain(ctx context.Context, id string, _ time.Duration) error {
	return f.change(ctx, "drain", id)
}

func (f *fakeNomad) Undrain(ctx context.Context, id string) error {
	return f.change(ctx, "undrain", id)
}

func (f *fakeNomad) Purge(ctx context.Context, id string) error {
	if f.purged != nil {
		f.onlyAsks(ctx, "purge", id)
		return f.purged(id)
	}
	return f.change(ctx, "purge", id)
}

func (f *fakeNomad) Nodes(context.Context) (out []*nomad.NodeListStub, err error) {
	for _, n := range f.nodes {
		out = append(out, &nomad.NodeListStub{ID: n.ID, Name: n.Name, Status: n.Status, ModifyIndex: n.ModifyIndex})
	}
	return out, f.err
}

func (f *fakeNomad) Node(_ context.Context, id string) (*nomad.Node, error) {
	for _, n := range f.nodes {
		if n.ID == id {
			f.nodeReads.Add(1)
			return n, nil
		}
	}
	return nil, ErrNotFound
}

func (f *fakeNomad) Leader(context.Context) error { return f.err }

func (f *fakeNomad) Namespace(context.Context) error { return f.err }

func (f *fakeNomad) Alive(_ context.Context, id string) error {
	if f.late[id] > 0 {
		f.late[id]--
		return errors.New("nothing heard within 3s")
	}
	return f.silent[id]
}

func (f *fakeNomad) Job(context.Context, string) (*nomad.Job, error) {
	if f.err != nil {
		return nil, f.err
	}
	if f.job == nil {
		return nil, fmt.Errorf("reading job: %w", ErrNotFound)
	}
	return f.job, nil
}

func (f *fakeNomad) Deployments(context.Context, string) ([]*nomad.Deployment, error) {
	return f.deployments, nil
}

func (f *fakeNomad) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	return f.allocs, nil
}

func (f *fakeNomad) Evaluations(context.Context, string) ([]*nomad.Evaluation, error) {
	return f.evals, nil
}

func (f *fakeNomad) Exec(_ context.Context, alloc, task string, command ...string) (ExecResult, error) {
	if f.exec == nil {
		return ExecResult{}, errors.New("nobody answers")
	}
	return f.exec(alloc, task, command)
}

func (f *fakeNomad) Stream(_ context.Context, alloc, task string, s Streams, command ...string) (int, error) {
	r, err := f.exec(alloc, task, command)
	if err == nil && s.Out != nil {
		_, err = io.WriteString(s.Out, r.Stdout)
	}
	return r.Exit, err
}

func TestNodesReadyReadsANodeAgainOnlyWhenItChanged(t *testing.T) {
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1)}}
	g := NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 3})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "2/3 nodes: emqx-lab-2 not registered in Nomad")
	f.nodes = append(f.nodes, labNode(2, func(n *nomad.Node) { n.HostVolumes = nil }))
	f.nodeReads.Store(0)
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "2/3 nodes: emqx-lab-2 lacks host volume emqx[2]")
	assert.Equal(t, f.nodeReads.Load(), int32(1))
	f.nodes[2] = labNode(2, func(n *nomad.Node) { n.ModifyIndex = 8 })
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
}

// Right after a `destroy`, Nomad holds the old clients for ready until their
// heartbeats are missed, and would place the new job on them.
func TestNodesReadyDoesNotCountInstancesThatHaveEnded(t *testing.T) {
	gone := errors.New("Unknown node")
	old := func(i int) *nomad.Node {
		return labNode(i, func(n *nomad.Node) { n.ID = fmt.Sprintf("old%d-aaaa", i) })
	}
	f := &fakeNomad{nodes: []*nomad.Node{old(0), old(1), old(2)}, silent: map[string]error{"old0-aaaa": gone, "old1-aaaa": gone, "old2-aaaa": gone}}
	g := NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 3})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, !s.Holds)
	assert.Equal(t, s.Seen, "0/3 nodes: emqx-lab-0 is ready in Nomad, but its agent does not answer (Unknown node); "+
		"emqx-lab-1 is ready in Nomad, but its agent does not answer (Unknown node); "+
		"emqx-lab-2 is ready in Nomad, but its agent does not answer (Unknown node)")

	// Nomad may still place on the old one, so the new one alone is not enough.
	f.nodes = append(f.nodes, labNode(0), labNode(1), labNode(2))
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, !s.Holds, s.Seen)

	for _, n := range f.nodes[:3] {
		n.Status, n.ModifyIndex = nomad.NodeStatusDown, 9
	}
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Due, s.Seen)
	f.nodes = f.nodes[3:] // purged
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)

	f.silent = map[string]error{labNode(1).ID: Fatal(errors.New("permission denied"))}
	_, err = once(t, g)
	assert.Assert(t, IsFatal(err), "%v", err)
}

func TestNodesReadyPassesOnThatNomadIsAway(t *testing.T) {
	_, err := once(t, NodesReady(&fakeNomad{err: errors.New("cannot reach Nomad")}, NodesReadyArgs{Environment: "lab", Count: 1}))
	assert.Error(t, err, "cannot reach Nomad")
	assert.Assert(t, !IsFatal(err))
}

func proxyEntry(node, status, output string) *consul.ServiceEntry {
	return &consul.ServiceEntry{
		Node: &consul.Node{Node: node}, Service: &consul.AgentService{ID: "haproxy-" + node},
		Checks: consul.HealthChecks{
			{Name: "Serf Health Status", Status: "passing"},
			{Name: "backends", Status: status, Output: output},
		},
	}
}

func TestProxiesReady(t *testing.T) {
	for _, c := range []struct {
		name    string
		entries []*consul.ServiceEntry
		holds   bool
		seen    string
	}{
		{"all", []*consul.ServiceEntry{proxyEntry("emqx-lab-0", "passing", ""), proxyEntry("emqx-lab-1", "passing", "")}, true, "2/2 proxies pass"},
		{"none", nil, false, "0/2 proxies pass: no service emqx-haproxy with tag lab in Consul"},
		{
			"one fails",
			[]*consul.ServiceEntry{
				proxyEntry("emqx-lab-0", "passing", ""),
				proxyEntry("emqx-lab-1", "critical", "HTTP GET http://10.80.1.11:8080/haproxy_health:\n503 Service Unavailable Output: no backend"),
			},
			false,
			"1/2 proxies pass: emqx-lab-1 is critical: backends: HTTP GET http://10.80.1.11:8080/haproxy_health: 503 Service Unavailable Output: no backend",
		},
		{
			"not checked yet",
			[]*consul.ServiceEntry{proxyEntry("emqx-lab-0", "passing", ""), proxyEntry("emqx-lab-1", "critical", " \n")},
			false,
			"1/2 proxies pass: emqx-lab-1 is critical: backends: no result yet",
		},
		{"warning is not passing", []*consul.ServiceEntry{proxyEntry("emqx-lab-0", "passing", ""), proxyEntry("emqx-lab-1", "warning", "slow")}, false, "1/2 proxies pass: emqx-lab-1 is warning: backends: slow"},
		{"two on one node count once", []*consul.ServiceEntry{proxyEntry("emqx-lab-0", "passing", ""), proxyEntry("emqx-lab-0", "passing", "")}, false, "1/2 proxies pass: only 2 instances of emqx-haproxy registered in Consul"},
		{
			"a dead node's entry does not hold up", []*consul.ServiceEntry{
				proxyEntry("emqx-lab-0", "passing", ""), proxyEntry("emqx-lab-1", "passing", ""), proxyEntry("emqx-lab-1", "critical", "gone"),
			}, true, "2/2 proxies pass",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			g := ProxiesReady(serviceFunc(func(name, tag string) ([]*consul.ServiceEntry, error) {
				assert.Equal(t, name+" "+tag, "emqx-haproxy lab")
				return c.entries, nil
			}), ProxiesReadyArgs{Service: "emqx-haproxy", Environment: "lab", Count: 2})
			s, err := once(t, g)
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
		})
	}
}

type serviceFunc func(name, tag string) ([]*consul.ServiceEntry, error)

func (f serviceFunc) Leader(context.Context) error { return nil }

func (f serviceFunc) Service(_ context.Context, name, tag string) ([]*consul.ServiceEntry, error) {
	return f(name, tag)
}

func TestProxiesReadyWaitsForTheDeploymentOfTheJob(t *testing.T) {
	f := &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")}}
	g := ProxiesReady(serviceFunc(func(string, string) ([]*consul.ServiceEntry, error) {
		t.Error("instances of the version before must not pass for the new one")
		return nil, nil
	}), ProxiesReadyArgs{Service: "emqx-haproxy", Environment: "lab", Count: 3, Nomad: f, Job: "emqx-lab"})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "deployment of version 4 is running: 1 placed, 0 healthy of 3")
}

func TestEdgeHealthy(t *testing.T) {
	for _, c := range []struct {
		name     string
		args     EdgeArgs
		backends map[string]string
		holds    bool
		seen     string
	}{
		{"all", EdgeArgs{Count: 2}, map[string]string{"mqtt/emqx-lab-0": "OK", "mqtt/emqx-lab-1": "OK"}, true, "2/2 backends healthy"},
		{"all, not counted", EdgeArgs{}, map[string]string{"mqtt/emqx-lab-0": "OK"}, true, "1/1 backends healthy"},
		{"none", EdgeArgs{}, nil, false, "0/1 backends healthy: the balancer knows only 0"},
		{"too few", EdgeArgs{Count: 4}, map[string]string{"mqtt/emqx-lab-0": "OK"}, false, "1/4 backends healthy: the balancer knows only 1"},
		{
			"sick",
			EdgeArgs{Count: 3},
			map[string]string{"mqtt/emqx-lab-0": "OK", "mqtt/emqx-lab-1": "CRITICAL", "ws/emqx-lab-1": "UNKNOWN"},
			false,
			"1/3 backends healthy: mqtt/emqx-lab-1 is CRITICAL; ws/emqx-lab-1 is UNKNOWN",
		},
		{"warning", EdgeArgs{}, map[string]string{"mqtt/emqx-lab-0": "WARNING"}, false, "0/1 backends healthy: mqtt/emqx-lab-0 is WARNING"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, err := once(t, EdgeHealthy(func(context.Context) (map[string]string, error) { return c.backends, nil }, c.args))
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
		})
	}
	_, err := once(t, EdgeHealthy(func(context.Context) (map[string]string, error) { return nil, errors.New("429 TooManyRequests") }, EdgeArgs{}))
	assert.Error(t, err, "asking the load balancer: 429 TooManyRequests")
}
