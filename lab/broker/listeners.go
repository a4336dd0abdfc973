package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Listeners at run time, as emqx_listeners and emqx_mgmt_listeners_conf of EMQX 5.8.9
// have them: what is written on one member is written on all, and each applies it with
// what its own machine has. A listener that cannot be started is off, on that member,
// and who asked hears nothing of it. The environment wins again at the next start.

// listenerSpec is what of a listener's settings the stand-in changes at run time.
type listenerSpec struct {
	ID       string
	Bind     string
	Enable   bool
	Proxy    bool
	MaxConns int // 0: no limit
}

func specOf(c listenerConfig) listenerSpec {
	return listenerSpec{ID: c.id(), Bind: c.bind, Enable: true, Proxy: c.proxy, MaxConns: c.maxConns}
}

// specs are what this member has of each listener, by id.
func (a *app) specs() []listenerSpec {
	a.listenMu.Lock()
	defer a.listenMu.Unlock()
	out := make([]listenerSpec, 0, len(a.listening))
	for _, id := range sortedKeys(a.listening) {
		out = append(out, a.listening[id])
	}
	return out
}

// standing are the listeners that run.
func (a *app) standing() []*listener {
	a.listenMu.Lock()
	defer a.listenMu.Unlock()
	return slices.Clone(a.listeners)
}

func (a *app) runs(id string) *listener {
	for _, l := range a.standing() {
		if l.ID() == id {
			return l
		}
	}
	return nil
}

// apply takes over settings that differ from this member's own. The first listener that
// does not start ends it, as in perform_listener_changes; its settings stay.
func (a *app) apply(specs []listenerSpec) error {
	for _, s := range specs {
		a.listenMu.Lock()
		old, known := a.listening[s.ID]
		if known {
			a.listening[s.ID] = s
		}
		a.listenMu.Unlock()
		if !known || old == s {
			continue
		}
		if l := a.runs(s.ID); l != nil && s.Enable && old.Bind == s.Bind && old.Proxy == s.Proxy {
			continue // only a limit, which needs no restart
		}
		a.stopListener(s.ID)
		if s.Enable {
			if err := a.startListener(s.ID); err != nil {
				return err
			}
		}
	}
	return nil
}

// stopListener cuts its clients.
func (a *app) stopListener(id string) {
	l := a.runs(id)
	if l == nil {
		return
	}
	a.server.Listeners.Close(id, func(id string) {
		for _, cl := range a.server.Clients.GetByListener(id) {
			cl.Stop(errors.New("the listener is stopped"))
		}
	})
	a.server.Listeners.Delete(id)
	a.listenMu.Lock()
	a.listeners = slices.DeleteFunc(a.listeners, func(l *listener) bool { return l.ID() == id })
	a.listenMu.Unlock()
	a.node.log.print("Listener " + id + " on " + l.cfg.bind + " stopped.")
}

// startListener starts one with the environment's settings, but for those that were
// changed since.
func (a *app) startListener(id string) error {
	a.listenMu.Lock()
	s := a.listening[id]
	a.listenMu.Unlock()
	at := slices.IndexFunc(a.node.cfg.listeners, func(c listenerConfig) bool { return c.id() == id })
	if at < 0 {
		return fmt.Errorf("listener %s: not_found", id)
	}
	c := a.node.cfg.listeners[at]
	c.bind, c.proxy, c.maxConns = s.Bind, s.Proxy, s.MaxConns
	l, err := newListener(c, a.node.cfg.mqtt.idleTimeout, a.node.log)
	if err == nil {
		l.app = a
		err = a.server.AddListener(l)
	}
	if err != nil {
		err = fmt.Errorf("failed_to_start: %s(%s) : %s", id, s.Bind, posixName(err))
		a.node.log.Error("listener does not start", "listener", id, "reason", err.Error())
		return err
	}
	a.listenMu.Lock()
	a.listeners = append(a.listeners, l)
	a.listenMu.Unlock()
	a.server.Listeners.Serve(id, a.server.EstablishConnection)
	a.node.log.print("Listener " + id + " on " + l.Address() + " started.")
	return nil
}

