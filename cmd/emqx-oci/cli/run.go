package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/gates/printable"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// defaultStack is the one that needs no account.
const defaultStack = "lab"

// app is one run of the command line.
type app struct {
	Options
	// screen is the standard output as it is, for what moves the cursor; it and screenErr
	// are also for a command of the user's own. Everything else goes through a filter, for
	// what files, brokers and clouds say is in it.
	screen, screenErr io.Writer

	project, stageDir, labDir string
	// owner is whose the stack is in the backend; see stackOf.
	owner           string
	asJSON, verbose bool
	record          string

	kill chan struct{}

	mu       sync.Mutex
	signal   syscall.Signal // the first one
	announce func(string)
}

// Run performs a command and gives the process's exit code: 0, 1 for a failure, 2 for a wrong call or configuration, 3
// when a guard refuses, 4 for changes where none were expected, 128 and the signal's number after a signal.
func Run(o Options, args []string) int {
	a := &app{Options: o, screen: o.Stdout, screenErr: o.Stderr, kill: make(chan struct{})}
	a.Stdout, a.Stderr = printable.NewWriter(o.Stdout), printable.NewWriter(o.Stderr)
	a.announce = func(s string) { _, _ = fmt.Fprintln(a.Stderr, s) }
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	stop := make(chan struct{})
	defer close(stop)
	go a.watch(cancel, stop)

	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	return a.exit(err)
}

// watch turns signals into a clean end, and the second one into an immediate end.
func (a *app) watch(cancel context.CancelFunc, stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case s := <-a.Signals:
			sig, ok := s.(syscall.Signal)
			if !ok {
				continue
			}
			a.mu.Lock()
			first := a.signal == 0
			if first {
				a.signal = sig
			}
			say := a.announce
			a.mu.Unlock()
			switch {
			case first:
				if sig == syscall.SIGINT {
					say("cancelling: waiting for what is under way; Ctrl-C again ends it at once")
				}
				cancel()
			case sig == syscall.SIGPIPE: // one comes with every line that nobody reads
			default:
				select {
				case <-a.kill:
				default:
					close(a.kill)
				}
			}
		}
	}
}

// code is an exit code without a message: what went wrong was said already.
type code int

func (c code) Error() string { return fmt.Sprintf("exit code %d", int(c)) }

// stopped is a verb's own word on its end by a signal.
type stopped string

func (s stopped) Error() string { return string(s) }
func (stopped) Unwrap() error   { return context.Canceled }

// usage is a call that makes no sense.
type usage struct{ error }

func (usage) ExitCode() int   { return orchestrate.ExitUsage }
func (u usage) Unwrap() error { return u.error }

func (a *app) exit(err error) int {
	if err == nil {
		return 0
	}
	var c code
	if errors.As(err, &c) {
		return int(c)
	}
	_, _ = fmt.Fprintln(a.Stderr, "error: "+err.Error())
	a.mu.Lock()
	defer a.mu.Unlock()
	var cut *orchestrate.InterruptedError
	if a.signal != 0 && (errors.As(err, &cut) || errors.Is(err, context.Canceled)) {
		return 128 + int(a.signal)
	}
	var coded interface{ ExitCode() int }
	if errors.As(err, &coded) {
		return coded.ExitCode()
	}
	return orchestrate.ExitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "emqx-oci",
		Short: "An EMQX cluster on Oracle Cloud, from block volume to DNS name, in one update",
		Long: `emqx-oci deploys an EMQX cluster on Oracle Cloud: volumes, nodes, Nomad jobs, load
balancer and DNS name, in the right order, each step only once the one before is healthy.
The stack "lab" runs on this machine: see "emqx-oci lab".`,
		SilenceErrors: true, SilenceUsage: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage{fmt.Errorf("unknown command %q: \"emqx-oci help\" lists the commands", args[0])}
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	root.CompletionOptions.HiddenDefaultCmd = true
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage{fmt.Errorf("%w: see \"%s --help\"", err, c.CommandPath())}
	})
	f := root.PersistentFlags()
	f.StringVarP(&a.project, "project", "C", "", "folder with Pulumi.yaml and the stack files (default: here or above)")
	f.StringVar(&a.stageDir, "stage-dir", a.Getenv("EMQX_OCI_STAGE_DIR"), "private folder that the engine works in")
	f.StringVar(&a.labDir, "lab-dir", a.Getenv("EMQX_OCI_LAB_DIR"), "folder of the lab")
	f.BoolVar(&a.asJSON, "json", false, "one JSON object per line, for programs")
	f.BoolVarP(&a.verbose, "verbose", "v", false, "show the engine's own text, too")
	f.StringVar(&a.record, "record", "", "write the engine's events into this file")
	_ = f.MarkHidden("record")
	root.AddCommand(a.initStack(), a.checkStack(), a.preview(), a.up(), a.refresh(), a.destroy(), a.status(), a.verify(), a.rebalance(), a.backup(), a.restore(), a.outputs(), a.cancelLock(), a.lab(), a.version())
	return root
}

// oneStack allows one argument at most.
func oneStack(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage{fmt.Errorf("one stack at a time, got %s: see \"%s --help\"", strings.Join(args, " "), c.CommandPath())}
	}
	return nil
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usage{fmt.Errorf("%q takes no arguments, got %s", c.CommandPath(), strings.Join(args, " "))}
	}
	return nil
}

// command is how to call this program from where the caller is: "make up" in a checkout calls it by its whole path, and
// puts it on nobody's PATH.
func (a *app) command() string {
	name := a.Command
	if !strings.Contains(name, string(filepath.Separator)) {
		return "emqx-oci"
	}
	if !filepath.IsAbs(name) {
		return name
	}
	if rel, err := filepath.Rel(a.Dir, name); err == nil && !strings.HasPrefix(rel, "..") {
		return filepath.Dir(rel) + string(filepath.Separator) + filepath.Base(rel)
	}
	return name
}

// stackOf is the stack that a command is for. In front of its name may stand whose it
// is in the backend, "org/" or "org/project/", which only the engine has to know.
func (a *app) stackOf(args []string) string {
	if len(args) == 0 {
		return defaultStack
	}
	at := strings.LastIndexByte(args[0], '/')
	a.owner = args[0][:max(at, 0)]
	return args[0][at+1:]
}

// projectDir finds the folder with Pulumi.yaml: the given one, the working folder or one above it, or the one that this
// program was built in.
func (a *app) projectDir() (string, error) {
	if a.project != "" {
		return a.project, nil
	}
	for _, from := range []string{a.Dir, filepath.Dir(a.Executable)} {
		for d := from; ; d = filepath.Dir(d) {
			if st, err := os.Stat(filepath.Join(d, "Pulumi.yaml")); err == nil && !st.IsDir() {
				return d, nil
			}
			if filepath.Dir(d) == d {
				break
			}
		}
	}
	return "", usage{fmt.Errorf("no Pulumi.yaml in %s or above it: run emqx-oci in the project's folder, or name it with --project", a.Dir)}
}
