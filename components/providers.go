package components

import (
	"fmt"
	"maps"
	"net/url"
	"slices"

	consulsdk "github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	ocisdk "github.com/pulumi/pulumi-oci/sdk/v3/go/oci"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/identity"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	nomadsdk "github.com/emqx-oci/emqx-oci/sdks/nomad"
)

// providers are explicit, so that a resource never lands in what the
// environment of the person at the keyboard happens to point at. They are not in the
// component: `pulumi import` makes providers first, and one in a component that is not
// there yet fails it.
type providers struct {
	oci *ocisdk.Provider
	// all hands the three of them to a component and its children.
	all pulumi.ResourceOption
}

func newProviders(ctx *pulumi.Context, name string, s settings.Settings) (providers, error) {
	o, err := ocisdk.NewProvider(ctx, ProviderName(name, "oci"), &ocisdk.ProviderArgs{Region: pulumi.String(s.OCI.Region)})
	if err != nil {
		return providers{}, fmt.Errorf("configuring the oci provider: %w", err)
	}
	in, err := InputsOfProviders(s)
	if err != nil {
		return providers{}, fmt.Errorf("configuring the providers: %w", err)
	}
	of := in["nomad"]
	n, err := nomadsdk.NewProvider(ctx, ProviderName(name, "nomad"), &nomadsdk.ProviderArgs{
		Address: of.input("address"), Region: of.input("region"), SecretId: of.input("secretId"),
		CaPem: of.input("caPem"), CertPem: of.input("certPem"), KeyPem: of.input("keyPem"),
	})
	if err != nil {
		return providers{}, fmt.Errorf("configuring the nomad provider: %w", err)
	}
	of = in["consul"]
	c, err := consulsdk.NewProvider(ctx, ProviderName(name, "consul"), &consulsdk.ProviderArgs{
		Address: of.input("address"), Scheme: of.input("scheme"), Datacenter: of.input("datacenter"), Token: of.input("token"),
		CaPem: of.input("caPem"), CertPem: of.input("certPem"), KeyPem: of.input("keyPem"),
	})
	if err != nil {
		return providers{}, fmt.Errorf("configuring the consul provider: %w", err)
	}
	return providers{oci: o, all: pulumi.Providers(o, n, c)}, nil
}

// ProviderName is the name of a cluster's explicit provider of a kind: oci, nomad, consul.
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

// assignDomains names the nodes and gives each its availability domain, from the
// settings' list or else from all of the region's, by name: OCI returns them in
// no promised order, and a node must not move. The first nodes.count of them
// have an instance, all have a volume.
func assignDomains(ctx *pulumi.Context, s settings.Settings, in providers) ([]cluster.Node, error) {
	domains := s.OCI.AvailabilityDomains
	if len(domains) == 0 {
		found, err := identity.GetAvailabilityDomains(ctx, &identity.GetAvailabilityDomainsArgs{
			CompartmentId: s.OCI.Compartment,
		}, pulumi.Provider(in.oci))
		if err != nil {
			return nil, fmt.Errorf("looking up the availability domains of region %q (or list them in emqx-oci:oci.availabilityDomains): %w",
				s.OCI.Region, err)
		}
		for _, d := range found.AvailabilityDomains {
			domains = append(domains, d.Name)
		}
		slices.Sort(domains)
	}
	return cluster.Nodes(s.Environment, max(s.Nodes.Count, s.Volumes.Count), domains)
}
