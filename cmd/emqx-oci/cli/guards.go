package cli

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// exitDrift is for changes where none were expected.
const exitDrift = 4

// guardsError fails a preview for what its guards collected, after its whole plan was shown, and gives an update that they
// refused their own words and exit code.
func (a *app) guardsError(view progress.View) func(orchestrate.Result, error) error {
	return func(res orchestrate.Result, err error) error {
		var failed *orchestrate.FailedError
		if a.Guards == nil || err != nil && !errors.As(err, &failed) {
			return err
		}
		plan := make([]guards.Planned, 0, len(res.Plan))
		for _, e := range res.Plan {
			_, _, holdsData := kinds.DataVolume(e.Type, nil)
			plan = append(plan, guards.Planned{Op: e.Op, Name: e.Name, HoldsData: holdsData, Retained: e.Retained})
		}
		found := a.Guards.Judge(plan)
		if len(found) == 0 {
			return err
		}
		if a.asJSON {
			for _, v := range found {
				view.Events([]progress.Event{{
					Kind: progress.KindGuard, Time: time.Now().Truncate(time.Millisecond), Elapsed: res.Duration.Round(100 * time.Millisecond).Seconds(),
					Guard: v.Guard, Message: v.Message, Allow: v.Allow,
				}})
			}
		}
		refused := &guards.Error{Violations: found}
		if err != nil && res.Operation == string(progress.Preview) {
			return errors.Join(refused, err) // a preview's guards do not fail it themselves: that has a reason of its own
		}
		return refused
	}
}

// expectNoChanges fails a preview that has anything to change, unless it failed already, or before has it fail.
func expectNoChanges(before func(orchestrate.Result, error) error) func(orchestrate.Result, error) error {
	return func(res orchestrate.Result, err error) error {
		if before != nil {
			err = before(res, err)
		}
		if err == nil && res.Changed() {
			err = &changedError{res}
		}
		return err
	}
}

// changedError is a preview that should have found nothing to change.
type changedError struct{ orchestrate.Result }

// ExitCode is the process's exit code for this error.
func (*changedError) ExitCode() int { return exitDrift }

// shownChanges is how many lines of a resource's differences the message repeats.
const shownChanges = 8

func (e *changedError) Error() string {
	drifted := map[string]progress.Event{}
	for _, d := range e.Drift {
		drifted[d.URN] = d
	}
	outside, lines := 0, []string(nil)
	for _, p := range e.Plan {
		what, seen := p, "not as the settings say; up would "+p.Op+" it"
		if d, ok := drifted[p.URN]; ok {
			what, seen = d, d.Message
			outside++
		}
		lines = append(lines, fmt.Sprintf("  %s %s: %s", progress.Short(p.Type), p.Name, seen))
		changes := progress.PlanText(what)[1:]
		for i, l := range changes {
			if i == shownChanges && len(changes) > shownChanges+1 {
				lines = append(lines, fmt.Sprintf("      and %d lines more", len(changes)-i))
				break
			}
			lines = append(lines, "      "+strings.TrimPrefix(l, "       "))
		}
	}
	return fmt.Sprintf("stack %q is not as expected: %s, %d of them changed outside the stack\n%s",
		e.Stack, progress.Tally(changesOnly(e.Changes), progress.Preview), outside, strings.Join(lines, "\n"))
}

// changesOnly leaves out what stays as it is.
func changesOnly(changes map[string]int) map[string]int {
	only := map[string]int{}
	for op, n := range changes {
		if op != "same" {
			only[op] = n
		}
	}
	return only
}
