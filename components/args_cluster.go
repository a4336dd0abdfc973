// Code generated from components/settings/settings.go by make settings. DO NOT EDIT.

package components

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// ClusterArgs are what a cluster is given, in the groups of the settings (docs/settings.md). A field that is left out
// has the setting's default. Durations are texts such as "90s" or "10m".
type ClusterArgs struct {
	// Part of every name that the cluster has in OCI, Nomad, Consul and EMQX, and never to be changed. Default: the name
	// of the stack.
	Environment *string `pulumi:"environment,optional"`

	// OCI is the tenancy that the stack is given.
	OCI OCIArgs `pulumi:"oci"`
	// Network is the VCN that the stack is given, and who may reach it. What is given may be an OCID or a display name,
	// which is looked up in the compartment.
	Network NetworkArgs `pulumi:"network"`
	// Listeners are what the stack offers to clients, each by itself. A TLS listener needs a certificate (`tls`),
	// whatever is set here.
	Listeners *ListenersArgs `pulumi:"listeners,optional"`
	// Nodes are the cluster's instances.
	Nodes NodesArgs `pulumi:"nodes"`
	// Volumes hold EMQX's data, one per node.
	Volumes *VolumesArgs `pulumi:"volumes,optional"`
	// Broker is EMQX.
	Broker *BrokerArgs `pulumi:"broker,optional"`
	// Proxy is HAProxy, one per node.
	Proxy *ProxyArgs `pulumi:"proxy,optional"`
	// Ports are where HAProxy listens on every node; the balancer listens on the same four for clients. They differ from
	// each other and from the ports of EMQX, Nomad and Consul on the node.
	Ports *PortsArgs `pulumi:"ports,optional"`
	// Edge is the balancer.
	Edge *EdgeArgs `pulumi:"edge,optional"`
	// DNS is the public name.
	DNS DNSArgs `pulumi:"dns"`
	// TLS is the certificate of the two encrypted protocols. Without one they exist nowhere on the path.
	TLS *TLSArgs `pulumi:"tls,optional"`
	// Auth is who may connect by MQTT, and what they may do. Without anything here nobody may but the stack itself,
	// whose user `emqx-oci-gate` makes the round trip of every update. What is declared here wins over the dashboard at
	// every start of EMQX and in every update. A change is applied at run time at the end of the update, and restarts
	// nothing but for `anonymous`.
	Auth *AuthArgs `pulumi:"auth,optional"`
	// Nomad is the scheduler that the nodes join.
	Nomad NomadArgs `pulumi:"nomad"`
	// Consul is the catalog that the nodes join.
	Consul ConsulArgs `pulumi:"consul"`
	// Gates are how long each condition may take before an update fails with its reason.
	Gates *GatesArgs `pulumi:"gates,optional"`
	// Guards are the exceptions from what may not happen by accident. Each is meant to be set for one update and taken
	// out again.
	Guards *GuardsArgs `pulumi:"guards,optional"`
	// Secrets are made once per stack and kept encrypted in its configuration: `emqx-oci init` makes them, `pulumi
	// config set --secret --path 'emqx-oci:secrets.<name>'` sets one. A changed one reaches the jobs' variables, and
	// restarts nothing by itself.
	Secrets SecretsArgs `pulumi:"secrets"`
	// Further freeform tags of everything that is made in OCI. `emqx-cluster`, `pool_type` and `group-index` are the
	// stack's own. (name to 0 to 256 characters)
	Tags map[string]string `pulumi:"tags,optional"`
}

// OCIArgs: OCI is the tenancy that the stack is given.
type OCIArgs struct {
	// Such as `eu-frankfurt-1`. (region; required)
	Region string `pulumi:"region"`
	// Where everything is made. (OCID; required)
	Compartment string `pulumi:"compartment"`
	// Node i goes to domain `i mod n` of the list. Write them down in production: a domain that Oracle adds would move
	// nodes, volumes included. (list of text; default: all of the region, by name)
	AvailabilityDomains []string `pulumi:"availabilityDomains,optional"`
}

// NetworkArgs: Network is the VCN that the stack is given, and who may reach it. What is given may be an OCID or a
// display name, which is looked up in the compartment.
type NetworkArgs struct {
	// The virtual cloud network. (OCID or name; required)
	VCN string `pulumi:"vcn"`
	// The balancer's subnet; a public one unless `edge.public` is false. (OCID or name; required)
	PublicSubnet string `pulumi:"publicSubnet"`
	// The public subnet's range. With `edge.kind: flexible` it must be set: the balancer's connections come from there,
	// and HAProxy believes nobody else who a client is. (IPv4 range)
	PublicSubnetCIDR *string `pulumi:"publicSubnetCidr,optional"`
	// The nodes' subnet. (OCID or name; required)
	PrivateSubnet string `pulumi:"privateSubnet"`
	// The private subnet's range. With it `check` can tell without a cloud whether the nodes fit. (IPv4 range)
	PrivateSubnetCIDR *string `pulumi:"privateSubnetCidr,optional"`
	// Where MQTT clients come from, unless a listener has ranges of its own (`listeners`). No default: nothing is open
	// to the internet unless you say so. (list of IPv4 range; required)
	ClientCIDRs []string `pulumi:"clientCidrs"`
	// Where the Consul servers are: they gossip with the nodes. (list of IPv4 range; required)
	ServerCIDRs []string `pulumi:"serverCidrs"`
	// Who may reach EMQX's dashboard and REST API on the nodes (18083), such as a VPN. Public addresses need
	// `guards.allowPublicDashboard`. (list of IPv4 range)
	DashboardCIDRs []string `pulumi:"dashboardCidrs,optional"`
}

// ListenersArgs: Listeners are what the stack offers to clients, each by itself. A TLS listener needs a certificate
// (`tls`), whatever is set here.
type ListenersArgs struct {
	// MQTT in clear.
	MQTT *ListenerArgs `pulumi:"mqtt,optional"`
	// MQTT over TLS.
	MQTTS *ListenerArgs `pulumi:"mqtts,optional"`
	// MQTT over WebSocket in clear.
	WS *ListenerArgs `pulumi:"ws,optional"`
	// MQTT over WebSocket and TLS.
	WSS *ListenerArgs `pulumi:"wss,optional"`
}

