package certs

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Server is what a server shows to its clients, and by what they know it.
type Server struct {
	// Certificates are in the order of [Ordered].
	Certificates []*x509.Certificate
	// Authorities are those that clients trust; nil where nobody has told them.
	Authorities []*x509.Certificate
	// UnknownAuthorities: they are told, and cannot be read here. Nothing is said of what the certificates lead to.
	UnknownAuthorities bool
	// KeyIsRefused leaves out what would be said of the kind of the server's own key: it has been said of its private half.
	KeyIsRefused bool
}

// Finding is something that is wrong with a server's certificates, to go on behind the name of the setting.
type Finding struct {
	// OfAuthority is set where it is about [Server.Authorities].
	OfAuthority bool
	// Warning is set where clients are kept out by nothing yet.
	Warning bool
	Text    string
}

// Judge says everything that keeps clients out, or will soon: dates, weak keys and signatures, wrong uses, missing and
// unrelated certificates. That they are for the server's name and key is for [NameFault] and [KeyFault].
func (s Server) Judge(now time.Time) []Finding {
	if len(s.Certificates) == 0 {
		return nil
	}
	j := judge{now: now}
	chain, unrelated := linked(s.Certificates, s.Certificates[0].PublicKey)
	for i, c := range chain {
		j.dates(c)
		if i > 0 {
			j.authority(c)
		}
		if i > 0 || !s.KeyIsRefused {
			j.key(c)
		}
		if i == 0 || !isSelfSigned(c) { // nobody verifies what a root says of itself
			j.signature(c)
		}
	}
	j.use(chain[0])
	s.chain(&j, chain, unrelated)
	return j.found
}

type judge struct {
	now         time.Time
	found       []Finding
	ofAuthority bool
}

func (j *judge) errorf(format string, args ...any) {
	j.found = append(j.found, Finding{OfAuthority: j.ofAuthority, Text: fmt.Sprintf(format, args...)})
}

func (j *judge) warnf(format string, args ...any) {
	j.found = append(j.found, Finding{OfAuthority: j.ofAuthority, Warning: true, Text: fmt.Sprintf(format, args...)})
}

func (j *judge) dates(c *x509.Certificate) {
	switch {
	case j.now.After(c.NotAfter):
		j.errorf("must be valid, got one (%q) that ended on %s", name(c), day(c.NotAfter))
	case j.now.Before(c.NotBefore):
		j.errorf("must be valid, got one (%q) that begins on %s", name(c), day(c.NotBefore))
	case EndsSoon(c.NotAfter, j.now):
		j.warnf("should be renewed%s: the one in use (%q) %s", urgency(c.NotAfter, j.now), name(c), Expiry(c.NotAfter, j.now))
	}
}

// key wants of each key what clients want by default: OpenSSL at security level 2, Go, and the TLS 1.3 of RFC 8446.
func (j *judge) key(c *x509.Certificate) {
	const wanted = "must have RSA keys of 2048 to 8192 bits, or ECDSA keys on P-256, P-384 or P-521, got one (%q) with "
	switch key := c.PublicKey.(type) {
	case *rsa.PublicKey:
		if n := key.N.BitLen(); n < 2048 || n > 8192 { // above it crypto/tls refuses it
			j.errorf(wanted+"an RSA key of %d bits", name(c), n)
		}
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P224() {
			j.errorf(wanted+"an ECDSA key on P-224", name(c))
		}
	case ed25519.PublicKey:
		// Erlang's ssl serves it to clients of TLS 1.3 alone, and breaks off all others.
		j.errorf(wanted+"an Ed25519 key: EMQX serves it to no client of TLS 1.2", name(c))
	default:
		kind := "a key of another kind"
		if c.PublicKeyAlgorithm == x509.DSA {
			kind = "a DSA key"
		}
		j.errorf(wanted+"%s", name(c), kind)
	}
}

func (j *judge) signature(c *x509.Certificate) {
	switch c.SignatureAlgorithm {
	case x509.MD2WithRSA, x509.MD5WithRSA, x509.SHA1WithRSA, x509.ECDSAWithSHA1:
		j.errorf("must be signed with SHA-256 or better, got one (%q) with %s: clients refuse it", name(c), c.SignatureAlgorithm)
	default: // DSA and what is unknown follow from the issuer's key
	}
}

// use looks at what the server's own certificate is for.
func (j *judge) use(c *x509.Certificate) {
	if c.IsCA && c.BasicConstraintsValid {
		j.errorf("must begin with a server's certificate, got that of an authority (%q): some clients refuse it; make one with basicConstraints=CA:FALSE", name(c))
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 &&
		!slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageServerAuth) && !slices.Contains(c.ExtKeyUsage, x509.ExtKeyUsageAny) {
		j.errorf("must be for servers (extendedKeyUsage serverAuth), got one (%q) for %s", name(c), uses(c))
	}
	if c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageDigitalSignature == 0 && !c.IsCA {
		j.errorf("must be for signatures (keyUsage digitalSignature), got one (%q) that is not: some clients refuse its handshake", name(c))
	}
}

