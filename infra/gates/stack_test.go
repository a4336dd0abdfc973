//go:build lab

package gates

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// world is what the five gates look at, each part of it sick or well.
type world struct {
	t     *testing.T
	nomad *fakeNomad
	mqtt  *brokerHook
	via   []cluster.Listener
	value string // an input of every resource
	slow  time.Duration
	// caller is what [WithContext] hands over.
	caller context.Context

	mu    sync.Mutex
	sick  map[string]bool
	asked map[string]int
}

func newWorld(t *testing.T) *world {
	w := &world{
		t: t, value: "1", slow: 300 * time.Millisecond, mqtt: &brokerHook{},
		nomad: &fakeNomad{job: labJob(0), deployments: []*nomad.Deployment{labDeployment(0, "successful")}, allocs: threeAllocs(0)},
		sick:  map[string]bool{}, asked: map[string]int{},
	}
	_, w.via = startBroker(t, w.mqtt, nil)
	return w
}

// ask counts a gate's question and tells whether its part of the world is sick.
func (w *world) ask(gate string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.asked[gate]++
	return w.sick[gate]
}

func (w *world) set(gate string, sick bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sick[gate] = sick
}

func (w *world) takeAsked() map[string]int {
	w.mu.Lock()
	defer w.mu.Unlock()
	asked := w.asked
	w.asked = map[string]int{}
	return asked
}

// with runs the real check over the sick or the well part.
func (w *world) with(g Gate, makeSick, makeWell func()) Gate {
	check := g.Check
	g.Check = func(ctx context.Context) (Status, error) {
		if w.ask(g.ID) {
			makeSick()
		} else {
			makeWell()
		}
		return check(ctx)
	}
	return g
}

func (w *world) gates() []Gate {
	interval := 50 * time.Millisecond
	g1 := w.with(NodesReady(w.nomad, NodesReadyArgs{Environment: "lab", Count: 3, Timeout: w.slow, Interval: interval}),
		func() { w.nomad.nodes = []*nomad.Node{labNode(0), labNode(2)} },
		func() { w.nomad.nodes = []*nomad.Node{labNode(0), labNode(1), labNode(2)} })
	g2 := w.with(ClusterFormed(w.nomad, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes, Timeout: w.slow, Interval: interval}),
		func() {
			w.nomad.exec = func(string, string, []string) (ExecResult, error) {
				return said(labNodes[:2], labNodes[2:]), nil
			}
		},
		func() { w.nomad.exec = whole })
	var output string
	g3 := w.with(ProxiesReady(serviceFunc(func(string, string) ([]*consul.ServiceEntry, error) {
		return []*consul.ServiceEntry{proxyEntry("emqx-lab-0", map[bool]string{true: "passing", false: "critical"}[output == ""], output)}, nil
	}), ProxiesReadyArgs{Service: "emqx-haproxy", Environment: "lab", Count: 1, Timeout: w.slow, Interval: interval, Next: "the proxies' checks in Consul"}),
		func() { output = "503 no backend" }, func() { output = "" })
	backends := map[string]string{}
	g4 := w.with(EdgeHealthy(func(context.Context) (map[string]string, error) { return backends, nil }, EdgeArgs{Timeout: w.slow, Interval: interval, Next: "the nodes' firewall"}),
		func() { backends["mqtt/emqx-lab-1"] = "CRITICAL" }, func() { backends["mqtt/emqx-lab-1"] = "OK" })
	g5 := w.with(RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: w.via, AttemptTimeout: 500 * time.Millisecond, Timeout: max(w.slow, 2*time.Second), Interval: interval}),
		func() { w.mqtt.lose.Store(true) }, func() { w.mqtt.lose.Store(false) })
	return []Gate{g1, g2, g3, g4, g5}
}

