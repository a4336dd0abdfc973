package certs

import (
	"crypto/x509"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// The same secret makes the same texts, or every update would change what the proxies have.
func TestAnAuthorityFollowsFromItsSecret(t *testing.T) {
	make := func(secret, title, client string) Authority {
		a, err := NewAuthority(secret, title, client)
		assert.NilError(t, err)
		return a
	}
	first := make("secret", "gate of prod", "gate")
	again := make("secret", "gate of prod", "gate")
	assert.Equal(t, first.Certificate, again.Certificate)
	assert.Equal(t, first.Revocations, again.Revocations)
	for _, other := range []Authority{make("another", "gate of prod", "gate"), make("secret", "gate of prod", "pump")} {
		assert.Assert(t, first.Certificate != other.Certificate)
		assert.Assert(t, !first.key.Equal(other.key))
	}
	assert.Assert(t, !strings.Contains(first.Certificate+first.Revocations, "PRIVATE"))

	all, err := ReadCertificates(first.Certificate)
	assert.NilError(t, err)
	assert.Equal(t, all[0].Subject.CommonName, "gate of prod")
	assert.Assert(t, all[0].IsCA && all[0].MaxPathLenZero)
	block, _ := pem.Decode([]byte(first.Revocations))
	list, err := x509.ParseRevocationList(block.Bytes)
	assert.NilError(t, err)
	assert.NilError(t, list.CheckSignatureFrom(all[0]))
	assert.Equal(t, len(list.RevokedCertificateEntries), 0)
}

// What it signs is of its client, for clients, and for two hours. That nobody takes another
// name of it is for OpenSSL to see (TestHAProxyTakesTheGatesCertificate): Go refuses all
// certificates of an authority with such an extension.
func TestAnAuthoritySignsForItsClient(t *testing.T) {
	a, err := NewAuthority("secret", "gate of prod", "gate")
	assert.NilError(t, err)
	now := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	shown, err := a.Issue(now)
	assert.NilError(t, err)
	leaf, err := x509.ParseCertificate(shown.Certificate[0])
	assert.NilError(t, err)
	assert.Equal(t, leaf.Subject.String(), "CN=gate")
	assert.DeepEqual(t, leaf.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth})
	assert.Equal(t, leaf.NotBefore, now.Add(-time.Hour))
	assert.Equal(t, leaf.NotAfter, now.Add(time.Hour))
	assert.NilError(t, leaf.CheckSignatureFrom(a.own))
	other, err := a.Issue(now)
	assert.NilError(t, err)
	assert.Assert(t, string(other.Certificate[0]) != string(shown.Certificate[0]), "each has a key of its own")
}
