package nomad

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
	// Ports that EMQX listens on, the same on every node, and the proxy's beside them;
	// default [cluster.DefaultPorts].
	Ports cluster.Ports
	// Limits are what EMQX takes from one client; each defaults to that of
	// [cluster.DefaultLimits].
	Limits cluster.Limits
	// Times default to [cluster.BrokerTimes] of the drain.
	cluster.Times

	// Optional.

	// TLS: EMQX ends TLS.
	TLS bool
	// TLSOutside: its certificate is in the Nomad variable of the job's group ([CertificateVariable]), which is none of the
	// stack's; else the secrets hold it.
	TLSOutside bool
	// Listeners are the names of those that EMQX has, of mqtt, mqtts, ws and wss; default
	// the plain ones, and with TLS all.
	Listeners []string
	// TLSProfile is Mozilla's configuration of that TLS, "intermediate" or "modern";
	// default "intermediate".
	TLSProfile string
	// CertificateNamesFrom is the range of the proxies' addresses, from which EMQX takes
	// the names of clients' certificates as user names; it accepts no connection from
	// elsewhere then. Empty: nobody hands one over.
	CertificateNamesFrom string
	// DeviceCertificates: devices that the proxies have verified get in by the name of their
	// certificate alone. It needs Auth, and does nothing without
	// CertificateNamesFrom.
	DeviceCertificates bool
	// CertificateNames: so does everybody else whose certificate they have verified, unless the
	// database knows a user of that name. It needs Auth, and does nothing without
	// CertificateNamesFrom.
	CertificateNames bool
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
	// PerClient bounds what one client may do.
	PerClient PerClient
	// Auth: the secrets hold who may connect, and what they may do ([AuthFiles]). Else it is left
	// to EMQX and its dashboard, where everybody may.
	Auth bool
	// ClientIDs binds the clients' identifiers to their users; none where a client may call
	// itself as it likes.
	ClientIDs ClientIDs
	// ConsulIdentity: services and templates log in to Consul by the job's workload identity.
	ConsulIdentity bool
	// Authorities are the files' names of [Authorities], which the secrets hold.
	Authorities []string
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
	v.Limits = v.Limits.Or(cluster.DefaultLimits)
	var f fault.List
	CheckCommon(&f, v.Environment, v.Datacenter, v.NodeCount, v.KeepAliveMax)
	f.Range("cpu", v.CPU, cluster.MinBrokerCPU, cluster.MaxCPU)
	if err := cluster.CheckBrokerImage(v.Image, v.NodeCount, v.License); err != nil {
		f.Add("image", "%v", err)
	}
	f.Range("drainRate", v.DrainRate, 0, 100_000)
	AddFaults(&f, "", v.BrokerFaults(drain))
	if v.MemoryMB < cluster.MinBrokerMB {
		f.Add("memoryMb", "must be at least %d, of which an idle EMQX takes %d, got %d", cluster.MinBrokerMB, cluster.BrokerOwnMB, v.MemoryMB)
	}
	if v.NoFile < cluster.BrokerOwnFiles {
		f.Add("noFile", "must be at least %d, what EMQX opens besides connections, got %d", cluster.BrokerOwnFiles, v.NoFile)
	}
	if v.MaxConnections < 0 {
		f.Add("maxConnections", "must be 0 (what memoryMb and noFile hold) or more, got %d", v.MaxConnections)
	}
	AddFaults(&f, "", size.Faults())
	if v.TLSProfile != "" && !slices.Contains(cluster.Profiles, v.TLSProfile) {
		f.Add("tlsProfile", "must be %s, got %q", strings.Join(cluster.Profiles, " or "), v.TLSProfile)
	}
	v.checkCertificates(&f)
	AddFaults(&f, "ports.", v.Ports.Faults())
	AddFaults(&f, "limits.", v.Limits.Faults())
	v.checkListeners(&f)
	v.checkEnv(&f)
	authorities := map[string]string{}
	for _, file := range v.Authorities {
		authorities[file] = AuthorityItem(file)
	}
	vars := TimeVars(v.Times)
	maps.Copy(vars, map[string]string{
		"environment":     v.Environment,
		"region":          v.Region,
		"namespace":       v.Namespace,
		"datacenter":      v.Datacenter,
		"node_count":      strconv.Itoa(v.NodeCount),
		"image":           v.Image,
		"cpu":             strconv.Itoa(v.CPU),
		"memory":          strconv.Itoa(v.MemoryMB),
		"tls":             strconv.FormatBool(v.TLS),
		"tls_outside":     strconv.FormatBool(v.TLS && v.TLSOutside),
		"tls_modern":      strconv.FormatBool(v.TLSProfile == cluster.ProfileModern),
		"cert_names_from": v.CertificateNamesFrom,
		"license":         strconv.FormatBool(v.License),
		"auth":            strconv.FormatBool(v.Auth),
		"keepalive_max":   strconv.Itoa(v.KeepAliveMax),
		"nofile":          strconv.Itoa(v.NoFile),
		"max_connections": strconv.Itoa(v.MaxConnections + cluster.BrokerSpare),
		"ports":           v.ports(),
		"extra_env":       hclMap(v.Env),
		"secret_env":      v.SecretEnv,
		"per_client":      hclMap(v.PerClient.vars(v.TLS)),
		"authorities":     hclMap(authorities),

		"clientid_override": string(v.ClientIDs), "banned": v.ClientIDs.Banned(),
		"consul_identity": strconv.FormatBool(v.ConsulIdentity),

		"drain_rate":    strconv.Itoa(v.DrainRate),
		"drain_timeout": strconv.Itoa(int(v.DrainTimeout.Seconds())),
		"run":           EMQXRun,
		"move":          EMQXMove,
		"holds":         EMQXHolds,
		"takeover":      EMQXTakeover,
		"listeners":     EMQXListeners,
	})
	vars["devices"], vars["certificate_names"] = v.devices(), strconv.FormatBool(v.CertificateNames)
	maps.Copy(vars, limitVars(v.Limits))
	return vars, f.Err()
}

