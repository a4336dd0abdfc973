package hocon

import (
	"encoding/json"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// Kind is what EMQX makes of a text.
type Kind int

const (
	// Text is no HOCON: EMQX takes it as it stands.
	Text Kind = iota
	// Value is HOCON.
	Value
	// Fatal ends EMQX at its start.
	Fatal
)

// Reading is what EMQX reads.
type Reading struct {
	Kind Kind
	// Value of a [Value]: nil, bool, *big.Int, float64, string, []any or
	// map[string]any. The string of a [Text]; nil when Fatal.
	Value any
	// Same tells that the value is what stands there: the text itself, one quoted
	// string, or an object or a list of such. It is not in 1.10, a b, and pass#word.
	Same bool
}

// Read tells what EMQX makes of a variable's text. Three things are left out: a
// substitution finds nothing, not even the value's own fields; a file that an object
// includes is not there; and the indentation that """~ takes off stays. The last two
// are never the Same.
func Read(text string) Reading {
	asText := plainText(text)
	if text == "" {
		return asText
	}
	// EMQX does the same: so a text can hold more than its value.
	tokens, err := scan(key + "=" + text)
	if err != nil {
		return asText
	}
	p := parser{tokens: keys(withoutTrailingCommas(tokens))}
	for _, t := range tokens {
		if t.fatal {
			return Reading{Kind: Fatal}
		}
		p.lossy = p.lossy || t.lossy
	}
	all, err := p.document()
	if err != nil {
		return asText
	}
	value, ok := all[key]
	if !ok { // a substitution that may be absent, and is
		return Reading{Kind: Fatal}
	}
	same := !p.lossy && len(all) == 1
	switch v := value.(type) {
	case nil:
		same = false
	case string:
		same = same && (v == text || strings.HasPrefix(strings.TrimSpace(text), `"`))
	}
	return Reading{Kind: Value, Value: value, Same: same}
}

// plainText is what EMQX makes a string of character by character, of one byte each
// (list_to_binary/1, which fails above 255).
func plainText(text string) Reading {
	r := Reading{Kind: Text, Value: text, Same: true}
	for _, c := range text {
		if c > 255 {
			return Reading{Kind: Fatal}
		}
		r.Same = r.Same && c < 128
	}
	return r
}

// key is the field that the text is the value of.
const key = "fake_key"

// String is the value in JSON, which is HOCON that EMQX reads as the same value.
func (r Reading) String() string {
	switch v := r.Value.(type) {
	case *big.Int:
		return v.String()
	case float64:
		return decimal(v)
	default:
		text, err := json.Marshal(plain(v))
		if err != nil {
			return "a value that cannot be shown"
		}
		return string(text)
	}
}

// Leaves calls found with the path and the text of every value inside an object;
// of a value that is none, with no path and the value itself.
func (r Reading) Leaves(found func(path []string, value string)) { leaves(nil, r.Value, found) }

func leaves(path []string, value any, found func([]string, string)) {
	switch v := value.(type) {
	case map[string]any:
		for name, inner := range v {
			leaves(append(path[:len(path):len(path)], name), inner, found)
		}
	case string:
		found(path, v)
	default:
		found(path, Reading{Value: v}.String())
	}
}

// plain is a value that encoding/json prints as HOCON wants it.
func plain(value any) any {
	switch v := value.(type) {
	case *big.Int:
		return json.RawMessage(v.String())
	case float64:
		return json.RawMessage(decimal(v))
	case []any:
		list := make([]any, len(v))
		for i, x := range v {
			list[i] = plain(x)
		}
		return list
	case map[string]any:
		object := make(map[string]any, len(v))
		for name, x := range v {
			object[name] = plain(x)
		}
		return object
	}
	return value
}

// decimal prints a number with a point, as Erlang does.
func decimal(f float64) string {
	text := strconv.FormatFloat(f, 'f', -1, 64)
	if f == math.Trunc(f) {
		text += ".0"
	}
	return text
}
