//go:build lab && bench

package e2e

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// latencyScale is the part of the real cloud's latencies in TestBenchLatency. The
// lab's own work (starting daemons, joining brokers) is not scaled, so a smaller
// part would measure this machine instead of the graph.
const latencyScale = 0.2

// TestBenchDeployment measures what a user waits for: from built programs to the
// round trip, then an update without a change, then previews of larger clusters.
func TestBenchDeployment(t *testing.T) {
	b := newBed(t)
	table := newTable("what", "seconds", "peak memory, MiB")

	up := b.measure(t, "lab", "up")
	first := b.measure(t, "up", "lab", "--yes")
	table.row("`lab up` + `up`, 3 nodes", up.seconds+first.seconds, max(up.mib, first.mib))
	table.row("of it `up`", first.seconds, first.mib)
	var again measured
	for range 3 {
		again = b.measure(t, "up", "lab", "--yes")
		table.row("`up` without a change", again.seconds, again.mib)
	}
	b.must(t, "destroy", "lab", "--yes")

	// Nothing is deployed now: a preview plans everything, and asks the providers
	// of the lab, which touch nothing.
	var perNode []float64
	for _, nodes := range []int{3, 30, 100} {
		b.edit(t, "count: 3", fmt.Sprintf("count: %d", nodes))
		p := b.measure(t, "preview", "lab")
		b.edit(t, fmt.Sprintf("count: %d", nodes), "count: 3")
		table.row(fmt.Sprintf("`preview` of %d nodes", nodes), p.seconds, p.mib)
		perNode = append(perNode, p.seconds/float64(nodes))
	}
	table.print(t)
	t.Logf("seconds of preview per node: %.3f at 3, %.3f at 30, %.3f at 100", perNode[0], perNode[1], perNode[2])
	assert.Check(t, perNode[2] <= perNode[0], "previews grow faster than the number of nodes")
}

// TestBenchLatency compares the time of an update, with the real cloud's
// latencies, with two others on the same table: the longest chain of the graph,
// which no order can beat, and the strict order of the original's phases.
func TestBenchLatency(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up", "--latency", "oci", "--latency-scale", strconv.FormatFloat(latencyScale, 'g', -1, 64))
	r := b.must(t, "up", "lab", "--yes", "--json")
	g := readGraph(t, b, r)

	critical, chain := g.critical(func(string) bool { return true })
	strict := 0.0
	phases := newTable("phase of the original", "seconds")
	for _, p := range originalPhases {
		seconds, _ := g.critical(func(urn string) bool { return phaseOf(urn) == p })
		strict += seconds
		phases.row(p, seconds)
	}
	backends, each := g.originalBackends()
	phases.row(fmt.Sprintf("%d backends of %.1f s", backends, each), float64(backends)*each)
	strict += float64(backends) * each
	phases.print(t)
	t.Logf("longest chain:\n%s", strings.Join(chain, "\n"))

	table := newTable(fmt.Sprintf("`up`, 3 nodes, latencies of OCI times %g", latencyScale), "seconds", "`up` over it")
	table.row("`up`", g.total, 1.0)
	table.row("longest chain of the graph", critical, g.total/critical)
	table.row("the original's phases, one after another", strict, g.total/strict)
	table.print(t)
}

// measured is one command's wall time and the peak of the memory of all its processes.
type measured struct{ seconds, mib float64 }

func (b *bed) measure(t *testing.T, args ...string) measured {
	t.Helper()
	var out syncBuffer
	start := time.Now()
	cmd := b.start(t, &out, args...)
	var peak float64
	var wg sync.WaitGroup
	done := make(chan struct{})
	wg.Add(1)
	go func() {
		defer wg.Done()
		for {
			select {
			case <-done:
				return
			case <-time.After(50 * time.Millisecond):
				peak = max(peak, treeMemory(cmd.Process.Pid))
			}
		}
	}()
	err := cmd.Wait()
	seconds := time.Since(start).Seconds()
	close(done)
	wg.Wait()
	assert.NilError(t, err, "%s", out.String())
	return measured{seconds, peak}
}

// treeMemory sums the resident memory, in MiB, of a process and all that it
// started: the command line, the engine, its plugins.
func treeMemory(root int) float64 {
	out, err := exec.Command("ps", "-e", "-o", "pid=,ppid=,rss=").Output()
	if err != nil {
		return 0
	}
	kib, children := map[int]int{}, map[int][]int{}
	for line := range strings.Lines(string(out)) {
		var pid, parent, rss int
		if _, err := fmt.Sscan(line, &pid, &parent, &rss); err == nil {
			kib[pid], children[parent] = rss, append(children[parent], pid)
		}
	}
	sum := 0
	for todo := []int{root}; len(todo) > 0; {
		pid := todo[0]
		todo = append(todo[1:], children[pid]...)
		sum += kib[pid]
	}
	return float64(sum) / 1024
}

// graph is what one update did: when each resource was worked on, and what it waited for.
type graph struct {
	total float64
	span  map[string][2]float64
	needs map[string][]string
}

