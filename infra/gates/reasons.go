package gates

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// causes are the task events that say why a task does not run; consequences
// follow from a cause, and speak when there is none. The events around them
// (Restarting, Killing, Task Setup) are what Nomad does about it.
var (
	causes = []string{
		nomad.TaskDriverFailure, nomad.TaskSetupFailure, nomad.TaskFailedValidation, nomad.TaskArtifactDownloadFailed,
		"Template", "Task hook failed", "Failed Restoring Task", "Disk Resources Exceeded", nomad.TaskTerminated,
	}
	consequences = []string{"Alloc Unhealthy", nomad.TaskSiblingFailed, nomad.TaskLeaderDead}
)

// allocReason is why an allocation does not run: its place, and for each sick
// task the last event that tells a cause and the last one of all.
func allocReason(a *nomad.AllocationListStub) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(a.TaskStates)) {
		if r := TaskReason(a.TaskStates[name]); r != "" {
			parts = append(parts, fmt.Sprintf("task %s: %s", name, r))
		}
	}
	if len(parts) == 0 && a.ClientStatus == nomad.AllocClientStatusFailed {
		parts = append(parts, OneLine(a.ClientDescription))
	}
	if a.ClientStatus == nomad.AllocClientStatusLost || a.ClientStatus == nomad.AllocClientStatusUnknown {
		parts = append(parts, fmt.Sprintf("its node is gone (%s)", a.ClientStatus))
	}
	if len(parts) == 0 {
		return ""
	}
	return fmt.Sprintf("%s (%s on %s): %s", a.Name, ShortID(a.ID), a.NodeName, strings.Join(parts, ", "))
}

// allocState is what an allocation was doing last, where nothing failed.
func allocState(a *nomad.AllocationListStub) string {
	s := fmt.Sprintf("%s (%s on %s) is %s", a.Name, ShortID(a.ID), a.NodeName, a.ClientStatus)
	for _, name := range slices.Sorted(maps.Keys(a.TaskStates)) {
		if t := a.TaskStates[name]; t != nil && len(t.Events) > 0 {
			s += fmt.Sprintf(", task %s: %s", name, eventText(t.Events[len(t.Events)-1]))
		}
	}
	return s
}

// NeverStarted tells a task that Nomad calls running and does not start. After a power cut
// the agent may find nothing of an allocation's tasks on its disk, and takes it in again as
// the servers have it: running. Its coordinator lets tasks start once all are pending, and
// waits for ever (Nomad 1.11.3, client/allocrunner/tasklifecycle). An agent that is
// restarted starts them.
func NeverStarted(t *nomad.TaskState) bool {
	if t == nil || t.State != "running" {
		return false
	}
	for _, e := range slices.Backward(t.Events) {
		switch e.Type {
		case nomad.TaskReceived:
			return time.Since(time.Unix(0, e.Time)) > startTime
		case "Alloc Unhealthy":
		default: // it does something
			return false
		}
	}
	return false
}

// startTime is how long a task that was received may do nothing: the agent reads its disk.
const startTime = 30 * time.Second

// TaskReason is why a task does not run: the last event that tells a cause, and the
// last one of all; empty when nothing is wrong.
func TaskReason(t *nomad.TaskState) string {
	if t == nil || len(t.Events) == 0 {
		return ""
	}
	if NeverStarted(t) {
		return "received by Nomad's agent again, and never started (`systemctl restart nomad` on the node)"
	}
	last := t.Events[len(t.Events)-1]
	cause, consequence := -1, -1
	for i := len(t.Events) - 1; i >= 0 && cause < 0; i-- {
		e := t.Events[i]
		// A task that runs has left behind it what was before its start.
		if e.Type == nomad.TaskStarted && t.State == "running" {
			break
		}
		if slices.Contains(causes, e.Type) && !cleanExit(e) {
			cause = i
		}
		if slices.Contains(consequences, e.Type) && consequence < 0 {
			consequence = i
		}
	}
	if cause < 0 {
		cause = consequence
	}
	if cause < 0 {
		if t.Failed {
			return eventText(last)
		}
		return ""
	}
	text := eventText(t.Events[cause])
	if t.Restarts > 0 {
		text += fmt.Sprintf(" [%d restarts]", t.Restarts)
	}
	if last != t.Events[cause] {
		text += ", then " + eventText(last)
	}
	return text
}

func cleanExit(e *nomad.TaskEvent) bool {
	return e.Type == nomad.TaskTerminated && e.Details["exit_code"] == "0" && e.Details["oom_killed"] != "true"
}

func eventText(e *nomad.TaskEvent) string {
	message := e.DisplayMessage
	if message == "" {
		message = e.Message
	}
	if e.Type == nomad.TaskTerminated && e.Details["oom_killed"] == "true" && !strings.Contains(message, "OOM") {
		message += ", out of memory"
	}
	if message == "" {
		return e.Type
	}
	return fmt.Sprintf("%s: %s", e.Type, OneLine(message))
}

// placementReasons says why the scheduler could not place allocations of the
// job as it stands: from the newest evaluation that tells.
func placementReasons(job *nomad.Job, evals []*nomad.Evaluation) []string {
	var newest *nomad.Evaluation
	for _, e := range evals {
		if e.JobModifyIndex < Deref(job.JobModifyIndex) {
			continue // of an older version
		}
		if newest == nil || e.CreateIndex > newest.CreateIndex {
			newest = e
		}
	}
	// A later evaluation without failures has placed what was missing.
	if newest == nil || len(newest.FailedTGAllocs) == 0 {
		return nil
	}
	var out []string
	for _, group := range slices.Sorted(maps.Keys(newest.FailedTGAllocs)) {
		m := newest.FailedTGAllocs[group]
		out = append(out, fmt.Sprintf("%d allocations of group %s cannot be placed: %s", m.CoalescedFailures+1, group, metricText(m)))
	}
	return out
}

func metricText(m *nomad.AllocationMetric) string {
	if m.NodesEvaluated == 0 && m.NodesFiltered == 0 {
		return "no node is eligible"
	}
	var parts []string
	for _, c := range slices.Sorted(maps.Keys(m.ConstraintFiltered)) {
		parts = append(parts, fmt.Sprintf("%d nodes excluded by %q", m.ConstraintFiltered[c], c))
	}
	for _, c := range slices.Sorted(maps.Keys(m.ClassFiltered)) {
		parts = append(parts, fmt.Sprintf("%d nodes of class %q excluded", m.ClassFiltered[c], c))
	}
	for _, d := range slices.Sorted(maps.Keys(m.DimensionExhausted)) {
		parts = append(parts, fmt.Sprintf("%d nodes exhausted: %s", m.DimensionExhausted[d], d))
	}
	for _, q := range m.QuotaExhausted {
		parts = append(parts, "quota exhausted: "+q)
	}
	if len(parts) == 0 {
		return fmt.Sprintf("%d of %d nodes excluded, %d exhausted", m.NodesFiltered, m.NodesEvaluated, m.NodesExhausted)
	}
	return strings.Join(parts, ", ")
}
