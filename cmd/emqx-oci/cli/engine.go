package cli

import (
	"fmt"
	"os"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// target is a stack, ready to be worked on.
type target struct {
	Engine
	stack string
	// cloud is the name of one that stands in for OCI; "" is OCI.
	cloud string
	close func()
}

// open makes the engine for an operation on a stack. A program that reads the objects of --json gets its summary also
// when it does not come to an operation.
func (a *app) open(op progress.Operation, stack string, change ...func(*orchestrate.Options)) (*target, error) {
	t, err := a.engine(stack, op, change)
	if err != nil && a.asJSON && op != quiet {
		progress.NewJSON(a.Stdout).End(progress.End{Operation: op, Stack: stack, Err: err})
	}
	return t, err
}

// quiet is an operation without progress.
const quiet progress.Operation = ""

func (a *app) engine(stack string, op progress.Operation, change []func(*orchestrate.Options)) (*target, error) {
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
		ProjectDir: dir, Stack: stack, Owner: a.owner, Program: a.Program, Bind: a.Bind, Find: a.Find, Fates: a.Fates, StageDir: a.stageDir,
		PulumiCommand: a.Getenv("EMQX_OCI_PULUMI"), Kill: a.kill, View: progress.Silent{},
	}
	var config orchestrate.Config
	o.Validate = func(c orchestrate.Config) error { config = c; return a.validate(op, stack, c) }
	if a.Providers != nil {
		o.Providers = func(c orchestrate.Config) (orchestrate.Providers, error) { return a.Providers(stack, c) }
	}
	if a.Resume != nil {
		o.Resume = func(held []interrupted.Held) error { return a.Resume(stack, config, held) }
	}
	if a.Extension != nil && a.Extension(cloud) != nil {
		t.cloud = cloud
		with, err := a.attach(cloud)
		if err != nil {
			return nil, err
		}
		o.Env, o.ExtraSecrets = with.Env, with.Secrets
		if o.StageDir == "" {
			// What the engine keeps there is encrypted for this cloud, and goes with it.
			o.StageDir = o.Env["EMQX_OCI_STAGE_DIR"]
		}
	}
	if op != quiet {
		o.View = a.view()
		o.FinalError = a.guardsError(o.View)
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
	if op != quiet && !a.asJSON {
		a.announceSignals(t.Note)
	}
	return t, nil
}

// validate looks at a stack's configuration before the engine starts. What is about to be deployed has to pass the checks,
// too; the program itself makes them again, for it may be run by others.
func (a *app) validate(op progress.Operation, stack string, c orchestrate.Config) error {
	if a.Validate != nil {
		if err := a.Validate(stack, c); err != nil {
			return err
		}
	}
	if a.Check == nil || op != progress.Preview && op != progress.Up {
		return nil
	}
	return preflight.Err(a.Check(stack, c))
}

// view picks how progress is shown.
func (a *app) view() progress.View {
	color := a.color()
	switch {
	case a.asJSON:
		return progress.NewJSON(a.Stdout)
	case a.StdoutTerminal && a.Getenv("TERM") != "dumb" && !a.verbose:
		return progress.NewTerminal(a.screen, a.Size, color, kinds.Phase)
	default:
		return progress.NewPlain(a.Stdout, color)
	}
}
