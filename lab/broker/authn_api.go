package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
)

// The REST paths of emqx_authn_api. What they write is written on all members.
func (h *api) authnRoutes() map[string]http.HandlerFunc {
	const one = "/api/v5/authentication/{id}"
	return map[string]http.HandlerFunc{
		"GET /api/v5/authentication":          h.listAuthn,
		"POST /api/v5/authentication":         h.postAuthn,
		"PUT /api/v5/authentication/order":    h.orderAuthn,
		"GET " + one:                          h.getAuthn,
		"PUT " + one:                          h.putAuthn,
		"DELETE " + one:                       h.deleteAuthn,
		"GET " + one + "/status":              h.statusAuthn,
		"PUT " + one + "/position/{position}": h.moveAuthn,
		"GET " + one + "/users":               paged(h.listUsers),
		"POST " + one + "/users":              h.postUser,
		"POST " + one + "/import_users":       h.importUsers,
		"GET " + one + "/users/{user}":        h.getUser,
		"PUT " + one + "/users/{user}":        h.putUser,
		"DELETE " + one + "/users/{user}":     h.deleteUser,
	}
}

// body reads a JSON body; it has answered when it is none.
func body(w http.ResponseWriter, r *http.Request, into any) bool {
	if err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(into); err != nil {
		badJSON(w)
		return false
	}
	return true
}

func badJSON(w http.ResponseWriter) {
	fail(w, http.StatusBadRequest, "BAD_REQUEST", "Invalid json message received")
}

// concealed is what stands for a secret in an answer (emqx_utils:redact).
const concealed = "******"

var secretNames = []string{"secret", "password", "token", "authorization"}

// redacted hides secrets, revealed puts the old ones where hidden ones come back.
func redacted(v any) any {
	switch x := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, e := range x {
			if _, text := e.(string); text && slices.Contains(secretNames, strings.ToLower(k)) && !strings.HasPrefix(e.(string), "${") {
				e = concealed
			}
			out[k] = redacted(e)
		}
		return out
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = redacted(x[i])
		}
		return out
	}
	return v
}

func revealed(v, old any) any {
	x, ok := v.(map[string]any)
	o, was := old.(map[string]any)
	if v == concealed {
		return old
	}
	if !ok || !was {
		return v
	}
	out := map[string]any{}
	for k, e := range x {
		if before, has := o[k]; has {
			e = revealed(e, before)
		}
		out[k] = e
	}
	return out
}

// shown is an authenticator as the API shows it: with what is the default.
func (a authenticator) shown() map[string]any {
	out := map[string]any{"enable": true}
	if d, ok := a.provider.(interface{ defaults() map[string]any }); ok {
		for k, v := range d.defaults() {
			out[k] = v
		}
	}
	m, _ := redacted(a.raw).(map[string]any)
	for k, v := range m {
		out[k] = v
	}
	out["id"] = a.id
	return out
}

func (b *builtin) defaults() map[string]any {
	return map[string]any{
		"user_id_type": "username", "password_hash_algorithm": map[string]any{"name": "sha256", "salt_position": "prefix"},
		"bootstrap_file": defaultBootstrap, "bootstrap_type": "plain",
	}
}

func (h *api) listAuthn(w http.ResponseWriter, _ *http.Request) {
	list := []any{}
	for _, a := range h.app.node.access().chain {
		list = append(list, a.shown())
	}
	reply(w, http.StatusOK, list)
}

// chainRaw is the chain as it is written, with the place of one in it, or -1.
func (h *api) chainRaw(id string) (raw []any, at int) {
	at = -1
	for i, a := range h.app.node.access().chain {
		raw = append(raw, a.raw)
		if a.id == id {
			at = i
		}
	}
	return raw, at
}

func (h *api) writeChain(w http.ResponseWriter, raw []any) bool {
	if err := h.app.node.changeAccess(rootAuthn, raw); err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return false
	}
	return true
}

// filesThere answers for an authenticator that is made or changed by files that are not there.
func (h *api) filesThere(w http.ResponseWriter, conf any) bool {
	err := absentFiles(rootAuthn, conf)
	if err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
	}
	return err == nil
}

func noAuthenticator(w http.ResponseWriter, id string) {
	fail(w, http.StatusNotFound, "NOT_FOUND", "Authenticator '"+id+"' does not exist")
}

func (h *api) postAuthn(w http.ResponseWriter, r *http.Request) {
	var conf map[string]any
	if !body(w, r, &conf) {
		return
	}
	id := authenticatorID(conf)
	raw, at := h.chainRaw(id)
	if at >= 0 {
		fail(w, http.StatusConflict, "ALREADY_EXISTS", "Authenticator '"+id+"' already exist")
		return
	}
	if h.filesThere(w, conf) && h.writeChain(w, append(raw, conf)) {
		chain := h.app.node.access().chain
		reply(w, http.StatusOK, chain[len(chain)-1].shown())
	}
}

func (h *api) getAuthn(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	for _, a := range h.app.node.access().chain {
		if a.id == id {
			reply(w, http.StatusOK, a.shown())
			return
		}
	}
	noAuthenticator(w, id)
}

