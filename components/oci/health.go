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
		return backendHealth(ctx, balancer, sets, nodes, opts)
	}
}

// EdgeHealth asks for the state of every backend of a stack's balancer, as
// [LoadBalancer.BackendHealth] does, of one that this program does not manage. No
// balancer is an error.
func EdgeHealth(
	ctx *pulumi.Context, compartment, environment string, sets, nodes []string, opts ...pulumi.InvokeOption,
) (map[string]string, error) {
	name := "emqx-" + environment
	found, err := Find(ctx, Lost{
		Type:   "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer",
		Inputs: map[string]any{"compartmentId": compartment, "displayName": name},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("looking for network load balancer %q: %w", name, err)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("looking for network load balancer %q: the compartment has %d of that name", name, len(found))
	}
	return backendHealth(ctx, found[0], sets, nodes, opts)
}

func backendHealth(ctx *pulumi.Context, balancer string, sets, nodes []string, opts []pulumi.InvokeOption) (map[string]string, error) {
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
