package nlb

import (
	"context"
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/oci"
)

// BackendHealth returns a question to OCI: the state of every backend of the
// balancer, by "<set>/<node>", each one of OK, WARNING, CRITICAL, UNKNOWN. "<set>/set"
// is there when the set is not well and each node is: it has a backend too few or too
// many. Ask it only once the balancer exists, never in a preview. It takes the options of
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

// edgeHealth asks for the state of every backend of a stack's balancer, as
// [LoadBalancer.BackendHealth] does, of one that this program does not manage. No
// balancer is an error.
func edgeHealth(
	ctx *pulumi.Context, compartment, environment string, sets, nodes []string, opts ...pulumi.InvokeOption,
) (map[string]string, error) {
	name := cluster.Name(environment)
	found, err := oci.Find(ctx, interrupted.Lost{
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
		each, err := backendStates(nodes, health, func(node string) (string, error) {
			one, err := networkloadbalancer.GetBackendHealth(ctx, &networkloadbalancer.GetBackendHealthArgs{
				NetworkLoadBalancerId: balancer,
				BackendSetName:        set,
				BackendName:           node,
			}, opts...)
			if err != nil {
				return "", fmt.Errorf("asking the health of backend %q in set %q: %w", node, set, err)
			}
			return one.Status, nil
		})
		if err != nil {
			return nil, err
		}
		for node, state := range each {
			states[set+"/"+node] = state
		}
	}
	return states, nil
}

// wholeSet stands among the nodes for a set that is not well although each of them is.
const wholeSet = "set"

// backendStates spells out a set's health. OCI lists the backends that are not well
// "by IP address and port" (BackendSetHealth), which of a backend with a name is not
// its name; so no list is read: a set that is OK has as many well backends as it has
// any, and of another one each backend is asked by the name that it was given. What is
// no node's, or not yet counted, is not well.
func backendStates(
	nodes []string, h *networkloadbalancer.GetBackendSetHealthResult, ask func(node string) (string, error),
) (map[string]string, error) {
	states := map[string]string{}
	well := h.Status == "OK" && h.TotalBackendCount == len(nodes)
	sick := 0
	for _, node := range nodes {
		if well {
			states[node] = "OK"
			continue
		}
		state, err := ask(node)
		switch {
		case err == nil:
			states[node] = state
		case h.TotalBackendCount < len(nodes):
			states[node] = "UNKNOWN" // the set does not have it yet
		default:
			return nil, err
		}
		if states[node] != "OK" {
			sick++
		}
	}
	switch {
	case well || sick > 0:
	case h.Status == "OK", h.Status == "":
		states[wholeSet] = "UNKNOWN"
	default:
		states[wholeSet] = h.Status
	}
	return states, nil
}
