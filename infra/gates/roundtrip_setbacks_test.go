package gates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
	"github.com/miekg/dns"
	socks5 "github.com/things-go/go-socks5"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// a listener by its name, at a port.
func listenerAt(t *testing.T, name string, port int) cluster.Listener {
	t.Helper()
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		if l.Name == name {
			l.Port = port
			return l
		}
	}
	t.Fatalf("no listener %s", name)
	return cluster.Listener{}
}

// setbackOf is what a round trip through one listener says, twice the same.
func setbackOf(t *testing.T, args RoundTripArgs) (seen, next string) {
	t.Helper()
	if args.Name == "" {
		args.Name = "127.0.0.1"
	}
	if args.AttemptTimeout == 0 {
		args.AttemptTimeout = 20 * time.Second // the machine may be busy: nothing here waits for it
	}
	args.Edge = "edge.backend"
	first, err := once(t, RoundTrip(args))
	assert.NilError(t, err)
	again, err := once(t, RoundTrip(args))
	assert.NilError(t, err)
	assert.Assert(t, !first.Holds, first.Seen)
	assert.Equal(t, first.Seen+first.Next, again.Seen+again.Next, "a line that changes while nothing does")
	prefix := fmt.Sprintf("0/1 listeners: %s (%d): ", args.Listeners[0].Name, args.Listeners[0].Port)
	seen, ok := strings.CutPrefix(first.Seen, prefix)
	assert.Assert(t, ok, first.Seen)
	assert.DeepEqual(t, first.Parts, []Part{{Name: args.Listeners[0].Name, Seen: seen, Next: first.Next}})
	return seen, first.Next
}

func TestRoundTripTellsCertificatesApart(t *testing.T) {
	ca, other := newAuthority(t), newAuthority(t)
	day := func(days int) time.Time {
		return time.Now().Add(time.Duration(days) * 24 * time.Hour).Truncate(time.Second)
	}
	date := func(d time.Time) string { return d.UTC().Format("2006-01-02 15:04 MST") }
	for name, c := range map[string]struct {
		config     *tls.Config
		seen, next string
	}{
		"expired": {
			ca.server(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(-10), day(-2) }),
			`the certificate "mqtt.lab.test" has expired: it ended on ` + date(day(-2)), "tls.certificate and tls.privateKey: set a renewed pair and run `emqx-oci up`",
		},
		"not yet valid": {
			ca.server(t, func(c *x509.Certificate) { c.NotBefore, c.NotAfter = day(2), day(10) }),
			`the certificate "mqtt.lab.test" is not yet valid: it begins on ` + date(day(2)), "the clock of this machine, then tls.certificate",
		},
		"another name": {
			ca.server(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = []string{"a.lab.test", "b.lab.test"}, nil }),
			"the certificate is for a.lab.test and b.lab.test, not for 127.0.0.1", "tls.certificate, which must be valid for the public name, and whether that leads to this cluster",
		},
		"many names": {
			ca.server(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = strings.Split("abcdef", ""), nil }),
			"the certificate is for a, b, c, d and 2 more, not for 127.0.0.1", "tls.certificate, which must be valid",
		},
		"no name": {
			ca.server(t, func(c *x509.Certificate) { c.DNSNames, c.IPAddresses = nil, nil }),
			"the certificate is for no name, not for 127.0.0.1", "tls.certificate, which must be valid",
		},
		"unknown authority": {
			other.server(t, nil), `the certificate is signed by an unknown authority, "CN=test"`,
			"tls.certificate, which must hold the whole chain, and tls.ca, which must hold the authority where it is none of this machine's",
		},
		"wrong use": {
			ca.server(t, func(c *x509.Certificate) { c.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth} }),
			"the certificate is not accepted: x509: certificate specifies an incompatible key usage", "tls.certificate and its chain",
		},
		"an old version": {
			&tls.Config{MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11, Certificates: ca.server(t, nil).Certificates},
			"the TLS handshake is refused: tls: protocol version not supported", "EMQX's logs: its versions and ciphers of TLS",
		},
		"a certificate of clients": {
			&tls.Config{MinVersion: tls.VersionTLS12, ClientAuth: tls.RequireAnyClientCert, Certificates: ca.server(t, nil).Certificates},
			"the TLS handshake is refused: the listener wants a certificate of the client, of authorities that are not the gate's",
			"whether each proxy has taken over its files",
		},
	} {
		for _, kind := range []string{"mqtts", "wss"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				l := listenerAt(t, kind, 0)
				l.Port = serve(t, l, c.config, script{deliver: []string{""}})
				seen, next := setbackOf(t, RoundTripArgs{Listeners: []cluster.Listener{l}, CACert: ca.pem})
				assert.Equal(t, seen, c.seen)
				assert.Assert(t, strings.HasPrefix(next, c.next), next)
				assert.Assert(t, !strings.Contains(next, "edge.backend"), "who speaks TLS was reached: %s", next)
			})
		}
	}
}

