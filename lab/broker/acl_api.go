package broker

import (
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
)

// The REST paths of emqx_authz_api_sources, _settings and _mnesia. What they write is
// written on all members.
func (h *api) aclRoutes() map[string]http.HandlerFunc {
	const all, one, rules = "/api/v5/authorization/sources", "/api/v5/authorization/sources/{type}", "/api/v5/authorization/sources/built_in_database/rules"
	routes := map[string]http.HandlerFunc{
		"GET /api/v5/authorization/settings":      h.getSettings,
		"PUT /api/v5/authorization/settings":      h.putSettings,
		"DELETE /api/v5/authorization/cache":      h.drainCache,
		"GET " + all:                              h.listSources,
		"POST " + all:                             h.postSource,
		"PUT /api/v5/authorization/sources/order": h.orderSources,
		"GET " + one:                              h.getSource,
		"PUT " + one:                              h.putSource,
		"DELETE " + one:                           h.deleteSource,
		"POST " + one + "/move":                   h.moveSource,
		"DELETE " + rules:                         h.withRules(h.purgeRules),
		"GET " + rules + "/all":                   h.withRules(h.getAllRules),
		"POST " + rules + "/all":                  h.withRules(h.postAllRules),
		"DELETE " + rules + "/all":                h.withRules(h.deleteAllRules),
	}
	for path, kind := range map[string]string{"/users": "username", "/clients": "clientid"} {
		routes["GET "+rules+path] = paged(h.withRules(h.listRules(kind)))
		routes["POST "+rules+path] = h.withRules(h.postRules(kind))
		routes["GET "+rules+path+"/{who}"] = h.withRules(h.getRules(kind))
		routes["PUT "+rules+path+"/{who}"] = h.withRules(h.putRules(kind))
		routes["DELETE "+rules+path+"/{who}"] = h.withRules(h.deleteRules(kind))
	}
	return routes
}

// settings are the root without its sources.
func (h *api) settings() map[string]any {
	out := map[string]any{
		"no_match": "allow", "deny_action": "ignore",
		"cache": map[string]any{"enable": true, "max_size": 32, "ttl": "1m", "excludes": []any{}},
	}
	raw, _ := h.app.node.access().raw[rootAuthz].(map[string]any)
	for k, v := range raw {
		if k != "sources" {
			out[k] = layered(out[k], v)
		}
	}
	return out
}

func (h *api) getSettings(w http.ResponseWriter, _ *http.Request) {
	reply(w, http.StatusOK, h.settings())
}

// writeAuthz writes the root with some of its fields changed.
func (h *api) writeAuthz(w http.ResponseWriter, change map[string]any) bool {
	raw, _ := h.app.node.access().raw[rootAuthz].(map[string]any)
	out := map[string]any{}
	for k, v := range raw {
		out[k] = v
	}
	for k, v := range change {
		out[k] = v
	}
	if err := h.app.node.changeAccess(rootAuthz, out); err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return false
	}
	return true
}

// putSettings wants all three, as the real one.
func (h *api) putSettings(w http.ResponseWriter, r *http.Request) {
	var in map[string]any
	if !body(w, r, &in) {
		return
	}
	for _, name := range []string{"no_match", "deny_action", "cache"} {
		if in[name] == nil {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", name+": required_field")
			return
		}
	}
	delete(in, "sources")
	if h.writeAuthz(w, in) {
		reply(w, http.StatusOK, h.settings())
	}
}

// drainCache makes all decisions void that were made before, here and elsewhere.
func (h *api) drainCache(w http.ResponseWriter, _ *http.Request) {
	h.app.node.drainCaches()
	w.WriteHeader(http.StatusNoContent)
}

func (h *api) sourcesRaw(typ string) (raw []any, at int) {
	at = -1
	for i, s := range h.app.node.access().rules.sources {
		raw = append(raw, s.raw)
		if s.typ == typ {
			at = i
		}
	}
	return raw, at
}

// shown has the rules of a file in it, wherever they are.
func (s aclSource) shown(in places) map[string]any {
	out, _ := redacted(s.raw).(map[string]any)
	if _, ok := out["enable"]; !ok {
		out["enable"] = true
	}
	path, ok := out["path"].(string)
	if !ok || s.typ != "file" {
		return out
	}
	text, err := os.ReadFile(in.expand(path))
	if err != nil {
		text = []byte(defaultRules)
	}
	delete(out, "path")
	out["rules"] = string(text)
	return out
}

