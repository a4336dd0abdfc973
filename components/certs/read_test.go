package certs_test

import (
	"crypto/ecdh"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// Whatever surrounds the certificates, and however their lines end, EMQX gets the same text.
func TestTheSameCertificatesAreTheSameText(t *testing.T) {
	f := newFamily(t)
	key := keyPEM(t, f.leaf.key)
	want := certPEM(f.leaf, f.middle)
	assert.Equal(t, certs.NormalizeChain(want, key), want)
	assert.Equal(t, certs.NormalizeKey(key), key)
	replace := func(old, with string) func(string) string {
		return func(s string) string { return strings.ReplaceAll(s, old, with) }
	}
	for name, paste := range map[string]func(string) string{
		"CRLF":               replace("\n", "\r\n"),
		"CR":                 replace("\n", "\r"),
		"indented":           func(s string) string { return "  " + strings.ReplaceAll(s, "\n", "\n\t ") },
		"joined by YAML":     replace("\n", " "),
		"escaped by JSON":    replace("\n", `\n`),
		"escaped CRLF":       replace("\n", `\r\n`),
		"byte order mark":    func(s string) string { return "\ufeff" + s },
		"space around":       func(s string) string { return "\n\n \t" + s + " \n\n" },
		"no line at the end": strings.TrimSpace,
		"other width":        func(s string) string { return strings.ReplaceAll(s, "\n", "") },
		"comments": func(s string) string {
			return "# of the broker\n" + replace("-----BEGIN", "subject=CN = x\n\n-----BEGIN")(s) + "# end"
		},
		"twice": func(s string) string { return s + s },
		"a bag of openssl's": func(s string) string {
			return "Bag Attributes\n    localKeyID: 01 \nKey Attributes: <No Attributes>\n" + s
		},
		"an empty line inside": func(s string) string { return strings.Replace(s, "\n", "\n\n", 3) },
	} {
		assert.Equal(t, certs.NormalizeChain(paste(want), key), want, name)
		assert.Equal(t, certs.NormalizeKey(paste(key)), key, name)
		assert.Equal(t, certs.NormalizeCertificates(paste(certPEM(f.root))), certPEM(f.root), name)
	}
	for name, order := range map[string][]issuer{
		"reversed":       {f.root, f.middle, f.leaf},
		"root before":    {f.leaf, f.root, f.middle},
		"leaf last":      {f.middle, f.leaf, f.root},
		"with doublets":  {f.middle, f.middle, f.leaf, f.root, f.leaf},
		"in order":       {f.leaf, f.middle, f.root},
		"middle of both": {f.root, f.leaf, f.middle},
	} {
		assert.Equal(t, certs.NormalizeChain(certPEM(order...), key), certPEM(f.leaf, f.middle, f.root), name)
		assert.Equal(t, certs.NormalizeChain(certPEM(order...), "[secret]"), certPEM(f.leaf, f.middle, f.root), name+", without the key")
	}
	// Those of an authority are not a chain: their order is left.
	assert.Equal(t, certs.NormalizeCertificates(certPEM(f.root, f.leaf, f.middle)), certPEM(f.root, f.leaf, f.middle))
	for _, refused := range []string{"", "[secret]", "/etc/ssl/x.pem", "-----BEGIN CERTIFICATE-----"} {
		assert.Equal(t, certs.NormalizeChain(refused, key), refused)
		assert.Equal(t, certs.NormalizeCertificates(refused), refused)
		assert.Equal(t, certs.NormalizeKey(refused), refused)
	}
}

// The two of a renewal have one key: the server's own is the first of them.
func TestOfTwoWithOneKeyTheFirstIsServed(t *testing.T) {
	f := newFamily(t)
	renewed := issue(t, host, f.leaf.key, &f.middle, server)
	assert.Equal(t, certs.NormalizeChain(certPEM(renewed, f.leaf, f.middle), keyPEM(t, f.leaf.key)), certPEM(renewed, f.middle, f.leaf))
}

// Of two servers' certificates the key tells which one is served.
func TestTheKeyTellsWhichIsServed(t *testing.T) {
	f := newFamily(t)
	other := issue(t, host, ec(t, elliptic.P256()), &f.middle, server)
	all := certPEM(f.leaf, other, f.middle)
	assert.Equal(t, certs.NormalizeChain(all, keyPEM(t, f.leaf.key)), certPEM(f.leaf, f.middle, other))
	assert.Equal(t, certs.NormalizeChain(all, keyPEM(t, other.key)), certPEM(other, f.middle, f.leaf))
}

func TestEveryFormOfAKeyIsReadAndFits(t *testing.T) {
	p256, rsa2048 := ec(t, elliptic.P256()), rsaKey(t, 2048)
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	assert.NilError(t, err)
	sec1, err := x509.MarshalECPrivateKey(p256)
	assert.NilError(t, err)
	pkcs1 := x509.MarshalPKCS1PrivateKey(rsa2048)
	curve := block("EC PARAMETERS", []byte{0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07})
	ecCert, rsaCert, edCert := issue(t, host, p256, nil, server), issue(t, host, rsa2048, nil, server), issue(t, host, ed, nil, server)
	for name, c := range map[string]struct {
		key, want string
		of        issuer
	}{
		"PKCS #8, ECDSA":         {keyPEM(t, p256), keyPEM(t, p256), ecCert},
		"PKCS #8, RSA":           {keyPEM(t, rsa2048), keyPEM(t, rsa2048), rsaCert},
		"PKCS #8, Ed25519":       {keyPEM(t, ed), keyPEM(t, ed), edCert},
		"PKCS #1":                {block("RSA PRIVATE KEY", pkcs1), block("RSA PRIVATE KEY", pkcs1), rsaCert},
		"SEC 1":                  {block("EC PRIVATE KEY", sec1), block("EC PRIVATE KEY", sec1), ecCert},
		"with its curve":         {curve + block("EC PRIVATE KEY", sec1), block("EC PRIVATE KEY", sec1), ecCert},
		"PKCS #1 under another":  {block("PRIVATE KEY", pkcs1), block("RSA PRIVATE KEY", pkcs1), rsaCert},
		"SEC 1 under another":    {block("PRIVATE KEY", sec1), block("EC PRIVATE KEY", sec1), ecCert},
		"beside its certificate": {certPEM(ecCert) + keyPEM(t, p256), keyPEM(t, p256), ecCert},
		"the same key twice":     {keyPEM(t, p256) + keyPEM(t, p256), keyPEM(t, p256), ecCert},
	} {
		public, err := certs.ReadKey(c.key)
		assert.NilError(t, err, name)
		assert.Assert(t, certs.Fits(c.of.Certificate, public), name)
		assert.Equal(t, certs.NormalizeKey(c.key), c.want, name)
		_, err = tls.X509KeyPair([]byte(certs.NormalizeChain(certPEM(c.of), c.key)), []byte(certs.NormalizeKey(c.key)))
		assert.NilError(t, err, name)
	}
}

// badText is refused as certificates and as a key, with these words.
type badText struct{ name, text, asCertificates, asKey string }

func badTexts(t testing.TB) []badText {
	f := newFamily(t)
	key := keyPEM(t, f.leaf.key)
	der, err := x509.MarshalPKCS8PrivateKey(f.leaf.key)
	assert.NilError(t, err)
	request, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, f.leaf.key)
	assert.NilError(t, err)
	public, err := x509.MarshalPKIXPublicKey(f.leaf.key.Public())
	assert.NilError(t, err)
	x25519, err := ecdh.X25519().GenerateKey(rand.Reader)
	assert.NilError(t, err)
	pkcs12 := []byte("0\x82\x0a\x00\x02\x01\x030\x82\x09\xb0 and so on")
	base64Of := func(der []byte) string { return base64.StdEncoding.EncodeToString(der) }
	mangled := func(der []byte) string { return strings.ToValidUTF8(string(der), "\ufffd") }
	const holdsKey, holdsNoKey = "it holds a private key, which belongs into privateKey", "it holds a certificate and no key"
	const encrypted = "it is encrypted, and nobody is there to give its passphrase: decrypt it with openssl pkey -in FILE -out key.pem"
	const convert = ": convert it with openssl x509 -inform der -in FILE -out cert.pem, or a key with openssl pkey -inform der -in FILE -out key.pem"
	const request1 = "it is a certificate request: set the certificate that the authority makes of it"
	const other = "it cannot be read: it is damaged, or of another kind: RSA and ECDSA keys are taken"
	same := func(name, text, want string) badText { return badText{name, text, want, want} }
	return []badText{
		same("a path", "/etc/letsencrypt/live/mqtt.example.com/fullchain.pem", certs.ErrNothing.Error()),
		same("nothing", "", certs.ErrNothing.Error()),
		same("some text", "the certificate is\nin the vault", "it is no PEM: there is no line -----BEGIN ...-----"),
		same("dashes of a word processor", strings.ReplaceAll(certPEM(f.leaf), "--", "–"), "it is no PEM: there is no line -----BEGIN ...-----"),
		same("the end alone", key[20:], "its first line is cut off: there is a line END and none BEGIN"),
		same("a piece of a key", key[40:100], "it is no PEM: there is no line -----BEGIN ...-----"),
		same("a key of SSH", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIExample ops@example.com", "it is a public key of SSH"),
		same("base64 of a certificate", base64Of(f.leaf.Raw), "it is a certificate without its lines BEGIN and END"),
		same("base64 of a key", base64Of(der), "it is a private key without its lines BEGIN and END"),
		same("base64 of a request", base64Of(request), "it is a certificate request without its lines BEGIN and END"),
		same("base64 of PKCS #12", base64Of(pkcs12), "it is PKCS #12 in base64: after base64 -d, convert it with openssl pkcs12 -in FILE -nodes"),
		same("base64 of something", base64Of([]byte("0 and so on, for some length")), "it is base64 without its lines BEGIN and END"),
		same("DER", string(f.leaf.Raw), "it is binary (DER)"+convert),
		same("DER through JSON", mangled(f.leaf.Raw), "it is binary (DER)"+convert),
		same("a key in DER", mangled(der), "it is binary (DER)"+convert),
		same("PKCS #12", string(pkcs12), "it is PKCS #12: convert it with openssl pkcs12 -in FILE -nodes"),
		same("PKCS #12 through JSON", mangled(pkcs12), "it is PKCS #12: convert it with openssl pkcs12 -in FILE -nodes"),
		same("a request", block("CERTIFICATE REQUEST", request), request1),
		same("an old request", block("NEW CERTIFICATE REQUEST", request), request1),
		same("a public key", block("PUBLIC KEY", public), "it is a public key"),
		same("the curve alone", block("EC PARAMETERS", []byte{6, 1, 1}), "it holds the parameters of a key, and no key"),
		same("PKCS #7", block("PKCS7", []byte{48, 1, 1}), "it is PKCS #7: convert it with openssl pkcs7 -in FILE -print_certs -out chain.pem"),
		same("a revocation list", block("X509 CRL", []byte{48, 1, 1}), "it is a list of revoked certificates"),
		same("something else", block("AGE ENCRYPTED FILE", []byte{48}), "it holds a block AGE ENCRYPTED FILE"),
		{"with trust settings", block("TRUSTED CERTIFICATE", f.leaf.Raw), "it is in OpenSSL's form with trust settings: convert it with openssl x509 -in FILE -out cert.pem", holdsNoKey},

		{"a key", key, holdsKey, ""},
		{"a key among certificates", certPEM(f.leaf) + key + certPEM(f.middle), holdsKey, ""},
		{"a certificate", certPEM(f.leaf), "", holdsNoKey},
		{"one that is cut off", certPEM(f.leaf, f.middle)[:800], "its block 2 does not end: the text is cut off", holdsNoKey},
		{"an end that is another's", strings.Replace(certPEM(f.leaf, f.middle), "-----END CERTIFICATE-----", "", 1), "its block 1 does not end: the text is cut off", holdsNoKey},
		{"a damaged line", strings.Replace(certPEM(f.leaf), "MII", "M!I", 1), "its block 1 is no base64: the text is damaged", holdsNoKey},
		{"an empty block", block("CERTIFICATE", nil), "its block 1 is no base64: the text is damaged", holdsNoKey},
		{"no certificate", block("CERTIFICATE", f.leaf.Raw[:100]), "its block 1 cannot be read: x509: malformed certificate", holdsNoKey},
		{
			"everything at once", block("CERTIFICATE", []byte{1}) + certPEM(f.leaf) + key + block("CERTIFICATE REQUEST", request) + "-----BEGIN CERTIFICATE-----",
			"its block 1 cannot be read: x509: malformed certificate; " + holdsKey + "; " + request1 + "; its block 5 does not end: the text is cut off", "",
		},

		{"encrypted", block("ENCRYPTED PRIVATE KEY", []byte{48, 1}), holdsKey, encrypted},
		{"encrypted, the old way", "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,0A1B\n\nAAAA\n-----END RSA PRIVATE KEY-----\n", holdsKey, encrypted},
		{"OpenSSH's", block("OPENSSH PRIVATE KEY", []byte("openssh-key-v1\x00")), holdsKey, "it is a key in OpenSSH's own form: convert a copy of it with ssh-keygen -p -N '' -m PKCS8 -f COPY"},
		{"DSA", block("DSA PRIVATE KEY", []byte{48, 1, 1}), holdsKey, "it is a DSA key, which TLS has given up: RSA and ECDSA keys are taken"},
		{"X25519", keyPEM(t, x25519), holdsKey, "it is an X25519 key, which signs nothing: RSA and ECDSA keys are taken"},
		{"a damaged key", block("PRIVATE KEY", der[:60]), holdsKey, other},
		{"a key that is cut off", key[:150], holdsKey, "its key does not end: the text is cut off"},
		{"two keys", key + keyPEM(t, ec(t, elliptic.P384())), holdsKey, "it holds 2 keys: leave the certificate's own, and no other"},
	}
}

func TestWhatIsNoPEMIsToldForWhatItIs(t *testing.T) {
	for _, c := range badTexts(t) {
		t.Run(c.name, func(t *testing.T) {
			_, err := certs.ReadCertificates(c.text)
			assert.Equal(t, said(err), c.asCertificates)
			_, err = certs.ReadKey(c.text)
			assert.Equal(t, said(err), c.asKey)
		})
	}
}

func said(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}
