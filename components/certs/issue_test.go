package certs_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

func request(t *testing.T, key crypto.Signer) string {
	t.Helper()
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "meter-7"}}, key)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
}

// An authority signs for no longer than it lasts, by serial numbers that HAProxy prints in one way.
func TestAnAuthoritySignsForItsDevices(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, list, err := certs.NewDeviceAuthority("devices", 10*24*time.Hour, now)
	assert.NilError(t, err)
	key, err := certs.NewClientKey()
	assert.NilError(t, err)
	seen := map[string]bool{}
	for range 20 {
		c, err := a.SignClient("meter-7", key.Public(), 365*24*time.Hour, now)
		assert.NilError(t, err)
		assert.NilError(t, c.CheckSignatureFrom(a.Certificate))
		assert.Assert(t, c.NotAfter.Equal(a.Certificate.NotAfter) && c.NotBefore.Before(now) && !c.IsCA)
		serial := certs.Serial(c)
		assert.Assert(t, len(serial) == 32 && serial == strings.ToUpper(serial) && serial[0] >= '4' && serial[0] <= '7' && !seen[serial], serial)
		seen[serial] = true
	}
	_, err = a.SignClient("meter-7", key.Public(), time.Hour, now.AddDate(0, 0, 11))
	assert.ErrorContains(t, err, `the authority "devices" ended on 2026-01-12`)
	crl, err := x509.ParseRevocationList(list)
	assert.NilError(t, err)
	assert.NilError(t, crl.CheckSignatureFrom(a.Certificate))
	assert.Assert(t, crl.NextUpdate.Equal(a.Certificate.NotAfter) && len(crl.RevokedCertificateEntries) == 0)

	text, err := certs.KeyPEM(a.Key)
	assert.NilError(t, err)
	back, err := certs.ReadSigner(text)
	assert.NilError(t, err)
	assert.Assert(t, back.(*ecdsa.PrivateKey).Equal(a.Key))
}

func TestRequestsOfDevices(t *testing.T) {
	t.Parallel()
	_, edwards, err := ed25519.GenerateKey(rand.Reader)
	assert.NilError(t, err)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	assert.NilError(t, err)
	short, err := ecdsa.GenerateKey(elliptic.P224(), rand.Reader)
	assert.NilError(t, err)
	good, err := certs.NewClientKey()
	assert.NilError(t, err)
	for _, key := range []crypto.Signer{good, edwards} {
		r, err := certs.ReadRequest("by hand\n" + request(t, key))
		assert.NilError(t, err)
		assert.Equal(t, r.Subject.CommonName, "meter-7")
	}
	forged := []byte(request(t, good))
	block, _ := pem.Decode(forged)
	block.Bytes[len(block.Bytes)-1] ^= 1
	for want, text := range map[string]string{
		"its key is weak: RSA 1024":             request(t, weak),
		"its key is weak":                       request(t, short),
		"its key has not signed it":             string(pem.EncodeToMemory(block)),
		"there is no CERTIFICATE REQUEST in it": "nothing",
		"it holds a PRIVATE KEY":                "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n",
		"is cut off":                            request(t, good)[:200],
		"it holds 2 blocks":                     request(t, good) + request(t, edwards),
		"it cannot be read":                     "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----\n",
	} {
		_, err := certs.ReadRequest(text)
		assert.Check(t, cmp.ErrorContains(err, want))
	}
}
