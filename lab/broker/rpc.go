package broker

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"
)

// rpcLink is the way to one member over its RPC port: messages one after the
// other without an answer, and session moves with one, many at a time. A closed RPC port thus
// loses messages between nodes while the membership looks healthy, as gen_rpc does.
type rpcLink struct {
	peer    *peer
	queue   chan *message
	dropped atomic.Int64

	mu   sync.Mutex
	idle []*wire // for questions: each takes one, so that none waits for another's answer
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
	w, err := l.castWire()
	if err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(15 * time.Second))
	if err = w.enc.Encode(m); err == nil && len(l.queue) == 0 {
		err = w.buf.Flush()
	}
	if err != nil {
		l.drop(w)
	}
	return err
}

// idleWires bounds the connections that are kept for questions.
const idleWires = 16

func (l *rpcLink) ask(m *message, timeout time.Duration) (*message, error) {
	l.mu.Lock()
	var w *wire
	if n := len(l.idle); n > 0 {
		w, l.idle = l.idle[n-1], l.idle[:n-1]
	}
	l.mu.Unlock()
	if w == nil {
		var err error
		if w, err = l.dial(kindCall, timeout); err != nil {
			return nil, err
		}
	}
	r, err := w.call(m, timeout)
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && (r == nil || r.Err == "") || len(l.idle) >= idleWires || l.peer.ctx.Err() != nil {
		w.close()
	} else {
		l.idle = append(l.idle, w)
	}
	return r, err
}

func (l *rpcLink) castWire() (*wire, error) {
	l.mu.Lock()
	w := l.cast
	l.mu.Unlock()
	if w != nil {
		return w, nil
	}
	w, err := l.dial(kindCast, setupTimeout)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cast = w
	return w, nil
}

func (l *rpcLink) dial(kind string, timeout time.Duration) (*wire, error) {
	if l.peer.ctx.Err() != nil {
		return nil, errors.New("stopping")
	}
	l.mu.Lock()
	failed, again := l.failed, l.again
	l.mu.Unlock()
	if time.Now().Before(again) {
		return nil, failed
	}
	ctx, cancel := context.WithTimeout(l.peer.ctx, timeout)
	defer cancel()
	w, err := l.peer.node.dial(ctx, l.peer.name, kind)
	if err != nil && !errors.Is(err, errSilent) {
		l.mu.Lock()
		l.failed, l.again = err, time.Now().Add(redialPause)
		l.mu.Unlock()
	}
	return w, err
}

func (l *rpcLink) drop(w *wire) {
	l.mu.Lock()
	defer l.mu.Unlock()
	w.close()
	if l.cast == w {
		l.cast = nil
	}
}

// reset closes connections to a process that is gone.
func (l *rpcLink) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.again = time.Time{}
	for _, w := range l.idle {
		w.close()
	}
	l.idle = nil
	if l.cast != nil {
		l.cast.close()
		l.cast = nil
	}
}

func (l *rpcLink) close() { l.reset() }

// drain waits a little until what is queued has gone out.
func (l *rpcLink) drain(atMost time.Duration) {
	for end := time.Now().Add(atMost); len(l.queue) > 0 && time.Now().Before(end); {
		time.Sleep(5 * time.Millisecond)
	}
}
