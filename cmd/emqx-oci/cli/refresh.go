package cli

import (
	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

func (a *app) refresh() *cobra.Command {
	return &cobra.Command{
		Use:   "refresh [stack]",
		Short: "Read what the clouds really hold into the stack's state, and change nothing there",
		Args:  oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			t, err := a.open(progress.Refresh, a.stackOf(args))
			if err != nil {
				return err
			}
			defer t.close()
			_, err = t.Refresh(c.Context())
			return err
		},
	}
}
