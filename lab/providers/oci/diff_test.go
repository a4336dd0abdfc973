package oci

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

type m = map[string]any

// TestReplacesWhereTheRealProviderDoes holds what was measured on the official
// plugin (pulumi-oci 4.20.0).
func TestReplacesWhereTheRealProviderDoes(t *testing.T) {
	s := table.MustParse(rows)
	userData := func(text string) m {
		return m{"instanceType": "compute", "launchDetails": m{"metadata": m{"user_data": text}}}
	}
	for _, c := range []struct {
		token    string
		old, new m
		replace  bool
	}{
		{"oci:Core/instancePool:InstancePool", m{"instanceConfigurationId": "a"}, m{"instanceConfigurationId": "b"}, false},
		{"oci:Core/instancePool:InstancePool", m{"size": 1}, m{"size": 2}, false},
		{"oci:Core/instancePool:InstancePool", m{"placementConfigurations": []any{m{"availabilityDomain": "1"}}}, m{"placementConfigurations": []any{m{"availabilityDomain": "2"}}}, false},
		{"oci:Core/instanceConfiguration:InstanceConfiguration", m{"instanceDetails": userData("a")}, m{"instanceDetails": userData("b")}, true},
		{"oci:Core/instanceConfiguration:InstanceConfiguration", m{"displayName": "a"}, m{"displayName": "b"}, false},
		{"oci:Core/privateIp:PrivateIp", m{"subnetId": "a"}, m{"subnetId": "b"}, true},
		{"oci:Core/privateIp:PrivateIp", m{"ipAddress": "a"}, m{"ipAddress": "b"}, true},
		{"oci:Core/privateIp:PrivateIp", m{"displayName": "a"}, m{"displayName": "b"}, false},
		{"oci:Core/volume:Volume", m{"availabilityDomain": "a"}, m{"availabilityDomain": "b"}, true},
		{"oci:Core/volume:Volume", m{"sizeInGbs": "50"}, m{"sizeInGbs": "60"}, false},
		{"oci:Core/volume:Volume", m{"vpusPerGb": "10"}, m{"vpusPerGb": "20"}, false},
		{"oci:NetworkLoadBalancer/backend:Backend", m{"ipAddress": "a"}, m{"ipAddress": "b"}, true},
		{"oci:NetworkLoadBalancer/backend:Backend", m{"port": 1}, m{"port": 2}, true},
		{"oci:NetworkLoadBalancer/backend:Backend", m{"isDrain": false}, m{"isDrain": true}, false},
		{"oci:NetworkLoadBalancer/backend:Backend", m{"weight": 1}, m{"weight": 2}, false},
		{"oci:NetworkLoadBalancer/backendSet:BackendSet", m{"policy": "a"}, m{"policy": "b"}, false},
		{"oci:NetworkLoadBalancer/backendSet:BackendSet", m{"isPreserveSource": true}, m{"isPreserveSource": false}, false},
		{"oci:NetworkLoadBalancer/backendSet:BackendSet", m{"healthChecker": m{"protocol": "HTTP", "port": 1}}, m{"healthChecker": m{"protocol": "HTTP", "port": 2}}, false},
		{"oci:NetworkLoadBalancer/listener:Listener", m{"port": 1}, m{"port": 2}, false},
		{"oci:NetworkLoadBalancer/listener:Listener", m{"tcpIdleTimeout": 1}, m{"tcpIdleTimeout": 2}, false},
		{"oci:NetworkLoadBalancer/listener:Listener", m{"name": "a"}, m{"name": "b"}, true},
		{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", m{"subnetId": "a"}, m{"subnetId": "b"}, true},
		{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", m{"isPrivate": true}, m{"isPrivate": false}, true},
		{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", m{"reservedIps": []any{m{"id": "a"}}}, m{"reservedIps": []any{m{"id": "b"}}}, true},
		{"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", m{"source": "a"}, m{"source": "b"}, false},
		{"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", m{"tcpOptions": m{"destinationPortRange": m{"min": 1, "max": 1}}}, m{"tcpOptions": m{"destinationPortRange": m{"min": 1, "max": 2}}}, false},
		{"oci:Dns/rrset:Rrset", m{"items": []any{m{"domain": "d", "rtype": "A", "rdata": "1", "ttl": 1}}}, m{"items": []any{m{"domain": "d", "rtype": "A", "rdata": "2", "ttl": 1}}}, false},
		{"oci:Dns/rrset:Rrset", m{"domain": "a"}, m{"domain": "b"}, true},
	} {
		r, ok := s.Resources[c.token]
		assert.Assert(t, ok, c.token)
		d := r.Diff(resource.NewPropertyMapFromMap(c.old), nil, resource.NewPropertyMapFromMap(c.new), nil)
		assert.Assert(t, len(d.Changes) > 0, "%s %v", c.token, c.new)
		assert.Equal(t, d.Replace(), c.replace, "%s %v", c.token, c.new)
	}
}

// TestRefusesWhatTheRealProviderRefuses: what it measured to refuse at preview,
// and that a wrong value of the right type passes here and is the cloud's to refuse.
func TestRefusesWhatTheRealProviderRefuses(t *testing.T) {
	s := table.MustParse(rows)
	check := func(token string, in m) []string {
		return s.Resources[token].In.Check("x", resource.NewPropertyMapFromMap(in))
	}
	pool := check("oci:Core/instancePool:InstancePool", m{"compartmentId": "c", "instanceConfigurationId": "i"})
	assert.DeepEqual(t, pool, []string{"Missing required property 'placementConfigurations'", "Missing required property 'size'"})

	set := check("oci:NetworkLoadBalancer/backendSet:BackendSet", m{"networkLoadBalancerId": "n", "policy": "ROUND_ROBIN", "bogus": 1})
	assert.DeepEqual(t, set, []string{"Missing required property 'healthChecker'", "Invalid or unknown key. Examine values at 'x.bogus'."})

	rule := check("oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", m{
		"networkSecurityGroupId": "n", "direction": "INBOUND", "protocol": "TCP",
		"tcpOptions": m{"destinationPortRange": m{"min": 80800}},
	})
	assert.DeepEqual(t, rule, []string{"Missing required property 'tcpOptions.destinationPortRange.max'"})

	rrset := check("oci:Dns/rrset:Rrset", m{"rtype": "A", "zoneNameOrId": "z", "items": []any{m{"rdata": "1", "ttl": 30}}})
	assert.DeepEqual(t, rrset, []string{"Missing required property 'domain'", "Missing required property 'items[0].domain'", "Missing required property 'items[0].rtype'"})

	assert.Equal(t, len(check("oci:Core/privateIp:PrivateIp", m{"lifetime": "FOREVER"})), 0)
}

func TestBackendWithAChosenNameIsDeletedFirst(t *testing.T) {
	r := table.MustParse(rows).Resources["oci:NetworkLoadBalancer/backend:Backend"]
	old := resource.NewPropertyMapFromMap(m{"name": "emqx-0", "ipAddress": "a"})
	d := r.Diff(old, nil, resource.NewPropertyMapFromMap(m{"name": "emqx-0", "ipAddress": "b"}), nil)
	assert.Assert(t, d.DeleteBeforeReplace, "two backends of one name cannot be in a set")
}
