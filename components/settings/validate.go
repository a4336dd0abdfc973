package settings

import (
	"crypto/x509"
	"errors"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// validate checks what the tags cannot say: how settings fit together. A setting
// that has a fault of its own is left alone.
func (s *Settings) validate(f checker) {
	if what := cluster.EnvironmentFault(s.Environment); what != "" {
		f.Add("(stack)", "%s", what)
	}
	s.validateRegion(f)
	s.validateNodes(f)
	s.validateVolumes(f)
	s.validateImage(f)
	s.validateBroker(f)
	s.validateProxy(f)
	s.validateEdge(f)
	s.validateListeners(f)
	s.validateTLS(f)
	s.validateAuth(f)
	s.validateServers(f)
	if s.Gates.ClusterFormed <= s.Broker.ProgressDeadline && !f.Has("gates.clusterFormed") {
		f.Add("gates.clusterFormed", "must be longer than broker.progressDeadline (%s), or it gives up before Nomad says why, got %s",
			fault.Duration(s.Broker.ProgressDeadline), fault.Duration(s.Gates.ClusterFormed))
	}
	s.validateSecrets(f)
	for _, key := range cluster.OwnTags() {
		if _, ok := s.Tags[key]; ok {
			f.Add("tags."+key, "must not be set: the stack finds its own resources by it")
		}
	}
}

// validateRegion holds the given OCIDs against the region: OCI finds none of another
// one, and says so resource by resource.
func (s *Settings) validateRegion(f checker) {
	if f.hasAbove("oci.region") {
		return
	}
	given := map[string]string{
		"network.vcn": s.Network.VCN, "network.publicSubnet": s.Network.PublicSubnet, "network.privateSubnet": s.Network.PrivateSubnet,
		"nodes.image": s.Nodes.Image, "nodes.registryAuth": s.Nodes.RegistryAuth, "nomad.agentSecret": s.Nomad.AgentSecret, "consul.agentSecret": s.Consul.AgentSecret,
		"tls.vaultSecret": s.TLS.VaultSecret, "volumes.backupPolicy": s.Volumes.BackupPolicy,
	}
	for index, ocid := range s.Volumes.Restore {
		given["volumes.restore."+index] = ocid
	}
	for index, ocid := range s.Volumes.Adopt {
		given["volumes.adopt."+index] = ocid
	}
	elsewhere := map[string][]string{} // settings by the region of their OCID
	here := false
	for _, path := range slices.Sorted(maps.Keys(given)) {
		switch of := regionOf(given[path]); {
		case of == "" || f.hasAbove(path):
		case of == s.OCI.Region:
			here = true
		default:
			elsewhere[of] = append(elsewhere[of], path)
		}
	}
	for of, paths := range elsewhere {
		if !here && len(elsewhere) == 1 && len(paths) > 1 { // one cause, one fault
			f.Add("oci.region", "must be the region of %s (%s), got %s", strings.Join(paths, ", "), of, s.OCI.Region)
			continue
		}
		for _, path := range paths {
			f.Add(path, "must be in oci.region (%s), got an OCID of %s", s.OCI.Region, of)
		}
	}
}

func (s *Settings) validateNodes(f checker) {
	// Docker, the agents and the kernel want about 1 GB beside the two tasks.
	need := s.Broker.MemoryMB + s.Proxy.MemoryMB + 1024
	if s.Nodes.MemoryGB*1024 < float64(need) && !f.Has("nodes.memoryGb") {
		f.Add("nodes.memoryGb", "must hold broker (%d MB), proxy (%d MB) and 1024 MB for the node, got %g GB",
			s.Broker.MemoryMB, s.Proxy.MemoryMB, s.Nodes.MemoryGB)
	}
}

func (s *Settings) validateVolumes(f checker) {
	if f.Has("volumes.count") || f.Has("nodes.count") {
		return
	}
	if s.Volumes.Count < s.Nodes.Count {
		f.Add("volumes.count", "must be 0 or nodes.count (%d) to %d, got %d", s.Nodes.Count, cluster.MaxNodes, s.Volumes.Count)
		return
	}
	volumeIndexes(f, "volumes.sizeGbByNode.", s.Volumes.SizeGBByNode, s.Volumes.Count)
	volumeIndexes(f, "volumes.restore.", s.Volumes.Restore, s.Volumes.Count)
	volumeIndexes(f, "volumes.adopt.", s.Volumes.Adopt, s.Volumes.Count)
	for _, key := range slices.Sorted(maps.Keys(s.Volumes.Adopt)) {
		if _, both := s.Volumes.Restore[key]; both && !f.Has("volumes.adopt."+key) {
			f.Add("volumes.adopt."+key, "must not be set beside volumes.restore.%s: a volume is taken over as it is, or made from a backup", key)
		}
	}
}

// volumeIndexes refuses keys of nodes without a volume.
func volumeIndexes[V any](f checker, path string, byNode map[string]V, volumes int) {
	for _, key := range slices.Sorted(maps.Keys(byNode)) {
		if i, err := strconv.Atoi(key); err == nil && i >= volumes && !f.Has(path+key) {
			f.Add(path+key, "must be the index of a node that has a volume, 0 to %d", volumes-1)
		}
	}
}

func (s *Settings) validateBroker(f checker) {
	b := s.Broker
	f.addFaults("broker.", b.times(b.ShutdownDelay, b.KillTimeout).BrokerFaults(cluster.Drain(b.Drain)))
	s.validateConnections(f)
	s.validateEnvironment(f)
}

func (s *Settings) validateProxy(f checker) {
	p := s.Proxy
	f.addFaults("proxy.", p.times(p.ShutdownDelay, p.KillTimeout).ProxyFaults())
	f.addFaults("proxy.", s.proxySize().Faults())
}

// addFaults adds those of a group's values that are not wrong by themselves, nor compared
// with one that is.
func (c checker) addFaults(group string, found []cluster.Fault) {
	for _, x := range found {
		if !c.Has(group+x.Of) && !slices.ContainsFunc(x.With, func(other string) bool { return c.hasAbove(group + other) }) {
			c.Add(group+x.Of, "%s", x.Text)
		}
	}
}

// times are a job's as the rules take them.
func (r Rollout) times(shutdownDelay, killTimeout time.Duration) cluster.Times {
	return cluster.Times{
		ShutdownDelay: shutdownDelay, KillTimeout: killTimeout,
		MinHealthyTime: r.MinHealthyTime, HealthyDeadline: r.HealthyDeadline, ProgressDeadline: r.ProgressDeadline,
	}
}

// validateSecrets looks at what no format says.
func (s *Settings) validateSecrets(f checker) {
	if key := s.Secrets.License; key != "" && !key.Hidden() && !f.Has("secrets.license") {
		if what := cluster.LicenseFault(key.Reveal()); what != "" {
			f.Add("secrets.license", "%s", what)
		}
	}
}

func (s *Settings) validateEdge(f checker) {
	if s.Edge.HealthTimeout > s.Edge.HealthInterval && !f.Has("edge.healthInterval") && !f.Has("edge.healthTimeout") {
		f.Add("edge.healthTimeout", "must be at most the interval (%s), got %s",
			fault.Duration(s.Edge.HealthInterval), fault.Duration(s.Edge.HealthTimeout))
	}
	s.validateFlexible(f)
	if !strings.HasSuffix(s.DNS.Name, "."+s.DNS.Zone) && !f.hasAbove("dns.zone") && !f.Has("dns.name") {
		f.Add("dns.name", "must be a full name inside zone %q, got %q", s.DNS.Zone, s.DNS.Name)
	}
}

// validateFlexible checks what OCI's load balancer needs, and what only it has.
func (s *Settings) validateFlexible(f checker) {
	if f.Has("edge.kind") {
		return
	}
	e := s.Edge
	if e.Kind != EdgeFlexible {
		if s.TLS.Terminate == TerminateEdge && !f.Has("tls.terminate") {
			f.Add("tls.terminate", "must be proxy or broker with edge.kind: %s, which passes TLS through, or edge.kind be %s; got %s", e.Kind, EdgeFlexible, s.TLS.Terminate)
		}
		return
	}
	if s.Network.PublicSubnetCIDR == "" && !f.hasAbove("network.publicSubnetCidr") {
		f.Add("network.publicSubnetCidr", "must be set with edge.kind: %s: HAProxy believes the balancer, which is there, and nobody else who a client is", e.Kind)
	}
	if e.Backend == "privateIp" {
		f.Add("edge.backend", "must be address with edge.kind: %s, which knows nodes by nothing else, got %s", e.Kind, e.Backend)
	}
	if e.MaxMbps < e.MinMbps && !f.Has("edge.minMbps") && !f.Has("edge.maxMbps") {
		f.Add("edge.maxMbps", "must be at least edge.minMbps (%d), got %d", e.MinMbps, e.MaxMbps)
	}
}

func (s *Settings) validateTLS(f checker) {
	if s.TLS.CA != "" && !s.TLS.Enabled() && s.TLS.PrivateKey == "" {
		f.Add("tls.ca", "must not be set without a certificate and its key")
	}
	s.validateSource(f)
	s.validateClients(f)
	s.validateDevices(f)
	s.validateTickets(f)
	var all []*x509.Certificate
	if !s.TLS.Outside() {
		all = s.validatePair(f, "tls", s.TLS.Certificate, s.TLS.PrivateKey, true)
	}
	s.validateFurther(f, all)
	if len(all) == 0 || f.hasAbove("dns.name") {
		return
	}
	if what := certs.NameFault(all[0], s.DNS.Name); what != "" {
		f.Add("tls.certificate", "must be valid for dns.name: %s", what)
	}
}

// validateClients checks what certificates of clients need.
func (s *Settings) validateClients(f checker) {
	t := s.TLS
	if f.Has("tls.clients") || f.Has("tls.terminate") {
		return
	}
	if t.Clients == ClientsNone {
		if t.ClientCRL != "" {
			f.Add("tls.clientCrl", "must not be set while tls.clients is none: nobody shows a certificate")
		}
		return
	}
	switch {
	case !t.Enabled() && t.PrivateKey == "":
		f.Add("tls.clients", "must be none without tls.certificate, got %s", t.Clients)
		return
	case t.Terminate == TerminateBroker:
		f.Add("tls.clients", "must be none with tls.terminate: broker, got %s: EMQX 5.8 does not see a client's certificate behind the PROXY protocol, and would admit everybody as anybody",
			t.Clients)
		return
	case t.Terminate == TerminateEdge:
		f.Add("tls.clients", "must be none with tls.terminate: edge, got %s: OCI's balancer tells nobody behind it of a client's certificate, and any of them would be admitted as anybody",
			t.Clients)
		return
	}
	if t.ClientCA == "" && t.DeviceCA == "" {
		f.Add("tls.clientCa", "must be set with tls.clients: %s, or tls.deviceCa be", t.Clients)
	}
	if s.Network.PrivateSubnetCIDR == "" {
		f.Add("network.privateSubnetCidr", "must be set with tls.clients: %s: EMQX takes the names of certificates from there alone", t.Clients)
	}
	s.validateRevocations(f)
}

// validateRevocations: OpenSSL wants a list of each authority that a certificate leads to.
func (s *Settings) validateRevocations(f checker) {
	ca, crl := s.TLS.ClientCA, s.TLS.ClientCRL
	if crl == "" || ca.Hidden() || crl.Hidden() || f.Has("tls.clientCa") || f.Has("tls.clientCrl") {
		return
	}
	var authorities []*x509.Certificate
	var errCA error
	if ca != "" {
		authorities, errCA = certs.ReadCertificates(ca.Reveal())
	}
	lists, errCRL := parseRevocationLists(crl.Reveal())
	if errCA != nil || errCRL != nil {
		return // a fault of the formats
	}
	for _, a := range authorities {
		if !slices.ContainsFunc(lists, func(l *x509.RevocationList) bool { return l.CheckSignatureFrom(a) == nil }) {
			f.Add("tls.clientCrl", "must hold a list of each authority in tls.clientCa, or none of its clients gets in; got none of %q", a.Subject.CommonName)
		}
	}
	if a := s.DeviceAuthority(); a != nil && !slices.ContainsFunc(lists, func(l *x509.RevocationList) bool { return l.CheckSignatureFrom(a) == nil }) {
		f.Add("tls.clientCrl", "must hold a list of the authority in tls.deviceCa, too, or none of its devices gets in: emqx-oci device init makes an empty one")
	}
}

// validatePair checks that a certificate and its key are both there, or none,
// and belong together. It returns the certificates as they are sent, none where
// they cannot be read.
func (*Settings) validatePair(f checker, group string, certificate, key Secret, secret bool) []*x509.Certificate {
	set := func(path string) string {
		if !secret {
			return ""
		}
		return "; set it with: " + howToSet(path)
	}
	switch {
	case certificate == "" && key == "":
		return nil
	case certificate == "":
		f.Add(group+".certificate", "must be set with the key%s", set(group+".certificate"))
	case key == "":
		f.Add(group+".privateKey", "must be set with the certificate; set it with: %s", howToSet(group+".privateKey"))
	}
	// What cannot be read is hidden, or has a fault of its own.
	all, _ := certs.ReadCertificates(certificate.Reveal())
	public, err := certs.ReadKey(key.Reveal())
	if err != nil || len(all) == 0 {
		return certs.Ordered(all, nil)
	}
	if what := certs.KeyFault(all, public); what != "" {
		f.Add(group+".certificate", "must be a PEM certificate that fits the key: %s", what)
	}
	return certs.Ordered(all, public)
}

// validateKeys refuses keys that cannot be read. One that lies in clear has to be another one anyway.
func (s *Settings) validateKeys(f checker) {
	keys := map[string]Secret{"tls": s.TLS.PrivateKey, "nomad.tls": s.Nomad.TLS.PrivateKey, "consul.tls": s.Consul.TLS.PrivateKey}
	for i, c := range s.TLS.Certificates {
		keys[furtherPath(i)] = c.PrivateKey
	}
	for group, key := range keys {
		if _, err := certs.ReadKey(key.Reveal()); errors.Is(err, certs.ErrUnreadableKey) && !f.hasAbove(group+".privateKey") {
			f.Add(group+".privateKey", "must be a private key in PEM: %v", err)
		}
	}
}

// normalizePEM writes certificates and keys as every program reads them, whatever stands between and
// around them: the same certificate is the same text.
func (s *Settings) normalizePEM() {
	chain := func(certificate, key Secret) Secret {
		return Secret(certs.NormalizeChain(certificate.Reveal(), key.Reveal()))
	}
	normalizeKey := func(key Secret) Secret { return Secret(certs.NormalizeKey(key.Reveal())) }
	t := &s.TLS
	t.Certificate, t.CA, t.PrivateKey = chain(t.Certificate, t.PrivateKey), Secret(certs.NormalizeCertificates(t.CA.Reveal())), normalizeKey(t.PrivateKey)
	t.ACME.CA = Secret(certs.NormalizeCertificates(t.ACME.CA.Reveal()))
	if keys := strings.Fields(t.TicketKeys.Reveal()); len(keys) == ticketKeys { // whatever ends their lines
		t.TicketKeys = Secret(strings.Join(keys, "\n") + "\n")
	}
	for i, c := range t.Certificates {
		t.Certificates[i] = ServerCertificate{Certificate: chain(c.Certificate, c.PrivateKey), PrivateKey: normalizeKey(c.PrivateKey)}
	}
	for _, t := range []*ClientTLS{&s.Nomad.TLS, &s.Consul.TLS} {
		t.Certificate = chain(Secret(t.Certificate), t.PrivateKey).Reveal()
		t.CA, t.PrivateKey = certs.NormalizeCertificates(t.CA), normalizeKey(t.PrivateKey)
	}
}

func (s *Settings) validateServers(f checker) {
	if s.Nomad.Datacenter != s.Consul.Datacenter && !f.hasAbove("nomad.datacenter") && !f.hasAbove("consul.datacenter") {
		f.Add("nomad.datacenter", "must be consul.datacenter (%q), because a node has one name in both, got %q",
			s.Consul.Datacenter, s.Nomad.Datacenter)
	}
	for _, x := range []struct {
		group, address string
		tls            ClientTLS
	}{{"nomad", s.Nomad.Address, s.Nomad.TLS}, {"consul", s.Consul.Address, s.Consul.TLS}} {
		s.validatePair(f, x.group+".tls", Secret(x.tls.Certificate), x.tls.PrivateKey, false)
		if u, err := url.Parse(x.address); err == nil && u.Scheme == "http" && x.tls != (ClientTLS{}) {
			f.Add(x.group+".address", "must begin with https:// to be spoken to with %s.tls, got %q", x.group, x.address)
		}
	}
}
