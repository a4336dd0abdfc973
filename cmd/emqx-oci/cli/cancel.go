package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) cancelLock() *cobra.Command {
	return &cobra.Command{
		Use:   "cancel [stack]",
		Short: "Take away the lock that a dead run left on the stack",
		Long: `cancel takes the stack's lock away, whoever holds it. What emqx-oci's own killed runs on this machine
leave behind goes away by itself; cancel is for a machine that is gone. A run that still lives loses
its hold on the stack, and two runs at once damage its state: be sure.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			t, err := a.open(quiet, stack)
			if err != nil {
				return err
			}
			defer t.close()
			if err := t.Cancel(c.Context()); err != nil {
				return err
			}
			_, _ = fmt.Fprintf(a.Stdout, "stack %s is not locked any more\n", stack)
			return nil
		},
	}
}
