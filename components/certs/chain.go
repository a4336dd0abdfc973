package certs

import (
	"bytes"
	"crypto"
	"crypto/rsa"
	"crypto/x509"
	"slices"
)

// Ordered is a server's certificates in the order in which it sends them: its own one, then those that issued what is
// before them (RFC 8446, 4.4.2). What issued none of the others stays at the end, as it came. With the public half of the
// server's key its own certificate is the one of this key; with nil, the first that issued none of the others.
func Ordered(all []*x509.Certificate, key crypto.PublicKey) []*x509.Certificate {
	chain, unrelated := linked(all, key)
	return append(chain, unrelated...)
}

// linked splits certificates into the server's own one with its issuers, nearest first, and the others.
func linked(all []*x509.Certificate, key crypto.PublicKey) (chain, unrelated []*x509.Certificate) {
	if len(all) == 0 {
		return nil, nil
	}
	unrelated = slices.Clone(all)
	take := func(i int) {
		chain = append(chain, unrelated[i])
		unrelated = slices.Delete(unrelated, i, i+1)
	}
	take(max(0, slices.IndexFunc(all, func(c *x509.Certificate) bool { return isOwn(c, all, key) })))
	for at := 0; at < len(chain); at++ {
		for i := 0; i < len(unrelated); {
			if issued(unrelated[i], chain[at]) {
				take(i)
				continue
			}
			i++
		}
	}
	return chain, unrelated
}

// isOwn tells whether a certificate is the server's among all.
func isOwn(c *x509.Certificate, all []*x509.Certificate, key crypto.PublicKey) bool {
	if key != nil {
		return Fits(c, key)
	}
	return !slices.ContainsFunc(all, func(o *x509.Certificate) bool { return !o.Equal(c) && issued(c, o) })
}

// Fits tells whether a certificate is of the key with this public half.
func Fits(c *x509.Certificate, key crypto.PublicKey) bool {
	k, ok := key.(interface{ Equal(crypto.PublicKey) bool })
	return ok && c.PublicKey != nil && k.Equal(c.PublicKey)
}

// issued tells whether a certificate was signed by another one's key. A signature that this machine does not verify, because
// it is a weak one, is taken on the names.
func issued(parent, child *x509.Certificate) bool {
	if !bytes.Equal(parent.RawSubject, child.RawIssuer) {
		return false
	}
	if key, ok := parent.PublicKey.(*rsa.PublicKey); ok && key.N.BitLen() < 1024 {
		return true // crypto/rsa verifies nothing with it
	}
	switch child.SignatureAlgorithm {
	case x509.SHA256WithRSA, x509.SHA384WithRSA, x509.SHA512WithRSA, x509.SHA256WithRSAPSS, x509.SHA384WithRSAPSS, x509.SHA512WithRSAPSS,
		x509.ECDSAWithSHA256, x509.ECDSAWithSHA384, x509.ECDSAWithSHA512, x509.PureEd25519:
		return parent.CheckSignature(child.SignatureAlgorithm, child.RawTBSCertificate, child.Signature) == nil
	default:
		return true
	}
}

// isSelfSigned tells a root, or a certificate that is its own authority.
func isSelfSigned(c *x509.Certificate) bool { return issued(c, c) }
