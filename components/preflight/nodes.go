package preflight

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

func evenNodes(s settings.Settings, _ time.Time, r *Report) {
	if n := s.Nodes.Count; n > 1 && n%2 == 0 {
		r.Warnf(Setting("nodes.count"), "should be odd, got %d: when the network splits the cluster in two halves, EMQX restarts one of them afterwards, and half of the sessions go", n)
	}
}

func singleNode(s settings.Settings, _ time.Time, r *Report) {
	if s.Nodes.Count == 1 {
		r.Warnf(Setting("nodes.count"), "should be at least 3, got 1: every restart of the node is an outage, and its clients' sessions are lost")
	}
}

// roundTrip: whoever asks for the name may hear of the old address for a while.
func roundTrip(s settings.Settings, _ time.Time, r *Report) {
	if ttl := time.Duration(s.DNS.TTL) * time.Second; s.Gates.RoundTrip < ttl {
		r.Warnf(Setting("gates.roundTrip"), "should be at least dns.ttl (%s): a resolver may know the old address for so long, got %s", ttl, s.Gates.RoundTrip)
	}
}
