package cli

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) version() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version",
		Args:  noArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.asJSON {
				return json.NewEncoder(a.Stdout).Encode(map[string]string{"version": a.Version})
			}
			_, err := fmt.Fprintln(a.Stdout, "emqx-oci "+a.Version)
			return err
		},
	}
}