// A listener that asks for certificates of the gate's authority is shown one, made anew each time; one that asks for
// those of others is shown none, as it may do without.
func TestRoundTripShowsItsCertificate(t *testing.T) {
	ca, strangers := newAuthority(t), authority{root: &x509.Certificate{Subject: pkix.Name{CommonName: "strangers"}}}
	strangers.key = ca.key
	gate := ca.server(t, func(c *x509.Certificate) { c.Subject.CommonName = "gate" }).Certificates[0]
	made := 0
	shows := func() (tls.Certificate, error) {
		made++
		return gate, nil
	}
	pool := func(subject string) *x509.CertPool {
		of := &x509.Certificate{Subject: pkix.Name{CommonName: subject}}
		var err error
		of.RawSubject, err = asn1.Marshal(of.Subject.ToRDNSequence())
		assert.NilError(t, err)
		of.Raw = of.RawSubject
		p := x509.NewCertPool()
		p.AddCert(of)
		return p
	}
	for name, c := range map[string]struct {
		asks        tls.ClientAuthType
		of          string
		shown, seen string
	}{
		"asked for its own":       {tls.RequireAnyClientCert, "test", "gate", ""},
		"may show its own":        {tls.RequestClientCert, "test", "gate", ""},
		"may show another's":      {tls.RequestClientCert, "strangers", "", ""},
		"has to show another's":   {tls.RequireAnyClientCert, "strangers", "", "the listener wants a certificate of the client, of authorities that are not the gate's"},
		"is refused with its own": {tls.RequireAnyClientCert, "test", "", "the listener does not take the gate's certificate"},
		"is asked for none":       {tls.NoClientCert, "test", "", ""},
	} {
		for _, kind := range []string{"mqtts", "wss"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				config := ca.server(t, nil)
				config.ClientAuth, config.ClientCAs = c.asks, pool(c.of)
				shown := make(chan string, 1)
				config.VerifyConnection = func(s tls.ConnectionState) error {
					who := ""
					if len(s.PeerCertificates) > 0 {
						who = s.PeerCertificates[0].Subject.CommonName
					}
					shown <- who
					if strings.HasPrefix(name, "is refused") {
						return errors.New("refused")
					}
					return nil
				}
				l := listenerAt(t, kind, 0)
				l.Port = serve(t, l, config, script{deliver: []string{""}})
				before := made
				s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: []cluster.Listener{l}, CACert: ca.pem, ClientCertificate: shows}))
				assert.NilError(t, err)
				assert.Equal(t, made, before+1)
				assert.Equal(t, s.Holds, c.seen == "", s.Seen)
				assert.Assert(t, strings.Contains(s.Seen, c.seen), s.Seen)
				if s.Holds {
					assert.Equal(t, <-shown, c.shown)
				}
			})
		}
	}
	_, err := once(t, RoundTrip(RoundTripArgs{
		Name: "127.0.0.1", Listeners: []cluster.Listener{listenerAt(t, "mqtts", 1)},
		ClientCertificate: func() (tls.Certificate, error) { return tls.Certificate{}, errors.New("no certificate today") },
	}))
	assert.ErrorContains(t, err, "no certificate today")
}

