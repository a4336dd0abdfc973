package load

import (
	"context"
	"encoding/binary"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// headerSize is the part of a payload that says which message it is: publisher, number, time of sending.
const headerSize = 24

// flight is a message that the broker has not acknowledged yet.
type flight struct {
	number   uint64
	at       time.Duration
	id       uint16
	released bool // PUBREC came
	again    bool // was sent more than once
	unrouted bool
}

// publisher sends numbered messages at a steady rate, and again those that were not acknowledged when the connection
// broke. While it is away it produces nothing, like a sensor whose values age: what it leaves out is counted as skipped.
type publisher struct {
	*client
	index int
	topic string
	row   *row

	mu      sync.Mutex
	w       *wire
	flights []flight // in the order of sending
	lastID  uint16
	skipped uint64
	resent  uint64
	latency histogram // from sending to acknowledgement
}

// pace publishes until the context ends.
func (p *publisher) pace(ctx context.Context) {
	every := time.Duration(float64(time.Second) / p.run.Rate)
	// Not all at the same moment.
	next := time.Now().Add(every * time.Duration(p.index) / time.Duration(p.run.Publishers))
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		for now := time.Now(); !next.After(now); next = next.Add(every) {
			p.publish()
		}
		timer.Reset(time.Until(next))
	}
}

func (p *publisher) publish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.w == nil || p.run.QoS > 0 && len(p.flights) >= p.w.window {
		p.skipped++
		return
	}
	f := flight{at: p.run.now()}
	f.number = p.row.send(f.at)
	if p.run.QoS > 0 {
		f.id = p.freeID()
		p.flights = append(p.flights, f)
	}
	p.write(f, false)
}

// freeID is a packet identifier that no message in flight has.
func (p *publisher) freeID() uint16 {
	for {
		p.lastID++
		if p.lastID != 0 && p.find(p.lastID) < 0 {
			return p.lastID
		}
	}
}

func (p *publisher) find(id uint16) int {
	for i := range p.flights {
		if p.flights[i].id == id {
			return i
		}
	}
	return -1
}

// write needs no error: a connection that fails has ended, and the message stays in flight.
func (p *publisher) write(f flight, duplicate bool) {
	payload := make([]byte, p.run.Payload)
	binary.BigEndian.PutUint64(payload, uint64(p.index))
	binary.BigEndian.PutUint64(payload[8:], f.number)
	binary.BigEndian.PutUint64(payload[16:], uint64(f.at))
	_ = p.w.send(packets.PUBLISH, &packets.Publish{
		Topic: p.topic, Payload: payload, QoS: p.run.QoS, PacketID: f.id, Duplicate: duplicate, Properties: &packets.Properties{},
	})
}

// opened sends again what is in flight, in order: PUBREL where the broker said that it has the message.
func (p *publisher) opened(w *wire) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = w
	for i := range p.flights {
		f := &p.flights[i]
		if f.released {
			_ = w.send(packets.PUBREL, &packets.Pubrel{PacketID: f.id, Properties: &packets.Properties{}})
			continue
		}
		f.again = true
		p.resent++
		// A broker that has no session never saw the message under this identifier.
		p.write(*f, w.present)
	}
}

func (p *publisher) closed() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.w = nil
}

func (p *publisher) fresh() {}

func (p *publisher) handle(w *wire, packet *packets.ControlPacket) {
	switch c := packet.Content.(type) {
	case *packets.Puback:
		p.done(c.PacketID, c.ReasonCode)
	case *packets.Pubrec:
		p.received(w, c.PacketID, c.ReasonCode)
	case *packets.Pubcomp:
		p.done(c.PacketID, 0) // also 0x92, not known any more: it was complete
	}
}

// Reason codes of acknowledgements that are not just good or bad.
const (
	codeUnrouted = 0x10 // taken, but nobody subscribes
	codeInUse    = 0x91 // PUBREC to a repeated PUBLISH: the broker has it
	codeFailed   = 0x80 // this and above
)

func (p *publisher) received(w *wire, id uint16, code byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(id); i >= 0 {
		f := &p.flights[i]
		if code >= codeFailed && (code != codeInUse || !f.again) {
			p.finish(i, code)
			return
		}
		f.released, f.unrouted = true, code == codeUnrouted
	}
	_ = w.send(packets.PUBREL, &packets.Pubrel{PacketID: id, Properties: &packets.Properties{}})
}

func (p *publisher) done(id uint16, code byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := p.find(id); i >= 0 {
		p.finish(i, code)
	}
}

func (p *publisher) finish(i int, code byte) {
	f, now := p.flights[i], p.run.now()
	p.flights = append(p.flights[:i], p.flights[i+1:]...)
	if code >= codeFailed {
		p.row.refuse()
		p.run.count("refused: " + reason(code))
		return
	}
	p.latency.add(now - f.at)
	p.row.acknowledge(f.number, now, f.unrouted || code == codeUnrouted)
}

func (p *publisher) inFlight() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.flights)
}
