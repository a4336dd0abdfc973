package load

import (
	"math"
	"sync"
	"time"
)

// blockSize is the number of messages whose times are kept together. They are forgotten together once every one of them
// is acknowledged and was received by all its subscribers.
const blockSize = 256

// block has the times of messages, in milliseconds since the start of the run, rounded away from each other.
type block struct {
	sent, acked [blockSize]uint32
	open        int // acknowledgements and receipts that did not come yet
}

// row is the account of one publisher. Its numbers begin at 0.
type row struct {
	mu      sync.Mutex
	acks    bool // with QoS 0 there are none
	readers int

	sent, refused, unrouted uint64
	promised                set
	seen                    []seen
	blocks                  map[uint64]*block
}

// seen is what one subscriber got of a publisher.
type seen struct {
	set                   set
	duplicated, unordered uint64
}

func newRow(readers int, acks bool) *row {
	return &row{acks: acks, readers: readers, seen: make([]seen, readers), blocks: map[uint64]*block{}}
}

// send notes the next message and gives its number.
func (r *row) send(at time.Duration) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := r.sent
	r.sent++
	b := r.blocks[n/blockSize]
	if b == nil {
		b = &block{open: blockSize * r.readers}
		if r.acks {
			b.open += blockSize
		}
		r.blocks[n/blockSize] = b
	}
	b.sent[n%blockSize] = uint32(max(at.Milliseconds(), 0))
	if !r.acks {
		b.acked[n%blockSize] = b.sent[n%blockSize] + 1
		r.promised.add(n)
	}
	return n
}

// acknowledge notes that the broker took the message; unrouted, that it said nobody subscribes to it.
func (r *row) acknowledge(n uint64, at time.Duration, unrouted bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= r.sent || !r.promised.add(n) {
		return
	}
	if unrouted {
		r.unrouted++
	}
	if b := r.blocks[n/blockSize]; b != nil {
		b.acked[n%blockSize] = uint32(at.Milliseconds() + 1)
	}
	r.countDown(n)
}

// refuse notes that the broker did not take the message.
func (r *row) refuse() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refused++
}

// receive notes that a subscriber got the message. It may be the first time, and it may be one that was never sent.
func (r *row) receive(reader int, n uint64) (first, known bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n >= r.sent {
		return false, false
	}
	s := &r.seen[reader]
	highest, any := s.set.highest()
	if !s.set.add(n) {
		s.duplicated++
		return false, true
	}
	if any && n < highest {
		s.unordered++
	}
	r.countDown(n)
	return true, true
}

// countDown notes that one thing less is awaited of a message, and forgets its block with the last one.
func (r *row) countDown(n uint64) {
	b := r.blocks[n/blockSize]
	if b == nil {
		return
	}
	if b.open--; b.open == 0 {
		delete(r.blocks, n/blockSize)
	}
}

// window is a time without a session.
type window struct{ from, to time.Duration }

// forever is the end of a window that is still open.
const forever = time.Duration(math.MaxInt64)

// lastMoment is how long before the end of a session a message may have been acknowledged and still be with the broker
// that died: what is noticed first at the client, the end or the acknowledgement, is chance.
const lastMoment = time.Second

// missing calls f for each range of messages that were promised until the given time and that the reader did not get. The
// windows are the times in which it had no session.
func (r *row) missing(reader int, until time.Duration, windows []window, f func(m Loss)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	limit := uint32(min(max(until.Milliseconds(), 0), math.MaxUint32))
	for gap := range r.promised.without(&r.seen[reader].set) {
		var current Loss
		for n := gap.from; n <= gap.to; n++ {
			b := r.blocks[n/blockSize] // there: it misses at least this receipt
			sent, acked := b.sent[n%blockSize], b.acked[n%blockSize]
			if acked > limit {
				continue
			}
			from, to := time.Duration(sent)*time.Millisecond, time.Duration(acked)*time.Millisecond
			fate := fateOf(windows, from, to)
			if current.Messages > 0 && current.Fate == fate && current.To+1 == n {
				current.To, current.AckedAtSeconds = n, seconds(to)
				current.Messages++
				continue
			}
			if current.Messages > 0 {
				f(current)
			}
			current = Loss{From: n, To: n, Messages: 1, Fate: fate, SentAtSeconds: seconds(from), AckedAtSeconds: seconds(to)}
		}
		if current.Messages > 0 {
			f(current)
		}
	}
}

// fateOf a message that was sent and acknowledged at these times and never came.
func fateOf(windows []window, sent, acked time.Duration) Fate {
	fate := Lost
	for _, w := range windows {
		switch {
		case sent <= w.to && acked >= w.from:
			return MissedWhileAway
		case acked < w.from && acked >= w.from-lastMoment:
			fate = LostWithSession
		}
	}
	return fate
}

// missed counts messages that did not come.
type missed struct{ lost, withSession, away uint64 }

func (m *missed) add(l Loss) {
	switch l.Fate {
	case Lost:
		m.lost += l.Messages
	case LostWithSession:
		m.withSession += l.Messages
	case MissedWhileAway:
		m.away += l.Messages
	}
}
