package cli

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
)

// defaultStack is the one that needs no account.
const defaultStack = "lab"

// app is one run of the command line.
type app struct {
	Options
	console *console.Console
	// screen is the standard output as it is, for what moves the cursor. Everything else goes through a filter, for what
	// files, brokers and clouds say is in it.
	screen io.Writer

	project, stageDir, labDir string
	// owner is whose the stack is in the backend; see stackOf.
	owner           string
	asJSON, verbose bool
	record          string

	kill chan struct{}
}

// Run performs a command and gives the process's exit code: 0, 1 for a failure, 2 for a wrong call or configuration, 3
// when a guard refuses, 4 for changes where none were expected, 128 and the signal's number after a signal.
func Run(o Options, args []string) int {
	c := console.New(o.Stdout, o.Stderr, o.Signals)
	a := &app{Options: o, console: c, screen: o.Stdout, kill: c.Kill}
	a.Stdout, a.Stderr = c.Stdout, c.Stderr
	return c.Run(a.root(), helpOfLab(args))
}

// code is an exit code without a message: what went wrong was said already.
type code = console.Code

// stopped is a verb's own word on its end by a signal.
type stopped string

func (s stopped) Error() string { return string(s) }
func (stopped) Unwrap() error   { return context.Canceled }

// usage is a call that makes no sense.
func usage(err error) error { return console.Usage(err) }

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "emqx-oci",
		Short: "An EMQX cluster on Oracle Cloud, from block volume to DNS name, in one update",
		Long: `emqx-oci deploys an EMQX cluster on Oracle Cloud: volumes, nodes, Nomad jobs, load
balancer and DNS name, in the right order, each step only once the one before is healthy.
The stack "lab" runs on this machine: see "emqx-oci lab".`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q: \"emqx-oci help\" lists the commands", args[0]))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	console.Flags{
		Project: &a.project, StageDir: &a.stageDir, LabDir: &a.labDir, JSON: &a.asJSON, Verbose: &a.verbose, Record: &a.record,
	}.Register(root, a.Getenv)
	root.AddCommand(a.initStack(), a.checkStack(), a.preview(), a.up(), a.refresh(), a.destroy(), a.status(), a.verify(), a.certificate(), a.tickets(), a.policies(),
		a.rebalance(), a.backup(), a.restore(), a.device(), a.outputs(), a.cancelLock(), a.lab(), a.version())
	return root
}

// oneStack allows one argument at most.
func oneStack(c *cobra.Command, args []string) error {
	if len(args) > 1 {
		return usage(fmt.Errorf("one stack at a time, got %s: see \"%s --help\"", strings.Join(args, " "), c.CommandPath()))
	}
	return nil
}

// command is how to call this program from where the caller is.
func (a *app) command() string { return console.Called(a.Command, a.Dir) }

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

// projectDir finds the folder with Pulumi.yaml.
func (a *app) projectDir() (string, error) {
	return console.ProjectDir(a.project, a.Dir, a.Executable)
}
