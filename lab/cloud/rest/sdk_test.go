package rest_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/oracle/oci-go-sdk/v65/common"
	"github.com/oracle/oci-go-sdk/v65/core"
	"github.com/oracle/oci-go-sdk/v65/dns"
	"github.com/oracle/oci-go-sdk/v65/identity"
	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
)

// sdk are the clients of OCI's Go SDK that the official provider has, too.
type sdk struct {
	volumes   core.BlockstorageClient
	network   core.VirtualNetworkClient
	compute   core.ComputeManagementClient
	identity  identity.IdentityClient
	balancers nlb.NetworkLoadBalancerClient
	names     dns.DnsClient
}

// newSDK points the clients at url, with key for their requests.
func newSDK(t *testing.T, url string, key rest.Key) *sdk {
	t.Helper()
	config := common.NewRawConfigurationProvider(cloud.TenancyID, rest.UserID, "us-ashburn-1", key.Fingerprint, key.PEM, nil)
	var s sdk
	var err [6]error
	s.volumes, err[0] = core.NewBlockstorageClientWithConfigurationProvider(config)
	s.network, err[1] = core.NewVirtualNetworkClientWithConfigurationProvider(config)
	s.compute, err[2] = core.NewComputeManagementClientWithConfigurationProvider(config)
	s.identity, err[3] = identity.NewIdentityClientWithConfigurationProvider(config)
	s.balancers, err[4] = nlb.NewNetworkLoadBalancerClientWithConfigurationProvider(config)
	s.names, err[5] = dns.NewDnsClientWithConfigurationProvider(config)
	assert.NilError(t, errors.Join(err[:]...))
	s.volumes.Host, s.network.Host, s.compute.Host = url, url, url
	s.identity.Host, s.balancers.Host, s.names.Host = url, url, url
	return &s
}

// newAPI serves a cloud and returns the SDK for it.
func newAPI(t *testing.T, c *cloud.Cloud) *sdk {
	t.Helper()
	key, err := rest.NewKey()
	assert.NilError(t, err)
	server := httptest.NewServer(rest.Handler(c, key))
	t.Cleanup(server.Close)
	return newSDK(t, server.URL, key)
}

type sdkDoor struct {
	t *testing.T
	s *sdk
}

func openSDK(t *testing.T, c *cloud.Cloud) door {
	t.Helper()
	return sdkDoor{t, newAPI(t, c)}
}

// sdkKind is how the SDK does what a provider's resource stands for. A create of what has
// no OCID answers with nothing: it is read by its id then.
type sdkKind struct {
	create func(ctx context.Context, s *sdk, in m) (id string, answer any, err error)
	read   func(ctx context.Context, s *sdk, id string) (any, error)
	update func(ctx context.Context, s *sdk, id string, in m) (any, error)
	remove func(ctx context.Context, s *sdk, id string) (any, error)
}

// of makes details of the SDK out of properties: JSON is read in any case.
func of[T any](in m) T {
	text := quantities.ReplaceAllString(asJSON(in), `"$1":$2`)
	text = strings.ReplaceAll(text, `"stateless":`, `"isStateless":`)
	text = strings.ReplaceAll(text, `{"Operations.CostCenter":"42"}`, `{"Operations":{"CostCenter":"42"}}`)
	var out T
	if err := json.Unmarshal([]byte(text), &out); err != nil {
		panic(err)
	}
	return out
}

// quantities are numbers that the provider has as strings.
var quantities = regexp.MustCompile(`"(\w+(?:Gbs|PerGb))":"(\d+)"`)

// part of a composed id: networkLoadBalancers/X/backendSets/Y is X at 1 and Y at 3.
func part(id string, n int) *string { return common.String(strings.Split(id, "/")[n]) }

func text(in m, key string) *string {
	v, _ := in[key].(string)
	return &v
}

func ocid(id *string) string {
	if id == nil {
		return ""
	}
	return *id
}

