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
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"github.com/pires/go-proxyproto/tlvparse"
	"gotest.tools/v3/assert"
)

// clientCert makes a certificate of a client, which the file names as an authority.
func clientCert(t *testing.T, subject pkix.Name) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	c := &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: subject, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	assert.NilError(t, err)
	file := filepath.Join(t.TempDir(), "ca.crt")
	assert.NilError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

// proxied sends a PROXY header of version 2 that names the certificate, as send-proxy-v2-ssl-cn does.
func proxied(t *testing.T, conn net.Conn, cn string) net.Conn {
	t.Helper()
	h := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 4000}, &net.TCPAddr{IP: net.IPv4(10, 0, 0, 1), Port: 8883})
	if cn != "" {
		ssl := tlvparse.PP2SSL{Client: 0x03, TLV: []proxyproto.TLV{
			{Type: proxyproto.PP2_SUBTYPE_SSL_VERSION, Value: []byte("TLSv1.3")}, {Type: proxyproto.PP2_SUBTYPE_SSL_CN, Value: []byte(cn)},
		}}
		tlv, err := ssl.Marshal()
		assert.NilError(t, err)
		assert.NilError(t, h.SetTLVs([]proxyproto.TLV{tlv}))
	}
	var b bytes.Buffer
	_, err := h.WriteTo(&b)
	assert.NilError(t, err)
	_, err = conn.Write(b.Bytes())
	assert.NilError(t, err)
	return conn
}

// wantNames says which names the node has for who is connected, one client alone.
func (l *lab) wantNames(c *client, id, user string) {
	l.t.Helper()
	_, text := l.rest(0, "GET", "/clients?clientid="+id, "")
	assert.Assert(l.t, strings.Contains(text, `"clientid":"`+id+`"`) && strings.Contains(text, `"username":"`+user+`"`), text)
	_ = c.conn.Close()
}

func (l *lab) port(port string) net.Conn { return dial(l.t, l.ip(0)+":"+port) }

const certNames = "EMQX_MQTT__PEER_CERT_AS_"

// The names of a certificate stand over those that a client gives itself, on every listener: from TLS that
// ends at the broker, and from the PROXY header of one that ends it (set_peercert_infos, enrich_client).
func TestNamesOfACertificate(t *testing.T) {
	t.Parallel()
	cert, ca := clientCert(t, pkix.Name{CommonName: "device-7", Organization: []string{"lab"}})
	l := newLab(t, 1)
	env := []string{certNames + "USERNAME=dn", certNames + "CLIENTID=cn", `EMQX_AUTHORIZATION__SOURCES=[{type = file, path = "` + filepath.Join(t.TempDir(), "acl") + `"}]`}
	path := strings.Split(env[2], `"`)[1]
	assert.NilError(t, os.WriteFile(path, []byte(`{allow, all, publish, ["${cert_common_name}"]}. {deny, all}.`), 0o600))
	for typ, port := range map[string]string{"SSL": "8883", "WSS": "8084"} {
		p := "EMQX_LISTENERS__" + typ + "__DEFAULT__"
		env = append(env, p+"ENABLE=true", p+"BIND="+l.ip(0)+":"+port, p+"SSL_OPTIONS__VERIFY=verify_peer",
			p+"SSL_OPTIONS__FAIL_IF_NO_PEER_CERT=true", p+"SSL_OPTIONS__CACERTFILE="+ca)
	}
	for typ, port := range map[string]string{"TCP": "1884", "WS": "8083"} {
		p := "EMQX_LISTENERS__" + typ + "__PROXIED__"
		env = append(env, p+"BIND="+l.ip(0)+":"+port, p+"PROXY_PROTOCOL=true")
	}
	l.start(0, env...)
	l.wantUp(0)
	conf := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	liar := connectOpts{id: "liar", user: "admin", v: 5}

	c, ack := connect(t, tls.Client(l.port("8883"), conf), liar)
	assert.Equal(t, ack.Properties.AssignedClientID, "")
	assert.Equal(t, c.puback("device-7", 1), byte(0))
	assert.Equal(t, c.puback("device-8", 1), byte(0x87))
	l.wantNames(c, "device-7", "CN=device-7,O=lab")
	c, _ = connect(t, dialWS(t, tls.Client(l.port("8084"), conf), "ws://x/mqtt", nil), liar)
	l.wantNames(c, "device-7", "CN=device-7,O=lab")
	c, _ = connect(t, proxied(t, l.port("1884"), "device-8"), liar)
	assert.Equal(t, c.puback("device-8", 1), byte(0))
	l.wantNames(c, "device-8", "device-8") // a proxy hands no more over than the common name
	c, _ = connect(t, dialWS(t, proxied(t, l.port("8083"), "device-9"), "ws://x/mqtt", nil), liar)
	l.wantNames(c, "device-9", "device-9")

	// Who has no certificate keeps its names, and a placeholder that has no value matches nothing.
	c, _ = connect(t, proxied(t, l.port("1884"), ""), liar)
	assert.Equal(t, c.puback("device-9", 1), byte(0x87))
	l.wantNames(c, "liar", "admin")
	l.wantNames(l.mqtt(0, liar), "liar", "admin")
	bare := tls.Client(l.port("8883"), &tls.Config{InsecureSkipVerify: true})
	_ = bare.SetDeadline(time.Now().Add(3 * time.Second))
	_, err := bare.Read(make([]byte, 1))
	assert.ErrorContains(t, err, "certificate required")
}

