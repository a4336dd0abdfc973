package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  console.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.asJSON {
				return json.NewEncoder(a.Stdout).Encode(map[string]string{"version": a.Version})
			}
			_, err := fmt.Fprintln(a.Stdout, "emqx-oci "+a.Version)
			return err
		},
	}
}
