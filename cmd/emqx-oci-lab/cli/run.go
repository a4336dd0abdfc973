package cli

import (
	"context"
	"io"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/lab/faults"
	"github.com/emqx-oci/emqx-oci/lab/load"
)

// DefaultStack is the one that lives on the lab.
const DefaultStack = "lab"

// Options are everything that the command line takes from outside.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdinTerminal and StdoutTerminal say whether a person is there.
	StdinTerminal, StdoutTerminal bool
	Getenv                        func(string) string
	// Dir is the working folder, Executable this program's path: the project is looked for from both.
	Dir, Executable string
	// Command is what emqx-oci was called by: hints repeat it. "" is a name on PATH.
	Command string
	// Signals are SIGINT, SIGTERM, SIGHUP and SIGPIPE as they come.
	Signals <-chan os.Signal

	// Lab gives the lab in a folder ("" is the default one).
	Lab func(dir string) Lab
	// Load runs a workload: load.Run.
	Load func(context.Context, load.Options) (load.Report, error)
	// Deploy runs emqx-oci and gives what it prints.
	Deploy func(ctx context.Context, args ...string) ([]byte, error)
}

// Lab is the local cloud.
type Lab interface {
	// Up builds the lab, or continues building it.
	Up(context.Context, UpOptions) error
	// Prepare gives a running lab the images that a stack of the project names now.
	Prepare(ctx context.Context, project, stack string) error
	// Down takes everything of it away.
	Down(context.Context) error
	Status(ctx context.Context, w io.Writer, asJSON bool) error
	// Exec runs a command in a place of the lab: "internet", "foreign", "servers", or an instance's name.
	Exec(ctx context.Context, where string, argv []string, io Stdio) (exit int, err error)
	// Daemon is the lab's own process; Up starts it.
	Daemon(context.Context) error
	// Env is the engine's environment for the lab's stack.
	Env() (map[string]string, error)
	// Tools is the environment for the servers' own commands, nomad and consul.
	Tools() (map[string]string, error)
	// Secrets are configuration that the lab made for its stack, by path: "emqx-oci:secrets.erlangCookie".
	Secrets() (map[string]string, error)
	Running() bool
	// Faults breaks the running lab.
	Faults() faults.Injector
	// CAFile is the certificate of the authority behind the lab's brokers.
	CAFile() string
}

// UpOptions are the choices for a new lab.
type UpOptions struct {
	// Latency is the part of the real cloud's latencies that the lab waits: 0 is none, 1 all.
	Latency float64
	// Project is the folder of the project, "" when there is none: its lab stack says which images are wanted.
	Project string
	// Images are files of `docker save` with images that the stack wants: no registry is asked for those.
	Images []string
	// Secured servers are as production has them: TLS, ACLs that deny by default, keys of gossip. It is for a new lab.
	Secured bool
	// Log gets the progress, a line at a time.
	Log func(string)
}

// Stdio is what a command run in the lab reads and writes.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
	Terminal bool
}

// app is one run of the command line.
type app struct {
	Options
	console *console.Console
	// screen and screenErr are the outputs as they are, for a command of the user's own. Everything else goes through a filter.
	screen, screenErr io.Writer

	project, stageDir, labDir string
	asJSON, verbose           bool
	record                    string
}

// Run performs a command, "up", and gives the process's exit code: 0, 1 for a failure, 2 for a wrong call, 128 and the
// signal's number after a signal, that of the command for exec.
func Run(o Options, args []string) int {
	c := console.New(o.Stdout, o.Stderr, o.Signals)
	a := &app{Options: o, console: c, screen: o.Stdout, screenErr: o.Stderr}
	a.Stdout, a.Stderr = c.Stdout, c.Stderr
	return c.Run(a.root(), below(args))
}

// CheckCall says what is wrong with a call as far as its words tell: an unknown command or flag, arguments too many. Nothing
// is run. Documents and workflows are held to it.
func CheckCall(args []string) error {
	a := &app{Options: Options{Stdout: io.Discard, Stderr: io.Discard, Getenv: func(string) string { return "" }}}
	return console.CheckCall(a.root(), below(args))
}

// below are the arguments where the commands are, below "emqx-oci lab". A shell that completes asks a command of cobra's.
func below(args []string) []string {
	at := 0
	if len(args) > 0 && (args[0] == cobra.ShellCompRequestCmd || args[0] == cobra.ShellCompNoDescRequestCmd) {
		at = 1
	}
	return slices.Insert(slices.Clone(args), at, "lab")
}

// root is the part of emqx-oci's commands that this program has: help and errors name them as people call them.
func (a *app) root() *cobra.Command {
	root := &cobra.Command{Use: "emqx-oci"}
	root.SetIn(a.Stdin)
	root.SetOut(a.Stdout)
	root.SetErr(a.Stderr)
	console.Flags{
		Project: &a.project, StageDir: &a.stageDir, LabDir: &a.labDir, JSON: &a.asJSON, Verbose: &a.verbose, Record: &a.record,
	}.Register(root, a.Getenv)
	root.AddCommand(a.lab())
	return root
}
