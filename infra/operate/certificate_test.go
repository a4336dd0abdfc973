package operate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"math/big"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func certificateThatEnds(t *testing.T, at time.Time) *x509.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mqtt.example.com"}, NotBefore: at.AddDate(-1, 0, 0), NotAfter: at}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	assert.NilError(t, err)
	c, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	return c
}

func TestACertificateThatEndsSoonIsAProblem(t *testing.T) {
	w := newWorld(t, 3)
	w.now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	assert.Assert(t, w.cluster().Status(t.Context(), StatusOptions{}).Certificate == nil)
	for days, want := range map[int]string{
		61: `"mqtt.example.com" ends on 2027-01-01, in 61 days`,
		30: `"mqtt.example.com" ends on 2026-12-01, in 30 days`,
		29: `"mqtt.example.com" ends on 2026-11-30, in 29 days`,
		-1: `"mqtt.example.com" ended on 2026-10-31`,
	} {
		c := w.cluster()
		c.Certificate = certificateThatEnds(t, w.now.AddDate(0, 0, days))
		s := c.Status(t.Context(), StatusOptions{})
		assert.Equal(t, s.Certificate.Summary(s.Time), want)
		assert.Equal(t, s.Certificate.DaysLeft, days)
		assert.Equal(t, s.Certificate.Ends, w.now.AddDate(0, 0, days))
		assert.Equal(t, s.Well, days >= 30)
		if days < 30 {
			assert.DeepEqual(t, s.Problems[0].What, "certificate "+want)
			assert.Equal(t, s.Problems[0].Next, "renew it, set tls.certificate and tls.privateKey, and run `emqx-oci up lab`: no client is cut off")
		}
	}
}

// Those that clients get by other names end, too.
func TestAFurtherCertificateThatEndsSoonIsAProblem(t *testing.T) {
	w := newWorld(t, 3)
	w.now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	c := w.cluster()
	c.Certificate = certificateThatEnds(t, w.now.AddDate(0, 0, 90))
	c.Further = []*x509.Certificate{certificateThatEnds(t, w.now.AddDate(0, 0, 80)), nil, certificateThatEnds(t, w.now.AddDate(0, 0, 3))}
	s := c.Status(t.Context(), StatusOptions{})
	assert.Equal(t, s.Certificate.Setting, "tls.certificate")
	assert.Equal(t, len(s.Further), 2)
	assert.Equal(t, s.Further[1].DaysLeft, 3)
	assert.Assert(t, !s.Well)
	assert.Equal(t, s.Problems[0].What, `certificate "mqtt.example.com" ends on 2026-11-04, in 3 days`)
	assert.Equal(t, s.Problems[0].Next,
		"renew it, set tls.certificates[2].certificate and tls.certificates[2].privateKey, and run `emqx-oci up lab`: no client is cut off")
}

// The end of an authority of clients' certificates is that of each of them.
func TestAnAuthorityOfClientsThatEndsSoonIsAProblem(t *testing.T) {
	w := newWorld(t, 3)
	w.now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	c := w.cluster()
	c.ClientAuthorities = map[string]*x509.Certificate{
		"tls.clientCa": certificateThatEnds(t, w.now.AddDate(0, 0, 31)), "tls.deviceCa": certificateThatEnds(t, w.now.AddDate(0, 0, 29)), "none": nil,
	}
	s := c.Status(t.Context(), StatusOptions{})
	assert.Equal(t, len(s.ClientAuthorities), 1)
	assert.Equal(t, s.ClientAuthorities[0].Setting, "tls.deviceCa")
	assert.Assert(t, !s.Well)
	assert.Equal(t, s.Problems[0].What, `authority of clients' certificates "mqtt.example.com" ends on 2026-11-30, in 29 days: no client with a certificate of it gets in from then on`)
	assert.Assert(t, strings.Contains(s.Problems[0].Next, "set tls.deviceCa, and run `emqx-oci up lab`"))
}
