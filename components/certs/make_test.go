package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"encoding/pem"
	"math/big"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// today is the day on which certificates are judged here.
var today = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const host = "mqtt.example.com"

// issuer is a certificate with its key.
type issuer struct {
	*x509.Certificate
	key crypto.Signer
}

// change is what a certificate has otherwise than most.
type change func(*x509.Certificate)

func ec(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	assert.NilError(t, err)
	return key
}

// rsaKey makes one of a size, once: they take their time.
func rsaKey(t testing.TB, bits int) *rsa.PrivateKey {
	t.Helper()
	made, _ := rsaKeys.LoadOrStore(bits, sync.OnceValues(func() (*rsa.PrivateKey, error) { return rsa.GenerateKey(rand.Reader, bits) }))
	key, err := made.(func() (*rsa.PrivateKey, error))()
	assert.NilError(t, err)
	return key
}

var rsaKeys sync.Map

// issue makes a certificate for a key; parent nil has it sign itself.
func issue(t testing.TB, cn string, key crypto.Signer, parent *issuer, changes ...change) issuer {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<60))
	assert.NilError(t, err)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: cn}, NotBefore: today.AddDate(0, -1, 0), NotAfter: today.AddDate(1, 0, 0),
		BasicConstraintsValid: true,
	}
	for _, c := range changes {
		c(template)
	}
	by, signer := template, key
	if parent != nil {
		by, signer = parent.Certificate, parent.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, by, key.Public(), signer)
	assert.NilError(t, err)
	c, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	return issuer{c, key}
}

func authority(c *x509.Certificate) { c.IsCA, c.KeyUsage = true, x509.KeyUsageCertSign }

func server(c *x509.Certificate) {
	c.DNSNames = []string{host}
	c.KeyUsage, c.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
}

// family is a root, an intermediate and a server's certificate.
type family struct{ root, middle, leaf issuer }

func newFamily(t testing.TB, changes ...change) family {
	t.Helper()
	root := issue(t, "root", ec(t, elliptic.P256()), nil, authority)
	middle := issue(t, "middle", ec(t, elliptic.P256()), &root, authority)
	return family{root, middle, issue(t, host, ec(t, elliptic.P256()), &middle, append([]change{server}, changes...)...)}
}

func certPEM(all ...issuer) string {
	text := ""
	for _, c := range all {
		text += block("CERTIFICATE", c.Raw)
	}
	return text
}

func block(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

func keyPEM(t testing.TB, key crypto.PrivateKey) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	assert.NilError(t, err)
	return block("PRIVATE KEY", der)
}

// withKey is a certificate that its authority has signed for a key that crypto/x509 makes none for.
func withKey(t testing.TB, c issuer, by issuer, publicKey []byte) issuer {
	t.Helper()
	var whole struct {
		TBS struct {
			Raw        asn1.RawContent
			Version    int `asn1:"explicit,tag:0"`
			Serial     *big.Int
			Algorithm  pkix.AlgorithmIdentifier
			Issuer     asn1.RawValue
			Validity   asn1.RawValue
			Subject    asn1.RawValue
			PublicKey  asn1.RawValue
			Extensions asn1.RawValue `asn1:"explicit,optional,tag:3"`
		}
		Algorithm pkix.AlgorithmIdentifier
		Signature asn1.BitString
	}
	_, err := asn1.Unmarshal(c.Raw, &whole)
	assert.NilError(t, err)
	whole.TBS.Raw, whole.TBS.PublicKey = nil, asn1.RawValue{FullBytes: publicKey}
	tbs, err := asn1.Marshal(whole.TBS)
	assert.NilError(t, err)
	sum := sha256.Sum256(tbs)
	signature, err := by.key.Sign(rand.Reader, sum[:], crypto.SHA256)
	assert.NilError(t, err)
	whole.TBS.Raw, whole.Signature = tbs, asn1.BitString{Bytes: signature, BitLength: 8 * len(signature)}
	der, err := asn1.Marshal(whole)
	assert.NilError(t, err)
	parsed, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	return issuer{parsed, nil}
}

// dsaKey is the public key of an algorithm that no TLS speaks any more (RFC 3279, 2.3.2).
func dsaKey(t testing.TB) []byte {
	t.Helper()
	number := func(n int64) *big.Int { return big.NewInt(n) }
	params, err := asn1.Marshal(struct{ P, Q, G *big.Int }{number(23), number(11), number(4)})
	assert.NilError(t, err)
	y, err := asn1.Marshal(number(8))
	assert.NilError(t, err)
	der, err := asn1.Marshal(struct {
		Algorithm pkix.AlgorithmIdentifier
		Key       asn1.BitString
	}{
		pkix.AlgorithmIdentifier{Algorithm: asn1.ObjectIdentifier{1, 2, 840, 10040, 4, 1}, Parameters: asn1.RawValue{FullBytes: params}},
		asn1.BitString{Bytes: y, BitLength: 8 * len(y)},
	})
	assert.NilError(t, err)
	return der
}
