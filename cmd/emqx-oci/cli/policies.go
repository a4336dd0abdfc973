package cli

import (
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/cmd/internal/console"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

func (a *app) policies() *cobra.Command {
	return &cobra.Command{
		Use:   "policies [stack] [name]",
		Short: "Print the rights that a cluster needs in Nomad, Consul and the cloud",
		Long: `policies prints what to give whom where Nomad and Consul have ACLs, and the statements of the cloud: the names
of all, or one of them to hand to the servers. Nothing is changed by it:

    emqx-oci policies prod
    emqx-oci policies prod nomad-deployer | nomad acl policy apply emqx-prod-deployer -
    emqx-oci policies prod consul-agent | consul acl policy create -name emqx-prod-agent -rules -`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 2 {
				return console.Usage(errors.New("policies needs a stack and at most one name"))
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			stack := a.stackOf(args[:min(1, len(args))])
			dir, err := a.projectDir()
			if err != nil {
				return err
			}
			config, err := orchestrate.Read(dir, stack)
			if err != nil {
				return err
			}
			if a.Policies == nil {
				return errors.New("printing policies: this program cannot")
			}
			texts, err := a.Policies(stack, config)
			if err != nil {
				return fmt.Errorf("printing policies: %w", err)
			}
			if a.asJSON {
				return a.encode(texts)
			}
			if len(args) < 2 {
				for _, name := range slices.Sorted(maps.Keys(texts)) {
					_, _ = fmt.Fprintln(a.Stdout, name)
				}
				return nil
			}
			text, ok := texts[args[1]]
			if !ok {
				return console.Usage(fmt.Errorf("no policy is called %q: see \"emqx-oci policies %s\"", args[1], stack))
			}
			_, err = fmt.Fprint(a.Stdout, text)
			return err
		},
	}
}
