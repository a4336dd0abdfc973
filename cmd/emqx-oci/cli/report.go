package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// reporter says at the end of a preview what its plan means: to the terminal, as an object among those of --json, and as
// a page for a pull request. Other operations it leaves alone.
type reporter struct {
	progress.View
	app   *app
	stack string
	// file gets the page; "" is none, "-" is stdout.
	file string

	config   orchestrate.Config
	plan     []progress.Event
	warnings []string
	// written: the page is there. fault is why it is not.
	written bool
	fault   error
}

// reporter returns one for a command, and the change of the engine's options that puts it to work.
func (a *app) reporter(stack, file string) (*reporter, func(*orchestrate.Options)) {
	r := &reporter{app: a, stack: stack, file: file}
	return r, func(o *orchestrate.Options) {
		if file == "-" {
			o.View = progress.NewPlain(a.Stderr, false) // stdout is the page's
		}
		r.View, o.View = o.View, r
		validate := o.Validate
		o.Validate = func(c orchestrate.Config) error {
			r.config = c
			if validate == nil {
				return nil
			}
			return validate(c)
		}
	}
}

// Begin is part of progress.View. A preview may be tried again, when the stack was locked.
func (r *reporter) Begin(op progress.Operation, stack string) {
	r.plan, r.warnings = nil, nil
	r.View.Begin(op, stack)
}

// Events is part of progress.View.
func (r *reporter) Events(events []progress.Event) {
	for _, e := range events {
		switch {
		case e.Kind == progress.KindPlan:
			r.plan = append(r.plan, e)
		case e.Kind == progress.KindMessage && e.Severity == "warning" && !e.Ephemeral:
			r.warnings = append(r.warnings, e.Message)
		}
	}
	r.View.Events(events)
}

// impact is the report among the objects of --json. Its names are stable.
type impact struct {
	Event string    `json:"event"`
	Time  time.Time `json:"time"`
	blast.Report
}

// End is part of progress.View. Programs read the report before the summary, which is the last object; people after it.
func (r *reporter) End(e progress.End) {
	if e.Operation != progress.Preview {
		r.View.End(e)
		return
	}
	var report *blast.Report
	if e.Finished && r.app.Assess != nil {
		found, err := r.app.Assess(r.stack, r.config, r.plan)
		if err != nil {
			r.warnings = append(r.warnings, "saying what the plan means: "+err.Error())
		} else {
			report = &found
		}
	}
	if r.app.asJSON && report != nil {
		enc := json.NewEncoder(r.app.Stdout)
		enc.SetEscapeHTML(false)
		_ = enc.Encode(impact{Event: "impact", Time: time.Now().Truncate(time.Millisecond), Report: *report})
	}
	r.View.End(e)
	if !r.app.asJSON && report != nil && r.file != "-" {
		_, _ = fmt.Fprintln(r.app.Stdout)
		_ = report.Text(r.app.Stdout, r.app.color())
	}
	r.page(report, e.Err)
}

// page writes the page, if one is wanted: also when the preview failed, for a pull request has to show that, too.
func (r *reporter) page(report *blast.Report, err error) {
	if r.file == "" || r.written {
		return
	}
	r.written = true
	p := blast.Page{Stack: r.stack, Report: report, Warnings: r.warnings}
	var changed *changedError
	if errors.As(err, &changed) {
		p.Drift = changed.Error()
	} else {
		p.Refusals, p.Errors = reasons(err)
	}
	for _, e := range r.plan {
		p.Diff = append(p.Diff, blast.Entry{Op: e.Op, Lines: progress.PlanText(e)})
	}
	if r.file == "-" {
		_, r.fault = io.WriteString(r.app.Stdout, p.Markdown())
		return
	}
	if err := os.WriteFile(r.file, []byte(p.Markdown()), 0o644); err != nil { //nolint:gosec // a page for others to read
		r.fault = fmt.Errorf("writing the page of --markdown: %w", err)
	}
}

const markdownUsage = "write what the preview means as a page for a pull request into this file, whatever its end"

// color says whether stdout shows colors.
func (a *app) color() bool {
	return a.StdoutTerminal && a.Getenv("NO_COLOR") == "" && a.Getenv("TERM") != "dumb"
}

// done gives a command's end, once the page is written. A command that ended before its preview has one, too.
func (r *reporter) done(err error) error {
	if err != nil {
		r.page(nil, err)
	}
	if err == nil {
		return r.fault
	}
	if r.fault != nil {
		return errors.Join(err, r.fault)
	}
	return err
}

// reasons takes what guards refused out of an error.
func reasons(err error) (refusals []blast.Refusal, others []string) {
	if err == nil {
		return nil, nil
	}
	if refused, ok := err.(*guards.Error); ok { //nolint:errorlint // parts of a joined error come one by one
		for _, v := range refused.Violations {
			refusals = append(refusals, blast.Refusal{Guard: v.Guard, Allow: v.Allow, Message: v.Message})
		}
		return refusals, nil
	}
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		for _, e := range all.Unwrap() {
			found, rest := reasons(e)
			refusals, others = append(refusals, found...), append(others, rest...)
		}
		return refusals, others
	}
	return nil, []string{err.Error()}
}
