package settings

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// good is the least that a stack has to say.
func good() map[string]string {
	return map[string]string{
		"oci": `{"region": "eu-frankfurt-1", "compartment": "ocid1.compartment.oc1..x"}`,
		"network": `{"vcn": "ocid1.vcn.oc1..x", "publicSubnet": "ocid1.subnet.oc1..x", "privateSubnet": "ocid1.subnet.oc1..y",
			"clientCidrs": ["203.0.113.0/24"], "serverCidrs": ["10.0.2.0/24"]}`,
		"nodes":  `{"image": "ocid1.image.oc1..x"}`,
		"dns":    `{"zone": "example.com", "name": "mqtt.example.com"}`,
		"nomad":  `{"address": "http://10.0.2.10:4646", "servers": ["10.0.2.10:4647"]}`,
		"consul": `{"address": "http://10.0.2.10:8500", "servers": ["10.0.2.10"]}`,
		"auth":   `{"anonymous": true}`,
		"secrets": `{"erlangCookie": "aCookieThatIsLongEnough", "dashboardPassword": "hidden-password",
			"apiKey": "hidden-key", "apiSecret": "hidden-secret", "statsPassword": "hidden-stats"}`,
	}
}

// load is Load on groups, with the given ones kept encrypted.
func load(environment string, groups map[string]string, encrypted ...string) (Settings, error) {
	return Load(environment, source(groups, encrypted...))
}

// source gives groups, and nothing of the environment.
func source(groups map[string]string, encrypted ...string) Source {
	return Source{
		Get: func(key string) (string, bool) {
			value, ok := groups[strings.TrimPrefix(key, Project+":")]
			return value, ok
		},
		IsSecret: func(key string) bool { return slices.Contains(encrypted, strings.TrimPrefix(key, Project+":")) },
		Getenv:   func(string) string { return "" },
	}
}

func TestDefaults(t *testing.T) {
	s, err := load("prod", good(), "secrets")
	assert.NilError(t, err)
	assert.Equal(t, s.Cloud, "oci")
	assert.Equal(t, s.Nodes.Count, 3)
	assert.Equal(t, s.Volumes.SizeGB, 150)
	assert.Equal(t, s.Broker.Image, "emqx/emqx:5.8.9")
	assert.Equal(t, s.Broker.KillTimeout, 270*time.Second)
	assert.Equal(t, s.Nomad.Region, "global")
	assert.Equal(t, s.TLS.Enabled(), false)
	// ADR 0032: connections follow from the broker's memory, the proxies from these.
	assert.Equal(t, s.Broker.MaxConnections, 90683)
	assert.Equal(t, s.Proxy.MaxConn, 45341)
	assert.Equal(t, s.Proxy.MemoryMB, cluster.ProxyMemoryMB(45341, false))
	assert.Equal(t, s.Proxy.NoFile, 91594)
}

func TestConnectionsFollowFromTheBrokersMemory(t *testing.T) {
	groups := good()
	groups["broker"] = `{"memoryMb": 2048, "noFile": 65536}`
	s, err := load("prod", groups, "secrets")
	assert.NilError(t, err)
	assert.Equal(t, s.Broker.MaxConnections, 41912)
	assert.Equal(t, s.Proxy.MaxConn, 20956)
	groups["broker"] = `{"memoryMb": 8192, "noFile": 65536}`
	s, err = load("prod", groups, "secrets")
	assert.NilError(t, err)
	assert.Equal(t, s.Broker.MaxConnections, 65536-cluster.BrokerOwnFiles, "no more than files")
	// What fits for one number of nodes fits for more: a new node restarts nothing.
	for n := 2; n <= cluster.MaxNodes; n++ {
		assert.Assert(t, cluster.BrokerShare(s.Proxy.MaxConn, n) <= s.Broker.MaxConnections, n)
	}
}

