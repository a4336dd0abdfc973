package flexible

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/loadbalancer"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/recorder/recordertest"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// cloudOutputs are what OCI adds to what it was given.
func cloudOutputs(r recorder.Resource) map[string]any {
	if r.Type == balancerType {
		return map[string]any{"ipAddressDetails": []any{map[string]any{"ipAddress": "198.51.100.1", "isPublic": true}}}
	}
	return nil
}

func testArgs() *LoadBalancerArgs {
	return &LoadBalancerArgs{
		Environment: "test", CompartmentID: "c", SubnetID: "s", SecurityGroupID: pulumi.String("group"),
		Listeners: cluster.Listeners(cluster.DefaultPorts, true),
		Health:    HealthCheck{Path: "/health"},
		Backends: []Backend{
			{Name: "emqx-test-0", Address: pulumi.String("10.0.1.10")}, {Name: "emqx-test-1", Address: pulumi.String("10.0.1.11")},
		},
	}
}

// built records a balancer with its listeners.
func built(t *testing.T, change func(*LoadBalancerArgs)) *recorder.Recording {
	t.Helper()
	return recordertest.Build(t, func(ctx *pulumi.Context) error {
		args := testArgs()
		change(args)
		b, err := NewLoadBalancer(ctx, "balancer", args)
		if err != nil {
			return err
		}
		_, err = NewListeners(ctx, "listeners", &ListenersArgs{Balancer: b, Listeners: args.Listeners, IdleTimeoutSeconds: 900})
		return err
	}, recorder.Options{Outputs: cloudOutputs})
}

func named(r *recorder.Recording, typ string) map[string]resource.PropertyMap {
	found := map[string]resource.PropertyMap{}
	for _, x := range r.Resources {
		if x.Type == typ {
			found[x.Name] = x.Inputs
		}
	}
	return found
}

func TestLoadBalancer(t *testing.T) {
	r := built(t, func(a *LoadBalancerArgs) {
		a.TLS = &TLS{Certificate: "certificate", PrivateKey: "key", Profile: cluster.ProfileIntermediate}
	})
	shell := named(r, balancerType)["balancer"]
	assert.Equal(t, shell["shape"].StringValue(), "flexible")
	assert.DeepEqual(t, shell["shapeDetails"].ObjectValue().Mappable(), map[string]any{"minimumBandwidthInMbps": 10.0, "maximumBandwidthInMbps": 100.0})
	sets, backends, listeners := named(r, setType), named(r, backendType), named(r, listenerType)
	assert.Equal(t, len(sets), 4)
	assert.Equal(t, len(backends), 8)
	certificate := slices.Collect(maps.Values(named(r, certificateType)))[0]
	suite := slices.Collect(maps.Values(named(r, suiteType)))[0]
	assert.Assert(t, certificate["privateKey"].IsSecret() && certificate["publicCertificate"].IsSecret(), "in clear in the state")
	for name, port := range map[string]float64{"mqtt": 1883, "mqtts": 8883, "ws": 8083, "wss": 8084} {
		set, l := sets["balancer-"+name], listeners["listeners-"+name]
		assert.Equal(t, set["policy"].StringValue(), "LEAST_CONNECTIONS")
		assert.DeepEqual(t, set["healthChecker"].ObjectValue().Mappable(), map[string]any{
			"protocol": "HTTP", "port": 8080.0, "urlPath": "/health", "returnCode": 200.0, "intervalMs": 10000.0, "timeoutInMillis": 3000.0, "retries": 3.0,
		})
		for i, address := range []string{"10.0.1.10", "10.0.1.11"} {
			backend := backends[fmt.Sprintf("balancer-%s-%d", name, i)]
			assert.Equal(t, backend["ipAddress"].StringValue(), address)
			assert.Equal(t, backend["port"].NumberValue(), port)
			assert.Equal(t, backend["backendsetName"].StringValue(), set["name"].StringValue())
		}
		assert.Equal(t, l["port"].NumberValue(), port)
		assert.Equal(t, l["protocol"].StringValue(), "TCP")
		assert.Equal(t, l["defaultBackendSetName"].StringValue(), set["name"].StringValue())
		assert.DeepEqual(t, l["connectionConfiguration"].ObjectValue().Mappable(), map[string]any{"idleTimeoutInSeconds": "900", "backendTcpProxyProtocolVersion": 2.0})
		if !strings.HasSuffix(name, "s") || name == "ws" {
			assert.Assert(t, l["sslConfiguration"].IsNull(), name)
			continue
		}
		assert.DeepEqual(t, l["sslConfiguration"].ObjectValue().Mappable(), map[string]any{
			"certificateName": certificate["certificateName"].StringValue(), "cipherSuiteName": suite["name"].StringValue(),
			"protocols": []any{"TLSv1.2", "TLSv1.3"}, "serverOrderPreference": "DISABLED", "verifyPeerCertificate": false, "hasSessionResumption": true,
		})
	}
	recordertest.Refuses(t, func(ctx *pulumi.Context) error {
		_, err := NewLoadBalancer(ctx, "balancer", &LoadBalancerArgs{
			Backends: []Backend{{}}, Health: HealthCheck{Port: 70000, IntervalSeconds: 2, TimeoutSeconds: 3, Retries: 11}, MinMbps: 200, MaxMbps: 100, TLS: &TLS{},
		})
		return err
	}, "backends[0].address", "backends[0].name", "compartmentId", "environment", "health.path", "health.port", "health.retries", "health.timeoutSeconds",
		"listeners", "maxMbps", "securityGroupId", "subnetId", "tls.certificate", "tls.privateKey", "tls.profile")
}

