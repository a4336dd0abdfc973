package oci

import (
	"fmt"
	"maps"
	"reflect"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
)

// clockSkew is how far OCI's clock may be behind this machine's.
const clockSkew = 5 * time.Minute

// search is how resources of a type are looked for.
type search struct {
	list string   // the function that lists them
	args []string // its arguments, all of them inputs of the resource
	key  string   // where its answer holds them
	same []string // the inputs that have to be equal, beside the tags
	// id makes the provider's id of what has no OCID; nil: the item's own.
	id func(in, item map[string]any) string
	// lingers is set where a deletion takes its time, in which OCI still has the resource.
	lingers bool
}

// part makes the id of a balancer's part.
func part(path string, names ...string) func(in, item map[string]any) string {
	return func(in, item map[string]any) string {
		values := make([]any, len(names))
		for i, name := range names {
			if values[i] = in[name]; values[i] == nil {
				values[i] = item[name]
			}
		}
		return fmt.Sprintf(path, values...)
	}
}

// Everything that OCI would make a second one of, or refuse because of its name.
// Records, and what is in Nomad and Consul, are written over.
var searches = map[string]search{
	"oci:Core/volume:Volume": {
		list: "oci:Core/getVolumes:getVolumes", key: "volumes",
		args: []string{"compartmentId", "displayName", "availabilityDomain"}, same: []string{"displayName", "availabilityDomain"}, lingers: true,
	},
	"oci:Core/privateIp:PrivateIp": {
		list: "oci:Core/getPrivateIps:getPrivateIps", key: "privateIps", args: []string{"subnetId"}, same: []string{"displayName", "subnetId"},
	},
	"oci:Core/instanceConfiguration:InstanceConfiguration": {
		list: "oci:Core/getInstanceConfigurations:getInstanceConfigurations", key: "instanceConfigurations",
		args: []string{"compartmentId"}, same: []string{"displayName"},
	},
	"oci:Core/instancePool:InstancePool": {
		list: "oci:Core/getInstancePools:getInstancePools", key: "instancePools",
		args: []string{"compartmentId", "displayName"}, same: []string{"displayName"}, lingers: true,
	},
	"oci:Core/networkSecurityGroup:NetworkSecurityGroup": {
		list: "oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups", key: "networkSecurityGroups",
		args: []string{"compartmentId", "displayName"}, same: []string{"displayName"},
	},
	"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule": {
		list: "oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules", key: "securityRules",
		args: []string{"networkSecurityGroupId"}, same: []string{"description", "direction", "protocol", "source", "destination"},
		id: func(in, item map[string]any) string {
			id := fmt.Sprint(item["id"])
			if strings.Contains(id, "/") {
				return id
			}
			return fmt.Sprintf("networkSecurityGroups/%v/securityRules/%v", in["networkSecurityGroupId"], id)
		},
	},
	"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer": {
		list: "oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers", key: "networkLoadBalancerCollections",
		args: []string{"compartmentId", "displayName"}, same: []string{"displayName"}, lingers: true,
	},
	"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified": {
		list: "oci:NetworkLoadBalancer/getBackendSets:getBackendSets", key: "backendSetCollections",
		args: []string{"networkLoadBalancerId"}, same: []string{"name"},
		id: part("networkLoadBalancers/%v/backendSets/%v", "networkLoadBalancerId", "name"),
	},
	"oci:LoadBalancer/loadBalancer:LoadBalancer": {
		list: "oci:LoadBalancer/getLoadBalancers:getLoadBalancers", key: "loadBalancers",
		args: []string{"compartmentId", "displayName"}, same: []string{"displayName"}, lingers: true,
	},
	"oci:LoadBalancer/backendSet:BackendSet": {
		list: "oci:LoadBalancer/getBackendSets:getBackendSets", key: "backendsets",
		args: []string{"loadBalancerId"}, same: []string{"name"},
		id: part("loadBalancers/%v/backendSets/%v", "loadBalancerId", "name"),
	},
	"oci:LoadBalancer/backend:Backend": {
		list: "oci:LoadBalancer/getBackends:getBackends", key: "backends",
		args: []string{"loadBalancerId", "backendsetName"}, same: []string{"ipAddress", "port"},
		id: part("loadBalancers/%v/backendSets/%v/backends/%v", "loadBalancerId", "backendsetName", "name"),
	},
	"oci:LoadBalancer/certificate:Certificate": {
		list: "oci:LoadBalancer/getCertificates:getCertificates", key: "certificates",
		args: []string{"loadBalancerId"}, same: []string{"certificateName"},
		id: part("loadBalancers/%v/certificates/%v", "loadBalancerId", "certificateName"),
	},
	"oci:LoadBalancer/sslCipherSuite:SslCipherSuite": {
		list: "oci:LoadBalancer/getSslCipherSuites:getSslCipherSuites", key: "sslCipherSuites",
		args: []string{"loadBalancerId"}, same: []string{"name"},
		id: part("loadBalancers/%v/sslCipherSuites/%v", "loadBalancerId", "name"),
	},
	"oci:NetworkLoadBalancer/listener:Listener": {
		list: "oci:NetworkLoadBalancer/getListeners:getListeners", key: "listenerCollections",
		args: []string{"networkLoadBalancerId"}, same: []string{"name"},
		id: part("networkLoadBalancers/%v/listeners/%v", "networkLoadBalancerId", "name"),
	},
}

