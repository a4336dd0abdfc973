package gates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	socks5 "github.com/things-go/go-socks5"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// brokerHook lets everybody in, save who is named, and can lose messages.
type brokerHook struct {
	mqtt.HookBase
	mu       sync.Mutex
	clients  []string
	through  []string // the listeners that they came by
	clean    []bool
	expiry   []uint32
	topics   []string
	retained int
	user     string
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
	h.through = append(h.through, c.Net.Listener)
	h.clean = append(h.clean, p.Connect.Clean)
	h.expiry = append(h.expiry, p.Properties.SessionExpiryInterval)
	return h.password == "" || string(p.Connect.Username) == h.user && string(p.Connect.Password) == h.password
}

func (h *brokerHook) OnACLCheck(_ *mqtt.Client, _ string, write bool) bool {
	return write && !h.noPublish || !write && !h.noSubscribe
}

func (h *brokerHook) OnPublish(_ *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.topics = append(h.topics, p.TopicName)
	if p.FixedHeader.Retain {
		h.retained++
	}
	if h.lose.Load() {
		return p, packets.CodeSuccessIgnore
	}
	return p, nil
}

// startBroker starts a broker with all listeners that a stack offers; without a certificate
// these are two.
func startBroker(t *testing.T, hook *brokerHook, config *tls.Config) (*mqtt.Server, []cluster.Listener) {
	t.Helper()
	capabilities := mqtt.NewDefaultServerCapabilities()
	if hook.qos0 {
		capabilities.MaximumQos = 0
	}
	server := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler), Capabilities: capabilities})
	assert.NilError(t, server.AddHook(hook, nil))
	offered := cluster.Listeners(cluster.DefaultPorts, config != nil)
	for i, l := range offered {
		offered[i].Port = freePort(t)
		c := listeners.Config{ID: l.Name, Address: fmt.Sprintf("127.0.0.1:%d", offered[i].Port)}
		if l.TLS {
			c.TLSConfig = config
		}
		var listener listeners.Listener = listeners.NewTCP(c)
		if l.Path != "" {
			listener = listeners.NewWebsocket(c)
		}
		assert.NilError(t, server.AddListener(listener))
	}
	go func() { _ = server.Serve() }()
	t.Cleanup(func() { _ = server.Close() })
	for _, l := range offered {
		assert.Assert(t, accepts(l.Port), l.Name)
	}
	return server, offered
}

// freePort is one where nobody listens.
func freePort(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().(*net.TCPAddr).Port
}

// closedPort is one that nobody listens on, nor will while the test runs: a socket has it.
func closedPort(t *testing.T) int {
	t.Helper()
	socket, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	assert.NilError(t, err)
	t.Cleanup(func() { _ = syscall.Close(socket) })
	assert.NilError(t, syscall.Bind(socket, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}))
	bound, err := syscall.Getsockname(socket)
	assert.NilError(t, err)
	return bound.(*syscall.SockaddrInet4).Port
}

// accepts waits until somebody listens.
func accepts(port int) bool {
	for range 200 {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
		if err == nil {
			return c.Close() == nil
		}
		time.Sleep(10 * time.Millisecond)
	}
	return false
}

// mqttAt is the plain listener alone, at some port.
func mqttAt(port int) []cluster.Listener {
	l := cluster.Listeners(cluster.DefaultPorts, false)[:1]
	l[0].Port = port
	return l
}

// once asks a gate a single time. What changes something meanwhile fails the test.
func once(t *testing.T, g Gate) (Status, error) {
	t.Helper()
	return g.Check(context.WithValue(t.Context(), checking{}, t))
}

