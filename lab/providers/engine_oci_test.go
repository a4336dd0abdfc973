//go:build lab

package providers_test

import (
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/core"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/dns"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

type ociSettings struct {
	size, address, userData, volumeAD string
	addressName                       string
	ignoreVnic                        bool
	timeouts                          string
}

func ociProgram(s ociSettings) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		const compartment = "ocid1.compartment.oc1..lab"
		var ads struct {
			AvailabilityDomains []struct {
				Name string `pulumi:"name"`
			} `pulumi:"availabilityDomains"`
		}
		if err := ctx.Invoke("oci:Identity/getAvailabilityDomains:getAvailabilityDomains", map[string]any{"compartmentId": compartment}, &ads); err != nil {
			return err
		}
		ad := ads.AvailabilityDomains[0].Name
		if s.volumeAD != "" {
			ad = s.volumeAD
		}
		var opts []pulumi.ResourceOption
		if s.timeouts != "" {
			opts = append(opts, pulumi.Timeouts(&pulumi.CustomTimeouts{Create: s.timeouts}))
		}
		volume, err := core.NewVolume(ctx, "data", &core.VolumeArgs{
			CompartmentId: pulumi.String(compartment), AvailabilityDomain: pulumi.String(ad),
			SizeInGbs: pulumi.String(s.size), FreeformTags: pulumi.StringMap{"group-index": pulumi.String("0")},
		}, opts...)
		if err != nil {
			return err
		}
		var ipOpts []pulumi.ResourceOption
		if s.ignoreVnic {
			ipOpts = append(ipOpts, pulumi.IgnoreChanges([]string{"vnicId"}))
		}
		ip, err := core.NewPrivateIp(ctx, "address", &core.PrivateIpArgs{
			SubnetId: pulumi.String("ocid1.subnet.oc1.lab-1.private"), IpAddress: pulumi.String(s.address),
			Lifetime: pulumi.String("RESERVED"), DisplayName: pulumi.String(s.addressName),
		}, ipOpts...)
		if err != nil {
			return err
		}
		_, err = core.NewInstanceConfiguration(ctx, "config", &core.InstanceConfigurationArgs{
			CompartmentId: pulumi.String(compartment),
			InstanceDetails: &core.InstanceConfigurationInstanceDetailsArgs{
				InstanceType: pulumi.String("compute"),
				LaunchDetails: &core.InstanceConfigurationInstanceDetailsLaunchDetailsArgs{
					Metadata: pulumi.StringMap{"user_data": pulumi.ToSecret(pulumi.String(s.userData)).(pulumi.StringOutput)},
				},
			},
		})
		if err != nil {
			return err
		}
		nlb, err := networkloadbalancer.NewNetworkLoadBalancer(ctx, "edge", &networkloadbalancer.NetworkLoadBalancerArgs{
			CompartmentId: pulumi.String(compartment), DisplayName: pulumi.String("edge"), SubnetId: pulumi.String("public"),
			NetworkSecurityGroupIds: pulumi.StringArray{pulumi.String("b"), pulumi.String("a")},
		})
		if err != nil {
			return err
		}
		set, err := networkloadbalancer.NewBackendSet(ctx, "set", &networkloadbalancer.BackendSetArgs{
			NetworkLoadBalancerId: nlb.ID(), Policy: pulumi.String("FIVE_TUPLE"), IsPreserveSource: pulumi.Bool(true),
			HealthChecker: &networkloadbalancer.BackendSetHealthCheckerArgs{Protocol: pulumi.String("HTTP"), Port: pulumi.Int(8080), UrlPath: pulumi.String("/haproxy_health")},
		})
		if err != nil {
			return err
		}
		_, err = networkloadbalancer.NewBackend(ctx, "backend", &networkloadbalancer.BackendArgs{
			NetworkLoadBalancerId: nlb.ID(), BackendSetName: set.Name, Name: pulumi.String("emqx-lab-0"),
			IpAddress: ip.IpAddress, Port: pulumi.Int(1883),
		})
		if err != nil {
			return err
		}
		_, err = dns.NewRrset(ctx, "name", &dns.RrsetArgs{
			ZoneNameOrId: pulumi.String("lab.test"), Domain: pulumi.String("mqtt.lab.test"), Rtype: pulumi.String("A"),
			Items: dns.RrsetItemArray{&dns.RrsetItemArgs{
				Domain: pulumi.String("mqtt.lab.test"), Rtype: pulumi.String("A"), Ttl: pulumi.Int(30),
				Rdata: nlb.IpAddresses.Index(pulumi.Int(0)).IpAddress().Elem(),
			}},
		})
		ctx.Export("setName", set.Name)
		ctx.Export("volume", volume.ID())
		ctx.Export("state", volume.State)
		return err
	}
}

