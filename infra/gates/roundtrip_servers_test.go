package gates

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// publicName is what the certificates of the tests are for.
const publicName = "mqtt.lab.test"

// authority signs certificates.
type authority struct {
	key  *ecdsa.PrivateKey
	root *x509.Certificate
	pem  string
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	assert.NilError(t, err)
	return authority{key, root, certificatePEM(der)}
}

func certificatePEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// server is a certificate for publicName and 127.0.0.1, for servers and clients alike; change may make it another one.
func (a authority) server(t *testing.T, change func(*x509.Certificate)) *tls.Config {
	t.Helper()
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: time.Now().Add(time.Hour), Subject: pkix.Name{CommonName: publicName},
		DNSNames: []string{publicName}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if change != nil {
		change(leaf)
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, a.root, a.key.Public(), a.key)
	assert.NilError(t, err)
	return &tls.Config{
		MinVersion:   tls.VersionTLS12,
		Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: a.key}},
	}
}

// testCA returns an authority and a certificate of it for mqtt.lab.test and
// 127.0.0.1, for servers and clients alike.
func testCA(t *testing.T) (ca string, config *tls.Config) {
	t.Helper()
	a := newAuthority(t)
	return a.pem, a.server(t, nil)
}

// script is what a broker of the tests says, by its reason codes; a refusal is the last.
type script struct {
	connack, suback, puback byte
	own                     string // beside each code, in the broker's words
	// deliver are the payloads that come back after PUBLISH; "" is the client's own. None is the message that is lost.
	deliver []string
	// end ends the conversation instead of the answer to this packet: by DISCONNECT with disconnect, or by closing, or,
	// silent, not at all.
	end        byte
	disconnect byte
	silent     bool
}

// serve speaks MQTT 5 by a script on a listener of its kind, and gives its port.
func serve(t *testing.T, l cluster.Listener, config *tls.Config, s script) int {
	t.Helper()
	if l.Path == "" {
		return accept(t, config, s.speak)
	}
	return serveHTTP(t, config, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/mqtt" {
			http.NotFound(w, r)
			return
		}
		ws, err := (&websocket.Upgrader{Subprotocols: []string{"mqtt"}}).Upgrade(w, r, nil)
		if err == nil {
			s.speak(&stream{Conn: ws})
		}
	})
}

// accept hands each connection on a port of its own to a function.
func accept(t *testing.T, config *tls.Config, handle func(net.Conn)) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	port := l.Addr().(*net.TCPAddr).Port
	if config != nil {
		l = tls.NewListener(l, config)
	}
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				handle(c)
			}()
		}
	}()
	return port
}

func serveHTTP(t *testing.T, config *tls.Config, handler http.HandlerFunc) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	if config != nil {
		l = tls.NewListener(l, config)
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
	return port
}

// silentPort accepts and says nothing.
func silentPort(t *testing.T) int {
	return accept(t, nil, func(c net.Conn) { _, _ = io.Copy(io.Discard, c) })
}

func (s script) speak(c net.Conn) {
	defer func() { _ = c.Close() }()
	var topic string
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		if p.Type == s.end {
			switch {
			case s.silent:
				_, _ = io.Copy(io.Discard, c)
			case s.disconnect != 0:
				say(c, packets.DISCONNECT, &packets.Disconnect{ReasonCode: s.disconnect, Properties: s.words()})
				_, _ = io.Copy(io.Discard, c)
			}
			return
		}
		switch q := p.Content.(type) {
		case *packets.Connect:
			say(c, packets.CONNACK, &packets.Connack{ReasonCode: s.connack, Properties: s.words()})
			if s.connack >= refusal {
				return
			}
		case *packets.Subscribe:
			topic = q.Subscriptions[0].Topic
			say(c, packets.SUBACK, &packets.Suback{PacketID: q.PacketID, Reasons: []byte{s.suback}, Properties: s.words()})
		case *packets.Publish:
			say(c, packets.PUBACK, &packets.Puback{PacketID: q.PacketID, ReasonCode: s.puback, Properties: s.words()})
			for _, payload := range s.deliver {
				if payload == "" {
					payload = string(q.Payload)
				}
				say(c, packets.PUBLISH, &packets.Publish{Topic: topic, Payload: []byte(payload), Properties: &packets.Properties{}})
			}
		}
	}
}

func (s script) words() *packets.Properties { return &packets.Properties{ReasonString: s.own} }

func say(c net.Conn, kind byte, content packets.Packet) {
	p := packets.ControlPacket{FixedHeader: packets.FixedHeader{Type: kind}, Content: content}
	_, _ = p.WriteTo(c)
}
