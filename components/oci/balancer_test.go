package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/networkloadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

func newTestBalancer(ctx *pulumi.Context) (*LoadBalancer, error) {
	return NewLoadBalancer(ctx, "balancer", &LoadBalancerArgs{
		Environment: "test", CompartmentID: "c", SubnetID: "s", SecurityGroupID: pulumi.String("group"),
		Listeners: cluster.Listeners(cluster.DefaultPorts, true),
		Backends: []Backend{
			{Name: "emqx-test-0", Address: pulumi.String("10.0.1.10")}, {Name: "emqx-test-1", Address: pulumi.String("10.0.1.11")},
		},
	})
}

func TestLoadBalancer(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		b, err := newTestBalancer(ctx)
		if err != nil {
			return err
		}
		_, err = NewListeners(ctx, "listeners", &ListenersArgs{
			Balancer: b, Listeners: cluster.Listeners(cluster.DefaultPorts, true), IdleTimeoutSeconds: 900,
		})
		return err
	})
	ports := map[string]float64{"mqtt": 1883, "mqtts": 8883, "ws": 8083, "wss": 8084}
	sets, backends, listeners := r.Kind("BackendSet"), r.Kind("Backend"), r.Kind("Listener")
	assert.Equal(t, len(sets), 4)
	assert.Equal(t, len(backends), 8)
	assert.Equal(t, len(listeners), 4)
	for _, set := range sets {
		assert.Equal(t, set.Inputs["policy"].StringValue(), "FIVE_TUPLE")
		for _, on := range []string{"isPreserveSource", "isInstantFailoverEnabled", "isInstantFailoverTcpResetEnabled"} {
			assert.Equal(t, set.Inputs[resource.PropertyKey(on)].BoolValue(), true, on)
		}
		assert.DeepEqual(t, set.Inputs["healthChecker"].ObjectValue().Mappable(), map[string]any{
			"protocol": "HTTP", "port": 8080.0, "urlPath": "/haproxy_health", "returnCode": 200.0,
			"intervalInMillis": 10000.0, "timeoutInMillis": 3000.0, "retries": 3.0,
		})
	}
	for _, b := range backends {
		set, name := b.Inputs["backendSetName"].StringValue(), b.Inputs["name"].StringValue()
		assert.Equal(t, b.Inputs["port"].NumberValue(), ports[set], "a client of %s must not reach another port", set)
		assert.Equal(t, b.Name, "balancer-"+set+"-"+name)
		assert.Assert(t, !b.Inputs.HasValue("targetId"), "the address survives a relaunch, the instance does not")
		address := map[string]string{"emqx-test-0": "10.0.1.10", "emqx-test-1": "10.0.1.11"}[name]
		assert.Equal(t, b.Inputs["ipAddress"].StringValue(), address)
	}
	for _, l := range listeners {
		name := l.Inputs["name"].StringValue()
		assert.Equal(t, l.Inputs["port"].NumberValue(), ports[name])
		assert.Equal(t, l.Inputs["defaultBackendSetName"].StringValue(), name)
		assert.Equal(t, l.Inputs["protocol"].StringValue(), "TCP")
		assert.Equal(t, l.Inputs["tcpIdleTimeout"].NumberValue(), 900.0)
		assert.Equal(t, l.Parent, "listeners")
	}
	refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewLoadBalancer(ctx, "balancer", &LoadBalancerArgs{
			Backends: []Backend{{}}, Health: HealthCheck{Port: 70000, IntervalSeconds: 2, TimeoutSeconds: 3, Retries: 11},
		})
		return err
	}, "backends[0].address", "backends[0].name", "compartmentId", "environment", "health.port", "health.retries", "health.timeoutSeconds",
		"listeners", "securityGroupId", "subnetId")
}

// Deletions of one update run at the same time unless one resource depends on
// the other directly, and OCI answers 409 to parallel changes of one balancer.
func TestWhatIsDeletedTogetherIsAChain(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		b, err := newTestBalancer(ctx)
		if err != nil {
			return err
		}
		_, err = NewListeners(ctx, "listeners", &ListenersArgs{
			Balancer: b, Listeners: cluster.Listeners(cluster.DefaultPorts, true), IdleTimeoutSeconds: 900,
		})
		return err
	})
	children := append(r.Kind("BackendSet"), append(r.Kind("Backend"), r.Kind("Listener")...)...)
	for what, gone := range map[string]func(name string) bool{
		"the last node": func(name string) bool { return strings.HasSuffix(name, "-emqx-test-1") },
		"TLS":           func(name string) bool { return strings.Contains(name, "mqtts") || strings.Contains(name, "wss") },
		"both": func(name string) bool {
			return strings.HasSuffix(name, "-emqx-test-1") || strings.Contains(name, "mqtts") || strings.Contains(name, "wss")
		},
		"all": func(string) bool { return true },
	} {
		deps := map[string][]string{}
		for _, x := range children {
			if gone(x.Name) {
				deps[x.Name] = x.DependsOn
			}
		}
		assert.Assert(t, len(deps) >= 4, what)
		for round := len(deps); round > 0; round-- {
			var free []string
			for name := range deps {
				wanted := false
				for _, d := range deps {
					wanted = wanted || slices.Contains(d, name)
				}
				if !wanted {
					free = append(free, name)
				}
			}
			assert.Equal(t, len(free), 1, "%s: deleted at once: %v", what, free)
			delete(deps, free[0])
		}
	}
}

