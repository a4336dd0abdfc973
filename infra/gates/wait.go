package gates

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// repeatEvery is how often an unchanged status is reported again, so that a
// long wait shows that it is alive without filling a log.
const repeatEvery = 10 * time.Second

// Clock is the time that [Wait] lives in.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with the context's error when that ends first.
	Sleep(ctx context.Context, d time.Duration) error
}

// SystemClock is the real time.
func SystemClock() Clock { return systemClock{} }

type systemClock struct{}

func (systemClock) Now() time.Time { return time.Now() }

func (systemClock) Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}

// Wait asks the gate until it holds. It returns nil then, and an [*Error]
// otherwise: at the gate's timeout, when ctx ends, or when a check says
// [Fatal]. report gets one line whenever what is seen changes, and about every
// ten seconds while it does not; it may be nil.
func Wait(ctx context.Context, clock Clock, g Gate, report func(string)) error {
	if report == nil {
		report = func(string) {}
	}
	start := clock.Now()
	deadline := start.Add(g.timeout())
	// A check that hangs must not outlive the gate, whatever the clock says.
	ctx, cancel := context.WithTimeout(ctx, g.timeout())
	defer cancel()

	var (
		seen       = "nothing yet"
		next       = g.Next
		seenSince  = start
		reportedAt time.Time
	)
	fail := func(err error) error {
		now := clock.Now()
		return &Error{Gate: g.name(), Seen: seen, SeenFor: now.Sub(seenSince), Waited: now.Sub(start), Next: next, Err: err}
	}
	for {
		status, err := g.Check(ctx)
		now := clock.Now()
		switch {
		case err != nil && IsFatal(err):
			if status.Next != "" {
				next = status.Next
			}
			return fail(err)
		case err != nil && ctx.Err() != nil:
			// The check was cut off: what it says then hides what was seen before.
			return fail(context.Cause(ctx))
		case err != nil:
			status = Status{Seen: err.Error(), Next: status.Next}
		}
		if status.Holds {
			report(fmt.Sprintf("%s: %s (%s)", g.name(), status.Seen, round(now.Sub(start))))
			return nil
		}
		if status.Seen != seen {
			seen, seenSince = status.Seen, now
			reportedAt = time.Time{}
		}
		next = g.Next
		if status.Next != "" {
			next = status.Next
		}
		if reportedAt.IsZero() || now.Sub(reportedAt) >= repeatEvery {
			reportedAt = now
			report(fmt.Sprintf("%s: waiting %s of %s: %s", g.name(), round(now.Sub(start)), g.timeout(), seen))
		}
		if !now.Add(g.interval()).Before(deadline) {
			return fail(context.DeadlineExceeded)
		}
		if err := clock.Sleep(ctx, g.interval()); err != nil {
			if errors.Is(err, context.DeadlineExceeded) {
				err = context.DeadlineExceeded
			}
			return fail(err)
		}
	}
}
