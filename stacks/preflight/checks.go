package preflight

// Checks are all checks, in the order of the page: what is on one node, what
// ties the nodes together, what the servers and the cloud refuse.
var Checks = []Check{
	{
		Name: "port-collision", Severity: Error, settings: portCollision,
		Reason: "Two programs cannot have one port of a node: the second one's job is never placed, or its clients reach the first.",
		Remedy: "Give each of `ports` a port of its own, outside 4370, 5370, 18083, 21000-21999 and the ports of the node's agents.",
	},
	{
		Name: "path", Severity: Error, graph: clientPath,
		Reason: "A port that differs between the balancer, the rules, HAProxy and EMQX lets every gate wait until it gives up.",
		Remedy: "It is a fault of the program, not of the stack file: report it.",
	},
	{
		Name: "node-name", Severity: Error, graph: nodeName,
		Reason: "EMQX finds its peers only when record type, lookup, member list and node names fit together; else each node is a cluster of its own.",
		Remedy: "Leave `EMQX_NODE__` and `EMQX_CLUSTER__` out of `broker.env`; otherwise it is a fault of the program: report it.",
	},
	{
		Name: "service-tags", Severity: Error, graph: serviceTags,
		Reason: "HAProxy asks Consul for services by a tag; one that no service carries is an empty backend.",
		Remedy: "It is a fault of the program, not of the stack file: report it.",
	},
	{
		Name: "kill-timeout", Severity: Error, graph: killTimeout,
		Reason: "A broker that is killed before it has stopped (up to 120 s) may leave its data broken; a node that leaves too early cuts clients off.",
		Remedy: "Raise `broker.killTimeout`, or the delays that the message names.",
	},
	{
		Name: "keep-alive", Severity: Error, graph: keepAlive,
		Reason: "A hop that forgets a connection before its client speaks again disconnects healthy clients.",
		Remedy: "Lower `broker.keepAliveMax`, or take the named variable out of `broker.env`.",
	},
	{
		Name: "edition", Severity: Error, settings: edition,
		Reason: "The open-source EMQX does not start with settings of the enterprise edition, or ignores them; without a licence key the other admits 25 connections.",
		Remedy: "Use an enterprise image with `secrets.license`, or take the variable out of `broker.env`.",
	},
	{
		Name: "env-hygiene", Severity: Error, settings: envHygiene,
		Reason: "EMQX ignores a misspelt variable, reads its value as HOCON, and at every restart lets it win over the dashboard.",
		Remedy: "Write `EMQX_` and the path with `__` between its parts; quote values inside; set in the dashboard what people change there.",
	},
	{
		Name: "proxy-memory", Severity: Error, graph: proxyMemory,
		Reason: "A HAProxy that fills up its connections is killed by Nomad when they need more memory than its limit.",
		Remedy: "Raise `proxy.memoryMb`, or leave it out, or lower `proxy.maxConn`.",
	},
	{
		Name: "source-ports", Severity: Error, graph: sourcePorts,
		Reason: "A HAProxy has about 63,000 connections to one listener of a broker: then its source ports are used up, and clients are refused.",
		Remedy: "Add nodes, or lower `proxy.maxConn` or `broker.maxConnections`.",
	},
	{
		Name: "files", Severity: Error, graph: files,
		Reason: "A connection takes a file in EMQX and two in HAProxy: at the limit new clients are refused.",
		Remedy: "Raise `broker.noFile` or `proxy.noFile`, or lower `proxy.maxConn`.",
	},
	{
		Name: "domains", Severity: Error, graph: domains,
		Reason: "A volume can be attached only inside its availability domain; most nodes in one domain go away with it.",
		Remedy: "List more domains in `oci.availabilityDomains` (in a region with several); a volume elsewhere than its node is a fault of the program.",
	},
	{
		Name: "even-nodes", Severity: Warning, settings: evenNodes,
		Reason: "Two halves of a split cluster have no majority, and stay apart.",
		Remedy: "Use 3, 5 or 7 nodes.",
	},
	{
		Name: "single-node", Severity: Warning, settings: singleNode,
		Reason: "One node has nobody to take its clients while it restarts.",
		Remedy: "Use 3 nodes wherever clients depend on the cluster.",
	},
	{
		Name: "subnet-size", Severity: Error, settings: subnetSize,
		Reason: "An update ends in the middle when its subnet has no address left.",
		Remedy: "Use a larger subnet or fewer nodes. Without `network.privateSubnetCidr` nothing is checked.",
	},
	{
		Name: "backup", Severity: Warning, settings: backup,
		Reason: "What EMQX keeps is on the volumes alone.",
		Remedy: "Set `volumes.backupPolicy`: Oracle's bronze, silver and gold policies have OCIDs, too.",
	},
	{
		Name: "protect", Severity: Error, graph: protected,
		Reason: "Pulumi deletes a volume that is not marked when a change of the program replaces it.",
		Remedy: "It is a fault of the program, not of the stack file: report it.",
	},
	{
		Name: "clear-text", Severity: Warning, settings: clearText,
		Reason: "Without a certificate passwords and messages are readable on the way.",
		Remedy: "Set `tls.certificate` and `tls.privateKey`.",
	},
	{
		Name: "certificate", Severity: Error, settings: certificate,
		Reason: "Clients refuse a certificate that has ended.",
		Remedy: "Renew it, set it, and run `up`: EMQX reads it within 2 minutes, and no client is cut off.",
	},
	{
		Name: "gates", Severity: Warning, settings: gateTimes,
		Reason: "A gate that gives up sooner than its condition can hold fails every update.",
		Remedy: "Raise the named timeout.",
	},
	{
		Name: "nomad-timings", Severity: Error, graph: nomadTimings,
		Reason: "Nomad's server refuses these at the update; no preview asks it.",
		Remedy: "Change the timings of `broker` or `proxy`.",
	},
	{
		Name: "nomad-job", Severity: Error, graph: nomadJob,
		Reason: "Nomad's server refuses such a job at the update, or never places it; no preview asks it.",
		Remedy: "Change the named value; where no setting gives it, it is a fault of the program: report it.",
	},
	{
		Name: "agent-values", Severity: Error, graph: func(in *input, r *report) { apply(in, agentRules, r) },
		Reason: "Nomad's and Consul's servers refuse these values at the update, or Consul's DNS never answers for them.",
		Remedy: "Change the setting behind the value.",
	},
	{
		Name: "oci-values", Severity: Error, graph: func(in *input, r *report) { apply(in, ociRules, r) },
		Reason: "OCI's provider lets almost any value through at preview, and the cloud refuses it in the middle of the update.",
		Remedy: "Change the setting behind the value.",
	},
	{
		Name: graphCheck, Severity: Error,
		Reason: "Components refuse arguments that they cannot make resources of, each with its reason.",
		Remedy: "Change the named value; where no setting gives it, it is a fault of the program: report it.",
	},
}