// NodesArgs: Nodes are the cluster's instances.
type NodesArgs struct {
	// Each HAProxy asks Consul for each node once a second. (1 to 100; default: `3`)
	Count *int `pulumi:"count,optional"`
	// Of the instances; `ocpus` and `memoryGb` are for a flexible one. (text; default: `VM.Standard.E5.Flex`)
	Shape *string `pulumi:"shape,optional"`
	// Of each node. (OCPU, at least 1; default: `2`)
	OCPUs *float64 `pulumi:"ocpus,optional"`
	// Of each node. Must hold `broker.memoryMb`, `proxy.memoryMb` and 1024 MB for Docker, agents and kernel. (GB, at
	// least 1; default: `16`)
	MemoryGB *float64 `pulumi:"memoryGb,optional"`
	// Oracle Linux 9 or Ubuntu 24.04: what the boot script knows. (OCID; required)
	Image string `pulumi:"image"`
	// A Vault secret that holds what `docker login` writes (config.json): nodes pull images of private registries with
	// it. They read it when they boot. (OCID)
	RegistryAuth *string `pulumi:"registryAuth,optional"`
	// An authorized public key. The stack needs no login. (public key)
	SSHKey *string `pulumi:"sshKey,optional"`
	// The default is OCI's least. (GB, 50 to 32768; default: `50`)
	BootVolumeGB *int `pulumi:"bootVolumeGb,optional"`
	// 10 is "balanced"; 20 and more is for a node that logs or swaps a lot. (VPU per GB, 10 to 120 in steps of 10;
	// default: `10`)
	BootVolumeVPUsPerGB *int `pulumi:"bootVolumeVpusPerGb,optional"`
}

// VolumesArgs: Volumes hold EMQX's data, one per node.
type VolumesArgs struct {
	// At least `nodes.count`: more keeps the volumes of nodes that were taken away; 0 follows `nodes.count`. (0 to 100;
	// default: nodes.count)
	Count *int `pulumi:"count,optional"`
	// May grow: the file system follows at the next boot of the node. OCI cannot shrink a volume. (GB, 50 to 32768;
	// default: `150`)
	SizeGB *int `pulumi:"sizeGb,optional"`
	// Other sizes for some nodes, by the node's index: `{"1": 300}`. (node index to GB, 50 to 32768)
	SizeGBByNode map[string]int `pulumi:"sizeGbByNode,optional"`
	// 10 is "balanced", 0 "lower cost", 20 "higher performance". From 30 on it is no faster unless shape and image allow
	// attachments with multipath. (VPU per GB, 0 to 120 in steps of 10; default: `10`)
	VPUsPerGB *int `pulumi:"vpusPerGb,optional"`
	// When OCI backs the volumes up: one of Oracle's policies by its name, or a policy of your own by its OCID. (bronze,
	// silver, gold or OCID)
	BackupPolicy *string `pulumi:"backupPolicy,optional"`
	// Volumes to make from a backup, by the node's index: `{"1": ocid1.volumebackup...}`. It counts only when the volume
	// is made. (node index to OCID)
	Restore map[string]string `pulumi:"restore,optional"`
	// Volumes that exist already, to be taken over instead of making new ones, by the node's index: `{"1":
	// ocid1.volume...}`. It counts only for a volume that the stack does not have. One that is named here stays in OCI,
	// as with `retain`. (node index to OCID)
	Adopt map[string]string `pulumi:"adopt,optional"`
	// What the stack no longer has stays in OCI: `destroy` and a scale-in keep the volumes with their data and their
	// backup policy. A change of it counts from the update after the one that makes it. (`true` or `false`; default:
	// `false`)
	Retain *bool `pulumi:"retain,optional"`
	// Pulumi refuses to delete or replace a protected volume. False in production needs `retain` or
	// `guards.allowUnprotected`. (`true` or `false`; default: true in a production stack, else false)
	Protect *bool `pulumi:"protect,optional"`
}

// BrokerArgs: Broker is EMQX.
type BrokerArgs struct {
	// Names a version, because a moving tag could put two side by side; 5.8.5 or newer. 5.8 is the last line under
	// Apache-2.0: from 5.9 on a cluster needs `secrets.license`. (image; default: `emqx/emqx:5.8.9`)
	Image *string `pulumi:"image,optional"`
	// Reserved for EMQX in Nomad. (MHz, 100 to 1000000; default: `2000`)
	CPU *int `pulumi:"cpu,optional"`
	// The limit of the container. EMQX takes 288 MB for itself and 43 kB for a client that connects, 85 kB where it ends
	// TLS itself (`tls.terminate`). (MB, 320 to 4000000; default: `4096`)
	MemoryMB *int `pulumi:"memoryMb,optional"`
	// The largest MQTT keep-alive. Every timeout on the path is 1.5 times it, as EMQX itself waits 1.5 intervals; a
	// client with a longer one may be cut. (s, 10 to 1200; default: `600`)
	KeepAliveMax *int `pulumi:"keepAliveMax,optional"`
	// Limit of open files: one per connection, and more. (files, 1024 to 16777216; default: `1048576`)
	NoFile *int `pulumi:"noFile,optional"`
	// Clients of one broker. Each listener takes as many, as EMQX has no limit over all of them: what the proxies let in
	// keeps the sum below it, even while one broker is away. 0 derives what `memoryMb` holds. (connections, 0 to
	// 16777216; default: from broker.memoryMb)
	MaxConnections *int `pulumi:"maxConnections,optional"`
	// More `EMQX_...` variables; EMQX reads a value as HOCON where it is some, and else as it stands. What the stack
	// stands on is refused: identity, data, discovery, listeners, passwords. What is secret must be encrypted: `pulumi
	// config set --secret --path 'emqx-oci:broker.env.<name>'`. As soon as one of them is, all reach EMQX as the stack's
	// other secrets do. (EMQX_... to text)
	Env pulumi.StringMapInput `pulumi:"env,optional"`
	// How long a stopping allocation has before it is killed: 130s and `drain.timeout` at least. Limited, because EMQX
	// takes up to 120 s to stop, and the nodes' Nomad clients allow 10m. (duration, 130s to 10m; default: `4m30s`)
	KillTimeout *string `pulumi:"killTimeout,optional"`
	// Drain is how a stopping node moves the clients that are still connected to it, once HAProxy has moved those that
	// it knows of.
	Drain *DrainArgs `pulumi:"drain,optional"`
	// Limits are what EMQX takes from one client. A variable in `broker.env` wins over each. 0 is no limit where it is
	// allowed.
	Limits *LimitsArgs `pulumi:"limits,optional"`
	// A node leaves Consul this long before it stops: HAProxy may send it new clients for 9 s more. (duration, at least
	// 1s; default: `15s`)
	ShutdownDelay *string `pulumi:"shutdownDelay,optional"`
	// How long an allocation has to stay healthy before the next one is changed. (duration, at least 1s; default: `15s`)
	MinHealthyTime *string `pulumi:"minHealthyTime,optional"`
	// Within which an allocation must become healthy; above `minHealthyTime`. (duration; default: `5m`)
	HealthyDeadline *string `pulumi:"healthyDeadline,optional"`
	// Within which the next one must; above `healthyDeadline`. (duration; default: `10m`)
	ProgressDeadline *string `pulumi:"progressDeadline,optional"`
}

