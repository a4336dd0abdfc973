package cli

import (
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) tickets() *cobra.Command {
	return &cobra.Command{
		Use:   "tickets [stack]",
		Short: "Make the next keys of TLS session tickets (tls.ticketKeys), and print them",
		Long: `tickets prints the keys by which TLS sessions resume at any proxy: those of the stack without the oldest,
and a new one; new ones for a stack without any. They are secret, and nothing is changed by it:

    keys=$(emqx-oci tickets prod) && echo "$keys" | pulumi config set -s prod --secret --path emqx-oci:tls.ticketKeys
    emqx-oci up prod

A ticket outlives one such rotation, and not two. Whoever has the keys can read what was sent in sessions
that resumed by them, so rotate them as often as certificates, or more often.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			t, err := a.open(quiet, stack)
			if err != nil {
				return err
			}
			defer t.close()
			config, err := t.Config(c.Context())
			if err != nil {
				return err
			}
			if a.TicketKeys == nil {
				return errors.New("making keys of session tickets: this program cannot")
			}
			keys, err := a.TicketKeys(stack, config)
			if err != nil {
				return fmt.Errorf("making keys of session tickets: %w", err)
			}
			if a.asJSON {
				return a.encode(map[string]string{"ticketKeys": keys})
			}
			_, err = fmt.Fprint(a.Stdout, keys)
			return err
		},
	}
}
