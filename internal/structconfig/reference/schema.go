package reference

import (
	"maps"
	"reflect"
	"regexp"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// Object is a JSON Schema, or a part of one, in the dialect of draft 7.
type Object map[string]any

// duration is what time.ParseDuration reads, without a minus.
const duration = `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`

// Schema is the JSON Schema of the whole struct. It is never stricter than
// the validation, and cannot see how values fit together.
func (r *Reference) Schema() Object { return r.Group(r.fields) }

// Group is the JSON Schema of an object with these fields. Where values are encrypted, a
// secret is required of none: it is added later, by who encrypts it.
func (r *Reference) Group(fields []structconfig.Field) Object {
	properties := Object{}
	var required []string
	for _, f := range fields {
		properties[f.Key] = r.Property(f)
		if f.Required && (!f.Secret || r.encrypted == nil) {
			required = append(required, f.Key)
		}
	}
	s := Object{"type": "object", "additionalProperties": false, "properties": properties}
	if len(required) > 0 {
		s["required"] = required
	}
	return s
}

// Property is the JSON Schema of one field, with its text.
func (r *Reference) Property(f structconfig.Field) Object {
	var s Object
	switch {
	case f.IsGroup():
		s = r.Group(f.Fields)
		s["description"] = r.Text(f)
		return s
	case f.IsList():
		s = Object{"type": "array", "items": r.Group(f.Fields)}
		if f.Required {
			s["minItems"] = 1
		}
	case f.Type.Kind() == reflect.Slice:
		s = Object{"type": "array", "items": r.single(&f)}
		if f.Required {
			s["minItems"] = 1
		}
	case f.Type.Kind() == reflect.Map:
		s = Object{"type": "object", "additionalProperties": r.single(&f)}
		if f.Keys != nil {
			s["propertyNames"] = Object{"pattern": f.Keys.Pattern}
		}
		if f.Required {
			s["minProperties"] = 1
		}
	default:
		s = r.single(&f)
	}
	s["description"] = r.Text(f) + " (" + strings.ReplaceAll(Allowed(&f), "`", "") + ")"
	if f.Default != nil {
		s["default"] = f.Default
		if d, ok := f.Default.(time.Duration); ok && d > 0 {
			s["default"] = f.DefaultString()
		}
	}
	return s
}

// single is one value: the field's, or what its list or map holds.
func (r *Reference) single(f *structconfig.Field) Object {
	element := f.Element()
	if element == reflect.TypeFor[time.Duration]() {
		return r.text(Object{"pattern": duration, "patternErrorMessage": `must be a duration such as "90s" or "10m"`})
	}
	mayBeEmpty := !f.Required && f.Default == nil && f.Type.Kind() != reflect.Slice
	switch zero := reflect.Zero(element); {
	case element.Kind() == reflect.Bool:
		return Object{"type": "boolean"}
	case element.Kind() == reflect.Interface: // of any kind
		return Object{}
	case zero.CanInt():
		return number(f, "integer")
	case zero.CanFloat():
		return number(f, "number")
	case f.OneOf != nil && mayBeEmpty:
		return Object{"enum": append([]string{""}, f.OneOf...)}
	case f.OneOf != nil:
		return Object{"enum": f.OneOf}
	case f.Secret && r.encrypted != nil:
		return maps.Clone(r.encrypted)
	}
	s := Object{}
	if !mayBeEmpty {
		s["minLength"] = 1
	}
	bound(s, f, f.Length, "minLength", "maxLength")
	if form := f.Format; form != nil {
		pattern := form.Pattern
		if mayBeEmpty {
			pattern = "^$|" + pattern
		}
		s["pattern"], s["patternErrorMessage"] = pattern, "must be "+form.Want
		if n := form.Name; n != nil {
			delete(s, "pattern")
			s["anyOf"] = []Object{{"pattern": pattern}, {"not": Object{"pattern": "^" + regexp.QuoteMeta(n.NotPrefix)}, "maxLength": n.Length}}
		}
	}
	return r.text(s)
}

// text may be encrypted. The keywords of strings say nothing of objects, and the
// other way round.
func (r *Reference) text(s Object) Object {
	s["type"] = "string"
	if r.encrypted == nil {
		return s
	}
	for key, value := range r.encrypted {
		s[key] = value
	}
	s["type"] = []string{"string", "object"}
	return s
}

func number(f *structconfig.Field, kind string) Object {
	s := Object{"type": kind}
	bound(s, f, f.Range, "minimum", "maximum")
	if f.Step != "" {
		s["multipleOf"] = f.Number(f.Step)
	}
	return s
}

func bound(s Object, f *structconfig.Field, b structconfig.Bounds, least, most string) {
	if b.Least != "" {
		s[least] = f.Number(b.Least)
	}
	if b.Most != "" {
		s[most] = f.Number(b.Most)
	}
}
