package preflight

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// CertificateCheck is the check of what clients and EMQX have against a certificate that the settings could read: it finds
// what the settings' own rules do not look for.
const CertificateCheck = "certificate"

func clearText(s settings.Settings, _ time.Time, r *Report) {
	if s.Production() && !s.TLS.Enabled() {
		r.Warnf(Setting("tls.certificate"), "should be set in a production stack: without one MQTT, with its passwords, is clear text from the clients to the nodes")
	}
}

// certificate tells what keeps clients out. What cannot be read is hidden, or a fault of the settings.
func certificate(s settings.Settings, now time.Time, r *Report) {
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
	for _, f := range server.Judge(now) {
		at, severity := Setting("tls.certificate"), Error
		if f.OfAuthority {
			at = Setting("tls.ca")
		}
		if f.Warning {
			severity = Warning
		}
		r.add(severity, at, "%s", f.Text)
	}
}
