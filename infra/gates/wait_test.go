package gates

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
)

// fakeClock moves only when somebody sleeps.
type fakeClock struct {
	now    time.Time
	sleeps []time.Duration
	// onSleep, when set, is called before each sleep.
	onSleep func(n int)
}

func newFakeClock() *fakeClock { return &fakeClock{now: time.Unix(1_700_000_000, 0)} }

func (c *fakeClock) Now() time.Time { return c.now }

func (c *fakeClock) Sleep(ctx context.Context, d time.Duration) error {
	c.sleeps = append(c.sleeps, d)
	if c.onSleep != nil {
		c.onSleep(len(c.sleeps))
	}
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	c.now = c.now.Add(d)
	return nil
}

// answers returns a check that gives one answer after the other, the last one
// for ever.
func answers(list ...any) func(context.Context) (Status, error) {
	n := 0
	return func(context.Context) (Status, error) {
		a := list[min(n, len(list)-1)]
		n++
		switch a := a.(type) {
		case error:
			return Status{}, a
		case Status:
			return a, nil
		case string:
			return Status{Seen: a}, nil
		}
		panic(fmt.Sprintf("%T", a))
	}
}

func testGate(check func(context.Context) (Status, error)) Gate {
	return Gate{ID: "G1", Title: "nodes ready", Timeout: time.Minute, Interval: 2 * time.Second, Next: "the boot log", Check: check}
}

func TestWaitGoesOnWhenTheGateHolds(t *testing.T) {
	clock := newFakeClock()
	var lines []string
	err := Wait(t.Context(), clock, testGate(answers("0/3 nodes", "0/3 nodes", "2/3 nodes", Status{Holds: true, Seen: "3/3 nodes ready"})),
		func(s string) { lines = append(lines, s) })
	assert.NilError(t, err)
	assert.DeepEqual(t, lines, []string{
		"G1 nodes ready: waiting 0s of 1m0s: 0/3 nodes",
		"G1 nodes ready: waiting 4s of 1m0s: 2/3 nodes",
		"G1 nodes ready: 3/3 nodes ready (6s)",
	})
}

func TestWaitReportsAnUnchangedStatusEveryTenSeconds(t *testing.T) {
	var lines []string
	var repeated int
	g := testGate(answers("2/3 nodes"))
	err := repeat(t.Context(), newFakeClock(), g.attempts(nil), func(l gateline.Line, isNew bool) {
		lines = append(lines, l.String())
		if !isNew {
			repeated++
		}
	})
	assert.Assert(t, err != nil)
	assert.Equal(t, len(lines), 7, "%q", lines) // at 0, 10, ... 60 s, not at each of the 31 checks
	assert.Equal(t, repeated, 6)
}

func TestWaitTimeoutTellsWhatWasSeenHowLongAndWhatNext(t *testing.T) {
	clock := newFakeClock()
	err := Wait(t.Context(), clock, testGate(answers("1/3 nodes", "1/3 nodes", "2/3 nodes: emqx-lab-1 not registered in Nomad")), nil)
	assert.Error(t, err, "waiting for G1 nodes ready: did not hold within 1m0s; seen for the last 56s: "+
		"2/3 nodes: emqx-lab-1 not registered in Nomad; look next at: the boot log")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	var e *Error
	assert.Assert(t, errors.As(err, &e))
	assert.Equal(t, e.Waited, time.Minute)
	assert.Equal(t, e.SeenFor, 56*time.Second)
}

func TestWaitAsksOnceMoreAtTheTimeout(t *testing.T) {
	clock := newFakeClock()
	g := testGate(answers("no", Status{Holds: true, Seen: "yes"}))
	g.Timeout, g.Interval = time.Second, time.Hour
	assert.NilError(t, Wait(t.Context(), clock, g, nil))
	assert.DeepEqual(t, clock.sleeps, []time.Duration{time.Second})
}

func TestWaitRetriesACheckThatCouldNotAsk(t *testing.T) {
	var lines []string
	err := Wait(t.Context(), newFakeClock(), testGate(answers(
		errors.New("cannot reach Nomad at http://10.80.2.10:4646: connection refused"), Status{Holds: true, Seen: "3/3"})),
		func(s string) { lines = append(lines, s) })
	assert.NilError(t, err)
	assert.Equal(t, lines[0], "G1 nodes ready: waiting 0s of 1m0s: cannot reach Nomad at http://10.80.2.10:4646: connection refused")
}

func TestWaitPrefersTheNextOfTheStatus(t *testing.T) {
	err := Wait(t.Context(), newFakeClock(), testGate(answers(Status{Seen: "stopped", Next: "who stopped it"})), nil)
	assert.ErrorContains(t, err, "look next at: who stopped it")
}

func TestWaitStopsAtOnceWhenTheErrorIsFatal(t *testing.T) {
	clock := newFakeClock()
	cause := errors.New("the deployment failed")
	err := Wait(t.Context(), clock, testGate(answers("0/3", fmt.Errorf("asking: %w", Fatal(cause)), Status{Holds: true})), nil)
	assert.Error(t, err, "waiting for G1 nodes ready: failed after 2s: asking: the deployment failed; look next at: the boot log")
	assert.ErrorIs(t, err, cause)
	assert.Equal(t, len(clock.sleeps), 1)
}

func TestWaitEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	clock := newFakeClock()
	clock.onSleep = func(n int) {
		if n == 3 {
			cancel(errors.New("interrupted"))
		}
	}
	err := Wait(ctx, clock, testGate(answers("2/3 nodes")), nil)
	assert.Error(t, err, "waiting for G1 nodes ready: stopped after 4s (interrupted); seen for the last 4s: 2/3 nodes; look next at: the boot log")
}

func TestWaitCutsAHangingCheckAndKeepsWhatWasSeenBefore(t *testing.T) {
	n := 0
	g := testGate(func(ctx context.Context) (Status, error) {
		if n++; n == 1 {
			return Status{Seen: "2/3 nodes"}, nil
		}
		<-ctx.Done()
		return Status{}, ctx.Err()
	})
	g.Timeout, g.Interval = 100*time.Millisecond, time.Millisecond
	start := time.Now()
	err := Wait(t.Context(), SystemClock(), g, nil)
	assert.ErrorContains(t, err, "2/3 nodes")
	assert.ErrorIs(t, err, context.DeadlineExceeded)
	assert.Assert(t, time.Since(start) < 5*time.Second)
}

func TestWaitEndsARunningCheckWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	g := testGate(func(ctx context.Context) (Status, error) {
		cancel()
		<-ctx.Done()
		return Status{}, ctx.Err()
	})
	err := Wait(ctx, SystemClock(), g, nil)
	assert.Error(t, err, "waiting for G1 nodes ready: stopped after 0s (context canceled); seen for the last 0s: nothing yet")
}

func TestSystemClockSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.ErrorIs(t, SystemClock().Sleep(ctx, time.Hour), context.Canceled)
	assert.NilError(t, SystemClock().Sleep(t.Context(), time.Microsecond))
}
