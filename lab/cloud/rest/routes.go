package rest

import (
	"github.com/oracle/oci-go-sdk/v65/core"
	"github.com/oracle/oci-go-sdk/v65/identity"
	nlb "github.com/oracle/oci-go-sdk/v65/networkloadbalancer"
)

// Where the services' paths begin: with the version of their API.
const (
	cores     = "20160918/" // Core and Identity
	balancers = "20200501/"
	names     = "20180115/"
)

// resources of the API that the stack has.
var resources = []resource{
	{
		token: "oci:Core/volume:Volume", path: "/" + cores + "volumes/{volumeId}",
		create: body[core.CreateVolumeDetails], update: body[core.UpdateVolumeDetails], view: shape[core.Volume],
		list: "oci:Core/getVolumes:getVolumes", summary: shape[core.Volume],
	},
	{
		token: "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment", path: "/" + cores + "volumeBackupPolicyAssignments/{policyAssignmentId}",
		create: body[core.CreateVolumeBackupPolicyAssignmentDetails], view: shape[core.VolumeBackupPolicyAssignment],
		list: "oci:Core/getVolumeBackupPolicyAssignments:getVolumeBackupPolicyAssignments", summary: shape[core.VolumeBackupPolicyAssignment], waits: true,
	},
	{
		token: privateIP, path: "/" + cores + "privateIps/{privateIpId}",
		create: body[core.CreatePrivateIpDetails], update: body[core.UpdatePrivateIpDetails], view: shape[core.PrivateIp],
		list: "oci:Core/getPrivateIps:getPrivateIps", summary: shape[core.PrivateIp], waits: true,
	},
	{
		token: "oci:Core/instanceConfiguration:InstanceConfiguration", path: "/" + cores + "instanceConfigurations/{instanceConfigurationId}",
		create: body[core.CreateInstanceConfigurationDetails], update: body[core.UpdateInstanceConfigurationDetails], view: shape[core.InstanceConfiguration],
		list: "oci:Core/getInstanceConfigurations:getInstanceConfigurations", summary: shape[core.InstanceConfigurationSummary], waits: true,
	},
	{
		token: "oci:Core/instancePool:InstancePool", path: "/" + cores + "instancePools/{instancePoolId}",
		create: body[core.CreateInstancePoolDetails], update: body[core.UpdateInstancePoolDetails], view: shape[core.InstancePool],
		list: "oci:Core/getInstancePools:getInstancePools", summary: shape[core.InstancePoolSummary],
	},
	{
		token: "oci:Core/networkSecurityGroup:NetworkSecurityGroup", path: "/" + cores + "networkSecurityGroups/{networkSecurityGroupId}",
		create: body[core.CreateNetworkSecurityGroupDetails], update: body[core.UpdateNetworkSecurityGroupDetails], view: shape[core.NetworkSecurityGroup],
		list: "oci:Core/getNetworkSecurityGroups:getNetworkSecurityGroups", summary: shape[core.NetworkSecurityGroup],
	},
	{
		token: balancer, path: "/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}",
		create: body[nlb.CreateNetworkLoadBalancerDetails], update: body[nlb.UpdateNetworkLoadBalancerDetails], view: shape[nlb.NetworkLoadBalancer],
		list: "oci:NetworkLoadBalancer/getNetworkLoadBalancers:getNetworkLoadBalancers", summary: shape[nlb.NetworkLoadBalancerSummary],
		works: "NETWORK_LOAD_BALANCER",
	},
	{
		token: "oci:NetworkLoadBalancer/backendSet:BackendSet", path: "/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}/backendSets/{backendSetName}",
		create: body[nlb.CreateBackendSetDetails], update: body[nlb.UpdateBackendSetDetails], view: shape[nlb.BackendSet],
		list: "oci:NetworkLoadBalancer/getBackendSets:getBackendSets", summary: shape[nlb.BackendSetSummary], works: "BACKENDSET",
	},
	{
		token:  "oci:NetworkLoadBalancer/backend:Backend",
		path:   "/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}/backendSets/{backendSetName}/backends/{backendName}",
		create: body[nlb.CreateBackendDetails], update: body[nlb.UpdateBackendDetails], view: shape[nlb.Backend],
		list: "oci:NetworkLoadBalancer/getBackends:getBackends", summary: shape[nlb.BackendSummary], works: "BACKEND",
	},
	{
		token: "oci:NetworkLoadBalancer/listener:Listener", path: "/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}/listeners/{listenerName}",
		create: body[nlb.CreateListenerDetails], update: body[nlb.UpdateListenerDetails], view: shape[nlb.Listener],
		list: "oci:NetworkLoadBalancer/getListeners:getListeners", summary: shape[nlb.ListenerSummary], works: "LISTENER",
	},
}

