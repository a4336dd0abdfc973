package broker

import (
	"fmt"
	"maps"
	"net"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// ways are the connections between every two nodes, which a test can cut: nothing arrives, and
// nobody is told, as where a network drops packets.
type ways struct {
	l     *lab
	names []*names // what each node hears
	mu    sync.Mutex
	cut   map[[2]int]chan struct{} // closed when the cut ends
}

// newWays has each node of the lab reach the others by an address of its own for each.
func newWays(l *lab) *ways {
	w := &ways{l: l, cut: map[[2]int]chan struct{}{}}
	for from := range l.dirs {
		names := newNames(l.t, fmt.Sprintf("%s%d:5353", l.subnet, 200+from))
		names.set(func() {
			names.srv = maps.Clone(l.dns.srv)
			for to := range l.dirs {
				names.a[fmt.Sprintf("n%d.test.", to)] = w.address(from, to)
			}
			names.a[fmt.Sprintf("n%d.test.", from)] = l.ip(from)
		})
		w.names = append(w.names, names)
		for to := range l.dirs {
			if from != to {
				w.serve(from, to, "4370")
				w.serve(from, to, "5370")
			}
		}
	}
	return w
}

func (w *ways) address(from, to int) string { return fmt.Sprintf("%s%d", w.l.subnet, 100+10*from+to) }

// options are those of a node in such a lab, which notices a death after three seconds: for as long a machine that does
// much else may let a living one wait.
func (w *ways) options(i int) Options {
	o := w.l.options(i, "EMQX_NODE__DIST_NET_TICKTIME=3s")
	o.Resolver = w.names[i].resolver()
	return impatient(o)
}

func (w *ways) serve(from, to int, port string) {
	ln, err := net.Listen("tcp", w.address(from, to)+":"+port)
	assert.NilError(w.l.t, err)
	w.l.t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			in, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = in.Close() }()
				w.pass(from, to)
				out, err := net.Dial("tcp", w.l.ip(to)+":"+port)
				if err != nil {
					return
				}
				defer func() { _ = out.Close() }()
				go w.copy(out, in, from, to)
				w.copy(in, out, from, to)
			}()
		}
	}()
}

// pass waits until the way is open.
func (w *ways) pass(a, b int) {
	w.mu.Lock()
	open := w.cut[[2]int{min(a, b), max(a, b)}]
	w.mu.Unlock()
	if open != nil {
		<-open
	}
}

func (w *ways) copy(to, from net.Conn, a, b int) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		w.pass(a, b)
		if err != nil {
			return
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return
		}
	}
}

// part cuts pairs of nodes, and returns what ends the cut.
func (w *ways) part(pairs ...[2]int) (end func()) {
	open := make(chan struct{})
	w.mu.Lock()
	for _, p := range pairs {
		w.cut[p] = open
	}
	w.mu.Unlock()
	return sync.OnceFunc(func() {
		w.mu.Lock()
		for _, p := range pairs {
			delete(w.cut, p)
		}
		w.mu.Unlock()
		close(open)
	})
}

// startInTurn starts the nodes one after the other: the first is the oldest.
func (w *ways) startInTurn(autoheal string) []*proc {
	var procs []*proc
	var ids []int
	for i := range w.l.dirs {
		o := w.options(i)
		o.Env = append(o.Env, "EMQX_CLUSTER__AUTOHEAL="+autoheal)
		procs = append(procs, w.l.run(i, o))
		w.l.wantUp(i)
		ids = append(ids, i)
		w.l.wantCluster(i, ids, nil)
	}
	w.l.wantWhole()
	return procs
}

// wantSaid waits until a node's log has a text so many times.
func (p *proc) wantSaid(t *testing.T, text string, times int) {
	t.Helper()
	eventually(t, func() string {
		if n := strings.Count(p.out.String(), text); n != times {
			return fmt.Sprintf("%q stands %d times in the log, not %d", text, n, times)
		}
		return ""
	})
}

const joined = "joined the cluster of emqx@n0.test"

