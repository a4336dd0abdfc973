package stacks

import (
	"fmt"
	"net/url"
	"slices"

	consulsdk "github.com/pulumi/pulumi-consul/sdk/v3/go/consul"
	nomadsdk "github.com/pulumi/pulumi-nomad/sdk/v2/go/nomad"
	ocisdk "github.com/pulumi/pulumi-oci/sdk/v3/go/oci"
	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/identity"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// providers are explicit, so that a resource never lands in what the
// environment of the person at the keyboard happens to point at.
type providers struct {
	oci *ocisdk.Provider
	// all hands the three of them to a component and its children.
	all pulumi.ResourceOption
}

func newProviders(ctx *pulumi.Context, s settings.Settings) (providers, error) {
	o, err := ocisdk.NewProvider(ctx, "oci", &ocisdk.ProviderArgs{Region: pulumi.String(s.OCI.Region)})
	if err != nil {
		return providers{}, fmt.Errorf("configuring the oci provider: %w", err)
	}
	nomadArgs := &nomadsdk.ProviderArgs{
		Address: pulumi.String(s.Nomad.Address),
		Region:  pulumi.String(s.Nomad.Region),
	}
	if s.Nomad.Token != "" {
		nomadArgs.SecretId = s.Nomad.Token.Output().ToStringPtrOutput()
	}
	if t := s.Nomad.TLS; t.CA != "" {
		nomadArgs.CaPem = pulumi.String(t.CA)
	}
	if t := s.Nomad.TLS; t.Certificate != "" {
		nomadArgs.CertPem, nomadArgs.KeyPem = pulumi.String(t.Certificate), t.PrivateKey.Output().ToStringPtrOutput()
	}
	n, err := nomadsdk.NewProvider(ctx, "nomad", nomadArgs)
	if err != nil {
		return providers{}, fmt.Errorf("configuring the nomad provider: %w", err)
	}
	// Settings have validated the URL; the provider wants it in two parts.
	address, err := url.Parse(s.Consul.Address)
	if err != nil {
		return providers{}, fmt.Errorf("configuring the consul provider: %w", err)
	}
	consulArgs := &consulsdk.ProviderArgs{
		Address:    pulumi.String(address.Host),
		Scheme:     pulumi.String(address.Scheme),
		Datacenter: pulumi.String(s.Consul.Datacenter),
	}
	if s.Consul.Token != "" {
		consulArgs.Token = s.Consul.Token.Output().ToStringPtrOutput()
	}
	if t := s.Consul.TLS; t.CA != "" {
		consulArgs.CaPem = pulumi.String(t.CA)
	}
	if t := s.Consul.TLS; t.Certificate != "" {
		consulArgs.CertPem, consulArgs.KeyPem = pulumi.String(t.Certificate), t.PrivateKey.Output().ToStringPtrOutput()
	}
	c, err := consulsdk.NewProvider(ctx, "consul", consulArgs)
	if err != nil {
		return providers{}, fmt.Errorf("configuring the consul provider: %w", err)
	}
	return providers{oci: o, all: pulumi.Providers(o, n, c)}, nil
}

// place names the nodes and gives each its availability domain, from the
// settings' list or else from all of the region's, by name: OCI returns them in
// no promised order, and a node must not move. The first nodes.count of them
// have an instance, all have a volume.
func place(ctx *pulumi.Context, s settings.Settings, in providers) ([]cluster.Node, error) {
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
