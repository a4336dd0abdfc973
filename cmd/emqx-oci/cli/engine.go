package cli

import (
	"errors"
	"fmt"
	"os"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// errLabDown is for a verb that needs the lab.
var errLabDown = errors.New(`the lab is not running: start it with "emqx-oci lab up"`)

// target is a stack, ready to be worked on.
type target struct {
	Engine
	stack string
	// lab is set for the stack that lives on this machine.
	lab   bool
	close func()
}

// open makes the engine for an operation on a stack. A program that reads the objects of --json gets its summary also
// when it does not come to an operation.
func (a *app) open(op progress.Operation, stack string, change ...func(*orchestrate.Options)) (*target, error) {
	t, err := a.engine(stack, op == quiet, change)
	if err != nil && a.asJSON && op != quiet {
		progress.NewJSON(a.Stdout).End(progress.End{Operation: op, Stack: stack, Err: err})
	}
	return t, err
}

// quiet is an operation without progress.
const quiet progress.Operation = ""

func (a *app) engine(stack string, quiet bool, change []func(*orchestrate.Options)) (*target, error) {
	dir, err := a.projectDir()
	if err != nil {
		return nil, err
	}
	t := &target{stack: stack, close: func() {}}
	cloud, err := orchestrate.Peek(dir, stack, "emqx-oci:cloud")
	if err != nil {
		return nil, err
	}
	o := orchestrate.Options{
		ProjectDir: dir, Stack: stack, Program: a.Program, Bind: a.Bind, Adopt: a.Adopt, StageDir: a.stageDir,
		PulumiCommand: a.Getenv("EMQX_OCI_PULUMI"), Kill: a.kill, View: progress.Silent{},
	}
	if a.Validate != nil {
		o.Validate = func(c orchestrate.Config) error { return a.Validate(stack, c) }
	}
	if cloud == "lab" {
		t.lab = true
		l := a.Lab(a.labDir)
		if !l.Running() {
			return nil, errLabDown
		}
		if o.Env, err = l.Env(); err != nil {
			return nil, fmt.Errorf("asking the lab for its environment: %w", err)
		}
		if o.StageDir == "" {
			// What the engine keeps there is encrypted for this lab, and goes with it.
			o.StageDir = o.Env["EMQX_OCI_STAGE_DIR"]
		}
		if o.ExtraSecrets, err = l.Secrets(); err != nil {
			return nil, fmt.Errorf("asking the lab for its secrets: %w", err)
		}
	}
	if !quiet {
		o.View = a.view()
		o.Judge = a.judge(o.View)
	}
	for _, c := range change {
		c(&o)
	}
	if a.verbose {
		o.Verbose = a.Stderr
	}
	if a.record != "" {
		f, err := os.OpenFile(a.record, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
		if err != nil {
			return nil, fmt.Errorf("recording the engine's events: %w", err)
		}
		o.Record, t.close = f, func() { _ = f.Close() }
	}
	if t.Engine, err = a.NewEngine(o); err != nil {
		t.close()
		return nil, err
	}
	if !quiet && !a.asJSON {
		a.say(t.Note)
	}
	return t, nil
}

// view picks how progress is shown.
func (a *app) view() progress.View {
	color := a.color()
	switch {
	case a.asJSON:
		return progress.NewJSON(a.Stdout)
	case a.StdoutTerminal && a.Getenv("TERM") != "dumb" && !a.verbose:
		return progress.NewTerminal(a.Stdout, a.Size, color)
	default:
		return progress.NewPlain(a.Stdout, color)
	}
}
