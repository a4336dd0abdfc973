package settings

import (
	"regexp"
	"strconv"
	"time"
)

// The images that a stack runs unless it names others. EMQX 5.8 is the last line
// under Apache-2.0; HAProxy 3.0 is supported for the longest time.
const (
	DefaultBrokerImage = "emqx/emqx:5.8.9"
	DefaultProxyImage  = "haproxy:3.0.12"
)

// Settings are everything that differs between stacks. Each group is one
// structured configuration key, "emqx-oci:nodes" and so on.
type Settings struct {
	// Environment is the stack's name: prod, staging, lab.
	Environment string `cfg:"-"`

	// Cloud is where the stack runs: "oci", or "lab" for the local one. The
	// graph is the same.
	Cloud   string            `cfg:"cloud"`
	OCI     OCI               `cfg:"oci"`
	Network Network           `cfg:"network"`
	Nodes   Nodes             `cfg:"nodes"`
	Volumes Volumes           `cfg:"volumes"`
	Broker  Broker            `cfg:"broker"`
	Proxy   Proxy             `cfg:"proxy"`
	Ports   Ports             `cfg:"ports"`
	Edge    Edge              `cfg:"edge"`
	DNS     DNS               `cfg:"dns"`
	TLS     TLS               `cfg:"tls"`
	Nomad   Nomad             `cfg:"nomad"`
	Consul  Consul            `cfg:"consul"`
	Gates   Gates             `cfg:"gates"`
	Guards  Guards            `cfg:"guards"`
	Secrets Secrets           `cfg:"secrets"`
	Tags    map[string]string `cfg:"tags"`
}

// OCI is the tenancy that the stack is given.
type OCI struct {
	// Region: "eu-frankfurt-1". Required.
	Region string `cfg:"region"`
	// Compartment is an OCID. Required.
	Compartment string `cfg:"compartment"`
	// AvailabilityDomains to place nodes in, in this order; looked up, and taken
	// by name, when not given. Changing the list moves nodes: volumes too.
	AvailabilityDomains []string `cfg:"availabilityDomains"`
}

// Network is the VCN that the stack is given, and who may reach it.
type Network struct {
	// VCN, PublicSubnet (the balancer's) and PrivateSubnet (the nodes') are
	// OCIDs, or display names inside the compartment, which are looked up.
	// Required.
	VCN           string `cfg:"vcn"`
	PublicSubnet  string `cfg:"publicSubnet"`
	PrivateSubnet string `cfg:"privateSubnet"`
	// PrivateSubnetCIDR is the private subnet's range, so that `check` can tell
	// without a cloud whether the nodes fit; none by default.
	PrivateSubnetCIDR string `cfg:"privateSubnetCidr"`
	// ClientCIDRs are the ranges MQTT clients come from. Required: nothing is
	// open to the internet by default.
	ClientCIDRs []string `cfg:"clientCidrs"`
	// ServerCIDRs are the ranges of the Consul servers. Required.
	ServerCIDRs []string `cfg:"serverCidrs"`
	// DashboardCIDRs are the ranges that may reach EMQX's dashboard and REST API
	// on the nodes (18083), such as a VPN's; none by default.
	DashboardCIDRs []string `cfg:"dashboardCidrs"`
}

// Nodes are the cluster's instances.
type Nodes struct {
	// Count is 1 to 100; default 3. HAProxy has slots for 100 brokers.
	Count int `cfg:"count"`
	// Shape of the instances; default VM.Standard.E5.Flex.
	Shape string `cfg:"shape"`
	// OCPUs, default 2, and MemoryGB, default 16, of a flexible shape.
	OCPUs    float64 `cfg:"ocpus"`
	MemoryGB float64 `cfg:"memoryGb"`
	// Image is the OCID of an Oracle Linux 9 or Ubuntu 24.04 image. Required.
	Image string `cfg:"image"`
	// SSHKey is an authorized public key; none by default, the stack needs no
	// login.
	SSHKey string `cfg:"sshKey"`
	// BootVolumeGB is 50 to 32768; default 50, OCI's least.
	BootVolumeGB int `cfg:"bootVolumeGb"`
	// BootVolumeVPUsPerGB is 10 to 120 in steps of 10; default 10, balanced.
	BootVolumeVPUsPerGB int `cfg:"bootVolumeVpusPerGb"`
}

