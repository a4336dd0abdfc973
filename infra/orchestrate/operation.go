package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/events"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optrefresh"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// finishPoll is how often a killed run's engine is looked at while it finishes.
const finishPoll = 200 * time.Millisecond

// Preview shows what up would do. Nothing is touched.
func (r *Runner) Preview(ctx context.Context) (Result, error) {
	return r.operate(ctx, progress.Preview, true, func(s *session, ev chan<- events.EngineEvent, _ bool) (auto.OutputMap, error) {
		opts := []optpreview.Option{
			optpreview.EventStreams(ev), optpreview.Diff(), optpreview.Parallel(r.opts.Parallel),
			optpreview.ProgressStreams(r.verbose()...), optpreview.ErrorProgressStreams(r.verbose()...),
		}
		if r.opts.Refresh {
			opts = append(opts, optpreview.Refresh())
		}
		_, err := s.stack.Preview(ctx, opts...)
		return nil, err
	})
}

// Up brings the stack to what the program says.
func (r *Runner) Up(ctx context.Context) (Result, error) {
	return r.operate(ctx, progress.Up, true, func(s *session, ev chan<- events.EngineEvent, refresh bool) (auto.OutputMap, error) {
		opts := []optup.Option{
			optup.EventStreams(ev), optup.Parallel(r.opts.Parallel),
			optup.ProgressStreams(r.verbose()...), optup.ErrorProgressStreams(r.verbose()...),
		}
		if refresh {
			opts = append(opts, optup.Refresh())
		}
		res, err := s.stack.Up(ctx, opts...)
		return res.Outputs, err
	})
}

// Refresh brings the stack's state to what the clouds say.
func (r *Runner) Refresh(ctx context.Context) (Result, error) {
	return r.operate(ctx, progress.Refresh, false, func(s *session, ev chan<- events.EngineEvent, _ bool) (auto.OutputMap, error) {
		_, err := s.stack.Refresh(ctx, optrefresh.EventStreams(ev), optrefresh.Parallel(r.opts.Parallel),
			optrefresh.ProgressStreams(r.verbose()...), optrefresh.ErrorProgressStreams(r.verbose()...))
		return nil, err
	})
}

// Destroy takes everything of the stack away. The stack itself stays, empty.
func (r *Runner) Destroy(ctx context.Context) (Result, error) {
	return r.operate(ctx, progress.Destroy, false, func(s *session, ev chan<- events.EngineEvent, refresh bool) (auto.OutputMap, error) {
		opts := []optdestroy.Option{
			optdestroy.EventStreams(ev), optdestroy.Parallel(r.opts.Parallel),
			optdestroy.ProgressStreams(r.verbose()...), optdestroy.ErrorProgressStreams(r.verbose()...),
		}
		if refresh {
			opts = append(opts, optdestroy.Refresh())
		}
		_, err := s.stack.Destroy(ctx, opts...)
		return nil, err
	})
}

func (r *Runner) verbose() []io.Writer {
	if r.opts.Verbose == nil {
		return nil
	}
	return []io.Writer{r.opts.Verbose}
}

// engineCall has the engine do one operation, and gives what the stack has for outputs then.
type engineCall func(s *session, ev chan<- events.EngineEvent, refresh bool) (auto.OutputMap, error)

// operate does what all operations have in common.
func (r *Runner) operate(ctx context.Context, name progress.Operation, create bool, do engineCall) (Result, error) {
	start := time.Now()
	r.opts.View.Begin(name, r.opts.Stack)
	res, err := r.attempt(ctx, name, create, do)
	res.Operation, res.Stack, res.Duration = string(name), r.opts.Stack, time.Since(start)
	end := progress.End{Operation: name, Stack: r.opts.Stack, Changes: res.Changes, Elapsed: res.Duration, Finished: err == nil}
	if r.opts.FinalError != nil {
		err = r.opts.FinalError(res, err)
	}
	end.Err = err
	if len(res.Outputs) > 0 {
		end.Outputs = res.Outputs.Plain(false)
	}
	var cut *InterruptedError
	end.Cancelled = errors.As(err, &cut)
	r.opts.View.End(end)
	return res, err
}

