package preflight

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// CertificateCheck is the check of what clients and EMQX have against a certificate that the settings could read: it finds
// what the settings' own rules do not look for.
const CertificateCheck = "certificate"

// crlRenewal is how long before its end a list of revoked certificates should be: they are
// made for a week or a month.
const crlRenewal = 3 * 24 * time.Hour

func clearText(s settings.Settings, _ time.Time, r *Report) {
	if s.Production() && !s.TLS.Enabled() {
		r.Warnf(Setting("tls.certificate"), "should be set in a production stack: without one MQTT, with its passwords, is clear text from the clients to the nodes")
	}
}

// certificate tells what keeps clients out. What cannot be read is hidden, or a fault of the settings.
func certificate(s settings.Settings, now time.Time, r *Report) {
	revocations(s, now, r)
	further(s, now, r)
	authorities(s, now, r)
	all, err := certs.ReadCertificates(s.TLS.Certificate.Reveal())
	if err != nil {
		return
	}
	server := certs.Server{Certificates: all}
	if s.TLS.CA != "" {
		if server.Authorities, err = certs.ReadCertificates(s.TLS.CA.Reveal()); err != nil {
			server.UnknownAuthorities = true
		}
	}
	if key := s.TLS.PrivateKey; key != "" && !key.Hidden() {
		_, err = certs.ReadKey(key.Reveal())
		server.KeyIsRefused = err != nil
	}
	told(r, "tls.certificate", server.Judge(now))
}

// further tells the same of the certificates beside the main one. What clients trust by these
// names nobody has said: tls.ca is the authority of the main one.
func further(s settings.Settings, now time.Time, r *Report) {
	for i, c := range s.TLS.Certificates {
		all, err := certs.ReadCertificates(c.Certificate.Reveal())
		if err != nil {
			continue
		}
		server := certs.Server{Certificates: all, UnknownAuthorities: s.TLS.CA != ""}
		if !c.PrivateKey.Hidden() {
			_, err = certs.ReadKey(c.PrivateKey.Reveal())
			server.KeyIsRefused = err != nil
		}
		told(r, fmt.Sprintf("tls.certificates[%d].certificate", i), server.Judge(now))
	}
}

// authorities tells of those whose end shuts out all clients that show certificates. The one of the round trip has no end.
func authorities(s settings.Settings, now time.Time, r *Report) {
	for _, x := range []struct {
		path  string
		given settings.Secret
	}{{"tls.clientCa", s.TLS.ClientCA}, {"tls.deviceCa", s.TLS.DeviceCA}} {
		if all, err := certs.ReadCertificates(x.given.Reveal()); err == nil {
			told(r, x.path, certs.JudgeAuthorities(all, now))
		}
	}
}

func told(r *Report, path string, found []certs.Finding) {
	for _, f := range found {
		at, severity := Setting(path), Error
		if f.OfAuthority {
			at = Setting("tls.ca")
		}
		if f.Warning {
			severity = Warning
		}
		r.add(severity, at, "%s", f.Text)
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
