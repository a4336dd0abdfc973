package nomad

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Items of the EMQX job's Nomad variable.
const (
	ItemErlangCookie      = "erlang_cookie"
	ItemDashboardPassword = "dashboard_password"
	ItemAPIKey            = "api_key"
	ItemAPISecret         = "api_secret"
	ItemLicenseKey        = "license_key"
	ItemEnvironment       = "environment" // see [Environment]
	ItemUsers             = "users"       // see [AuthFiles], as the next three
	ItemAuthentication    = "authn"
	ItemAuthorization     = "authz"
	ItemRules             = "acl"
	ItemTLSCert           = "tls_cert"
	ItemTLSKey            = "tls_key"
	ItemTLSCA             = "tls_ca"
)

// CheckEMQXSecrets finds values that the EMQX job could not hand over unchanged,
// and missing ones. Its error holds no value.
func CheckEMQXSecrets(items map[string]string, tls, license bool) error {
	var f fault.List
	check(&f, ItemErlangCookie, items, cluster.CookieFault)
	check(&f, ItemDashboardPassword, items, cluster.PasswordFault)
	check(&f, ItemAPIKey, items, cluster.APIKeyFault)
	check(&f, ItemAPISecret, items, cluster.APISecretFault)
	if tls {
		for _, item := range []string{ItemTLSCert, ItemTLSKey, ItemTLSCA} {
			f.Require(item, items[item])
		}
	}
	if license {
		check(&f, ItemLicenseKey, items, cluster.LicenseFault)
	}
	return f.Err()
}

func check(f *fault.List, item string, items map[string]string, faultOf func(string) string) {
	if what := faultOf(items[item]); what != "" {
		f.Add(item, "%s", what)
	}
}

// Environment are EMQX_ variables (values as HOCON) that must not stand in the job, as
// the script that runs EMQX reads them: [ItemEnvironment].
func Environment(vars map[string]string) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(vars)) {
		// Single quotes take everything as it is, but for themselves.
		fmt.Fprintf(&b, "%s='%s'\n", name, strings.ReplaceAll(vars[name], "'", `'\''`))
	}
	return b.String()
}

// EnvironmentDigest changes with the variables, so that EMQX is restarted in turn with
// new ones, and tells nothing about them to whoever has no key. Empty for none.
func EnvironmentDigest(vars map[string]string, key string) string {
	if len(vars) == 0 {
		return ""
	}
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = mac.Write([]byte(Environment(vars)))
	return hex.EncodeToString(mac.Sum(nil)[:16])
}
