package main

import (
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/stacks"
)

// find tells the stack what an interrupted run was creating.
func find(ctx *pulumi.Context, pending []orchestrate.Pending) (map[string][]string, error) {
	lost := make(map[string]oci.Lost, len(pending))
	for _, p := range pending {
		lost[p.URN] = oci.Lost{Type: p.Type, Inputs: p.Inputs, Since: p.Since}
	}
	return stacks.Find(ctx, lost)
}

// ending tells the stack what an interrupted run may have been deleting.
func ending(ctx *pulumi.Context, held []orchestrate.Held) ([]string, error) {
	all := make([]oci.Held, 0, len(held))
	for _, h := range held {
		all = append(all, oci.Held{Type: h.Type, ID: h.ID, Inputs: h.Inputs})
	}
	return stacks.Ending(ctx, all)
}
