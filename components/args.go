package components

import (
	"maps"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/consul"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// What each component gets of the settings; nothing is decided here.

func secretsArgs(s settings.Settings, proxy seams.Proxy) (*nomad.SecretsArgs, error) {
	emqx := map[string]string{
		nomad.ItemErlangCookie:      s.Secrets.ErlangCookie.Reveal(),
		nomad.ItemDashboardPassword: s.Secrets.DashboardPassword.Reveal(),
		nomad.ItemAPIKey:            s.Secrets.APIKey.Reveal(),
		nomad.ItemAPISecret:         s.Secrets.APISecret.Reveal(),
	}
	if s.TLS.Enabled() && !s.TLS.Outside() {
		emqx[nomad.ItemTLSCert] = s.TLS.Certificate.Reveal()
		emqx[nomad.ItemTLSKey] = s.TLS.PrivateKey.Reveal()
		emqx[nomad.ItemTLSCA] = s.TLS.Authority().Reveal()
	}
	if s.Secrets.License != "" {
		emqx[nomad.ItemLicenseKey] = s.Secrets.License.Reveal()
	}
	if a := auth(s); a != nil {
		files, err := a.Files()
		if err != nil {
			return nil, err
		}
		maps.Copy(emqx, files.Items())
	}
	for file, ca := range authorities(s) {
		emqx[nomad.AuthorityItem(file)] = ca
	}
	if env := revealed(s.Broker.SecretEnv); len(env) > 0 {
		emqx[nomad.ItemEnvironment] = nomad.Environment(env)
	}
	proxies, err := proxy.Secrets(s)
	if err != nil {
		return nil, err
	}
	return &nomad.SecretsArgs{
		Environment: s.Environment,
		Namespace:   s.Nomad.Namespace,
		EMQX:        emqx,
		Proxy:       proxies,
		TLS:         s.TLS.Enabled() && !s.TLS.Outside(),
		License:     s.Secrets.License != "",
	}, nil
}

func membersArgs(s settings.Settings, nodes []cluster.Node) *consul.MembersArgs {
	return &consul.MembersArgs{
		Environment: s.Environment,
		Nodes:       cluster.Names(nodes),
		Datacenter:  s.Consul.Datacenter,
	}
}

func entriesArgs(s settings.Settings, listeners []cluster.Listener) *consul.EntriesArgs {
	return &consul.EntriesArgs{
		Environment: s.Environment,
		Size:        s.Nodes.Count,
		Version:     s.Broker.Image,
		Endpoints:   endpoints(s, listeners),
		Datacenter:  s.Consul.Datacenter,
	}
}

func emqxArgs(s settings.Settings, opts ...pulumi.ResourceOption) *nomad.EMQXArgs {
	return &nomad.EMQXArgs{
		EMQXVars: nomad.EMQXVars{
			Environment:          s.Environment,
			Datacenter:           s.Nomad.Datacenter,
			Region:               s.Nomad.Region,
			Namespace:            s.Nomad.Namespace,
			NodeCount:            s.Nodes.Count,
			Image:                s.Broker.Image,
			CPU:                  s.Broker.CPU,
			MemoryMB:             s.Broker.MemoryMB,
			KeepAliveMax:         s.Broker.KeepAliveMax,
			NoFile:               s.Broker.NoFile,
			Ports:                s.Ports.Cluster(),
			MaxConnections:       s.Broker.MaxConnections,
			DrainRate:            s.Broker.Drain.Rate,
			DrainTimeout:         s.Broker.Drain.Timeout,
			Env:                  s.Broker.Env,
			SecretEnv:            nomad.EnvironmentDigest(revealed(s.Broker.SecretEnv), s.Secrets.ErlangCookie.Reveal()),
			PerClient:            perClient(s),
			Auth:                 !s.Auth.Anonymous,
			ClientIDs:            clientIDs(s.Auth.ClientID),
			Authorities:          slices.Sorted(maps.Keys(authorities(s))),
			TLS:                  s.TLS.AtBroker(),
			TLSOutside:           s.TLS.Outside(),
			Listeners:            s.BrokerListeners(),
			Limits:               s.Broker.Limits.Cluster(),
			TLSProfile:           s.TLS.Profile,
			CertificateNamesFrom: certificateNamesFrom(s),
			CertificateNames:     s.Auth.ByCertificate(),
			DeviceCertificates:   s.TLS.DeviceCA != "" && !s.Auth.Anonymous,
			License:              s.Secrets.License != "",
			ConsulIdentity:       s.Consul.AuthMethod != "",
			Times:                s.Broker.Times(),
		},
		ChildOptions: opts,
	}
}

// certificateNamesFrom is where the proxies are, if they hand over the names of clients'
// certificates.
func certificateNamesFrom(s settings.Settings) string {
	if !s.TLS.VerifiesClients() {
		return ""
	}
	return s.Network.PrivateSubnetCIDR
}

func revealed(secrets map[string]settings.Secret) map[string]string {
	values := make(map[string]string, len(secrets))
	for name, value := range secrets {
		values[name] = value.Reveal()
	}
	return values
}