// Volumes hold EMQX's data, one per node.
type Volumes struct {
	// Count is nodes.count to 100: more keeps the volumes of nodes that were
	// taken away; default 0, which follows nodes.count.
	Count int `cfg:"count"`
	// SizeGB is 50 to 32768; default 150.
	SizeGB int `cfg:"sizeGb"`
	// SizeGBByNode are other sizes for some nodes, by index: {"1": 300}; none by
	// default.
	SizeGBByNode map[string]int `cfg:"sizeGbByNode"`
	// VPUsPerGB is 0 to 120 in steps of 10; default 10, balanced.
	VPUsPerGB int `cfg:"vpusPerGb"`
	// BackupPolicy is the OCID of a backup policy; none by default.
	BackupPolicy string `cfg:"backupPolicy"`
	// Protect makes Pulumi refuse to delete or replace a volume; default true in
	// a production stack, false elsewhere.
	Protect bool `cfg:"protect"`
}

// Broker is EMQX.
type Broker struct {
	// Image names a version; default emqx/emqx:5.8.9, the last Apache-2.0 line.
	Image string `cfg:"image"`
	// CPU in MHz, default 2000; MemoryMB, default 4096.
	CPU      int `cfg:"cpu"`
	MemoryMB int `cfg:"memoryMb"`
	// KeepAliveMax is the largest MQTT keep-alive in seconds that clients may
	// ask for, 10 to 1200; default 600. Every timeout on the path is 1.5 times
	// it.
	KeepAliveMax int `cfg:"keepAliveMax"`
	// NoFile is the limit of open files, one per connection and more; default
	// 1048576.
	NoFile int `cfg:"noFile"`
	// MaxConnections of each listener; default 0, no limit.
	MaxConnections int `cfg:"maxConnections"`
	// Env are further EMQX_... variables; values are HOCON.
	Env map[string]string `cfg:"env"`
	// KillTimeout is at least 130s, because EMQX takes up to 120 s to stop;
	// default 150s.
	KillTimeout time.Duration `cfg:"killTimeout"`
	// ShutdownDelay takes a node out of HAProxy before it stops; default 45s,
	// because HAProxy forgets a broker 30 s after Consul does.
	ShutdownDelay time.Duration `cfg:"shutdownDelay"`
	Rollout       `cfg:",inline"`
}

// Rollout is the pace of a Nomad deployment.
type Rollout struct {
	// MinHealthyTime that an allocation must stay healthy; default 15s.
	MinHealthyTime time.Duration `cfg:"minHealthyTime"`
	// HealthyDeadline within which it must become so; default 5m.
	HealthyDeadline time.Duration `cfg:"healthyDeadline"`
	// ProgressDeadline for the next allocation to do so, above HealthyDeadline;
	// default 10m.
	ProgressDeadline time.Duration `cfg:"progressDeadline"`
}

// Proxy is HAProxy, one per node.
type Proxy struct {
	// Image names a version; default haproxy:3.0.12.
	Image string `cfg:"image"`
	// CPU in MHz; default 1000.
	CPU int `cfg:"cpu"`
	// MemoryMB must hold 33 kB for each of MaxConn connections; default 0,
	// which derives it.
	MemoryMB int `cfg:"memoryMb"`
	// MaxConn is the connections of one HAProxy; default 50000.
	MaxConn int `cfg:"maxConn"`
	// NoFile is at least two per connection; default 0, which derives it.
	NoFile int `cfg:"noFile"`
	// ShutdownDelay, default 40s, is longer than the balancer takes to notice a
	// failing health check; KillTimeout, default 60s, is at least 10s above it.
	KillTimeout   time.Duration `cfg:"killTimeout"`
	ShutdownDelay time.Duration `cfg:"shutdownDelay"`
	Rollout       `cfg:",inline"`
}

