package gates

import (
	"errors"
	"fmt"
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
		changed []string
	}{
		{"serves", labNode(1), "running", runs + "; its drain has not begun", []string{"drain " + id}},
		{"serves nobody", labNode(1), "complete", "its drain has not begun", []string{"drain " + id}},
		{"is being drained", labNode(1, draining), "running", runs, nil},
		{"is being drained of other jobs", labNode(1, draining), "complete", "Nomad still drains it", nil},
		{"takes nothing new, but serves", labNode(1, idle), "running", runs + "; its drain has not begun", []string{"drain " + id}},
		{"is drained", labNode(1, idle), "complete", "nothing runs there", nil},
		{"is down", labNode(1, down), "unknown", "nothing runs there", nil},
		{"is not there", labNode(2), "running", "nothing runs there", nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &fakeNomad{nodes: []*nomad.Node{labNode(0), c.node}, allocs: []*nomad.AllocationListStub{on(id, c.status), on("00000000-aaaa", "running")}}
			args := NodeDrainedArgs{Environment: "lab", Index: 1, Jobs: []string{"emqx-lab"}}
			s, err := once(t, NodeDrained(f, args))
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.seen == "nothing runs there")
			assert.Equal(t, s.Due, c.changed != nil)
			done, err := DrainNode(f, args).Do(t.Context())
			assert.NilError(t, err)
			assert.Equal(t, done == "begun", c.changed != nil, done)
			assert.DeepEqual(t, f.changed, c.changed)
		})
	}
	f := &fakeNomad{nodes: []*nomad.Node{labNode(1)}, denied: Fatal(errors.New("denied"))}
	_, err := DrainNode(f, NodeDrainedArgs{Environment: "lab", Index: 1}).Do(t.Context())
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

func TestEndDrainsEndsOnlyThoseOfThisProgram(t *testing.T) {
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0, idle, ours), labNode(1, idle), labNode(2, ours), labNode(3, draining, ours), labNode(4, draining, ours)}}
	done, err := EndDrains(f, "lab", []int{0, 1, 2, 3}).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "emqx-lab-0; emqx-lab-3")
	assert.DeepEqual(t, f.changed, []string{"undrain 00000000-aaaa", "undrain 30000000-aaaa"})
}

func TestPurgeEndedNodesLeavesANodeThatAnswers(t *testing.T) {
	f := &fakeNomad{silent: map[string]error{"gone": errNoPath}, late: map[string]int{"busy": 2, "dead": 9}}
	done, err := PurgeEndedNodes(f, []string{"gone", "there", "busy", "dead"}).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "gone; dead")
	assert.DeepEqual(t, f.changed, []string{"purge gone", "purge dead"})

	f.denied = fmt.Errorf("forgetting dead node gone: %w", ErrNotFound) // the boot script of its successor was first
	done, err = PurgeEndedNodes(f, []string{"gone"}).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "")
	f.denied = errors.New("no cluster leader")
	_, err = PurgeEndedNodes(f, []string{"gone"}).Do(t.Context())
	assert.Error(t, err, "no cluster leader")
}

// An old entry counts for Nomad until it is purged, and an update of the job goes wrong
// meanwhile.
func TestTheDeadArePurgedOnceTheirSuccessorLives(t *testing.T) {
	old := func(n *nomad.Node) { n.Status, n.ID = "disconnected", "old00000-1" }
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1, old)}}
	args := NodesReadyArgs{Environment: "lab", Count: 2}
	g, purge := NodesReady(f, args), PurgeDeadNodes(f, args)
	nothing := func(why string) {
		t.Helper()
		done, err := purge.Do(t.Context())
		assert.NilError(t, err)
		assert.Equal(t, done, "")
		assert.Equal(t, len(f.changed), 0, why)
	}
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "1/2 nodes: emqx-lab-1 is disconnected in Nomad")
	assert.Assert(t, !s.Due)
	nothing("nobody has taken its place")

	f.nodes = append(f.nodes, labNode(1))
	f.silent = map[string]error{"10000000-aaaa": errors.New("no connection")}
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, !s.Holds && !s.Due)
	nothing("nobody has answered in its place")

	f.silent, f.denied = nil, Fatal(errors.New("forgetting dead node old00000: denied"))
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Due)
	assert.Equal(t, s.Seen, "2/2 nodes ready, and Nomad still counts what ran on old00000, which was emqx-lab-1 before its instance was relaunched")
	_, err = purge.Do(t.Context())
	assert.ErrorContains(t, err, "old00000, which was emqx-lab-1 before its instance was relaunched: forgetting dead node")
	assert.Assert(t, IsFatal(err))
	f.denied = nil
	done, err := purge.Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "old00000, which was emqx-lab-1 before its instance was relaunched")
	assert.DeepEqual(t, f.changed, []string{"purge old00000-1"})

	f.nodes = []*nomad.Node{labNode(0), labNode(1)}
	s, err = once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
}

// Between the check and the step a node may come back, or go.
func TestOnlyWhatIsStillDeadIsPurged(t *testing.T) {
	dead := func(n *nomad.Node) { n.Status, n.ID = "down", "old00000-1" }
	args := NodesReadyArgs{Environment: "lab", Count: 2}
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1), labNode(1, dead)}}
	s, err := once(t, NodesReady(f, args))
	assert.NilError(t, err)
	assert.Assert(t, s.Due)
	f.nodes[2] = labNode(1, func(n *nomad.Node) { n.ID, n.ModifyIndex = "old00000-1", 8 })
	done, err := PurgeDeadNodes(f, args).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "", "it came back: now there are two")
	assert.Equal(t, len(f.changed), 0)

	f.nodes[2] = labNode(1, dead)
	f.denied = fmt.Errorf("forgetting dead node old00000: %w", ErrNotFound) // somebody else has purged it
	_, err = PurgeDeadNodes(f, args).Do(t.Context())
	assert.NilError(t, err)
}

// What a scale-in leaves behind in Nomad goes with the next update.
func TestTheDeadOfIndexesThatAreGoneArePurged(t *testing.T) {
	dead := func(n *nomad.Node) { n.Status = "down" }
	foreign := func(n *nomad.Node) { n.Status, n.Meta["emqx_cluster"] = "down", "prod" }
	f := &fakeNomad{nodes: []*nomad.Node{labNode(0), labNode(1), labNode(2), labNode(3, dead), labNode(4, foreign)}}
	one := NodesReadyArgs{Environment: "lab", Only: []int{0}}
	s, err := once(t, NodesReady(f, one))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds)
	done, err := PurgeDeadNodes(f, one).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "", "asked for one node, it knows nothing of the others")

	two := NodesReadyArgs{Environment: "lab", Count: 2}
	s, err = once(t, NodesReady(f, two))
	assert.NilError(t, err)
	assert.Assert(t, s.Due && !s.Holds)
	done, err = PurgeDeadNodes(f, two).Do(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, done, "30000000, which was emqx-lab-3 before it was removed")
	assert.DeepEqual(t, f.changed, []string{"purge " + labNode(3).ID}) // node 2 still lives
	f.denied = Fatal(errors.New("denied"))
	_, err = PurgeDeadNodes(f, two).Do(t.Context())
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
