package broker

import (
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// clientInfo is one session as the API and ctl show it.
type clientInfo struct {
	ID          string
	Username    string
	Nameless    bool // it has no user name, not even an empty one
	Node        string
	Listener    string
	IP          string
	Port        int
	Version     byte
	CleanStart  bool
	Keepalive   uint16
	Expiry      uint32
	Subs        int
	Filters     map[string]byte // QoS by what is subscribed to, as EMQX shows it
	Inflight    int
	Connected   bool
	ConnectedAt time.Time
	GoneAt      time.Time
}

func (a *app) clients() []clientInfo {
	var out []clientInfo
	all := a.server.Clients.GetAll()
	for _, id := range sortedKeys(all) {
		out = append(out, a.describe(all[id]))
	}
	return out
}

func (a *app) describe(cl *mqtt.Client) clientInfo {
	c := clientInfo{
		ID: cl.ID, Username: string(cl.Properties.Username), Node: a.node.cfg.node.String(), Listener: cl.Net.Listener,
		Version: cl.Properties.ProtocolVersion, CleanStart: cl.Properties.Clean, Keepalive: cl.State.Keepalive,
		Subs: cl.State.Subscriptions.Len(), Inflight: cl.State.Inflight.Len(), Connected: !cl.Closed(),
		Expiry: cl.Properties.Props.SessionExpiryInterval,
	}
	c.Nameless = cl.Properties.Username == nil
	c.Filters = map[string]byte{}
	for name, sub := range cl.State.Subscriptions.GetAll() {
		c.Filters[shownFilter(name)] = sub.Qos
	}
	if c.Version < 5 && !c.CleanStart {
		c.Expiry = uint32(min(a.node.cfg.mqtt.sessionExpiry, 1<<31*time.Second).Seconds())
	}
	c.IP, c.Port = splitPeer(cl.Net.Remote)
	if t, ok := a.connectedAt.Load(cl); ok {
		c.ConnectedAt = t.(time.Time)
	}
	if t := cl.StopTime(); t > 0 {
		c.GoneAt = time.Unix(t, 0)
	}
	return c
}

// shownFilter is emqx_topic:maybe_format_share.
func shownFilter(name string) string {
	if !mqtt.IsSharedFilter(name) {
		return name
	}
	_, rest, _ := strings.Cut(name, "/")
	if strings.HasPrefix(rest, queuePrefix) {
		return rest
	}
	return "$share/" + rest
}

// String is the line of `ctl clients list`.
func (c clientInfo) String() string {
	user := c.Username
	if user == "" {
		user = "undefined"
	}
	return fmt.Sprintf("Client(%s, username=%s, peername=%s:%d, clean_start=%t, keepalive=%d, session_expiry_interval=%d, subscriptions=%d, inflight=%d, connected=%t, connected_at=%d)",
		c.ID, user, c.IP, c.Port, c.CleanStart, c.Keepalive, c.Expiry, c.Subs, c.Inflight, c.Connected, max(0, c.ConnectedAt.UnixMilli()))
}

// kick cuts clients and ends their sessions; it returns how many were here.
func (a *app) kick(ids ...string) int {
	count := 0
	for _, id := range ids {
		if cl, ok := a.server.Clients.Get(id); ok {
			a.retire(cl, packets.ErrAdministrativeAction)
			a.forget(cl)
			count++
		}
	}
	return count
}

func (a *app) fill(s *nodeStats) {
	i := a.server.Info.Clone()
	all := a.server.Clients.GetAll()
	topics := map[string]bool{}
	for _, cl := range all {
		for f := range cl.State.Subscriptions.GetAll() {
			s.Subs++
			if mqtt.IsSharedFilter(f) {
				s.SharedSubs++
			}
			topics[f] = true
		}
	}
	other := a.injected.Load()
	s.Connections, s.Live = int64(len(all)), atomic.LoadInt64(&a.server.Info.ClientsConnected)
	s.Topics, s.Retained = int64(len(topics)), int64(a.node.data.live())
	s.MsgIn, s.MsgOut, s.MsgForward = max(0, i.MessagesReceived-other), i.MessagesSent, a.forwarded.Load()
	s.MsgDropped = i.MessagesDropped + i.InflightDropped
	s.PacketsIn, s.PacketsOut = max(0, i.PacketsReceived-other), i.PacketsSent
	s.BytesIn, s.BytesOut = i.BytesReceived, i.BytesSent
	for _, l := range a.standing() {
		if l.tls != nil {
			s.CertExpiry[l.ID()] = l.tls.expiry().Unix()
		}
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	s.Memory = int64(m.Sys) //nolint:gosec // far below 2^63
}

func sortClients(c []clientInfo) {
	slices.SortFunc(c, func(a, b clientInfo) int { return strings.Compare(a.ID+a.Node, b.ID+b.Node) })
}