func TestListenersRefuseWhatTheBalancerLacks(t *testing.T) {
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		b, err := newTestBalancer(ctx)
		assert.NilError(t, err)
		_, err = NewListeners(ctx, "listeners", &ListenersArgs{
			Balancer: b, Listeners: []cluster.Listener{{Name: "quic", Port: 14567}}, IdleTimeoutSeconds: 1801,
		})
		return err
	}, recorder.Options{Outputs: cloudOutputs})
	assert.ErrorContains(t, err, `listeners[0]: must be one of the balancer's backend sets, got "quic"`)
	assert.ErrorContains(t, err, "idleTimeoutSeconds: must be 1 to 1800, got 1801")
}

func TestClientAddress(t *testing.T) {
	text := func(s string) *string { return &s }
	yes, no := true, false
	both := []networkloadbalancer.NetworkLoadBalancerIpAddress{
		{IpAddress: text("10.0.0.5"), IsPublic: &no}, {IpAddress: text("198.51.100.1"), IsPublic: &yes},
	}
	got, err := clientAddress(both, false)
	assert.NilError(t, err)
	assert.Equal(t, got, "198.51.100.1")
	got, err = clientAddress(both, true)
	assert.NilError(t, err)
	assert.Equal(t, got, "10.0.0.5")
	_, err = clientAddress(both[:1], false)
	assert.ErrorContains(t, err, "none of 1 is public")
}

func TestBackendHealthNamesEveryBackend(t *testing.T) {
	var states map[string]string
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		b, err := newTestBalancer(ctx)
		if err != nil {
			return err
		}
		ask := b.BackendHealth(ctx, []string{"emqx-test-0", "emqx-test-1"})
		for range 2 { // a gate asks more than once
			if states, err = ask(ctx.Context()); err != nil {
				return err
			}
		}
		return nil
	}, recorder.Options{Outputs: cloudOutputs, Call: func(token string, args resource.PropertyMap) (map[string]any, error) {
		assert.Equal(t, token, "oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth")
		assert.Equal(t, args["networkLoadBalancerId"].StringValue(), "id-balancer")
		answer := map[string]any{"totalBackendCount": 2.0}
		switch args["backendSetName"].StringValue() {
		case "mqtts":
			answer["criticalStateBackendNames"] = []any{"emqx-test-1"}
		case "ws":
			answer["unknownStateBackendNames"] = []any{"emqx-test-0", "emqx-test-1"}
		case "wss":
			answer["totalBackendCount"] = 0.0
		}
		return answer, nil
	}})
	assert.NilError(t, err)
	assert.DeepEqual(t, states, map[string]string{
		"mqtt/emqx-test-0": "OK", "mqtt/emqx-test-1": "OK", "mqtts/emqx-test-0": "OK", "mqtts/emqx-test-1": "CRITICAL",
		"ws/emqx-test-0": "UNKNOWN", "ws/emqx-test-1": "UNKNOWN", "wss/emqx-test-0": "UNKNOWN", "wss/emqx-test-1": "UNKNOWN",
	})
}

func TestBackendHealthEndsWithItsContext(t *testing.T) {
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		b, err := newTestBalancer(ctx)
		if err != nil {
			return err
		}
		asked, cancel := context.WithCancel(ctx.Context())
		cancel()
		_, err = b.BackendHealth(ctx, []string{"emqx-test-0"})(asked)
		assert.ErrorContains(t, err, "reading the balancer's id")
		return nil
	}, recorder.Options{Preview: true})
	assert.NilError(t, err)
}

func TestDNSRecord(t *testing.T) {
	r := build(t, func(ctx *pulumi.Context) error {
		_, err := NewDNSRecord(ctx, "dns", &DNSRecordArgs{Zone: "example.com", Name: "mqtt.example.com", Address: pulumi.String("198.51.100.1")})
		return err
	})
	record, ok := r.Find("Rrset", "dns")
	assert.Assert(t, ok)
	assert.Equal(t, fmt.Sprint(record.Inputs["items"].ArrayValue()[0].ObjectValue().Mappable()),
		"map[domain:mqtt.example.com rdata:198.51.100.1 rtype:A ttl:60]")
	assert.Equal(t, record.Inputs["zoneNameOrId"].StringValue(), "example.com")
	refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewDNSRecord(ctx, "dns", &DNSRecordArgs{Zone: "example.com", Name: "mqtt.example.org", TTLSeconds: 604801})
		return err
	}, "address", "name", "ttlSeconds")
}
