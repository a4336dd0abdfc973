package rest_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/cloudtest"
)

type m = map[string]any

// door is a way to the lab's cloud: OCI's own Go SDK over the REST API, or the lab's
// provider that Pulumi's engine attaches. Both are held to one contract: the same
// answers, the same refusals. Properties have the provider's names.
type door interface {
	create(token string, in m) (id string, out m, err error)
	read(token, id string) (m, error)
	// update is given all inputs, as the engine gives them.
	update(token, id string, in m) (m, error)
	remove(token, id string) error
	// ask is a look-up; its answer is a list, or one.
	ask(function string, args m) ([]m, error)
}

// errGone is what reading says of a resource that has ended, however that is told.
var errGone = errors.New("gone")

// refusal of the service.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string { return fmt.Sprintf("%d %s: %s", r.status, r.code, r.message) }

// The things of the contract. A text that begins with $ is the id that was kept under the
// name behind it.
const (
	volume        = "oci:Core/volume:Volume"
	assignment    = "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment"
	address       = "oci:Core/privateIp:PrivateIp"
	configuration = "oci:Core/instanceConfiguration:InstanceConfiguration"
	pool          = "oci:Core/instancePool:InstancePool"
	group         = "oci:Core/networkSecurityGroup:NetworkSecurityGroup"
	rule          = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	balancer      = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	backendSet    = "oci:NetworkLoadBalancer/backendSet:BackendSet"
	unifiedSet    = "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified"
	backend       = "oci:NetworkLoadBalancer/backend:Backend"
	listener      = "oci:NetworkLoadBalancer/listener:Listener"
	rrset         = "oci:Dns/rrset:Rrset"
)

func with(p m, change m) m {
	out := maps.Clone(p)
	maps.Copy(out, change)
	return out
}

var (
	volumeIn = m{
		"compartmentId": cloud.CompartmentID, "availabilityDomain": "LAB:AD-1", "sizeInGbs": "50", "vpusPerGb": "10", "displayName": "data",
		"freeformTags": m{"group-index": "0", "Mixed.Case": "kept"}, "definedTags": m{"Operations.CostCenter": "42"},
	}
	addressIn = m{"subnetId": cloud.PrivateSubnet, "lifetime": "RESERVED", "displayName": "node-0", "ipAddress": "10.80.1.20"}
	groupIn   = m{"compartmentId": cloud.CompartmentID, "vcnId": cloud.VCNID, "displayName": "nodes"}
	ruleIn    = m{
		"networkSecurityGroupId": "$group", "direction": "INGRESS", "protocol": "6", "source": "10.80.0.0/16", "sourceType": "CIDR_BLOCK",
		"stateless": false, "description": "mqtt", "tcpOptions": m{"destinationPortRange": m{"min": 1883, "max": 1883}},
	}
	configurationIn = m{
		"compartmentId": cloud.CompartmentID, "displayName": "node-0",
		"instanceDetails": m{"instanceType": "compute", "launchDetails": m{
			"compartmentId": cloud.CompartmentID, "availabilityDomain": "LAB:AD-1", "shape": "VM.Standard.E4.Flex",
			"shapeConfig":       m{"ocpus": 2, "memoryInGbs": 16},
			"sourceDetails":     m{"sourceType": "image", "imageId": cloud.ImageID, "bootVolumeSizeInGbs": "50"},
			"createVnicDetails": m{"subnetId": cloud.PrivateSubnet, "assignPublicIp": false, "nsgIds": []any{"$group"}},
			"metadata":          m{"user_data": "IyEvYmluL3NoCg=="},
		}},
	}
	poolIn = m{
		"compartmentId": cloud.CompartmentID, "instanceConfigurationId": "$configuration", "size": 1, "displayName": "node-0",
		"instanceDisplayNameFormatter": "node-0",
		"placementConfigurations":      []any{m{"availabilityDomain": "LAB:AD-1", "primarySubnetId": cloud.PrivateSubnet}},
	}
	balancerIn = m{
		"compartmentId": cloud.CompartmentID, "displayName": "edge", "subnetId": cloud.PublicSubnet, "isPrivate": false,
		"networkSecurityGroupIds": []any{"$group"},
	}
	setIn = m{
		"networkLoadBalancerId": "$balancer", "name": "mqtt", "policy": "FIVE_TUPLE", "isPreserveSource": true,
		"healthChecker": m{"protocol": "HTTP", "port": 8080, "urlPath": "/health", "returnCode": 200, "intervalInMillis": 10000},
	}
	backendIn = m{
		"networkLoadBalancerId": "$balancer", "backendSetName": "mqtt", "name": "node-0", "ipAddress": "10.80.1.20", "port": 1883,
	}
	listenerIn = m{
		"networkLoadBalancerId": "$balancer", "name": "mqtt", "defaultBackendSetName": "mqtt", "port": 1883, "protocol": "TCP", "tcpIdleTimeout": 600,
	}
	rrsetIn = m{
		"zoneNameOrId": cloud.ZoneName, "domain": "mqtt." + cloud.ZoneName, "rtype": "A",
		"items": []any{m{"domain": "mqtt." + cloud.ZoneName, "rtype": "A", "rdata": "198.51.100.10", "ttl": 30}},
	}
)