// Behind PROXY protocol a TLS that is only passed through loses its certificate: the client is who it says
// (esockd_transport:peercert of a proxy_socket; so in all of 5.8).
func TestACertificateIsLostBehindPROXYProtocol(t *testing.T) {
	t.Parallel()
	cert, ca := clientCert(t, pkix.Name{CommonName: "device-7"})
	l := newLab(t, 1)
	p := "EMQX_LISTENERS__SSL__DEFAULT__"
	l.start(0, certNames+"USERNAME=cn", certNames+"CLIENTID=cn", p+"ENABLE=true", p+"BIND="+l.ip(0)+":8883", p+"PROXY_PROTOCOL=true",
		p+"SSL_OPTIONS__VERIFY=verify_peer", p+"SSL_OPTIONS__FAIL_IF_NO_PEER_CERT=true", p+"SSL_OPTIONS__CACERTFILE="+ca)
	l.wantUp(0)
	conf := &tls.Config{InsecureSkipVerify: true, Certificates: []tls.Certificate{cert}}
	c, _ := connect(t, tls.Client(proxied(t, l.port("8883"), ""), conf), connectOpts{id: "liar", user: "admin", v: 5})
	l.wantNames(c, "liar", "admin")
	c, _ = connect(t, tls.Client(proxied(t, l.port("8883"), "forged"), conf), connectOpts{id: "liar", user: "admin", v: 5})
	l.wantNames(c, "forged", "forged")
}

// A certificate's name is a user's name to the authenticators too.
func TestACertificatesNameIsAuthenticated(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := "EMQX_LISTENERS__TCP__PROXIED__"
	l.start(0, "EMQX_AUTHENTICATION=["+builtinConf+"]", certNames+"USERNAME=cn", p+"BIND="+l.ip(0)+":1884", p+"PROXY_PROTOCOL=true")
	l.wantUp(0)
	l.wantREST(0, "POST", "/authentication/password_based:built_in_database/users", `{"user_id":"device","password":"p"}`, 201)
	for user, want := range map[string]byte{"device": 0, "other": 0x87} {
		_, ack := tryConnect(t, proxied(t, l.port("1884"), user), connectOpts{id: "c", v: 5, user: "device", password: "p"})
		assert.Equal(t, ack.ReasonCode, want, user)
	}
	l.wantREST(0, "POST", "/banned", `{"as":"username","who":"device"}`, 200)
	_, ack := tryConnect(t, proxied(t, l.port("1884"), "device"), connectOpts{id: "c", v: 5, user: "x", password: "p"})
	assert.Equal(t, ack.ReasonCode, byte(0x8A))
}

// A listener's rules are about who connects to it, which is the proxy and not whom its header names
// (esockd_connection_sup); those of a WebSocket listener are asked by nobody.
func TestAccessRulesOfAListener(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	rules := `ACCESS_RULES=["allow 127.0.0.3", "deny all"]`
	tcp, ws := "EMQX_LISTENERS__TCP__PROXIED__", "EMQX_LISTENERS__WS__DEFAULT__"
	l.start(0, tcp+"BIND="+l.ip(0)+":1884", tcp+"PROXY_PROTOCOL=true", tcp+rules, ws+"ENABLE=true", ws+"BIND="+l.ip(0)+":8083", ws+rules)
	l.wantUp(0)
	own := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 3)}}
	conn, err := own.Dial("tcp", l.ip(0)+":1884")
	assert.NilError(t, err)
	c, _ := connect(t, proxied(t, conn, ""), connectOpts{id: "c"})
	_ = c.conn.Close()
	stranger := l.port("1884")
	_ = stranger.SetDeadline(time.Now().Add(2 * time.Second)) // without a header it would be held for 3 s
	_, err = stranger.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	connect(t, dialWS(t, l.port("8083"), "ws://x/mqtt", nil), connectOpts{id: "w"})
	for _, bad := range []string{`["permit all"]`, `["allow"]`, `["allow 10.0.0"]`} {
		_, err := load("EMQX_LISTENERS__TCP__DEFAULT__ACCESS_RULES=" + bad)
		assert.ErrorContains(t, err, "want allow or deny", bad)
	}
}

// enable_authn of a listener (emqx_access_control:pre_hook_authenticate), and a username for an identifier.
func TestWhatAListenerSaysOfAuthentication(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	off, quick := "EMQX_LISTENERS__TCP__OFF__", "EMQX_LISTENERS__TCP__QUICK__"
	l.start(0, "EMQX_AUTHENTICATION=["+builtinConf+"]", off+"BIND="+l.ip(0)+":1884", off+"ENABLE_AUTHN=false",
		quick+"BIND="+l.ip(0)+":1885", quick+"ENABLE_AUTHN=quick_deny_anonymous", "EMQX_MQTT__USE_USERNAME_AS_CLIENTID=true")
	l.wantUp(0)
	l.wantCodes(0, connectOpts{id: "c"}, 0x86, 4)
	for port, want := range map[string]byte{"1884": 0, "1885": 0x87} {
		_, ack := tryConnect(t, l.port(port), connectOpts{id: "c", v: 5})
		assert.Equal(t, ack.ReasonCode, want, port)
	}
	l.wantREST(0, "POST", "/authentication/password_based:built_in_database/users", `{"user_id":"ann","password":"p"}`, 201)
	_, ack := tryConnect(t, l.port("1885"), connectOpts{id: "c", v: 5, user: "ann", password: "p"})
	assert.Equal(t, ack.ReasonCode, byte(0))
	l.wantNames(l.mqtt(0, connectOpts{id: "c", v: 5, user: "ann", password: "p"}), "ann", "ann")
}
