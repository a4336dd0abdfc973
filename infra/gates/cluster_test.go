package gates

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

func ptr[T any](v T) *T { return &v }

func labJob(version uint64) *nomad.Job {
	return &nomad.Job{
		ID: ptr("emqx-lab"), Version: ptr(version), CreateIndex: ptr(uint64(10)),
		JobModifyIndex: ptr(100 * version), Stop: ptr(false),
	}
}

func labDeployment(version uint64, status string) *nomad.Deployment {
	d := &nomad.Deployment{
		ID: fmt.Sprintf("dep-%d", version), JobVersion: version, JobCreateIndex: 10, CreateIndex: 100*version + 1,
		Status: status, TaskGroups: map[string]*nomad.DeploymentState{"emqx": {DesiredTotal: 3, PlacedAllocs: 1}},
	}
	switch status {
	case "failed":
		d.StatusDescription = "Failed due to progress deadline"
	case "successful":
		d.StatusDescription = "Deployment completed successfully"
	}
	return d
}

func labAlloc(i int, version uint64, change ...func(*nomad.AllocationListStub)) *nomad.AllocationListStub {
	a := &nomad.AllocationListStub{
		ID: fmt.Sprintf("a%d-%d-00000000", i, version), Name: fmt.Sprintf("emqx-lab.emqx[%d]", i), NodeName: fmt.Sprintf("emqx-lab-%d", i),
		JobVersion: version, TaskGroup: "emqx", DesiredStatus: "run", ClientStatus: "running",
		TaskStates:       map[string]*nomad.TaskState{"emqx": {State: "running", Events: []*nomad.TaskEvent{{Type: "Started", DisplayMessage: "Task started by client"}}}},
		DeploymentStatus: &nomad.AllocDeploymentStatus{Healthy: ptr(true)},
	}
	for _, c := range change {
		c(a)
	}
	return a
}

func threeAllocs(version uint64) []*nomad.AllocationListStub {
	return []*nomad.AllocationListStub{labAlloc(0, version), labAlloc(1, version), labAlloc(2, version)}
}

// pullFails is an allocation whose image cannot be had.
func pullFails(a *nomad.AllocationListStub) {
	a.ClientStatus = "pending"
	a.DeploymentStatus = nil
	a.TaskStates = map[string]*nomad.TaskState{"emqx": {State: "pending", Restarts: 2, Events: []*nomad.TaskEvent{
		{Type: "Received", DisplayMessage: "Task received by client"},
		{Type: "Driver", DisplayMessage: "Downloading image"},
		{Type: "Driver Failure", DisplayMessage: "Failed to pull `emqx/emqx:9`: manifest unknown"},
		{Type: "Restarting", DisplayMessage: "Task restarting in 17s"},
	}}}
}

const pullReason = "emqx-lab.emqx[1] (a1-4-000 on emqx-lab-1): task emqx: Driver Failure: Failed to pull `emqx/emqx:9`: manifest unknown " +
	"[2 restarts], then Restarting: Task restarting in 17s"

var labNodes = []string{"emqx@emqx-lab-0.node.dc1.consul", "emqx@emqx-lab-1.node.dc1.consul", "emqx@emqx-lab-2.node.dc1.consul"}

func whole(string, string, []string) (ExecResult, error) { return said(labNodes, nil), nil }

var wanted = JobText{File: "the job", Variables: "and its variables"}

func clusterGate(f *fakeNomad) Gate {
	return ClusterFormed(f, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes, Text: wanted})
}

func rolledBack(version uint64) *nomad.Deployment {
	d := labDeployment(version, "failed")
	d.StatusDescription += fmt.Sprintf(" - rolling back to job version %d", version-1)
	return d
}