// ProxyArgs: Proxy is HAProxy, one per node.
type ProxyArgs struct {
	// Names a version. 3.2 is a line with fixes to 2030. (image; default: `haproxy:3.2.25`)
	Image *string `pulumi:"image,optional"`
	// Reserved for HAProxy in Nomad. (MHz, 50 to 1000000; default: `1000`)
	CPU *int `pulumi:"cpu,optional"`
	// The limit of the container: 64 MB and 33 kB for each of `maxConn` and 200 more, which is two buffers of 16 kB; 125
	// kB where it ends TLS (`tls.terminate`). 0 derives it. (MB, 0 to 4000000; default: from proxy.maxConn)
	MemoryMB *int `pulumi:"memoryMb,optional"`
	// Clients of one HAProxy, and so of one node, over all protocols. Who comes beyond them is refused at once; health
	// checks and monitoring have 200 connections of their own. 0 derives half of `broker.maxConnections`, at most 50000.
	// (connections, 0 to 2000000; default: from broker.maxConnections)
	MaxConn *int `pulumi:"maxConn,optional"`
	// Clients of one address on one HAProxy; 0 is no limit, as all devices behind a carrier's or a company's NAT have
	// one address. With a limit no single source fills the cluster. (connections, 0 to 2000000; default: `0`)
	MaxConnPerSource *int `pulumi:"maxConnPerSource,optional"`
	// Connections that one address may begin in 10 s on one HAProxy; 0 is no limit. Refused ones count: who goes on
	// stays out. (connections in 10 s, 0 to 10000000; default: `0`)
	MaxConnRatePerSource *int `pulumi:"maxConnRatePerSource,optional"`
	// Limit of open files: two per connection, and 512. 0 derives it. (files, 0 to 16777216; default: from
	// proxy.maxConn)
	NoFile *int `pulumi:"noFile,optional"`
	// How long a stopping allocation has before it is killed: at least 10s above `shutdownDelay`. (duration; default:
	// `1m`)
	KillTimeout *string `pulumi:"killTimeout,optional"`
	// Longer than the balancer takes to see a failing check. (duration, at least 1s; default: `40s`)
	ShutdownDelay *string `pulumi:"shutdownDelay,optional"`
	// How long an allocation has to stay healthy before the next one is changed. (duration, at least 1s; default: `15s`)
	MinHealthyTime *string `pulumi:"minHealthyTime,optional"`
	// Within which an allocation must become healthy; above `minHealthyTime`. (duration; default: `5m`)
	HealthyDeadline *string `pulumi:"healthyDeadline,optional"`
	// Within which the next one must; above `healthyDeadline`. (duration; default: `10m`)
	ProgressDeadline *string `pulumi:"progressDeadline,optional"`
}

// PortsArgs: Ports are where HAProxy listens on every node; the balancer listens on the same four for clients. They
// differ from each other and from the ports of EMQX, Nomad and Consul on the node.
type PortsArgs struct {
	// MQTT. Limited, because HAProxy has no right to lower ones. (1024 to 65535; default: `1883`)
	MQTT *int `pulumi:"mqtt,optional"`
	// MQTT over TLS; unused without a certificate. Limited, because HAProxy has no right to lower ones. (1024 to 65535;
	// default: `8883`)
	MQTTS *int `pulumi:"mqtts,optional"`
	// MQTT over WebSocket. Limited, because HAProxy has no right to lower ones. (1024 to 65535; default: `8083`)
	WS *int `pulumi:"ws,optional"`
	// MQTT over WebSocket and TLS; unused without a certificate. Limited, because HAProxy has no right to lower ones.
	// (1024 to 65535; default: `8084`)
	WSS *int `pulumi:"wss,optional"`
	// HAProxy's health page and statistics, which the balancer and Consul ask. It is never open to clients. Limited,
	// because HAProxy has no right to lower ones. (1024 to 65535; default: `8080`)
	Admin *int `pulumi:"admin,optional"`
	// BrokerPorts are where EMQX listens behind HAProxy, on every address of every node, which the nodes' security group
	// opens to the nodes alone. They are the same everywhere, because EMQX shares what it knows of its listeners among
	// its members. Ports between 21800 and 21999 are kept free on nodes that run already; others only on nodes launched
	// after the change.
	Broker *BrokerPortsArgs `pulumi:"broker,optional"`
}

// EdgeArgs: Edge is the balancer.
type EdgeArgs struct {
	// `network` is OCI's network load balancer, which passes packets on. `flexible` is OCI's load balancer, which takes
	// connections itself, ends TLS with `tls.terminate: edge`, and tells the proxies by PROXY protocol v2 who the client
	// is. Changing it makes another balancer, with another address, before the old one goes. (`network` or `flexible`;
	// default: `network`)
	Kind *string `pulumi:"kind,optional"`
	// False keeps the balancer without a public address: clients come from inside the network, and so must whoever runs
	// `up`, or through `gates.proxy`. Changing it replaces the balancer. (`true` or `false`; default: `true`)
	Public *bool `pulumi:"public,optional"`
	// By what the balancer knows a node: its reserved `address`, or that `privateIp` by its OCID. Oracle's documents
	// contradict each other on addresses where clients keep theirs, as with `network`; a `flexible` one takes addresses
	// alone. Changing it cuts what is connected. (`address` or `privateIp`; default: `address`)
	Backend *string `pulumi:"backend,optional"`
	// Of a `flexible` balancer: to which node a new connection goes. With `ipHash` all of one address go to one.
	// (`leastConnections` or `roundRobin` or `ipHash`; default: `leastConnections`)
	Policy *string `pulumi:"policy,optional"`
	// Of a `flexible` balancer: what it always has, both ways together, and is paid for. (Mbit/s, 10 to 8000; default:
	// `10`)
	MinMbps *int `pulumi:"minMbps,optional"`
	// Of a `flexible` balancer: what it grows to, at least `minMbps`. Changing either of the two resets every
	// connection. (Mbit/s, 10 to 8000; default: `100`)
	MaxMbps *int `pulumi:"maxMbps,optional"`
	// Between two health checks; this default and the next two are those of OCI's network load balancer. (duration, 1s
	// to 30m in whole seconds; default: `10s`)
	HealthInterval *string `pulumi:"healthInterval,optional"`
	// Of one health check; at most the interval. (duration, 1s to 10m in whole seconds; default: `3s`)
	HealthTimeout *string `pulumi:"healthTimeout,optional"`
	// Before a node counts as failed, or as healthy again. (1 to 10; default: `3`)
	HealthRetries *int `pulumi:"healthRetries,optional"`
}

