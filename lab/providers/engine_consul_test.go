//go:build lab

package providers_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/hashicorp/consul/api"
	"github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/lab/providers"
)

type consulSettings struct {
	address, nodeAddress, version string
	port                          int
	tags                          []string
	more                          bool
}

func consulProgram(s consulSettings) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		p, err := consul.NewProvider(ctx, "consul", &consul.ProviderArgs{Address: pulumi.String(s.address)})
		if err != nil {
			return err
		}
		with := pulumi.Provider(p)
		node, err := consul.NewNode(ctx, "members", &consul.NodeArgs{
			Name: pulumi.String("emqx-lab-members"), Address: pulumi.String(s.nodeAddress),
			Meta: pulumi.StringMap{"external-node": pulumi.String("true")},
		}, with)
		if err != nil {
			return err
		}
		service, err := consul.NewService(ctx, "member-0", &consul.ServiceArgs{
			Node: node.Name, Name: pulumi.String("emqx-cluster"), ServiceId: pulumi.String("emqx-cluster-lab-0"),
			Address: pulumi.String("emqx-lab-0.node.dc1.consul"), Port: pulumi.Int(s.port), Tags: pulumi.ToStringArray(s.tags),
			Checks: consul.ServiceCheckArray{&consul.ServiceCheckArgs{
				CheckId: pulumi.String("alive"), Name: pulumi.String("alive"), Status: pulumi.String("passing"),
				Interval: pulumi.String("10s"), Timeout: pulumi.String("2s"), Tcp: pulumi.String("emqx-lab-0:4370"),
			}},
		}, with)
		if err != nil {
			return err
		}
		_, err = consul.NewKeys(ctx, "entries", &consul.KeysArgs{Keys: consul.KeysKeyArray{
			&consul.KeysKeyArgs{Path: pulumi.String("emqx/lab/version"), Value: pulumi.String(s.version), Delete: pulumi.Bool(true)},
			&consul.KeysKeyArgs{Path: pulumi.String("emqx/lab/size"), Value: pulumi.String("3"), Delete: pulumi.Bool(true)},
		}}, with)
		if err != nil {
			return err
		}
		subkeys := pulumi.StringMap{"mqtt": pulumi.String("mqtt.lab.test:1883")}
		if s.more {
			subkeys["mqtts"] = pulumi.String("mqtt.lab.test:8883")
		}
		_, err = consul.NewKeyPrefix(ctx, "endpoints", &consul.KeyPrefixArgs{
			PathPrefix: pulumi.String("emqx/lab/endpoints/"), Subkeys: subkeys,
		}, with)
		ctx.Export("dc", service.Datacenter)
		return err
	}
}