// Who has nothing in mind asks whether what stands is well.
func TestWithoutATextWhateverStandsIsWanted(t *testing.T) {
	s, err := once(t, ClusterFormed(&fakeNomad{
		job: labJob(5), allocs: threeAllocs(5), deployments: []*nomad.Deployment{labDeployment(5, "successful"), rolledBack(4)}, exec: whole,
	}, ClusterFormedArgs{Job: "emqx-lab", Nodes: labNodes}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)
}

func TestClusterFormedByDeployment(t *testing.T) {
	for _, c := range []struct {
		name  string
		nomad *fakeNomad
		holds bool
		seen  string
		fatal string
	}{
		{name: "no job", nomad: &fakeNomad{}, seen: "job emqx-lab not registered in Nomad"},
		{
			name:  "success",
			nomad: &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")}, allocs: threeAllocs(4)},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name: "one that is not wanted any more still serves",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: append(threeAllocs(4), labAlloc(3, 3, func(a *nomad.AllocationListStub) { a.DesiredStatus = "stop" })),
			},
			seen: "3/3 allocations of version 4 of job emqx-lab run, still stopping: emqx-lab.emqx[3] (a3-3-000 on emqx-lab-3) is running, task emqx: Started: Task started by client",
		},
		{
			name: "one that is not wanted any more was lost with its node",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: append(threeAllocs(4), labAlloc(3, 3, func(a *nomad.AllocationListStub) { a.DesiredStatus, a.ClientStatus = "stop", "lost" })),
			},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name: "stopped from outside", seen: "job emqx-lab is stopped",
			nomad: &fakeNomad{job: func() *nomad.Job { j := labJob(4); j.Stop = ptr(true); return j }(), allocs: threeAllocs(4)},
		},
		{
			name:  "going on",
			nomad: &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")}, allocs: threeAllocs(3)},
			seen:  "deployment of version 4 is running: 1 placed, 0 healthy of 3",
		},
		{
			name: "going on and failing",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, pullFails), labAlloc(2, 3)},
			},
			seen: "deployment of version 4 is running: 1 placed, 0 healthy of 3: " + pullReason,
		},
		{
			name: "an earlier version had failed",
			nomad: &fakeNomad{
				job: labJob(4), allocs: threeAllocs(4),
				deployments: []*nomad.Deployment{labDeployment(4, "successful"), labDeployment(3, "failed")},
			},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name:  "an earlier version had succeeded, this one has no deployment yet",
			nomad: &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{labDeployment(3, "successful")}, allocs: threeAllocs(3)},
			seen:  "0/3 allocations of version 4 of job emqx-lab run",
		},
		{
			name: "an earlier job of the same id had succeeded at the same version",
			nomad: &fakeNomad{job: labJob(0), deployments: func() []*nomad.Deployment {
				d := labDeployment(0, "successful")
				d.JobCreateIndex = 3
				return []*nomad.Deployment{d}
			}()},
			seen: "0/3 allocations of version 0 of job emqx-lab run",
		},
		{
			name:  "the deployment is purged, its allocations run",
			nomad: &fakeNomad{job: labJob(4), allocs: threeAllocs(4)},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name: "failed, never seen going on, allocations missing",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "failed")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, pullFails)},
			},
			fatal: "the deployment of version 4 of job emqx-lab failed: Failed due to progress deadline: " + pullReason,
		},
		{
			name: "failed before, still being restarted",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "failed")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, pullFails), labAlloc(2, 4)},
			},
			seen: "the deployment of version 4 of job emqx-lab had failed before (Failed due to progress deadline): " +
				"2/3 allocations of version 4 of job emqx-lab run: " + pullReason,
		},
		{
			name: "failed before, has come up since",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "failed")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, func(a *nomad.AllocationListStub) { a.DeploymentStatus.Healthy = ptr(false) }), labAlloc(2, 4)},
			},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name: "rolled back by Nomad: healthy, but not what was asked for",
			nomad: &fakeNomad{
				job: labJob(5), allocs: threeAllocs(5), deployments: []*nomad.Deployment{labDeployment(5, "successful"), rolledBack(4)},
				stands: JobText{File: "the job before", Variables: wanted.Variables},
			},
			fatal: "version 4 of job emqx-lab failed and Nomad went back to an older one: Failed due to progress deadline - rolling back to job version 3",
		},
		{
			name: "rolled back by Nomad, and by now that is what is asked for",
			nomad: &fakeNomad{
				job: labJob(5), allocs: threeAllocs(5), deployments: []*nomad.Deployment{labDeployment(5, "successful"), rolledBack(4)},
				stands: wanted,
			},
			holds: true, seen: "3/3 EMQX nodes running",
		},
		{
			name: "rolled back by Nomad, which goes on",
			nomad: &fakeNomad{
				job: labJob(5), allocs: threeAllocs(4), deployments: []*nomad.Deployment{labDeployment(5, "running"), rolledBack(4)},
				stands: wanted,
			},
			seen: "deployment of version 5 is running: 1 placed, 0 healthy of 3",
		},
		{
			name: "succeeded, then one died",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, func(a *nomad.AllocationListStub) {
					a.ClientStatus = "failed"
					a.TaskStates["emqx"] = &nomad.TaskState{State: "dead", Failed: true, Restarts: 3, Events: []*nomad.TaskEvent{
						{Type: "Terminated", DisplayMessage: "Exit Code: 137, Exit Message: \"Docker container exited\"", Details: map[string]string{"exit_code": "137", "oom_killed": "true"}},
						{Type: "Not Restarting", DisplayMessage: "Exceeded allowed attempts 3 in interval 5m0s and mode is \"fail\""},
					}}
				}), labAlloc(2, 4)},
			},
			seen: `2/3 allocations of version 4 of job emqx-lab run: emqx-lab.emqx[1] (a1-4-000 on emqx-lab-1): task emqx: Terminated: ` +
				`Exit Code: 137, Exit Message: "Docker container exited", out of memory [3 restarts], then Not Restarting: ` +
				`Exceeded allowed attempts 3 in interval 5m0s and mode is "fail"`,
		},
		{
			name: "its node is gone",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4), labAlloc(2, 4, func(a *nomad.AllocationListStub) { a.ClientStatus = "unknown" })},
			},
			seen: "2/3 allocations of version 4 of job emqx-lab run: emqx-lab.emqx[2] (a2-4-000 on emqx-lab-2): its node is gone (unknown)",
		},
		{
			name: "unplaced",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")}, allocs: []*nomad.AllocationListStub{labAlloc(0, 4)},
				evals: []*nomad.Evaluation{
					{CreateIndex: 1, JobModifyIndex: 300, FailedTGAllocs: map[string]*nomad.AllocationMetric{"emqx": {NodesEvaluated: 1}}},
					{CreateIndex: 500, JobModifyIndex: 400, FailedTGAllocs: map[string]*nomad.AllocationMetric{"emqx": {
						NodesEvaluated: 3, NodesFiltered: 1, NodesExhausted: 2, CoalescedFailures: 1,
						ConstraintFiltered: map[string]int{"missing compatible host volumes": 1},
						DimensionExhausted: map[string]int{"network: reserved port collision dist=4370": 2},
					}}},
				},
			},
			seen: `deployment of version 4 is running: 1 placed, 0 healthy of 3: 2 allocations of group emqx cannot be placed: ` +
				`1 nodes excluded by "missing compatible host volumes", 2 nodes exhausted: network: reserved port collision dist=4370`,
		},
		{
			name: "unplaced: no node at all",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "failed")},
				evals: []*nomad.Evaluation{{CreateIndex: 500, JobModifyIndex: 400, FailedTGAllocs: map[string]*nomad.AllocationMetric{"emqx": {CoalescedFailures: 2}}}},
			},
			fatal: "the deployment of version 4 of job emqx-lab failed: Failed due to progress deadline: 3 allocations of group emqx cannot be placed: no node is eligible",
		},
		{
			name: "failed with nothing failing: too slow",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "failed")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, func(a *nomad.AllocationListStub) {
					a.ClientStatus, a.DeploymentStatus = "pending", nil
					a.TaskStates["emqx"] = &nomad.TaskState{State: "pending", Events: []*nomad.TaskEvent{{Type: "Driver", DisplayMessage: "Downloading image"}}}
				})},
			},
			fatal: "the deployment of version 4 of job emqx-lab failed: Failed due to progress deadline: " +
				"emqx-lab.emqx[1] (a1-4-000 on emqx-lab-1) is pending, task emqx: Driver: Downloading image",
		},
		{
			name: "placed since: the old evaluation is silent",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")}, allocs: []*nomad.AllocationListStub{labAlloc(0, 4)},
				evals: []*nomad.Evaluation{
					{CreateIndex: 500, JobModifyIndex: 400, FailedTGAllocs: map[string]*nomad.AllocationMetric{"emqx": {}}},
					{CreateIndex: 501, JobModifyIndex: 400},
				},
			},
			seen: "deployment of version 4 is running: 1 placed, 0 healthy of 3",
		},
		{
			name: "cancelled",
			nomad: &fakeNomad{job: labJob(4), deployments: []*nomad.Deployment{func() *nomad.Deployment {
				d := labDeployment(4, "cancelled")
				d.StatusDescription = "Cancelled because job is stopped"
				return d
			}()}},
			seen: "the deployment of version 4 of job emqx-lab is cancelled: Cancelled because job is stopped",
		},
		{
			name: "marked unhealthy",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, func(a *nomad.AllocationListStub) { a.DeploymentStatus.Healthy = ptr(false) }), labAlloc(2, 4)},
			},
			seen: "2/3 allocations of version 4 of job emqx-lab run",
		},
		{
			name: "rescheduled outside of a deployment",
			nomad: &fakeNomad{
				job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "successful")},
				allocs: []*nomad.AllocationListStub{
					labAlloc(0, 4), labAlloc(1, 4, func(a *nomad.AllocationListStub) { a.DeploymentStatus = nil }), labAlloc(2, 4),
					labAlloc(1, 4, pullFails, func(a *nomad.AllocationListStub) { a.ClientStatus, a.NextAllocation = "failed", "a1" }),
				},
			},
			holds: true, seen: "3/3 EMQX nodes running",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.nomad.exec = whole
			s, err := once(t, clusterGate(c.nomad))
			if c.fatal != "" {
				assert.Error(t, err, c.fatal)
				assert.Assert(t, IsFatal(err))
				return
			}
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
		})
	}
}

