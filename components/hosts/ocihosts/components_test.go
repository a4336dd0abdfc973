package ocihosts

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/recorder/recordertest"
)

var boot = BootArgs{Environment: "test", ConsulServers: []string{"10.0.2.10"}, NomadServers: []string{"10.0.2.10:4647"}}

func testNodes(t *testing.T, count int) []cluster.Node {
	t.Helper()
	nodes, err := Place("test", count, []string{"AD-1", "AD-2"})
	assert.NilError(t, err)
	return nodes
}

func build(t *testing.T, program pulumi.RunFunc) *recorder.Recording {
	t.Helper()
	return recordertest.Build(t, program, recorder.Options{Outputs: cloudOutputs, Call: pools()})
}

// pools answers the question for the pools that there are.
func pools(there ...map[string]any) func(string, resource.PropertyMap) (map[string]any, error) {
	return func(token string, _ resource.PropertyMap) (map[string]any, error) {
		if token != "oci:Core/getInstancePools:getInstancePools" {
			return nil, fmt.Errorf("calling %s: the test has no answer", token)
		}
		all := make([]any, len(there))
		for i, p := range there {
			all[i] = p
		}
		return map[string]any{"instancePools": all}, nil
	}
}

// cloudOutputs are what OCI adds to what it was given.
func cloudOutputs(r recorder.Resource) map[string]any {
	if strings.HasSuffix(r.Type, ":PrivateIp") {
		return map[string]any{"ipAddress": "10.0.1.9"}
	}
	return nil
}

func TestVolumes(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		v, err := NewVolumes(ctx, "volumes", &VolumesArgs{
			Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 3), BackupPolicyID: "policy", Protect: true,
			Tags: map[string]string{"team": "iot", "emqx-cluster": "other"},
		})
		assert.Equal(t, len(v.Each), 3)
		return err
	})
	volumes := r.Kind("Volume")
	assert.Equal(t, len(volumes), 3)
	for i, v := range volumes {
		assert.Equal(t, v.Parent, "volumes")
		assert.Equal(t, v.Type, "oci:Core/volume:Volume")
		assert.Assert(t, v.Protect)
		assert.Equal(t, v.Inputs["sizeInGbs"].StringValue(), "150")
		assert.Equal(t, v.Inputs["vpusPerGb"].StringValue(), "10")
		assert.Equal(t, v.Inputs["availabilityDomain"].StringValue(), fmt.Sprintf("AD-%d", i%2+1))
		assert.DeepEqual(t, v.Inputs["freeformTags"].ObjectValue().Mappable(), map[string]any{
			"emqx-cluster": "test", "group-index": fmt.Sprint(i), "pool_type": "emqx", "team": "iot",
		})
	}
	assert.Equal(t, len(r.Kind("VolumeBackupPolicyAssignment")), 3)

	zero := 0
	r = build(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 1), VPUsPerGB: &zero})
		return err
	})
	assert.Equal(t, r.Kind("Volume")[0].Inputs["vpusPerGb"].StringValue(), "0", "lower cost is a choice, not a gap")
	assert.Equal(t, len(r.Kind("VolumeBackupPolicyAssignment")), 0)

	r = build(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{
			Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 2), SizesGB: []int{50, 300},
		})
		return err
	})
	assert.Equal(t, r.Kind("Volume")[0].Inputs["sizeInGbs"].StringValue(), "50")
	assert.Equal(t, r.Kind("Volume")[1].Inputs["sizeInGbs"].StringValue(), "300")

	r = build(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{
			Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 3), BackupPolicyID: "policy", Retain: true,
			Restore: map[int]string{1: "backup"}, Adopt: map[int]string{2: "kept"},
		})
		return err
	})
	for i, v := range r.Kind("Volume") {
		assert.Assert(t, v.Retain && r.Kind("VolumeBackupPolicyAssignment")[i].Retain)
		assert.DeepEqual(t, v.IgnoreChanges, []string{"sourceDetails"})
		source := v.Inputs["sourceDetails"]
		assert.Equal(t, source.IsObject(), i == 1)
		if i == 1 {
			assert.DeepEqual(t, source.ObjectValue().Mappable(), map[string]any{"type": "volumeBackup", "id": "backup"})
		}
		assert.Equal(t, v.Import, map[int]string{2: "kept"}[i])
	}
	r = build(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{
			Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 2), Adopt: map[int]string{1: "kept"},
		})
		return err
	})
	assert.Assert(t, !r.Kind("Volume")[0].Retain && r.Kind("Volume")[1].Retain, "what is taken over is not deleted by a slip of the pen")
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{
			Environment: "test", CompartmentID: "c", Nodes: testNodes(t, 1), Restore: map[int]string{1: "backup"}, Adopt: map[int]string{-1: "kept"},
		})
		return err
	}, "adopt", "restore")

	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", &VolumesArgs{SizesGB: []int{10}})
		return err
	}, "compartmentId", "environment", "nodes", "sizesGb", "sizesGb[0]")
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewVolumes(ctx, "volumes", nil)
		return err
	}, "compartmentId", "environment", "nodes")
}