func TestConsulOnTheEngine(t *testing.T) {
	port := agenttest.Ports(t, 1)[0]
	agenttest.Consul(t, port)
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	agenttest.Await(t, address+"/v1/catalog/nodes", "127.0.0.1")
	client, err := api.NewClient(&api.Config{Address: address})
	assert.NilError(t, err)
	service := func() *api.CatalogService {
		all, _, err := client.Catalog().Service("emqx-cluster", "", nil)
		assert.NilError(t, err)
		if len(all) == 0 {
			return nil
		}
		assert.Equal(t, len(all), 1)
		return all[0]
	}
	value := func(key string) string {
		pair, _, err := client.KV().Get(key, nil)
		assert.NilError(t, err)
		if pair == nil {
			return ""
		}
		return string(pair.Value)
	}
	// The address in the program wins over the servers' default, where nobody is.
	e := newEngine(t, providers.Config{ConsulAddr: "http://127.0.0.1:1"})
	s := consulSettings{address: address, nodeAddress: "10.80.1.10", version: "5.8.9", port: 4370, tags: []string{"lab"}}

	created, res := e.up(consulProgram(s))
	assert.DeepEqual(t, created, map[string]int{"create": 6}) // four, the provider and the stack
	assert.Equal(t, res.Outputs["dc"].Value, "dc1")
	got := service()
	assert.Equal(t, got.ServiceAddress, "emqx-lab-0.node.dc1.consul")
	assert.Equal(t, got.Address, "10.80.1.10", "a service leaves its node's address alone")
	assert.DeepEqual(t, got.ServiceTags, []string{"lab"})
	assert.Equal(t, value("emqx/lab/endpoints/mqtt"), "mqtt.lab.test:1883")

	same, _ := e.up(consulProgram(s))
	assert.DeepEqual(t, same, map[string]int{})
	assert.DeepEqual(t, e.refresh(), map[string]int{})

	s.version, s.port, s.tags, s.more = "5.8.10", 4371, []string{"lab", "x"}, true
	updated, _ := e.up(consulProgram(s))
	assert.DeepEqual(t, updated, map[string]int{"update": 3})
	assert.Equal(t, value("emqx/lab/version"), "5.8.10")
	assert.Equal(t, value("emqx/lab/endpoints/mqtts"), "mqtt.lab.test:8883")
	assert.Equal(t, service().ServicePort, 4371)
	assert.DeepEqual(t, service().ServiceTags, []string{"lab", "x"})
	s.more = false
	e.up(consulProgram(s))
	assert.Equal(t, value("emqx/lab/endpoints/mqtts"), "")

	// A node's address replaces it, and its service with it would be gone: the
	// engine replaces what depends on it by name only when the name changes.
	s.nodeAddress = "10.80.1.11"
	replaced, _ := e.up(consulProgram(s))
	assert.Assert(t, replaced["replace"] >= 1, "%v", replaced)
	node, _, err := client.Catalog().Node("emqx-lab-members", nil)
	assert.NilError(t, err)
	assert.Equal(t, node.Node.Address, "10.80.1.11")

	// Drift: a value changed, the service gone.
	_, err = client.KV().Put(&api.KVPair{Key: "emqx/lab/version", Value: []byte("1")}, nil)
	assert.NilError(t, err)
	if service() != nil {
		_, err = client.Catalog().Deregister(&api.CatalogDeregistration{Node: "emqx-lab-members", ServiceID: "emqx-cluster-lab-0"}, nil)
		assert.NilError(t, err)
	}
	drift := e.refresh()
	assert.DeepEqual(t, drift, map[string]int{"update": 1, "delete": 1})
	e.up(consulProgram(s))
	assert.Equal(t, value("emqx/lab/version"), "5.8.10")
	assert.Assert(t, service() != nil)

	e.destroy()
	assert.Assert(t, service() == nil)
	keys, _, err := client.KV().Keys("emqx/", "", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(keys), 0, "%v", keys)
	node, _, err = client.Catalog().Node("emqx-lab-members", nil)
	assert.NilError(t, err)
	assert.Assert(t, node == nil)
}

func TestConsulFaultsOnTheEngine(t *testing.T) {
	e := newEngine(t, providers.Config{})
	s := consulSettings{address: "http://127.0.0.1:1", nodeAddress: "10.80.1.10", version: "5.8.9", port: 4370}
	assert.DeepEqual(t, e.preview(consulProgram(s)), map[string]int{"create": 6}) // green, as with the real one
	text := e.upFails(consulProgram(s))
	assert.Assert(t, strings.Contains(text, "connection refused"), text)

	text = e.previewFails(func(ctx *pulumi.Context) error {
		var r pulumi.CustomResourceState
		return ctx.RegisterResource("consul:index/service:Service", "x", pulumi.Map{
			"port": pulumi.String("4370a"), "adr": pulumi.String("a"),
			"checks": pulumi.Array{pulumi.Map{"checkId": pulumi.String("c"), "name": pulumi.String("c"), "interval": pulumi.String("1s")}},
		}, &r)
	})
	for _, want := range []string{
		"Missing required property 'node'", "Missing required property 'checks[0].timeout'",
		"Invalid or unknown key. Examine values at 'x.adr'.", "Examine values at 'x.port'.",
	} {
		assert.Assert(t, strings.Contains(text, want), "%q is not in:\n%s", want, text)
	}
	text = e.previewFails(func(ctx *pulumi.Context) error {
		var p pulumi.ProviderResourceState
		return ctx.RegisterResource("pulumi:providers:consul", "mine", pulumi.Map{"adr": pulumi.String("a")}, &p)
	})
	assert.Assert(t, strings.Contains(text, "could not validate provider configuration: Invalid or unknown key. Examine values at 'mine.adr'."), text)
}
