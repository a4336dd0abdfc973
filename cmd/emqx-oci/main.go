// Command emqx-oci deploys an EMQX cluster on Oracle Cloud, and runs the lab to try it in.
package main

import (
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"golang.org/x/term"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/stacks"
)

func main() {
	signals := make(chan os.Signal, 8)
	// With SIGPIPE asked for, a reader that leaves (| head) cancels cleanly instead of ending the program mid-update.
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	dir, _ := os.Getwd()
	self, _ := os.Executable()
	os.Exit(cli.Run(cli.Options{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTerminal: term.IsTerminal(in), StdoutTerminal: term.IsTerminal(out),
		Size:   func() (int, int) { w, h, _ := term.GetSize(out); return w, h },
		Getenv: os.Getenv, Dir: dir, Executable: self, Command: os.Args[0], Signals: signals, Version: version(),
		Program: stacks.Run, Bind: gates.WithContext, Validate: validate,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { return orchestrate.New(o) },
		Lab:       func(dir string) cli.Lab { return newLab(dir, self) },
	}, os.Args[1:]))
}

func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
