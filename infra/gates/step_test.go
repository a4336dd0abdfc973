package gates

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
)

// await makes attempts until they hold, on a clock of its own, and returns what was told.
func await(t *testing.T, a attempts) (lines []string, err error) {
	t.Helper()
	err = repeat(t.Context(), newFakeClock(), a, func(l gateline.Line, _ bool) { lines = append(lines, l.String()) })
	return lines, err
}

func TestAStepIsTakenWhenItIsDueAndTheGateAskedAgain(t *testing.T) {
	old := func(n *nomad.Node) { n.Status, n.ID = "down", "old00000-1" }
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1, old)}}
	refused := 1
	f.purged = func(id string) error {
		if refused > 0 {
			refused--
			return errors.New("no cluster leader")
		}
		f.changed = append(f.changed, "purge "+id)
		f.nodes = slices.DeleteFunc(f.nodes, func(n *nomad.Node) bool { return n.ID == id })
		return nil
	}
	args := NodesReadyArgs{Environment: "lab", Count: 2, Timeout: time.Minute}
	g := NodesReady(f, args)
	check, asked := g.Check, 0
	g.Check = func(ctx context.Context) (Status, error) {
		if asked++; asked == 2 {
			f.nodes = append(f.nodes, labNode(1)) // its successor has come
		}
		return check(context.WithValue(ctx, checking{}, t))
	}
	lines, err := await(t, g.attempts([]Step{PurgeDeadNodes(f, args)}))
	assert.NilError(t, err)
	assert.DeepEqual(t, lines, []string{
		"G1 nodes ready: waiting 0s of 1m0s: 1/2 nodes: emqx-lab-1 is down in Nomad",
		"G1 nodes ready: waiting 1s of 1m0s: old00000, which was emqx-lab-1 before its instance was relaunched: no cluster leader",
		"purge dead nodes: old00000, which was emqx-lab-1 before its instance was relaunched (2s)",
		"G1 nodes ready: 2/2 nodes ready (2s)",
	})
	assert.DeepEqual(t, f.changed, []string{"purge old00000-1"})
}

// Whoever only asks, as a look at the cluster does, finds the step due and leaves it.
func TestWithoutItsStepAGateChangesNothing(t *testing.T) {
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1, func(n *nomad.Node) { n.Status = "down" })}}
	err := Wait(t.Context(), newFakeClock(), NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 1, Timeout: time.Minute}), nil)
	assert.ErrorContains(t, err, "1/1 nodes ready, and Nomad still counts what ran on 10000000, which was emqx-lab-1 before it was removed")
	assert.Equal(t, len(f.changed), 0)
}

func TestStepsOnTheWayToAGate(t *testing.T) {
	for _, c := range []struct {
		name   string
		check  func(context.Context) (Status, error)
		do     []error // of the first step, in turn; the last one for ever
		taken  int
		fails  string
		within time.Duration
	}{
		{"not due", answers("no", Status{Holds: true}), nil, 0, "", 2 * time.Second},
		{"due", answers(Status{Due: true, Seen: "undone"}, Status{Holds: true}), []error{nil}, 1, "", 0},
		{"due for ever", answers(Status{Due: true, Seen: "undone"}), []error{nil}, 31, "did not hold within 1m0s; seen for the last 1m0s: undone", time.Minute},
		{"fails once", answers(Status{Due: true}, Status{Due: true}, Status{Holds: true}), []error{errors.New("busy"), nil}, 2, "", 2 * time.Second},
		{"is denied", answers(Status{Due: true}), []error{Fatal(errors.New("denied"))}, 1, "failed after 0s: denied; look next at: the token", 0},
		{"cannot be asked", answers(errors.New("away"), Status{Due: true, Holds: true}), nil, 0, "", 2 * time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			taken, second := 0, 0
			steps := []Step{
				{Name: "mend it", Next: "the token", Do: func(context.Context) (string, error) {
					taken++
					return "", c.do[min(taken, len(c.do))-1]
				}},
				{Name: "sweep up", Do: func(context.Context) (string, error) { second++; return "", nil }},
			}
			clock := newFakeClock()
			start := clock.now
			err := repeat(t.Context(), clock, testGate(c.check).attempts(steps), func(gateline.Line, bool) {})
			if c.fails == "" {
				assert.NilError(t, err)
			} else {
				assert.ErrorContains(t, err, c.fails)
			}
			assert.Equal(t, taken, c.taken)
			assert.Assert(t, second <= taken)
			assert.Equal(t, clock.now.Sub(start), c.within, "a step that was done is not waited for")
		})
	}
}

