package stacks

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// set puts values into groups of a configuration: "nodes" with `{"count": 2}`.
func set(t *testing.T, config map[string]string, group, values string) {
	t.Helper()
	have, more := map[string]any{}, map[string]any{}
	if text, ok := config["emqx-oci:"+group]; ok {
		assert.NilError(t, json.Unmarshal([]byte(text), &have))
	}
	assert.NilError(t, json.Unmarshal([]byte(values), &more))
	maps.Copy(have, more)
	body, err := json.Marshal(have)
	assert.NilError(t, err)
	config["emqx-oci:"+group] = string(body)
}

// with records the lab's stack with other settings, by group.
func with(t *testing.T, tls, preview bool, groups map[string]string) run {
	t.Helper()
	r, err := record(t, "lab", tls, preview, func(config map[string]string) {
		for group, values := range groups {
			set(t, config, group, values)
		}
	})
	assert.NilError(t, err)
	return r
}

const otherPorts = `{"mqtt": 2883, "mqtts": 2884, "ws": 2885, "wss": 2886, "admin": 9080,
	"broker": {"mqtt": 31001, "mqtts": 31002, "ws": 31003, "wss": 31004}}`

// One setting, and nothing on the path keeps a default.
func TestPortsAreTheStacksEverywhere(t *testing.T) {
	r := with(t, true, false, map[string]string{"ports": otherPorts})
	for _, x := range r.Resources {
		for _, n := range numbers(resource.NewObjectProperty(x.Inputs)) {
			assert.Assert(t, !slices.Contains([]float64{1883, 8883, 8083, 8084, 8080, 21883, 21884, 21983, 21984}, n), "%s %s has %v", x.Type, x.Name, n)
		}
		for key, value := range x.Inputs {
			for _, text := range recorder.Texts(value) {
				if key != "jobspec" { // whose checks and comments have no port of HAProxy's: the variables do
					assert.Assert(t, !strings.Contains(text, "1883") && !strings.Contains(text, "8883"), "%s %s: %s", x.Type, x.Name, key)
				}
			}
		}
	}
	haproxy, _ := r.Find("Job", "haproxy")
	assert.Equal(t, haproxy.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()["ports"].StringValue(),
		"{mqtt = 2883, mqtts = 2884, ws = 2885, wss = 2886, admin = 9080}")
	emqx, _ := r.Find("Job", "emqx")
	assert.Equal(t, emqx.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()["ports"].StringValue(), "{mqtt = 31001, mqtts = 31002, ws = 31003, wss = 31004}")
	listening := map[float64]int{}
	for _, x := range r.Kind("Listener") {
		listening[x.Inputs["port"].NumberValue()]++
	}
	assert.DeepEqual(t, listening, map[float64]int{2883: 1, 2884: 1, 2885: 1, 2886: 1})
	backends := map[float64]int{}
	for _, x := range r.Kind(setKind) {
		assert.Equal(t, x.Inputs["healthChecker"].ObjectValue()["port"].NumberValue(), 9080.0)
		for _, b := range x.Inputs["backends"].ArrayValue() {
			backends[b.ObjectValue()["port"].NumberValue()]++
		}
	}
	assert.DeepEqual(t, backends, map[float64]int{2883: 3, 2884: 3, 2885: 3, 2886: 3})
	for _, rule := range []string{"9080-from-balancer", "31001-from-nodes", "31002-from-nodes", "31003-from-nodes", "31004-from-nodes"} {
		_, ok := r.Find("NetworkSecurityGroupSecurityRule", "groups-nodes-in-tcp-"+rule)
		assert.Assert(t, ok, rule)
	}
	assert.DeepEqual(t, r.outputs["endpoints"], map[string]string{
		"mqtt": "mqtt://mqtt.lab.test:2883", "mqtts": "mqtts://mqtt.lab.test:2884",
		"ws": "ws://mqtt.lab.test:2885/mqtt", "wss": "wss://mqtt.lab.test:2886/mqtt",
	})
	entries, _ := r.Find("Keys", "entries")
	assert.Assert(t, strings.Contains(fmt.Sprint(entries.Inputs.Mappable()), "wss://mqtt.lab.test:2886/mqtt"))
}

// A node that goes leaves its volume as it is.
func TestVolumesBeyondTheNodes(t *testing.T) {
	volumes := `{"count": 4, "sizeGb": 50, "sizeGbByNode": {"1": 60}}`
	three := with(t, true, false, map[string]string{"volumes": volumes})
	two := with(t, true, false, map[string]string{"volumes": volumes, "nodes": `{"count": 2}`})
	var sizes, domains []string
	for _, v := range three.Kind("Volume") {
		sizes = append(sizes, v.Inputs["sizeInGbs"].StringValue())
		domains = append(domains, v.Inputs["availabilityDomain"].StringValue())
	}
	assert.DeepEqual(t, sizes, []string{"50", "60", "50", "50"})
	assert.DeepEqual(t, domains, []string{"EXAMPLE:AD-1", "EXAMPLE:AD-2", "EXAMPLE:AD-3", "EXAMPLE:AD-1"})
	assert.DeepEqual(t, two.Kind("Volume"), three.Kind("Volume"))

	for kind, each := range map[string]int{"InstancePool": 1, "InstanceConfiguration": 1, "PrivateIp": 1, "Service": 1} {
		assert.Equal(t, len(three.Kind(kind)), 3*each, kind)
		assert.Equal(t, len(two.Kind(kind)), 2*each, kind)
	}
	for nodes, r := range map[int][]recorder.Resource{2: two.Kind(setKind), 3: three.Kind(setKind)} {
		assert.Equal(t, len(r), 4)
		for _, set := range r {
			assert.Equal(t, len(set.Inputs["backends"].ArrayValue()), nodes, set.Name)
		}
	}
	for _, job := range two.Kind("Job") {
		assert.Equal(t, job.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()["node_count"].StringValue(), "2")
	}
}

