package certs

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"
)

// RenewBefore is how long before its end a certificate should be replaced: authorities that renew by themselves do so no
// later than 30 days before, so one that is nearer to its end has been forgotten.
const RenewBefore = 30 * 24 * time.Hour

// EndsSoon tells whether a certificate that ends then should be replaced by now.
func EndsSoon(ends, now time.Time) bool { return now.Add(RenewBefore).After(ends) }

// DaysLeft are the whole days until a certificate ends, below 0 when it has.
func DaysLeft(ends, now time.Time) int {
	d := ends.Sub(now)
	if d < 0 {
		d -= 24*time.Hour - 1
	}
	return int(d / (24 * time.Hour))
}

// Expiry says when a certificate ends, or has: "ends on 2027-01-30, in 61 days".
func Expiry(ends, now time.Time) string {
	if now.After(ends) {
		return "ended on " + day(ends)
	}
	return "ends on " + day(ends) + ", " + left(ends, now)
}

// FirstToEnd is the certificate that ends before all others, nil of none.
func FirstToEnd(all []*x509.Certificate) *x509.Certificate {
	if len(all) == 0 {
		return nil
	}
	return slices.MinFunc(all, func(a, b *x509.Certificate) int { return a.NotAfter.Compare(b.NotAfter) })
}

func left(ends, now time.Time) string {
	switch n := DaysLeft(ends, now); n {
	case 0:
		return "within a day"
	case 1:
		return "in 1 day"
	default:
		return fmt.Sprintf("in %d days", n)
	}
}

func urgency(ends, now time.Time) string {
	switch n := DaysLeft(ends, now); {
	case n < 7:
		return " at once"
	case n < 14:
		return " soon"
	}
	return ""
}

func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// Name is what a person calls a certificate: its common name, else its first name, else its subject.
func Name(c *x509.Certificate) string { return name(c) }

func name(c *x509.Certificate) string {
	first := ""
	if len(c.DNSNames) > 0 {
		first = c.DNSNames[0]
	}
	return title(cmp.Or(c.Subject.CommonName, first), c.Subject.String())
}

func title(short, subject string) string {
	return cmp.Or(short, subject, "without a name")
}

// NameFault says why a server's certificate is not for its name; empty when it is. It goes on behind "must be valid for
// dns.name: ".
func NameFault(c *x509.Certificate, host string) string {
	if c.VerifyHostname(host) == nil {
		return ""
	}
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	switch {
	case len(names) == 0 && c.Subject.CommonName != "":
		return fmt.Sprintf("it has only a common name (%q), which clients do not read: %q must be among its subjectAltName", c.Subject.CommonName, host)
	case len(names) == 0:
		return fmt.Sprintf("it has no name: %q must be among its subjectAltName", host)
	}
	const most = 5
	told := strings.Join(names[:min(most, len(names))], ", ")
	if more := len(names) - most; more > 0 {
		told += fmt.Sprintf(" and %d more", more)
	}
	fault := fmt.Sprintf("it is for %s, not %s", told, host)
	for _, n := range c.DNSNames {
		if suffix, wildcard := strings.CutPrefix(n, "*"); wildcard && (strings.HasSuffix(host, suffix) || host == suffix[min(1, len(suffix)):]) {
			return fault + "; * stands for exactly one label"
		}
	}
	return fault
}

// KeyFault says that none of a server's certificates is of its key; empty when one is. It goes on behind "must be a PEM
// certificate that fits the key: ".
func KeyFault(all []*x509.Certificate, key crypto.PublicKey) string {
	if slices.ContainsFunc(all, func(c *x509.Certificate) bool { return Fits(c, key) }) {
		return ""
	}
	own := Ordered(all, nil)[0]
	of, is := kind(own.PublicKey), kind(key)
	if of == is {
		return fmt.Sprintf("that of %q is another %s key", name(own), is)
	}
	return fmt.Sprintf("that of %q is of %s, privateKey of %s", name(own), of, is)
}

// kind is a public key in two words.
func kind(key crypto.PublicKey) string {
	switch k := key.(type) {
	case *rsa.PublicKey:
		return fmt.Sprintf("RSA %d", k.N.BitLen())
	case *ecdsa.PublicKey:
		return "ECDSA " + k.Curve.Params().Name
	case ed25519.PublicKey:
		return "Ed25519"
	default:
		return "another kind"
	}
}
