//go:build lab

package providers_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/dns"
	nlb "github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/cloudtest"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

// nodeProgram is all that one node of the stack has, with the official SDK.
func nodeProgram(addressName string) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		s := func(text string) pulumi.String { return pulumi.String(text) }
		tags := pulumi.StringMap{"emqx-cluster": pulumi.String("lab"), "group-index": pulumi.String("0")}
		group, err := core.NewNetworkSecurityGroup(ctx, "nodes", &core.NetworkSecurityGroupArgs{CompartmentId: s(cloud.CompartmentID), VcnId: s(cloud.VCNID), FreeformTags: tags})
		if err != nil {
			return err
		}
		_, err = core.NewNetworkSecurityGroupSecurityRule(ctx, "mqtt", &core.NetworkSecurityGroupSecurityRuleArgs{
			NetworkSecurityGroupId: group.ID(), Direction: s("INGRESS"), Protocol: s("6"), Source: s("0.0.0.0/0"), SourceType: s("CIDR_BLOCK"),
			TcpOptions: &core.NetworkSecurityGroupSecurityRuleTcpOptionsArgs{
				DestinationPortRange: &core.NetworkSecurityGroupSecurityRuleTcpOptionsDestinationPortRangeArgs{Min: pulumi.Int(1883), Max: pulumi.Int(1883)},
			},
		})
		if err != nil {
			return err
		}
		_, err = core.NewVolume(ctx, "data", &core.VolumeArgs{
			CompartmentId: s(cloud.CompartmentID), AvailabilityDomain: s("LAB:AD-1"), SizeInGbs: s("150"), VpusPerGb: s("10"), DisplayName: s("emqx-lab-0"), FreeformTags: tags,
		})
		if err != nil {
			return err
		}
		ip, err := core.NewPrivateIp(ctx, "address", &core.PrivateIpArgs{SubnetId: s(cloud.PrivateSubnet), Lifetime: s("RESERVED"), DisplayName: s(addressName), FreeformTags: tags})
		if err != nil {
			return err
		}
		config, err := core.NewInstanceConfiguration(ctx, "config", &core.InstanceConfigurationArgs{
			CompartmentId: s(cloud.CompartmentID), DisplayName: s("emqx-lab-0"), FreeformTags: tags,
			InstanceDetails: &core.InstanceConfigurationInstanceDetailsArgs{
				InstanceType: s("compute"),
				LaunchDetails: &core.InstanceConfigurationInstanceDetailsLaunchDetailsArgs{
					CompartmentId: s(cloud.CompartmentID), AvailabilityDomain: s("LAB:AD-1"), Shape: s("VM.Standard.E4.Flex"), FreeformTags: tags,
					ShapeConfig:   &core.InstanceConfigurationInstanceDetailsLaunchDetailsShapeConfigArgs{Ocpus: pulumi.Float64(2), MemoryInGbs: pulumi.Float64(16)},
					SourceDetails: &core.InstanceConfigurationInstanceDetailsLaunchDetailsSourceDetailsArgs{SourceType: s("image"), ImageId: s(cloud.ImageID), BootVolumeSizeInGbs: s("50")},
					CreateVnicDetails: &core.InstanceConfigurationInstanceDetailsLaunchDetailsCreateVnicDetailsArgs{
						SubnetId: s(cloud.PrivateSubnet), AssignPublicIp: pulumi.Bool(false), NsgIds: pulumi.StringArray{group.ID()},
					},
					Metadata: pulumi.StringMap{"user_data": s("IyEvYmluL3NoCg==")},
				},
			},
		})
		if err != nil {
			return err
		}
		_, err = core.NewInstancePool(ctx, "pool", &core.InstancePoolArgs{
			CompartmentId: s(cloud.CompartmentID), InstanceConfigurationId: config.ID(), Size: pulumi.Int(1), DisplayName: s("emqx-lab-0"),
			InstanceDisplayNameFormatter: s("emqx-lab-0"), FreeformTags: tags,
			PlacementConfigurations: core.InstancePoolPlacementConfigurationArray{&core.InstancePoolPlacementConfigurationArgs{
				AvailabilityDomain: s("LAB:AD-1"), PrimarySubnetId: s(cloud.PrivateSubnet),
			}},
		})
		if err != nil {
			return err
		}
		edge, err := nlb.NewNetworkLoadBalancer(ctx, "edge", &nlb.NetworkLoadBalancerArgs{
			CompartmentId: s(cloud.CompartmentID), DisplayName: s("emqx-lab"), SubnetId: s(cloud.PublicSubnet), NetworkSecurityGroupIds: pulumi.StringArray{group.ID()},
		})
		if err != nil {
			return err
		}
		var last pulumi.Resource = edge
		for _, name := range []string{"mqtt", "mqtts"} {
			set, err := nlb.NewBackendSet(ctx, name, &nlb.BackendSetArgs{
				NetworkLoadBalancerId: edge.ID(), Name: s(name), Policy: s("FIVE_TUPLE"), IsPreserveSource: pulumi.Bool(true),
				HealthChecker: &nlb.BackendSetHealthCheckerArgs{Protocol: s("HTTP"), Port: pulumi.Int(8080), UrlPath: s("/haproxy_health"), ReturnCode: pulumi.Int(200), IntervalInMillis: pulumi.Int(1000)},
			}, pulumi.DependsOn([]pulumi.Resource{last})) // two at a time are refused
			if err != nil {
				return err
			}
			backend, err := nlb.NewBackend(ctx, name, &nlb.BackendArgs{
				NetworkLoadBalancerId: edge.ID(), BackendSetName: set.Name, Name: s("emqx-lab-0"), IpAddress: ip.IpAddress, Port: pulumi.Int(1883),
			})
			if err != nil {
				return err
			}
			last, err = nlb.NewListener(ctx, name, &nlb.ListenerArgs{
				NetworkLoadBalancerId: edge.ID(), Name: s(name), DefaultBackendSetName: set.Name, Port: pulumi.Int(1883 + len(name)), Protocol: s("TCP"), TcpIdleTimeout: pulumi.Int(600),
			}, pulumi.DependsOn([]pulumi.Resource{backend}))
			if err != nil {
				return err
			}
		}
		public := edge.IpAddresses.ApplyT(func(all []nlb.NetworkLoadBalancerIpAddress) string {
			for _, a := range all {
				if a.IsPublic != nil && *a.IsPublic && a.IpAddress != nil {
					return *a.IpAddress
				}
			}
			return ""
		}).(pulumi.StringOutput)
		_, err = dns.NewRrset(ctx, "name", &dns.RrsetArgs{
			ZoneNameOrId: s(cloud.ZoneName), Domain: s("mqtt." + cloud.ZoneName), Rtype: s("A"),
			Items: dns.RrsetItemArray{&dns.RrsetItemArgs{Domain: s("mqtt." + cloud.ZoneName), Rtype: s("A"), Ttl: pulumi.Int(30), Rdata: public}},
		})
		ctx.Export("public", public)
		ctx.Export("address", ip.IpAddress)
		return err
	}
}

