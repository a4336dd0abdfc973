package broker

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// writeCert makes a self-signed certificate that also serves as its CA.
func writeCert(t *testing.T, dir string, until time.Time) (certFile, keyFile string, cert tls.Certificate) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(until.Unix()), Subject: pkix.Name{CommonName: "mqtt.lab.test"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		DNSNames: []string{"mqtt.lab.test"}, IsCA: true, BasicConstraintsValid: true,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	assert.NilError(t, err)
	kb, err := x509.MarshalPKCS8PrivateKey(key)
	assert.NilError(t, err)
	c, k := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: kb})
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	assert.NilError(t, os.WriteFile(certFile, c, 0o600))
	assert.NilError(t, os.WriteFile(keyFile, k, 0o600))
	cert, err = tls.X509KeyPair(c, k)
	assert.NilError(t, err)
	return certFile, keyFile, cert
}

var proxyHeaders = map[string]struct {
	bytes string
	peer  string
}{
	"v1": {"PROXY TCP4 203.0.113.7 10.0.0.1 4711 1883\r\n", "203.0.113.7:4711"},
	"v2": {"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xcb\x00\x71\x08\x0a\x00\x00\x01\x12\x68\x07\x5b", "203.0.113.8:4712"},
}

func TestEveryProtocolWithAndWithoutProxyHeader(t *testing.T) {
	t.Parallel()
	for _, proxy := range []bool{false, true} {
		t.Run(fmt.Sprint("proxy=", proxy), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 1)
			crt, key, cert := writeCert(t, t.TempDir(), time.Now().Add(time.Hour))
			ip := l.ip(0)
			env := []string{}
			for typ, port := range map[string]string{"TCP": "1883", "SSL": "8883", "WS": "8083", "WSS": "8084"} {
				p := "EMQX_LISTENERS__" + typ + "__DEFAULT__"
				env = append(env, p+"ENABLE=true", p+"BIND="+ip+":"+port, p+"PROXY_PROTOCOL="+fmt.Sprint(proxy))
				if strings.HasSuffix(typ, "SS") || typ == "SSL" {
					env = append(env, p+"SSL_OPTIONS__CERTFILE="+crt, p+"SSL_OPTIONS__KEYFILE="+key)
				}
			}
			l.start(0, env...)
			l.wantUp(0)
			roots := x509.NewCertPool()
			leaf, err := x509.ParseCertificate(cert.Certificate[0])
			assert.NilError(t, err)
			roots.AddCert(leaf)
			headers := []string{""}
			if proxy {
				headers = []string{"v1", "v2"}
			}
			for _, h := range headers {
				for typ, port := range map[string]string{"tcp": "1883", "ssl": "8883", "ws": "8083", "wss": "8084"} {
					for _, v := range []byte{4, 5} {
						conn := dial(t, ip+":"+port)
						_, err := io.WriteString(conn, proxyHeaders[h].bytes)
						assert.NilError(t, err)
						if typ == "ssl" || typ == "wss" {
							conn = tls.Client(conn, &tls.Config{RootCAs: roots, ServerName: "mqtt.lab.test"})
						}
						if typ == "ws" || typ == "wss" {
							conn = dialWS(t, conn, "ws://mqtt.lab.test/mqtt", nil)
						}
						id := fmt.Sprint(typ, h, v)
						c, _ := connect(t, conn, connectOpts{id: id, v: v})
						assert.Equal(t, c.subscribe("echo/"+id, 1), byte(1))
						c.publish("echo/"+id, "hello", 1, false)
						c.wantMessage("echo/"+id, "hello")
						if proxy {
							out, _ := l.ctl(0, "clients", "show", id)
							assert.Assert(t, strings.Contains(out, "peername="+proxyHeaders[h].peer+","), out)
						}
					}
				}
			}
			out, _ := l.ctl(0, "listeners")
			for _, want := range []string{"ssl:default", "tcp:default", "ws:default", "wss:default", "proxy_protocol  : " + fmt.Sprint(proxy)} {
				assert.Assert(t, strings.Contains(out, want), out)
			}
			assert.Equal(t, strings.Count(out, "running         : true"), 4, out)
			n := len(headers) * 8
			want := []string{
				fmt.Sprintf("emqx_live_connections_count %d\n", n), fmt.Sprintf("emqx_connections_count %d\n", n), fmt.Sprintf("emqx_sessions_count %d\n", n),
				fmt.Sprintf("emqx_subscriptions_count %d\n", n), fmt.Sprintf("emqx_messages_received %d\n", n), fmt.Sprintf("emqx_messages_sent %d\n", n),
				"emqx_messages_dropped 0\n", "emqx_cluster_nodes_running 1\n", "emqx_cluster_nodes_stopped 0\n",
				fmt.Sprintf("emqx_cert_expiry_at{listener_type=\"ssl\",listener_name=\"default\"} %d\n", leaf.NotAfter.Unix()),
				fmt.Sprintf("emqx_cert_expiry_at{listener_type=\"wss\",listener_name=\"default\"} %d\n", leaf.NotAfter.Unix()),
			}
			eventually(t, func() string {
				_, body := httpGet(l.url(0, "/api/v5/prometheus/stats"))
				for _, w := range want {
					if !strings.Contains(body, w) {
						return w + "in\n" + body
					}
				}
				return ""
			})
		})
	}
}

