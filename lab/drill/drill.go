package drill

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/faults"
)

// settleTime is how long full strength and the clients may take once a scenario's work is done.
const (
	settleTime = 4 * time.Minute
	calmTime   = 45 * time.Second
)

// Drill runs scenarios on one lab.
type Drill struct {
	Bed

	gateNomad  gates.NomadClient
	gateConsul gates.ConsulClient
	nomadAPI   *nomad.Client
	faults     faults.Injector
	nodes      int
}

// Open is a drill on a lab whose stack is deployed and healthy, with three nodes.
func Open(ctx context.Context, b Bed) (*Drill, error) {
	d := &Drill{Bed: b, faults: lab.Faults(b.Lab), nodes: 3}
	var err error
	if d.gateNomad, err = gates.NewNomad(gates.NomadConfig{Address: b.nomadAddress()}); err != nil {
		return nil, err
	}
	if d.gateConsul, err = gates.NewConsul(gates.ConsulConfig{Address: "http://" + b.Lab.Door.String() + ":8500"}); err != nil {
		return nil, err
	}
	if d.nomadAPI, err = b.nomad(); err != nil {
		return nil, err
	}
	return d, d.retain(ctx)
}

// Run is one run of a scenario.
type Run struct {
	*Drill
	began  time.Time // of the fault
	from   time.Time // when the way back to full strength begins
	steps  []Step
	broken []string
	keep   bool // the stack file stays as the scenario left it
}

func (r *Run) broke(format string, args ...any) {
	r.broken = append(r.broken, fmt.Sprintf(format, args...))
}

// mended says that the fault is over from now on.
func (r *Run) mended() { r.from = time.Now() }

// do breaks something, as it is typed after `emqx-oci lab fault`; undo repairs it.
func (r *Run) do(ctx context.Context, f faults.Fault) error {
	if err := faults.Do(ctx, r.faults, f); err != nil {
		return fmt.Errorf("breaking: %s: %w", f, err)
	}
	return nil
}

func (r *Run) undo(ctx context.Context, f faults.Fault) error {
	if err := faults.Undo(ctx, r.faults, f); err != nil {
		return fmt.Errorf("repairing: %s: %w", f, err)
	}
	r.mended()
	return nil
}

// Once runs a scenario once. It always returns a result; what went wrong is in it.
func (d *Drill) Once(ctx context.Context, s Scenario) Result {
	r := &Run{Drill: d}
	out := Result{Scenario: s}
	limited, cancel := context.WithTimeoutCause(ctx, s.limit(), fmt.Errorf("the scenario took longer than its %s", s.limit()))
	defer cancel()
	if err := d.once(limited, s, r, &out); err != nil {
		r.broke("%s", err)
	}
	out.Steps, out.Broken = r.steps, r.broken
	return out
}

func (d *Drill) once(ctx context.Context, s Scenario, r *Run, out *Result) (err error) {
	settings, err := os.ReadFile(filepath.Join(d.Project, stackFile))
	if err != nil {
		return fmt.Errorf("reading the drill's stack file: %w", err)
	}
	if err := d.whole(ctx, d.nodes, time.Minute); err != nil {
		return fmt.Errorf("before it began: %w", err)
	}
	w, err := startLoad(ctx, &d.Bed, s.ConnectTimeout)
	if err != nil {
		return err
	}
	stopped := false
	defer func() {
		if !stopped {
			w.kill()
		}
		if err != nil { // what is left of it must not disturb the next one
			last := context.WithoutCancel(ctx)
			err = errors.Join(err, d.faults.Clear(last))
		}
		if err != nil || !r.keep {
			err = errors.Join(err, os.WriteFile(filepath.Join(d.Project, stackFile), settings, 0o600))
		}
	}()
	if err := pause(ctx, 2*time.Second); err != nil {
		return err
	}
	r.began = time.Now()
	r.from = r.began
	if err := s.Work(ctx, r); err != nil {
		r.broke("%s", err)
		_ = d.faults.Clear(context.WithoutCancel(ctx))
		out.reverted, r.keep = r.keep, false // how far it got, nobody knows
	}
	if err := d.whole(ctx, d.nodes, settleTime); err != nil {
		r.broke("full strength: %s", err)
	} else {
		out.Whole = time.Since(r.from)
	}
	if err := w.calm(ctx, s.calm()); err != nil {
		r.broke("%s", err)
	}
	stopped = true
	if out.Report, err = w.stop(); err != nil {
		return err
	}
	r.broken = append(r.broken, s.Promise.broken(out.Report, r.began, r.from)...)
	return nil
}

// Deploy builds the lab and the stack on it.
func Deploy(ctx context.Context, b Bed) error {
	b.say("building the lab, and deploying on it")
	if err := b.labUp(ctx); err != nil {
		return err
	}
	return b.Must(ctx, "up", stack, "--yes")
}

// Remove takes the lab down.
func Remove(ctx context.Context, b Bed) error { return b.Must(ctx, "lab", "down") }

// heal makes the cluster whole after a scenario that left it broken, or in another state than the stack file says: by an
// update, or by a new lab.
func (d *Drill) heal(ctx context.Context, last Result) error {
	if err := d.whole(ctx, d.nodes, 5*time.Second); err == nil && !last.reverted {
		return nil
	}
	d.say("the cluster is not as it was: an update")
	_ = d.faults.Clear(ctx)
	limited, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	if err := d.Must(limited, "up", stack, "--yes"); err == nil {
		_ = d.retain(limited)
		if err := d.whole(limited, d.nodes, 30*time.Second); err == nil {
			return nil
		}
	}
	d.say("an update does not make it whole: another lab")
	if err := Remove(ctx, d.Bed); err != nil {
		return err
	}
	if err := Deploy(ctx, d.Bed); err != nil {
		return err
	}
	return d.retain(ctx)
}

// All runs the scenarios, each as often as runs says (0: as often as it says itself), and goes on after a broken promise.
// After each run it calls done. It ends early only with its context, or when no lab can be made whole.
func (d *Drill) All(ctx context.Context, scenarios []Scenario, runs int, done func(Result)) error {
	for _, s := range scenarios {
		times := max(s.Runs, 1)
		if runs > 0 {
			times = runs
		}
		for i := range times {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			d.say("%s (%d of %d): %s", s.Name, i+1, times, s.Does)
			start := time.Now()
			result := d.Once(ctx, s)
			if ctx.Err() != nil { // cut off: it says nothing of the cluster
				return context.Cause(ctx)
			}
			d.say("%s: %s, %s", s.Name, verdict(result), time.Since(start).Round(time.Second))
			done(result)
			if len(result.Broken) == 0 {
				continue
			}
			for _, b := range result.Broken {
				d.say("  broken: %s", b)
			}
			if err := d.heal(ctx, result); err != nil {
				return fmt.Errorf("making the cluster whole after %s: %w", s.Name, err)
			}
		}
	}
	return nil
}

func verdict(r Result) string {
	if len(r.Broken) > 0 {
		return "not as promised"
	}
	return fmt.Sprintf("as promised, %d sent, %d reconnects, full strength after %.1f s", r.Report.Sent, r.Report.Reconnects, r.Whole.Seconds())
}
