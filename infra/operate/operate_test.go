package operate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// world is three nodes of stack lab with everything on them. Commands in its
// allocations run in a real shell, whose `emqx ctl` prints what the member says.
type world struct {
	gates.NomadClient // what is not asked
	t                 *testing.T

	mu      sync.Mutex
	nodes   []*nomad.NodeListStub
	allocs  []*nomad.AllocationListStub
	proxies []*nomad.AllocationListStub
	job     *nomad.Job
	checks  []*consul.ServiceEntry
	says    map[string]string // by allocation: its page of members; "" is a member that waits
	clients map[string]int    // by allocation
	late    map[string]int    // by allocation: how many questions run out of time
	fresh   bool              // no member has data of an earlier life
	slow    bool              // moving goes on until nobody waits for it
	gone    bool              // the nodes are, and Nomad has not noticed
	calls   []string

	nomadErr, consulErr error
	move                func(i, count, rate int) (moved int, err error)
	formed              func() (gates.Status, error)

	now time.Time
}

func at(t time.Time) *nomad.TaskState {
	return &nomad.TaskState{State: "running", StartedAt: t, Events: []*nomad.TaskEvent{{Type: nomad.TaskStarted, DisplayMessage: "Task started by client"}}}
}

func member(i int) string { return fmt.Sprintf("emqx@emqx-lab-%d.node.dc1.consul", i) }

func running(members ...int) string {
	names := make([]string, len(members))
	for i, m := range members {
		names[i] = `"` + member(m) + `"`
	}
	return strings.Join(names, ",")
}

func newWorld(t *testing.T, count int) *world {
	w := &world{t: t, says: map[string]string{}, clients: map[string]int{}, late: map[string]int{}, now: time.Now().Add(24 * time.Hour)}
	all := make([]int, count)
	for i := range all {
		all[i] = i
	}
	started := w.now.Add(-2 * time.Hour)
	for i := range count {
		name, node := fmt.Sprintf("emqx-lab-%d", i), fmt.Sprintf("%d0000000-aaaa", i)
		w.nodes = append(w.nodes, &nomad.NodeListStub{ID: node, Name: name, Status: nomad.NodeStatusReady, SchedulingEligibility: nomad.NodeSchedulingEligible})
		id := fmt.Sprintf("b%d000000-bbbb", i)
		w.allocs = append(w.allocs, &nomad.AllocationListStub{
			ID: id, Name: fmt.Sprintf("emqx-lab.emqx[%d]", i), NodeID: node, DesiredStatus: "run", ClientStatus: "running",
			TaskStates: map[string]*nomad.TaskState{"emqx": at(started)},
		})
		w.proxies = append(w.proxies, &nomad.AllocationListStub{
			ID: fmt.Sprintf("c%d000000-cccc", i), Name: fmt.Sprintf("emqx-lab-haproxy.haproxy[%d]", count-1-i), NodeID: node, DesiredStatus: "run", ClientStatus: "running",
			TaskStates: map[string]*nomad.TaskState{"haproxy": at(started)},
		})
		w.checks = append(w.checks, &consul.ServiceEntry{Node: &consul.Node{Node: name}, Checks: consul.HealthChecks{{Status: consul.HealthPassing}}})
		w.says[id] = running(all...)
	}
	id, status, zero := "emqx-lab", "running", uint64(0)
	w.job = &nomad.Job{ID: &id, Status: &status, Version: &zero, CreateIndex: &zero, TaskGroups: []*nomad.TaskGroup{{
		Tasks: []*nomad.Task{{Name: "emqx", Config: map[string]any{"image": "emqx/emqx:5.8.9"}}},
	}}}
	return w
}

func (w *world) cluster() *Cluster {
	w.t.Helper()
	c := Config{Environment: "lab", Datacenter: "dc1", Count: len(w.allocs), Nomad: w, Consul: catalog{w}, Clock: w, Proxy: testProxy}
	if w.formed != nil {
		c.Formed = gates.Gate{Check: func(context.Context) (gates.Status, error) { return w.formed() }}
	}
	cluster, err := New(c)
	assert.NilError(w.t, err)
	return cluster
}

// lose takes a node away, with what runs on it.
func (w *world) lose(i int) {
	w.nodes[i].Status = nomad.NodeStatusDown
	w.allocs[i].ClientStatus, w.allocs[i].DesiredStatus = "lost", "stop"
	w.proxies[i].ClientStatus, w.proxies[i].DesiredStatus = "lost", "stop"
	w.checks[i] = &consul.ServiceEntry{Node: &consul.Node{Node: "another"}}
}

