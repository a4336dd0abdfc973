package preflight

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

func portCollision(s settings.Settings, _ time.Time, r *Report) {
	for _, x := range s.Ports.Cluster().Faults() {
		r.Errorf(Setting("ports."+x.Of), "%s", x.Text)
	}
}
