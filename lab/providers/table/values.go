package table

import (
	"encoding/json"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Plain takes secrets and resolved outputs off a value. The product's guards have the same for the state that they
// read: neither knows the other.
func Plain(v resource.PropertyValue) resource.PropertyValue {
	for {
		switch {
		case v.IsSecret():
			v = v.SecretValue().Element
		case v.IsOutput() && v.OutputValue().Known:
			v = v.OutputValue().Element
		default:
			return v
		}
	}
}

// Unknown reports whether v itself (not something inside it) is unknown.
func Unknown(v resource.PropertyValue) bool {
	return v.IsComputed() || v.IsOutput() && !v.OutputValue().Known
}

// Values turns a property map into JSON values (string, float64, bool, []any,
// map[string]any), without secrets, nulls, unknowns and the bridge's own keys.
func Values(m resource.PropertyMap) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if internalKey(k) {
			continue
		}
		if j, ok := jsonValue(v); ok {
			out[string(k)] = j
		}
	}
	return out
}

func jsonValue(v resource.PropertyValue) (any, bool) {
	v = Plain(v)
	switch {
	case Unknown(v) || v.IsNull():
		return nil, false
	case v.IsArray():
		list := make([]any, 0, len(v.ArrayValue()))
		for _, e := range v.ArrayValue() {
			if j, ok := jsonValue(e); ok {
				list = append(list, j)
			}
		}
		return list, true
	case v.IsObject():
		return Values(v.ObjectValue()), true
	case v.IsResourceReference():
		id := Plain(v.ResourceReferenceValue().ID)
		if id.IsString() {
			return id.StringValue(), true
		}
		return nil, false
	default:
		return v.V, true
	}
}

// Canon brings JSON values to the types of the rows: "150" becomes 150 where an
// integer is wanted, 6 becomes "6" where a string is. Properties without a row
// are kept as they are.
func (f *Fields) Canon(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		if p, ok := f.Get(k); ok {
			v = canon(p.Type, v)
		}
		if v != nil {
			out[k] = v
		}
	}
	return out
}

func canon(t Type, v any) any {
	switch t.Kind {
	case String:
		switch v := v.(type) {
		case bool:
			return strconv.FormatBool(v)
		case float64:
			return strconv.FormatFloat(v, 'f', -1, 64)
		case int:
			return strconv.Itoa(v)
		}
	case Number, Integer:
		switch v := v.(type) {
		case string:
			if n, err := strconv.ParseFloat(v, 64); err == nil {
				return n
			}
		case int:
			return float64(v)
		case int64:
			return float64(v)
		case json.Number:
			if n, err := v.Float64(); err == nil {
				return n
			}
		}
	case Bool:
		switch v := v.(type) {
		case string:
			if b, err := strconv.ParseBool(v); err == nil {
				return b
			}
		case float64:
			return v != 0
		}
	case List, Set:
		if l, ok := v.([]any); ok {
			out := make([]any, len(l))
			for i, e := range l {
				out[i] = canon(*t.Elem, e)
			}
			return out
		}
	case Map:
		if m, ok := v.(map[string]any); ok {
			out := make(map[string]any, len(m))
			for k, e := range m {
				out[k] = canon(*t.Elem, e)
			}
			return out
		}
	case Object:
		if m, ok := v.(map[string]any); ok {
			return t.Fields.Canon(m)
		}
	case Any:
	}
	return v
}

// WithDefaults adds the rows' defaults for what m leaves out.
func (f *Fields) WithDefaults(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = v
	}
	for _, p := range f.Props {
		if _, ok := out[p.Name]; !ok && p.Default != nil {
			out[p.Name] = p.Default
		}
	}
	return out
}

// StringList is a list of texts as a JSON value, never nil.
func StringList(in []string) []any {
	out := make([]any, len(in))
	for i, s := range in {
		out[i] = s
	}
	return out
}

// StringMap is a map of texts as a JSON value, never nil.
func StringMap(in map[string]string) map[string]any {
	out := make(map[string]any, len(in))
	for k, v := range in {
		out[k] = v
	}
	return out
}
