package haproxy

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto/tlvparse"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// authority signs what the tests show each other.
type authority struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newAuthority(t *testing.T, name string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	assert.NilError(t, err)
	cert, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	return &authority{cert: cert, key: key, last: 1}
}

func pemOf(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

func (a *authority) pem() string { return pemOf("CERTIFICATE", a.cert.Raw) }

func (a *authority) pool() *x509.CertPool {
	pool := x509.NewCertPool()
	pool.AddCert(a.cert)
	return pool
}

// issue gives a certificate and its key, of the kind that is asked for.
func (a *authority) issue(t *testing.T, name, kind string) (certificate, key string) {
	t.Helper()
	a.last++
	var public, private any
	if kind == "rsa" {
		k, err := rsa.GenerateKey(rand.Reader, 2048)
		assert.NilError(t, err)
		public, private = k.Public(), k
	} else {
		k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		assert.NilError(t, err)
		public, private = k.Public(), k
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.last), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageKeyEncipherment,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	if ip := net.ParseIP(name); ip != nil {
		template.DNSNames, template.IPAddresses = nil, []net.IP{ip}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, public, a.key)
	assert.NilError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	assert.NilError(t, err)
	return pemOf("CERTIFICATE", der), pemOf("PRIVATE KEY", keyDER)
}

// revoke gives a list with the serial number of the last certificate.
func (a *authority) revoke(t *testing.T) string {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(a.last), RevocationTime: time.Now()}},
	}, a.cert, a.key)
	assert.NilError(t, err)
	return pemOf("X509 CRL", der)
}

const serverName = "mqtt.example.com"

// newTLSLab is one whose HAProxy ends TLS, with a certificate of the authority.
func newTLSLab(t *testing.T, brokers int, a *authority, kind string, change func(*Vars)) *proxyLab {
	t.Helper()
	l := prepareProxyLab(t, brokers, nil)
	l.job.TLSAtProxy = true
	change(&l.job)
	l.write(l.config())
	l.certify(a, kind)
	return l
}

// certify lets Nomad write the file that the job asks for, with another certificate.
func (l *proxyLab) certify(a *authority, kind string) {
	l.t.Helper()
	cert, key := a.issue(l.t, serverName, kind)
	l.renderItems(map[string]item{ItemTerminate: {"proxy"}, ItemCertificate: {cert}, ItemPrivateKey: {key}}, "tls.pem")
}

// renderItems renders files by the templates of the job.
func (l *proxyLab) renderItems(items map[string]item, names ...string) {
	l.t.Helper()
	for _, name := range names {
		found := false
		for _, x := range testJob(l.t, l.job).TaskGroups[0].Tasks[0].Templates {
			if filepath.Base(*x.DestPath) == name {
				l.render(name, renderTemplate(l.t, *x.EmbeddedTmpl, nil, items))
				found = true
			}
		}
		assert.Assert(l.t, found, "the job has no %s", name)
	}
}

// tlsClient speaks TLS to a port, and hears which broker it got to.
func (l *proxyLab) tlsClient(port int, c *tls.Config) (*tls.Conn, error) {
	return l.tlsClientWith(port, helloAt(port), c)
}

// tlsClientSaying says something of its own first.
func (l *proxyLab) tlsClientSaying(port int, hello string, pool *x509.CertPool) (*tls.Conn, error) {
	return l.tlsClientWith(port, hello, &tls.Config{RootCAs: pool})
}

func (l *proxyLab) tlsClientWith(port int, hello string, c *tls.Config) (*tls.Conn, error) {
	_, conn, err := l.tlsClientOf(port, hello, c)
	return conn, err
}

// tlsClientOf tells the broker, too.
func (l *proxyLab) tlsClientOf(port int, hello string, c *tls.Config) (broker string, conn *tls.Conn, err error) {
	c.ServerName = serverName
	raw, err := net.DialTimeout("tcp", l.addr(port), 5*time.Second)
	if err != nil {
		return "", nil, err
	}
	conn = tls.Client(raw, c)
	_ = conn.SetDeadline(time.Now().Add(8 * time.Second))
	if err := conn.Handshake(); err != nil {
		_ = raw.Close()
		return "", nil, err
	}
	_, _ = io.WriteString(conn, hello)
	line, err := bufio.NewReader(io.LimitReader(conn, int64(len("broker 0\n")))).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "broker ") {
		err = fmt.Errorf("heard %q", line)
	}
	if err != nil {
		_ = raw.Close()
		return "", nil, err
	}
	l.t.Cleanup(func() { _ = raw.Close() })
	return strings.TrimSpace(line), conn, nil
}

