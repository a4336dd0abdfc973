package load

import (
	"encoding/binary"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
)

// subscriber receives the messages of some publishers and acknowledges each.
type subscriber struct {
	*client
	index int

	mu         sync.Mutex
	unreleased map[uint16]bool // messages of QoS 2 that were taken and whose PUBREL did not come yet
	received   uint64          // for the first time
	last       time.Duration
	gap        time.Duration
	latency    histogram
}

// reads tells which of a publisher's subscribers this is; false, when none.
func (s *subscriber) reads(publisher uint64) (reader int, ok bool) {
	if publisher >= uint64(s.run.Publishers) {
		return 0, false
	}
	reader = ((s.index-int(publisher))%s.run.Subscribers + s.run.Subscribers) % s.run.Subscribers
	return reader, reader < s.run.Fan
}

func (s *subscriber) opened(*wire) {}
func (s *subscriber) closed()      {}

func (s *subscriber) fresh() {
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.unreleased)
}

func (s *subscriber) handle(w *wire, packet *packets.ControlPacket) {
	switch c := packet.Content.(type) {
	case *packets.Publish:
		switch c.QoS {
		case 0:
			s.take(c.Payload)
		case 1:
			s.take(c.Payload)
			_ = w.send(packets.PUBACK, &packets.Puback{PacketID: c.PacketID, Properties: &packets.Properties{}})
		case 2:
			s.mu.Lock()
			known := s.unreleased[c.PacketID]
			s.unreleased[c.PacketID] = true
			s.mu.Unlock()
			if !known {
				s.take(c.Payload)
			}
			_ = w.send(packets.PUBREC, &packets.Pubrec{PacketID: c.PacketID, Properties: &packets.Properties{}})
		}
	case *packets.Pubrel:
		s.mu.Lock()
		delete(s.unreleased, c.PacketID)
		s.mu.Unlock()
		_ = w.send(packets.PUBCOMP, &packets.Pubcomp{PacketID: c.PacketID, Properties: &packets.Properties{}})
	}
}

func (s *subscriber) take(payload []byte) {
	now := s.run.now()
	if len(payload) < headerSize {
		s.run.count("message of somebody else")
		return
	}
	publisher, number := binary.BigEndian.Uint64(payload), binary.BigEndian.Uint64(payload[8:])
	reader, ok := s.reads(publisher)
	if !ok {
		s.run.count("message of somebody else")
		return
	}
	first, known := s.run.rows[publisher].receive(reader, number)
	if !known {
		s.run.count("message that was never sent")
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = max(s.gap, now-s.last)
	s.last = now
	if first {
		s.received++
		s.latency.add(now - time.Duration(binary.BigEndian.Uint64(payload[16:])))
	}
}

// begin and end enclose the time in which gaps are measured.
func (s *subscriber) begin(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = at
}

func (s *subscriber) end(at time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = max(s.gap, at-s.last)
}
