package broker

import (
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// clusterListener is the listener name of clients that stand for other nodes.
const clusterListener = "$cluster"

// hook ties the MQTT server to the cluster: messages out, sessions over, retained
// messages to disk.
type hook struct {
	mqtt.HookBase
	app *app
}

func (h *hook) ID() string { return "cluster" }

func (h *hook) Provides(b byte) bool {
	return slices.Contains([]byte{
		mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnACLCheck, mqtt.OnSessionEstablish, mqtt.OnSessionEstablished,
		mqtt.OnDisconnect, mqtt.OnPublish, mqtt.OnWillSent, mqtt.OnRetainMessage, mqtt.OnRetainedExpired,
		mqtt.OnSelectSubscribers, mqtt.OnSubscribe, mqtt.OnSubscribed, mqtt.OnUnsubscribe, mqtt.OnUnsubscribed, mqtt.OnClientExpired,
		mqtt.OnPacketRead, mqtt.OnPacketProcessed, mqtt.OnPacketEncode, mqtt.OnWill,
		mqtt.OnQosPublish, mqtt.OnQosComplete, mqtt.OnQosDropped,
	}, b)
}

func (h *hook) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	if k := h.app.node.cfg.mqtt.serverKeepalive; k > 0 && cl.Properties.ProtocolVersion == 5 {
		cl.State.Keepalive, cl.State.ServerKeepalive = uint16(min(k, 65535)), true //nolint:gosec // bounded in the same line
	}
	// The server's aliases of topics get into the session, where another connection
	// would not know them.
	cl.Properties.Props.TopicAliasMaximum = 0
	if k := linkOf(cl); k != nil {
		k.client = cl
		k.who = principalOf(cl, pk)
		if k.emptyPassword {
			k.who.password = new(string)
		}
		if k.denial = k.unfit; k.denial == nil {
			k.denial = h.app.nameByCertificate(k, cl)
		}
	}
	return nil
}

// OnSessionEstablish fetches the session from wherever the client was before.
func (h *hook) OnSessionEstablish(cl *mqtt.Client, pk packets.Packet) {
	if k := linkOf(cl); k != nil {
		h.app.resume(cl, k, pk.Connect.Clean)
	}
}

func (h *hook) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	h.app.connectedAt.Store(cl, time.Now())
	if k := linkOf(cl); k != nil {
		k.flowing()
		h.app.endWhenExpired(k)
	}
	h.app.node.tellSession("here", cl.ID)
	h.app.routesChanged()
	h.app.node.log.Debug("client connected", "clientid", cl.ID, "peername", cl.Net.Remote, "listener", cl.Net.Listener)
}

func (h *hook) OnDisconnect(cl *mqtt.Client, err error, expired bool) {
	h.app.connectedAt.Delete(cl)
	if now, ok := h.app.server.Clients.Get(cl.ID); expired && ok && now == cl {
		h.app.memories.Delete(cl.ID)
		h.app.node.tellSession("gone", cl.ID)
	}
	h.app.routesChanged()
	h.app.node.log.Debug("client disconnected", "clientid", cl.ID, "peername", cl.Net.Remote, "reason", err)
}

func (h *hook) OnClientExpired(cl *mqtt.Client) {
	h.app.server.UnsubscribeClient(cl)
	cl.ClearInflights()
	h.app.memories.Delete(cl.ID)
	h.app.node.tellSession("gone", cl.ID)
	h.app.routesChanged()
}

// OnSubscribed comes before SUBACK.
func (h *hook) OnSubscribed(_ *mqtt.Client, pk packets.Packet, codes []byte) {
	for i, s := range pk.Filters {
		if codes[i] <= packets.CodeGrantedQos2.Code {
			h.app.route(s.Filter)
		}
	}
	if slices.ContainsFunc(pk.Filters, func(s packets.Subscription) bool { return mqtt.IsSharedFilter(s.Filter) }) {
		h.app.routesChanged()
	}
}

func (h *hook) OnUnsubscribed(*mqtt.Client, packets.Packet) { h.app.routesChanged() }

// tag marks a message inside the server with its time and, for one of another
// node, with the shared groups it may serve here. The packet has no field of its
// own for such things; these two are unused in a PUBLISH and survive copying.
func tag(pk *packets.Packet, at int64, shared []string) {
	pk.Connect.ClientIdentifier = strconv.FormatInt(at, 10)
	pk.Connect.WillTopic = strings.Join(shared, "\n")
}

