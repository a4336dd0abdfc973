package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	nomad "github.com/hashicorp/nomad/api"
)

// jobWatch follows the deployment of a job's current version.
type jobWatch struct {
	client NomadClient
	job    string
	count  int
	text   JobText // what the job is to be; empty: whatever is registered
	// active holds the deployments that were once seen going on: only their
	// failure is news. A gate may be asked from two places at once.
	mu     sync.Mutex
	active map[string]bool
}

func newJobWatch(client NomadClient, job string, count int, text JobText) *jobWatch {
	return &jobWatch{client: client, job: job, count: count, text: text, active: map[string]bool{}}
}

// check reads the job and says how it stands. With a status that holds come the running
// allocations of the current version.
func (w *jobWatch) check(ctx context.Context) (Status, []*nomad.AllocationListStub, error) {
	var s jobState
	var err error
	if s.job, err = w.client.Job(ctx, w.job); err != nil {
		if errors.Is(err, ErrNotFound) {
			return Status{Seen: fmt.Sprintf("job %s not registered in Nomad", w.job)}, nil, nil
		}
		return Status{}, nil, err
	}
	if s.deployments, err = w.client.Deployments(ctx, w.job); err != nil {
		return Status{}, nil, err
	}
	if s.allocs, err = w.client.Allocations(ctx, w.job); err != nil {
		return Status{}, nil, err
	}
	if s.evals, err = w.client.Evaluations(ctx, w.job); err != nil {
		return Status{}, nil, err
	}
	s.count = w.count
	if d := s.deployment(); d != nil {
		s.watched = w.watched(d)
	}
	s.stands = w.text == JobText{}
	if s.reverted() != nil && !s.stands {
		if s.stands, err = w.client.Stands(ctx, w.text); err != nil {
			return Status{}, nil, err
		}
	}
	status, err := s.status()
	if err != nil || !status.Holds {
		return status, nil, err
	}
	return status, s.current(), nil
}

// watched notes a deployment that goes on, and tells whether it was noted.
func (w *jobWatch) watched(d *nomad.Deployment) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if Active(d) {
		w.active[d.ID] = true
	}
	return w.active[d.ID]
}

// jobState is what Nomad says of a job at one moment.
type jobState struct {
	job         *nomad.Job
	deployments []*nomad.Deployment
	allocs      []*nomad.AllocationListStub
	evals       []*nomad.Evaluation
	count       int  // allocations wanted
	watched     bool // the deployment was seen going on in this program
	stands      bool // what is registered is what is asked for, whoever registered it
}

func (s *jobState) version() uint64 { return Deref(s.job.Version) }

// deployment is that of the current version.
func (s *jobState) deployment() *nomad.Deployment { return DeploymentOf(s.job, s.deployments) }

// DeploymentOf is the newest deployment of a job's current version; nil when Nomad made none
// or has forgotten it. One of an older version, however it ended, says nothing
// of what is registered now; nor does one of an earlier job of the same id.
func DeploymentOf(job *nomad.Job, deployments []*nomad.Deployment) *nomad.Deployment {
	return newestDeployment(job, deployments, func(d *nomad.Deployment) bool { return d.JobVersion == Deref(job.Version) })
}

func newestDeployment(job *nomad.Job, deployments []*nomad.Deployment, match func(*nomad.Deployment) bool) *nomad.Deployment {
	var found *nomad.Deployment
	for _, d := range deployments {
		if d.JobCreateIndex != Deref(job.CreateIndex) || !match(d) {
			continue
		}
		if found == nil || d.CreateIndex > found.CreateIndex {
			found = d
		}
	}
	return found
}

// reverted finds the deployment whose failure made Nomad itself register the
// current version (auto_revert): then what runs is not what was asked for,
// healthy or not. But when somebody has taken the fault back since, it is: to
// register the same job once more makes no version.
func (s *jobState) reverted() *nomad.Deployment {
	if s.version() == 0 {
		return nil
	}
	return newestDeployment(s.job, s.deployments, func(d *nomad.Deployment) bool {
		return d.JobVersion == s.version()-1 && d.Status == nomad.DeploymentStatusFailed &&
			strings.Contains(d.StatusDescription, " - rolling back to job version ")
	})
}

// current are the allocations of the current version that are meant to run and
// have not ended.
func (s *jobState) current() []*nomad.AllocationListStub {
	var out []*nomad.AllocationListStub
	for _, a := range s.allocs {
		if a.JobVersion == s.version() && meantToRun(a) {
			out = append(out, a)
		}
	}
	return out
}

