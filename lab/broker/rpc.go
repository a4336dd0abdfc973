package broker

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// rpcLink is the way to one member over its RPC port: messages one after the
// other without an answer, and session moves with one. A closed RPC port thus
// loses messages between nodes while the membership looks healthy, as gen_rpc does.
type rpcLink struct {
	peer    *peer
	queue   chan *message
	dropped atomic.Int64

	mu   sync.Mutex
	call *wire
	cast *wire
	// After a failed attempt the next one waits: with a closed port every client
	// that connects would otherwise hang for the whole connect timeout.
	failed error
	again  time.Time
}

const redialPause = 2 * time.Second

// castQueue bounds what waits for a slow or lost member.
const castQueue = 20000

func newRPCLink(p *peer) *rpcLink {
	l := &rpcLink{peer: p, queue: make(chan *message, castQueue)}
	p.node.wg.Go(l.run)
	return l
}

func (l *rpcLink) publish(m *message) {
	select {
	case l.queue <- m:
	default:
		l.dropped.Add(1)
	}
}

func (l *rpcLink) run() {
	ctx, log := l.peer.ctx, l.peer.node.log
	quiet := false
	for {
		var m *message
		select {
		case <-ctx.Done():
			return
		case m = <-l.queue:
		}
		// A connection that the other side closed shows only when written to: try twice.
		var err error
		for range 2 {
			if err = l.castOne(m); err == nil {
				break
			}
		}
		if err == nil {
			quiet = false
			continue
		}
		l.dropped.Add(1)
		if !quiet && ctx.Err() == nil {
			log.Error("messages to a node are lost: its RPC port does not answer", "node", l.peer.name.String(), "reason", err.Error())
			quiet = true
		}
	}
}

func (l *rpcLink) castOne(m *message) error {
	w, err := l.open(&l.cast, kindCast)
	if err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(15 * time.Second))
	if err = w.enc.Encode(m); err == nil && len(l.queue) == 0 {
		err = w.buf.Flush()
	}
	if err != nil {
		l.drop(&l.cast, w)
	}
	return err
}

func (l *rpcLink) ask(m *message) (*message, error) {
	w, err := l.open(&l.call, kindCall)
	if err != nil {
		return nil, err
	}
	r, err := w.call(m, 5*time.Second)
	if err != nil && (r == nil || r.Err == "") {
		l.drop(&l.call, w)
	}
	return r, err
}

func (l *rpcLink) open(slot **wire, kind string) (*wire, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *slot != nil {
		return *slot, nil
	}
	if l.peer.ctx.Err() != nil {
		return nil, errors.New("stopping")
	}
	if time.Now().Before(l.again) {
		return nil, l.failed
	}
	w, err := l.peer.node.dial(l.peer.ctx, l.peer.name, kind)
	if err != nil {
		l.failed, l.again = err, time.Now().Add(redialPause)
		return nil, err
	}
	*slot = w
	return w, nil
}

func (l *rpcLink) drop(slot **wire, w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.close()
	if *slot == w {
		*slot = nil
	}
}

// reset closes connections to a process that is gone.
func (l *rpcLink) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = time.Time{}
	for _, slot := range []**wire{&l.call, &l.cast} {
		if *slot != nil {
			(*slot).close()
			*slot = nil
		}
	}
}

func (l *rpcLink) close() { l.reset() }

// drain waits a little until what is queued has gone out.
func (l *rpcLink) drain(atMost time.Duration) {
	for end := time.Now().Add(atMost); len(l.queue) > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}

// session is what moves when a client comes back on another node.
type session struct {
	Subs     []packets.Subscription
	Messages []packets.Packet
	Version  byte
	Clean    bool
}

// takeOver asks every member for the client's session and cuts its old connection.
func (n *node) takeOver(client string, clean bool) *session {
	peers := n.runningPeers()
	if len(peers) == 0 {
		return nil
	}
	found := make([]*session, len(peers))
	var wg sync.WaitGroup
	for i, p := range peers {
		wg.Go(func() {
			// What was published here before has to be in the session when it moves.
			mark := nonce()
			p.rpc.publish(&message{Op: "barrier", Text: mark})
			r, err := p.rpc.ask(&message{Op: "takeover", Client: client, Clean: clean, Text: mark})
			if err != nil {
				n.log.Error("taking over a session failed", "client", client, "node", p.name.String(), "reason", err.Error())
				return
			}
			found[i] = r.Session
		})
	}
	wg.Wait()
	for _, s := range found {
		if s != nil {
			return s
		}
	}
	return nil
}

// barriers pair a mark in the message stream with the question that refers to it.
type barriers struct {
	mu sync.Mutex
	m  map[string]chan struct{}
}

func (b *barriers) get(mark string) chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.m == nil {
		b.m = map[string]chan struct{}{}
	}
	if b.m[mark] == nil {
		b.m[mark] = make(chan struct{})
		time.AfterFunc(10*time.Second, func() {
			b.mu.Lock()
			delete(b.m, mark)
			b.mu.Unlock()
		})
	}
	return b.m[mark]
}

func (b *barriers) wait(mark string) {
	select {
	case <-b.get(mark):
	case <-time.After(time.Second):
	}
}

// giveUp is the other side of takeOver.
func (a *app) giveUp(id string, clean bool) *session {
	cl, ok := a.server.Clients.Get(id)
	if !ok {
		return nil
	}
	keeps := !clean && !cl.Properties.Clean
	if cl.Properties.ProtocolVersion == 5 {
		keeps = !clean && cl.Properties.Props.SessionExpiryInterval > 0
	}
	_ = a.server.DisconnectClient(cl, packets.ErrSessionTakenOver)
	var s *session
	if keeps {
		s = &session{Version: cl.Properties.ProtocolVersion}
		for _, sub := range cl.State.Subscriptions.GetAll() {
			s.Subs = append(s.Subs, sub)
		}
		for _, pk := range orderedInflight(cl) {
			if pk.FixedHeader.Type == packets.Publish {
				s.Messages = append(s.Messages, pk)
			}
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
	for _, pk := range s.Messages {
		if cl.State.Inflight.Set(pk) {
			atomic.AddInt64(&a.server.Info.Inflight, 1)
		}
	}
	cl.Stop(packets.ErrSessionTakenOver)
	a.server.Clients.Add(cl)
	a.routesChanged()
}

// forget removes a session and its subscriptions.
func (a *app) forget(cl *mqtt.Client) {
	a.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	if now, ok := a.server.Clients.Get(cl.ID); ok && now == cl {
		a.server.Clients.Delete(cl.ID)
	}
	a.routesChanged()
}
