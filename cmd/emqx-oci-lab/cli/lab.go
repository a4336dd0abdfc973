package cli

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/beside"
	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/lab"
)

func (a *app) lab() *cobra.Command {
	c := &cobra.Command{
		Use:   "lab",
		Short: "A cloud on this machine, for the stack \"lab\"",
		Long: `lab builds a cloud in network namespaces of this machine: simulated Oracle Cloud, real Nomad, Consul,
Docker and HAProxy. It needs Linux and root.`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return console.Usage(fmt.Errorf("unknown command %q: see \"%s --help\"", args[0], c.CommandPath()))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.labFault(), a.labLoad())
	c.AddCommand(a.labUp(), a.labDown(), a.labStatus(), a.labExec(), a.labEnv(), a.labAttach(), a.labPrepare(), a.labDaemon())
	return c
}

func (a *app) labUp() *cobra.Command {
	latency, scale := "none", 1.0
	var archives []string
	var secured, open bool
	c := &cobra.Command{
		Use:   "up",
		Short: "Build the lab, or what is missing of it",
		Long: `up builds the lab, or what is missing of it. Images that no registry hands over can be given as files of
"docker save", such as a real EMQX; they need the names that the lab's stack asks for.`,
		Example: "  emqx-oci lab up\n  emqx-oci lab up --image emqx-5.8.9.tar --image haproxy-3.2.25.tar.gz",
		Args:    console.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := UpOptions{Images: archives, Secured: secured, Log: func(line string) { _, _ = fmt.Fprintln(a.Stdout, line) }}
			o.Project, _ = console.ProjectDir(a.project, a.Dir, a.Executable)
			switch latency {
			case "none":
			case "oci":
				if scale <= 0 || scale > 1 {
					return console.Usage(fmt.Errorf("--latency-scale: must be above 0 and at most 1, got %g", scale))
				}
				o.Latency = scale
			default:
				return console.Usage(fmt.Errorf("--latency: must be none or oci, got %q", latency))
			}
			if err := a.Lab(a.labDir).Up(c.Context(), o); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(a.Stdout, "the lab is ready; next: %s up %s\n", console.Called(a.Command, a.Dir), DefaultStack)
			return nil
		},
	}
	c.Flags().StringArrayVar(&archives, "image", nil, "`file` of docker save with an image that the stack asks for, packed by gzip or not; may come more than once")
	c.Flags().BoolVar(&secured, "secured", false, "Consul and Nomad as production has them: TLS, ACLs that deny by default, keys of gossip; for a new lab")
	c.Flags().BoolVar(&open, "open", false, "Consul and Nomad without them: whoever reaches them may do everything (the default)")
	c.MarkFlagsMutuallyExclusive("secured", "open")
	c.Flags().StringVar(&latency, "latency", latency, "wait as the real cloud makes one wait: none or oci")
	c.Flags().Float64Var(&scale, "latency-scale", scale, "part of the real cloud's latencies")
	return c
}

func (a *app) labDown() *cobra.Command {
	return &cobra.Command{
		Use:   "down",
		Short: "Take the lab away, with everything in it",
		Args:  console.NoArgs,
		RunE:  func(c *cobra.Command, _ []string) error { return a.Lab(a.labDir).Down(c.Context()) },
	}
}

func (a *app) labStatus() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show the lab's instances, volumes, balancer and records",
		Args:  console.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l := a.Lab(a.labDir)
			if !l.Running() {
				return lab.ErrNotUp
			}
			return l.Status(c.Context(), a.Stdout, a.asJSON)
		},
	}
}

func (a *app) labExec() *cobra.Command {
	where := "internet"
	c := &cobra.Command{
		Use:     "exec [--in place] -- command [argument...]",
		Short:   "Run a command in the lab, by default as a client on its internet",
		Example: "  emqx-oci lab exec -- mosquitto_pub -h mqtt.lab.test -t hello -m world\n  emqx-oci lab exec --in emqx-lab-0 -- nomad node status",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) == 0 {
				return console.Usage(errors.New("no command: emqx-oci lab exec -- mosquitto_pub -h mqtt.lab.test -t hello -m world"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			l := a.Lab(a.labDir)
			if !l.Running() {
				return lab.ErrNotUp
			}
			exit, err := l.Exec(c.Context(), where, args, Stdio{In: a.Stdin, Out: a.screen, Err: a.screenErr, Terminal: a.StdinTerminal && a.StdoutTerminal})
			if err != nil {
				return err
			}
			if exit != 0 {
				return console.Code(exit)
			}
			return nil
		},
	}
	c.Flags().StringVar(&where, "in", where, "internet, foreign, servers, or an instance's name")
	c.Flags().SetInterspersed(false)
	return c
}

func (a *app) labEnv() *cobra.Command {
	return &cobra.Command{
		Use:     "env",
		Short:   "Print the environment that lets plain pulumi, nomad and consul work on the lab",
		Example: `  eval "$(emqx-oci lab env)"`,
		Args:    console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l := a.Lab(a.labDir)
			if !l.Running() {
				return lab.ErrNotUp
			}
			env, err := l.Env()
			if err != nil {
				return err
			}
			tools, err := l.Tools()
			if err != nil {
				return err
			}
			maps.Copy(env, tools)
			if a.asJSON {
				return json.NewEncoder(a.Stdout).Encode(env)
			}
			for _, k := range slices.Sorted(maps.Keys(env)) {
				_, _ = fmt.Fprintf(a.Stdout, "export %s='%s'\n", k, strings.ReplaceAll(env[k], "'", `'\''`))
			}
			return nil
		},
	}
}

// labAttach is what emqx-oci asks before it works on a stack of the lab.
func (a *app) labAttach() *cobra.Command {
	return &cobra.Command{
		Use:    "attach",
		Short:  "Print what emqx-oci needs to work on the lab, as JSON",
		Hidden: true,
		Args:   console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			l := a.Lab(a.labDir)
			if !l.Running() {
				return lab.ErrNotUp
			}
			var with beside.Attachment
			var err error
			if with.Env, err = l.Env(); err != nil {
				return fmt.Errorf("asking the lab for its environment: %w", err)
			}
			if with.Secrets, err = l.Secrets(); err != nil {
				return fmt.Errorf("asking the lab for its secrets: %w", err)
			}
			return json.NewEncoder(a.screen).Encode(with)
		},
	}
}

// labPrepare is what emqx-oci asks before it deploys a stack on the lab.
func (a *app) labPrepare() *cobra.Command {
	return &cobra.Command{
		Use:    "prepare stack",
		Short:  "Have the images that a stack names",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return console.Usage(errors.New("prepare needs a stack"))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			dir, err := console.ProjectDir(a.project, a.Dir, a.Executable)
			if err != nil {
				return err
			}
			return a.Lab(a.labDir).Prepare(c.Context(), dir, args[0])
		},
	}
}

func (a *app) labDaemon() *cobra.Command {
	return &cobra.Command{
		Use:    "daemon",
		Short:  "Be the lab's own process",
		Hidden: true,
		Args:   console.NoArgs,
		RunE:   func(c *cobra.Command, _ []string) error { return a.Lab(a.labDir).Daemon(c.Context()) },
	}
}
