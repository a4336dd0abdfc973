package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

func (a *app) certificate() *cobra.Command {
	c := &cobra.Command{
		Use:   "certificate",
		Short: "Renew the certificate of the clients' listeners, without an update",
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage(fmt.Errorf("unknown command %q: see \"%s --help\"", args[0], c.CommandPath()))
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(a.certificateRenew())
	return c
}

func (a *app) certificateRenew() *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:   "renew [stack]",
		Short: "Get the certificate from the vault or the authority if it is due, and hand it to the proxies and brokers",
		Long: `renew is for a timer, once a day: with tls.source: acme it gets a new certificate when less than a third of
its life is left (30 days at most), with tls.source: vault it hands over what the secret holds by now. Proxies
and brokers take it over by themselves, and no client is cut off. It locks nothing, and works while an
update runs. One that clients would refuse is not handed over: exit code 1, and the one in use stays.`,
		Args: oneStack,
		RunE: func(c *cobra.Command, args []string) error {
			stack := a.stackOf(args)
			t, err := a.open(quiet, stack)
			if err != nil {
				return err
			}
			defer t.close()
			a.announceSignals(func(string) {}) // what is under way is taken back, and nothing is half done
			o, err := a.renew(c.Context(), t, renew.Options{Force: force, Report: a.progressLine})
			if err := orInterrupted(c.Context(), "renewing the certificate", err); err != nil {
				return err
			}
			if o.Name == "" {
				return usage(fmt.Errorf("nothing is renewed here: tls.source of stack %s is %s, so somebody else brings its certificate", stack, o.Source))
			}
			if a.asJSON {
				return a.encode(struct {
					Stack string `json:"stack"`
					renew.Outcome
				}{stack, o})
			}
			what := "is still the one in use"
			if o.Renewed {
				what = "is handed to the proxies and brokers"
			}
			_, err = fmt.Fprintf(a.Stdout, "certificate %q, which ends on %s, %s\n", o.Name, o.Ends.Format(time.DateOnly), what)
			return err
		},
	}
	c.Flags().BoolVar(&force, "force", false, "get a new one although it is not due")
	return c
}

// renew gets the certificate of a stack if it is due.
func (a *app) renew(ctx context.Context, t *target, o renew.Options) (renew.Outcome, error) {
	config, err := t.Config(ctx)
	if err != nil {
		return renew.Outcome{}, err
	}
	if a.Renew == nil {
		return renew.Outcome{}, errors.New("renewing the certificate: this program cannot")
	}
	o.Aside = t.Aside
	return a.Renew(ctx, t.stack, config, o)
}

// renewFirst does so before an update. That it fails ends no update whose certificate is still good: the program says what
// is wrong with one that is not.
func (a *app) renewFirst(ctx context.Context, t *target) error {
	if a.Renew == nil {
		return nil
	}
	o, err := a.renew(ctx, t, renew.Options{Report: t.Note})
	var config *orchestrate.ConfigError
	var none *orchestrate.NotCreatedError
	switch {
	case ctx.Err() != nil, errors.As(err, &config):
		return orInterrupted(ctx, "renewing the certificate", err)
	case errors.As(err, &none): // its settings can be read once it is there
	case err != nil:
		t.Note(err.Error())
	case o.Renewed:
		t.Note(fmt.Sprintf("certificate %q was renewed, and ends on %s", o.Name, o.Ends.Format(time.DateOnly)))
	}
	return nil
}
