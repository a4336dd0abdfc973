package components

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Find asks the cluster's cloud for each resource that an interrupted run may have created, and gives what could be
// it, by the same keys. It registers nothing but providers.
func Find(ctx *pulumi.Context, name string, s settings.Settings, lost map[string]oci.Lost) (map[string][]string, error) {
	in, err := newProviders(ctx, name, s)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(lost)) {
		if found[key], err = oci.Find(ctx, lost[key], pulumi.Provider(in.oci)); err != nil {
			return nil, fmt.Errorf("asking for %s: %w", key, err)
		}
	}
	return found, nil
}

// Fates asks the cluster's cloud what became of resources that were to be deleted, and tells it by their ids. It
// registers nothing but providers.
func Fates(ctx *pulumi.Context, name string, s settings.Settings, held []oci.Held) (map[string]oci.Fate, error) {
	in, err := newProviders(ctx, name, s)
	if err != nil {
		return nil, err
	}
	return oci.Fates(ctx, held, pulumi.Provider(in.oci))
}