// The whole of a client's way, four times, with nothing left behind.
func TestRoundTripGoesThroughEveryListener(t *testing.T) {
	ca := newAuthority(t)
	hook := &brokerHook{}
	server, offered := startBroker(t, hook, ca.server(t, nil))
	g := RoundTrip(RoundTripArgs{
		Name: publicName, Listeners: offered, CACert: ca.pem,
		Proxy: startProxy(t, names{publicName: "127.0.0.1"}),
	})
	assert.Equal(t, g.Title, "round trip")
	const rounds = 2
	for range rounds {
		s, err := once(t, g)
		assert.NilError(t, err)
		assert.Assert(t, s.Holds, s.Seen)
		assert.Equal(t, s.Seen, "a message came back through mqtt.lab.test by mqtt, mqtts, ws and wss")
		assert.DeepEqual(t, s.Parts, []Part{
			{Name: "mqtt", Holds: true, Seen: "a message came back"},
			{Name: "mqtts", Holds: true, Seen: "a message came back"},
			{Name: "ws", Holds: true, Seen: "a message came back"},
			{Name: "wss", Holds: true, Seen: "a message came back"},
		})
	}
	hook.mu.Lock()
	defer hook.mu.Unlock()
	came := map[string]int{}
	for _, l := range hook.through {
		came[l]++
	}
	assert.DeepEqual(t, came, map[string]int{"mqtt": rounds, "mqtts": rounds, "ws": rounds, "wss": rounds})
	clients, topics := map[string]bool{}, map[string]bool{}
	for i := range 4 * rounds {
		clients[hook.clients[i]], topics[hook.topics[i]] = true, true
		assert.Assert(t, strings.HasPrefix(hook.clients[i], "emqx-oci-gate/"), hook.clients[i])
		assert.Assert(t, strings.HasPrefix(hook.topics[i], "emqx-oci/gate/"), hook.topics[i])
		assert.Assert(t, hook.clean[i] && hook.expiry[i] == 0, "a session that stays")
	}
	assert.Equal(t, len(clients), 4*rounds, "a gate must not take over another gate's session")
	assert.Equal(t, len(topics), 4*rounds, "a gate must not hear another's message")
	assert.Assert(t, hook.retained == 0 && server.Info.Retained == 0, "a message stays")
	for i := 0; server.Clients.Len() > 1 && i < 200; i++ { // one is the server itself
		time.Sleep(10 * time.Millisecond)
	}
	assert.Assert(t, server.Clients.Len() <= 1, "%d sessions stay", server.Clients.Len())
}

func TestRoundTripNeedsEveryListener(t *testing.T) {
	ca := newAuthority(t)
	_, offered := startBroker(t, &brokerHook{}, ca.server(t, nil))
	offered[1].Port, offered[3].Port = closedPort(t), closedPort(t)
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: offered, CACert: ca.pem}))
	assert.NilError(t, err)
	assert.Assert(t, !s.Holds)
	assert.Equal(t, s.Seen, fmt.Sprintf("2/4 listeners: mqtts (%d) and wss (%d): nothing accepts a connection: connection refused", offered[1].Port, offered[3].Port))
	assert.Assert(t, strings.HasPrefix(s.Next, "the balancer's listeners and the health of its backends"), s.Next)
	var parts []string
	for _, p := range s.Parts {
		parts = append(parts, fmt.Sprint(p.Name, " ", p.Holds, " ", p.Seen, " ", p.Next == s.Next))
	}
	assert.DeepEqual(t, parts, []string{
		"mqtt true a message came back false", "mqtts false nothing accepts a connection: connection refused true",
		"ws true a message came back false", "wss false nothing accepts a connection: connection refused true",
	})
}

// Two causes are two reasons, each with its listeners.
func TestRoundTripTellsEachCauseOnce(t *testing.T) {
	offered := cluster.Listeners(cluster.DefaultPorts, true)
	for i := range offered {
		offered[i].Port = freePort(t)
	}
	bad := newAuthority(t)
	offered[1].Port = serve(t, offered[1], bad.server(t, nil), script{})
	offered[2].Port = serve(t, offered[2], nil, script{connack: 0x87})
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: offered, Edge: "edge.backend"}))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, fmt.Sprintf(`0/4 listeners: mqtt (%d) and wss (%d): nothing accepts a connection: connection refused; `+
		`mqtts (%d): the certificate is signed by an unknown authority, "CN=test"; ws (%d): refused by the broker: CONNACK 0x87 (not authorized)`,
		offered[0].Port, offered[3].Port, offered[1].Port, offered[2].Port))
	for _, want := range []string{
		"for mqtt and wss: the balancer's listeners", "; edge.backend; for mqtts: tls.certificate, which must hold the whole chain, and tls.ca",
		"; for ws: EMQX's authentication; not the name or the balancer",
	} {
		assert.Assert(t, strings.Contains(s.Next, want), "%q in %q", want, s.Next)
	}
}

