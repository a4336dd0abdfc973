package haproxy

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

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

	// TLS: the secrets hold a certificate.
	TLS bool
	// TLSAtProxy: HAProxy ends TLS and leads to the plain listeners of EMQX, rather than
	// passing it through.
	TLSAtProxy bool
	// TLSProfile is Mozilla's configuration of that TLS, "intermediate" or "modern";
	// default "intermediate".
	TLSProfile string
	// TLSClients: clients show no certificate ("none", the default), may show one
	// ("optional") or have to ("required"). The secrets hold the authorities.
	TLSClients string
	// TLSRevocations: the secrets hold lists of revoked certificates, too.
	TLSRevocations bool
	// TLSTickets: the secrets hold keys of session tickets, by which a session resumes at
	// any HAProxy.
	TLSTickets bool
	// MaxConnPerSource is the number of client connections of one address to one
	// HAProxy; 0 is no limit.
	MaxConnPerSource int
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
		"tls_at_proxy":  strconv.FormatBool(v.TLS && v.TLSAtProxy),
		"tls_profile":   v.TLSProfile,
		"tls_clients":   v.TLSClients,
		"tls_revoked":   strconv.FormatBool(v.TLSRevocations),
		"tls_tickets":   strconv.FormatBool(v.TLSTickets),
		"maxconn":       strconv.Itoa(v.MaxConn),
		"headroom":      strconv.Itoa(cluster.ProxyHeadroom),
		"per_source":    strconv.Itoa(v.MaxConnPerSource),
		"nofile":        strconv.Itoa(v.NoFile),
		"keepalive_max": strconv.Itoa(v.KeepAliveMax),
		"ports":         v.ports(),
		"config":        Config,
		"run":           Run,
	})
	return vars, f.Err()
}

// checkTLS finds what does not fit together.
func (v Vars) checkTLS(f *fault.List) {
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
	}
}

// ports are the static ports by their labels, as HCL2. Without a certificate
// those of the TLS protocols are not among them.
func (v Vars) ports() string {
	pairs := make([]string, 0, 5)
	for _, l := range cluster.Listeners(v.Ports, v.TLS) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.Port))
	}
	return "{" + strings.Join(append(pairs, fmt.Sprintf("admin = %d", v.Ports.Admin)), ", ") + "}"
}