func TestAddresses(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		_, err := NewAddresses(ctx, "addresses", &AddressesArgs{Environment: "test", SubnetID: "s", Nodes: testNodes(t, 2)})
		return err
	})
	ips := r.Kind("PrivateIp")
	assert.Equal(t, len(ips), 2)
	for i, ip := range ips {
		assert.Equal(t, ip.Inputs["lifetime"].StringValue(), "RESERVED")
		assert.Equal(t, ip.Inputs["subnetId"].StringValue(), "s")
		assert.Equal(t, ip.Inputs["freeformTags"].ObjectValue()["group-index"].StringValue(), fmt.Sprint(i))
		assert.Assert(t, !ip.Inputs.HasValue("vnicId"), "the boot script claims it")
		assert.DeepEqual(t, ip.IgnoreChanges, updatable)
	}
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewAddresses(ctx, "addresses", &AddressesArgs{Nodes: []cluster.Node{{Index: 1, Name: "x"}}})
		return err
	}, "environment", "nodes[0].index", "nodes[0].zone", "subnetId")
}

func TestInstancePools(t *testing.T) {
	args := func(ctx *pulumi.Context) *InstancePoolsArgs {
		return &InstancePoolsArgs{
			Environment: "test", CompartmentID: "c", SubnetID: "s", ImageID: "i", Shape: "VM.Standard.E5.Flex",
			SecurityGroupID: pulumi.String("group"), Nodes: testNodes(t, 2), Boot: boot, SSHKey: "ssh-ed25519 AAAA",
			BootVolumeVPUsPerGB: 20, Domains: 2,
		}
	}
	r := build(t, func(ctx *pulumi.Context) error {
		_, err := NewInstancePools(ctx, "pools", args(ctx))
		return err
	})
	pools, configs := r.Kind("InstancePool"), r.Kind("InstanceConfiguration")
	assert.Equal(t, len(pools), 2)
	assert.Equal(t, len(configs), 2)
	scripts := map[string]bool{}
	for i, pool := range pools {
		assert.Equal(t, pool.Inputs["size"].NumberValue(), 1.0)
		assert.Equal(t, pool.Inputs["instanceDisplayNameFormatter"].StringValue(), fmt.Sprintf("emqx-test-%d", i))
		assert.DeepEqual(t, pool.DependsOn, []string{configs[i].Name})
		launch := configs[i].Inputs["instanceDetails"].ObjectValue()["launchDetails"].ObjectValue()
		assert.DeepEqual(t, launch["sourceDetails"].ObjectValue().Mappable(), map[string]any{
			"sourceType": "image", "imageId": "i", "bootVolumeSizeInGbs": "50", "bootVolumeVpusPerGb": "20",
		})
		assert.Assert(t, launch["instanceOptions"].ObjectValue()["areLegacyImdsEndpointsDisabled"].BoolValue())
		placed := pool.Inputs["placementConfigurations"].ArrayValue()[0].ObjectValue()
		assert.Equal(t, placed["faultDomains"].ArrayValue()[0].StringValue(), fmt.Sprintf("FAULT-DOMAIN-%d", faultDomain(i, 2)))
		vnic := launch["createVnicDetails"].ObjectValue()
		assert.Equal(t, vnic["assignPublicIp"].BoolValue(), false)
		assert.Equal(t, vnic["nsgIds"].ArrayValue()[0].StringValue(), "group")
		assert.Assert(t, !vnic.HasValue("hostnameLabel"), "a relaunch would be refused while the dead instance holds it")
		metadata := launch["metadata"].ObjectValue()
		scripts[metadata["user_data"].StringValue()] = true
		assert.Equal(t, metadata["ssh_authorized_keys"].StringValue(), "ssh-ed25519 AAAA")
		assert.Equal(t, launch["freeformTags"].ObjectValue()["group-index"].StringValue(), fmt.Sprint(i))
	}
	assert.Equal(t, len(scripts), 2, "each node is told its own index")

	// A second run must render the same user data, or every update would replace
	// all configurations.
	again := build(t, func(ctx *pulumi.Context) error {
		_, err := NewInstancePools(ctx, "pools", args(ctx))
		return err
	})
	assert.Equal(t, again.Text(), r.Text())
	for _, config := range again.Kind("InstanceConfiguration") {
		launch := config.Inputs["instanceDetails"].ObjectValue()["launchDetails"].ObjectValue()
		assert.Assert(t, scripts[launch["metadata"].ObjectValue()["user_data"].StringValue()])
	}

	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewInstancePools(ctx, "pools", &InstancePoolsArgs{
			Nodes: testNodes(t, 2), Boot: boot, BootVolumeGB: 20, BootVolumeVPUsPerGB: 15, Needs: make([][]pulumi.Resource, 1),
		})
		return err
	}, "bootVolumeGb", "bootVolumeVpusPerGb", "compartmentId", "environment", "imageId", "needs", "securityGroupId", "shape", "subnetId")
}

