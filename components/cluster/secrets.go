package cluster

import (
	"fmt"
	"regexp"
	"strings"
	"unicode"
)

// What the stack's secrets look like.
const (
	// CookiePattern is Erlang's cookie. It reaches EMQX bare, read by a shell script and as
	// HOCON: a quoted one no longer equals the running node's, and "emqx ctl" refuses to
	// work. A first letter keeps HOCON from reading a number. 255 is Erlang's limit for an
	// atom.
	CookiePattern = `^[A-Za-z][A-Za-z0-9]{19,254}$`
	// APIPattern is a key of EMQX's REST API, and its secret: one line "key:secret" of
	// the bootstrap file, where a further ":" would begin a role.
	APIPattern = `^[A-Za-z0-9._~+/=-]+$`
	// PasswordPattern is a password of EMQX's dashboard and of HAProxy's statistics.
	PasswordPattern = `^[!-~]*$`

	// MinPassword is the fewest characters of a password and of the API's secret, in
	// each case for who can ask as often as he likes; MinAPIKey of the API's key.
	MinPassword = 12
	MinAPIKey   = 8
)

var (
	cookiePattern   = regexp.MustCompile(CookiePattern)
	apiPattern      = regexp.MustCompile(APIPattern)
	passwordPattern = regexp.MustCompile(PasswordPattern)
)

// CookieFault is what is wrong with a cookie, "" for nothing. Like those below it never
// holds the value.
func CookieFault(value string) string {
	if cookiePattern.MatchString(value) {
		return ""
	}
	return "must be a letter followed by 19 to 254 letters and digits"
}

// APIKeyFault is what is wrong with a key of the REST API.
func APIKeyFault(value string) string { return apiFault(value, MinAPIKey) }

// APISecretFault is what is wrong with its secret.
func APISecretFault(value string) string { return apiFault(value, MinPassword) }

func apiFault(value string, least int) string {
	if apiPattern.MatchString(value) && len(value) >= least {
		return ""
	}
	return fmt.Sprintf("must be %d or more letters, digits and ._~+/=-", least)
}

// PasswordFault is what is wrong with a password.
func PasswordFault(value string) string {
	if passwordPattern.MatchString(value) && len(value) >= MinPassword {
		return ""
	}
	return fmt.Sprintf("must be %d or more characters of printable ASCII without spaces", MinPassword)
}

// LicenseFault is what is wrong with EMQX's licence key. It is text of one line: it goes
// through the quoting of a job's template.
func LicenseFault(value string) string {
	if value == "" || strings.ContainsFunc(value, func(r rune) bool { return unicode.IsControl(r) || r == unicode.ReplacementChar }) {
		return "must be text of one line without control characters"
	}
	return ""
}
