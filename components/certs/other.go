package certs

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"regexp"
	"strings"
)

// ErrNothing is the error for a text that is no PEM and resembles nothing known: a path, say. Such a text has nothing in it
// that must not be shown.
var ErrNothing = errors.New("there is nothing in it that is known")

// ErrUnreadableKey is the error for a block of a private key that holds none.
var ErrUnreadableKey = errors.New("it cannot be read: it is damaged, or of another kind: " + keysAllowed)

const (
	keysAllowed   = "RSA and ECDSA keys are taken"
	fromPKCS12    = "openssl pkcs12 -in FILE -nodes"
	isRequest     = "it is a certificate request: set the certificate that the authority makes of it"
	isPublicKey   = "it is a public key"
	isAParameter  = "it holds the parameters of a key, and no key"
	holdsKey      = "it holds a private key, which belongs into privateKey"
	holdsNoKey    = "it holds a certificate and no key"
	isPKCS7       = "it is PKCS #7: convert it with openssl pkcs7 -in FILE -print_certs -out chain.pem"
	isTrusted     = "it is in OpenSSL's form with trust settings: convert it with openssl x509 -in FILE -out cert.pem"
	isRevocation  = "it is a list of revoked certificates"
	isUnreadable  = "it is no PEM: there is no line -----BEGIN ...-----"
	isBinary      = "it is binary (DER)"
	isCutAtBegin  = "its first line is cut off: there is a line END and none BEGIN"
	isPKCS12      = "it is PKCS #12: convert it with " + fromPKCS12
	convertBinary = ": convert it with openssl x509 -inform der -in FILE -out cert.pem, or a key with openssl pkey -inform der -in FILE -out key.pem"
)

// notACertificate says what a block is that stands among certificates.
func notACertificate(b block) string {
	switch {
	case isKey(b.label):
		return holdsKey
	case b.label == "TRUSTED CERTIFICATE":
		return isTrusted
	}
	return other(b.label)
}

// notAKey says what a block is that stands in a key's place.
func notAKey(b block) string {
	if strings.HasSuffix(b.label, labelCertificate) {
		return holdsNoKey
	}
	return other(b.label)
}

// other says what a block is that is neither a certificate nor a key.
func other(label string) string {
	switch {
	case strings.HasSuffix(label, "CERTIFICATE REQUEST"):
		return isRequest
	case strings.HasSuffix(label, "PUBLIC KEY"):
		return isPublicKey
	case strings.HasSuffix(label, " PARAMETERS"):
		return isAParameter
	case strings.HasPrefix(label, "PKCS"), label == "CMS":
		return isPKCS7
	case label == "X509 CRL":
		return isRevocation
	}
	return "it holds a block " + label
}

// inBase64 finds a run of base64 that may be a key, or a part of one.
var inBase64 = regexp.MustCompile(`[A-Za-z0-9+/=_-]{32}`)

// unarmoured says what a text without a PEM block is.
func unarmoured(text string) error {
	text = strings.TrimSpace(strings.TrimPrefix(text, "\ufeff"))
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
	switch {
	case strings.HasPrefix(text, "ssh-"), strings.HasPrefix(text, "ecdsa-sha2-"):
		return errors.New("it is a public key of SSH")
	case strings.Contains(text, "-----END "):
		return errors.New(isCutAtBegin)
	case err == nil && len(der) > 2 && der[0] == 0x30:
		return errors.New(inDER(der))
	case isMangledDER(text):
		if i := strings.Index(text, "\x02\x01\x03"); i > 0 && i < 16 {
			return errors.New(isPKCS12)
		}
		return errors.New(isBinary + convertBinary)
	case strings.ContainsRune(text, '\n') || inBase64.MatchString(strings.ReplaceAll(text, "/", " ")):
		return errors.New(isUnreadable)
	}
	return ErrNothing
}

// isMangledDER tells a binary file that went through a text: bytes that are no UTF-8 have become other ones.
func isMangledDER(text string) bool {
	rest, ok := strings.CutPrefix(text, "0")
	return ok && rest != "" && (rest[0] >= 0x80 || strings.ContainsRune(rest, 0))
}

// inDER says what base64 without the lines around it holds.
func inDER(der []byte) string {
	if i := bytes.Index(der, []byte{2, 1, 3}); i > 0 && i < 6 { // its version (RFC 7292, 4)
		return "it is PKCS #12 in base64: after base64 -d, convert it with " + fromPKCS12
	}
	what := "base64"
	if _, err := x509.ParseCertificate(der); err == nil {
		what = "a certificate"
	} else if _, err := x509.ParseCertificateRequest(der); err == nil {
		what = "a certificate request"
	} else if _, fault := (block{der: der}).key(); fault == "" {
		what = "a private key"
	}
	return "it is " + what + " without its lines BEGIN and END"
}