// The port table of SecurityGroups, exactly.
func TestSecurityGroupsArePortTable(t *testing.T) {
	for _, tls := range []bool{true, false} {
		r := build(t, func(ctx *pulumi.Context) error {
			_, err := NewSecurityGroups(ctx, "groups", &SecurityGroupsArgs{
				Environment: "test", CompartmentID: "c", VCNID: "v", Listeners: cluster.Listeners(cluster.DefaultPorts, tls),
				ClientCIDRs: []string{"203.0.113.0/24", "198.51.100.0/24"}, ServerCIDRs: []string{"10.0.2.0/24"},
			})
			return err
		})
		ports := []int{1883, 8083}
		if tls {
			ports = []int{1883, 8883, 8083, 8084}
		}
		var want []string
		for _, cidr := range []string{"203.0.113.0/24", "198.51.100.0/24"} {
			for _, p := range ports {
				want = append(want,
					fmt.Sprintf("balancer in 6 %d-%d from %s", p, p, cidr), fmt.Sprintf("nodes in 6 %d-%d from %s", p, p, cidr))
			}
		}
		want = append(want,
			"nodes in 6 8080-8080 from balancer",
			"nodes in 6 4370-4370 from nodes", "nodes in 6 5370-5370 from nodes", "nodes in 6 18083-18083 from nodes",
			"nodes in 6 21883-21883 from nodes", "nodes in 6 21983-21983 from nodes", "nodes in 6 8301-8301 from nodes", "nodes in 17 8301-8301 from nodes",
			"nodes in 6 8301-8301 from 10.0.2.0/24", "nodes in 17 8301-8301 from 10.0.2.0/24",
			"balancer out all to 0.0.0.0/0", "nodes out all to 0.0.0.0/0",
		)
		if tls {
			want = append(want, "nodes in 6 21884-21884 from nodes", "nodes in 6 21984-21984 from nodes")
		}
		var got []string
		for _, x := range r.Kind("NetworkSecurityGroupSecurityRule") {
			assert.Equal(t, x.Inputs["stateless"].BoolValue(), false)
			got = append(got, ruleText(x.Inputs))
		}
		slices.Sort(want)
		slices.Sort(got)
		assert.DeepEqual(t, got, want)
	}
	// Other ports, and somebody who may see the dashboard.
	r := build(t, func(ctx *pulumi.Context) error {
		ports := cluster.Ports{MQTT: 2883, WS: 2884, Admin: 9080, Broker: cluster.BrokerPorts{MQTT: 30001, WS: 30002}}
		_, err := NewSecurityGroups(ctx, "groups", &SecurityGroupsArgs{
			Environment: "test", CompartmentID: "c", VCNID: "v", Listeners: cluster.Listeners(ports, false), AdminPort: ports.Admin,
			ClientCIDRs: []string{"203.0.113.0/24"}, ServerCIDRs: []string{"10.0.2.0/24"}, DashboardCIDRs: []string{"10.9.0.0/24"},
		})
		return err
	})
	var got []string
	for _, x := range r.Kind("NetworkSecurityGroupSecurityRule") {
		got = append(got, ruleText(x.Inputs))
	}
	for _, rule := range []string{
		"balancer in 6 2883-2883 from 203.0.113.0/24", "nodes in 6 2884-2884 from 203.0.113.0/24",
		"nodes in 6 9080-9080 from balancer", "nodes in 6 18083-18083 from 10.9.0.0/24",
	} {
		assert.Assert(t, slices.Contains(got, rule), "%s is missing in %v", rule, got)
	}
	for _, port := range []string{"1883", "8083", "8080"} {
		assert.Assert(t, !strings.Contains(strings.Join(got, "\n"), " "+port+"-"), "%s is open", port)
	}
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewSecurityGroups(ctx, "groups", &SecurityGroupsArgs{
			Environment: "test", CompartmentID: "c", VCNID: "v", Listeners: cluster.Listeners(cluster.DefaultPorts, true),
			ClientCIDRs: []string{"10.0.0.1/8", "x", "10.0.0.0/8", "10.0.0.0/8"}, DashboardCIDRs: []string{"vpn"}, AdminPort: 80800,
		})
		return err
	}, "adminPort", "clientCidrs[0]", "clientCidrs[1]", "clientCidrs[3]", "dashboardCidrs[0]", "serverCidrs")
}

