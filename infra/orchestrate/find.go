package orchestrate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto/optpreview"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/urn"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
)

// finder asks the clouds for all resources whose creation was interrupted, and returns what tells the id of each: "" for
// one that does not exist. It is nil when there is no way to ask, or nothing to ask for.
func (r *Runner) finder(ctx context.Context, s *session, d *deployment) (func(context.Context, interrupted.Lost) (string, error), error) {
	var lost []interrupted.Lost
	for _, o := range d.pending {
		if o.kind == creating {
			o.Since = r.stage.interruptedSince()
			lost = append(lost, o.Lost)
		}
	}
	if r.opts.Find == nil || len(lost) == 0 {
		return nil, nil
	}
	r.note("an earlier run was interrupted: looking for what it may have created")
	var found map[string][]string
	err := r.inquire(ctx, s, "looking for what an earlier run created", func(p *pulumi.Context) (err error) {
		found, err = r.opts.Find(p, lost)
		return err
	})
	if err != nil {
		return nil, err
	}
	return func(_ context.Context, p interrupted.Lost) (string, error) { return d.pick(found[p.URN]) }, nil
}

// inquire asks the clouds before an operation, and says what for when that fails.
func (r *Runner) inquire(ctx context.Context, s *session, what string, program pulumi.RunFunc) error {
	var fault error
	answered := false
	err := r.askClouds(ctx, s, func(p *pulumi.Context) error {
		fault = program(p)
		answered = true
		return fault
	})
	switch {
	case ctx.Err() != nil:
		return &InterruptedError{Operation: what, Killed: closed(r.opts.Kill)}
	case fault != nil:
		return fmt.Errorf("%s: %w", what, fault)
	case !answered && err != nil:
		return r.plainError(ctx, what, err)
	}
	// A preview of a program without resources may fail for its deletions alone: protected ones.
	return nil
}

const (
	// endingTime is how long a cloud may take to delete something: as long as providers wait for it by default.
	endingTime = 20 * time.Minute
	// endingTick is between two looks.
	endingTick = time.Second
)

// awaitDeletions waits until what an interrupted run was deleting is gone, and returns what is left. Until then the clouds
// show it as if it stayed: a refresh would keep it, what it still uses could not be deleted, and an update would build upon
// it.
func (r *Runner) awaitDeletions(ctx context.Context, s *session, d *deployment) ([]interrupted.Held, error) {
	held := d.held()
	if r.opts.Fates == nil || len(held) == 0 {
		return held, nil
	}
	const what = "asking what an earlier run was deleting"
	for begin, told := time.Now(), false; ; told = true {
		var fates map[string]interrupted.Fate
		err := r.inquire(ctx, s, what, func(p *pulumi.Context) (err error) {
			fates, err = r.opts.Fates(p, held)
			return err
		})
		if err != nil {
			return nil, err
		}
		var ending []string
		for _, h := range held {
			if fates[h.ID] == interrupted.Ending {
				ending = append(ending, h.Type+" "+h.Name)
			}
		}
		switch {
		case len(ending) == 0:
			return slices.DeleteFunc(held, func(h interrupted.Held) bool { return fates[h.ID] == interrupted.Gone }), nil
		case time.Since(begin) > endingTime:
			return nil, fmt.Errorf("%s: %s still on the way out after %s; look at it in the cloud's console", what, strings.Join(ending, ", "), endingTime)
		case !told:
			r.note("an earlier run was interrupted while deleting " + strings.Join(ending, ", ") + ": waiting until the cloud has done so")
		}
		select {
		case <-ctx.Done():
			return nil, &InterruptedError{Operation: what, Killed: closed(r.opts.Kill)}
		case <-time.After(endingTick):
		}
	}
}

// held are the resources of providers, with what they were made of.
func (d *deployment) held() []interrupted.Held {
	var all []interrupted.Held
	for _, r := range d.resources {
		h := interrupted.Held{URN: r.text("urn"), Type: r.text("type"), ID: r.text("id")}
		if h.ID == "" || strings.HasPrefix(h.Type, "pulumi:") {
			continue
		}
		_ = json.Unmarshal(r["inputs"], &h.Inputs) // absent: none
		h.Name = urn.URN(h.URN).Name()
		all = append(all, h)
	}
	return all
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