func unifiedIn(port int) m {
	return with(setIn, m{"name": "ws", "backends": []any{m{"name": "node-0", "ipAddress": "10.80.1.20", "port": port}}})
}

// step of the contract.
type step struct {
	does, token string
	at          string // the thing's name: a create keeps its id there, the rest is about it
	in          m
	want        m      // what the answer has to hold; of a list, its first item
	refused     string // "400 InvalidParameter: part of the message"
}

// contract is run from its beginning to its end at each door, every operation of the
// stack at least once.
var contract = []step{
	{does: "create", token: volume, at: "volume", in: volumeIn, want: m{
		"sizeInGbs": "50", "state": "AVAILABLE", "freeformTags": volumeIn["freeformTags"], "definedTags": m{"Operations.CostCenter": "42"},
	}},
	{does: "read", token: volume, at: "volume", want: m{"displayName": "data", "isHydrated": true}},
	{does: "update", token: volume, at: "volume", in: with(volumeIn, m{"sizeInGbs": "60", "displayName": "more"}), want: m{"sizeInGbs": "60", "displayName": "more"}},
	{does: "update", token: volume, at: "volume", in: with(volumeIn, m{"sizeInGbs": "50"}), refused: "400 InvalidParameter: can only grow"},
	{does: "create", token: volume, in: with(volumeIn, m{"availabilityDomain": "LAB:AD-9"}), refused: "400 InvalidParameter: LAB:AD-9"},
	{does: "create", token: volume, in: with(volumeIn, m{"compartmentId": "ocid1.compartment.oc1..other"}), refused: "404 NotAuthorizedOrNotFound: other"},
	{does: "ask", token: "oci:Core/getVolumes:getVolumes", in: m{"compartmentId": cloud.CompartmentID, "displayName": "more"}, want: m{"id": "$volume", "state": "AVAILABLE"}},
	{does: "ask", token: "oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies", in: m{}, want: m{"displayName": "gold"}},
	{
		does: "create", token: assignment, at: "assignment", in: m{"assetId": "$volume", "policyId": "ocid1.volumebackuppolicy.oc1..aaaaaaaalabgold"},
		want: m{"assetId": "$volume"},
	},
	{does: "read", token: assignment, at: "assignment", want: m{"policyId": "ocid1.volumebackuppolicy.oc1..aaaaaaaalabgold"}},
	{does: "create", token: assignment, in: m{"assetId": "$volume", "policyId": "ocid1.volumebackuppolicy.oc1..no"}, refused: "404 NotAuthorizedOrNotFound: no"},

	{does: "ask", token: "oci:Core/getVcns:getVcns", in: m{"compartmentId": cloud.CompartmentID}, want: m{"id": cloud.VCNID}},
	{does: "ask", token: "oci:Core/getSubnets:getSubnets", in: m{"compartmentId": cloud.CompartmentID, "displayName": "private"}, want: m{"id": cloud.PrivateSubnet, "cidrBlock": "10.80.1.0/24"}},
	{does: "ask", token: "oci:Core/getSubnet:getSubnet", in: m{"subnetId": cloud.PublicSubnet}, want: m{"displayName": "public"}},
	{does: "ask", token: "oci:Core/getSubnet:getSubnet", in: m{"subnetId": "ocid1.subnet.oc1..no"}, refused: "404 NotAuthorizedOrNotFound: no"},
	{does: "ask", token: "oci:Identity/getAvailabilityDomains:getAvailabilityDomains", in: m{"compartmentId": cloud.CompartmentID}, want: m{"name": "LAB:AD-1"}},

	{does: "create", token: address, at: "address", in: addressIn, want: m{"ipAddress": "10.80.1.20", "lifetime": "RESERVED", "ipState": "AVAILABLE"}},
	{does: "create", token: address, in: addressIn, refused: "409 Conflict: in use"},
	{does: "create", token: address, in: with(addressIn, m{"ipAddress": "10.99.0.1"}), refused: "400 InvalidParameter: ipAddress"},
	{does: "update", token: address, at: "address", in: with(addressIn, m{"displayName": "renamed"}), want: m{"displayName": "renamed"}},
	{does: "read", token: address, at: "address", want: m{"ipv4subnetCidrAtCreation": "10.80.1.0/24"}},
	{does: "ask", token: "oci:Core/getPrivateIps:getPrivateIps", in: m{"subnetId": cloud.PrivateSubnet}, want: m{"id": "$address"}},

	{does: "create", token: group, at: "group", in: groupIn, want: m{"state": "AVAILABLE"}},
	{does: "create", token: group, in: with(groupIn, m{"vcnId": "ocid1.vcn.oc1..no"}), refused: "404 NotAuthorizedOrNotFound: no"},
	{does: "update", token: group, at: "group", in: with(groupIn, m{"displayName": "others"}), want: m{"displayName": "others"}},
	{does: "read", token: group, at: "group", want: m{"vcnId": cloud.VCNID}},
	{does: "ask", token: "oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups", in: m{"compartmentId": cloud.CompartmentID}, want: m{"id": "$group"}},
	{does: "create", token: rule, at: "rule", in: ruleIn, want: m{"isValid": true, "source": "10.80.0.0/16", "stateless": false}},
	{does: "create", token: rule, in: with(ruleIn, m{"protocol": "TCP"}), refused: "400 InvalidParameter: protocol"},
	{does: "create", token: rule, in: with(ruleIn, m{"source": "10.80.0.1/16"}), refused: "400 InvalidParameter: CIDR"},
	{
		does: "update", token: rule, at: "rule", in: with(ruleIn, m{"tcpOptions": m{"destinationPortRange": m{"min": 8883, "max": 8884}}}),
		want: m{"tcpOptions": m{"destinationPortRange": m{"min": 8883, "max": 8884}}},
	},
	{does: "read", token: rule, at: "rule", want: m{"direction": "INGRESS"}},
	{
		does: "ask", token: "oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules", in: m{"networkSecurityGroupId": "$group"},
		want: m{"id": "$rule", "description": "mqtt"},
	},

	{does: "create", token: configuration, at: "configuration", in: configurationIn, want: m{"instanceDetails": m{"launchDetails": m{
		"shape": "VM.Standard.E4.Flex", "sourceDetails": m{"bootVolumeSizeInGbs": "50"}, "createVnicDetails": m{"assignPrivateDnsRecord": true},
		"metadata": m{"user_data": "IyEvYmluL3NoCg=="},
	}}}},
	{does: "update", token: configuration, at: "configuration", in: with(configurationIn, m{"displayName": "node-zero"}), want: m{"displayName": "node-zero"}},
	{does: "read", token: configuration, at: "configuration", want: m{"compartmentId": cloud.CompartmentID}},
	{
		does: "ask", token: "oci:Core/getInstanceConfigurations:getInstanceConfigurations", in: m{"compartmentId": cloud.CompartmentID},
		want: m{"id": "$configuration"},
	},
	{does: "create", token: pool, at: "pool", in: poolIn, want: m{"state": "RUNNING", "size": 1}},
	{does: "create", token: pool, in: with(poolIn, m{"placementConfigurations": []any{m{"availabilityDomain": "LAB:AD-9", "primarySubnetId": cloud.PrivateSubnet}}}), refused: "400 InvalidParameter: LAB:AD-9"},
	{does: "update", token: pool, at: "pool", in: with(poolIn, m{"size": 2}), want: m{"size": 2, "state": "RUNNING"}},
	{does: "read", token: pool, at: "pool", want: m{"instanceConfigurationId": "$configuration"}},
	{does: "ask", token: "oci:Core/getInstancePools:getInstancePools", in: m{"compartmentId": cloud.CompartmentID}, want: m{"id": "$pool"}},
	{
		does: "ask", token: "oci:Core/getInstancePoolInstances:getInstancePoolInstances", in: m{"compartmentId": cloud.CompartmentID, "instancePoolId": "$pool"},
		want: m{"state": "Running", "displayName": "node-0"},
	},
	{does: "remove", token: configuration, at: "configuration", refused: "409 Conflict: in use"},
	{does: "remove", token: group, at: "group", refused: "409 Conflict: in use"},

	{does: "create", token: balancer, at: "balancer", in: balancerIn, want: m{"state": "ACTIVE", "nlbIpVersion": "IPV4"}},
	{does: "create", token: balancer, in: with(balancerIn, m{"subnetId": cloud.PrivateSubnet}), refused: "400 InvalidParameter: isPrivate"},
	{does: "update", token: balancer, at: "balancer", in: with(balancerIn, m{"displayName": "front"}), want: m{"displayName": "front"}},
	{does: "read", token: balancer, at: "balancer", want: m{"subnetId": cloud.PublicSubnet}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers", in: m{"compartmentId": cloud.CompartmentID},
		want: m{"id": "$balancer"},
	},
	{does: "create", token: backendSet, at: "set", in: setIn, want: m{"policy": "FIVE_TUPLE", "healthChecker": m{"retries": 3}}},
	{does: "create", token: backendSet, in: with(setIn, m{"policy": "TWO_TUPLE"}), refused: "409 NotAuthorizedOrResourceAlreadyExists: taken"},
	{does: "create", token: backendSet, in: with(setIn, m{"name": "other", "healthChecker": m{"protocol": "HTTP", "port": 80800, "urlPath": "/"}}), refused: "400 InvalidParameter: healthChecker.port"},
	{does: "update", token: backendSet, at: "set", in: with(setIn, m{"policy": "TWO_TUPLE"}), want: m{"policy": "TWO_TUPLE", "isPreserveSource": true}},
	{does: "read", token: backendSet, at: "set", want: m{"name": "mqtt"}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getBackendSets:getBackendSets", in: m{"networkLoadBalancerId": "$balancer"},
		want: m{"name": "mqtt"},
	},
	{does: "create", token: backend, at: "backend", in: backendIn, want: m{"port": 1883, "weight": 1}},
	{does: "create", token: backend, in: with(backendIn, m{"name": "again"}), refused: "409 NotAuthorizedOrResourceAlreadyExists: Duplicate backend"},
	{does: "update", token: backend, at: "backend", in: with(backendIn, m{"isDrain": true}), want: m{"isDrain": true}},
	{does: "read", token: backend, at: "backend", want: m{"ipAddress": "10.80.1.20"}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getBackends:getBackends", in: m{"networkLoadBalancerId": "$balancer", "backendSetName": "mqtt"},
		want: m{"name": "node-0"},
	},
	// The set's backends are resources of their own: what the official provider sends with
	// the next change of the set is refused, and nothing is changed.
	{does: "update", token: backendSet, at: "set", in: with(setIn, m{"isFailOpen": true}), refused: "400 InvalidParameter: backends[0]: Invalid backend OCID"},
	{does: "read", token: backendSet, at: "set", want: m{"isFailOpen": false}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth", in: m{"networkLoadBalancerId": "$balancer", "backendSetName": "mqtt"},
		want: m{"totalBackendCount": 1, "status": "UNKNOWN"},
	},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth",
		in: m{"networkLoadBalancerId": "$balancer", "backendSetName": "mqtt", "backendName": "node-0"}, want: m{"status": "UNKNOWN"},
	},
	// A set that is written with its backends can be changed, and has those that it was
	// written with last.
	{does: "create", token: unifiedSet, at: "whole set", in: unifiedIn(8083), want: m{"name": "ws", "backends": []any{m{"name": "node-0", "port": 8083}}}},
	{does: "create", token: unifiedSet, in: with(unifiedIn(8083), m{"name": "other", "backends": []any{m{"ipAddress": "10.80.1.20"}}}), refused: "400 MissingParameter: backends[0].port"},
	{does: "update", token: unifiedSet, at: "whole set", in: with(unifiedIn(8084), m{"isFailOpen": true}), want: m{"isFailOpen": true, "backends": []any{m{"port": 8084}}}},
	{does: "read", token: unifiedSet, at: "whole set", want: m{"backends": []any{m{"ipAddress": "10.80.1.20", "weight": 1, "isDrain": false}}}},
	{does: "remove", token: unifiedSet, at: "whole set"},
	{does: "read", token: unifiedSet, at: "whole set", refused: "gone"},
	{does: "create", token: listener, at: "listener", in: listenerIn, want: m{"tcpIdleTimeout": 600, "isPpv2enabled": false}},
	{does: "create", token: listener, in: with(listenerIn, m{"name": "other"}), refused: "409 Conflict: used by listener"},
	{does: "create", token: listener, in: with(listenerIn, m{"name": "other", "port": 1, "defaultBackendSetName": "none"}), refused: "404 NotAuthorizedOrNotFound: none"},
	{does: "update", token: listener, at: "listener", in: with(listenerIn, m{"tcpIdleTimeout": 900}), want: m{"tcpIdleTimeout": 900}},
	{does: "read", token: listener, at: "listener", want: m{"l3ipIdleTimeout": 200}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getListeners:getListeners", in: m{"networkLoadBalancerId": "$balancer"},
		want: m{"name": "mqtt", "port": 1883},
	},
	{does: "remove", token: backendSet, at: "set", refused: "409 Conflict: used by listener"},

	{does: "create", token: rrset, at: "name", in: rrsetIn, want: m{"items": []any{m{"rdata": "198.51.100.10", "ttl": 30}}}},
	{does: "create", token: rrset, in: with(rrsetIn, m{"domain": "mqtt.example.org"}), refused: "400 InvalidParameter: not in zone"},
	{
		does: "update", token: rrset, at: "name", in: with(rrsetIn, m{"items": []any{m{"domain": "mqtt." + cloud.ZoneName, "rtype": "A", "rdata": "198.51.100.11", "ttl": 30}}}),
		want: m{"items": []any{m{"rdata": "198.51.100.11"}}},
	},
	{does: "read", token: rrset, at: "name", want: m{"items": []any{m{"domain": "mqtt." + cloud.ZoneName}}}},

	{does: "remove", token: rrset, at: "name"},
	{does: "read", token: rrset, at: "name", refused: "gone"},
	{does: "remove", token: listener, at: "listener"},
	{does: "read", token: listener, at: "listener", refused: "gone"},
	{does: "remove", token: backend, at: "backend"},
	{does: "read", token: backend, at: "backend", refused: "gone"},
	{does: "remove", token: backendSet, at: "set"},
	{does: "read", token: backendSet, at: "set", refused: "gone"},
	{does: "remove", token: balancer, at: "balancer"},
	{does: "read", token: balancer, at: "balancer", refused: "gone"},
	{does: "remove", token: pool, at: "pool"},
	{does: "read", token: pool, at: "pool", refused: "gone"},
	{does: "remove", token: configuration, at: "configuration"},
	{does: "read", token: configuration, at: "configuration", refused: "gone"},
	{does: "remove", token: rule, at: "rule"},
	{does: "read", token: rule, at: "rule", refused: "gone"},
	{does: "remove", token: group, at: "group"},
	{does: "read", token: group, at: "group", refused: "gone"},
	{does: "remove", token: assignment, at: "assignment"},
	{does: "read", token: assignment, at: "assignment", refused: "gone"},
	{does: "remove", token: address, at: "address"},
	{does: "read", token: address, at: "address", refused: "gone"},
	{does: "remove", token: volume, at: "volume"},
	{does: "read", token: volume, at: "volume", refused: "gone"},
	// What has ended is listed for a while.
	{does: "ask", token: "oci:Core/getVolumes:getVolumes", in: m{"compartmentId": cloud.CompartmentID}, want: m{"id": "$volume", "state": "TERMINATED"}},
	{
		does: "ask", token: "oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers", in: m{"compartmentId": cloud.CompartmentID},
		want: m{"id": "$balancer", "state": "DELETED"},
	},
}