func ruleText(in resource.PropertyMap) string {
	side := func(key string) string {
		return strings.TrimPrefix(in[resource.PropertyKey(key)].StringValue(), "id-groups-")
	}
	group := side("networkSecurityGroupId")
	if in["direction"].StringValue() == "EGRESS" {
		return fmt.Sprintf("%s out %s to %s", group, in["protocol"].StringValue(), side("destination"))
	}
	options := in["tcpOptions"]
	if in["protocol"].StringValue() == "17" {
		options = in["udpOptions"]
	}
	ports := options.ObjectValue()["destinationPortRange"].ObjectValue()
	peer, kind := side("source"), "CIDR_BLOCK"
	if peer == balancerGroup || peer == nodesGroup {
		kind = "NETWORK_SECURITY_GROUP"
	}
	if in["sourceType"].StringValue() != kind {
		peer += " as " + in["sourceType"].StringValue()
	}
	return fmt.Sprintf("%s in %s %v-%v from %s", group, in["protocol"].StringValue(),
		ports["min"].NumberValue(), ports["max"].NumberValue(), peer)
}

// Behind a balancer that takes connections itself no client's address comes as far as the nodes: they admit its group, and
// clients only to what it does not have.
func TestTheNodesAdmitTheBalancerAlone(t *testing.T) {
	listeners := cluster.Listeners(cluster.DefaultPorts, false)
	listeners[1].Inside, listeners[1].ClientCIDRs = true, []string{"10.9.0.0/16"}
	args := &SecurityGroupsArgs{
		ClientCIDRs: []string{"203.0.113.0/24"}, ServerCIDRs: []string{"10.0.2.0/24"}, Listeners: listeners, AdminPort: 8080,
		Arrival: cluster.Arrival{ProxyProtocolFrom: "10.0.0.0/24"},
	}
	got := map[string]bool{}
	for _, r := range args.rules() {
		got[r.name()] = true
	}
	for name, want := range map[string]bool{
		"balancer-in-tcp-1883-from-203.0.113.0-24": true, "nodes-in-tcp-1883-from-balancer": true, "nodes-in-tcp-1883-from-203.0.113.0-24": false,
		"nodes-in-tcp-8083-from-10.9.0.0-16": true, "nodes-in-tcp-8083-from-balancer": false, "nodes-in-tcp-8080-from-balancer": true,
	} {
		assert.Equal(t, got[name], want, name)
	}
}
