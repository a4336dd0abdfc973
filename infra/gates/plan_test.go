package gates

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// planning is a Nomad that answers the three questions about a job's text.
func planning(t *testing.T, parse, validate, plan string) NomadClient {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := map[string]string{"/v1/jobs/parse": parse, "/v1/validate/job": validate, "/v1/job/emqx-lab/plan": plan}[r.URL.Path]
		status, body, coded := strings.Cut(answer, "!")
		switch {
		case answer == "":
			http.NotFound(w, r)
		case coded:
			http.Error(w, body, map[string]int{"400": 400, "403": 403, "500": 500}[status])
		default:
			_, _ = w.Write([]byte(answer))
		}
	}))
	t.Cleanup(server.Close)
	client, err := NewNomad(NomadConfig{Address: server.URL})
	assert.NilError(t, err)
	return client
}

func TestPlanIsNomadsWord(t *testing.T) {
	const job = `{"ID": "emqx-lab"}`
	plan, err := json.Marshal(nomad.JobPlanResponse{
		Diff:     &nomad.JobDiff{Type: "Edited"},
		Warnings: "2 warnings:\n\n* old\n  thing\n* other",
		Annotations: &nomad.PlanAnnotations{DesiredTGUpdates: map[string]*nomad.DesiredUpdates{
			"emqx": {Place: 2, DestructiveUpdate: 1, Ignore: 2, Stop: 3, InPlaceUpdate: 4},
		}},
		FailedTGAllocs: map[string]*nomad.AllocationMetric{"emqx": {NodesEvaluated: 3, CoalescedFailures: 1, DimensionExhausted: map[string]int{"memory": 3}}},
	})
	assert.NilError(t, err)
	same, err := json.Marshal(nomad.JobPlanResponse{
		Diff:        &nomad.JobDiff{Type: "None"},
		Annotations: &nomad.PlanAnnotations{DesiredTGUpdates: map[string]*nomad.DesiredUpdates{"emqx": {Ignore: 3}}},
	})
	assert.NilError(t, err)
	for name, c := range map[string]struct {
		client NomadClient
		want   JobPlan
	}{
		"no job": {planning(t, "400!Failed to parse job: input.hcl:1,5: Unclosed", "", ""), JobPlan{Errors: []string{"Failed to parse job: input.hcl:1,5: Unclosed"}}},
		"refused": {
			planning(t, job, `{"ValidationErrors": ["Task group emqx\nvalidation failed", "and more"], "Error": "2 errors", "Warnings": "1 warning:\n\n* odd"}`, ""),
			JobPlan{ID: "emqx-lab", Errors: []string{"Task group emqx validation failed", "and more"}, Warnings: []string{"odd"}},
		},
		"refused in one word": {planning(t, job, `{"Error": "no"}`, ""), JobPlan{ID: "emqx-lab", Errors: []string{"no"}}},
		"a roll": {
			planning(t, job, `{"Warnings": "1 warning:\n\n* other"}`, string(plan)),
			JobPlan{ID: "emqx-lab", Warnings: []string{"other", "old thing"}, Changed: true, Groups: map[string]GroupPlan{
				"emqx": {Restart: 3, InPlace: 4, Stop: 3, Place: 2, Unplaced: 2, Why: "3 nodes exhausted: memory"},
			}},
		},
		"what stands": {planning(t, job, `{}`, string(same)), JobPlan{ID: "emqx-lab", Groups: map[string]GroupPlan{"emqx": {}}}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := c.client.Plan(t.Context(), JobText{File: "job"})
			assert.NilError(t, err)
			assert.DeepEqual(t, got, c.want)
		})
	}
}

func TestAPlanThatNomadDoesNotGiveIsAnError(t *testing.T) {
	const job = `{"ID": "emqx-lab"}`
	for name, c := range map[string]struct {
		client NomadClient
		fatal  bool
		says   string
	}{
		"may not parse":    {planning(t, "403!Permission denied", "", ""), true, "the text of a job"},
		"may not validate": {planning(t, job, "403!Permission denied", ""), true, "the validation of job emqx-lab"},
		"may not plan":     {planning(t, job, `{}`, "403!Permission denied"), true, "the plan of job emqx-lab"},
		"broken":           {planning(t, job, `{}`, "500!violates a policy"), false, "violates a policy"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.client.Plan(t.Context(), JobText{File: "job"})
			assert.ErrorContains(t, err, c.says)
			assert.Equal(t, IsFatal(err), c.fatal)
		})
	}
}

func TestAbsencesAreWhatG1WaitsFor(t *testing.T) {
	down := labNode(2, func(n *nomad.Node) { n.Status = nomad.NodeStatusDown })
	before := labNode(3, func(n *nomad.Node) { n.ID, n.Status = "before", nomad.NodeStatusDown })
	gone := labNode(4)
	absent, err := Absences(t.Context(), &fakeNomad{
		nodes: []*nomad.Node{labNode(0), down, labNode(3), before, gone}, silent: map[string]error{gone.ID: errors.New("no path")},
	}, "lab", 5)
	assert.NilError(t, err)
	assert.DeepEqual(t, absent, map[int]Absence{
		1: {Why: "emqx-lab-1 not registered in Nomad"},
		2: {Registered: true, Why: "emqx-lab-2 is down in Nomad"},
		3: {Registered: true, Why: "Nomad still has the instance that was emqx-lab-3 before"},
		4: {Registered: true, Why: "emqx-lab-4 is ready in Nomad, but its agent does not answer (no path)"},
	})
}

func TestRunnersComeInTheOrderOfTheirIndexes(t *testing.T) {
	allocs := threeAllocs(1)
	allocs[0], allocs[2] = allocs[2], allocs[0]
	ended := *allocs[1]
	ended.ClientStatus = nomad.AllocClientStatusComplete
	allocs[1] = &ended
	names, err := Runners(t.Context(), &fakeNomad{allocs: allocs}, "emqx-lab")
	assert.NilError(t, err)
	assert.DeepEqual(t, names, []string{"emqx-lab-0", "emqx-lab-2"})
	none, err := NewNomad(NomadConfig{Address: answering(t, http.StatusNotFound, "job not found")})
	assert.NilError(t, err)
	names, err = Runners(t.Context(), none, "emqx-lab")
	assert.NilError(t, err)
	assert.Equal(t, len(names), 0)
}
