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
	r.settle(n)
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
	r.settle(n)
	return true, true
}

func (r *row) settle(n uint64) {
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

// missing calls f for each range of messages that were promised until the given time and that the reader did not get; away
// tells whether it had no session for a part of the time between their sending and their acknowledgement.
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
			away := overlaps(windows, from, to)
			if current.Messages > 0 && current.Away == away && current.To+1 == n {
				current.To, current.AckedAtSeconds = n, seconds(to)
				current.Messages++
				continue
			}
			if current.Messages > 0 {
				f(current)
			}
			current = Loss{From: n, To: n, Messages: 1, Away: away, SentAtSeconds: seconds(from), AckedAtSeconds: seconds(to)}
		}
		if current.Messages > 0 {
			f(current)
		}
	}
}

func overlaps(windows []window, from, to time.Duration) bool {
	for _, w := range windows {
		if from <= w.to && to >= w.from {
			return true
		}
	}
	return false
}
