package gates

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
)

type callerKey struct{}

// WithContext returns a Pulumi context whose gates also stop when caller ends.
//
// The engine does not tell a hook that the user cancelled: on the first Ctrl-C
// it waits for the step in progress, and that step is the hook, up to its
// timeout. Whoever runs the program inline therefore hands its own context over
// here, and the gate ends with it. Under a language host there is nobody to do
// so: there the second Ctrl-C ends the engine, and with it the wait, which
// notices at its next progress line.
func WithContext(ctx *pulumi.Context, caller context.Context) *pulumi.Context {
	return ctx.WithValue(callerKey{}, caller)
}

// Hook binds a gate to the resources that get the returned option: they are
// created or updated only once the gate holds. It registers one hook, "<scope>: <gate>",
// a name that a program may use once; so call it once per gate and share the option; resources
// that come to the gate at the same time share one wait. The steps are taken when the
// gate finds them due. In a preview nothing is asked.
func Hook(ctx *pulumi.Context, scope string, g Gate, steps ...Step) (pulumi.ResourceOption, error) {
	var shared sharedWait
	hook, err := ctx.RegisterResourceHook(scope+": "+g.name(), func(*pulumi.ResourceHookArgs) error {
		return shared.do(func() error { return Await(ctx, g, steps...) })
	}, nil)
	if err != nil {
		return nil, fmt.Errorf("registering gate %s: %w", g.name(), err)
	}
	return pulumi.ResourceHooks(&pulumi.ResourceHookBinding{
		BeforeCreate: []*pulumi.ResourceHook{hook},
		BeforeUpdate: []*pulumi.ResourceHook{hook},
	}), nil
}

// Await waits for a gate in the program itself, for what no hook can hold up: in a
// hook it would take a worker of the engine from the resource it waits for. The steps
// are taken when the gate finds them due.
func Await(ctx *pulumi.Context, g Gate, steps ...Step) error {
	return runIn(ctx, g.attempts(steps), false)
}

// runIn makes attempts inside a running program: progress goes to the engine's log,
// and they end with the program, its caller or its engine.
func runIn(ctx *pulumi.Context, a attempts, atEnd bool) error {
	wait, cancel := context.WithCancelCause(ctx.Context())
	defer cancel(nil)
	if caller, ok := ctx.Context().Value(callerKey{}).(context.Context); ok {
		stop := context.AfterFunc(caller, func() { cancel(context.Cause(caller)) })
		defer stop()
	}
	return repeat(wait, SystemClock(), a, func(line gateline.Line, isNew bool) {
		line.AtEnd = atEnd
		// What was said before is shown, but not kept for the list at the end.
		if err := ctx.Log.Info(line.String(), &pulumi.LogArgs{Ephemeral: !isNew}); err != nil {
			cancel(fmt.Errorf("%w: %w", errEngineGone, err))
		}
	})
}

// errEngineGone ends a wait that nobody waits for any more: a killed engine
// leaves its program behind.
var errEngineGone = errors.New("the Pulumi engine is gone")

// sharedWait lets callers that overlap share one run.
type sharedWait struct {
	mu      sync.Mutex
	running *sharedRun
}

type sharedRun struct {
	done chan struct{}
	err  error
}

func (s *sharedWait) do(f func() error) error {
	s.mu.Lock()
	if run := s.running; run != nil {
		s.mu.Unlock()
		<-run.done
		return run.err
	}
	run := &sharedRun{done: make(chan struct{}), err: errors.New("the gate's check panicked")}
	s.running = run
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		s.running = nil
		s.mu.Unlock()
		close(run.done)
	}()
	run.err = f()
	return run.err
}
