//go:build lab

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/proxy"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/lab"
)

// signer is an authority of this test's.
type signer struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	last int64
}

func newSigner(t *testing.T, name string) *signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	s := &signer{key: key, cert: &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(0, 3, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}}
	der, err := x509.CreateCertificate(rand.Reader, s.cert, s.cert, key.Public(), key)
	assert.NilError(t, err)
	s.cert, err = x509.ParseCertificate(der)
	assert.NilError(t, err)
	return s
}

func (s *signer) issue(t *testing.T, name string) tls.Certificate {
	t.Helper()
	return s.issueUntil(t, name, time.Now().AddDate(0, 3, 0))
}

func (s *signer) issueUntil(t *testing.T, name string, end time.Time) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	s.last++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(1 + s.last), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: end.AddDate(-1, 0, 0), NotAfter: end, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}, s.cert, key.Public(), s.key)
	assert.NilError(t, err)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// revoke is a list with the last certificate.
func (s *signer) revoke(t *testing.T) string {
	t.Helper()
	der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: time.Now().Add(-time.Hour), NextUpdate: time.Now().AddDate(0, 1, 0),
		RevokedCertificateEntries: []x509.RevocationListEntry{{SerialNumber: big.NewInt(1 + s.last), RevocationTime: time.Now()}},
	}, s.cert, s.key)
	assert.NilError(t, err)
	return inPEM("X509 CRL", der)
}

func inPEM(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// indented is text of several lines as a block of the stack file.
func indented(text string) string {
	return "|\n      " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n      ") + "\n"
}

// clientsShowCertificates wants a certificate and a password of every client on the encrypted
// protocols; the update's own round trip comes through. Beside the main certificate the
// stack has one of another name.
func clientsShowCertificates(t *testing.T, b *bed) {
	devices, strangers := newSigner(t, "devices"), newSigner(t, "strangers")
	pump, meter := devices.issue(t, "pump"), devices.issue(t, "meter")
	ended, gone := devices.issueUntil(t, "pump", time.Now().Add(-time.Minute)), devices.issue(t, "pump") // the last one is revoked
	foreign := strangers.issue(t, "pump")
	other := strangers.issue(t, "other.lab.test")
	der, err := x509.MarshalPKCS8PrivateKey(other.PrivateKey)
	assert.NilError(t, err)
	// Behind a comment, or Pulumi's command line takes them for a flag.
	secure := b.encrypted(t, "# other\n"+inPEM("CERTIFICATE", other.Certificate[0])+inPEM("CERTIFICATE", strangers.cert.Raw), "# other\n"+inPEM("PRIVATE KEY", der))

	closed, _, _ := closedCluster(t, b)
	b.edit(t, openCluster, closed)
	b.edit(t, "oc1.lab-1.private\n", "oc1.lab-1.private\n    privateSubnetCidr: 10.80.1.0/24\n")
	b.edit(t, tlsAtProxy, tlsAtProxy+"\n    clients: required\n    clientCa: "+indented(inPEM("CERTIFICATE", devices.cert.Raw))+
		"    clientCrl: "+indented(devices.revoke(t))+"    certificates:\n      - {certificate: "+secure[0]+", privateKey: "+secure[1]+"}\n   ")
	b.must(t, "up", "lab", "--yes")
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	b.must(t, "verify", "lab")
	b.well(t, 20*time.Second)
	s, _ := b.look(t)
	assert.Equal(t, len(s.Further), 1)

	for shows, x := range map[string]struct {
		certificate    *tls.Certificate
		user, password string
		sees           string
	}{
		"nothing":                 {nil, "pump", pumpsPassword, "wants a certificate of the client"},
		"its own":                 {&pump, "pump", pumpsPassword, "passes"},
		"its own, and no name":    {&pump, "", "", "CONNACK 0x86 (bad user name or password)"},
		"another's":               {&meter, "pump", pumpsPassword, "CONNACK 0x86 (bad user name or password)"},
		"one that was revoked":    {&gone, "pump", pumpsPassword, "does not take the gate's certificate"},
		"one that has ended":      {&ended, "pump", pumpsPassword, "does not take the gate's certificate"},
		"one of nobody's knowing": {&foreign, "pump", pumpsPassword, "wants a certificate of the client"},
	} {
		for _, listener := range []string{"mqtts", "wss"} {
			seen := b.tripWith(t, listener, x.user, x.password, x.certificate)
			assert.Check(t, strings.Contains(seen, x.sees), "who shows %s by %s: %s", shows, listener, seen)
		}
	}
	for _, port := range []int{8883, 8084} {
		hello := func(server string, change func(*tls.Config)) (*x509.Certificate, error) {
			c := &tls.Config{ServerName: server, InsecureSkipVerify: true, Certificates: []tls.Certificate{pump}}
			change(c)
			return b.handshake(t, port, c)
		}
		for want, server := range map[string]string{"other.lab.test": "other.lab.test", name: name} {
			shown, err := hello(server, func(*tls.Config) {})
			assert.NilError(t, err)
			assert.Equal(t, shown.Subject.CommonName, want)
		}
		_, err := hello(name, func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 })
		assert.ErrorContains(t, err, "protocol version")
		_, err = hello(name, func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
		})
		assert.ErrorContains(t, err, "handshake failure")
	}
	noSecrets(t, b)
}

// tripWith is a round trip of a client that shows a certificate where it is asked for one.
func (b *bed) tripWith(t *testing.T, listener, user, password string, shown *tls.Certificate) string {
	t.Helper()
	authority, err := os.ReadFile(filepath.Join(b.dir, lab.CAFile))
	assert.NilError(t, err)
	args, err := gates.RoundTripArgs{
		Name: name, Listeners: cluster.Listeners(cluster.DefaultPorts, true), Proxy: "socks5h://" + b.door + ":1080",
		CACert: string(authority), Username: user, Password: password,
	}.Through(listener)
	assert.NilError(t, err)
	if shown != nil {
		args.ClientCertificate = func() (tls.Certificate, error) { return *shown, nil }
	}
	status, err := gates.RoundTrip(args).Check(t.Context())
	assert.NilError(t, err)
	if status.Holds {
		return "passes"
	}
	return status.Seen
}

// handshake gives the certificate that a client of the internet gets.
func (b *bed) handshake(t *testing.T, port int, c *tls.Config) (*x509.Certificate, error) {
	t.Helper()
	socks, err := proxy.SOCKS5("tcp", b.door+":1080", nil, proxy.Direct)
	assert.NilError(t, err)
	raw, err := socks.Dial("tcp", net.JoinHostPort(name, fmt.Sprint(port)))
	assert.NilError(t, err)
	defer func() { _ = raw.Close() }()
	assert.NilError(t, raw.SetDeadline(time.Now().Add(10*time.Second)))
	conn := tls.Client(raw, c)
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	return conn.ConnectionState().PeerCertificates[0], nil
}
