package load

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log/slog"
	"math/big"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// server is a broker in this process, on the four kinds of listener.
type server struct {
	*mqtt.Server
	addresses map[string]string
}

// misdeeds are what a broker does to publications before it distributes them.
type misdeeds struct {
	mqtt.HookBase
	server *mqtt.Server
	do     func(server *mqtt.Server, publisher, number uint64, p packets.Packet) (swallow bool)
}

func (*misdeeds) ID() string           { return "misdeeds" }
func (*misdeeds) Provides(b byte) bool { return bytes.Contains([]byte{mqtt.OnPublish}, []byte{b}) }
func (m *misdeeds) OnPublish(c *mqtt.Client, p packets.Packet) (packets.Packet, error) {
	if c.Net.Inline || len(p.Payload) < headerSize {
		return p, nil
	}
	if m.do(m.server, binary.BigEndian.Uint64(p.Payload), binary.BigEndian.Uint64(p.Payload[8:]), p) {
		return p, packets.CodeSuccessIgnore // acknowledged, and that is all
	}
	return p, nil
}

// say distributes a copy of a publication.
func say(s *mqtt.Server, p packets.Packet) {
	_ = s.Publish(p.TopicName, p.Payload, false, p.FixedHeader.Qos)
}

func startServer(t *testing.T, do func(*mqtt.Server, uint64, uint64, packets.Packet) bool) *server {
	t.Helper()
	s := &server{addresses: map[string]string{}}
	s.Server = mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	assert.NilError(t, s.AddHook(new(auth.AllowHook), nil))
	if do != nil {
		assert.NilError(t, s.AddHook(&misdeeds{server: s.Server, do: do}, nil))
	}
	certificate, _ := certificates()
	config := &tls.Config{Certificates: []tls.Certificate{certificate}}
	for _, l := range []listeners.Listener{
		listeners.NewTCP(listeners.Config{ID: "mqtt", Address: "127.0.0.1:0"}),
		listeners.NewTCP(listeners.Config{ID: "mqtts", Address: "127.0.0.1:0", TLSConfig: config}),
	} {
		assert.NilError(t, s.AddListener(l))
		s.addresses[l.ID()] = l.Address()
	}
	// The WebSocket listener does not tell the port that it got.
	for _, id := range []string{"ws", "wss"} {
		c := listeners.Config{ID: id, Address: freeAddress(t)}
		if id == "wss" {
			c.TLSConfig = config
		}
		assert.NilError(t, s.AddListener(listeners.NewWebsocket(c)))
		s.addresses[id] = c.Address
	}
	assert.NilError(t, s.Serve())
	t.Cleanup(func() {
		s.Listeners.CloseAll(func(string) {}) // else a late client counts itself in while Close waits for all
		_ = s.Close()
	})
	for _, address := range s.addresses { // the WebSocket listeners open theirs by and by
		for end := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			c, err := net.Dial("tcp", address)
			if err == nil {
				_ = c.Close()
				break
			}
			assert.Assert(t, time.Now().Before(end), "%v", err)
		}
	}
	return s
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer l.Close()
	return l.Addr().String()
}

// certificates makes a certificate for broker.test, and the authority that it is itself.
var certificates = sync.OnceValues(func() (tls.Certificate, *x509.CertPool) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker.test"}, DNSNames: []string{"broker.test"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
})

// hearing is what of a broker's words gets through.
type hearing int

const (
	everything hearing = iota
	nothing
	connack
)

// path is the network between clients and a broker, which can be cut.
type path struct {
	listener net.Listener

	mu     sync.Mutex
	target string
	frozen chan struct{} // closed when it thaws; nil when it flows
	mute   hearing
	conns  map[net.Conn]bool
}

func newPath(t *testing.T, target string) *path {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	p := &path{listener: l, target: target, conns: map[net.Conn]bool{}}
	t.Cleanup(func() { _ = l.Close(); p.lead(""); p.thaw() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.carry(c)
		}
	}()
	return p
}

func (p *path) url() string { return "mqtt://" + p.listener.Addr().String() }

func (p *path) carry(client net.Conn) {
	defer client.Close()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	if target == "" {
		return
	}
	broker, err := net.Dial("tcp", target)
	if err != nil {
		return
	}
	defer broker.Close()
	p.mu.Lock()
	if p.target != target {
		p.mu.Unlock()
		return
	}
	p.conns[client], p.conns[broker] = true, true
	p.mu.Unlock()
	go p.copy(broker, client, false)
	p.copy(client, broker, true)
}

func (p *path) copy(to, from net.Conn, answers bool) {
	buffer := make([]byte, 4096)
	for {
		n, err := from.Read(buffer)
		p.mu.Lock()
		frozen, mute := p.frozen, p.mute
		p.mu.Unlock()
		lost := answers && mute != everything
		if lost && mute == connack && n > 1 && buffer[0]>>4 == packets.Connack {
			n, lost = 2+int(buffer[1]), false
		}
		if frozen != nil {
			<-frozen
		}
		if err == nil && !lost {
			_, err = to.Write(buffer[:n])
		}
		if err != nil {
			_ = to.Close()
			_ = from.Close()
			p.mu.Lock()
			delete(p.conns, to)
			delete(p.conns, from)
			p.mu.Unlock()
			return
		}
	}
}

// cut breaks all connections; new ones are made.
func (p *path) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// lead makes new connections go elsewhere, "" nowhere, and breaks those that are.
func (p *path) lead(target string) {
	p.mu.Lock()
	p.target = target
	p.mu.Unlock()
	p.cut()
}

// silence loses what the broker says, or ends that.
func (p *path) hears(mute hearing) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.mute = mute
}

// freeze swallows everything, closing nothing.
func (p *path) freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frozen = make(chan struct{})
}

func (p *path) thaw() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.frozen != nil {
		close(p.frozen)
		p.frozen = nil
	}
}

// during runs a workload, and something else meanwhile.
func during(t *testing.T, o Options, what func()) Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		if what != nil {
			time.Sleep(o.Duration / 3)
			what()
		}
	}()
	r, err := Run(ctx, o)
	assert.NilError(t, err)
	<-done
	var text bytes.Buffer
	assert.NilError(t, r.Text(&text))
	t.Log("\n" + text.String())
	return r
}

// brisk is a workload that takes little time.
func brisk(endpoints ...string) Options {
	return Options{
		Endpoints: endpoints, Publishers: 6, Subscribers: 4, Rate: 50, Duration: 900 * time.Millisecond, QoS: 1, Seed: 42,
		Backoff: 20 * time.Millisecond, BackoffCap: 100 * time.Millisecond, Settle: 2 * time.Second,
	}
}
