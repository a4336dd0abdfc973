package settings

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

const octet = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`

// formats are those that a tag "format" or "keys" may name, beside "ocid:kind" and
// "given:kind".
var formats = map[string]structconfig.Format{
	"backup-policy": {
		Short: "bronze, silver, gold or OCID", Want: "bronze, silver, gold or an OCID such as ocid1.volumebackuppolicy.oc1..aaaa",
		Pattern: `^(bronze|silver|gold|ocid1\.volumebackuppolicy\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+)$`,
	},

	"api":          {Short: "letters, digits and ._~+/=-", Want: "letters, digits and ._~+/=-", Pattern: cluster.APIPattern},
	"bcrypt":       {Short: "bcrypt hash", Want: "a bcrypt hash such as $2b$10$ and 53 characters, of 4 to 12 rounds, as EMQX takes it", Pattern: `^\$2[ab]\$(0[4-9]|1[0-2])\$[./A-Za-z0-9]{53}$`},
	"cidr":         {Short: "IPv4 range", Want: "an IPv4 range such as 10.0.0.0/16", Pattern: `^(` + octet + `\.){3}` + octet + `/([0-9]|[12][0-9]|3[0-2])$`, Check: isRange},
	"cookie":       {Short: "a letter, 19 to 254 letters and digits", Want: "a letter followed by 19 to 254 letters and digits", Pattern: cluster.CookiePattern},
	"datacenter":   {Short: "name", Want: "1 to 63 lower-case letters, digits, - and _", Pattern: cluster.DatacenterPattern},
	"domain":       {Short: "domain", Want: "a domain such as mqtt.example.com", Pattern: `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`, Check: func(s string) bool { return len(s) <= 253 }},
	"host":         {Short: "address or name", Want: "an address or a name, such as 10.0.2.10", Pattern: `^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`},
	"image":        {Short: "image", Want: "an image with its version, such as name:1.2.3", Pattern: `^[a-zA-Z0-9][^\s:@]*(:[0-9]+/[^\s:@]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`, Check: cluster.Pinned},
	"index":        {Short: "node index", Want: "a node's index, such as \"1\"", Pattern: `^(0|[1-9][0-9]?)$`},
	"region":       {Short: "region", Want: "a region of OCI such as eu-frankfurt-1", Pattern: regionPattern.String(), Check: isRegion, Suggest: nearRegion},
	"ssh-key":      {Short: "public key", Want: "one public key as in authorized_keys, such as ssh-ed25519 AAAA...", Pattern: `^(ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( [^\n]*)?\n?$`},
	"ticket-keys":  {Short: "3 lines of base64", Want: "three different lines of 80 bytes in base64, as `emqx-oci tickets` makes them", Check: isTicketKeys},
	"tag":          {Short: "name", Want: "1 to 100 characters of printable ASCII without spaces and dots", Pattern: limits.TagPattern},
	"mqtt-user":    {Short: "user name", Want: "1 to 64 letters, digits and ._@:-", Pattern: cluster.UserPattern},
	"topic-filter": {Short: "topic filter", Want: "a topic filter such as devices/${username}/#"},                  // the rest is told by its own words
	"namespace":    {Short: "name", Want: "1 to 128 letters, digits and dashes", Pattern: `^[a-zA-Z0-9-]{1,128}$`}, // nomad/structs/structs.go, validNamespaceName
	"url":          {Short: "URL", Want: "a URL such as https://10.0.2.10:4646", Pattern: `^https?://[^/\s]+`, Check: isURL},
	"version":      {Short: "version", Want: "a version such as 1.11.2", Pattern: `^[0-9]+\.[0-9]+\.[0-9]+$`},

	"certificates":  ofPEM("PEM certificates", `-----BEGIN CERTIFICATE-----`, readCertificates),
	"email":         {Short: "e-mail address", Want: "an e-mail address such as ops@example.com", Pattern: `^[^\s@,;:<>?%&]+@([A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?\.)+[A-Za-z]{2,}$`},
	"emqx-variable": {Short: "EMQX_...", Want: "a variable of EMQX, EMQX_ and capital letters, with _ or __ between words", Pattern: cluster.VariablePattern},
	"header": {
		Short: "header", Want: "a header's name in small letters, such as x-api-key; authorization has a setting of its own", Pattern: `^[a-z0-9-]+$`,
		Check: func(s string) bool { return s != "authorization" && s != "content-type" },
	},
	"https-url":        {Short: "https URL", Want: "an https URL without a user, such as https://auth.example.com/ask", Pattern: `^https://[^/\s@]+`, Check: isPlainURL},
	"host-port":        {Short: "host:port", Want: "host:port, such as 10.0.2.10:4647", Pattern: `^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$`, Check: func(s string) bool { _, p, _ := strings.Cut(s, ":"); return isPort(p) }},
	"own-variable":     {Short: "EMQX_OCI_...", Want: "a variable of this program's, such as EMQX_OCI_SECRETS", Pattern: `^EMQX_OCI_[A-Z0-9_]+$`},
	"printable":        {Short: "printable ASCII", Want: "printable ASCII without spaces", Pattern: cluster.PasswordPattern},
	"private-key":      ofPEM("a private key in PEM", `-----BEGIN [A-Z ]*PRIVATE KEY-----`, readKey),
	"public-key":       ofPEM("a public key in PEM", `-----BEGIN PUBLIC KEY-----`, readPublicKey),
	"revocation-lists": {Short: "PEM", Want: "PEM lists of revoked certificates", Pattern: `-----BEGIN X509 CRL-----`, Check: isRevocationLists},
	"socks":            {Short: "socks5h://host:port", Want: "socks5h://host:port", Pattern: `^socks5h://([^@/\s]+@)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$`, Check: isURL},
}

// format finds a format by its name: one of formats, "ocid:vcn|subnet" for an OCID of
// one of these kinds, or "given:vcn" for an OCID or a display name.
func format(name string) (structconfig.Format, bool) {
	kind, kinds, has := strings.Cut(name, ":")
	if !has {
		f, ok := formats[name]
		return f, ok
	}
	first, _, _ := strings.Cut(kinds, "|")
	f := structconfig.Format{
		Want:    "an OCID such as ocid1." + first + ".oc1..aaaa",
		Pattern: limits.OCIDPattern(strings.Split(kinds, "|")...),
		Short:   "OCID",
	}
	if kind == "given" {
		f.Name = &structconfig.Name{NotPrefix: "ocid1.", Length: 255}
		f.Want += " or a display name"
		f.Short += " or name"
	}
	return f, kind == "ocid" || kind == "given"
}

// isRange refuses a range with host bits: 10.0.0.1/24 may mean either.
func isRange(text string) bool {
	p, err := netip.ParsePrefix(text)
	return err == nil && p.Addr().Is4() && p.Masked() == p
}

func isURL(text string) bool {
	u, err := url.Parse(text)
	return err == nil && u.Hostname() != "" && (u.Port() == "" || isPort(u.Port()))
}

// isPlainURL: EMQX refuses a user and a fragment in one (emqx_auth_utils:parse_url).
func isPlainURL(text string) bool {
	u, err := url.Parse(text)
	return isURL(text) && err == nil && u.User == nil && u.Fragment == ""
}

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535
}

