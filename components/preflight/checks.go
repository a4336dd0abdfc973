package preflight

// Checks are all checks, in the order of the page: what is on one node, what
// ties the nodes together, what the servers and the cloud refuse.
var Checks = []Check{
	{
		Name: "port-collision", Severity: Error, settings: portCollision,
		Reason:  "Two programs cannot have one port of a node: the second one's job is never placed, or its clients reach the first.",
		Example: `emqx-oci:ports.ws: must be a port of its own, got 1883, which is ports.mqtt`,
		Remedy:  "Give each of `ports` a port of its own, outside 4370, 5370, 18083, 21000-21799 and the ports of the node's agents.",
	},
	{
		Name: "kill-timeout", Severity: Error, graph: killTimeout,
		Reason:  "A broker that is killed before it has stopped (up to 120 s) may leave its data broken; a node that leaves too early cuts clients off.",
		Example: `Job cluster-emqx.jobspec: task.kill_timeout: must be at least 4m10s: EMQX takes up to 120 s to stop, and moves clients for 2m0s before, got 5s`,
		Remedy:  "Raise `broker.killTimeout`, or the delays that the message names.",
	},
	{
		Name: "keep-alive", Severity: Error, graph: keepAlive,
		Reason:  "A hop that forgets a connection before its client speaks again disconnects healthy clients.",
		Example: `Listener cluster-listeners-mqtt.tcpIdleTimeout: must be at least 900 s, 1.5 times broker.keepAliveMax (600), got 360 s`,
		Remedy:  "Lower `broker.keepAliveMax`, or take the named variable out of `broker.env`.",
	},
	{
		Name: "edition", Severity: Error, settings: edition,
		Reason:  "The open-source EMQX does not start with settings of the enterprise edition, or ignores them; without a licence key the other admits 25 connections.",
		Example: `emqx-oci:broker.env.EMQX_DURABLE_SESSIONS__ENABLE: must not be set to "true": open-source "emqx/emqx:5.8.9" has no durable sessions in a cluster`,
		Remedy:  "Use an enterprise image with `secrets.license`, or take the variable out of `broker.env`.",
	},
	{
		Name: "env-hygiene", Severity: Error, settings: envHygiene,
		Reason:  "EMQX ignores a misspelt variable, reads its value as HOCON, and at every restart lets it win over the dashboard.",
		Example: `emqx-oci:broker.env.EMQX_MQTT__X: must be quoted inside, as '"pass#word"', or be written as what EMQX reads, "pass": it reads HOCON, got "pass#word"`,
		Remedy:  "Write `EMQX_` and the path with `__` between its parts; quote inside what EMQX reads as another value; set in the dashboard what people change there.",
	},
	{
		Name: "proxy-memory", Severity: Error, graph: proxyMemory,
		Reason:  "A HAProxy that fills up its connections is killed by Nomad when they need more memory than its limit.",
		Example: `emqx-oci:proxy.memoryMb: must be at least 3294 for 100200 connections of 33 kB, got 2000`,
		Remedy:  "Raise `proxy.memoryMb`, or leave it out, or lower `proxy.maxConn`.",
	},
	{
		Name: "broker-memory", Severity: Error, graph: brokerMemory,
		Reason:  "EMQX takes clients until the kernel kills it, and then the next broker gets all of them.",
		Example: `Job cluster-emqx.jobspec: env.EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS: must be at most 480951, what broker.memoryMb (20480) holds, got "infinity": EMQX takes clients until the kernel kills it`,
		Remedy:  "Take the variable out of `broker.env`: `broker.maxConnections` is for all listeners.",
	},
	{
		Name: "source-ports", Severity: Error, graph: sourcePorts,
		Reason:  "A HAProxy has about 63,000 connections to one listener of a broker: then its source ports are used up, and clients are refused.",
		Example: `emqx-oci:proxy.maxConn: must be at most 190479: a HAProxy has 63493 source ports to a listener of each of 3 brokers, got 300000`,
		Remedy:  "Add nodes, or lower `proxy.maxConn` or `broker.maxConnections`.",
	},
	{
		Name: "files", Severity: Error, graph: files,
		Reason:  "A connection takes a file in EMQX and two in HAProxy: at the limit new clients are refused.",
		Example: `emqx-oci:broker.noFile: must be at least 101224 for its share of 100200 connections of each HAProxy, got 65536`,
		Remedy:  "Raise `broker.noFile` or `proxy.noFile`, or lower `proxy.maxConn`.",
	},
	{
		Name: "domains", Severity: Error, graph: domains,
		Reason:  "A volume can be attached only inside its availability domain; most nodes in one domain go away with it.",
		Example: `InstancePool cluster-pools-0.placementConfigurations: must be in the availability domain of the node's volume, "Uocm:EU-FRANKFURT-1-AD-2", got "Uocm:EU-FRANKFURT-1-AD-1"`,
		Remedy:  "List more domains in `oci.availabilityDomains` (in a region with several); a volume elsewhere than its node is a fault of the program.",
	},
	{
		Name: "even-nodes", Severity: Warning, settings: evenNodes,
		Reason:  "Of the two halves of a split cluster one restarts, and its sessions go; of an odd number it is the smaller part.",
		Example: `emqx-oci:nodes.count: should be odd, got 4: when the network splits the cluster in two halves, EMQX restarts one of them afterwards, and half of the sessions go`,
		Remedy:  "Use 3, 5 or 7 nodes.",
	},
	{
		Name: "single-node", Severity: Warning, settings: singleNode,
		Reason:  "One node has nobody to take its clients while it restarts.",
		Example: `emqx-oci:nodes.count: should be at least 3, got 1: every restart of the node is an outage, and its clients' sessions are lost`,
		Remedy:  "Use 3 nodes wherever clients depend on the cluster.",
	},
	{
		Name: "subnet-size", Severity: Error, settings: subnetSize,
		Reason:  "An update ends in the middle when its subnet has no address left.",
		Example: `emqx-oci:network.privateSubnetCidr: must have 7 addresses for 3 nodes (one for each instance, one reserved for each node, one spare), got 5 in 10.10.1.0/29`,
		Remedy:  "Use a larger subnet or fewer nodes. Without `network.privateSubnetCidr` nothing is checked.",
	},
	{
		Name: "backup", Severity: Warning, settings: backup,
		Reason:  "What EMQX keeps is on the volumes alone.",
		Example: `emqx-oci:volumes.backupPolicy: should be set in a production stack: retained messages, users and rules are on the volumes alone`,
		Remedy:  "Set `volumes.backupPolicy`: bronze, silver, gold, or the OCID of a policy of your own.",
	},
	{
		Name: "clear-text", Severity: Warning, settings: clearText,
		Reason:  "Without a certificate passwords and messages are readable on the way.",
		Example: `emqx-oci:tls.certificate: should be set in a production stack: without one MQTT, with its passwords, is clear text from the clients to the nodes`,
		Remedy:  "Set `tls.certificate` and `tls.privateKey`.",
	},
	{
		Name: "clear-api", Severity: Warning, settings: clearAPI,
		Reason:  "Nomad gets every secret of the stack, and both a token with each call: on the way they are readable without TLS.",
		Example: `emqx-oci:nomad.address: should be https in a production stack, got http://10.0.2.10:4646: its token and every secret of the stack go to Nomad in clear text`,
		Remedy:  "Give the API TLS and use https (`nomad.tls`, `consul.tls`), or go through a tunnel that begins on this machine.",
	},
	{
		Name: "server-ranges", Severity: Error, settings: serverRanges,
		Reason:  "Whoever reaches the gossip of a node's Consul agent becomes a member, and can take the nodes' services away.",
		Example: `emqx-oci:network.serverCidrs: must be where Consul's servers are, got 0.0.0.0/0: whoever reaches a node at 8301 joins its gossip, which has no key`,
		Remedy:  "Name the servers' own subnets in `network.serverCidrs`.",
	},
	{
		Name: CertificateCheck, Severity: Error, settings: certificate,
		Reason:  "Clients refuse a certificate that has ended, is weak, of an unknown authority, or not for servers.",
		Example: `emqx-oci:tls.certificate: must be valid, got one ("mqtt.example.com") that ended on 2026-10-31`,
		Remedy:  "Renew it with its chain, set it, and run `up`: EMQX reads it within 2 minutes, and no client is cut off. A warning begins 30 days before the end.",
	},
	{
		Name: "gates", Severity: Warning, settings: gateTimes,
		Reason:  "A gate that gives up sooner than its condition can hold fails every update.",
		Example: `emqx-oci:gates.nodesReady: should be at least 5m0s, what OCI and the boot script may take for an instance, got 2m0s`,
		Remedy:  "Raise the named timeout.",
	},
	{
		Name: "nomad-timings", Severity: Error, graph: nomadTimings,
		Reason:  "Nomad's server refuses these; without one, this says so.",
		Example: `Job cluster-emqx.jobspec: update.progress_deadline: must be above healthy_deadline (5m0s), or 0s, got 5m0s`,
		Remedy:  "Change the timings of `broker` or `proxy`.",
	},
	{
		Name: "nomad-job", Severity: Error, graph: nomadJob,
		Reason:  "Nomad's server refuses such a job, or never places it; without one, this says so.",
		Example: `Job cluster-emqx.jobspec: network.port.dist: must be 1 to 65535, got 99999999`,
		Remedy:  "Change the named value; where no setting gives it, it is a fault of the program: report it.",
	},
	{
		Name: "agent-values", Severity: Error, graph: func(in *input, r *report) { apply(in, agentRules, r) },
		Reason:  "Nomad's and Consul's servers refuse these values at the update, or Consul's DNS never answers for them.",
		Example: `Variable cluster-secrets-emqx.items: must be at most 65536 bytes together, got 70008: is there more than the certificate's own chain in it?`,
		Remedy:  "Change the setting behind the value.",
	},
	{
		Name: "oci-values", Severity: Error, graph: func(in *input, r *report) { apply(in, ociRules, r) },
		Reason:  "OCI's provider lets almost any value through at preview, and the cloud refuses it in the middle of the update.",
		Example: `NetworkSecurityGroupSecurityRule cluster-groups-balancer-in-tcp-1883-from-0.0.0.0-0.protocol: must be "all" or a protocol's number as text, such as "6" for TCP, got "TCP"`,
		Remedy:  "Change the setting behind the value.",
	},
	{
		Name: "quotas", Severity: Error, graph: quotas,
		Reason: "OCI refuses the resource that is one too many when the others exist already; [all that is counted](#what-is-counted).",
		Example: `emqx-oci:network.clientCidrs: must need at most 120 rules of security group cluster-groups-nodes, with the ranges of serverCidrs and ` +
			`dashboardCidrs, got 126: put ranges side by side into one, or let clients come by fewer ways; each range takes a rule for each listener`,
		Remedy: "Put client ranges together (203.0.113.0/25 and 203.0.113.128/25 are 203.0.113.0/24), or shorten the named value.",
	},
	{
		Name: "region", Severity: Warning, settings: region,
		Reason:  "A region that does not exist answers nothing, and the update waits for its name.",
		Example: `emqx-oci:oci.region: should be a region that this version knows, got eu-madrid-7: if OCI has opened it since, go on`,
		Remedy:  "Look at the spelling; a region that is new is none the worse for it.",
	},
	{
		Name: "versions", Severity: Warning, settings: versions,
		Reason:  "What a program of another version does differently nobody has looked at; EMQX 5.8 gets no more fixes.",
		Example: `emqx-oci:proxy.image: should be of a line that was tried, 2.6 or 3.2 or 3.4, got "haproxy:2.8.3"`,
		Remedy:  "Try it on the lab or in staging first: `make test` with the image, an update, a roll, a drill. For EMQX see [0037](decisions/0037-an-ended-line-stays-with-its-reason.md).",
	},
	{
		Name: GraphCheck, Severity: Error,
		Reason:  "Components refuse arguments that they cannot make resources of, each with its reason.",
		Example: `(graph): creating EMQX job "cluster-emqx": image: must name a version, such as emqx/emqx:5.8.9, got "emqx/emqx:latest"`,
		Remedy:  "Change the named value; where no setting gives it, it is a fault of the program: report it.",
	},
}