// Whose certificate nobody else vouches for is its own authority; what is signed by another
// needs that one.
func TestRoundTripTrustsWhatTheStackGives(t *testing.T) {
	ca := newAuthority(t)
	signed := ca.server(t, nil)
	leaf := certificatePEM(signed.Certificates[0].Certificate[0])
	selfSigned := authority{key: ca.key, root: &x509.Certificate{Subject: pkix.Name{CommonName: publicName}}}.server(t, nil)
	self := certificatePEM(selfSigned.Certificates[0].Certificate[0])
	for name, c := range map[string]struct {
		config          *tls.Config
		ca, certificate string
		holds           bool
	}{
		"self-signed, which the stack gives":              {selfSigned, "", self, true},
		"self-signed, beside an authority of clients":     {selfSigned, newAuthority(t).pem, self, true},
		"self-signed, which the stack does not give":      {selfSigned, "", leaf, false},
		"signed by the stack's authority":                 {signed, ca.pem, leaf, true},
		"signed, with the authority in the chain":         {signed, "", leaf + ca.pem, true},
		"signed by nobody that is known":                  {signed, "", leaf, false},
		"signed, and the certificate's text holds no PEM": {signed, "", "no pem", false},
	} {
		t.Run(name, func(t *testing.T) {
			l := listenerAt(t, "mqtts", 0)
			l.Port = serve(t, l, c.config, script{deliver: []string{""}})
			s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: []cluster.Listener{l}, CACert: c.ca, Certificate: c.certificate}))
			assert.NilError(t, err)
			assert.Equal(t, s.Holds, c.holds, s.Seen)
			assert.Assert(t, c.holds || strings.Contains(s.Seen, "unknown authority"), s.Seen)
		})
	}
}

// A public certificate needs nothing of the stack: the system's authorities count, too.
func TestRoundTripKnowsTheSystemsAuthorities(t *testing.T) {
	system, err := x509.SystemCertPool()
	assert.NilError(t, err)
	pool, err := RoundTripArgs{CACert: newAuthority(t).pem}.authorities()
	assert.NilError(t, err)
	assert.Assert(t, !pool.Equal(system))
	plain, err := RoundTripArgs{}.authorities()
	assert.NilError(t, err)
	assert.Assert(t, plain.Equal(system))
}

