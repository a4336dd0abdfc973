package preflight_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
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

// served has a chain of that day, with what a call changes on the leaf, and its authority; it is as settings are loaded.
func served(ca bool, change func(leaf *x509.Certificate)) func(*settings.Settings) {
	return func(s *settings.Settings) {
		issue := func(template, parent *x509.Certificate, key, by *ecdsa.PrivateKey) (*x509.Certificate, string) {
			template.SerialNumber, template.NotBefore, template.BasicConstraintsValid = big.NewInt(1), judged.AddDate(0, 0, -30), true
			if template.NotAfter.IsZero() {
				template.NotAfter = judged.AddDate(1, 0, 0)
			}
			der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), by)
			if err != nil {
				panic(err)
			}
			c, err := x509.ParseCertificate(der)
			if err != nil {
				panic(err)
			}
			return c, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
		}
		keys := make([]*ecdsa.PrivateKey, 2)
		for i := range keys {
			var err error
			if keys[i], err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
				panic(err)
			}
		}
		authority := &x509.Certificate{Subject: pkix.Name{CommonName: "example CA"}, IsCA: true, NotAfter: judged.AddDate(0, 0, 20)}
		root, caPEM := issue(authority, authority, keys[0], keys[0])
		leaf := &x509.Certificate{Subject: pkix.Name{CommonName: "mqtt.example.com"}, DNSNames: []string{"mqtt.example.com"}}
		change(leaf)
		_, leafPEM := issue(leaf, root, keys[1], keys[0])
		s.TLS.Certificate, s.TLS.PrivateKey = settings.Secret(leafPEM), "[secret]"
		if ca {
			s.TLS.CA = settings.Secret(caPEM)
		}
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

// furtherOf has the certificate of the first beside the main one, and those of the others behind it.
func furtherOf(main func(*settings.Settings), others ...func(*settings.Settings)) func(*settings.Settings) {
	return func(s *settings.Settings) {
		main(s)
		for _, other := range others {
			var of settings.Settings
			other(&of)
			s.TLS.Certificates = append(s.TLS.Certificates, settings.ServerCertificate{Certificate: of.TLS.Certificate, PrivateKey: of.TLS.PrivateKey})
		}
	}
}

// clientAuthorities are of clients' certificates, and end so many days after that day.
func clientAuthorities(clients, devices int) func(*settings.Settings) {
	return func(s *settings.Settings) {
		for to, days := range map[*settings.Secret]int{&s.TLS.ClientCA: clients, &s.TLS.DeviceCA: devices} {
			var of settings.Settings
			certificateOf(days)(&of)
			*to = of.TLS.Certificate
		}
	}
}

// keysAnswer asks a server for keys of tokens.
func keysAnswer(status int, body string) func(*settings.Settings) {
	return func(s *settings.Settings) {
		server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}))
		ca := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
		s.Auth.Anonymous = false
		s.Auth.Authenticators = []settings.AuthAuthenticator{{Kind: settings.KindJWT, JWKS: server.URL + "/keys", CA: ca, Claims: map[string]string{"sub": "${username}"}}}
	}
}