func TestAStepByItself(t *testing.T) {
	n := 0
	s := Step{Name: "end drains", Timeout: time.Minute, Next: "whether Nomad answers", Do: func(context.Context) (string, error) {
		switch n++; n {
		case 1:
			return "", errors.New("cannot reach Nomad")
		case 2:
			return "emqx-lab-0", errors.New("cannot reach Nomad")
		default:
			return "emqx-lab-1", nil
		}
	}}
	lines, err := await(t, s.attempts())
	assert.NilError(t, err)
	assert.DeepEqual(t, lines, []string{
		"end drains: waiting 0s of 1m0s: cannot reach Nomad", "end drains: emqx-lab-0 (1s)", "end drains: emqx-lab-1 (2s)",
	})

	s.Do = func(context.Context) (string, error) { return "", nil }
	lines, err = await(t, s.attempts())
	assert.NilError(t, err)
	assert.Equal(t, len(lines), 0, "nothing was to be done: %q", lines)

	s.Do = func(context.Context) (string, error) { return "", errors.New("cannot reach Nomad") }
	_, err = await(t, s.attempts())
	assert.Error(t, err, "trying to end drains: not done within 1m0s; seen for the last 1m0s: cannot reach Nomad; look next at: whether Nomad answers")
	s.Do = func(context.Context) (string, error) { return "", Fatal(errors.New("denied")) }
	_, err = await(t, s.attempts())
	assert.Error(t, err, "trying to end drains: failed after 0s: denied; look next at: whether Nomad answers")
	assert.Equal(t, Step{}.attempts().timeout, DefaultTimeout)
}

func TestStepsAreTakenInTheProgram(t *testing.T) {
	assert.NilError(t, runMocked(false, func(ctx *pulumi.Context) error {
		due := true
		mend := Step{Name: "mend it", Do: func(context.Context) (string, error) { due = false; return "mended", nil }}
		g := Gate{ID: "G1", Title: "nodes ready", Timeout: time.Minute, Check: func(context.Context) (Status, error) {
			return Status{Holds: !due, Due: due, Seen: "broken"}, nil
		}}
		hook, err := Hook(ctx, "emqx", g, mend)
		assert.NilError(t, err)
		options, err := pulumi.NewResourceOptions(hook)
		assert.NilError(t, err)
		assert.NilError(t, options.Hooks.BeforeUpdate[0].Callback(&pulumi.ResourceHookArgs{}))
		due = true
		assert.NilError(t, Await(ctx, g, mend))
		due = true
		assert.NilError(t, Take(ctx, mend))
		assert.Assert(t, !due)
		return nil
	}))
}

// asks and mends are what a [NomadClient] can do. Its commands ask, each of them: see
// the scripts.
var (
	asks  = []string{"Alive", "Allocations", "Deployments", "Evaluations", "Exec", "Job", "Leader", "Namespace", "Node", "Nodes", "Plan", "Stands", "Stream"}
	mends = []string{"Drain", "Purge", "Undrain"}
)

func TestEveryCallToNomadIsKnownToAskOrToChange(t *testing.T) {
	client := reflect.TypeFor[NomadClient]()
	var all []string
	for i := range client.NumMethod() {
		all = append(all, client.Method(i).Name)
	}
	assert.DeepEqual(t, all, slices.Sorted(slices.Values(slices.Concat(asks, mends))))
	// Through once() a change fails the test.
	f := &fakeNomad{}
	for name, change := range map[string]func(context.Context){
		"Drain":   func(ctx context.Context) { _ = f.Drain(ctx, "id", 0) },
		"Purge":   func(ctx context.Context) { _ = f.Purge(ctx, "id") },
		"Undrain": func(ctx context.Context) { _ = f.Undrain(ctx, "id") },
	} {
		assert.Assert(t, slices.Contains(mends, name))
		var said errorfs
		change(context.WithValue(t.Context(), checking{}, &said))
		assert.Equal(t, int(said), 1, name)
	}
}