// outcome of a step, in a form in which those of two doors can be compared.
type outcome struct {
	answer  []any
	refused string
}

// TestBothDoorsKeepTheContract: OCI's Go SDK over REST, and the attached provider.
func TestBothDoorsKeepTheContract(t *testing.T) {
	outcomes := map[string][]outcome{}
	for name, open := range map[string]func(*testing.T, *cloud.Cloud) door{"sdk": openSDK, "provider": openProvider} {
		t.Run(name, func(t *testing.T) {
			c, err := cloud.Open(t.TempDir(), cloudtest.NewMachine(), cloud.Options{})
			assert.NilError(t, err)
			t.Cleanup(func() { assert.Check(t, c.Close()) })
			d, ids := open(t, c), map[string]string{}
			for n, s := range contract {
				o := s.run(t, d, ids)
				if t.Failed() {
					t.Fatalf("step %d: %s %s %s", n, s.does, s.token, s.at)
				}
				outcomes[name] = append(outcomes[name], o)
			}
		})
	}
	if t.Failed() {
		return
	}
	for n, s := range contract {
		sdk, provider := outcomes["sdk"][n], outcomes["provider"][n]
		where := fmt.Sprintf("step %d: %s %s %s", n, s.does, s.token, s.at)
		assert.Check(t, sdk.refused == provider.refused, "%s: the SDK hears %q, the provider %q", where, sdk.refused, provider.refused)
		assert.Check(t, len(sdk.answer) == len(provider.answer), "%s: the SDK gets %v, the provider %v", where, sdk.answer, provider.answer)
		for i := range sdk.answer {
			for _, d := range differences("", sdk.answer[i], provider.answer[i]) {
				t.Errorf("%s: %s", where, d)
			}
		}
	}
}

