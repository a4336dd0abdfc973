package certs_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/asn1"
	"net"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// judged is what is found of a server's certificates, errors and warnings by their words.
func judged(chain []issuer, now time.Time, authorities ...issuer) string {
	of := func(all []issuer) (out []*x509.Certificate) {
		for _, c := range all {
			out = append(out, c.Certificate)
		}
		return out
	}
	s := certs.Server{Certificates: certs.Ordered(of(chain), chain[0].PublicKey), Authorities: of(authorities)}
	var lines []string
	for _, f := range s.Judge(now) {
		line := "error"
		if f.Warning {
			line = "warning"
		}
		if f.OfAuthority {
			line += " of an authority"
		}
		lines = append(lines, line+": "+f.Text)
	}
	return strings.Join(lines, "\n")
}

func ends(days int) change {
	return func(c *x509.Certificate) { c.NotAfter = today.AddDate(0, 0, days).Add(time.Hour) }
}

func TestDates(t *testing.T) {
	for days, want := range map[int]string{
		90: "", 31: "", 30: "",
		29: `warning: should be renewed: the one in use ("mqtt.example.com") ends on 2026-11-30, in 29 days`,
		14: `warning: should be renewed: the one in use ("mqtt.example.com") ends on 2026-11-15, in 14 days`,
		13: `warning: should be renewed soon: the one in use ("mqtt.example.com") ends on 2026-11-14, in 13 days`,
		7:  `warning: should be renewed soon: the one in use ("mqtt.example.com") ends on 2026-11-08, in 7 days`,
		6:  `warning: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-07, in 6 days`,
		1:  `warning: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-02, in 1 day`,
		0:  `warning: should be renewed at once: the one in use ("mqtt.example.com") ends on 2026-11-01, within a day`,
		-1: `error: must be valid, got one ("mqtt.example.com") that ended on 2026-10-31`,
	} {
		f := newFamily(t, ends(days))
		assert.Equal(t, judged([]issuer{f.leaf, f.middle}, today), want, "%d days", days)
		c := f.leaf.Certificate
		assert.Equal(t, certs.DaysLeft(c.NotAfter, today), days)
		assert.Equal(t, certs.EndsSoon(c.NotAfter, today), days < 30)
		assert.Equal(t, certs.FirstToEnd([]*x509.Certificate{f.root.Certificate, c, f.middle.Certificate}), c)
	}
	f := newFamily(t)
	assert.Equal(t, judged([]issuer{f.leaf, f.middle}, today.AddDate(0, -2, 0)), `error: must be valid, got one ("mqtt.example.com") that begins on 2026-10-01
error: must be valid, got one ("middle") that begins on 2026-10-01`)
	assert.Equal(t, certs.Expiry(f.leaf.NotAfter, today), "ends on 2027-11-01, in 365 days")
	assert.Equal(t, certs.Expiry(f.leaf.NotAfter, today.AddDate(2, 0, 0)), "ended on 2027-11-01")
	assert.Assert(t, certs.FirstToEnd(nil) == nil)

	// What keeps clients out may stand above the server's own.
	old := issue(t, "old", ec(t, elliptic.P256()), &f.root, authority, ends(-3))
	leaf := issue(t, host, ec(t, elliptic.P256()), &old, server)
	assert.Equal(t, judged([]issuer{leaf, old}, today, f.root), `error: must be valid, got one ("old") that ended on 2026-10-29`)
	gone := issue(t, "gone", ec(t, elliptic.P256()), nil, authority, ends(-3))
	leaf = issue(t, host, ec(t, elliptic.P256()), &gone, server)
	assert.Equal(t, judged([]issuer{leaf}, today, f.root, gone), `error of an authority: must be valid, got one ("gone") that ended on 2026-10-29`)
}

