// Command emqx-oci deploys an EMQX cluster on Oracle Cloud, and runs the lab to try it in.
package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"golang.org/x/term"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/lab/load"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/guards"
)

func main() {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	// A reader that leaves (| head) cancels cleanly instead of ending the program mid-update. The signal itself also
	// comes for every connection that a peer closes, so only the writers below tell.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	dir, _ := os.Getwd()
	self, _ := os.Executable()
	info, _ := debug.ReadBuildInfo() // nil when there is none
	var collector guards.Collector
	bind := func(ctx *pulumi.Context, caller context.Context) *pulumi.Context {
		return guards.WithCollector(gates.WithContext(ctx, caller), &collector)
	}
	os.Exit(cli.Run(cli.Options{
		Stdin: os.Stdin, Stdout: pipe{os.Stdout, signals}, Stderr: pipe{os.Stderr, signals},
		StdinTerminal: term.IsTerminal(in), StdoutTerminal: term.IsTerminal(out),
		Size:   func() (int, int) { w, h, _ := term.GetSize(out); return w, h },
		Getenv: os.Getenv, Dir: dir, Executable: self, Command: os.Args[0], Signals: signals, Version: currentVersion(version, info),
		Program: stacks.Run, Providers: providers, Find: find, Fates: fates, Resume: resume, Bind: bind, Guards: &collector, Validate: validate, Check: check, Assess: assess, Operate: open, Edge: stacks.Edge,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { return orchestrate.New(o) },
		NewInitializer: func(ctx context.Context, o orchestrate.InitOptions) (cli.Initializer, error) {
			return orchestrate.NewInitializer(ctx, o)
		},
		Lab:  func(dir string) cli.Lab { return newLab(dir, self) },
		Load: load.Run,
	}, os.Args[1:]))
}

// pipe tells when nobody reads any more.
type pipe struct {
	file *os.File
	gone chan<- os.Signal
}

func (p pipe) Write(b []byte) (int, error) {
	n, err := p.file.Write(b)
	if errors.Is(err, syscall.EPIPE) {
		select {
		case p.gone <- syscall.SIGPIPE:
		default: // others wait to be read already
		}
	}
	return n, err
}

// version is what the build sets: the tag that it is of, or git's description of a commit (-X main.version=...).
var version string

// currentVersion is that without the tag's "v", or else what Go knows of the build: the
// module's version, which it takes from the commit where it may ask git; "(devel)" when
// nobody knows.
func currentVersion(set string, info *debug.BuildInfo) string {
	if set == "" && info != nil {
		set = info.Main.Version
	}
	if set == "" {
		return "(devel)"
	}
	if number, tagged := strings.CutPrefix(set, "v"); tagged {
		return number
	}
	return set
}
