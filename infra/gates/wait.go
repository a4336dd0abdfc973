package gates

import (
	"context"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
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
// not; it may be nil. Nothing is done but asking: what steps would do stays undone.
func Wait(ctx context.Context, clock Clock, g Gate, report func(string)) error {
	return repeat(ctx, clock, g.attempts(nil), func(l gateline.Line, _ bool) {
		if report != nil {
			report(l.String())
		}
	})
}

// repeat makes attempts until one holds. report also learns whether the line says
// something new.
func repeat(ctx context.Context, clock Clock, a attempts, report func(line gateline.Line, isNew bool)) error {
	w := waiting{attempts: a, clock: clock, start: clock.Now(), report: report, looksNext: a.next}
	w.seenSince = w.start
	for {
		left := a.timeout - clock.Now().Sub(w.start)
		status, err := w.try(ctx, left)
		switch {
		case ctx.Err() != nil:
			// The attempt was cut off: what it says now hides what was seen before.
			return w.fail(context.Cause(ctx))
		case err != nil:
			w.note(status)
			return w.fail(err)
		case status.Holds:
			w.done(a.name, status.Seen)
			return nil
		}
		w.note(status)
		left = a.timeout - w.elapsed()
		if left <= 0 {
			return w.fail(context.DeadlineExceeded)
		}
		if err := clock.Sleep(ctx, min(a.interval, left)); err != nil {
			return w.fail(err)
		}
	}
}

// waiting is what one wait knows.
type waiting struct {
	attempts
	clock           Clock
	start           time.Time
	report          func(line gateline.Line, isNew bool)
	seen, looksNext string
	seenSince       time.Time
	reportedAt      time.Time
}

func (w *waiting) elapsed() time.Duration { return w.clock.Now().Sub(w.start) }

// done reports what holds, or what a step has done.
func (w *waiting) done(name, what string) {
	if what == "" && w.step {
		return // nothing was left to do
	}
	w.report(gateline.Line{Gate: name, Holds: true, Elapsed: round(w.elapsed()), Seen: what}, true)
}

// try makes one attempt; the error it returns is fatal.
func (w *waiting) try(ctx context.Context, left time.Duration) (Status, error) {
	limit := max(left, min(lastCheck, w.timeout))
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	status, err := w.once(bounded, func(s Step, done string) {
		if done = loggable(done); done != "" {
			w.done(s.Name, done)
		}
	})
	status.Seen, status.Next = loggable(status.Seen), loggable(status.Next)
	switch {
	case IsFatal(err):
		return status, err
	case err != nil && bounded.Err() != nil && w.seen != "":
		// Running into the end of the wait says less than the answer before it.
		return Status{Seen: w.seen, Next: w.looksNext}, nil
	case err != nil:
		return Status{Seen: loggable(err.Error()), Next: status.Next}, nil
	}
	return status, nil
}

// note keeps what was seen and reports it when it is new, or was reported long ago.
func (w *waiting) note(s Status) {
	now := w.clock.Now()
	w.looksNext = w.next
	if s.Next != "" {
		w.looksNext = s.Next
	}
	isNew := s.Seen != w.seen
	if isNew {
		w.seen, w.seenSince = s.Seen, now
	}
	if s.Seen == "" || !isNew && now.Sub(w.reportedAt) < repeatEvery {
		return
	}
	w.reportedAt = now
	w.report(gateline.Line{Gate: w.name, Elapsed: round(w.elapsed()), Timeout: w.timeout, Seen: w.seen}, isNew)
}

func (w *waiting) fail(err error) error {
	now := w.clock.Now()
	seen := w.seen
	if seen == "" {
		seen = "nothing yet"
	}
	return &Error{
		Gate: w.name, Step: w.step, Seen: seen, SeenFor: now.Sub(w.seenSince), Waited: now.Sub(w.start),
		Next: w.looksNext, Err: err,
	}
}