// TestTheLabsCloudOnTheEngine drives the real control plane through the real
// engine: what it answers must never look like a change.
func TestTheLabsCloudOnTheEngine(t *testing.T) {
	c, err := cloud.Open(t.TempDir(), cloudtest.NewMachine(), cloud.Options{})
	assert.NilError(t, err)
	e := newEngine(t, providers.Config{OCI: c})

	_, res := e.up(nodeProgram("emqx-lab-0"))
	assert.Assert(t, strings.HasPrefix(res.Outputs["public"].Value.(string), "198.51.100."), res.Outputs["public"].Value)
	assert.Assert(t, strings.HasPrefix(res.Outputs["address"].Value.(string), "10.80.1."), res.Outputs["address"].Value)
	same, _ := e.up(nodeProgram("emqx-lab-0"))
	assert.DeepEqual(t, same, map[string]int{})
	e.refresh() // the outputs that move by themselves; the inputs must not
	same, _ = e.up(nodeProgram("emqx-lab-0"))
	assert.DeepEqual(t, same, map[string]int{})

	// The node claims its address, as the boot script does.
	instance := c.Snapshot().Instances[0].ID
	var vnics []struct{ VnicID string }
	raw, _, ok := c.Metadata(instance, "/opc/v2/vnics/")
	assert.Assert(t, ok)
	assert.NilError(t, json.Unmarshal(raw, &vnics))
	oci := func(args ...string) []byte {
		out, errs, exit := c.CLI(t.Context(), instance, append([]string{"--auth", "instance_principal"}, args...))
		assert.Equal(t, exit, 0, "%s", errs)
		return out
	}
	address, _ := res.Outputs["address"].Value.(string)
	claimed := func() string {
		var list struct {
			Data []struct {
				Address string `json:"ip-address"`
				Name    string `json:"display-name"`
				VnicID  string `json:"vnic-id"`
			}
		}
		out := oci("network", "private-ip", "list", "--subnet-id", cloud.PrivateSubnet, "--all")
		assert.NilError(t, json.Unmarshal(out, &list))
		for _, ip := range list.Data {
			if ip.Address == address {
				assert.Equal(t, ip.Name, "emqx-lab-0")
				return ip.VnicID
			}
		}
		return "none"
	}
	oci("network", "vnic", "assign-private-ip", "--vnic-id", vnics[0].VnicID, "--unassign-if-already-assigned",
		"--ip-address", address)
	assert.Equal(t, claimed(), vnics[0].VnicID)
	same, _ = e.up(nodeProgram("emqx-lab-0"))
	assert.DeepEqual(t, same, map[string]int{})
	updated, _ := e.up(nodeProgram("renamed"))
	assert.DeepEqual(t, updated, map[string]int{"update": 1})
	assert.Equal(t, claimed(), "", "the update took the address off its node, and changed no name")

	e.destroy()
	snapshot := c.Snapshot()
	assert.Equal(t, len(snapshot.Instances), 0)
}
