package nomad

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// EMQXVars are the variables of [EMQXJob]: all known when a stack is planned,
// none a secret.
type EMQXVars struct {
	// Required.

	Environment string
	Datacenter  string
	NodeCount   int
	// Image with its tag: "emqx/emqx:5.8.9".
	Image string
	// CPU in MHz.
	CPU int
	// MemoryMB is the limit of one node.
	MemoryMB int
	// KeepAliveMax is the largest MQTT keep-alive of the stack, in seconds.
	KeepAliveMax int
	// NoFile is the limit of open files; a connection takes one.
	NoFile int

	// Defaulted.

	// Region of Nomad; default "global".
	Region string
	// Namespace of Nomad; default "default".
	Namespace string
	// MaxConnections are the clients of one broker; default what MemoryMB and NoFile hold
	// ([cluster.BrokerSize]). Each listener takes as many: how they share them is not known.
	MaxConnections int
	// Ports that EMQX listens on, the same on every node, and HAProxy's beside them;
	// default [cluster.DefaultPorts].
	Ports cluster.Ports
	// Times default to [cluster.BrokerTimes] of the drain.
	cluster.Times

	// Optional.

	// TLS: the secrets hold a certificate.
	TLS bool
	// License: the secrets hold a licence key.
	License bool
	// DrainRate is how many clients a second a stopping node moves to others; 0
	// moves none.
	DrainRate int
	// DrainTimeout is how long that may take, in whole seconds; above 0 with a
	// DrainRate.
	DrainTimeout time.Duration
	// Env are more EMQX_ variables, values as HOCON; they win over the job's. What the
	// stack stands on ([cluster.VariableFault]) and secrets are refused.
	Env map[string]string
	// SecretEnv is the [EnvironmentDigest] of more of them, which are in the secrets
	// ([ItemEnvironment]) and win over Env.
	SecretEnv string
}

// HAProxyVars are the variables of [HAProxyJob]: all known when a stack is
// planned, none a secret.
type HAProxyVars struct {
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
	// MaxConnPerSource is the number of client connections of one address to one
	// HAProxy; 0 is no limit.
	MaxConnPerSource int
}

// HCL2 validates v and returns the values for hcl2.vars.
func (v EMQXVars) HCL2() (map[string]string, error) {
	v.Region = cmp.Or(v.Region, cluster.DefaultRegion)
	v.Namespace = cmp.Or(v.Namespace, cluster.DefaultNamespace)
	drain := cluster.Drain{Rate: v.DrainRate, Timeout: v.DrainTimeout}
	v.Times = v.Or(cluster.BrokerTimes(drain))
	size := cluster.BrokerSize{MemoryMB: v.MemoryMB, NoFile: v.NoFile, MaxConnections: v.MaxConnections, TLS: v.TLS}.Derived()
	v.MaxConnections = size.MaxConnections
	v.Ports = cmp.Or(v.Ports, cluster.DefaultPorts)
	var f fault.List
	common(&f, v.Environment, v.Datacenter, v.NodeCount, v.KeepAliveMax)
	f.Range("cpu", v.CPU, cluster.MinBrokerCPU, cluster.MaxCPU)
	if err := cluster.CheckBrokerImage(v.Image, v.NodeCount, v.License); err != nil {
		f.Add("image", "%v", err)
	}
	f.Range("drainRate", v.DrainRate, 0, 100_000)
	addFaults(&f, "", v.BrokerFaults(drain))
	if v.MemoryMB < cluster.MinBrokerMB {
		f.Add("memoryMb", "must be at least %d, of which an idle EMQX takes %d, got %d", cluster.MinBrokerMB, cluster.BrokerOwnMB, v.MemoryMB)
	}
	if v.NoFile < cluster.BrokerOwnFiles {
		f.Add("noFile", "must be at least %d, what EMQX opens besides connections, got %d", cluster.BrokerOwnFiles, v.NoFile)
	}
	if v.MaxConnections < 0 {
		f.Add("maxConnections", "must be 0 (what memoryMb and noFile hold) or more, got %d", v.MaxConnections)
	}
	addFaults(&f, "", size.Faults())
	addFaults(&f, "ports.", v.Ports.Faults())
	for _, name := range slices.Sorted(maps.Keys(v.Env)) {
		if what := cluster.VariableFault(name); what != "" {
			f.Add("env."+name, "%s", what)
		} else if cluster.HoldsSecret(name, v.Env[name]) {
			f.Add("env."+name, "must not be in the job's text, which anybody may read: put it into the secrets' item %s, and its digest into secretEnv", ItemEnvironment)
		}
	}
	return merge(timeVars(v.Times), map[string]string{
		"environment":     v.Environment,
		"region":          v.Region,
		"namespace":       v.Namespace,
		"datacenter":      v.Datacenter,
		"node_count":      strconv.Itoa(v.NodeCount),
		"image":           v.Image,
		"cpu":             strconv.Itoa(v.CPU),
		"memory":          strconv.Itoa(v.MemoryMB),
		"tls":             strconv.FormatBool(v.TLS),
		"license":         strconv.FormatBool(v.License),
		"keepalive_max":   strconv.Itoa(v.KeepAliveMax),
		"nofile":          strconv.Itoa(v.NoFile),
		"max_connections": strconv.Itoa(v.MaxConnections + cluster.BrokerSpare),
		"ports":           v.ports(),
		"extra_env":       hclMap(v.Env),
		"secret_env":      v.SecretEnv,
		"drain_rate":      strconv.Itoa(v.DrainRate),
		"drain_timeout":   strconv.Itoa(int(v.DrainTimeout.Seconds())),
		"run":             EMQXRun,
		"move":            EMQXMove,
		"holds":           EMQXHolds,
		"takeover":        EMQXTakeover,
		"listeners":       EMQXListeners,
	}), f.Err()
}

