package cli

import (
	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) preview() *cobra.Command {
	return &cobra.Command{
		Use:   "preview [stack]",
		Short: "Show what up would change, and touch nothing",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := a.open(progress.Preview, stackOf(args))
			if err != nil {
				return err
			}
			defer t.close()
			_, err = t.Preview(c.Context())
			return err
		},
	}
}
