package components

import (
	"fmt"
	"maps"
	"net/url"

	consulsdk "github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
	nomadsdk "github.com/emqx-oci/emqx-oci/sdks/nomad"
)

// newProviders registers the providers of the kinds, which it adds to what they are given, and those of both agents, and
// gives the option that hands all to a component and its children. They are explicit, so that a resource never lands in
// what the environment of the person at the keyboard happens to point at. They are not in the component: `pulumi import`
// makes providers first, and one in a component that is not there yet fails it.
func newProviders(ctx *pulumi.Context, given *seams.Given, k kinds.Kinds) (pulumi.ResourceOption, error) {
	name, s := given.Name, given.Settings
	given.Providers = map[string]pulumi.ProviderResource{}
	var all []pulumi.ProviderResource
	for _, kind := range k.Providers() {
		p, err := kind.New(ctx, ProviderName(name, kind.Package), s)
		if err != nil {
			return nil, fmt.Errorf("configuring the %s provider: %w", kind.Package, err)
		}
		given.Providers[kind.Package] = p
		all = append(all, p)
	}
	in, err := InputsOfProviders(s)
	if err != nil {
		return nil, fmt.Errorf("configuring the providers: %w", err)
	}
	of := in["nomad"]
	n, err := nomadsdk.NewProvider(ctx, ProviderName(name, "nomad"), &nomadsdk.ProviderArgs{
		Address: of.input("address"), Region: of.input("region"), SecretId: of.input("secretId"),
		CaPem: of.input("caPem"), CertPem: of.input("certPem"), KeyPem: of.input("keyPem"),
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the nomad provider: %w", err)
	}
	of = in["consul"]
	c, err := consulsdk.NewProvider(ctx, ProviderName(name, "consul"), &consulsdk.ProviderArgs{
		Address: of.input("address"), Scheme: of.input("scheme"), Datacenter: of.input("datacenter"), Token: of.input("token"),
		CaPem: of.input("caPem"), CertPem: of.input("certPem"), KeyPem: of.input("keyPem"),
	})
	if err != nil {
		return nil, fmt.Errorf("configuring the consul provider: %w", err)
	}
	return pulumi.Providers(append(all, n, c)...), nil
}

// ProviderName is the name of a cluster's explicit provider, by its package: oci, nomad, consul.
func ProviderName(clusterName, kind string) string { return clusterName + "-" + kind }

// ProviderInput is what a provider is told, and whether the state has it encrypted.
type ProviderInput struct {
	Value  string
	Secret bool
}

// ProviderInputs are a provider's, by their names.
type ProviderInputs map[string]ProviderInput

// input is nil for what is not given.
func (p ProviderInputs) input(name string) pulumi.StringPtrInput {
	switch in, given := p[name]; {
	case !given:
		return nil
	case in.Secret:
		return settings.Secret(in.Value).Output().ToStringPtrOutput()
	default:
		return pulumi.String(in.Value)
	}
}

// InputsOfProviders are the inputs of both agents' providers, nomad and consul: where
// the servers are, and who asks them. Consul's takes a URL in two parts.
func InputsOfProviders(s settings.Settings) (map[string]ProviderInputs, error) {
	consul, err := url.Parse(s.Consul.Address)
	if err != nil {
		return nil, fmt.Errorf("reading emqx-oci:consul.address: %w", err)
	}
	all := map[string]ProviderInputs{
		"nomad":  {"address": {Value: s.Nomad.Address}, "region": {Value: s.Nomad.Region}, "secretId": {string(s.Nomad.Token), true}},
		"consul": {"address": {Value: consul.Host}, "scheme": {Value: consul.Scheme}, "datacenter": {Value: s.Consul.Datacenter}, "token": {string(s.Consul.Token), true}},
	}
	for name, tls := range map[string]settings.ClientTLS{"nomad": s.Nomad.TLS, "consul": s.Consul.TLS} {
		maps.Copy(all[name], ProviderInputs{"caPem": {Value: tls.CA}, "certPem": {Value: tls.Certificate}, "keyPem": {string(tls.PrivateKey), true}})
		maps.DeleteFunc(all[name], func(_ string, in ProviderInput) bool { return in.Value == "" })
	}
	return all, nil
}
