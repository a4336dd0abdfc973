package cli

import (
	"fmt"
	"time"

	"github.com/spf13/cobra"
)

func (a *app) verify() *cobra.Command {
	return &cobra.Command{
		Use:   "verify [stack]",
		Short: "Check the running cluster as at the end of an update, and change nothing",
		Long: `verify asks what every update asks at its end: whether all members run and are healthy (G2), whether
every proxy has brokers (G3), and whether a message comes back through the public name (G5). It waits
as long as an update would: gates.settle while Nomad deploys nothing. For scripts and monitoring: exit
code 0 when all hold, 1 with the reason when one does not.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			cluster, err := a.running(c.Context(), stack)
			if err != nil {
				return err
			}
			a.announceSignals(func(string) {}) // nothing is under way that a signal would have to wait for
			begin := time.Now()
			err = cluster.Verify(c.Context(), func(line string) {
				if !a.asJSON {
					_, _ = fmt.Fprintln(a.Stdout, line)
				}
			})
			if a.asJSON {
				result := verified{Stack: stack, Verified: err == nil, Seconds: time.Since(begin).Seconds()}
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
}

// verified is the result as --json prints it.
type verified struct {
	Stack    string  `json:"stack"`
	Verified bool    `json:"verified"`
	Error    string  `json:"error,omitempty"`
	Seconds  float64 `json:"seconds"`
}
