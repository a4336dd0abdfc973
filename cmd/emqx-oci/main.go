// Command emqx-oci deploys an EMQX cluster on Oracle Cloud. The lab to try it in is a program of its own, emqx-oci-lab, which
// `emqx-oci lab` becomes.
package main

import (
	"context"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"golang.org/x/term"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/cmd/internal/beside"
	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/stacks"
)

func main() {
	signals := console.Signals()
	in, out := int(os.Stdin.Fd()), int(os.Stdout.Fd())
	dir, _ := os.Getwd()
	self, _ := os.Executable()
	var collector guards.Collector
	bind := func(ctx *pulumi.Context, caller context.Context) *pulumi.Context {
		return guards.WithCollector(gates.WithContext(ctx, caller), &collector)
	}
	os.Exit(cli.Run(cli.Options{
		Stdin: os.Stdin, Stdout: console.Pipe{File: os.Stdout, Gone: signals}, Stderr: console.Pipe{File: os.Stderr, Gone: signals},
		StdinTerminal: term.IsTerminal(in), StdoutTerminal: term.IsTerminal(out),
		Size:   func() (int, int) { w, h, _ := term.GetSize(out); return w, h },
		Getenv: os.Getenv, Dir: dir, Executable: self, Command: os.Args[0], Signals: signals, Version: console.Version(),
		Program: stacks.Run, Providers: providers, Find: find, Fates: stacks.Fates,
		Resume: resume, Bind: bind, Guards: &collector, Validate: validate, Check: check, Checks: kinds.Checks(), Assess: assess, Operate: open, TicketKeys: tickets, Renew: renewCertificate, Policies: printPolicies, Edge: stacks.Edge,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { return orchestrate.New(o) },
		NewInitializer: func(ctx context.Context, o orchestrate.InitOptions) (cli.Initializer, error) {
			return orchestrate.NewInitializer(ctx, o)
		},
		Extension: func(name string) cli.Extension { return extension(name, self, os.Args[0]) },
	}, os.Args[1:]))
}

// extension is the program beside this one that has a name. A cloud that has none is OCI, or a slip that the settings tell.
func extension(name, self, called string) cli.Extension {
	if name != "lab" {
		return nil
	}
	return beside.Program{Name: "emqx-oci-" + name, Executable: self, Called: called + "-" + name}
}