// What cannot be changed in place has another name when it is another one, so that it is made beside the old one: a
// certificate that listeners have OCI refuses to delete, and a set that the provider changes loses its backends.
func TestWhatCannotBeChangedHasAnotherName(t *testing.T) {
	names := func(change func(*LoadBalancerArgs)) map[string]string {
		r := built(t, func(a *LoadBalancerArgs) {
			a.TLS = &TLS{Certificate: "certificate", PrivateKey: "key", Profile: cluster.ProfileIntermediate}
			change(a)
		})
		return map[string]string{
			"certificate": named(r, certificateType)["balancer-certificate"]["certificateName"].StringValue(),
			"ciphers":     named(r, suiteType)["balancer-ciphers"]["name"].StringValue(),
			"set":         named(r, setType)["balancer-mqtt"]["name"].StringValue(),
		}
	}
	before := names(func(*LoadBalancerArgs) {})
	for _, name := range before {
		assert.Assert(t, checkName.MatchString(name), name)
	}
	for what, change := range map[string]func(*LoadBalancerArgs){
		"certificate": func(a *LoadBalancerArgs) { a.TLS.Certificate = "renewed" },
		"ciphers":     func(a *LoadBalancerArgs) { a.TLS.Profile = cluster.ProfileModern },
		"set":         func(a *LoadBalancerArgs) { a.Health.Retries = 4 },
	} {
		after := names(change)
		for key := range before {
			assert.Equal(t, after[key] != before[key], key == what, "%s after another %s", key, what)
		}
	}
	policy := names(func(a *LoadBalancerArgs) { a.Policy = "IP_HASH" })
	assert.Assert(t, policy["set"] != before["set"])
	key := names(func(a *LoadBalancerArgs) { a.TLS.PrivateKey = "other" })
	assert.Assert(t, key["certificate"] != before["certificate"])
}

// Each cipher is one of Mozilla's profile and of OCI's list, and none is without forward secrecy.
func TestCiphersAreTheProfiles(t *testing.T) {
	protocols, ciphers := profile(cluster.ProfileModern)
	assert.DeepEqual(t, protocols, []string{"TLSv1.3"})
	assert.DeepEqual(t, ciphers, ciphers13)
	_, ciphers = profile(cluster.ProfileIntermediate)
	for _, c := range ciphers {
		assert.Assert(t, strings.HasPrefix(c, "TLS_") || strings.HasPrefix(c, "ECDHE-") || strings.HasPrefix(c, "DHE-"), c)
	}
}

