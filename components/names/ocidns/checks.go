package ocidns

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Checks are those of the record.
func (Names) Checks() []preflight.Check {
	return []preflight.Check{{
		Name: "oci-values", Rules: checkValues,
		Quotas: []preflight.Quota{
			{Of: "time to live of a DNS record", Most: fmt.Sprint(limits.MaxTTL) + " s", Source: "OCI's API, RecordDetails", Check: "oci-values"},
		},
	}}
}

var checkDomainName = regexp.MustCompile(`^([A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?\.)+[A-Za-z0-9-]{2,63}$`)

// checkValues are what OCI's API of DNS accepts, and its provider lets through at preview.
var checkValues = map[string]preflight.Rules{
	"pulumi:providers:oci": {},
	// RecordDetails: the domain lies inside the zone; ttl is RFC 2181's, which
	// OCI limits to a week.
	"oci:Dns/rrset:Rrset": {
		Required: []string{"zoneNameOrId", "domain", "rtype"},
		Each: []preflight.Rule{
			{Path: "domain", Test: preflight.Like(checkDomainName, "a full domain name")},
			{Path: "rtype", Test: preflight.OneOf("A", "AAAA", "CNAME", "TXT", "SRV")},
			{Path: "items.[].rtype", Test: preflight.OneOf("A", "AAAA", "CNAME", "TXT", "SRV")},
			{Path: "items.[].ttl", Test: preflight.Between(1, limits.MaxTTL)},
		},
		Whole: checkRecord,
	},
}

// checkRecord: every item repeats domain and type of its set.
func checkRecord(r recorder.Resource, wrong preflight.Wrong) {
	domain, zone := preflight.TextAt(r, "domain"), preflight.TextAt(r, "zoneNameOrId")
	if !strings.HasPrefix(zone, "ocid1.") && domain != zone && !strings.HasSuffix(domain, "."+zone) {
		wrong("domain", "must be inside zone %q, got %q", zone, domain)
	}
	items := preflight.Property(r, "items")
	if !items.IsArray() {
		return
	}
	for i, item := range items.ArrayValue() {
		item = preflight.Open(item)
		if !item.IsObject() {
			continue
		}
		of := func(name string) resource.PropertyValue {
			return preflight.Open(item.ObjectValue()[resource.PropertyKey(name)])
		}
		for name, want := range map[string]string{"domain": domain, "rtype": preflight.TextAt(r, "rtype")} {
			if preflight.Text(of(name)) != want {
				wrong(fmt.Sprintf("items[%d].%s", i, name), "must be the set's own %q, got %s", want, preflight.Show(of(name)))
			}
		}
		if rdata := of("rdata"); preflight.Text(of("rtype")) == "A" && !rdata.IsNull() && !preflight.Unknown(rdata) {
			if complaint := preflight.IPv4(rdata); complaint != "" {
				wrong(fmt.Sprintf("items[%d].rdata", i), "%s", complaint)
			}
		}
	}
}
