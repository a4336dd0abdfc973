package orchestrate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/auto"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// Options are everything that a Runner takes from outside.
type Options struct {
	// ProjectDir holds Pulumi.yaml and one Pulumi.<stack>.yaml per stack. They are only read.
	ProjectDir string
	Stack      string
	// Owner is whose the stack is in the backend, "org" or "org/project"; empty is the
	// backend's default, and the project's own name. The stack's file knows no owner.
	Owner string
	// Program is what is deployed.
	Program pulumi.RunFunc
	// Bind, when set, gives the program's context the caller's one, which ends at the first Ctrl-C: the engine does not
	// tell a hook that it was cancelled. Meant for gates.WithContext.
	Bind func(ctx *pulumi.Context, caller context.Context) *pulumi.Context
	// Validate checks the stack's configuration before the engine starts. All faults belong into one error. Optional.
	Validate func(Config) error
	// Env is added to the engine's environment.
	Env map[string]string
	// ExtraConfig and ExtraSecrets are set on top of the stack file, as paths: "emqx-oci:tls.certificate".
	ExtraConfig, ExtraSecrets map[string]string
	// StageDir is where the engine works; default: a folder of the user's cache per project.
	StageDir string
	// PulumiCommand is the path of the pulumi command; default: .tools/bin of the project, then PATH.
	PulumiCommand string
	// Providers tells where the servers of the program's providers are by now, and who asks them. What the state says
	// otherwise is put right before a refresh or a destroy asks there. Optional.
	Providers func(Config) (Providers, error)
	// Find is a program that creates nothing and asks the clouds for resources that an interrupted run may have created.
	// It gives, by URN, the ids of what each may be. What is not found, or without Find, is created again. Optional.
	Find func(ctx *pulumi.Context, lost []interrupted.Lost) (map[string][]string, error)
	// Fates is a program that creates nothing and asks the clouds what became of resources that were to be deleted. It
	// tells it by their ids; those that are there it leaves out. After a run that was interrupted an operation waits until
	// nothing is on its way out. Optional.
	Fates func(ctx *pulumi.Context, held []interrupted.Held) (map[string]interrupted.Fate, error)
	// Resume is asked before an update that follows a destroy which did not end, with what that has left. Optional.
	Resume func(held []interrupted.Held) error
	// View is told what happens. Optional.
	View progress.View
	// Verbose, when set, gets everything that the engine prints.
	Verbose io.Writer
	// Record, when set, gets the engine's events as they come, one progress.Recorded per line: for bug reports, and for
	// the renderers' tests.
	Record io.Writer
	// Kill, once closed, ends the operation under way at once. The context's end asks for a clean end.
	Kill <-chan struct{}
	// Parallel is how many operations the engine may have under way; 0 leaves it to the engine.
	Parallel int
	// Refresh makes a preview read the clouds first. What they say counts for the plan, and is not written down.
	Refresh bool
	// FinalError, when set, has the last word on how an operation ended, before the view is told: what it returns stands in
	// err's place.
	FinalError func(res Result, err error) error
}

// qualified is the stack as the backend knows it.
func (o Options) qualified() string { return qualified(o.Owner, o.Stack) }

// Runner performs operations on one stack, one after another. The stack is opened, and its file read, once: an update
// after a preview performs what was previewed, whatever became of the file in between.
type Runner struct {
	opts    Options
	stage   *stage
	session *session
}

// Result is what an operation did.
type Result struct {
	Operation string         `json:"operation"`
	Stack     string         `json:"stack"`
	Changes   map[string]int `json:"changes"`
	// Plan is what a preview would do to each resource that does not stay as it is.
	Plan []progress.Event `json:"-"`
	// Drift is what a refresh, alone or before another operation, found changed outside the stack.
	Drift []progress.Event `json:"-"`
	// Outputs are the stack's, after up only. [Runner.Outputs] has what is secret, too; here it is [Hidden].
	Outputs  Outputs       `json:"-"`
	Duration time.Duration `json:"-"`
}

// Changed says whether anything was, or would be, touched.
func (r Result) Changed() bool {
	for op, n := range r.Changes {
		if n > 0 && op != "same" && op != "read" && op != "refresh" {
			return true
		}
	}
	return false
}

// New checks the options. Nothing is started or written yet, except for the private folder to work in.
func New(o Options) (*Runner, error) {
	if o.Program == nil {
		return nil, errors.New("making a runner: no program")
	}
	dir, err := locate(o.Owner, o.Stack, o.ProjectDir)
	if err != nil {
		return nil, err
	}
	o.ProjectDir = dir
	if o.View == nil {
		o.View = progress.Silent{}
	}
	o.View = progress.Serial(o.View)
	st, err := openStage(o.StageDir, dir, strings.ReplaceAll(o.qualified(), "/", "+"))
	if err != nil {
		return nil, err
	}
	return &Runner{opts: o, stage: st}, nil
}

// qualified is a stack's name as the backend has it.
func qualified(owner, stack string) string {
	if owner == "" {
		return stack
	}
	return owner + "/" + stack
}

