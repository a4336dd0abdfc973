package broker

import (
	"slices"
	"strings"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// Prefixes of topics that mean something to EMQX before any rule is asked.
const (
	queuePrefix     = "$queue/"
	exclusivePrefix = "$exclusive/"
	delayedPrefix   = "$delayed/"
)

// OnACLCheck has nothing to refuse: what a client wants was authorized before the server
// asks, and EMQX does not ask again for what it delivers.
func (h *hook) OnACLCheck(*mqtt.Client, string, bool) bool { return true }

// may asks about the topic that is meant: the filter of a shared or exclusive subscription,
// and what is behind a delay.
func (h *hook) may(who *principal, do action, topic string) bool {
	topic, ok := meant(topic, do.publish)
	return ok && h.app.node.authorize(who, do, topic)
}

// mayPublish drops a publication that is not authorized. What it says to the client is
// PUBACK or PUBREC with 0x87, or DISCONNECT where deny_action says so, of whatever QoS
// (emqx_channel:process_publish).
func (h *hook) mayPublish(k *link, pk packets.Packet) bool {
	do := action{publish: true, qos: pk.FixedHeader.Qos, retain: pk.FixedHeader.Retain}
	if k.open != nil {
		do.qos = k.open.qos
	}
	if k.who == nil || h.may(k.who, do, pk.TopicName) {
		if !h.app.node.cfg.mqtt.tooDeep(pk.TopicName) {
			return true
		}
		k.open = nil
		h.app.breakOff(k, packets.ErrTopicNameInvalid)
		return false
	}
	h.app.node.log.Warn("cannot_publish_to_topic_due_to_not_authorized", "clientid", k.who.clientID, "topic", pk.TopicName)
	if h.app.node.access().rules.disconnect {
		k.open = nil
		h.app.breakOff(k, packets.ErrNotAuthorized)
	}
	return false
}

// mayLeaveWill is asked when the will is sent: of a client that has lost the right to
// publish it, or was banned since, it is not (prepare_will_message_for_publishing).
func (h *hook) mayLeaveWill(who *principal, will mqtt.Will) bool {
	return h.may(who, action{publish: true, qos: will.Qos, retain: will.Retain}, will.TopicName) && !h.app.node.banned(who)
}

// allowedFilters takes the names out of filters that are not authorized, so that the server
// subscribes to nothing; SUBACK says 0x87 of them (emqx_channel:do_check_sub_authzs). One
// is enough to end the connection where deny_action says so. Exclusive subscriptions are
// off unless EMQX is told otherwise, and then refused as filters that are not valid.
func (h *hook) allowedFilters(cl *mqtt.Client, k *link, filters packets.Subscriptions) packets.Subscriptions {
	k.denied = make([]bool, len(filters))
	for i, s := range filters {
		k.denied[i] = k.who != nil && !h.may(k.who, action{qos: s.Qos}, s.Filter)
		if k.denied[i] || strings.HasPrefix(s.Filter, exclusivePrefix) || h.app.node.cfg.mqtt.tooDeep(sharedTopic(s.Filter)) {
			filters[i].Filter = "" // no filter at all: 0x8F
		}
	}
	if slices.Contains(k.denied, true) {
		h.app.node.log.Warn("authorization_permission_denied", "clientid", cl.ID)
		if h.app.node.access().rules.disconnect {
			for i := range filters {
				filters[i].Filter = ""
			}
			h.app.breakOff(k, packets.ErrNotAuthorized)
		}
	}
	return filters
}

// meant is the topic that a rule is asked about, and whether there is one: a delay
// without a topic is refused. The server takes $share in any case for $share.
func meant(topic string, write bool) (string, bool) {
	if !write {
		switch {
		case mqtt.IsSharedFilter(topic):
			if _, rest, ok := strings.Cut(topic, "/"); ok {
				_, topic, _ = strings.Cut(rest, "/")
			}
		case strings.HasPrefix(topic, queuePrefix):
			topic = strings.TrimPrefix(topic, queuePrefix)
		case strings.HasPrefix(topic, exclusivePrefix):
			topic = strings.TrimPrefix(topic, exclusivePrefix)
		}
	}
	for strings.HasPrefix(topic, delayedPrefix) {
		_, rest, ok := strings.Cut(strings.TrimPrefix(topic, delayedPrefix), "/")
		if !ok {
			return "", false
		}
		topic = rest
	}
	return topic, true
}

// filterNames are the filters of a request as the server knows them. $queue is a shared
// group of that name.
func filterNames(filters packets.Subscriptions) packets.Subscriptions {
	named := append(packets.Subscriptions(nil), filters...)
	for i, s := range named {
		if strings.HasPrefix(s.Filter, queuePrefix) {
			named[i].Filter = mqtt.SharePrefix + "/" + s.Filter
		}
	}
	return named
}

// nobodysPrefix begins topics that nobody subscribes to.
const nobodysPrefix = "$nobody/"

// OnUnsubscribe names the filters as they were when they were subscribed to.
func (h *hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	pk.Filters = filterNames(pk.Filters)
	for i, sub := range pk.Filters {
		// The server takes a filter of any client for this one's. It is told one of nobody's:
		// UNSUBACK then says that there was no subscription.
		if _, has := cl.State.Subscriptions.Get(sub.Filter); !has {
			pk.Filters[i].Filter = nobodysPrefix + nonce()
		}
	}
	return pk
}
