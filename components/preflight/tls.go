package preflight

import (
	"crypto/x509"
	"encoding/pem"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// crlRenewal is how long before its end a list of revoked certificates should be: they are
// made for a week or a month.
const crlRenewal = 3 * 24 * time.Hour

// renewal is how long before its end a certificate should be replaced.
const renewal = 30 * 24 * time.Hour

func clearText(s settings.Settings, _ time.Time, r *Report) {
	if s.Production() && !s.TLS.Enabled() {
		r.Warnf(Setting("tls.certificate"), "should be set in a production stack: without one MQTT, with its passwords, is clear text from the clients to the nodes")
	}
}

// certificate looks at the dates of the whole chain, when it can be read.
func certificate(s settings.Settings, now time.Time, r *Report) {
	revocations(s, now, r)
	at := Setting("tls.certificate")
	rest := []byte(s.TLS.Certificate.Reveal())
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			continue // a fault of the settings
		}
		switch name := c.Subject.CommonName; {
		case now.After(c.NotAfter):
			r.Errorf(at, "must be valid, got one (%q) that ended on %s", name, c.NotAfter.UTC().Format(time.DateOnly))
		case now.Before(c.NotBefore):
			r.Errorf(at, "must be valid, got one (%q) that begins on %s", name, c.NotBefore.UTC().Format(time.DateOnly))
		case now.Add(renewal).After(c.NotAfter):
			r.Warnf(at, "should be renewed: the one in use (%q) ends on %s", name, c.NotAfter.UTC().Format(time.DateOnly))
		}
	}
}

// revocations: a list that has ended refuses every client with a certificate.
func revocations(s settings.Settings, now time.Time, r *Report) {
	at := Setting("tls.clientCrl")
	for rest := []byte(s.TLS.ClientCRL.Reveal()); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		l, err := x509.ParseRevocationList(block.Bytes)
		if err != nil || l.NextUpdate.IsZero() {
			continue
		}
		switch name, end := l.Issuer.CommonName, l.NextUpdate.UTC(); {
		case now.After(end):
			r.Errorf(at, "must be current, got one of %q that ended on %s: the proxies refuse every client with a certificate of it", name, end.Format(time.DateOnly))
		case now.Add(crlRenewal).After(end):
			r.Warnf(at, "should be renewed: the one of %q ends on %s", name, end.Format(time.DateOnly))
		}
	}
}