func (w *world) Nodes(context.Context) ([]*nomad.NodeListStub, error) { return w.nodes, w.nomadErr }
func (w *world) Job(context.Context, string) (*nomad.Job, error)      { return w.job, w.nomadErr }
func (w *world) Evaluations(context.Context, string) ([]*nomad.Evaluation, error) {
	return nil, w.nomadErr
}
func (w *world) Now() time.Time                                   { return w.now }
func (w *world) Sleep(ctx context.Context, _ time.Duration) error { return ctx.Err() }
func (w *world) Deployments(context.Context, string) ([]*nomad.Deployment, error) {
	return nil, w.nomadErr
}

func (w *world) Allocations(_ context.Context, job string) ([]*nomad.AllocationListStub, error) {
	if w.nomadErr != nil {
		return nil, w.nomadErr
	}
	if job == "emqx-lab" {
		return w.allocs, nil
	}
	return w.proxies, nil
}

// catalog is the world's Consul.
type catalog struct{ *world }

func (w catalog) Leader(context.Context) error { return w.consulErr }

func (w catalog) Service(context.Context, string, string) ([]*consul.ServiceEntry, error) {
	return w.checks, w.consulErr
}

// Stream moves clients.
func (w *world) Stream(ctx context.Context, alloc, task string, s gates.Streams, command ...string) (int, error) {
	assert.Check(w.t, task == "emqx")
	assert.Check(w.t, slices.Contains(command, "move"), "%v", command)
	var i, count, rate int
	_, err := fmt.Sscan(alloc[1:2]+" "+strings.Join(command[len(command)-2:], " "), &i, &count, &rate)
	assert.Check(w.t, err)
	moved, err := w.move(i, count, rate)
	if err != nil {
		return 0, err
	}
	if w.slow {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	_, err = fmt.Fprintf(s.Out, "%d\n", moved)
	return 0, err
}

func (w *world) Exec(ctx context.Context, alloc, task string, command ...string) (r gates.ExecResult, err error) {
	assert.Check(w.t, task == "emqx")
	if w.gone {
		return r, errors.New("Unexpected response code: 404 (No path to node)")
	}
	w.mu.Lock()
	w.calls = append(w.calls, alloc)
	says, clients := w.says[alloc], w.clients[alloc]
	w.late[alloc]--
	late := w.late[alloc] >= 0
	w.mu.Unlock()
	if late && len(command) > 1 && command[0] == "timeout" {
		return gates.ExecResult{Exit: 124}, nil
	}
	running, stopped, _ := strings.Cut(says, "|")
	page := httptest.NewServer(http.HandlerFunc(func(out http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v5/prometheus/stats":
			_, _ = fmt.Fprintf(out, "# TYPE x gauge\nemqx_connections_count 99\nemqx_live_connections_count %d\nemqx_sessions_count{node=\"x\"} %d\nemqx_cluster_nodes_stopped %d\n",
				clients, clients+1, strings.Count(stopped, "@"))
		case "/api/v5/cluster":
			_, _ = fmt.Fprintf(out, `{"name":"emqxcl","nodes":[%s],"self":"x"}`, running)
		case "/api/v5/nodes":
			_, _ = fmt.Fprintf(out, `[{"node":%s,"node_status":"stopped"}]`, stopped)
		}
	}))
	defer page.Close()
	address := strings.TrimPrefix(page.URL, "http://")
	if says == "" {
		address = "127.0.0.1:1" // nobody has it; a port that was closed may be another test's by now
	}
	dir := w.t.TempDir()
	assert.Check(w.t, os.WriteFile(filepath.Join(dir, "key"), []byte("key:secret\n"), 0o600))
	assert.Check(w.t, os.MkdirAll(filepath.Join(dir, "mnesia", "emqx@x"), 0o700))
	if w.fresh {
		assert.Check(w.t, os.RemoveAll(filepath.Join(dir, "mnesia")))
	}
	var out, said strings.Builder
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "NOMAD_ADDR_dashboard=" + address, "KEY_FILE=" + filepath.Join(dir, "key"),
		"EMQX_NODE__DATA_DIR=" + dir, "EMQX_NODE__NAME=emqx@x",
	}
	cmd.Stdout, cmd.Stderr = &out, &said
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return r, err
	}
	return gates.ExecResult{Stdout: out.String(), Stderr: said.String(), Exit: cmd.ProcessState.ExitCode()}, nil
}

