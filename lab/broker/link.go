package broker

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// link is the connection of a client, with what the server does not keep for one:
// whether it is through with it, and what was read that has no answer yet. The hook
// gets at it through the client.
type link struct {
	net.Conn
	ended   chan struct{} // the server is through with the client
	resumed chan struct{} // CONNACK and what waited in the session are out
	once    sync.Once

	mu     sync.Mutex
	held   []func()         // locks, given back when the client is known
	resent map[uint16]int64 // packet identifiers sent again on resuming, and which message that was

	// These belong to the goroutine that reads from the client.
	client   *mqtt.Client
	open     *inbound
	filterID uint16           // of the SUBSCRIBE or UNSUBSCRIBE under way
	unstored []packets.Packet // sent, and forgotten by the server too early
	refused  bool
	who      *principal
	authn    string // what its listener says of authentication
	expiry   *time.Timer
	denial   *packets.Code // why CONNACK refuses
	// What its CONNECT was, before the server got it.
	unfit                               *packets.Code
	malformed, emptyPassword, emptyWill bool

	ending atomic.Bool // nothing more is read from it, or written to it
	denied []bool      // filters of the SUBSCRIBE under way that are not authorized
}

func newLink(c net.Conn) *link {
	return &link{Conn: c, ended: make(chan struct{}), resumed: make(chan struct{})}
}

// linkOf is nil for clients without a connection: those of other nodes, of the API,
// and sessions that have just moved here.
func linkOf(cl *mqtt.Client) *link {
	k, _ := cl.Net.Conn.(*link)
	return k
}

// Read is at its end when the connection is to break off.
func (k *link) Read(b []byte) (int, error) {
	if k.ending.Load() {
		return 0, io.EOF
	}
	return k.Conn.Read(b)
}

func (k *link) hold(unlock func()) {
	k.mu.Lock()
	k.held = append(k.held, unlock)
	k.mu.Unlock()
}

func (k *link) release() {
	k.mu.Lock()
	held := k.held
	k.held = nil
	k.mu.Unlock()
	for i := len(held) - 1; i >= 0; i-- {
		held[i]()
	}
}

func (k *link) flowing() { k.once.Do(func() { close(k.resumed) }) }

// finish is called when the server has returned from the client.
func (k *link) finish(a *app) {
	k.flowing()
	if k.expiry != nil {
		k.expiry.Stop()
	}
	if k.client != nil {
		k.restore()
		if k.refused {
			a.forget(k.client)
		}
	}
	k.release()
	close(k.ended)
}

// restore puts back what the server sent late, for want of receive quota, and took out
// of the session before the client had acknowledged it.
func (k *link) restore() {
	for _, pk := range k.unstored {
		k.client.State.Inflight.Set(pk)
	}
	k.unstored = nil
}

// gate keeps new messages behind CONNACK and behind those that waited in the session.
// A message that came while the session was resumed may be among both: it goes once.
func (k *link) gate(pk packets.Packet) packets.Packet {
	if pk.FixedHeader.Dup { // only resuming sends again
		k.mu.Lock()
		if k.resent == nil {
			k.resent = map[uint16]int64{}
		}
		k.resent[pk.PacketID] = pk.Created
		k.mu.Unlock()
		return pk
	}
	<-k.resumed
	if pk.FixedHeader.Qos == 0 {
		return pk
	}
	if pk.Expiry < 0 {
		back := pk
		back.Expiry = 0
		k.unstored = append(k.unstored, back)
		return pk
	}
	k.mu.Lock()
	created, was := k.resent[pk.PacketID]
	delete(k.resent, pk.PacketID)
	k.mu.Unlock()
	if was && created == pk.Created {
		pk.FixedHeader.Type = packets.Reserved // which the server cannot encode, so it sends nothing
	}
	return pk
}

// goodbye is how long a client that does not read may take to be told that it is cut.
const goodbye = time.Second

// disconnect ends a connection. As on a real EMQX 5.8.9 (tried) MQTT 5 clients are told why, by a
// code and in no words, and those of 3.1.1, which know no such packet, are told nothing.
func (a *app) disconnect(cl *mqtt.Client, why packets.Code) {
	if cl.Properties.ProtocolVersion < 5 {
		cl.Stop(why)
		return
	}
	_ = a.server.DisconnectClient(cl, packets.Code{Code: why.Code})
}

// retire cuts a client and waits until the server is through with it: until then its
// last publications are under way, and the server may still change its session.
func (a *app) retire(cl *mqtt.Client, why packets.Code) {
	k := linkOf(cl)
	if k == nil {
		cl.Stop(why)
		return
	}
	defer time.AfterFunc(goodbye, func() { cl.Stop(why) }).Stop()
	a.disconnect(cl, why)
	select {
	case <-k.ended:
	case <-time.After(a.node.opts.Takeover):
		a.node.log.Error("session_stepdown_request_timeout", "clientid", cl.ID)
	}
}

// idLocks let one node at a time open the session of a client identifier.
type idLocks struct {
	mu sync.Mutex
	m  map[string]*idLock
}

type idLock struct {
	holder string // the node in whose name
	freed  chan struct{}
}

// lock returns what gives the lock back, once, or nil: two nodes that open a session of
// the same client ask each other, so that only the one that comes first by name may wait.
func (l *idLocks) lock(id, node string) (unlock func()) {
	for {
		l.mu.Lock()
		if l.m == nil {
			l.m = map[string]*idLock{}
		}
		one := l.m[id]
		if one == nil {
			one = &idLock{holder: node, freed: make(chan struct{})}
			l.m[id] = one
			l.mu.Unlock()
			return sync.OnceFunc(func() {
				l.mu.Lock()
				delete(l.m, id)
				l.mu.Unlock()
				close(one.freed)
			})
		}
		l.mu.Unlock()
		if node > one.holder {
			return nil
		}
		<-one.freed
	}
}
