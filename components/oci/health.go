package oci

import (
	"context"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// BackendHealth returns a question to OCI: the state of every backend of the
// balancer, by "<set>/<node>", each one of OK, WARNING, CRITICAL, UNKNOWN. Ask
// it only once the balancer exists, never in a preview. It takes the options of
// an invoke, such as the provider.
func (b *LoadBalancer) BackendHealth(
	ctx *pulumi.Context, nodes []string, opts ...pulumi.InvokeOption,
) func(context.Context) (map[string]string, error) {
	id := make(chan string, 1)
	b.ID.ApplyT(func(resolved string) string {
		id <- resolved
		return resolved
	})
	sets := make([]string, 0, len(b.sets))
	for set := range b.sets {
		sets = append(sets, set)
	}
	slices.Sort(sets)
	return func(asked context.Context) (map[string]string, error) {
		var balancer string
		select {
		case balancer = <-id:
			id <- balancer
		case <-asked.Done():
			return nil, fmt.Errorf("reading the balancer's id: %w", asked.Err())
		}
		states := map[string]string{}
		for _, set := range sets {
			health, err := networkloadbalancer.GetBackendSetHealth(ctx, &networkloadbalancer.GetBackendSetHealthArgs{
				NetworkLoadBalancerId: balancer,
				BackendSetName:        set,
			}, opts...)
			if err != nil {
				return nil, fmt.Errorf("asking the health of backend set %q: %w", set, err)
			}
			for node, state := range backendStates(nodes, health) {
				states[set+"/"+node] = state
			}
		}
		return states, nil
	}
}

// backendStates spells out a set's health: OCI lists only the names of the
// backends that are not well. One that it has not counted yet is not well
// either.
func backendStates(nodes []string, h *networkloadbalancer.GetBackendSetHealthResult) map[string]string {
	states := map[string]string{}
	for _, node := range nodes {
		switch {
		case slices.Contains(h.CriticalStateBackendNames, node):
			states[node] = "CRITICAL"
		case slices.Contains(h.WarningStateBackendNames, node):
			states[node] = "WARNING"
		case slices.Contains(h.UnknownStateBackendNames, node), h.TotalBackendCount < len(nodes):
			states[node] = "UNKNOWN"
		default:
			states[node] = "OK"
		}
	}
	return states
}
