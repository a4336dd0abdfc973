package gates

import (
	"errors"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

func idle(n *nomad.Node) { n.SchedulingEligibility = nomad.NodeSchedulingIneligible }

func draining(n *nomad.Node) {
	idle(n)
	n.Drain, n.DrainStrategy = true, &nomad.DrainStrategy{}
}

func ours(n *nomad.Node) {
	n.LastDrain = &nomad.DrainMetadata{Meta: map[string]string{drainMark: "relaunch"}}
}

func on(node, status string) *nomad.AllocationListStub {
	return &nomad.AllocationListStub{ID: "a0000000-1", Name: "emqx-lab.emqx[1]", NodeID: node, NodeName: "emqx-lab-1", ClientStatus: status}
}

func TestNodeDrained(t *testing.T) {
	const id = "10000000-aaaa"
	runs := "emqx-lab.emqx[1] (a0000000 on emqx-lab-1) is running"
	down := func(n *nomad.Node) { n.Status = "down" }
	for _, c := range []struct {
		name    string
		node    *nomad.Node
		status  string
		seen    string
		holds   bool
		changed []string
	}{
		{"serves", labNode(1), "running", runs + "; the drain begins", false, []string{"drain " + id}},
		{"serves nobody", labNode(1), "complete", "the drain begins", false, []string{"drain " + id}},
		{"is being drained", labNode(1, draining), "running", runs, false, nil},
		{"is being drained of other jobs", labNode(1, draining), "complete", "Nomad still drains it", false, nil},
		{"takes nothing new, but serves", labNode(1, idle), "running", runs + "; the drain begins", false, []string{"drain " + id}},
		{"is drained", labNode(1, idle), "complete", "nothing runs there", true, nil},
		{"is down", labNode(1, down), "unknown", "nothing runs there", true, nil},
		{"is not there", labNode(2), "running", "nothing runs there", true, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeNomad{nodes: []*nomad.Node{labNode(0), c.node}, allocs: []*nomad.AllocationListStub{on(id, c.status), on("00000000-aaaa", "running")}}
			s, err := once(t, NodeDrained(f, NodeDrainedArgs{Environment: "lab", Index: 1, Jobs: []string{"emqx-lab"}}))
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
			assert.DeepEqual(t, f.changed, c.changed)
		})
	}
	f := &fakeNomad{nodes: []*nomad.Node{labNode(1)}, denied: Fatal(errors.New("denied"))}
	_, err := once(t, NodeDrained(f, NodeDrainedArgs{Environment: "lab", Index: 1}))
	assert.Assert(t, IsFatal(err))
}

func TestStandingOf(t *testing.T) {
	down := func(n *nomad.Node) { n.Status, n.ID = "down", "old" }
	for name, c := range map[string]struct {
		nodes []*nomad.Node
		want  Standing
		ids   []string
	}{
		"serving":  {[]*nomad.Node{labNode(1, down), labNode(1)}, Serving, []string{"10000000-aaaa"}},
		"drained":  {[]*nomad.Node{labNode(1, idle)}, Drained, []string{"10000000-aaaa"}},
		"draining": {[]*nomad.Node{labNode(1, draining)}, Drained, []string{"10000000-aaaa"}},
		"down":     {[]*nomad.Node{labNode(1, down)}, Away, nil},
		"unknown":  {[]*nomad.Node{labNode(0)}, Away, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, ids, err := StandingOf(t.Context(), &fakeNomad{nodes: c.nodes}, "lab", 1)
			assert.NilError(t, err)
			assert.Equal(t, got, c.want)
			assert.DeepEqual(t, ids, c.ids)
		})
	}
}

func TestGiveBackEndsOnlyDrainsOfThisProgram(t *testing.T) {
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0, idle, ours), labNode(1, idle), labNode(2, ours), labNode(3, draining, ours), labNode(4, draining, ours)}}
	assert.NilError(t, GiveBack(t.Context(), f, "lab", []int{0, 1, 2, 3}))
	assert.DeepEqual(t, f.changed, []string{"undrain 00000000-aaaa", "undrain 30000000-aaaa"})
}

func TestForgetLeavesANodeThatAnswers(t *testing.T) {
	f := &fakeNomad{silent: map[string]error{"gone": errNoPath}, late: map[string]int{"busy": 2, "dead": 9}}
	assert.NilError(t, Forget(t.Context(), f, []string{"gone", "there", "busy", "dead"}))
	assert.DeepEqual(t, f.changed, []string{"purge gone", "purge dead"})
}

// An old entry counts for Nomad until it is forgotten, and an update of the job
// goes wrong meanwhile.
func TestNodesReadyForgetsTheDeadOnceTheirSuccessorLives(t *testing.T) {
	old := func(n *nomad.Node) { n.Status, n.ID = "disconnected", "old00000-1" }
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1, old)}}
	g := NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 2})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "1/2 nodes: emqx-lab-1 is disconnected in Nomad")
	assert.Equal(t, len(f.changed), 0, "nobody has taken its place")

	f.nodes = append(f.nodes, labNode(1))
	f.silent = map[string]error{"10000000-aaaa": errors.New("no connection")}
	_, err = once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, len(f.changed), 0, "nobody has answered in its place")

	f.silent, f.denied = nil, Fatal(errors.New("forgetting dead node old00000: denied"))
	_, err = once(t, g)
	assert.ErrorContains(t, err, "old00000, which was emqx-lab-1 before its instance was relaunched: forgetting dead node")
	f.denied = nil
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
	assert.DeepEqual(t, f.changed, []string{"purge old00000-1"})
}

// What a scale-in leaves behind in Nomad goes with the next update.
func TestNodesReadyForgetsTheDeadOfIndexesThatAreGone(t *testing.T) {
	dead := func(n *nomad.Node) { n.Status = "down" }
	foreign := func(n *nomad.Node) { n.Status, n.Meta["emqx_cluster"] = "down", "prod" }
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1), labNode(2), labNode(3, dead), labNode(4, foreign)}}
	s, err := once(t, NodesReady(f, NodesReadyArgs{Environment: "lab", Only: []int{0}}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
	assert.Equal(t, len(f.changed), 0, "asked for one node, it knows nothing of the others")

	s, err = once(t, NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 2}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
	assert.DeepEqual(t, f.changed, []string{"purge " + labNode(3).ID}) // node 2 still lives
	f.denied = Fatal(errors.New("denied"))
	_, err = once(t, NodesReady(f, NodesReadyArgs{Environment: "lab", Count: 2}))
	assert.ErrorContains(t, err, "which was emqx-lab-3 before it was removed: denied")
}

func TestJobCount(t *testing.T) {
	for want, job := range map[int]*nomad.Job{0: nil, 3: labJob(0)} {
		if job != nil {
			job.TaskGroups = []*nomad.TaskGroup{{Count: ptr(3)}}
		}
		got, err := JobCount(t.Context(), &fakeNomad{job: job}, "emqx-lab")
		assert.NilError(t, err)
		assert.Equal(t, got, want)
	}
	stopped := labJob(0)
	stopped.Stop, stopped.TaskGroups = ptr(true), []*nomad.TaskGroup{{Count: ptr(3)}}
	got, err := JobCount(t.Context(), &fakeNomad{job: stopped}, "emqx-lab")
	assert.NilError(t, err)
	assert.Equal(t, got, 0)
}
