package broker

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// peer is another member: one connection for questions on the distribution
// port, pinged every tick, and two on the RPC port, opened when needed.
type peer struct {
	node *node
	name nodeName
	ctx  context.Context
	end  context.CancelFunc
	wake chan struct{}
	rpc  *rpcLink
	// asked is when the ping went out that has no answer yet, 0 when it has one.
	asked atomic.Int64

	mu       sync.Mutex
	sessions map[string]bool // client identifiers
	dist     *wire
	cluster  string
	phase    string
	life     int64
	// Of who has answered on dist, else 0: a new process may announce itself before the
	// end of the old one shows there.
	distBorn, distLife int64
	lost               lives // of the last time that it was called dead
	members            map[string]member
	waitFor            []string
	shared             []string        // filters of shared subscriptions there
	routes             map[string]bool // filters of other subscriptions there
	routeSeq           int64           // up to which change they are known; 0: not at all
	routesLate         time.Time
	badLogin           bool // the cookie fault is logged once
}

// others are the members besides this node, removed ones left out.
func (n *node) others() []string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.othersLocked()
}

func (n *node) othersLocked() []string {
	var out []string
	for _, name := range sortedKeys(n.schema.Members) {
		if name != n.cfg.node.String() && !n.schema.Members[name].Removed {
			out = append(out, name)
		}
	}
	return out
}

// tendPeers has exactly one peer for every other member.
func (n *node) tendPeers() {
	n.mu.Lock()
	defer n.mu.Unlock()
	want := map[string]bool{}
	for _, name := range n.othersLocked() {
		want[name] = true
		if n.peers[name] != nil || n.ctx.Err() != nil {
			continue
		}
		nn, err := parseNodeName(name)
		if err != nil {
			continue
		}
		p := &peer{node: n, name: nn, wake: make(chan struct{}, 1)}
		p.ctx, p.end = context.WithCancel(n.ctx)
		p.rpc = newRPCLink(p)
		n.peers[name] = p
		n.wg.Go(p.run)
	}
	for name, p := range n.peers {
		if !want[name] {
			p.close()
			delete(n.peers, name)
		}
	}
}

func (p *peer) close() {
	p.end()
	p.rpc.close()
	p.drop()
}

func (p *peer) drop() {
	p.mu.Lock()
	w := p.dist
	p.mu.Unlock()
	if w != nil {
		w.close()
	}
}

// run connects, pings, and notes when the peer goes away.
func (p *peer) run() {
	n := p.node
	for p.ctx.Err() == nil {
		w, err := n.dial(p.ctx, p.name, kindDist)
		if err == nil {
			p.mu.Lock()
			p.dist, p.badLogin = w, false
			p.mu.Unlock()
			for p.ctx.Err() == nil && p.ping(w) == nil {
				p.pause()
			}
			w.close()
			p.gone()
			continue
		}
		p.gone() // an answer to announce may have come from its last breath
		p.mu.Lock()
		first := errors.Is(err, errCookie) && !p.badLogin
		p.badLogin = p.badLogin || first
		p.mu.Unlock()
		if first {
			n.log.Error("connection to node " + p.name.String() + " refused: " + err.Error())
		}
		p.pause()
	}
}

func (p *peer) pause() {
	select {
	case <-p.ctx.Done():
	case <-p.wake:
	case <-time.After(p.node.opts.Tick):
	}
}

func (p *peer) poke() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// ask puts one question on a connection of its own, so that a peer that hangs
// holds up nobody but the asker, for at most timeout.
func (p *peer) ask(ctx context.Context, m *message, timeout time.Duration) (*message, error) {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	defer context.AfterFunc(p.ctx, cancel)() //nolint:contextcheck // either ends the question
	w, err := p.node.dial(ctx, p.name, kindDist)
	if err != nil {
		return nil, err
	}
	defer w.close()
	return w.call(m, timeout)
}

// ping tells the peer how this node is and learns how it is itself. Silence for
// the tick time is death, as by Erlang's net_ticktime.
func (p *peer) ping(w *wire) error {
	p.asked.Store(time.Now().UnixNano())
	defer p.asked.Store(0)
	r, err := w.call(p.node.greeting("ping"), p.node.cfg.tickTime)
	if err != nil {
		return err
	}
	p.mu.Lock()
	p.distBorn, p.distLife = r.Born, r.Life
	p.mu.Unlock()
	p.learn(r)
	return nil
}

// learn takes in what a peer says of itself.
func (p *peer) learn(m *message) {
	p.mu.Lock()
	wasUp, was := p.serving(), p.parted()
	p.mu.Unlock()
	p.believe(m)
	p.mu.Lock()
	p.cluster, p.phase, p.life, p.members, p.waitFor = m.Cluster, m.Phase, m.Life, m.Members, m.WaitFor
	p.shared = m.Shared
	isUp, parted := p.serving(), p.parted()
	p.mu.Unlock()
	p.lateRoutes(m.RouteSeq)
	p.node.merge(m)
	switch {
	case isUp && !wasUp:
		p.node.memberUp(p, m.Cluster)
	case parted && !was:
		if wasUp {
			p.forget()
			p.node.memberDown(p.name.String(), m.Cluster)
		}
		p.node.partition(p.name.String())
	}
}

func (p *peer) gone() {
	p.mu.Lock()
	wasUp := p.serving()
	cluster := p.cluster
	if p.distLife != 0 && p.phase == phaseRunning && p.ctx.Err() == nil { // an attempt to connect that fails kills nobody
		p.lost = lives{p.distLife, p.node.life.Load()}
	}
	p.dist, p.phase, p.distBorn, p.distLife = nil, "", 0, 0
	p.mu.Unlock()
	p.forget()
	if wasUp && p.ctx.Err() == nil {
		p.node.memberDown(p.name.String(), cluster)
	}
}

