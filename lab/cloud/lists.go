package cloud

import (
	"context"
	"maps"
	"slices"
)

// listFunction is a function that lists all resources of a kind.
type listFunction struct {
	of  string // their token
	key string // the property of the answer that holds them
	// by are the arguments that a resource has to be equal to.
	by []string
	// collection is set where the answer holds them one level deeper, as newer
	// services do.
	collection bool
}

var lists = map[string]listFunction{
	"oci:Core/getVolumes:getVolumes":                                                     {of: typeVolume, key: "volumes", by: []string{"displayName", "availabilityDomain"}},
	"oci:Core/getPrivateIps:getPrivateIps":                                               {of: typePrivateIP, key: "privateIps", by: []string{"subnetId", "ipAddress"}},
	"oci:Core/getInstanceConfigurations:getInstanceConfigurations":                       {of: typeConfiguration, key: "instanceConfigurations"},
	"oci:Core/getInstancePools:getInstancePools":                                         {of: typePool, key: "instancePools", by: []string{"displayName"}},
	"oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups":                         {of: typeGroup, key: "networkSecurityGroups", by: []string{"displayName", "vcnId"}},
	"oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules": {of: typeRule, key: "securityRules", by: []string{"networkSecurityGroupId", "direction"}},
	"oci:Core/getVolumeBackupPolicyAssignments:getVolumeBackupPolicyAssignments":         {of: typeBackupAssignment, key: "volumeBackupPolicyAssignments", by: []string{"assetId"}},
	"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers":            {of: typeBalancer, key: "networkLoadBalancerCollections", by: []string{"displayName"}, collection: true},
	"oci:NetworkLoadBalancer/getBackendSets:getBackendSets":                              {of: typeBackendSet, key: "backendSetCollections", by: []string{"networkLoadBalancerId"}, collection: true},
	"oci:NetworkLoadBalancer/getBackends:getBackends":                                    {of: typeBackend, key: "backendCollections", by: []string{"networkLoadBalancerId", "backendSetName"}, collection: true},
	"oci:NetworkLoadBalancer/getListeners:getListeners":                                  {of: typeListener, key: "listenerCollections", by: []string{"networkLoadBalancerId"}, collection: true},
	"oci:LoadBalancer/getLoadBalancers:getLoadBalancers":                                 {of: typeFlexBalancer, key: "loadBalancers", by: []string{"displayName"}},
	"oci:LoadBalancer/getBackendSets:getBackendSets":                                     {of: typeFlexSet, key: "backendsets", by: []string{"loadBalancerId"}},
	"oci:LoadBalancer/getBackends:getBackends":                                           {of: typeFlexBackend, key: "backends", by: []string{"loadBalancerId", "backendsetName"}},
	"oci:LoadBalancer/getCertificates:getCertificates":                                   {of: typeCertificate, key: "certificates", by: []string{"loadBalancerId"}},
	"oci:LoadBalancer/getSslCipherSuites:getSslCipherSuites":                             {of: typeCipherSuite, key: "sslCipherSuites", by: []string{"loadBalancerId"}},
}

// answer lists what the arguments ask for, with the question repeated, as the
// official provider does. The caller holds the cloud's lock.
func (l listFunction) answer(c *Cloud, args Props) (Props, error) {
	found, err := l.items(c, args)
	if err != nil {
		return nil, err
	}
	items := []any{}
	for _, item := range found {
		items = append(items, brief(item))
	}
	items = filtered(items, args)
	if l.collection {
		items = []any{Props{"items": items}}
	}
	out := clone(args)
	out["id"], out[l.key] = l.of, items
	return out, nil
}

// items are the resources that the arguments ask for, those that ended not long ago
// included.
func (l listFunction) items(c *Cloud, args Props) ([]Props, error) {
	if id := str(args, "compartmentId"); id != "" && id != CompartmentID {
		return nil, notFound(id)
	}
	wanted := func(item Props) bool {
		return !slices.ContainsFunc(l.by, func(arg string) bool { return str(args, arg) != "" && str(args, arg) != str(item, arg) })
	}
	var items []Props
	for _, r := range c.s.of(l.of) {
		if item := c.viewOf(r); shown(r, item) && wanted(item) {
			items = append(items, item)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(c.s.Ended)) {
		if g := c.s.Ended[id]; g.Token == l.of && wanted(g.View) {
			items = append(items, g.View)
		}
	}
	return items, nil
}

// List returns all that a list function finds, each with all that OCI's API says of it;
// its token is the provider's (oci:Core/getVolumes:getVolumes).
func (c *Cloud) List(ctx context.Context, token string, args Props) ([]Props, error) {
	l, ok := lists[token]
	if !ok {
		return nil, notSimulated(token)
	}
	if err := c.call(ctx, request("", token)); err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	found, err := l.items(c, args)
	for n := range found {
		found[n] = clone(found[n])
	}
	return found, err
}

// shown tells whether users see a resource: also on its way out, where it has a state
// that says so, as in OCI.
func shown(r *resource, view Props) bool { return r.State != terminating || str(view, "state") != "" }

// brief is what a list says of a resource here: its own fields and its tags. What the
// official functions nest otherwise than the resources do is left out.
func brief(view Props) Props {
	out := Props{}
	for k, v := range view {
		switch v.(type) {
		case string, bool, float64, int:
			out[k] = v
		}
	}
	if tags := sub(view, "freeformTags"); tags != nil {
		out["freeformTags"] = tags
	}
	return out
}
