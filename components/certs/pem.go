package certs

import (
	"encoding/base64"
	"encoding/pem"
	"regexp"
	"strings"
)

// block is one PEM block as somebody pasted it.
type block struct {
	label string
	der   []byte
	// encrypted by the headers of OpenSSL's old form.
	encrypted bool
	// fault says why der is not known.
	fault string
}

var begin = regexp.MustCompile(`-----BEGIN ([A-Z0-9 ]{0,40})-----`)

// unescape undoes what JSON and shells make of line ends.
var unescape = strings.NewReplacer(`\r`, "", `\n`, "\n")

// blocks are those of a text; what stands around them is comment. encoding/pem wants each line where it belongs; this does
// not: in YAML behind ">" lines are joined, in a terminal they are indented.
func blocks(text string) []block {
	var all []block
	for {
		at := begin.FindStringSubmatchIndex(text)
		if at == nil {
			return all
		}
		b := block{label: text[at[2]:at[3]]}
		text = text[at[1]:]
		end, next := strings.Index(text, "-----END "+b.label+"-----"), begin.FindStringIndex(text)
		if end < 0 || next != nil && next[0] < end {
			b.fault = "does not end: the text is cut off"
		} else {
			b.decode(text[:end])
			text = text[end:]
		}
		all = append(all, b)
	}
}

// decode reads what stands between the two lines.
func (b *block) decode(body string) {
	body = unescape.Replace(body)
	if strings.Contains(body, "Proc-Type:") && strings.Contains(body, "ENCRYPTED") { // RFC 1421
		b.encrypted = true
		return
	}
	der, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(body), ""))
	if err != nil || len(der) == 0 {
		b.fault = "is no base64: the text is damaged"
		return
	}
	b.der = der
}

func encode(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}
