package settings

import (
	"crypto/x509"
	"errors"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// validateDevices checks the authority that signs the certificates of devices.
func (s *Settings) validateDevices(f checker) {
	ca, key := s.TLS.DeviceCA, s.Secrets.DeviceCAKey
	const at = "tls.deviceCa"
	switch {
	case ca == "" && key == "":
		return
	case ca == "":
		f.Add(at, "must be set with secrets.deviceCaKey")
		return
	case key == "":
		f.Add("secrets.deviceCaKey", "must be set with tls.deviceCa; set it with: %s", howToSet("secrets.deviceCaKey"))
	}
	if s.TLS.Clients == ClientsNone && !f.Has("tls.clients") {
		f.Add("tls.clients", "must be optional or required with tls.deviceCa, got none: nobody shows a certificate")
	}
	if f.Has(at) || f.Has("secrets.deviceCaKey") {
		return
	}
	if _, err := certs.ReadKey(key.Reveal()); errors.Is(err, certs.ErrUnreadableKey) {
		f.Add("secrets.deviceCaKey", "must be a private key in PEM: %v", err)
		return
	}
	all, err := certs.ReadCertificates(ca.Reveal())
	if err != nil {
		return // it is hidden, or has a fault of its own
	}
	switch {
	case len(all) != 1:
		f.Add(at, "must be one certificate, got %d", len(all))
		return
	case !all[0].IsCA || !all[0].BasicConstraintsValid || all[0].KeyUsage != 0 && all[0].KeyUsage&x509.KeyUsageCertSign == 0:
		f.Add(at, "must be the certificate of an authority, got that of %q, which may sign none", certs.Name(all[0]))
		return
	}
	if public, err := certs.ReadKey(key.Reveal()); err == nil {
		if what := certs.KeyFault(all, public); what != "" {
			f.Add(at, "must fit secrets.deviceCaKey: %s", what)
		}
	}
}

// DeviceAuthority is the certificate in tls.deviceCa; nil where there is none, or it cannot be read.
func (s *Settings) DeviceAuthority() *x509.Certificate {
	all, err := certs.ReadCertificates(s.TLS.DeviceCA.Reveal())
	if err != nil || len(all) != 1 {
		return nil
	}
	return all[0]
}
