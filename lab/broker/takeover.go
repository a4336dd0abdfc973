package broker

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// How long EMQX 5.8 waits for a member that does not answer, from its sources.
const (
	// takeoverTimeout is T_TAKEOVER of emqx_cm.hrl: how long a node waits for one of
	// its own connections to give up its session. Another node waits twice as long
	// (emqx_cm_proto: rpc:call with T_TAKEOVER * 2), and then drops the connection
	// that wants the session.
	takeoverTimeout = 15 * time.Second
	// kickTimeout is T_KICK: the same for a session that ends, after a clean start.
	// There the new connection goes on without an answer.
	kickTimeout = 5 * time.Second
	// lockTimeout is MC_TIMEOUT of ekka_locker: the lock on a client identifier is
	// asked of some members at once (rpc:multicall), and a silent one holds up all of
	// them for so long. It is then passed over. The same goes for giving it back.
	lockTimeout = 30 * time.Second
)

// silence is how long a member that is asked every tick may take to answer.
const silence = 2 * time.Second

// session is what moves when a client comes back on another node.
type session struct {
	Subs     []packets.Subscription
	Awaiting []uint16
	Messages []packets.Packet
	Version  byte
}

// errBusy is what another node hears that opens the same session.
var errBusy = errors.New("client_id_unavailable")

// resume is what happens between CONNECT and CONNACK, one connection of a client
// identifier at a time: the old connection ends, its session comes here, wherever it
// was. From then until the client is known, nothing is distributed.
func (a *app) resume(cl *mqtt.Client, k *link, clean bool) {
	unlock := a.ids.lock(cl.ID, a.node.cfg.node.String())
	if unlock == nil {
		a.refuse(cl, k, errBusy)
		return
	}
	k.hold(unlock)
	a.node.awaitLock(cl.ID)
	if old, ok := a.server.Clients.Get(cl.ID); ok {
		a.retire(old, packets.ErrSessionTakenOver)
	}
	late, err := a.fetch(cl.ID, clean)
	a.node.awaitLock(cl.ID)
	a.flow.Lock()
	k.hold(a.flow.Unlock)
	old, ok := a.server.Clients.Get(cl.ID)
	if ok {
		a.complete(old, late) // a session that has come stays here, also without the client
	}
	switch {
	case err != nil:
		a.refuse(cl, k, err)
	case clean || !ok:
		a.memories.Delete(cl.ID)
	}
}

// refuse ends a connection that cannot have its session, and leaves the session alone:
// the server goes on with a name that nobody has, and finds the connection closed. EMQX
// answers when the lock is taken; of a failed call its connection process dies.
func (a *app) refuse(cl *mqtt.Client, k *link, why error) {
	a.node.log.Error("failed_to_open_session", "clientid", cl.ID, "reason", why.Error())
	if errors.Is(why, errBusy) {
		_ = a.server.SendConnack(cl, packets.ErrClientIdentifierNotValid, false, nil)
	}
	k.refused = true
	cl.Stop(why)
	k.release()
	cl.ID = "refused " + nonce()
}

// fetch brings the session of a client here from the member that has it, and returns
// the messages that waited in it there. While it moves, both nodes take messages in, and
// complete leaves out what both have.
//
// As in EMQX (emqx_session_mem:open) the subscriptions stand here before they go there,
// but nobody waits until the other nodes know of them, or until what they have sent there
// has come: that is lost. See ADR 0034.
func (a *app) fetch(id string, clean bool) (late []packets.Packet, err error) {
	peers := a.node.runningPeers()
	if len(peers) == 0 {
		return nil, nil
	}
	found := make([]*session, len(peers))
	faults := make([]error, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() { found[i], faults[i] = p.stepDown(id, clean) })
	}
	wg.Wait()
	for i, s := range found {
		if s == nil {
			continue
		}
		a.flow.Lock()
		a.install(id, s)
		a.flow.Unlock()
		a.node.awaitRoutes()
		r, err := peers[i].rpc.ask(&message{Op: "takeover end", Client: id}, 2*a.node.opts.Takeover)
		if err != nil || r.Session == nil {
			a.node.log.Error("the messages of a session are lost: its node does not answer", "clientid", id, "node", peers[i].name.String())
			continue
		}
		late = append(late, r.Session.Messages...)
	}
	for _, fault := range faults {
		if errors.Is(fault, errBusy) || fault != nil && !clean && len(late) == 0 {
			return late, fault
		}
	}
	return late, nil
}

// awaitRoutes is where EMQX runs its hook session.resumed, and in it the job's
// emqx_oci_takeover.erl, once that is loaded.
func (n *node) awaitRoutes() {
	select {
	case <-n.ctx.Done():
	case <-time.After(time.Duration(n.pause.Load())):
	}
}

