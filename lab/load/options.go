package load

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Defaults of [Options].
const (
	DefaultPublishers    = 30
	DefaultSubscribers   = 10
	DefaultRate          = 5.0
	DefaultDuration      = 30 * time.Second
	DefaultPayload       = 64
	DefaultKeepAlive     = 30 * time.Second
	DefaultPingTimeout   = 5 * time.Second
	DefaultConnectTime   = 5 * time.Second
	DefaultSessionExpiry = 5 * time.Minute
	DefaultBackoff       = 200 * time.Millisecond
	DefaultBackoffCap    = 10 * time.Second
	DefaultSettle        = 10 * time.Second
	DefaultWindow        = 32
)

// Limits of [Options].
const (
	maxClients = 100_000
	maxRate    = 10_000
	minPayload = headerSize
	maxPayload = 1 << 20 // EMQX's own default limit of a packet
)

// Options describe a workload.
type Options struct {
	// Required.

	// Endpoints are the brokers' addresses as URLs, taken by the clients in turns: mqtt://name:1883, mqtts://name:8883,
	// ws://name:8083/mqtt, wss://name:8084/mqtt.
	Endpoints []string

	// Defaulted: 0 is the default.

	Publishers  int           // default 30
	Subscribers int           // default 10; at most Publishers + Fan - 1, so that each has something to do
	Fan         int           // subscribers that get each message; default 1
	Rate        float64       // messages per second of each publisher; default 5
	Payload     int           // bytes, 24 to 1 MiB; default 64
	Duration    time.Duration // of publishing; default 30 s
	// KeepAlive is MQTT's: a client whose connection was silent for so long in one direction asks with a PING, and gives
	// the connection up when no answer comes within PingTimeout. Default 30 s and 5 s. Whole seconds.
	KeepAlive, PingTimeout time.Duration
	// ConnectTimeout bounds one attempt, from resolving the name to SUBACK; default 5 s.
	ConnectTimeout time.Duration
	// SessionExpiry is how long a broker shall keep the session of a client that is away; default 5 min. Whole seconds.
	SessionExpiry time.Duration
	// Backoff and BackoffCap: the nth attempt to come back waits a random time up to Backoff * 2^(n-1), at most
	// BackoffCap; default 200 ms and 10 s.
	Backoff, BackoffCap time.Duration
	// Settle is how long the end waits for what is still under way; default 10 s. It ends as soon as nothing is.
	Settle time.Duration
	// Window is the number of messages that a publisher has unacknowledged at most, less where the broker wants less;
	// default 32, the Receive Maximum of EMQX.
	Window int
	// Seed makes pauses and client names repeatable; default is drawn.
	Seed uint64

	// Optional.

	// QoS of publications and subscriptions: 0, 1 or 2. It is taken as it is: 0 is QoS 0.
	QoS byte
	// Roots verify the brokers' certificates; default the system's. ServerName is the name in them; default the endpoint's.
	Roots      *x509.CertPool
	ServerName string
	// Username and Password are sent when Username is not empty.
	Username, Password string
	// Sources are the addresses that the clients come from, taken in turns.
	Sources []netip.Addr
	// Dial replaces the network: a proxy, a namespace. The source is invalid unless Sources has some.
	Dial func(ctx context.Context, network, address string, source netip.Addr) (net.Conn, error)
	// OnEvent is called once a second, never at the same time as itself.
	OnEvent func(Event)
	// NodeOf tells the broker node that each client is connected to, by client name: nothing that a client can know. It is
	// asked every NodeEvery; default 1 s.
	NodeOf    func(context.Context) (map[string]string, error)
	NodeEvery time.Duration
}

// OptionsError is everything that is wrong with [Options].
type OptionsError struct{ Faults []string }

func (e *OptionsError) Error() string { return strings.Join(e.Faults, "\n") }

func (o Options) withDefaults() Options {
	setDefault(&o.Publishers, DefaultPublishers)
	setDefault(&o.Subscribers, DefaultSubscribers)
	setDefault(&o.Fan, 1)
	setDefault(&o.Rate, DefaultRate)
	setDefault(&o.Payload, DefaultPayload)
	setDefault(&o.Duration, DefaultDuration)
	setDefault(&o.KeepAlive, DefaultKeepAlive)
	setDefault(&o.PingTimeout, DefaultPingTimeout)
	setDefault(&o.ConnectTimeout, DefaultConnectTime)
	setDefault(&o.SessionExpiry, DefaultSessionExpiry)
	setDefault(&o.Backoff, DefaultBackoff)
	setDefault(&o.BackoffCap, DefaultBackoffCap)
	setDefault(&o.Settle, DefaultSettle)
	setDefault(&o.Window, DefaultWindow)
	setDefault(&o.NodeEvery, time.Second)
	if o.Dial == nil {
		o.Dial = dialNetwork
	}
	if o.OnEvent == nil {
		o.OnEvent = func(Event) {}
	}
	return o
}