func TestClusterFormedSaysHowToStartAStoppedJob(t *testing.T) {
	job := labJob(4)
	job.Stop = ptr(true)
	s, err := once(t, clusterGate(&fakeNomad{job: job, allocs: threeAllocs(4)}))
	assert.NilError(t, err)
	assert.Equal(t, s.Next, "who stopped it (`nomad job history emqx-lab`); `nomad job start emqx-lab` starts it again")
}

func TestClusterFormedStopsWhenTheDeploymentFailsWhileWatched(t *testing.T) {
	f := &fakeNomad{
		job: labJob(4), deployments: []*nomad.Deployment{labDeployment(4, "running")}, exec: whole,
		allocs: []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, pullFails), labAlloc(2, 4)},
	}
	g := clusterGate(f)
	_, err := once(t, g)
	assert.NilError(t, err)
	// The same picture is "being restarted" to a gate that did not see it fail.
	f.deployments = []*nomad.Deployment{labDeployment(4, "failed")}
	err = Wait(t.Context(), newFakeClock(), g, nil)
	assert.Error(t, err, "waiting for G2 cluster formed: failed after 0s: the deployment of version 4 of job emqx-lab failed: "+
		"Failed due to progress deadline: "+pullReason+"; look next at: `nomad job status emqx-lab` and `nomad alloc logs -stderr`; "+
		"Nomad deploys this version only once: mend the cause, then change the job, or `nomad job stop emqx-lab` and `nomad job start emqx-lab`, and update again")
}

