package haproxy

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"log/slog"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/hooks/auth"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// The round trip gets in where clients have to show a certificate, by the name of its own
// user. Its authority is good for nobody else, not even to who has its key.
func TestHAProxyTakesTheGatesCertificate(t *testing.T) {
	t.Parallel()
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	cert, key := clients.issue(t, "device-7", "ecdsa")
	device, err := tls.X509KeyPair([]byte(cert), []byte(key))
	assert.NilError(t, err)
	revokedCert, revokedKey := clients.issue(t, "device-8", "ecdsa")
	revoked, err := tls.X509KeyPair([]byte(revokedCert), []byte(revokedKey))
	assert.NilError(t, err)

	s := settings.Settings{
		Environment: "lab",
		TLS: settings.TLS{
			Terminate: settings.TerminateProxy, Certificate: "certificate", PrivateKey: "key", Clients: settings.ClientsRequired,
			ClientCA: settings.Secret(clients.pem()), ClientCRL: settings.Secret(clients.revoke(t)),
		},
		Secrets: settings.Secrets{ErlangCookie: "aCookie", GatePassword: "a-password-of-the-gate"},
	}
	items, again := secretItems(t, s), secretItems(t, s)
	assert.DeepEqual(t, items, again) // else every update would change them

	l := newTLSLab(t, 1, servers, "ecdsa", func(v *Vars) { v.TLSClients, v.TLSRevocations = s.TLS.Clients, true })
	l.renderItems(map[string]item{ItemClientCA: items[ItemClientCA], ItemClientCRL: items[ItemClientCRL]}, "ca.pem", "crl.pem")
	l.start()
	authority, err := s.GateAuthority()
	assert.NilError(t, err)
	gate, err := authority.Issue(time.Now())
	assert.NilError(t, err)
	late, err := authority.Issue(time.Now().Add(-2 * time.Hour))
	assert.NilError(t, err)
	stranger := s
	stranger.Secrets.GatePassword = "another-password-of-it"
	foreign, err := stranger.GateAuthority()
	assert.NilError(t, err)
	forged, err := foreign.Issue(time.Now())
	assert.NilError(t, err)
	other := ofGateAuthority(t, s, authority, "device-7")

	for name, x := range map[string]struct {
		shown *tls.Certificate
		told  string // empty: refused
	}{
		"the gate": {&gate, settings.GateUser}, "a device": {&device, "device-7"}, "a revoked device": {&revoked, ""}, "nothing": {nil, ""},
		"one that has ended": {&late, ""}, "one of another secret": {&forged, ""}, "one of the gate's authority for another": {&other, ""},
	} {
		for _, port := range []int{8883, 8084} {
			for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
				c := &tls.Config{RootCAs: servers.pool(), MaxVersion: version}
				if x.shown != nil {
					c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return x.shown, nil }
				}
				_, err := l.tlsClient(port, c)
				assert.Equal(t, err == nil, x.told != "", "%s at %d: %v", name, port, err)
				if err == nil {
					assert.Equal(t, l.toldName(), x.told, name)
				}
			}
		}
	}
}

// The whole of gate G5 through a HAProxy that wants certificates of everybody: its message
// comes back. Where HAProxy does not know the gate's authority yet, it is told so.
func TestTheRoundTripPassesWhereCertificatesAreRequired(t *testing.T) {
	t.Parallel()
	broker := mqtt.New(&mqtt.Options{InlineClient: true, Logger: slog.New(slog.DiscardHandler)})
	assert.NilError(t, broker.AddHook(new(auth.AllowHook), nil))
	assert.NilError(t, broker.Serve())
	t.Cleanup(func() { _ = broker.Close() })
	servers, clients := newAuthority(t, "servers"), newAuthority(t, "clients")
	s := settings.Settings{
		Environment: "lab",
		TLS: settings.TLS{
			Terminate: settings.TerminateProxy, Certificate: "certificate", PrivateKey: "key", Clients: settings.ClientsRequired, ClientCA: settings.Secret(clients.pem()),
		},
		Secrets: settings.Secrets{ErlangCookie: "aCookie", GatePassword: "a-password-of-the-gate"},
	}
	l := prepareProxyLab(t, 1, nil)
	l.speak = func(c net.Conn) { _ = broker.EstablishConnection("mqtts", c) }
	l.job.TLSAtProxy, l.job.TLSClients = true, settings.ClientsRequired
	l.write(l.config())
	address, _, err := net.SplitHostPort(l.addr(8883))
	assert.NilError(t, err)
	cert, key := servers.issue(t, address, "ecdsa")
	l.renderItems(map[string]item{ItemTerminate: {"proxy"}, ItemCertificate: {cert}, ItemPrivateKey: {key}}, "tls.pem")
	l.renderItems(map[string]item{ItemClientCA: {clients.pem()}}, "ca.pem") // as it was before there was such an authority
	l.start()

	authority, err := s.GateAuthority()
	assert.NilError(t, err)
	all := gates.RoundTripArgs{
		Name: address, Listeners: cluster.Listeners(cluster.DefaultPorts, true), CACert: servers.pem(),
		ClientCertificate: func() (tls.Certificate, error) { return authority.Issue(time.Now()) },
	}
	args, err := all.Through("mqtts")
	assert.NilError(t, err)
	status, err := gates.RoundTrip(args).Check(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(status.Seen, "the listener wants a certificate of the client, of authorities that are not the gate's"))
	assert.Assert(t, cmp.Contains(status.Next, "whether each proxy has taken over its files"))

	l.renderItems(map[string]item{ItemClientCA: secretItems(t, s)[ItemClientCA]}, "ca.pem")
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	status, err = gates.RoundTrip(args).Check(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, status.Holds, status.Seen)
	assert.Equal(t, l.toldName(), settings.GateUser)
}

func secretItems(t *testing.T, s settings.Settings) map[string]item {
	t.Helper()
	s.Secrets.StatsPassword = "a-password-of-the-statistics"
	secrets, err := Proxy{}.Secrets(s)
	assert.NilError(t, err)
	assert.NilError(t, secrets.Check(secrets.Items), "they are no secrets of the job")
	items := map[string]item{}
	for name, value := range secrets.Items {
		items[name] = item{value}
	}
	return items
}

// ofGateAuthority is what somebody with the authority's key would sign for another.
func ofGateAuthority(t *testing.T, s settings.Settings, a certs.Authority, name string) tls.Certificate {
	t.Helper()
	secret := s.Secrets.ErlangCookie.Reveal() + "\x00" + s.Secrets.GatePassword.Reveal()
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, "emqx-oci authority of "+settings.GateUser, ed25519.SeedSize)
	assert.NilError(t, err)
	all, err := certs.ReadCertificates(a.Certificate)
	assert.NilError(t, err)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(7), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, all[0], key.Public(), ed25519.NewKeyFromSeed(seed))
	assert.NilError(t, err)
	leaf, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	assert.NilError(t, leaf.CheckSignatureFrom(all[0]), "it is not the authority's key")
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}