func limitVars(l cluster.Limits) map[string]string {
	return map[string]string{
		"packet_kb":        strconv.Itoa(l.PacketKB),
		"topic_levels":     strconv.Itoa(l.TopicLevels),
		"client_id_length": strconv.Itoa(l.ClientIDLength),
		"connect_timeout":  Seconds(l.ConnectTimeout),
	}
}

// devices is the module that lets clients in by their certificates, where these are enough.
func (v EMQXVars) devices() string {
	if v.DeviceCertificates || v.CertificateNames {
		return EMQXDevices
	}
	return ""
}

func (v EMQXVars) checkCertificates(f *fault.List) {
	if _, err := netip.ParsePrefix(v.CertificateNamesFrom); v.CertificateNamesFrom != "" && err != nil {
		f.Add("certificateNamesFrom", "must be a range such as 10.0.2.0/24, got %q", v.CertificateNamesFrom)
	}
	if v.DeviceCertificates && !v.Auth {
		f.Add("deviceCertificates", "must be false without auth: everybody gets in")
	}
	if v.CertificateNames && !v.Auth {
		f.Add("certificateNames", "must be false without auth: everybody gets in")
	}
}

func (v EMQXVars) checkEnv(f *fault.List) {
	for _, name := range slices.Sorted(maps.Keys(v.Env)) {
		if what := cluster.VariableFault(name); what != "" {
			f.Add("env."+name, "%s", what)
		} else if cluster.HoldsSecret(name, v.Env[name]) {
			f.Add("env."+name, "must not be in the job's text, which anybody may read: put it into the secrets' item %s, and its digest into secretEnv", ItemEnvironment)
		}
	}
}

// checkListeners finds names of none that EMQX can have.
func (v EMQXVars) checkListeners(f *fault.List) {
	known := cluster.ListenerNames(cluster.Listeners(v.Ports, v.TLS))
	for i, name := range v.Listeners {
		if !slices.Contains(known, name) {
			f.Add(fmt.Sprintf("listeners[%d]", i), "must be one of %s, got %q", strings.Join(known, ", "), name)
		}
	}
}

// ports are the static ports by their labels, as HCL2: a listener without one is off.
func (v EMQXVars) ports() string {
	var pairs []string
	for _, l := range cluster.NamedListeners(v.Ports, v.TLS, v.Listeners) {
		pairs = append(pairs, fmt.Sprintf("%s = %d", l.Name, l.BrokerPort))
	}
	return "{" + strings.Join(pairs, ", ") + "}"
}

// TimeVars are a job's times as the variables that every job file has for them:
// shutdown_delay, kill_timeout, min_healthy_time, healthy_deadline, progress_deadline.
func TimeVars(t cluster.Times) map[string]string {
	return map[string]string{
		"shutdown_delay":    Seconds(t.ShutdownDelay),
		"kill_timeout":      Seconds(t.KillTimeout),
		"min_healthy_time":  Seconds(t.MinHealthyTime),
		"healthy_deadline":  Seconds(t.HealthyDeadline),
		"progress_deadline": Seconds(t.ProgressDeadline),
	}
}

// AddFaults adds each found fault at the path below + its Of ("ports." + "mqtt"), unless
// one stands there already: a value that is wrong by itself is told once.
func AddFaults(f *fault.List, below string, found []cluster.Fault) {
	for _, x := range found {
		if !f.Has(below + x.Of) {
			f.Add(below+x.Of, "%s", x.Text)
		}
	}
}

// CheckCommon adds the faults of what every job is told: environment, datacenter,
// nodeCount (1 to [cluster.MaxNodes]) and keepAliveMax (seconds, [cluster.MinKeepAlive]
// to MQTT's own bound).
func CheckCommon(f *fault.List, environment, datacenter string, nodes, keepAlive int) {
	if what := cluster.EnvironmentFault(environment); what != "" {
		f.Add("environment", "%s", what)
	}
	if what := cluster.DatacenterFault(datacenter); what != "" {
		f.Add("datacenter", "%s", what)
	}
	f.Range("nodeCount", nodes, 1, cluster.MaxNodes)
	// The path's bound is the balancer's, and not known here.
	f.Range("keepAliveMax", keepAlive, cluster.MinKeepAlive, 65535)
}
