package structconfig

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/agext/levenshtein"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Decode fills v, a pointer to a struct of the described type, with what is given:
// the JSON of each of the struct's keys. Unlike encoding/json it goes on after a
// fault, takes no key that it does not know, and turns nothing into what it is not:
// "3" is no number. What is not given, and a value that does not fit, leaves v as it
// was. It does not validate: [Spec.Validate] does, and says nothing about what is at fault
// already.
func (s *Spec) Decode(f *fault.List, given map[string]json.RawMessage, v any) {
	root := s.root(v)
	decoder{List: f, placeholder: s.options.Placeholder, moved: s.options.Moved}.group("", given, s.fields, root)
}

// JSON is configuration in Go's own types, as a property map holds it, in the
// form that [Spec.Decode] takes. The error is that of a value that JSON has no
// form for.
func JSON(values map[string]any) (map[string]json.RawMessage, error) {
	given := make(map[string]json.RawMessage, len(values))
	for key, value := range values {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", key, err)
		}
		given[key] = raw
	}
	return given, nil
}

type decoder struct {
	*fault.List
	placeholder string
	moved       map[string]string
}

func (d decoder) group(path string, given map[string]json.RawMessage, fields []Field, root reflect.Value) {
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		i := slices.IndexFunc(fields, func(f Field) bool { return f.Key == key })
		if to := d.moved[at]; i < 0 && to != "" {
			d.Add(at, "is not a known setting any more: it is %s now", to)
			continue
		}
		if i < 0 {
			known := make([]string, len(fields))
			for i, f := range fields {
				known[i] = f.Key
			}
			d.Add(at, "is not a known setting%s", DidYouMean(key, known))
			continue
		}
		d.field(at, given[key], &fields[i], root)
	}
}

// field decodes one field. What a pointer points to may be others' as well, such as
// a default: it is left as it is, and a copy changed.
func (d decoder) field(path string, raw json.RawMessage, f *Field, root reflect.Value) {
	v := root.FieldByIndex(f.index)
	into, set := v, func() {}
	if v.Kind() == reflect.Pointer {
		into = reflect.New(f.Type).Elem()
		if !v.IsNil() {
			into.Set(v.Elem())
		}
		set = func() { v.Set(into.Addr()) }
	}
	if !d.isValue(path, raw, into) {
		return
	}
	if f.IsList() {
		if d.groups(path, raw, f, into); !d.Has(path) {
			set()
		}
		return
	}
	if !f.IsGroup() {
		if d.value(path, raw, into); !d.Has(path) {
			set()
		}
		return
	}
	given := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &given) != nil {
		// The text may hold secrets.
		d.Add(path, "must be a group of settings")
		return
	}
	set()
	d.group(path, given, f.Fields, root)
}

// groups decodes a list of groups.
func (d decoder) groups(path string, raw json.RawMessage, f *Field, v reflect.Value) {
	var given []json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		// The text may hold secrets.
		d.Add(path, "must be a list of groups of settings")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(given), len(given))
	for i, item := range given {
		at, of := fmt.Sprintf("%s[%d]", path, i), map[string]json.RawMessage{}
		switch {
		case !d.isValue(at, item, list.Index(i)):
		case json.Unmarshal(item, &of) != nil:
			d.Add(at, "must be a group of settings")
		default:
			d.group(at, of, f.Fields, list.Index(i))
		}
	}
	v.Set(list)
}

// isValue refuses null, and the placeholder where no text may stand.
func (d decoder) isValue(path string, raw json.RawMessage, v reflect.Value) bool {
	if text := string(bytes.TrimSpace(raw)); text == "" || text == "null" {
		d.Add(path, "has no value; remove the key or give it one")
		return false
	}
	text := v.Kind() == reflect.String || v.Type() == durationType
	if !text && d.placeholder != "" && string(raw) == strconv.Quote(d.placeholder) {
		d.Add(path, "must not be encrypted by itself: it would come as text")
		return false
	}
	return true
}

func (d decoder) value(path string, raw json.RawMessage, v reflect.Value) {
	switch {
	case v.Type() == durationType:
		d.duration(path, raw, v)
	case isSecret(v):
		var s string
		if json.Unmarshal(raw, &s) != nil {
			d.Add(path, "must be a string (the value is a secret and not shown)")
			return
		}
		v.SetString(s)
	case v.Kind() == reflect.Map:
		d.entries(path, raw, v)
	case v.Kind() == reflect.Slice:
		d.items(path, raw, v)
	case v.CanInt():
		if n, err := strconv.ParseInt(string(bytes.TrimSpace(raw)), 10, v.Type().Bits()); err == nil {
			v.SetInt(n)
			return
		}
		d.Add(path, "must be a whole number%s, got %s", hint(v, raw), raw)
	case v.Kind() == reflect.Interface:
		panic(fmt.Sprintf("structconfig: %s has the type %s, which nothing can be decoded to", path, v.Type()))
	default:
		target := reflect.New(v.Type())
		if json.Unmarshal(raw, target.Interface()) != nil {
			d.Add(path, "must be %s%s, got %s", kindName(v.Kind()), hint(v, raw), raw)
			return
		}
		v.Set(target.Elem())
	}
}

func isSecret(v reflect.Value) bool {
	return v.Kind() == reflect.String && v.Type().Implements(reflect.TypeFor[Secret]())
}

func (d decoder) entries(path string, raw json.RawMessage, v reflect.Value) {
	given := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &given) != nil {
		d.Add(path, "must be a group of names and values") // which may be secrets
		return
	}
	found := reflect.MakeMapWithSize(v.Type(), len(given))
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at, item := path+"."+key, reflect.New(v.Type().Elem()).Elem()
		if d.isValue(at, given[key], item) {
			d.value(at, given[key], item)
		}
		if !d.Has(at) {
			found.SetMapIndex(reflect.ValueOf(key).Convert(v.Type().Key()), item)
		}
	}
	v.Set(found)
}

func (d decoder) items(path string, raw json.RawMessage, v reflect.Value) {
	var given []json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		d.Add(path, "must be a list, got %s", raw)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(given), len(given))
	for i, item := range given {
		if at := fmt.Sprintf("%s[%d]", path, i); d.isValue(at, item, list.Index(i)) {
			d.value(at, item, list.Index(i))
		}
	}
	v.Set(list)
}

func (d decoder) duration(path string, raw json.RawMessage, v reflect.Value) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if n, err := time.ParseDuration(s); err == nil {
			v.SetInt(int64(n))
			return
		}
	}
	d.Add(path, "must be a duration such as \"90s\" or \"10m\", got %s", raw)
}

// hint tells what to do about text that YAML takes for a number or a truth
// value (1.10, true), and about a number in quotes.
func hint(v reflect.Value, raw json.RawMessage) string {
	var number float64
	var text string
	switch {
	case v.Kind() == reflect.String && !strings.ContainsAny(string(raw[:1]), "[{"):
		return " (quote it)"
	case (v.CanInt() || v.CanFloat()) && json.Unmarshal(raw, &text) == nil && json.Unmarshal([]byte(text), &number) == nil:
		return " (without quotes)"
	}
	return ""
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	default:
		return "a number"
	}
}

// DidYouMean ends an error about an unknown key: it names the nearest known one when
// one is near, else all of them.
func DidYouMean(key string, known []string) string {
	known = slices.Sorted(slices.Values(known))
	best, distance := "", 4
	for _, k := range known {
		if d := levenshtein.Distance(strings.ToLower(key), strings.ToLower(k), nil); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; known here: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}
