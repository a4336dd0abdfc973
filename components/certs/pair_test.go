package certs_test

import (
	"crypto/elliptic"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// One text holds a certificate with its chain and its key, in whatever order and with whatever around them.
func TestAPairIsReadFromOneText(t *testing.T) {
	family := newFamily(t)
	key, leaf, middle := keyPEM(t, family.leaf.key), certPEM(family.leaf), certPEM(family.middle)
	want := certs.Pair{Certificate: leaf + middle, Key: certs.NormalizeKey(key)}
	for name, text := range map[string]string{
		"as HAProxy has it": leaf + middle + key,
		"the key first":     key + leaf + middle,
		"chain reversed":    middle + key + leaf,
		"comments, CRLF":    "# mine\r\n" + strings.ReplaceAll(key+"\nBag Attributes\n"+leaf+middle, "\n", "\r\n"),
		"as JSON has it":    strings.ReplaceAll(leaf+middle+key, "\n", `\n`),
	} {
		got, err := certs.ReadPair(text)
		assert.NilError(t, err, name)
		assert.Equal(t, got, want, name)
		_, err = tls.X509KeyPair([]byte(got.Certificate), []byte(got.Key))
		assert.NilError(t, err, name)
	}
	for text, wanted := range map[string]string{
		"":                                       "there is nothing in it that is known",
		leaf + middle:                            "its key must be a private key in PEM",
		key:                                      "its certificate must be PEM certificates",
		leaf + keyPEM(t, ec(t, elliptic.P256())): "its certificate must fit its key",
		leaf + key + keyPEM(t, ec(t, elliptic.P256())): "it holds 2 keys",
		leaf + key[:len(key)/2]:                        "does not end",
	} {
		_, err := certs.ReadPair(text)
		assert.ErrorContains(t, err, wanted)
		assert.Assert(t, !strings.Contains(err.Error(), "MIG"), "an error shows a key")
	}
}

func TestAPairIsJudgedForItsName(t *testing.T) {
	family := newFamily(t)
	p, err := certs.NewPair(certPEM(family.leaf, family.middle), keyPEM(t, family.leaf.key))
	assert.NilError(t, err)
	trust := certs.Server{Authorities: []*x509.Certificate{family.root.Certificate}}
	assert.Equal(t, len(p.Judge(host, trust, today)), 0)
	found := p.Judge("other.example.com", trust, today)
	assert.Equal(t, len(found), 1)
	assert.Assert(t, cmp.Contains(found[0].Text, "must be valid for dns.name"))
	assert.Equal(t, len(p.Judge(host, trust, today.AddDate(2, 0, 0))) > 0, true)
	assert.Equal(t, len(certs.Pair{}.Judge(host, trust, today)), 1)
}

// A certificate of 90 days is renewed 30 days before its end, one of 6 days 2 days before, one of a year 30 days.
func TestWhenACertificateIsDue(t *testing.T) {
	const day = 24 * time.Hour
	for life, before := range map[time.Duration]time.Duration{90 * day: 30 * day, 6 * day: 2 * day, 365 * day: 30 * day} {
		x := &x509.Certificate{NotBefore: today, NotAfter: today.Add(life)}
		due := x.NotAfter.Add(-before)
		assert.Assert(t, !certs.Due(x, due.Add(-time.Minute)) && certs.Due(x, due.Add(time.Minute)), "%s", life)
		late := x.NotAfter.Add(-before * 2 / 3)
		assert.Assert(t, !certs.Overdue(x, late.Add(-time.Minute)) && certs.Overdue(x, late.Add(time.Minute)), "%s", life)
	}
}

// Whatever somebody puts into the vault is read or refused; what is read is a pair that TLS takes, and stays as it is.
func FuzzPair(f *testing.F) {
	family := newFamily(f)
	key := keyPEM(f, family.leaf.key)
	f.Add(certPEM(family.leaf, family.middle) + key)
	f.Add(key + "\r\n# comment\r\n" + certPEM(family.root, family.middle, family.leaf))
	for _, x := range badTexts(f) {
		f.Add(x.text)
		f.Add(certPEM(family.leaf) + x.text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		p, err := certs.ReadPair(text)
		if err != nil {
			assert.Assert(t, err.Error() != "" && p == certs.Pair{})
			return
		}
		again, err := certs.ReadPair(p.Certificate + p.Key)
		assert.NilError(t, err)
		assert.Equal(t, again, p)
		_, err = tls.X509KeyPair([]byte(p.Certificate), []byte(p.Key))
		assert.NilError(t, err)
		_ = p.Judge(host, certs.Server{}, today)
	})
}
