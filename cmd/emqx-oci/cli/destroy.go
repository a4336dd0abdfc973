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
		Short: "Take everything of the stack away, with the data on its volumes unless volumes.retain keeps them",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			if err := a.mustAsk(yes, "destroy "+stack); err != nil {
				return err
			}
			k := &keeper{app: a, stack: stack}
			t, err := a.open(progress.Destroy, stack, k.watch)
			if err != nil {
				return err
			}
			defer t.close()
			// Whatever is to be said against it, or asked, comes before anything is touched.
			held, err := t.Resources(c.Context())
			if err == nil {
				err = protectedError(stack, held)
			}
			if err != nil {
				return a.endBeforeDestroy(stack, err)
			}
			k.kept = keptOf(held)
			if !yes {
				_, _ = fmt.Fprintln(a.Stdout, loss(stack, held, k.kept))
				ok, err := a.confirm(c.Context(), "Type the stack's name to go on: ", func(s string) bool { return s == stack })
				if err != nil {
					return err
				}
				if !ok {
					return a.declined()
				}
			}
			_, err = t.Destroy(c.Context())
			return protectionHint(stack, err)
		},
	}
	c.Flags().BoolVarP(&yes, "yes", "y", false, "do not ask")
	return c
}

// protectedError is what stands against a destroy; the engine finds out again when it begins.
func protectedError(stack string, held []orchestrate.Resource) error {
	var found []orchestrate.Protected
	for _, r := range held {
		if r.Protected {
			found = append(found, orchestrate.Protected{Type: r.Type, Name: r.Name, ID: r.ID})
		}
	}
	if len(found) == 0 {
		return nil
	}
	return &orchestrate.ProtectedError{Stack: stack, Resources: found}
}

// endBeforeDestroy ends a destroy that did not begin. A program that reads --json gets its summary all the same.
func (a *app) endBeforeDestroy(stack string, err error) error {
	var never *orchestrate.NotCreatedError
	nothing := errors.As(err, &never)
	switch {
	case a.asJSON:
		progress.NewJSON(a.Stdout).End(progress.End{Operation: progress.Destroy, Stack: stack, Err: err})
	case nothing:
		_, _ = fmt.Fprintf(a.Stdout, "stack %s was never deployed: nothing to take away\n", stack)
	}
	if nothing {
		return nil
	}
	return protectionHint(stack, err)
}

func protectionHint(stack string, err error) error {
	var protected *orchestrate.ProtectedError
	if !errors.As(err, &protected) {
		return err
	}
	return fmt.Errorf("%w\nTo keep the volumes and destroy the rest: set emqx-oci:volumes.retain to true and emqx-oci:volumes.protect to false, "+
		"run \"emqx-oci up %s\", then this again. To destroy them, too, with their data: leave retain out "+
		"(a production stack then needs emqx-oci:guards.allowUnprotected)", err, stack)
}
