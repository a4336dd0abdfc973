package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) destroy() *cobra.Command {
	var yes bool
	c := &cobra.Command{
		Use:   "destroy [stack]",
		Short: "Take everything of the stack away, its volumes and their data included",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := stackOf(args)
			if err := a.mustAsk(yes, "destroy "+stack); err != nil {
				return err
			}
			t, err := a.open(progress.Destroy, stack)
			if err != nil {
				return err
			}
			defer t.close()
			if !yes {
				_, _ = fmt.Fprintf(a.Stdout, "This takes away everything of stack %s, its volumes and the data on them included.\n", stack)
				ok, err := a.confirm(c.Context(), "Type the stack's name to go on: ", func(s string) bool { return s == stack })
				if err != nil {
					return err
				}
				if !ok {
					return a.declined()
				}
			}
			_, err = t.Destroy(c.Context())
			var never *orchestrate.NotCreatedError
			if errors.As(err, &never) {
				if !a.asJSON {
					_, _ = fmt.Fprintf(a.Stdout, "stack %s was never deployed: nothing to take away\n", stack)
				}
				return nil
			}
			var protected *orchestrate.ProtectedError
			if errors.As(err, &protected) {
				return fmt.Errorf("%w\nTo destroy them, too, with their data: set emqx-oci:volumes.protect to false "+
					"(and emqx-oci:guards.allowUnprotected to true in a production stack), run \"emqx-oci up %s\", then this again", err, stack)
			}
			return err
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}
