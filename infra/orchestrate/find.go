package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// finder asks the clouds for all resources whose creation was interrupted, and returns what tells the id of each: "" for
// one that does not exist. It is nil when there is no way to ask, or nothing to ask for.
func (r *Runner) finder(ctx context.Context, s *session, d *deployment) (func(context.Context, Pending) (string, error), error) {
	var lost []Pending
	for _, o := range d.pending {
		if o.Operation == creating {
			o.Since = r.stage.interruptedSince()
			lost = append(lost, o.Pending)
		}
	}
	if r.opts.Find == nil || len(lost) == 0 {
		return nil, nil
	}
	r.note("an earlier run was interrupted: looking for what it may have created")
	var found map[string][]string
	var fault error
	answered := false
	err := r.askClouds(ctx, s, func(p *pulumi.Context) error {
		found, fault = r.opts.Find(p, lost)
		answered = true
		return fault
	})
	switch {
	case ctx.Err() != nil:
		return nil, &InterruptedError{Operation: "looking for what an earlier run created", Killed: closed(r.opts.Kill)}
	case fault != nil:
		return nil, fmt.Errorf("looking for what an earlier run created: %w", fault)
	case !answered && err != nil:
		return nil, r.plainError(ctx, "looking for what an earlier run created", err)
	}
	// A preview of a program without resources may fail for its deletions alone: protected ones.
	return func(_ context.Context, p Pending) (string, error) { return d.pick(found[p.URN]) }, nil
}

// askClouds runs a program that creates nothing: a preview has the stack's own providers, takes no lock and writes
// nothing down. Its error may be about deletions alone, when the program has its answer.
func (r *Runner) askClouds(ctx context.Context, s *session, program pulumi.RunFunc) error {
	ws := s.stack.Workspace()
	own := ws.Program()
	ws.SetProgram(program)
	defer ws.SetProgram(own)
	_, err := s.stack.Preview(ctx, optpreview.ProgressStreams(r.verbose()...), optpreview.ErrorProgressStreams(r.verbose()...))
	return err
}

// Ask runs a program that creates nothing, and asks the clouds with the stack's own credentials. It works while another
// run holds the stack.
func (r *Runner) Ask(ctx context.Context, program pulumi.RunFunc) error {
	s, err := r.open(ctx, false)
	if err != nil {
		return err
	}
	answered := false
	var fault error
	err = r.askClouds(context.WithValue(ctx, question{}, true), s, func(p *pulumi.Context) error {
		fault = program(p)
		answered = true
		return fault
	})
	switch {
	case answered:
		return fault
	case err != nil:
		return r.plainError(ctx, "asking the cloud", err)
	}
	return nil
}

// pick chooses the one resource that is not in the state.
func (d *deployment) pick(ids []string) (string, error) {
	ids = slices.DeleteFunc(slices.Clone(ids), d.knows)
	switch len(ids) {
	case 0:
		return "", nil
	case 1:
		return ids[0], nil
	}
	return "", errors.New("there are several that may be it, of which the stack can have one: " + strings.Join(ids, ", ") +
		"; delete the others, and try again")
}

// knows tells whether a resource with this id is in the state.
func (d *deployment) knows(id string) bool {
	return slices.ContainsFunc(d.resources, func(r rawResource) bool { return r.text("id") == id })
}

// interruptedSince is when the oldest of the runs began that ended without saying so; zero when none is known, such as
// those of another machine.
func (s *stage) interruptedSince() (since time.Time) {
	for _, r := range s.runs() {
		if !r.alive() && (since.IsZero() || r.Since.Before(since)) {
			since = r.Since
		}
	}
	return since
}
