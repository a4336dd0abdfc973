package nlb

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Checks are those of the balancer, its sets and its listeners.
func (Edge) Checks() []preflight.Check {
	return []preflight.Check{
		{Name: "kill-timeout", After: "port-collision", Graph: checkLeaving},
		{Name: "gates", Settings: checkHealthTime},
		{Name: "oci-values", After: "agent-values", Rules: checkValues},
		{Name: "quotas", Graph: checkGroups},
	}
}

// checkNotice is what the balancer takes to change its mind about a backend.
func checkNotice(s settings.Settings) time.Duration {
	return time.Duration(s.Edge.HealthRetries)*s.Edge.HealthInterval + s.Edge.HealthTimeout
}

// checkLeaving: a node that stops must be out of the way before its ports close.
func checkLeaving(in *preflight.Input, r *preflight.Report) {
	if notice, grace := checkNotice(in.Settings), in.Settings.Proxy.ShutdownDelay; grace < notice {
		r.Warnf(preflight.Setting("proxy.shutdownDelay"), "should be at least %s, what the balancer takes to notice a failing health check, got %s", notice, grace)
	}
}

func checkHealthTime(s settings.Settings, _ time.Time, r *preflight.Report) {
	if notice := checkNotice(s); s.Gates.EdgeHealthy < notice {
		r.Warnf(preflight.Setting("gates.edgeHealthy"), "should be at least %s, what the balancer takes to call a backend healthy, got %s", notice, s.Gates.EdgeHealthy)
	}
}

func checkGroups(in *preflight.Input, r *preflight.Report) {
	const list = "networkSecurityGroupIds"
	for _, x := range in.Kind(checkBalancerType) {
		if ids := preflight.Property(x, list); ids.IsArray() && len(ids.ArrayValue()) > limits.MaxGroups {
			r.Errorf(preflight.Path(x, list), "must hold at most %d security groups, got %d", limits.MaxGroups, len(ids.ArrayValue()))
		}
	}
}
