package broker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// api is the HTTP listener on 18083: health, numbers, REST.
type api struct {
	app *app
	ln  net.Listener
	srv *http.Server
}

// openAPI opens the address; serve answers, once the MQTT listeners do.
func openAPI(a *app) (*api, error) {
	ln, err := listenTCP(a.node.cfg.dashboard.bind)
	if err != nil {
		return nil, err
	}
	h := &api{app: a, ln: ln}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", h.status)
	mux.HandleFunc("GET /api/v5/status", h.status)
	mux.HandleFunc("POST /api/v5/login", h.login)
	for _, p := range []string{"stats", "auth", "data_integration"} {
		mux.HandleFunc("GET /api/v5/prometheus/"+p, h.prometheus)
	}
	for pattern, f := range map[string]http.HandlerFunc{
		"GET /api/v5/nodes":                         h.nodes,
		"GET /api/v5/nodes/{node}":                  h.node,
		"GET /api/v5/cluster":                       h.cluster,
		"DELETE /api/v5/cluster/{node}/force_leave": h.forceLeave,
		"GET /api/v5/clients":                       paged(h.clients),
		"GET /api/v5/clients/{id}":                  h.client,
		"DELETE /api/v5/clients/{id}":               h.kickOne,
		"POST /api/v5/clients/kickout/bulk":         h.kickMany,
		"GET /api/v5/subscriptions":                 paged(h.subscriptions),
		"POST /api/v5/publish":                      h.publish,
		"GET /api/v5/stats":                         h.stats,
		"GET /api/v5/listeners":                     h.listeners,
		"PUT /api/v5/listeners/{id}":                h.putListener,
	} {
		mux.HandleFunc(pattern, h.guard(f))
	}
	for pattern, f := range h.accessRoutes() {
		mux.HandleFunc(pattern, h.guard(f))
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/" {
			noPath(mux, w, r)
			return
		}
		_, _ = fmt.Fprintf(w, "Stand-in for EMQX %s, node %s. It has no dashboard.\n", Version, a.node.cfg.node)
	})
	h.srv = &http.Server{Handler: mux, ReadHeaderTimeout: 15 * time.Second}
	return h, nil
}

func (h *api) serve() {
	go func() {
		if err := h.srv.Serve(h.ln); !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			h.app.node.log.Error("HTTP listener ended", "reason", err.Error())
		}
	}()
}

func (h *api) close() {
	_ = h.ln.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if h.srv.Shutdown(ctx) != nil {
		_ = h.srv.Close()
	}
}

func reply(w http.ResponseWriter, code int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(v)
}

func fail(w http.ResponseWriter, code int, name, text string) {
	reply(w, code, map[string]string{"code": name, "message": text})
}

