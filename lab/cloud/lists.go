package cloud

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
	"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers":            {of: typeBalancer, key: "networkLoadBalancerCollections", by: []string{"displayName"}, collection: true},
	"oci:NetworkLoadBalancer/getBackendSets:getBackendSets":                              {of: typeBackendSet, key: "backendSetCollections", by: []string{"networkLoadBalancerId"}, collection: true},
	"oci:NetworkLoadBalancer/getBackends:getBackends":                                    {of: typeBackend, key: "backendCollections", by: []string{"networkLoadBalancerId", "backendSetName"}, collection: true},
	"oci:NetworkLoadBalancer/getListeners:getListeners":                                  {of: typeListener, key: "listenerCollections", by: []string{"networkLoadBalancerId"}, collection: true},
}

// answer lists what the arguments ask for, with the question repeated, as the
// official provider does.
func (l listFunction) answer(s *state, args Props) (Props, error) {
	if c := str(args, "compartmentId"); c != "" && c != CompartmentID {
		return nil, notFound(c)
	}
	items := []any{}
	for _, r := range s.of(l.of) {
		item := kinds[l.of].view(s, r)
		keep := shown(r, item)
		for _, arg := range l.by {
			keep = keep && (str(args, arg) == "" || str(args, arg) == str(item, arg))
		}
		if keep {
			items = append(items, brief(item))
		}
	}
	items = filtered(items, args)
	if l.collection {
		items = []any{Props{"items": items}}
	}
	out := clone(args)
	out["id"], out[l.key] = l.of, items
	return out, nil
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
