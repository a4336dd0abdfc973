package gates

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	nomad "github.com/hashicorp/nomad/api"
)

// undecided says what of a job Nomad has not decided yet, which is nothing in most cases.
// A node that comes back after its heartbeats were missed has its allocation reconnected
// or replaced, and Nomad may place the new one beside the old one, with no predecessor
// to wait for (1.11.2). A roll that begins meanwhile takes the node for a healthy one and
// goes on with the next: two are away.
func undecided(ctx context.Context, client NomadClient, job string, now time.Time) ([]string, error) {
	allocs, err := client.Allocations(ctx, job)
	if errors.Is(err, ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	evals, err := client.Evaluations(ctx, job)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return nil, err
	}
	open := slices.Concat(lostSight(allocs), twice(allocs), starting(allocs, now))
	for _, e := range evals {
		// One that waits for a time of its own is what a disconnected node leaves behind
		// for lost_after.
		if e.Status == nomad.EvalStatusPending && !e.WaitUntil.After(now) {
			open = append(open, fmt.Sprintf("Nomad has an evaluation of %s before it (%s)", job, e.TriggeredBy))
		}
	}
	return open, nil
}

// lostSight are allocations whose node Nomad does not hear of, or has just heard of again.
func lostSight(allocs []*nomad.AllocationListStub) []string {
	var unknown []string
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusUnknown {
			unknown = append(unknown, fmt.Sprintf("%s is unknown to Nomad since it lost sight of %s", a.Name, a.NodeName))
		}
	}
	slices.Sort(unknown)
	return unknown
}

// How long what has happened to a task may still be on its way to Nomad, and a broker on
// its way to its clients. Nodes and this program agree on the time of day to some seconds.
const (
	// noticing is how long a node's agent takes to see that a container ended with the
	// power: 3 s on a busy machine. Until then Nomad takes the task for running.
	noticing = 15 * time.Second
	// booting is what EMQX needs to start and to join: about 10 s.
	booting = 20 * time.Second
	// reconnecting bounds the whole: a broker that is not back by then may need the update.
	reconnecting = 2 * time.Minute
)

// starting are allocations that Nomad takes for running, though their broker has only just
// begun, or is to begin again because its node came back. One that ends again and again is
// not among them, for an update may be its cure, nor are the new ones of a roll under way.
func starting(allocs []*nomad.AllocationListStub, now time.Time) []string {
	versions := map[uint64]bool{}
	for _, a := range allocs {
		if pendingOrRunning(a) {
			versions[a.JobVersion] = true
		}
	}
	rolls := len(versions) > 1
	var found []string
	for _, a := range allocs {
		if a.DesiredStatus != nomad.AllocDesiredStatusRun || !pendingOrRunning(a) {
			continue
		}
		for _, task := range a.TaskStates {
			seen := lastEvents(task)
			back, started, ended := seen[nomad.TaskClientReconnected], seen[nomad.TaskStarted], seen[nomad.TaskTerminated]
			recent := now.Sub(back) < reconnecting
			switch {
			case recent && ended.After(back) && !started.After(ended):
				found = append(found, fmt.Sprintf("%s ended with its node, which is back, and starts again", a.Name))
			case recent && !ended.After(back) && now.Sub(back) < noticing:
				found = append(found, fmt.Sprintf("%s may have ended with its node, which has just come back", a.Name))
			case (recent || ended.IsZero() && !rolls) && now.Sub(started) < booting:
				found = append(found, fmt.Sprintf("%s has just started", a.Name))
			}
		}
	}
	slices.Sort(found)
	return found
}

// pendingOrRunning is by the account of the node's agent, whatever Nomad means the allocation to do.
func pendingOrRunning(a *nomad.AllocationListStub) bool {
	return a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending
}

// lastEvents are the times of a task's last event of each type.
func lastEvents(task *nomad.TaskState) map[string]time.Time {
	last := map[string]time.Time{}
	for _, e := range task.Events {
		if at := time.Unix(0, e.Time); at.After(last[e.Type]) {
			last[e.Type] = at
		}
	}
	return last
}

// twice are indexes with two allocations that live. In a roll the new one is of another
// version, and pending until the old one has ended.
func twice(allocs []*nomad.AllocationListStub) []string {
	living := map[string][]*nomad.AllocationListStub{}
	for _, a := range allocs {
		if pendingOrRunning(a) {
			living[a.Name] = append(living[a.Name], a)
		}
	}
	var found []string
	for name, all := range living {
		var versions []uint64
		var ids []string
		running := 0
		for _, a := range all {
			versions = append(versions, a.JobVersion)
			ids = append(ids, fmt.Sprintf("%s (%s, meant to %s)", ShortID(a.ID), a.ClientStatus, a.DesiredStatus))
			if a.ClientStatus == nomad.AllocClientStatusRunning {
				running++
			}
		}
		slices.Sort(versions)
		slices.Sort(ids)
		if running > 1 || len(slices.Compact(versions)) < len(all) {
			found = append(found, fmt.Sprintf("%s has %d allocations at a time: %s", name, len(all), strings.Join(ids, ", ")))
		}
	}
	slices.Sort(found)
	return found
}