// DNSArgs: DNS is the public name.
type DNSArgs struct {
	// A zone in OCI DNS. (domain; required)
	Zone string `pulumi:"zone"`
	// The view that holds the zone, where it is a private one. (OCID)
	View *string `pulumi:"view,optional"`
	// The full name inside the zone. (domain; required)
	Name string `pulumi:"name"`
	// How long resolvers may remember an address. (s, 1 to 604800; default: `60`)
	TTL *int `pulumi:"ttl,optional"`
}

// TLSArgs: TLS is the certificate of the two encrypted protocols. Without one they exist nowhere on the path.
type TLSArgs struct {
	// Where TLS ends. With `proxy` HAProxy has the certificate and leads to EMQX's plain listeners: from node to node
	// the clients' traffic is in clear. With `broker` it passes through to EMQX, which takes twice the memory for a
	// client. With `edge` the balancer ends it, which takes `edge.kind: flexible`: from there on all is in clear.
	// (`proxy` or `broker` or `edge`; default: `proxy`)
	Terminate *string `pulumi:"terminate,optional"`
	// One of Mozilla's recommended configurations, version 5.7: `intermediate` is TLS 1.2 and 1.3 with ephemeral keys
	// and authenticated ciphers, `modern` is TLS 1.3 alone. (`intermediate` or `modern`; default: `intermediate`)
	Profile *string `pulumi:"profile,optional"`
	// Where certificate and key come from. `secrets` are `certificate` and `privateKey`. With `variable` somebody else
	// writes them into the Nomad variable of the job that ends TLS, as items `certificate` and `private_key`:
	// `nomad/jobs/emqx-<stack>-haproxy/haproxy`, or `nomad/jobs/emqx-<stack>/emqx` with `terminate: broker`; both jobs
	// take over what changes there without a restart. With `vault` and `acme` it is `emqx-oci up` that writes them
	// there, and `emqx-oci certificate renew` between updates. (`secrets` or `variable` or `vault` or `acme`; default:
	// `secrets`)
	Source *string `pulumi:"source,optional"`
	// A Vault secret that holds the certificate with its chain and its key, all in PEM, one behind the other: for
	// `source: vault`. Whoever runs `emqx-oci` has to be allowed to read it. (OCID)
	VaultSecret *string `pulumi:"vaultSecret,optional"`
	// ACME is the authority that `source: acme` asks for the certificate of `dns.name`, and proves the name to by a TXT
	// record in `dns.zone` (DNS-01).
	ACME *ACMEArgs `pulumi:"acme,optional"`
	// With its chain; valid for `dns.name`. One that is self-signed counts as its own authority in the round trip:
	// whoever sets it trusts it. Of `source: secrets` alone. (PEM)
	Certificate pulumi.StringInput `pulumi:"certificate,optional" provider:"secret"`
	// Set with the certificate. (secret PEM)
	PrivateKey pulumi.StringInput `pulumi:"privateKey,optional" provider:"secret"`
	// Authority for the stack's own round trip beside those of the machine that runs it. Needed where the certificate is
	// signed by one that no machine knows. (PEM; default: the certificate's chain)
	CA pulumi.StringInput `pulumi:"ca,optional" provider:"secret"`
	// Further certificates: a client gets the one of the name that it asks for (SNI), and the main one where it asks for
	// none or for another name. One more, or one less, is a reload of HAProxy. They need `terminate: proxy`. (list of
	// groups)
	Certificates []ServerCertificateArgs `pulumi:"certificates,optional"`
	// By which a client resumes its TLS session at any HAProxy, not only at the one that it had before: three lines of
	// 80 random bytes in base64. The second one makes tickets, all three read them. `emqx-oci tickets` makes them and
	// rotates them: a ticket is good for one rotation and, at most, 5 minutes. It needs `terminate: proxy` and `clients:
	// none`. (secret 3 lines of base64; default: none: sessions resume at one HAProxy)
	TicketKeys pulumi.StringInput `pulumi:"ticketKeys,optional" provider:"secret"`
	// Whether clients show a certificate on the encrypted protocols: `optional` refuses only wrong ones. Its common name
	// is the user name in EMQX, whatever CONNECT says. It needs `terminate: proxy`, `clientCa` or `deviceCa`, and
	// `network.privateSubnetCidr`. (`none` or `optional` or `required`; default: `none`)
	Clients *string `pulumi:"clients,optional"`
	// Authorities of the clients' certificates. (PEM)
	ClientCA pulumi.StringInput `pulumi:"clientCa,optional" provider:"secret"`
	// Revoked certificates: a list of each authority in `clientCa`, none of which may have ended, or no client with a
	// certificate gets in. (PEM)
	ClientCRL pulumi.StringInput `pulumi:"clientCrl,optional" provider:"secret"`
	// The stack's own authority of devices: one certificate, whose key is `secrets.deviceCaKey`. `emqx-oci device add
	// --certificate` signs by it, and a device that it has added gets in by its certificate alone. `emqx-oci device
	// init` makes one. (PEM)
	DeviceCA pulumi.StringInput `pulumi:"deviceCa,optional" provider:"secret"`
}