// Find asks OCI for resources that may be the lost one: of its name and its tags, not
// on their way out, and not older than its creation. It gives their ids; of a type
// whose creation can be repeated it gives none.
func Find(ctx *pulumi.Context, lost interrupted.Lost, opts ...pulumi.InvokeOption) ([]string, error) {
	s, ok := searches[lost.Type]
	if !ok {
		return nil, nil
	}
	args, answer := map[string]any{}, map[string]any{}
	for _, name := range s.args {
		if v := lost.Inputs[name]; v != nil {
			args[name] = v
		}
	}
	if err := ctx.Invoke(s.list, args, &answer, opts...); err != nil {
		return nil, err
	}
	var ids []string
	for _, item := range items(answer[s.key]) {
		if !s.fits(lost, item) {
			continue
		}
		if s.id != nil {
			ids = append(ids, s.id(lost.Inputs, item))
		} else {
			ids = append(ids, fmt.Sprint(item["id"]))
		}
	}
	return ids, nil
}

func (s search) fits(lost interrupted.Lost, item map[string]any) bool {
	if state, _ := item["state"].(string); Terminating(state) {
		return false
	}
	for _, name := range s.same {
		if want := lost.Inputs[name]; want != nil && !reflect.DeepEqual(want, item[name]) {
			return false
		}
	}
	if want, ok := lost.Inputs["freeformTags"].(map[string]any); ok {
		have, _ := item["freeformTags"].(map[string]any)
		if !maps.Equal(want, have) {
			return false
		}
	}
	made, known := created(item["timeCreated"])
	return !known || lost.Since.IsZero() || made.After(lost.Since.Add(-clockSkew))
}

// Fates asks OCI what became of resources whose deletion takes time, and tells it by
// their ids. Those that are there, and all others, are left out.
func Fates(ctx *pulumi.Context, held []interrupted.Held, opts ...pulumi.InvokeOption) (map[string]interrupted.Fate, error) {
	type question struct{ list, compartment string }
	asked := map[question]map[string]string{}
	fates := map[string]interrupted.Fate{}
	for _, h := range held {
		s, ok := searches[h.Type]
		if !ok || !s.lingers {
			continue
		}
		// One call for all of a kind: a stack has one of each for every node.
		compartment, _ := h.Inputs["compartmentId"].(string)
		q := question{s.list, compartment}
		if asked[q] == nil {
			answer := map[string]any{}
			if err := ctx.Invoke(s.list, map[string]any{"compartmentId": compartment}, &answer, opts...); err != nil {
				return nil, err
			}
			asked[q] = map[string]string{}
			for _, item := range items(answer[s.key]) {
				id, _ := item["id"].(string)
				asked[q][id], _ = item["state"].(string)
			}
		}
		switch state, listed := asked[q][h.ID]; {
		case !listed, strings.EqualFold(state, "TERMINATED"), strings.EqualFold(state, "DELETED"):
			fates[h.ID] = interrupted.Gone
		case Terminating(state):
			fates[h.ID] = interrupted.Ending
		}
	}
	return fates, nil
}

// Terminating tells whether a resource in this state is on its way out: OCI lists it for a
// while after its end. Provider and API write states in different cases.
func Terminating(state string) bool {
	switch strings.ToUpper(state) {
	case "TERMINATING", "TERMINATED", "DELETING", "DELETED":
		return true
	}
	return false
}

// created reads a time as OCI's provider writes it: as Go prints one.
func created(v any) (time.Time, bool) {
	text, _ := v.(string)
	for _, layout := range []string{"2006-01-02 15:04:05.999999999 -0700 MST", time.RFC3339Nano} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, true
		}
	}
	return time.Time{}, false
}

// items are those of an answer; newer services wrap them once more.
func items(answer any) []map[string]any {
	var out []map[string]any
	list, _ := answer.([]any)
	for _, v := range list {
		item, ok := v.(map[string]any)
		if !ok {
			continue
		}
		if inner, wrapped := item["items"].([]any); wrapped {
			out = append(out, items(inner)...)
			continue
		}
		out = append(out, item)
	}
	return out
}
