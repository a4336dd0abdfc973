package gates

import (
	"context"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
)

// repeatEvery is how often an unchanged status is reported again, so that a
// long wait shows that it is alive without filling a log.
const repeatEvery = 10 * time.Second

// lastCheck is the time that a check which begins at the very end of a wait
// still gets, so that the last answer is an answer and not a cut-off request.
const lastCheck = 5 * time.Second

// Clock is the time that [Wait] lives in.
type Clock interface {
	Now() time.Time
	// Sleep returns after d, or with the context's cause when that ends first.
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
// [Fatal]. The gate is asked a last time at the timeout itself. report gets one
// line whenever what is seen changes, and about every ten seconds while it does
// not; it may be nil.
func Wait(ctx context.Context, clock Clock, g Gate, report func(string)) error {
	if report == nil {
		return waitReporting(ctx, clock, g, func(string, bool) {})
	}
	return waitReporting(ctx, clock, g, func(line string, _ bool) { report(line) })
}

// waitReporting is [Wait] for a report that also learns whether the line says something
// new.
func waitReporting(ctx context.Context, clock Clock, g Gate, report func(line string, isNew bool)) error {
	w := waiting{gate: g, clock: clock, start: clock.Now(), report: report, next: g.Next}
	w.seenSince = w.start
	for {
		left := g.timeout() - clock.Now().Sub(w.start)
		status, err := w.check(ctx, left)
		switch {
		case ctx.Err() != nil:
			// The check was cut off: what it says now hides what was seen before.
			return w.fail(context.Cause(ctx))
		case err != nil:
			w.note(status)
			return w.fail(err)
		case status.Holds:
			report(fmt.Sprintf("%s: %s (%s)", g.name(), status.Seen, round(w.elapsed())), true)
			return nil
		}
		w.note(status)
		left = g.timeout() - w.elapsed()
		if left <= 0 {
			return w.fail(context.DeadlineExceeded)
		}
		if err := clock.Sleep(ctx, min(g.interval(), left)); err != nil {
			return w.fail(err)
		}
	}
}

// waiting is what one wait knows.
type waiting struct {
	gate       Gate
	clock      Clock
	start      time.Time
	report     func(line string, isNew bool)
	seen, next string
	seenSince  time.Time
	reportedAt time.Time
}

func (w *waiting) elapsed() time.Duration { return w.clock.Now().Sub(w.start) }

// check asks once; the error it returns is fatal.
func (w *waiting) check(ctx context.Context, left time.Duration) (Status, error) {
	limit := max(left, min(lastCheck, w.gate.timeout()))
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := w.gate.Check(bounded)
	// Brokers and clouds say it, and it goes to a terminal.
	status.Seen, status.Next = printable.Text(status.Seen), printable.Text(status.Next)
	switch {
	case IsFatal(err):
		return status, err
	case err != nil && bounded.Err() != nil && w.seen != "":
		// Running into the end of the wait says less than the answer before it.
		return Status{Seen: w.seen, Next: w.next}, nil
	case err != nil:
		return Status{Seen: printable.Text(err.Error()), Next: status.Next}, nil
	}
	return status, nil
}

// note keeps what was seen and reports it when it is new, or was reported long ago.
func (w *waiting) note(s Status) {
	now := w.clock.Now()
	w.next = w.gate.Next
	if s.Next != "" {
		w.next = s.Next
	}
	isNew := s.Seen != w.seen
	if isNew {
		w.seen, w.seenSince = s.Seen, now
	}
	if s.Seen == "" || !isNew && now.Sub(w.reportedAt) < repeatEvery {
		return
	}
	w.reportedAt = now
	w.report(fmt.Sprintf("%s: waiting %s of %s: %s", w.gate.name(), round(w.elapsed()), w.gate.timeout(), w.seen), isNew)
}

func (w *waiting) fail(err error) error {
	now := w.clock.Now()
	seen := w.seen
	if seen == "" {
		seen = "nothing yet"
	}
	return &Error{
		Gate: w.gate.name(), Seen: seen, SeenFor: now.Sub(w.seenSince), Waited: now.Sub(w.start),
		Next: w.next, Err: err,
	}
}
