package broker

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// accessRoutes are the REST paths that change or show who may connect and do what.
func (h *api) accessRoutes() map[string]http.HandlerFunc {
	all := map[string]http.HandlerFunc{
		"GET /api/v5/configs": h.getConfigs,
		"PUT /api/v5/configs": h.putConfigs,
	}
	for _, some := range []map[string]http.HandlerFunc{h.authnRoutes(), h.aclRoutes(), h.bannedRoutes()} {
		for pattern, f := range some {
			all[pattern] = f
		}
	}
	return all
}

// getConfigs shows the two roots, as HOCON unless JSON is asked for (emqx_mgmt_api_configs).
func (h *api) getConfigs(w http.ResponseWriter, r *http.Request) {
	accept := r.Header.Get("Accept")
	if accept != "" && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "application/json") && !strings.Contains(accept, "text/plain") {
		fail(w, http.StatusBadRequest, "INVALID_ACCEPT", "{error,no_suitable_accept}")
		return
	}
	tree := map[string]any{}
	key := r.URL.Query().Get("key")
	if key != "" && !slices.ContainsFunc(configRoots(), func(root string) bool { return root == key }) {
		invalid(w, "key", key, "not_a_enum_symbol")
		return
	}
	for root, v := range h.app.node.access().raw {
		if key == "" || key == root {
			tree[root] = redacted(v)
		}
	}
	if strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") && !strings.Contains(accept, "text/plain") {
		reply(w, http.StatusOK, tree)
		return
	}
	text, err := hoconOf(tree)
	if err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	_, _ = w.Write(text)
}

// putConfigs loads a piece of HOCON. With mode=merge, the default, an authenticator or a
// source of a kind that is there is merged into it and a new one is added at the end; with
// mode=replace a root that the piece has is replaced. Roots that it has not stay.
func (h *api) putConfigs(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if mode := q.Get("mode"); q.Has("mode") && mode != "merge" && mode != "replace" {
		invalid(w, "mode", mode, "not_a_enum_symbol")
		return
	}
	if strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") { // it wants HOCON as plain text
		badJSON(w)
		return
	}
	wrong := func(err string) {
		w.Header().Set("Content-Type", "text/plain")
		w.WriteHeader(http.StatusBadRequest)
		_, _ = fmt.Fprintf(w, `{"errors":%q}`, err)
	}
	text, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		wrong(err.Error())
		return
	}
	if len(text) == 0 {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", "error, function_clause, [{emqx_conf_cli,load_config}]")
		return
	}
	tree, ok := parseHocon(string(text)).(map[string]any)
	if !ok || len(tree) == 0 {
		wrong("want HOCON")
		return
	}
	merge := r.URL.Query().Get("mode") != "replace"
	for _, root := range sortedKeys(tree) {
		switch {
		case !slices.Contains(configRoots(), root):
			wrong(fmt.Sprintf(`%s: {root_key_not_found,<<"%s">>}`, root, root))
			return
		case root == "node" || root == "rpc" || root == "cluster":
			wrong("Cannot update read-only key '" + root + "'.")
			return
		case !slices.Contains(accessRoots, root):
			wrong(root + ": the stand-in changes only " + strings.Join(accessRoots, " and ") + " at run time")
			return
		}
	}
	for _, root := range sortedKeys(tree) {
		v := plain(tree[root])
		if merge {
			if v, err = mergedRoot(root, h.app.node.access(), v, true); err != nil {
				wrong(err.Error())
				return
			}
		}
		if err = absentFiles(root, v); err == nil {
			err = h.app.node.changeAccess(root, v)
		}
		if errors.As(err, new(thrown)) {
			fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", fmt.Sprintf("throw, {emqx_conf_schema,[#{kind => validation_error,reason => %q}]}", err))
			return
		}
		if err != nil {
			wrong(err.Error())
			return
		}
	}
	w.WriteHeader(http.StatusOK)
}

// configRoots are the roots of EMQX's configuration that are known here.
func configRoots() []string {
	roots := map[string]bool{}
	for path := range knownKeys {
		root, _, _ := strings.Cut(path, ".")
		roots[root] = true
	}
	return sortedKeys(roots)
}

// mergedRoot is emqx_authn:merge_config and emqx_authz:merge: deep puts the fields of one over
// those of the one that is there, else it takes its place.
func mergedRoot(root string, now *access, news any, deep bool) (any, error) {
	if root == rootAuthn {
		list, err := listOf(news)
		if err != nil {
			return nil, err
		}
		return mergedByKind(rawChain(now), list, authenticatorID, deep), nil
	}
	over, ok := news.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("%s: want a map", root)
	}
	var under []any
	for _, s := range now.rules.sources {
		under = append(under, s.raw)
	}
	sources, err := listOf(over["sources"])
	if err != nil {
		return nil, err
	}
	typ := func(m map[string]any) string { s, _ := m["type"].(string); return s }
	rest := map[string]any{}
	for k, v := range over {
		if k != "sources" {
			rest[k] = v
		}
	}
	old, _ := now.raw[root].(map[string]any)
	out, _ := layered(old, rest).(map[string]any)
	out["sources"] = mergedByKind(under, sources, typ, deep)
	return out, nil
}

func rawChain(a *access) []any {
	var out []any
	for _, one := range a.chain {
		out = append(out, one.raw)
	}
	return out
}

func mergedByKind(under, over []any, kind func(map[string]any) string, deep bool) []any {
	out := slices.Clone(under)
	for _, v := range over {
		m, _ := v.(map[string]any)
		at := slices.IndexFunc(out, func(o any) bool { old, _ := o.(map[string]any); return kind(old) == kind(m) })
		switch {
		case at < 0:
			out = append(out, v)
		case deep:
			out[at] = layered(out[at], v)
		default:
			out[at] = v
		}
	}
	return out
}