// The real one was killed for memory at about 7,000 clients in 512 MB.
func TestConnectionsThatDoNotFitAreRefused(t *testing.T) {
	for _, tc := range []struct{ broker, proxy, nodes, fault string }{
		{
			`{"memoryMb": 512, "maxConnections": 7000}`, ``, `3`,
			"emqx-oci:broker.memoryMb: must be at least 582 for broker.maxConnections (7000, 43 kB each), got 512, which holds 5334",
		},
		{
			`{"memoryMb": 512}`, `{"maxConn": 7000}`, `3`,
			"emqx-oci:proxy.maxConn: must be at most 3556 for 3 nodes: a broker gets up to 10500 clients while one is away, and takes 5334 " +
				"(broker.maxConnections; broker.memoryMb holds 5334, 43 kB each), got 7000",
		},
		{`{"memoryMb": 4096}`, `{"maxConn": 50000}`, `2`, "emqx-oci:proxy.maxConn: must be at most 45341 for 2 nodes: a broker gets up to 100000 clients"},
		{`{"memoryMb": 512}`, `{"maxConn": 7000}`, `1`, "emqx-oci:proxy.maxConn: must be at most 5334 for 1 node: a broker gets up to 7000 clients"},
		{`{"memoryMb": 512, "maxConnections": 3000}`, `{"maxConn": 2500}`, `3`, "must be at most 2000 for 3 nodes"},
		{`{"memoryMb": 320, "maxConnections": 120}`, ``, `3`, "emqx-oci:proxy.maxConn: must be at least 100, or 0 for half of what a broker takes (120), got 60"},
		{`{}`, `{"maxConn": 1000, "maxConnPerSource": 1001}`, `3`, "emqx-oci:proxy.maxConnPerSource: must be at most proxy.maxConn (1000), got 1001"},
		{`{"memoryMb": 4096, "noFile": 20000, "maxConnections": 20000}`, ``, `3`, "emqx-oci:broker.noFile: must be at least 21024 for broker.maxConnections (20000) and 1024 files of its own, got 20000"},
	} {
		groups := good()
		groups["nodes"] = `{"image": "ocid1.image.oc1..x", "count": ` + tc.nodes + `}`
		groups["broker"] = tc.broker
		if tc.proxy != "" {
			groups["proxy"] = tc.proxy
		}
		_, err := load("prod", groups, "secrets")
		assert.ErrorContains(t, err, tc.fault)
	}
}

// What a component would refuse in the middle of a program is a fault of the settings.
func TestSettingsRefuseWhatComponentsDo(t *testing.T) {
	for _, tc := range []struct{ group, text, fault string }{
		{"broker", `{"env": {"EMQX_LICENSE__KEY": "x"}}`, "emqx-oci:broker.env.EMQX_LICENSE__KEY: must not be set: license.key is the stack's own: it is secrets.license"},
		{"proxy", `{"killTimeout": "11m", "progressDeadline": "1h"}`, "emqx-oci:proxy.killTimeout: must be at most 10m, which is what the nodes' Nomad clients allow, got 11m"},
		{"proxy", `{"killTimeout": "0s"}`, "emqx-oci:proxy.killTimeout: must be at least 1s, got 0s"},
		{"tags", `{"emqx-instance": "x"}`, "emqx-oci:tags.emqx-instance: must not be set: the stack finds its own resources by it"},
	} {
		groups := good()
		groups[tc.group] = tc.text
		_, err := load("prod", groups, "secrets")
		assert.ErrorContains(t, err, tc.fault)
	}
	groups := good()
	groups["secrets"] = strings.Replace(groups["secrets"], "{", `{"license": "two\nlines", `, 1)
	_, err := load("prod", groups, "secrets")
	assert.ErrorContains(t, err, "emqx-oci:secrets.license: must be text of one line without control characters")
	assert.Assert(t, !strings.Contains(err.Error(), "two"))
}

