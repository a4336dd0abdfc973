package main

import (
	"errors"
	"slices"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/policies"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// printPolicies are the rights that a stack's cluster needs, by their names. What is encrypted in its file does not matter.
func printPolicies(stack string, c orchestrate.Config) (map[string]string, error) {
	from := source(c)
	from.Offline = true
	// Rights come before secrets, and before the rest of the file is right.
	s, err := settings.Load(stack, from)
	if faults := (*fault.Error)(nil); err != nil && !errors.As(err, &faults) {
		return nil, err
	}
	proxy := kinds.Of(s).Proxy
	of := policies.Of{
		Environment: s.Environment, Namespace: s.Nomad.Namespace, ProxyJob: proxy.JobID(s.Environment), ProxyService: proxy.Service(),
		Secrets: slices.DeleteFunc([]string{s.Nodes.RegistryAuth, s.Consul.AgentSecret, s.Nomad.AgentSecret}, func(id string) bool { return id == "" }),
	}
	texts := map[string]string{}
	for _, name := range policies.Names {
		if texts[name], err = of.Text(name); err != nil {
			return nil, err
		}
	}
	return texts, nil
}
