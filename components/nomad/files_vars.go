package nomad

import (
	"cmp"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Times are how patiently Nomad rolls a job.
type Times struct {
	// ShutdownDelay: for EMQX, between leaving Consul and the stop signal, default
	// 15 s, above the 9 s after which no HAProxy sends it new clients; for HAProxy,
	// how long it still accepts clients while its health page fails already,
	// default 40 s (the balancer's health check takes about 30 s to notice).
	ShutdownDelay time.Duration
	// KillTimeout is between the stop signal and the kill: default 150 s and
	// the time to drain for EMQX, and 60 s for HAProxy, counting HAProxy's ShutdownDelay. The clients'
	// max_kill_timeout caps it.
	KillTimeout time.Duration
	// MinHealthyTime is how long an allocation passes its checks before the
	// next is replaced; default 10 s.
	MinHealthyTime time.Duration
	// HealthyDeadline is how long one allocation may take, with the pull of its
	// image; default 10 min.
	HealthyDeadline time.Duration
	// ProgressDeadline is above HealthyDeadline; default 15 min.
	ProgressDeadline time.Duration
}

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
	// MaxConnections are the clients of one broker; default what MemoryMB holds
	// ([cluster.BrokerConnections]). Each listener takes as many: how they share them is
	// not known.
	MaxConnections int
	// Ports that EMQX listens on, the same on every node, and HAProxy's beside them;
	// default [cluster.DefaultPorts].
	Ports cluster.Ports
	Times

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
	// Env are more EMQX_ variables, values as HOCON; they win over the job's.
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
	// NoFile is the limit of open files, at least [cluster.ProxyFiles].
	NoFile int
	// KeepAliveMax is the largest MQTT keep-alive of the stack, in seconds.
	KeepAliveMax int

	// Defaulted.

	// Region of Nomad; default "global".
	Region string
	// Namespace of Nomad; default "default".
	Namespace string
	// MemoryMB is the limit of one HAProxy; default [cluster.ProxyMemoryMB].
	MemoryMB int
	// Ports that HAProxy listens on; default [cluster.DefaultPorts].
	Ports cluster.Ports
	Times

	// Optional.

	// TLS: the secrets hold a certificate.
	TLS bool
	// MaxConnPerSource is the number of client connections of one address to one
	// HAProxy; 0 is no limit.
	MaxConnPerSource int
}

// minKillTimeout: EMQX gives itself 120 s to stop (bin/emqx, EMQX_WAIT_FOR_STOP).
const minKillTimeout = 130 * time.Second

// forgotten is how long after a broker left Consul a HAProxy may still send it new
// clients: haproxy.cfg's hold obsolete (3 s) and hold valid (1 s), counted from an
// answer that may be one hold valid old, and three answers that may be lost, 1 s each
// (resolve_retries, timeout retry); 1 s for Consul to tell its agents.
const forgotten = 9 * time.Second

// ownedEnv are variables that the job sets for a reason that no value of the
// user's can have: identity, and secrets, which would stand in the job's text.
var ownedEnv = []string{
	"ERL_FLAGS", "EMQX_NODE_NAME", "EMQX_NODE__NAME", "EMQX_NODE_COOKIE", "EMQX_NODE__COOKIE",
	"EMQX_DASHBOARD__DEFAULT_PASSWORD", "EMQX_LICENSE__KEY",
}

var (
	environmentPattern = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	envNamePattern     = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	versionPattern     = regexp.MustCompile(`^v?(\d+)\.(\d+)`)
)

