package flexible

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/loadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/components/oci"
)

// asked is what a question about health goes to: the balancer, the names of its sets by
// their listeners, and the addresses of the nodes.
type asked struct {
	balancer  string
	sets      map[string]string
	addresses map[string]string
}

// BackendHealth returns a question to OCI: the state of every node in every set, by
// "<listener>/<node>", each one of OK, WARNING, CRITICAL, UNKNOWN. "<listener>/set" is there
// when the set is not well and each node is: it has a backend too few or too many. Ask it
// only once the balancer exists, never in a preview. It takes the options of an invoke, such
// as the provider.
func (b *LoadBalancer) BackendHealth(
	ctx *pulumi.Context, nodes []string, opts ...pulumi.InvokeOption,
) func(context.Context) (map[string]string, error) {
	known := make(chan asked, 1)
	all := []any{b.ID}
	for _, n := range b.nodes {
		all = append(all, n.Address)
	}
	pulumi.All(all...).ApplyT(func(resolved []any) string {
		q := asked{balancer: resolved[0].(string), sets: b.setNames, addresses: map[string]string{}}
		for i, n := range b.nodes {
			if slices.Contains(nodes, n.Name) {
				q.addresses[n.Name] = resolved[i+1].(string)
			}
		}
		known <- q
		return ""
	})
	return func(ctxAsked context.Context) (map[string]string, error) {
		var q asked
		select {
		case q = <-known:
			known <- q
		case <-ctxAsked.Done():
			return nil, fmt.Errorf("reading the balancer's id: %w", ctxAsked.Err())
		}
		return q.health(ctx, opts)
	}
}

// edgeHealth asks for the state of every backend of a stack's balancer, as
// [LoadBalancer.BackendHealth] does, of one that this program does not manage. No
// balancer is an error.
func edgeHealth(
	ctx *pulumi.Context, compartment, environment string, listeners []cluster.Listener, addresses map[string]string, opts ...pulumi.InvokeOption,
) (map[string]string, error) {
	name := cluster.Name(environment)
	found, err := oci.Find(ctx, interrupted.Lost{
		Type:   balancerType,
		Inputs: map[string]any{"compartmentId": compartment, "displayName": name},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("looking for load balancer %q: %w", name, err)
	}
	if len(found) != 1 {
		return nil, fmt.Errorf("looking for load balancer %q: the compartment has %d of that name", name, len(found))
	}
	all, err := loadbalancer.GetBackendSets(ctx, &loadbalancer.GetBackendSetsArgs{LoadBalancerId: found[0]}, opts...)
	if err != nil {
		return nil, fmt.Errorf("asking for the backend sets of load balancer %q: %w", name, err)
	}
	q := asked{balancer: found[0], sets: map[string]string{}, addresses: addresses}
	for _, l := range listeners {
		// For the time of an update that replaces it there may be two; either will do.
		for _, set := range all.Backendsets {
			if strings.HasPrefix(set.Name, l.Name+"-") {
				q.sets[l.Name] = set.Name
			}
		}
		if q.sets[l.Name] == "" {
			return nil, fmt.Errorf("asking the health of listener %q: load balancer %q has no backend set for it", l.Name, name)
		}
	}
	return q.health(ctx, opts)
}

// wholeSet stands among the nodes for a set that is not well although each of them is.
const wholeSet = "set"

// health asks set by set. OCI names a backend by its address and port, so the lists of
// those that are not well tell which node each is.
func (q asked) health(ctx *pulumi.Context, opts []pulumi.InvokeOption) (map[string]string, error) {
	states := map[string]string{}
	for listener, set := range q.sets {
		health, err := loadbalancer.GetBackendSetHealth(ctx, &loadbalancer.GetBackendSetHealthArgs{
			LoadBalancerId: q.balancer,
			BackendSetName: set,
		}, opts...)
		if err != nil {
			return nil, fmt.Errorf("asking the health of backend set %q: %w", set, err)
		}
		for node, state := range backendStates(q.addresses, health) {
			states[listener+"/"+node] = state
		}
	}
	return states, nil
}

// backendStates spells out a set's health. Nobody is well because nothing is said of it: a
// set that is OK has as many backends as there are nodes, and of another one those are well
// that no list has, as long as it has all.
func backendStates(addresses map[string]string, h *loadbalancer.GetBackendSetHealthResult) map[string]string {
	states := map[string]string{}
	sick := 0
	for node, address := range addresses {
		states[node] = "OK"
		for state, names := range map[string][]string{
			"CRITICAL": h.CriticalStateBackendNames, "WARNING": h.WarningStateBackendNames, "UNKNOWN": h.UnknownStateBackendNames,
		} {
			if slices.ContainsFunc(names, func(name string) bool { return strings.HasPrefix(name, address+":") }) {
				states[node] = state
			}
		}
		if states[node] != "OK" {
			sick++
		}
	}
	switch {
	case h.TotalBackendCount != len(addresses) || sick == 0 && (h.Status == "" || h.Status == "UNKNOWN"):
		// Which of them it does not have yet, or whether a listener leads to it, it does not say.
		states[wholeSet] = "UNKNOWN"
	case sick == 0 && h.Status != "OK":
		states[wholeSet] = h.Status
	}
	return states
}
