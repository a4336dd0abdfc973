package guards

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// private are the ranges that the internet does not route: RFC 1918, carriers'
// and VPNs' shared space (RFC 6598), loopback and link-local.
var private = []netip.Prefix{
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("169.254.0.0/16"),
}

// Static judges the settings alone, at every preview and update: a stack that
// was deployed with an exception is told when the exception goes.
func Static(s settings.Settings) []Violation {
	var found []Violation
	if public := publicRanges(s.Network.DashboardCIDRs); len(public) > 0 && !s.Guards.AllowPublicDashboard {
		found = append(found, Violation{
			Guard: PublicDashboard, Allow: "emqx-oci:guards.allowPublicDashboard",
			Message: fmt.Sprintf("emqx-oci:network.dashboardCidrs opens EMQX's dashboard to public addresses (%s): "+
				"name private ranges, such as a VPN's, or set emqx-oci:guards.allowPublicDashboard to true",
				strings.Join(public, ", ")),
		})
	}
	if s.Production() && !s.Volumes.Protect && !s.Volumes.Retain && !s.Guards.AllowUnprotected {
		found = append(found, Violation{
			Guard: Unprotected, Allow: "emqx-oci:guards.allowUnprotected",
			Message: fmt.Sprintf("the volumes of production stack %s would not be protected from deletion any more: "+
				"set emqx-oci:volumes.protect or emqx-oci:volumes.retain to true, or emqx-oci:guards.allowUnprotected to true", s.Environment),
		})
	}
	return found
}

// publicRanges are those that lie, or reach, outside the private ones. What is
// no range at all is for the settings' own checks.
func publicRanges(cidrs []string) []string {
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