func what(s Status) (out []string) {
	for _, p := range s.Problems {
		out = append(out, p.What)
	}
	return out
}

func TestAWholeClusterIsWell(t *testing.T) {
	w := newWorld(t, 3)
	w.clients["b1000000-bbbb"] = 7
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.DeepEqual(t, what(s), []string(nil))
	assert.Assert(t, s.Well)
	n := s.Nodes[1]
	assert.Equal(t, n.Nomad+n.Member+n.Check+n.Broker.State+n.Proxy.State, "readyrunningpassingrunningrunning")
	assert.Equal(t, *n.Clients, 7)
	assert.Equal(t, *n.Sessions, 8)
	assert.Equal(t, n.Proxy.ID, "c1000000-cccc")
	assert.Equal(t, s.Broker.Image, "emqx/emqx:5.8.9")
}

// After a full stop members wait in silence: somebody has to say for whom.
func TestMembersThatWaitAfterAFullStop(t *testing.T) {
	w := newWorld(t, 3)
	w.lose(2)
	w.says = map[string]string{}
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Nodes[0].Member+" "+s.Nodes[2].Member, "waiting stopped")
	assert.DeepEqual(t, said(s), []string{
		"emqx-lab-2 is down in Nomad",
		"  whether the instance runs: the pool replaces one that has ended, and the node comes back by itself",
		"no member serves: emqx-lab-0 and emqx-lab-1 wait for the one that stopped last, which can only be " +
			"emqx@emqx-lab-2.node.dc1.consul (its node is down): bring it back, and all serve by themselves",
		"  only if it never returns, for what it alone knew is lost: `nomad alloc exec -task emqx b0000000 emqx_cluster_rescue force-load` on one of them, " +
			"then `nomad alloc exec -task emqx b0000000 emqx ctl cluster force-leave emqx@emqx-lab-2.node.dc1.consul`",
	})
}

// A power cut takes all nodes: what they have in common is said once.
func TestNodesThatAreTheSameComeInOneLine(t *testing.T) {
	w := newWorld(t, 3)
	w.lose(0)
	w.lose(1)
	w.gone = true
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Nodes[2].Nomad+" "+s.Nodes[2].Member, "silent unknown")
	assert.DeepEqual(t, what(s), []string{
		"emqx-lab-0 and emqx-lab-1 are down in Nomad",
		"emqx-lab-2 is out of reach of the Nomad servers, which have not noticed yet",
	})
}

func said(s Status) (out []string) {
	for _, p := range s.Problems {
		out = append(out, p.What, "  "+p.Next)
	}
	return out
}

// A question that ran out of time says nothing of the member, and has no cure: to restart
// one that is only busy would cost its clients their sessions.
func TestABusyMemberIsNotSick(t *testing.T) {
	w := newWorld(t, 3)
	w.late["b1000000-bbbb"], w.late["b2000000-bbbb"] = 1, 1
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Nodes[0].Member+" "+s.Nodes[1].Member, "running unknown")
	assert.DeepEqual(t, said(s), []string{
		"EMQX on emqx-lab-1 and emqx-lab-2 are not known to be well: its API did not answer within 10s",
		"  look again: a node that is busy answers late; one that never answers hangs, and the others call it stopped after two minutes",
	})
	assert.Assert(t, !s.Well, "nobody knows")
	s = w.cluster().Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Well, "%v", said(s))

	// All of them: after a full stop it would look the same, and nobody may say that it was one.
	for _, a := range w.allocs {
		w.late[a.ID] = 1
	}
	s = w.cluster().Status(t.Context(), StatusOptions{})
	for _, line := range said(s) {
		assert.Assert(t, !strings.Contains(line, "full stop") && !strings.Contains(line, "restart") && !strings.Contains(line, "force"), line)
	}

	// The others know more of one that hangs.
	w.late["b1000000-bbbb"] = 1
	w.says["b0000000-bbbb"], w.says["b2000000-bbbb"] = running(0, 2)+"|"+running(1), running(0, 2)+"|"+running(1)
	s = w.cluster().Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Nodes[1].Member, "stopped")
	assert.DeepEqual(t, said(s), []string{
		"EMQX on emqx-lab-1: its API did not answer within 10s, and others call it stopped",
		"  whether it hangs or its network is cut: `nomad alloc logs b1000000`; they count it in again when it answers them",
	})
}

