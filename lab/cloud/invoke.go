package cloud

import (
	"context"
	"slices"
	"strings"
)

// Function tokens.
const (
	getAvailabilityDomains   = "oci:Identity/getAvailabilityDomains:getAvailabilityDomains"
	getVcns                  = "oci:Core/getVcns:getVcns"
	getSubnets               = "oci:Core/getSubnets:getSubnets"
	getSubnet                = "oci:Core/getSubnet:getSubnet"
	getVolumeBackupPolicies  = "oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies"
	getInstancePoolInstances = "oci:Core/getInstancePoolInstances:getInstancePoolInstances"
	getBackendSetHealth      = "oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth"
	getBackendHealth         = "oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth"
	getFlexSetHealth         = "oci:LoadBalancer/getBackendSetHealth:getBackendSetHealth"
)

var functions = map[string]func(s *state, args Props) (Props, error){
	getAvailabilityDomains: func(_ *state, args Props) (Props, error) {
		compartment := str(args, "compartmentId")
		if compartment != CompartmentID && compartment != TenancyID {
			return nil, notFound(compartment)
		}
		var out []any
		for n, name := range AvailabilityDomains {
			out = append(out, Props{
				"id": "ocid1.availabilitydomain.oc1.." + strings.Repeat("a", 59) + string(rune('b'+n)), "name": name, "compartmentId": TenancyID,
			})
		}
		return Props{"id": compartment, "compartmentId": compartment, "availabilityDomains": filtered(out, args)}, nil
	},
	getSubnet: func(_ *state, args Props) (Props, error) {
		net, ok := findSubnet(str(args, "subnetId"))
		if !ok {
			return nil, notFound(str(args, "subnetId"))
		}
		out := net.view()
		out["subnetId"] = net.id
		return out, nil
	},
	getVcns: func(_ *state, args Props) (Props, error) {
		return listed(args, "virtualNetworks", []any{vcnView()})
	},
	getSubnets: func(_ *state, args Props) (Props, error) {
		if vcn := str(args, "vcnId"); vcn != "" && vcn != VCNID {
			return nil, notFound(vcn)
		}
		var all []any
		for _, net := range subnets {
			all = append(all, net.view())
		}
		return listed(args, "subnets", all)
	},
	getVolumeBackupPolicies: listPolicies,
	getInstancePoolInstances: func(s *state, args Props) (Props, error) {
		if c := str(args, "compartmentId"); c != CompartmentID {
			return nil, notFound(c)
		}
		pool := str(args, "instancePoolId")
		if _, ok := s.get(typePool, pool); !ok {
			return nil, notFound(pool)
		}
		out := []any{}
		for _, i := range s.instances() {
			if i.Pool != pool || str(args, "displayName") != "" && i.Name != str(args, "displayName") {
				continue
			}
			out = append(out, Props{
				"id": i.ID, "instanceId": i.ID, "instancePoolId": pool, "instanceConfigurationId": i.Config,
				"displayName": i.Name, "availabilityDomain": i.AD, "faultDomain": i.FaultDomain, "compartmentId": CompartmentID,
				"region": Region, "shape": i.Shape, "state": titled(i.State), "timeCreated": stamp(i.Created),
				"loadBalancerBackends": []any{}, "autoTerminateInstanceOnDelete": false, "decrementSizeOnDelete": false,
			})
		}
		return Props{"id": pool, "compartmentId": CompartmentID, "instancePoolId": pool, "instances": filtered(out, args)}, nil
	},
	getBackendSetHealth: func(s *state, args Props) (Props, error) {
		nlb, name := str(args, "networkLoadBalancerId"), str(args, "backendSetName")
		if _, ok := s.child(typeBackendSet, nlb, "", name); !ok {
			return nil, notFound("backend set " + name + " of " + nlb)
		}
		backends := s.backends(nlb, name)
		out := healthOf(backends)
		out["id"], out["networkLoadBalancerId"], out["backendSetName"] = "networkLoadBalancers/"+nlb+"/backendSets/"+name+"/health", nlb, name
		out["status"] = setHealth(backends)
		return out, nil
	},
	getFlexSetHealth: flexSetHealth,
	getBackendHealth: func(s *state, args Props) (Props, error) {
		nlb, set, name := str(args, "networkLoadBalancerId"), str(args, "backendSetName"), str(args, "backendName")
		b, ok := s.child(typeBackend, nlb, set, name)
		if !ok {
			return nil, notFound("backend " + name + " of backend set " + set + " of " + nlb)
		}
		results := []any{}
		if b.Check != "" {
			results = append(results, Props{"healthCheckStatus": b.Check, "timestamp": stamp(b.Checked)})
		}
		return Props{
			"id": b.ID + "/health", "networkLoadBalancerId": nlb, "backendSetName": set, "backendName": name,
			"status": backendHealth(b), "healthCheckResults": results,
		}, nil
	},
}

// healthOf counts backends and lists those that are not well, "by IP address and port", as OCI's API says.
func healthOf(backends []*resource) Props {
	names := map[string][]any{healthCritical: {}, healthWarning: {}, healthUnknown: {}}
	for _, b := range backends {
		if h := backendHealth(b); h != healthOK {
			names[h] = append(names[h], endName(b.In))
		}
	}
	return Props{
		"totalBackendCount": len(backends), "criticalStateBackendNames": names[healthCritical],
		"warningStateBackendNames": names[healthWarning], "unknownStateBackendNames": names[healthUnknown],
	}
}

// listed answers a list function of the network with the items that are of the
// name and in the state that it asks for: OCI compares names exactly, states in
// any case. Like the provider's, the answer repeats the question.
func listed(args Props, key string, items []any) (Props, error) {
	if c := str(args, "compartmentId"); c != CompartmentID {
		return nil, notFound(c)
	}
	found := []any{}
	for _, item := range items {
		name, state := str(args, "displayName"), str(args, "state")
		if (name == "" || name == str(item.(Props), "displayName")) && (state == "" || strings.EqualFold(state, str(item.(Props), "state"))) {
			found = append(found, item)
		}
	}
	out := clone(args)
	out["id"], out[key] = CompartmentID, filtered(found, args)
	return out, nil
}

// titled is how the pool API spells an instance's state ("Running").
func titled(state string) string { return state[:1] + strings.ToLower(state[1:]) }

// filtered applies the filters that every list function of the provider has.
func filtered(items []any, args Props) []any {
	out := []any{}
	for _, item := range items {
		keep := true
		for _, f := range subs(args, "filters") {
			keep = keep && slices.Contains(strs(f, "values"), str(item.(Props), str(f, "name")))
		}
		if keep {
			out = append(out, item)
		}
	}
	return out
}

// Invoke answers a function (data source).
func (c *Cloud) Invoke(ctx context.Context, token string, args Props) (Props, error) {
	f, ok := functions[token]
	if l, isList := lists[token]; isList {
		f, ok = func(_ *state, args Props) (Props, error) { return l.answer(c, args) }, true
	}
	if !ok {
		return nil, notSimulated(token)
	}
	if err := c.call(ctx, request("", token)); err != nil {
		return nil, err
	}
	args = clone(args)
	for _, filter := range subs(args, "filters") {
		if flag(filter, "regex", false) {
			return nil, &Error{501, "NotImplemented", "the lab's filters know no regular expressions"}
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	out, err := f(c.s, args)
	if err != nil {
		return nil, err
	}
	if fs := list(args, "filters"); fs != nil {
		out["filters"] = fs
	}
	return clone(out), nil
}
