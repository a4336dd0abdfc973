package nlb

import (
	"context"
	"errors"
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
	"github.com/emqx-oci/emqx-oci/components/recorder/recordertest"
)

// setKind is the provider's backend set with its backends inside.
const setKind = "NetworkLoadBalancersBackendSetsUnified"

// build records a program that makes one component: see [recordertest.Build].
func build(t *testing.T, program pulumi.RunFunc) *recorder.Recording {
	t.Helper()
	return recordertest.Build(t, program, recorder.Options{Outputs: cloudOutputs})
}

// cloudOutputs are what OCI adds to what it was given.
func cloudOutputs(r recorder.Resource) map[string]any {
	if strings.HasSuffix(r.Type, ":NetworkLoadBalancer") {
		return map[string]any{"ipAddresses": []any{map[string]any{"ipAddress": "198.51.100.1", "isPublic": true}}}
	}
	return nil
}

func newTestBalancer(ctx *pulumi.Context) (*LoadBalancer, error) {
	return NewLoadBalancer(ctx, "balancer", &LoadBalancerArgs{
		Environment: "test", CompartmentID: "c", SubnetID: "s", SecurityGroupID: pulumi.String("group"),
		Listeners: cluster.Listeners(cluster.DefaultPorts, true),
		Health:    HealthCheck{Path: "/health"},
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
	sets, listeners := r.Kind(setKind), r.Kind("Listener")
	assert.Equal(t, len(sets), 4)
	assert.Equal(t, len(listeners), 4)
	assert.Equal(t, len(r.Kind("Backend"))+len(r.Kind("BackendSet")), 0, "the official provider cannot change a set without its backends")
	for _, set := range sets {
		assert.Equal(t, set.Inputs["policy"].StringValue(), "FIVE_TUPLE")
		for _, on := range []string{"isPreserveSource", "isInstantFailoverEnabled", "isInstantFailoverTcpResetEnabled"} {
			assert.Equal(t, set.Inputs[resource.PropertyKey(on)].BoolValue(), true, on)
		}
		assert.DeepEqual(t, set.Inputs["healthChecker"].ObjectValue().Mappable(), map[string]any{
			"protocol": "HTTP", "port": 8080.0, "urlPath": "/health", "returnCode": 200.0,
			"intervalInMillis": 10000.0, "timeoutInMillis": 3000.0, "retries": 3.0,
		})
		name := set.Inputs["name"].StringValue()
		assert.Equal(t, set.Name, "balancer-"+name)
		want := []any{}
		for node, address := range []string{"10.0.1.10", "10.0.1.11"} {
			want = append(want, map[string]any{
				"name": fmt.Sprintf("emqx-test-%d", node), "ipAddress": address, "port": ports[name], "weight": 1.0,
				"isBackup": false, "isDrain": false, "isOffline": false,
			})
		}
		assert.DeepEqual(t, set.Inputs["backends"].Mappable(), want)
	}
	for _, l := range listeners {
		name := l.Inputs["name"].StringValue()
		assert.Equal(t, l.Inputs["port"].NumberValue(), ports[name])
		assert.Equal(t, l.Inputs["defaultBackendSetName"].StringValue(), name)
		assert.Equal(t, l.Inputs["protocol"].StringValue(), "TCP")
		assert.Equal(t, l.Inputs["tcpIdleTimeout"].NumberValue(), 900.0)
		assert.Equal(t, l.Parent, "listeners")
	}
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewLoadBalancer(ctx, "balancer", &LoadBalancerArgs{
			Backends: []Backend{{}}, Health: HealthCheck{Port: 70000, IntervalSeconds: 2, TimeoutSeconds: 3, Retries: 11},
		})
		return err
	}, "backends[0].address", "backends[0].name", "compartmentId", "environment", "health.path", "health.port", "health.retries", "health.timeoutSeconds",
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
	children := append(r.Kind(setKind), r.Kind("Listener")...)
	for what, gone := range map[string]func(name string) bool{
		"TLS": func(name string) bool { return strings.Contains(name, "mqtts") || strings.Contains(name, "wss") },
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
		assert.Equal(t, args["networkLoadBalancerId"].StringValue(), "id-balancer")
		set := args["backendSetName"].StringValue()
		switch token {
		case "oci:NetworkLoadBalancer/getBackendSetHealth:getBackendSetHealth":
			return map[string]map[string]any{
				"mqtt": {"status": "OK", "totalBackendCount": 2.0},
				// As OCI's API documents its lists, which no name of a node is equal to.
				"mqtts": {"status": "WARNING", "totalBackendCount": 2.0, "criticalStateBackendNames": []any{"10.0.1.11:8883"}},
				"ws":    {"status": "UNKNOWN", "totalBackendCount": 2.0, "unknownStateBackendNames": []any{"10.0.1.10:8083", "10.0.1.11:8083"}},
				"wss":   {"status": "UNKNOWN", "totalBackendCount": 0.0},
			}[set], nil
		case "oci:NetworkLoadBalancer/getBackendHealth:getBackendHealth":
			switch name := args["backendName"].StringValue(); {
			case set == "mqtt", set == "mqtts" && name == "emqx-test-0":
				return map[string]any{"status": "OK"}, nil
			case set == "mqtts":
				return map[string]any{"status": "CRITICAL"}, nil
			case set == "ws":
				return map[string]any{"status": "UNKNOWN"}, nil
			}
			return nil, errors.New("404-NotAuthorizedOrNotFound")
		}
		return nil, fmt.Errorf("calling %s: the test has no answer", token)
	}})
	assert.NilError(t, err)
	assert.DeepEqual(t, states, map[string]string{
		"mqtt/emqx-test-0": "OK", "mqtt/emqx-test-1": "OK", "mqtts/emqx-test-0": "OK", "mqtts/emqx-test-1": "CRITICAL",
		"ws/emqx-test-0": "UNKNOWN", "ws/emqx-test-1": "UNKNOWN", "wss/emqx-test-0": "UNKNOWN", "wss/emqx-test-1": "UNKNOWN",
	})
}