func TestClusterFormedByTheMembersView(t *testing.T) {
	three := labNodes
	view := func(running, stopped []string) MemberView {
		return MemberView{Answered: true, Running: running, Stopped: stopped}
	}
	for _, c := range []struct {
		name  string
		view  MemberView
		holds bool
		seen  string
	}{
		{"whole", view(three, nil), true, "3/3 EMQX nodes running"},
		{"order does not matter", view([]string{three[2], three[0], three[1]}, nil), true, "3/3 EMQX nodes running"},
		{"split", view(three[:1], nil), false, "1/3 EMQX nodes running: " + three[1] + " is no member; " + three[2] + " is no member"},
		{"stopped", view(three[:2], three[2:]), false, "2/3 EMQX nodes running: " + three[2] + " is stopped"},
		{
			"scaled in, not left", view(three, []string{"emqx@emqx-lab-3.node.dc1.consul"}), false,
			"3/3 EMQX nodes running: emqx@emqx-lab-3.node.dc1.consul is stopped and no longer wanted (`emqx ctl cluster force-leave emqx@emqx-lab-3.node.dc1.consul` on a running member)",
		},
		{"a foreign node", view(append([]string{"emqx@10.0.0.5"}, three...), nil), false, "3/3 EMQX nodes running: emqx@10.0.0.5 runs but does not belong here"},
		{
			"stopped, and no time for names",
			MemberView{Answered: true, Running: three[:2], Nameless: 1},
			false,
			"2/3 EMQX nodes running: " + three[2] + " does not run; 1 stopped, whose names it did not tell in time",
		},
		{
			"one too many, and no time for its name",
			MemberView{Answered: true, Running: three, Nameless: 1},
			false,
			"3/3 EMQX nodes running: 1 stopped, whose names it did not tell in time",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := clusterFormed(three, c.view)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
		})
	}
}