// status says that this node's application runs, and nothing of the cluster.
func (h *api) status(w http.ResponseWriter, r *http.Request) {
	n := h.app.node
	state, code := "running", http.StatusOK
	if n.currentPhase() != phaseRunning {
		state, code = "not_running", http.StatusServiceUnavailable
		w.Header().Set("Retry-After", "15")
	}
	if r.URL.Query().Get("format") == "json" {
		reply(w, code, map[string]any{
			"node_name": n.cfg.node.String(), "rel_vsn": Version, "broker_status": "started", "app_status": state,
		})
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	w.WriteHeader(code)
	_, _ = fmt.Fprintf(w, "Node %s is started\nemqx is %s", n.cfg.node, state)
}

func (h *api) nodeInfo(s *nodeStats, name string) map[string]any {
	if s == nil {
		return map[string]any{"node": name, "node_status": "stopped", "role": "core"}
	}
	return map[string]any{
		"node": s.Node, "node_status": "running", "version": Version, "edition": "Opensource", "role": "core",
		"connections": s.Connections, "live_connections": s.Live, "cluster_sessions": s.Connections,
		"uptime": time.Since(time.Unix(0, s.Born)).Milliseconds(), "memory_used": s.Memory, "otp_release": "stand-in",
	}
}

// nodesPatience is what EMQX's list of nodes waits for a running one that is silent, and
// leaves it out then (emqx_management_proto_v5:node_info).
const nodesPatience = 30 * time.Second

func (h *api) nodeList(ctx context.Context) []map[string]any {
	list := []map[string]any{}
	for _, s := range h.app.node.clusterStats(ctx, nodesPatience) {
		list = append(list, h.nodeInfo(&s, s.Node))
	}
	_, stopped := h.app.node.clusterStatus()
	for _, name := range stopped {
		list = append(list, h.nodeInfo(nil, name))
	}
	return list
}

func (h *api) nodes(w http.ResponseWriter, r *http.Request) {
	reply(w, http.StatusOK, h.nodeList(r.Context()))
}

func (h *api) node(w http.ResponseWriter, r *http.Request) {
	for _, info := range h.nodeList(r.Context()) {
		if info["node"] == r.PathValue("node") {
			reply(w, http.StatusOK, info)
			return
		}
	}
	fail(w, http.StatusNotFound, "NOT_FOUND", "Node not found: "+r.PathValue("node"))
}

func (h *api) cluster(w http.ResponseWriter, _ *http.Request) {
	running, _ := h.app.node.clusterStatus()
	reply(w, http.StatusOK, map[string]any{"name": "emqxcl", "nodes": running, "self": h.app.node.cfg.node.String()})
}

func (h *api) forceLeave(w http.ResponseWriter, r *http.Request) {
	err := h.app.node.forceLeave(context.WithoutCancel(r.Context()), r.PathValue("node"))
	switch {
	case err != nil:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
	default:
		w.WriteHeader(http.StatusNoContent)
	}
}

func clientJSON(c clientInfo) map[string]any {
	m := map[string]any{
		"clientid": c.ID, "username": c.Username, "node": c.Node, "listener": c.Listener, "ip_address": c.IP, "port": c.Port,
		"proto_name": "MQTT", "proto_ver": c.Version, "clean_start": c.CleanStart, "keepalive": c.Keepalive,
		"expiry_interval": c.Expiry, "subscriptions_cnt": c.Subs, "inflight_cnt": c.Inflight, "connected": c.Connected,
	}
	if c.Nameless {
		m["username"] = nil
	}
	if !c.ConnectedAt.IsZero() {
		m["connected_at"] = c.ConnectedAt.Format(time.RFC3339)
	}
	if !c.GoneAt.IsZero() {
		m["disconnected_at"] = c.GoneAt.Format(time.RFC3339)
	}
	return m
}

func (h *api) clients(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	fields, ok := fieldsAsked(w, r)
	if !ok || !oneOfQuery(w, r, "conn_state", "connected", "disconnected", "idle") || !h.nodeAsked(w, r) {
		return
	}
	all := h.app.node.clusterClients(r.Context())
	sortClients(all)
	kept := []map[string]any{}
	for _, c := range all {
		state := map[bool]string{true: "connected", false: "disconnected"}[c.Connected]
		if want := q.Get("conn_state"); want != "" && want != state || q.Has("clientid") && !slices.Contains(q["clientid"], c.ID) || q.Has("username") && (c.Nameless || !slices.Contains(q["username"], c.Username)) ||
			q.Has("node") && q.Get("node") != c.Node || q.Has("like_clientid") && !strings.Contains(c.ID, q.Get("like_clientid")) {
			continue
		}
		m := clientJSON(c)
		if fields != nil {
			maps.DeleteFunc(m, func(key string, _ any) bool { return !slices.Contains(fields, key) })
		}
		kept = append(kept, m)
	}
	page(w, r, kept)
}

// subscriptions are those of all sessions, also of clients that are away
// (emqx_mgmt_api_subscriptions, apps/emqx_management/src).
func (h *api) subscriptions(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if qos := q.Get("qos"); q.Has("qos") && !slices.Contains([]string{"0", "1", "2"}, qos) {
		invalid(w, "qos", qos, "Unable to parse string")
		return
	}
	if !h.nodeAsked(w, r) {
		return
	}
	all := h.app.node.clusterClients(r.Context())
	sortClients(all)
	var rows []map[string]any
	for _, c := range all {
		if q.Has("clientid") && q.Get("clientid") != c.ID || q.Has("node") && q.Get("node") != c.Node {
			continue
		}
		for _, topic := range sortedKeys(c.Filters) {
			if q.Has("qos") && q.Get("qos") != strconv.Itoa(int(c.Filters[topic])) {
				continue
			}
			rows = append(rows, map[string]any{"node": c.Node, "clientid": c.ID, "topic": topic, "qos": c.Filters[topic], "durable": false})
		}
	}
	page(w, r, rows)
}

func number(s string, def int) int {
	if n, err := strconv.Atoi(s); err == nil && n > 0 {
		return n
	}
	return def
}

func (h *api) client(w http.ResponseWriter, r *http.Request) {
	for _, c := range h.app.node.clusterClients(r.Context()) {
		if c.ID == r.PathValue("id") {
			reply(w, http.StatusOK, clientJSON(c))
			return
		}
	}
	fail(w, http.StatusNotFound, "CLIENTID_NOT_FOUND", "Client ID not found")
}

func (h *api) kickOne(w http.ResponseWriter, r *http.Request) {
	if h.app.node.kickClients(r.Context(), []string{r.PathValue("id")}) == 0 {
		fail(w, http.StatusNotFound, "CLIENTID_NOT_FOUND", "Client ID not found")
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *api) kickMany(w http.ResponseWriter, r *http.Request) {
	var in any
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&in); err != nil && !errors.Is(err, io.EOF) {
		badJSON(w)
		return
	}
	var ids []string // what is none kicks nobody
	list, _ := in.([]any)
	for _, one := range list {
		if id, ok := one.(string); ok {
			ids = append(ids, id)
		}
	}
	h.app.node.kickClients(context.WithoutCancel(r.Context()), ids)
	w.WriteHeader(http.StatusNoContent)
}

func (h *api) publish(w http.ResponseWriter, r *http.Request) {
	var m struct {
		Topic   string  `json:"topic"`
		Payload *string `json:"payload"`
		QoS     byte    `json:"qos"`
		Retain  bool    `json:"retain"`
	}
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&m); err != nil || m.Topic == "" || m.Payload == nil || m.QoS > 2 {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "want topic, payload, qos, retain")
		return
	}
	if err := h.app.publish(m.Topic, []byte(*m.Payload), m.QoS, m.Retain); err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	reply(w, http.StatusOK, map[string]string{"id": newClusterID()})
}

// statsPatience bounds the other questions to all nodes.
const statsPatience = 5 * time.Second

func (h *api) stats(w http.ResponseWriter, r *http.Request) {
	list := []map[string]any{}
	for _, s := range h.app.node.clusterStats(r.Context(), statsPatience) {
		list = append(list, map[string]any{
			"node": s.Node, "connections.count": s.Connections, "live_connections.count": s.Live, "sessions.count": s.Connections,
			"subscriptions.count": s.Subs, "topics.count": s.Topics, "subscriptions.shared.count": s.SharedSubs, "retained.count": s.Retained,
		})
	}
	reply(w, http.StatusOK, list)
}