// Ports are where HAProxy listens on every node; the balancer listens on the
// same four for clients.
type Ports struct {
	// MQTT, default 1883; MQTTS, 8883; WS, 8083; WSS, 8084.
	MQTT  int `cfg:"mqtt"`
	MQTTS int `cfg:"mqtts"`
	WS    int `cfg:"ws"`
	WSS   int `cfg:"wss"`
	// Admin is HAProxy's health page and statistics, which the balancer and
	// Consul ask; default 8080. It is never open to clients.
	Admin int `cfg:"admin"`
}

// Edge is the balancer.
type Edge struct {
	// Kind is "network": OCI's network load balancer.
	Kind string `cfg:"kind"`
	// HealthInterval, HealthTimeout and HealthRetries of the balancer's checks;
	// default 10s, 3s and 3, OCI's own.
	HealthInterval time.Duration `cfg:"healthInterval"`
	HealthTimeout  time.Duration `cfg:"healthTimeout"`
	HealthRetries  int           `cfg:"healthRetries"`
}

// DNS is the public name.
type DNS struct {
	// Zone in OCI DNS, and the full Name inside it. Required.
	Zone string `cfg:"zone"`
	Name string `cfg:"name"`
	// TTL in seconds; default 60.
	TTL int `cfg:"ttl"`
}

// TLS is the certificate of the two encrypted protocols. Without one they exist
// nowhere on the path.
type TLS struct {
	// Terminate is "broker": TLS passes through to EMQX.
	Terminate string `cfg:"terminate"`
	// Certificate with its chain, PrivateKey, and CA for clients' certificates
	// and for the stack's own round trip, all PEM. All or none; CA may be absent
	// when the certificate's issuer is public.
	Certificate Secret `cfg:"certificate"`
	PrivateKey  Secret `cfg:"privateKey"`
	CA          Secret `cfg:"ca"`
}

// Enabled tells whether the stack offers the encrypted protocols.
func (t TLS) Enabled() bool { return t.Certificate != "" }

// Authority is the CA, or the certificate's own chain where none is given.
func (t TLS) Authority() Secret {
	if t.CA != "" {
		return t.CA
	}
	return t.Certificate
}

// Nomad is the scheduler that the nodes join.
type Nomad struct {
	// Address of the API, and Servers as host:port of their RPC, which nodes
	// join. Required.
	Address string   `cfg:"address"`
	Servers []string `cfg:"servers"`
	// Datacenter of the nodes, default dc1; Region, default global; Namespace of
	// the jobs, default default.
	Datacenter string `cfg:"datacenter"`
	Region     string `cfg:"region"`
	Namespace  string `cfg:"namespace"`
	// Token is an ACL token; default: NOMAD_TOKEN of the environment.
	Token Secret `cfg:"token"`
	// TLS of an https address whose authority is not a public one, or that asks
	// for a client certificate.
	TLS ClientTLS `cfg:"tls"`
	// Version that the boot script installs; default 1.11.2.
	Version string `cfg:"version"`
}

// Consul is the catalog that the nodes join.
type Consul struct {
	// Address of the API, and Servers which agents join. Required.
	Address string   `cfg:"address"`
	Servers []string `cfg:"servers"`
	// Datacenter; default dc1. It is part of EMQX's node names: changing it
	// makes every node a new one.
	Datacenter string `cfg:"datacenter"`
	// Token is an ACL token; default: CONSUL_HTTP_TOKEN of the environment.
	Token Secret `cfg:"token"`
	// TLS: see Nomad's.
	TLS ClientTLS `cfg:"tls"`
	// Version that the boot script installs; default 1.22.0.
	Version string `cfg:"version"`
}

// ClientTLS is how an https API is spoken to; all PEM.
type ClientTLS struct {
	// CA verifies the server; none by default: the system's authorities.
	CA string `cfg:"ca"`
	// Certificate and PrivateKey of the client, both or none.
	Certificate string `cfg:"certificate"`
	PrivateKey  Secret `cfg:"privateKey"`
}