// One of three is cut off for longer than the tick time: it restarts, and has the others' data.
func TestTheSmallerSideLoadsFromTheLargerOne(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	w := newWays(l)
	procs := w.startInTurn("true")
	kept := l.mqtt(1, connectOpts{id: "kept", v: 5, keep: true})
	kept.subscribe("cmd/#", 1)
	lost := l.mqtt(0, connectOpts{id: "lost", v: 5, keep: true})
	lost.subscribe("cmd/#", 1)
	l.mqtt(2, connectOpts{id: "pub"}).publish("state/before", "x", 1, true)
	eventually(t, func() string {
		if out, _ := l.ctl(0, "retainer", "topics"); out != "state/before" {
			return "node 0 retains " + out
		}
		return ""
	})
	lost.subscribe("state/before", 1)
	lost.wantMessage("state/before", "x")

	heal := w.part([2]int{0, 1}, [2]int{0, 2})
	l.wantCluster(0, []int{0}, []int{1, 2})
	l.wantCluster(1, []int{1, 2}, []int{0})
	l.wantCluster(2, []int{1, 2}, []int{0})
	// Both sides serve, and neither hears the other.
	small := l.mqtt(0, connectOpts{id: "pub-small"})
	small.publish("cmd/small", "1", 1, false)
	lost.wantMessage("cmd/small", "1")
	small.publish("state/small", "mine", 1, true)
	large := l.mqtt(2, connectOpts{id: "pub-large"})
	large.publish("cmd/large", "2", 1, false)
	kept.wantMessage("cmd/large", "2")
	large.publish("state/large", "ours", 1, true)

	heal()
	procs[0].wantSaid(t, "Core cluster partition", 2)
	procs[1].wantSaid(t, "Core cluster partition", 1)
	large.publish("cmd/large", "3", 1, false) // still apart
	kept.wantMessage("cmd/large", "3")
	lost.wantClosed()
	l.wantWhole()
	kept.wantSilence(100 * time.Millisecond)
	procs[0].wantSaid(t, "joined the cluster of", 1)
	for _, p := range procs[1:] {
		assert.Assert(t, strings.Count(p.out.String(), "joined the cluster of") <= 1, "a node of the larger side restarted")
	}
	again, ack := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "lost", v: 5, keep: true})
	assert.Equal(t, ack.SessionPresent, false)
	again.subscribe("state/#", 1)
	got := map[string]bool{}
	for range 2 {
		got[again.want(packets.Publish).TopicName] = true
	}
	assert.DeepEqual(t, got, map[string]bool{"state/before": true, "state/large": true})
	again.wantSilence(100 * time.Millisecond)
	again.subscribe("cmd/#", 1)
	l.wantRoute(2, "cmd/#", 0, 1)
	large.publish("cmd/large", "4", 1, false)
	again.wantMessage("cmd/large", "4")
	kept.wantMessage("cmd/large", "4")
}

// Two of three do not reach each other, the third reaches both: the oldest side is right, and all
// others restart, also the one that saw everybody.
func TestOverlappingPartitions(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	w := newWays(l)
	procs := w.startInTurn("true")
	heal := w.part([2]int{0, 2})
	l.wantCluster(0, []int{0, 1}, []int{2})
	l.wantCluster(1, []int{0, 1, 2}, nil)
	l.wantCluster(2, []int{1, 2}, []int{0})
	heal()
	for _, p := range procs[1:] { // at the start, and now
		p.wantSaid(t, joined, 2)
	}
	l.wantWhole()
}

// One that was frozen does not know that it was called dead, until the others tell it.
func TestAMemberFrozenForLongRestarts(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3, "EMQX_NODE__DIST_NET_TICKTIME=3s")
	l.startImpatient(0)
	l.wantUp(0)
	l.startImpatient(1)
	frozen := l.startProcess(2)
	l.wantWhole()
	c, _ := connect(t, dial(t, l.ip(2)+":1883"), connectOpts{id: "there", v: 5, keep: true})
	c.subscribe("cmd/#", 1)
	assert.NilError(t, frozen.Signal(syscall.SIGSTOP))
	l.wantCluster(0, []int{0, 1}, []int{2})
	l.wantCluster(1, []int{0, 1}, []int{2})
	assert.NilError(t, frozen.Signal(syscall.SIGCONT))
	c.wantClosed()
	l.wantWhole()
	_, ack := connect(t, dial(t, l.ip(2)+":1883"), connectOpts{id: "there", v: 5, keep: true})
	assert.Equal(t, ack.SessionPresent, false)
}

