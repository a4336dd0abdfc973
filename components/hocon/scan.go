package hocon

import (
	"errors"
	"math/big"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// kind of a token.
type kind int

const (
	punctuation kind = iota // { } [ ] , and = for both separators
	primitive               // null, a truth value, a number
	unquoted
	quoted // a string, and what is unquoted but begins with a digit: 5MB, 50%, 15s
	variable
	include
	required
	fieldName // made of what stands before a separator or {
	ending
)

type token struct {
	kind  kind
	text  string // of punctuation, a string, a variable's name
	value any    // of a primitive
	path  []string
	line  int
	// optional is of a variable that may be absent.
	optional bool
	// lossy tells that the value is not what stands there; fatal, that hocon fails in
	// a way that EMQX does not expect.
	lossy, fatal bool
}

func (t token) is(text string) bool { return t.kind == punctuation && t.text == text }

var errNoHOCON = errors.New("it is no HOCON")

// lexemes are the rules of hocon's scanner: the longest one wins, the first of
// equally long ones.
var lexemes = []struct {
	pattern *regexp.Regexp
	token   func(text string) token
}{
	{lexeme(`[\t\x0B\f \x{A0}\n\r\x{2028}\x{2029}]`), nil},
	{lexeme(`(#|//)[^\n\r\x{2028}\x{2029}]*`), nil},
	{lexeme(`[{}\[\],:=]`), func(s string) token { return token{kind: punctuation, text: strings.Replace(s, ":", "=", 1)} }},
	{lexeme(`true|false`), func(s string) token { return token{kind: primitive, value: s == "true"} }},
	{lexeme(`null`), func(string) token { return token{kind: primitive} }},
	{lexeme(`[A-Za-z][A-Za-z0-9_.@%\-|]*`), word},
	{lexeme(`[+-]?[0-9]+`), integer},
	{lexeme(`[+-]?([0-9]+)?\.[0-9]+|[+-]?[0-9]+\.[0-9]+[eE][+-]?[0-9]+`), float},
	{lexeme(`"([^"\n\r\x{2028}\x{2029}]|\\["\\bfnrt]|\\u[0-9A-Fa-f]{4})*"`), func(s string) token {
		return token{kind: quoted, text: unescape(s[1 : len(s)-1])}
	}},
	{lexeme(`"""([^"]|"[^"]|""[^"]|\\["\\bfnrt]|\\u[0-9A-Fa-f]{4})*"""`), multiline},
	{lexeme(`[0-9]+(kb|KB|mb|MB|gb|GB|%|d|D|h|H|m|M|s|S|ms|MS)`), func(s string) token { return token{kind: quoted, text: s} }},
	{lexeme(`\$\{[A-Za-z][A-Za-z0-9_.@%\-|]*\}`), func(string) token { return token{kind: variable} }},
	{lexeme(`\$\{\?[A-Za-z][A-Za-z0-9_.@%\-|]*\}`), func(string) token { return token{kind: variable, optional: true, lossy: true} }},
	{lexeme(`required\("([^"\n\r\x{2028}\x{2029}]|\\["\\bfnrt]|\\u[0-9A-Fa-f]{4})*"\)`), func(string) token { return token{kind: required} }},
}

func lexeme(pattern string) *regexp.Regexp {
	r := regexp.MustCompile(`^(?:` + pattern + `)`)
	r.Longest()
	return r
}

// scan cuts a text into tokens. A comment leaves nothing but the loss of it.
func scan(text string) ([]token, error) {
	if !utf8.ValidString(text) {
		return nil, errNoHOCON
	}
	var found []token
	line, lost := 1, false
	for text != "" {
		longest, rule := 0, -1
		for i, l := range lexemes {
			if at := l.pattern.FindStringIndex(text); at != nil && at[1] > longest {
				longest, rule = at[1], i
			}
		}
		if rule < 0 {
			return nil, errNoHOCON
		}
		lexeme := text[:longest]
		if make := lexemes[rule].token; make != nil {
			t := make(lexeme)
			t.line, t.lossy = line, t.lossy || lost
			found, lost = append(found, t), false
		} else {
			lost = lost || lexeme[0] == '#' || lexeme[0] == '/'
		}
		line += strings.Count(lexeme, "\n")
		text = text[longest:]
	}
	if lost && len(found) > 0 {
		found[len(found)-1].lossy = true
	}
	return found, nil
}

func word(text string) token {
	if text == "include" {
		return token{kind: include}
	}
	return token{kind: unquoted, text: text}
}

func integer(text string) token {
	n, _ := new(big.Int).SetString(strings.TrimPrefix(text, "+"), 10)
	return token{kind: primitive, value: n, lossy: n.String() != text}
}

// float: Erlang reads none without a digit between sign and point, and none that is
// too large.
func float(text string) token {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || strings.HasPrefix(text, "-.") || strings.HasPrefix(text, "+.") {
		return token{kind: primitive, fatal: true}
	}
	return token{kind: primitive, value: f, lossy: decimal(f) != text}
}

// multiline is a string in triple quotes. Its indentation may be taken off.
func multiline(text string) token {
	return token{kind: quoted, text: strings.TrimSuffix(strings.TrimPrefix(text, `"""`), `"""`), lossy: true}
}

var escapes = strings.NewReplacer(`\\`, `\`, `\"`, `"`, `\n`, "\n", `\t`, "\t", `\r`, "\r", `\b`, "\b", `\f`, "\f")

// unescape leaves other escapes as they stand, \u with its digits too.
func unescape(text string) string { return escapes.Replace(text) }

// withoutTrailingCommas takes out what stands before } and ].
func withoutTrailingCommas(tokens []token) []token {
	var found []token
	for i, t := range tokens {
		if t.is(",") && i+1 < len(tokens) && (tokens[i+1].is("}") || tokens[i+1].is("]")) {
			continue
		}
		found = append(found, t)
	}
	return found
}

// keys makes names of fields of the strings that stand before a separator or {, and
// takes the separators out, wherever they stand. Objects on lines of their own get a
// comma between them.
func keys(tokens []token) []token {
	var found []token
	for i, t := range tokens {
		if t.is("=") || t.is("{") {
			if last := len(found) - 1; last >= 0 {
				switch f := &found[last]; f.kind {
				case unquoted:
					f.kind, f.path = fieldName, slices.DeleteFunc(strings.Split(f.text, "."), func(s string) bool { return s == "" })
				case quoted:
					f.kind, f.path = fieldName, []string{f.text}
				default: // no field
				}
			}
		}
		if t.is("=") {
			continue
		}
		if i > 0 && t.is("{") && tokens[i-1].is("}") && tokens[i-1].line != t.line {
			found = append(found, token{kind: punctuation, text: ",", line: t.line})
		}
		found = append(found, t)
	}
	return append(found, token{kind: ending})
}