var sdkKinds = map[string]sdkKind{
	volume: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.volumes.CreateVolume(ctx, core.CreateVolumeRequest{CreateVolumeDetails: of[core.CreateVolumeDetails](in)})
			return ocid(r.Id), r.Volume, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.volumes.GetVolume(ctx, core.GetVolumeRequest{VolumeId: &id})
			return r.Volume, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.volumes.UpdateVolume(ctx, core.UpdateVolumeRequest{VolumeId: &id, UpdateVolumeDetails: of[core.UpdateVolumeDetails](in)})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.volumes.DeleteVolume(ctx, core.DeleteVolumeRequest{VolumeId: &id})
		},
	},
	assignment: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.volumes.CreateVolumeBackupPolicyAssignment(ctx, core.CreateVolumeBackupPolicyAssignmentRequest{
				CreateVolumeBackupPolicyAssignmentDetails: of[core.CreateVolumeBackupPolicyAssignmentDetails](in),
			})
			return ocid(r.Id), r.VolumeBackupPolicyAssignment, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.volumes.GetVolumeBackupPolicyAssignment(ctx, core.GetVolumeBackupPolicyAssignmentRequest{PolicyAssignmentId: &id})
			return r.VolumeBackupPolicyAssignment, err
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.volumes.DeleteVolumeBackupPolicyAssignment(ctx, core.DeleteVolumeBackupPolicyAssignmentRequest{PolicyAssignmentId: &id})
		},
	},
	address: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.network.CreatePrivateIp(ctx, core.CreatePrivateIpRequest{CreatePrivateIpDetails: of[core.CreatePrivateIpDetails](in)})
			return ocid(r.Id), r.PrivateIp, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.network.GetPrivateIp(ctx, core.GetPrivateIpRequest{PrivateIpId: &id})
			return r.PrivateIp, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.network.UpdatePrivateIp(ctx, core.UpdatePrivateIpRequest{PrivateIpId: &id, UpdatePrivateIpDetails: of[core.UpdatePrivateIpDetails](in)})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.network.DeletePrivateIp(ctx, core.DeletePrivateIpRequest{PrivateIpId: &id})
		},
	},
	group: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.network.CreateNetworkSecurityGroup(ctx, core.CreateNetworkSecurityGroupRequest{
				CreateNetworkSecurityGroupDetails: of[core.CreateNetworkSecurityGroupDetails](in),
			})
			return ocid(r.Id), r.NetworkSecurityGroup, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.network.GetNetworkSecurityGroup(ctx, core.GetNetworkSecurityGroupRequest{NetworkSecurityGroupId: &id})
			return r.NetworkSecurityGroup, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.network.UpdateNetworkSecurityGroup(ctx, core.UpdateNetworkSecurityGroupRequest{
				NetworkSecurityGroupId: &id, UpdateNetworkSecurityGroupDetails: of[core.UpdateNetworkSecurityGroupDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.network.DeleteNetworkSecurityGroup(ctx, core.DeleteNetworkSecurityGroupRequest{NetworkSecurityGroupId: &id})
		},
	},
	// A rule is added to a group and known within it; the id here is GROUP/RULE.
	rule: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			group := text(in, "networkSecurityGroupId")
			r, err := s.network.AddNetworkSecurityGroupSecurityRules(ctx, core.AddNetworkSecurityGroupSecurityRulesRequest{
				NetworkSecurityGroupId: group,
				AddNetworkSecurityGroupSecurityRulesDetails: core.AddNetworkSecurityGroupSecurityRulesDetails{
					SecurityRules: []core.AddSecurityRuleDetails{of[core.AddSecurityRuleDetails](in)},
				},
			})
			if err != nil {
				return "", nil, err
			}
			return *r.SecurityRules[0].Id, r.SecurityRules[0], nil
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			group, err := onlyGroup(ctx, s)
			if err != nil {
				return nil, err
			}
			r, err := s.network.ListNetworkSecurityGroupSecurityRules(ctx, core.ListNetworkSecurityGroupSecurityRulesRequest{NetworkSecurityGroupId: &group})
			if err != nil {
				return nil, err
			}
			for _, found := range r.Items {
				if *found.Id == id {
					return found, nil
				}
			}
			return nil, errGone
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			details := of[core.UpdateSecurityRuleDetails](in)
			details.Id = &id
			return s.network.UpdateNetworkSecurityGroupSecurityRules(ctx, core.UpdateNetworkSecurityGroupSecurityRulesRequest{
				NetworkSecurityGroupId: text(in, "networkSecurityGroupId"),
				UpdateNetworkSecurityGroupSecurityRulesDetails: core.UpdateNetworkSecurityGroupSecurityRulesDetails{
					SecurityRules: []core.UpdateSecurityRuleDetails{details},
				},
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			group, err := onlyGroup(ctx, s)
			if err != nil {
				return nil, err
			}
			return s.network.RemoveNetworkSecurityGroupSecurityRules(ctx, core.RemoveNetworkSecurityGroupSecurityRulesRequest{
				NetworkSecurityGroupId:                         &group,
				RemoveNetworkSecurityGroupSecurityRulesDetails: core.RemoveNetworkSecurityGroupSecurityRulesDetails{SecurityRuleIds: []string{id}},
			})
		},
	},
	configuration: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.compute.CreateInstanceConfiguration(ctx, core.CreateInstanceConfigurationRequest{
				CreateInstanceConfiguration: of[core.CreateInstanceConfigurationDetails](in),
			})
			return ocid(r.Id), r.InstanceConfiguration, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.compute.GetInstanceConfiguration(ctx, core.GetInstanceConfigurationRequest{InstanceConfigurationId: &id})
			return r.InstanceConfiguration, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.compute.UpdateInstanceConfiguration(ctx, core.UpdateInstanceConfigurationRequest{
				InstanceConfigurationId: &id, UpdateInstanceConfigurationDetails: of[core.UpdateInstanceConfigurationDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.compute.DeleteInstanceConfiguration(ctx, core.DeleteInstanceConfigurationRequest{InstanceConfigurationId: &id})
		},
	},
	pool: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.compute.CreateInstancePool(ctx, core.CreateInstancePoolRequest{CreateInstancePoolDetails: of[core.CreateInstancePoolDetails](in)})
			return ocid(r.Id), r.InstancePool, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.compute.GetInstancePool(ctx, core.GetInstancePoolRequest{InstancePoolId: &id})
			return r.InstancePool, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.compute.UpdateInstancePool(ctx, core.UpdateInstancePoolRequest{InstancePoolId: &id, UpdateInstancePoolDetails: of[core.UpdateInstancePoolDetails](in)})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.compute.TerminateInstancePool(ctx, core.TerminateInstancePoolRequest{InstancePoolId: &id})
		},
	},
	balancer: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			r, err := s.balancers.CreateNetworkLoadBalancer(ctx, nlb.CreateNetworkLoadBalancerRequest{
				CreateNetworkLoadBalancerDetails: of[nlb.CreateNetworkLoadBalancerDetails](in),
			})
			return ocid(r.Id), r, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.balancers.GetNetworkLoadBalancer(ctx, nlb.GetNetworkLoadBalancerRequest{NetworkLoadBalancerId: &id})
			return r.NetworkLoadBalancer, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.balancers.UpdateNetworkLoadBalancer(ctx, nlb.UpdateNetworkLoadBalancerRequest{
				NetworkLoadBalancerId: &id, UpdateNetworkLoadBalancerDetails: of[nlb.UpdateNetworkLoadBalancerDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.balancers.DeleteNetworkLoadBalancer(ctx, nlb.DeleteNetworkLoadBalancerRequest{NetworkLoadBalancerId: &id})
		},
	},
	backendSet: {
		create: createSet, read: readSet, remove: removeSet,
		// As the official provider does it where backends are resources of their own: it
		// counts them as they are, and has no values for them.
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			now, err := s.balancers.GetBackendSet(ctx, nlb.GetBackendSetRequest{NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3)})
			if err != nil {
				return nil, err
			}
			details := of[nlb.UpdateBackendSetDetails](in)
			details.Backends = make([]nlb.BackendDetails, len(now.Backends))
			return updateSet(ctx, s, id, details)
		},
	},
	unifiedSet: {
		create: createSet, read: readSet, remove: removeSet,
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return updateSet(ctx, s, id, of[nlb.UpdateBackendSetDetails](in))
		},
	},
	backend: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			parent, set := text(in, "networkLoadBalancerId"), text(in, "backendSetName")
			r, err := s.balancers.CreateBackend(ctx, nlb.CreateBackendRequest{
				NetworkLoadBalancerId: parent, BackendSetName: set, CreateBackendDetails: of[nlb.CreateBackendDetails](in),
			})
			return "networkLoadBalancers/" + *parent + "/backendSets/" + *set + "/backends/" + *text(in, "name"), r, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.balancers.GetBackend(ctx, nlb.GetBackendRequest{NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3), BackendName: part(id, 5)})
			return r.Backend, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.balancers.UpdateBackend(ctx, nlb.UpdateBackendRequest{
				NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3), BackendName: part(id, 5), UpdateBackendDetails: of[nlb.UpdateBackendDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.balancers.DeleteBackend(ctx, nlb.DeleteBackendRequest{NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3), BackendName: part(id, 5)})
		},
	},
	listener: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			parent := text(in, "networkLoadBalancerId")
			r, err := s.balancers.CreateListener(ctx, nlb.CreateListenerRequest{NetworkLoadBalancerId: parent, CreateListenerDetails: of[nlb.CreateListenerDetails](in)})
			return "networkLoadBalancers/" + *parent + "/listeners/" + *text(in, "name"), r, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.balancers.GetListener(ctx, nlb.GetListenerRequest{NetworkLoadBalancerId: part(id, 1), ListenerName: part(id, 3)})
			return r.Listener, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.balancers.UpdateListener(ctx, nlb.UpdateListenerRequest{
				NetworkLoadBalancerId: part(id, 1), ListenerName: part(id, 3), UpdateListenerDetails: of[nlb.UpdateListenerDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.balancers.DeleteListener(ctx, nlb.DeleteListenerRequest{NetworkLoadBalancerId: part(id, 1), ListenerName: part(id, 3)})
		},
	},
	rrset: {
		create: func(ctx context.Context, s *sdk, in m) (string, any, error) {
			id := "zoneNameOrId/" + *text(in, "zoneNameOrId") + "/domain/" + *text(in, "domain") + "/rtype/" + *text(in, "rtype")
			items := []dns.RecordOperation{{Operation: dns.RecordOperationOperationProhibit, Domain: text(in, "domain"), Rtype: text(in, "rtype")}}
			for _, record := range of[dns.PatchRrSetDetails](in).Items {
				record.Operation = dns.RecordOperationOperationAdd
				items = append(items, record)
			}
			r, err := s.names.PatchRRSet(ctx, dns.PatchRRSetRequest{
				ZoneNameOrId: text(in, "zoneNameOrId"), Domain: text(in, "domain"), Rtype: text(in, "rtype"), PatchRrSetDetails: dns.PatchRrSetDetails{Items: items},
			})
			return id, r.RecordCollection, err
		},
		read: func(ctx context.Context, s *sdk, id string) (any, error) {
			r, err := s.names.GetRRSet(ctx, dns.GetRRSetRequest{ZoneNameOrId: part(id, 1), Domain: part(id, 3), Rtype: part(id, 5)})
			return r.RrSet, err
		},
		update: func(ctx context.Context, s *sdk, id string, in m) (any, error) {
			return s.names.UpdateRRSet(ctx, dns.UpdateRRSetRequest{
				ZoneNameOrId: part(id, 1), Domain: part(id, 3), Rtype: part(id, 5), UpdateRrSetDetails: of[dns.UpdateRrSetDetails](in),
			})
		},
		remove: func(ctx context.Context, s *sdk, id string) (any, error) {
			return s.names.DeleteRRSet(ctx, dns.DeleteRRSetRequest{ZoneNameOrId: part(id, 1), Domain: part(id, 3), Rtype: part(id, 5)})
		},
	},
}