// posixName is how Erlang calls what a machine refuses.
func posixName(err error) string {
	switch {
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return "eaddrnotavail"
	case errors.Is(err, syscall.EADDRINUSE):
		return "eaddrinuse"
	}
	return err.Error()
}

// writeListeners writes settings on all members. The error is this one's.
func (a *app) writeListeners(specs []listenerSpec) error {
	if err := a.apply(specs); err != nil {
		return err
	}
	n := a.node
	n.listenersWritten.Store(true)
	for _, p := range n.runningPeers() {
		if _, err := p.ask(n.ctx, &message{Op: "listeners", Listeners: specs}, time.Minute); err != nil {
			n.log.Warn("replicating listeners failed", "node", p.name.String(), "reason", err.Error())
		}
	}
	return nil
}

// listenersTold is the answer to another member's writeListeners.
func (n *node) listenersTold(specs []listenerSpec) *message {
	n.listenersWritten.Store(true)
	r := &message{}
	n.withApp(func(a *app) {
		if err := a.apply(specs); err != nil {
			r.Err = err.Error()
		}
	})
	return r
}

// exportListeners is the archive's cluster.hocon: what was changed since the start.
func (a *app) exportListeners() []byte {
	if !a.node.listenersWritten.Load() {
		return nil
	}
	var b strings.Builder
	b.WriteString("listeners {\n")
	for _, s := range a.specs() {
		typ, name, _ := strings.Cut(s.ID, ":")
		limit := "infinity"
		if s.MaxConns > 0 {
			limit = strconv.Itoa(s.MaxConns)
		}
		_, _ = fmt.Fprintf(&b, "  %s {\n    %s {\n      bind = %q\n      enable = %t\n      max_connections = %s\n      proxy_protocol = %t\n    }\n  }\n",
			typ, name, strings.TrimPrefix(s.Bind, ":"), s.Enable, limit, s.Proxy)
	}
	b.WriteString("}\n")
	return []byte(b.String())
}

// importListeners writes this member's listeners on all members, with those of the
// archive over them: also when the archive has none.
func (a *app) importListeners(hocon []byte) error {
	specs := a.specs()
	leaves := clusterSettings(string(hocon))
	for i := range specs {
		s := &specs[i]
		typ, name, _ := strings.Cut(s.ID, ":")
		path := "listeners." + typ + "." + name + "."
		var err error
		if v, ok := leaves[path+"bind"]; ok {
			var bind any
			if bind, err = bindAddress(v); err == nil {
				s.Bind = bind.(string)
			}
		}
		s.Enable = get(leaves, s.Enable, path+"enable")
		s.Proxy = get(leaves, s.Proxy, path+"proxy_protocol")
		if v, ok := leaves[path+"max_connections"].(hoconInt); ok {
			s.MaxConns, _ = strconv.Atoi(v.text)
		}
		if err != nil {
			return fmt.Errorf("%sbind: %w", path, err)
		}
	}
	return a.writeListeners(specs)
}

// clusterSettings reads a file as EMQX's printer writes it, a field or a brace a line.
func clusterSettings(text string) settings {
	s, path := settings{}, []string{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if name, opens := strings.CutSuffix(line, " {"); opens {
			path = append(path, name)
		} else if line == "}" && len(path) > 0 {
			path = path[:len(path)-1]
		} else if key, value, ok := strings.Cut(line, " = "); ok {
			s[strings.Join(append(slices.Clone(path), key), ".")] = parseHocon(value)
		}
	}
	return s
}

// listenersText is `ctl listeners`, which does not know the dashboard (emqx_mgmt_cli:listeners, and tried).
func (a *app) listenersText() string {
	var b strings.Builder
	for _, s := range a.specs() {
		limit := "infinity"
		if s.MaxConns > 0 {
			limit = fmt.Sprint(s.MaxConns)
		}
		l := a.runs(s.ID)
		var open int64
		acceptors := 16
		if l != nil {
			open, acceptors = l.open.Load(), l.cfg.acceptors
		}
		_, _ = fmt.Fprintf(&b, "%s\n  listen_on       : %s\n  acceptors       : %d\n  proxy_protocol  : %t\n  running         : %t\n  current_conn    : %d\n  max_conns       : %s\n",
			s.ID, s.Bind, acceptors, s.Proxy, l != nil, open, limit)
	}
	return b.String()
}

