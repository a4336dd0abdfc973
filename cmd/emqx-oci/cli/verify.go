package cli

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

func (a *app) verify() *cobra.Command {
	var listener string
	c := &cobra.Command{
		Use:   "verify [stack]",
		Short: "Check the running cluster as at the end of an update, and change nothing",
		Long: `verify asks what every update asks at its end: whether all members run and are healthy (G2), whether
every proxy has brokers (G3), and whether a message comes back by the public name through each listener
(G5). It waits as long as an update would: gates.settle while Nomad deploys nothing. --listener sends one
message through that listener, and asks nothing else. For scripts and monitoring: exit code 0 when all
hold, 1 with the reason when one does not; --json tells of each listener.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			a.announceSignals(func(string) {}) // nothing is under way that a signal would have to wait for
			begin := time.Now()
			parts, err := cluster.Verify(c.Context(), operate.VerifyOptions{Listener: listener, Report: func(line string) {
				if !a.asJSON {
					_, _ = fmt.Fprintln(a.Stdout, line)
				}
			}})
			if unknown := new(gates.UnknownListenerError); errors.As(err, &unknown) {
				return usage(fmt.Errorf("--listener: %w", err))
			}
			if a.asJSON {
				result := verified{Stack: stack, Verified: err == nil, Seconds: time.Since(begin).Seconds()}
				for _, p := range parts {
					result.Listeners = append(result.Listeners, verifiedListener{Name: p.Name, Verified: p.Holds, Seen: p.Seen, Next: p.Next})
				}
				if err != nil {
					result.Error = err.Error()
				}
				if err := a.encode(result); err != nil {
					return err
				}
			}
			if err != nil {
				return fmt.Errorf("verifying the cluster: %w", err)
			}
			return nil
		},
	}
	c.Flags().StringVar(&listener, "listener", "", "send a message through this listener alone: mqtt, mqtts, ws or wss")
	_ = c.RegisterFlagCompletionFunc("listener", func(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
		var names []string
		for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
			names = append(names, l.Name)
		}
		return names, cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

// verified is the result as --json prints it.
type verified struct {
	Stack    string `json:"stack"`
	Verified bool   `json:"verified"`
	// Listeners are what came of the last message through each; none when the check ended
	// before.
	Listeners []verifiedListener `json:"listeners,omitempty"`
	Error     string             `json:"error,omitempty"`
	Seconds   float64            `json:"seconds"`
}

type verifiedListener struct {
	Name     string `json:"name"`
	Verified bool   `json:"verified"`
	Seen     string `json:"seen"`
	Next     string `json:"next,omitempty"`
}
