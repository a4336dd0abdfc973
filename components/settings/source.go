package settings

// Where the certificate comes from ([TLS.Source]).
const (
	// SourceSecrets is the stack's own configuration.
	SourceSecrets = "secrets"
	// SourceVariable is a Nomad variable that somebody else writes.
	SourceVariable = "variable"
	// SourceVault is a secret of OCI's Vault, SourceACME an authority that is asked by RFC 8555: from
	// both this program writes the variable.
	SourceVault = "vault"
	SourceACME  = "acme"
)

// validateSource checks that what belongs to the source is there, and nothing of another one.
func (s *Settings) validateSource(f checker) {
	t := s.TLS
	if f.Has("tls.source") {
		return
	}
	if t.Outside() {
		if t.Terminate == TerminateEdge {
			f.Add("tls.source", "must not be %s with tls.terminate: edge, as the balancer has its certificate from the stack: let TLS end at the proxy, or set tls.certificate and tls.privateKey", t.Source)
		}
		for _, x := range []struct {
			at    string
			value Secret
		}{{"tls.certificate", t.Certificate}, {"tls.privateKey", t.PrivateKey}} {
			if x.value != "" {
				f.Add(x.at, "must not be set with tls.source: %s, which certificate and key come from", t.Source)
				break // the two go together
			}
		}
	}
	switch {
	case t.Source == SourceVault && t.VaultSecret == "" && !f.Has("tls.vaultSecret"):
		f.Add("tls.vaultSecret", "must be set with tls.source: vault")
	case t.Source != SourceVault && t.VaultSecret != "":
		f.Add("tls.vaultSecret", "must not be set with tls.source: %s, which does not read it", t.Source)
	}
	if t.Source != SourceACME {
		if t.ACME != (ACME{}) {
			f.Add("tls.acme", "must not be set with tls.source: %s, which asks no authority", t.Source)
		}
		return
	}
	s.validateACME(f)
}

func (s *Settings) validateACME(f checker) {
	a := s.TLS.ACME
	if a.Directory == "" && !f.Has("tls.acme.directory") {
		f.Add("tls.acme.directory", "must be set with tls.source: acme, such as https://acme-v02.api.letsencrypt.org/directory")
	}
	if !a.TermsAgreed && !f.Has("tls.acme.termsAgreed") {
		f.Add("tls.acme.termsAgreed", "must be true with tls.source: acme: an authority issues nothing to who does not agree to its terms of service")
	}
	if s.DNS.View != "" && a.CA == "" && !f.Has("dns.view") {
		f.Add("tls.source", "must not be acme with dns.view: an authority on the internet sees nothing of a private zone; one inside has its own tls.acme.ca")
	}
}