func createSet(ctx context.Context, s *sdk, in m) (string, any, error) {
	parent := text(in, "networkLoadBalancerId")
	r, err := s.balancers.CreateBackendSet(ctx, nlb.CreateBackendSetRequest{
		NetworkLoadBalancerId: parent, CreateBackendSetDetails: of[nlb.CreateBackendSetDetails](in),
	})
	return "networkLoadBalancers/" + *parent + "/backendSets/" + *text(in, "name"), r, err
}

func readSet(ctx context.Context, s *sdk, id string) (any, error) {
	r, err := s.balancers.GetBackendSet(ctx, nlb.GetBackendSetRequest{NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3)})
	return r.BackendSet, err
}

func updateSet(ctx context.Context, s *sdk, id string, details nlb.UpdateBackendSetDetails) (any, error) {
	return s.balancers.UpdateBackendSet(ctx, nlb.UpdateBackendSetRequest{
		NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3), UpdateBackendSetDetails: details,
	})
}

func removeSet(ctx context.Context, s *sdk, id string) (any, error) {
	return s.balancers.DeleteBackendSet(ctx, nlb.DeleteBackendSetRequest{NetworkLoadBalancerId: part(id, 1), BackendSetName: part(id, 3)})
}

// onlyGroup is the only security group there is.
func onlyGroup(ctx context.Context, s *sdk) (string, error) {
	r, err := s.network.ListNetworkSecurityGroups(ctx, core.ListNetworkSecurityGroupsRequest{
		CompartmentId: common.String(cloud.CompartmentID), LifecycleState: core.NetworkSecurityGroupLifecycleStateAvailable,
	})
	if err != nil {
		return "", err
	}
	if len(r.Items) != 1 {
		return "", fmt.Errorf("there are %d security groups", len(r.Items))
	}
	return *r.Items[0].Id, nil
}