func (h *api) putAuthn(w http.ResponseWriter, r *http.Request) {
	var conf map[string]any
	if !body(w, r, &conf) {
		return
	}
	id := r.PathValue("id")
	raw, at := h.chainRaw(id)
	switch {
	case at < 0:
		noAuthenticator(w, id)
		return
	case authenticatorID(conf) != id:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Change of authentication type is not allowed")
		return
	}
	delete(conf, "id")
	raw[at] = revealed(conf, raw[at])
	if h.filesThere(w, raw[at]) && h.writeChain(w, raw) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// deleteAuthn takes its users with it (emqx_authn_mnesia:destroy). One that is not there
// is taken for deleted.
func (h *api) deleteAuthn(w http.ResponseWriter, r *http.Request) {
	raw, at := h.chainRaw(r.PathValue("id"))
	if at >= 0 && !h.writeChain(w, slices.Delete(raw, at, at+1)) {
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *api) statusAuthn(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	if _, at := h.chainRaw(id); at < 0 {
		noAuthenticator(w, id)
		return
	}
	running, _ := h.app.node.clusterStatus()
	nodes := []any{}
	for _, name := range running {
		nodes = append(nodes, map[string]any{"node": name, "status": "connected"})
	}
	reply(w, http.StatusOK, map[string]any{"status": "connected", "node_status": nodes})
}

// moved puts an element elsewhere: front, rear, before:ID or after:ID.
func moved(raw []any, at int, position string, find func(id string) int) ([]any, error) {
	one := raw[at]
	where, id, _ := strings.Cut(position, ":")
	to := 0
	switch where {
	case "front":
	case "rear":
		to = len(raw) - 1
	case "before", "after":
		other := find(id)
		if id == "" || other < 0 || other == at {
			return nil, errNoSuchNeighbour
		}
		if other > at {
			other--
		}
		to = other
		if where == "after" {
			to++
		}
	default:
		return nil, errors.New("invalid value for 'position'")
	}
	raw = slices.Delete(slices.Clone(raw), at, at+1)
	return slices.Insert(raw, to, one), nil
}

var errNoSuchNeighbour = errors.New("the one that the position names does not exist")

func (h *api) moveAuthn(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	raw, at := h.chainRaw(id)
	if at < 0 {
		noAuthenticator(w, id)
		return
	}
	raw, err := moved(raw, at, r.PathValue("position"), func(id string) int { _, i := h.chainRaw(id); return i })
	switch {
	case errors.Is(err, errNoSuchNeighbour):
		fail(w, http.StatusNotFound, "NOT_FOUND", err.Error())
	case err != nil:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
	case h.writeChain(w, raw):
		w.WriteHeader(http.StatusNoContent)
	}
}

func (h *api) orderAuthn(w http.ResponseWriter, r *http.Request) {
	var order []struct{ ID string }
	if !body(w, r, &order) {
		return
	}
	var raw, all []any
	for _, o := range order {
		var at int
		if all, at = h.chainRaw(o.ID); at < 0 {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", "Authenticators: "+o.ID+" are not found")
			return
		}
		raw = append(raw, all[at])
	}
	if len(raw) != len(h.app.node.access().chain) {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "No positions are specified for authenticators")
		return
	}
	if h.writeChain(w, raw) {
		w.WriteHeader(http.StatusNoContent)
	}
}

// database is the authenticator with users that the path names; it has answered when
// there is none.
func (h *api) database(w http.ResponseWriter, r *http.Request) *builtin {
	id := r.PathValue("id")
	for _, a := range h.app.node.access().chain {
		if a.id != id {
			continue
		}
		if b, ok := a.provider.(*builtin); ok {
			return b
		}
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Operation not supported in this authentication type")
		return nil
	}
	noAuthenticator(w, id)
	return nil
}

func shownUser(u user) map[string]any {
	return map[string]any{"user_id": u.ID, "is_superuser": u.Superuser}
}

// page answers with a part of a list, as emqx_mgmt_api does.
func page(w http.ResponseWriter, r *http.Request, rows []map[string]any) {
	q := r.URL.Query()
	no, limit := number(q.Get("page"), 1), number(q.Get("limit"), 100)
	from := min((no-1)*limit, len(rows))
	to := min(from+limit, len(rows))
	shown := slices.Clone(rows[from:to])
	if shown == nil {
		shown = []map[string]any{}
	}
	reply(w, http.StatusOK, map[string]any{
		"data": shown, "meta": map[string]any{"count": len(rows), "page": no, "limit": limit, "hasnext": to < len(rows)},
	})
}

func (n *node) users() []user {
	var out []user
	for _, key := range n.data.keysOf(usersTable) {
		var u user
		if n.data.lookup(usersTable, key, &u) {
			out = append(out, u)
		}
	}
	return out
}

func (h *api) listUsers(w http.ResponseWriter, r *http.Request) {
	if h.database(w, r) == nil {
		return
	}
	q := r.URL.Query()
	if q.Has("is_superuser") && !slices.Contains([]string{"true", "false"}, q.Get("is_superuser")) {
		invalid(w, "is_superuser", q.Get("is_superuser"), "Unable to parse boolean value")
		return
	}
	if q.Has("like_user_id") && q.Get("like_user_id") == "" && len(h.app.node.users()) > 0 { // binary:match of nothing
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "User error: {exception,{error,badarg,[{binary,match}]}}")
		return
	}
	var rows []map[string]any
	for _, u := range h.app.node.users() {
		if strings.Contains(u.ID, q.Get("like_user_id")) && (!q.Has("is_superuser") || q.Get("is_superuser") == fmt.Sprint(u.Superuser)) {
			rows = append(rows, shownUser(u))
		}
	}
	page(w, r, rows)
}

