package broker

import (
	"errors"
	"strings"

	"github.com/mochi-mqtt/server/v2/packets"
)

// What EMQX has against a packet that can be read: emqx_packet:check, emqx_topic:validate and emqx_mqtt_caps of
// 5.8.9, measured on it. The server checks less of some and more of others, so a packet that EMQX takes is made one that
// the server takes, and what EMQX refuses is refused here.

// checkConnect checks a CONNECT before the server does.
func (h *hook) checkConnect(k *link, pk packets.Packet) packets.Packet {
	p := &pk.Connect
	name := string(p.ProtocolName)
	switch {
	case name != "MQTT" && name != "MQIsdp", pk.ReservedBit != 0, p.WillQos > 2, !p.WillFlag && (p.WillQos > 0 || p.WillRetain):
		k.malformed = true
		return pk
	}
	if k.unfit = h.app.node.cfg.mqtt.unfit(pk); k.unfit != nil { // the server gets one that it would take
		p.Clean, p.WillFlag, p.WillRetain, p.WillQos, p.WillTopic, p.WillPayload = true, false, false, 0, "", nil
	}
	// MQTT allows both to be empty, and the server neither.
	if p.PasswordFlag && len(p.Password) == 0 {
		p.PasswordFlag, k.emptyPassword = false, true
	}
	if p.WillFlag && len(p.WillPayload) == 0 {
		p.WillPayload, k.emptyWill = []byte{0}, true
	}
	return pk
}

// unfit is why CONNACK refuses a client before anybody asks who it is (emqx_packet:check of a CONNECT).
func (m mqttConfig) unfit(pk packets.Packet) *packets.Code {
	p := pk.Connect
	switch id := p.ClientIdentifier; {
	case id == "" && (!p.Clean || pk.ProtocolVersion == 3), len(id) > m.maxClientID:
		return &packets.ErrClientIdentifierNotValid
	}
	if pk.ProtocolVersion == 5 && (pk.Properties.RequestResponseInfo > 1 || pk.Properties.RequestProblemInfo > 1) {
		return &packets.ErrProtocolViolation
	}
	switch {
	case !p.WillFlag:
	case p.WillRetain && !m.retain:
		return &packets.ErrRetainNotSupported
	case int(p.WillQos) > m.maxQoS:
		return &packets.ErrQosNotSupported
	case validTopic(p.WillTopic, true) != nil:
		return &packets.ErrTopicNameInvalid
	}
	return nil
}

// unfitRequest is why a connection ends that sends this (emqx_packet:check of the other packets).
func unfitRequest(pk packets.Packet) *packets.Code {
	switch pk.FixedHeader.Type {
	case packets.Publish:
		if pk.TopicName != "" && validTopic(pk.TopicName, true) != nil {
			return &packets.ErrTopicNameInvalid
		}
	case packets.Subscribe, packets.Unsubscribe:
		if len(pk.Filters) == 0 {
			return &packets.ErrTopicFilterInvalid
		}
		for _, f := range pk.Filters {
			if f.NoLocal && strings.HasPrefix(f.Filter, sharePrefix) {
				return &packets.ErrProtocolViolation
			}
			if validTopic(f.Filter, false) != nil {
				return &packets.ErrTopicFilterInvalid
			}
		}
	}
	return nil
}

// sharePrefix begins a shared subscription; EMQX wants it in small letters.
const sharePrefix = "$share/"

// validTopic is emqx_topic:validate of a name, or of a filter.
func validTopic(topic string, name bool) error {
	rest := topic
	if shared, ok := strings.CutPrefix(topic, sharePrefix); ok && !name {
		group, filter, _ := strings.Cut(shared, "/")
		if group == "" || filter == "" || strings.ContainsAny(group, "+#") || strings.HasPrefix(filter, sharePrefix) {
			return errors.New("no shared subscription")
		}
		rest = filter
	}
	if rest == "" {
		return errors.New("empty_topic")
	}
	words := strings.Split(rest, "/")
	for i, w := range words {
		switch {
		case w == "+" && !name, w == "#" && !name && i == len(words)-1:
		case strings.ContainsAny(w, "+#\x00"):
			return errors.New("topic_invalid_char")
		}
	}
	return nil
}

// tooDeep tells whether a topic, or the filter of a subscription, has more levels than there may be
// (emqx_mqtt_caps:check_pub, check_sub). EMQX asks when the rules have said yes.
func (m mqttConfig) tooDeep(topic string) bool { return strings.Count(topic, "/")+1 > m.maxLevels }

// sharedTopic is what a filter subscribes to (emqx_topic:parse).
func sharedTopic(filter string) string {
	if rest, ok := strings.CutPrefix(filter, queuePrefix); ok {
		return rest
	}
	if rest, ok := strings.CutPrefix(filter, sharePrefix); ok {
		_, topic, _ := strings.Cut(rest, "/")
		return topic
	}
	return strings.TrimPrefix(filter, exclusivePrefix)
}

// breakOff ends the connection of a client that has sent something EMQX does not have: MQTT 5 clients are told the code, and
// the will is sent, as by a connection that breaks. It is for the goroutine that reads from the client.
func (a *app) breakOff(k *link, why packets.Code) {
	if k.client.Properties.ProtocolVersion == 5 {
		_ = k.client.WritePacket(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Disconnect}, ReasonCode: why.Code})
	}
	k.ending.Store(true)
}
