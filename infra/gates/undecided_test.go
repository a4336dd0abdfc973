package gates

import (
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// A roll that begins while Nomad still decides about a node that came back takes a
// second one away.
func TestNodesReadyWaitsUntilNomadHasSettledTheJob(t *testing.T) {
	alloc := func(i, id, client, desired string, version uint64) *nomad.AllocationListStub {
		return &nomad.AllocationListStub{
			ID: id + "-aaaa", Name: "emqx-lab.emqx[" + i + "]", NodeName: "emqx-lab-" + i,
			ClientStatus: client, DesiredStatus: desired, JobVersion: version,
		}
	}
	// with adds events to an allocation, by their age in seconds.
	with := func(a *nomad.AllocationListStub, events map[string]int) []*nomad.AllocationListStub {
		task := &nomad.TaskState{}
		for kind, age := range events {
			task.Events = append(task.Events, &nomad.TaskEvent{Type: kind, Time: time.Now().Add(-time.Duration(age) * time.Second).UnixNano()})
		}
		a.TaskStates = map[string]*nomad.TaskState{"emqx": task}
		return []*nomad.AllocationListStub{a}
	}
	other := func() *nomad.AllocationListStub { return alloc("2", "00000003", "running", "run", 3) }
	well := []*nomad.AllocationListStub{
		alloc("0", "00000001", "running", "run", 3), alloc("1", "00000002", "running", "run", 3),
		alloc("1", "00000009", "complete", "stop", 3), alloc("1", "00000008", "lost", "stop", 3), alloc("1", "00000007", "failed", "run", 3),
	}
	for name, c := range map[string]struct {
		more []*nomad.AllocationListStub
		eval *nomad.Evaluation
		seen string // why it waits; empty: it holds
	}{
		"all is well": {},
		"out of sight": {
			more: []*nomad.AllocationListStub{alloc("2", "00000003", "unknown", "run", 3)},
			seen: "emqx-lab.emqx[2] is unknown to Nomad since it lost sight of emqx-lab-2",
		},
		"the new one beside the old one": {
			more: []*nomad.AllocationListStub{alloc("1", "00000004", "running", "run", 4), alloc("1", "00000002", "running", "stop", 3)},
			seen: "emqx-lab.emqx[1] has 3 allocations at a time: 00000002 (running, meant to run), 00000002 (running, meant to stop), 00000004 (running, meant to run)",
		},
		"the same version once more, not started yet": {
			more: []*nomad.AllocationListStub{alloc("1", "00000004", "pending", "run", 3)},
			seen: "emqx-lab.emqx[1] has 2 allocations at a time: 00000002 (running, meant to run), 00000004 (pending, meant to run)",
		},
		"a roll under way": {more: []*nomad.AllocationListStub{alloc("0", "00000005", "pending", "run", 4)}},
		"not decided": {
			eval: &nomad.Evaluation{Status: "pending", TriggeredBy: "reconnect"},
			seen: "Nomad has an evaluation of emqx-lab before it (reconnect)",
		},
		"back, and not known to have ended": {
			more: with(other(), map[string]int{"Started": 90, "Reconnected": 2}),
			seen: "emqx-lab.emqx[2] may have ended with its node, which has just come back",
		},
		"ended with its node": {
			more: with(alloc("2", "00000003", "pending", "run", 3), map[string]int{"Started": 90, "Reconnected": 9, "Terminated": 6, "Restarting": 6}),
			seen: "emqx-lab.emqx[2] ended with its node, which is back, and starts again",
		},
		"started again": {
			more: with(other(), map[string]int{"Reconnected": 30, "Terminated": 25, "Started": 19}),
			seen: "emqx-lab.emqx[2] has just started",
		},
		"another instance's, just started": {more: with(other(), map[string]int{"Started": 5}), seen: "emqx-lab.emqx[2] has just started"},
		"one of a roll":                    {more: with(alloc("2", "00000003", "running", "run", 4), map[string]int{"Started": 5})},
		"back with all that ran there":     {more: with(other(), map[string]int{"Started": 90, "Reconnected": 16})},
		"served again":                     {more: with(other(), map[string]int{"Reconnected": 40, "Terminated": 35, "Started": 21})},
		"does not start for long":          {more: with(other(), map[string]int{"Started": 200, "Reconnected": 121, "Terminated": 118})},
		"ends again and again":             {more: with(other(), map[string]int{"Terminated": 8, "Started": 3})},
		"meant to stop":                    {more: with(alloc("2", "00000003", "running", "stop", 3), map[string]int{"Started": 5})},
		"no room":                          {eval: &nomad.Evaluation{Status: "blocked", TriggeredBy: "queued-allocs"}},
		"decided":                          {eval: &nomad.Evaluation{Status: "complete", TriggeredBy: "reconnect"}},
		"to be looked at late":             {eval: &nomad.Evaluation{Status: "pending", TriggeredBy: "max-disconnect-timeout", WaitUntil: time.Now().Add(time.Hour)}},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1)}, allocs: append(c.more, well...)}
			if c.eval != nil {
				f.evals = append(f.evals, c.eval)
			}
			args := NodesReadyArgs{Environment: "lab", Count: 2, Job: "emqx-lab"}
			s, err := once(t, NodesReady(f, args))
			assert.NilError(t, err)
			assert.Equal(t, s.Holds, c.seen == "", s.Seen)
			if c.seen != "" {
				assert.Equal(t, s.Seen, "2/2 nodes ready, and Nomad is not through: "+c.seen)
				assert.Assert(t, strings.Contains(s.Next, "nomad job status emqx-lab"), s.Next)
			}
			args.Job = ""
			s, err = once(t, NodesReady(f, args))
			assert.NilError(t, err)
			assert.Assert(t, s.Holds, "no job is about to change: %s", s.Seen)
		})
	}
}
