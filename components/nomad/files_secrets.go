package nomad

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Items of the jobs' Nomad variables.
const (
	ItemErlangCookie      = "erlang_cookie"
	ItemDashboardPassword = "dashboard_password"
	ItemAPIKey            = "api_key"
	ItemAPISecret         = "api_secret"
	ItemLicenseKey        = "license_key"
	ItemEnvironment       = "environment" // see [Environment]
	ItemTLSCert           = "tls_cert"
	ItemTLSKey            = "tls_key"
	ItemTLSCA             = "tls_ca"
	ItemStatsUser         = "stats_user"
	ItemStatsPassword     = "stats_password"
)

var (
	// The cookie reaches EMQX bare, read by a shell script and as HOCON: a
	// quoted one no longer equals the running node's, and "emqx ctl" refuses to
	// work. A first letter keeps HOCON from reading a number. 255 is Erlang's
	// limit for an atom.
	cookiePattern = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9]{15,254}$`)
	// One line "key:secret" of the bootstrap file; a further ":" would begin a role.
	apiPattern = regexp.MustCompile(`^[A-Za-z0-9._~+/=-]{8,}$`)
)

// CheckEMQXSecrets finds values that the EMQX job could not hand over unchanged,
// and missing ones. Its error holds no value.
func CheckEMQXSecrets(items map[string]string, tls, license bool) error {
	var f fault.List
	if !cookiePattern.MatchString(items[ItemErlangCookie]) {
		f.Add(ItemErlangCookie, "must be a letter followed by 15 to 254 letters and digits")
	}
	password(&f, ItemDashboardPassword, items, 8)
	for _, item := range []string{ItemAPIKey, ItemAPISecret} {
		if !apiPattern.MatchString(items[item]) {
			f.Add(item, "must be 8 or more letters, digits and ._~+/=-")
		}
	}
	if tls {
		for _, item := range []string{ItemTLSCert, ItemTLSKey, ItemTLSCA} {
			f.Require(item, items[item])
		}
	}
	if license {
		password(&f, ItemLicenseKey, items, 1)
	}
	return f.Err()
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

// CheckHAProxySecrets does the same for the HAProxy job.
func CheckHAProxySecrets(items map[string]string) error {
	var f fault.List
	password(&f, ItemStatsUser, items, 1)
	for _, r := range items[ItemStatsUser] {
		if r == ':' {
			f.Add(ItemStatsUser, "must hold no colon: HTTP ends the user's name there")
			break
		}
	}
	password(&f, ItemStatsPassword, items, 8)
	return f.Err()
}

// password: any text of one line goes through both jobs' quoting.
func password(f *fault.List, item string, items map[string]string, least int) {
	value := items[item]
	if len(value) < least {
		f.Add(item, "must have at least %d characters", least)
		return
	}
	for _, r := range value {
		if unicode.IsControl(r) || r == unicode.ReplacementChar {
			f.Add(item, "must be valid text without control characters")
			return
		}
	}
}
