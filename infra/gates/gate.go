package gates

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// What a gate uses where its arguments leave a duration zero.
const (
	DefaultTimeout  = 10 * time.Minute
	DefaultInterval = time.Second
)

// Status is one answer to a gate's question.
type Status struct {
	// Holds says that the graph may go on.
	Holds bool
	// Seen is what was found, short, in the words of the system asked: "2/3
	// nodes: emqx-lab-1 not registered in Nomad". It must not change while
	// nothing changes (no clock times): it is printed at every change.
	Seen string
	// Next is what to look at when it stays so; empty means the gate's own.
	Next string
	// Due says that a step is to be taken before the gate can hold, and can be taken now.
	Due bool
	// Parts are the answers one by one, of a gate that asks several: G5's listeners, in
	// the stack's order.
	Parts []Part
}

// Part is what one of several answered. Holds, Seen and Next are as in [Status].
type Part struct {
	// Name is what it is called: "mqtts".
	Name       string
	Holds      bool
	Seen, Next string
}

// Gate is a condition and how long to wait for it.
type Gate struct {
	// ID is "G1" to "G5".
	ID string
	// Title is the condition in two words: "nodes ready".
	Title string
	// Timeout bounds the whole wait; zero means [DefaultTimeout].
	Timeout time.Duration
	// Interval lies between the end of one check and the start of the next; zero
	// means [DefaultInterval].
	Interval time.Duration
	// Check asks once, and changes nothing: see [Step]. An error means that it could not ask, which is retried
	// like any "not yet"; wrapped by [Fatal] it ends the wait at once. Check must
	// end when its context does.
	Check func(context.Context) (Status, error)
	// Next is what to look at when the gate does not hold.
	Next string
}

func (g Gate) name() string { return fmt.Sprintf("%s %s", g.ID, g.Title) }

func (g Gate) timeout() time.Duration {
	if g.Timeout > 0 {
		return g.Timeout
	}
	return DefaultTimeout
}

func (g Gate) interval() time.Duration {
	if g.Interval > 0 {
		return g.Interval
	}
	return DefaultInterval
}

// Fatal marks an error of a check that no waiting mends, such as a failed
// deployment. [Wait] stops at once and reports it.
func Fatal(err error) error {
	if err == nil {
		return nil
	}
	return &fatalError{err}
}

// IsFatal reports whether err is marked by [Fatal].
func IsFatal(err error) bool {
	var f *fatalError
	return errors.As(err, &f)
}

type fatalError struct{ err error }

func (e *fatalError) Error() string { return e.err.Error() }
func (e *fatalError) Unwrap() error { return e.err }

// Error is the end of a wait whose gate did not hold, or of a step that could not be
// done.
type Error struct {
	// Gate is "G2 cluster formed", or the name of the step, when Step is set.
	Gate string
	Step bool
	// Seen is the last thing seen, SeenFor how long it had been just that.
	Seen    string
	SeenFor time.Duration
	// Waited is how long the gate was asked in all.
	Waited time.Duration
	// Next is what to look at.
	Next string
	// Err is why the wait ended: [context.DeadlineExceeded] for the gate's own
	// timeout, the cause of the cancelled context, or the error given to [Fatal].
	Err error
}

func (e *Error) Unwrap() error { return e.Err }

func (e *Error) Error() string {
	var s string
	doing, not := "waiting for", "did not hold"
	if e.Step {
		doing, not = "trying to", "not done"
	}
	switch {
	case IsFatal(e.Err):
		s = fmt.Sprintf("%s %s: failed after %s: %s", doing, e.Gate, round(e.Waited), e.Err)
	case errors.Is(e.Err, context.DeadlineExceeded):
		s = fmt.Sprintf("%s %s: %s within %s; seen for the last %s: %s",
			doing, e.Gate, not, round(e.Waited), round(e.SeenFor), e.Seen)
	default:
		s = fmt.Sprintf("%s %s: stopped after %s (%s); seen for the last %s: %s",
			doing, e.Gate, round(e.Waited), e.Err, round(e.SeenFor), e.Seen)
	}
	if e.Next != "" && !errors.Is(e.Err, context.Canceled) {
		s += "; look next at: " + e.Next
	}
	return loggable(s) // a cloud's or a broker's words are in it
}

// round keeps durations readable: tenths below ten seconds, seconds above.
func round(d time.Duration) time.Duration {
	if d < 10*time.Second {
		return d.Round(100 * time.Millisecond)
	}
	return d.Round(time.Second)
}