// errorfs counts the failures that a test would have.
type errorfs int

func (e *errorfs) Errorf(string, ...any) { *e++ }

// Every gate in every world that a step would change.
func TestChecksOnlyAsk(t *testing.T) {
	as := func(id string, changed ...func(*nomad.Node)) func(*nomad.Node) {
		return func(n *nomad.Node) {
			n.ID = id
			for _, c := range changed {
				c(n)
			}
		}
	}
	down := func(n *nomad.Node) { n.Status = "down" }
	lost := func(n *nomad.Node) { n.Status = "disconnected" }
	worlds := map[string][]*nomad.Node{
		"none":            nil,
		"whole":           {labNode(0), labNode(1), labNode(2)},
		"relaunched":      {labNode(0), labNode(1, as("old00000", down)), labNode(1), labNode(2, as("old00001", lost)), labNode(2)},
		"scaled in":       {labNode(0), labNode(1), labNode(2), labNode(3, down), labNode(4, lost)},
		"drained":         {labNode(0, idle, ours), labNode(1, draining, ours), labNode(2)},
		"dead and gone":   {labNode(0, down), labNode(1, lost), labNode(2)},
		"not eligible":    {labNode(0, idle), labNode(1), labNode(2)},
		"two of one node": {labNode(0), labNode(0, as("twin0000")), labNode(1), labNode(2)},
	}
	jobs := []string{"emqx-lab", "emqx-lab-haproxy"}
	for name, nodes := range worlds {
		f := &fakeNomad{nodes: nodes, job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")}, allocs: threeAllocs(4), exec: whole}
		passing := serviceFunc(func(string, string) ([]*consul.ServiceEntry, error) { return nil, nil })
		list := []Gate{
			NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 3, Job: "emqx-lab"}),
			ClusterFormed(f, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes, Discovery: "_emqx._lab.service.consul", Listeners: "script"}),
			ProxiesReady(passing, ProxiesReadyArgs{Service: "emqx-haproxy", Environment: "lab", Count: 3, Nomad: f, Job: "emqx-lab-haproxy"}),
			EdgeHealthy(func(context.Context) (map[string]string, error) { return nil, nil }, EdgeArgs{}),
		}
		for i := range 5 {
			list = append(list,
				NodesReady(f, NodesReadyArgs{Environment: "lab", Only: []int{i}}),
				NodeDrained(f, NodeDrainedArgs{Environment: "lab", Index: i, Jobs: jobs}))
		}
		for _, g := range list {
			_, err := once(t, g)
			assert.NilError(t, err, "%s: %s", name, g.name())
		}
		assert.Equal(t, len(f.changed), 0, "%s: %v", name, f.changed)
	}
}

// What the engine finds in a message as a command for a colour is lost, and one that it
// does not know ends it.
func TestNothingSaidIsACommandOfTheEngine(t *testing.T) {
	const said = "a broker says <{%red%}> and <{%no such colour%}> and <{% no end"
	lines, err := await(t, testGate(answers(said, errors.New(said+" either"), Status{Holds: true, Seen: said})).attempts(nil))
	assert.NilError(t, err)
	assert.Equal(t, len(lines), 3)
	for _, l := range append(lines, fmt.Sprint(&Error{Gate: "G1 nodes ready", Seen: said, Err: context.DeadlineExceeded})) {
		shown := colors.Never.Colorize(l)
		assert.Equal(t, shown, l)
		assert.Assert(t, strings.Contains(shown, "no such colour") && strings.Contains(shown, "no end"), shown)
	}
}

// White space alone is nothing that was seen: a line that ends in it would be read as
// another one.
func TestWhiteSpaceIsNothingSeen(t *testing.T) {
	lines, err := await(t, testGate(answers(" \n", Status{Holds: true, Seen: " 3/3 \n"})).attempts(nil))
	assert.NilError(t, err)
	assert.DeepEqual(t, lines, []string{"G1 nodes ready: 3/3 (2s)"})
}