func TestAProxyListenerClosesAConnectionWithoutHeaderAfterThreeSeconds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	l.wantUp(0)
	for name, text := range map[string]string{"nothing": "", "an MQTT CONNECT": connectBytes(t)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := dial(t, l.ip(0)+":1883")
			defer func() { _ = conn.Close() }()
			begin := time.Now()
			_, err := io.WriteString(conn, text)
			assert.NilError(t, err)
			_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
			n, _ := conn.Read(make([]byte, 1))
			assert.Equal(t, n, 0)
			took := time.Since(begin)
			assert.Assert(t, took > 2900*time.Millisecond && took < 3500*time.Millisecond, "%v", took)
		})
	}
}

func connectBytes(t *testing.T) string {
	t.Helper()
	pk := packets.Packet{ProtocolVersion: 4, Connect: packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: "x", Clean: true}}
	var b bytes.Buffer
	assert.NilError(t, pk.ConnectEncode(&b))
	return b.String()
}

func TestAProxyV2LocalHeaderSwallowsWhatFollows(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	l.wantUp(0)
	conn := dial(t, l.ip(0)+":1883")
	defer func() { _ = conn.Close() }()
	_, err := io.WriteString(conn, "\r\n\r\n\x00\r\nQUIT\n\x20\x00\x00\x00"+connectBytes(t))
	assert.NilError(t, err)
	_ = conn.SetReadDeadline(time.Now().Add(700 * time.Millisecond))
	_, err = conn.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "timeout") // neither an answer nor a close: it hangs
}

func TestAConnectionThatNeverSendsConnectIsClosed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_MQTT__IDLE_TIMEOUT=300ms")
	l.wantUp(0)
	conn := dial(t, l.ip(0)+":1883")
	defer func() { _ = conn.Close() }()
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	assert.Assert(t, err != nil && !strings.Contains(err.Error(), "timeout"), "%v", err)
}

func TestLimitsOfAListener(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS=2")
	l.wantUp(0)
	a := l.mqtt(0, connectOpts{id: "a"})
	l.mqtt(0, connectOpts{id: "b"})
	conn := dial(t, l.ip(0)+":1883")
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, err := conn.Read(make([]byte, 1))
	assert.Assert(t, err != nil && !strings.Contains(err.Error(), "timeout"), "%v", err)
	_ = a.conn.Close()
	eventually(t, func() string {
		out, _ := l.ctl(0, "listeners")
		if strings.Contains(out, "current_conn    : 1\n") {
			return ""
		}
		return out
	})
	l.mqtt(0, connectOpts{id: "c"})
}

func TestMutualTLSAndCertificateRenewal(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	dir := t.TempDir()
	crt, key, cert := writeCert(t, dir, time.Now().Add(time.Hour))
	ca := filepath.Join(t.TempDir(), "ca.crt")
	b, err := os.ReadFile(crt)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(ca, b, 0o600))
	p := "EMQX_LISTENERS__SSL__DEFAULT__"
	l.start(0, p+"ENABLE=true", p+"BIND="+l.ip(0)+":8883", p+"SSL_OPTIONS__CERTFILE="+crt, p+"SSL_OPTIONS__KEYFILE="+key,
		p+"SSL_OPTIONS__CACERTFILE="+ca, p+"SSL_OPTIONS__VERIFY=verify_peer", p+"SSL_OPTIONS__FAIL_IF_NO_PEER_CERT=true")
	l.wantUp(0)
	open := func(certs ...tls.Certificate) *tls.Conn {
		return tls.Client(dial(t, l.ip(0)+":8883"), &tls.Config{InsecureSkipVerify: true, Certificates: certs})
	}
	bare := open()
	if err := bare.Handshake(); err == nil { // TLS 1.3 tells the client at its first read
		_, err = bare.Read(make([]byte, 1))
		assert.ErrorContains(t, err, "certificate")
	}
	c, _ := connect(t, open(cert), connectOpts{id: "mtls"})
	until := time.Now().Add(9 * time.Hour).Truncate(time.Second)
	writeCert(t, dir, until)
	out, code := l.ctl(0, "pem_cache", "clean", "all")
	assert.Equal(t, code, 0, out)
	second := open(cert)
	assert.NilError(t, second.Handshake())
	assert.Assert(t, second.ConnectionState().PeerCertificates[0].NotAfter.Equal(until))
	c.publish("still", "here", 1, false) // nobody was dropped
}

