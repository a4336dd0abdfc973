package settings

import (
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// Format is what a text has to look like.
type Format struct {
	// Name of the format in a tag: "cidr", "ocid:vcn".
	Name string
	// Want tells it to a person: "an IPv4 range such as 10.0.0.0/16"; Short does
	// in a table: "IPv4 range".
	Want, Short string
	// Pattern is what a machine that knows no more than regular expressions can
	// see of it; never stricter than the check. Empty when nothing is to see.
	Pattern string
	// Name255 allows any text of 255 characters instead that does not begin like
	// an OCID: a display name.
	Name255 bool

	pattern *regexp.Regexp
	check   func(text string) bool
	// near is what somebody may have meant, empty for nothing in particular; optional.
	near func(text string) string
}

// Match tells whether a text has the format.
func (f *Format) Match(text string) bool {
	if f.Name255 && !strings.HasPrefix(text, "ocid1.") {
		return len([]rune(text)) <= 255 && strings.TrimSpace(text) != ""
	}
	return (f.pattern == nil || f.pattern.MatchString(text)) && (f.check == nil || f.check(text))
}

const octet = `(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])`

// formats are the words that a tag "format" or "keys" may hold, beside
// "ocid:kind" and "given:kind".
var formats = map[string]Format{
	"backup-policy": {
		Short: "bronze, silver, gold or OCID", Want: "bronze, silver, gold or an OCID such as ocid1.volumebackuppolicy.oc1..aaaa",
		Pattern: `^(bronze|silver|gold|ocid1\.volumebackuppolicy\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+)$`,
	},

	"api":    {Short: "letters, digits and ._~+/=-", Want: "letters, digits and ._~+/=-", Pattern: `^[A-Za-z0-9._~+/=-]+$`},
	"cidr":   {Short: "IPv4 range", Want: "an IPv4 range such as 10.0.0.0/16", Pattern: `^(` + octet + `\.){3}` + octet + `/([0-9]|[12][0-9]|3[0-2])$`, check: isRange},
	"cookie": {Short: "a letter, 19 to 254 letters and digits", Want: "a letter followed by 19 to 254 letters and digits", Pattern: `^[A-Za-z][A-Za-z0-9]{19,254}$`},
	// Nomad and Consul share it, and it is a label of the nodes' DNS names: Consul's agent takes lower case, digits, - and _ (agent/config/builder.go).
	"datacenter": {Short: "name", Want: "1 to 63 lower-case letters, digits, - and _", Pattern: `^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$`},
	"domain":     {Short: "domain", Want: "a domain such as mqtt.example.com", Pattern: `^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]{2,63}$`, check: func(s string) bool { return len(s) <= 253 }},
	"host":       {Short: "address or name", Want: "an address or a name, such as 10.0.2.10", Pattern: `^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$`},
	"image":      {Short: "image", Want: "an image with its version, such as name:1.2.3", Pattern: `^[a-zA-Z0-9][^\s:@]*(:[0-9]+/[^\s:@]+)?(:[A-Za-z0-9_][A-Za-z0-9_.-]{0,127})?(@sha256:[0-9a-f]{64})?$`, check: isPinned},
	"index":      {Short: "node index", Want: "a node's index, such as \"1\"", Pattern: `^(0|[1-9][0-9]?)$`},
	"region":     {Short: "region", Want: "a region of OCI such as eu-frankfurt-1", Pattern: regionPattern.String(), check: isRegion, near: nearRegion},
	"ssh-key":    {Short: "public key", Want: "one public key as in authorized_keys, such as ssh-ed25519 AAAA...", Pattern: `^(ssh-rsa|ssh-ed25519|ecdsa-sha2-nistp(256|384|521)) [A-Za-z0-9+/]+=*( [^\n]*)?\n?$`},
	"tag":        {Short: "name", Want: "1 to 100 characters of printable ASCII without spaces and dots", Pattern: `^[!-\-/-~]{1,100}$`},
	"namespace":  {Short: "name", Want: "1 to 128 letters, digits and dashes", Pattern: `^[a-zA-Z0-9-]{1,128}$`}, // nomad/structs/structs.go, validNamespaceName
	"url":        {Short: "URL", Want: "a URL such as https://10.0.2.10:4646", Pattern: `^https?://[^/\s]+`, check: isURL},
	"version":    {Short: "version", Want: "a version such as 1.11.2", Pattern: `^[0-9]+\.[0-9]+\.[0-9]+$`},

	"certificates": {Short: "PEM", Want: "PEM certificates", Pattern: `-----BEGIN CERTIFICATE-----`, check: isCertificates},
	// One spelling of each path: EMQX leaves out empty parts, and of two spellings the later one in order counts.
	"emqx-variable": {Short: "EMQX_...", Want: "a variable of EMQX, EMQX_ and capital letters, with _ or __ between words", Pattern: `^EMQX_[A-Z0-9]+(__?[A-Z0-9]+)*$`},
	"host-port":     {Short: "host:port", Want: "host:port, such as 10.0.2.10:4647", Pattern: `^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$`, check: func(s string) bool { _, p, _ := strings.Cut(s, ":"); return isPort(p) }},
	"own-variable":  {Short: "EMQX_OCI_...", Want: "a variable of this program's, such as EMQX_OCI_SECRETS", Pattern: `^EMQX_OCI_[A-Z0-9_]+$`},
	"printable":     {Short: "printable ASCII", Want: "printable ASCII without spaces", Pattern: `^[!-~]*$`},
	"private-key":   {Short: "PEM", Want: "a private key in PEM", Pattern: `-----BEGIN [A-Z ]*PRIVATE KEY-----`, check: isPrivateKey},
	"socks":         {Short: "socks5h://host:port", Want: "socks5h://host:port", Pattern: `^socks5h://([^@/\s]+@)?[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?:[0-9]{1,5}$`, check: isURL},
}

// newFormat reads the format of a tag, nil for none. The tags are ours, so an
// unknown one is a bug.
func newFormat(tag string) *Format {
	if tag == "" {
		return nil
	}
	f, ok := formats[tag]
	if kind, kinds, has := strings.Cut(tag, ":"); has {
		first, _, _ := strings.Cut(kinds, "|")
		f = Format{
			// ocid1.<kind>.<realm>.[region][.future use].<unique id>
			Want:    "an OCID such as ocid1." + first + ".oc1..aaaa",
			Pattern: `^ocid1\.(` + kinds + `)\.[a-z0-9-]+\.[a-z0-9-]*\.[A-Za-z0-9._-]+$`,
			Name255: kind == "given",
			Short:   "OCID",
		}
		if f.Name255 {
			f.Want += " or a display name"
			f.Short += " or name"
		}
		ok = true
	}
	if !ok {
		panic("settings: no format is called " + tag)
	}
	f.Name = tag
	if f.Pattern != "" {
		f.pattern = regexp.MustCompile(f.Pattern)
	}
	return &f
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

func isPort(text string) bool {
	n, err := strconv.Atoi(text)
	return err == nil && n >= 1 && n <= 65535
}

// isPinned refuses an image that is another one tomorrow.
func isPinned(text string) bool {
	if strings.Contains(text, "@sha256:") {
		return true
	}
	last := text[strings.LastIndex(text, "/")+1:]
	_, tag, ok := strings.Cut(last, ":")
	return ok && tag != "latest"
}

func isCertificates(text string) bool {
	_, err := parseCertificates(text)
	return err == nil
}

func parseCertificates(text string) ([]*x509.Certificate, error) {
	var all []*x509.Certificate
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, fmt.Errorf("parsing certificates: found a %s among them", block.Type)
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("parsing certificates: %w", err)
		}
		all = append(all, c)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("parsing certificates: found none")
	}
	return all, nil
}

func isPrivateKey(text string) bool {
	block, _ := pem.Decode([]byte(text))
	return block != nil && strings.HasSuffix(block.Type, "PRIVATE KEY")
}
