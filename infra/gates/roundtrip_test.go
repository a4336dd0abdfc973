package gates

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"log/slog"
	"math/big"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	socks5 "github.com/things-go/go-socks5"
	"gotest.tools/v3/assert"
)

// brokerHook lets everybody in, save who is named, and can lose messages.
type brokerHook struct {
	mqtt.HookBase
	mu       sync.Mutex
	clients  []string
	clean    []bool
	password string
	lose     atomic.Bool
	// What its access control refuses.
	noSubscribe, noPublish bool
	// qos0 has the server take no QoS above 0.
	qos0 bool
}

func (h *brokerHook) ID() string { return "test" }

func (h *brokerHook) Provides(b byte) bool {
	return b == mqtt.OnConnectAuthenticate || b == mqtt.OnACLCheck || b == mqtt.OnPublish
}

func (h *brokerHook) OnConnectAuthenticate(c *mqtt.Client, p packets.Packet) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c.ID)
	h.clean = append(h.clean, p.Connect.Clean)
	return h.password == "" || string(p.Connect.Password) == h.password
}

func (h *brokerHook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool {
	return write && !h.noPublish || !write && !h.noSubscribe
}

func (h *brokerHook) OnPublish(_ *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	if h.lose.Load() {
		return p, packets.CodeSuccessIgnore
	}
	return p, nil
}

func startBroker(t *testing.T, hook *brokerHook, config *tls.Config) (port int) {
	t.Helper()
	capabilities := mqtt.NewDefaultServerCapabilities()
	if hook.qos0 {
		capabilities.MaximumQos = 0
	}
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler), Capabilities: capabilities})
	assert.NilError(t, server.AddHook(hook, nil))
	listener := listeners.NewTCP(listeners.Config{ID: "test", Address: "127.0.0.1:0", TLSConfig: config})
	assert.NilError(t, server.AddListener(listener))
	go func() { _ = server.Serve() }()
	t.Cleanup(func() { _ = server.Close() })
	_, p, err := net.SplitHostPort(listener.Address())
	assert.NilError(t, err)
	port, err = strconv.Atoi(p)
	assert.NilError(t, err)
	return port
}

// once runs a gate's check once.
// once asks a gate a single time. What changes something meanwhile fails the test.
func once(t *testing.T, g Gate) (Status, error) {
	t.Helper()
	return g.Check(context.WithValue(t.Context(), checking{}, t))
}

func TestRoundTripReceivesItsOwnMessage(t *testing.T) {
	hook := &brokerHook{}
	g := RoundTrip(RoundTripArgs{Name: "localhost", Port: startBroker(t, hook, nil)})
	for range 2 {
		s, err := once(t, g)
		assert.NilError(t, err)
		assert.Assert(t, s.Holds, s.Seen)
	}
	assert.Equal(t, len(hook.clients), 2)
	assert.Assert(t, strings.HasPrefix(hook.clients[0], "emqx-oci-gate-"))
	assert.Assert(t, hook.clients[0] != hook.clients[1], "a gate must not take over another gate's session")
	assert.Assert(t, hook.clean[0] && hook.clean[1])
}

func TestRoundTripSaysThatTheMessageWasLost(t *testing.T) {
	hook := &brokerHook{}
	hook.lose.Store(true)
	g := RoundTrip(RoundTripArgs{Name: "localhost", Port: startBroker(t, hook, nil), AttemptTimeout: 2 * time.Second})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, !s.Holds)
	assert.Assert(t, strings.Contains(s.Seen, "published, but the message did not come back within 2s"), s.Seen)
}

func TestRoundTripSaysThatNobodyListens(t *testing.T) {
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	assert.NilError(t, l.Close())
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Port: port}))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "connection refused"), s.Seen)
}

func TestRoundTripSaysThatThePeerIsNoBroker(t *testing.T) {
	for name, answer := range map[string]func(net.Conn){
		"silent": func(c net.Conn) { _, _ = io.Copy(io.Discard, c) },
		"closes": func(c net.Conn) { _ = c.Close() },
	} {
		t.Run(name, func(t *testing.T) {
			l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
			assert.NilError(t, err)
			t.Cleanup(func() { _ = l.Close() })
			go func() {
				for {
					c, err := l.Accept()
					if err != nil {
						return
					}
					go answer(c)
				}
			}()
			start := time.Now()
			s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Port: l.Addr().(*net.TCPAddr).Port, AttemptTimeout: 300 * time.Millisecond}))
			assert.NilError(t, err)
			assert.Assert(t, strings.HasPrefix(s.Seen, "connecting by MQTT to 127.0.0.1:"), s.Seen)
			assert.Assert(t, time.Since(start) < 5*time.Second)
		})
	}
}

func TestRoundTripSendsItsCredentials(t *testing.T) {
	port := startBroker(t, &brokerHook{password: "right"}, nil)
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Port: port, Username: "gate", Password: "right"}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)
	s, err = once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Port: port, Username: "gate", Password: "wrong"}))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "refused by the broker"), s.Seen)
	assert.Assert(t, !strings.Contains(s.Seen, "wrong"), "a password in what is printed")
}

