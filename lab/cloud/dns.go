package cloud

import (
	"net/netip"
	"strings"
)

const maxTTL = 604800 // a week, OCI's longest

var rrsetKind = kind{
	noun: "rrset", starting: active, ready: active, whole: true,
	id: func(r *resource) string {
		return "zoneNameOrId/" + str(r.In, "zoneNameOrId") + "/domain/" + domainOf(r.In) + "/rtype/" + str(r.In, "rtype")
	},
	check: func(_ *state, _ string, in, old Props) error {
		if err := need(in, "zoneNameOrId", "domain", "rtype"); err != nil {
			return err
		}
		if z := str(in, "zoneNameOrId"); z != ZoneName {
			return notFound("zone " + z)
		}
		domain := domainOf(in)
		if domain != ZoneName && !strings.HasSuffix(domain, "."+ZoneName) {
			return invalid("domain %q is not in zone %s", domain, ZoneName)
		}
		if err := oneOf(in, "rtype", "A", "AAAA", "CNAME", "TXT"); err != nil {
			return err
		}
		if old != nil && (domain != domainOf(old) || in["rtype"] != old["rtype"] || in["zoneNameOrId"] != old["zoneNameOrId"]) {
			return invalid("zone, domain and rtype of a record set cannot be changed")
		}
		ttl := -1
		for _, item := range subs(in, "items") {
			if err := need(item, "domain", "rtype", "rdata"); err != nil {
				return err
			}
			if domainOf(item) != domain || item["rtype"] != in["rtype"] {
				return invalid("item %s %s does not belong to the record set %s %s", str(item, "domain"), str(item, "rtype"), domain, str(in, "rtype"))
			}
			if err := within(item, "ttl", 1, maxTTL); err != nil {
				return err
			}
			n, present, err := whole(item, "ttl")
			if err != nil {
				return err
			} else if !present {
				return &Error{400, "MissingParameter", "items.ttl is required"}
			}
			if ttl >= 0 && n != ttl {
				return invalid("all items of a record set must have the same ttl, got %d and %d", ttl, n)
			}
			ttl = n
			if addr, err := netip.ParseAddr(str(item, "rdata")); str(in, "rtype") == "A" && (err != nil || !addr.Is4()) {
				return invalid("rdata %q of an A record is no IPv4 address", str(item, "rdata"))
			}
		}
		return nil
	},
	view: func(_ *state, r *resource) Props {
		items := []any{}
		for _, item := range subs(r.In, "items") {
			i := clone(item)
			i["isProtected"], i["recordHash"], i["rrsetVersion"] = false, "", "1"
			items = append(items, i)
		}
		return Props{
			"id": r.ID, "zoneNameOrId": str(r.In, "zoneNameOrId"), "domain": str(r.In, "domain"), "rtype": str(r.In, "rtype"),
			"items": items, "compartmentId": strOr(r.In, "compartmentId", CompartmentID),
			"scope": str(r.In, "scope"), "viewId": str(r.In, "viewId"),
		}
	},
}

func domainOf(p Props) string { return strings.ToLower(strings.TrimSuffix(str(p, "domain"), ".")) }

// records of the zone.
func (s *state) records() []Record {
	var out []Record
	for _, r := range s.of(typeRrset) {
		if r.State == terminating {
			continue
		}
		for _, item := range subs(r.In, "items") {
			out = append(out, Record{Name: domainOf(item), Type: str(item, "rtype"), Data: str(item, "rdata"), TTL: wholeOr(item, "ttl", 300)})
		}
	}
	return out
}