// HCL2 validates v and returns the values for hcl2.vars.
func (v HAProxyVars) HCL2() (map[string]string, error) {
	v.Region = cmp.Or(v.Region, cluster.DefaultRegion)
	v.Namespace = cmp.Or(v.Namespace, cluster.DefaultNamespace)
	size := cluster.ProxySize{MaxConn: v.MaxConn, MaxConnPerSource: v.MaxConnPerSource, MemoryMB: v.MemoryMB, NoFile: v.NoFile}.Derived()
	v.MemoryMB, v.NoFile = size.MemoryMB, size.NoFile
	v.Ports = cmp.Or(v.Ports, cluster.DefaultPorts)
	v.Times = v.Or(cluster.ProxyTimes())
	var f fault.List
	common(&f, v.Environment, v.Datacenter, v.NodeCount, v.KeepAliveMax)
	f.Range("cpu", v.CPU, cluster.MinProxyCPU, cluster.MaxCPU)
	if !cluster.Pinned(v.Image) {
		f.Add("image", "must be an image with its version, such as %s, got %q", cluster.DefaultProxyImage, v.Image)
	}
	addFaults(&f, "", v.ProxyFaults())
	addFaults(&f, "ports.", v.Ports.Faults())
	f.Range("maxConn", v.MaxConn, cluster.MinMaxConn, cluster.MaxMaxConn)
	if v.MaxConnPerSource < 0 {
		f.Add("maxConnPerSource", "must be 0 (no limit) or more, got %d", v.MaxConnPerSource)
	}
	addFaults(&f, "", size.Faults())
	return merge(timeVars(v.Times), map[string]string{
		"environment":   v.Environment,
		"region":        v.Region,
		"namespace":     v.Namespace,
		"datacenter":    v.Datacenter,
		"node_count":    strconv.Itoa(v.NodeCount),
		"image":         v.Image,
		"cpu":           strconv.Itoa(v.CPU),
		"memory":        strconv.Itoa(v.MemoryMB),
		"tls":           strconv.FormatBool(v.TLS),
		"maxconn":       strconv.Itoa(v.MaxConn),
		"headroom":      strconv.Itoa(cluster.ProxyHeadroom),
		"per_source":    strconv.Itoa(v.MaxConnPerSource),
		"nofile":        strconv.Itoa(v.NoFile),
		"keepalive_max": strconv.Itoa(v.KeepAliveMax),
		"ports":         v.ports(),
		"config":        HAProxyConfig,
		"run":           HAProxyRun,
	}), f.Err()
}

// ports are the static ports by their labels, as HCL2. Without a certificate
// those of the TLS protocols are not among them.
func (v EMQXVars) ports() string {
	var pairs []string
	for _, l := range cluster.Listeners(v.Ports, v.TLS) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.BrokerPort))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// ports are those of HAProxy, in the same way.
func (v HAProxyVars) ports() string {
	pairs := make([]string, 0, 5)
	for _, l := range cluster.Listeners(v.Ports, v.TLS) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.Port))
	}
	return "{" + strings.Join(append(pairs, fmt.Sprintf("admin = %d", v.Ports.Admin)), ", ") + "}"
}

// timeVars are a job's times as its variables.
func timeVars(t cluster.Times) map[string]string {
	return map[string]string{
		"shutdown_delay":    seconds(t.ShutdownDelay),
		"kill_timeout":      seconds(t.KillTimeout),
		"min_healthy_time":  seconds(t.MinHealthyTime),
		"healthy_deadline":  seconds(t.HealthyDeadline),
		"progress_deadline": seconds(t.ProgressDeadline),
	}
}

// addFaults adds those of the values that are not wrong by themselves.
func addFaults(f *fault.List, below string, found []cluster.Fault) {
	for _, x := range found {
		if !f.Has(below + x.Of) {
			f.Add(below+x.Of, "%s", x.Text)
		}
	}
}

// common holds for both jobs.
func common(f *fault.List, environment, datacenter string, nodes, keepAlive int) {
	if what := cluster.EnvironmentFault(environment); what != "" {
		f.Add("environment", "%s", what)
	}
	if what := cluster.DatacenterFault(datacenter); what != "" {
		f.Add("datacenter", "%s", what)
	}
	f.Range("nodeCount", nodes, 1, cluster.MaxNodes)
	// MQTT's own bound; the path's is the balancer's, and not known here.
	f.Range("keepAliveMax", keepAlive, cluster.MinKeepAlive, 65535)
}

func merge(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