// AuthArgs: Auth is who may connect by MQTT, and what they may do. Without anything here nobody may but the stack
// itself, whose user `emqx-oci-gate` makes the round trip of every update. What is declared here wins over the
// dashboard at every start of EMQX and in every update. A change is applied at run time at the end of the update, and
// restarts nothing but for `anonymous`.
type AuthArgs struct {
	// True leaves the cluster open: whoever reaches it may connect, and EMQX's own rules hold, or those that somebody
	// makes in the dashboard or in `broker.env`. (`true` or `false`; default: `false`)
	Anonymous *bool `pulumi:"anonymous,optional"`
	// Who may connect. A user that is taken away is removed from EMQX at the end of the update, and cut off. (list of
	// groups)
	Users []AuthUserArgs `pulumi:"users,optional"`
	// Further ways to tell who a client is, each asked where none before it knows the client. The database of `users` is
	// always the first: a user of it is never asked about elsewhere. (list of groups)
	Authenticators []AuthAuthenticatorArgs `pulumi:"authenticators,optional"`
	// What they may do: the first rule that matches decides, and what none matches is denied. Who holds a subscription
	// that changed rules do not allow is cut off at the end of the update. (list of groups)
	Rules []AuthRuleArgs `pulumi:"rules,optional"`
	// Where else EMQX asks about what no rule is about; what none of them allows is denied. (list of groups)
	Sources []AuthSourceArgs `pulumi:"sources,optional"`
	// Which client identifiers a user may have, so that nobody takes over another's session: its own name alone with
	// `username`, or also what begins with its name and `/` with `usernamePrefix`. Who comes with another one, or with
	// none, is refused, and so is a user whose name holds a `/` with `usernamePrefix`. A change cuts nobody off but by
	// the restart. (`any` or `username` or `usernamePrefix`; default: `any`)
	ClientID *string `pulumi:"clientId,optional"`
	// What happens to a client that does what it may not: it is told so where its protocol has words for it, or
	// disconnected as well. (`ignore` or `disconnect`; default: `ignore`)
	DenyAction *string `pulumi:"denyAction,optional"`
	// What an update does about users, rules and authenticators that somebody has changed in EMQX since the last one: it
	// puts them right, or says so and leaves them until what the stack declares changes, or EMQX restarts. `status` and
	// a preview tell of them. Secrets of authenticators EMQX shows to nobody: with `repair` each update writes them
	// anew. (`repair` or `warn`; default: `repair`)
	Drift *string `pulumi:"drift,optional"`
}

// NomadArgs: Nomad is the scheduler that the nodes join.
type NomadArgs struct {
	// Of the API, as seen from where the program runs. (URL; required)
	Address string `pulumi:"address"`
	// RPC of the servers, as seen from the nodes. (list of host:port; required)
	Servers []string `pulumi:"servers"`
	// Must be Consul's: a node has one name in both. (name; default: `dc1`)
	Datacenter *string `pulumi:"datacenter,optional"`
	// Region of Nomad, not of OCI. (printable ASCII; default: `global`)
	Region *string `pulumi:"region,optional"`
	// Namespace of the jobs; it must exist. (name; default: `default`)
	Namespace *string `pulumi:"namespace,optional"`
	// ACL token for the program; the nodes have `agentSecret`. (secret text; default: NOMAD_TOKEN of the environment)
	Token pulumi.StringInput `pulumi:"token,optional" provider:"secret"`
	// Of an https address whose authority is not a public one, or that asks for a client certificate.
	TLS *ClientTLSArgs `pulumi:"tls,optional"`
	// A Vault secret that holds what the nodes' agents join secured servers with, as JSON: `ca`, `certificate` and
	// `privateKey` in PEM, and `token`, an ACL token with `node:write`. Nodes read it when they boot. (OCID)
	AgentSecret *string `pulumi:"agentSecret,optional"`
	// Installed by the boot script where the image has none. (version; default: `1.11.3`)
	Version *string `pulumi:"version,optional"`
}

// ConsulArgs: Consul is the catalog that the nodes join.
type ConsulArgs struct {
	// Of the API, as seen from where the program runs. (URL; required)
	Address string `pulumi:"address"`
	// Which agents join, as seen from the nodes. (list of address or name; required)
	Servers []string `pulumi:"servers"`
	// Part of EMQX's node names: changing it makes every node a new one. (name; default: `dc1`)
	Datacenter *string `pulumi:"datacenter,optional"`
	// ACL token for the program; the nodes have `agentSecret`, the jobs `authMethod`. (secret text; default:
	// CONSUL_HTTP_TOKEN of the environment)
	Token pulumi.StringInput `pulumi:"token,optional" provider:"secret"`
	// Of an https address whose authority is not a public one, or that asks for a client certificate.
	TLS *ClientTLSArgs `pulumi:"tls,optional"`
	// A Vault secret that holds what the nodes' agents join secured servers with, as JSON, each optional: `gossipKey`;
	// `ca`, and `certificate` and `privateKey` in PEM, or `autoEncrypt: true` for one that the servers issue;
	// `agentToken` and `defaultToken`. Nodes read it when they boot. (OCID)
	AgentSecret *string `pulumi:"agentSecret,optional"`
	// Consul's auth method at which both jobs log in by their workload identity: their services and keys need no other
	// right then. Consul with ACLs that deny by default needs it. (printable ASCII, 1 to 128 characters)
	AuthMethod *string `pulumi:"authMethod,optional"`
	// Installed by the boot script where the image has none. (version; default: `1.22.6`)
	Version *string `pulumi:"version,optional"`
}

// GatesArgs: Gates are how long each condition may take before an update fails with its reason.
type GatesArgs struct {
	// G1: launch, packages, volume and agents of a new instance. (duration, at least 1s; default: `20m`)
	NodesReady *string `pulumi:"nodesReady,optional"`
	// G2: above `broker.progressDeadline`, or it gives up before Nomad says why. (duration, at least 1s; default: `30m`)
	ClusterFormed *string `pulumi:"clusterFormed,optional"`
	// G3: the catalog's view of HAProxy. (duration, at least 1s; default: `10m`)
	ProxiesReady *string `pulumi:"proxiesReady,optional"`
	// G4: the balancer's view of the nodes. (duration, at least 1s; default: `10m`)
	EdgeHealthy *string `pulumi:"edgeHealthy,optional"`
	// G5: a message by the public name through each listener, as a client sends it. A name that did not resolve may be
	// remembered so for a while. (duration, at least 1s; default: `5m`)
	RoundTrip *string `pulumi:"roundTrip,optional"`
	// How long the check at the end of an update waits for a cluster that no deployment is mending. (duration, at least
	// 1s; default: `1m`)
	Settle *string `pulumi:"settle,optional"`
	// The round trip's way to the public name, for all listeners, where the build machine has no direct one.
	// (socks5h://host:port)
	Proxy *string `pulumi:"proxy,optional"`
}

