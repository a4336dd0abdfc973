package broker

import (
	"fmt"
	"strconv"
	"strings"
)

// A file of rules is a row of Erlang terms, each with a full stop (file:consult). The
// terms in it are atoms, strings, numbers, tuples and lists.

type (
	erlAtom  string
	erlTuple []any
	// Strings are string, lists []any, numbers float64.
)

type erlReader struct {
	text string
	pos  int
}

// erlTerms reads all terms of a file.
func erlTerms(text string) ([]any, error) {
	r := &erlReader{text: text}
	var out []any
	for {
		if r.space(); r.pos == len(r.text) {
			return out, nil
		}
		v, err := r.term(0)
		if err != nil {
			return nil, err
		}
		if r.space(); !r.take('.') {
			return nil, r.fault("want a full stop after a term")
		}
		out = append(out, v)
	}
}

func (r *erlReader) fault(what string) error {
	return fmt.Errorf("line %d: %s", 1+strings.Count(r.text[:r.pos], "\n"), what)
}

// space passes over white space and comments.
func (r *erlReader) space() {
	for r.pos < len(r.text) {
		switch c := r.text[r.pos]; {
		case c <= ' ':
			r.pos++
		case c == '%':
			end := strings.IndexByte(r.text[r.pos:], '\n')
			if end < 0 {
				r.pos = len(r.text)
				return
			}
			r.pos += end
		default:
			return
		}
	}
}

func (r *erlReader) take(c byte) bool {
	if r.pos < len(r.text) && r.text[r.pos] == c {
		r.pos++
		return true
	}
	return false
}

// erlDepth bounds how deep terms may be inside each other.
const erlDepth = 100

func (r *erlReader) term(depth int) (any, error) {
	r.space()
	if r.pos == len(r.text) || depth > erlDepth {
		return nil, r.fault("want a term")
	}
	switch c := r.text[r.pos]; {
	case c == '{':
		items, err := r.items('}', depth)
		return erlTuple(items), err
	case c == '[':
		return r.items(']', depth)
	case strings.HasPrefix(r.text[r.pos:], `<<"`):
		r.pos += 2
		s, err := r.quoted('"')
		if err == nil && !strings.HasPrefix(r.text[r.pos:], ">>") && !strings.HasPrefix(r.text[r.pos:], "/utf8>>") {
			err = r.fault("want >> after a binary")
		}
		r.pos = min(len(r.text), r.pos+strings.Index(r.text[r.pos:]+">>", ">>")+2)
		return s, err
	case c == '"':
		var b strings.Builder
		for r.space(); r.pos < len(r.text) && r.text[r.pos] == '"'; r.space() { // neighbours are one string
			s, err := r.quoted('"')
			if err != nil {
				return nil, err
			}
			b.WriteString(s)
		}
		return b.String(), nil
	case c == '\'':
		s, err := r.quoted('\'')
		return erlAtom(s), err
	case c >= 'a' && c <= 'z':
		return erlAtom(r.word()), nil
	case isDigit(c) || c == '-':
		r.pos++
		digits := string(c) + r.word()
		n, err := strconv.ParseFloat(digits, 64)
		if err != nil {
			return nil, r.fault("want a number, got " + digits)
		}
		return n, nil
	}
	return nil, r.fault(fmt.Sprintf("syntax error before %q", r.text[r.pos:min(len(r.text), r.pos+12)]))
}

func (r *erlReader) word() string {
	from := r.pos
	for r.pos < len(r.text) && (isLetter(r.text[r.pos]) || isDigit(r.text[r.pos]) || r.text[r.pos] == '_' || r.text[r.pos] == '@') {
		r.pos++
	}
	return r.text[from:r.pos]
}

func (r *erlReader) items(end byte, depth int) ([]any, error) {
	r.pos++
	out := []any{}
	if r.space(); r.take(end) {
		return out, nil
	}
	for {
		v, err := r.term(depth + 1)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
		r.space()
		if r.take(end) {
			return out, nil
		}
		if !r.take(',') {
			return nil, r.fault(fmt.Sprintf("want , or %c", end))
		}
	}
}

var erlEscapes = map[byte]byte{'n': '\n', 't': '\t', 'r': '\r', 's': ' ', 'e': 0x1b, 'b': '\b', 'f': '\f', 'v': '\v', '0': 0}

func (r *erlReader) quoted(quote byte) (string, error) {
	r.pos++
	var b strings.Builder
	for r.pos < len(r.text) {
		c := r.text[r.pos]
		r.pos++
		switch {
		case c == quote:
			return b.String(), nil
		case c == '\\' && r.pos < len(r.text):
			e := r.text[r.pos]
			r.pos++
			if plain, ok := erlEscapes[e]; ok {
				e = plain
			}
			b.WriteByte(e)
		default:
			b.WriteByte(c)
		}
	}
	return "", r.fault("a string has no end")
}
