package haproxy

import (
	"cmp"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Vars are the variables of [Job]: all known when a stack is
// planned, none a secret.
type Vars struct {
	// Required.

	Environment string
	Datacenter  string
	NodeCount   int
	// Image with its tag: "haproxy:3.2.25".
	Image string
	// CPU in MHz.
	CPU int
	// MaxConn is the number of client connections that one HAProxy accepts, over all
	// protocols; it has [cluster.ProxyHeadroom] more for everybody else.
	MaxConn int
	// KeepAliveMax is the largest MQTT keep-alive of the stack, in seconds.
	KeepAliveMax int

	// Defaulted.

	// Region of Nomad; default "global".
	Region string
	// Namespace of Nomad; default "default".
	Namespace string
	// MemoryMB is the limit of one HAProxy; default [cluster.ProxyMemoryMB], which is the least.
	MemoryMB int
	// NoFile is the limit of open files; default [cluster.ProxyFiles], which is the least.
	NoFile int
	// Ports that HAProxy listens on; default [cluster.DefaultPorts].
	Ports cluster.Ports
	// Times default to [cluster.ProxyTimes].
	cluster.Times

	// Optional.

	// TLS: there is a certificate.
	TLS bool
	// TLSOutside: it is in the Nomad variable of the job's group ([cluster.CertificateVariable]), which is none of the
	// stack's; else the secrets hold it.
	TLSOutside bool
	// Listeners are what clients have; default mqtt and ws, and with TLS all four.
	Listeners []Listener
	// TLSAtProxy: HAProxy ends TLS and leads to the plain listeners of EMQX, rather than
	// passing it through.
	TLSAtProxy bool
	// TLSAtEdge: what comes to the listeners of TLS has had it ended, and is led on as in clear.
	TLSAtEdge bool
	// ProxyProtocolFrom is the range from which connections begin with a header of PROXY
	// protocol v2 that says who the client is, but for listeners that are Inside; "" is none.
	ProxyProtocolFrom string
	// TLSProfile is Mozilla's configuration of that TLS, "intermediate" or "modern";
	// default "intermediate".
	TLSProfile string
	// TLSClients: clients show no certificate ("none", the default), may show one
	// ("optional") or have to ("required"). The secrets hold the authorities.
	TLSClients string
	// TLSRevocations: the secrets hold lists of revoked certificates, too.
	TLSRevocations bool
	// TLSDevices: devices have certificates of the stack's own authority, and Consul has a list
	// of those that were revoked.
	TLSDevices bool
	// TLSTickets: the secrets hold keys of session tickets, by which a session resumes at
	// any HAProxy.
	TLSTickets bool
	// ConsulIdentity: the service and the templates log in to Consul by the job's workload
	// identity.
	ConsulIdentity bool
	// MaxConnPerSource is the number of client connections of one address to one
	// HAProxy; 0 is no limit.
	MaxConnPerSource int
	// MaxConnRatePerSource is how many one address may begin in 10 s, whether they are let
	// in or not; 0 is no limit.
	MaxConnRatePerSource int
	// ConnectTimeout is how long a client has for its TLS handshake, and then for its
	// CONNECT, in whole seconds; default [cluster.DefaultConnectTimeout].
	ConnectTimeout time.Duration
}

// Listener is one that clients have.
type Listener struct {
	// Name is mqtt, mqtts, ws or wss.
	Name string
	// MaxConn is the number of its clients at one HAProxy, MaxConnRate how many of them may
	// come in a second; 0 is no limit.
	MaxConn, MaxConnRate int
	// Inside: its clients do not come through the edge.
	Inside bool
}

// HCL2 validates v and returns the values for hcl2.vars.
func (v Vars) HCL2() (map[string]string, error) {
	v.Region = cmp.Or(v.Region, cluster.DefaultRegion)
	v.Namespace = cmp.Or(v.Namespace, cluster.DefaultNamespace)
	size := cluster.ProxySize{MaxConn: v.MaxConn, MaxConnPerSource: v.MaxConnPerSource, MemoryMB: v.MemoryMB, NoFile: v.NoFile, TLS: v.TLS && v.TLSAtProxy}.Derived()
	v.MemoryMB, v.NoFile = size.MemoryMB, size.NoFile
	v.Ports = cmp.Or(v.Ports, cluster.DefaultPorts)
	v.Times = v.Or(cluster.ProxyTimes())
	v.TLSProfile = cmp.Or(v.TLSProfile, cluster.ProfileIntermediate)
	v.TLSClients = cmp.Or(v.TLSClients, settings.ClientsNone)
	v.ConnectTimeout = cmp.Or(v.ConnectTimeout, cluster.DefaultConnectTimeout)
	if len(v.Listeners) == 0 {
		for _, l := range cluster.Listeners(v.Ports, v.TLS) {
			v.Listeners = append(v.Listeners, Listener{Name: l.Name})
		}
	}
	var f fault.List
	nomad.CheckCommon(&f, v.Environment, v.Datacenter, v.NodeCount, v.KeepAliveMax)
	f.Range("cpu", v.CPU, cluster.MinProxyCPU, cluster.MaxCPU)
	if !cluster.Pinned(v.Image) {
		f.Add("image", "must be an image with its version, such as %s, got %q", settings.DefaultProxyImage, v.Image)
	}
	nomad.AddFaults(&f, "", v.ProxyFaults())
	nomad.AddFaults(&f, "ports.", v.Ports.Faults())
	f.Range("maxConn", v.MaxConn, cluster.MinMaxConn, cluster.MaxMaxConn)
	if v.MaxConnPerSource < 0 {
		f.Add("maxConnPerSource", "must be 0 (no limit) or more, got %d", v.MaxConnPerSource)
	}
	nomad.AddFaults(&f, "", size.Faults())
	v.checkTLS(&f)
	v.checkClients(&f)
	vars := nomad.TimeVars(v.Times)
	maps.Copy(vars, map[string]string{
		"environment":   v.Environment,
		"region":        v.Region,
		"namespace":     v.Namespace,
		"datacenter":    v.Datacenter,
		"node_count":    strconv.Itoa(v.NodeCount),
		"image":         v.Image,
		"cpu":           strconv.Itoa(v.CPU),
		"memory":        strconv.Itoa(v.MemoryMB),
		"tls":           strconv.FormatBool(v.TLS),
		"tls_outside":   strconv.FormatBool(v.TLS && v.TLSOutside),
		"tls_at_proxy":  strconv.FormatBool(v.TLS && v.TLSAtProxy),
		"tls_at_edge":   strconv.FormatBool(v.TLS && v.TLSAtEdge),
		"tls_profile":   v.TLSProfile,
		"tls_clients":   v.TLSClients,
		"tls_revoked":   strconv.FormatBool(v.TLSRevocations),
		"tls_devices":   strconv.FormatBool(v.TLSDevices),
		"tls_tickets":   strconv.FormatBool(v.TLSTickets),
		"maxconn":       strconv.Itoa(v.MaxConn),
		"headroom":      strconv.Itoa(cluster.ProxyHeadroom),
		"per_source":    strconv.Itoa(v.MaxConnPerSource),
		"nofile":        strconv.Itoa(v.NoFile),
		"keepalive_max": strconv.Itoa(v.KeepAliveMax),
		"ports":         v.ports(),
		"broker_ports":  brokerPorts(v.Ports),
		"config":        Config,

		"consul_identity": strconv.FormatBool(v.ConsulIdentity),

		"run": Run,
	})
	maps.Copy(vars, v.clientVars())
	return vars, f.Err()
}

// clientVars are what bounds clients.
func (v Vars) clientVars() map[string]string {
	return map[string]string{
		"announced_from":  v.ProxyProtocolFrom,
		"announced":       v.announced(),
		"per_source":      strconv.Itoa(v.MaxConnPerSource),
		"per_source_rate": strconv.Itoa(v.MaxConnRatePerSource),
		"connect_timeout": nomad.Seconds(v.ConnectTimeout),
		"limits":          v.byListener(func(l Listener) int { return l.MaxConn }),
		"rates":           v.byListener(func(l Listener) int { return l.MaxConnRate }),
	}
}

// announced are the listeners to which a header says who the client is, with a space between two.
func (v Vars) announced() string {
	var names []string
	for _, l := range v.Listeners {
		if v.ProxyProtocolFrom != "" && !l.Inside {
			names = append(names, l.Name)
		}
	}
	return strings.Join(names, " ")
}

// checkTLS finds what does not fit together.
func (v Vars) checkTLS(f *fault.List) {
	if v.TLSAtEdge && v.TLSAtProxy {
		f.Add("tlsAtEdge", "must be false where HAProxy ends TLS")
	}
	if !slices.Contains(cluster.Profiles, v.TLSProfile) {
		f.Add("tlsProfile", "must be %s, got %q", strings.Join(cluster.Profiles, " or "), v.TLSProfile)
	}
	if v.TLSTickets && (!v.TLS || !v.TLSAtProxy || v.TLSClients != settings.ClientsNone) {
		f.Add("tlsTickets", "must be false where HAProxy does not end TLS, or verifies clients")
	}
	switch {
	case !slices.Contains(settings.Clients, v.TLSClients):
		f.Add("tlsClients", "must be one of %s, got %q", strings.Join(settings.Clients, ", "), v.TLSClients)
	case v.TLSClients != settings.ClientsNone && (!v.TLS || !v.TLSAtProxy):
		f.Add("tlsClients", "must be none where HAProxy does not end TLS, got %q", v.TLSClients)
	case v.TLSClients == settings.ClientsNone && v.TLSRevocations:
		f.Add("tlsRevocations", "must be false where clients show no certificate")
	case v.TLSClients == settings.ClientsNone && v.TLSDevices:
		f.Add("tlsDevices", "must be false where clients show no certificate")
	}
}

// checkClients finds limits that are none.
func (v Vars) checkClients(f *fault.List) {
	if v.MaxConnRatePerSource < 0 {
		f.Add("maxConnRatePerSource", "must be 0 (no limit) or more, got %d", v.MaxConnRatePerSource)
	}
	if _, err := netip.ParsePrefix(v.ProxyProtocolFrom); v.ProxyProtocolFrom != "" && err != nil {
		f.Add("proxyProtocolFrom", "must be a range such as 10.0.0.0/24, got %q", v.ProxyProtocolFrom)
	}
	if v.ConnectTimeout < time.Second || v.ConnectTimeout%time.Second != 0 {
		f.Add("connectTimeout", "must be whole seconds, 1s or more, got %s", v.ConnectTimeout)
	}
	known := cluster.ListenerNames(cluster.Listeners(v.Ports, v.TLS))
	for i, l := range v.Listeners {
		at := fmt.Sprintf("listeners[%d]", i)
		switch {
		case !slices.Contains(known, l.Name):
			f.Add(at, "must be one of %s, got %q", strings.Join(known, ", "), l.Name)
		case l.MaxConn < 0 || l.MaxConnRate < 0:
			f.Add(at, "must have limits of 0 (none) or more, got %d and %d", l.MaxConn, l.MaxConnRate)
		}
	}
}

// names are those of the listeners.
func (v Vars) names() []string {
	names := make([]string, len(v.Listeners))
	for i, l := range v.Listeners {
		names[i] = l.Name
	}
	return names
}

// byListener is a value of each listener, as HCL2.
func (v Vars) byListener(value func(Listener) int) string {
	pairs := make([]string, len(v.Listeners))
	for i, l := range v.Listeners {
		pairs[i] = fmt.Sprintf("%s = %d", l.Name, value(l))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// brokerPorts are where EMQX listens by their labels, as HCL2.
func brokerPorts(p cluster.Ports) string {
	var pairs []string
	for _, l := range cluster.Listeners(p, true) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.BrokerPort))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// ports are the static ports by their labels, as HCL2: those of the listeners, and admin.
func (v Vars) ports() string {
	pairs := make([]string, 0, 5)
	for _, l := range cluster.NamedListeners(v.Ports, v.TLS, v.names()) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.Port))
	}
	return "{" + strings.Join(append(pairs, fmt.Sprintf("admin = %d", v.Ports.Admin)), ", ") + "}"
}
