package ocidns

import (
	"fmt"

	"github.com/pulumi/pulumi-oci/sdk/v3/go/oci/dns"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/components/seams"
)

// proofTTL is short: the next proof has another value.
const proofTTL = 30

// Prove registers a record set of TXT.
func (Names) Prove(ctx *pulumi.Context, in seams.Given, record string, values []string, opts ...pulumi.ResourceOption) (pulumi.CustomResource, error) {
	s := in.Settings
	items := dns.RrsetItemArray{}
	for _, v := range values {
		items = append(items, dns.RrsetItemArgs{
			Domain: pulumi.String(record), Rtype: pulumi.String("TXT"), Rdata: pulumi.String(`"` + v + `"`), Ttl: pulumi.Int(proofTTL),
		})
	}
	args := &dns.RrsetArgs{ZoneNameOrId: pulumi.String(s.DNS.Zone), Domain: pulumi.String(record), Rtype: pulumi.String("TXT"), Items: items}
	scope(args, s.DNS.View)
	set, err := dns.NewRrset(ctx, in.Name+"-proof", args, opts...)
	if err != nil {
		return nil, fmt.Errorf("creating the TXT record of %q: %w", record, err)
	}
	return set, nil
}

// scope says which zone is meant: a private one's name is its own within its view only.
func scope(record *dns.RrsetArgs, view string) {
	if view != "" {
		record.Scope, record.ViewId = pulumi.String("PRIVATE"), pulumi.String(view)
	}
}