func TestWeakKeysAndSignatures(t *testing.T) {
	const wanted = `error: must have RSA keys of 2048 to 8192 bits, or ECDSA keys on P-256, P-384 or P-521, got one ("mqtt.example.com") with `
	f := newFamily(t)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	assert.NilError(t, err)
	leaf := func(c issuer) string { return judged([]issuer{c, f.middle}, today, f.root) }
	assert.Equal(t, leaf(issue(t, host, rsaKey(t, 1024), &f.middle, server)), wanted+"an RSA key of 1024 bits")
	assert.Equal(t, leaf(issue(t, host, rsaKey(t, 2048), &f.middle, server)), "")
	assert.Equal(t, leaf(issue(t, host, ec(t, elliptic.P224()), &f.middle, server)), wanted+"an ECDSA key on P-224")
	for _, curve := range []elliptic.Curve{elliptic.P256(), elliptic.P384(), elliptic.P521()} {
		assert.Equal(t, leaf(issue(t, host, ec(t, curve), &f.middle, server)), "")
	}
	assert.Equal(t, leaf(issue(t, host, ed, &f.middle, server)), wanted+"an Ed25519 key: EMQX serves it to no client of TLS 1.2")
	assert.Equal(t, leaf(withKey(t, f.leaf, f.middle, dsaKey(t))), wanted+"a DSA key")

	sha1 := func(c *x509.Certificate) { c.SignatureAlgorithm = x509.ECDSAWithSHA1 }
	assert.Equal(t, leaf(issue(t, host, ec(t, elliptic.P256()), &f.middle, server, sha1)),
		`error: must be signed with SHA-256 or better, got one ("mqtt.example.com") with ECDSA-SHA1: clients refuse it`)
	// Of a root nobody verifies the signature, but its key is one.
	root := issue(t, "old root", rsaKey(t, 2048), nil, authority, func(c *x509.Certificate) { c.SignatureAlgorithm = x509.SHA1WithRSA })
	assert.Equal(t, judged([]issuer{issue(t, host, ec(t, elliptic.P256()), &root, server)}, today, root), "")
	assert.Equal(t, judged([]issuer{issue(t, host, ec(t, elliptic.P256()), &root, server), root}, today, root),
		`warning: should not hold the root "old root": clients trust a copy of their own, and each handshake carries this one`)
	root = issue(t, "old root", rsaKey(t, 1024), nil, authority)
	assert.Equal(t, judged([]issuer{issue(t, host, ec(t, elliptic.P256()), &root, server)}, today, root),
		strings.NewReplacer("error", "error of an authority", host, "old root").Replace(wanted)+"an RSA key of 1024 bits")

	assert.Equal(t, leaf(issuer{md5(t, issue(t, host, ec(t, elliptic.P256()), ptr(issue(t, "middle", rsaKey(t, 2048), &f.root, authority)), server)), nil}),
		`error: must be signed with SHA-256 or better, got one ("mqtt.example.com") with MD5-RSA: clients refuse it`)

	// The key's own fault has been told.
	s := certs.Server{Certificates: []*x509.Certificate{withKey(t, f.leaf, f.middle, dsaKey(t)).Certificate, f.middle.Certificate}, KeyIsRefused: true}
	assert.Equal(t, len(s.Judge(today)), 0)
}

func ptr(i issuer) *issuer { return &i }

// md5 is a certificate whose signature says that it is of MD5: nothing signs so any more.
func md5(t *testing.T, c issuer) *x509.Certificate {
	t.Helper()
	oid := func(last int) []byte {
		der, err := asn1.Marshal(asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 1, last})
		assert.NilError(t, err)
		return der
	}
	der := bytes.ReplaceAll(c.Raw, oid(11), oid(4))
	out, err := x509.ParseCertificate(der)
	assert.NilError(t, err)
	assert.Equal(t, out.SignatureAlgorithm, x509.MD5WithRSA)
	return out
}

func TestWrongUse(t *testing.T) {
	f := newFamily(t)
	use := func(ku x509.KeyUsage, eku ...x509.ExtKeyUsage) change {
		return func(c *x509.Certificate) { c.KeyUsage, c.ExtKeyUsage = ku, eku }
	}
	const signs = x509.KeyUsageDigitalSignature
	for name, c := range map[string]struct {
		change change
		want   string
	}{
		"as it should be": {use(signs, x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth), ""},
		"not said":        {use(0), ""},
		"any":             {use(signs, x509.ExtKeyUsageAny), ""},
		"a client's":      {use(signs, x509.ExtKeyUsageClientAuth), `error: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for clientAuth alone`},
		"mail and code": {
			use(signs, x509.ExtKeyUsageEmailProtection, x509.ExtKeyUsageCodeSigning),
			`error: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for emailProtection and codeSigning alone`,
		},
		"one of somebody's own": {
			func(c *x509.Certificate) {
				c.UnknownExtKeyUsage = []asn1.ObjectIdentifier{{1, 2, 3, 4}}
				c.ExtKeyUsage = nil
			},
			`error: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for another use`,
		},
		"static RSA alone": {
			use(x509.KeyUsageKeyEncipherment, x509.ExtKeyUsageServerAuth),
			`error: must be for signatures (keyUsage digitalSignature), got one ("mqtt.example.com") that is not: some clients refuse its handshake`,
		},
		"an authority": {
			authority,
			`error: must begin with a server's certificate, got that of an authority ("mqtt.example.com"): some clients refuse it; make one with basicConstraints=CA:FALSE`,
		},
	} {
		leaf := issue(t, host, ec(t, elliptic.P256()), &f.middle, server, c.change)
		assert.Equal(t, judged([]issuer{leaf, f.middle}, today, f.root), c.want, name)
	}
}

