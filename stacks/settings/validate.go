package settings

import (
	"crypto/tls"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

var (
	environmentName = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	dnsName         = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,}$`)
	brokerVariable  = regexp.MustCompile(`^EMQX_[A-Z0-9_]+$`)
	// See nomad.CheckEMQXSecrets for the reasons; repeated here for a message
	// that names the key.
	cookie       = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{19,254}$`)
	apiText      = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]+$`)
	plainVersion = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)
)

const (
	// maxNodes is what the proxies have slots for; see nomad.MaxNodes.
	maxNodes = 100
	// proxyConnectionKB is what HAProxy's documents count for one busy
	// connection: two buffers of 16 kB.
	proxyConnectionKB = 33
	// proxyBaseMB is HAProxy's own memory.
	proxyBaseMB = 64
	// proxyOwnFiles are HAProxy's listeners, checks, resolvers and logs.
	proxyOwnFiles = 512
	// minKillTimeout: EMQX's own wait is 120 s.
	minKillTimeout = 130 * time.Second
	// maxKillTimeout is the max_kill_timeout that the boot script gives Nomad's
	// clients by default: they cap what a job asks for.
	maxKillTimeout = 10 * time.Minute
)

// notSet begins the fault of a secret that is absent.
const notSet = "is not set"

// derive fills in what follows from other settings.
func (s *Settings) derive() {
	if s.Proxy.MemoryMB == 0 {
		s.Proxy.MemoryMB = proxyMemoryMB(s.Proxy.MaxConn)
	}
	if s.Proxy.NoFile == 0 {
		s.Proxy.NoFile = proxyFiles(s.Proxy.MaxConn)
	}
	if s.Volumes.Count == 0 {
		s.Volumes.Count = s.Nodes.Count
	}
}

func proxyMemoryMB(maxConn int) int { return proxyBaseMB + (maxConn*proxyConnectionKB+1023)/1024 }

// proxyFiles: a connection is two sockets, the client's and EMQX's.
func proxyFiles(maxConn int) int { return 2*maxConn + proxyOwnFiles }

func (s *Settings) validate(f *fault.List) {
	if !environmentName.MatchString(s.Environment) || len(s.Environment) > 31 {
		f.Add("(stack)", "must have a name of lower-case letters and digits with single dashes between, at most 31, got %q", s.Environment)
	}
	oneOf(f, "cloud", s.Cloud, "oci", "lab")
	s.validateCloud(f)
	s.validateNodes(f)
	s.validateBroker(f)
	s.validateProxy(f)
	s.validateEdge(f)
	s.validateTLS(f)
	s.validateServers(f)
	s.validateGates(f)
	s.validateSecrets(f)
	for key := range s.Tags {
		if key == "emqx-cluster" || key == "pool_type" || key == "group-index" {
			f.Add("tags."+key, "must not be set: the stack finds its own resources by it")
		}
	}
}

func (s *Settings) validateCloud(f *fault.List) {
	f.Require("oci.region", s.OCI.Region)
	ocid(f, "oci.compartment", s.OCI.Compartment, "compartment", "tenancy")
	for i, ad := range s.OCI.AvailabilityDomains {
		f.Require(fmt.Sprintf("oci.availabilityDomains[%d]", i), ad)
	}
	ocid(f, "network.vcn", s.Network.VCN, "vcn")
	ocid(f, "network.publicSubnet", s.Network.PublicSubnet, "subnet")
	ocid(f, "network.privateSubnet", s.Network.PrivateSubnet, "subnet")
	ranges(f, "network.clientCidrs", s.Network.ClientCIDRs)
	ranges(f, "network.serverCidrs", s.Network.ServerCIDRs)
}

func (s *Settings) validateNodes(f *fault.List) {
	f.Range("nodes.count", s.Nodes.Count, 1, maxNodes)
	f.Require("nodes.shape", s.Nodes.Shape)
	if s.Nodes.OCPUs < 1 {
		f.Add("nodes.ocpus", "must be at least 1, got %g", s.Nodes.OCPUs)
	}
	ocid(f, "nodes.image", s.Nodes.Image, "image")
	f.Range("nodes.bootVolumeGb", s.Nodes.BootVolumeGB, 50, 32768)
	// Docker, the agents and the kernel want about 1 GB beside the two tasks.
	if need := s.Broker.MemoryMB + s.Proxy.MemoryMB + 1024; s.Nodes.MemoryGB*1024 < float64(need) {
		f.Add("nodes.memoryGb", "must hold broker (%d MB), proxy (%d MB) and 1024 MB for the node, got %g GB",
			s.Broker.MemoryMB, s.Proxy.MemoryMB, s.Nodes.MemoryGB)
	}
	f.Range("volumes.sizeGb", s.Volumes.SizeGB, 50, 32768)
	if v := s.Volumes.VPUsPerGB; v < 0 || v > 120 || v%10 != 0 {
		f.Add("volumes.vpusPerGb", "must be 0 to 120 in steps of 10, got %d", v)
	}
	if s.Volumes.BackupPolicy != "" {
		ocid(f, "volumes.backupPolicy", s.Volumes.BackupPolicy, "volumebackuppolicy")
	}
}

func (s *Settings) validateBroker(f *fault.List) {
	s.validateImage(f)
	f.Range("broker.cpu", s.Broker.CPU, 100, 1_000_000)
	f.Range("broker.memoryMb", s.Broker.MemoryMB, 256, 4_000_000)
	f.Range("broker.keepAliveMax", s.Broker.KeepAliveMax, 10, cluster.MaxIdleTimeout*2/3)
	f.Range("broker.noFile", s.Broker.NoFile, 1024, 16_777_216)
	f.Range("broker.maxConnections", s.Broker.MaxConnections, 0, 16_777_216)
	if s.Broker.KillTimeout > maxKillTimeout {
		f.Add("broker.killTimeout", "must be at most %s, what the nodes' Nomad clients allow, got %s",
			seconds(maxKillTimeout), seconds(s.Broker.KillTimeout))
	}
	if s.Broker.KillTimeout < minKillTimeout {
		f.Add("broker.killTimeout", "must be at least %s, because EMQX takes up to 120 s to stop, got %s",
			seconds(minKillTimeout), seconds(s.Broker.KillTimeout))
	}
	atLeastSecond(f, "broker.shutdownDelay", s.Broker.ShutdownDelay)
	s.Broker.validate(f, "broker")
	for name := range s.Broker.Env {
		path := "broker.env." + name
		if !brokerVariable.MatchString(name) {
			f.Add(path, "must be a variable of EMQX, EMQX_ and capital letters")
		}
		for _, own := range []string{
			"EMQX_NODE_NAME", "EMQX_NODE__NAME", "EMQX_NODE__COOKIE", "EMQX_NODE_COOKIE", "EMQX_CLUSTER__", "EMQX_RPC__",
			"EMQX_DASHBOARD__DEFAULT_PASSWORD",
		} {
			if strings.HasPrefix(name, own) {
				f.Add(path, "must not be set: the stack sets %s... itself", own)
			}
		}
	}
}

func (s *Settings) validateProxy(f *fault.List) {
	f.Require("proxy.image", s.Proxy.Image)
	f.Range("proxy.cpu", s.Proxy.CPU, 50, 1_000_000)
	f.Range("proxy.maxConn", s.Proxy.MaxConn, 100, 2_000_000)
	if need := proxyMemoryMB(s.Proxy.MaxConn); s.Proxy.MemoryMB < need {
		f.Add("proxy.memoryMb", "must be at least %d for %d connections of %d kB, got %d",
			need, s.Proxy.MaxConn, proxyConnectionKB, s.Proxy.MemoryMB)
	}
	if need := proxyFiles(s.Proxy.MaxConn); s.Proxy.NoFile < need {
		f.Add("proxy.noFile", "must be at least %d for %d connections, got %d", need, s.Proxy.MaxConn, s.Proxy.NoFile)
	}
	atLeastSecond(f, "proxy.shutdownDelay", s.Proxy.ShutdownDelay)
	if least := s.Proxy.ShutdownDelay + 10*time.Second; s.Proxy.KillTimeout < least {
		f.Add("proxy.killTimeout", "must be at least 10s above shutdownDelay (%s), got %s",
			seconds(s.Proxy.ShutdownDelay), seconds(s.Proxy.KillTimeout))
	}
	s.Proxy.validate(f, "proxy")
}

func (r *Rollout) validate(f *fault.List, group string) {
	atLeastSecond(f, group+".minHealthyTime", r.MinHealthyTime)
	if r.HealthyDeadline <= r.MinHealthyTime {
		f.Add(group+".healthyDeadline", "must be longer than minHealthyTime (%s), got %s",
			seconds(r.MinHealthyTime), seconds(r.HealthyDeadline))
	}
	if r.ProgressDeadline <= r.HealthyDeadline {
		f.Add(group+".progressDeadline", "must be longer than healthyDeadline (%s), got %s",
			seconds(r.HealthyDeadline), seconds(r.ProgressDeadline))
	}
}

func (s *Settings) validateEdge(f *fault.List) {
	oneOf(f, "edge.kind", s.Edge.Kind, "network")
	wholeSeconds(f, "edge.healthInterval", s.Edge.HealthInterval, 1800)
	wholeSeconds(f, "edge.healthTimeout", s.Edge.HealthTimeout, 600)
	if s.Edge.HealthTimeout > s.Edge.HealthInterval {
		f.Add("edge.healthTimeout", "must be at most the interval (%s), got %s",
			seconds(s.Edge.HealthInterval), seconds(s.Edge.HealthTimeout))
	}
	f.Range("edge.healthRetries", s.Edge.HealthRetries, 1, 10)
	if !dnsName.MatchString(s.DNS.Zone) {
		f.Add("dns.zone", "must be a domain such as example.com, got %q", s.DNS.Zone)
	}
	if !dnsName.MatchString(s.DNS.Name) || !strings.HasSuffix(s.DNS.Name, "."+s.DNS.Zone) {
		f.Add("dns.name", "must be a full name inside zone %q, got %q", s.DNS.Zone, s.DNS.Name)
	}
	f.Range("dns.ttl", s.DNS.TTL, 1, 604800)
}

func (s *Settings) validateTLS(f *fault.List) {
	oneOf(f, "tls.terminate", s.TLS.Terminate, "broker")
	switch {
	case s.TLS.Certificate == "" && s.TLS.PrivateKey == "":
		if s.TLS.CA != "" {
			f.Add("tls.ca", "must not be set without a certificate and its key")
		}
		return
	case s.TLS.Certificate == "":
		f.Add("tls.certificate", "must be set with the key; set it with: %s", howToSet("tls.certificate"))
		return
	case s.TLS.PrivateKey == "":
		f.Add("tls.privateKey", "must be set with the certificate; set it with: %s", howToSet("tls.privateKey"))
		return
	}
	if s.TLS.Certificate.Hidden() || s.TLS.PrivateKey.Hidden() {
		return
	}
	pair, err := tls.X509KeyPair([]byte(s.TLS.Certificate), []byte(s.TLS.PrivateKey))
	if err != nil {
		f.Add("tls.certificate", "must be a PEM certificate that fits the key: %v", err)
		return
	}
	if err := pair.Leaf.VerifyHostname(s.DNS.Name); err != nil {
		f.Add("tls.certificate", "must be valid for dns.name: %v", err)
	}
}

func (s *Settings) validateServers(f *fault.List) {
	httpURL(f, "nomad.address", s.Nomad.Address)
	httpURL(f, "consul.address", s.Consul.Address)
	if len(s.Nomad.Servers) == 0 {
		f.Add("nomad.servers", "must hold at least one host:port, such as 10.0.2.10:4647")
	}
	for i, server := range s.Nomad.Servers {
		if host, port, ok := strings.Cut(server, ":"); !ok || host == "" || port == "" {
			f.Add(fmt.Sprintf("nomad.servers[%d]", i), "must be host:port, such as 10.0.2.10:4647, got %q", server)
		}
	}
	if len(s.Consul.Servers) == 0 {
		f.Add("consul.servers", "must hold at least one address")
	}
	for i, server := range s.Consul.Servers {
		f.Require(fmt.Sprintf("consul.servers[%d]", i), server)
	}
	for path, value := range map[string]string{
		"nomad.datacenter": s.Nomad.Datacenter, "nomad.region": s.Nomad.Region, "nomad.namespace": s.Nomad.Namespace,
		"consul.datacenter": s.Consul.Datacenter,
	} {
		f.Require(path, value)
	}
	if s.Nomad.Datacenter != s.Consul.Datacenter {
		f.Add("nomad.datacenter", "must be consul.datacenter (%q), because a node has one name in both, got %q",
			s.Consul.Datacenter, s.Nomad.Datacenter)
	}
	for path, value := range map[string]string{"nomad.version": s.Nomad.Version, "consul.version": s.Consul.Version} {
		if !plainVersion.MatchString(value) {
			f.Add(path, "must be a version such as 1.11.2, got %q", value)
		}
	}
}

func (s *Settings) validateGates(f *fault.List) {
	for path, d := range map[string]time.Duration{
		"gates.nodesReady": s.Gates.NodesReady, "gates.proxiesReady": s.Gates.ProxiesReady,
		"gates.edgeHealthy": s.Gates.EdgeHealthy, "gates.roundTrip": s.Gates.RoundTrip, "gates.settle": s.Gates.Settle,
	} {
		if d <= 0 {
			f.Add(path, "must be longer than 0s, got %s", seconds(d))
		}
	}
	if s.Gates.ClusterFormed <= s.Broker.ProgressDeadline {
		f.Add("gates.clusterFormed", "must be longer than broker.progressDeadline (%s), or it gives up before Nomad says why, got %s",
			seconds(s.Broker.ProgressDeadline), seconds(s.Gates.ClusterFormed))
	}
	if s.Gates.Proxy != "" {
		if u, err := url.Parse(s.Gates.Proxy); err != nil || u.Scheme != "socks5h" || u.Port() == "" {
			f.Add("gates.proxy", "must be socks5h://host:port, got %q", s.Gates.Proxy)
		}
	}
}

func (s *Settings) validateSecrets(f *fault.List) {
	if c := s.Secrets.ErlangCookie; c != "" && !c.Hidden() && !cookie.MatchString(string(c)) {
		f.Add("secrets.erlangCookie", "must be a letter followed by 19 to 254 letters and digits: "+
			"a shell script and HOCON read it unquoted")
	}
	for _, x := range []struct {
		path  string
		value Secret
		least int
	}{
		{"secrets.erlangCookie", s.Secrets.ErlangCookie, 20},
		{"secrets.dashboardPassword", s.Secrets.DashboardPassword, 12},
		{"secrets.apiKey", s.Secrets.APIKey, 8},
		{"secrets.apiSecret", s.Secrets.APISecret, 12},
		{"secrets.statsPassword", s.Secrets.StatsPassword, 12},
	} {
		switch {
		case f.Has(x.path), x.value.Hidden():
		case x.value == "":
			f.Add(x.path, notSet+"; set it with: %s", howToSet(x.path))
		case len(x.value) < x.least:
			f.Add(x.path, "must have at least %d characters, got %d", x.least, len(x.value))
		case strings.HasPrefix(x.path, "secrets.api") && !apiText.MatchString(string(x.value)):
			f.Add(x.path, "must be letters, digits and ._~+/=-: a colon would end it")
		case strings.ContainsFunc(string(x.value), func(r rune) bool { return r <= ' ' || r > '~' }):
			f.Add(x.path, "must be printable ASCII without spaces")
		}
	}
}

func oneOf(f *fault.List, path, value string, allowed ...string) {
	for _, a := range allowed {
		if value == a {
			return
		}
	}
	f.Add(path, "must be %s, got %q", strings.Join(allowed, " or "), value)
}

func ocid(f *fault.List, path, value string, kinds ...string) {
	for _, kind := range kinds {
		if strings.HasPrefix(value, "ocid1."+kind+".") {
			return
		}
	}
	f.Add(path, "must be an OCID that begins with ocid1.%s., got %q", kinds[0], value)
}

func ranges(f *fault.List, path string, cidrs []string) {
	if len(cidrs) == 0 {
		f.Add(path, "must hold at least one range, such as 10.0.0.0/16")
	}
	for i, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil || !p.Addr().Is4() || p.Masked() != p {
			f.Add(fmt.Sprintf("%s[%d]", path, i), "must be an IPv4 range such as 10.0.0.0/16, got %q", c)
		}
	}
}

func httpURL(f *fault.List, path, value string) {
	if u, err := url.Parse(value); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		f.Add(path, "must be a URL such as https://10.0.2.10:4646, got %q", value)
	}
}

func atLeastSecond(f *fault.List, path string, d time.Duration) {
	if d < time.Second {
		f.Add(path, "must be at least 1s, got %s", seconds(d))
	}
}

func wholeSeconds(f *fault.List, path string, d time.Duration, most int) {
	if d < time.Second || d > time.Duration(most)*time.Second || d%time.Second != 0 {
		f.Add(path, "must be 1s to %ds in whole seconds, got %s", most, seconds(d))
	}
}

// seconds prints a duration the way it is written in a stack file.
func seconds(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
