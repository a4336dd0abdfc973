package cloud

import (
	"encoding/json"
	"errors"
	"reflect"
	"strconv"
	"strings"
)

// Props are a resource's properties as JSON values: string, float64, bool,
// []any and map[string]any, keyed by pulumi-oci's names.
type Props = map[string]any

// clone copies p deeply and turns Go's number and slice types into JSON's, so
// that what is compared, stored and given out never shares memory with a caller.
func clone(p Props) Props {
	out := Props{}
	data, err := json.Marshal(p)
	if err != nil {
		return out // not JSON-like: the provider in front lets no such value through
	}
	_ = json.Unmarshal(data, &out)
	for k, v := range out {
		if v == nil {
			delete(out, k) // an explicit null is the same as an absent property
		}
	}
	return out
}

func equal(a, b Props) bool { return reflect.DeepEqual(a, b) }

func str(p Props, key string) string {
	s, _ := p[key].(string)
	return s
}

func strOr(p Props, key, fallback string) string {
	if s := str(p, key); s != "" {
		return s
	}
	return fallback
}

func sub(p Props, key string) Props {
	m, _ := p[key].(map[string]any)
	return m
}

func list(p Props, key string) []any {
	l, _ := p[key].([]any)
	return l
}

func subs(p Props, key string) []Props {
	var out []Props
	for _, v := range list(p, key) {
		if m, ok := v.(map[string]any); ok {
			out = append(out, m)
		}
	}
	return out
}

func strs(p Props, key string) []string {
	var out []string
	for _, v := range list(p, key) {
		if s, ok := v.(string); ok {
			out = append(out, s)
		}
	}
	return out
}

func flag(p Props, key string, fallback bool) bool {
	switch v := p[key].(type) {
	case bool:
		return v
	case string: // the official provider takes strings for booleans
		return v == "true"
	}
	return fallback
}

// whole reads a whole number; pulumi-oci gives some of them as strings
// (sizeInGbs). present is false when the property is absent.
func whole(p Props, key string) (n int, present bool, err error) {
	switch v := p[key].(type) {
	case nil:
		return 0, false, nil
	case float64:
		if v != float64(int(v)) {
			return 0, true, invalid("%s must be a whole number, got %v", key, v)
		}
		return int(v), true, nil
	case string:
		n, err := strconv.Atoi(v)
		if err != nil {
			return 0, true, invalid("%s must be a whole number, got %q", key, v)
		}
		return n, true, nil
	default:
		return 0, true, invalid("%s must be a whole number, got %T", key, v)
	}
}

// wholeOr is for properties that check has already found to be whole numbers.
func wholeOr(p Props, key string, fallback int) int {
	if n, present, err := whole(p, key); present && err == nil {
		return n
	}
	return fallback
}

// within checks that an optional whole number lies in a range.
func within(p Props, key string, low, high int) error {
	n, present, err := whole(p, key)
	if err == nil && present && (n < low || n > high) {
		err = invalid("%s must be between %d and %d, got %d", key, low, high, n)
	}
	return err
}

// inside says in which sub-object a refused property is.
func inside(where string, err error) error {
	var e *Error
	if !errors.As(err, &e) {
		return err
	}
	return &Error{e.Status, e.Code, where + "." + e.Message}
}

// need checks that string properties are there.
func need(p Props, keys ...string) error {
	for _, k := range keys {
		if str(p, k) == "" {
			return &Error{400, "MissingParameter", k + " is required"}
		}
	}
	return nil
}

// oneOf checks an enumeration; OCI's are upper case and strict.
func oneOf(p Props, key string, allowed ...string) error {
	v, present := p[key]
	if !present {
		return nil
	}
	for _, a := range allowed {
		if v == a {
			return nil
		}
	}
	return invalid("%s must be one of %s, got %q", key, strings.Join(allowed, ", "), v)
}

func tagsOf(p Props, key string) map[string]string {
	out := map[string]string{}
	for k, v := range sub(p, key) {
		if s, ok := v.(string); ok {
			out[k] = s
		}
	}
	return out
}

func merge(all ...map[string]string) map[string]string {
	out := map[string]string{}
	for _, m := range all {
		for k, v := range m {
			out[k] = v
		}
	}
	return out
}

func orEmptyMap(p Props) Props {
	if p == nil {
		return Props{}
	}
	return p
}

func orEmptyList(l []any) []any {
	if l == nil {
		return []any{}
	}
	return l
}