func TestRoundTripTellsWhatIsNoListenerApart(t *testing.T) {
	ca := newAuthority(t)
	closes := func(c net.Conn) {}
	reset := func(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }
	page := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(status) }
	}
	upgrade := func(of ...string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if ws, err := (&websocket.Upgrader{Subprotocols: of}).Upgrade(w, r, nil); err == nil {
				_, _, _ = ws.ReadMessage()
				_ = ws.WriteMessage(websocket.TextMessage, []byte("hello"))
				_, _, _ = ws.ReadMessage()
			}
		}
	}
	const (
		refused  = "nothing accepts a connection: connection refused"
		cut      = "the connection is accepted and closed before any answer"
		accept1  = "the balancer's listeners and the health of its backends (`emqx-oci status`), and whether network.clientCidrs holds the address that this machine has there; edge.backend"
		cutNext  = "the proxies' logs: one closes at once what it has no broker for (G3 says so) or no place (proxy.maxConn); then EMQX's; edge.backend"
		upgrades = "what answers there: EMQX's WebSocket listeners take /mqtt with the subprotocol mqtt (`emqx ctl listeners` on the nodes)"
	)
	babble := func(c net.Conn) {
		_, _ = c.Write([]byte("\x00\x00nonsense\r\n"))
		_, _ = io.Copy(io.Discard, c)
	}
	for _, c := range []struct {
		name, kind string
		port       int
		seen, next string
	}{
		{"nobody", "mqtt", closedPort(t), refused, accept1},
		{"nobody", "mqtts", closedPort(t), refused, accept1},
		{"nobody", "ws", closedPort(t), refused, accept1},
		{"nobody", "wss", closedPort(t), refused, accept1},
		{"closes", "mqtt", accept(t, nil, closes), cut, cutNext},
		{"closes", "mqtts", accept(t, nil, closes), cut, cutNext},
		{"closes", "ws", accept(t, nil, closes), cut, cutNext},
		{"closes", "wss", accept(t, nil, closes), cut, cutNext},
		{"resets", "mqtt", accept(t, nil, reset), cut, cutNext},
		{"resets", "mqtts", accept(t, nil, reset), cut, cutNext},
		{"resets", "ws", accept(t, nil, reset), cut, cutNext},
		{"resets", "wss", accept(t, nil, reset), cut, cutNext},
		{"closes within TLS", "mqtts", accept(t, ca.server(t, nil), func(c net.Conn) { _ = c.(*tls.Conn).Handshake() }), "the connection is closed instead of CONNACK", "EMQX's logs, which say why"},
		{"closes within TLS", "wss", accept(t, ca.server(t, nil), func(c net.Conn) { _ = c.(*tls.Conn).Handshake() }), "the connection is closed instead of HTTP answer", "EMQX's logs, which say why"},
		{"no TLS", "mqtts", accept(t, nil, babble), "no TLS is spoken there", "what listens on these ports (`emqx ctl listeners` on the nodes)"},
		{"no TLS", "wss", accept(t, nil, babble), "no TLS is spoken there", "what listens on these ports (`emqx ctl listeners` on the nodes)"},
		{"no HTTP", "ws", accept(t, nil, babble), `no HTTP is spoken there: malformed HTTP response "\x00\x00nonsense"`, upgrades},
		{"no MQTT", "mqtt", accept(t, nil, babble), "no CONNACK of MQTT 5: ", "what listens there, and EMQX's logs"},
		{"busy", "ws", serveHTTP(t, nil, page(503)), "HTTP status 503 Service Unavailable instead of a WebSocket", upgrades},
		{"not found", "wss", serveHTTP(t, ca.server(t, nil), page(404)), "HTTP status 404 Not Found instead of a WebSocket", upgrades},
		{"no WebSocket", "ws", serveHTTP(t, nil, page(200)), "HTTP status 200 OK instead of a WebSocket", upgrades},
		{"half a WebSocket", "ws", serveHTTP(t, nil, page(101)), "the WebSocket handshake is not complete: websocket: bad handshake", upgrades},
		{"no subprotocol", "ws", serveHTTP(t, nil, upgrade()), `the WebSocket gets the subprotocol "", not "mqtt"`, upgrades},
		{"another subprotocol", "wss", serveHTTP(t, ca.server(t, nil), upgrade("mqttv3.1", "soap")), `the WebSocket gets the subprotocol "", not "mqtt"`, upgrades},
		{"text", "ws", serveHTTP(t, nil, upgrade("mqtt")), "no CONNACK of MQTT 5: a WebSocket message of text, not of bytes", "what listens there, and EMQX's logs"},
	} {
		t.Run(c.name+" "+c.kind, func(t *testing.T) {
			seen, next := setbackOf(t, RoundTripArgs{Listeners: []cluster.Listener{listenerAt(t, c.kind, c.port)}, CACert: ca.pem})
			assert.Assert(t, seen == c.seen || strings.HasSuffix(c.seen, ": ") && strings.HasPrefix(seen, c.seen), seen)
			assert.Assert(t, next == c.next || strings.HasPrefix(next, c.next) && !strings.Contains(next, "edge.backend"), next)
		})
	}
}

