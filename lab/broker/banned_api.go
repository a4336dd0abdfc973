package broker

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"time"
)

// The REST paths of emqx_mgmt_api_banned.
func (h *api) bannedRoutes() map[string]http.HandlerFunc {
	return map[string]http.HandlerFunc{
		"GET /api/v5/banned":               paged(h.listBans),
		"POST /api/v5/banned":              h.postBan,
		"DELETE /api/v5/banned":            h.clearBans,
		"DELETE /api/v5/banned/{as}/{who}": h.deleteBan,
	}
}

func (b ban) shown() map[string]any {
	until := "infinity"
	if b.Until != 0 {
		until = time.Unix(b.Until, 0).Format(time.RFC3339)
	}
	return map[string]any{
		"as": b.As, "who": b.Who, "by": b.By, "reason": b.Reason, "at": time.Unix(b.At, 0).Format(time.RFC3339), "until": until,
	}
}

// listBans takes one filter: exact, or like_ for an expression.
func (h *api) listBans(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	var rows []map[string]any
	for _, b := range h.app.node.bans() {
		exact := q.Has(b.As) && q.Get(b.As) != b.Who
		for _, as := range []string{"clientid", "username", "peerhost"} {
			exact = exact || q.Has(as) && as != b.As
			if like := q.Get("like_" + as); like != "" {
				re, err := regexp.Compile(like)
				if err != nil {
					fail(w, http.StatusBadRequest, "BAD_REQUEST", "The filter is not a validation regex expression")
					return
				}
				exact = exact || !strings.HasPrefix(b.As, as) || !re.MatchString(b.Who)
			}
		}
		if !exact {
			rows = append(rows, b.shown())
		}
	}
	page(w, r, rows)
}

// second reads a time: RFC 3339, or seconds since 1970.
func second(raw json.RawMessage, def int64) (int64, bool) {
	var text string
	var n int64
	switch {
	case len(raw) == 0 || string(raw) == "null" || string(raw) == `"infinity"`:
		return def, true
	case json.Unmarshal(raw, &n) == nil:
		return n, true
	case json.Unmarshal(raw, &text) != nil:
		return 0, false
	}
	t, err := time.Parse(time.RFC3339, text)
	return t.Unix(), err == nil
}

// valid tells whether a ban's who is one of its kind.
func (b ban) valid() bool {
	switch b.As {
	case "clientid", "username":
		return b.Who != ""
	case "clientid_re", "username_re":
		_, err := regexp.Compile(b.Who)
		return err == nil
	case "peerhost":
		_, err := netip.ParseAddr(b.Who)
		return err == nil
	case "peerhost_net":
		_, err := parseCIDR(b.Who)
		return err == nil
	}
	return false
}

// postBan ends the session of a client identifier that it bans by name, wherever it is, and
// no other connection (emqx_banned:on_banned).
func (h *api) postBan(w http.ResponseWriter, r *http.Request) {
	var in struct {
		As, Who   string
		By        *string
		Reason    string
		At, Until json.RawMessage
	}
	if !body(w, r, &in) {
		return
	}
	b := ban{As: in.As, Who: in.Who, By: "mgmt_api", Reason: in.Reason}
	if in.By != nil {
		b.By = *in.By
	}
	var at, until bool
	b.At, at = second(in.At, time.Now().Unix())
	b.Until, until = second(in.Until, 0)
	n := h.app.node
	switch {
	case !b.valid() || !at || !until:
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "want as, one of clientid, username, peerhost, clientid_re, username_re, peerhost_net, and who of that kind")
		return
	case b.over():
		fail(w, http.StatusBadRequest, "BAD_REQUEST", "Cannot create expired banned")
		return
	case slices.ContainsFunc(n.bans(), func(o ban) bool { return o.As == b.As && o.Who == b.Who }):
		fail(w, http.StatusBadRequest, "ALREADY_EXISTS", b.As+": "+b.Who)
		return
	}
	if err := n.writeRows(bannedTable, map[string]any{banKey(b.As, b.Who): b}); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	if b.As == "clientid" {
		n.kickClients(r.Context(), []string{b.Who})
	}
	reply(w, http.StatusOK, b.shown())
}

func (h *api) clearBans(w http.ResponseWriter, _ *http.Request) {
	if err := h.app.node.clearTable(bannedTable); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *api) deleteBan(w http.ResponseWriter, r *http.Request) {
	n, key := h.app.node, banKey(r.PathValue("as"), r.PathValue("who"))
	if as := r.PathValue("as"); !slices.Contains([]string{"clientid", "username", "peerhost", "clientid_re", "username_re", "peerhost_net"}, as) {
		invalid(w, "as", as, "not_a_enum_symbol")
		return
	}
	var b ban
	if !n.data.lookup(bannedTable, key, &b) {
		fail(w, http.StatusNotFound, "NOT_FOUND", r.PathValue("as")+": "+r.PathValue("who")+" not found")
		return
	}
	if err := n.writeRows(bannedTable, map[string]any{key: nil}); err != nil {
		fail(w, http.StatusInternalServerError, "INTERNAL_ERROR", err.Error())
		return
	}
	w.WriteHeader(http.StatusNoContent)
}
