// Package ocidns keeps a cluster's public name in OCI DNS. It is an implementation of [seams.Names].
package ocidns

import (
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/oci"
	"github.com/emqx-oci/emqx-oci/components/seams"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Names are records of a zone in OCI DNS.
type Names struct{}

var _ seams.Names = Names{}

// Provider is OCI's.
func (Names) Provider() *seams.Provider { return oci.Provider }

// Phase is the part of a deployment that a type belongs to.
func (Names) Phase(typ string) string {
	if strings.HasPrefix(typ, "oci:Dns/") {
		return "dns"
	}
	return ""
}

// StandIn has nothing to stand in for: the zone is known by its name.
func (Names) StandIn(*settings.Settings) seams.Answers { return nil }

// Declare registers the record.
func (Names) Declare(
	ctx *pulumi.Context, in seams.Given, address pulumi.StringOutput, gates []pulumi.ResourceOption, opts ...pulumi.ResourceOption,
) (pulumi.StringOutput, error) {
	s := in.Settings
	record, err := NewDNSRecord(ctx, in.Name+"-dns", &DNSRecordArgs{
		Zone:         s.DNS.Zone,
		ViewID:       s.DNS.View,
		Name:         s.DNS.Name,
		Address:      address,
		TTLSeconds:   s.DNS.TTL,
		ChildOptions: gates,
	}, opts...)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return record.Name, nil
}