func (h *api) listSources(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, s := range h.app.node.access().rules.sources {
		list = append(list, s.shown(h.app.node.cfg.places()))
	}
	reply(w, http.StatusOK, map[string]any{"sources": list})
}

// postSource puts the new one before the others (CMD_PREPEND).
func (h *api) postSource(w http.ResponseWriter, r *http.Request) {
	var in map[string]any
	if !body(w, r, &in) {
		return
	}
	raw, _ := h.sourcesRaw("")
	if pathOfFile(w, in) {
		return
	}
	if h.writeAuthz(w, map[string]any{"sources": slices.Insert(raw, 0, any(in))}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// pathOfFile refuses a file of rules that is named: by these paths the API takes their text alone
// (emqx_authz_file_schema, "api_file").
func pathOfFile(w http.ResponseWriter, in map[string]any) bool {
	if _, named := in["path"]; in["type"] != "file" || !named {
		return false
	}
	fail(w, http.StatusBadRequest, "BAD_REQUEST", "unknown_fields: path")
	return true
}

// sourceTypes are those of emqx_authz_api_sources.
var sourceTypes = []string{"file", databaseSource, "http", "redis", "mysql", "postgresql", "mongodb", "ldap"}

// source is the one that the path names; it has answered when there is none.
func (h *api) source(w http.ResponseWriter, r *http.Request) (raw []any, at int) {
	typ := r.PathValue("type")
	if !slices.Contains(sourceTypes, typ) {
		invalid(w, "type", typ, "unable_to_convert_to_enum_symbol")
		return nil, -1
	}
	if raw, at = h.sourcesRaw(typ); at < 0 {
		fail(w, http.StatusNotFound, "NOT_FOUND", "Not found: "+typ)
	}
	return raw, at
}

func (h *api) getSource(w http.ResponseWriter, r *http.Request) {
	if _, at := h.source(w, r); at >= 0 {
		n := h.app.node
		reply(w, http.StatusOK, n.access().rules.sources[at].shown(n.cfg.places()))
	}
}

func (h *api) putSource(w http.ResponseWriter, r *http.Request) {
	raw, at := h.source(w, r)
	var in map[string]any
	if at < 0 || !body(w, r, &in) {
		return
	}
	if in["type"] != r.PathValue("type") {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Type mismatch")
		return
	}
	if pathOfFile(w, in) {
		return
	}
	raw[at] = revealed(in, raw[at])
	if h.writeAuthz(w, map[string]any{"sources": raw}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) deleteSource(w http.ResponseWriter, r *http.Request) {
	raw, at := h.source(w, r)
	if at >= 0 && h.writeAuthz(w, map[string]any{"sources": slices.Delete(raw, at, at+1)}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) moveSource(w http.ResponseWriter, r *http.Request) {
	raw, at := h.source(w, r)
	var in struct{ Position string }
	if at < 0 || !body(w, r, &in) {
		return
	}
	raw, err := moved(raw, at, in.Position, func(typ string) int { _, i := h.sourcesRaw(typ); return i })
	if err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	if h.writeAuthz(w, map[string]any{"sources": raw}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) orderSources(w http.ResponseWriter, r *http.Request) {
	var order []struct{ Type string }
	if !body(w, r, &order) {
		return
	}
	raw := []any{}
	for _, o := range order {
		all, at := h.sourcesRaw(o.Type)
		if at < 0 {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", "Authorization sources: "+o.Type+" are not found")
			return
		}
		raw = append(raw, all[at])
	}
	if len(raw) != len(h.app.node.access().rules.sources) {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "No positions are specified for authorization sources")
		return
	}
	if h.writeAuthz(w, map[string]any{"sources": raw}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// withRules answers only where the built-in database is a source.
func (h *api) withRules(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, at := h.sourcesRaw(databaseSource); at < 0 {
			fail(w, http.StatusNotFound, "NOT_FOUND", "Not found: "+databaseSource)
			return
		}
		next(w, r)
	}
}

// shownRules have one topic each, and every option.
func shownRules(stored storedRules) []map[string]any {
	out := []map[string]any{}
	for _, m := range stored.Rules {
		topics, ok := m["topics"].([]any)
		if !ok {
			topics = []any{m["topic"]}
		}
		for _, t := range topics {
			one := map[string]any{"topic": t, "permission": m["permission"], "action": m["action"], "qos": []int{0, 1, 2}, "retain": "all"}
			for _, name := range []string{"qos", "retain"} {
				if v := m[name]; v != nil {
					one[name] = v
				}
			}
			out = append(out, one)
		}
	}
	return out
}

// ruleEntry is whom rules are for, and they.
type ruleEntry struct {
	Username string           `json:"username"`
	ClientID string           `json:"clientid"`
	Rules    []map[string]any `json:"rules"`
}

func (e ruleEntry) who(kind string) string {
	if kind == "username" {
		return e.Username
	}
	return e.ClientID
}

// storeRules checks and writes; it has answered when they are wrong.
func (h *api) storeRules(w http.ResponseWriter, rows map[string]storedRules) bool {
	_, at := h.sourcesRaw(databaseSource)
	most := h.app.node.access().rules.sources[at].maxRules
	all := map[string]any{}
	for key, stored := range rows {
		if len(stored.Rules) > most {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", "The rules length exceeds the maximum limit.")
			return false
		}
		if _, err := rawRules(stored.Rules); err != nil {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
			return false
		}
		all[key] = stored
	}
	if err := h.app.node.writeRows(rulesTable, all); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return false
	}
	return true
}

func (h *api) listRules(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var rows []map[string]any
		for _, key := range h.app.node.data.keysOf(rulesTable) {
			var stored storedRules
			who, ok := strings.CutPrefix(key, kind+"/")
			if ok && strings.Contains(who, r.URL.Query().Get("like_"+kind)) && h.app.node.data.lookup(rulesTable, key, &stored) {
				rows = append(rows, map[string]any{kind: who, "rules": shownRules(stored)})
			}
		}
		page(w, r, rows)
	}
}

func (h *api) postRules(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in []ruleEntry
		if !body(w, r, &in) {
			return
		}
		rows := map[string]storedRules{}
		for _, e := range in {
			var old storedRules
			key := ruleKey(kind, e.who(kind))
			if h.app.node.data.lookup(rulesTable, key, &old) {
				fail(w, http.StatusConflict, "ALREADY_EXISTS", fmt.Sprintf("'%s' already exist", e.who(kind)))
				return
			}
			rows[key] = storedRules{Rules: e.Rules}
		}
		if h.storeRules(w, rows) {
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

// stored are the rules for whom the path names; it has answered when there are none.
func (h *api) stored(w http.ResponseWriter, r *http.Request, kind string) (stored storedRules, ok bool) {
	if ok = h.app.node.data.lookup(rulesTable, ruleKey(kind, r.PathValue("who")), &stored); !ok {
		fail(w, http.StatusNotFound, "NOT_FOUND", "Not Found")
	}
	return stored, ok
}

func (h *api) getRules(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if stored, ok := h.stored(w, r, kind); ok {
			reply(w, http.StatusOK, map[string]any{kind: r.PathValue("who"), "rules": shownRules(stored)})
		}
	}
}

func (h *api) putRules(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var in ruleEntry
		if !body(w, r, &in) {
			return
		}
		who := r.PathValue("who")
		if in.who(kind) != who {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", kind+" is not that of the path")
			return
		}
		if h.storeRules(w, map[string]storedRules{ruleKey(kind, who): {Rules: in.Rules}}) {
			w.WriteHeader(http.StatusNoContent)
		}
	}
}

func (h *api) deleteRules(kind string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if _, ok := h.stored(w, r, kind); !ok {
			return
		}
		if err := h.app.node.writeRows(rulesTable, map[string]any{ruleKey(kind, r.PathValue("who")): nil}); err != nil {
			fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) getAllRules(w http.ResponseWriter, _ *http.Request) {
	var stored storedRules
	h.app.node.data.lookup(rulesTable, ruleKey("all", ""), &stored)
	reply(w, http.StatusOK, map[string]any{"rules": shownRules(stored)})
}

func (h *api) postAllRules(w http.ResponseWriter, r *http.Request) {
	var in ruleEntry
	if body(w, r, &in) && h.storeRules(w, map[string]storedRules{ruleKey("all", ""): {Rules: in.Rules}}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) deleteAllRules(w http.ResponseWriter, _ *http.Request) {
	if h.storeRules(w, map[string]storedRules{ruleKey("all", ""): {}}) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// purgeRules wants the source to be disabled.
func (h *api) purgeRules(w http.ResponseWriter, _ *http.Request) {
	if h.app.node.access().hasSource(databaseSource) {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "'built_in_database' type source must be disabled before purge.")
		return
	}
	if err := h.app.node.clearTable(rulesTable); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