func TestChains(t *testing.T) {
	f, other := newFamily(t), newFamily(t)
	self := issue(t, host, ec(t, elliptic.P256()), nil, server)
	from := func(c *x509.Certificate) { c.IssuingCertificateURL = []string{"http://ca.example.com/middle.crt"} }
	known := newFamily(t, from)
	direct := issue(t, host, ec(t, elliptic.P256()), &f.root, server)
	// The same intermediate, whose key two authorities have signed.
	cross := issue(t, "middle", f.middle.key, &other.root, authority)
	short := issue(t, "short", ec(t, elliptic.P256()), &f.root, authority, func(c *x509.Certificate) { c.MaxPathLenZero = true })
	long := issue(t, "long", ec(t, elliptic.P256()), &short, authority)
	deep := issue(t, host, ec(t, elliptic.P256()), &long, server)
	noAuthority := issue(t, "no authority", ec(t, elliptic.P256()), &f.root)
	below := issue(t, host, ec(t, elliptic.P256()), &noAuthority, server)
	all := func(c ...issuer) []issuer { return c }
	for name, c := range map[string]struct {
		chain, authorities []issuer
		want               string
	}{
		"whole, of a public authority":      {all(f.leaf, f.middle), nil, ""},
		"whole, of one's own":               {all(f.leaf, f.middle), all(other.root, f.root), ""},
		"out of order":                      {all(f.leaf, f.root, f.middle), all(f.root), `warning: should not hold the root "root": clients trust a copy of their own, and each handshake carries this one`},
		"the intermediate is trusted":       {all(f.leaf), all(f.middle), ""},
		"the certificate itself is trusted": {all(f.leaf), all(f.leaf), ""},
		"of a root":                         {all(direct), all(f.root), ""},
		"self-signed":                       {all(self), nil, ""},
		"self-signed, trusted":              {all(self), all(f.root, self), ""},
		"self-signed, not trusted":          {all(self), all(f.root), `error: must lead to an authority in tls.ca, got one that leads to "mqtt.example.com"`},
		"another root":                      {all(f.leaf, f.middle, f.root), all(other.leaf), `error: must lead to an authority in tls.ca, got one that leads to "root"`},
		"signed twice":                      {all(f.leaf, f.middle, cross), all(other.root), ""},
		"signed twice, the other way":       {all(f.leaf, cross, f.middle), nil, ""},
		"root included, authorities not told": {
			all(f.leaf, f.middle, f.root), nil,
			`warning: should not hold the root "root": clients trust a copy of their own, and each handshake carries this one; set it as tls.ca`,
		},
		"no intermediate": {
			all(f.leaf), nil,
			`error: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "middle", or set tls.ca to it, where clients trust it themselves`,
		},
		"no intermediate, and where it is": {
			all(known.leaf), nil,
			`error: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "middle" (in DER at http://ca.example.com/middle.crt), or set tls.ca to it, where clients trust it themselves`,
		},
		"no intermediate to the authority": {
			all(f.leaf), all(f.root),
			`error: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "middle", which is not in tls.ca, either`,
		},
		"another's intermediate": {
			all(f.leaf, other.middle, other.root), all(f.root),
			`error: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "middle", not "middle" or "root", which is not in tls.ca, either`,
		},
		"an unrelated one": {all(f.leaf, f.middle, other.leaf), all(f.root), `error: must not hold "mqtt.example.com", which issued none of the others`},
		"two unrelated ones": {
			all(f.leaf, f.middle, self, other.middle), nil,
			"error: must not hold \"mqtt.example.com\", which issued none of the others\nerror: must not hold \"middle\", which issued none of the others",
		},
		"an issuer that is no authority": {
			all(below, noAuthority), all(f.root),
			`error: must hold authorities alone behind the server's certificate, got one ("no authority") that is none (basicConstraints, keyUsage)`,
		},
		"longer than its authority allows": {all(deep, long, short), all(f.root), "error: must be a chain that clients accept: x509: too many intermediates for path length constraint"},
	} {
		assert.Equal(t, judged(c.chain, today, c.authorities...), c.want, name)
	}
	s := certs.Server{Certificates: []*x509.Certificate{f.leaf.Certificate}, UnknownAuthorities: true}
	assert.Equal(t, len(s.Judge(today)), 0, "what it leads to cannot be read")
	assert.Equal(t, len(certs.Server{}.Judge(today)), 0)
}