// stepDown asks a member to give up a session. It returns an error when the member is
// known to have the session and does not answer.
func (p *peer) stepDown(id string, clean bool) (*session, error) {
	timeout := 2 * p.node.opts.Takeover
	if clean {
		timeout = 2 * p.node.opts.Kick
	}
	type answer struct {
		m   *message
		err error
	}
	answers := make(chan answer, 1)
	go func() {
		r, err := p.rpc.ask(&message{Op: "takeover", Client: id, Clean: clean, Until: time.Now().Add(timeout).UnixNano()}, timeout)
		answers <- answer{r, err}
	}()
	look := time.NewTicker(20 * time.Millisecond)
	defer look.Stop()
	for {
		select {
		case r := <-answers:
			switch {
			case r.err == nil:
				return r.m.Session, nil
			case r.err.Error() == errBusy.Error():
				return nil, errBusy
			}
			p.node.log.Error("taking over a session failed", "clientid", id, "node", p.name.String(), "reason", r.err.Error())
			if p.has(id) && p.isUp() {
				return nil, errors.New("node " + p.name.String() + " has the session and does not answer")
			}
			return nil, nil
		case <-look.C:
			if !p.isUp() || p.hung() && !p.has(id) {
				return nil, nil
			}
		}
	}
}

// giving is a session between a takeover's begin and its end.
type giving struct {
	to     string
	unlock func()
}

// stepDown is the other side of a takeover's begin: the connection ends, the session
// takes messages in until takeover's end. A node that was frozen finds questions whose
// askers have gone: none of them gets the session, or holds up the next one.
func (a *app) stepDown(to, id string, clean bool, until time.Time) (*session, error) {
	if g, ok := a.leaving.Load(id); ok && g.(*giving).to == to { // it has given up waiting, and asks again
		a.stay(id, g.(*giving))
	}
	unlock := a.ids.lock(id, to)
	if unlock == nil {
		return nil, errBusy
	}
	if time.Now().After(until) {
		unlock()
		return nil, errBusy
	}
	cl, ok := a.server.Clients.Get(id)
	if !ok {
		unlock()
		return nil, nil
	}
	keeps := !clean && !cl.Properties.Clean
	if cl.Properties.ProtocolVersion == 5 {
		keeps = !clean && cl.Properties.Props.SessionExpiryInterval > 0
	}
	a.retire(cl, packets.ErrSessionTakenOver)
	if !keeps {
		a.forget(cl)
		unlock()
		return nil, nil
	}
	s := &session{Version: cl.Properties.ProtocolVersion}
	for _, sub := range cl.State.Subscriptions.GetAll() {
		s.Subs = append(s.Subs, sub)
	}
	m := a.memoryOf(id)
	m.do(func() { s.Awaiting = slices.Sorted(maps.Keys(m.awaiting)) })
	g := &giving{to: to, unlock: unlock}
	a.leaving.Store(id, g)
	time.AfterFunc(4*a.node.opts.Takeover, func() { a.stay(id, g) })
	return s, nil
}

// stay keeps a session here that nobody fetches.
func (a *app) stay(id string, g *giving) {
	if a.leaving.CompareAndDelete(id, g) {
		g.unlock()
	}
}

// handOver is the other side of a takeover's end.
func (a *app) handOver(id string) *session {
	g, ok := a.leaving.LoadAndDelete(id)
	if !ok {
		return nil
	}
	defer g.(*giving).unlock()
	a.flow.Lock()
	defer a.flow.Unlock()
	cl, known := a.server.Clients.Get(id)
	if !known {
		return nil
	}
	s := &session{}
	for _, pk := range a.orderedInflight(cl) {
		if pk.FixedHeader.Type == packets.Publish || pk.FixedHeader.Type == packets.Pubrel {
			s.Messages = append(s.Messages, pk)
		}
	}
	a.forget(cl)
	return s
}

// install makes a moved session look like one that was here all along, so that
// the server resumes it.
func (a *app) install(id string, s *session) {
	if _, ok := a.server.Clients.Get(id); ok {
		return
	}
	cl := a.server.NewClient(nil, clusterListener, id, false)
	cl.Properties.ProtocolVersion = s.Version
	cl.Properties.Props.SessionExpiryInterval, cl.Properties.Props.SessionExpiryIntervalFlag = 1<<32-1, true
	for _, sub := range s.Subs {
		if a.server.Topics.Subscribe(id, sub) {
			atomic.AddInt64(&a.server.Info.Subscriptions, 1)
		}
		cl.State.Subscriptions.Add(sub.Filter, sub)
	}
	m := a.memoryOf(id)
	m.do(func() {
		for _, packet := range s.Awaiting {
			m.awaiting[packet] = true
		}
	})
	cl.Stop(packets.ErrSessionTakenOver)
	a.server.Clients.Add(cl)
	a.route(sortedKeys(cl.State.Subscriptions.GetAll())...)
	a.routesChanged()
}

