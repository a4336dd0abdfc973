package broker

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// EMQX forwards a message to the nodes that it knows to have a subscriber. A node writes
// a new route down and goes on: the others learn of it when the word of it comes to them
// (emqx_router: mria:dirty_write and async_dirty). Until then their messages pass that
// node by.

// routes are the filters that somebody on this node has subscribed to, without those of
// shared groups.
type routes struct {
	mu      sync.Mutex
	filters map[string]bool
	// seq counts the changes, from base on, which is the application's start in
	// nanoseconds: no two lists of a node have the same.
	base int64
	seq  atomic.Int64
}

// route tells the other nodes of filters that are new here, before anybody is told that
// they are subscribed to.
func (a *app) route(filters ...string) {
	a.routes.mu.Lock()
	defer a.routes.mu.Unlock()
	for _, f := range filters {
		if !mqtt.IsSharedFilter(f) && !a.routes.filters[f] {
			a.routes.filters[f] = true
			a.tellRoute("route", f)
		}
	}
}

// unroute takes back what nobody subscribes to any more.
func (a *app) unroute() {
	a.routes.mu.Lock()
	defer a.routes.mu.Unlock()
	left := map[string]bool{}
	for _, cl := range a.server.Clients.GetAll() {
		for f := range cl.State.Subscriptions.GetAll() {
			left[f] = true
		}
	}
	for _, f := range sortedKeys(a.routes.filters) {
		if !left[f] {
			delete(a.routes.filters, f)
			a.tellRoute("unroute", f)
		}
	}
}

// tellRoute waits for nobody. The caller holds the lock, so that changes leave in order.
func (a *app) tellRoute(op, filter string) {
	seq := a.routes.seq.Add(1)
	for _, p := range a.node.runningPeers() {
		p.rpc.publish(&message{Op: op, Text: filter, RouteBase: a.routes.base, RouteSeq: seq})
	}
}

// allRoutes answers a node that has missed a change, or has just come.
func (a *app) allRoutes() *message {
	a.routes.mu.Lock()
	defer a.routes.mu.Unlock()
	return &message{Args: sortedKeys(a.routes.filters), RouteSeq: a.routes.seq.Load()}
}

// noteRoute takes in a change of a peer's routes. After a gap it asks for all of them.
func (p *peer) noteRoute(m *message) {
	p.mu.Lock()
	if m.RouteSeq == m.RouteBase+1 && m.RouteSeq > p.routeSeq {
		p.setRoutesLocked(nil, m.RouteBase)
	}
	if m.RouteSeq == p.routeSeq+1 {
		p.routeSeq = m.RouteSeq
		if m.Op == "route" {
			p.node.routed.Subscribe(p.name.String(), packets.Subscription{Filter: m.Text})
			p.routes[m.Text] = true
		} else {
			p.node.routed.Unsubscribe(m.Text, p.name.String())
			delete(p.routes, m.Text)
		}
	}
	gap := m.RouteSeq > p.routeSeq
	p.mu.Unlock()
	if gap {
		p.node.wg.Go(p.learnRoutes)
	}
}

// learnRoutes asks a peer for all of its routes.
func (p *peer) learnRoutes() {
	r, err := p.ask(p.ctx, &message{Op: "routes"}, 15*time.Second)
	if err != nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if r.RouteSeq >= p.routeSeq {
		p.setRoutesLocked(r.Args, r.RouteSeq)
	}
}

// setRoutesLocked replaces what is known. Change 0 is none: nothing is known.
func (p *peer) setRoutesLocked(filters []string, seq int64) {
	for f := range p.routes {
		p.node.routed.Unsubscribe(f, p.name.String())
	}
	p.routes, p.routeSeq = map[string]bool{}, seq
	for _, f := range filters {
		p.node.routed.Subscribe(p.name.String(), packets.Subscription{Filter: f})
		p.routes[f] = true
	}
}

// lateRoutes asks for all routes when a peer has said for a while that it has others than
// are known here: a change was lost on its way. Changes that are on their way are not late.
func (p *peer) lateRoutes(seq int64) {
	p.mu.Lock()
	known := p.routeSeq >= seq
	switch {
	case known:
		p.routesLate = time.Time{}
	case p.routesLate.IsZero():
		p.routesLate = time.Now()
	}
	late := !known && time.Since(p.routesLate) > p.node.opts.Silence
	if late { // and not again at the next tick
		p.routesLate = time.Now()
	}
	p.mu.Unlock()
	if late {
		p.node.wg.Go(p.learnRoutes)
	}
}

// routedTo are the peers that have a route for a topic, by name. One that has not told
// yet what it has is among them.
func (n *node) routedTo(topic string, peers []*peer) map[string]bool {
	to := map[string]bool{}
	for name := range n.routed.Subscribers(topic).Subscriptions {
		to[name] = true
	}
	for _, p := range peers {
		p.mu.Lock()
		if p.routeSeq == 0 {
			to[p.name.String()] = true
		}
		p.mu.Unlock()
	}
	return to
}

// routesText is `ctl topics show`: the nodes with a subscriber of exactly this filter.
func (a *app) routesText(filter string) string {
	var b strings.Builder
	a.routes.mu.Lock()
	here := a.routes.filters[filter]
	a.routes.mu.Unlock()
	if here {
		_, _ = fmt.Fprintf(&b, "%s -> %s\n", filter, a.node.cfg.node)
	}
	for _, p := range a.node.runningPeers() {
		p.mu.Lock()
		if p.routes[filter] {
			_, _ = fmt.Fprintf(&b, "%s -> %s\n", filter, p.name)
		}
		p.mu.Unlock()
	}
	return b.String()
}

// keep retains a message of another node for which nobody here has subscribed.
func (h *hook) keep(pk packets.Packet) {
	h.app.server.Topics.RetainMessage(pk)
	h.OnRetainMessage(nil, pk, 0)
}
