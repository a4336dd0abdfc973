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
