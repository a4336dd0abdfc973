package settings

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

var (
	durationType = reflect.TypeFor[time.Duration]()
	secretType   = reflect.TypeFor[Secret]()
)

// decode fills v from raw. Unlike encoding/json it goes on after a fault, takes
// no key that it does not know, and turns nothing into what it is not: "3" is
// no number. A value that does not fit leaves v as it was.
func decode(f *fault.List, path string, raw json.RawMessage, v reflect.Value) {
	if string(bytes.TrimSpace(raw)) == "null" {
		f.Add(path, "has no value; remove the key or give it one")
		return
	}
	if text := v.Kind() == reflect.String || v.Type() == durationType; !text && string(raw) == `"`+placeholder+`"` {
		f.Add(path, "must not be encrypted by itself: it would come as text")
		return
	}
	switch {
	case v.Type() == durationType:
		decodeDuration(f, path, raw, v)
		return
	case v.Type() == secretType:
		var s string
		if json.Unmarshal(raw, &s) != nil {
			f.Add(path, "must be a string (the value is a secret and not shown)")
			return
		}
		v.SetString(s)
		return
	}
	switch v.Kind() {
	case reflect.Struct:
		decodeStruct(f, path, raw, v)
	case reflect.Map:
		decodeMap(f, path, raw, v)
	case reflect.Slice:
		decodeSlice(f, path, raw, v)
	case reflect.Int:
		if n, err := strconv.Atoi(string(bytes.TrimSpace(raw))); err == nil {
			v.SetInt(int64(n))
			return
		}
		f.Add(path, "must be a whole number%s, got %s", hint(v.Kind(), raw), raw)
	default:
		target := reflect.New(v.Type())
		if json.Unmarshal(raw, target.Interface()) != nil {
			f.Add(path, "must be %s%s, got %s", kindName(v.Kind()), hint(v.Kind(), raw), raw)
			return
		}
		v.Set(target.Elem())
	}
}

func decodeStruct(f *fault.List, path string, raw json.RawMessage, v reflect.Value) {
	given := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &given) != nil {
		// The text may hold secrets.
		f.Add(path, "must be a group of settings")
		return
	}
	known := fields(v)
	for _, key := range slices.Sorted(maps.Keys(given)) {
		at := strings.TrimPrefix(path+"."+key, ".")
		field, ok := known[key]
		if !ok {
			f.Add(at, "is not a known setting%s", suggestion(key, slices.Sorted(maps.Keys(known))))
			continue
		}
		decode(f, at, given[key], field)
	}
}

// fields are the settings of a group by their key.
func fields(v reflect.Value) map[string]reflect.Value {
	found := map[string]reflect.Value{}
	for i := range v.NumField() {
		switch tag := v.Type().Field(i).Tag.Get("cfg"); tag {
		case "-":
		case ",inline":
			maps.Copy(found, fields(v.Field(i)))
		default:
			found[tag] = v.Field(i)
		}
	}
	return found
}

func decodeMap(f *fault.List, path string, raw json.RawMessage, v reflect.Value) {
	given := map[string]json.RawMessage{}
	if json.Unmarshal(raw, &given) != nil {
		f.Add(path, "must be a group of names and values") // which may be secrets
		return
	}
	found := reflect.MakeMapWithSize(v.Type(), len(given))
	for _, key := range slices.Sorted(maps.Keys(given)) {
		item := reflect.New(v.Type().Elem()).Elem()
		decode(f, path+"."+key, given[key], item)
		if !f.Has(path + "." + key) {
			found.SetMapIndex(reflect.ValueOf(key), item)
		}
	}
	v.Set(found)
}

func decodeSlice(f *fault.List, path string, raw json.RawMessage, v reflect.Value) {
	var given []json.RawMessage
	if json.Unmarshal(raw, &given) != nil {
		f.Add(path, "must be a list, got %s", raw)
		return
	}
	list := reflect.MakeSlice(v.Type(), len(given), len(given))
	for i, item := range given {
		decode(f, fmt.Sprintf("%s[%d]", path, i), item, list.Index(i))
	}
	v.Set(list)
}

func decodeDuration(f *fault.List, path string, raw json.RawMessage, v reflect.Value) {
	var s string
	if json.Unmarshal(raw, &s) == nil {
		if d, err := time.ParseDuration(s); err == nil {
			v.SetInt(int64(d))
			return
		}
	}
	f.Add(path, "must be a duration such as \"90s\" or \"10m\", got %s", raw)
}

// hint tells what to do about text that YAML takes for a number or a truth
// value (1.10, true), and about a number in quotes.
func hint(k reflect.Kind, raw json.RawMessage) string {
	var number float64
	var text string
	switch {
	case k == reflect.String && !strings.ContainsAny(string(raw[:1]), "[{"):
		return " (quote it)"
	case (k == reflect.Int || k == reflect.Float64) && json.Unmarshal(raw, &text) == nil && json.Unmarshal([]byte(text), &number) == nil:
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
	case reflect.Float64:
		return "a number"
	default:
		return k.String()
	}
}

// suggestion names the nearest known key, when one is near.
func suggestion(key string, known []string) string {
	best, distance := "", 4
	for _, k := range known {
		if d := editDistance(strings.ToLower(key), strings.ToLower(k)); d < distance {
			best, distance = k, d
		}
	}
	if best == "" {
		return "; known here: " + strings.Join(known, ", ")
	}
	return fmt.Sprintf("; did you mean %q?", best)
}

func editDistance(a, b string) int { return levenshtein.Distance(a, b, nil) }
