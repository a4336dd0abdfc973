//go:build lab

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// interruption is one operation that is cut off, and how the next run goes on.
type interruption struct {
	operation string  // update, scale-in or destroy
	image     bool    // the update changes the image, too: every node is rolled
	at        float64 // part of the operation's progress events that are let pass
	pause     time.Duration
	signal    syscall.Signal
	all       bool   // the engine and its plugins get the signal, too
	next      string // the command that has to finish: up or destroy
}

func (i interruption) String() string {
	who := "command"
	if i.all {
		who = "command and engine"
	}
	return fmt.Sprintf("%s at %.2f + %s, %s to %s, then %s", i.operation, i.at, i.pause, i.signal, who, i.next)
}

// usual is how many progress events each operation has, about: what is learnt from one
// that was not cut off stands in its place.
var usual = map[string]int{"update": 45, "scale-in": 35, "destroy": 130}

// otherImage is not the one that the lab's stack file has by naming none.
const otherImage = "    image: emqx/emqx:5.8.8\n"

// series goes through a lab's operations, cutting each off.
type series struct {
	*bed
	events map[string]int
	nodes  int
	image  bool // otherImage is set
}

const guardsOff = "  emqx-oci:guards:\n    allowVolumeDelete: true\n    allowScaleIn: true\n"

// newSeries needs a lab that is deployed with three nodes and healthy.
func newSeries(t *testing.T, b *bed) *series {
	t.Helper()
	b.edit(t, "  emqx-oci:gates:\n", guardsOff+"  emqx-oci:gates:\n")
	s := &series{bed: b, events: map[string]int{}, nodes: 3}
	for k, v := range usual {
		s.events[k] = v
	}
	return s
}

func (s *series) setNodes(t *testing.T, n int) {
	t.Helper()
	if n != s.nodes {
		s.edit(t, fmt.Sprintf("    count: %d\n", s.nodes), fmt.Sprintf("    count: %d\n", n))
		s.nodes = n
	}
}

func (s *series) setImage(t *testing.T, other bool) {
	t.Helper()
	const head = "  emqx-oci:broker:\n"
	switch {
	case other && !s.image:
		s.edit(t, head, head+otherImage)
	case !other && s.image:
		s.edit(t, otherImage, "")
	}
	s.image = other
}

// perform cuts one operation off, lets the next run finish it, and looks whether
// anything is there twice, left behind, or locked.
func (s *series) perform(t *testing.T, i interruption) (interrupted bool) {
	t.Helper()
	start := time.Now()
	verb := "up"
	switch i.operation {
	case "update":
		s.setNodes(t, 4)
		s.setImage(t, s.image != i.image)
	case "scale-in":
		s.setNodes(t, 3)
	case "destroy":
		verb = "destroy"
	}
	interrupted, code := s.cut(t, verb, i)
	cut := time.Since(start)
	if i.signal == syscall.SIGTERM && interrupted {
		assert.Assert(t, code == 128+int(syscall.SIGTERM) || code == 0, "exit %d after SIGTERM", code)
	}
	if i.operation == "destroy" && i.next == "destroy" {
		s.must(t, "destroy", "lab", "--yes")
		s.gone(t)
	}
	finish := time.Now()
	if i.operation == "destroy" && i.next == "up" && s.mixed(t) {
		// Some volumes are gone, and the others have data that no new cluster knows.
		r := s.run(t, "up", "lab", "--yes", "--json")
		assert.Assert(t, r.code == 1 && strings.Contains(r.stderr, "`emqx-oci destroy lab` finishes it"), "%s", r)
		s.must(t, "destroy", "lab", "--yes")
		s.gone(t)
	}
	s.must(t, "up", "lab", "--yes", "--json")
	took := time.Since(finish)
	s.whole(t)
	r := s.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	t.Logf("%s: cut off %v after %s, up again %s, all in %s", i, interrupted, cut.Round(time.Second), took.Round(time.Second), time.Since(start).Round(time.Second))
	return interrupted
}

// mixed tells whether some of the volumes are gone, once nothing is on its way out.
func (s *series) mixed(t *testing.T) bool {
	t.Helper()
	left := 0
	eventually(t, time.Minute, "volumes stay or go", func() error {
		left = 0
		for _, v := range s.status(t).Cloud.Volumes {
			if v.State == "TERMINATING" {
				return fmt.Errorf("%s is %s", v.Name, v.State)
			}
			left++
		}
		return nil
	})
	return left > 0 && left < s.nodes
}

