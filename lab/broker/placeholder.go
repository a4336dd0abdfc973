package broker

import (
	"encoding/base64"
	"regexp"
	"slices"
)

// Which placeholders are replaced where; any other text in ${} stays as it is written
// (emqx_authz_rule, emqx_authn_utils, emqx_authn_jwt).
var (
	rulePlaceholders  = []string{"username", "clientid", "cert_common_name", "zone"}
	authnPlaceholders = []string{"username", "clientid", "password", "peerhost", "cert_subject", "cert_common_name", "cert_pem", "zone"}
	claimPlaceholders = []string{"clientid", "username"}
)

var placeholderRE = regexp.MustCompile(`\$\{(\$|[A-Za-z_.]+)\}`)

// render fills in a template; false when the client has no value for a placeholder, which
// is nothing then. ${$} is a dollar sign.
func (who *principal) render(template string, allowed []string) (string, bool) {
	return who.renderEach(template, allowed, func(s string) string { return s })
}

// renderEach fills values in as escape makes them.
func (who *principal) renderEach(template string, allowed []string, escape func(string) string) (string, bool) {
	whole := true
	text := placeholderRE.ReplaceAllStringFunc(template, func(p string) string {
		name := p[2 : len(p)-1]
		if name == "$" {
			return "$"
		}
		if !slices.Contains(allowed, name) {
			return p
		}
		v := who.named(name)
		if v == nil {
			whole = false
			return ""
		}
		return escape(*v)
	})
	return text, whole
}

func (who *principal) named(name string) *string {
	text := func(s string) *string { return &s }
	switch name {
	case "clientid":
		return &who.clientID
	case "username":
		return who.username
	case "password":
		return who.password
	case "peerhost":
		return text(who.host.String())
	case "zone":
		return text("default")
	}
	if who.cert == nil {
		return nil
	}
	switch name {
	case "cert_common_name":
		return &who.cert.cn
	case "cert_subject":
		return &who.cert.dn
	case "cert_pem":
		if who.cert.der != nil {
			return text(base64.StdEncoding.EncodeToString(who.cert.der))
		}
	}
	return nil
}
