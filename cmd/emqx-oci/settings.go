package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/renew"
	"github.com/emqx-oci/emqx-oci/stacks"
)

// validate checks a stack's settings, keys that nobody reads included.
func validate(stack string, c orchestrate.Config) error {
	_, err := settings.Load(stack, source(c))
	return err
}

// source lets settings read a configuration.
func source(c orchestrate.Config) settings.Source {
	return settings.Source{Get: c.Get, IsSecret: c.IsSecret, Keys: c.Keys()}
}

// open gives the cluster of a stack, as its settings say where it is.
func open(stack string, c orchestrate.Config) (cli.Cluster, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return nil, err
	}
	return components.Operate(s)
}

// tickets are the keys of session tickets that follow those of a stack.
func tickets(stack string, c orchestrate.Config) (string, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return "", err
	}
	return settings.RotateTicketKeys(s.TLS.TicketKeys).Reveal(), nil
}

// renewCertificate gets the certificate of a stack if it is due.
func renewCertificate(ctx context.Context, stack string, c orchestrate.Config, o renew.Options) (renew.Outcome, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return renew.Outcome{}, err
	}
	return components.RenewCertificate(ctx, s, o)
}

// check tells what is wrong with a stack without a cloud: faults of its settings, then what the checks find. A finding
// about a setting that is at fault already would only repeat it, and so would a graph that cannot be built.
func check(stack string, c orchestrate.Config) []preflight.Finding {
	// Before a deployment the secrets are at hand; `check` has placeholders for them.
	from := source(c)
	s, err := settings.Load(stack, from)
	if err != nil {
		from.Offline = true
		s, err = settings.Load(stack, from)
	}
	var findings []preflight.Finding
	faulty := map[string]bool{}
	var faults *fault.Error
	if err != nil && !errors.As(err, &faults) {
		faults = &fault.Error{Faults: []fault.Fault{{Path: "(settings)", Text: err.Error()}}}
	}
	if faults != nil {
		var elsewhere []string
		for _, f := range faults.Faults {
			faulty[f.Path] = true
			if len(c.Environments()) > 0 && settings.Absent(f) {
				elsewhere = append(elsewhere, strings.TrimPrefix(f.Path, settings.Project+":"))
				continue
			}
			findings = append(findings, preflight.Finding{
				Check: cli.SettingsCheck, Severity: preflight.Error, Path: f.Path, Message: f.Text,
			})
		}
		if len(elsewhere) > 0 {
			findings = append(findings, preflight.Finding{
				Check: cli.SettingsCheck, Severity: preflight.Warning, Path: "environment",
				Message: fmt.Sprintf("is not read without an engine: what %s of Pulumi ESC set is seen by preview and up; not set in the stack file: %s",
					strings.Join(c.Environments(), ", "), strings.Join(elsewhere, ", ")),
			})
		}
	}
	for _, f := range s.Doubts {
		findings = append(findings, preflight.Finding{
			Check: cli.SettingsCheck, Severity: preflight.Warning, Path: f.Path,
			Message: fmt.Sprintf("%s; whether that is so says the file that %s names, which was not read", f.Text, s.SecretsFrom),
		})
	}
	for _, f := range stacks.Preflight(s) {
		// A certificate for another name may have ended, too.
		if (!faulty[f.Path] || f.Check == preflight.CertificateCheck) && (len(faulty) == 0 || f.Check != preflight.GraphCheck) {
			findings = append(findings, f)
		}
	}
	return preflight.Sort(findings)
}
