package settings

import (
	"net/netip"
	"slices"
)

// private are the ranges that the internet does not route: RFC 1918, carriers'
// and VPNs' shared space (RFC 6598), loopback and link-local.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
}

// PublicRanges are those that lie, or reach, outside the private ones. What is
// no range at all is for the settings' own checks.
func PublicRanges(cidrs []string) []string {
	var public []string
	for _, c := range cidrs {
		p, err := netip.ParsePrefix(c)
		if err != nil {
			continue
		}
		if !slices.ContainsFunc(private, func(r netip.Prefix) bool { return r.Bits() <= p.Bits() && r.Contains(p.Addr()) }) {
			public = append(public, c)
		}
	}
	return public
}
