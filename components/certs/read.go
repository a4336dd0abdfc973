package certs

import (
	"bytes"
	"crypto"
	"crypto/ecdh"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Labels of PEM blocks.
const (
	labelCertificate = "CERTIFICATE"
	labelPKCS8       = "PRIVATE KEY"
	labelPKCS1       = "RSA PRIVATE KEY"
	labelSEC1        = "EC PRIVATE KEY"
	labelEncrypted   = "ENCRYPTED PRIVATE KEY"
	labelCurve       = "EC PARAMETERS"
)

// ReadCertificates gives the certificates of a PEM text in its order, each once. The error goes on behind "must be PEM
// certificates: ", with everything that is wrong; it is [ErrNothing] for a text that resembles nothing known.
func ReadCertificates(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	var faults []string
	found := blocks(text)
	for i, b := range found {
		if b.label != labelCertificate {
			if b.label == labelCurve && slices.ContainsFunc(found, func(o block) bool { return isKey(o.label) }) {
				continue // it belongs to the key
			}
			faults = append(faults, notACertificate(b))
			continue
		}
		c, fault := b.certificate()
		switch {
		case fault != "":
			faults = append(faults, fmt.Sprintf("its block %d %s", i+1, fault))
		case !slices.ContainsFunc(all, c.Equal):
			all = append(all, c)
		}
	}
	if len(found) == 0 {
		return nil, unarmoured(text)
	}
	if len(faults) > 0 {
		return nil, errors.New(strings.Join(slices.Compact(faults), "; "))
	}
	return all, nil
}

func (b block) certificate() (c *x509.Certificate, fault string) {
	if b.fault != "" {
		return nil, b.fault
	}
	c, err := x509.ParseCertificate(b.der)
	if err != nil {
		return nil, fmt.Sprintf("cannot be read: %v", err)
	}
	return c, ""
}

// ReadKey gives the public half of the private key in a PEM text. What stands beside the key, such as its certificate, is
// passed over. The error goes on behind "must be a private key in PEM: ", and shows nothing of the key; it is [ErrNothing]
// for a text that resembles nothing known, [ErrUnreadableKey] where a block says that it is a key, and nothing in it is.
func ReadKey(text string) (crypto.PublicKey, error) {
	key, err := readKey(text)
	if err != nil {
		return nil, err
	}
	return key.public, nil
}

// privateKey is one as it is written to a file.
type privateKey struct {
	label  string
	der    []byte
	public crypto.PublicKey
}

func readKey(text string) (privateKey, error) {
	var keys []privateKey
	var faults, others []string
	found := blocks(text)
	for _, b := range found {
		if !isKey(b.label) {
			others = append(others, notAKey(b))
			continue
		}
		key, fault := b.key()
		switch {
		case fault != "":
			faults = append(faults, fault)
		case !slices.ContainsFunc(keys, func(k privateKey) bool { return bytes.Equal(k.der, key.der) }):
			keys = append(keys, key)
		}
	}
	switch {
	case len(found) == 0:
		return privateKey{}, unarmoured(text)
	case len(faults) == 1 && faults[0] == ErrUnreadableKey.Error():
		return privateKey{}, ErrUnreadableKey
	case len(faults) > 0:
		return privateKey{}, errors.New(strings.Join(slices.Compact(faults), "; "))
	case len(keys) == 0:
		return privateKey{}, errors.New(others[0])
	case len(keys) > 1:
		return privateKey{}, fmt.Errorf("it holds %d keys: leave the certificate's own, and no other", len(keys))
	}
	return keys[0], nil
}

func isKey(label string) bool { return strings.HasSuffix(label, labelPKCS8) }

// key reads a private key by what it is, whatever its label says: EMQX goes by the label.
func (b block) key() (key privateKey, fault string) {
	switch {
	case b.fault != "":
		return key, "its key " + b.fault
	case b.encrypted, b.label == labelEncrypted:
		return key, "it is encrypted, and nobody is there to give its passphrase: decrypt it with openssl pkey -in FILE -out key.pem"
	case b.label == "OPENSSH PRIVATE KEY":
		return key, "it is a key in OpenSSH's own form: convert a copy of it with ssh-keygen -p -N '' -m PKCS8 -f COPY"
	case strings.HasPrefix(b.label, "DSA "):
		return key, "it is a DSA key, which TLS has given up: " + keysAllowed
	}
	if rsaKey, err := x509.ParsePKCS1PrivateKey(b.der); err == nil {
		return privateKey{labelPKCS1, b.der, rsaKey.Public()}, ""
	}
	if ecKey, err := x509.ParseECPrivateKey(b.der); err == nil {
		return privateKey{labelSEC1, b.der, ecKey.Public()}, ""
	}
	parsed, err := x509.ParsePKCS8PrivateKey(b.der)
	if _, exchange := parsed.(*ecdh.PrivateKey); exchange {
		return key, "it is an X25519 key, which signs nothing: " + keysAllowed
	}
	signer, ok := parsed.(crypto.Signer)
	if err != nil || !ok {
		// The error of the parser may hold parts of the key.
		return key, ErrUnreadableKey.Error()
	}
	return privateKey{labelPKCS8, b.der, signer.Public()}, ""
}

// NormalizeKey is a text with nothing but its key in it, with line feeds. A text that [ReadKey] refuses stays as it is.
func NormalizeKey(text string) string {
	key, err := readKey(text)
	if err != nil {
		return text
	}
	return encode(key.label, key.der)
}

// NormalizeCertificates is a text with nothing but its certificates in it, with line feeds. A text that [ReadCertificates]
// refuses stays as it is.
func NormalizeCertificates(text string) string {
	all, err := ReadCertificates(text)
	if err != nil {
		return text
	}
	return encodeAll(all)
}

// NormalizeChain does the same to the certificates of who has a key, in the order of [Ordered].
func NormalizeChain(certificates, key string) string {
	all, err := ReadCertificates(certificates)
	if err != nil {
		return certificates
	}
	public, err := ReadKey(key)
	if err != nil {
		public = nil
	}
	return encodeAll(Ordered(all, public))
}

func encodeAll(all []*x509.Certificate) string {
	var b strings.Builder
	for _, c := range all {
		b.WriteString(encode(labelCertificate, c.Raw))
	}
	return b.String()
}