// The tags hold numbers that belong to others.
func TestTagsAgreeWithTheComponents(t *testing.T) {
	for _, f := range Spec().Values() {
		switch f.Path {
		case "nodes.count", "volumes.count":
			assert.Equal(t, f.Range.Most, fmt.Sprint(cluster.MaxNodes), f.Path)
		case "broker.keepAliveMax":
			assert.Equal(t, f.Range.Least, fmt.Sprint(cluster.MinKeepAlive))
			assert.Equal(t, f.Range.Most, fmt.Sprint(limits.MaxIdleTimeout*2/3), f.Path)
		case "ports.mqtt", "ports.mqtts", "ports.ws", "ports.wss", "ports.admin",
			"ports.broker.mqtt", "ports.broker.mqtts", "ports.broker.ws", "ports.broker.wss":
			assert.Equal(t, f.Range.Least, fmt.Sprint(cluster.LowestPort), f.Path)
		case "broker.cpu":
			assert.DeepEqual(t, f.Range, structconfig.Bounds{Least: fmt.Sprint(cluster.MinBrokerCPU), Most: fmt.Sprint(cluster.MaxCPU)})
		case "proxy.cpu":
			assert.DeepEqual(t, f.Range, structconfig.Bounds{Least: fmt.Sprint(cluster.MinProxyCPU), Most: fmt.Sprint(cluster.MaxCPU)})
		case "broker.memoryMb":
			assert.Equal(t, f.Range.Least, fmt.Sprint(cluster.MinBrokerMB))
		case "broker.noFile":
			assert.Equal(t, f.Range.Least, fmt.Sprint(cluster.BrokerOwnFiles))
		case "broker.killTimeout":
			assert.Equal(t, f.Number(f.Range.Least), float64(cluster.BrokerStop))
			assert.Equal(t, f.Number(f.Range.Most), float64(cluster.MaxKillTimeout))
		case "broker.drain.timeout":
			assert.Assert(t, f.Number(f.Range.Most)+float64(cluster.BrokerStop) <= float64(cluster.MaxKillTimeout))
		case "proxy.maxConn", "proxy.maxConnPerSource":
			assert.Equal(t, f.Range.Most, fmt.Sprint(cluster.MaxMaxConn), f.Path)
		case "nodes.bootVolumeGb", "volumes.sizeGb", "volumes.sizeGbByNode":
			assert.DeepEqual(t, f.Range, structconfig.Bounds{Least: fmt.Sprint(limits.MinVolumeGB), Most: fmt.Sprint(limits.MaxVolumeGB)})
		case "dns.ttl":
			assert.Equal(t, f.Range.Most, fmt.Sprint(limits.MaxTTL))
		case "secrets.dashboardPassword", "secrets.apiSecret", "secrets.statsPassword":
			assert.Equal(t, f.Length.Least, fmt.Sprint(cluster.MinPassword), f.Path)
		case "secrets.apiKey":
			assert.Equal(t, f.Length.Least, fmt.Sprint(cluster.MinAPIKey))
		case "cloud":
			assert.DeepEqual(t, f.OneOf, []string{"oci", "lab"})
		}
	}
	s := defaults()
	assert.DeepEqual(t, s.Ports.Cluster(), cluster.DefaultPorts)
}

// A default that its own rule refuses would be refused in every stack.
func TestDefaultsKeepTheRules(t *testing.T) {
	var l fault.List
	Spec().Validate(&l, defaults(), structconfig.Validation{})
	for _, f := range Spec().Values() {
		if f.Default != nil {
			assert.Assert(t, !l.Has(f.Path), "%s: %v", f.Path, l.Err())
			assert.Equal(t, f.DefaultText, "", "%s: a default in words is for one that follows from something else", f.Path)
		}
		assert.Assert(t, !f.Secret || f.Type == reflect.TypeFor[Secret](), f.Path)
		assert.Assert(t, !f.Required || f.Secret || f.Format != nil || f.OneOf != nil, "%s: nothing tells what is missing", f.Path)
	}
}

