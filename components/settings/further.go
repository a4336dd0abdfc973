package settings

import (
	"crypto/ecdsa"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
)

// furtherPath is where a further certificate stands.
func furtherPath(i int) string { return fmt.Sprintf("tls.certificates[%d]", i) }

// validateFurther checks the certificates beside the main one, whose chain is given.
func (s *Settings) validateFurther(f checker, main []*x509.Certificate) {
	t := s.TLS
	if len(t.Certificates) == 0 || f.hasAbove("tls.certificates") || f.Has("tls.terminate") {
		return
	}
	switch {
	case !t.Enabled() && t.PrivateKey == "":
		f.Add("tls.certificates", "must not be set without tls.certificate, which clients get that ask for no name")
		return
	case t.Terminate == TerminateBroker:
		f.Add("tls.certificates", "must not be set with tls.terminate: broker: EMQX 5.8 has one certificate for all names")
		return
	case t.Terminate == TerminateEdge:
		f.Add("tls.certificates", "must not be set with tls.terminate: edge: a listener of OCI's balancer has one certificate for all names")
		return
	}
	before := [][]*x509.Certificate{main}
	for i, c := range t.Certificates {
		path := furtherPath(i)
		if f.hasAbove(path) || f.HasBelow(path) {
			continue
		}
		all := s.validatePair(f, path, c.Certificate, c.PrivateKey, true)
		if len(all) == 0 {
			continue
		}
		if what := unservedFault(all[0], before); what != "" {
			f.Add(path+".certificate", "%s", what)
		}
		before = append(before, all)
	}
}

// unservedFault says why no client would get a certificate that stands behind others: HAProxy
// takes the first of a name, one with an ECDSA key and one with an RSA key.
func unservedFault(c *x509.Certificate, before [][]*x509.Certificate) string {
	if len(c.DNSNames) == 0 {
		return "must have a name among its subjectAltName, by which clients ask for it"
	}
	taken := func(name string) bool {
		return slices.ContainsFunc(before, func(chain []*x509.Certificate) bool {
			return len(chain) > 0 && isECDSA(chain[0]) == isECDSA(c) &&
				slices.ContainsFunc(chain[0].DNSNames, func(n string) bool { return strings.EqualFold(n, name) })
		})
	}
	if slices.ContainsFunc(c.DNSNames, func(name string) bool { return !taken(name) }) {
		return ""
	}
	return fmt.Sprintf("must have a name that no certificate before it has, got one for %s: no client would get it", strings.Join(c.DNSNames, ", "))
}

func isECDSA(c *x509.Certificate) bool {
	_, ok := c.PublicKey.(*ecdsa.PublicKey)
	return ok
}
