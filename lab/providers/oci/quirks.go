package oci

import (
	"context"
	"maps"
	"strings"
	"sync"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
)

const (
	privateIP    = "oci:Core/privateIp:PrivateIp"
	backendSet   = "oci:NetworkLoadBalancer/backendSet:BackendSet"
	flexSet      = "oci:LoadBalancer/backendSet:BackendSet"
	securityRule = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
)

// ended tells whether a resource is one that OCI still shows after its end. The official
// provider drops it from its state, as one that is not found.
func ended(p rpc.Props) bool {
	state, _ := p["state"].(string)
	return strings.EqualFold(state, "TERMINATED") || strings.EqualFold(state, "DELETED")
}

// shortID is how the service calls a resource. A security rule is imported by
// networkSecurityGroups/GROUP/securityRules/RULE, and is RULE from then on.
func shortID(token, id string) string {
	if token == securityRule {
		return id[strings.LastIndexByte(id, '/')+1:]
	}
	return id
}

// sent is what the official provider makes of an update's inputs.
func (c client) sent(ctx context.Context, token, id string, state, in rpc.Props) (rpc.Props, error) {
	if token != backendSet && token != flexSet && token != privateIP {
		return in, nil
	}
	now, err := c.backend.Read(ctx, token, id)
	if err != nil {
		return nil, err
	}
	if token == privateIP {
		// Measured: without a VNIC in the program it detaches a reserved address from the
		// node that has claimed it, leaves out the rest of the change, and reports success.
		if vnic, _ := in["vnicId"].(string); vnic == "" && now["lifetime"] == "RESERVED" && now["ipState"] == "ASSIGNED" {
			return rpc.Props{"vnicId": ""}, nil
		}
		return in, nil
	}
	// It counts a set's backends as they are and takes their values from its state, which
	// has none when they are resources of their own (terraform-provider-oci#2267).
	there, _ := now["backends"].([]any)
	known, _ := state["backends"].([]any)
	if len(there) == 0 {
		return in, nil
	}
	backends := make([]any, len(there))
	for n := range backends {
		backends[n] = cloud.Props{"port": nil}
		if n < len(known) {
			backends[n] = known[n]
		}
	}
	in = maps.Clone(in)
	in["backends"] = backends
	return in, nil
}

// locks let one change at a time through to each balancer, as the official provider does:
// children that are made in parallel wait for each other instead of being refused.
type locks struct {
	mu sync.Mutex
	of map[string]*sync.Mutex
}

// hold takes the lock that a change of id, or of a child of a balancer, needs, if any, and
// returns what gives it back.
func (l *locks) hold(token, id string, p rpc.Props) (release func()) {
	if waits[token] != byRequest {
		return func() {}
	}
	if parent, ok := p["networkLoadBalancerId"].(string); ok {
		id = parent
	}
	l.mu.Lock()
	if l.of[id] == nil {
		l.of[id] = &sync.Mutex{}
	}
	lock := l.of[id]
	l.mu.Unlock()
	lock.Lock()
	return lock.Unlock
}
