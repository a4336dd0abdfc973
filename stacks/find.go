package stacks

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// Find is a program that creates nothing: it asks the stack's cloud for each resource
// that an interrupted run may have created, and gives what could be it, by the same keys.
func Find(ctx *pulumi.Context, lost map[string]oci.Lost) (map[string][]string, error) {
	_, cloud, err := ociOf(ctx)
	if err != nil {
		return nil, err
	}
	found := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(lost)) {
		if found[key], err = oci.Find(ctx, lost[key], cloud); err != nil {
			return nil, fmt.Errorf("asking for %s: %w", key, err)
		}
	}
	return found, nil
}

// Fates is a program that creates nothing: it asks the stack's cloud what became of
// resources that were to be deleted, and tells it by their ids.
func Fates(ctx *pulumi.Context, held []oci.Held) (map[string]oci.Fate, error) {
	_, cloud, err := ociOf(ctx)
	if err != nil {
		return nil, err
	}
	return oci.Fates(ctx, held, cloud)
}

// ociOf gives the stack's settings, and asks OCI by the stack's own credentials.
func ociOf(ctx *pulumi.Context) (settings.Settings, pulumi.InvokeOption, error) {
	s, err := load(ctx)
	if err != nil {
		return s, nil, err
	}
	in, err := newProviders(ctx, s)
	if err != nil {
		return s, nil, err
	}
	return s, pulumi.Provider(in.oci), nil
}