func (r *Runner) attempt(ctx context.Context, name progress.Operation, create bool, do engineCall) (Result, error) {
	s, err := r.open(ctx, create)
	if err != nil {
		return Result{}, err
	}
	for {
		refresh := false
		if name != progress.Preview {
			found, err := r.resolvePending(ctx, name, s)
			if err != nil {
				if again, err := r.resolveLock(ctx, s, err); again {
					continue
				} else if err != nil {
					if ctx.Err() != nil {
						err = &InterruptedError{Operation: string(name)}
					}
					return Result{}, err // says itself what it was at
				}
			}
			refresh = found.refresh
			if name == progress.Up && r.stage.destroyBegun() && r.opts.Resume != nil {
				if err := r.opts.Resume(found.left); err != nil {
					return Result{}, err
				}
			}
			// The engine would find out last of all, when everything around them is gone.
			if name == progress.Destroy && len(found.protected) > 0 {
				return Result{}, &ProtectedError{Stack: r.opts.Stack, Resources: found.protected}
			}
		}
		res, err := r.once(ctx, name, s, refresh, do)
		if err == nil {
			return res, nil
		}
		again, err := r.resolveLock(ctx, s, err)
		if !again {
			return res, err
		}
	}
}

// once runs the engine once and reads its events.
func (r *Runner) once(ctx context.Context, name progress.Operation, s *session, refresh bool, do engineCall) (Result, error) {
	ev := make(chan events.EngineEvent)
	reader := progress.NewReader(name)
	lastOf := r.readEvents(reader, ev)
	before, begun := r.stage.refreshRequired(), r.stage.destroyBegun()
	if name != progress.Preview {
		// Until it ends well: an interrupted deletion may be done although the engine could not see that, and a job
		// that did not get healthy is one that Nomad takes back.
		r.stage.requireRefresh(true)
	}
	if name == progress.Destroy {
		r.stage.noteDestroy(true)
	}
	out, err := do(s, ev, refresh)
	plan, drift := lastOf()
	res := Result{Changes: reader.Changes(), Plan: plan, Drift: drift, Outputs: outputs(out)}
	if err == nil {
		if name != progress.Preview { // a preview takes no lock
			r.stage.prune()
			r.stage.requireRefresh(false)
			if name != progress.Refresh {
				r.stage.noteDestroy(false)
			}
		}
		return res, nil
	}
	err = r.failure(ctx, name, reader, err)
	var locked *LockedError
	if errors.As(err, &locked) && !before && name != progress.Preview {
		r.stage.requireRefresh(false) // nothing began
		r.stage.noteDestroy(begun)
	}
	return res, err
}

// readEvents shows and records the engine's events as they come. The function that it returns, to be called once the engine
// has ended, waits for the last of them and gives those that tell what changes, and what changed outside the stack.
func (r *Runner) readEvents(reader *progress.Reader, ev <-chan events.EngineEvent) (lastOf func() (plan, drift []progress.Event)) {
	start := time.Now()
	var plan, drift []progress.Event
	stop, done := make(chan struct{}), make(chan struct{})
	read := func(e events.EngineEvent) {
		if e.Error != nil {
			return // a line that is no event, or the engine's sudden end, which its exit tells
		}
		r.record(time.Since(start), e.EngineEvent)
		seen := reader.Read(e.EngineEvent)
		if len(seen) > 0 {
			r.opts.View.Events(seen)
		}
		for _, event := range seen {
			switch event.Kind {
			case progress.KindPlan:
				plan = append(plan, event)
			case progress.KindDrift:
				drift = append(drift, event)
			default: // for the view alone
			}
		}
	}
	go func() {
		defer close(done)
		for {
			select {
			case e, ok := <-ev:
				if !ok {
					return
				}
				read(e)
			case <-stop:
				return
			}
		}
	}()
	return func() (_, _ []progress.Event) {
		// An engine that never connected leaves the channel open, one that did has closed it by now.
		select {
		case <-done:
		case <-time.After(finishPoll):
			close(stop)
			<-done
		}
		return plan, drift
	}
}