func TestClientAddress(t *testing.T) {
	text := func(s string) *string { return &s }
	yes, no := true, false
	both := []loadbalancer.LoadBalancerIpAddressDetail{{IpAddress: text("10.0.0.5"), IsPublic: &no}, {IpAddress: text("198.51.100.1"), IsPublic: &yes}}
	for private, want := range map[bool]string{false: "198.51.100.1", true: "10.0.0.5"} {
		got, err := clientAddress(both, private)
		assert.NilError(t, err)
		assert.Equal(t, got, want)
	}
	_, err := clientAddress(both[:1], false)
	assert.ErrorContains(t, err, "none of 1 is public")
}

// A set is never well because nothing that is said of it names a node.
func TestWhatNamesNoNodeIsNotWell(t *testing.T) {
	type health = loadbalancer.GetBackendSetHealthResult
	nodes := map[string]string{"a": "10.0.1.1", "b": "10.0.1.11"}
	for name, c := range map[string]struct {
		set  health
		want map[string]string
	}{
		"well":                      {health{Status: "OK", TotalBackendCount: 2}, map[string]string{"a": "OK", "b": "OK"}},
		"one is sick":               {health{Status: "WARNING", TotalBackendCount: 2, CriticalStateBackendNames: []string{"10.0.1.11:1883"}}, map[string]string{"a": "OK", "b": "CRITICAL"}},
		"one is not there yet":      {health{Status: "OK", TotalBackendCount: 1}, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
		"one too many":              {health{Status: "OK", TotalBackendCount: 3}, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
		"no listener leads there":   {health{Status: "UNKNOWN", TotalBackendCount: 2}, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
		"not OK, and nobody listed": {health{Status: "CRITICAL", TotalBackendCount: 2}, map[string]string{"a": "OK", "b": "OK", "set": "CRITICAL"}},
		"no answer":                 {health{}, map[string]string{"a": "OK", "b": "OK", "set": "UNKNOWN"}},
	} {
		assert.DeepEqual(t, backendStates(nodes, &c.set), c.want)
		_ = name
	}
}

func TestBackendHealthAsksSetBySet(t *testing.T) {
	var states map[string]string
	_, err := recorder.Run(func(ctx *pulumi.Context) error {
		args := testArgs()
		args.Listeners = args.Listeners[:2]
		b, err := NewLoadBalancer(ctx, "balancer", args)
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
		assert.Equal(t, token, "oci:LoadBalancer/getBackendSetHealth:getBackendSetHealth")
		assert.Equal(t, args["loadBalancerId"].StringValue(), "id-balancer")
		if strings.HasPrefix(args["backendSetName"].StringValue(), "mqtts-") {
			return map[string]any{"status": "WARNING", "totalBackendCount": 2.0, "unknownStateBackendNames": []any{"10.0.1.10:8883"}}, nil
		}
		return map[string]any{"status": "OK", "totalBackendCount": 2.0}, nil
	}})
	assert.NilError(t, err)
	assert.DeepEqual(t, states, map[string]string{
		"mqtt/emqx-test-0": "OK", "mqtt/emqx-test-1": "OK", "mqtts/emqx-test-0": "UNKNOWN", "mqtts/emqx-test-1": "OK",
	})
}

func TestTheRoundTripNamesTheEdge(t *testing.T) {
	s := settings.Settings{Edge: settings.Edge{Public: true}, Network: settings.Network{PublicSubnetCIDR: "10.0.0.0/24"}}
	assert.Assert(t, strings.Contains(Edge{}.Hint(s), "10.0.0.0/24") && !strings.Contains(Edge{}.Hint(s), "certificate"))
	s.TLS, s.Edge.Public = settings.TLS{Certificate: "x", Terminate: settings.TerminateEdge}, false
	assert.Assert(t, strings.HasPrefix(Edge{}.Hint(s), "whether this machine is inside") && strings.Contains(Edge{}.Hint(s), "certificate"))
}