// Four that are silent take as long as one, and nothing but the first attempt's answer is
// told when another is cut off.
func TestRoundTripAsksSideBySide(t *testing.T) {
	ca := newAuthority(t)
	offered := cluster.Listeners(cluster.DefaultPorts, true)
	for i := range offered {
		offered[i].Port = silentPort(t)
	}
	args := RoundTripArgs{Name: "127.0.0.1", Listeners: offered, CACert: ca.pem, AttemptTimeout: time.Second, Edge: "edge.backend"}
	start := time.Now()
	s, err := once(t, RoundTrip(args))
	assert.NilError(t, err)
	assert.Assert(t, time.Since(start) < 3*time.Second, "%s", time.Since(start))
	assert.Equal(t, s.Seen, fmt.Sprintf("0/4 listeners: mqtt (%d), mqtts (%d), ws (%d) and wss (%d): the connection is accepted, and nothing answers within 1s",
		offered[0].Port, offered[1].Port, offered[2].Port, offered[3].Port))
	assert.Assert(t, strings.HasPrefix(s.Next, "whether the proxies and EMQX have processor time") && strings.HasSuffix(s.Next, "; edge.backend"), s.Next)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	start = time.Now()
	s, err = RoundTrip(args).Check(ctx)
	assert.ErrorContains(t, err, "nothing answers within 100ms")
	assert.Assert(t, !s.Holds && s.Seen == "" && time.Since(start) < time.Second, "%+v after %s", s, time.Since(start))

	args.Timeout, args.Interval = 1500*time.Millisecond, time.Millisecond
	err = Wait(t.Context(), SystemClock(), RoundTrip(args), nil)
	assert.ErrorContains(t, err, "nothing answers within 1s")
}

// Who stops a run does not wait for a silent listener.
func TestRoundTripEndsWithItsContext(t *testing.T) {
	ca := newAuthority(t)
	offered := cluster.Listeners(cluster.DefaultPorts, true)
	for i := range offered {
		offered[i].Port = silentPort(t)
	}
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(200*time.Millisecond, cancel)
	start := time.Now()
	_, err := RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: offered, CACert: ca.pem, AttemptTimeout: time.Minute}).Check(ctx)
	assert.Assert(t, err != nil && time.Since(start) < 10*time.Second, "%v after %s", err, time.Since(start))
}

func TestRoundTripThroughOneListener(t *testing.T) {
	args := RoundTripArgs{Name: "x", Listeners: cluster.Listeners(cluster.DefaultPorts, true)}
	one, err := args.Through("wss")
	assert.NilError(t, err)
	assert.Assert(t, len(one.Listeners) == 1 && one.Listeners[0].Port == 8084 && len(args.Listeners) == 4)
	_, err = args.Through("tcp")
	assert.Error(t, err, `must be a listener of the stack, which offers mqtt, mqtts, ws and wss, got "tcp"`)
	args.Listeners = cluster.Listeners(cluster.DefaultPorts, false)
	_, err = args.Through("mqtts")
	assert.Error(t, err, `must be a listener of the stack, which offers mqtt and ws, got "mqtts", which comes with tls.certificate`)
	var unknown *UnknownListenerError
	assert.Assert(t, errors.As(err, &unknown))
	args.Listeners, args.Unasked = args.Listeners[1:], map[string]string{"mqtt": "which is for the private network alone"}
	_, err = args.Through("mqtt")
	assert.Error(t, err, `must be a listener of the stack, which offers ws, got "mqtt", which is for the private network alone`)
}

func TestRoundTripSendsItsCredentials(t *testing.T) {
	_, offered := startBroker(t, &brokerHook{user: "gate", password: "right"}, nil)
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: offered, Username: "gate", Password: "right"}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)
	s, err = once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: offered, Username: "gate", Password: "wrong"}))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, fmt.Sprintf("0/2 listeners: mqtt (%d) and ws (%d): refused by the broker: CONNACK 0x86 (bad user name or password), bad username or password", offered[0].Port, offered[1].Port))
	assert.Equal(t, s.Next, "EMQX's authentication; not the name or the balancer, which led to it; "+
		"the gate connects with its own, and was told CONNACK 0x86 (bad user name or password), bad username or password")
	assert.Assert(t, !strings.Contains(s.Seen+s.Next, "wrong"), "a password in what is printed")
}