// TestTheContractHasEveryOperation: a thing that one door serves and no step is about
// would be held to nothing.
func TestTheContractHasEveryOperation(t *testing.T) {
	done := map[string]bool{}
	for _, s := range contract {
		done[s.does+" "+s.token] = true
	}
	for token, k := range sdkKinds {
		for does, has := range map[string]bool{"create": true, "read": true, "remove": true, "update": k.update != nil} {
			assert.Check(t, done[does+" "+token] == has, "%s %s", does, token)
		}
	}
	for function := range sdkLookups {
		assert.Check(t, done["ask "+function], function)
	}
}

func (s step) run(t *testing.T, d door, ids map[string]string) outcome {
	t.Helper()
	in, _ := filled(s.in, ids).(m)
	var out []m
	var one m
	var err error
	switch s.does {
	case "create":
		var id string
		if id, one, err = d.create(s.token, in); err == nil {
			ids[s.at] = id
		}
	case "read":
		one, err = d.read(s.token, ids[s.at])
	case "update":
		one, err = d.update(s.token, ids[s.at], in)
	case "remove":
		err = d.remove(s.token, ids[s.at])
	case "ask":
		out, err = d.ask(s.token, in)
	}
	if one != nil {
		out = []m{one}
	}
	if s.refused != "" || err != nil {
		s.isRefused(t, err)
		return outcome{refused: s.anonymous(fmt.Sprint(err), ids).(string)}
	}
	if s.want != nil && assert.Check(t, len(out) > 0, "%s %s has no answer", s.does, s.token) {
		for _, d := range lacks("", s.anonymous(filled(s.want, ids), ids), s.anonymous(out[0], ids)) {
			t.Errorf("%s %s: %s", s.does, s.token, d)
		}
	}
	o := outcome{}
	for _, p := range out {
		o.answer = append(o.answer, s.anonymous(p, ids))
	}
	return o
}