// GuardsArgs: Guards are the exceptions from what may not happen by accident. Each is meant to be set for one update
// and taken out again.
type GuardsArgs struct {
	// Lets an update delete or replace data volumes. (`true` or `false`; default: `false`)
	AllowVolumeDelete *bool `pulumi:"allowVolumeDelete,optional"`
	// Lets nodes go while their volumes stay (`volumes.count` above `nodes.count`): what is on them is out of reach.
	// (`true` or `false`; default: `false`)
	AllowScaleIn *bool `pulumi:"allowScaleIn,optional"`
	// Lets one update replace every instance pool. (`true` or `false`; default: `false`)
	AllowReplaceAllNodes *bool `pulumi:"allowReplaceAllNodes,optional"`
	// Lets public addresses into `network.dashboardCidrs`. (`true` or `false`; default: `false`)
	AllowPublicDashboard *bool `pulumi:"allowPublicDashboard,optional"`
	// Lets `volumes.protect` be false in a production stack. (`true` or `false`; default: `false`)
	AllowUnprotected *bool `pulumi:"allowUnprotected,optional"`
	// Lets public addresses reach `listeners.mqtt` and `listeners.ws` of a production stack: MQTT in clear, passwords
	// included. (`true` or `false`; default: `false`)
	AllowPlainListeners *bool `pulumi:"allowPlainListeners,optional"`
	// Lets `broker.image` and `proxy.image` of a production stack name no digest: what the registry has under the tag
	// that day is what runs. (`true` or `false`; default: `false`)
	AllowImageTags *bool `pulumi:"allowImageTags,optional"`
	// Lets `secrets.erlangCookie` change: nodes with the old and the new one do not see each other, so the cluster
	// splits while it rolls. (`true` or `false`; default: `false`)
	AllowCookieChange *bool `pulumi:"allowCookieChange,optional"`
}

// SecretsArgs: Secrets are made once per stack and kept encrypted in its configuration: `emqx-oci init` makes them,
// `pulumi config set --secret --path 'emqx-oci:secrets.<name>'` sets one. A changed one reaches the jobs' variables,
// and restarts nothing by itself.
type SecretsArgs struct {
	// Joins the members. Limited, because a shell script and HOCON read it unquoted. (secret a letter, 19 to 254 letters
	// and digits; required)
	ErlangCookie pulumi.StringInput `pulumi:"erlangCookie" provider:"secret"`
	// Of EMQX's user `admin`. EMQX takes it at its first start only. (secret printable ASCII, at least 12 characters;
	// required)
	DashboardPassword pulumi.StringInput `pulumi:"dashboardPassword" provider:"secret"`
	// Of EMQX's REST API. Limited, because a colon would end it. (secret letters, digits and ._~+/=-, at least 8
	// characters; required)
	APIKey pulumi.StringInput `pulumi:"apiKey" provider:"secret"`
	// Of EMQX's REST API. Limited, because a colon would end it. (secret letters, digits and ._~+/=-, at least 12
	// characters; required)
	APISecret pulumi.StringInput `pulumi:"apiSecret" provider:"secret"`
	// Of HAProxy's `/stats`, user `stats`. (secret printable ASCII, at least 12 characters; required)
	StatsPassword pulumi.StringInput `pulumi:"statsPassword" provider:"secret"`
	// Of the stack's own user `emqx-oci-gate`, which makes the round trip. Only an open cluster (`auth.anonymous`) does
	// without. Limited, because bcrypt reads no more than 72. (secret printable ASCII, 12 to 72 characters)
	GatePassword pulumi.StringInput `pulumi:"gatePassword,optional" provider:"secret"`
	// Of the authority `tls.deviceCa`. It stays where `emqx-oci device add` runs: no job and no node gets it. (secret
	// PEM)
	DeviceCAKey pulumi.StringInput `pulumi:"deviceCaKey,optional" provider:"secret"`
	// EMQX's licence key, which a cluster of 5.9 or newer needs. (secret text)
	License pulumi.StringInput `pulumi:"license,optional" provider:"secret"`
}

// ListenerArgs: Listener is one protocol.
type ListenerArgs struct {
	// To whom: `all` of `clientCidrs`; `vcn`, which is private ranges alone; `none`, and then it is nowhere on the path.
	// A public balancer does not have one for the `vcn`: clients speak to HAProxy on the nodes, by the name that the
	// outputs show. (`all` or `vcn` or `none`; default: `all`)
	Open *string `pulumi:"open,optional"`
	// Where its clients come from. With `vcn` they must be private. (list of IPv4 range; default: network.clientCidrs,
	// with open: vcn the private ones)
	ClientCIDRs []string `pulumi:"clientCidrs,optional"`
	// Clients on one HAProxy; who comes beyond them is refused at once. 0 is no limit but `proxy.maxConn`, which is for
	// all listeners together. (connections, 0 to 2000000; default: `0`)
	MaxConn *int `pulumi:"maxConn,optional"`
	// New connections on one HAProxy. Who comes beyond them waits for a turn. 0 is no limit. (connections per second, 0
	// to 1000000; default: `0`)
	MaxConnRate *int `pulumi:"maxConnRate,optional"`
}

// DrainArgs: Drain is how a stopping node moves the clients that are still connected to it, once HAProxy has moved
// those that it knows of.
type DrainArgs struct {
	// Clients disconnected so that they connect to another node. 0 moves none: they are cut all at once when EMQX stops.
	// (clients per second, 0 to 100000; default: `500`)
	Rate *int `pulumi:"rate,optional"`
	// How long that may take; whoever is left then is cut. (duration, 1s to 7m; default: `2m`)
	Timeout *string `pulumi:"timeout,optional"`
}