// locate checks a stack's name, and gives the project's folder as it is found from anywhere.
func locate(owner, stack, projectDir string) (string, error) {
	if !stackName.MatchString(stack) {
		return "", badName(stack)
	}
	parts := strings.Split(owner, "/")
	if owner != "" && (len(parts) > 2 || slices.ContainsFunc(parts, func(p string) bool { return !stackName.MatchString(p) })) {
		return "", &UsageError{Reason: fmt.Sprintf("%q cannot stand before a stack's name: an organization, or one and a project (org/project/%s)", owner, stack)}
	}
	dir, err := filepath.Abs(projectDir)
	if err != nil {
		return "", fmt.Errorf("finding the project %q: %w", projectDir, err)
	}
	return dir, nil
}

// Note shows a line of the caller's own beside the progress. It may be called while an operation is under way.
func (r *Runner) Note(text string) { r.opts.View.Note(text) }

func (r *Runner) note(text string) { r.opts.View.Note(text) }

// session is a stack that is ready to be worked on.
type session struct {
	stack *auto.Stack
	cli   *cli
	// config is what the program sees.
	config Config
	// caller is the context of the operation under way.
	caller context.Context
}

// open gives the session, for an operation that ends with ctx.
func (r *Runner) open(ctx context.Context, create bool) (*session, error) {
	if r.session == nil {
		s, err := r.newSession(ctx, create)
		if err != nil {
			return nil, err
		}
		r.session = s
	}
	r.session.caller = ctx
	return r.session, nil
}

// newSession stages the files, checks the configuration, and finds the stack in the backend, or creates it there.
func (r *Runner) newSession(ctx context.Context, create bool) (*session, error) {
	files, err := r.files(ctx)
	if err != nil {
		return nil, err
	}
	if files.values != nil {
		if err := r.validate(*files); err != nil {
			return nil, err
		}
	}
	path, err := findCLI(r.opts.PulumiCommand, r.opts.ProjectDir)
	if err != nil {
		return nil, err
	}
	c, err := newCLI(ctx, path, r.stage, r.opts.Kill)
	if err != nil {
		return nil, err
	}
	r.stage.sweep()
	s := &session{cli: c}
	program := func(p *pulumi.Context) error {
		if r.opts.Bind != nil {
			p = r.opts.Bind(p, s.caller)
		}
		return r.opts.Program(p)
	}
	ws, err := auto.NewLocalWorkspace(ctx, auto.WorkDir(r.stage.dir), auto.Program(program), auto.Pulumi(c), auto.EnvVars(r.opts.Env))
	if err != nil {
		return nil, fmt.Errorf("preparing the engine's workspace: %w", err)
	}
	stack, err := auto.SelectStack(ctx, r.opts.qualified(), ws)
	if err != nil && auto.IsSelectStack404Error(err) {
		if !create {
			return nil, &NotCreatedError{Stack: r.opts.Stack}
		}
		stack, err = auto.NewStack(ctx, r.opts.qualified(), ws)
		if auto.IsCreateStack409Error(err) { // another run was a moment faster
			stack, err = auto.SelectStack(ctx, r.opts.qualified(), ws)
		}
	}
	if err != nil {
		return nil, r.plainError(ctx, "opening stack "+r.opts.Stack, err)
	}
	if files.values == nil {
		all, err := stack.GetAllConfig(ctx)
		if err != nil {
			return nil, r.plainError(ctx, "reading the stack's configuration", err)
		}
		files.values = make(map[string]string, len(all))
		for k, v := range all {
			files.values[k], files.secret[k] = v.Value, v.Secret
		}
		files.keys = slices.Sorted(maps.Keys(files.values))
		if err := r.validate(*files); err != nil {
			return nil, err
		}
	}
	s.stack, s.config = &stack, *files
	return s, nil
}

// Config gives the stack's configuration as the program sees it, checked. The backend is asked only where the engine
// alone can decrypt it; it works while another run holds the stack.
func (r *Runner) Config(ctx context.Context) (Config, error) {
	if r.session == nil {
		files, err := r.files(ctx)
		if err != nil {
			return Config{}, err
		}
		if files.values != nil {
			return *files, r.validate(*files)
		}
	}
	s, err := r.open(ctx, false)
	if err != nil {
		return Config{}, err
	}
	return s.config, nil
}

func (r *Runner) validate(c Config) error {
	if r.opts.Validate == nil {
		return nil
	}
	if err := r.opts.Validate(c); err != nil {
		return &ConfigError{Stack: r.opts.Stack, Err: err}
	}
	return nil
}

// plainError makes a short question's failure readable: the engine's own last words, not the call that was made.
func (r *Runner) plainError(ctx context.Context, doing string, err error) error {
	if ctx.Err() != nil {
		return &InterruptedError{Operation: doing}
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return err
	}
	if held, ok := locks(err.Error()); ok {
		return &LockedError{Stack: r.opts.Stack, Locks: held}
	}
	if said := stderrOf(err); said != "" {
		return fmt.Errorf("%s: %s", doing, said)
	}
	return fmt.Errorf("%s: %w", doing, err)
}