// userBody is what a user is made or changed with.
type userBody struct {
	UserID    string  `json:"user_id"`
	Password  *string `json:"password"`
	Superuser *bool   `json:"is_superuser"`
}

func (h *api) writeUser(w http.ResponseWriter, code int, u user) {
	if err := h.app.node.writeRows(usersTable, map[string]any{userKey(u.ID): u}); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	reply(w, code, shownUser(u))
}

func (h *api) postUser(w http.ResponseWriter, r *http.Request) {
	b := h.database(w, r)
	var in userBody
	if b == nil || !body(w, r, &in) {
		return
	}
	var old user
	switch {
	case in.UserID == "":
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "User error: invalid_user_id")
	case in.Password == nil:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Missing required parameter: password")
	case h.app.node.data.lookup(usersTable, userKey(in.UserID), &old):
		fail(w, http.StatusConflict, "ALREADY_EXISTS", "User already exists")
	default:
		u, err := b.newUser(in.UserID, *in.Password, in.Superuser != nil && *in.Superuser)
		if err != nil {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", "User error: "+err.Error())
			return
		}
		h.writeUser(w, http.StatusCreated, u)
	}
}

// importUsers takes a JSON list: a user that is there is overridden, unless it is the same
// record (emqx_authn_user_import_api, emqx_authn_mnesia:insert_user). Of one that is wrong
// nothing is taken.
func (h *api) importUsers(w http.ResponseWriter, r *http.Request) {
	b := h.database(w, r)
	var list []map[string]any
	if b == nil || !body(w, r, &list) {
		return
	}
	kind := r.URL.Query().Get("type")
	users, err := b.convert(kind, list)
	switch {
	case kind != "plain" && kind != "hash":
		err = errors.New("type must be plain or hash")
	case err == nil && len(users) == 0:
		err = errors.New("empty_users")
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	count, rows := map[string]int{"total": len(users), "success": 0, "override": 0, "skipped": 0, "failed": 0}, map[string]any{}
	for _, u := range users {
		var old user
		switch known := h.app.node.data.lookup(usersTable, userKey(u.ID), &old); {
		case known && old == u:
			count["skipped"]++
			continue
		case known:
			count["override"]++
		default:
			count["success"]++
		}
		rows[userKey(u.ID)] = u
	}
	if len(rows) > 0 {
		if err := h.app.node.writeRows(usersTable, rows); err != nil {
			fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
			return
		}
	}
	reply(w, http.StatusOK, count)
}

// known is the user that the path names; it has answered when there is none.
func (h *api) known(w http.ResponseWriter, r *http.Request) (u user, ok bool) {
	if ok = h.app.node.data.lookup(usersTable, userKey(r.PathValue("user")), &u); !ok {
		fail(w, http.StatusNotFound, "NOT_FOUND", "User not found")
	}
	return u, ok
}

func (h *api) getUser(w http.ResponseWriter, r *http.Request) {
	if h.database(w, r) == nil {
		return
	}
	if u, ok := h.known(w, r); ok {
		reply(w, http.StatusOK, shownUser(u))
	}
}

func (h *api) putUser(w http.ResponseWriter, r *http.Request) {
	b := h.database(w, r)
	var in userBody
	if b == nil || !body(w, r, &in) {
		return
	}
	u, ok := h.known(w, r)
	if !ok {
		return
	}
	if in.Password == nil && in.Superuser == nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Missing required parameter: password")
		return
	}
	superuser := u.Superuser
	if in.Superuser != nil {
		superuser = *in.Superuser
	}
	u.Superuser = superuser
	if in.Password != nil {
		var err error
		if u, err = b.newUser(u.ID, *in.Password, superuser); err != nil {
			fail(w, http.StatusBadRequest, "BAD_REQUEST", "User error: "+err.Error())
			return
		}
	}
	h.writeUser(w, http.StatusOK, u)
}

// deleteUser leaves those alone who are connected by it.
func (h *api) deleteUser(w http.ResponseWriter, r *http.Request) {
	if h.database(w, r) == nil {
		return
	}
	u, ok := h.known(w, r)
	if !ok {
		return
	}
	if err := h.app.node.writeRows(usersTable, map[string]any{userKey(u.ID): nil}); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
