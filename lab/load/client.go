package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// role is what a client does with a connection.
type role interface {
	// opened is told of a connection that is ready, closed of its end.
	opened(w *wire)
	closed()
	// fresh is told that the broker has no session of the client.
	fresh()
	handle(w *wire, p *packets.ControlPacket)
}

// client keeps one connection, and comes back when it breaks.
type client struct {
	run      *run
	name     string
	kind     string // publisher or subscriber
	endpoint endpoint
	source   netip.Addr
	topics   []string
	role     role
	random   *rand.Rand
	// probes are topics that nobody publishes to and that the client's session is subscribed to, made by the last connection
	// that was ready and not asked for yet; fresh are those of the connection under way.
	probes, fresh []string
	probed        int // so many had names

	mu           sync.Mutex
	ready        bool // connected and subscribed
	once         bool // was ready before
	sessionless  bool // since the connection broke a broker had no session
	lostAt       time.Duration
	aliveAt      time.Duration // when the connection was last known to live
	heardAt      time.Duration // when the broker was last heard: if its session is gone, it may have been since then
	cause        string
	connections  int
	sessionsLost int
	away         time.Duration
	reconnects   histogram
	windows      []window
}

// stay is the client's life.
func (c *client) stay(ctx context.Context, delay time.Duration) {
	if !pause(ctx, delay) {
		return
	}
	for attempt := 0; ctx.Err() == nil; attempt++ {
		if c.connect(ctx) {
			attempt = 0
		}
		if !pause(ctx, c.backoff(attempt)) {
			return
		}
	}
}

// backoff is exponential with full jitter: any time up to the limit, so that clients which lost their connections
// together do not return together.
func (c *client) backoff(attempt int) time.Duration {
	limit := c.run.BackoffCap
	if attempt < 30 {
		limit = min(limit, c.run.Backoff<<attempt)
	}
	return time.Duration(c.random.Int64N(int64(limit) + 1))
}

func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// connect is one connection from its beginning to its end; true, when it was ready.
func (c *client) connect(ctx context.Context) bool {
	attempt, cancel := context.WithTimeout(ctx, c.run.ConnectTimeout)
	defer cancel()
	w, err := dial(attempt, c.run.resolved, c.endpoint, c.source)
	if err != nil {
		c.run.fault(ctx, err)
		return false
	}
	stop := context.AfterFunc(ctx, w.leave)
	defer stop()
	asked, err := c.open(attempt, w)
	if err != nil {
		w.fail(err)
		c.run.fault(ctx, err)
		return false
	}
	if len(c.topics) == 0 {
		c.connected(w)
	}
	done := make(chan struct{})
	defer close(done)
	go w.keepAlive(done, c.run.KeepAlive, c.run.PingTimeout)
	return c.read(ctx, w, asked)
}

// open makes a connection of a stream of bytes, and subscribes. A session that is present need not be the client's own: it
// may be a new one, of an attempt that heard nothing, or not all. So each connection leaves subscriptions in the session,
// and each attempt gives one of those back that the last ready connection left: UNSUBACK tells whether it existed. No
// two attempts ask for the same one, as the first may have taken it away without hearing so.
func (c *client) open(ctx context.Context, w *wire) (asked bool, err error) {
	if err := w.open(ctx, c.run.resolved, c.name); err != nil {
		return false, err
	}
	if !w.present {
		c.lostSession()
		c.probes = nil
	}
	if len(c.topics) == 0 {
		return false, nil
	}
	c.fresh = nil
	for range probes {
		c.fresh = append(c.fresh, c.probe())
	}
	if err := w.subscribe(c.run.QoS, slices.Concat(c.topics, c.fresh)); err != nil || !w.present {
		return false, err
	}
	if len(c.probes) == 0 { // nobody knows
		c.lostSession()
		return false, nil
	}
	probe := c.probes[0]
	c.probes = c.probes[1:]
	return true, w.unsubscribe(probeID, probe)
}