// What the broker says no by is a matter of that part of it, through whatever listener.
func TestRoundTripTellsRefusalsApart(t *testing.T) {
	const (
		connected  = "CONNACK 0x00 (success)"
		subscribed = connected + ", SUBACK 0x01 (QoS 1 granted)"
		load       = "the load of EMQX, and its limits of connections, rates and quotas (`emqx-oci status`)"
		rights     = "EMQX's authorization, which must let the gate subscribe and publish below emqx-oci/gate/"
	)
	const subscribe, publish = packets.SUBSCRIBE, packets.PUBLISH
	for name, c := range map[string]struct {
		script           script
		seen, next, told string
	}{
		"bad credentials":    {script{connack: 0x86}, "refused by the broker: CONNACK 0x86 (bad user name or password)", "EMQX's authentication", "CONNACK 0x86 (bad user name or password)"},
		"not authorized":     {script{connack: 0x87, own: "who are you?"}, "refused by the broker: CONNACK 0x87 (not authorized), who are you?", "EMQX's authentication", "CONNACK 0x87 (not authorized), who are you?"},
		"banned":             {script{connack: 0x8a}, "refused by the broker: CONNACK 0x8a (banned)", "EMQX's list of banned clients, and its flapping detection", "CONNACK 0x8a (banned)"},
		"server unavailable": {script{connack: 0x88}, "refused by the broker: CONNACK 0x88 (server unavailable)", load, "CONNACK 0x88 (server unavailable)"},
		"server busy":        {script{connack: 0x89}, "refused by the broker: CONNACK 0x89 (server busy)", load, "CONNACK 0x89 (server busy)"},
		"connection rate":    {script{connack: 0x9f}, "refused by the broker: CONNACK 0x9f (connection rate exceeded)", load, "CONNACK 0x9f (connection rate exceeded)"},
		"another code":       {script{connack: 0xb0}, "refused by the broker: CONNACK 0xb0", "EMQX's logs", "CONNACK 0xb0"},
		"no subscription":    {script{suback: 0x87}, "refused by the broker: SUBACK 0x87 (not authorized)", rights, connected + ", SUBACK 0x87 (not authorized)"},
		"subscription quota": {script{suback: 0x97}, "refused by the broker: SUBACK 0x97 (quota exceeded)", load, connected + ", SUBACK 0x97 (quota exceeded)"},
		"topic filter": {
			script{suback: 0x8f},
			"refused by the broker: SUBACK 0x8f (topic filter invalid)",
			"EMQX's limits of packets and topics (mqtt.max_topic_levels, mqtt.max_packet_size)", connected + ", SUBACK 0x8f (topic filter invalid)",
		},
		"no publishing": {script{suback: 1, puback: 0x87}, "refused by the broker: PUBACK 0x87 (not authorized)", rights, subscribed + ", PUBACK 0x87 (not authorized)"},
		"quota":         {script{suback: 1, puback: 0x97}, "refused by the broker: PUBACK 0x97 (quota exceeded)", load, subscribed + ", PUBACK 0x97 (quota exceeded)"},
		"QoS": {
			script{suback: 1, end: publish, disconnect: 0x9b},
			"the broker disconnects: 0x9b (QoS not supported)",
			"EMQX's mqtt.max_qos_allowed: the gate needs QoS 1", subscribed + ", DISCONNECT 0x9b (QoS not supported)",
		},
		"disconnected for a subscription": {
			script{end: subscribe, disconnect: 0x87}, "the broker disconnects: 0x87 (not authorized)", rights, connected + ", DISCONNECT 0x87 (not authorized)",
		},
		"shut down":         {script{suback: 1, end: publish, disconnect: 0x8b}, "the broker disconnects: 0x8b (server shutting down)", load, subscribed + ", DISCONNECT 0x8b (server shutting down)"},
		"closed at SUBACK":  {script{end: subscribe}, "the connection is closed instead of SUBACK", "EMQX's logs, which say why it closed the connection", connected},
		"closed at PUBACK":  {script{suback: 1, end: publish}, "the connection is closed instead of PUBACK", "EMQX's logs, which say why it closed the connection", subscribed},
		"no other listener": {script{puback: 0x80}, "refused by the broker: PUBACK 0x80 (unspecified error)", "EMQX's logs", connected + ", SUBACK 0x00 (success), PUBACK 0x80 (unspecified error)"},
	} {
		for _, kind := range []string{"mqtt", "ws"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				l := listenerAt(t, kind, 0)
				l.Port = serve(t, l, nil, c.script)
				seen, next := setbackOf(t, RoundTripArgs{Listeners: []cluster.Listener{l}})
				assert.Equal(t, seen, c.seen)
				assert.Equal(t, next, c.next+"; not the name or the balancer, which led to it; the gate connects without a user name, and was told "+c.told)
			})
		}
	}
}

