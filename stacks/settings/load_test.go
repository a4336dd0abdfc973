package settings

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/nomad"
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
	assert.Equal(t, s.Broker.KillTimeout, 150*time.Second)
	assert.Equal(t, s.Nomad.Region, "global")
	assert.Equal(t, s.TLS.Enabled(), false)
	// Decision 12: memory follows maxconn, and so do open files.
	assert.Equal(t, s.Proxy.MemoryMB, nomad.HAProxyMemoryMB(s.Proxy.MaxConn))
	assert.Equal(t, s.Proxy.NoFile, 100512)
}

func TestLimitsAreThoseOfTheComponents(t *testing.T) {
	assert.Equal(t, maxNodes, nomad.MaxNodes)
	for _, conns := range []int{100, 7000, 50001, 1_000_000} {
		assert.Equal(t, proxyMemoryMB(conns), nomad.HAProxyMemoryMB(conns))
	}
}

func TestGivenValuesWin(t *testing.T) {
	g := good()
	g["cloud"] = "lab"
	g["broker"] = `{"keepAliveMax": 120, "killTimeout": "3m", "env": {"EMQX_LOG__CONSOLE__LEVEL": "info"}, "minHealthyTime": "3s"}`
	g["nodes"] = `{"image": "ocid1.image.oc1..x", "count": 5, "ocpus": 1.5}`
	g["tags"] = `{"team": "iot"}`
	s, err := load("prod", g, "secrets")
	assert.NilError(t, err)
	assert.Equal(t, s.Cloud, "lab")
	assert.Equal(t, s.Broker.KeepAliveMax, 120)
	assert.Equal(t, s.Broker.KillTimeout, 3*time.Minute)
	assert.Equal(t, s.Broker.MinHealthyTime, 3*time.Second)
	assert.Equal(t, s.Proxy.MinHealthyTime, 15*time.Second)
	assert.Equal(t, s.Nodes.OCPUs, 1.5)
	assert.DeepEqual(t, s.Tags, map[string]string{"team": "iot"})
	assert.DeepEqual(t, s.Broker.Env, map[string]string{"EMQX_LOG__CONSOLE__LEVEL": "info"})
}

