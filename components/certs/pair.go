package certs

import (
	"crypto/x509"
	"errors"
	"fmt"
	"strings"
	"time"
)

// Pair is a server's certificate, with its chain, and the key of it, each as PEM.
type Pair struct{ Certificate, Key string }

// NewPair reads both, whatever stands around them, and gives them as every program reads them: the certificate's own chain
// in the order of [Ordered]. The error says everything that is wrong; it holds nothing of the key.
func NewPair(certificate, key string) (Pair, error) {
	var faults []string
	all, err := ReadCertificates(certificate)
	if err != nil {
		faults = append(faults, "its certificate must be PEM certificates: "+err.Error())
	}
	public, err := ReadKey(key)
	if err != nil {
		faults = append(faults, "its key must be a private key in PEM: "+err.Error())
	}
	if len(faults) == 0 {
		if what := KeyFault(all, public); what != "" {
			faults = append(faults, "its certificate must fit its key: "+what)
		}
	}
	if len(faults) > 0 {
		return Pair{}, errors.New(strings.Join(faults, "; "))
	}
	return Pair{Certificate: encodeAll(Ordered(all, public)), Key: NormalizeKey(key)}, nil
}

// ReadPair reads a text that holds both, as a file for HAProxy does: one text has one version, and nobody meets the
// certificate of one with the key of another.
func ReadPair(text string) (Pair, error) {
	var certificate, key strings.Builder
	for _, b := range blocks(text) {
		part := &certificate
		if isKey(b.label) || b.label == labelCurve {
			part = &key
		}
		if b.fault != "" || b.encrypted { // by itself it would be read as something else
			return Pair{}, fmt.Errorf("its block %s %s", b.label, pairFault(b))
		}
		part.WriteString(encode(b.label, b.der))
	}
	if certificate.Len() == 0 && key.Len() == 0 {
		return Pair{}, unarmoured(text)
	}
	return NewPair(certificate.String(), key.String())
}

func pairFault(b block) string {
	if b.encrypted {
		return "is encrypted, and nobody is there to give its passphrase"
	}
	return b.fault
}

// Chain are the certificates, the server's own first; none of a pair that is not of [NewPair].
func (p Pair) Chain() []*x509.Certificate {
	all, err := ReadCertificates(p.Certificate)
	if err != nil {
		return nil
	}
	return all
}

// Judge says everything that keeps clients of a name out, or will soon: see [Server.Judge].
func (p Pair) Judge(host string, s Server, now time.Time) []Finding {
	s.Certificates = p.Chain()
	if len(s.Certificates) == 0 {
		return []Finding{{Text: "must be PEM certificates"}}
	}
	found := s.Judge(now)
	if what := NameFault(s.Certificates[0], host); what != "" {
		found = append(found, Finding{Text: "must be valid for dns.name: " + what})
	}
	return found
}

// window is how long before its end a certificate is renewed by what does so by itself: a third of its life, and 30 days at
// most.
func window(c *x509.Certificate) time.Duration {
	return min(RenewBefore, c.NotAfter.Sub(c.NotBefore)/3)
}

// Due tells whether a certificate is to be renewed by what does so by itself.
func Due(c *x509.Certificate, now time.Time) bool { return now.After(c.NotAfter.Add(-window(c))) }

// Overdue tells whether one is still there that should have been renewed by then: of the time that is left for that a third
// has gone by.
func Overdue(c *x509.Certificate, now time.Time) bool {
	return now.After(c.NotAfter.Add(-window(c) * 2 / 3))
}
