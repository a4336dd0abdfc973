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

// settled says what of a job Nomad has not decided yet, which is nothing in most cases.
// A node that comes back after its heartbeats were missed has its allocation reconnected
// or replaced, and Nomad may place the new one beside the old one, with no predecessor
// to wait for (1.11.2). A roll that begins meanwhile takes the node for a healthy one and
// goes on with the next: two are away.
func settled(ctx context.Context, client NomadClient, job string, now time.Time) ([]string, error) {
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
	open := append(lostSight(allocs), twice(allocs)...)
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

// twice are indexes with two allocations that live. In a roll the new one is of another
// version, and pending until the old one has ended.
func twice(allocs []*nomad.AllocationListStub) []string {
	living := map[string][]*nomad.AllocationListStub{}
	for _, a := range allocs {
		if a.ClientStatus == nomad.AllocClientStatusRunning || a.ClientStatus == nomad.AllocClientStatusPending {
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
			ids = append(ids, fmt.Sprintf("%s (%s, meant to %s)", shortID(a.ID), a.ClientStatus, a.DesiredStatus))
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
