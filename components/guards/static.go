package guards

import (
	"fmt"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Static judges the settings alone, at every preview and update: a stack that
// was deployed with an exception is told when the exception goes.
func Static(s settings.Settings) []Violation {
	var found []Violation
	if public := settings.PublicRanges(s.Network.DashboardCIDRs); len(public) > 0 && !s.Guards.AllowPublicDashboard {
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
