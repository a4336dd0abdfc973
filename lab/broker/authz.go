package broker

import (
	"net/netip"
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

// OnACLCheck is the default acl.conf, asked about the topic that is meant: the
// filter of a shared or exclusive subscription, and what is behind a delay.
func (h *hook) OnACLCheck(cl *mqtt.Client, topic string, write bool) bool {
	topic, ok := meant(topic, write)
	if !ok {
		return false
	}
	cfg := h.app.node.cfg
	if cfg.noACL {
		return !cfg.denyAll
	}
	system := topic == "$SYS" || strings.HasPrefix(topic, "$SYS/")
	if write || topic != "#" && topic != "+/#" && !system {
		return true
	}
	ap, err := netip.ParseAddrPort(cl.Net.Remote)
	return err == nil && ap.Addr().Unmap() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) ||
		system && string(cl.Properties.Username) == "dashboard"
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

// filterNames are the filters of a request as the server knows them. $queue is a
// shared group of that name. Exclusive subscriptions are off unless EMQX is told
// otherwise, and then refused as filters that are not valid, to whom they would be
// allowed at all.
func (h *hook) filterNames(cl *mqtt.Client, filters packets.Subscriptions) packets.Subscriptions {
	named := append(packets.Subscriptions(nil), filters...)
	for i, s := range named {
		switch {
		case strings.HasPrefix(s.Filter, queuePrefix):
			named[i].Filter = mqtt.SharePrefix + "/" + s.Filter
		case strings.HasPrefix(s.Filter, exclusivePrefix) && h.OnACLCheck(cl, s.Filter, false):
			named[i].Filter = "" // no filter at all: 0x8F
		}
	}
	return named
}

// OnUnsubscribe names the filters as they were when they were subscribed to.
func (h *hook) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	pk.Filters = h.filterNames(cl, pk.Filters)
	for i, sub := range pk.Filters {
		// The server takes a filter of any client for this one's. It is told one of nobody's:
		// UNSUBACK then says that there was no subscription.
		if _, has := cl.State.Subscriptions.Get(sub.Filter); !has {
			pk.Filters[i].Filter = "$nobody/" + nonce()
		}
	}
	return pk
}
