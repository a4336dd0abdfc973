package faults

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// fakeLab has three nodes and writes down what is done to it.
type fakeLab struct {
	nodes []Node
	calls []string
	cuts  []Cut
	fail  map[string]error
}

func newFake() *fakeLab {
	f := &fakeLab{fail: map[string]error{}}
	for i := range 3 {
		f.nodes = append(f.nodes, Node{
			Index: i, Name: fmt.Sprintf("emqx-lab-%d", i), Instance: fmt.Sprintf("i%d", i), State: stateRunning, Volume: fmt.Sprintf("v%d", i),
			Addresses: []netip.Addr{netip.AddrFrom4([4]byte{10, 80, 1, byte(100 + i)})},
		})
	}
	return f
}

func (f *fakeLab) note(format string, args ...any) error {
	call := fmt.Sprintf(format, args...)
	f.calls = append(f.calls, call)
	name, _, _ := strings.Cut(call, " ")
	return f.fail[name]
}

func (f *fakeLab) said() string {
	out := strings.Join(f.calls, "; ")
	f.calls = nil
	return out
}

func (f *fakeLab) Nodes() []Node       { return slices.Clone(f.nodes) }
func (f *fakeLab) Servers() netip.Addr { return netip.MustParseAddr("10.80.2.10") }

func (f *fakeLab) Container(_ context.Context, instance, task string) (string, error) {
	return instance + "/" + task, f.fail["container"]
}

func (f *fakeLab) Signal(_ context.Context, _, container, signal string) error {
	return f.note("signal %s %s", signal, container)
}

func (f *fakeLab) StopInstance(_ context.Context, id string) error {
	f.nodes[id[1]-'0'].State = stateStopped
	return f.note("stop %s", id)
}

func (f *fakeLab) StartInstance(_ context.Context, id string) error {
	f.nodes[id[1]-'0'].State = stateRunning
	return f.note("start %s", id)
}

func (f *fakeLab) TerminateInstance(_ context.Context, id string) error {
	return f.note("terminate %s", id)
}
func (f *fakeLab) LoseDomain(_ context.Context, ad string) error { return f.note("lose %s", ad) }
func (f *fakeLab) RestoreDomain(ad string)                       { _ = f.note("restore %s", ad) }

func (f *fakeLab) PullVolume(_ context.Context, v string) (string, string, error) {
	return "i" + v[1:], "/dev/b", f.note("pull %s", v)
}

func (f *fakeLab) PushVolume(_ context.Context, instance, volume, device string) error {
	return f.note("push %s %s %s", instance, volume, device)
}

func (f *fakeLab) FillVolume(_ context.Context, _, volume string) error {
	return f.note("fill %s", volume)
}
func (f *fakeLab) EmptyVolume(_, volume string) error { return f.note("empty %s", volume) }

func (f *fakeLab) SetCuts(_ context.Context, cuts []Cut) error {
	f.cuts = cuts
	return f.note("cuts %d", len(cuts))
}

func (f *fakeLab) PowerServer(_ context.Context, name string, on bool) error {
	return f.note("power %s %t", name, on)
}

func (f *fakeLab) SetTroubles(delay time.Duration, all []cloud.APIFault) {
	var words []string
	for _, a := range all {
		words = append(words, fmt.Sprintf("%d %s match=%s rate=%g", a.Status, a.Code, a.Match, a.Rate))
	}
	_ = f.note("troubles %s [%s]", delay, strings.Join(words, ", "))
}

func open(t *testing.T, f *fakeLab) *Set {
	t.Helper()
	s, err := Open(t.Context(), f, filepath.Join(t.TempDir(), "faults.json"), func(string) {})
	assert.NilError(t, err)
	return s
}

func fault(line string) Fault {
	words := strings.Fields(line)
	return Fault{Name: words[0], Target: words[1:]}
}

