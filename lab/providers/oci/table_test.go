package oci

import (
	"flag"
	"os"
	"os/exec"
	"reflect"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/dns"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/oci/sdktable"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// TestTableIsWrittenFromTheSDK renews table.txt with -update.
func TestTableIsWrittenFromTheSDK(t *testing.T) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/pulumi/pulumi-oci/sdk/v3").Output()
	assert.NilError(t, err)
	want, err := sdktable.Generate(strings.TrimSpace(string(dir)))
	assert.NilError(t, err)
	if update := flag.Lookup("update"); update != nil && update.Value.String() == "true" {
		assert.NilError(t, os.WriteFile("table.txt", []byte(want), 0o644))
		return
	}
	assert.Assert(t, rows == want, "table.txt is not what the SDK in go.mod gives: run the test with -update and look at the difference")
}

// plain finds the struct of plain values that an Args struct stands for.
func plain(args interface{ ElementType() reflect.Type }) reflect.Type { return args.ElementType() }

func TestTableHasExactlyTheInputsOfTheSDK(t *testing.T) {
	s := table.MustParse(rows)
	for token, typ := range map[string]reflect.Type{
		"oci:Core/volume:Volume": plain(core.VolumeArgs{}),
		"oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment":                                    plain(core.VolumeBackupPolicyAssignmentArgs{}),
		"oci:Core/privateIp:PrivateIp":                                                                          plain(core.PrivateIpArgs{}),
		"oci:Core/instanceConfiguration:InstanceConfiguration":                                                  plain(core.InstanceConfigurationArgs{}),
		"oci:Core/instancePool:InstancePool":                                                                    plain(core.InstancePoolArgs{}),
		"oci:Core/networkSecurityGroup:NetworkSecurityGroup":                                                    plain(core.NetworkSecurityGroupArgs{}),
		"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule":                            plain(core.NetworkSecurityGroupSecurityRuleArgs{}),
		"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer":                                       plain(networkloadbalancer.NetworkLoadBalancerArgs{}),
		"oci:NetworkLoadBalancer/backendSet:BackendSet":                                                         plain(networkloadbalancer.BackendSetArgs{}),
		"oci:NetworkLoadBalancer/backend:Backend":                                                               plain(networkloadbalancer.BackendArgs{}),
		"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified": plain(networkloadbalancer.NetworkLoadBalancersBackendSetsUnifiedArgs{}),
		"oci:NetworkLoadBalancer/listener:Listener":                                                             plain(networkloadbalancer.ListenerArgs{}),
		"oci:Dns/rrset:Rrset": plain(dns.RrsetArgs{}),
		"oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth":                    plain(networkloadbalancer.GetBackendSetHealthOutputArgs{}),
		"oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth":                          plain(networkloadbalancer.GetBackendHealthOutputArgs{}),
		"oci:Core/getSubnet:getSubnet":                                                       plain(core.LookupSubnetOutputArgs{}),
		"oci:Core/getSubnets:getSubnets":                                                     plain(core.GetSubnetsOutputArgs{}),
		"oci:Core/getVcns:getVcns":                                                           plain(core.GetVcnsOutputArgs{}),
		"oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies":                           plain(core.GetVolumeBackupPoliciesOutputArgs{}),
		"oci:Core/getInstancePoolInstances:getInstancePoolInstances":                         plain(core.GetInstancePoolInstancesOutputArgs{}),
		"oci:Core/getVolumes:getVolumes":                                                     plain(core.GetVolumesOutputArgs{}),
		"oci:Core/getPrivateIps:getPrivateIps":                                               plain(core.GetPrivateIpsOutputArgs{}),
		"oci:Core/getInstanceConfigurations:getInstanceConfigurations":                       plain(core.GetInstanceConfigurationsOutputArgs{}),
		"oci:Core/getInstancePools:getInstancePools":                                         plain(core.GetInstancePoolsOutputArgs{}),
		"oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups":                         plain(core.GetNetworkSecurityGroupsOutputArgs{}),
		"oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules": plain(core.GetNetworkSecurityGroupSecurityRulesOutputArgs{}),
		"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers":            plain(networkloadbalancer.GetNetworkLoadBalancersOutputArgs{}),
		"oci:NetworkLoadBalancer/getBackendSets:getBackendSets":                              plain(networkloadbalancer.GetBackendSetsOutputArgs{}),
		"oci:NetworkLoadBalancer/getBackends:getBackends":                                    plain(networkloadbalancer.GetBackendsOutputArgs{}),
		"oci:NetworkLoadBalancer/getListeners:getListeners":                                  plain(networkloadbalancer.GetListenersOutputArgs{}),
	} {
		r, ok := s.Resources[token]
		if !ok {
			r, ok = s.Functions[token]
		}
		assert.Assert(t, ok, token)
		compare(t, token, &r.In, typ, map[reflect.Type]bool{})
	}
	// And one of package identity, which takes too much to compile: the test above reads its source.
	assert.Equal(t, len(s.Resources)+len(s.Functions), 31)
	compare(t, "config", &s.Config, plain(oci.ProviderArgs{}), map[reflect.Type]bool{})
}

func compare(t *testing.T, path string, f *table.Fields, typ reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	if seen[typ] {
		return
	}
	seen[typ] = true
	count := 0
	for i := range typ.NumField() {
		field := typ.Field(i)
		name, ok := field.Tag.Lookup("pulumi")
		if !ok {
			continue
		}
		count++
		p, ok := f.Get(name)
		if !ok {
			t.Errorf("%s: the table lacks %s", path, name)
			continue
		}
		sameType(t, path+"."+name, p.Type, field.Type, seen)
	}
	if count != len(f.Props) {
		t.Errorf("%s: the SDK has %d inputs, the table %v", path, count, f.Names())
	}
}

func sameType(t *testing.T, path string, have table.Type, want reflect.Type, seen map[reflect.Type]bool) {
	t.Helper()
	if want.Kind() == reflect.Pointer {
		want = want.Elem()
	}
	ok := true
	switch want.Kind() { //nolint:exhaustive // the SDK has no other kinds
	case reflect.String:
		ok = have.Kind == table.String
	case reflect.Bool:
		ok = have.Kind == table.Bool
	case reflect.Int:
		ok = have.Kind == table.Integer
	case reflect.Float64:
		ok = have.Kind == table.Number
	case reflect.Slice:
		if ok = have.Kind == table.List || have.Kind == table.Set; ok {
			sameType(t, path+"[]", *have.Elem, want.Elem(), seen)
		}
	case reflect.Map:
		if ok = have.Kind == table.Map; ok {
			sameType(t, path+"{}", *have.Elem, want.Elem(), seen)
		}
	case reflect.Struct:
		if ok = have.Kind == table.Object; ok {
			compare(t, path, have.Fields, want, seen)
		}
	}
	if !ok {
		t.Errorf("%s: the table says %s, the SDK %s", path, have, want)
	}
}