// failure says why the engine failed: it was cut off, the stack is locked, or what it said itself.
func (r *Runner) failure(ctx context.Context, name progress.Operation, reader *progress.Reader, err error) error {
	if ctx.Err() != nil || closed(r.opts.Kill) {
		return &InterruptedError{Operation: string(name), Killed: closed(r.opts.Kill)}
	}
	if held, ok := locks(err.Error()); ok {
		return &LockedError{Stack: r.opts.Stack, Locks: held}
	}
	failed := &FailedError{Operation: string(name), Log: r.stage.lastLog()}
	for _, f := range reader.Faults() {
		failed.Faults = append(failed.Faults, Fault(f))
	}
	if len(failed.Faults) == 0 {
		if said := stderrOf(err); said != "" {
			failed.Faults = []Fault{{Message: said}}
		} else if said := complaint(err.Error()); said != "" {
			failed.Faults = []Fault{{Message: said}}
		}
	}
	return failed
}

// resolveLock deals with a stack that is locked. again asks for another try.
func (r *Runner) resolveLock(ctx context.Context, s *session, err error) (again bool, _ error) {
	var locked *LockedError
	if !errors.As(err, &locked) {
		held, ok := locks(err.Error())
		if !ok {
			return false, err
		}
		locked = &LockedError{Stack: r.opts.Stack, Locks: held}
	}
	switch claimOf(locked.Locks, r.stage.runs()) {
	case stale:
		r.note("an earlier run was killed and left the stack locked: taking its lock away")
		r.stage.sweep()
		if err := r.unlock(ctx, s); err != nil {
			return false, err
		}
		return true, nil
	case finishing:
		r.note("an earlier run was killed, and its engine is finishing the operation under way: waiting for it")
		r.stage.askOrphans()
		for claimOf(locked.Locks, r.stage.runs()) == finishing {
			select {
			case <-ctx.Done():
				return false, &InterruptedError{Operation: "waiting for an earlier run"}
			case <-time.After(finishPoll):
			}
		}
		return true, nil
	default:
		return false, locked
	}
}

func (r *Runner) record(at time.Duration, e apitype.EngineEvent) {
	if r.opts.Record == nil {
		return
	}
	if b, err := json.Marshal(progress.Recorded{At: at.Seconds(), Event: e}); err == nil {
		_, _ = r.opts.Record.Write(append(b, '\n'))
	}
}

func closed(ch <-chan struct{}) bool {
	select {
	case <-ch:
		return true
	default:
		return false
	}
}

// stderrOf finds the engine's own complaint in an error of the Automation API, which holds it between its labels.
func stderrOf(err error) string {
	_, after, ok := strings.Cut(err.Error(), "\nstderr: ")
	if !ok {
		return ""
	}
	return complaint(after)
}

// complaint takes the last "error:" and what follows it out of the engine's text.
func complaint(text string) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	for i := len(lines) - 1; i >= 0; i-- {
		if said, ok := strings.CutPrefix(strings.TrimSpace(lines[i]), "error: "); ok {
			return strings.TrimSpace(said + "\n" + strings.Join(lines[i+1:], "\n"))
		}
	}
	return ""
}

// lastLog is the file that the last operation printed to.
func (s *stage) lastLog() string {
	entries, err := os.ReadDir(s.dir + "/logs")
	if err != nil || len(entries) == 0 {
		return fmt.Sprintf("%s/logs", s.dir)
	}
	return s.dir + "/logs/" + entries[len(entries)-1].Name()
}
