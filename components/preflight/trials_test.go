package preflight_test

import (
	"crypto/x509"
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

func env(name, value string) func(*settings.Settings) {
	return func(s *settings.Settings) { s.Broker.Env = map[string]string{name: value} }
}

// maxConn changes it and what follows from it.
func maxConn(n int) func(*settings.Settings) {
	return func(s *settings.Settings) { s.Proxy.MaxConn, s.Proxy.MemoryMB, s.Proxy.NoFile = n, 64+n, 3*n }
}

// clients come from so many ranges.
func clients(ranges int) func(*settings.Settings) {
	return func(s *settings.Settings) {
		s.Network.ClientCIDRs = nil
		for i := range ranges {
			s.Network.ClientCIDRs = append(s.Network.ClientCIDRs, fmt.Sprintf("203.0.%d.0/24", 2*i))
		}
	}
}

func serversFrom(cidrs ...string) func(*settings.Settings) {
	return func(s *settings.Settings) { s.Network.ServerCIDRs = cidrs }
}

// trials are those of each check.
var trials = map[string][]trial{
	"port-collision": {
		{name: "defaults"},
		{name: "twice", settings: func(s *settings.Settings) { s.Ports.WS = 1883 }, want: []string{"example"}},
		{
			name: "fixed and dynamic ones",
			settings: func(s *settings.Settings) {
				s.Ports = settings.Ports{
					MQTT: 2883, MQTTS: 21500, WS: 8500, WSS: 18083, Admin: 8600,
					Broker: settings.BrokerPorts{MQTT: 22, MQTTS: 2883, WS: 21001, WSS: 4370},
				}
			},
			want: []string{
				"error emqx-oci:ports.admin: must not be a port of Consul's DNS, got 8600",
				"error emqx-oci:ports.broker.mqtt: must be 1024 to 65535, because nobody here has the right to lower ports, got 22",
				"error emqx-oci:ports.broker.mqtts: must be a port of its own, got 2883, which is ports.mqtt",
				"error emqx-oci:ports.broker.ws: must not be a port of other jobs (21000 to 21799), got 21001",
				"error emqx-oci:ports.broker.wss: must not be a port of EMQX's Erlang distribution, got 4370",
				"error emqx-oci:ports.mqtts: must not be a port of other jobs (21000 to 21799), got 21500",
				"error emqx-oci:ports.ws: must not be a port of Consul, got 8500",
				"error emqx-oci:ports.wss: must not be a port of EMQX's dashboard, got 18083",
			},
		},
	},
	"path": {
		{name: "as it is", tls: true},
		{name: "other ports", tls: true, settings: func(s *settings.Settings) {
			s.Ports = settings.Ports{
				MQTT: 11883, MQTTS: 18883, WS: 9083, WSS: 9084, Admin: 9090, Broker: settings.BrokerPorts{MQTT: 31883, MQTTS: 31884, WS: 31885, WSS: 31886},
			}
		}},
		{name: "a backend at the admin port", graph: func(g graph) { g.set(setKind, "backends.port", 8080) }, want: []string{"example"}},
		{name: "a check elsewhere", graph: func(g graph) { g.set(setKind, "healthChecker.port", 1883) }, want: []string{
			"error " + setKind + " cluster-balancer-mqtt.healthChecker.port: must be HAProxy's admin port 8080, got 1883",
		}},
		{name: "a listener that nothing admits", graph: func(g graph) { g.set("Listener", "port", 1884) }, want: []string{
			"error Listener cluster-listeners-mqtt.port: must be a port that a security rule admits, got 1884",
		}},
		{name: "a set without backends", graph: func(g graph) { g.set("Listener", "defaultBackendSetName", "none") }, want: []string{
			`error Listener cluster-listeners-mqtt.defaultBackendSetName: must name a set with backends, got "none"`,
		}},
		{name: "no PROXY header", graph: func(g graph) { g.configure("default-server send-proxy-v2", "default-server weight 1") }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL: must be false, as HAProxy's default-server says, got "true"`,
			`error Job cluster-emqx.jobspec: env.EMQX_LISTENERS__WS__DEFAULT__PROXY_PROTOCOL: must be false, as HAProxy's default-server says, got "true"`,
		}},
		{name: "a listener bound elsewhere", graph: func(g graph) {
			g.edit("emqx", "${var.ports[l.port]}", `${name == "tcp" ? 1883 : var.ports[l.port]}`)
		}, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_LISTENERS__TCP__DEFAULT__BIND: must be 0.0.0.0:21883, the same on every node and where HAProxy looks for it, got "0.0.0.0:1883"`,
		}},
	},
	"node-name": {
		{name: "as it is"},
		{name: "five", settings: func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 5, 5 }},
		{name: "by address", graph: func(g graph) { g.edit("emqx", `"srv"`, `"a"`) }, want: []string{"example"}},
		{name: "a digit", graph: func(g graph) { g.edit("emqx", `"emqx@${node`, `"emqx1@${node`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_NODE__NAME: must have no digit before the @: it would move port 4370, got "emqx1@${node.unique.name}.node.dc1.consul"`,
		}},
		{name: "one name for all", graph: func(g graph) { g.edit("emqx", `emqx@${node.unique.name}`, `emqx@emqx`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_NODE__NAME: must hold the node's own name, ${node.unique.name}: all nodes would have one name, got "emqx@emqx.node.dc1.consul"`,
		}},
		{name: "no name", graph: func(g graph) { g.edit("emqx", `"emqx@${node`, `"${node`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_NODE__NAME: must be emqx@<node>.node.<datacenter>.consul, got "${node.unique.name}.node.dc1.consul"`,
		}},
		{name: "static", graph: func(g graph) { g.edit("emqx", `= "dns"`, `= "static"`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DISCOVERY_STRATEGY: must be dns, which is what the member list answers, got "static"`,
		}},
		{name: "a tag that no member has", graph: func(g graph) { g.edit("emqx", `\"${var.environment}.emqx-cluster`, `\"other.emqx-cluster`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must name a service with its tag in Consul's catalog, got "other.emqx-cluster.service.consul": no entry has service "emqx-cluster" and tag "other"`,
		}},
		{name: "a lookup that is none", graph: func(g graph) { g.edit("emqx", `.emqx-cluster.service.consul`, `.example.com`) }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must be <tag>.<service>.service.consul, got "prod.example.com"`,
		}},
		{name: "a member by address", graph: func(g graph) { g.set("Service", "address", "10.0.0.5") }, want: []string{
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must list every node, got no entry with the address "emqx-prod-0.node.dc1.consul": EMQX never finds the node of this name`,
		}},
		{name: "another name in OCI", graph: func(g graph) { g.set("InstanceConfiguration", "displayName", "x") }, want: []string{
			`error InstanceConfiguration cluster-pools-0-config.displayName: must be "emqx-prod-0", as the boot script calls the node, got "x"`,
		}},
		{name: "another datacenter", graph: func(g graph) { g.edit("emqx", `.node.${var.datacenter}.consul`, `.node.dc9.consul`) }, want: []string{
			`error InstanceConfiguration cluster-pools-0-config.instanceDetails.launchDetails.metadata.user_data: must join the datacenter of the node names (${node.unique.name}.node.dc9.consul), got "dc1"`,
			`error InstanceConfiguration cluster-pools-1-config.instanceDetails.launchDetails.metadata.user_data: must join the datacenter of the node names (${node.unique.name}.node.dc9.consul), got "dc1"`,
			`error InstanceConfiguration cluster-pools-2-config.instanceDetails.launchDetails.metadata.user_data: must join the datacenter of the node names (${node.unique.name}.node.dc9.consul), got "dc1"`,
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must list every node, got no entry with the address "emqx-prod-0.node.dc9.consul": EMQX never finds the node of this name`,
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must list every node, got no entry with the address "emqx-prod-1.node.dc9.consul": EMQX never finds the node of this name`,
			`error Job cluster-emqx.jobspec: env.EMQX_CLUSTER__DNS__NAME: must list every node, got no entry with the address "emqx-prod-2.node.dc9.consul": EMQX never finds the node of this name`,
		}},
	},
	"discovery": {
		{name: "as it is"},
		{name: "Consul's own settings", graph: func(g graph) { g.boot("{enable_truncate: true}", "{}") }, want: []string{"example"}},
		{name: "another setting of that name", graph: func(g graph) { g.boot("dns_config: {enable", "x: {enable") }, want: []string{"example"}},
		{name: "a HAProxy with small answers", graph: func(g graph) { g.configure("accepted_payload_size 8192", "accepted_payload_size 512") }, want: []string{
			`error Job cluster-haproxy.hcl2.vars.config: resolvers: must have an accepted_payload_size of at least 8192: HAProxy does not ask by TCP for the rest of an answer, got "512"`,
		}},
	},
	"service-tags": {
		{name: "as it is", tls: true},
		{name: "untagged", graph: func(g graph) {
			g.edit("emqx", `"${var.environment}--${NOMAD_ALLOC_INDEX}"],`, `],`)
		}, want: []string{"example"}},
		{name: "no such service", graph: func(g graph) { g.configure("}}.emqx-dashboard.service", "}}.emqx-web.service") }, want: []string{
			`error Job cluster-emqx.jobspec: service.emqx-web: must carry the tag "prod--0" that HAProxy asks for`,
		}},
		{name: "a check of what Consul says", graph: func(g graph) { g.configure("addr {{ $address }}", "addr 198.51.100.1") }, want: []string{
			`error Job cluster-haproxy.hcl2.vars.config: backend brokers: must check the members' own addresses, got "198.51.100.1"`,
			`error Job cluster-haproxy.hcl2.vars.config: backend seen-mqtt: must check the members' own addresses, got "198.51.100.1"`,
			`error Job cluster-haproxy.hcl2.vars.config: backend seen-ws: must check the members' own addresses, got "198.51.100.1"`,
		}},
		{name: "clients led by Consul", graph: func(g graph) {
			g.configure("{{ $address }}:{{ $port }} tcp-ut", "prod.emqx.service.consul:{{ $port }} tcp-ut")
		}, want: []string{
			`error Job cluster-haproxy.hcl2.vars.config: backend mqtt: must lead to the members' own addresses, got "prod.emqx.service.consul:21883"`,
			`error Job cluster-haproxy.hcl2.vars.config: backend ws: must lead to the members' own addresses, got "prod.emqx.service.consul:21983"`,
		}},
	},
	"kill-timeout": {
		{name: "as it is"},
		{name: "the lab loses no answer", stack: "lab", settings: func(s *settings.Settings) { s.Broker.ShutdownDelay = time.Second }},
		{name: "gone too early", settings: func(s *settings.Settings) {
			s.Broker.ShutdownDelay, s.Proxy.ShutdownDelay = 8*time.Second, 20*time.Second
		}, want: []string{
			"example",
			"warning emqx-oci:proxy.shutdownDelay: should be at least 33s, what the balancer takes to notice a failing health check, got 20s",
		}},
	},
	"kill-timeouts": {
		{name: "as it is"},
		{name: "5 s", graph: func(g graph) {
			g.edit("emqx", "kill_signal  = \"SIGTERM\"\n      kill_timeout = var.kill_timeout", "kill_signal  = \"SIGTERM\"\n      kill_timeout = \"5s\"")
		}, want: []string{"example"}},
		{name: "above the client's", graph: func(g graph) {
			g.edit("emqx", "kill_signal  = \"SIGTERM\"\n      kill_timeout = var.kill_timeout", "kill_signal  = \"SIGTERM\"\n      kill_timeout = \"11m\"")
		}, want: []string{"error Job cluster-emqx.jobspec: task.kill_timeout: must be at most 10m0s, the max_kill_timeout of the nodes' Nomad clients, got 11m0s"}},
		{name: "no duration", graph: func(g graph) {
			g.edit("haproxy", "kill_signal  = \"SIGTERM\"\n      kill_timeout = var.kill_timeout", "kill_signal  = \"SIGTERM\"\n      kill_timeout = \"soon\"")
		}, want: []string{`error Job cluster-haproxy.jobspec: task.kill_timeout: must be a duration such as 150s, got "soon"`}},
		{name: "HAProxy takes longer", graph: func(g graph) { g.edit("haproxy", `"${local.hard_stop}"`, `"60"`) }, want: []string{
			"error Job cluster-haproxy.jobspec: task.kill_timeout: must be above the script's GRACE (40s) and HARD_STOP (1m0s) together, got 1m0s",
		}},
		{name: "HAProxy remembers for longer", graph: func(g graph) { g.configure("hold nx 3s", "hold nx 30s") }, want: []string{
			"error Job cluster-haproxy.hcl2.vars.config: resolvers: must forget within 9s, as settings and checks have it, got 36s",
		}},
	},
	"keep-alive": {
		{name: "as it is", tls: true},
		{name: "EMQX's web socket", settings: env("EMQX_LISTENERS__WS__DEFAULT__WEBSOCKET__IDLE_TIMEOUT", `"10m"`), want: []string{
			"error emqx-oci:broker.env.EMQX_LISTENERS__WS__DEFAULT__WEBSOCKET__IDLE_TIMEOUT: must be at least 900 s, 1.5 times broker.keepAliveMax (600), got 600 s",
		}},
		{name: "EMQX asks for more", settings: env("EMQX_MQTT__SERVER_KEEPALIVE", "1200"), want: []string{"example"}},
		{name: "the same, encrypted", settings: func(s *settings.Settings) {
			s.Broker.SecretEnv = map[string]settings.Secret{"EMQX_MQTT__SERVER_KEEPALIVE": "1200"}
		}, want: []string{
			"error emqx-oci:broker.env.EMQX_MQTT__SERVER_KEEPALIVE: must be at most broker.keepAliveMax (600 s), got [secret] s",
		}},
		{name: "what nobody has opened", settings: func(s *settings.Settings) {
			s.Broker.SecretEnv = map[string]settings.Secret{"EMQX_MQTT__SERVER_KEEPALIVE": "[secret]"}
		}},
		{name: "EMQX asks for more, inside an object", settings: env("EMQX_MQTT", "{server_keepalive = 1200}"), want: []string{
			"error emqx-oci:broker.env.EMQX_MQTT__SERVER_KEEPALIVE: must be at most broker.keepAliveMax (600 s), got 1200 s",
		}},
		{name: "EMQX asks for less", settings: env("EMQX_MQTT__SERVER_KEEPALIVE", `"5m"`)},
		{name: "EMQX waits for longer", settings: env("EMQX_MQTT__KEEPALIVE_MULTIPLIER", "2"), want: []string{
			"warning emqx-oci:broker.env.EMQX_MQTT__KEEPALIVE_MULTIPLIER: should be at most 1.5: the path closes a silent connection after that many keep-alives, got 2",
		}},
	},
	"idle-timeouts": {
		{name: "as it is", tls: true},
		{name: "OCI's default", graph: func(g graph) { g.set("Listener", "tcpIdleTimeout", nil) }, want: []string{"example"}},
		{name: "HAProxy's", graph: func(g graph) {
			g.configure("timeout client {{ $idle }}", "timeout client 3m")
			g.configure("timeout server {{ $idle }}", "")
			g.configure("timeout tunnel {{ $idle }}", "timeout tunnel 60000")
		}, want: []string{
			"error Job cluster-haproxy.hcl2.vars.config: timeout client: must be at least 900 s, 1.5 times broker.keepAliveMax (600), got 180 s",
			`error Job cluster-haproxy.hcl2.vars.config: timeout server: must be set in defaults, "" is no time`,
			"error Job cluster-haproxy.hcl2.vars.config: timeout tunnel: must be at least 900 s, 1.5 times broker.keepAliveMax (600), got 60 s",
		}},
	},
	"edition": {
		{name: "as it is"},
		{name: "durable sessions", settings: env("EMQX_DURABLE_SESSIONS__ENABLE", "true"), want: []string{"example"}},
		{name: "durable sessions of one node", settings: func(s *settings.Settings) {
			s.Nodes.Count, s.Volumes.Count = 1, 1
			env("EMQX_DURABLE_SESSIONS__ENABLE", "true")(s)
		}},
		{name: "more of the enterprise edition", settings: func(s *settings.Settings) {
			s.Broker.Env = map[string]string{
				"EMQX_REBALANCE__X": "1", "EMQX_LICENSE__CONNECTION_LOW_WATERMARK": "75", "EMQX_FILE_TRANSFER__ENABLE": "true",
				"EMQX_DURABLE_STORAGE__MESSAGES__BACKEND": "builtin_raft",
			}
			s.Secrets.License = "key"
		}, want: []string{
			`error emqx-oci:broker.env.EMQX_DURABLE_STORAGE__MESSAGES__BACKEND: must not be set to "builtin_raft": open-source "emqx/emqx:5.8.9" has no replicated durable storage`,
			`error emqx-oci:broker.env.EMQX_FILE_TRANSFER__ENABLE: must not be set to "true": open-source "emqx/emqx:5.8.9" has nothing of this part`,
			`error emqx-oci:broker.env.EMQX_LICENSE__CONNECTION_LOW_WATERMARK: must not be set to "75": open-source "emqx/emqx:5.8.9" has no licences`,
			`error emqx-oci:broker.env.EMQX_REBALANCE__X: must not be set to "1": open-source "emqx/emqx:5.8.9" has no rebalancing and evacuation`,
			`warning emqx-oci:secrets.license: should not be set: open-source "emqx/emqx:5.8.9" reads no licence`,
		}},
		{name: "enterprise image", settings: func(s *settings.Settings) {
			env("EMQX_DURABLE_SESSIONS__ENABLE", "true")(s)
			s.Broker.Image = "registry.example.com/emqx/emqx-enterprise:5.8.11"
		}, want: []string{
			`warning emqx-oci:secrets.license: should be set for "registry.example.com/emqx/emqx-enterprise:5.8.11": its built-in trial licence admits 25 connections`,
		}},
		{name: "an image of one's own", settings: func(s *settings.Settings) {
			env("EMQX_DURABLE_SESSIONS__ENABLE", "true")(s)
			s.Broker.Image = "registry.example.com/broker:5.8.9"
		}},
	},
	"env-hygiene": {
		{name: "good ones", settings: func(s *settings.Settings) {
			s.Broker.Env = map[string]string{
				"EMQX_MQTT__MAX_PACKET_SIZE": "2MB", "EMQX_LOG__CONSOLE__LEVEL": "info", "EMQX_WAIT_FOR_STOP": "100",
				"EMQX_MQTT__X": `"a: b"`, "EMQX_MQTT__Y": `["a b"]`, "EMQX_MQTT__Z": "", "EMQX_MQTT": `{max_inflight = 64}`,
				// What is no HOCON EMQX takes as it stands.
				"EMQX_LISTENERS__TCP__MINE__BIND": "0.0.0.0:11883", "EMQX_MQTT__U": "http://api:3001/x",
				"EMQX_MQTT__V": "hash, topic", "EMQX_MQTT__W": "5 MB",
			}
		}},
		{name: "a bare value", settings: env("EMQX_MQTT__X", "pass#word"), want: []string{"example"}},
		{name: "what EMQX reads as another value", settings: func(s *settings.Settings) {
			s.Broker.Env = map[string]string{
				"EMQX_MQTT__A": "0012345", "EMQX_MQTT__B": "1.10", "EMQX_MQTT__C": "null", "EMQX_MQTT__D": "a//b", "EMQX_MQTT__E": `"15s"#x`,
				"EMQX_MQTT__F": "${?x}", "EMQX_MQTT__G": "[1, 2", "EMQX_MQTT__H": "größe", "EMQX_MQTT__I": "{a = b c}",
			}
		}, want: []string{
			`error emqx-oci:broker.env.EMQX_MQTT__A: must be quoted inside, as '"0012345"', or be written as what EMQX reads, 12345: it reads HOCON, got "0012345"`,
			`error emqx-oci:broker.env.EMQX_MQTT__B: must be quoted inside, as '"1.10"', or be written as what EMQX reads, 1.1: it reads HOCON, got "1.10"`,
			`error emqx-oci:broker.env.EMQX_MQTT__C: must not be null, which sets nothing: leave it out, or quote it inside, as '"null"'`,
			`error emqx-oci:broker.env.EMQX_MQTT__D: must be quoted inside, as '"a//b"', or be written as what EMQX reads, "a": it reads HOCON, got "a//b"`,
			`error emqx-oci:broker.env.EMQX_MQTT__E: must be written as EMQX reads it, as "15s": it leaves comments and spaces out, and signs and zeros of numbers, got "\"15s\"#x"`,
			`error emqx-oci:broker.env.EMQX_MQTT__F: must be the same on every node, got "${?x}": EMQX shares all of its settings but node and rpc, and one member's address closes the listeners of the others`,
			`error emqx-oci:broker.env.EMQX_MQTT__G: must be HOCON that EMQX can read, or be quoted inside: EMQX takes it as one text, brackets and quotes included, got "[1, 2"`,
			`error emqx-oci:broker.env.EMQX_MQTT__H: must be quoted inside, as '"größe"': EMQX takes each character above ASCII for one byte, got "größe"`,
			`error emqx-oci:broker.env.EMQX_MQTT__I: must be written as EMQX reads it, as {"a":"bc"}: it leaves comments and spaces out, and signs and zeros of numbers, got "{a = b c}"`,
		}},
		{name: "an encrypted one is not shown", settings: func(s *settings.Settings) {
			s.Broker.SecretEnv = map[string]settings.Secret{"EMQX_MQTT__PASSWORD": "hunter#2"}
		}, want: []string{
			`error emqx-oci:broker.env.EMQX_MQTT__PASSWORD: must be quoted inside, as '"..."', or be written as what EMQX reads, another value: it reads HOCON, got a secret`,
		}},
		{name: "a value of the node's own", settings: func(s *settings.Settings) {
			s.Broker.Env = map[string]string{"EMQX_RPC__X": "${NOMAD_IP_rpc}", "EMQX_MQTT__X": `"${node.unique.name}"`}
		}, want: []string{
			`error emqx-oci:broker.env.EMQX_MQTT__X: must be the same on every node, got "\"${node.unique.name}\"": EMQX shares all of its settings but node and rpc, and one member's address closes the listeners of the others`,
		}},
		{name: "a single underscore", settings: env("EMQX_MQTT_MAX_PACKET_SIZE", "2MB"), want: []string{
			"warning emqx-oci:broker.env.EMQX_MQTT_MAX_PACKET_SIZE: should have __ between the parts of its path, such as EMQX_MQTT__MAX_PACKET_SIZE: \"mqtt_max_packet_size\" is no part of EMQX 5.8's configuration, and EMQX ignores it",
		}},
		{name: "no part of EMQX", settings: env("EMQX_MQQT__MAX_PACKET_SIZE", "2MB"), want: []string{
			`warning emqx-oci:broker.env.EMQX_MQQT__MAX_PACKET_SIZE: should begin with a part of EMQX's configuration, such as EMQX_MQTT__: "mqqt" is none of 5.8, and EMQX ignores it`,
		}},
		{name: "what the dashboard changes", settings: env("EMQX_AUTHORIZATION__NO_MATCH", "deny"), want: []string{
			"warning emqx-oci:broker.env.EMQX_AUTHORIZATION__NO_MATCH: should be set in the dashboard or by the REST API: what is changed there comes back to this value at the next restart",
		}},
	},
	"quotas": {
		{name: "as it is", tls: true},
		{name: "many ranges of clients", tls: true, settings: clients(28), want: []string{"example"}},
		{name: "as many as go", tls: true, settings: clients(26)},
		{name: "the same without TLS", settings: clients(28)},
		{name: "a long variable", settings: env("EMQX_MQTT__X", strings.Repeat("x", 131072)), want: []string{
			"error emqx-oci:broker.env.EMQX_MQTT__X: must have at most 131071 characters with its name, or the kernel starts no EMQX with it, got 131085",
		}},
		{name: "many groups", graph: func(g graph) {
			g.set("InstanceConfiguration", launchDetails+"createVnicDetails.nsgIds", []any{"a", "b", "c", "d", "e", "f"})
		}, want: []string{
			"error InstanceConfiguration cluster-pools-0-config.instanceDetails.launchDetails.createVnicDetails.nsgIds: must hold at most 5 security groups, got 6",
		}},
	},
	"region": {
		{name: "as it is"},
		{name: "a new one", settings: func(s *settings.Settings) { s.OCI.Region = "eu-madrid-7" }, want: []string{"example"}},
	},
	"versions": {
		{name: "as it is, in staging", stack: "staging"},
		{name: "an old proxy", stack: "staging", settings: func(s *settings.Settings) { s.Proxy.Image = "haproxy:2.8.3" }, want: []string{"example"}},
		{name: "a new broker", stack: "staging", settings: func(s *settings.Settings) { s.Broker.Image = "registry.example.com/emqx/emqx-enterprise:6.3.0" }, want: []string{
			`warning emqx-oci:broker.image: should be of a line that was tried, 5.8, got "registry.example.com/emqx/emqx-enterprise:6.3.0": ` +
				`6.3 for one asks for a login at its metrics, which status and rebalance read without, and counts ports otherwise`,
		}},
		{name: "an image of one's own", stack: "staging", settings: func(s *settings.Settings) { s.Broker.Image = "registry.example.com/broker:7.0.0" }},
		{name: "the end of 5.8, in production", want: []string{
			`warning emqx-oci:broker.image: is of a line that ended on 2026-02-27, and stays the default as the last that anybody may cluster: no fixes come, ` +
				`and later tags of the enterprise edition mend what this one has: an API key with the right to export data reads the dashboard's accounts (17169, 17451), ` +
				`a client identifier may stay blocked for ever (17424), control characters pass in PROXY names (17314): keep API keys to those who may have all, and the listeners behind the proxy`,
		}},
	},
	"proxy-memory": {
		{name: "as it is"},
		{name: "half", graph: func(g graph) { g.edit("haproxy", "memory = var.memory", "memory = 2000") }, want: []string{"example"}},
		{name: "ends TLS itself", graph: func(g graph) {
			g.configure("bind {{ env \"NOMAD_ADDR_mqtt\" }}", "bind {{ env \"NOMAD_ADDR_mqtt\" }} ssl crt x")
		}, want: []string{
			"error emqx-oci:proxy.memoryMb: must be at least 12296 for 100200 connections of 125 kB, got 3294",
		}},
		{name: "no maxconn", graph: func(g graph) { g.configure(`maxconn {{ env "MAXCONN" }}`, "") }, want: []string{
			"error Job cluster-haproxy.hcl2.vars.config: maxconn: must be a number: HAProxy would take it from its limit of files",
		}},
	},
	"broker-memory": {
		{name: "as it is", tls: true},
		{name: "no limit", settings: env("EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS", "infinity"), want: []string{"example"}},
		{name: "above the memory", settings: env("EMQX_LISTENERS__WS__DEFAULT__MAX_CONNECTIONS", "500000"), want: []string{
			`error emqx-oci:broker.env.EMQX_LISTENERS__WS__DEFAULT__MAX_CONNECTIONS: must be at most 383409, what broker.memoryMb (16384) holds, got "500000": EMQX takes clients until the kernel kills it`,
		}},
	},
	"source-ports": {
		{name: "as it is", stack: "staging"},
		{name: "too many", stack: "staging", settings: maxConn(300000), want: []string{"example"}},
		{name: "too many for two", stack: "staging", settings: maxConn(150000), want: []string{
			"warning emqx-oci:proxy.maxConn: should be at most 126986, so that the source ports last while one broker is away, got 150000",
		}},
		{name: "from one address", stack: "staging", settings: func(s *settings.Settings) {
			s.Edge.Kind, s.Network.PublicSubnetCIDR = "flexible", "10.0.0.0/24"
			maxConn(100000)(s)
		}, want: []string{
			"warning emqx-oci:proxy.maxConn: should be at most 64511 with edge.kind: flexible, whose one address has no more connections to a listener of a node, got 100000",
		}},
		{name: "never reached", stack: "staging", settings: func(s *settings.Settings) {
			s.Broker.MaxConnections, s.Broker.NoFile, s.Broker.MemoryMB = 300000, 1048576, 20480
		}, want: []string{
			"warning emqx-oci:broker.maxConnections: should be at most 190479: 3 HAProxies with 63493 source ports each cannot bring more to a listener, got 300000",
		}},
	},
	"files": {
		{name: "as it is"},
		{name: "one node", settings: func(s *settings.Settings) {
			s.Nodes.Count, s.Volumes.Count, s.Broker.MaxConnections, s.Broker.NoFile = 1, 1, 100000, 101024
		}, want: []string{"example"}},
		{name: "with one away", settings: func(s *settings.Settings) {
			s.Broker.MaxConnections, s.Broker.NoFile = 150000, 151024
		}, want: []string{
			"warning emqx-oci:broker.noFile: should be at least 151324, for the connections of the HAProxies while one broker is away, got 151024",
		}},
	},
	"node-limits": {
		{name: "as it is", tls: true},
		{name: "EMQX", graph: func(g graph) { g.edit("emqx", "${var.nofile}:${var.nofile}", "65536:65536") }, want: []string{
			"example",
		}},
		{name: "HAProxy", graph: func(g graph) { g.edit("haproxy", "${var.nofile}:${var.nofile}", "200911:200911") }, want: []string{
			"error Job cluster-haproxy.jobspec: task.config.ulimit.nofile: must be at least 200912, got 200911",
		}},
		{name: "Docker", graph: func(g graph) { g.edit("emqx", "${var.nofile}:${var.nofile}", "2000000:2000000") }, want: []string{
			"error Job cluster-emqx.jobspec: task.config.ulimit.nofile: must be at most 1048576, the limit of the nodes' Docker, got 2000000",
			"error Job cluster-emqx.jobspec: task.config.ulimit.nofile: must be broker.noFile (1048576), got 2000000",
		}},
		{name: "the kernel", graph: func(g graph) { g.boot("ip_local_port_range = 1024 65535", "ip_local_port_range = 32768 60999") }, want: []string{
			"error InstanceConfiguration cluster-pools-0-config.instanceDetails.launchDetails.metadata.user_data: must leave 63493 ports to outgoing connections, got 28232",
		}},
	},
	"domains": {
		{name: "as it is"},
		{name: "looked up", stack: "staging"},
		{name: "two of two", settings: func(s *settings.Settings) {
			s.OCI.AvailabilityDomains, s.Nodes.Count = []string{"A"}, 2
		}},
		{name: "most in one", settings: func(s *settings.Settings) {
			s.OCI.AvailabilityDomains = []string{"Uocm:EU-FRANKFURT-1-AD-1", "Uocm:EU-FRANKFURT-1-AD-2"}
		}, want: []string{"example"}},
	},
	"volume-domains": {
		{name: "as it is"},
		{name: "looked up", stack: "staging"},
		{name: "elsewhere", graph: func(g graph) { g.set("Volume", "availabilityDomain", "Uocm:EU-FRANKFURT-1-AD-2") }, want: []string{"example"}},
		{name: "no volume", graph: func(g graph) { g.set("Volume", "freeformTags.group-index", "7") }, want: []string{
			`error InstancePool cluster-pools-0.freeformTags: must have the group-index of a volume, got "0": the node would wait for one for ever`,
		}},
	},
	"even-nodes": {
		{name: "three"},
		{name: "one", settings: func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 1, 1 }},
		{name: "four", settings: func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 4, 4 }, want: []string{"example"}},
	},
	"single-node": {
		{name: "three"},
		{name: "one", settings: func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 1, 1 }, want: []string{"example"}},
	},
	"subnet-size": {
		{name: "not given", settings: func(s *settings.Settings) { s.Network.PrivateSubnetCIDR = "" }},
		{name: "large", settings: func(s *settings.Settings) { s.Network.PrivateSubnetCIDR = "10.10.1.0/28" }},
		{name: "small", settings: func(s *settings.Settings) { s.Network.PrivateSubnetCIDR = "10.10.1.0/29" }, want: []string{"example"}},
	},
	"backup": {
		{name: "as it is"},
		{name: "no production", stack: "staging"},
		{name: "none", settings: func(s *settings.Settings) { s.Volumes.BackupPolicy = "" }, want: []string{"example"}},
	},
	"protect": {
		{name: "as it is"},
		{name: "not wanted", settings: func(s *settings.Settings) { s.Volumes.Protect = false }},
		{name: "forgotten", graph: func(g graph) {
			for i := range g {
				if g[i].Name == "cluster-volumes-1" {
					g[i].Protect = false
				}
			}
		}, want: []string{"example"}},
	},
	"clear-text": {
		{name: "with a certificate", tls: true},
		{name: "no production", stack: "staging"},
		{name: "none", want: []string{"example"}},
	},
	"plain-listeners": {
		{name: "the guard is set"},
		{name: "no production", stack: "staging", settings: func(s *settings.Settings) { s.Guards.AllowPlainListeners = false }},
		{name: "from inside", settings: func(s *settings.Settings) {
			s.Guards.AllowPlainListeners = false
			s.Listeners.MQTT.ClientCIDRs, s.Listeners.WS.ClientCIDRs = []string{"10.0.0.0/8"}, []string{"10.0.0.0/8"}
		}},
		{name: "a private balancer", settings: func(s *settings.Settings) { s.Guards.AllowPlainListeners, s.Edge.Public = false, false }},
		{name: "none", tls: true, settings: func(s *settings.Settings) {
			s.Guards.AllowPlainListeners, s.Listeners.MQTT.Open, s.Listeners.WS.Open = false, settings.OpenNone, settings.OpenNone
		}},
		{name: "open", tls: true, settings: func(s *settings.Settings) {
			s.Guards.AllowPlainListeners, s.Listeners.WS.Open = false, settings.OpenNone
		}, want: []string{"example"}},
	},
	"image-digest": {
		{name: "the guard is set"},
		{name: "no production", stack: "staging", settings: func(s *settings.Settings) { s.Guards.AllowImageTags = false }},
		{name: "digests", settings: func(s *settings.Settings) {
			digest := "@sha256:" + strings.Repeat("0", 64)
			s.Guards.AllowImageTags, s.Broker.Image, s.Proxy.Image = false, s.Broker.Image+digest, s.Proxy.Image+digest
		}},
		{name: "tags", settings: func(s *settings.Settings) { s.Guards.AllowImageTags = false }, want: []string{
			"example",
			"error emqx-oci:proxy.image: must name a digest in a production stack, as haproxy:3.2.25@sha256:..., unless guards.allowImageTags is true: whoever may push to the registry decides what the tag means",
		}},
	},
	"who-may-connect": {
		{name: "everybody"},
		{name: "somebody", settings: func(s *settings.Settings) {
			s.Auth = settings.Auth{Users: []settings.AuthUser{{Name: "ann", Superuser: true}}, DenyAction: "ignore"}
		}},
		{name: "devices", settings: func(s *settings.Settings) {
			s.Auth = settings.Auth{Rules: []settings.AuthRule{{Permit: "allow", Topics: []string{"devices/${username}/#"}}}, DenyAction: "ignore"}
		}},
		{name: "nobody", settings: func(s *settings.Settings) { s.Auth.Anonymous = false }, want: []string{"example"}},
	},
	"clear-api": {
		{name: "https"},
		{name: "a tunnel", settings: func(s *settings.Settings) {
			s.Nomad.Address, s.Consul.Address = "http://127.0.0.1:4646", "http://localhost:8500"
		}},
		{name: "no production", stack: "staging", settings: func(s *settings.Settings) { s.Nomad.Address = "http://10.0.2.10:4646" }},
		{name: "Nomad", settings: func(s *settings.Settings) { s.Nomad.Address = "http://10.0.2.10:4646" }, want: []string{"example"}},
		{name: "Consul", settings: func(s *settings.Settings) { s.Consul.Address = "http://consul:8500" }, want: []string{
			"warning emqx-oci:consul.address: should be https in a production stack, got http://consul:8500: its token goes to Consul in clear text",
		}},
	},
	"server-ranges": {
		{name: "as it is"},
		{name: "private ones", settings: serversFrom("10.0.0.0/8", "172.16.0.0/12", "100.64.0.0/10")},
		{name: "everybody", settings: serversFrom("0.0.0.0/0"), want: []string{"example"}},
		{name: "everybody in halves, in any stack", stack: "staging", settings: serversFrom("0.0.0.0/1", "128.0.0.0/1", "10.0.0.0/7"), want: []string{
			"error emqx-oci:network.serverCidrs: must be where Consul's servers are, got 0.0.0.0/1: whoever reaches a node at 8301 joins its gossip, which has no key",
			"error emqx-oci:network.serverCidrs: must be where Consul's servers are, got 128.0.0.0/1: whoever reaches a node at 8301 joins its gossip, which has no key",
			"error emqx-oci:network.serverCidrs: must be where Consul's servers are, got 10.0.0.0/7: whoever reaches a node at 8301 joins its gossip, which has no key",
		}},
		{name: "one's own, over the internet", settings: serversFrom("198.51.100.0/28"), want: []string{
			"warning emqx-oci:network.serverCidrs: should be private, got 198.51.100.0/28: whoever reaches a node at 8301 joins its gossip, which has no key",
		}},
	},
	"certificate": {
		{name: "none"},
		{name: "a good one", settings: certificateOf(90)},
		{name: "hidden", settings: func(s *settings.Settings) { s.TLS.Certificate, s.TLS.PrivateKey = "[secret]", "[secret]" }},
		{name: "ended", settings: certificateOf(-1), now: judged, want: []string{"example"}},
		{name: "ends soon", settings: certificateOf(20), now: judged, want: []string{
			`warning emqx-oci:tls.certificate: should be renewed: the one in use ("mqtt.example.com") ends on 2026-11-21, in 20 days`,
		}},
		{name: "ends this week", settings: certificateOf(3), now: judged, want: []string{
			`warning emqx-oci:tls.certificate: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-04, in 3 days`,
		}},
		{name: "an authority that ends soon", settings: served(true, func(*x509.Certificate) {}), now: judged, want: []string{
			`warning emqx-oci:tls.ca: should be renewed: the one in use ("example CA") ends on 2026-11-21, in 20 days`,
		}},
		{name: "no authority, no chain, for clients", settings: served(false, func(leaf *x509.Certificate) {
			leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		}), now: judged, want: []string{
			`error emqx-oci:tls.certificate: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for clientAuth alone`,
			`error emqx-oci:tls.certificate: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "example CA", or set tls.ca to it, where clients trust it themselves`,
		}},
		{name: "a hidden authority", settings: func(s *settings.Settings) {
			served(true, func(*x509.Certificate) {})(s)
			s.TLS.CA = "[secret]"
		}, now: judged},
		{name: "no PEM", settings: func(s *settings.Settings) { s.TLS.Certificate, s.TLS.PrivateKey = "/etc/ssl/mqtt.pem", "[secret]" }},
		{name: "not yet", settings: certificateOf(90), now: judged.AddDate(-1, 0, 0), want: []string{
			`error emqx-oci:tls.certificate: must be valid, got one ("mqtt.example.com") that begins on 2026-10-02`,
		}},
		{name: "a further one", settings: furtherOf(certificateOf(90), certificateOf(90)), now: judged},
		{name: "a further one hidden", settings: func(s *settings.Settings) {
			s.TLS.Certificates = []settings.ServerCertificate{{Certificate: "[secret]", PrivateKey: "[secret]"}}
		}},
		{name: "a further one ends", settings: furtherOf(certificateOf(90), certificateOf(90), certificateOf(-1), certificateOf(3)), now: judged, want: []string{
			`error emqx-oci:tls.certificates[1].certificate: must be valid, got one ("mqtt.example.com") that ended on 2026-10-31`,
			`warning emqx-oci:tls.certificates[2].certificate: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-04, in 3 days`,
		}},
		{name: "a further one for clients, without its chain", settings: furtherOf(certificateOf(90), served(false, func(leaf *x509.Certificate) {
			leaf.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
		})), now: judged, want: []string{
			`error emqx-oci:tls.certificates[0].certificate: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for clientAuth alone`,
			`error emqx-oci:tls.certificates[0].certificate: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "example CA", or set tls.ca to it, where clients trust it themselves`,
		}},
		{name: "revocations current", settings: revocationsUntil(30), now: judged},
		{name: "revocations hidden", settings: func(s *settings.Settings) { s.TLS.ClientCRL = "[secret]" }},
		{name: "revocations ended", settings: revocationsUntil(-1), now: judged, want: []string{
			`error emqx-oci:tls.clientCrl: must be current, got one of "clients" that ended on 2026-10-31: the proxies refuse every client with a certificate of it`,
		}},
		{name: "revocations ends soon", settings: revocationsUntil(2), now: judged, want: []string{
			`warning emqx-oci:tls.clientCrl: should be renewed: the one of "clients" ends on 2026-11-03`,
		}},
		{name: "authorities of clients", settings: clientAuthorities(90, 90), now: judged},
		{name: "authorities of clients hidden", settings: func(s *settings.Settings) { s.TLS.ClientCA, s.TLS.DeviceCA = "[secret]", "[secret]" }},
		{name: "authorities of clients end soon", settings: clientAuthorities(20, 3), now: judged, want: []string{
			`warning emqx-oci:tls.clientCa: should be renewed: the one in use ("mqtt.example.com") ends on 2026-11-21, in 20 days, and every certificate of it with it`,
			`warning emqx-oci:tls.deviceCa: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-04, in 3 days, and every certificate of it with it`,
		}},
		{name: "authorities of clients ended", settings: clientAuthorities(-1, -1), now: judged, want: []string{
			`error emqx-oci:tls.clientCa: must be of authorities that are valid, got one ("mqtt.example.com") that ended on 2026-10-31: no client with a certificate of it gets in`,
			`error emqx-oci:tls.deviceCa: must be of authorities that are valid, got one ("mqtt.example.com") that ended on 2026-10-31: no client with a certificate of it gets in`,
		}},
		{name: "an authority of clients ended beside its successor", settings: func(s *settings.Settings) {
			clientAuthorities(-1, 90)(s)
			var next settings.Settings
			certificateOf(90)(&next)
			s.TLS.ClientCA += next.TLS.Certificate
		}, now: judged, want: []string{
			`warning emqx-oci:tls.clientCa: should be of authorities that are valid, got one ("mqtt.example.com") that ended on 2026-10-31: no client with a certificate of it gets in`,
		}},
		{name: "authorities of clients not yet", settings: clientAuthorities(90, 90), now: judged.AddDate(-1, 0, 0), want: []string{
			`error emqx-oci:tls.clientCa: must be of authorities that are valid, got one ("mqtt.example.com") that begins on 2026-10-02: no client with a certificate of it gets in until then`,
			`error emqx-oci:tls.deviceCa: must be of authorities that are valid, got one ("mqtt.example.com") that begins on 2026-10-02: no client with a certificate of it gets in until then`,
		}},
	},
	"jwks": {
		{name: "none"},
		{name: "keys", settings: keysAnswer(200, `{"keys": [{"kty": "RSA"}]}`)},
		{name: "not there", settings: keysAnswer(404, "not here"), want: []string{"example"}},
		{name: "no keys", settings: keysAnswer(200, `{"keys": []}`), want: []string{
			"warning emqx-oci:auth.authenticators[0].jwks: should answer with keys, got a set of no keys: EMQX asks it from the nodes, and where it gets none refuses every token",
		}},
		{name: "a page", settings: keysAnswer(200, "<html>"), want: []string{
			"warning emqx-oci:auth.authenticators[0].jwks: should answer with keys, got text that is no JSON: EMQX asks it from the nodes, and where it gets none refuses every token",
		}},
		{name: "nobody", settings: func(s *settings.Settings) {
			keysAnswer(200, "")(s)
			s.Auth.Authenticators[0].JWKS = "https://127.0.0.1:1/keys"
		}, want: []string{
			`warning emqx-oci:auth.authenticators[0].jwks: should answer with keys, got an error: ` +
				`Get "https://127.0.0.1:1/keys": dial tcp 127.0.0.1:1: connect: connection refused: EMQX asks it from the nodes, and where it gets none refuses every token`,
		}},
	},
	"gates": {
		{name: "as it is"},
		{name: "the lab is quick", stack: "lab"},
		{name: "too short", settings: func(s *settings.Settings) { s.Gates.NodesReady = 2 * time.Minute }, want: []string{"example"}},
		{name: "the others", settings: func(s *settings.Settings) {
			s.Gates.EdgeHealthy, s.Gates.RoundTrip, s.DNS.TTL = 30*time.Second, time.Minute, 300
		}, want: []string{
			"warning emqx-oci:gates.edgeHealthy: should be at least 33s, what the balancer takes to call a backend healthy, got 30s",
			"warning emqx-oci:gates.roundTrip: should be at least dns.ttl (5m0s): a resolver may know the old address for so long, got 1m0s",
		}},
	},
	"same-ports": {
		{name: "as it is", tls: true},
		{name: "a port of both", graph: func(g graph) { g.edit("emqx", "static       = 4370", "static       = 1883") }, want: []string{"example"}},
	},
	"agent-values": {
		{name: "as it is", tls: true},
		{name: "a large secret", graph: func(g graph) {
			g.set("Variable", "items", map[string]any{"tls_cert": strings.Repeat("x", 70000)})
		}, want: []string{"example"}},
		{name: "no secret", graph: func(g graph) { g.set("Variable", "items", map[string]any{}) }, want: []string{
			"error Variable cluster-secrets-emqx.items: must hold at least one item",
		}},
		{name: "names", graph: func(g graph) {
			g.set("Variable", "path", "nomad jobs")
			g.set("Service", "name", "emqx_cluster")
			g.set("Service", "port", 0)
			g.set("Service", "tags", []any{"a.b"})
			g.set("Node", "name", "emqx.members")
			g.set("Keys", "keys.path", "/emqx")
		}, want: []string{
			`error Keys cluster-entries.keys[0].path: must be a path that does not begin with /, got "/emqx"`,
			`error Node cluster-members.name: must be a DNS label: at most 63 letters, digits and dashes, got "emqx.members"`,
			`error Service cluster-members-0.name: must be a DNS label: at most 63 letters, digits and dashes, got "emqx_cluster"`,
			"error Service cluster-members-0.port: must be 1 to 65535, got 0",
			`error Service cluster-members-0.tags[0]: must be a DNS label: at most 63 letters, digits, dashes and underscores, got "a.b"`,
			`error Variable cluster-secrets-emqx.path: must be 1 to 128 letters, digits and -_~/, got "nomad jobs"`,
		}},
		{name: "a key twice", graph: func(g graph) { g.set("Keys", "keys.path", "emqx/prod/size") }, want: []string{
			`error Keys cluster-entries.keys[1].path: must not be written twice, got "emqx/prod/size"`,
		}},
		{name: "nothing", graph: func(g graph) { g.set("Node", "address", nil) }, want: []string{"error Node cluster-members.address: must be set"}},
	},
	"graph": {
		{name: "as it is"},
		{name: "a component refuses", settings: func(s *settings.Settings) { s.Broker.Image = "emqx/emqx:latest" }, want: []string{"example"}},
	},
	"oci-values": ociTrials(),
}

// ociTrials: what the provider was seen to let through, and the rest of the
// table, one value each.
func ociTrials() []trial {
	all := []trial{
		{name: "as it is", tls: true},
		{name: "with everything", tls: true, settings: func(s *settings.Settings) {
			s.Nodes.Count, s.Volumes.Count = 5, 7
			s.Volumes.SizeGBByNode = map[string]int{"1": 300}
			s.Network.DashboardCIDRs = []string{"10.99.0.0/16"}
		}},
		{name: "example", graph: func(g graph) { g.set("NetworkSecurityGroupSecurityRule", "protocol", "TCP") }, want: []string{
			"example",
			"error NetworkSecurityGroupSecurityRule cluster-groups-balancer-in-tcp-1883-from-0.0.0.0-0.tcpOptions: must not be set for protocol \"TCP\", only for \"6\"",
		}},
	}
	for _, x := range ociValues {
		want := []string{}
		for _, w := range x.want {
			want = append(want, "error "+w)
		}
		all = append(all, trial{
			name: fmt.Sprintf("%s.%s=%v", x.kind, x.path, x.value), want: want,
			graph: func(g graph) { g.set(x.kind, x.path, x.value) },
		})
	}
	return all
}
