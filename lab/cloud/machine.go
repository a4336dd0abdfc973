package cloud

import (
	"context"
	"net/netip"
	"time"
)

// Machine is what the cloud needs of the Linux box. Every call is idempotent:
// the cloud repeats what it last asked for when it opens, because it cannot know
// how far a killed process got.
type Machine interface {
	// LaunchInstance makes the instance (network namespace, primary address, root)
	// and starts its PID 1, which fetches and runs the user data. It returns when
	// PID 1 runs. An instance that is already alive is left as it is.
	LaunchInstance(ctx context.Context, s InstanceSpec) error
	// TerminateInstance ends everything inside the instance and removes its files.
	// An unknown instance is success.
	TerminateInstance(ctx context.Context, id string) error
	// PowerOff ends everything inside the instance at once and keeps its files:
	// LaunchInstance switches it on again. An unknown instance is success.
	PowerOff(ctx context.Context, id string) error
	// InstanceAlive reports whether the instance's PID 1 runs.
	InstanceAlive(id string) bool

	// CreateVolume makes a sparse file without a file system, or with what a backup
	// holds; an existing one is kept.
	CreateVolume(ctx context.Context, id string, sizeGB int, backup string) error
	// ResizeVolume grows a volume.
	ResizeVolume(ctx context.Context, id string, sizeGB int) error
	// DeleteVolume removes the file. An unknown volume is success.
	DeleteVolume(ctx context.Context, id string) error
	// AttachVolume makes the volume visible inside the instance as device, for
	// example /dev/oracleoci/oraclevdb. Already attached there is success.
	AttachVolume(ctx context.Context, instanceID, volumeID, device string) error
	// DetachVolume takes the device away. Not attached is success.
	DetachVolume(ctx context.Context, instanceID, volumeID string) error

	// PullVolume takes the device away while it is in use: what has it mounted gets
	// errors from then on. Not attached is success.
	PullVolume(ctx context.Context, instanceID, volumeID string) error

	// BackupVolume keeps what the volume holds at one moment, attached and in use or
	// not, under the backup's name.
	BackupVolume(ctx context.Context, volumeID, backupID string) error
	// DeleteBackup removes it. An unknown one is success.
	DeleteBackup(ctx context.Context, id string) error

	// SetFirewall replaces the instance's whole rule set atomically.
	SetFirewall(ctx context.Context, instanceID string, f Firewall) error
	// SetBalancers replaces all balancers on the gateway.
	SetBalancers(ctx context.Context, b []Balancer) error
	// SetZone replaces all records of the lab's DNS zone.
	SetZone(ctx context.Context, records []Record) error
	// CheckHTTP performs one health check (GET url) with from, a balancer's private
	// address, as its source. It does not follow redirects.
	CheckHTTP(ctx context.Context, from netip.Addr, url string) (status int, err error)
}

// InstanceSpec is what an instance is launched with.
type InstanceSpec struct {
	ID      string     // OCID
	Name    string     // display name, also the host name
	Address netip.Addr // primary address in the private subnet
}

// Firewall is everything that may pass an instance's VNIC.
type Firewall struct {
	// Addresses are those assigned to the VNIC, the primary one first; packets to
	// and from any other address are dropped, as OCI's source/destination check does.
	Addresses []netip.Addr
	// Ingress and Egress rules, stateful unless they say otherwise.
	Ingress, Egress []Rule
}

// Rule admits traffic of one protocol with the peers in CIDRs.
type Rule struct {
	Protocol         string         // "tcp", "udp", "icmp" or "all"
	CIDRs            []netip.Prefix // the peers: sources of ingress, destinations of egress
	PortMin, PortMax int            // destination ports; 0, 0 means all
	Stateless        bool
}

// Balancer is one load balancer on the gateway.
type Balancer struct {
	ID              string
	Public, Private netip.Addr
	Ingress         []Rule // its security groups' rules
	Listeners       []Listener
}

// Listener is one open port of a balancer.
type Listener struct {
	Name           string
	Port           int
	IdleTimeout    time.Duration    // an idle TCP flow is forgotten after this
	PreserveSource bool             // backends see the client's address
	Backends       []netip.AddrPort // the healthy ones only
	Reset          []netip.AddrPort // whose flows are to be reset: they fail, and another does not

	// Proxied is set where the balancer takes connections itself, rather than passing packets on.
	Proxied *Proxied
}

// Proxied is how a balancer serves a listener whose connections it takes itself.
type Proxied struct {
	Policy        string // LEAST_CONNECTIONS, ROUND_ROBIN or IP_HASH
	ProxyProtocol int    // version of the header before what a client says; 0 is none
	TLS           *ListenerTLS
	Ends          []End // all of its backends
}

// End is a backend, and whether it gets new connections.
type End struct {
	Address netip.AddrPort
	Up      bool
}

// ListenerTLS is what the TLS of a listener ends with.
type ListenerTLS struct {
	Certificate        string // with its chain and its key, in PEM
	Protocols, Ciphers []string
	ServerOrder        bool
	Tickets            bool
}

// Record is one DNS record of the lab's zone.
type Record struct {
	Name, Type, Data string
	TTL              int // seconds
}
