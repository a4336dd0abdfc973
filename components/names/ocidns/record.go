package ocidns

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/dns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

const dnsRecordType = "emqx:oci:DNSRecord"

// DNSRecordArgs describe the public name of a cluster.
type DNSRecordArgs struct {
	// Required.

	// Zone is the name of the DNS zone: "example.com".
	Zone string
	// Name is the full name inside the zone: "mqtt.example.com".
	Name string
	// Address is what the name resolves to.
	Address pulumi.StringInput

	// Defaulted.

	// TTLSeconds of the record, 1 to 604800; default 60, so that a new balancer
	// is found within a minute.
	TTLSeconds int

	// Optional.

	// ViewID is the OCID of the view of a private zone.
	ViewID string
	// ChildOptions go to the record itself: hooks and dependencies of a component
	// do not reach its children.
	ChildOptions []pulumi.ResourceOption
}

// DNSRecord is the A record that clients resolve, in a public zone or in a view's.
//
//	record, err := oci.NewDNSRecord(ctx, "dns", &ocidns.DNSRecordArgs{
//		Zone:         "example.com",
//		Name:         "mqtt.example.com",
//		Address:      balancer.Address,
//		ChildOptions: []pulumi.ResourceOption{pulumi.DependsOn(listeners.Each)},
//	})
type DNSRecord struct {
	pulumi.ResourceState

	// Name is the full name, known once the record exists.
	Name pulumi.StringOutput
}

// NewDNSRecord registers the record; every fault of args is reported before it
// is.
func NewDNSRecord(ctx *pulumi.Context, name string, args *DNSRecordArgs, opts ...pulumi.ResourceOption) (*DNSRecord, error) {
	a := DNSRecordArgs{}
	if args != nil {
		a = *args
	}
	if a.TTLSeconds == 0 {
		a.TTLSeconds = 60
	}
	if err := a.validate(); err != nil {
		return nil, fmt.Errorf("creating DNS record %q: %w", name, err)
	}
	r := &DNSRecord{}
	if err := ctx.RegisterComponentResource(dnsRecordType, name, r, opts...); err != nil {
		return nil, err
	}
	childOpts := append([]pulumi.ResourceOption{pulumi.Parent(r)}, a.ChildOptions...)
	record := &dns.RrsetArgs{
		ZoneNameOrId: pulumi.String(a.Zone),
		Domain:       pulumi.String(a.Name),
		Rtype:        pulumi.String("A"),
		Items: dns.RrsetItemArray{dns.RrsetItemArgs{
			Domain: pulumi.String(a.Name),
			Rtype:  pulumi.String("A"),
			Rdata:  a.Address,
			Ttl:    pulumi.Int(a.TTLSeconds),
		}},
	}
	scope(record, a.ViewID)
	set, err := dns.NewRrset(ctx, name, record, childOpts...)
	if err != nil {
		return nil, fmt.Errorf("creating the A record of %q: %w", a.Name, err)
	}
	r.Name = set.Domain
	return r, ctx.RegisterResourceOutputs(r, pulumi.Map{"name": r.Name})
}

func (a *DNSRecordArgs) validate() error {
	var f fault.List
	f.Require("zone", a.Zone)
	f.Require("name", a.Name)
	if a.Zone != "" && !strings.HasSuffix(a.Name, "."+a.Zone) {
		f.Add("name", "must end with %q, got %q", "."+a.Zone, a.Name)
	}
	if a.Address == nil {
		f.Add("address", "must be set")
	}
	f.Range("ttlSeconds", a.TTLSeconds, 1, limits.MaxTTL)
	return f.Err()
}