// authority looks at who issued another one (RFC 5280, 4.2.1.9 and 4.2.1.3); of the first version nothing tells it.
func (j *judge) authority(c *x509.Certificate) {
	if c.Version == 3 && (!c.BasicConstraintsValid || !c.IsCA) || c.KeyUsage != 0 && c.KeyUsage&x509.KeyUsageCertSign == 0 {
		j.errorf("must hold authorities alone behind the server's certificate, got one (%q) that is none (basicConstraints, keyUsage)", name(c))
	}
}

func uses(c *x509.Certificate) string {
	words := map[x509.ExtKeyUsage]string{
		x509.ExtKeyUsageClientAuth: "clientAuth", x509.ExtKeyUsageCodeSigning: "codeSigning", x509.ExtKeyUsageEmailProtection: "emailProtection",
		x509.ExtKeyUsageTimeStamping: "timeStamping", x509.ExtKeyUsageOCSPSigning: "OCSPSigning",
	}
	var all []string
	for _, u := range c.ExtKeyUsage {
		if w := words[u]; w != "" {
			all = append(all, w)
		}
	}
	if len(all) == 0 {
		return "another use"
	}
	return strings.Join(all, " and ") + " alone"
}

// chain looks at what the certificates are to each other and to the authorities.
func (s Server) chain(j *judge, chain, unrelated []*x509.Certificate) {
	anchor := anchorOf(chain, s.Authorities)
	top := chain[len(chain)-1]
	complete := anchor != nil
	if s.Authorities == nil {
		complete = len(chain) > 1 || isSelfSigned(top) || s.UnknownAuthorities
	}
	if !complete {
		s.incomplete(j, top, unrelated)
		return
	}
	for _, c := range unrelated {
		j.errorf("must not hold %q, which issued none of the others", name(c))
	}
	if len(chain) > 1 && isSelfSigned(top) {
		j.rootIncluded(top, s.Authorities == nil && !s.UnknownAuthorities)
	}
	if anchor != nil && !slices.ContainsFunc(chain, anchor.Equal) {
		j.ofAuthority = true
		j.dates(anchor)
		j.key(anchor)
		j.ofAuthority = false
	}
	if !slices.ContainsFunc(j.found, func(f Finding) bool { return !f.Warning }) {
		if anchor == nil {
			anchor = top
		}
		j.verify(chain, anchor)
	}
}

// anchorOf is the authority that a chain leads to, nil for none.
func anchorOf(chain, authorities []*x509.Certificate) *x509.Certificate {
	for _, c := range chain {
		for _, a := range authorities {
			if a.Equal(c) || issued(a, c) {
				return a
			}
		}
	}
	return nil
}

func (s Server) incomplete(j *judge, top *x509.Certificate, unrelated []*x509.Certificate) {
	if isSelfSigned(top) {
		j.errorf("must lead to an authority in tls.ca, got one that leads to %q", name(top))
		return
	}
	missing := fmt.Sprintf("the issuer of %q, %q", name(top), title(top.Issuer.CommonName, top.Issuer.String()))
	for i, c := range unrelated { // one cause: the wrong ones stand in its place
		word := ", not "
		if i > 0 {
			word = " or "
		}
		missing += fmt.Sprintf("%s%q", word, name(c))
	}
	from := ""
	if len(top.IssuingCertificateURL) > 0 {
		from = " (in DER at " + top.IssuingCertificateURL[0] + ")"
	}
	where := "or set tls.ca to it, where clients trust it themselves"
	if s.Authorities != nil {
		where = "which is not in tls.ca, either"
	}
	j.errorf("must be complete, or clients cannot verify it: append %s%s, %s", missing, from, where)
}

func (j *judge) rootIncluded(root *x509.Certificate, noAuthority bool) {
	instead := ""
	if noAuthority {
		instead = "; set it as tls.ca"
	}
	j.warnf("should not hold the root %q: clients trust a copy of their own, and each handshake carries this one%s", name(root), instead)
}

// verify has the standard library find what no rule here knows: path lengths, constraints of names.
func (j *judge) verify(chain []*x509.Certificate, anchor *x509.Certificate) {
	o := x509.VerifyOptions{Roots: x509.NewCertPool(), Intermediates: x509.NewCertPool(), KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}, CurrentTime: anchor.NotBefore}
	o.Roots.AddCert(anchor)
	for _, c := range chain {
		if c.NotBefore.After(o.CurrentTime) {
			o.CurrentTime = c.NotBefore
		}
		o.Intermediates.AddCert(c)
	}
	_, err := chain[0].Verify(o)
	var invalid x509.CertificateInvalidError
	if err == nil || errors.As(err, &invalid) && invalid.Reason == x509.Expired { // of certificates that were never valid together: see dates
		return
	}
	j.errorf("must be a chain that clients accept: %v", err)
}
