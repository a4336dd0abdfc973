//go:build lab

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
)

// Passages of the lab's stack file.
const (
	tlsAtBroker = "terminate: broker"
	tlsAtProxy  = "terminate: proxy"
)

const renewedAuthority = "renewed authority"

// tlsMoves lets TLS end elsewhere, beside clients on all protocols: they lose nothing.
func tlsMoves(t *testing.T, b *bed, from, to string) {
	b.edit(t, from, to)
	p := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
	for _, want := range []string{"3 nodes restarted, one at a time; HAProxy restarted on 3 nodes, one at a time", "Secrets of job haproxy change: where TLS ends"} {
		assert.Assert(t, strings.Contains(p, want), "%q is missing in\n%s", want, p)
	}
	b.underLoad(t, func() {
		r := b.must(t, "up", "lab", "--yes", "--json")
		assert.Equal(t, summary(t, r).Changed(), 3, "%s", r)
	})
	b.must(t, "verify", "lab")
}

// tlsEndsAtProxy looks at a cluster whose proxies end TLS: clients see all four protocols,
// and brokers have plain ones only. Then its certificate is renewed beside clients, none of
// which may be cut.
func tlsEndsAtProxy(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	s, _ := b.look(t)
	for i, n := range s.Nodes {
		assert.DeepEqual(t, n.Listeners, map[string]string{"mqtt": "ok", "ws": "ok"})
		assert.Equal(t, strings.Count(b.broker(t, i, "emqx ctl listeners"), "running         : true"), 2)
		b.on(t, (i+1)%len(s.Nodes), fmt.Sprintf("for p in 21883 21983; do : <>/dev/tcp/%s/$p || exit 1; done; for p in 21884 21984; do ! (: <>/dev/tcp/%[1]s/$p) 2>/dev/null || exit 1; done", n.Address))
		page := b.on(t, i, "curl -s -m 5 http://"+n.Address+":8080/haproxy_ready").stdout
		assert.Equal(t, strings.TrimSpace(page), "brokers that accept mqtt: 3, mqtts: 3, ws: 3, wss: 3")
		assert.Assert(t, strings.Contains(b.serves(t, i, n.Address, "-tls1_2"), "ALPN protocol: mqtt"), "EMQX would speak of none")
		for _, refused := range []string{"-tls1_1 -cipher ALL:@SECLEVEL=0", "-tls1_2 -cipher AES128-GCM-SHA256"} {
			assert.Assert(t, strings.Contains(b.serves(t, i, n.Address, refused), "Cipher is (NONE)"), refused)
		}
	}
	b.must(t, "verify", "lab")
	allProtocols(t, b)

	authority := b.renewCertificate(t)
	b.underLoadOf(t, func() {
		r := b.must(t, "up", "lab", "--yes", "--json")
		assert.Equal(t, summary(t, r).Changed(), 2, "the secrets of both jobs: %s", r)
		for i, n := range s.Nodes {
			eventually(t, time.Minute, "the renewed certificate at "+n.Name, func() error {
				if text := b.serves(t, i, n.Address, ""); !strings.Contains(text, renewedAuthority) {
					return fmt.Errorf("%s", text)
				}
				return nil
			})
		}
	})
	// Who comes from now on trusts the new authority.
	text, err := os.ReadFile(authority)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(b.dir, lab.CAFile), text, 0o644))
	b.must(t, "verify", "lab")
	allProtocols(t, b)
}

// serves is what openssl says of the mqtts port of a node, on the node.
func (b *bed) serves(t *testing.T, node int, address, flags string) string {
	t.Helper()
	return b.in(t, node, "timeout 10 openssl s_client -connect "+address+":8883 -servername "+name+" -alpn mqtt "+flags+" </dev/null 2>&1").stdout
}

// renewCertificate gives the stack a certificate of another authority, and returns the
// file of that one. Clients that run trust the old one only: none could come back.
func (b *bed) renewCertificate(t *testing.T) (authority string) {
	t.Helper()
	now := time.Now()
	encode := func(kind string, der []byte, err error) string {
		assert.NilError(t, err)
		return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
	}
	issue := func(x, parent *x509.Certificate, by *ecdsa.PrivateKey) (string, *ecdsa.PrivateKey) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		assert.NilError(t, err)
		if by == nil {
			by = key
		}
		x.NotBefore, x.NotAfter = now.Add(-time.Hour), now.Add(90*24*time.Hour)
		der, err := x509.CreateCertificate(rand.Reader, x, parent, key.Public(), by)
		return encode("CERTIFICATE", der, err), key
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: renewedAuthority}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	ca, caKey := issue(root, root, nil)
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	cert, key := issue(leaf, root, caKey)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	secrets, readErr := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, readErr)
	secrets["emqx-oci:tls.certificate"], secrets["emqx-oci:tls.privateKey"], secrets["emqx-oci:tls.ca"] = cert, encode("PRIVATE KEY", der, err), ca
	b.writeSecrets(t, secrets)
	authority = filepath.Join(b.project, "authority.pem")
	assert.NilError(t, os.WriteFile(authority, []byte(ca), 0o600))
	return authority
}
