package broker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"
)

const codeNotMember = 410

// handle answers one question of another node or of the command line.
func (n *node) handle(kind, from string, m *message) *message {
	if kind == kindCtl {
		return n.ctl(m.Args)
	}
	switch m.Op {
	case "publish":
		if m.Publish != nil {
			n.withApp(func(a *app) { a.inject(from, m) })
		}
		return &message{}
	case "route", "unroute":
		n.mu.Lock()
		p := n.peers[from]
		n.mu.Unlock()
		if p != nil {
			p.noteRoute(m)
		}
		return &message{}
	case "routes":
		r := &message{Err: "not running"}
		n.withApp(func(a *app) { r = a.allRoutes() })
		return r
	case "takeover":
		r := &message{}
		n.withApp(func(a *app) {
			var err error
			if r.Session, err = a.stepDown(from, m.Client, m.Clean, time.Unix(0, m.Until)); err != nil {
				r.Err = err.Error()
			}
		})
		return r
	case "takeover end":
		r := &message{}
		n.withApp(func(a *app) { r.Session = a.handOver(m.Client) })
		return r
	case "here", "gone":
		n.mu.Lock()
		p := n.peers[from]
		n.mu.Unlock()
		if p != nil {
			p.note(m.Op, m.Client)
		}
		return &message{}
	case "sessions":
		r := &message{}
		n.withApp(func(a *app) { r.Args = sortedKeys(a.server.Clients.GetAll()) })
		return r
	case "hello":
		return n.greeting("hello")
	case "ping":
		n.heard(from, m, false)
		return n.greeting("ping")
	case "announce":
		n.heard(from, m, true)
		return n.greeting("announce")
	case "join":
		return n.admit(from)
	case "sync":
		return n.resync(from, m.Cluster)
	case "pull":
		return &message{Data: n.data.snapshot()}
	case "left":
		return n.farewell(from)
	case "keys":
		n.takeOver(m.Data)
		return &message{}
	case "listeners":
		return n.listenersTold(m.Listeners)
	case "drain":
		n.drainCache()
		return &message{}
	case "partition":
		return n.partitionReported(from)
	case "view":
		return n.view()
	case "heal":
		return n.heal(m.Args)
	case "rejoin":
		if err := n.rejoin(m.Text); err != nil {
			return &message{Err: err.Error()}
		}
		return &message{}
	case "stats":
		s := n.stats()
		return &message{Stats: &s}
	case "clients":
		r := &message{}
		n.withApp(func(a *app) { r.Clients = a.clients() })
		return r
	case "kick":
		r := &message{}
		n.withApp(func(a *app) { r.Code = a.kick(m.Args...) })
		return r
	}
	return &message{Err: "unknown question " + m.Op}
}

// heard is a ping that came in: the sender is alive, so look at it now instead of
// at the next tick, and drop a connection to its former life. An announcement
// waits for that look, so that the sender may count on being known; a ping must
// not, or two nodes would wait for each other.
func (n *node) heard(from string, m *message, wait bool) {
	n.mu.Lock()
	p := n.peers[from]
	n.mu.Unlock()
	n.merge(m)
	if p == nil {
		return
	}
	parted := p.believe(m)
	p.mu.Lock()
	former, stale := p.dist, p.dist != nil && p.distBorn != 0 && m.Born != p.distBorn
	news := parted || p.phase != m.Phase || p.cluster != m.Cluster || p.life != m.Life || !slices.Equal(p.shared, m.Shared)
	p.mu.Unlock()
	if stale {
		former.close() // not whatever it has by now
	}
	if stale || news {
		p.poke()
	}
	for end := time.Now().Add(time.Second); wait && (stale || news) && time.Now().Before(end) && n.ctx.Err() == nil; {
		p.poke()
		time.Sleep(2 * time.Millisecond)
		p.mu.Lock()
		news = p.phase != m.Phase || p.cluster != m.Cluster || p.life != m.Life
		stale = false
		p.mu.Unlock()
	}
}

// admit makes the asking node a member and hands it everything.
func (n *node) admit(name string) *message {
	if _, err := parseNodeName(name); err != nil {
		return &message{Err: err.Error()}
	}
	if n.currentPhase() != phaseRunning {
		return &message{Err: "node " + n.cfg.node.String() + " is not running"}
	}
	n.log.Info("a node joins", "node", name)
	if err := n.setMember(n.ctx, name, false); err != nil {
		return &message{Err: err.Error()}
	}
	return n.everything()
}

func (n *node) everything() *message {
	n.mu.Lock()
	defer n.mu.Unlock()
	return &message{Cluster: n.schema.Cluster, Members: maps.Clone(n.schema.Members), Data: n.data.snapshot()}
}

// resync gives a returning member the data, unless it is no member any more.
func (n *node) resync(name, cluster string) *message {
	n.mu.Lock()
	m, known := n.schema.Members[name]
	same, running := cluster == n.schema.Cluster, n.phase == phaseRunning
	n.mu.Unlock()
	switch {
	case !running || !same:
		return &message{Err: "not running in that cluster"}
	case !known || m.Removed:
		return &message{Err: "not a member", Code: codeNotMember}
	}
	return n.everything()
}

