package haproxy

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// served is the name of the certificate that a client gets who asks for a name, "" for none.
func (l *proxyLab) served(port int, name string, suites ...uint16) string {
	l.t.Helper()
	conn, err := net.DialTimeout("tcp", l.addr(port), 5*time.Second)
	assert.NilError(l.t, err)
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(8 * time.Second))
	c := &tls.Config{ServerName: name, InsecureSkipVerify: true, CipherSuites: suites}
	if suites != nil {
		c.MaxVersion = tls.VersionTLS12
	}
	secured := tls.Client(conn, c)
	assert.NilError(l.t, secured.Handshake(), name)
	leaf := secured.ConnectionState().PeerCertificates[0]
	if leaf.PublicKeyAlgorithm == x509.RSA {
		return leaf.Subject.CommonName + " by RSA"
	}
	return leaf.Subject.CommonName
}

// further are a secret's items with certificates beside the main one.
func further(t *testing.T, all ...settings.ServerCertificate) map[string]item {
	t.Helper()
	return secretItems(t, settings.Settings{
		Environment: "lab", TLS: settings.TLS{
			Terminate: settings.TerminateProxy, Certificate: "certificate", PrivateKey: "key", Clients: settings.ClientsNone, Certificates: all,
		},
	})
}

// A client gets the certificate of the name that it asks for, and else the main one. More and
// fewer of them are a reload, which cuts nobody.
func TestHAProxyServesCertificatesByName(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	pairs := func(kind string, names ...string) (all []settings.ServerCertificate) {
		for _, name := range names {
			cert, key := a.issue(t, name, kind)
			all = append(all, settings.ServerCertificate{Certificate: settings.Secret(cert), PrivateKey: settings.Secret(key)})
		}
		return all
	}
	l := newTLSLab(t, 1, a, "ecdsa", func(*Vars) {})
	two := pairs("ecdsa", "eu.example.com", "*.us.example.com")
	l.renderItems(further(t, two...), "further.pem")
	l.start()
	for _, port := range []int{8883, 8084} {
		for name, want := range map[string]string{
			serverName: serverName, "eu.example.com": "eu.example.com", "EU.example.com": "eu.example.com", "a.us.example.com": "*.us.example.com",
			"": serverName, "us.example.com": serverName, "b.a.us.example.com": serverName, "unknown.example.org": serverName,
		} {
			assert.Equal(t, l.served(port, name), want, "%q at %d", name, port)
		}
	}
	old, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool()})
	assert.NilError(t, err)

	// A dozen, which is more than one digit, and the main name by another kind of key.
	names := strings.Fields("a b c d e f g h i j k")
	for i := range names {
		names[i] += ".example.com"
	}
	l.renderItems(further(t, append(pairs("ecdsa", names...), pairs("rsa", serverName)...)...), "further.pem")
	l.eventually(func() bool { return l.served(8883, "k.example.com") == "k.example.com" })
	assert.Equal(t, l.served(8883, "a.example.com"), "a.example.com")
	assert.Equal(t, l.served(8883, "eu.example.com"), serverName, "it was taken away")
	assert.Equal(t, l.served(8883, serverName), serverName)
	assert.Equal(t, l.served(8883, serverName, tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256), serverName+" by RSA")
	assert.Assert(t, lives(old))

	// A key of another certificate: nothing of it is taken.
	bad := pairs("ecdsa", "x.example.com", "y.example.com")
	bad[1].PrivateKey = bad[0].PrivateKey
	l.renderItems(further(t, bad...), "further.pem")
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is refused") })
	assert.Assert(t, cmp.Contains(l.out.String(), "further/1002.pem"))
	assert.Assert(t, !strings.Contains(l.out.String(), "BEGIN"))
	assert.Equal(t, l.served(8883, "k.example.com"), "k.example.com")
	assert.Equal(t, l.served(8883, "x.example.com"), serverName)

	// None.
	l.renderItems(further(t), "further.pem")
	l.eventually(func() bool { return l.served(8883, "k.example.com") == serverName })
	assert.Assert(t, lives(old))
}
