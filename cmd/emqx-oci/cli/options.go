package cli

import (
	"context"
	"io"
	"os"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// Options are everything that the command line takes from outside.
type Options struct {
	Stdin          io.Reader
	Stdout, Stderr io.Writer
	// StdinTerminal and StdoutTerminal say whether a person is there.
	StdinTerminal, StdoutTerminal bool
	// Size is the terminal's.
	Size   func() (width, height int)
	Getenv func(string) string
	// Dir is the working folder, Executable this program's path: the project is looked for from both.
	Dir, Executable string
	// Command is what this program was called by: hints repeat it. "" is a name on PATH.
	Command string
	// Signals are SIGINT, SIGTERM, SIGHUP and SIGPIPE as they come.
	Signals <-chan os.Signal
	Version string

	// Program, Bind, Validate, Find and Fates go to the engine: see orchestrate.Options.
	Program  pulumi.RunFunc
	Bind     func(ctx *pulumi.Context, caller context.Context) *pulumi.Context
	Validate func(stack string, c orchestrate.Config) error
	// Providers as well.
	Providers func(stack string, c orchestrate.Config) (orchestrate.Providers, error)
	Find      func(*pulumi.Context, []interrupted.Lost) (map[string][]string, error)
	Fates     func(*pulumi.Context, []interrupted.Held) (map[string]interrupted.Fate, error)
	// Resume says whether an update can follow a destroy that did not end, and left these.
	Resume func(stack string, c orchestrate.Config, held []interrupted.Held) error
	// Check tells what is wrong with a stack, as far as that can be told without a cloud. A value that is encrypted may be
	// a placeholder.
	Check func(stack string, c orchestrate.Config) []preflight.Finding
	// Checks are those that Check performs.
	Checks []preflight.Check
	// Guards is what Bind gives the program for its guards to report to.
	Guards *guards.Collector
	// Assess says what a plan means for the cluster.
	Assess func(stack string, c orchestrate.Config, plan []progress.Event) (blast.Report, error)
	// Operate opens the cluster of a stack for work between two updates: components.Operate, from its settings.
	Operate func(stack string, c orchestrate.Config) (Cluster, error)
	// TicketKeys are the stack's next keys of session tickets: settings.RotateTicketKeys.
	TicketKeys func(stack string, c orchestrate.Config) (string, error)
	// Renew gets the stack's certificate from where its settings say, if it is due: components.RenewCertificate.
	Renew func(ctx context.Context, stack string, c orchestrate.Config, o renew.Options) (renew.Outcome, error)
	// Policies are the rights that the stack's cluster needs in Nomad, Consul and OCI, as text by name.
	Policies func(stack string, c orchestrate.Config) (map[string]string, error)
	// Edge asks the stack's cloud for the health of the balancer's backends: stacks.Edge.
	Edge func(*pulumi.Context) (map[string]string, error)
	// NewEngine makes the runner of a stack.
	NewEngine func(orchestrate.Options) (Engine, error)
	// NewInitializer makes what makes a new stack.
	NewInitializer func(context.Context, orchestrate.InitOptions) (Initializer, error)
	// Extension is the program emqx-oci-<name> beside this one, nil for names that no program has: "oci".
	Extension func(name string) Extension
}

// Engine performs operations on one stack. orchestrate.Runner is one.
type Engine interface {
	Preview(context.Context) (orchestrate.Result, error)
	Up(context.Context) (orchestrate.Result, error)
	Refresh(context.Context) (orchestrate.Result, error)
	Destroy(context.Context) (orchestrate.Result, error)
	Outputs(context.Context) (orchestrate.Outputs, error)
	Resources(context.Context) ([]orchestrate.Resource, error)
	Config(context.Context) (orchestrate.Config, error)
	Cancel(context.Context) error
	LastUpdate(context.Context) (*orchestrate.Update, error)
	Ask(context.Context, pulumi.RunFunc) error
	Aside(ctx context.Context, what string, program pulumi.RunFunc) error
	Note(text string)
}

// Cluster is a cluster that runs. operate.Cluster is one.
type Cluster interface {
	Status(context.Context, operate.StatusOptions) operate.Status
	Verify(context.Context, operate.VerifyOptions) ([]gates.Part, error)
	Plan(ctx context.Context, tolerance int) (operate.Plan, error)
	Rebalance(context.Context, operate.Plan, operate.RebalanceOptions) (operate.Round, error)
	Backups
	Devices
}

// Initializer makes a stack with its file. orchestrate.Initializer is one.
type Initializer interface {
	Write(ctx context.Context, text []byte, secrets map[string]string) (file string, err error)
}