func TestRoundTripTellsSilenceApart(t *testing.T) {
	const connect, subscribe, publish = packets.CONNECT, packets.SUBSCRIBE, packets.PUBLISH
	for name, c := range map[string]struct {
		script     script
		seen, next string
	}{
		"CONNACK": {script{end: connect, silent: true}, "the connection is accepted, and nothing answers within 1s", "whether the proxies and EMQX have processor time"},
		"SUBACK":  {script{end: subscribe, silent: true}, "no SUBACK within 1s", "whether EMQX has processor time"},
		"PUBACK":  {script{suback: 1, end: publish, silent: true}, "no PUBACK within 1s", "whether EMQX has processor time"},
		"message": {script{suback: 1, deliver: []string{"another"}}, "published, but the message did not come back within 1s", "what in EMQX keeps a message from its subscriber"},
	} {
		t.Run(name, func(t *testing.T) {
			l := mqttAt(0)[0]
			l.Port = serve(t, l, nil, c.script)
			seen, next := setbackOf(t, RoundTripArgs{Listeners: []cluster.Listener{l}, AttemptTimeout: time.Second})
			assert.Equal(t, seen, c.seen)
			assert.Assert(t, strings.HasPrefix(next, c.next), next)
			assert.Equal(t, strings.HasSuffix(next, "; edge.backend"), name == "CONNACK", next)
		})
	}
}

// resolving has names of this process resolved by a server of the test's.
func resolving(t *testing.T, code int) {
	t.Helper()
	pc, err := (&net.ListenConfig{}).ListenPacket(t.Context(), "udp", "127.0.0.1:0")
	assert.NilError(t, err)
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		_ = w.WriteMsg(new(dns.Msg).SetRcode(q, code))
	})}
	go func() { _ = server.ActivateAndServe() }()
	before := net.DefaultResolver
	net.DefaultResolver = &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "udp", pc.LocalAddr().String())
	}}
	t.Cleanup(func() {
		net.DefaultResolver = before
		_ = server.Shutdown()
	})
}

func TestRoundTripTellsNamesApart(t *testing.T) {
	args := RoundTripArgs{Name: "mqtt.example.test", Listeners: mqttAt(1883)}
	resolving(t, dns.RcodeNameError)
	seen, next := setbackOf(t, args)
	assert.Equal(t, seen, "mqtt.example.test does not resolve: no such host")
	assert.Equal(t, next, "the record of mqtt.example.test in its zone, and the zone's delegation; a resolver may remember for a while that there was none")
	resolving(t, dns.RcodeServerFailure)
	seen, next = setbackOf(t, args)
	assert.Equal(t, seen, "mqtt.example.test does not resolve: server misbehaving")
	assert.Equal(t, next, "the resolvers of this machine (/etc/resolv.conf)")

	// One cause, whatever the port.
	args.Listeners = cluster.Listeners(cluster.DefaultPorts, true)
	s, err := once(t, RoundTrip(args))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "0/4 listeners: mqtt (1883), mqtts (8883), ws (8083) and wss (8084): mqtt.example.test does not resolve: server misbehaving")
}