// ctlListeners also stops and starts one, on this member alone.
func (a *app) ctlListeners(verb, id string) *message {
	_, known := func() (listenerSpec, bool) {
		a.listenMu.Lock()
		defer a.listenMu.Unlock()
		s, ok := a.listening[id]
		return s, ok
	}()
	switch {
	case verb == "":
		return done(a.listenersText())
	case verb == "stop" && known:
		a.stopListener(id)
		return done("Stop " + id + " listener successfully.")
	case verb == "start" && known:
		if a.runs(id) == nil {
			if err := a.startListener(id); err != nil {
				return done("Failed to start " + id + " listener: " + err.Error())
			}
		}
		return done("Started " + id + " listener successfully.")
	}
	return &message{Code: 1, Text: "Usage: emqx ctl\n" + ctlUsage}
}

func (s listenerSpec) json(running bool) map[string]any {
	typ, name, _ := strings.Cut(s.ID, ":")
	limit := any("infinity")
	if s.MaxConns > 0 {
		limit = s.MaxConns
	}
	return map[string]any{
		"id": s.ID, "type": typ, "name": name, "bind": s.Bind, "enable": s.Enable, "proxy_protocol": s.Proxy,
		"max_connections": limit, "running": running, "status": map[string]any{"running": running},
	}
}

func (h *api) listeners(w http.ResponseWriter, _ *http.Request) {
	list := []map[string]any{}
	for _, s := range h.app.specs() {
		list = append(list, s.json(h.app.runs(s.ID) != nil))
	}
	reply(w, http.StatusOK, list)
}

// putListener is the dashboard's "update": 200 whatever becomes of it elsewhere.
func (h *api) putListener(w http.ResponseWriter, r *http.Request) {
	specs, id := h.app.specs(), r.PathValue("id")
	typ, _, ok := strings.Cut(id, ":")
	if !ok {
		invalid(w, "id", id, "{invalid_listener_id,"+id+"}")
		return
	}
	at := slices.IndexFunc(specs, func(s listenerSpec) bool { return s.ID == id })
	if at < 0 {
		fail(w, http.StatusNotFound, "BAD_LISTENER_ID", "Listener id not found")
		return
	}
	s := specs[at]
	var body struct { // it has to say type and identifier once more
		Type           string `json:"type"`
		ID             string `json:"id"`
		Bind           string `json:"bind"`
		Enable         *bool  `json:"enable"`
		ProxyProtocol  *bool  `json:"proxy_protocol"`
		MaxConnections any    `json:"max_connections"`
	}
	err := json.NewDecoder(io.LimitReader(r.Body, 1<<20)).Decode(&body)
	switch {
	case err != nil:
	case body.Type == "":
		err = errors.New("unknown listener type")
	case body.ID == "":
		err = errors.New("required_field: root.id")
	case body.Type != typ:
		err = errors.New("listener_type_inconsistent")
	case body.ID != id:
		fail(w, http.StatusBadRequest, "BAD_LISTENER_ID", "Path and body's listener id not match")
		return
	}
	if err == nil && body.Bind != "" {
		var bind any
		if bind, err = bindAddress(body.Bind); err == nil {
			s.Bind = bind.(string)
		}
	}
	if err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	if body.Enable != nil {
		s.Enable = *body.Enable
	}
	if body.ProxyProtocol != nil {
		s.Proxy = *body.ProxyProtocol
	}
	if n, ok := body.MaxConnections.(float64); ok {
		s.MaxConns = int(n)
	}
	if err := h.app.writeListeners([]listenerSpec{s}); err != nil {
		fail(w, http.StatusBadRequest, "BAD_REQUEST", err.Error())
		return
	}
	reply(w, http.StatusOK, s.json(h.app.runs(s.ID) != nil))
}