// probe names one. No other client has it: a broker may say of another one's subscription that it existed.
func (c *client) probe() string {
	c.probed++
	return fmt.Sprintf("emqx-oci/load/%s/probe/%s/%d", c.run.id, c.name, c.probed)
}

// probes is how many attempts in a row can ask whether the session is the client's own. The next one takes it for a new
// one: what was missed is no loss then, but of a session that died.
const probes = 8

// replaceProbes takes the probes of this connection for those to ask for, and gives the rest of the earlier ones back.
func (c *client) replaceProbes(w *wire) {
	if len(c.probes) > 0 {
		_ = w.unsubscribe(unsubscribeID, c.probes...) // a connection that fails is noticed by its reader
	}
	c.probes = c.fresh
}

// read handles what comes until the connection ends.
func (c *client) read(ctx context.Context, w *wire, asked bool) bool {
	ready := len(c.topics) == 0
	for {
		p, err := w.receive()
		if err != nil {
			if ready {
				c.disconnected(ctx, w, err)
			}
			c.run.fault(ctx, err)
			return ready
		}
		switch content := p.Content.(type) {
		case *packets.Suback:
			if err := checkSuback(content, c.run.QoS); err != nil {
				w.fail(err)
				c.run.fault(ctx, err)
				return false
			}
			if !asked {
				ready = true
				c.replaceProbes(w)
				c.connected(w)
			}
		case *packets.Unsuback:
			if content.PacketID != probeID {
				break
			}
			if !slices.Contains(content.Reasons, packets.UnsubackSuccess) {
				c.lostSession()
			}
			ready = true
			c.replaceProbes(w)
			c.connected(w)
		case *packets.Pingresp:
			w.pinged.Store(0)
		case *packets.Disconnect:
			w.fail(&brokenError{kind: "lost: disconnected, " + reason(content.ReasonCode)})
		default:
			c.role.handle(w, p)
		}
	}
}

// lostSession notes that the broker which the client came to knows nothing of it, or of its earlier connections.
func (c *client) lostSession() {
	c.mu.Lock()
	if c.once && !c.sessionless {
		c.sessionless = true
		c.sessionsLost++
	}
	c.mu.Unlock()
	c.role.fresh()
}

// connected notes that the client is connected, with its subscriptions.
func (c *client) connected(w *wire) {
	w.established()
	now := c.run.now()
	c.mu.Lock()
	c.connections++
	if c.once {
		took := now - c.lostAt
		c.reconnects.add(took)
		c.away += now - c.aliveAt
		if c.sessionless {
			c.windows = append(c.windows, window{c.heardAt, now})
		}
		c.run.broke(Break{
			Client: c.name, Protocol: c.endpoint.protocol, AtSeconds: seconds(c.lostAt), Seconds: seconds(took), Cause: c.cause,
			SessionKept: !c.sessionless,
		})
	}
	c.ready, c.once, c.sessionless = true, true, false
	c.mu.Unlock()
	c.role.opened(w)
}

// disconnected notes that the connection ended.
func (c *client) disconnected(ctx context.Context, w *wire, err error) {
	c.role.closed()
	if ctx.Err() != nil {
		return
	}
	now := c.run.now()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ready, c.lostAt, c.aliveAt, c.cause = false, now, now, "lost"
	c.heardAt = min(now, time.Unix(0, w.lastIn.Load()).Sub(c.run.start))
	var broken *brokenError
	if errors.As(err, &broken) {
		c.cause = broken.kind
		if broken.silent {
			c.aliveAt = c.heardAt
		}
	}
}

// state tells whether the client is connected, and when it had no session. Of one that is away now nobody knows.
func (c *client) state() (ready bool, windows []window) {
	c.mu.Lock()
	defer c.mu.Unlock()
	windows = c.windows[:len(c.windows):len(c.windows)]
	if c.once && !c.ready {
		windows = append(windows, window{c.heardAt, forever})
	}
	return c.ready, windows
}