// A packet filter that drops, or a wrong range of clients.
func TestRoundTripSaysThatNothingAnswersASYN(t *testing.T) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	assert.NilError(t, err)
	t.Cleanup(func() { _ = syscall.Close(fd) })
	assert.NilError(t, syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	assert.NilError(t, syscall.Listen(fd, 0))
	address, err := syscall.Getsockname(fd)
	assert.NilError(t, err)
	port := address.(*syscall.SockaddrInet4).Port
	for range 8 { // until the queue of those who wait to be accepted is full
		c, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", port), 200*time.Millisecond)
		if err != nil {
			break
		}
		t.Cleanup(func() { _ = c.Close() })
	}
	seen, next := setbackOf(t, RoundTripArgs{Listeners: mqttAt(port), AttemptTimeout: 500 * time.Millisecond})
	assert.Equal(t, seen, "nothing accepts a connection: no answer in time")
	assert.Assert(t, strings.Contains(next, "network.clientCidrs") && strings.HasSuffix(next, "; edge.backend"), next)
}

func TestRoundTripTellsItsProxyApart(t *testing.T) {
	proxy := startProxy(t, names{publicName: "127.0.0.1"})
	host := strings.TrimPrefix(proxy, "socks5h://")
	rules := socksAt(t, socks5.WithRule(socks5.NewPermitNone()))
	hangs := socksAt(t, socks5.WithDial(func(ctx context.Context, _, _ string) (net.Conn, error) {
		<-t.Context().Done()
		return nil, t.Context().Err()
	}))
	noProxy := fmt.Sprintf("127.0.0.1:%d", accept(t, nil, func(c net.Conn) {
		_, _ = c.Write([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
		_, _ = io.Copy(io.Discard, c)
	}))
	closed := fmt.Sprintf("127.0.0.1:%d", closedPort(t))
	dead := closedPort(t)
	for _, c := range []struct {
		name, to, proxy string
		patience        time.Duration
		seen, next      string
	}{
		{"name", "other.lab.test", host, 0, "nothing accepts a connection from the proxy " + host + ": host unreachable", "whether the proxy resolves the name: the record of other.lab.test"},
		{"refused", publicName, host, 0, "nothing accepts a connection from the proxy " + host + ": connection refused", "the balancer's listeners and the health of its backends"},
		{"rules", "127.0.0.1", rules, 0, "nothing accepts a connection from the proxy " + rules + ": connection not allowed by ruleset", "the rules of the proxy (gates.proxy)"},
		{"hangs", "127.0.0.1", hangs, time.Second, "nothing accepts a connection from the proxy " + hangs + ": no answer within 1s", "the balancer's listeners and the health of its backends"},
		{"no proxy", publicName, noProxy, 0, "the proxy " + noProxy + " does not speak SOCKS5: unexpected protocol version 72", "what listens there (gates.proxy)"},
		{"nobody", publicName, closed, 0, "the proxy " + closed + " accepts no connection: connection refused", "whether a SOCKS5 proxy listens there (gates.proxy)"},
	} {
		for _, kind := range []string{"mqtt", "mqtts", "ws", "wss"} {
			t.Run(c.name+" "+kind, func(t *testing.T) {
				seen, next := setbackOf(t, RoundTripArgs{
					Name: c.to, Proxy: "socks5h://" + c.proxy, Listeners: []cluster.Listener{listenerAt(t, kind, dead)}, AttemptTimeout: c.patience,
				})
				assert.Equal(t, seen, c.seen)
				assert.Assert(t, strings.HasPrefix(next, c.next), next)
			})
		}
	}
}

// socksAt is a proxy with options of its own.
func socksAt(t *testing.T, opts ...socks5.Option) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	server := socks5.NewServer(append(opts, socks5.WithLogger(socks5.NewLogger(log.New(io.Discard, "", 0))))...)
	go func() { _ = server.Serve(l) }()
	return l.Addr().String()
}