// sdkLookups are the SDK's calls by the provider's functions.
var sdkLookups = map[string]func(ctx context.Context, s *sdk, args m) (any, error){
	"oci:Identity/getAvailabilityDomains:getAvailabilityDomains": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.identity.ListAvailabilityDomains(ctx, identity.ListAvailabilityDomainsRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:Core/getVcns:getVcns": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.ListVcns(ctx, core.ListVcnsRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:Core/getSubnets:getSubnets": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.ListSubnets(ctx, core.ListSubnetsRequest{CompartmentId: text(args, "compartmentId"), DisplayName: text(args, "displayName")})
		return r.Items, err
	},
	"oci:Core/getSubnet:getSubnet": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.GetSubnet(ctx, core.GetSubnetRequest{SubnetId: text(args, "subnetId")})
		return r.Subnet, err
	},
	"oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies": func(ctx context.Context, s *sdk, _ m) (any, error) {
		r, err := s.volumes.ListVolumeBackupPolicies(ctx, core.ListVolumeBackupPoliciesRequest{})
		return r.Items, err
	},
	"oci:Core/getVolumes:getVolumes": func(ctx context.Context, s *sdk, args m) (any, error) {
		request := core.ListVolumesRequest{CompartmentId: text(args, "compartmentId")}
		if args["displayName"] != nil {
			request.DisplayName = text(args, "displayName")
		}
		r, err := s.volumes.ListVolumes(ctx, request)
		return r.Items, err
	},
	"oci:Core/getPrivateIps:getPrivateIps": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.ListPrivateIps(ctx, core.ListPrivateIpsRequest{SubnetId: text(args, "subnetId")})
		return r.Items, err
	},
	"oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.ListNetworkSecurityGroups(ctx, core.ListNetworkSecurityGroupsRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.network.ListNetworkSecurityGroupSecurityRules(ctx, core.ListNetworkSecurityGroupSecurityRulesRequest{
			NetworkSecurityGroupId: text(args, "networkSecurityGroupId"),
		})
		return r.Items, err
	},
	"oci:Core/getInstanceConfigurations:getInstanceConfigurations": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.compute.ListInstanceConfigurations(ctx, core.ListInstanceConfigurationsRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:Core/getInstancePools:getInstancePools": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.compute.ListInstancePools(ctx, core.ListInstancePoolsRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:Core/getInstancePoolInstances:getInstancePoolInstances": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.compute.ListInstancePoolInstances(ctx, core.ListInstancePoolInstancesRequest{
			CompartmentId: text(args, "compartmentId"), InstancePoolId: text(args, "instancePoolId"),
		})
		return r.Items, err
	},
	"oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.ListNetworkLoadBalancers(ctx, nlb.ListNetworkLoadBalancersRequest{CompartmentId: text(args, "compartmentId")})
		return r.Items, err
	},
	"oci:NetworkLoadBalancer/getBackendSets:getBackendSets": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.ListBackendSets(ctx, nlb.ListBackendSetsRequest{NetworkLoadBalancerId: text(args, "networkLoadBalancerId")})
		return r.Items, err
	},
	"oci:NetworkLoadBalancer/getBackends:getBackends": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.ListBackends(ctx, nlb.ListBackendsRequest{
			NetworkLoadBalancerId: text(args, "networkLoadBalancerId"), BackendSetName: text(args, "backendSetName"),
		})
		return r.Items, err
	},
	"oci:NetworkLoadBalancer/getListeners:getListeners": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.ListListeners(ctx, nlb.ListListenersRequest{NetworkLoadBalancerId: text(args, "networkLoadBalancerId")})
		return r.Items, err
	},
	"oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.GetBackendSetHealth(ctx, nlb.GetBackendSetHealthRequest{
			NetworkLoadBalancerId: text(args, "networkLoadBalancerId"), BackendSetName: text(args, "backendSetName"),
		})
		return r.BackendSetHealth, err
	},
	"oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth": func(ctx context.Context, s *sdk, args m) (any, error) {
		r, err := s.balancers.GetBackendHealth(ctx, nlb.GetBackendHealthRequest{
			NetworkLoadBalancerId: text(args, "networkLoadBalancerId"), BackendSetName: text(args, "backendSetName"), BackendName: text(args, "backendName"),
		})
		return r.BackendHealth, err
	},
}

