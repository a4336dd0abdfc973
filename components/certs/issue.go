package certs

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"time"
)

// ReadSigner gives the private key in a PEM text. Its errors are those of [ReadKey].
func ReadSigner(text string) (crypto.Signer, error) {
	key, err := readKey(text)
	if err != nil {
		return nil, err
	}
	if k, err := x509.ParsePKCS1PrivateKey(key.der); err == nil {
		return k, nil
	}
	if k, err := x509.ParseECPrivateKey(key.der); err == nil {
		return k, nil
	}
	parsed, err := x509.ParsePKCS8PrivateKey(key.der)
	if signer, ok := parsed.(crypto.Signer); err == nil && ok {
		return signer, nil
	}
	return nil, ErrUnreadableKey
}

// DeviceAuthority signs the certificates of devices.
type DeviceAuthority struct {
	Certificate *x509.Certificate
	Key         crypto.Signer
}

// backdated is how much earlier than now a certificate begins: the clocks of devices and nodes differ.
const backdated = 5 * time.Minute

// NewDeviceAuthority makes an authority that lasts for so long, with a key of the curve P-256, and an empty list of revoked
// certificates that lasts as long as it does.
func NewDeviceAuthority(name string, lasts time.Duration, now time.Time) (a DeviceAuthority, list []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return a, nil, err
	}
	serial, err := newSerial()
	if err != nil {
		return a, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: now.Add(-backdated), NotAfter: now.Add(lasts),
		IsCA: true, BasicConstraintsValid: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return a, nil, err
	}
	if a.Certificate, err = x509.ParseCertificate(der); err != nil {
		return a, nil, err
	}
	a.Key = key
	list, err = emptyList(a.Certificate, key)
	return a, list, err
}

// emptyList is an authority's list of no revoked certificates, in DER, which lasts as long as it does.
func emptyList(authority *x509.Certificate, key crypto.Signer) ([]byte, error) {
	return x509.CreateRevocationList(rand.Reader, &x509.RevocationList{
		Number: big.NewInt(1), ThisUpdate: authority.NotBefore, NextUpdate: authority.NotAfter,
	}, authority, key)
}

// NewClientKey makes a client's own key, of the curve P-256, which small devices can do.
func NewClientKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// SignClient signs the certificate of a client: its common name is the name, and it is good for showing to a server alone.
// It ends with the authority at the latest.
func (a DeviceAuthority) SignClient(name string, key crypto.PublicKey, lasts time.Duration, now time.Time) (*x509.Certificate, error) {
	if now.After(a.Certificate.NotAfter) {
		return nil, fmt.Errorf("the authority %q ended on %s", Name(a.Certificate), day(a.Certificate.NotAfter))
	}
	end := now.Add(lasts)
	if end.After(a.Certificate.NotAfter) {
		end = a.Certificate.NotAfter
	}
	der, err := signClient(a.Certificate, a.Key, name, key, now.Add(-backdated), end)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// signClient makes a client's certificate, in DER, which is good for showing to a server alone.
func signClient(authority *x509.Certificate, by crypto.Signer, name string, key crypto.PublicKey, begin, end time.Time) ([]byte, error) {
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	return x509.CreateCertificate(rand.Reader, &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name}, NotBefore: begin, NotAfter: end,
		BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, authority, key, by)
}

// newSerial is a serial number of 16 bytes that nobody guesses (RFC 5280, 4.1.2.2: at most 20). Its first byte is 0x40 to
// 0x7f: in DER and in what programs print it has 16 bytes and no sign.
func newSerial() (*big.Int, error) {
	var b [16]byte
	if _, err := rand.Read(b[:]); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x3f | 0x40
	return new(big.Int).SetBytes(b[:]), nil
}

// Serial is a certificate's serial number as HAProxy prints it (ssl_c_serial,hex).
func Serial(c *x509.Certificate) string { return fmt.Sprintf("%X", c.SerialNumber.Bytes()) }

// ReadRequest gives the request for a certificate in a PEM text. It has to be signed by its own key, which has to be one
// that clients use today.
func ReadRequest(text string) (*x509.CertificateRequest, error) {
	all := blocks(text)
	if len(all) == 0 {
		return nil, errors.New("there is no CERTIFICATE REQUEST in it")
	}
	if len(all) > 1 {
		return nil, fmt.Errorf("it holds %d blocks, and one request is signed at a time", len(all))
	}
	b := all[0]
	if b.label != "CERTIFICATE REQUEST" && b.label != "NEW CERTIFICATE REQUEST" {
		return nil, fmt.Errorf("it holds a %s", b.label)
	}
	if b.fault != "" {
		return nil, fmt.Errorf("its request %s", b.fault)
	}
	r, err := x509.ParseCertificateRequest(b.der)
	if err != nil {
		return nil, fmt.Errorf("it cannot be read: %w", err)
	}
	if err := r.CheckSignature(); err != nil {
		return nil, fmt.Errorf("its key has not signed it: %w", err)
	}
	switch k := r.PublicKey.(type) {
	case *rsa.PublicKey:
		if k.N.BitLen() < 2048 {
			return nil, fmt.Errorf("its key is weak: %s", kind(k))
		}
	case *ecdsa.PublicKey:
		if k.Curve.Params().BitSize < 256 {
			return nil, fmt.Errorf("its key is weak: %s", kind(k))
		}
	case ed25519.PublicKey:
	default:
		return nil, errors.New("its key is neither RSA nor ECDSA nor Ed25519")
	}
	return r, nil
}

// PEM is a certificate as text.
func PEM(c *x509.Certificate) string { return encode(labelCertificate, c.Raw) }

// ListPEM is a list of revoked certificates as text.
func ListPEM(der []byte) string { return encode("X509 CRL", der) }

// KeyPEM is a private key as text, in PKCS #8.
func KeyPEM(key crypto.Signer) (string, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return "", err
	}
	return encode(labelPKCS8, der), nil
}