// Everything that is wrong is told in one pass.
func TestAllFindingsAtOnce(t *testing.T) {
	f := newFamily(t)
	leaf := issue(t, host, rsaKey(t, 1024), &f.middle, ends(-1), func(c *x509.Certificate) {
		c.SignatureAlgorithm, c.ExtKeyUsage = x509.ECDSAWithSHA1, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	})
	assert.Equal(t, judged([]issuer{leaf}, today, f.root), `error: must be valid, got one ("mqtt.example.com") that ended on 2026-10-31
error: must have RSA keys of 2048 to 8192 bits, or ECDSA keys on P-256, P-384 or P-521, got one ("mqtt.example.com") with an RSA key of 1024 bits
error: must be signed with SHA-256 or better, got one ("mqtt.example.com") with ECDSA-SHA1: clients refuse it
error: must be for servers (extendedKeyUsage serverAuth), got one ("mqtt.example.com") for clientAuth alone
error: must be complete, or clients cannot verify it: append the issuer of "mqtt.example.com", "middle", which is not in tls.ca, either`)
}

func TestNameFault(t *testing.T) {
	names := func(cn string, names ...string) *x509.Certificate {
		return issue(t, cn, ec(t, elliptic.P256()), nil, func(c *x509.Certificate) { c.DNSNames = names }).Certificate
	}
	address := issue(t, "", ec(t, elliptic.P256()), nil, func(c *x509.Certificate) { c.IPAddresses = []net.IP{net.IPv4(10, 0, 0, 1)} }).Certificate
	for name, c := range map[string]struct {
		of         *x509.Certificate
		host, want string
	}{
		"itself":           {names("", host), host, ""},
		"in other case":    {names("", "MQTT.Example.com"), host, ""},
		"among others":     {names("x", "a.example.com", host), host, ""},
		"a wildcard":       {names("", "*.example.com"), host, ""},
		"another name":     {names(host, "mqtt.example.org"), host, "it is for mqtt.example.org, not mqtt.example.com"},
		"too deep":         {names("", "*.example.com"), "a.mqtt.example.com", "it is for *.example.com, not a.mqtt.example.com; * stands for exactly one label"},
		"the domain":       {names("", "*.example.com"), "example.com", "it is for *.example.com, not example.com; * stands for exactly one label"},
		"another wildcard": {names("", "*.example.org"), host, "it is for *.example.org, not mqtt.example.com"},
		"inside a label":   {names("", "m*.example.com"), host, "it is for m*.example.com, not mqtt.example.com"},
		"a common name":    {names(host), host, `it has only a common name ("mqtt.example.com"), which clients do not read: "mqtt.example.com" must be among its subjectAltName`},
		"no name":          {names(""), host, `it has no name: "mqtt.example.com" must be among its subjectAltName`},
		"an address":       {address, host, "it is for 10.0.0.1, not mqtt.example.com"},
		"many names":       {names("", "a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test"), host, "it is for a.test, b.test, c.test, d.test, e.test and 2 more, not mqtt.example.com"},
	} {
		assert.Equal(t, certs.NameFault(c.of, c.host), c.want, name)
	}
}

func TestKeyFault(t *testing.T) {
	f := newFamily(t)
	all := []*x509.Certificate{f.middle.Certificate, f.leaf.Certificate}
	assert.Equal(t, certs.KeyFault(all, f.leaf.key.Public()), "")
	assert.Equal(t, certs.KeyFault(all, ec(t, elliptic.P256()).Public()), `that of "mqtt.example.com" is another ECDSA P-256 key`)
	assert.Equal(t, certs.KeyFault(all, rsaKey(t, 2048).Public()), `that of "mqtt.example.com" is of ECDSA P-256, privateKey of RSA 2048`)
	old := withKey(t, f.leaf, f.middle, dsaKey(t)).Certificate
	assert.Equal(t, certs.KeyFault([]*x509.Certificate{old}, rsaKey(t, 2048).Public()), `that of "mqtt.example.com" is of another kind, privateKey of RSA 2048`)
}