// A set is never well because nothing that is said of it names a node.
func TestWhatNamesNoNodeIsNotWell(t *testing.T) {
	type health = networkloadbalancer.GetBackendSetHealthResult
	nodes := []string{"a", "b"}
	well := func(string) (string, error) { return "OK", nil }
	for name, c := range map[string]struct {
		set  health
		ask  func(string) (string, error)
		want map[string]string
	}{
		"well": {health{Status: "OK", TotalBackendCount: 2}, nil, map[string]string{"a": "OK", "b": "OK"}},
		"listed by address": {
			health{Status: "WARNING", TotalBackendCount: 2, CriticalStateBackendNames: []string{"10.0.1.11:1883"}},
			func(node string) (string, error) { return map[string]string{"a": "OK", "b": "CRITICAL"}[node], nil },
			map[string]string{"a": "OK", "b": "CRITICAL"},
		},
		"a stranger that is sick": {
			health{Status: "WARNING", TotalBackendCount: 3, CriticalStateBackendNames: []string{"10.0.9.9:1883"}},
			well,
			map[string]string{"a": "OK", "b": "OK", "set": "WARNING"},
		},
		"a stranger that is well": {health{Status: "OK", TotalBackendCount: 3}, well, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
		"no list, and not OK":     {health{Status: "CRITICAL", TotalBackendCount: 2}, well, map[string]string{"a": "OK", "b": "OK", "set": "CRITICAL"}},
		"no answer at all":        {health{}, well, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
		"one that is not there yet": {health{Status: "OK", TotalBackendCount: 1}, func(node string) (string, error) {
			if node == "b" {
				return "", errors.New("404")
			}
			return "OK", nil
		}, map[string]string{"a": "OK", "b": "UNKNOWN"}},
	} {
		got, err := backendStates(nodes, &c.set, c.ask)
		assert.NilError(t, err, name)
		assert.DeepEqual(t, got, c.want)
	}
	refused := errors.New("429-TooManyRequests")
	_, err := backendStates(nodes, &health{Status: "WARNING", TotalBackendCount: 2}, func(string) (string, error) { return "", refused })
	assert.ErrorIs(t, err, refused)
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