func (n *node) farewell(name string) *message {
	if err := n.setMember(n.ctx, name, true); err != nil {
		return &message{Err: err.Error()}
	}
	return &message{}
}

var errNoSuchNode = errors.New("node_not_in_cluster")

// forceLeave removes another member, running or not.
func (n *node) forceLeave(ctx context.Context, name string) error {
	if name == n.cfg.node.String() {
		return errors.New("cannot force-leave the node itself; use leave")
	}
	if !slices.Contains(n.others(), name) {
		return errNoSuchNode
	}
	n.mu.Lock()
	p := n.peers[name]
	n.mu.Unlock()
	err := n.setMember(ctx, name, true)
	if p != nil { // setMember has told the others; the peer itself is out of the list now
		if w, dialErr := n.dial(ctx, p.name, kindDist); dialErr == nil {
			_, _ = w.call(n.greeting("ping"), setupTimeout)
			w.close()
		}
	}
	return err
}

// leave makes this node a cluster of its own and switches discovery off until its next
// start.
func (n *node) leave() error {
	if len(n.others()) == 0 {
		return errors.New("node_not_in_cluster")
	}
	n.tellLeft()
	n.standAlone("asked to")
	return nil
}

func (n *node) enableDiscovery() {
	n.mu.Lock()
	n.discoOff = false
	n.mu.Unlock()
	n.goDiscover()
}

// joinAsked is `cluster join`.
func (n *node) joinAsked(name string) error {
	nn, err := parseNodeName(name)
	if err != nil {
		return err
	}
	if n.isMember(nn) {
		return fmt.Errorf("{already_in_cluster,'%s'}", nn)
	}
	return n.join(nn, true)
}

// nodeStats are one node's numbers.
type nodeStats struct {
	Node        string
	Born        int64
	Connections int64 // sessions, connected or not
	Live        int64
	Subs        int64
	Topics      int64
	SharedSubs  int64
	Retained    int64
	MsgIn       int64
	MsgOut      int64
	MsgDropped  int64
	MsgForward  int64
	PacketsIn   int64
	PacketsOut  int64
	BytesIn     int64
	BytesOut    int64
	CertExpiry  map[string]int64 // listener id -> unix seconds
	Memory      int64
}

func (n *node) stats() nodeStats {
	s := nodeStats{Node: n.cfg.node.String(), Born: n.born, CertExpiry: map[string]int64{}}
	n.withApp(func(a *app) { a.fill(&s) })
	for _, p := range n.allPeers() {
		s.MsgDropped += p.rpc.dropped.Load()
	}
	return s
}

// clusterStats asks every running member, side by side, and leaves out who does not
// answer; own numbers come first.
func (n *node) clusterStats(ctx context.Context, patience time.Duration) []nodeStats {
	peers := n.runningPeers()
	found := make([]*nodeStats, len(peers))
	var all sync.WaitGroup
	for i, p := range peers {
		all.Go(func() {
			// A new connection is given up sooner than the one that EMQX has already.
			for end := time.Now().Add(patience); slices.Contains(n.runningPeers(), p) && ctx.Err() == nil; {
				if r, err := p.ask(ctx, &message{Op: "stats"}, time.Until(end)); err == nil {
					found[i] = r.Stats
					return
				}
				if time.Now().After(end) {
					return
				}
			}
		})
	}
	own := n.stats()
	all.Wait()
	stats := []nodeStats{own}
	for _, s := range found {
		if s != nil {
			stats = append(stats, *s)
		}
	}
	return stats
}

// clusterClients lists the sessions of all running members.
func (n *node) clusterClients(ctx context.Context) []clientInfo {
	var all []clientInfo
	n.withApp(func(a *app) { all = a.clients() })
	for _, p := range n.runningPeers() {
		if r, err := p.ask(ctx, &message{Op: "clients"}, 15*time.Second); err == nil {
			all = append(all, r.Clients...)
		}
	}
	return all
}

// kickClients cuts clients wherever they are and ends their sessions.
func (n *node) kickClients(ctx context.Context, ids []string) int {
	count := 0
	n.withApp(func(a *app) { count = a.kick(ids...) })
	for _, p := range n.runningPeers() {
		if r, err := p.ask(ctx, &message{Op: "kick", Args: ids}, 15*time.Second); err == nil {
			count += r.Code
		}
	}
	return count
}

// tellKeys replicates keys and users.
func (n *node) tellKeys() {
	d := n.data.snapshot()
	d.Retained = nil
	for _, p := range n.runningPeers() {
		if _, err := p.ask(n.ctx, &message{Op: "keys", Data: d}, 15*time.Second); err != nil {
			n.log.Warn("replicating API keys failed", "node", p.name.String(), "reason", fmt.Sprint(err))
		}
	}
}
