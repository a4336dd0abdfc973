package preflight

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

func portCollision(s settings.Settings, _ time.Time, r *report) {
	for _, x := range s.Ports.Cluster().Faults() {
		r.errorf(setting("ports."+x.Of), "%s", x.Text)
	}
}
