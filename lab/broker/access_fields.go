package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// plain turns what HOCON has read into the values that JSON has, so that a setting is
// the same whichever way it came: string, bool, float64, nil, []any or map[string]any.
func plain(v any) any {
	switch x := v.(type) {
	case hoconInt:
		n, err := strconv.ParseFloat(x.text, 64)
		if err != nil {
			return x.text
		}
		return n
	case json.Number:
		n, _ := x.Float64() // a number of JSON
		return n
	case []any:
		out := make([]any, len(x))
		for i := range x {
			out[i] = plain(x[i])
		}
		return out
	case map[string]any:
		out := make(map[string]any, len(x))
		for k := range x {
			out[k] = plain(x[k])
		}
		return out
	}
	return v
}

// fields reads the settings of one thing and gathers what is wrong with them. As in EMQX
// a number may be written as a string and the other way round.
type fields struct {
	path   string
	m      map[string]any
	asked  map[string]bool
	faults []error
}

func fieldsOf(path string, v any) *fields {
	f := &fields{path: path, asked: map[string]bool{}}
	m, ok := v.(map[string]any)
	if !ok {
		f.faults = append(f.faults, fmt.Errorf("%s: want a map", path))
	}
	f.m = m
	return f
}

func (f *fields) fault(name, format string, args ...any) {
	f.faults = append(f.faults, fmt.Errorf("%s.%s: %w", f.path, name, fmt.Errorf(format, args...)))
}

// value is nil for a field that is absent.
func (f *fields) value(name string) any {
	f.asked[name] = true
	return f.m[name]
}

func (f *fields) text(name, def string) string {
	v := f.value(name)
	if v == nil {
		return def
	}
	s, err := hoconText(v)
	if err != nil {
		f.fault(name, "%w", err)
	}
	return s
}

// needText is for a field without a default.
func (f *fields) needText(name string) string {
	s := f.text(name, "")
	if s == "" {
		f.fault(name, "required_field")
	}
	return s
}

func (f *fields) oneOf(name, def string, words ...string) string {
	s := f.text(name, def)
	if !slices.Contains(words, s) {
		f.fault(name, "want one of %s, got %q", strings.Join(words, ", "), s)
	}
	return s
}

func (f *fields) flag(name string, def bool) bool {
	v := f.value(name)
	if v == nil {
		return def
	}
	b, err := boolean(v)
	if err != nil {
		f.fault(name, "%w", err)
		return def
	}
	return b.(bool)
}

func (f *fields) integer(name string, def, lo, hi int) int {
	v := f.value(name)
	if v == nil {
		return def
	}
	n, err := integer(lo, hi)(v)
	if err != nil {
		f.fault(name, "%w", err)
		return def
	}
	return n.(int)
}

func (f *fields) duration(name string, def time.Duration) time.Duration {
	v := f.value(name)
	if v == nil {
		return def
	}
	d, err := duration(v)
	if err != nil {
		f.fault(name, "%w", err)
		return def
	}
	return d.(time.Duration)
}

// pairs is a map of texts.
func (f *fields) pairs(name string) map[string]string {
	v := f.value(name)
	out := map[string]string{}
	m, ok := v.(map[string]any)
	if v != nil && !ok {
		f.fault(name, "want a map")
	}
	for k, x := range m {
		s, err := hoconText(x)
		if b, is := x.(bool); is {
			s, err = strconv.FormatBool(b), nil
		}
		if err != nil {
			f.fault(name+"."+k, "%w", err)
		}
		out[k] = s
	}
	return out
}

func (f *fields) section(name string) *fields {
	v := f.value(name)
	if v == nil {
		return nil
	}
	return fieldsOf(f.path+"."+name, v)
}

// ignore names fields of EMQX that have no effect here.
func (f *fields) ignore(names ...string) {
	for _, n := range names {
		f.asked[n] = true
	}
}

// done gives all that is wrong; a field that nobody asked for is.
func (f *fields) done(inner ...*fields) error {
	faults := slices.Clone(f.faults)
	for _, name := range sortedKeys(f.m) {
		if !f.asked[name] {
			faults = append(faults, thrown{fmt.Errorf("%s.%s: unknown_fields: want one of %s", f.path, name, strings.Join(sortedKeys(f.asked), ", "))})
		}
	}
	for _, in := range inner {
		if in != nil {
			faults = append(faults, in.done())
		}
	}
	return errors.Join(faults...)
}

// listOf reads a list as EMQX does: a map by number, as variables such as
// EMQX_AUTHENTICATION__1__ENABLE make one, is one, and a single map is a list of it.
func listOf(v any) ([]any, error) {
	switch x := v.(type) {
	case nil:
		return nil, nil
	case []any:
		return x, nil
	case map[string]any:
		if len(x) == 0 {
			return nil, nil
		}
		if !numbered(x) {
			return []any{x}, nil
		}
		out := make([]any, len(x))
		for k, e := range x {
			i, _ := strconv.Atoi(k)
			if i > len(x) {
				return nil, fmt.Errorf("want elements 1 to %d, got %s", len(x), k)
			}
			out[i-1] = e
		}
		return out, nil
	}
	return nil, errors.New("want a list")
}

func numbered(m map[string]any) bool {
	for k := range m {
		if n, err := strconv.Atoi(k); err != nil || n < 1 {
			return false
		}
	}
	return len(m) > 0
}

// layered puts settings over others: maps are joined, an element of a list is named by
// its number, and anything else is replaced (hocon's deep merge).
func layered(under, over any) any {
	o, ok := over.(map[string]any)
	if !ok {
		return over
	}
	out := map[string]any{}
	switch u := under.(type) {
	case map[string]any:
		for k, v := range u {
			out[k] = v
		}
	case []any:
		if !numbered(o) {
			return over
		}
		for i, v := range u {
			out[strconv.Itoa(i+1)] = v
		}
	}
	for k, v := range o {
		if old, has := out[k]; has {
			v = layered(old, v)
		}
		out[k] = v
	}
	return out
}
