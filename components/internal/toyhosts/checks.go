package toyhosts

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Checks are one of its own, values that its API accepts, and its part of a check that others have a part in.
func (Hosts) Checks() []preflight.Check {
	return []preflight.Check{
		{
			Name: "rack-space", After: "single-node", Severity: preflight.Error,
			Reason: "A full rack takes no node.", Example: "Host a.units: must have room", Remedy: "Buy a rack.",
			Graph: func(in *preflight.Input, r *preflight.Report) {
				for _, x := range in.Kind(HostType) {
					if preflight.NumberAt(x, "units") < in.Settings.Nodes.Count {
						r.Errorf(preflight.Path(x, "units"), "must be at least %d, got %d", in.Settings.Nodes.Count, preflight.NumberAt(x, "units"))
					}
				}
			},
			Quotas: []preflight.Quota{{Of: "nodes of a rack", Most: "42", Source: "its door", Check: "rack-space"}},
		},
		{
			Name: "rack-values", After: "agent-values", Severity: preflight.Error,
			Reason: "A rack is steel.", Example: "Host a.color: must be grey", Remedy: "Paint it.",
			Rules: map[string]preflight.Rules{HostType: {
				Required: []string{"hall"},
				Each:     []preflight.Rule{{Path: "color", Test: preflight.OneOf("grey")}},
			}},
		},
		{
			Name: "gates", Severity: preflight.Warning, Reason: "Somebody walks to the rack.", Example: "walk", Remedy: "Run.",
			Settings: func(s settings.Settings, _ time.Time, r *preflight.Report) {
				r.Warnf(preflight.Setting("gates.nodesReady"), "should be at least the way to the rack, got %s", s.Gates.NodesReady)
			},
		},
	}
}
