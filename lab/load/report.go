package load

import (
	"context"
	"maps"
	"slices"
	"time"
)

// Report is what became of a workload. Times are seconds, AtSeconds since Started.
type Report struct {
	// Run is in the names of clients and topics: load-<run>-pub-0, emqx-oci/load/<run>/0.
	Run         string    `json:"run"`
	Started     time.Time `json:"started"`
	Seconds     float64   `json:"seconds"` // of publishing
	Interrupted bool      `json:"interrupted"`
	Seed        uint64    `json:"seed"`

	Publishers   int      `json:"publishers"`
	Subscribers  int      `json:"subscribers"`
	Fan          int      `json:"fan"`
	Rate         float64  `json:"rate"`
	QoS          byte     `json:"qos"`
	PayloadBytes int      `json:"payloadBytes"`
	Endpoints    []string `json:"endpoints"`

	Sent           uint64 `json:"sent"`
	Resent         uint64 `json:"resent"`  // repetitions after a connection broke
	Skipped        uint64 `json:"skipped"` // not sent: the publisher was away, or had too much unacknowledged
	Acknowledged   uint64 `json:"acknowledged"`
	Unacknowledged uint64 `json:"unacknowledged"` // sent, neither acknowledged nor refused to the end
	Refused        uint64 `json:"refused"`
	// Unrouted are acknowledged with "no matching subscribers".
	Unrouted uint64 `json:"unrouted"`

	// Expected are promised messages (see the package), each as often as it has subscribers; Received those that came, not
	// promised ones too, each subscriber counting a message once.
	Expected        uint64 `json:"expected"`
	Received        uint64 `json:"received"`
	Lost            uint64 `json:"lost"`
	LostWithSession uint64 `json:"lostWithSession"`
	MissedWhileAway uint64 `json:"missedWhileAway"`
	Duplicated      uint64 `json:"duplicated"`
	OutOfOrder      uint64 `json:"outOfOrder"`

	// LongestGapSeconds is the longest time in which a subscriber got nothing while publishers published.
	LongestGapSeconds float64   `json:"longestGapSeconds"`
	LongestGapOf      string    `json:"longestGapOf"`
	AcknowledgeTime   Quantiles `json:"acknowledgeSeconds"` // from sending to acknowledgement
	DeliveryTime      Quantiles `json:"deliverySeconds"`    // from sending to a subscriber

	Connections int `json:"connections"` // made, the first ones too
	Reconnects  int `json:"reconnects"`
	// ReconnectTime is from the loss of a connection (or the PING without answer) to the next CONNACK and SUBACK.
	ReconnectTime Quantiles `json:"reconnectSeconds"`
	SessionsLost  int       `json:"sessionsLost"` // reconnects to a broker that had no session
	StillAway     int       `json:"stillAway"`    // clients that were not back at the end
	AwayMax       float64   `json:"awayMaxSeconds"`

	Errors  map[string]int `json:"errors"`
	Clients []ClientReport `json:"clients"`
	// The lists end after 1,000 entries.
	Breaks []Break      `json:"breaks"`
	Losses []Loss       `json:"losses"`
	Nodes  []NodeSample `json:"nodes,omitempty"` // when Options.NodeOf is there
}

// Quantiles of durations, in seconds. They are at most 2 % too large, the maximum is exact.
type Quantiles struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// ClientReport is one client.
type ClientReport struct {
	Name              string  `json:"name"`
	Kind              string  `json:"kind"` // publisher or subscriber
	Endpoint          string  `json:"endpoint"`
	Source            string  `json:"source,omitempty"`
	Connections       int     `json:"connections"`
	SessionsLost      int     `json:"sessionsLost"`
	AwaySeconds       float64 `json:"awaySeconds"` // in all; from the last sign of life where a connection died silently
	StillAway         bool    `json:"stillAway"`
	Messages          uint64  `json:"messages"`          // sent or received
	LongestGapSeconds float64 `json:"longestGapSeconds"` // of a subscriber
}

// Break is a connection that was lost and made again.
type Break struct {
	Client      string  `json:"client"`
	Protocol    string  `json:"protocol"`
	AtSeconds   float64 `json:"atSeconds"`
	Seconds     float64 `json:"seconds"` // until the client was back
	Cause       string  `json:"cause"`
	SessionKept bool    `json:"sessionKept"`
}

// Fate is why a message that was promised did not come; the package's comment has the definitions.
type Fate string

// The fates.
const (
	Lost            Fate = "lost"
	LostWithSession Fate = "lostWithSession"
	MissedWhileAway Fate = "missedWhileAway"
)

// Loss is a range of messages that one subscriber did not get.
type Loss struct {
	Publisher  string `json:"publisher"`
	Subscriber string `json:"subscriber"`
	From       uint64 `json:"from"`
	To         uint64 `json:"to"`
	Messages   uint64 `json:"messages"`
	Fate       Fate   `json:"fate"`
	// Of the first and the last one.
	SentAtSeconds  float64 `json:"sentAtSeconds"`
	AckedAtSeconds float64 `json:"ackedAtSeconds"`
}

// NodeSample is the number of clients connected to each broker node.
type NodeSample struct {
	AtSeconds   float64        `json:"atSeconds"`
	Connections map[string]int `json:"connections"`
}

func (s NodeSample) same(other NodeSample) bool { return maps.Equal(s.Connections, other.Connections) }

