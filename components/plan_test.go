package components

import (
	"context"
	"errors"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// judge is a Nomad with an opinion of each job, by its text.
type judge struct {
	nomadOf
	plans  map[string]gates.JobPlan
	allocs map[string][]*nomad.AllocationListStub
	err    error // of every plan
	away   error
	asked  int
}

func (j *judge) Leader(context.Context) error    { return j.away }
func (j *judge) Namespace(context.Context) error { return nil }

func (j *judge) Plan(_ context.Context, text gates.JobText) (gates.JobPlan, error) {
	j.asked++
	return j.plans[text.File], j.err
}

func (j *judge) Allocations(_ context.Context, job string) ([]*nomad.AllocationListStub, error) {
	return j.allocs[job], nil
}

var bothJobs = []plannedJob{{"emqx-lab", gates.JobText{File: "emqx"}}, {"emqx-lab-haproxy", gates.JobText{File: "haproxy"}}}

// readyNodes are nodes 0 to count-1 of stack lab.
func readyNodes(count int) map[string]*nomad.Node {
	f := nomadOf{nodes: map[string]*nomad.Node{}}
	for i := range count {
		f.boots(i, nomad.NodeSchedulingEligible)
	}
	return f.nodes
}

func unplacedJob(id string, n int) gates.JobPlan {
	return gates.JobPlan{ID: id, Groups: map[string]gates.GroupPlan{"emqx": {Place: n, Unplaced: n, Why: "3 nodes exhausted: memory"}}}
}

func TestNomadsOpinionEndsAPreview(t *testing.T) {
	const says = "job emqx-lab: Nomad cannot place 1 of group emqx: 3 nodes exhausted: memory; of its 3 nodes 3 are there"
	for name, c := range map[string]struct {
		nomad      *judge
		relaunched []cluster.Node
		want       string
	}{
		"nothing against it": {&judge{}, nil, ""},
		"a first deployment": {&judge{plans: map[string]gates.JobPlan{"emqx": unplacedJob("emqx-lab", 3), "haproxy": unplacedJob("emqx-lab-haproxy", 3)}}, nil, ""},
		"no room": {
			&judge{nomadOf: nomadOf{nodes: readyNodes(3)}, plans: map[string]gates.JobPlan{"emqx": unplacedJob("emqx-lab", 1)}}, nil, says,
		},
		"more than the new nodes are for": {
			&judge{nomadOf: nomadOf{nodes: readyNodes(2)}, plans: map[string]gates.JobPlan{"emqx": unplacedJob("emqx-lab", 2)}}, nil,
			"job emqx-lab: Nomad cannot place 2 of group emqx: 3 nodes exhausted: memory; of its 3 nodes 2 are there",
		},
		"room on instances to come": {
			&judge{nomadOf: nomadOf{nodes: readyNodes(3)}, plans: map[string]gates.JobPlan{"emqx": unplacedJob("emqx-lab", 1)}},
			[]cluster.Node{{Index: 0}, {Index: 1}, {Index: 2}}, "",
		},
		"a scale-out": {
			&judge{nomadOf: nomadOf{nodes: readyNodes(2)}, plans: map[string]gates.JobPlan{"emqx": unplacedJob("emqx-lab", 1)}}, nil, "",
		},
		"both refused": {
			&judge{plans: map[string]gates.JobPlan{"emqx": {Errors: []string{"too new", "too old"}}, "haproxy": {ID: "emqx-lab-haproxy", Errors: []string{"no"}}}}, nil,
			"job emqx-lab: Nomad refuses it: too new\njob emqx-lab: Nomad refuses it: too old\njob emqx-lab-haproxy: Nomad refuses it: no",
		},
		"a fault":         {&judge{err: errors.New("broken")}, nil, "job emqx-lab: broken\njob emqx-lab-haproxy: broken"},
		"no right to ask": {&judge{err: gates.Fatal(errors.New("permission denied"))}, nil, ""},
		"out of reach":    {&judge{err: errors.New("broken"), away: errors.New("away")}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := jobPlanner{nomad: c.nomad, environment: "lab", nodes: 3, jobs: bothJobs}
			var errs [2]error
			for i, preview := range []bool{true, false} {
				_, err := recorder.Run(func(ctx *pulumi.Context) error {
					errs[i] = errors.Join(p.beforeUpdate(ctx), p.afterPreview(ctx, c.relaunched))
					return nil
				}, recorder.Options{Preview: preview})
				assert.NilError(t, err)
			}
			if c.want == "" {
				assert.NilError(t, errs[0])
				assert.NilError(t, errs[1])
				return
			}
			assert.Error(t, errs[0], c.want)
			if c.want != says && c.nomad.nodes == nil {
				assert.Error(t, errs[1], c.want) // an update ends before anything is touched
			} else {
				assert.NilError(t, errs[1]) // whether there is room, its gates say
			}
		})
	}
}

func TestOutlooksAreOfWhatRuns(t *testing.T) {
	alloc := func(i string) *nomad.AllocationListStub {
		return &nomad.AllocationListStub{Name: "emqx-lab.emqx[" + i + "]", NodeName: "emqx-lab-" + i, DesiredStatus: "run", ClientStatus: "running"}
	}
	client := &judge{
		plans: map[string]gates.JobPlan{
			"emqx":    {ID: "emqx-lab", Groups: map[string]gates.GroupPlan{"emqx": {Restart: 2, InPlace: 4, Stop: 1, Place: 5}}},
			"haproxy": {ID: "emqx-lab-haproxy", Errors: []string{"no"}},
		},
		allocs: map[string][]*nomad.AllocationListStub{"emqx-lab": {alloc("10"), alloc("2"), alloc("0")}},
	}
	found, err := jobOutlooks(t.Context(), client, bothJobs)
	assert.NilError(t, err)
	assert.DeepEqual(t, found, map[string]JobOutlook{
		"emqx-lab": {Restarted: []string{"emqx-lab-0", "emqx-lab-2"}, InPlace: 4, Stopped: 1, Placed: 5},
	})
	client.err = gates.Fatal(errors.New("permission denied"))
	found, err = jobOutlooks(t.Context(), client, bothJobs)
	assert.NilError(t, err)
	assert.Equal(t, len(found), 0)
	client.err = errors.New("broken")
	_, err = jobOutlooks(t.Context(), client, bothJobs)
	assert.Error(t, err, `asking Nomad what becomes of job "emqx-lab": broken`)
}
