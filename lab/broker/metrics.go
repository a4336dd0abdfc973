package broker

import (
	"fmt"
	"net/http"
	"strings"
)

// metric is one of EMQX's Prometheus names that the stand-in can count.
type metric struct {
	name, kind string
	value      func(nodeStats) int64
}

var metrics = []metric{
	{"emqx_connections_count", "gauge", func(s nodeStats) int64 { return s.Connections }},
	{"emqx_live_connections_count", "gauge", func(s nodeStats) int64 { return s.Live }},
	{"emqx_sessions_count", "gauge", func(s nodeStats) int64 { return s.Connections }},
	{"emqx_subscriptions_count", "gauge", func(s nodeStats) int64 { return s.Subs }},
	{"emqx_subscriptions_shared_count", "gauge", func(s nodeStats) int64 { return s.SharedSubs }},
	{"emqx_topics_count", "gauge", func(s nodeStats) int64 { return s.Topics }},
	{"emqx_retained_count", "gauge", func(s nodeStats) int64 { return s.Retained }},
	{"emqx_messages_received", "counter", func(s nodeStats) int64 { return s.MsgIn }},
	{"emqx_messages_sent", "counter", func(s nodeStats) int64 { return s.MsgOut }},
	{"emqx_messages_dropped", "counter", func(s nodeStats) int64 { return s.MsgDropped }},
	{"emqx_messages_forward", "counter", func(s nodeStats) int64 { return s.MsgForward }},
	{"emqx_packets_received", "counter", func(s nodeStats) int64 { return s.PacketsIn }},
	{"emqx_packets_sent", "counter", func(s nodeStats) int64 { return s.PacketsOut }},
	{"emqx_bytes_received", "counter", func(s nodeStats) int64 { return s.BytesIn }},
	{"emqx_bytes_sent", "counter", func(s nodeStats) int64 { return s.BytesOut }},
	{"emqx_vm_used_memory", "gauge", func(s nodeStats) int64 { return s.Memory }},
}

func (h *api) prometheus(w http.ResponseWriter, r *http.Request) {
	n := h.app.node
	if n.cfg.statsAuth && h.denied(r) != "" {
		fail(w, http.StatusUnauthorized, "UNAUTHORIZED", "")
		return
	}
	var b strings.Builder
	switch mode := r.URL.Query().Get("mode"); {
	case !strings.HasSuffix(r.URL.Path, "/stats"):
		// Authentication and data integration: there is none.
	case mode == "" || mode == "node":
		writeMetrics(&b, []nodeStats{n.stats()}, false)
	case mode == "all_nodes_aggregated":
		writeMetrics(&b, []nodeStats{sumStats(n.clusterStats(r.Context(), statsPatience))}, false)
	case mode == "all_nodes_unaggregated":
		writeMetrics(&b, n.clusterStats(r.Context(), statsPatience), true)
	default:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "mode: want node, all_nodes_aggregated or all_nodes_unaggregated")
		return
	}
	if strings.HasSuffix(r.URL.Path, "/stats") {
		running, stopped := n.clusterStatus()
		_, _ = fmt.Fprintf(&b, "# TYPE emqx_cluster_nodes_running gauge\nemqx_cluster_nodes_running %d\n", len(running))
		_, _ = fmt.Fprintf(&b, "# TYPE emqx_cluster_nodes_stopped gauge\nemqx_cluster_nodes_stopped %d\n", len(stopped))
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write([]byte(b.String()))
}

func writeMetrics(b *strings.Builder, nodes []nodeStats, label bool) {
	for _, m := range metrics {
		_, _ = fmt.Fprintf(b, "# TYPE %s %s\n", m.name, m.kind)
		for _, s := range nodes {
			if label {
				_, _ = fmt.Fprintf(b, "%s{node=%q} %d\n", m.name, s.Node, m.value(s))
			} else {
				_, _ = fmt.Fprintf(b, "%s %d\n", m.name, m.value(s))
			}
		}
	}
	b.WriteString("# TYPE emqx_cert_expiry_at gauge\n")
	for _, s := range nodes {
		for _, id := range sortedKeys(s.CertExpiry) {
			typ, name, _ := strings.Cut(id, ":")
			labels := fmt.Sprintf("listener_type=%q,listener_name=%q", typ, name)
			if label {
				labels = fmt.Sprintf("node=%q,", s.Node) + labels
			}
			_, _ = fmt.Fprintf(b, "emqx_cert_expiry_at{%s} %d\n", labels, s.CertExpiry[id])
		}
	}
}

// sumStats adds the nodes up, except what every node has the same of: retained
// messages are replicated.
func sumStats(all []nodeStats) nodeStats {
	t := nodeStats{Node: all[0].Node, CertExpiry: all[0].CertExpiry, Retained: all[0].Retained}
	for _, s := range all {
		t.Connections += s.Connections
		t.Live += s.Live
		t.Subs += s.Subs
		t.SharedSubs += s.SharedSubs
		t.Topics += s.Topics
		t.MsgIn += s.MsgIn
		t.MsgOut += s.MsgOut
		t.MsgDropped += s.MsgDropped
		t.MsgForward += s.MsgForward
		t.PacketsIn += s.PacketsIn
		t.PacketsOut += s.PacketsOut
		t.BytesIn += s.BytesIn
		t.BytesOut += s.BytesOut
		t.Memory += s.Memory
	}
	return t
}
