package preflight_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// judged is the day that certificates are looked at.
var judged = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

// certificateOf is one that ends so many days after that day, and began a month
// before it; it ends long after today when that is many.
func certificateOf(days int) func(*settings.Settings) {
	return func(s *settings.Settings) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		end := judged.AddDate(0, 0, days)
		if days > 60 {
			end = judged.AddDate(100, 0, 0)
		}
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "mqtt.example.com"}, DNSNames: []string{"mqtt.example.com"},
			NotBefore: judged.AddDate(0, 0, -30), NotAfter: end,
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
		if err != nil {
			panic(err)
		}
		s.TLS.Certificate = settings.Secret(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		s.TLS.PrivateKey = "key"
	}
}

// revocationsUntil is a list of revoked certificates that ends so many days after that day.
func revocationsUntil(days int) func(*settings.Settings) {
	return func(s *settings.Settings) {
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			panic(err)
		}
		issuer := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "clients"}, SubjectKeyId: []byte{1}, KeyUsage: x509.KeyUsageCRLSign,
		}
		der, err := x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
			Number: big.NewInt(1), ThisUpdate: judged.AddDate(0, 0, -30), NextUpdate: judged.AddDate(0, 0, days),
		}, issuer, key)
		if err != nil {
			panic(err)
		}
		s.TLS.ClientCRL = settings.Secret(pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}))
	}
}