// Of three members all have to answer before anybody restarts.
func TestHealingWaitsForEverybody(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	w := newWays(l)
	procs := w.startInTurn("true")
	heal := w.part([2]int{0, 2}, [2]int{1, 2})
	l.wantCluster(2, []int{2}, []int{0, 1})
	l.wantCluster(0, []int{0, 1}, []int{2})
	assert.NilError(t, procs[1].stop(t))
	l.wantCluster(0, []int{0}, []int{1, 2})
	heal()
	procs[0].wantSaid(t, "Core cluster partition", 1)
	time.Sleep(2 * time.Second) // twice the time to decide
	l.wantCluster(0, []int{0}, []int{1, 2})
	l.wantCluster(2, []int{2}, []int{0, 1})
	l.run(1, w.options(1))
	l.wantWhole()
}

func TestWithoutAutohealTheyStayApart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	w := newWays(l)
	procs := w.startInTurn("false")
	heal := w.part([2]int{0, 2}, [2]int{1, 2})
	l.wantCluster(2, []int{2}, []int{0, 1})
	l.wantCluster(0, []int{0, 1}, []int{2})
	heal()
	procs[2].wantSaid(t, "Core cluster partition", 2)
	time.Sleep(1500 * time.Millisecond)
	l.wantCluster(2, []int{2}, []int{0, 1})
	l.wantCluster(1, []int{0, 1}, []int{2})
	// What helps is a restart.
	assert.NilError(t, procs[2].stop(t))
	w.l.run(2, w.options(2))
	l.wantWhole()
}

// A member that has begun and waits for its data is neither asked for its view nor told to load anew: it would begin twice.
func TestWhoWaitsForItsDataHasNoSay(t *testing.T) {
	cfg, err := loadConfig([]string{"EMQX_NODE__NAME=emqx@n1.test", "EMQX_NODE__COOKIE=secret"})
	assert.NilError(t, err)
	n := &node{cfg: cfg, phase: phaseWaiting, peers: map[string]*peer{}}
	n.schema = n.freshSchema()
	for _, m := range []message{{Op: "view"}, {Op: "rejoin", Text: "emqx@n0.test"}} {
		assert.Equal(t, n.handle(kindDist, "emqx@n0.test", &m).Err, "not running", m.Op)
	}
	n.setPhase(phaseRunning)
	assert.DeepEqual(t, n.handle(kindDist, "emqx@n0.test", &message{Op: "view"}).Args, []string{"emqx@n1.test"})
}

func TestSides(t *testing.T) {
	for name, c := range map[string]struct {
		views map[string][]string
		want  string
	}{
		"whole":       {map[string][]string{"a": {"a", "b", "c"}, "b": {"a", "b", "c"}, "c": {"a", "b", "c"}}, "[[a b c]]"},
		"one off":     {map[string][]string{"a": {"a"}, "b": {"b", "c"}, "c": {"b", "c"}}, "[[b c] [a]]"},
		"all apart":   {map[string][]string{"a": {"a"}, "b": {"b"}, "c": {"c"}}, "[[b] [a] [c]]"},
		"one silent":  {map[string][]string{"a": {"a", "c"}, "b": {"b"}}, "[[b] [a]]"},
		"overlapping": {map[string][]string{"a": {"a", "b"}, "b": {"a", "b", "c"}, "c": {"b", "c"}}, "[[a b] [b c]]"},
		"even":        {map[string][]string{"a": {"a", "c"}, "b": {"b", "d"}, "c": {"a", "c"}, "d": {"b", "d"}}, "[[b d] [a c]]"},
		"one way":     {map[string][]string{"a": {"a", "b"}, "b": {"b"}}, "[[b] [a]]"},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, fmt.Sprint(findSides(c.views, "b")), c.want)
		})
	}
}
