package settings

import (
	"regexp"
	"strconv"
	"time"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// ClusterName is the name of a stack's cluster among the resources of its program; the names of all that is in the
// cluster begin with it and a dash.
const ClusterName = "cluster"

// Settings are everything that differs between stacks. Each group is one
// structured configuration key, "emqx-oci:nodes" and so on.
//
// All that is known of a setting stands here, once: the comment is what the page
// docs/settings.md and editors show, the tags are what they and the validation
// share. structconfig.Describe tells what the tags mean; their formats are in format.go.
type Settings struct {
	// Environment is the stack's name: prod, staging, lab.
	Environment string `cfg:"-"`
	// Doubts are faults that are some or none by what is in the file of SecretsFrom, which was not at hand.
	Doubts []fault.Fault `cfg:"-"`

	// Where the stack runs. The graph is the same. One other than `oci` has a program of
	// its own, `emqx-oci-lab`, which tells `emqx-oci` of providers, state and secrets.
	Cloud string `cfg:"cloud" oneof:"oci|lab"`
	// The part of OCI's latencies that the cloud has, networks and registries included. At
	// 0, on one machine, no packet is lost either. Estimates and the checks of times count
	// on it.
	Latency float64 `cfg:"latency" range:"0..1"`
	// A variable of the environment that names a file with secrets: a JSON object of
	// values by their path, `{"emqx-oci:secrets.apiKey": "..."}`. They are for what the
	// stack file does not set.
	SecretsFrom string `cfg:"secretsFrom" format:"own-variable"`

	OCI       OCI       `cfg:"oci"`
	Network   Network   `cfg:"network"`
	Listeners Listeners `cfg:"listeners"`
	Nodes     Nodes     `cfg:"nodes"`
	Volumes   Volumes   `cfg:"volumes"`
	Broker    Broker    `cfg:"broker"`
	Proxy     Proxy     `cfg:"proxy"`
	Ports     Ports     `cfg:"ports"`
	Edge      Edge      `cfg:"edge"`
	DNS       DNS       `cfg:"dns"`
	TLS       TLS       `cfg:"tls"`
	Auth      Auth      `cfg:"auth"`
	Nomad     Nomad     `cfg:"nomad"`
	Consul    Consul    `cfg:"consul"`
	Gates     Gates     `cfg:"gates"`
	Guards    Guards    `cfg:"guards"`
	Secrets   Secrets   `cfg:"secrets"`
	// Further freeform tags of everything that is made in OCI. `emqx-cluster`,
	// `pool_type` and `group-index` are the stack's own.
	Tags map[string]string `cfg:"tags" keys:"tag" length:"0..256"`
}

// OCI is the tenancy that the stack is given.
type OCI struct {
	// Such as `eu-frankfurt-1`.
	Region string `cfg:"region" required:"true" format:"region"`
	// Where everything is made.
	Compartment string `cfg:"compartment" required:"true" format:"ocid:compartment|tenancy"`
	// Node i goes to domain `i mod n` of the list. Write them down in production:
	// a domain that Oracle adds would move nodes, volumes included.
	AvailabilityDomains []string `cfg:"availabilityDomains" default:"all of the region, by name"`
}

// Network is the VCN that the stack is given, and who may reach it. What is
// given may be an OCID or a display name, which is looked up in the compartment.
type Network struct {
	// The virtual cloud network.
	VCN string `cfg:"vcn" required:"true" format:"given:vcn"`
	// The balancer's subnet; a public one unless `edge.public` is false.
	PublicSubnet string `cfg:"publicSubnet" required:"true" format:"given:subnet"`
	// The public subnet's range. With `edge.kind: flexible` it must be set: the balancer's
	// connections come from there, and HAProxy believes nobody else who a client is.
	PublicSubnetCIDR string `cfg:"publicSubnetCidr" format:"cidr"`
	// The nodes' subnet.
	PrivateSubnet string `cfg:"privateSubnet" required:"true" format:"given:subnet"`
	// The private subnet's range. With it `check` can tell without a cloud whether
	// the nodes fit.
	PrivateSubnetCIDR string `cfg:"privateSubnetCidr" format:"cidr"`
	// Where MQTT clients come from, unless a listener has ranges of its own (`listeners`).
	// No default: nothing is open to the internet unless you say so.
	ClientCIDRs []string `cfg:"clientCidrs" required:"true" format:"cidr"`
	// Where the Consul servers are: they gossip with the nodes.
	ServerCIDRs []string `cfg:"serverCidrs" required:"true" format:"cidr"`
	// Who may reach EMQX's dashboard and REST API on the nodes (18083), such as a
	// VPN. Public addresses need `guards.allowPublicDashboard`.
	DashboardCIDRs []string `cfg:"dashboardCidrs" format:"cidr"`
}

// Nodes are the cluster's instances.
type Nodes struct {
	// Each HAProxy asks Consul for each node once a second.
	Count int `cfg:"count" range:"1..100"`
	// Of the instances; `ocpus` and `memoryGb` are for a flexible one.
	Shape string `cfg:"shape"`
	// Of each node.
	OCPUs float64 `cfg:"ocpus" unit:"OCPU" range:"1.."`
	// Of each node. Must hold `broker.memoryMb`, `proxy.memoryMb` and 1024
	// MB for Docker, agents and kernel.
	MemoryGB float64 `cfg:"memoryGb" unit:"GB" range:"1.."`
	// Oracle Linux 9 or Ubuntu 24.04: what the boot script knows.
	Image string `cfg:"image" required:"true" format:"ocid:image"`
	// A Vault secret that holds what `docker login` writes (config.json): nodes pull
	// images of private registries with it. They read it when they boot.
	RegistryAuth string `cfg:"registryAuth" format:"ocid:vaultsecret"`
	// An authorized public key. The stack needs no login.
	SSHKey string `cfg:"sshKey" format:"ssh-key"`
	// The default is OCI's least.
	BootVolumeGB int `cfg:"bootVolumeGb" unit:"GB" range:"50..32768"`
	// 10 is "balanced"; 20 and more is for a node that logs or swaps a lot.
	BootVolumeVPUsPerGB int `cfg:"bootVolumeVpusPerGb" unit:"VPU per GB" range:"10..120" step:"10"`
}

// Volumes hold EMQX's data, one per node.
type Volumes struct {
	// At least `nodes.count`: more keeps the volumes of nodes that were taken
	// away; 0 follows `nodes.count`.
	Count int `cfg:"count" range:"0..100" default:"nodes.count"`
	// May grow: the file system follows at the next boot of the node. OCI cannot
	// shrink a volume.
	SizeGB int `cfg:"sizeGb" unit:"GB" range:"50..32768"`
	// Other sizes for some nodes, by the node's index: `{"1": 300}`.
	SizeGBByNode map[string]int `cfg:"sizeGbByNode" unit:"GB" keys:"index" range:"50..32768"`
	// 10 is "balanced", 0 "lower cost", 20 "higher performance". From 30 on it is no
	// faster unless shape and image allow attachments with multipath.
	VPUsPerGB int `cfg:"vpusPerGb" unit:"VPU per GB" range:"0..120" step:"10"`
	// When OCI backs the volumes up: one of Oracle's policies by its name, or a
	// policy of your own by its OCID.
	BackupPolicy string `cfg:"backupPolicy" format:"backup-policy"`
	// Volumes to make from a backup, by the node's index: `{"1":
	// ocid1.volumebackup...}`. It counts only when the volume is made.
	Restore map[string]string `cfg:"restore" keys:"index" format:"ocid:volumebackup"`
	// Volumes that exist already, to be taken over instead of making new ones, by
	// the node's index: `{"1": ocid1.volume...}`. It counts only for a volume that
	// the stack does not have. One that is named here stays in OCI, as with `retain`.
	Adopt map[string]string `cfg:"adopt" keys:"index" format:"ocid:volume"`
	// What the stack no longer has stays in OCI: `destroy` and a scale-in keep the
	// volumes with their data and their backup policy. A change of it counts from
	// the update after the one that makes it.
	Retain bool `cfg:"retain"`
	// Pulumi refuses to delete or replace a protected volume. False in production
	// needs `retain` or `guards.allowUnprotected`.
	Protect bool `cfg:"protect" default:"true in a production stack, else false"`
}

// Broker is EMQX.
type Broker struct {
	// Names a version, because a moving tag could put two side by side; 5.8.5 or
	// newer. 5.8 is the last line under Apache-2.0: from 5.9 on a cluster needs
	// `secrets.license`.
	Image string `cfg:"image" format:"image"`
	// Reserved for EMQX in Nomad.
	CPU int `cfg:"cpu" unit:"MHz" range:"100..1000000"`
	// The limit of the container. EMQX takes 288 MB for itself and 43 kB for a client
	// that connects, 85 kB where it ends TLS itself (`tls.terminate`).
	MemoryMB int `cfg:"memoryMb" unit:"MB" range:"320..4000000"`
	// The largest MQTT keep-alive. Every timeout on the path is 1.5 times it, as
	// EMQX itself waits 1.5 intervals; a client with a longer one may be cut.
	KeepAliveMax int `cfg:"keepAliveMax" unit:"s" range:"10..1200"`
	// Limit of open files: one per connection, and more.
	NoFile int `cfg:"noFile" unit:"files" range:"1024..16777216"`
	// Clients of one broker. Each listener takes as many, as EMQX has no limit over all
	// of them: what the proxies let in keeps the sum below it, even while one broker is
	// away. 0 derives what `memoryMb` holds.
	MaxConnections int `cfg:"maxConnections" unit:"connections" range:"0..16777216" default:"from broker.memoryMb"`
	// More `EMQX_...` variables; EMQX reads a value as HOCON where it is some, and else as
	// it stands. What the stack stands on is refused: identity, data, discovery,
	// listeners, passwords. What is secret must be encrypted: `pulumi
	// config set --secret --path 'emqx-oci:broker.env.<name>'`. As soon as one of them
	// is, all reach EMQX as the stack's other secrets do.
	Env map[string]string `cfg:"env" keys:"emqx-variable"`
	// SecretEnv are those of Env that are encrypted in the stack file, or may be; Env is
	// without them.
	SecretEnv map[string]Secret `cfg:"-"`
	// How long a stopping allocation has before it is killed: 130s and
	// `drain.timeout` at least.
	KillTimeout time.Duration `cfg:"killTimeout" range:"130s..10m" why:"EMQX takes up to 120 s to stop, and the nodes' Nomad clients allow 10m"`
	Drain       Drain         `cfg:"drain"`
	Limits      Limits        `cfg:"limits"`
	// A node leaves Consul this long before it stops: HAProxy may send it new
	// clients for 9 s more.
	ShutdownDelay time.Duration `cfg:"shutdownDelay" range:"1s.."`
	Rollout       `cfg:",inline"`
}

// Flapping is what EMQX does about a client that connects again and again: it is banned by its
// identifier. It counts before it asks who a client is, so that whoever knows an identifier can
// have it banned, too.
type Flapping struct {
	// Whether it does.
	On bool `cfg:"on"`
	// At which connection within the window it is banned; each node counts by itself.
	Count int `cfg:"count" unit:"connections" range:"2..10000"`
	// Within which time.
	Window time.Duration `cfg:"window" range:"1s..24h"`
	// For how long it is banned.
	Ban time.Duration `cfg:"ban" range:"1s..24h"`
}

// Drain is how a stopping node moves the clients that are still connected to it,
// once HAProxy has moved those that it knows of.
type Drain struct {
	// Clients disconnected so that they connect to another node. 0 moves none: they
	// are cut all at once when EMQX stops.
	Rate int `cfg:"rate" unit:"clients per second" range:"0..100000"`
	// How long that may take; whoever is left then is cut.
	Timeout time.Duration `cfg:"timeout" range:"1s..7m"`
}

// Limits are what EMQX takes from one client. A variable in `broker.env` wins over each. 0 is no
// limit where it is allowed.
type Limits struct {
	// Of one packet. Who sends a larger one is disconnected.
	PacketKB int `cfg:"packetKb" unit:"kB" range:"1..262143"`
	// Of a topic or a topic filter. Who uses a deeper one is disconnected.
	TopicLevels int `cfg:"topicLevels" unit:"levels" range:"1..65535"`
	// Of a client identifier. Who has a longer one is refused.
	ClientIDLength int `cfg:"clientIdLength" unit:"bytes" range:"23..65535"`
	// How long a client has for its CONNECT, and before that for the TLS handshake with
	// HAProxy. Where HAProxy sees MQTT, it ends those that send nothing or something else,
	// and no broker hears of them.
	ConnectTimeout time.Duration `cfg:"connectTimeout" range:"1s..5m" step:"1s"`
	// What it may publish. EMQX stops reading from who sends more, and loses nothing.
	MessageRate int `cfg:"messageRate" unit:"messages per second" range:"0..1000000"`
	// What it may send.
	ByteRateKB int `cfg:"byteRateKb" unit:"kB per second" range:"0..1000000"`
	// What a session may be subscribed to; further ones are refused.
	Subscriptions int      `cfg:"subscriptions" unit:"subscriptions" range:"0..1000000"`
	Flapping      Flapping `cfg:"flapping"`
}

// Rollout is the pace of a Nomad deployment.
type Rollout struct {
	// How long an allocation has to stay healthy before the next one is changed.
	MinHealthyTime time.Duration `cfg:"minHealthyTime" range:"1s.."`
	// Within which an allocation must become healthy; above `minHealthyTime`.
	HealthyDeadline time.Duration `cfg:"healthyDeadline"`
	// Within which the next one must; above `healthyDeadline`.
	ProgressDeadline time.Duration `cfg:"progressDeadline"`
}

// Proxy is HAProxy, one per node.
type Proxy struct {
	// Names a version. 3.2 is a line with fixes to 2030.
	Image string `cfg:"image" format:"image"`
	// Reserved for HAProxy in Nomad.
	CPU int `cfg:"cpu" unit:"MHz" range:"50..1000000"`
	// The limit of the container: 64 MB and 33 kB for each of `maxConn` and 200 more,
	// which is two buffers of 16 kB; 125 kB where it ends TLS (`tls.terminate`). 0 derives
	// it.
	MemoryMB int `cfg:"memoryMb" unit:"MB" range:"0..4000000" default:"from proxy.maxConn"`
	// Clients of one HAProxy, and so of one node, over all protocols. Who comes beyond
	// them is refused at once; health checks and monitoring have 200 connections of their
	// own. 0 derives half of `broker.maxConnections`, at most 50000.
	MaxConn int `cfg:"maxConn" unit:"connections" range:"0..2000000" default:"from broker.maxConnections"`
	// Clients of one address on one HAProxy; 0 is no limit, as all devices behind a
	// carrier's or a company's NAT have one address. With a limit no single source fills
	// the cluster.
	MaxConnPerSource int `cfg:"maxConnPerSource" unit:"connections" range:"0..2000000"`
	// Connections that one address may begin in 10 s on one HAProxy; 0 is no limit. Refused
	// ones count: who goes on stays out.
	MaxConnRatePerSource int `cfg:"maxConnRatePerSource" unit:"connections in 10 s" range:"0..10000000"`
	// Limit of open files: two per connection, and 512. 0 derives it.
	NoFile int `cfg:"noFile" unit:"files" range:"0..16777216" default:"from proxy.maxConn"`
	// How long a stopping allocation has before it is killed: at least 10s above
	// `shutdownDelay`.
	KillTimeout time.Duration `cfg:"killTimeout"`
	// Longer than the balancer takes to see a failing check.
	ShutdownDelay time.Duration `cfg:"shutdownDelay" range:"1s.."`
	Rollout       `cfg:",inline"`
}

// Ports are where HAProxy listens on every node; the balancer listens on the
// same four for clients. They differ from each other and from the ports of EMQX,
// Nomad and Consul on the node.
type Ports struct {
	// MQTT.
	MQTT int `cfg:"mqtt" range:"1024..65535" why:"HAProxy has no right to lower ones"`
	// MQTT over TLS; unused without a certificate.
	MQTTS int `cfg:"mqtts" range:"1024..65535" why:"HAProxy has no right to lower ones"`
	// MQTT over WebSocket.
	WS int `cfg:"ws" range:"1024..65535" why:"HAProxy has no right to lower ones"`
	// MQTT over WebSocket and TLS; unused without a certificate.
	WSS int `cfg:"wss" range:"1024..65535" why:"HAProxy has no right to lower ones"`
	// HAProxy's health page and statistics, which the balancer and Consul ask. It
	// is never open to clients.
	Admin int `cfg:"admin" range:"1024..65535" why:"HAProxy has no right to lower ones"`

	Broker BrokerPorts `cfg:"broker"`
}

// BrokerPorts are where EMQX listens behind HAProxy, on every address of every node,
// which the nodes' security group opens to the nodes alone. They are the same
// everywhere, because EMQX shares what it knows of its listeners among its members.
// Ports between 21800 and 21999 are kept free on nodes that run already; others only
// on nodes launched after the change.
type BrokerPorts struct {
	// MQTT.
	MQTT int `cfg:"mqtt" range:"1024..65535" why:"EMQX has no right to lower ones"`
	// MQTT over TLS; unused without a certificate.
	MQTTS int `cfg:"mqtts" range:"1024..65535" why:"EMQX has no right to lower ones"`
	// MQTT over WebSocket.
	WS int `cfg:"ws" range:"1024..65535" why:"EMQX has no right to lower ones"`
	// MQTT over WebSocket and TLS; unused without a certificate.
	WSS int `cfg:"wss" range:"1024..65535" why:"EMQX has no right to lower ones"`
}

// Listeners are what the stack offers to clients, each by itself. A TLS listener needs a
// certificate (`tls`), whatever is set here.
type Listeners struct {
	// MQTT in clear.
	MQTT Listener `cfg:"mqtt"`
	// MQTT over TLS.
	MQTTS Listener `cfg:"mqtts"`
	// MQTT over WebSocket in clear.
	WS Listener `cfg:"ws"`
	// MQTT over WebSocket and TLS.
	WSS Listener `cfg:"wss"`
}

// Listener is one protocol.
type Listener struct {
	// To whom: `all` of `clientCidrs`; `vcn`, which is private ranges alone; `none`, and
	// then it is nowhere on the path. A public balancer does not have one for the `vcn`:
	// clients speak to HAProxy on the nodes, by the name that the outputs show.
	Open string `cfg:"open" oneof:"all|vcn|none"`
	// Where its clients come from. With `vcn` they must be private.
	ClientCIDRs []string `cfg:"clientCidrs" format:"cidr" default:"network.clientCidrs, with open: vcn the private ones"`
	// Clients on one HAProxy; who comes beyond them is refused at once. 0 is no limit but
	// `proxy.maxConn`, which is for all listeners together.
	MaxConn int `cfg:"maxConn" unit:"connections" range:"0..2000000"`
	// New connections on one HAProxy. Who comes beyond them waits for a turn. 0 is no limit.
	MaxConnRate int `cfg:"maxConnRate" unit:"connections per second" range:"0..1000000"`
}

// Edge is the balancer.
type Edge struct {
	// `network` is OCI's network load balancer, which passes packets on. `flexible` is OCI's
	// load balancer, which takes connections itself, ends TLS with `tls.terminate: edge`, and
	// tells the proxies by PROXY protocol v2 who the client is. Changing it makes another
	// balancer, with another address, before the old one goes.
	Kind string `cfg:"kind" oneof:"network|flexible"`
	// False keeps the balancer without a public address: clients come from inside the
	// network, and so must whoever runs `up`, or through `gates.proxy`. Changing it
	// replaces the balancer.
	Public bool `cfg:"public"`
	// By what the balancer knows a node: its reserved `address`, or that `privateIp` by
	// its OCID. Oracle's documents contradict each other on addresses where clients keep
	// theirs, as with `network`; a `flexible` one takes addresses alone. Changing it cuts what
	// is connected.
	Backend string `cfg:"backend" oneof:"address|privateIp"`
	// Of a `flexible` balancer: to which node a new connection goes. With `ipHash` all of one
	// address go to one.
	Policy string `cfg:"policy" oneof:"leastConnections|roundRobin|ipHash"`
	// Of a `flexible` balancer: what it always has, both ways together, and is paid for.
	MinMbps int `cfg:"minMbps" unit:"Mbit/s" range:"10..8000"`
	// Of a `flexible` balancer: what it grows to, at least `minMbps`. Changing either of the two
	// resets every connection.
	MaxMbps int `cfg:"maxMbps" unit:"Mbit/s" range:"10..8000"`
	// Between two health checks; this default and the next two are those of OCI's network load
	// balancer.
	HealthInterval time.Duration `cfg:"healthInterval" range:"1s..30m" step:"1s"`
	// Of one health check; at most the interval.
	HealthTimeout time.Duration `cfg:"healthTimeout" range:"1s..10m" step:"1s"`
	// Before a node counts as failed, or as healthy again.
	HealthRetries int `cfg:"healthRetries" range:"1..10"`
}

// DNS is the public name.
type DNS struct {
	// A zone in OCI DNS.
	Zone string `cfg:"zone" required:"true" format:"domain"`
	// The view that holds the zone, where it is a private one.
	View string `cfg:"view" format:"ocid:dnsview"`
	// The full name inside the zone.
	Name string `cfg:"name" required:"true" format:"domain"`
	// How long resolvers may remember an address.
	TTL int `cfg:"ttl" unit:"s" range:"1..604800"`
}

// TLS is the certificate of the two encrypted protocols. Without one they exist
// nowhere on the path.
type TLS struct {
	// Where TLS ends. With `proxy` HAProxy has the certificate and leads to EMQX's plain
	// listeners: from node to node the clients' traffic is in clear. With `broker` it
	// passes through to EMQX, which takes twice the memory for a client. With `edge` the
	// balancer ends it, which takes `edge.kind: flexible`: from there on all is in clear.
	Terminate string `cfg:"terminate" oneof:"proxy|broker|edge"`
	// One of Mozilla's recommended configurations, version 5.7: `intermediate` is TLS 1.2
	// and 1.3 with ephemeral keys and authenticated ciphers, `modern` is TLS 1.3 alone.
	Profile string `cfg:"profile" oneof:"intermediate|modern"`
	// Where certificate and key come from. `secrets` are `certificate` and `privateKey`. With
	// `variable` somebody else writes them into the Nomad variable of the job that ends TLS, as
	// items `certificate` and `private_key`: `nomad/jobs/emqx-<stack>-haproxy/haproxy`, or
	// `nomad/jobs/emqx-<stack>/emqx` with `terminate: broker`; both jobs take over what changes
	// there without a restart. With `vault` and `acme` it is `emqx-oci up` that writes them
	// there, and `emqx-oci certificate renew` between updates.
	Source string `cfg:"source" oneof:"secrets|variable|vault|acme"`
	// A Vault secret that holds the certificate with its chain and its key, all in PEM, one
	// behind the other: for `source: vault`. Whoever runs `emqx-oci` has to be allowed to read it.
	VaultSecret string `cfg:"vaultSecret" format:"ocid:vaultsecret"`
	ACME        ACME   `cfg:"acme"`
	// With its chain; valid for `dns.name`. One that is self-signed counts as its own
	// authority in the round trip: whoever sets it trusts it. Of `source: secrets` alone.
	Certificate Secret `cfg:"certificate" format:"certificates"`
	// Set with the certificate.
	PrivateKey Secret `cfg:"privateKey" secret:"true" format:"private-key"`
	// Authority for the stack's own round trip beside those of the machine that runs it.
	// Needed where the certificate is signed by one that no machine knows.
	CA Secret `cfg:"ca" format:"certificates" default:"the certificate's chain"`
	// Further certificates: a client gets the one of the name that it asks for (SNI), and the
	// main one where it asks for none or for another name. One more, or one less, is a reload of
	// HAProxy. They need `terminate: proxy`.
	Certificates []ServerCertificate `cfg:"certificates"`
	// By which a client resumes its TLS session at any HAProxy, not only at the one that it had
	// before: three lines of 80 random bytes in base64. The second one makes tickets, all three
	// read them. `emqx-oci tickets` makes them and rotates them: a ticket is good for one rotation
	// and, at most, 5 minutes. It needs `terminate: proxy` and `clients: none`.
	TicketKeys Secret `cfg:"ticketKeys" secret:"true" format:"ticket-keys" default:"none: sessions resume at one HAProxy"`
	// Whether clients show a certificate on the encrypted protocols: `optional` refuses
	// only wrong ones. Its common name is the user name in EMQX, whatever CONNECT says. It
	// needs `terminate: proxy`, `clientCa` or `deviceCa`, and `network.privateSubnetCidr`.
	Clients string `cfg:"clients" oneof:"none|optional|required"`
	// Authorities of the clients' certificates.
	ClientCA Secret `cfg:"clientCa" format:"certificates"`
	// Revoked certificates: a list of each authority in `clientCa`, none of which may have
	// ended, or no client with a certificate gets in.
	ClientCRL Secret `cfg:"clientCrl" format:"revocation-lists"`
	// The stack's own authority of devices: one certificate, whose key is
	// `secrets.deviceCaKey`. `emqx-oci device add --certificate` signs by it, and a device
	// that it has added gets in by its certificate alone. `emqx-oci device init` makes one.
	DeviceCA Secret `cfg:"deviceCa" format:"certificates"`
}

// ACME is the authority that `source: acme` asks for the certificate of `dns.name`, and proves the name to by a TXT record
// in `dns.zone` (DNS-01).
type ACME struct {
	// Of the authority, such as `https://acme-v02.api.letsencrypt.org/directory`.
	Directory string `cfg:"directory" format:"https-url"`
	// Whom the authority may write to.
	Contact string `cfg:"contact" format:"email"`
	// That you have read the authority's terms of service and agree to them. It issues nothing
	// without.
	TermsAgreed bool `cfg:"termsAgreed"`
	// Authorities of the directory's own https address, of a private one.
	CA Secret `cfg:"ca" format:"certificates" default:"those of the machine that runs it"`
	// A DNS server that is asked whether the record is there, before the authority looks.
	Resolver string `cfg:"resolver" format:"host-port" default:"the name servers of dns.zone"`
}

// ServerCertificate is one that clients get by its names.
type ServerCertificate struct {
	// With its chain; for names that no certificate before it has with a key of its kind.
	Certificate Secret `cfg:"certificate" required:"true" format:"certificates"`
	// Of the certificate.
	PrivateKey Secret `cfg:"privateKey" required:"true" secret:"true" format:"private-key"`
}

// Where TLS ends ([TLS.Terminate]).
const (
	TerminateProxy  = "proxy"
	TerminateBroker = "broker"
	TerminateEdge   = "edge"
)

// Kinds of [Edge.Kind].
const (
	EdgeNetwork  = "network"
	EdgeFlexible = "flexible"
)

// Which certificates clients are asked for ([TLS.Clients]).
const (
	ClientsNone     = "none"
	ClientsOptional = "optional"
	ClientsRequired = "required"
)

// Clients are the values of [TLS.Clients].
var Clients = []string{ClientsNone, ClientsOptional, ClientsRequired}

// Enabled tells whether the stack offers the encrypted protocols.
func (t TLS) Enabled() bool { return t.Certificate != "" || t.Outside() }

// Outside tells whether certificate and key are in a Nomad variable that is no resource of the stack.
func (t TLS) Outside() bool { return t.Source != "" && t.Source != SourceSecrets }

// Obtained tells whether it is this program that gets them and writes them there.
func (t TLS) Obtained() bool { return t.Source == SourceVault || t.Source == SourceACME }

// AtProxy tells whether HAProxy ends the encrypted protocols.
func (t TLS) AtProxy() bool { return t.Enabled() && t.Terminate == TerminateProxy }

// AtBroker tells whether EMQX does.
func (t TLS) AtBroker() bool { return t.Enabled() && t.Terminate == TerminateBroker }

// AtEdge tells whether the balancer does.
func (t TLS) AtEdge() bool { return t.Enabled() && t.Terminate == TerminateEdge }

// VerifiesClients tells whether clients may show a certificate.
func (t TLS) VerifiesClients() bool { return t.AtProxy() && t.Clients != ClientsNone }

// Authority is the CA, or the certificate's own chain where none is given.
func (t TLS) Authority() Secret {
	if t.CA != "" {
		return t.CA
	}
	return t.Certificate
}

// Auth is who may connect by MQTT, and what they may do. Without anything here nobody may
// but the stack itself, whose user `emqx-oci-gate` makes the round trip of every update. What
// is declared here wins over the dashboard at every start of EMQX and in every update. A change
// is applied at run time at the end of the update, and restarts nothing but for `anonymous`.
type Auth struct {
	// True leaves the cluster open: whoever reaches it may connect, and EMQX's own rules
	// hold, or those that somebody makes in the dashboard or in `broker.env`.
	Anonymous bool `cfg:"anonymous"`
	// Who may connect. A user that is taken away is removed from EMQX at the end of the
	// update, and cut off.
	Users []AuthUser `cfg:"users"`
	// Further ways to tell who a client is, each asked where none before it knows the client.
	// The database of `users` is always the first: a user of it is never asked about elsewhere.
	Authenticators []AuthAuthenticator `cfg:"authenticators"`
	// What they may do: the first rule that matches decides, and what none matches is denied.
	// Who holds a subscription that changed rules do not allow is cut off at the end of the update.
	Rules []AuthRule `cfg:"rules"`
	// Where else EMQX asks about what no rule is about; what none of them allows is denied.
	Sources []AuthSource `cfg:"sources"`
	// Which client identifiers a user may have, so that nobody takes over another's session:
	// its own name alone with `username`, or also what begins with its name and `/` with
	// `usernamePrefix`. Who comes with another one, or with none, is refused, and so is a user
	// whose name holds a `/` with `usernamePrefix`. A change cuts nobody off but by the restart.
	ClientID string `cfg:"clientId" oneof:"any|username|usernamePrefix"`
	// What happens to a client that does what it may not: it is told so where its protocol
	// has words for it, or disconnected as well.
	DenyAction string `cfg:"denyAction" oneof:"ignore|disconnect"`
	// What an update does about users, rules and authenticators that somebody has changed in
	// EMQX since the last one: it puts them right, or says so and leaves them until what the stack
	// declares changes, or EMQX restarts. `status` and a preview tell of them. Secrets of
	// authenticators EMQX shows to nobody: with `repair` each update writes them anew.
	Drift string `cfg:"drift" oneof:"repair|warn"`
}

// Values of [Auth.Drift].
const (
	DriftRepair = "repair"
	DriftWarn   = "warn"
)

// AuthAuthenticator is a way to tell who a client is. What it is decides which of the other
// fields it has; one of each kind may be there. What is secret in it reaches EMQX as the
// stack's other secrets do. A change is applied at run time; one that brings another authority's
// file restarts the nodes in turn.
type AuthAuthenticator struct {
	// What it is. `builtIn` is the database of `auth.users`, which is there without it, too.
	// `certificate` lets in who shows one of `tls.clientCa`, as the user of its common name, unless
	// the database knows that name; it is the first behind `builtIn`, and a change of it restarts
	// the nodes in turn. The code of `ldap` is not under an open licence, even in EMQX 5.8: its licence, BSL 1.1, wants
	// an agreement with EMQ for production.
	Kind string `cfg:"kind" required:"true" oneof:"builtIn|certificate|jwt|http|ldap|postgresql|mysql|redis|mongodb"`

	// Of `jwt`, one of three: what tokens are signed with by HMAC. A token is the client's
	// password, and its time (`exp`, `nbf`) counts.
	Secret Secret `cfg:"secret" secret:"true" length:"32.." format:"printable" why:"whoever finds it out makes tokens of his own"`
	// Of `jwt`, one of three: the public key of RSA, ECDSA or EdDSA signatures.
	PublicKey string `cfg:"publicKey" format:"public-key"`
	// Of `jwt`, one of three: where the public keys are, as JWKS. EMQX asks every 5 minutes.
	JWKS string `cfg:"jwks" format:"https-url"`
	// Of `jwt`: what a token must say, with `${username}` and `${clientid}`. One of them must
	// be `${username}` and no more, or whoever has a token is whom he says.
	Claims map[string]string `cfg:"claims"`
	// Of `jwt`: the claim that holds rules of the token's own, which are asked before `auth.rules`.
	ACLClaim string `cfg:"aclClaim" default:"acl"`

	// Of `http`: who is asked. 200 with `{"result": "allow"}` or 204 lets the client in, `deny`
	// keeps it out, and anything else asks the next authenticator.
	URL string `cfg:"url" format:"https-url"`
	// Of `http`. With `get` the body's fields, the password among them, are in the address, and
	// so in the server's log.
	Method string `cfg:"method" oneof:"post|get" default:"post"`
	// Of `http`: headers beside `accept` and `content-type`.
	Headers map[string]string `cfg:"headers" keys:"header"`
	// Of `http`: the header of that name, such as `Bearer ...`.
	Authorization Secret `cfg:"authorization" secret:"true" length:"1..4096"`
	// Of `http`: fields of the request, with placeholders; `${username}` and `${password}` must
	// be among them.
	Body map[string]string `cfg:"body"`

	// Of the databases and `ldap`.
	Server string `cfg:"server" format:"host-port"`
	// Of the databases; of `redis` a number, 0 by default.
	Database string `cfg:"database" length:"1..128"`
	// Of the databases and `ldap`, where it is a DN: as whom EMQX asks.
	Username string `cfg:"username" length:"1..512"`
	// Of that user.
	Password Secret `cfg:"password" secret:"true" length:"1..512"`
	// What is asked for `${username}`. Of `postgresql` and `mysql` it selects `password_hash`,
	// and `salt` and `is_superuser` where there are; of `redis` it is `HMGET` or `HGET`, a key and
	// these names; of `ldap` a filter beside `baseDn`.
	Query string `cfg:"query" length:"1..4096"`
	// Of `mongodb`: where users are, with the fields `password_hash`, `salt` and `is_superuser`.
	Collection string `cfg:"collection" length:"1..128"`
	// Of `mongodb`: which of them it is, with `${username}`.
	Filter map[string]string `cfg:"filter"`
	// Of `ldap`: below which entry users are, with `${username}` unless `query` has it. The
	// client's password is tried by binding as the entry that is found.
	BaseDN string `cfg:"baseDn" length:"1..512"`
	// Of the databases: how passwords are stored.
	Hash string `cfg:"hash" oneof:"bcrypt|pbkdf2-sha256|pbkdf2-sha512|sha256|sha512"`
	// Of a `hash` of SHA-2: where the salt is.
	Salt string `cfg:"salt" oneof:"prefix|suffix|disable" default:"prefix"`
	// Of a `hash` by PBKDF2.
	Iterations int `cfg:"iterations" range:"0..10000000" default:"210000"`

	// The authority of its certificate, which EMQX verifies.
	CA string `cfg:"ca" format:"certificates" default:"the image's authorities"`
	// Of the databases and `ldap`: speaks to the server without TLS.
	Plain bool `cfg:"plain"`
}

// AuthSource is where EMQX asks about a right that no rule is about.
type AuthSource struct {
	// `builtIn` is EMQX's own database of rules, which its REST API and dashboard fill.
	Kind string `cfg:"kind" required:"true" oneof:"builtIn|http"`
	// Of `http`: who is asked; its answer is as that of an authenticator.
	URL string `cfg:"url" format:"https-url"`
	// Of `http`.
	Method string `cfg:"method" oneof:"post|get" default:"post"`
	// Of `http`: headers beside `accept` and `content-type`.
	Headers map[string]string `cfg:"headers" keys:"header"`
	// Of `http`: the header of that name, such as `Bearer ...`.
	Authorization Secret `cfg:"authorization" secret:"true" length:"1..4096"`
	// Of `http`: fields of the request, with placeholders; `${username}`, `${action}` and
	// `${topic}` must be among them.
	Body map[string]string `cfg:"body"`
	// The authority of its certificate, which EMQX verifies.
	CA string `cfg:"ca" format:"certificates" default:"the image's authorities"`
}

// AuthUser is one who may connect.
type AuthUser struct {
	// Unique; names that begin with `emqx-oci-` are the stack's own.
	Name string `cfg:"name" required:"true" format:"mqtt-user"`
	// EMQX is given its bcrypt hash, which takes 0.06 s to make in every preview and update.
	Password Secret `cfg:"password" secret:"true" length:"12..72" format:"printable" why:"bcrypt reads no more than 72"`
	// In the place of the password.
	PasswordHash Secret `cfg:"passwordHash" secret:"true" format:"bcrypt"`
	// Whether no rule holds for it.
	Superuser bool `cfg:"superuser"`
}

// AuthRule permits or forbids something. It is about whom `user`, `clientId` or `address`
// names, one of them, and about everybody without any.
type AuthRule struct {
	// What it says.
	Permit string `cfg:"permit" required:"true" oneof:"allow|deny"`
	// One of `auth.users`.
	User string `cfg:"user" format:"mqtt-user"`
	// An identifier, which is whatever a client says: good for denying those who are
	// honest, and no proof of who somebody is.
	ClientID string `cfg:"clientId" length:"1..65535"`
	// Where clients come from.
	Address string `cfg:"address" format:"cidr"`
	// What is done.
	Action string `cfg:"action" oneof:"publish|subscribe|all" default:"all"`
	// Topic filters. `${username}` stands for the client's own; `eq ` before one makes its
	// wildcards plain characters, so that `eq #` is about a subscription to `#`.
	// `$share/group/topic` is taken for `topic`.
	Topics []string `cfg:"topics" required:"true" format:"topic-filter"`
}

// Which client identifiers a user may have ([Auth.ClientID]).
const (
	ClientIDAny      = "any"
	ClientIDUsername = "username"
	ClientIDPrefix   = "usernamePrefix"
)

// GateUser is the stack's own user, by which it makes its round trip.
const GateUser = "emqx-oci-gate"

// Nomad is the scheduler that the nodes join.
type Nomad struct {
	// Of the API, as seen from where the program runs.
	Address string `cfg:"address" required:"true" format:"url"`
	// RPC of the servers, as seen from the nodes.
	Servers []string `cfg:"servers" required:"true" format:"host-port"`
	// Must be Consul's: a node has one name in both.
	Datacenter string `cfg:"datacenter" format:"datacenter"`
	// Region of Nomad, not of OCI.
	Region string `cfg:"region" format:"printable"`
	// Namespace of the jobs; it must exist.
	Namespace string `cfg:"namespace" format:"namespace"`
	// ACL token for the program; the nodes have `agentSecret`.
	Token Secret `cfg:"token" secret:"true" default:"NOMAD_TOKEN of the environment"`
	// Of an https address whose authority is not a public one, or that asks for a
	// client certificate.
	TLS ClientTLS `cfg:"tls"`
	// A Vault secret that holds what the nodes' agents join secured servers with, as JSON:
	// `ca`, `certificate` and `privateKey` in PEM, and `token`, an ACL token with
	// `node:write`. Nodes read it when they boot.
	AgentSecret string `cfg:"agentSecret" format:"ocid:vaultsecret"`
	// Installed by the boot script where the image has none.
	Version string `cfg:"version" format:"version"`
}

// Consul is the catalog that the nodes join.
type Consul struct {
	// Of the API, as seen from where the program runs.
	Address string `cfg:"address" required:"true" format:"url"`
	// Which agents join, as seen from the nodes.
	Servers []string `cfg:"servers" required:"true" format:"host"`
	// Part of EMQX's node names: changing it makes every node a new one.
	Datacenter string `cfg:"datacenter" format:"datacenter"`
	// ACL token for the program; the nodes have `agentSecret`, the jobs `authMethod`.
	Token Secret `cfg:"token" secret:"true" default:"CONSUL_HTTP_TOKEN of the environment"`
	// Of an https address whose authority is not a public one, or that asks for a
	// client certificate.
	TLS ClientTLS `cfg:"tls"`
	// A Vault secret that holds what the nodes' agents join secured servers with, as JSON,
	// each optional: `gossipKey`; `ca`, and `certificate` and `privateKey` in PEM, or
	// `autoEncrypt: true` for one that the servers issue; `agentToken` and `defaultToken`.
	// Nodes read it when they boot.
	AgentSecret string `cfg:"agentSecret" format:"ocid:vaultsecret"`
	// Consul's auth method at which both jobs log in by their workload identity: their
	// services and keys need no other right then. Consul with ACLs that deny by default
	// needs it.
	AuthMethod string `cfg:"authMethod" format:"printable" length:"1..128"`
	// Installed by the boot script where the image has none.
	Version string `cfg:"version" format:"version"`
}

// ClientTLS is how an https API is spoken to.
type ClientTLS struct {
	// Verifies the server, where its authority is not a public one.
	CA string `cfg:"ca" format:"certificates" default:"the system's authorities"`
	// Of the client, set with its key.
	Certificate string `cfg:"certificate" format:"certificates"`
	// Of the client, set with its certificate.
	PrivateKey Secret `cfg:"privateKey" secret:"true" format:"private-key"`
}

// Gates are how long each condition may take before an update fails with its
// reason.
type Gates struct {
	// G1: launch, packages, volume and agents of a new instance.
	NodesReady time.Duration `cfg:"nodesReady" range:"1s.."`
	// G2: above `broker.progressDeadline`, or it gives up before Nomad says why.
	ClusterFormed time.Duration `cfg:"clusterFormed" range:"1s.."`
	// G3: the catalog's view of HAProxy.
	ProxiesReady time.Duration `cfg:"proxiesReady" range:"1s.."`
	// G4: the balancer's view of the nodes.
	EdgeHealthy time.Duration `cfg:"edgeHealthy" range:"1s.."`
	// G5: a message by the public name through each listener, as a client sends it.
	// A name that did not resolve may be remembered so for a while.
	RoundTrip time.Duration `cfg:"roundTrip" range:"1s.."`
	// How long the check at the end of an update waits for a cluster that no
	// deployment is mending.
	Settle time.Duration `cfg:"settle" range:"1s.."`
	// The round trip's way to the public name, for all listeners, where the build
	// machine has no direct one.
	Proxy string `cfg:"proxy" format:"socks"`
}

// Guards are the exceptions from what may not happen by accident. Each is meant
// to be set for one update and taken out again.
type Guards struct {
	// Lets an update delete or replace data volumes.
	AllowVolumeDelete bool `cfg:"allowVolumeDelete"`
	// Lets nodes go while their volumes stay (`volumes.count` above
	// `nodes.count`): what is on them is out of reach.
	AllowScaleIn bool `cfg:"allowScaleIn"`
	// Lets one update replace every instance pool.
	AllowReplaceAllNodes bool `cfg:"allowReplaceAllNodes"`
	// Lets public addresses into `network.dashboardCidrs`.
	AllowPublicDashboard bool `cfg:"allowPublicDashboard"`
	// Lets `volumes.protect` be false in a production stack.
	AllowUnprotected bool `cfg:"allowUnprotected"`
	// Lets public addresses reach `listeners.mqtt` and `listeners.ws` of a production stack:
	// MQTT in clear, passwords included.
	AllowPlainListeners bool `cfg:"allowPlainListeners"`
	// Lets `broker.image` and `proxy.image` of a production stack name no digest: what the
	// registry has under the tag that day is what runs.
	AllowImageTags bool `cfg:"allowImageTags"`
	// Lets `secrets.erlangCookie` change: nodes with the old and the new one do
	// not see each other, so the cluster splits while it rolls.
	AllowCookieChange bool `cfg:"allowCookieChange"`
}

// Secrets are made once per stack and kept encrypted in its configuration:
// `emqx-oci init` makes them, `pulumi config set --secret --path
// 'emqx-oci:secrets.<name>'` sets one. A changed one reaches the jobs' variables,
// and restarts nothing by itself.
type Secrets struct {
	// Joins the members.
	ErlangCookie Secret `cfg:"erlangCookie" required:"true" secret:"true" format:"cookie" why:"a shell script and HOCON read it unquoted"`
	// Of EMQX's user `admin`. EMQX takes it at its first start only.
	DashboardPassword Secret `cfg:"dashboardPassword" required:"true" secret:"true" length:"12.." format:"printable"`
	// Of EMQX's REST API.
	APIKey Secret `cfg:"apiKey" required:"true" secret:"true" length:"8.." format:"api" why:"a colon would end it"`
	// Of EMQX's REST API.
	APISecret Secret `cfg:"apiSecret" required:"true" secret:"true" length:"12.." format:"api" why:"a colon would end it"`
	// Of HAProxy's `/stats`, user `stats`.
	StatsPassword Secret `cfg:"statsPassword" required:"true" secret:"true" length:"12.." format:"printable"`
	// Of the stack's own user `emqx-oci-gate`, which makes the round trip. Only an open
	// cluster (`auth.anonymous`) does without.
	GatePassword Secret `cfg:"gatePassword" secret:"true" length:"12..72" format:"printable" why:"bcrypt reads no more than 72"`
	// Of the authority `tls.deviceCa`. It stays where `emqx-oci device add` runs: no job and
	// no node gets it.
	DeviceCAKey Secret `cfg:"deviceCaKey" secret:"true" format:"private-key"`
	// EMQX's licence key, which a cluster of 5.9 or newer needs.
	License Secret `cfg:"license" secret:"true"`
}

// production is how stacks that serve customers are called.
var production = regexp.MustCompile(`^(.*-)?(prod|production|live)(-.*)?$`)

// Production tells, by the stack's name, whether customers depend on it: prod,
// production, live, or one of them beside a dash, such as prod-eu.
func (s *Settings) Production() bool { return production.MatchString(s.Environment) }

// VolumeSizeGB is the size of a node's data volume.
func (s *Settings) VolumeSizeGB(index int) int {
	if size, ok := s.Volumes.SizeGBByNode[strconv.Itoa(index)]; ok {
		return size
	}
	return s.Volumes.SizeGB
}