func setDefault[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

func dialNetwork(ctx context.Context, network, address string, source netip.Addr) (net.Conn, error) {
	var d net.Dialer
	if source.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(source, 0))
	}
	return d.DialContext(ctx, network, address)
}

// Validate tells everything that is wrong; the error is an [OptionsError].
func (o Options) Validate() error {
	_, err := o.resolve()
	return err
}

// resolve fills in the defaults and reads the endpoints.
func (o Options) resolve() (resolved, error) {
	o = o.withDefaults()
	s := resolved{Options: o}
	var faults []string
	add := func(name, format string, args ...any) {
		faults = append(faults, name+": "+fmt.Sprintf(format, args...))
	}
	whole := func(name string, value, from, to int) {
		if value < from || value > to {
			add(name, "must be %d to %d, got %d", from, to, value)
		}
	}
	length := func(name string, value, from, to time.Duration) {
		if value < from || value > to {
			add(name, "must be %s to %s, got %s", from, to, value)
		}
	}
	if len(o.Endpoints) == 0 {
		add("endpoints", "must name at least one, such as mqtt://mqtt.lab.test:1883")
	}
	for i, text := range o.Endpoints {
		e, err := parseEndpoint(text)
		if err != nil {
			add(fmt.Sprintf("endpoints[%d]", i), "%s", err)
			continue
		}
		s.endpoints = append(s.endpoints, e)
	}
	whole("publishers", o.Publishers, 1, maxClients)
	whole("fan", o.Fan, 1, max(o.Subscribers, 1))
	whole("subscribers", o.Subscribers, 1, min(max(o.Publishers+o.Fan-1, 1), maxClients))
	if !(o.Rate > 0 && o.Rate <= maxRate) {
		add("rate", "must be above 0 and at most %d messages per second, got %g", maxRate, o.Rate)
	}
	whole("payload", o.Payload, minPayload, maxPayload)
	whole("qos", int(o.QoS), 0, 2)
	whole("window", o.Window, 1, math.MaxUint16)
	length("duration", o.Duration, time.Millisecond, 30*24*time.Hour)
	length("keepAlive", o.KeepAlive, time.Second, math.MaxUint16*time.Second)
	length("sessionExpiry", o.SessionExpiry, time.Second, 24*time.Hour)
	for name, d := range map[string]time.Duration{"keepAlive": o.KeepAlive, "sessionExpiry": o.SessionExpiry} {
		if d > time.Second && d%time.Second != 0 {
			add(name, "must be whole seconds, got %s", d)
		}
	}
	length("pingTimeout", o.PingTimeout, 10*time.Millisecond, time.Hour)
	length("connectTimeout", o.ConnectTimeout, 10*time.Millisecond, time.Hour)
	length("backoff", o.Backoff, time.Millisecond, time.Hour)
	length("backoffCap", o.BackoffCap, max(o.Backoff, time.Millisecond), time.Hour)
	length("settle", o.Settle, time.Millisecond, time.Hour)
	length("nodeEvery", o.NodeEvery, 10*time.Millisecond, time.Hour)
	if o.Password != "" && o.Username == "" {
		add("username", "must be given with a password")
	}
	for i, a := range o.Sources {
		if !a.IsValid() {
			add(fmt.Sprintf("sources[%d]", i), "must be an IP address")
		}
	}
	if len(faults) > 0 {
		slices.Sort(faults)
		return s, &OptionsError{Faults: slices.Compact(faults)}
	}
	return s, nil
}

// resolved are options that are complete and right.
type resolved struct {
	Options
	endpoints []endpoint
}

// endpoint is one of the brokers' addresses.
type endpoint struct {
	url       string
	protocol  string // mqtt, mqtts, ws or wss
	host      string
	address   string
	secure    bool
	webSocket bool
}

func parseEndpoint(text string) (endpoint, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return endpoint{}, fmt.Errorf("must be a URL such as mqtts://mqtt.lab.test:8883, got %q", text)
	}
	ports := map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "8083", "wss": "8084"}
	port, ok := ports[u.Scheme]
	if !ok {
		return endpoint{}, fmt.Errorf("must begin with mqtt, mqtts, ws or wss, got %q", text)
	}
	e := endpoint{protocol: u.Scheme, host: u.Hostname(), secure: u.Scheme == "mqtts" || u.Scheme == "wss", webSocket: strings.HasPrefix(u.Scheme, "ws")}
	if u.Port() != "" {
		port = u.Port()
	}
	e.address = net.JoinHostPort(e.host, port)
	u.Host = e.address
	if e.webSocket && u.Path == "" {
		u.Path = "/mqtt"
	}
	e.url = u.String()
	return e, nil
}

func (s resolved) tls(e endpoint) *tls.Config {
	name := s.ServerName
	if name == "" {
		name = e.host
	}
	return &tls.Config{RootCAs: s.Roots, ServerName: name, MinVersion: tls.VersionTLS12}
}