func TestGivenValuesWin(t *testing.T) {
	g := good()
	g["cloud"] = "lab"
	g["broker"] = `{"keepAliveMax": 120, "killTimeout": "5m", "env": {"EMQX_LOG__CONSOLE__LEVEL": "info"}, "minHealthyTime": "3s"}`
	g["nodes"] = `{"image": "ocid1.image.oc1..x", "count": 5, "ocpus": 1.5}`
	g["tags"] = `{"team": "iot"}`
	s, err := load("prod", g, "secrets")
	assert.NilError(t, err)
	assert.Equal(t, s.Cloud, "lab")
	assert.Equal(t, s.Broker.KeepAliveMax, 120)
	assert.Equal(t, s.Broker.KillTimeout, 5*time.Minute)
	assert.Equal(t, s.Broker.MinHealthyTime, 3*time.Second)
	assert.Equal(t, s.Proxy.MinHealthyTime, 15*time.Second)
	assert.Equal(t, s.Nodes.OCPUs, 1.5)
	assert.DeepEqual(t, s.Tags, map[string]string{"team": "iot"})
	assert.DeepEqual(t, s.Broker.Env, map[string]string{"EMQX_LOG__CONSOLE__LEVEL": "info"})
}

func TestNothingSetNamesEverythingMissing(t *testing.T) {
	_, err := load("prod", nil)
	for _, want := range []string{"oci.region", "network.vcn", "nodes.image", "dns.zone", "nomad.address", "consul.servers", "secrets.erlangCookie"} {
		assert.ErrorContains(t, err, "emqx-oci:"+want+": ")
	}
}

func TestSecretsInClearAreRefused(t *testing.T) {
	g := good()
	g["nomad"] = `{"address": "http://10.0.2.10:4646", "servers": ["10.0.2.10:4647"], "token": "hidden-token"}`
	_, err := load("prod", g)
	assert.ErrorContains(t, err, "emqx-oci:nomad.token: must not be kept in clear; set it with: pulumi config set --secret --path 'emqx-oci:nomad.token'")
	assert.ErrorContains(t, err, "emqx-oci:secrets.apiKey: must not be kept in clear")
	assert.Assert(t, !strings.Contains(err.Error(), "hidden"))
}

func TestTokensComeFromTheEnvironment(t *testing.T) {
	from := source(good(), "secrets")
	from.Getenv = func(name string) string { return "from " + name }
	s, err := Load("prod", from)
	assert.NilError(t, err)
	assert.Equal(t, s.Nomad.Token.Reveal(), "from NOMAD_TOKEN")
	assert.Equal(t, s.Consul.Token.Reveal(), "from CONSUL_HTTP_TOKEN")

	g := good()
	g["nomad"] = strings.Replace(g["nomad"], "{", `{"token": "of-the-stack", `, 1)
	from = source(g, "secrets", "nomad")
	from.Getenv = func(name string) string { return "from " + name }
	s, err = Load("prod", from)
	assert.NilError(t, err)
	assert.Equal(t, s.Nomad.Token.Reveal(), "of-the-stack")
}

func TestOffline(t *testing.T) {
	g := good()
	g["secrets"] = `{"erlangCookie": "[secret]", "dashboardPassword": "[secret]", "apiKey": "[secret]", "apiSecret": "[secret]"}`
	g["tls"] = `{"certificate": "[secret]", "privateKey": "[secret]", "ca": "[secret]"}`
	g["oci"] = `{"region": "[secret]", "compartment": "[secret]"}`
	g["network"] = "[secret]"
	from := source(g, "secrets", "tls", "oci", "network")
	from.Offline = true
	_, err := Load("prod", from)
	assert.Error(t, err, `emqx-oci:secrets.statsPassword: is not set; set it with: pulumi config set --secret --path 'emqx-oci:secrets.statsPassword'`)
	g["secretsFrom"] = "EMQX_OCI_LAB_SECRETS"
	s, err := Load("prod", from)
	assert.NilError(t, err)
	assert.Assert(t, s.TLS.Enabled() && s.TLS.Certificate.Hidden())
	delete(g, "secrets")
	_, err = Load("prod", from)
	assert.NilError(t, err, "they come from elsewhere")
	from.Offline = false
	_, err = Load("prod", from)
	assert.ErrorContains(t, err, "oci.compartment")
	assert.ErrorContains(t, err, "secrets.apiKey: is not set")
}

