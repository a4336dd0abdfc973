package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// EMQX reads the value of every EMQX_ variable as HOCON, first as a whole
// document, then as the value of a key; what is neither stays as it was written.
// So `a#b` is "a", `a b` is "ab", `0012` is 12, `a=b` is a map, `a,b` is "a,b".
// The scanner's token rules are those of emqx/hocon (hocon_scanner.xrl).

type hoconInt struct{ text string } // digits without leading zeros

var errHocon = errors.New("not hocon")

// parseHocon returns string, hoconInt, float64, bool, nil, []any or map[string]any.
func parseHocon(value string) any {
	if value == "" {
		return ""
	}
	toks, err := scanHocon(value)
	if err != nil {
		return value
	}
	p := hoconParser{toks: toks}
	if doc, err := p.document(); err == nil {
		return doc
	}
	p = hoconParser{toks: toks}
	if v, err := p.value(); err == nil && p.pos == len(p.toks) {
		return v
	}
	return value
}

type hoconToken struct {
	kind byte // one of {}[],= or s (string) u (unquoted) i f b n
	text string
}

func scanHocon(s string) ([]hoconToken, error) {
	var out []hoconToken
	for i := 0; i < len(s); {
		c := s[i]
		switch {
		case strings.IndexByte(" \t\v\f\r\n", c) >= 0:
			i++
		case c == '#' || strings.HasPrefix(s[i:], "//"):
			for i < len(s) && s[i] != '\n' && s[i] != '\r' {
				i++
			}
		case strings.IndexByte("{}[],:=", c) >= 0:
			if c == ':' {
				c = '='
			}
			out = append(out, hoconToken{c, s[i : i+1]})
			i++
		case c == '"':
			text, n, err := scanQuoted(s[i:])
			if err != nil {
				return nil, err
			}
			out = append(out, hoconToken{'s', text})
			i += n
		case isLetter(c):
			n := i + 1
			for n < len(s) && (isLetter(s[n]) || isDigit(s[n]) || strings.IndexByte("_.@%-|", s[n]) >= 0) {
				n++
			}
			out = append(out, wordToken(s[i:n]))
			i = n
		case isDigit(c) || c == '+' || c == '-' || c == '.':
			tok, n := scanNumber(s[i:])
			if n == 0 {
				return nil, errHocon
			}
			out = append(out, tok)
			i += n
		default:
			return nil, errHocon
		}
	}
	return out, nil
}

func wordToken(w string) hoconToken {
	switch w {
	case "true", "false":
		return hoconToken{'b', w}
	case "null":
		return hoconToken{'n', w}
	}
	return hoconToken{'u', w}
}

func scanQuoted(s string) (string, int, error) {
	if strings.HasPrefix(s, `"""`) {
		end := strings.Index(s[3:], `"""`)
		if end < 0 {
			return "", 0, errHocon
		}
		return unescapeHocon(s[3 : 3+end]), end + 6, nil
	}
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '\n', '\r':
			return "", 0, errHocon
		case '"':
			return unescapeHocon(s[1:i]), i + 1, nil
		}
	}
	return "", 0, errHocon
}

