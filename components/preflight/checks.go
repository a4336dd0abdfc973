package preflight

import "fmt"

// Checks are those that are about no implementation of anything, in the order of the page: what is on one node, what
// ties the nodes together, what the servers refuse. Entries without a reason do their part of a check whose text is with
// an implementation ([Join]).
var Checks = []Check{
	{
		Name: "port-collision", Severity: Error, Settings: portCollision,
		Reason:  "Two programs cannot have one port of a node: the second one's job is never placed, or its clients reach the first.",
		Example: `emqx-oci:ports.ws: must be a port of its own, got 1883, which is ports.mqtt`,
		Remedy:  "Give each of `ports` a port of its own, outside 4370, 5370, 18083, 21000-21799 and the ports of the node's agents.",
	},
	{
		Name: "keep-alive", Severity: Error, Graph: keepAlive,
		Reason:  "A hop that forgets a connection before its client speaks again disconnects healthy clients.",
		Example: `emqx-oci:broker.env.EMQX_MQTT__SERVER_KEEPALIVE: must be at most broker.keepAliveMax (600 s), got 1200 s`,
		Remedy:  "Lower `broker.keepAliveMax`, or take the named variable out of `broker.env`.",
	},
	{
		Name: "edition", Severity: Error, Settings: edition,
		Reason:  "The open-source EMQX does not start with settings of the enterprise edition, or ignores them; without a licence key the other admits 25 connections.",
		Example: `emqx-oci:broker.env.EMQX_DURABLE_SESSIONS__ENABLE: must not be set to "true": open-source "emqx/emqx:5.8.9" has no durable sessions in a cluster`,
		Remedy:  "Use an enterprise image with `secrets.license`, or take the variable out of `broker.env`.",
	},
	{
		Name: "env-hygiene", Severity: Error, Settings: envHygiene,
		Reason:  "EMQX ignores a misspelt variable, reads its value as HOCON, and at every restart lets it win over the dashboard.",
		Example: `emqx-oci:broker.env.EMQX_MQTT__X: must be quoted inside, as '"pass#word"', or be written as what EMQX reads, "pass": it reads HOCON, got "pass#word"`,
		Remedy:  "Write `EMQX_` and the path with `__` between its parts; quote inside what EMQX reads as another value; set in the dashboard what people change there.",
	},
	{
		Name: "broker-memory", Severity: Error, Graph: brokerMemory,
		Reason:  "EMQX takes clients until the kernel kills it, and then the next broker gets all of them.",
		Example: `emqx-oci:broker.env.EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS: must be at most 383409, what broker.memoryMb (16384) holds, got "infinity": EMQX takes clients until the kernel kills it`,
		Remedy:  "Take the variable out of `broker.env`: `broker.maxConnections` is for all listeners.",
	},
	{
		Name: "even-nodes", Severity: Warning, Settings: evenNodes,
		Reason:  "Of the two halves of a split cluster one restarts, and its sessions go; of an odd number it is the smaller part.",
		Example: `emqx-oci:nodes.count: should be odd, got 4: when the network splits the cluster in two halves, EMQX restarts one of them afterwards, and half of the sessions go`,
		Remedy:  "Use 3, 5 or 7 nodes.",
	},
	{
		Name: "single-node", Severity: Warning, Settings: singleNode,
		Reason:  "One node has nobody to take its clients while it restarts.",
		Example: `emqx-oci:nodes.count: should be at least 3, got 1: every restart of the node is an outage, and its clients' sessions are lost`,
		Remedy:  "Use 3 nodes wherever clients depend on the cluster.",
	},
	{
		Name: "clear-text", Severity: Warning, Settings: clearText,
		Reason:  "Without a certificate passwords and messages are readable on the way.",
		Example: `emqx-oci:tls.certificate: should be set in a production stack: without one MQTT, with its passwords, is clear text from the clients to the nodes`,
		Remedy:  "Set `tls.certificate` and `tls.privateKey`.",
	},
	{
		Name: PlainListeners, Severity: Error, Settings: plainListeners,
		Reason:  "What crosses the internet without TLS is read on the way: passwords first.",
		Example: `emqx-oci:listeners.mqtt.open: must be none or vcn in a production stack, whose clients come from 0.0.0.0/0, unless guards.allowPlainListeners is true: MQTT, with its passwords, is in clear there`,
		Remedy:  "Set a certificate, and `open: none` or `vcn` for `listeners.mqtt` and `listeners.ws`; or private ranges as their `clientCidrs`; or, for as long as devices without TLS are out there, `guards.allowPlainListeners`.",
	},
	{
		Name: WhoMayConnect, Severity: Error, Settings: whoMayConnect,
		Reason:  "A cluster that nobody may connect to is as good as none, and one that everybody may connect to should be meant.",
		Example: `emqx-oci:auth.users: must hold at least one, or auth.anonymous be true: nobody could connect but the stack itself`,
		Remedy:  "Name users and rules in `auth`, or set `auth.anonymous` to true: then everybody may.",
	},
	{
		Name: "clear-api", Severity: Warning, Settings: clearAPI,
		Reason:  "Nomad gets every secret of the stack, and both a token with each call: on the way they are readable without TLS.",
		Example: `emqx-oci:nomad.address: should be https in a production stack, got http://10.0.2.10:4646: its token and every secret of the stack go to Nomad in clear text`,
		Remedy:  "Give the API TLS and use https (`nomad.tls`, `consul.tls`), or go through a tunnel that begins on this machine.",
	},
	{
		Name: "server-ranges", Severity: Error, Settings: serverRanges,
		Reason:  "Whoever reaches the gossip of a node's Consul agent becomes a member, and can take the nodes' services away.",
		Example: `emqx-oci:network.serverCidrs: must be where Consul's servers are, got 0.0.0.0/0: whoever reaches a node at 8301 joins its gossip, which has no key`,
		Remedy:  "Name the servers' own subnets in `network.serverCidrs`.",
	},
	{
		Name: CertificateCheck, Severity: Error, Settings: certificate,
		Reason:  "Clients refuse a certificate that has ended, is weak, of an unknown authority, or not for servers.",
		Example: `emqx-oci:tls.certificate: must be valid, got one ("mqtt.example.com") that ended on 2026-10-31`,
		Remedy:  "Renew it with its chain, set it, and run `up`: the proxies take it at once, EMQX (`tls.terminate: broker`) within 2 minutes, and no client is cut off. A warning begins 30 days before the end.",
	},
	{
		Name: "jwks", Severity: Warning, Settings: jwks,
		Reason:  "Without the keys of tokens everybody who has one is refused, and nothing but EMQX's log says why.",
		Example: `emqx-oci:auth.authenticators[0].jwks: should answer with keys, got HTTP 404 Not Found: EMQX asks it from the nodes, and where it gets none refuses every token`,
		Remedy:  "Look at the address, and at `ca` where its authority is not a public one. Where only the nodes reach it, this says nothing.",
	},
	{Name: "gates", Settings: roundTrip},
	{
		Name: "agent-values", Severity: Error, Rules: agentRules,
		Reason:  "Nomad's and Consul's servers refuse these values at the update, or Consul's DNS never answers for them.",
		Example: `Variable cluster-secrets-emqx.items: must be at most 65536 bytes together, got 70008: is there more than the certificate's own chain in it?`,
		Remedy:  "Change the setting behind the value.",
		Quotas: []Quota{
			{"a Nomad variable, names and values", fmt.Sprint(maxVariable) + " bytes", "nomad/structs/variables.go, maxVariableSize", "agent-values"},
			{"a value in Consul's KV", fmt.Sprint(maxValue) + " bytes", "Consul, \"KV store endpoint\"", "agent-values"},
		},
	},
	{
		Name: "quotas", Settings: variableLengths,
		Quotas: []Quota{
			{"characters of a variable of EMQX with its name", fmt.Sprint(maxVariableText), "Linux, execve(2), MAX_ARG_STRLEN", "quotas"},
			{"kill timeout of a task", "max_kill_timeout of the nodes' Nomad, 10m", "the boot script", "settings"},
		},
	},
	{Name: "versions", Settings: brokerVersion},
	{
		Name: ImageDigest, Severity: Error, Settings: imageDigest,
		Reason:  "Who may push to the registry decides what a tag means: another program may come with the next restart of a node, and it has the cluster's secrets.",
		Example: `emqx-oci:broker.image: must name a digest in a production stack, as emqx/emqx:5.8.9@sha256:..., unless guards.allowImageTags is true: whoever may push to the registry decides what the tag means`,
		Remedy:  "Write the digest of the image that you have tried behind its tag, in `broker.image` and `proxy.image`: `docker buildx imagetools inspect emqx/emqx:5.8.9` says it. Or set `guards.allowImageTags`, where nobody else may push.",
	},
	{
		Name: GraphCheck, Severity: Error,
		Reason:  "Components refuse arguments that they cannot make resources of, each with its reason.",
		Example: `(graph): creating EMQX job "cluster-emqx": image: must name a version, such as emqx/emqx:5.8.9, got "emqx/emqx:latest"`,
		Remedy:  "Change the named value; where no setting gives it, it is a fault of the program: report it.",
	},
}
