package stacks

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Programs that create nothing: they ask the stack's cloud, by the stack's own credentials.

// Edge tells how the balancer sees its backends: [components.EdgeHealth].
func Edge(ctx *pulumi.Context) (map[string]string, error) {
	s, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return components.EdgeHealth(ctx, settings.ClusterName, s)
}

// Find looks for what an interrupted run may have created: [components.Find].
func Find(ctx *pulumi.Context, lost map[string]interrupted.Lost) (map[string][]string, error) {
	s, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return components.Find(ctx, settings.ClusterName, s, lost)
}

// Fates tells what became of resources that were to be deleted: [components.Fates].
func Fates(ctx *pulumi.Context, held []interrupted.Held) (map[string]interrupted.Fate, error) {
	s, err := load(ctx)
	if err != nil {
		return nil, err
	}
	return components.Fates(ctx, settings.ClusterName, s, held)
}
