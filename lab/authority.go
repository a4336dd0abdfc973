package lab

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"time"
)

// certificateLife is how long the lab's certificates hold: longer than any lab.
const certificateLife = 365 * 24 * time.Hour

// authority signs the lab's certificates. Its key is kept nowhere.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
	serial      int64
}

// keyPair is a certificate and its key, as PEM.
type keyPair struct {
	Certificate string `json:"certificate"`
	Key         string `json:"key"`
}

func newAuthority(name string, now time.Time) (*authority, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of %s: %w", name, err)
	}
	a := &authority{key: key, serial: now.UnixNano()}
	// An hour back, so that a client whose clock lags a little accepts them.
	template := &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: name},
		NotBefore: now.Add(-time.Hour), NotAfter: now.Add(certificateLife), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err == nil {
		a.certificate, err = x509.ParseCertificate(der)
	}
	if err != nil {
		return nil, fmt.Errorf("making %s: %w", name, err)
	}
	return a, nil
}

// pem is the authority's certificate.
func (a *authority) pem() string { return pemBlock("CERTIFICATE", a.certificate.Raw) }

// issue signs a certificate for the first of names, and the other names and addresses.
func (a *authority) issue(names []string, addresses []net.IP, usages ...x509.ExtKeyUsage) (keyPair, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return keyPair{}, fmt.Errorf("making the key of %s: %w", names[0], err)
	}
	a.serial++
	der, err := x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: big.NewInt(a.serial), Subject: pkix.Name{CommonName: names[0]}, DNSNames: names, IPAddresses: addresses,
		NotBefore: a.certificate.NotBefore, NotAfter: a.certificate.NotAfter, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: usages,
	}, a.certificate, key.Public(), a.key)
	if err != nil {
		return keyPair{}, fmt.Errorf("signing the certificate of %s: %w", names[0], err)
	}
	text, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return keyPair{}, fmt.Errorf("writing the key of %s: %w", names[0], err)
	}
	return keyPair{Certificate: pemBlock("CERTIFICATE", der), Key: pemBlock("PRIVATE KEY", text)}, nil
}

func pemBlock(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}

// certificates makes an authority and a server certificate for name, as PEM.
func certificates(name string, now time.Time) (ca, cert, key string, err error) {
	a, err := newAuthority("emqx-oci lab CA", now)
	if err != nil {
		return "", "", "", err
	}
	pair, err := a.issue([]string{name}, nil, x509.ExtKeyUsageServerAuth)
	return a.pem(), pair.Certificate, pair.Key, err
}