func TestNetworkByNameReachesTheResources(t *testing.T) {
	r := with(t, true, true, map[string]string{
		"network": `{"vcn": "iot", "publicSubnet": "public", "privateSubnet": "private"}`,
	})
	balancer, _ := r.Find("NetworkLoadBalancer", "balancer")
	assert.Equal(t, balancer.Inputs["subnetId"].StringValue(), "ocid1.subnet.oc1..named-public")
	for _, g := range r.Kind("NetworkSecurityGroup") {
		assert.Equal(t, g.Inputs["vcnId"].StringValue(), "ocid1.vcn.oc1..named-iot")
	}
	for _, ip := range r.Kind("PrivateIp") {
		assert.Equal(t, ip.Inputs["subnetId"].StringValue(), "ocid1.subnet.oc1..named-private")
	}
	for _, pool := range r.Kind("InstancePool") {
		placement := pool.Inputs["placementConfigurations"].ArrayValue()[0].ObjectValue()
		assert.Equal(t, placement["primarySubnetId"].StringValue(), "ocid1.subnet.oc1..named-private")
	}
}

func TestDashboardIsOpenToItsRangesOnly(t *testing.T) {
	opens := func(r run) (peers []string) {
		for _, x := range r.Kind("NetworkSecurityGroupSecurityRule") {
			if strings.Contains(x.Name, "18083") {
				peers = append(peers, x.Inputs["source"].StringValue())
			}
		}
		return peers
	}
	assert.DeepEqual(t, opens(mustRecord(t, "lab", true, false)), []string{"id-groups-nodes"})
	r := with(t, true, false, map[string]string{"network": `{"dashboardCidrs": ["10.9.0.0/24"]}`})
	assert.DeepEqual(t, opens(r), []string{"10.9.0.0/24", "id-groups-nodes"})
}

func TestBootVolumesHaveTheirPerformance(t *testing.T) {
	for _, c := range with(t, true, false, map[string]string{"nodes": `{"bootVolumeVpusPerGb": 20}`}).Kind("InstanceConfiguration") {
		source := c.Inputs["instanceDetails"].ObjectValue()["launchDetails"].ObjectValue()["sourceDetails"].ObjectValue()
		assert.Equal(t, source["bootVolumeVpusPerGb"].StringValue(), "20")
	}
}

// By address or by the address's OCID, and never by the instance, which does not
// survive a relaunch.
func TestBackendsByPrivateIP(t *testing.T) {
	for how, want := range map[string]string{"address": "ipAddress", "privateIp": "targetId"} {
		r := with(t, true, false, map[string]string{"edge": `{"backend": "` + how + `"}`})
		for _, set := range r.Kind(setKind) {
			for i, b := range set.Inputs["backends"].ArrayValue() {
				backend := b.ObjectValue()
				assert.Equal(t, backend.HasValue("ipAddress"), want == "ipAddress", set.Name)
				assert.Equal(t, backend.HasValue("targetId"), want == "targetId", set.Name)
				if want == "targetId" {
					assert.Equal(t, backend["targetId"].StringValue(), fmt.Sprintf("id-addresses-%d", i))
				}
			}
		}
	}
}

// A balancer for those inside, under a name of a private zone.
func TestPrivateBalancer(t *testing.T) {
	r := with(t, true, false, map[string]string{"edge": `{"public": false}`, "dns": `{"view": "ocid1.dnsview.oc1.eu-frankfurt-1.aaaaexample"}`})
	balancer, _ := r.Find("NetworkLoadBalancer", "balancer")
	assert.Equal(t, balancer.Inputs["isPrivate"].BoolValue(), true)
	record, _ := r.Find("Rrset", "dns")
	assert.Equal(t, record.Inputs["scope"].StringValue(), "PRIVATE")
	assert.Equal(t, record.Inputs["viewId"].StringValue(), "ocid1.dnsview.oc1.eu-frankfurt-1.aaaaexample")
	r = with(t, true, false, nil)
	balancer, _ = r.Find("NetworkLoadBalancer", "balancer")
	assert.Equal(t, balancer.Inputs["isPrivate"].BoolValue(), false)
}

// What only the round trip can find out is told with the setting that changes it.
func TestTheRoundTripNamesTheEdge(t *testing.T) {
	s := settings.Settings{Edge: settings.Edge{Public: true, Backend: "address"}}
	assert.Equal(t, onTheWay(s), "emqx-oci:edge.backend, which is address: where G4 holds and no client gets through, try privateIp")
	s.Edge = settings.Edge{Backend: "privateIp"}
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "whether this machine is inside the network") && strings.HasSuffix(onTheWay(s), "try address"), onTheWay(s))
	s.Gates.Proxy = "socks5h://10.0.0.1:1080"
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "emqx-oci:edge.backend"), onTheWay(s))
}