// LimitsArgs: Limits are what EMQX takes from one client. A variable in `broker.env` wins over each. 0 is no limit
// where it is allowed.
type LimitsArgs struct {
	// Of one packet. Who sends a larger one is disconnected. (kB, 1 to 262143; default: `1024`)
	PacketKB *int `pulumi:"packetKb,optional"`
	// Of a topic or a topic filter. Who uses a deeper one is disconnected. (levels, 1 to 65535; default: `128`)
	TopicLevels *int `pulumi:"topicLevels,optional"`
	// Of a client identifier. Who has a longer one is refused. (bytes, 23 to 65535; default: `65535`)
	ClientIDLength *int `pulumi:"clientIdLength,optional"`
	// How long a client has for its CONNECT, and before that for the TLS handshake with HAProxy. Where HAProxy sees
	// MQTT, it ends those that send nothing or something else, and no broker hears of them. (duration, 1s to 5m in whole
	// seconds; default: `15s`)
	ConnectTimeout *string `pulumi:"connectTimeout,optional"`
	// What it may publish. EMQX stops reading from who sends more, and loses nothing. (messages per second, 0 to
	// 1000000; default: `0`)
	MessageRate *int `pulumi:"messageRate,optional"`
	// What it may send. (kB per second, 0 to 1000000; default: `0`)
	ByteRateKB *int `pulumi:"byteRateKb,optional"`
	// What a session may be subscribed to; further ones are refused. (subscriptions, 0 to 1000000; default: `0`)
	Subscriptions *int `pulumi:"subscriptions,optional"`
	// Flapping is what EMQX does about a client that connects again and again: it is banned by its identifier. It counts
	// before it asks who a client is, so that whoever knows an identifier can have it banned, too.
	Flapping *FlappingArgs `pulumi:"flapping,optional"`
}

// BrokerPortsArgs: BrokerPorts are where EMQX listens behind HAProxy, on every address of every node, which the
// nodes' security group opens to the nodes alone. They are the same everywhere, because EMQX shares what it knows of
// its listeners among its members. Ports between 21800 and 21999 are kept free on nodes that run already; others only
// on nodes launched after the change.
type BrokerPortsArgs struct {
	// MQTT. Limited, because EMQX has no right to lower ones. (1024 to 65535; default: `21883`)
	MQTT *int `pulumi:"mqtt,optional"`
	// MQTT over TLS; unused without a certificate. Limited, because EMQX has no right to lower ones. (1024 to 65535;
	// default: `21884`)
	MQTTS *int `pulumi:"mqtts,optional"`
	// MQTT over WebSocket. Limited, because EMQX has no right to lower ones. (1024 to 65535; default: `21983`)
	WS *int `pulumi:"ws,optional"`
	// MQTT over WebSocket and TLS; unused without a certificate. Limited, because EMQX has no right to lower ones. (1024
	// to 65535; default: `21984`)
	WSS *int `pulumi:"wss,optional"`
}

// ACMEArgs: ACME is the authority that `source: acme` asks for the certificate of `dns.name`, and proves the name to
// by a TXT record in `dns.zone` (DNS-01).
type ACMEArgs struct {
	// Of the authority, such as `https://acme-v02.api.letsencrypt.org/directory`. (https URL)
	Directory *string `pulumi:"directory,optional"`
	// Whom the authority may write to. (e-mail address)
	Contact *string `pulumi:"contact,optional"`
	// That you have read the authority's terms of service and agree to them. It issues nothing without. (`true` or
	// `false`; default: `false`)
	TermsAgreed *bool `pulumi:"termsAgreed,optional"`
	// Authorities of the directory's own https address, of a private one. (PEM; default: those of the machine that runs
	// it)
	CA pulumi.StringInput `pulumi:"ca,optional" provider:"secret"`
	// A DNS server that is asked whether the record is there, before the authority looks. (host:port; default: the name
	// servers of dns.zone)
	Resolver *string `pulumi:"resolver,optional"`
}

// ServerCertificateArgs: ServerCertificate is one that clients get by its names.
type ServerCertificateArgs struct {
	// With its chain; for names that no certificate before it has with a key of its kind. (PEM; required)
	Certificate pulumi.StringInput `pulumi:"certificate" provider:"secret"`
	// Of the certificate. (secret PEM; required)
	PrivateKey pulumi.StringInput `pulumi:"privateKey" provider:"secret"`
}

// AuthUserArgs: AuthUser is one who may connect.
type AuthUserArgs struct {
	// Unique; names that begin with `emqx-oci-` are the stack's own. (user name; required)
	Name string `pulumi:"name"`
	// EMQX is given its bcrypt hash, which takes 0.06 s to make in every preview and update. Limited, because bcrypt
	// reads no more than 72. (secret printable ASCII, 12 to 72 characters)
	Password pulumi.StringInput `pulumi:"password,optional" provider:"secret"`
	// In the place of the password. (secret bcrypt hash)
	PasswordHash pulumi.StringInput `pulumi:"passwordHash,optional" provider:"secret"`
	// Whether no rule holds for it. (`true` or `false`; default: `false`)
	Superuser *bool `pulumi:"superuser,optional"`
}