func TestOneNodeOrALicenceMayRunANewerEMQX(t *testing.T) {
	g := good()
	g["broker"] = `{"image": "emqx/emqx:6.0.1"}`
	g["nodes"] = `{"image": "ocid1.image.oc1..x", "count": 1}`
	_, err := load("prod", g, "secrets")
	assert.NilError(t, err)
	g["nodes"] = good()["nodes"]
	g["secrets"] = strings.Replace(g["secrets"], "{", `{"license": "a-key", `, 1)
	_, err = load("prod", g, "secrets")
	assert.NilError(t, err)
}

func TestStackNames(t *testing.T) {
	for name, ok := range map[string]bool{"prod": true, "eu-1": true, "Prod": false, "a_b": false, "-a": false, "a--b": false, strings.Repeat("a", 32): false} {
		_, err := load(name, good(), "secrets")
		assert.Equal(t, err == nil, ok, name)
	}
}

func TestSecretNeverPrints(t *testing.T) {
	s, err := load("prod", good(), "secrets")
	assert.NilError(t, err)
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.Assert(t, !strings.Contains(fmt.Sprintf(verb, s.Secrets), "hidden"), verb)
	}
	assert.Equal(t, s.Secrets.APIKey.Reveal(), "hidden-key")
}

func TestKeysThatNoSettingReads(t *testing.T) {
	for key, want := range map[string]string{
		"emqx-oci:nodes": "", "aws:region": "", "pulumi:tags": "",
		"emqx-oci:node":         `emqx-oci:node: is not a known setting; did you mean "nodes"?`,
		"emqx-oic:broker":       `emqx-oic:broker: is not a known setting; did you mean "emqx-oci:broker"?`,
		"emqx-oci:nodes.count":  "emqx-oci:nodes.count: is one key with a dot in its name, which no setting reads: set it with pulumi config set --path, or write it inside emqx-oci:nodes",
		"emqx-oci:guardz.allow": `emqx-oci:guardz.allow: is not a known setting`,
	} {
		// The command line hands the keys over; a program that Pulumi starts finds them in its environment.
		byHand, inEnvironment := source(good(), "secrets"), source(good(), "secrets")
		byHand.Keys = []string{key}
		inEnvironment.Getenv = func(name string) string {
			if name == "PULUMI_CONFIG" {
				return fmt.Sprintf("{%q: \"{}\"}", key)
			}
			return ""
		}
		for _, from := range []Source{byHand, inEnvironment} {
			_, err := Load("prod", from)
			if want == "" {
				assert.NilError(t, err, key)
				continue
			}
			assert.ErrorContains(t, err, want)
		}
	}
}

func TestParseStackFile(t *testing.T) {
	values, secret, err := ParseStackFile([]byte(`
config:
  emqx-oci:cloud: lab
  emqx-oci:nodes: {count: 3, ocpus: 1.5}
  emqx-oci:secrets:
    apiKey: {secure: v1:abc}
`))
	assert.NilError(t, err)
	assert.DeepEqual(t, values, map[string]string{
		"emqx-oci:cloud": "lab", "emqx-oci:nodes": `{"count":3,"ocpus":1.5}`, "emqx-oci:secrets": `{"apiKey":"[secret]"}`,
	})
	assert.DeepEqual(t, secret, []string{"emqx-oci:secrets"})
	_, _, err = ParseStackFile([]byte("config: ["))
	assert.ErrorContains(t, err, "reading a stack file")
}

// The files of the tree hold no secret and lack nothing but secrets.
func TestStackFilesOfTheTree(t *testing.T) {
	for _, stack := range []string{"prod", "staging", "lab"} {
		text, err := os.ReadFile("../../Pulumi." + stack + ".yaml")
		assert.NilError(t, err)
		values, _, err := ParseStackFile(text)
		assert.NilError(t, err)
		_, err = Load(stack, Source{
			Get: func(key string) (string, bool) { v, ok := values[key]; return v, ok }, IsSecret: func(string) bool { return true },
			Keys: slices.Collect(maps.Keys(values)),
		})
		var list *fault.Error
		assert.Assert(t, errors.As(err, &list))
		assert.Equal(t, len(list.Faults), 5)
		for _, f := range list.Faults {
			assert.Assert(t, strings.HasPrefix(f.Path, "emqx-oci:secrets."), f)
		}
	}
}