// Each profile, on both protocols: what it refuses and what it speaks.
func TestHAProxyEndsTLS(t *testing.T) {
	t.Parallel()
	suites12 := []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	rsa12 := []uint16{tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256}
	weak := []uint16{
		tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_RSA_WITH_AES_128_CBC_SHA, tls.TLS_RSA_WITH_AES_256_CBC_SHA,
		tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA, tls.TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA, tls.TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA,
	}
	for _, profile := range cluster.Profiles {
		for kind, strong := range map[string][]uint16{"ecdsa": suites12, "rsa": rsa12} {
			t.Run(profile+" "+kind, func(t *testing.T) {
				a := newAuthority(t, "servers")
				l := newTLSLab(t, 1, a, kind, func(v *Vars) { v.TLSProfile = profile })
				l.start()
				for port, protocol := range map[int]string{8883: "mqtt", 8084: "http/1.1"} {
					conn, err := l.tlsClient(port, &tls.Config{RootCAs: a.pool(), NextProtos: []string{"h2", protocol}})
					assert.NilError(t, err)
					assert.Equal(t, conn.ConnectionState().Version, uint16(tls.VersionTLS13))
					assert.Equal(t, conn.ConnectionState().NegotiatedProtocol, protocol)
					l.mu.Lock()
					assert.Equal(t, l.heard.SourceAddr.String(), conn.LocalAddr().String(), "the broker is told who the client is")
					l.mu.Unlock()
					// Who speaks of no protocol, or of others only, is served all the same.
					_, err = l.tlsClient(port, &tls.Config{RootCAs: a.pool(), NextProtos: []string{"x-amzn-mqtt-ca"}})
					assert.NilError(t, err)

					for _, suite := range strong {
						conn, err := l.tlsClient(port, &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{suite}})
						if profile == cluster.ProfileModern {
							assert.ErrorContains(t, err, "protocol version")
							continue
						}
						assert.NilError(t, err, tls.CipherSuiteName(suite))
						assert.Equal(t, conn.ConnectionState().CipherSuite, suite)
					}
					_, err = l.tlsClient(port, &tls.Config{RootCAs: a.pool(), MaxVersion: tls.VersionTLS12, CipherSuites: weak})
					assert.Assert(t, err != nil, "a weak suite is accepted")
					for _, version := range []uint16{tls.VersionTLS10, tls.VersionTLS11} {
						_, err = l.tlsClient(port, &tls.Config{RootCAs: a.pool(), MinVersion: tls.VersionTLS10, MaxVersion: version})
						assert.ErrorContains(t, err, "protocol version")
					}
				}
				// What TLS is to a plain listener's clients: nothing.
				assert.Assert(t, lives(l.client(0)))
				_, page := l.page("/haproxy_ready")
				assert.Equal(t, page, "brokers that accept mqtt: 1, mqtts: 1, ws: 1, wss: 1")
			})
		}
	}
}

// Two clients of one session: the second resumes it.
func TestHAProxyResumesSessions(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	l := newTLSLab(t, 1, a, "ecdsa", func(*Vars) {})
	l.start()
	kept := tls.NewLRUClientSessionCache(1)
	for _, resumed := range []bool{false, true} {
		conn, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool(), ClientSessionCache: kept})
		assert.NilError(t, err)
		assert.Equal(t, conn.ConnectionState().DidResume, resumed)
		assert.NilError(t, conn.Close())
	}
}

// A certificate that is renewed is that of new connections, and nobody is cut.
func TestHAProxyTakesARenewedCertificate(t *testing.T) {
	t.Parallel()
	first, second := newAuthority(t, "first"), newAuthority(t, "second")
	l := newTLSLab(t, 2, first, "ecdsa", func(*Vars) {})
	l.start()
	var old []net.Conn
	for _, port := range []int{8883, 8084} {
		conn, err := l.tlsClient(port, &tls.Config{RootCAs: first.pool()})
		assert.NilError(t, err)
		old = append(old, conn)
	}
	old = append(old, l.client(0))

	// A key of another certificate: refused, and the old pair stays.
	cert, _ := second.issue(t, serverName, "ecdsa")
	_, key := second.issue(t, serverName, "ecdsa")
	l.renderItems(map[string]item{ItemTerminate: {"proxy"}, ItemCertificate: {cert}, ItemPrivateKey: {key}}, "tls.pem")
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is refused") })
	assert.Assert(t, cmp.Contains(l.out.String(), "tls.pem"))
	assert.Assert(t, !strings.Contains(l.out.String(), "BEGIN"))
	_, err := l.tlsClient(8883, &tls.Config{RootCAs: first.pool()})
	assert.NilError(t, err)
	// One that was taken away, too.
	l.renderItems(nil, "tls.pem")
	l.eventually(func() bool { return strings.Count(l.out.String(), "the new configuration is refused") == 2 })
	_, err = l.tlsClient(8883, &tls.Config{RootCAs: first.pool()})
	assert.NilError(t, err)

	end := l.flow()
	l.certify(second, "rsa")
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	for _, port := range []int{8883, 8084} {
		_, err := l.tlsClient(port, &tls.Config{RootCAs: second.pool()})
		assert.NilError(t, err)
	}
	_, faults := end()
	assert.DeepEqual(t, faults, []string(nil))
	for _, c := range old {
		assert.Assert(t, lives(c))
	}
	assert.Equal(t, l.health(), http.StatusOK)
}