// status says whether the job runs as it is registered, and why not. The error is a fatal one: no waiting mends it.
func (s *jobState) status() (Status, error) {
	id := Deref(s.job.ID)
	if Deref(s.job.Stop) {
		return Status{
			Seen: fmt.Sprintf("job %s is stopped", id),
			// An update starts it only when it looks at Nomad first, and when Nomad
			// calls it dead; after a node was lost it is "pending (stopped)" for long.
			Next: fmt.Sprintf("who stopped it (`nomad job history %s`); `nomad job start %s` starts it again", id, id),
		}, nil
	}
	if d := s.reverted(); d != nil && !s.stands {
		return Status{}, Fatal(fmt.Errorf("version %d of job %s failed and Nomad went back to an older one: %s%s",
			d.JobVersion, id, d.StatusDescription, s.because(d.JobVersion)))
	}
	d := s.deployment()
	what := fmt.Sprintf("version %d of job %s", s.version(), id)
	if d == nil {
		return s.running(what, true), nil
	}
	switch {
	case d.Status == nomad.DeploymentStatusSuccessful:
		return s.running(what, true), nil
	case d.Status == nomad.DeploymentStatusFailed && !s.watched && len(s.current()) == s.count:
		status := s.running(what, false)
		if !status.Holds {
			status.Seen = fmt.Sprintf("the deployment of %s had failed before (%s): %s", what, d.StatusDescription, status.Seen)
		}
		return status, nil
	case d.Status == nomad.DeploymentStatusFailed:
		return Status{Next: fmt.Sprintf("`nomad job status %s` and `nomad alloc logs -stderr`; Nomad deploys this version only "+
				"once: mend the cause, then change the job, or `nomad job stop %s` and `nomad job start %s`, and update again", id, id, id)},
			Fatal(fmt.Errorf("the deployment of %s failed: %s%s", what, d.StatusDescription, s.becauseOrState(s.version())))
	case Active(d):
		return Status{Seen: s.progress(d) + s.because(s.version())}, nil
	}
	return Status{Seen: fmt.Sprintf("the deployment of %s is %s: %s", what, d.Status, d.StatusDescription)}, nil
}

// running says whether the wanted number of allocations runs the current
// version. marked says whether Nomad's own mark of their health counts: after a
// failed deployment it is never renewed.
func (s *jobState) running(what string, marked bool) Status {
	healthy := 0
	for _, a := range s.current() {
		ok := a.ClientStatus == nomad.AllocClientStatusRunning && tasksRun(a)
		if marked && a.DeploymentStatus != nil && a.DeploymentStatus.Healthy != nil && !*a.DeploymentStatus.Healthy {
			ok = false
		}
		if ok {
			healthy++
		}
	}
	seen := fmt.Sprintf("%d/%d allocations of %s run", healthy, s.count, what)
	if healthy == s.count {
		// What is not wanted any more still serves clients until it has stopped: its
		// instance must not end before.
		var stopping []string
		for _, a := range s.allocs {
			if Stopping(a) {
				stopping = append(stopping, allocState(a))
			}
		}
		if len(stopping) > 0 {
			return Status{Seen: seen + ", still stopping: " + joinSome(stopping)}
		}
		return Status{Holds: true, Seen: seen}
	}
	if healthy > s.count {
		return Status{Seen: seen + ", more than wanted"}
	}
	return Status{Seen: seen + s.because(s.version())}
}

func (s *jobState) progress(d *nomad.Deployment) string {
	var placed, healthy int
	for _, g := range d.TaskGroups {
		placed += g.PlacedAllocs
		healthy += g.HealthyAllocs
	}
	return fmt.Sprintf("deployment of version %d is %s: %d placed, %d healthy of %d", d.JobVersion, d.Status, placed, healthy, s.count)
}

// because is everything known of why a version does not run, from the task's
// last event to the scheduler's, with its separator in front; empty when
// nothing is wrong.
func (s *jobState) because(version uint64) string {
	var reasons []string
	alive := 0
	for _, a := range s.allocs {
		if a.JobVersion != version {
			continue
		}
		if meantToRun(a) {
			alive++
		}
		if a.NextAllocation != "" && !meantToRun(a) {
			continue // its replacement speaks for it
		}
		if r := allocReason(a); r != "" {
			reasons = append(reasons, r)
		}
	}
	slices.Sort(reasons)
	if alive < s.count {
		reasons = append(reasons, placementReasons(s.job, s.evals)...)
	}
	if len(reasons) == 0 {
		return ""
	}
	return ": " + joinSome(reasons)
}

// becauseOrState falls back to what the allocations were at when time ran out.
func (s *jobState) becauseOrState(version uint64) string {
	if r := s.because(version); r != "" {
		return r
	}
	var states []string
	for _, a := range s.allocs {
		if a.JobVersion == version && (a.DeploymentStatus == nil || !Deref(a.DeploymentStatus.Healthy)) {
			states = append(states, allocState(a))
		}
	}
	if len(states) == 0 {
		return ""
	}
	slices.Sort(states)
	return ": " + joinSome(states)
}

// Active tells whether a deployment has not ended.
func Active(d *nomad.Deployment) bool {
	switch d.Status {
	case nomad.DeploymentStatusRunning, nomad.DeploymentStatusPaused, nomad.DeploymentStatusPending,
		nomad.DeploymentStatusBlocked, nomad.DeploymentStatusUnblocking, "initializing":
		return true
	}
	return false
}

// meantToRun tells whether an allocation is to run and has not ended, as far as Nomad knows.
func meantToRun(a *nomad.AllocationListStub) bool {
	if a.DesiredStatus != nomad.AllocDesiredStatusRun {
		return false
	}
	switch a.ClientStatus {
	case nomad.AllocClientStatusPending, nomad.AllocClientStatusRunning, nomad.AllocClientStatusUnknown:
		return true
	}
	return false
}

// Stopping tells whether an allocation is to end and has not. Nomad calls those of a
// node that is down lost.
func Stopping(a *nomad.AllocationListStub) bool {
	return a.DesiredStatus != nomad.AllocDesiredStatusRun && a.ClientStatus == nomad.AllocClientStatusRunning
}

func tasksRun(a *nomad.AllocationListStub) bool {
	for _, t := range a.TaskStates {
		if t.Failed || t.State == "pending" {
			return false
		}
	}
	return len(a.TaskStates) > 0
}