func (s step) isRefused(t *testing.T, err error) {
	t.Helper()
	code, message, _ := strings.Cut(s.refused, ": ")
	var r *refusal
	switch {
	case s.refused == "gone":
		assert.Check(t, errors.Is(err, errGone), "%v", err)
	case errors.As(err, &r):
		assert.Check(t, fmt.Sprintf("%d %s", r.status, r.code) == code && strings.Contains(r.message, message), "got %v, want %s", err, s.refused)
	default:
		t.Errorf("got %v, want %s", err, s.refused)
	}
}

// filled puts ids where a step names them.
func filled(v any, ids map[string]string) any {
	switch v := v.(type) {
	case string:
		if name, named := strings.CutPrefix(v, "$"); named {
			return ids[name]
		}
	case m:
		out := m{}
		for k, x := range v {
			out[k] = filled(x, ids)
		}
		return out
	case []any:
		out := []any{}
		for _, x := range v {
			out = append(out, filled(x, ids))
		}
		return out
	}
	return v
}

// drawn is what a cloud draws for itself.
var drawn = regexp.MustCompile(`(ocid1\.\w+\.oc1\.lab-1\.)[a-z2-7]{60}`)

// anonymous is a value as both doors could give it: names of properties in one case, all
// that is no object or list as text, no ids that were drawn, and nothing that is empty.
func (s step) anonymous(v any, ids map[string]string) any {
	switch v := v.(type) {
	case nil:
		return nil
	case m:
		out := m{}
		for k, x := range v {
			k = strings.ToLower(k)
			for api, provider := range map[string]string{"lifecyclestate": "state", "isstateless": "stateless"} {
				if k == api {
					k = provider
				}
			}
			if x := s.anonymous(x, ids); x != nil && !strings.HasPrefix(k, "time") {
				out[k] = x
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		if len(v) == 0 {
			return nil
		}
		out := []any{}
		for _, x := range v {
			out = append(out, s.anonymous(x, ids))
		}
		return out
	}
	text := fmt.Sprint(v)
	for _, name := range slices.Sorted(maps.Keys(ids)) {
		if id := ids[name]; id != "" {
			text = strings.ReplaceAll(text, id, "$"+name)
		}
	}
	if text = drawn.ReplaceAllString(text, "$1"); text == "" {
		return nil
	}
	return text
}

// lacks tells what of want is not in have.
func lacks(path string, want, have any) []string {
	w, ok := want.(m)
	if !ok {
		return compared(path, want, have, lacks)
	}
	h, _ := have.(m)
	var out []string
	for k, x := range w {
		out = append(out, lacks(path+"."+k, x, h[k])...)
	}
	return out
}

// differences are between what both doors say; each may say more than the other.
func differences(path string, a, b any) []string {
	x, isX := a.(m)
	y, isY := b.(m)
	if !isX || !isY {
		return compared(path, a, b, differences)
	}
	var out []string
	for k := range x {
		if _, both := y[k]; both {
			out = append(out, differences(path+"."+k, x[k], y[k])...)
		}
	}
	return out
}

func compared(path string, a, b any, each func(path string, a, b any) []string) []string {
	x, isX := a.([]any)
	y, isY := b.([]any)
	if !isX || !isY || len(x) != len(y) {
		if asJSON(a) == asJSON(b) {
			return nil
		}
		return []string{fmt.Sprintf("%s: %s and %s", path, asJSON(a), asJSON(b))}
	}
	var out []string
	for n := range x {
		out = append(out, each(fmt.Sprintf("%s[%d]", path, n), x[n], y[n])...)
	}
	return out
}

func asJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}