// A look asks each member once: its view serves the gate, too.
func TestALookAsksEachMemberOnce(t *testing.T) {
	w := newWorld(t, 3)
	c := w.cluster()
	c.Formed = gates.ClusterFormed(w, gates.ClusterFormedArgs{Job: "emqx-lab", Nodes: []string{member(0), member(1), member(2)}})
	s := c.Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Well, "%v", said(s))
	assert.Equal(t, len(w.calls), 3, "%v", w.calls)
}

func TestAFirstStartIsNoFullStop(t *testing.T) {
	w := newWorld(t, 3)
	w.says, w.fresh = map[string]string{}, true
	for _, a := range w.allocs {
		a.TaskStates["emqx"].StartedAt = w.now.Add(-10 * time.Second)
	}
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.DeepEqual(t, said(s), []string{"EMQX on emqx-lab-0, emqx-lab-1 and emqx-lab-2 are starting", "  "})
}

func TestMembersThatWaitForOneAnother(t *testing.T) {
	w := newWorld(t, 3)
	w.says = map[string]string{}
	for _, a := range w.allocs {
		a.TaskStates["emqx"].StartedAt = w.now.Add(-10 * time.Second)
	}
	s := w.cluster().Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Nodes[0].Member, "starting")
	assert.DeepEqual(t, said(s), []string{
		"no member serves: emqx-lab-0, emqx-lab-1 and emqx-lab-2 wait for one another; after a full stop each waits for the one that stopped last", "  ",
	})
	w.now = w.now.Add(time.Hour)
	s = w.cluster().Status(t.Context(), StatusOptions{})
	assert.Assert(t, strings.Contains(s.Problems[0].Next, "emqx_cluster_rescue force-load"), s.Problems[0].Next)
}

func TestWhatElseIsTheMatter(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world)
		want   []string
	}{
		"Nomad is away":  {func(w *world) { w.nomadErr = errors.New("cannot reach Nomad at x") }, []string{"cannot reach Nomad at x"}},
		"Consul is away": {func(w *world) { w.consulErr = errors.New("cannot reach Consul at x") }, []string{"cannot reach Consul at x"}},
		"a node drains":  {func(w *world) { w.nodes[0].Drain = true }, []string{"emqx-lab-0 is draining in Nomad"}},
		"not eligible": {func(w *world) { w.nodes[0].SchedulingEligibility = "ineligible" }, []string{
			"emqx-lab-0 is not eligible for scheduling in Nomad",
		}},
		"the old entry of a relaunched node": {func(w *world) {
			w.nodes = append(w.nodes, &nomad.NodeListStub{ID: "old", Name: "emqx-lab-1", Status: nomad.NodeStatusDown, ModifyIndex: 9})
		}, nil},
		"a job is stopped": {func(w *world) { stop := true; w.job.Stop = &stop }, []string{"job emqx-lab is stopped", "job emqx-lab-haproxy is stopped"}},
		"one waits": {func(w *world) { w.says["b1000000-bbbb"], w.says["b0000000-bbbb"] = "", running(0, 2) }, []string{
			"EMQX on emqx-lab-1 runs, but does not serve, 2h00m after its start: nothing listens on its API's port",
		}},
		"a split": {func(w *world) { w.says["b0000000-bbbb"] = running(0, 1) }, []string{
			"the cluster is split: emqx-lab-0 sees emqx-lab-0 and emqx-lab-1; emqx-lab-1 and emqx-lab-2 see emqx-lab-0, emqx-lab-1 and emqx-lab-2",
		}},
		"a dead member": {func(w *world) {
			for id := range w.says {
				w.says[id] = running(0, 1, 2) + "|" + running(3)
			}
		}, []string{member(3) + " is a member that the stack does not want"}},
		"a task that fails": {func(w *world) {
			w.allocs[1].ClientStatus = "failed"
			w.allocs[1].TaskStates["emqx"] = &nomad.TaskState{State: "dead", Failed: true, Events: []*nomad.TaskEvent{
				{Type: nomad.TaskDriverFailure, DisplayMessage: "no such image"}, {Type: nomad.TaskNotRestarting, DisplayMessage: "enough"},
			}}
			w.says["b0000000-bbbb"], w.says["b2000000-bbbb"] = running(0, 2), running(0, 2)
		}, []string{"EMQX on emqx-lab-1 is failed: Driver Failure: no such image, then Not Restarting: enough"}},
		"a relaunched node that Nomad leaves out": {func(w *world) {
			w.allocs[1].ClientStatus, w.allocs[1].NodeID = "unknown", "old"
			w.says["b0000000-bbbb"], w.says["b2000000-bbbb"] = running(0, 2), running(0, 2)
		}, []string{"EMQX on emqx-lab-1 is not placed: Nomad still waits for the instance that was there before, for 15 minutes at most"}},
		"a proxy that fails": {func(w *world) {
			w.checks[2].Checks = consul.HealthChecks{{Status: consul.HealthCritical, Output: "connection refused"}}
		}, []string{"HAProxy on emqx-lab-2 is critical: connection refused"}},
		"tasks that Nomad never starts": {func(w *world) {
			received := &nomad.TaskState{State: "running", Events: []*nomad.TaskEvent{{Type: nomad.TaskStarted}, {Type: nomad.TaskReceived, Time: time.Now().Add(-time.Hour).UnixNano()}}}
			w.allocs[1].TaskStates["emqx"], w.proxies[2].TaskStates["haproxy"] = received, received
			w.checks[2].Checks = consul.HealthChecks{{Status: consul.HealthCritical, Output: "connection refused"}}
		}, []string{
			"EMQX on emqx-lab-1 is received again by Nomad's agent, after a power cut say, and never started",
			"HAProxy on emqx-lab-2 is received again by Nomad's agent, after a power cut say, and never started",
		}},
		"what only a gate knows": {func(w *world) {
			w.formed = func() (gates.Status, error) {
				return gates.Status{}, gates.Fatal(errors.New("went back to an older one"))
			}
		}, []string{"went back to an older one"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, 3)
			c.change(w)
			cluster := w.cluster()
			if len(cluster.Nodes) > 3 {
				cluster.Nodes = cluster.Nodes[:3]
			}
			s := cluster.Status(t.Context(), StatusOptions{})
			assert.DeepEqual(t, what(s), c.want)
			assert.Equal(t, s.Well, len(c.want) == 0)
		})
	}
}