func tagTime(pk packets.Packet) int64 {
	at, _ := strconv.ParseInt(pk.Connect.ClientIdentifier, 10, 64)
	return at
}

// limitRetained drops the retain flag of what the retainer does not take.
func (h *hook) limitRetained(pk *packets.Packet) {
	r := h.app.node.cfg.retain
	if pk.FixedHeader.Retain && (r.maxPayload > 0 && len(pk.Payload) > r.maxPayload ||
		r.maxMessages > 0 && h.app.node.data.get(pk.TopicName) == nil && h.app.node.data.live() >= r.maxMessages) {
		h.app.node.log.Error("failed to retain message", "topic", pk.TopicName, "reason", "over the retainer's limit")
		pk.FixedHeader.Retain = false
	}
}

// OnRetainMessage writes the message down; when a newer one is there already, that
// one goes back into the server.
func (h *hook) OnRetainMessage(_ *mqtt.Client, pk packets.Packet, _ int64) {
	at := tagTime(pk)
	if at == 0 {
		at = time.Now().UnixNano()
	}
	p := publicationOf(pk, at)
	p.Retain = true
	if !h.app.node.data.put(p) {
		if newest := h.app.node.data.get(pk.TopicName); newest != nil {
			h.app.server.Topics.RetainMessage(newest.packet())
		}
	}
}

func (h *hook) OnRetainedExpired(topic string) {
	h.app.node.data.put(&publication{Topic: topic, Retain: true, At: time.Now().UnixNano()})
}

// OnSelectSubscribers leaves only those shared groups that this node serves for
// this message.
func (h *hook) OnSelectSubscribers(subs *mqtt.Subscribers, pk packets.Packet) *mqtt.Subscribers {
	self := h.app.node.cfg.node.String()
	remote := strings.HasPrefix(pk.Origin, "$node/")
	chosen := strings.Split(pk.Connect.WillTopic, "\n")
	for filter := range subs.Shared {
		if remote && !slices.Contains(chosen, filter) ||
			!remote && h.app.node.pickNode(filter, true, pk) != self {
			delete(subs.Shared, filter)
		}
	}
	return subs
}

// pickNode says which node serves a shared group for a message.
func (n *node) pickNode(filter string, here bool, pk packets.Packet) string {
	var nodes []string
	if here {
		nodes = append(nodes, n.cfg.node.String())
	}
	for _, p := range n.runningPeers() {
		if p.serves(filter) {
			nodes = append(nodes, p.name.String())
		}
	}
	if len(nodes) == 0 {
		return ""
	}
	slices.Sort(nodes)
	return nodes[int(pk.Connect.Keepalive)%len(nodes)]
}

// spread sends a message of a client here to the other nodes that have a subscriber, as
// far as is known here.
func (a *app) spread(pk packets.Packet) {
	if pk.Ignore {
		return
	}
	peers := a.node.runningPeers()
	if len(peers) == 0 {
		return
	}
	at := tagTime(pk)
	if at == 0 { // a will
		at = time.Now().UnixNano()
		if old := a.node.data.get(pk.TopicName); pk.FixedHeader.Retain && old != nil {
			at = old.At
		}
	}
	pub := publicationOf(pk, at)
	shares, routed := a.remoteShares(peers, pk), a.node.routedTo(pk.TopicName, peers)
	for _, p := range peers {
		m := &message{Op: "publish", Publish: pub, Routed: routed[p.name.String()], Shared: shares[p.name.String()]}
		if m.Routed || len(m.Shared) > 0 || pub.Retain { // every node keeps what is retained
			a.forwarded.Add(1)
			p.rpc.publish(m)
		}
	}
}

// remoteShares picks, for each shared group on the message's topic, one node.
func (a *app) remoteShares(peers []*peer, pk packets.Packet) map[string][]string {
	index := mqtt.NewTopicsIndex()
	any := false
	for _, p := range peers {
		for _, f := range p.sharedFilters() {
			any = true
			index.Subscribe(p.name.String(), packets.Subscription{Filter: f})
		}
	}
	if !any {
		return nil
	}
	local := a.server.Topics.Subscribers(pk.TopicName).Shared
	out := map[string][]string{}
	for f := range index.Subscribers(pk.TopicName).Shared {
		_, here := local[f]
		who := a.node.pickNode(f, here, pk)
		out[who] = append(out[who], f)
	}
	return out
}

func splitPeer(remote string) (string, int) {
	host, port, err := net.SplitHostPort(remote)
	if err != nil {
		return remote, 0
	}
	n, _ := strconv.Atoi(port)
	return host, n
}