// cut runs a command and cuts it off. It returns the exit code, and whether there was
// something left to cut off.
func (s *series) cut(t *testing.T, verb string, i interruption) (interrupted bool, code int) {
	t.Helper()
	cmd := s.command(context.Background(), verb, "lab", "--yes", "--json")
	counter := &lineCounter{at: max(1, int(i.at*float64(s.events[i.operation]))), reached: make(chan struct{})}
	var stderr syncBuffer
	cmd.Stdout, cmd.Stderr = counter, &stderr
	assert.NilError(t, cmd.Start())
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	select {
	case <-counter.reached:
		select {
		case <-time.After(i.pause):
		case <-ended:
		}
	case <-ended:
	}
	select {
	case <-ended:
		s.events[i.operation] = counter.count()
		assert.Equal(t, cmd.ProcessState.ExitCode(), 0, "%s: %s", i, stderr.String()+counter.String())
		return false, 0
	default:
	}
	targets := []int{cmd.Process.Pid}
	if i.all {
		targets = append(targets, ours(t, s.dir)...)
	}
	for _, pid := range slices.Compact(targets) {
		_ = syscall.Kill(pid, i.signal)
	}
	<-ended
	t.Logf("%s: exit %d after %d events; last: %s; %s", i, cmd.ProcessState.ExitCode(), counter.count(), counter.last(), strings.TrimSpace(stderr.String()))
	return true, cmd.ProcessState.ExitCode()
}

// lineCounter tells when so many lines were written.
type lineCounter struct {
	mu      sync.Mutex
	text    bytes.Buffer
	n, at   int
	reached chan struct{}
}

func (c *lineCounter) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.text.Write(p)
	before := c.n
	c.n += bytes.Count(p, []byte("\n"))
	if before < c.at && c.n >= c.at {
		close(c.reached)
	}
	return len(p), nil
}

func (c *lineCounter) count() int { c.mu.Lock(); defer c.mu.Unlock(); return c.n }

func (c *lineCounter) String() string { c.mu.Lock(); defer c.mu.Unlock(); return c.text.String() }

// last is what the last event was of.
func (c *lineCounter) last() string {
	lines := strings.Split(strings.TrimSpace(c.String()), "\n")
	var e struct{ Event, Op, Status, Name, Gate, Message string }
	_ = json.Unmarshal([]byte(lines[len(lines)-1]), &e)
	return strings.Join(strings.Fields(strings.Join([]string{e.Event, e.Op, e.Name, e.Status, e.Gate, e.Message}, " ")), " ")
}

// ours are the processes of the engine and its plugins that work on this lab.
func ours(t *testing.T, dir string) []int {
	t.Helper()
	var found []int
	for pid := range processes(t) {
		env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
		if bytes.Contains(env, []byte("EMQX_OCI_RUN=")) && bytes.Contains(env, []byte(dir+"/")) {
			found = append(found, pid)
		}
	}
	return found
}

// whole looks whether everything of the stack is there once, and nothing else.
func (s *series) whole(t *testing.T) {
	t.Helper()
	st := status(t, s.bed)
	index := map[string]int{}
	for _, i := range st.Cloud.Instances {
		if i.State != "TERMINATED" {
			index[i.Name+" "+i.State]++
		}
	}
	want := map[string]int{}
	for i := range s.nodes {
		want[fmt.Sprintf("emqx-lab-%d RUNNING", i)] = 1
	}
	assert.DeepEqual(t, index, want)
	assert.Equal(t, len(st.Cloud.Volumes), s.nodes, "%+v", st.Cloud.Volumes)
	assert.Equal(t, len(st.Cloud.Addresses), s.nodes, "%+v", st.Cloud.Addresses)
	assert.Equal(t, len(st.Cloud.Balancers), 1, "%+v", st.Cloud.Balancers)
	for _, set := range st.Cloud.Balancers[0].Sets {
		assert.Equal(t, len(set.Backends), s.nodes, "%+v", set)
	}
	assert.Equal(t, len(st.Cloud.Records), 1, "%+v", st.Cloud.Records)
	assert.Equal(t, len(st.Cloud.Unclaimed), 0, "%v", st.Cloud.Unclaimed)
	s.cloudIsState(t)

	c := nomadClient(t)
	jobs, _, err := c.Jobs().List(nil)
	assert.NilError(t, err)
	assert.Equal(t, len(jobs), 2, "%+v", jobs)
	for _, job := range []string{emqxJob, proxyJob} {
		names := map[string]bool{}
		all := running(t, c, job)
		for _, a := range all {
			names[a.Name] = true
		}
		assert.Assert(t, len(all) == s.nodes && len(names) == s.nodes, "%s: %d allocations of %v", job, len(all), names)
	}
	wantMembers(t, c, s.nodes)
	services, _, err := consulClient(t).Catalog().Service("emqx", "", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(services), s.nodes, "%+v", services)
	members, _, err := consulClient(t).Catalog().Service("emqx-cluster", "", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(members), s.nodes, "%+v", members)
	s.quiet(t)
}