// A broker that answers is on the way there: DNS and the balancer led to it.
func TestRoundTripRepeatsWhatTheBrokerSaid(t *testing.T) {
	for name, c := range map[string]struct {
		hook       *brokerHook
		seen, next string
		told       string
	}{
		"nobody without a password": {
			&brokerHook{password: "right"}, "refused by the broker: CONNACK 0x86 (bad user name or password), bad username or password",
			"EMQX's authentication;", "CONNACK 0x86 (bad user name or password), bad username or password",
		},
		"no subscription": {
			&brokerHook{noSubscribe: true}, "refused by the broker: SUBACK 0x87 (not authorized)",
			"EMQX's authorization, which must let the gate subscribe and publish below emqx-oci/gate/;", "CONNACK 0x00 (success), SUBACK 0x87 (not authorized)",
		},
		"no publishing": {
			&brokerHook{noPublish: true}, "refused by the broker: PUBACK 0x87 (not authorized)",
			"EMQX's authorization,", "CONNACK 0x00 (success), SUBACK 0x01 (QoS 1 granted), PUBACK 0x87 (not authorized)",
		},
		"QoS 0 alone": {
			&brokerHook{qos0: true}, "the broker takes QoS 0 alone: CONNACK with maximum QoS 0",
			"EMQX's mqtt.max_qos_allowed: the gate needs QoS 1;", "CONNACK 0x00 (success)",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, offered := startBroker(t, c.hook, nil)
			s, err := once(t, RoundTrip(RoundTripArgs{Name: "localhost", Listeners: offered, Edge: "edge.backend", AttemptTimeout: 5 * time.Second}))
			assert.NilError(t, err)
			assert.Equal(t, s.Seen, fmt.Sprintf("0/2 listeners: mqtt (%d) and ws (%d): %s", offered[0].Port, offered[1].Port, c.seen))
			assert.Assert(t, strings.HasPrefix(s.Next, c.next), s.Next)
			assert.Assert(t, strings.HasSuffix(s.Next, "; not the name or the balancer, which led to it; the gate connects without a user name, and was told "+c.told), s.Next)
			assert.Assert(t, !strings.Contains(s.Next, "edge.backend"), s.Next)
		})
	}
}

func TestRoundTripSaysThatTheMessageWasLost(t *testing.T) {
	hook := &brokerHook{}
	hook.lose.Store(true)
	_, offered := startBroker(t, hook, nil)
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "localhost", Listeners: offered, AttemptTimeout: 2 * time.Second}))
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, fmt.Sprintf("0/2 listeners: mqtt (%d) and ws (%d): published, but the message did not come back within 2s", offered[0].Port, offered[1].Port))
	assert.Assert(t, strings.HasPrefix(s.Next, "what in EMQX keeps a message from its subscriber:"), s.Next)
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

func TestRoundTripRefusesWhatCannotWork(t *testing.T) {
	here := mqttAt(1)
	for name, c := range map[string]struct {
		args RoundTripArgs
		want string
	}{
		"nothing":          {RoundTripArgs{}, "connecting by MQTT: no name given\nconnecting by MQTT: no listener given"},
		"no proxy address": {RoundTripArgs{Name: "x", Listeners: here, Proxy: "http://127.0.0.1:1"}, `reading the proxy address "http://127.0.0.1:1": proxy: unknown scheme: http; give socks5h://host:port`},
		"broken address":   {RoundTripArgs{Name: "x", Listeners: here, Proxy: "socks5h://%zz"}, `reading the proxy address "socks5h://%zz": invalid URL escape "%zz"; give socks5h://host:port`},
		"no authority":     {RoundTripArgs{Name: "x", Listeners: here, CACert: "no pem"}, "reading the authority's certificate for the round trip: it holds no PEM certificate"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := once(t, RoundTrip(c.args))
			assert.Assert(t, IsFatal(err), "%v", err)
			assert.Error(t, err, c.want)
		})
	}
}

// Another's message on the gate's topic is not its own, and no fault.
func TestRoundTripWaitsForItsOwnMessage(t *testing.T) {
	l := mqttAt(0)[0]
	l.Port = serve(t, l, nil, script{deliver: []string{"another", ""}})
	s, err := once(t, RoundTrip(RoundTripArgs{Name: "127.0.0.1", Listeners: []cluster.Listener{l}, AttemptTimeout: 5 * time.Second}))
	assert.NilError(t, err)
	assert.Assert(t, s.Holds, s.Seen)
}