func TestClusterFormedAsksEveryMember(t *testing.T) {
	three := labNodes
	whole, refused, hangs := said(three, nil), closed("1700000000"), ExecResult{Exit: timeoutExit}
	for name, c := range map[string]struct {
		says  [3]ExecResult
		err   error // of the third
		holds bool
		seen  string
		next  string
	}{
		"all agree": {[3]ExecResult{whole, whole, whole}, nil, true, "3/3 EMQX nodes running", ""},
		"one does not serve": {
			[3]ExecResult{whole, refused, whole},
			nil, false,
			"3/3 EMQX nodes running, but 1 of 3 do not answer: emqx-lab.emqx[1]: nothing listens on its API's port",
			waitsNext,
		},
		"one starts for the first time": {
			[3]ExecResult{whole, closed("none"), whole},
			nil, false,
			"3/3 EMQX nodes running, but 1 of 3 do not answer: emqx-lab.emqx[1]: nothing listens on its API's port",
			startsNext,
		},
		"one is late": {
			[3]ExecResult{whole, hangs, whole},
			nil, false,
			"3/3 EMQX nodes running, but 1 of 3 do not answer: emqx-lab.emqx[1]: its API did not answer within 10s",
			lateNext,
		},
		"one is out of reach": {
			[3]ExecResult{whole, whole, whole},
			errors.New("no path to node"), false,
			"3/3 EMQX nodes running, but 1 of 3 do not answer: emqx-lab.emqx[2]: no path to node",
			"whether their nodes and the Nomad agents there run",
		},
		"nobody serves": {
			[3]ExecResult{refused, refused, refused},
			nil, false,
			"no member answers: emqx-lab.emqx[0]: nothing listens on its API's port; " +
				"emqx-lab.emqx[1]: nothing listens on its API's port; emqx-lab.emqx[2]: nothing listens on its API's port",
			waitsNext,
		},
		"nobody is in time": {
			[3]ExecResult{hangs, hangs, hangs},
			nil, false,
			"no member answers: emqx-lab.emqx[0]: its API did not answer within 10s; " +
				"emqx-lab.emqx[1]: its API did not answer within 10s; emqx-lab.emqx[2]: its API did not answer within 10s",
			lateNext,
		},
		"all miss the same": {
			[3]ExecResult{said(three[:2], three[2:]), said(three[:2], three[2:]), refused}, nil, false, "2/3 EMQX nodes running: " + three[2] + " is stopped", "",
		},
		"two do not see each other, the third sees both": {
			[3]ExecResult{said([]string{three[0], three[1]}, three[2:]), whole, said([]string{three[1], three[2]}, three[:1])},
			nil, false,
			"the members do not agree: emqx-lab.emqx[0] says 2/3 EMQX nodes running: " + three[2] + " is stopped; emqx-lab.emqx[1] says 3/3 EMQX nodes running",
			splitNext,
		},
		"the first sees all": {
			[3]ExecResult{whole, whole, said([]string{three[1], three[2]}, three[:1])},
			nil, false,
			"the members do not agree: emqx-lab.emqx[0] says 3/3 EMQX nodes running; emqx-lab.emqx[2] says 2/3 EMQX nodes running: " + three[0] + " is stopped",
			splitNext,
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := &fakeNomad{job: labJob(4), allocs: threeAllocs(4)}
			f.exec = func(alloc, task string, command []string) (ExecResult, error) {
				assert.Check(t, task == "emqx" && !strings.Contains(strings.Join(command, " "), "\nemqx ctl"), "%s: %v", task, command)
				i := int(alloc[1] - '0')
				if i == 2 && c.err != nil {
					return ExecResult{}, c.err
				}
				return c.says[i], nil
			}
			s, err := once(t, clusterGate(f))
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, c.seen)
			assert.Equal(t, s.Holds, c.holds)
			assert.Equal(t, s.Next, c.next)
		})
	}
}