// A broker that answers is on the way there: DNS and the balancer led to it.
func TestRoundTripRepeatsWhatTheBrokerSaid(t *testing.T) {
	for name, c := range map[string]struct {
		hook *brokerHook
		want string
	}{
		"nobody without a password": {&brokerHook{password: "right"}, "CONNACK 0x86 (bad user name or password)"},
		"no subscription":           {&brokerHook{noSubscribe: true}, "CONNACK 0x00 (success), SUBACK 0x87 (not authorized)"},
		"no publishing":             {&brokerHook{noPublish: true}, "CONNACK 0x00 (success), SUBACK 0x01 (QoS 1 granted), PUBACK 0x87 (not authorized)"},
		"QoS 0 alone":               {&brokerHook{qos0: true}, "CONNACK 0x00 (success), maximum QoS 0, SUBACK 0x00 (success)"},
	} {
		t.Run(name, func(t *testing.T) {
			g := RoundTrip(RoundTripArgs{Name: "localhost", Port: startBroker(t, c.hook, nil), Edge: "edge.backend", AttemptTimeout: 2 * time.Second})
			s, err := once(t, g)
			assert.NilError(t, err)
			assert.Assert(t, !s.Holds)
			assert.Assert(t, strings.Contains(s.Next, "which led to it: "+c.want) && strings.Contains(s.Next, "; the gate connects without a user name"), s.Next)
			assert.Assert(t, !strings.Contains(s.Next, "resolves") && !strings.Contains(s.Next, "edge.backend"), s.Next)
		})
	}
	// And nothing is said of a broker that nobody has heard.
	g := RoundTrip(RoundTripArgs{Name: "127.0.0.1", Port: 1, Edge: "edge.backend"})
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Equal(t, s.Next, "")
	assert.Assert(t, strings.Contains(g.Next, "whether 127.0.0.1 resolves") && strings.HasSuffix(g.Next, "; edge.backend"), g.Next)
}

// names resolves on the proxy's side only.
type names map[string]string

func (n names) Resolve(ctx context.Context, name string) (context.Context, net.IP, error) {
	if ip, ok := n[name]; ok {
		return ctx, net.ParseIP(ip), nil
	}
	return ctx, nil, &net.DNSError{Err: "no such host", Name: name, IsNotFound: true}
}

func startProxy(t *testing.T, n names) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	server := socks5.NewServer(socks5.WithResolver(n), socks5.WithLogger(socks5.NewLogger(log.New(io.Discard, "", 0))))
	go func() { _ = server.Serve(l) }()
	return "socks5h://" + l.Addr().String()
}

func TestRoundTripThroughAProxyResolvesAtItsSide(t *testing.T) {
	port := startBroker(t, &brokerHook{}, nil)
	proxy := startProxy(t, names{"mqtt.lab.test": "127.0.0.1"})
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "mqtt.lab.test", Port: port, Proxy: proxy}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)

	s, err = once(t, RoundTrip(RoundTripArgs{Name: "other.lab.test", Port: port, Proxy: proxy}))
	assert.NilError(t, err)
	assert.Assert(t, strings.HasPrefix(s.Seen, "connecting to other.lab.test:"), s.Seen)
	assert.Assert(t, strings.Contains(s.Seen, "through 127.0.0.1:"), s.Seen)
}

func TestRoundTripRefusesWhatCannotWork(t *testing.T) {
	for name, args := range map[string]RoundTripArgs{
		"no name":          {},
		"no proxy address": {Name: "x", Proxy: "http://127.0.0.1:1"},
		"broken address":   {Name: "x", Proxy: "socks5h://%zz"},
		"no authority":     {Name: "x", TLS: true, CACert: "no pem"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := once(t, RoundTrip(args))
			assert.Assert(t, IsFatal(err), "%v", err)
		})
	}
}

// testCA returns an authority and a certificate of it for mqtt.lab.test and
// 127.0.0.1, for servers and clients alike.
func testCA(t *testing.T) (ca string, config *tls.Config) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	rootDER, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	assert.NilError(t, err)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"mqtt.lab.test"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	leafDER, err := x509.CreateCertificate(rand.Reader, leaf, root, key.Public(), key)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: rootDER})), &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{leafDER}, PrivateKey: key}},
	}
}

func TestRoundTripOverTLSVerifiesTheServer(t *testing.T) {
	ca, config := testCA(t)
	port := startBroker(t, &brokerHook{}, config)
	proxy := startProxy(t, names{"mqtt.lab.test": "127.0.0.1", "other.lab.test": "127.0.0.1"})

	g := RoundTrip(RoundTripArgs{Name: "mqtt.lab.test", Port: port, Proxy: proxy, TLS: true, CACert: ca})
	assert.Equal(t, g.Title, "round trip over TLS")
	s, err := once(t, g)
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)

	s, err = once(t, RoundTrip(RoundTripArgs{Name: "mqtt.lab.test", Port: port, Proxy: proxy, TLS: true}))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "unknown authority"), s.Seen)

	s, err = once(t, RoundTrip(RoundTripArgs{Name: "other.lab.test", Port: port, Proxy: proxy, TLS: true, CACert: ca}))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(s.Seen, "not other.lab.test"), s.Seen)
}
