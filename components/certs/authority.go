package certs

import (
	"crypto/ed25519"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"fmt"
	"math/big"
	"time"
)

// Authority signs certificates of one client, whose name is the only one that who verifies by
// it takes (RFC 5280, 4.2.1.10). It follows from a secret, so that it need not be kept: the
// same secret and name make the same texts.
type Authority struct {
	// Certificate is PEM; it has no end.
	Certificate string
	// Revocations is its list of revoked certificates in PEM, which is empty and has no end.
	// OpenSSL wants one of each authority where it looks at any.
	Revocations string

	client string
	own    *x509.Certificate
	key    ed25519.PrivateKey
}

// An authority and its list are of all times (RFC 5280, 4.1.2.5): what it signs is short.
var (
	always = time.Date(2020, 1, 1, 0, 0, 0, 0, time.UTC)
	noEnd  = time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
)

// skew is how far the clock of who verifies may be from that of who signs, and so half of
// the time that a client's certificate is valid.
const skew = time.Hour

// NewAuthority makes the authority of a client from a secret that nobody can guess. Its title
// is the authority's name.
func NewAuthority(secret, title, client string) (Authority, error) {
	// Signatures of Ed25519 follow from key and text (RFC 8032), unlike those that Go makes
	// with other keys.
	seed, err := hkdf.Key(sha256.New, []byte(secret), nil, "emqx-oci authority of "+client, ed25519.SeedSize)
	if err != nil {
		return Authority{}, fmt.Errorf("making the key of authority %q: %w", title, err)
	}
	a := Authority{client: client, key: ed25519.NewKeyFromSeed(seed)}
	public := a.key.Public().(ed25519.PublicKey) //nolint:forcetypeassert // It is what an ed25519.PrivateKey has.
	names, err := onlyName(client)
	if err != nil {
		return Authority{}, fmt.Errorf("making authority %q: %w", title, err)
	}
	id := sha256.Sum256(public)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: title}, NotBefore: always, NotAfter: noEnd, SubjectKeyId: id[:20],
		BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		ExtraExtensions: []pkix.Extension{names},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, a.key)
	if err != nil {
		return Authority{}, fmt.Errorf("making authority %q: %w", title, err)
	}
	if a.own, err = x509.ParseCertificate(der); err != nil {
		return Authority{}, fmt.Errorf("reading authority %q: %w", title, err)
	}
	a.Certificate = encode(labelCertificate, der)
	list, err := emptyList(a.own, a.key)
	if err != nil {
		return Authority{}, fmt.Errorf("making the revocation list of authority %q: %w", title, err)
	}
	a.Revocations = ListPEM(list)
	return a, nil
}

// onlyName is the extension by which an authority may sign for one name alone. Go writes
// none of this kind.
func onlyName(client string) (pkix.Extension, error) {
	name, err := asn1.Marshal(pkix.Name{CommonName: client}.ToRDNSequence())
	if err != nil {
		return pkix.Extension{}, err
	}
	type subtree struct{ Base asn1.RawValue }
	value, err := asn1.Marshal(struct {
		Permitted []subtree `asn1:"tag:0"`
	}{[]subtree{{asn1.RawValue{Class: asn1.ClassContextSpecific, Tag: 4, IsCompound: true, Bytes: name}}}})
	return pkix.Extension{Id: asn1.ObjectIdentifier{2, 5, 29, 30}, Critical: true, Value: value}, err
}

// Issue makes a certificate of the authority's client with a key of its own, good from an hour
// before now to an hour after it.
func (a Authority) Issue(now time.Time) (tls.Certificate, error) { return a.issue(now, a.client) }

func (a Authority) issue(now time.Time, client string) (tls.Certificate, error) {
	key, err := NewClientKey()
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a key for %q: %w", client, err)
	}
	der, err := signClient(a.own, a.key, client, key.Public(), now.Add(-skew), now.Add(skew))
	if err != nil {
		return tls.Certificate{}, fmt.Errorf("making a certificate for %q: %w", client, err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
}