func TestWebSocketRules(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := "EMQX_LISTENERS__WS__DEFAULT__"
	l.start(0, p+"ENABLE=true", p+"BIND="+l.ip(0)+":8083")
	l.wantUp(0)
	for path, want := range map[string]int{"/mqtt": 400, "/other": 404} {
		code, _ := httpGet("http://" + l.ip(0) + ":8083" + path)
		assert.Equal(t, code, want)
	}
	conn := dialWS(t, dial(t, l.ip(0)+":8083"), "ws://x/mqtt", http.Header{"X-Forwarded-For": {"198.51.100.9, 10.0.0.1"}, "X-Forwarded-Port": {"999"}})
	connect(t, conn, connectOpts{id: "w"})
	out, _ := l.ctl(0, "clients", "show", "w")
	assert.Assert(t, strings.Contains(out, "peername=198.51.100.9:999,"), out)
}

func TestDefaultACLKeepsHashFromStrangers(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	var env []string
	for _, kv := range l.env(0) {
		if !strings.HasPrefix(kv, "EMQX_AUTHORIZATION__SOURCES") {
			env = append(env, kv)
		}
	}
	cfg, err := loadConfig(env)
	assert.NilError(t, err)
	h := &hook{app: &app{node: &node{cfg: cfg}}}
	for remote, filters := range map[string]map[string]bool{
		"10.0.0.9:1": {
			"#": false, "+/#": false, "$SYS/#": false, "$SYS": false, "t/#": true, "+": true,
			"$share/g/#": false, "$share/g/+/#": false, "$share/g/$SYS/brokers": false, "$SHARE/g/#": false, "$share/g/t/#": true,
			"$queue/#": false, "$queue/$SYS/#": false, "$queue/t": true, "$exclusive/#": false, "$exclusive/t": true,
			"$share/g/$delayed/1/#": false, "$delayed/5/$delayed/5/#": false,
		},
		"127.0.0.1:1": {"#": true, "$SYS/#": true, "$share/g/#": true, "$queue/#": true},
	} {
		for f, want := range filters {
			assert.Equal(t, h.may(&principal{host: netip.MustParseAddrPort(remote).Addr()}, action{}, f), want, f)
		}
	}
	for topic, want := range map[string]bool{"t": true, "$delayed/5/t": true, "$delayed/5": false, "$delayed/5/$delayed/6": false} {
		assert.Equal(t, h.may(&principal{host: netip.MustParseAddr("10.0.0.9")}, action{publish: true}, topic), want, topic)
	}
	name := "dashboard"
	dashboard := &principal{host: netip.MustParseAddr("10.0.0.9"), username: &name}
	assert.Equal(t, h.may(dashboard, action{}, "$SYS/#"), true)
	assert.Equal(t, h.may(dashboard, action{}, "#"), false, "its name is good for $SYS alone")
}

// A denied group gets nothing, however it is spelt.
func TestSharedFiltersAreAuthorizedAsWhatTheyMean(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	o := l.options(0)
	o.Env = slices.DeleteFunc(o.Env, func(kv string) bool { return strings.HasPrefix(kv, "EMQX_AUTHORIZATION__") })
	l.run(0, o)
	l.wantUp(0)
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}} // 127.0.0.1 is the broker's own machine
	conn, err := stranger.Dial("tcp", l.ip(0)+":1883")
	assert.NilError(t, err)
	c, _ := connect(t, conn, connectOpts{id: "c", v: 5})
	for filter, want := range map[string]byte{
		"#": 0x87, "$share/g/#": 0x87, "$queue/#": 0x87, "$exclusive/#": 0x87, "$exclusive/t": 0x8F, "$queue/q": 1, "$share/g/t": 1,
	} {
		assert.Equal(t, c.subscribe(filter, 1), want, filter)
	}
	p := l.mqtt(0, connectOpts{id: "p", v: 5})
	p.publish("q", "one of the queue's", 1, false)
	c.wantMessage("q", "one of the queue's")
	p.publish("secret", "for nobody here", 1, false)
	c.wantSilence(150 * time.Millisecond)
}