// Event is the state of a running workload.
type Event struct {
	AtSeconds    float64 `json:"atSeconds"`
	Sent         uint64  `json:"sent"` // so far
	Received     uint64  `json:"received"`
	SentRate     float64 `json:"sentRate"` // per second, since the event before
	ReceivedRate float64 `json:"receivedRate"`
	Connected    int     `json:"connected"`
	Reconnecting int     `json:"reconnecting"`
	// These leave out what may still be under way.
	Lost            uint64 `json:"lost"`
	LostWithSession uint64 `json:"lostWithSession"`
	MissedWhileAway uint64 `json:"missedWhileAway"`
}

// watch reports once a second.
func (r *run) watch(ctx context.Context) {
	before, at := Event{}, r.now()
	for pause(ctx, time.Second) {
		e, now := r.event(), r.now()
		passed := (now - at).Seconds()
		e.SentRate, e.ReceivedRate = float64(e.Sent-before.Sent)/passed, float64(e.Received-before.Received)/passed
		r.OnEvent(e)
		before, at = e, now
	}
}

func (r *run) event() Event {
	e := Event{AtSeconds: seconds(r.now()), Connected: r.connected()}
	e.Reconnecting = len(r.clients) - e.Connected
	for _, row := range r.rows {
		row.mu.Lock()
		e.Sent += row.sent
		row.mu.Unlock()
	}
	e.Received = r.received()
	m := r.missing(r.now()-underWay, nil)
	e.Lost, e.LostWithSession, e.MissedWhileAway = m.lost, m.withSession, m.away
	return e
}

func (r *run) report(began, ended time.Duration) Report {
	o := Report{
		Run: r.id, Started: r.start, Seconds: seconds(ended - began), Seed: r.Seed,
		Publishers: r.Publishers, Subscribers: r.Subscribers, Fan: r.Fan, Rate: r.Rate, QoS: r.QoS, PayloadBytes: r.Payload,
		Endpoints: r.Endpoints, Breaks: []Break{}, Losses: []Loss{}, Clients: []ClientReport{},
	}
	var acknowledge, delivery, reconnect histogram
	for _, p := range r.publishers {
		row := p.row
		row.mu.Lock()
		o.Sent, o.Refused, o.Unrouted = o.Sent+row.sent, o.Refused+row.refused, o.Unrouted+row.unrouted
		o.Expected += row.promised.count * uint64(r.Fan)
		if r.QoS > 0 {
			o.Acknowledged += row.promised.count
		}
		for _, s := range row.seen {
			o.Received += s.set.count
			o.Duplicated += s.duplicated
			o.OutOfOrder += s.unordered
		}
		sent := row.sent
		row.mu.Unlock()
		p.mu.Lock()
		o.Resent, o.Skipped = o.Resent+p.resent, o.Skipped+p.skipped
		o.Unacknowledged += uint64(len(p.flights))
		acknowledge.merge(&p.latency)
		p.mu.Unlock()
		o.Clients = append(o.Clients, r.client(p.client, &o, &reconnect, sent, 0))
	}
	for _, s := range r.subscribers {
		s.mu.Lock()
		delivery.merge(&s.latency)
		if gap := seconds(s.gap); gap > o.LongestGapSeconds {
			o.LongestGapSeconds, o.LongestGapOf = gap, s.name
		}
		received, gap := s.received, s.gap
		s.mu.Unlock()
		o.Clients = append(o.Clients, r.client(s.client, &o, &reconnect, received, gap))
	}
	o.AcknowledgeTime, o.DeliveryTime, o.ReconnectTime = acknowledge.quantiles(), delivery.quantiles(), reconnect.quantiles()
	m := r.missing(forever, func(l Loss) {
		if l.Fate == Lost || len(o.Losses) < maxListed {
			o.Losses = append(o.Losses, l)
		}
	})
	o.Lost, o.LostWithSession, o.MissedWhileAway = m.lost, m.withSession, m.away
	// The worst first, in case the list is cut.
	order := []Fate{Lost, LostWithSession, MissedWhileAway}
	slices.SortStableFunc(o.Losses, func(a, b Loss) int { return slices.Index(order, a.Fate) - slices.Index(order, b.Fate) })
	o.Losses = o.Losses[:min(len(o.Losses), maxListed)]
	r.mu.Lock()
	defer r.mu.Unlock()
	o.Errors, o.Reconnects, o.Nodes = maps.Clone(r.errors), r.reconnects, r.nodes
	o.Breaks = append(o.Breaks, r.breaks...)
	return o
}

// client reports one, and adds it to the whole.
func (r *run) client(c *client, whole *Report, reconnect *histogram, messages uint64, gap time.Duration) ClientReport {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := ClientReport{
		Name: c.name, Kind: c.kind, Endpoint: c.endpoint.url, Connections: c.connections, SessionsLost: c.sessionsLost,
		AwaySeconds: seconds(c.away), StillAway: !c.ready, Messages: messages, LongestGapSeconds: seconds(gap),
	}
	if c.source.IsValid() {
		one.Source = c.source.String()
	}
	if !c.ready {
		one.AwaySeconds = seconds(c.away + r.now() - c.aliveAt)
		whole.StillAway++
	}
	whole.Connections += c.connections
	whole.SessionsLost += c.sessionsLost
	whole.AwayMax = max(whole.AwayMax, one.AwaySeconds)
	reconnect.merge(&c.reconnects)
	return one
}