// readGraph joins the events of an update with the dependencies in its state.
func readGraph(t *testing.T, b *bed, r result) graph {
	t.Helper()
	g := graph{span: map[string][2]float64{}, needs: map[string][]string{}}
	for line := range strings.Lines(r.stdout) {
		var e struct {
			Event, Status, URN string
			Elapsed            float64
		}
		assert.NilError(t, json.Unmarshal([]byte(line), &e), "%s", line)
		switch {
		case e.Event == "summary":
			g.total = e.Elapsed
		case e.Event != "resource":
		case e.Status == "started":
			g.span[e.URN] = [2]float64{e.Elapsed, e.Elapsed}
		case e.Status == "done":
			s, ok := g.span[e.URN]
			if !ok {
				s[0] = e.Elapsed
			}
			s[1] = e.Elapsed
			g.span[e.URN] = s
		}
	}
	states, err := filepath.Glob(filepath.Join(b.dir, "pulumi", ".pulumi", "stacks", "*", "lab.json"))
	assert.NilError(t, err)
	assert.Equal(t, len(states), 1)
	text, err := os.ReadFile(states[0])
	assert.NilError(t, err)
	var state struct {
		Checkpoint struct {
			Latest struct {
				Resources []struct {
					URN, Parent, Provider string
					Dependencies          []string
				}
			}
		}
	}
	assert.NilError(t, json.NewDecoder(bytes.NewReader(text)).Decode(&state))
	for _, res := range state.Checkpoint.Latest.Resources {
		needs := slices.Clone(res.Dependencies)
		if i := strings.LastIndex(res.Provider, "::"); i > 0 { // before it the URN, behind it the ID
			needs = append(needs, res.Provider[:i])
		}
		g.needs[res.URN] = needs
	}
	assert.Assert(t, len(g.needs) > 50, "%d resources in the state", len(g.needs))
	return g
}

func lastPart(s string) string { return s[strings.LastIndex(s, "::")+2:] }

// critical is the length, in seconds, of the longest chain of dependencies among
// the custom resources that count, and that chain.
func (g graph) critical(counts func(urn string) bool) (float64, []string) {
	type best struct {
		seconds float64
		via     string
	}
	memo := map[string]best{}
	var of func(urn string) best
	of = func(urn string) best {
		if b, ok := memo[urn]; ok {
			return b
		}
		memo[urn] = best{} // a graph has no circles; this only bounds the recursion
		var b best
		for _, n := range g.needs[urn] {
			if d := of(n); d.seconds > b.seconds {
				b = best{d.seconds, n}
			}
		}
		// Components and the stack wait for their children: no work of their own.
		if s, ok := g.span[urn]; ok && counts(urn) && !strings.Contains(urn, "::pulumi:pulumi:Stack::") && !isComponent(urn) {
			b.seconds += s[1] - s[0]
		}
		memo[urn] = b
		return b
	}
	var top string
	for urn := range g.needs {
		if top == "" || of(urn).seconds > of(top).seconds {
			top = urn
		}
	}
	longest := of(top).seconds
	var chain []string
	for urn := top; urn != ""; urn = memo[urn].via {
		if s := g.span[urn]; s[1]-s[0] > 0.05 {
			chain = append(chain, fmt.Sprintf("%7.1f s  %s", s[1]-s[0], lastPart(urn)))
		}
	}
	slices.Reverse(chain)
	return longest, chain
}

func isComponent(urn string) bool {
	typ := strings.Split(urn, "::")[2]
	return strings.HasPrefix(typ[strings.LastIndex(typ, "$")+1:], "emqx:")
}

// The phases of the setup that this project replaces, in its order.
var originalPhases = []string{"volumes", "instance pools", "security groups", "jobs", "HAProxy", "load balancer and DNS"}

// originalBackends are the changes of the balancer that the original makes and this
// graph does not: there every backend is a resource of its own, here they come with
// their sets. The balancer makes its changes one after another; that of a backend
// waits as that of a listener does, so the listeners of this run tell what each takes.
func (g graph) originalBackends() (count int, seconds float64) {
	listeners, sum, nodes := 0, 0.0, 0
	for urn, span := range g.span {
		switch typ := strings.Split(urn, "::")[2]; {
		case strings.HasSuffix(typ, "oci:NetworkLoadBalancer/listener:Listener"):
			listeners++
			sum += span[1] - span[0]
		case strings.HasSuffix(typ, "oci:Core/instancePool:InstancePool"):
			nodes++
		}
	}
	if listeners == 0 {
		return 0, 0
	}
	return listeners * nodes, sum / float64(listeners)
}

func phaseOf(urn string) string {
	typ := strings.Split(urn, "::")[2]
	typ = typ[strings.LastIndex(typ, "$")+1:]
	name := lastPart(urn)
	switch {
	case strings.HasPrefix(typ, "oci:Core/volume"):
		return "volumes"
	case strings.HasPrefix(typ, "oci:Core/instance"), strings.HasPrefix(typ, "oci:Core/privateIp"):
		return "instance pools"
	case strings.HasPrefix(typ, "oci:Core/network"):
		return "security groups"
	case strings.HasPrefix(typ, "nomad:") && strings.HasPrefix(name, "cluster-haproxy"):
		return "HAProxy"
	case strings.HasPrefix(typ, "nomad:"), strings.HasPrefix(typ, "consul:"):
		return "jobs"
	case strings.HasPrefix(typ, "oci:NetworkLoadBalancer"), strings.HasPrefix(typ, "oci:Dns"):
		return "load balancer and DNS"
	}
	return ""
}

// table prints as Markdown, ready for docs/performance.md.
type table struct{ rows [][]string }

func newTable(head ...string) *table {
	rule := slices.Repeat([]string{"---"}, len(head))
	return &table{rows: [][]string{head, rule}}
}

func (t *table) row(name string, numbers ...float64) {
	cells := []string{name}
	for _, n := range numbers {
		digits := 2
		if n >= 10 {
			digits = 1
		}
		cells = append(cells, strconv.FormatFloat(n, 'f', digits, 64))
	}
	t.rows = append(t.rows, cells)
}

func (t *table) print(tb testing.TB) {
	tb.Helper()
	var out strings.Builder
	for _, r := range t.rows {
		fmt.Fprintf(&out, "| %s |\n", strings.Join(r, " | "))
	}
	fmt.Printf("\n%s\n", out.String())
}