// Members that wait have a running task, and do not serve: nothing may look as if they
// were the ones to mend.
func TestClusterFormedSaysForWhomMembersWait(t *testing.T) {
	says := func(r ExecResult) func(string, string, []string) (ExecResult, error) {
		return func(string, string, []string) (ExecResult, error) { return r, nil }
	}
	gone := func(a *nomad.AllocationListStub) { a.ClientStatus = "unknown" }
	two := []*nomad.AllocationListStub{labAlloc(0, 4), labAlloc(1, 4, gone), labAlloc(2, 4)}
	const missing = "2/3 allocations of version 4 of job emqx-lab run: emqx-lab.emqx[1] (a1-4-000 on emqx-lab-1): its node is gone (unknown)"
	f := &fakeNomad{job: labJob(4), allocs: two, exec: says(closed("1700000000"))}
	s, err := once(t, clusterGate(f))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, missing+"; "+
		"no member serves: emqx-lab-0 and emqx-lab-2 wait for the one that stopped last, which can only be "+
		"emqx@emqx-lab-1.node.dc1.consul (its node is gone): bring it back, and all serve by themselves")
	assert.Assert(t, strings.Contains(s.Next, "`nomad alloc exec -task emqx a0-4-000 emqx_cluster_rescue force-load`"), s.Next)

	f.allocs = threeAllocs(4)
	s, err = once(t, clusterGate(f))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "no member answers"), s.Seen)
	assert.Assert(t, strings.Contains(s.Next, "says for whom"), s.Next)

	// What did not happen explains nothing.
	f.allocs = two
	for name, r := range map[string]ExecResult{
		"one that serves waits for nobody, and says more by itself": said(labNodes[2:], labNodes[:2]),
		"a first start":           closed("none"),
		"a busy node":             {Exit: timeoutExit},
		"an API that is not well": {Stdout: "\n--- born\n1\n\n--- cluster\nHTTP/1.1 503 Service Unavailable\r\n\r\n"},
	} {
		f.exec = says(r)
		s, err = once(t, clusterGate(f))
		assert.NilError(t, err)
		assert.Equal(t, s.Seen, missing, name)
		assert.Equal(t, s.Next, "", name)
	}
}

// A first `up`: all is placed, and none serves yet.
func TestAFirstStartIsNoFullStop(t *testing.T) {
	born := time.Now()
	started := func(a *nomad.AllocationListStub) {
		a.TaskStates["emqx"].StartedAt = born.Add(2 * time.Second) // as Nomad heard of it
	}
	f := &fakeNomad{
		job: labJob(0), deployments: []*nomad.Deployment{labDeployment(0, "running")},
		allocs: []*nomad.AllocationListStub{labAlloc(0, 0, started), labAlloc(1, 0, started), labAlloc(2, 0, started)},
	}
	f.exec = func(string, string, []string) (ExecResult, error) { return closed(fmt.Sprint(born.Unix())), nil }
	s, err := once(t, clusterGate(f))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "deployment of version 0 is running: 1 placed, 0 healthy of 3")
	assert.Equal(t, s.Next, "")

	// Those who start need the processor: they are not asked at every poll.
	asked := 0
	f.exec = func(string, string, []string) (ExecResult, error) {
		asked++
		return closed(fmt.Sprint(born.Unix())), nil
	}
	g := clusterGate(f)
	f.allocs = f.allocs[:1]
	for range 3 {
		_, err = once(t, g)
		assert.NilError(t, err)
	}
	assert.Equal(t, asked, 1)
	f.allocs = []*nomad.AllocationListStub{labAlloc(0, 0, started), labAlloc(1, 0, started), labAlloc(2, 0, started)}

	// The same with data of an earlier life.
	f.exec = func(string, string, []string) (ExecResult, error) {
		return closed(fmt.Sprint(born.Add(-time.Hour).Unix())), nil
	}
	s, err = once(t, clusterGate(f))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "no member serves: emqx-lab-0, emqx-lab-1 and emqx-lab-2 wait for one another"), s.Seen)
}