// Who does not finish a handshake keeps no place; who has, may be silent for as long as
// MQTT allows.
func TestHAProxyEndsASlowHandshake(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	l := newTLSLab(t, 1, a, "ecdsa", func(*Vars) {})
	assert.Equal(t, strings.Count(l.config(), "timeout client 15s\n"), 2)
	l.write(strings.ReplaceAll(l.config(), "timeout client 15s\n", "timeout client 2s\n"))
	l.start()
	silent, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool()})
	assert.NilError(t, err)
	slow, err := net.Dial("tcp", l.addr(8883))
	assert.NilError(t, err)
	defer func() { _ = slow.Close() }()
	began := time.Now()
	_ = slow.SetDeadline(began.Add(10 * time.Second))
	_, err = slow.Read(make([]byte, 1))
	assert.ErrorIs(t, err, io.EOF)
	time.Sleep(time.Until(began.Add(4 * time.Second)))
	assert.Assert(t, lives(silent))
}

// What a client's certificate is to HAProxy and what the broker is told of it.
func TestHAProxyVerifiesClients(t *testing.T) {
	t.Parallel()
	servers, clients, others := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "others")
	certificate := func(a *authority, name string) []tls.Certificate {
		cert, key := a.issue(t, name, "ecdsa")
		pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
		assert.NilError(t, err)
		return []tls.Certificate{pair}
	}
	good, foreign := certificate(clients, "device-7"), certificate(others, "device-7")
	gone := certificate(clients, "device-8")
	revoked := clients.revoke(t)
	for _, x := range []struct {
		clients string
		shows   map[string]bool // who gets in
	}{
		{settings.ClientsNone, map[string]bool{"nothing": true, "a good one": true, "a revoked one": true, "a foreign one": true}},
		{settings.ClientsOptional, map[string]bool{"nothing": true, "a good one": true, "a revoked one": false, "a foreign one": false}},
		{settings.ClientsRequired, map[string]bool{"nothing": false, "a good one": true, "a revoked one": false, "a foreign one": false}},
	} {
		t.Run(x.clients, func(t *testing.T) {
			verifies := x.clients != settings.ClientsNone
			l := newTLSLab(t, 1, servers, "ecdsa", func(v *Vars) { v.TLSClients, v.TLSRevocations = x.clients, verifies })
			if verifies {
				l.renderItems(map[string]item{ItemClientCA: {clients.pem()}, ItemClientCRL: {revoked}}, "ca.pem", "crl.pem")
			}
			l.start()
			for name, shown := range map[string][]tls.Certificate{"nothing": nil, "a good one": good, "a revoked one": gone, "a foreign one": foreign} {
				for _, port := range []int{8883, 8084} {
					c := &tls.Config{RootCAs: servers.pool()}
					if shown != nil {
						c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &shown[0], nil }
					}
					_, err := l.tlsClient(port, c)
					assert.Equal(t, err == nil, x.shows[name], "%s at %d: %v", name, port, err)
					if err == nil {
						want := ""
						if verifies && shown != nil {
							want = "device-7"
						}
						assert.Equal(t, l.toldName(), want, "%s at %d", name, port)
					}
				}
			}
			l.client(0)
			assert.Equal(t, l.toldName(), "", "a client without TLS has a name")
			_, page := l.page("/haproxy_ready")
			assert.Equal(t, page, "brokers that accept mqtt: 1, mqtts: 1, ws: 1, wss: 1")
		})
	}
}

// toldName is the certificate's name in the PROXY header of the last client.
func (l *proxyLab) toldName() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	tlvs, err := l.heard.TLVs()
	assert.NilError(l.t, err)
	ssl, ok := tlvparse.FindSSL(tlvs)
	if !ok {
		return ""
	}
	name, _ := ssl.ClientCN()
	return name
}

// The lists are Mozilla's, word for word. Go's clients know no DHE.
func TestTheProfilesAreMozillas(t *testing.T) {
	for profile, want := range map[string]map[string]string{
		cluster.ProfileIntermediate: {
			"ssl-default-bind-ciphers": "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:" +
				"ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305:DHE-RSA-AES128-GCM-SHA256:DHE-RSA-AES256-GCM-SHA384:DHE-RSA-CHACHA20-POLY1305",
			"ssl-default-bind-options": "ssl-min-ver TLSv1.2 prefer-client-ciphers no-tls-tickets",
		},
		cluster.ProfileModern: {"ssl-default-bind-ciphers": "", "ssl-default-bind-options": "ssl-min-ver TLSv1.3 prefer-client-ciphers no-tls-tickets"},
	} {
		v := testVars()
		v.TLSAtProxy, v.TLSProfile = true, profile
		config := renderHAProxy(t, envOf(t, v), held(v))
		want["ssl-default-bind-ciphersuites"] = "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
		want["ssl-default-bind-curves"] = "X25519:prime256v1:secp384r1"
		for key, value := range want {
			got := ""
			for line := range strings.Lines(config) {
				if rest, ok := strings.CutPrefix(strings.TrimSpace(line), key+" "); ok {
					got = rest
				}
			}
			assert.Equal(t, got, value, "%s of %s", key, profile)
		}
	}
}