// lookups of the stack, and of clients on its behalf.
var lookups = []lookup{
	{"/" + cores + "availabilityDomains", "oci:Identity/getAvailabilityDomains:getAvailabilityDomains", "availabilityDomains", shape[identity.AvailabilityDomain]},
	{"/" + cores + "vcns", "oci:Core/getVcns:getVcns", "virtualNetworks", shape[core.Vcn]},
	{"/" + cores + "subnets", "oci:Core/getSubnets:getSubnets", "subnets", shape[core.Subnet]},
	{"/" + cores + "subnets/{subnetId}", "oci:Core/getSubnet:getSubnet", "", shape[core.Subnet]},
	{"/" + cores + "volumeBackupPolicies", "oci:Core/getVolumeBackupPolicies:getVolumeBackupPolicies", "volumeBackupPolicies", shape[core.VolumeBackupPolicy]},
	{
		"/" + cores + "instancePools/{instancePoolId}/instances", "oci:Core/getInstancePoolInstances:getInstancePoolInstances",
		"instances", shape[core.InstanceSummary],
	},
	{
		"/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}/backendSets/{backendSetName}/health",
		"oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth", "", shape[nlb.BackendSetHealth],
	},
	{
		"/" + balancers + "networkLoadBalancers/{networkLoadBalancerId}/backendSets/{backendSetName}/backends/{backendName}/health",
		"oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth", "", shape[nlb.BackendHealth],
	},
}

const (
	privateIP    = "oci:Core/privateIp:PrivateIp"
	balancer     = "oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer"
	securityRule = "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule"
	rrset        = "oci:Dns/rrset:Rrset"
)

func (s *service) routes() {
	for _, r := range resources {
		s.serve(r)
	}
	for _, l := range lookups {
		s.look(l)
	}
	s.handle("GET "+bundlePath, s.getBundle)
	s.handle("PUT "+secretPath, s.updateSecret)
	group := "/" + cores + "networkSecurityGroups/{networkSecurityGroupId}"
	s.handle("GET "+group+"/securityRules",
		s.lists(group+"/securityRules", "oci:Core/getNetworkSecurityGroupSecurityRules:getNetworkSecurityGroupSecurityRules", shape[core.SecurityRule]))
	s.handle("POST "+group+"/actions/addSecurityRules", s.addRules)
	s.handle("POST "+group+"/actions/updateSecurityRules", s.updateRules)
	s.handle("POST "+group+"/actions/removeSecurityRules", s.removeRules)
	s.handle("POST /"+cores+"privateIps/{privateIpId}/actions/detach", s.detachAddress)
	s.handle("PUT /"+balancers+"networkLoadBalancers/{networkLoadBalancerId}/networkSecurityGroups", s.updateGroups)
	s.handle("GET /"+balancers+"workRequests/{workRequestId}", s.workRequest)
	s.handle("GET /"+balancers+"workRequests/{workRequestId}/errors", s.workRequestErrors)
	records := "/" + names + "zones/{zoneNameOrId}/records/{domain}/{rtype}"
	s.handle("GET "+records, s.getRecords)
	s.handle("PUT "+records, s.putRecords)
	s.handle("PATCH "+records, s.patchRecords)
	s.handle("DELETE "+records, s.deleteRecords)
}
