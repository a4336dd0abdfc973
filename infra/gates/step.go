package gates

import (
	"cmp"
	"context"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Step is something that is done on the way to a gate. A check only asks; what it
// finds undone, and tells by [Status].Due, is a step's.
type Step struct {
	// Name says what is done, as a command: "purge dead nodes".
	Name string
	// Do does what is to be done now, and returns what that was; empty when nothing was
	// left to do, which it finds out by asking. It may be done again at any time. An
	// error is tried again like a check's, unless it is marked by [Fatal]; what was done
	// until then is returned with it.
	Do func(context.Context) (done string, err error)
	// Timeout bounds the tries of a step that is taken by itself ([Take]); zero means
	// [DefaultTimeout]. On the way to a gate its timeout counts.
	Timeout time.Duration
	// Next is what to look at when the step cannot be done.
	Next string
}

// Take takes a step in the program itself, and returns once it is done.
func Take(ctx *pulumi.Context, s Step) error { return runIn(ctx, s.attempts(), false) }

func (s Step) attempts() attempts {
	a := attempts{name: s.Name, timeout: cmp.Or(max(s.Timeout, 0), DefaultTimeout), interval: DefaultInterval, next: s.Next, step: true}
	a.once = func(ctx context.Context, did func(Step, string)) (Status, error) {
		done, err := s.Do(ctx)
		if err != nil {
			did(s, done)
			return Status{}, err
		}
		return Status{Holds: true, Seen: done}, nil
	}
	return a
}

// attempts are what a wait repeats until it holds.
type attempts struct {
	name              string
	timeout, interval time.Duration
	next              string
	step              bool // it does something, where a gate only waits
	// once asks, or does, one time. It reports what steps have done.
	once func(ctx context.Context, did func(Step, string)) (Status, error)
}

// attempts ask the gate. When it finds a step due, all its steps are taken, one after
// another, and it is asked again at once.
func (g Gate) attempts(steps []Step) attempts {
	a := attempts{name: g.name(), timeout: g.timeout(), interval: g.interval(), next: g.Next}
	a.once = func(ctx context.Context, did func(Step, string)) (Status, error) {
		status, err := g.Check(ctx)
		if err != nil || status.Holds || !status.Due || len(steps) == 0 {
			return status, err
		}
		for _, s := range steps {
			done, err := s.Do(ctx)
			did(s, done)
			if err != nil {
				return Status{Next: s.Next}, err
			}
		}
		return g.Check(ctx)
	}
	return a
}
