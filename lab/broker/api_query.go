package broker

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// What EMQX's API has against a question before it is asked: minirest, and the schemas of emqx_mgmt_api_* of 5.8.9,
// measured on it.

// invalid answers for a parameter, or a field of the body, that is none.
func invalid(w http.ResponseWriter, path string, value, reason any) {
	text, _ := json.Marshal(map[string]any{"value": value, "reason": reason, "path": path, "kind": "validation_error"})
	fail(w, http.StatusBadRequest, "BAD_REQUEST", string(text))
}

const mostRows = 10000 // of a page

// paged lets a question for a list through whose page and limit are some.
func paged(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		for name, most := range map[string]int{"limit": mostRows, "page": 1 << 60} {
			if !q.Has(name) {
				continue
			}
			text := q.Get(name)
			n, err := strconv.Atoi(text)
			if err == nil && n >= 1 && n <= most {
				continue
			}
			value, expected := any(n), fmt.Sprintf("1..%d", most)
			if name == "page" {
				expected = "pos_integer()"
			}
			if err != nil {
				value = text
			}
			if text == "" {
				value = []any{}
			}
			invalid(w, name, value, map[string]string{"expected": expected})
			return
		}
		next(w, r)
	}
}

// oneOfQuery lets a parameter through that is absent, or one of some.
func oneOfQuery(w http.ResponseWriter, r *http.Request, name string, some ...string) bool {
	q := r.URL.Query()
	if !q.Has(name) || slices.Contains(some, q.Get(name)) {
		return true
	}
	invalid(w, name, q.Get(name), "unable_to_convert_to_enum_symbol")
	return false
}

// clientFields are what a list of clients can be asked for (emqx_mgmt_api_clients:client_info_fields).
var clientFields = strings.Fields(`awaiting_rel_cnt awaiting_rel_max clean_start clientid connected connected_at created_at disconnected_at
	expiry_interval heap_size inflight_cnt inflight_max ip_address is_bridge is_expired keepalive listener mailbox_len mountpoint
	mqueue_dropped mqueue_len mqueue_max node port proto_name proto_ver recv_cnt recv_msg recv_msg.dropped
	recv_msg.dropped.await_pubrel_timeout recv_msg.qos0 recv_msg.qos1 recv_msg.qos2 recv_oct recv_pkt reductions send_cnt send_msg
	send_msg.dropped send_msg.dropped.expired send_msg.dropped.queue_full send_msg.dropped.too_large send_msg.qos0 send_msg.qos1
	send_msg.qos2 send_oct send_pkt subscriptions_cnt subscriptions_max username durable enable_authn client_attrs zone`)

// fieldsAsked are the fields that a list of clients is asked for; nil is all.
func fieldsAsked(w http.ResponseWriter, r *http.Request) (fields []string, ok bool) {
	asked := r.URL.Query().Get("fields")
	if asked == "" || asked == "all" {
		return nil, true
	}
	fields = strings.Split(asked, ",")
	for i, f := range fields {
		if !slices.Contains(clientFields, f) {
			text, _ := json.Marshal(map[string]any{"reason": "matched_no_union_member", "path": "fields", "kind": "validation_error", "mismatches": map[string]any{
				"array": map[string]any{"value": f, "reason": "unable_to_convert_to_enum_symbol", "path": fmt.Sprintf("fields.%d", i+1), "kind": "validation_error"},
			}})
			fail(w, http.StatusBadRequest, "BAD_REQUEST", string(text))
			return nil, false
		}
	}
	return fields, true
}

// nodeAsked lets a question about all nodes through, or about one that runs.
func (h *api) nodeAsked(w http.ResponseWriter, r *http.Request) bool {
	name := r.URL.Query().Get("node")
	running, _ := h.app.node.clusterStatus()
	if name == "" || slices.Contains(running, name) {
		return true
	}
	fail(w, http.StatusInternalServerError, "NODE_DOWN", fmt.Sprintf(`bad rpc call <<"%s">>, Reason <<"invalid node">>`, name))
	return false
}

// noPath answers for a path that is none, or that takes another method.
func noPath(mux *http.ServeMux, w http.ResponseWriter, r *http.Request) {
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete} {
		other := r.Clone(r.Context())
		other.Method, other.URL.Path, other.URL.RawPath = method, strings.TrimSuffix(r.URL.Path, "/"), strings.TrimSuffix(r.URL.RawPath, "/")
		if _, pattern := mux.Handler(other); pattern != "/" {
			w.WriteHeader(http.StatusMethodNotAllowed)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusNotFound)
	_, _ = fmt.Fprint(w, "<html><head><title>404 - NOT FOUND</title></head><body><h1>404 - NOT FOUND</h1></body></html>")
}

// thrown is a fault that EMQX's check of a whole configuration throws past who answers: HTTP 500, where others are 400
// (emqx_conf_cli:load_config, hocon_tconf:assert).
type thrown struct{ error }