func TestOCIOnTheEngine(t *testing.T) {
	m := newMemory()
	e := newEngine(t, providers.Config{OCI: m})
	s := ociSettings{size: "50", address: "10.80.1.10", addressName: "emqx-lab-0", userData: "#!/bin/sh topsecret"}

	created, res := e.up(ociProgram(s))
	assert.DeepEqual(t, created, map[string]int{"create": 8}) // seven and the stack
	assert.Equal(t, res.Outputs["state"].Value, "AVAILABLE")
	name, _ := res.Outputs["setName"].Value.(string)
	assert.Assert(t, strings.HasPrefix(name, "set-"), "a set without a name is named at random, got %q", name)
	_, record := m.find("rrset")
	assert.DeepEqual(t, record["items"], []any{map[string]any{"domain": "mqtt.lab.test", "rtype": "A", "ttl": 30.0, "rdata": "198.51.100.1"}})
	assert.Assert(t, !strings.Contains(e.state(), "topsecret"), "a secret input is plain in the state")
	_, config := m.find("instanceconfiguration")
	assert.Assert(t, config != nil && strings.Contains(asJSON(t, config), "topsecret"), "the cloud has to be given the secret itself")

	same, res := e.up(ociProgram(s))
	assert.DeepEqual(t, same, map[string]int{})
	assert.Equal(t, res.Outputs["setName"].Value, name)

	id, _ := m.find("volume")
	s.size = "60"
	assert.DeepEqual(t, e.preview(ociProgram(s)), map[string]int{"update": 1})
	updated, res := e.up(ociProgram(s))
	assert.DeepEqual(t, updated, map[string]int{"update": 1})
	assert.Equal(t, res.Outputs["volume"].Value, id, "grown in place")

	s.userData = "other"
	replaced, _ := e.up(ociProgram(s))
	assert.DeepEqual(t, replaced, map[string]int{"replace": 1})
	_, config = m.find("instanceconfiguration")
	assert.Assert(t, strings.Contains(asJSON(t, config), "other"), "the old configuration is gone")

	// Two follow each other: a new address is a new backend of the same name, and
	// that one has to go first.
	s.address = "10.80.1.11"
	replaced, _ = e.up(ociProgram(s))
	assert.DeepEqual(t, replaced, map[string]int{"replace": 2})

	// Somebody changed a volume and removed a record: the refresh sees it, the
	// next update puts it right.
	id, _ = m.find("volume")
	m.set(id, "sizeInGbs", "70")
	record0, _ := m.find("rrset")
	assert.NilError(t, m.Delete(t.Context(), "", record0))
	assert.DeepEqual(t, e.refresh(), map[string]int{"update": 1, "delete": 1})
	s.size = "80"
	mended, _ := e.up(ociProgram(s))
	assert.DeepEqual(t, mended, map[string]int{"update": 1, "create": 1})

	e.destroy()
	assert.Equal(t, len(m.all), 0)
}

func TestClaimedAddressOnTheEngine(t *testing.T) {
	m := newMemory()
	e := newEngine(t, providers.Config{OCI: m})
	s := ociSettings{size: "50", address: "10.80.1.10", addressName: "a", userData: "x"}
	e.up(ociProgram(s))
	id, _ := m.find("privateip")

	m.set(id, "vnicId", "vnic0") // the node claims it
	same, _ := e.up(ociProgram(s))
	assert.DeepEqual(t, same, map[string]int{})
	e.refresh()
	// A refresh alone makes the real provider plan the detach.
	assert.DeepEqual(t, e.preview(ociProgram(s)), map[string]int{"update": 1})
	s.ignoreVnic = true
	assert.DeepEqual(t, e.preview(ociProgram(s)), map[string]int{})
}

func TestOCIFaultsOnTheEngine(t *testing.T) {
	m := newMemory()
	e := newEngine(t, providers.Config{OCI: m})

	good := ociProgram(ociSettings{size: "50", address: "10.80.1.10", addressName: "a", userData: "x"})

	raw := func(ctx *pulumi.Context) error {
		var r pulumi.CustomResourceState
		return ctx.RegisterResource("oci:Core/volume:Volume", "x", pulumi.Map{
			"compartmentId": pulumi.String("c"), "bogus": pulumi.String("b"), "freeformTags": pulumi.String("t"),
		}, &r)
	}
	text := e.previewFails(raw)
	for _, want := range []string{
		"Missing required property 'availabilityDomain'",
		"Invalid or unknown key. Examine values at 'x.bogus'.",
		"Attribute must be a map. Examine values at 'x.freeformTags'.",
	} {
		assert.Assert(t, strings.Contains(text, want), "%q is not in:\n%s", want, text)
	}

	m.fail["oci:NetworkLoadBalancer/backendSet:BackendSet"] = &cloud.Error{Status: 409, Code: "IncorrectState", Message: "Invalid State Transition of NLB lifeCycle state from Updating to Updating"}
	text = e.upFails(good)
	assert.Assert(t, strings.Contains(text, "409-IncorrectState, Invalid State Transition of NLB"), text)
	assert.Assert(t, strings.Contains(text, "Network Load Balancer Backend Set"), text)
	delete(m.fail, "oci:NetworkLoadBalancer/backendSet:BackendSet")
	rest, _ := e.up(good)
	assert.DeepEqual(t, rest, map[string]int{"create": 2}) // it continues: the set and its backend
	e.destroy()

	m.slow = 3 * time.Second
	text = e.upFails(ociProgram(ociSettings{size: "50", address: "10.80.1.10", addressName: "a", userData: "x", timeouts: "1s"}))
	assert.Assert(t, strings.Contains(text, "timeout while waiting after 1s"), text)
}