// forget drops what was known of what a peer has.
func (p *peer) forget() {
	p.mu.Lock()
	p.shared, p.sessions = nil, nil
	p.setRoutesLocked(nil, 0)
	p.mu.Unlock()
	p.rpc.reset()
}

// serves tells whether a shared group has a member on the peer.
func (p *peer) serves(filter string) bool { return slices.Contains(p.sharedFilters(), filter) }

func (p *peer) sharedFilters() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.shared
}

// up tells whether the peer serves as a member of this node's cluster.
func (p *peer) up(cluster string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving() && p.cluster == cluster
}

// greeting is what a node says of itself, in questions and answers.
func (n *node) greeting(op string) *message {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := &message{
		Op: op, Node: n.cfg.node.String(), Cluster: n.schema.Cluster, Phase: n.phase, Since: n.since, Born: n.born, Life: n.life.Load(),
		Members: maps.Clone(n.schema.Members), Lost: n.lostLocked(),
	}
	if n.phase == phaseWaiting {
		m.WaitFor = n.waitForLocked()
	}
	if n.app != nil {
		m.Shared = *n.app.shared.Load()
		m.RouteSeq = n.app.routes.seq.Load()
	}
	return m
}

// merge takes over newer entries of the member list from a node of the same cluster.
func (n *node) merge(m *message) {
	n.mu.Lock()
	p := n.peers[m.Node]
	if n.phase != phaseRunning || m.Phase != phaseRunning || m.Cluster != n.schema.Cluster || p != nil && p.isParted() {
		n.mu.Unlock()
		return
	}
	changed := false
	for name, theirs := range m.Members {
		if mine, ok := n.schema.Members[name]; !ok || theirs.At > mine.At {
			n.schema.Members[name] = theirs
			changed = true
		}
	}
	removed := n.schema.Members[n.cfg.node.String()].Removed
	if changed {
		n.complain(n.saveSchema())
	}
	n.mu.Unlock()
	if changed {
		n.tendPeers()
	}
	if removed {
		n.wg.Go(func() { n.standAlone("removed from the cluster by another node") })
	}
}

// setMember changes the list here and tells the others.
func (n *node) setMember(ctx context.Context, name string, removed bool) error {
	n.mu.Lock()
	n.schema.Members[name] = member{Removed: removed, At: time.Now().UnixNano()}
	if removed {
		delete(n.schema.Down, name)
	}
	err := n.saveSchema()
	n.mu.Unlock()
	n.announce(ctx)
	n.tendPeers()
	return err
}

func (n *node) memberUp(p *peer, cluster string) {
	name := p.name.String()
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.phase != phaseRunning || cluster != n.schema.Cluster {
		return
	}
	n.log.Info("node up", "node", name)
	n.wg.Go(n.tellKeys)
	n.wg.Go(p.learnSessions)
	n.wg.Go(p.learnRoutes)
	if _, was := n.schema.Down[name]; was {
		delete(n.schema.Down, name)
		n.complain(n.saveSchema())
	}
}

func (n *node) memberDown(name, cluster string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.phase != phaseRunning || cluster != n.schema.Cluster || n.ctx.Err() != nil {
		return
	}
	n.log.Warn("node down", "node", name)
	n.schema.Down[name] = time.Now().UnixNano()
	n.complain(n.saveSchema())
}

// complain logs a fault that must not stop a serving node.
func (n *node) complain(err error) {
	if err != nil {
		n.log.Error(err.Error())
	}
}

// clusterStatus is `cluster status`: who runs and who is missing.
func (n *node) clusterStatus() (running, stopped []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	running, stopped = []string{}, []string{}
	for _, name := range sortedKeys(n.schema.Members) {
		switch p := n.peers[name]; {
		case n.schema.Members[name].Removed:
		case name == n.cfg.node.String() || p != nil && p.up(n.schema.Cluster):
			running = append(running, name)
		default:
			stopped = append(stopped, name)
		}
	}
	return running, stopped
}

// runningPeers are the members that serve now, besides this node.
func (n *node) runningPeers() []*peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*peer
	for _, name := range sortedKeys(n.peers) {
		if p := n.peers[name]; p.up(n.schema.Cluster) {
			out = append(out, p)
		}
	}
	return out
}

// allPeers are the other members, whatever they do.
func (n *node) allPeers() []*peer {
	n.mu.Lock()
	defer n.mu.Unlock()
	var out []*peer
	for _, name := range sortedKeys(n.peers) {
		out = append(out, n.peers[name])
	}
	return out
}

// announce tells every peer about this node at once, and learns who runs. When it
// returns, the running ones count this node in.
func (n *node) announce(ctx context.Context) {
	n.tendPeers()
	var wg sync.WaitGroup
	for _, p := range n.allPeers() {
		wg.Go(func() {
			if r, err := p.ask(ctx, n.greeting("announce"), 2*time.Second); err == nil {
				p.learn(r) //nolint:contextcheck // what follows from it is the node's doing, not the asker's
			}
		})
	}
	wg.Wait()
}

// autoclean forgets members that were gone for long.
func (n *node) autoclean() {
	if n.cfg.autoclean <= 0 {
		return
	}
	every := min(time.Minute, n.cfg.autoclean/4+time.Millisecond)
	for {
		select {
		case <-n.ctx.Done():
			return
		case <-time.After(every):
		}
		n.mu.Lock()
		var old []string
		for name, at := range n.schema.Down {
			if time.Since(time.Unix(0, at)) > n.cfg.autoclean {
				old = append(old, name)
			}
		}
		n.mu.Unlock()
		for _, name := range old {
			n.log.Warn("autoclean removes a node", "node", name)
			n.complain(n.setMember(n.ctx, name, true))
		}
	}
}
