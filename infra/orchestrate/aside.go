package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optdestroy"
	"github.com/pulumi/pulumi/sdk/v3/go/auto/optup"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// asideTime is how long what a program has made aside may take to go away.
const asideTime = 2 * time.Minute

// Aside runs a program whose resources are there for as long as it runs: on a stack of its own, which nobody else sees and
// nothing is left of, with the clouds' credentials of the runner's environment. The stack itself is neither locked nor read. A
// run that is killed leaves its resources in the cloud, and nobody knows of them: they have to be of a kind that the next one
// writes over.
func (r *Runner) Aside(ctx context.Context, what string, program pulumi.RunFunc) (err error) {
	dir, err := os.MkdirTemp(r.stage.dir, "aside-")
	if err != nil {
		return fmt.Errorf("%s: making a folder to work in: %w", what, err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	var fault error
	stack, err := r.asideStack(ctx, dir, func(p *pulumi.Context) error {
		if r.opts.Bind != nil {
			p = r.opts.Bind(p, ctx)
		}
		fault = program(p)
		return fault
	})
	if err == nil {
		// What there is goes away, whatever becomes of the program and of who has asked for it.
		defer func() {
			after, cancel := context.WithTimeout(context.WithoutCancel(ctx), asideTime)
			defer cancel()
			_, gone := stack.Destroy(after, optdestroy.ProgressStreams(r.verbose()...), optdestroy.ErrorProgressStreams(r.verbose()...))
			if gone != nil {
				err = errors.Join(err, r.plainError(after, what+": taking away what was made for it", gone))
			}
		}()
		_, err = stack.Up(ctx, optup.ProgressStreams(r.verbose()...), optup.ErrorProgressStreams(r.verbose()...))
	}
	switch {
	case ctx.Err() != nil:
		return &InterruptedError{Operation: what, Killed: closed(r.opts.Kill)}
	case fault != nil:
		return fmt.Errorf("%s: %w", what, fault)
	case err != nil:
		return r.plainError(ctx, what, err)
	}
	return nil
}

func (r *Runner) asideStack(ctx context.Context, dir string, program pulumi.RunFunc) (*auto.Stack, error) {
	path, err := findCLI(r.opts.PulumiCommand, r.opts.ProjectDir)
	if err != nil {
		return nil, err
	}
	st, err := openStage(dir, dir, "stage")
	if err != nil {
		return nil, err
	}
	c, err := newCLI(ctx, path, st, r.opts.Kill)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(dir, "state")
	if err := os.Mkdir(state, 0o700); err != nil {
		return nil, err
	}
	env := maps.Clone(r.opts.Env)
	if env == nil {
		env = map[string]string{}
	}
	// The passphrase guards a folder that is gone in a moment, and only its owner can read.
	env["PULUMI_BACKEND_URL"], env["PULUMI_CONFIG_PASSPHRASE"] = "file://"+state, "aside"
	ws, err := auto.NewLocalWorkspace(ctx, auto.WorkDir(st.dir), auto.Program(program), auto.Pulumi(c), auto.EnvVars(env), auto.SecretsProvider("passphrase"),
		auto.Project(workspace.Project{Name: tokens.PackageName("emqx-oci-aside"), Runtime: workspace.NewProjectRuntimeInfo("go", nil)}))
	if err != nil {
		return nil, fmt.Errorf("preparing the engine's workspace: %w", err)
	}
	stack, err := auto.NewStack(ctx, "aside", ws)
	return &stack, err
}