// ofPEM is a format that certs reads; the pattern is what a schema can see of it.
func ofPEM(want, pattern string, read func(text string) error) structconfig.Format {
	return structconfig.Format{
		Short: "PEM", Want: want, Pattern: pattern,
		Check: func(text string) bool { return read(text) == nil },
		Diagnose: func(text string) string {
			if err := read(text); err != nil && !errors.Is(err, certs.ErrNothing) {
				return err.Error()
			}
			return ""
		},
	}
}

func readCertificates(text string) error {
	_, err := certs.ReadCertificates(text)
	return err
}

// readKey leaves a key that is damaged to validateKeys.
func readKey(text string) error {
	_, err := certs.ReadKey(text)
	if errors.Is(err, certs.ErrUnreadableKey) {
		return nil
	}
	return err
}

// readPublicKey takes one key, as EMQX does.
func readPublicKey(text string) error {
	block, rest := pem.Decode([]byte(text))
	switch {
	case block == nil || block.Type != "PUBLIC KEY":
		return certs.ErrNothing
	case strings.TrimSpace(string(rest)) != "":
		return errors.New("holds more than one")
	}
	_, err := x509.ParsePKIXPublicKey(block.Bytes)
	return err
}

func isRevocationLists(text string) bool {
	_, err := parseRevocationLists(text)
	return err == nil
}

func parseRevocationLists(text string) ([]*x509.RevocationList, error) {
	var all []*x509.RevocationList
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "X509 CRL" {
			return nil, fmt.Errorf("parsing lists of revoked certificates: found a %s among them", block.Type)
		}
		l, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing lists of revoked certificates: %w", err)
		}
		all = append(all, l)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("parsing lists of revoked certificates: found none")
	}
	return all, nil
}