// complete puts the messages that waited elsewhere before those that have come here
// since. They keep their identifiers, which the client may know.
func (a *app) complete(cl *mqtt.Client, late []packets.Packet) {
	fresh := a.orderedInflight(cl)
	if len(late) == 0 {
		return
	}
	m := a.memoryOf(cl.ID)
	set := func(pk packets.Packet) {
		cl.State.Inflight.Set(pk)
		m.do(func() { m.arrived[pk.PacketID] = a.arrivals.Add(1) })
	}
	for _, pk := range fresh {
		cl.State.Inflight.Delete(pk.PacketID)
	}
	have, used := map[string]bool{}, map[uint16]bool{}
	for _, pk := range late {
		if used[pk.PacketID] { // of a second session of the same client
			fresh = append([]packets.Packet{pk}, fresh...)
			continue
		}
		used[pk.PacketID], have[identity(pk)] = true, true
		set(pk)
	}
	for _, pk := range fresh {
		if pk.FixedHeader.Type == packets.Publish && have[identity(pk)] {
			continue
		}
		id, err := cl.NextPacketID()
		if err != nil {
			break // 65535 messages wait
		}
		pk.PacketID = uint16(id) //nolint:gosec // NextPacketID gives 16 bits
		set(pk)
	}
	a.orderedInflight(cl)
	atomic.AddInt64(&a.server.Info.Inflight, int64(cl.State.Inflight.Len()-len(fresh)))
}

// identity is the same for a message on all nodes.
func identity(pk packets.Packet) string { return pk.Connect.ClientIdentifier + " " + pk.TopicName }

// forget removes a session and its subscriptions.
func (a *app) forget(cl *mqtt.Client) {
	a.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	if now, ok := a.server.Clients.Get(cl.ID); ok && now == cl {
		a.server.Clients.Delete(cl.ID)
		a.memories.Delete(cl.ID)
		a.node.tellSession("gone", cl.ID)
	}
	a.routesChanged()
}

// awaitLock waits as EMQX does for its lock on a client identifier when one of the
// members that hold it is silent.
func (n *node) awaitLock(id string) {
	peers := n.lockPeers(id)
	for end := time.Now().Add(n.opts.Lock); time.Now().Before(end) && n.ctx.Err() == nil; time.Sleep(20 * time.Millisecond) {
		if !slices.ContainsFunc(peers, func(p *peer) bool { return p.isUp() && p.hung() }) {
			return
		}
	}
}

// lockPeers are the other members that hold the lock on a client identifier.
func (n *node) lockPeers(id string) []*peer {
	peers := n.runningPeers()
	names := []string{n.cfg.node.String()}
	for _, p := range peers {
		names = append(names, p.name.String())
	}
	ring := lockRing(id, names)
	return slices.DeleteFunc(peers, func(p *peer) bool { return !slices.Contains(ring, p.name.String()) })
}

// lockRing are more than half of all members, but three at most (quorum of ekka_ring),
// chosen by hash.
func lockRing(id string, names []string) []string {
	weight := func(name string) uint64 {
		sum := sha256.Sum256([]byte(name + "\n" + id))
		return binary.BigEndian.Uint64(sum[:])
	}
	ring := slices.SortedFunc(slices.Values(names), func(a, b string) int { return cmp.Compare(weight(a), weight(b)) })
	return ring[:min(3, len(ring)/2+1)]
}

// tellSession tells the other members where a session is, so that they know whom to
// wait for: EMQX's registry of channels.
func (n *node) tellSession(op, id string) {
	for _, p := range n.runningPeers() {
		p.rpc.publish(&message{Op: op, Client: id})
	}
}

// note takes in what a member says of a session.
func (p *peer) note(op, id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sessions == nil {
		p.sessions = map[string]bool{}
	}
	if op == "here" {
		p.sessions[id] = true
	} else {
		delete(p.sessions, id)
	}
}

func (p *peer) has(id string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.sessions[id]
}

// hung tells whether the peer owes an answer for long.
func (p *peer) hung() bool {
	at := p.asked.Load()
	return at != 0 && time.Since(time.Unix(0, at)) > p.node.opts.Silence
}

func (p *peer) isUp() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.serving()
}

// learnSessions asks a member that has come up for the sessions that it has.
func (p *peer) learnSessions() {
	r, err := p.ask(p.ctx, &message{Op: "sessions"}, 15*time.Second)
	if err != nil {
		return
	}
	for _, id := range r.Args {
		p.note("here", id)
	}
}
