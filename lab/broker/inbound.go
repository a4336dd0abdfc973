package broker

import (
	"slices"
	"strings"
	"sync"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// The server acknowledges a publication before it distributes it, and keeps packet
// identifiers of both directions in one table, where a client's publication can push
// out a message to that client. EMQX does neither: it routes first, then answers. So
// publications with a QoS are taken out of the server's hands here: it sees them
// without one, and [app.distribute] does them before they are acknowledged.

// inbound is a publication that is being handled.
type inbound struct {
	id    uint16
	qos   byte
	taken bool // it passed the access rules
}

// maxAwaiting is EMQX's mqtt.max_awaiting_rel: QoS 2 publications of a client that it
// has not released yet.
const maxAwaiting = 100

// memory is what a session has besides what the server keeps of it.
type memory struct {
	mu       sync.Mutex
	awaiting map[uint16]bool  // QoS 2 publications of the client, not released yet
	arrived  map[uint16]int64 // messages to the client by packet identifier, in the order of arrival
}

func (a *app) memoryOf(id string) *memory {
	m, ok := a.memories.Load(id)
	if !ok {
		m, _ = a.memories.LoadOrStore(id, &memory{awaiting: map[uint16]bool{}, arrived: map[uint16]int64{}})
	}
	return m.(*memory)
}

func (m *memory) do(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
}

// OnPacketRead answers what belongs to publications of the client.
func (h *hook) OnPacketRead(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	k := linkOf(cl)
	if k == nil {
		return pk, nil
	}
	if k.client == nil {
		return h.checkConnect(k, pk), nil
	}
	if len(k.unstored) > 0 {
		k.restore()
	}
	if why := unfitRequest(pk); why != nil {
		h.app.breakOff(k, *why)
	}
	if k.ending.Load() {
		return pk, packets.ErrRejectPacket // the one error of a hook that the server heeds here
	}
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if pk.FixedHeader.Qos > 0 {
			return h.read(cl, k, pk)
		}
	case packets.Subscribe:
		pk.FixedHeader.Qos = 0 // the server wants an identifier, EMQX takes none for one
	case packets.Pubrel:
		return h.released(cl, pk), nil
	case packets.Unsubscribe:
		k.filterID, pk.PacketID, pk.FixedHeader.Qos = pk.PacketID, 0, 0
	}
	return pk, nil
}

// nothing is a packet that the server passes over: an acknowledgement of nothing.
func nothing(cl *mqtt.Client) packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Puback}, ProtocolVersion: cl.Properties.ProtocolVersion}
}

func (h *hook) read(cl *mqtt.Client, k *link, pk packets.Packet) (packets.Packet, error) {
	in := inbound{id: pk.PacketID, qos: pk.FixedHeader.Qos}
	if in.qos == 2 {
		known, full := false, false
		m := h.app.memoryOf(cl.ID)
		m.do(func() { known, full = m.awaiting[in.id], len(m.awaiting) >= maxAwaiting })
		switch {
		case known:
			h.answer(cl, packets.Pubrec, in.id, packets.ErrPacketIdentifierInUse)
			return nothing(cl), nil
		case full:
			h.app.breakOff(k, packets.ErrReceiveMaximum)
			return pk, packets.ErrRejectPacket
		}
	}
	k.open = &in
	pk.PacketID, pk.FixedHeader.Qos = 0, 0
	return pk, nil
}

func (h *hook) released(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	known := false
	m := h.app.memoryOf(cl.ID)
	m.do(func() {
		known = m.awaiting[pk.PacketID]
		delete(m.awaiting, pk.PacketID)
	})
	code := packets.CodeSuccess
	if !known {
		code = packets.ErrPacketIdentifierNotFound
	}
	h.answer(cl, packets.Pubcomp, pk.PacketID, code)
	return nothing(cl)
}

func (h *hook) answer(cl *mqtt.Client, kind byte, id uint16, code packets.Code) {
	_ = cl.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: kind}, PacketID: id, ReasonCode: code.Code})
}

// OnPublish comes twice: with the client's packet, which goes to distribute, and with
// that of distribute, or of another node, which the server distributes.
func (h *hook) OnPublish(cl *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	if k := linkOf(cl); k != nil {
		if !h.mayPublish(k, pk) {
			return pk, packets.ErrRejectPacket
		}
		if k.open != nil {
			k.open.taken = true
			pk.FixedHeader.Qos = min(k.open.qos, h.app.server.Options.Capabilities.MaximumQos)
		}
		h.app.injected.Add(1)
		if err := h.app.distribute(cl.ID, pk); err != nil {
			h.app.node.log.Warn("distributing a message failed", "topic", pk.TopicName, "reason", err.Error())
		}
		return pk, packets.ErrRejectPacket // the server's word for: ask no more
	}
	pk.Created = h.app.arrivals.Add(1)
	if cl == h.app.router {
		pk.Origin, pk.Connect.Username = string(pk.Connect.Username), nil
		tag(&pk, h.app.node.stamp(), nil)
		pk.Connect.Keepalive = uint16(h.app.seq.Add(1)) //nolint:gosec // wraps on purpose
		h.limitRetained(&pk)
		h.app.spread(pk)
	}
	return pk, nil
}

// OnPacketProcessed acknowledges a publication that has been distributed.
func (h *hook) OnPacketProcessed(cl *mqtt.Client, _ packets.Packet, err error) {
	k := linkOf(cl)
	if k == nil || k.open == nil {
		return
	}
	in := *k.open
	k.open = nil
	if err != nil {
		return // the server ends the connection
	}
	kind, code := packets.Puback, packets.CodeSuccess
	if in.qos == 2 {
		kind = packets.Pubrec
	}
	if !in.taken {
		code = packets.ErrNotAuthorized
	} else if in.qos == 2 {
		m := h.app.memoryOf(cl.ID)
		m.do(func() { m.awaiting[in.id] = true })
	}
	h.answer(cl, kind, in.id, code)
}

