package components

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi/internals"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/renew"
)

// renewal is how the certificate of a stack gets to its jobs from outside. It gets none by itself yet: see [RenewCertificate].
func renewal(s settings.Settings) (renew.Renewal, error) {
	variables, err := gates.NewVariables(nomadConfig(s))
	if err != nil {
		return renew.Renewal{}, err
	}
	return renewalIn(s, variables), nil
}

func renewalIn(s settings.Settings, variables gates.VariableClient) renew.Renewal {
	paths := []string{kinds.Of(s).Proxy.CertificateVariable(s.Environment), nomad.CertificateVariable(s.Environment)}
	if s.TLS.AtBroker() {
		slices.Reverse(paths)
	}
	trust := certs.Server{}
	if s.TLS.CA != "" {
		var err error
		if trust.Authorities, err = certs.ReadCertificates(s.TLS.CA.Reveal()); err != nil {
			trust.UnknownAuthorities = true
		}
	}
	return renew.Renewal{
		Store: renew.Store{Variables: variables, Paths: paths, Namespace: s.Nomad.Namespace},
		Host:  s.DNS.Name, Trust: trust, Source: s.TLS.Source, Now: time.Now,
	}
}

// AccountVariable is the path of the Nomad variable with the key of a stack's account at its authority, which no job may read.
func AccountVariable(environment string) string { return "emqx-oci/" + environment + "/acme" }

// RenewCertificate gets the certificate of a stack from where its settings say, and hands it to its jobs, if it is due. Of a
// stack whose certificate somebody else brings it does nothing.
func RenewCertificate(ctx context.Context, s settings.Settings, o renew.Options) (renew.Outcome, error) {
	if !s.TLS.Obtained() {
		return renew.Outcome{Source: s.TLS.Source}, nil
	}
	r, err := renewal(s)
	if err != nil {
		return renew.Outcome{}, err
	}
	return renewBy(ctx, s, r, o)
}

func renewBy(ctx context.Context, s settings.Settings, r renew.Renewal, o renew.Options) (renew.Outcome, error) {
	r.Options = o
	switch s.TLS.Source {
	case settings.SourceVault:
		r.Each = true
		r.Get = func(ctx context.Context) (pair certs.Pair, err error) {
			err = o.Aside(ctx, "reading the certificate from the vault", func(p *pulumi.Context) error {
				pair, err = readVault(p, settings.ClusterName, s)
				return err
			})
			return pair, err
		}
	case settings.SourceACME:
		authority := renew.Authority{
			Directory: s.TLS.ACME.Directory, Contact: s.TLS.ACME.Contact, CACert: s.TLS.ACME.CA.Reveal(),
			Accounts: r.Store.Variables, Account: AccountVariable(s.Environment),
		}
		r.Get = func(ctx context.Context) (certs.Pair, error) { return authority.Obtain(ctx, s.DNS.Name, prover(s, o)) }
	}
	outcome, err := r.Do(ctx)
	if err != nil {
		return outcome, fmt.Errorf("renewing the certificate: %w", err)
	}
	return outcome, nil
}

// prover has the zone show what an authority asks for, while that looks.
func prover(s settings.Settings, o renew.Options) renew.Prove {
	zone := renew.Zone{Name: s.DNS.Zone, Resolver: s.TLS.ACME.Resolver}
	return func(ctx context.Context, record string, values []string, done func(context.Context) error) error {
		return o.Aside(ctx, "proving the name to the authority", func(p *pulumi.Context) error {
			k, in := kinds.Of(s), seams.Given{Name: settings.ClusterName, Settings: s}
			every, err := newProviders(p, &in, k)
			if err != nil {
				return err
			}
			made, err := k.Names.Prove(p, in, record, values, every)
			if err != nil {
				return err
			}
			if _, err := internals.UnsafeAwaitOutput(p.Context(), made.ID()); err != nil { //nolint:contextcheck // the engine's own
				return err
			}
			if err := zone.Await(ctx, record, values, o.Report); err != nil {
				return err
			}
			return done(ctx)
		})
	}
}

// readVault reads the current version of tls.vaultSecret.
func readVault(ctx *pulumi.Context, name string, s settings.Settings) (certs.Pair, error) {
	k, in := kinds.Of(s), seams.Given{Name: name, Settings: s}
	if _, err := newProviders(ctx, &in, k); err != nil {
		return certs.Pair{}, err
	}
	cloud := k.Hosts.Provider()
	if cloud == nil || cloud.Secret == nil {
		return certs.Pair{}, errors.New("the cloud of these hosts has no vault")
	}
	text, err := cloud.Secret(ctx, s.TLS.VaultSecret, in.Invoke(cloud.Package))
	if err != nil {
		return certs.Pair{}, fmt.Errorf("reading the secret tls.vaultSecret: %w", err)
	}
	pair, err := certs.ReadPair(string(text))
	if err != nil {
		return certs.Pair{}, fmt.Errorf("the secret tls.vaultSecret must hold the certificate with its chain and its key, all in PEM: %w", err)
	}
	return pair, nil
}

// certificateFirst ends an update whose certificate from outside is not there, or is none, before anything is touched: its
// jobs would not start. A preview tells the same as a warning where an update gets it by itself.
func certificateFirst(ctx *pulumi.Context, s settings.Settings, planner jobPlanner) error {
	if !s.TLS.Outside() || planner.nomad == nil || !planner.answers(ctx.Context()) {
		return nil
	}
	r, err := renewal(s)
	if err != nil {
		return err
	}
	return wantCertificate(ctx, s, r)
}

func wantCertificate(ctx *pulumi.Context, s settings.Settings, r renew.Renewal) error {
	look, err := r.Look(ctx.Context())
	if gates.IsFatal(err) {
		return ctx.Log.Warn(fmt.Sprintf("nobody has looked at the certificate: %v", err), nil)
	}
	if err != nil {
		return err
	}
	path, what := r.Store.Paths[0], ""
	switch {
	case look.Missing:
		what = "must find certificate and key in the Nomad variable " + path + ", which holds none"
	case look.Fault != "":
		what = fmt.Sprintf("must find certificate and key in the Nomad variable %s: %s", path, look.Fault)
	case look.Refused != "":
		what = fmt.Sprintf("must find a certificate in the Nomad variable %s that clients accept: it %s", path, look.Refused)
	case look.Overdue:
		return ctx.Log.Warn(fmt.Sprintf("the certificate in the Nomad variable %s has not been renewed: %q %s",
			path, certs.Name(look.First), certs.Expiry(look.First.NotAfter, time.Now())), nil)
	default:
		return nil
	}
	if !s.TLS.Obtained() {
		what += "; write it with: " + r.Store.HowToWrite()
	} else {
		what += "; get it with: emqx-oci certificate renew " + s.Environment
		if ctx.DryRun() { // an update by emqx-oci does so first
			return ctx.Log.Warn("tls.source "+what, nil)
		}
	}
	var f fault.List
	f.Add(settings.Project+":tls.source", "%s", what)
	return f.Err()
}