// gone looks whether nothing of the stack is left.
func (s *series) gone(t *testing.T) {
	t.Helper()
	nothingLeft(t, s.bed)
	noOutputs(t, s.bed)
	s.cloudIsState(t)
	s.quiet(t)
}

// quiet looks for what a run must not leave on this machine.
func (s *series) quiet(t *testing.T) {
	t.Helper()
	for _, pid := range ours(t, s.dir) {
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		t.Errorf("process %d is left: %s", pid, bytes.ReplaceAll(line, []byte{0}, []byte(" ")))
	}
	locks, err := filepath.Glob(filepath.Join(s.dir, "pulumi", ".pulumi", "locks", "*", "*", "*", "*.json"))
	assert.NilError(t, err)
	assert.Equal(t, len(locks), 0, "%v", locks)
}

// cloudIsState compares all that the cloud holds with all that the stack knows.
func (s *series) cloudIsState(t *testing.T) {
	t.Helper()
	var cloud struct {
		Resources map[string]struct{ Token string }
	}
	text, err := os.ReadFile(filepath.Join(s.dir, "cloud", "cloud.json"))
	assert.NilError(t, err)
	assert.NilError(t, json.Unmarshal(text, &cloud))
	files, err := filepath.Glob(filepath.Join(s.dir, "pulumi", ".pulumi", "stacks", "*", "lab.json"))
	assert.NilError(t, err)
	assert.Equal(t, len(files), 1)
	text, err = os.ReadFile(files[0])
	assert.NilError(t, err)
	var state struct {
		Checkpoint struct {
			Latest struct {
				Resources []struct {
					URN, ID, Type string
					Delete        bool
				}
				Pending []json.RawMessage `json:"pending_operations"`
			}
		}
	}
	assert.NilError(t, json.Unmarshal(text, &state))
	var real, known []string
	for id, r := range cloud.Resources {
		if r.Token != "oci:NetworkLoadBalancer/backend:Backend" { // which are parts of their sets
			real = append(real, r.Token+" "+id)
		}
	}
	urns := map[string]bool{}
	for _, r := range state.Checkpoint.Latest.Resources {
		assert.Assert(t, !urns[r.URN] && !r.Delete, "%s is in the state twice", r.URN)
		urns[r.URN] = true
		if strings.HasPrefix(r.Type, "oci:") {
			typ := strings.Replace(r.Type, "networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", "backendSet:BackendSet", 1)
			known = append(known, typ+" "+r.ID)
		}
	}
	slices.Sort(real)
	slices.Sort(known)
	assert.DeepEqual(t, real, known)
	assert.Equal(t, len(state.Checkpoint.Latest.Pending), 0, "%s", state.Checkpoint.Latest.Pending)
}

// interrupted cuts off one operation of each kind, at points where much is under way.
func interrupted(t *testing.T, b *bed) {
	s := newSeries(t, b)
	for _, i := range []interruption{
		{operation: "update", at: 0.3, signal: syscall.SIGKILL, all: true, next: "up"},
		{operation: "scale-in", at: 0.6, signal: syscall.SIGTERM, all: true, next: "up"},
		{operation: "destroy", at: 0.4, signal: syscall.SIGKILL, next: "up"},
	} {
		assert.Assert(t, s.perform(t, i), "%s: ended before", i)
	}
	s.edit(t, guardsOff, "")
}
