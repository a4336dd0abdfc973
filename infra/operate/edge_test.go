package operate

import (
	"context"
	"testing"

	consul "github.com/hashicorp/consul/api"
	"gotest.tools/v3/assert"
)

func TestWhatTheBalancerThinks(t *testing.T) {
	health := map[string]string{
		"mqtt/emqx-lab-0": "OK", "mqtt/emqx-lab-1": "CRITICAL", "mqtt/emqx-lab-2": "UNKNOWN",
		"ws/emqx-lab-0": "OK", "ws/emqx-lab-1": "CRITICAL", "ws/emqx-lab-2": "OK",
	}
	o := StatusOptions{
		Balancer:   func(context.Context) BalancerStatus { return BalancerStatus{Backends: Backends(health)} },
		LastUpdate: func(context.Context) UpdateStatus { return UpdateStatus{Error: "the backend is away"} },
	}
	w := newWorld(t, 3)
	s := w.cluster().Status(t.Context(), o)
	assert.Equal(t, s.Balancer.Summary(), "3 of 6 backends healthy: emqx-lab-1 is CRITICAL for mqtt and ws; emqx-lab-2 is UNKNOWN for mqtt")
	assert.DeepEqual(t, what(s), []string{
		"the balancer sends no new clients to emqx-lab-1, whose HAProxy is well: CRITICAL for mqtt and ws",
		"the balancer sends no new clients to emqx-lab-2, whose HAProxy is well: UNKNOWN for mqtt",
	})

	// A proxy that is not well is the cause, and is told.
	w.checks[1].Checks = consul.HealthChecks{{Status: consul.HealthCritical, Output: "503"}}
	delete(health, "mqtt/emqx-lab-2")
	s = w.cluster().Status(t.Context(), o)
	assert.DeepEqual(t, what(s), []string{"HAProxy on emqx-lab-1 is critical: 503"})

	// Not to know is no fault of the cluster.
	o.Balancer = func(context.Context) BalancerStatus { return BalancerStatus{Error: "connection refused"} }
	s = newWorld(t, 3).cluster().Status(t.Context(), o)
	assert.Assert(t, s.Well, "%v", what(s))
	assert.Equal(t, s.Balancer.Summary(), "not known: connection refused")
	assert.Equal(t, s.LastUpdate.Error, "the backend is away")
	s = newWorld(t, 3).cluster().Status(t.Context(), StatusOptions{})
	assert.Assert(t, s.Balancer == nil && s.LastUpdate == nil)
}