// distribute sends a message to its subscribers here and to the other nodes that have any,
// and returns when it is in every session of this node and on its way to the others.
//
// That is what an acknowledgement of EMQX means: it forwards with rpc.mode, which is
// async by default (emqx_broker, emqx_rpc:cast), so a message that was acknowledged and
// had not left a node yet is lost with that node.
func (a *app) distribute(publisher string, pk packets.Packet) error {
	pk.Connect.Username = []byte(publisher)
	pk.Properties.TopicAlias, pk.Properties.TopicAliasFlag = 0, false
	pk.PacketID = 0
	if pk.FixedHeader.Qos > 0 {
		pk.PacketID = 1 // only its presence is checked
	}
	a.flow.RLock()
	defer a.flow.RUnlock()
	return a.server.InjectPacket(a.router, pk)
}

// OnWill and OnWillSent stand around the distribution of a will, which no session may
// be moved in the middle of.
func (h *hook) OnWill(cl *mqtt.Client, will mqtt.Will) (mqtt.Will, error) {
	if k := linkOf(cl); k != nil && k.who != nil && !h.mayLeaveWill(k.who, will) {
		h.app.node.log.Warn("last_will_testament_publish_denied", "clientid", cl.ID, "topic", will.TopicName)
		will.TopicName, will.Retain = nobodysPrefix+nonce(), false
	}
	if k := linkOf(cl); k != nil && k.emptyWill {
		will.Payload = nil
	}
	if cl.Properties.Will.WillDelayInterval == 0 {
		h.app.flow.RLock()
	}
	return will, nil
}

// OnWillSent sends the will to the other nodes.
func (h *hook) OnWillSent(_ *mqtt.Client, pk packets.Packet) {
	if !strings.HasPrefix(pk.TopicName, nobodysPrefix) {
		h.app.spread(pk)
	}
	if pk.Connect.WillProperties.WillDelayInterval == 0 {
		h.app.flow.RUnlock()
	}
}

// OnSubscribe hides the packet's identifier, which the server looks for among messages
// to the client.
func (h *hook) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	k := linkOf(cl)
	if k == nil {
		return pk
	}
	k.filterID, pk.PacketID = pk.PacketID, 0
	pk.Filters = h.allowedFilters(cl, k, filterNames(pk.Filters))
	return pk
}

// OnPacketEncode sees what goes to a client.
func (h *hook) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	k := linkOf(cl)
	if k == nil {
		return pk
	}
	if k.ending.Load() && pk.FixedHeader.Type != packets.Disconnect {
		pk.FixedHeader.Type = packets.Reserved // which the server cannot encode, so it sends nothing
		return pk
	}
	switch pk.FixedHeader.Type {
	case packets.Disconnect:
		pk.Properties.ReasonString = "" // EMQX says it by the code alone
	case packets.Connack:
		k.release() // the client is known now: others may take the session, and publish to it
		if k.malformed {
			return malformedConnack(pk, cl.Properties.ProtocolVersion)
		}
		if k.denial != nil {
			return denyConnack(pk, *k.denial, cl.Properties.ProtocolVersion)
		}
		// EMQX refuses a version that it does not know as MQTT 3.1.1 has it.
		if v := cl.Properties.ProtocolVersion; pk.ReasonCode == packets.ErrProtocolViolationProtocolVersion.Code && v != 5 {
			pk.ReasonCode = packets.Err3UnsupportedProtocolVersion.Code
		}
	case packets.Suback:
		pk.PacketID = k.filterID
		for i, denied := range k.denied {
			if denied && cl.Properties.ProtocolVersion == 5 {
				pk.ReasonCodes[i] = packets.ErrNotAuthorized.Code
			}
		}
	case packets.Unsuback:
		pk.PacketID = k.filterID
	case packets.Publish:
		return k.gate(pk)
	}
	return pk
}

// OnQosPublish notes when a message came into a session: the server knows the second.
func (h *hook) OnQosPublish(cl *mqtt.Client, pk packets.Packet, _ int64, _ int) {
	if pk.FixedHeader.Type == packets.Publish && !pk.FixedHeader.Dup {
		m := h.app.memoryOf(cl.ID)
		m.do(func() { m.arrived[pk.PacketID] = h.app.arrivals.Add(1) })
	}
}

// OnQosComplete forgets a message that the client has.
func (h *hook) OnQosComplete(cl *mqtt.Client, pk packets.Packet) {
	if m, ok := h.app.memories.Load(cl.ID); ok {
		m := m.(*memory)
		m.do(func() { delete(m.arrived, pk.PacketID) })
	}
}

// orderedInflight gives a session's waiting messages in the order they came. The
// server sorts them by the second of arrival only; rewriting that stamp with the
// order keeps them right when it resends.
func (a *app) orderedInflight(cl *mqtt.Client) []packets.Packet {
	all := cl.State.Inflight.GetAll(false)
	m := a.memoryOf(cl.ID)
	m.do(func() {
		slices.SortStableFunc(all, func(x, y packets.Packet) int {
			return int(m.arrived[x.PacketID] - m.arrived[y.PacketID])
		})
	})
	for i := range all {
		all[i].Created = int64(i + 1)
		if all[i].Expiry < 0 { // it waited for receive quota, which a new connection has
			all[i].Expiry = 0
		}
		cl.State.Inflight.Set(all[i])
	}
	return all
}