func (d sdkDoor) create(token string, in m) (string, m, error) {
	k := sdkKinds[token]
	id, answer, err := k.create(d.t.Context(), d.s, in)
	if err == nil {
		err = d.awaitState(token, id, answer)
	}
	if err != nil {
		return "", nil, said(err)
	}
	if token == rule {
		return id, properties(answer), nil
	}
	out, err := d.read(token, id)
	return id, out, err
}

func (d sdkDoor) read(token, id string) (m, error) {
	answer, err := sdkKinds[token].read(d.t.Context(), d.s, id)
	if err != nil {
		var r *refusal
		if err = said(err); errors.As(err, &r) && r.status == http.StatusNotFound {
			err = errGone
		}
		return nil, err
	}
	out := properties(answer)
	if state := out["lifecycleState"]; state == "TERMINATED" || state == "DELETED" {
		return nil, errGone
	}
	return out, nil
}

func (d sdkDoor) update(token, id string, in m) (m, error) {
	answer, err := sdkKinds[token].update(d.t.Context(), d.s, id, in)
	if err == nil {
		err = d.awaitState(token, id, answer)
	}
	if err != nil {
		return nil, said(err)
	}
	return d.read(token, id)
}

func (d sdkDoor) remove(token, id string) error {
	answer, err := sdkKinds[token].remove(d.t.Context(), d.s, id)
	if err == nil {
		err = d.awaitState(token, id, answer)
	}
	return said(err)
}

