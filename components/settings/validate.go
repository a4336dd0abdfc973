package settings

import (
	"crypto/tls"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

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
		"nodes.image": s.Nodes.Image, "nodes.registryAuth": s.Nodes.RegistryAuth, "volumes.backupPolicy": s.Volumes.BackupPolicy,
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
	f.addFaults("proxy.", p.size().Faults())
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
	if !strings.HasSuffix(s.DNS.Name, "."+s.DNS.Zone) && !f.hasAbove("dns.zone") && !f.Has("dns.name") {
		f.Add("dns.name", "must be a full name inside zone %q, got %q", s.DNS.Zone, s.DNS.Name)
	}
}

func (s *Settings) validateTLS(f checker) {
	if s.TLS.CA != "" && s.TLS.Certificate == "" && s.TLS.PrivateKey == "" {
		f.Add("tls.ca", "must not be set without a certificate and its key")
	}
	pair := s.validatePair(f, "tls", s.TLS.Certificate, s.TLS.PrivateKey, true)
	if pair == nil {
		return
	}
	if err := pair.Leaf.VerifyHostname(s.DNS.Name); err != nil && !f.hasAbove("dns.name") {
		f.Add("tls.certificate", "must be valid for dns.name: %v", err)
	}
}

// validatePair checks that a certificate and its key are both there, or none,
// and belong together. It returns nil where that cannot be told.
func (*Settings) validatePair(f checker, group string, certificate, key Secret, secret bool) *tls.Certificate {
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
		return nil
	case key == "":
		f.Add(group+".privateKey", "must be set with the certificate; set it with: %s", howToSet(group+".privateKey"))
		return nil
	case f.hasAbove(group + ".certificate"), f.hasAbove(group + ".privateKey"),
		certificate.Hidden(), key.Hidden():
		return nil
	}
	pair, err := tls.X509KeyPair([]byte(certificate), []byte(key))
	if err != nil {
		f.Add(group+".certificate", "must be a PEM certificate that fits the key: %v", err)
		return nil
	}
	return &pair
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