// Guards are the exceptions from what may not happen by accident. Each is false
// by default and meant to be set for one update.
type Guards struct {
	// AllowVolumeDelete lets an update delete or replace data volumes.
	AllowVolumeDelete bool `cfg:"allowVolumeDelete"`
	// AllowScaleIn lets nodes go while their volumes stay (volumes.count above
	// nodes.count): what is on them is out of reach.
	AllowScaleIn bool `cfg:"allowScaleIn"`
	// AllowReplaceAllNodes lets one update replace every instance pool.
	AllowReplaceAllNodes bool `cfg:"allowReplaceAllNodes"`
	// AllowPublicDashboard lets public addresses into network.dashboardCidrs.
	AllowPublicDashboard bool `cfg:"allowPublicDashboard"`
	// AllowUnprotected lets volumes.protect be false in a production stack.
	AllowUnprotected bool `cfg:"allowUnprotected"`
	// AllowCookieChange lets secrets.erlangCookie change: nodes with the old and
	// the new one do not see each other, so the cluster splits while it rolls.
	AllowCookieChange bool `cfg:"allowCookieChange"`
}

// Gates are how long each condition may take.
type Gates struct {
	// NodesReady (default 20m), ClusterFormed (30m, above the broker's progress
	// deadline), ProxiesReady (10m), EdgeHealthy (10m) and RoundTrip (5m).
	NodesReady    time.Duration `cfg:"nodesReady"`
	ClusterFormed time.Duration `cfg:"clusterFormed"`
	ProxiesReady  time.Duration `cfg:"proxiesReady"`
	EdgeHealthy   time.Duration `cfg:"edgeHealthy"`
	RoundTrip     time.Duration `cfg:"roundTrip"`
	// Settle is how long the check at the end of an update waits for a cluster
	// that no deployment is changing; default 60s.
	Settle time.Duration `cfg:"settle"`
	// Proxy reaches the public name for the round trip: "socks5h://host:port";
	// none by default.
	Proxy string `cfg:"proxy"`
}

// Secrets are generated once per stack and kept encrypted in its configuration.
// All are required but the licence.
type Secrets struct {
	// ErlangCookie joins the nodes: a letter, then 19 to 254 letters and digits.
	ErlangCookie Secret `cfg:"erlangCookie"`
	// DashboardPassword of EMQX's user admin; 12 or more characters.
	DashboardPassword Secret `cfg:"dashboardPassword"`
	// APIKey and APISecret of EMQX's REST API; 8 and 12 or more characters.
	APIKey    Secret `cfg:"apiKey"`
	APISecret Secret `cfg:"apiSecret"`
	// StatsPassword of HAProxy's statistics; 12 or more characters.
	StatsPassword Secret `cfg:"statsPassword"`
	// License is EMQX's licence key, which a cluster of 5.9 or newer needs; none
	// by default.
	License Secret `cfg:"license"`
}

func defaults() Settings {
	rollout := Rollout{MinHealthyTime: 15 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute}
	return Settings{
		Cloud:   "oci",
		Nodes:   Nodes{Count: 3, Shape: "VM.Standard.E5.Flex", OCPUs: 2, MemoryGB: 16, BootVolumeGB: 50, BootVolumeVPUsPerGB: 10},
		Volumes: Volumes{SizeGB: 150, VPUsPerGB: 10},
		Broker: Broker{
			Image: DefaultBrokerImage, CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
			KillTimeout: 150 * time.Second, ShutdownDelay: 45 * time.Second, Rollout: rollout,
		},
		Proxy: Proxy{
			Image: DefaultProxyImage, CPU: 1000, MaxConn: 50000,
			KillTimeout: 60 * time.Second, ShutdownDelay: 40 * time.Second, Rollout: rollout,
		},
		Ports:  Ports{MQTT: 1883, MQTTS: 8883, WS: 8083, WSS: 8084, Admin: 8080},
		Edge:   Edge{Kind: "network", HealthInterval: 10 * time.Second, HealthTimeout: 3 * time.Second, HealthRetries: 3},
		DNS:    DNS{TTL: 60},
		TLS:    TLS{Terminate: "broker"},
		Nomad:  Nomad{Datacenter: "dc1", Region: "global", Namespace: "default", Version: "1.11.2"},
		Consul: Consul{Datacenter: "dc1", Version: "1.22.0"},
		Gates: Gates{
			NodesReady: 20 * time.Minute, ClusterFormed: 30 * time.Minute, ProxiesReady: 10 * time.Minute,
			EdgeHealthy: 10 * time.Minute, RoundTrip: 5 * time.Minute, Settle: time.Minute,
		},
	}
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