// AuthAuthenticatorArgs: AuthAuthenticator is a way to tell who a client is. What it is decides which of the other
// fields it has; one of each kind may be there. What is secret in it reaches EMQX as the stack's other secrets do. A
// change is applied at run time; one that brings another authority's file restarts the nodes in turn.
type AuthAuthenticatorArgs struct {
	// What it is. `builtIn` is the database of `auth.users`, which is there without it, too. `certificate` lets in who
	// shows one of `tls.clientCa`, as the user of its common name, unless the database knows that name; it is the first
	// behind `builtIn`, and a change of it restarts the nodes in turn. The code of `ldap` is not under an open licence,
	// even in EMQX 5.8: its licence, BSL 1.1, wants an agreement with EMQ for production. (`builtIn` or `certificate` or
	// `jwt` or `http` or `ldap` or `postgresql` or `mysql` or `redis` or `mongodb`; required)
	Kind string `pulumi:"kind"`
	// Of `jwt`, one of three: what tokens are signed with by HMAC. A token is the client's password, and its time
	// (`exp`, `nbf`) counts. Limited, because whoever finds it out makes tokens of his own. (secret printable ASCII, at
	// least 32 characters)
	Secret pulumi.StringInput `pulumi:"secret,optional" provider:"secret"`
	// Of `jwt`, one of three: the public key of RSA, ECDSA or EdDSA signatures. (PEM)
	PublicKey *string `pulumi:"publicKey,optional"`
	// Of `jwt`, one of three: where the public keys are, as JWKS. EMQX asks every 5 minutes. (https URL)
	JWKS *string `pulumi:"jwks,optional"`
	// Of `jwt`: what a token must say, with `${username}` and `${clientid}`. One of them must be `${username}` and no
	// more, or whoever has a token is whom he says. (text to text)
	Claims map[string]string `pulumi:"claims,optional"`
	// Of `jwt`: the claim that holds rules of the token's own, which are asked before `auth.rules`. (text; default: acl)
	ACLClaim *string `pulumi:"aclClaim,optional"`
	// Of `http`: who is asked. 200 with `{"result": "allow"}` or 204 lets the client in, `deny` keeps it out, and
	// anything else asks the next authenticator. (https URL)
	URL *string `pulumi:"url,optional"`
	// Of `http`. With `get` the body's fields, the password among them, are in the address, and so in the server's log.
	// (`post` or `get`; default: post)
	Method *string `pulumi:"method,optional"`
	// Of `http`: headers beside `accept` and `content-type`. (header to text)
	Headers map[string]string `pulumi:"headers,optional"`
	// Of `http`: the header of that name, such as `Bearer ...`. (secret 1 to 4096 characters)
	Authorization pulumi.StringInput `pulumi:"authorization,optional" provider:"secret"`
	// Of `http`: fields of the request, with placeholders; `${username}` and `${password}` must be among them. (text to
	// text)
	Body map[string]string `pulumi:"body,optional"`
	// Of the databases and `ldap`. (host:port)
	Server *string `pulumi:"server,optional"`
	// Of the databases; of `redis` a number, 0 by default. (1 to 128 characters)
	Database *string `pulumi:"database,optional"`
	// Of the databases and `ldap`, where it is a DN: as whom EMQX asks. (1 to 512 characters)
	Username *string `pulumi:"username,optional"`
	// Of that user. (secret 1 to 512 characters)
	Password pulumi.StringInput `pulumi:"password,optional" provider:"secret"`
	// What is asked for `${username}`. Of `postgresql` and `mysql` it selects `password_hash`, and `salt` and
	// `is_superuser` where there are; of `redis` it is `HMGET` or `HGET`, a key and these names; of `ldap` a filter
	// beside `baseDn`. (1 to 4096 characters)
	Query *string `pulumi:"query,optional"`
	// Of `mongodb`: where users are, with the fields `password_hash`, `salt` and `is_superuser`. (1 to 128 characters)
	Collection *string `pulumi:"collection,optional"`
	// Of `mongodb`: which of them it is, with `${username}`. (text to text)
	Filter map[string]string `pulumi:"filter,optional"`
	// Of `ldap`: below which entry users are, with `${username}` unless `query` has it. The client's password is tried
	// by binding as the entry that is found. (1 to 512 characters)
	BaseDN *string `pulumi:"baseDn,optional"`
	// Of the databases: how passwords are stored. (`bcrypt` or `pbkdf2-sha256` or `pbkdf2-sha512` or `sha256` or
	// `sha512`)
	Hash *string `pulumi:"hash,optional"`
	// Of a `hash` of SHA-2: where the salt is. (`prefix` or `suffix` or `disable`; default: prefix)
	Salt *string `pulumi:"salt,optional"`
	// Of a `hash` by PBKDF2. (0 to 10000000; default: 210000)
	Iterations *int `pulumi:"iterations,optional"`
	// The authority of its certificate, which EMQX verifies. (PEM; default: the image's authorities)
	CA *string `pulumi:"ca,optional"`
	// Of the databases and `ldap`: speaks to the server without TLS. (`true` or `false`; default: `false`)
	Plain *bool `pulumi:"plain,optional"`
}

// AuthRuleArgs: AuthRule permits or forbids something. It is about whom `user`, `clientId` or `address` names, one of
// them, and about everybody without any.
type AuthRuleArgs struct {
	// What it says. (`allow` or `deny`; required)
	Permit string `pulumi:"permit"`
	// One of `auth.users`. (user name)
	User *string `pulumi:"user,optional"`
	// An identifier, which is whatever a client says: good for denying those who are honest, and no proof of who
	// somebody is. (1 to 65535 characters)
	ClientID *string `pulumi:"clientId,optional"`
	// Where clients come from. (IPv4 range)
	Address *string `pulumi:"address,optional"`
	// What is done. (`publish` or `subscribe` or `all`; default: all)
	Action *string `pulumi:"action,optional"`
	// Topic filters. `${username}` stands for the client's own; `eq ` before one makes its wildcards plain characters,
	// so that `eq #` is about a subscription to `#`. `$share/group/topic` is taken for `topic`. (list of topic filter;
	// required)
	Topics []string `pulumi:"topics"`
}

// AuthSourceArgs: AuthSource is where EMQX asks about a right that no rule is about.
type AuthSourceArgs struct {
	// `builtIn` is EMQX's own database of rules, which its REST API and dashboard fill. (`builtIn` or `http`; required)
	Kind string `pulumi:"kind"`
	// Of `http`: who is asked; its answer is as that of an authenticator. (https URL)
	URL *string `pulumi:"url,optional"`
	// Of `http`. (`post` or `get`; default: post)
	Method *string `pulumi:"method,optional"`
	// Of `http`: headers beside `accept` and `content-type`. (header to text)
	Headers map[string]string `pulumi:"headers,optional"`
	// Of `http`: the header of that name, such as `Bearer ...`. (secret 1 to 4096 characters)
	Authorization pulumi.StringInput `pulumi:"authorization,optional" provider:"secret"`
	// Of `http`: fields of the request, with placeholders; `${username}`, `${action}` and `${topic}` must be among them.
	// (text to text)
	Body map[string]string `pulumi:"body,optional"`
	// The authority of its certificate, which EMQX verifies. (PEM; default: the image's authorities)
	CA *string `pulumi:"ca,optional"`
}

// ClientTLSArgs: ClientTLS is how an https API is spoken to.
type ClientTLSArgs struct {
	// Verifies the server, where its authority is not a public one. (PEM; default: the system's authorities)
	CA *string `pulumi:"ca,optional"`
	// Of the client, set with its key. (PEM)
	Certificate *string `pulumi:"certificate,optional"`
	// Of the client, set with its certificate. (secret PEM)
	PrivateKey pulumi.StringInput `pulumi:"privateKey,optional" provider:"secret"`
}

// FlappingArgs: Flapping is what EMQX does about a client that connects again and again: it is banned by its
// identifier. It counts before it asks who a client is, so that whoever knows an identifier can have it banned, too.
type FlappingArgs struct {
	// Whether it does. (`true` or `false`; default: `false`)
	On *bool `pulumi:"on,optional"`
	// At which connection within the window it is banned; each node counts by itself. (connections, 2 to 10000; default:
	// `15`)
	Count *int `pulumi:"count,optional"`
	// Within which time. (duration, 1s to 24h; default: `1m`)
	Window *string `pulumi:"window,optional"`
	// For how long it is banned. (duration, 1s to 24h; default: `5m`)
	Ban *string `pulumi:"ban,optional"`
}
