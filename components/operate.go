package components

import (
	"context"
	"crypto/x509"
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// Operate opens the cluster of a stack for work between two updates. Nothing is
// asked yet.
func Operate(s settings.Settings) (*operate.Cluster, error) {
	nomadAPI, consulAPI, err := agents(s)
	if err != nil {
		return nil, err
	}
	devices, err := devicesConfig(s)
	if err != nil {
		return nil, err
	}
	k := kinds.Of(s)
	proxy := k.Proxy
	devices.ProxyTask, devices.Refused = proxy.Refused()
	drift := func(ctx context.Context) (string, error) {
		if s.Auth.Anonymous || s.Secrets.GatePassword == "" { // whose secrets are hidden
			return "", nil
		}
		return gates.AccessDrift(ctx, nomadAPI, matchUsersArgs(s))
	}
	outside, err := outsideOf(s, proxy)
	if err != nil {
		return nil, err
	}
	c := conditions{Settings: s, jobs: wantedJobs(s, k), nomadAPI: nomadAPI, consulAPI: consulAPI, proxy: proxy, edgeHint: k.Edge.Hint(s)}
	return operate.New(operate.Config{
		Formed: c.clusterFormed(), Proxies: c.proxiesReady(), RoundTrip: c.roundTripArgs(), Verification: lastGates(gateList(c), c.rolling()),
		ListenersScript: nomad.EMQXListeners,
		Proxy:           operate.ProxyConfig{Title: proxy.Title(), Job: proxy.JobID(s.Environment), Service: proxy.Service()},
		DrainRate:       s.Broker.Drain.Rate,
		AccessDrift:     drift, LeavesDrift: s.Auth.Drift == settings.DriftWarn,
		Certificate: firstToEnd(s.TLS.Certificate),
		Outside:     outside,
		Further:     furtherCertificates(s),
		ClientAuthorities: map[string]*x509.Certificate{
			"tls.clientCa": firstToEnd(s.TLS.ClientCA), "tls.deviceCa": firstToEnd(s.TLS.DeviceCA),
		},
		DevicesConfig: devices,
		Environment:   s.Environment, Datacenter: s.Consul.Datacenter, Count: s.Nodes.Count,
		Nomad: nomadAPI, Consul: consulAPI,
	})
}

// outsideOf says how a certificate from outside is looked at; nil for a stack that has its own.
func outsideOf(s settings.Settings, proxy seams.Proxy) (*operate.Outside, error) {
	if !s.TLS.Outside() {
		return nil, nil
	}
	r, err := renewal(s)
	if err != nil {
		return nil, err
	}
	o := &operate.Outside{Look: r.Look, Path: r.Store.Paths[0], HowToWrite: "`" + r.Store.HowToWrite() + "`", AtProxy: s.TLS.AtProxy()}
	if s.TLS.Obtained() {
		o.HowToWrite = "`emqx-oci certificate renew " + s.Environment + "`"
	}
	if o.Task, o.Command = proxy.Shown(); !o.AtProxy {
		o.Task, o.Command = nomad.ShownCertificate()
	}
	return o, nil
}

// firstToEnd is the one of a chain that ends first; nil where it has none, or it is hidden.
func firstToEnd(chain settings.Secret) *x509.Certificate {
	all, err := certs.ReadCertificates(chain.Reveal())
	if err != nil {
		return nil
	}
	return certs.FirstToEnd(all)
}

// devicesConfig says what devices the stack may have.
func devicesConfig(s settings.Settings) (c operate.DevicesConfig, err error) {
	c.Open, c.Hash = s.Auth.Anonymous, nomad.NewHash
	for _, u := range s.Auth.Users {
		c.Users = append(c.Users, u.Name)
	}
	if c.Keys, err = gates.NewKeys(consulConfig(s)); err != nil {
		return c, err
	}
	x := s.DeviceAuthority()
	if x == nil {
		return c, nil
	}
	key, err := certs.ReadSigner(s.Secrets.DeviceCAKey.Reveal())
	if err != nil {
		return c, fmt.Errorf("reading secrets.deviceCaKey: %w", err)
	}
	c.Authority = &certs.DeviceAuthority{Certificate: x, Key: key}
	return c, nil
}

func furtherCertificates(s settings.Settings) []*x509.Certificate {
	var all []*x509.Certificate
	for _, c := range s.TLS.Certificates {
		all = append(all, firstToEnd(c.Certificate))
	}
	return all
}

// agents are clients of the two APIs, as the settings say.
func agents(s settings.Settings) (gates.NomadClient, gates.ConsulClient, error) {
	nomadAPI, err := gates.NewNomad(nomadConfig(s))
	if err != nil {
		return nil, nil, err
	}
	consulAPI, err := gates.NewConsul(consulConfig(s))
	return nomadAPI, consulAPI, err
}

func nomadConfig(s settings.Settings) gates.NomadConfig {
	return gates.NomadConfig{
		Address: s.Nomad.Address, Token: s.Nomad.Token.Reveal(), Region: s.Nomad.Region, Namespace: s.Nomad.Namespace,
		CACert: s.Nomad.TLS.CA, Cert: s.Nomad.TLS.Certificate, Key: s.Nomad.TLS.PrivateKey.Reveal(),
	}
}

func consulConfig(s settings.Settings) gates.ConsulConfig {
	return gates.ConsulConfig{
		Address: s.Consul.Address, Token: s.Consul.Token.Reveal(), Datacenter: s.Consul.Datacenter,
		CACert: s.Consul.TLS.CA, Cert: s.Consul.TLS.Certificate, Key: s.Consul.TLS.PrivateKey.Reveal(),
	}
}
