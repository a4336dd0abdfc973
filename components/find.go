package components

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Find asks the cluster's clouds for each resource that an interrupted run may have created, and gives what could be
// it, by the same keys. It registers nothing but providers.
func Find(ctx *pulumi.Context, name string, s settings.Settings, lost map[string]interrupted.Lost) (map[string][]string, error) {
	k, in := kinds.Of(s), seams.Given{Name: name, Settings: s}
	if _, err := newProviders(ctx, &in, k); err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(lost)) {
		p := k.ProviderOf(lost[key].Type)
		if p == nil || p.Find == nil {
			found[key] = nil
			continue
		}
		ids, err := p.Find(ctx, lost[key], in.Invoke(p.Package))
		if err != nil {
			return nil, fmt.Errorf("asking for %s: %w", key, err)
		}
		found[key] = ids
	}
	return found, nil
}

// Fates asks the cluster's clouds what became of resources that were to be deleted, and tells it by their ids. It
// registers nothing but providers.
func Fates(ctx *pulumi.Context, name string, s settings.Settings, held []interrupted.Held) (map[string]interrupted.Fate, error) {
	k, in := kinds.Of(s), seams.Given{Name: name, Settings: s}
	if _, err := newProviders(ctx, &in, k); err != nil {
		return nil, err
	}
	fates := map[string]interrupted.Fate{}
	for _, p := range k.Providers() {
		if p.Fates == nil {
			continue
		}
		found, err := p.Fates(ctx, slices.DeleteFunc(slices.Clone(held), func(h interrupted.Held) bool {
			of := k.ProviderOf(h.Type)
			return of == nil || of.Package != p.Package
		}), in.Invoke(p.Package))
		if err != nil {
			return nil, err
		}
		maps.Copy(fates, found)
	}
	return fates, nil
}