func unescapeHocon(s string) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	r := strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\b`, "\b", `\f`, "\f")
	return r.Replace(s)
}

var hoconUnits = []string{"kb", "KB", "mb", "MB", "gb", "GB", "ms", "MS", "d", "D", "h", "H", "m", "M", "s", "S", "%"}

// scanNumber takes the longest of integer, float, duration, byte size, percent.
func scanNumber(s string) (hoconToken, int) {
	n := 0
	if s[0] == '+' || s[0] == '-' {
		n++
	}
	d := n
	for n < len(s) && isDigit(s[n]) {
		n++
	}
	digits := n - d
	if n+1 < len(s) && s[n] == '.' && isDigit(s[n+1]) {
		n++
		for n < len(s) && isDigit(s[n]) {
			n++
		}
		return hoconToken{'f', s[:n]}, n
	}
	if digits == 0 {
		return hoconToken{}, 0
	}
	if d == 0 {
		for _, u := range hoconUnits {
			if strings.HasPrefix(s[n:], u) {
				return hoconToken{'s', s[:n+len(u)]}, n + len(u)
			}
		}
	}
	return hoconToken{'i', s[:n]}, n
}

type hoconParser struct {
	toks []hoconToken
	pos  int
}

func (p *hoconParser) peek() byte {
	if p.pos < len(p.toks) {
		return p.toks[p.pos].kind
	}
	return 0
}

// document parses `{...}` or bare fields. Nothing at all is an empty map: that is
// what a value that begins with # becomes.
func (p *hoconParser) document() (any, error) {
	if p.peek() == '{' {
		v, err := p.object()
		if err == nil && p.pos != len(p.toks) {
			err = errHocon
		}
		return v, err
	}
	m := map[string]any{}
	return m, p.fields(m, 0)
}

func (p *hoconParser) fields(m map[string]any, end byte) error {
	for {
		if p.peek() == ',' && len(m) > 0 {
			p.pos++
		}
		if p.peek() == end {
			return nil
		}
		k := p.peek()
		if k != 's' && k != 'u' {
			return errHocon
		}
		path := []string{p.toks[p.pos].text}
		if k == 'u' { // a dot inside quotes is one of the name's
			path = strings.Split(path[0], ".")
		}
		p.pos++
		switch p.peek() {
		case '=':
			p.pos++
		case '{':
		default:
			return errHocon
		}
		v, err := p.value()
		if err != nil {
			return err
		}
		setHoconPath(m, path, v)
	}
}

func setHoconPath(m map[string]any, path []string, v any) {
	for len(path) > 1 {
		next, ok := m[path[0]].(map[string]any)
		if !ok {
			next = map[string]any{}
			m[path[0]] = next
		}
		m, path = next, path[1:]
	}
	m[path[0]] = v
}

func (p *hoconParser) object() (any, error) {
	p.pos++
	m := map[string]any{}
	if err := p.fields(m, '}'); err != nil {
		return nil, err
	}
	p.pos++
	return m, nil
}

func (p *hoconParser) value() (any, error) {
	if p.pos >= len(p.toks) {
		return nil, errHocon
	}
	t := p.toks[p.pos]
	switch t.kind {
	case 'i':
		p.pos++
		return hoconInt{trimInt(t.text)}, nil
	case 'f':
		p.pos++
		f, err := strconv.ParseFloat(t.text, 64)
		return f, err
	case 'b':
		p.pos++
		return t.text == "true", nil
	case 'n':
		p.pos++
		return nil, nil
	case 's', 'u': // neighbours are glued together, up to the next key (hocon_token:trans_key)
		var b strings.Builder
		for b.WriteString(t.text); p.pos+1 < len(p.toks); b.WriteString(p.toks[p.pos].text) {
			if k := p.toks[p.pos+1].kind; k != 's' && k != 'u' || p.isKey(p.pos+1) {
				break
			}
			p.pos++
		}
		p.pos++
		return b.String(), nil
	case '{':
		return p.object()
	case '[':
		p.pos++
		list := []any{}
		for p.peek() != ']' {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			list = append(list, v)
			if p.peek() == ',' {
				p.pos++
			}
		}
		p.pos++
		return list, nil
	}
	return nil, errHocon
}

// isKey tells of a string whether a value follows it.
func (p *hoconParser) isKey(at int) bool {
	return at+1 < len(p.toks) && (p.toks[at+1].kind == '=' || p.toks[at+1].kind == '{')
}

func trimInt(s string) string {
	neg := strings.HasPrefix(s, "-")
	s = strings.TrimLeft(strings.TrimLeft(s, "+-"), "0")
	if s == "" {
		return "0"
	}
	if neg {
		return "-" + s
	}
	return s
}

func isLetter(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' }
func isDigit(c byte) bool  { return c >= '0' && c <= '9' }

// hoconText is a value as a string typed key gets it; maps, lists and booleans
// are not strings, as on the real one.
func hoconText(v any) (string, error) {
	switch x := v.(type) {
	case string:
		if !utf8.ValidString(x) {
			return "", errors.New("want UTF-8 text")
		}
		return x, nil
	case hoconInt:
		return x.text, nil
	case float64:
		return strconv.FormatFloat(x, 'f', -1, 64), nil
	case nil:
		return "", errors.New(`want a string, got null (put double quotes inside the value)`)
	}
	return "", fmt.Errorf(`want a string, got %s (put double quotes inside the value)`, hoconKind(v))
}

func hoconKind(v any) string {
	switch v.(type) {
	case bool:
		return "a boolean"
	case map[string]any:
		return "a map"
	case []any:
		return "a list"
	}
	return "a number"
}