// Every line of the table, done twice and undone twice: what the lab is asked.
func TestEveryFault(t *testing.T) {
	for line, want := range map[string][4]string{
		"kill-broker 1":        {"signal KILL i1/emqx", "signal KILL i1/emqx"},
		"kill-haproxy 0":       {"signal KILL i0/haproxy", "signal KILL i0/haproxy"},
		"freeze-broker 2":      {"signal STOP i2/emqx", "signal STOP i2/emqx", "signal CONT i2/emqx", "signal CONT i2/emqx"},
		"freeze-haproxy 2":     {"signal STOP i2/haproxy", "signal STOP i2/haproxy", "signal CONT i2/haproxy", "signal CONT i2/haproxy"},
		"stop-instance 1":      {"stop i1", "", "start i1", ""},
		"terminate-instance 1": {"terminate i1", "terminate i1"},
		"lose-domain AD-2":     {"lose LAB:AD-2", "lose LAB:AD-2", "restore LAB:AD-2", "restore LAB:AD-2"},
		"cut-nodes 0 2":        {"cuts 1", "", "cuts 0", ""},
		"isolate 1":            {"cuts 1", "", "cuts 0", ""},
		"cut-consul 1":         {"cuts 1", "", "cuts 0", ""},
		"cut-nomad 1":          {"cuts 1", "", "cuts 0", ""},
		"stop-servers both":    {"power consul false; power nomad false", "power consul false; power nomad false", "power consul true; power nomad true", "power consul true; power nomad true"},
		"fill-disk 0":          {"fill v0", "fill v0", "empty v0", "empty v0"},
		"detach-volume 1":      {"pull v1", "", "stop i1; push i1 v1 /dev/b; start i1", ""},
		"slow-api 2s":          {"troubles 2s []", "troubles 2s []", "troubles 0s []", "troubles 0s []"},
		"fail-api 409":         {"troubles 0s [409 IncorrectState match= rate=1]", "troubles 0s [409 IncorrectState match= rate=1]", "troubles 0s []", "troubles 0s []"},
	} {
		t.Run(line, func(t *testing.T) {
			f := newFake()
			s := open(t, f)
			k, err := find(strings.Fields(line)[0])
			assert.NilError(t, err)
			for i, step := range want {
				if i >= 2 && !k.Lasts() {
					assert.ErrorContains(t, Undo(t.Context(), s, fault(line)), "nothing to undo")
					break
				}
				if i < 2 {
					err = Do(t.Context(), s, fault(line))
				} else {
					err = Undo(t.Context(), s, fault(line))
				}
				assert.NilError(t, err)
				assert.Equal(t, f.said(), step, "step %d", i)
				active, _ := s.Active(t.Context())
				assert.Equal(t, len(active) == 1, k.Lasts() && i < 2, "step %d: %v", i, active)
			}
		})
	}
	// A new line of the table needs one here.
	assert.Equal(t, len(Table()), 16)
}

func TestBadFaultsAreRefusedWithWhatThereIs(t *testing.T) {
	f := newFake()
	f.nodes[1].State = "TERMINATING"
	s := open(t, f)
	for line, want := range map[string]string{
		"kil-brokr 1":        "did you mean kill-broker?",
		"xyz":                "there are kill-broker, kill-haproxy,",
		"kill-broker":        "wants 1 target(s), got 0",
		"kill-broker 7":      "no node 7: there are [0 (emqx-lab-0), 1 (emqx-lab-1), 2 (emqx-lab-2)]",
		"kill-broker one":    "a node is named by its number",
		"kill-broker 1":      "node 1 (emqx-lab-1) is TERMINATING, it must be RUNNING",
		"fill-disk 1":        "it must be RUNNING",
		"stop-instance 1":    "it must be RUNNING",
		"cut-nodes 1 1":      "two different nodes",
		"cut-nodes 0 8":      "no node 8",
		"lose-domain AD-4":   "there are LAB:AD-1, LAB:AD-2, LAB:AD-3",
		"stop-servers vault": "consul, nomad or both",
		"slow-api fast":      "such as 2s",
		"fail-api 418":       "there are 429 TooManyRequests, 409 IncorrectState, 409 Conflict, 500 InternalServerError, timeout, lost-answer",
		"slow-api 2h":        "up to 1h",
	} {
		assert.ErrorContains(t, s.Do(t.Context(), fault(line)), want)
	}
	bad := fault("kill-broker 0")
	bad.For, bad.Match = time.Second, "x"
	assert.ErrorContains(t, s.Do(t.Context(), bad), "--for: it does not last")
	assert.ErrorContains(t, s.Do(t.Context(), bad), "are for fail-api")
	active, err := s.Active(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(active), 0, "nothing half done")
	assert.Equal(t, f.said(), "")
}

