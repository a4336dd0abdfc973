package stacks

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"
)

// withListeners records staging with a certificate, TLS ended there, and these listeners.
func withListeners(t *testing.T, terminate, listeners string) run {
	t.Helper()
	r, err := record(t, "staging", true, false, func(config map[string]string) {
		config["emqx-oci:tls"] = strings.Replace(config["emqx-oci:tls"], `"terminate":"broker"`, `"terminate":"`+terminate+`"`, 1)
		config["emqx-oci:listeners"] = listeners
	})
	assert.NilError(t, err)
	return r
}

// of are the names of the resources of a kind, without the cluster's.
func (r run) of(kind string) []string {
	var names []string
	for _, x := range r.Resources {
		if strings.HasSuffix(x.Type, kind) {
			names = append(names, strings.TrimPrefix(x.Name, "cluster-"))
		}
	}
	slices.Sort(names)
	return names
}

func (r run) vars(t *testing.T, job string) resource.PropertyMap {
	t.Helper()
	x, ok := r.Find("Job", job)
	assert.Assert(t, ok, job)
	return x.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()
}

func (r run) endpoints() []string {
	var urls []string
	for _, url := range r.outputs["endpoints"].(map[string]string) {
		urls = append(urls, url)
	}
	slices.Sort(urls)
	return urls
}

// A listener that is off is at none of the stations of a message. EMQX's own plain one
// stays where the proxies lead to it.
func TestPlainListenersAreNowhere(t *testing.T) {
	const off = `{"mqtt": {"open": "none"}, "ws": {"open": "none"}}`
	for terminate, broker := range map[string]string{"proxy": "{mqtt = 21883, ws = 21983}", "broker": "{mqtts = 21884, wss = 21984}"} {
		t.Run(terminate, func(t *testing.T) {
			r := withListeners(t, terminate, off)
			assert.DeepEqual(t, r.of("loadBalancer:Listener"), []string(nil)) // it is another kind of balancer's
			assert.DeepEqual(t, r.of("/listener:Listener"), []string{"listeners-mqtts", "listeners-wss"})
			sets := r.of("BackendSet")
			if len(sets) == 0 {
				sets = r.of("BackendSetsUnified")
			}
			assert.Assert(t, len(sets) == 2 && strings.HasSuffix(sets[0], "mqtts") && strings.HasSuffix(sets[1], "wss"), "%v", sets)
			clients := 0
			for _, name := range r.of("NetworkSecurityGroupSecurityRule") {
				for _, port := range []string{"-1883-", "-8083-"} {
					assert.Assert(t, !strings.Contains(name, port), name)
				}
				if terminate == "broker" {
					assert.Assert(t, !strings.Contains(name, "-21883-") && !strings.Contains(name, "-21983-"), name)
				}
				if strings.Contains(name, "-8883-") || strings.Contains(name, "-8084-") {
					clients++
				}
			}
			assert.Equal(t, clients, 4, "two listeners, at the balancer and at the nodes")
			if terminate == "proxy" {
				assert.Assert(t, slices.Contains(r.of("NetworkSecurityGroupSecurityRule"), "groups-nodes-in-tcp-21883-from-nodes"))
			}
			emqx, proxy := r.vars(t, "cluster-emqx"), r.vars(t, "cluster-haproxy")
			assert.Equal(t, emqx["ports"].StringValue(), broker)
			assert.Equal(t, proxy["ports"].StringValue(), "{mqtts = 8883, wss = 8084, admin = 8080}")
			assert.DeepEqual(t, r.endpoints(), []string{"mqtts://mqtt.staging.example.com:8883", "wss://mqtt.staging.example.com:8084/mqtt"})
		})
	}
}

// What is for the private network is with the proxies on the nodes: a public balancer does
// not have it, and no rule lets a public address to it.
func TestAListenerForThePrivateNetwork(t *testing.T) {
	inside := `{"mqtt": {"open": "vcn", "clientCidrs": ["10.0.0.0/8"]}}`
	r := withListeners(t, "proxy", inside)
	assert.DeepEqual(t, r.of("/listener:Listener"), []string{"listeners-mqtts", "listeners-ws", "listeners-wss"})
	var rules []string
	for _, name := range r.of("NetworkSecurityGroupSecurityRule") {
		if strings.Contains(name, "-1883-") {
			rules = append(rules, name)
		}
	}
	assert.DeepEqual(t, rules, []string{"groups-nodes-in-tcp-1883-from-10.0.0.0-8"})
	assert.Assert(t, slices.Contains(r.endpoints(), "mqtt://staging.emqx-haproxy.service.consul:1883"), "%v", r.endpoints())
	assert.Equal(t, r.vars(t, "cluster-haproxy")["ports"].StringValue(), "{mqtt = 1883, mqtts = 8883, ws = 8083, wss = 8084, admin = 8080}")

	// A private balancer has it, for private ranges alone.
	r, err := record(t, "staging", true, false, func(config map[string]string) {
		config["emqx-oci:listeners"] = inside
		var edge map[string]any
		assert.NilError(t, json.Unmarshal([]byte(config["emqx-oci:edge"]), &edge))
		edge["public"] = false
		text, err := json.Marshal(edge)
		assert.NilError(t, err)
		config["emqx-oci:edge"] = string(text)
	})
	assert.NilError(t, err)
	assert.Equal(t, len(r.of("/listener:Listener")), 4)
	assert.Assert(t, slices.Contains(r.of("NetworkSecurityGroupSecurityRule"), "groups-balancer-in-tcp-1883-from-10.0.0.0-8"))
	assert.Assert(t, slices.Contains(r.endpoints(), "mqtt://mqtt.staging.example.com:1883"))
}