func (d sdkDoor) ask(function string, args m) ([]m, error) {
	answer, err := sdkLookups[function](d.t.Context(), d.s, args)
	if err != nil {
		return nil, said(err)
	}
	var list []m
	if json.Unmarshal([]byte(asJSON(answer)), &list) == nil {
		return list, nil
	}
	return []m{properties(answer)}, nil
}

// awaitState waits for the end of a change as the official provider does: for the work
// request that an answer names, or else for a state that lasts.
func (d sdkDoor) awaitState(token, id string, answer any) error {
	ctx := d.t.Context()
	work := workOf(answer)
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if work != "" {
			r, err := d.s.balancers.GetWorkRequest(ctx, nlb.GetWorkRequestRequest{WorkRequestId: &work})
			if err != nil {
				return err
			}
			if r.TimeFinished == nil {
				continue
			}
			assert.Equal(d.t, r.Status, nlb.OperationStatusSucceeded)
			assert.Equal(d.t, *r.Resources[0].EntityType, "NetworkLoadBalancer")
			return nil
		}
		now, err := sdkKinds[token].read(ctx, d.s, id)
		if err != nil {
			return nil //nolint:nilerr // what is gone needs no waiting for; what is wrong is found by the next step
		}
		switch properties(now)["lifecycleState"] {
		case "PROVISIONING", "SCALING", "TERMINATING", "CREATING", "UPDATING", "DELETING":
		default:
			return nil
		}
	}
	return fmt.Errorf("%s did not settle within 10 s", id)
}

// workOf is the work request that a response of the SDK names, if any.
func workOf(response any) string {
	if v := reflect.ValueOf(response); v.Kind() == reflect.Struct {
		if f := v.FieldByName("OpcWorkRequestId"); f.IsValid() {
			id, _ := f.Interface().(*string)
			return ocid(id)
		}
	}
	return ""
}

// properties of a thing of the SDK, its defined tags as the provider writes them.
func properties(v any) m {
	var out m
	_ = json.Unmarshal([]byte(asJSON(v)), &out)
	flat := m{}
	spaces, _ := out["definedTags"].(m)
	for space, tags := range spaces {
		for key, value := range tags.(m) {
			flat[space+"."+key] = value
		}
	}
	if len(flat) > 0 {
		out["definedTags"] = flat
	}
	return out
}

// said is what an error of the SDK says.
func said(err error) error {
	var service common.ServiceError
	if errors.As(err, &service) {
		return &refusal{service.GetHTTPStatusCode(), service.GetCode(), service.GetMessage()}
	}
	return err
}