// Each case is one group of a good stack replaced, and the faults it must give.
func TestFaults(t *testing.T) {
	for _, c := range []struct{ group, text, want string }{
		{"cloud", "aws", `cloud: must be oci or lab, got "aws"`},
		{"oci", `{"region": "r"}`, `oci.compartment: must be an OCID that begins with ocid1.compartment., got ""`},
		{"oci", `{"region": "r", "compartment": "ocid1.vcn.oc1..x"}`, `oci.compartment: must be an OCID that begins with ocid1.compartment., got "ocid1.vcn.oc1..x"`},
		{"oci", `{"regoin": "r", "region": "r", "compartment": "ocid1.tenancy.oc1..x"}`, `oci.regoin: is not a known setting; did you mean "region"?`},
		{"oci", `"text"`, "oci: must be a group of settings\n" +
			`oci.compartment: must be an OCID that begins with ocid1.compartment., got ""` + "\noci.region: must be set"},
		{"nodes", `{"image": "ocid1.image.oc1..x", "count": 0}`, `nodes.count: must be 1 to 100, got 0`},
		{"nodes", `{"image": "ocid1.image.oc1..x", "count": "3"}`, `nodes.count: must be a whole number, got "3"`},
		{"nodes", `{"image": "ocid1.image.oc1..x", "count": 2.5}`, `nodes.count: must be a whole number, got 2.5`},
		{"nodes", `{"image": "ocid1.image.oc1..x", "count": null}`, `nodes.count: has no value; remove the key or give it one`},
		{"nodes", `{"image": "ocid1.image.oc1..x", "zzzzzzzzz": 1}`, `nodes.zzzzzzzzz: is not a known setting; known here: bootVolumeGb, bootVolumeVpusPerGb, count, image, memoryGb, ocpus, shape, sshKey`},
		{"nodes", `{"image": "ocid1.image.oc1..x", "memoryGb": 4}`, `nodes.memoryGb: must hold broker (4096 MB), proxy (1676 MB) and 1024 MB for the node, got 4 GB`},
		{"network", `{"vcn": "ocid1.vcn.oc1..x", "publicSubnet": "ocid1.subnet.oc1..x", "privateSubnet": "ocid1.subnet.oc1..y",
			"clientCidrs": ["10.0.0.1/24"], "serverCidrs": []}`, `network.clientCidrs[0]: must be an IPv4 range such as 10.0.0.0/16, got "10.0.0.1/24"` + "\n" +
			`network.serverCidrs: must hold at least one range, such as 10.0.0.0/16`},
		{"volumes", `{"sizeGb": 49, "vpusPerGb": 15}`, "volumes.sizeGb: must be 50 to 32768, got 49\nvolumes.vpusPerGb: must be 0 to 120 in steps of 10, got 15"},
		{"volumes", `{"protect": "yes"}`, `volumes.protect: must be true or false, got "yes"`},
		{"broker", `{"killTimeout": "120s"}`, `broker.killTimeout: must be at least 2m10s, because EMQX takes up to 120 s to stop, got 2m`},
		{"broker", `{"killTimeout": "1h"}`, `broker.killTimeout: must be at most 10m, what the nodes' Nomad clients allow, got 1h`},
		{"broker", `{"killTimeout": 150}`, `broker.killTimeout: must be a duration such as "90s" or "10m", got 150`},
		{"broker", `{"keepAliveMax": 1201}`, `broker.keepAliveMax: must be 10 to 1200, got 1201`},
		{"broker", `{"image": "emqx/emqx"}`, `broker.image: must name a version, such as emqx/emqx:5.8.9, got "emqx/emqx"`},
		{"broker", `{"image": "emqx/emqx:latest"}`, `broker.image: must name a version, such as emqx/emqx:5.8.9, got "emqx/emqx:latest"`},
		{"broker", `{"image": "emqx/emqx:5.8.3"}`, `broker.image: must be 5.8.5 or newer with several nodes, got "emqx/emqx:5.8.3"`},
		{"broker", `{"image": "registry.example.com:5000/emqx/emqx:5.9.0"}`, `broker.image: "registry.example.com:5000/emqx/emqx:5.9.0" with 3 nodes needs a licence key from 5.9 on: ` +
			`use emqx/emqx:5.8.9, or set one with: pulumi config set --secret --path 'emqx-oci:secrets.license'`},
		{"broker", `{"image": "emqx/emqx:4.4.19"}`, `broker.image: must be 5.8 or newer, got "emqx/emqx:4.4.19"`},
		{"broker", `{"healthyDeadline": "10m"}`, `broker.progressDeadline: must be longer than healthyDeadline (10m), got 10m`},
		{"broker", `{"progressDeadline": "40m"}`, `gates.clusterFormed: must be longer than broker.progressDeadline (40m), or it gives up before Nomad says why, got 30m`},
		{"broker", `{"env": {"EMQX_NODE__COOKIE": "x"}}`, `broker.env.EMQX_NODE__COOKIE: must not be set: the stack sets EMQX_NODE__COOKIE... itself`},
		{"broker", `{"env": {"PATH": "x"}}`, `broker.env.PATH: must be a variable of EMQX, EMQX_ and capital letters`},
		{"broker", `{"env": {"EMQX_LOG__TO": 1}}`, `broker.env.EMQX_LOG__TO: must be a string (quote it), got 1`},
		{"proxy", `{"maxConn": 50000, "memoryMb": 512}`, `proxy.memoryMb: must be at least 1676 for 50000 connections of 33 kB, got 512`},
		{"proxy", `{"maxConn": 50000, "noFile": 65536}`, `proxy.noFile: must be at least 100512 for 50000 connections, got 65536`},
		{"proxy", `{"killTimeout": "45s"}`, `proxy.killTimeout: must be at least 10s above shutdownDelay (40s), got 45s`},
		{"edge", `{"kind": "flexible"}`, `edge.kind: must be network, got "flexible"`},
		{"edge", `{"healthTimeout": "20s"}`, `edge.healthTimeout: must be at most the interval (10s), got 20s`},
		{"edge", `{"healthInterval": "1500ms", "healthTimeout": "1s"}`, `edge.healthInterval: must be 1s to 1800s in whole seconds, got 1.5s`},
		{"dns", `{"zone": "example.com", "name": "mqtt.example.org"}`, `dns.name: must be a full name inside zone "example.com", got "mqtt.example.org"`},
		{"tls", `{"terminate": "edge"}`, `tls.terminate: must be broker, got "edge"`},
		{"tls", `{"certificate": "x"}`, `tls.privateKey: must be set with the certificate; set it with: pulumi config set --secret --path 'emqx-oci:tls.privateKey'`},
		{"tls", `{"ca": "x"}`, `tls.ca: must not be set without a certificate and its key`},
		{
			"nomad", `{"address": "10.0.2.10:4646", "servers": ["10.0.2.10"], "datacenter": "dc2"}`,
			`nomad.address: must be a URL such as https://10.0.2.10:4646, got "10.0.2.10:4646"` + "\n" +
				`nomad.datacenter: must be consul.datacenter ("dc1"), because a node has one name in both, got "dc2"` + "\n" +
				`nomad.servers[0]: must be host:port, such as 10.0.2.10:4647, got "10.0.2.10"`,
		},
		{"consul", `{"address": "http://10.0.2.10:8500", "servers": []}`, `consul.servers: must hold at least one address`},
		{"gates", `{"nodesReady": "0s"}`, `gates.nodesReady: must be longer than 0s, got 0s`},
		{"gates", `{"proxy": "http://127.0.0.1:1080"}`, `gates.proxy: must be socks5h://host:port, got "http://127.0.0.1:1080"`},
		{"tags", `{"group-index": "1"}`, `tags.group-index: must not be set: the stack finds its own resources by it`},
		{"secrets", `{"erlangCookie": "aCookieThatIsLongEnough", "dashboardPassword": "hidden-password",
			"apiKey": "hidden-key", "apiSecret": "hidden-secret"}`, `secrets.statsPassword: is not set; set it with: pulumi config set --secret --path 'emqx-oci:secrets.statsPassword'`},
		{"secrets", `{"erlangCookie": "hidden#cookie-with-a-hash", "dashboardPassword": "hidden", "apiKey": "hidden:key", "apiSecret": 5,
			"statsPassword": "hidden password"}`, `secrets.apiKey: must be letters, digits and ._~+/=-: a colon would end it` + "\n" +
			`secrets.apiSecret: must be a string (the value is a secret and not shown)` + "\n" +
			`secrets.dashboardPassword: must have at least 12 characters, got 6` + "\n" +
			`secrets.erlangCookie: must be a letter followed by 19 to 254 letters and digits: a shell script and HOCON read it unquoted` + "\n" +
			`secrets.statsPassword: must be printable ASCII without spaces`},
	} {
		t.Run(c.group+" "+c.text[:min(len(c.text), 40)], func(t *testing.T) {
			g := good()
			g[c.group] = c.text
			_, err := load("prod", g, "secrets", "tls")
			var list *fault.Error
			assert.Assert(t, errors.As(err, &list), "got %v", err)
			want := "emqx-oci:" + strings.ReplaceAll(c.want, "\n", "\nemqx-oci:")
			assert.Equal(t, err.Error(), want)
			assert.Assert(t, !strings.Contains(err.Error(), "hidden"), "an error shows a secret")
		})
	}
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
	g["secrets"] = `{"erlangCookie": "[secret]", "dashboardPassword": "[encrypted]", "apiKey": "[secret]", "apiSecret": "[secret]"}`
	g["tls"] = `{"certificate": "[secret]", "privateKey": "[secret]", "ca": "[secret]"}`
	g["oci"] = `{"region": "[secret]", "compartment": "[secret]"}`
	g["network"] = "[secret]"
	from := source(g, "secrets", "tls", "oci", "network")
	from.Offline = true
	_, err := Load("prod", from)
	assert.Error(t, err, `emqx-oci:secrets.statsPassword: is not set; set it with: pulumi config set --secret --path 'emqx-oci:secrets.statsPassword'`)
	g["cloud"] = "lab"
	s, err := Load("prod", from)
	assert.NilError(t, err)
	assert.Assert(t, s.TLS.Enabled() && s.TLS.Certificate.Hidden())
	delete(g, "secrets")
	_, err = Load("prod", from)
	assert.NilError(t, err, "the lab makes its secrets")
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

func TestCheckKeys(t *testing.T) {
	assert.NilError(t, CheckKeys([]string{"emqx-oci:nodes", "aws:region"}))
	assert.Error(t, CheckKeys([]string{"emqx-oci:node"}), `emqx-oci:node: is not a known setting; did you mean "nodes"?`)
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
		"emqx-oci:cloud": "lab", "emqx-oci:nodes": `{"count":3,"ocpus":1.5}`, "emqx-oci:secrets": `{"apiKey":"[encrypted]"}`,
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
		var keys []string
		for key := range values {
			keys = append(keys, key)
		}
		assert.NilError(t, CheckKeys(keys))
		_, err = Load(stack, Source{
			Get: func(key string) (string, bool) { v, ok := values[key]; return v, ok }, IsSecret: func(string) bool { return true },
		})
		var list *fault.Error
		assert.Assert(t, errors.As(err, &list))
		assert.Equal(t, len(list.Faults), 5)
		for _, f := range list.Faults {
			assert.Assert(t, strings.HasPrefix(f.Path, "emqx-oci:secrets."), f)
		}
	}
}

func FuzzLoadNeverPanics(f *testing.F) {
	for group, text := range good() {
		f.Add(group, text)
	}
	f.Add("nodes", `{"count": [1, {"a": null}]}`)
	f.Add("network", `{"clientCidrs": [null, 3, "x"]}`)
	f.Fuzz(func(t *testing.T, group, text string) {
		g := good()
		g[group] = text
		_, _ = load("prod", g, "secrets")
		_, _, _ = ParseStackFile([]byte(text))
	})
}