// program is the chain of the real stack: a thing behind each gate, G5 at the end.
func (w *world) program(ctx *pulumi.Context) error {
	if w.caller != nil {
		ctx = WithContext(ctx, w.caller)
	}
	gates := w.gates()
	last, err := newThing(ctx, "pools", w.value)
	if err != nil {
		return err
	}
	for i, name := range []string{"emqx-job", "haproxy-job", "listeners", "dns"} {
		opt, err := Hook(ctx, "emqx", gates[i])
		if err != nil {
			return err
		}
		last, err = newThing(ctx, name, w.value, opt, pulumi.DependsOn([]pulumi.Resource{last}))
		if err != nil {
			return err
		}
	}
	ctx.Export("value", pulumi.String(w.value))
	ctx.Export("dns", last.ID())
	verified, err := Verify(ctx, "emqx-verify", VerifyArgs{After: []pulumi.Output{last.ID()}, Gates: []Gate{gates[1], gates[2], gates[4]}, Settle: 2 * time.Second})
	if err != nil {
		return err
	}
	ctx.Export("verified", verified)
	return nil
}

var chain = []string{"pools", "emqx-job", "haproxy-job", "listeners", "dns"}

var reasons = map[string]string{
	"G1": "2/3 nodes: emqx-lab-1 not registered in Nomad; look next at: the instance's console, where its boot says what it waits for",
	"G2": "2/3 EMQX nodes running: emqx@emqx-lab-2.node.dc1.consul is stopped; look next at: `nomad job status emqx-lab`",
	"G3": "0/1 proxies pass: emqx-lab-0 is critical: backends: 503 no backend; look next at: the proxies' checks in Consul",
	"G4": "0/1 backends healthy: mqtt/emqx-lab-1 is CRITICAL; look next at: the nodes' firewall",
	"G5": "published, but the message did not come back within 500ms; look next at: what in EMQX keeps a message from its subscriber",
}

func did(op string, names []string) []string {
	out := []string{}
	for _, n := range names {
		out = append(out, op+" "+n)
	}
	return out
}

func TestEachGateStopsTheUpdateAndTheNextOneContinues(t *testing.T) {
	for i, gate := range []string{"G1", "G2", "G3", "G4", "G5"} {
		t.Run(gate, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			e := newEngine(t, w.program)
			w.set(gate, true)

			out, ops, err := e.up(t.Context())
			assert.Assert(t, err != nil, out)
			assert.Assert(t, strings.Contains(out, reasons[gate]), out)
			assert.Assert(t, strings.Contains(err.Error(), reasons[gate]), "the Automation API's error must carry the reason: %s", err)
			assert.Assert(t, strings.Contains(out, "waiting for "+gate), out)
			assert.DeepEqual(t, ops, did("create", chain[:i+1]))
			if gate != "G5" { // nothing is behind G5
				assert.Assert(t, len(ops) < len(chain))
			}

			// Still sick: the next update asks again and does not sail past.
			out, ops, err = e.up(t.Context())
			assert.Assert(t, err != nil, out)
			assert.DeepEqual(t, ops, did("create", nil))
			assert.Assert(t, strings.Contains(out, reasons[gate]), out)

			w.set(gate, false)
			out, ops, err = e.up(t.Context())
			assert.NilError(t, err, out)
			assert.DeepEqual(t, ops, did("create", chain[i+1:]))
			assert.DeepEqual(t, e.outputs(), map[string]any{
				"value": "1", "dns": "id", "verified": "verified: G2 cluster formed, G3 proxies ready, G5 round trip",
			})
		})
	}
}

func TestAGateHoldsUpAnUpdateOfItsResource(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEngine(t, w.program)
	_, _, err := e.up(t.Context())
	assert.NilError(t, err)
	w.value = "2"
	w.set("G2", true)
	out, ops, err := e.up(t.Context())
	assert.Assert(t, err != nil)
	assert.Assert(t, strings.Contains(out, reasons["G2"]), out)
	assert.DeepEqual(t, ops, did("update", chain[:2]))
	w.set("G2", false)
	out, ops, err = e.up(t.Context())
	assert.NilError(t, err, out)
	assert.DeepEqual(t, ops, did("update", chain[2:]))
}