func TestWhatFailsIsUndone(t *testing.T) {
	f := newFake()
	s := open(t, f)
	f.fail["power"] = errors.New("no")
	assert.ErrorContains(t, s.Do(t.Context(), fault("stop-servers consul")), "no")
	f.fail["fill"] = errors.New("full already")
	assert.ErrorContains(t, s.Do(t.Context(), fault("fill-disk 0")), "full already")
	assert.Assert(t, strings.HasSuffix(f.said(), "fill v0; empty v0"))
}

func TestCutsFollowTheirNodes(t *testing.T) {
	f := newFake()
	s := open(t, f)
	assert.NilError(t, s.Do(t.Context(), fault("isolate 1")))
	assert.DeepEqual(t, addresses(f.cuts[0].A), "10.80.1.101")
	assert.DeepEqual(t, addresses(f.cuts[0].B), "10.80.1.100 10.80.1.102")
	f.nodes[1].Addresses = []netip.Addr{netip.MustParseAddr("10.80.1.103"), netip.MustParseAddr("10.80.1.11")}
	assert.NilError(t, s.tend(t.Context()))
	assert.DeepEqual(t, addresses(f.cuts[0].A), "10.80.1.103 10.80.1.11")
	assert.NilError(t, s.Do(t.Context(), fault("cut-consul 0")))
	assert.Equal(t, len(f.cuts), 2)
	assert.Equal(t, addresses(f.cuts[1].B), "10.80.2.10")
	assert.Assert(t, slices.Contains(f.cuts[1].Ports, 8301))
}

func addresses(in []netip.Addr) string {
	words := make([]string, len(in))
	for i, a := range in {
		words[i] = a.String()
	}
	return strings.Join(words, " ")
}

func TestAFaultEndsWithItsTime(t *testing.T) {
	f := newFake()
	s := open(t, f)
	now := time.Unix(1700000000, 0)
	s.now = func() time.Time { return now }
	short := fault("stop-instance 1")
	short.For = 30 * time.Second
	assert.NilError(t, s.Do(t.Context(), short))
	now = now.Add(29 * time.Second)
	assert.NilError(t, s.tend(t.Context()))
	assert.Equal(t, f.said(), "stop i1")
	now = now.Add(time.Second)
	assert.NilError(t, s.tend(t.Context()))
	assert.Equal(t, f.said(), "start i1")
}

func TestFaultsOfTheAPIAddUp(t *testing.T) {
	f := newFake()
	s := open(t, f)
	narrow := Fault{Name: "fail-api", Target: []string{"toomanyrequests"}, Match: "CreateVolume", Rate: 0.5}
	for _, one := range []Fault{fault("slow-api 1s"), narrow, fault("fail-api timeout"), fault("slow-api 2s")} {
		assert.NilError(t, s.Do(t.Context(), one))
	}
	all := strings.Split(f.said(), "; ")
	assert.Equal(t, all[len(all)-1], "troubles 2s [0 timeout match= rate=1, 429 TooManyRequests match=CreateVolume rate=0.5]")
	assert.NilError(t, s.Undo(t.Context(), Fault{Name: "fail-api"}))
	assert.Equal(t, f.said(), "troubles 2s []")
}

func TestANewDaemonUndoesWhatTheLastOneLeft(t *testing.T) {
	f := newFake()
	s := open(t, f)
	for _, line := range []string{"stop-instance 1", "freeze-broker 0", "isolate 2", "detach-volume 2"} {
		assert.NilError(t, s.Do(t.Context(), fault(line)))
	}
	f.said()
	next, err := Open(t.Context(), f, s.file, func(string) {})
	assert.NilError(t, err)
	assert.Equal(t, f.said(), "stop i2; push i2 v2 /dev/b; start i2; signal CONT i0/emqx; start i1; cuts 0")
	active, err := next.Active(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(active), 0)
}

func TestOneServerStaysDownWhileAnotherFaultHoldsIt(t *testing.T) {
	f := newFake()
	s := open(t, f)
	assert.NilError(t, s.Do(t.Context(), fault("stop-servers nomad")))
	assert.NilError(t, s.Do(t.Context(), fault("stop-servers both")))
	f.said()
	assert.NilError(t, s.Undo(t.Context(), fault("stop-servers both")))
	assert.Equal(t, f.said(), "power consul true")
	assert.NilError(t, s.Clear(t.Context()))
	assert.Equal(t, f.said(), "power nomad true")
}