// A check that fails for one reason is not explained by another.
func TestWhyAProxyIsNotHealthy(t *testing.T) {
	for output, want := range map[string]string{
		"HTTP GET http://10.80.1.12:8080/haproxy_health: 503 Service Unavailable Output: ":                       "its page fails while a protocol has no broker; clients of other nodes go on",
		`Get "http://10.80.1.12:8080/haproxy_health": context deadline exceeded (Client.Timeout exceeded while)`: "a node that is busy answers late; clients of other nodes go on",
		"dial tcp 10.80.1.12:8080: connect: connection refused":                                                  "whether HAProxy runs there; clients of other nodes go on",
	} {
		w := newWorld(t, 3)
		w.checks[2].Checks = consul.HealthChecks{{Status: consul.HealthCritical, Output: output}}
		s := w.cluster().Status(t.Context(), StatusOptions{})
		assert.Equal(t, len(s.Problems), 1)
		assert.Equal(t, s.Problems[0].Next, "`nomad alloc logs c2000000`; "+want)
	}
}

func TestAskGoesToTheMemberOfANode(t *testing.T) {
	w := newWorld(t, 3)
	r, err := w.cluster().Ask(t.Context(), 1, "sh", "-c", "echo out; echo err >&2; exit 3")
	assert.NilError(t, err)
	assert.DeepEqual(t, r, gates.ExecResult{Stdout: "out\n", Stderr: "err\n", Exit: 3})
	assert.DeepEqual(t, w.calls, []string{"b1000000-bbbb"})

	w.lose(1)
	_, err = w.cluster().Ask(t.Context(), 1, "true")
	assert.ErrorIs(t, err, ErrNotRunning)
	_, err = w.cluster().Ask(t.Context(), 3, "true")
	assert.ErrorContains(t, err, "must be 0 to 2")
}

func TestNewNamesAllThatIsMissing(t *testing.T) {
	_, err := New(Config{Environment: "lab"})
	assert.ErrorContains(t, err, "the number of nodes is missing")
	assert.ErrorContains(t, err, "Consul is missing")
	assert.ErrorContains(t, err, "the proxy is missing")
}

// testProxy is where the proxies of the tests' cluster are.
var testProxy = ProxyConfig{Title: "HAProxy", Job: "emqx-lab-haproxy", Service: "emqx-haproxy"}