func TestAnUpdateWithoutChangesFailsWhenTheClusterIsSick(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEngine(t, w.program)
	_, _, err := e.up(t.Context())
	assert.NilError(t, err)
	before := e.export()
	w.takeAsked()
	for _, gate := range []string{"G2", "G3", "G5"} {
		w.set(gate, true)
		out, ops, err := e.up(t.Context())
		assert.Assert(t, err != nil, out)
		assert.Assert(t, strings.Contains(out, "verifying the cluster after the update: waiting for "+gate), out)
		assert.Assert(t, strings.Contains(out, reasons[gate]), out)
		assert.DeepEqual(t, ops, did("", nil))
		outs := e.outputs()
		assert.Equal(t, outs["value"], "1")
		assert.Equal(t, outs["dns"], "id")
		assert.Equal(t, len(e.export()), len(before))
		w.set(gate, false)
	}
	_, ops, err := e.up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, ops, did("", nil))
	assert.DeepEqual(t, e.export(), before)
	// Hooks of unchanged resources do not run, so G1 and G4 were never asked.
	assert.DeepEqual(t, slices.Sorted(maps.Keys(w.takeAsked())), []string{"G2", "G3", "G5"})
}

func TestAPreviewAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEngine(t, w.program)
	for _, g := range []string{"G1", "G2", "G3", "G4", "G5"} {
		w.set(g, true)
	}
	out, err := e.preview()
	assert.NilError(t, err, out)
	assert.Equal(t, len(w.takeAsked()), 0)
}

func TestDestroyAsksNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e := newEngine(t, w.program)
	_, _, err := e.up(t.Context())
	assert.NilError(t, err)
	for _, g := range []string{"G1", "G2", "G3", "G4", "G5"} {
		w.set(g, true)
	}
	_, err = e.stack.Destroy(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, sorted(e.provider.take()), sorted(did("delete", chain)))
}

func TestACancelledUpdateDoesNotWaitForTheGate(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.slow = 10 * time.Minute
	w.set("G1", true)
	e := newEngine(t, w.program)
	ctx, cancel := context.WithCancelCause(t.Context())
	w.caller = ctx
	go func() {
		w.untilAsked("G1", 3)
		cancel(errors.New("interrupted"))
	}()
	start := time.Now()
	out, ops, err := e.up(ctx)
	assert.Assert(t, err != nil)
	assert.Assert(t, time.Since(start) < time.Minute, "the update waited for the gate")
	assert.Assert(t, strings.Contains(out, "waiting for G1 nodes ready: stopped after"), out)
	assert.DeepEqual(t, ops, did("create", chain[:1]))

	w.caller = nil
	w.slow = 300 * time.Millisecond
	w.set("G1", false)
	out, ops, err = e.up(t.Context())
	assert.NilError(t, err, "the next update must find the stack unlocked: %s", out)
	assert.DeepEqual(t, ops, did("create", chain[1:]))
}

// Not parallel: it kills the engine that it finds.
func TestAGateEndsWhenItsEngineWasKilled(t *testing.T) {
	w := newWorld(t)
	w.slow = 10 * time.Minute
	w.set("G1", true)
	e := newEngine(t, w.program)
	killed := make(chan error, 1)
	go func() {
		w.untilAsked("G1", 3)
		killed <- killChild("pulumi")
	}()
	start := time.Now()
	_, _, err := e.up(t.Context())
	assert.Assert(t, err != nil)
	assert.NilError(t, <-killed)
	assert.Assert(t, time.Since(start) < 2*repeatEvery+30*time.Second, "the program outlived its engine by %s", time.Since(start))
}

func (w *world) untilAsked(gate string, times int) {
	for w.t.Context().Err() == nil {
		w.mu.Lock()
		n := w.asked[gate]
		w.mu.Unlock()
		if n >= times {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// killChild kills the one child process of that name.
func killChild(name string) error {
	tasks, err := filepath.Glob("/proc/self/task/*/children")
	if err != nil {
		return err
	}
	for _, f := range tasks {
		pids, err := os.ReadFile(f)
		if err != nil {
			continue
		}
		for _, pid := range strings.Fields(string(pids)) {
			comm, err := os.ReadFile("/proc/" + pid + "/comm")
			if err != nil || strings.TrimSpace(string(comm)) != name {
				continue
			}
			var p int
			if _, err := fmt.Sscan(pid, &p); err != nil {
				return err
			}
			return syscall.Kill(p, syscall.SIGKILL)
		}
	}
	return fmt.Errorf("no child process %s", name)
}