// HCL2 validates v and returns the values for hcl2.vars.
func (v EMQXVars) HCL2() (map[string]string, error) {
	v.Region = cmp.Or(v.Region, "global")
	v.Namespace = cmp.Or(v.Namespace, "default")
	drain := v.DrainTimeout
	if v.DrainRate == 0 {
		drain = 0
	}
	v.Times = v.withDefaults(15*time.Second, 150*time.Second+drain)
	v.MaxConnections = cmp.Or(v.MaxConnections, cluster.BrokerConnections(v.MemoryMB, v.TLS))
	v.Ports = cmp.Or(v.Ports, cluster.DefaultPorts)
	var f fault.List
	common(&f, v.Environment, v.Datacenter, v.Image, v.NodeCount, v.CPU, v.KeepAliveMax)
	v.validate(&f)
	if v.MemoryMB <= cluster.BrokerOwnMB {
		f.Add("memoryMb", "must be above %d, what an idle EMQX takes, got %d", cluster.BrokerOwnMB, v.MemoryMB)
	} else if need := cluster.BrokerMemoryMB(v.MaxConnections, v.TLS); v.MemoryMB < need {
		f.Add("memoryMb", "must be at least %d for %d connections, got %d", need, v.MaxConnections, v.MemoryMB)
	}
	f.Range("drainRate", v.DrainRate, 0, 100_000)
	if v.DrainRate > 0 && v.DrainTimeout < time.Second {
		f.Add("drainTimeout", "must be at least 1s with a drainRate, got %s", v.DrainTimeout)
	}
	if least := minKillTimeout + drain; v.KillTimeout < least {
		f.Add("killTimeout", "must be at least %s: EMQX takes up to 120 s to stop, and %s to drain, got %s", least, drain, v.KillTimeout)
	}
	if v.MaxConnections < 0 {
		f.Add("maxConnections", "must be 0 (what memoryMb holds) or more, got %d", v.MaxConnections)
	}
	for name, what := range v.Ports.Faults() {
		f.Add("ports."+name, "%s", what)
	}
	if v.NoFile < 1024 || v.NoFile <= v.MaxConnections {
		f.Add("noFile", "must be at least 1024 and above maxConnections, got %d", v.NoFile)
	}
	if v.NodeCount > 1 && !v.License && needsLicense(v.Image) {
		f.Add("image", "%q is EMQX 5.9 or newer: a cluster of it needs a licence key in the secrets (5.8.9 is the last version that needs none)", v.Image)
	}
	for _, name := range slices.Sorted(maps.Keys(v.Env)) {
		if slices.Contains(ownedEnv, name) {
			f.Add("env."+name, "is set by the job itself (identity) or comes from the secrets")
		} else if !envNamePattern.MatchString(name) {
			f.Add("env."+name, "must be the name of an environment variable")
		}
	}
	return merge(v.vars(), map[string]string{
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
	v.Region = cmp.Or(v.Region, "global")
	v.Namespace = cmp.Or(v.Namespace, "default")
	v.MemoryMB = cmp.Or(v.MemoryMB, cluster.ProxyMemoryMB(v.MaxConn))
	v.Ports = cmp.Or(v.Ports, cluster.DefaultPorts)
	v.Times = v.withDefaults(40*time.Second, 60*time.Second)
	var f fault.List
	common(&f, v.Environment, v.Datacenter, v.Image, v.NodeCount, v.CPU, v.KeepAliveMax)
	v.validate(&f)
	for name, what := range v.Ports.Faults() {
		f.Add("ports."+name, "%s", what)
	}
	f.Range("maxConn", v.MaxConn, 1, 10_000_000)
	f.Range("maxConnPerSource", v.MaxConnPerSource, 0, v.MaxConn)
	if need := cluster.ProxyMemoryMB(v.MaxConn); v.MemoryMB < need {
		f.Add("memoryMb", "must be at least %d for %d connections of %d kB, got %d", need, v.MaxConn, cluster.ProxyConnectionKB, v.MemoryMB)
	}
	if need := cluster.ProxyFiles(v.MaxConn); v.NoFile < need {
		f.Add("noFile", "must be at least %d for %d connections, got %d", need, v.MaxConn, v.NoFile)
	}
	if v.KillTimeout < v.ShutdownDelay+10*time.Second {
		f.Add("killTimeout", "must be at least 10 s above shutdownDelay (%s), got %s", v.ShutdownDelay, v.KillTimeout)
	}
	return merge(v.vars(), map[string]string{
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

func (t Times) withDefaults(shutdown, kill time.Duration) Times {
	return Times{
		ShutdownDelay:    cmp.Or(t.ShutdownDelay, shutdown),
		KillTimeout:      cmp.Or(t.KillTimeout, kill),
		MinHealthyTime:   cmp.Or(t.MinHealthyTime, 10*time.Second),
		HealthyDeadline:  cmp.Or(t.HealthyDeadline, 10*time.Minute),
		ProgressDeadline: cmp.Or(t.ProgressDeadline, 15*time.Minute),
	}
}

func (t Times) vars() map[string]string {
	return map[string]string{
		"shutdown_delay":    seconds(t.ShutdownDelay),
		"kill_timeout":      seconds(t.KillTimeout),
		"min_healthy_time":  seconds(t.MinHealthyTime),
		"healthy_deadline":  seconds(t.HealthyDeadline),
		"progress_deadline": seconds(t.ProgressDeadline),
	}
}

// validate finds what Nomad's server would refuse only during the update.
func (t Times) validate(f *fault.List) {
	for path, d := range map[string]time.Duration{
		"shutdownDelay": t.ShutdownDelay, "killTimeout": t.KillTimeout, "minHealthyTime": t.MinHealthyTime,
	} {
		if d < time.Second {
			f.Add(path, "must be at least 1s, got %s", d)
		}
	}
	if t.HealthyDeadline <= t.MinHealthyTime {
		f.Add("healthyDeadline", "must be above minHealthyTime (%s), got %s", t.MinHealthyTime, t.HealthyDeadline)
	}
	if t.ProgressDeadline <= t.HealthyDeadline {
		f.Add("progressDeadline", "must be above healthyDeadline (%s), got %s", t.HealthyDeadline, t.ProgressDeadline)
	} else if t.ProgressDeadline < t.KillTimeout {
		f.Add("progressDeadline", "must be at least killTimeout (%s), got %s", t.KillTimeout, t.ProgressDeadline)
	}
}

// common holds for both jobs.
func common(f *fault.List, environment, datacenter, image string, nodes, cpu, keepAlive int) {
	if !environmentPattern.MatchString(environment) {
		f.Add("environment", "must be lower-case letters and digits, with single dashes between them, got %q", environment)
	}
	f.Require("datacenter", datacenter)
	if tag := imageTag(image); tag == "" || tag == "latest" {
		f.Add("image", "must have a tag other than latest, got %q", image)
	}
	f.Range("nodeCount", nodes, 1, MaxNodes)
	f.Range("cpu", cpu, 1, 1_000_000)
	// MQTT's own bound; the path's is the balancer's, and not known here.
	f.Range("keepAliveMax", keepAlive, 1, 65535)
}

// imageTag is the tag or digest of an image's name, or "".
func imageTag(image string) string {
	name := image[strings.LastIndex(image, "/")+1:]
	if at := strings.IndexByte(name, '@'); at >= 0 {
		if colon := strings.IndexByte(name[:at], ':'); colon >= 0 {
			return name[colon+1 : at]
		}
		return name[at+1:]
	}
	if colon := strings.IndexByte(name, ':'); colon >= 0 {
		return name[colon+1:]
	}
	return ""
}

// needsLicense tells whether a cluster of this image needs a licence key: 5.9.0
// changed the licence. Of a tag that names no version it cannot tell.
func needsLicense(image string) bool {
	m := versionPattern.FindStringSubmatch(strings.TrimPrefix(imageTag(image), "e"))
	if m == nil {
		return false
	}
	major, _ := strconv.Atoi(m[1])
	minor, _ := strconv.Atoi(m[2])
	return major > 5 || major == 5 && minor >= 9
}

func merge(a, b map[string]string) map[string]string {
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}
