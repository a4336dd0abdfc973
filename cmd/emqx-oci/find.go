package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/stacks"
)

// providers tells where the stack's agents are by now, and who asks them.
func providers(stack string, c orchestrate.Config) (orchestrate.Providers, error) {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return nil, err
	}
	all, err := components.InputsOfProviders(s)
	if err != nil {
		return nil, err
	}
	told := orchestrate.Providers{}
	for kind, inputs := range all {
		provider := components.ProviderName(settings.ClusterName, kind)
		told[provider] = map[string]orchestrate.ProviderInput{}
		for name, in := range inputs {
			told[provider][name] = orchestrate.ProviderInput(in)
		}
	}
	return told, nil
}

// find tells the stack what an interrupted run was creating.
func find(ctx *pulumi.Context, pending []interrupted.Lost) (map[string][]string, error) {
	lost := make(map[string]interrupted.Lost, len(pending))
	for _, p := range pending {
		lost[p.URN] = p
	}
	return stacks.Find(ctx, lost)
}

// resume says whether an update can follow a destroy that did not end.
func resume(stack string, c orchestrate.Config, held []interrupted.Held) error {
	s, err := settings.Load(stack, source(c))
	if err != nil {
		return err
	}
	var volumes []string
	for _, h := range held {
		if v, _, ok := kinds.DataVolume(h.Type, h.Inputs); ok {
			volumes = append(volumes, v.Name)
		}
	}
	return stacks.Resume(stack, s.Nodes.Count, volumes)
}
