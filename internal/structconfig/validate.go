package structconfig

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// The faults of what is absent: alone, or followed by what is wanted.
const (
	notSet      = "is not set"
	howToSet    = notSet + "; "
	mustBeSet   = "must be set"
	mustBeSetTo = mustBeSet + ", to "
	mustHold    = "must hold at least one"
	mustHoldOf  = mustHold + ": "
)

// Validation is what is known beside the values.
type Validation struct {
	// Offline means that the placeholder may stand for a secret: nothing is said
	// about what it hides.
	Offline bool
	// HowToSet ends the fault of a secret that is absent: "set it with: ..."; nil
	// leaves it out.
	HowToSet func(path string) string
}

// Validate holds each value of v, a struct of the described type or a pointer to
// one, against the tags of its field; who filled it does not matter. A field that has a
// fault in f already, or that lies in a group that has one, is left alone. What
// values mean together is for the caller to check after it.
func (s *Spec) Validate(f *fault.List, v any, about Validation) {
	validator{List: f, Validation: about, placeholder: s.options.Placeholder}.fields("", s.fields, s.root(v))
}

// Absent tells whether a fault is that something required is not there.
func Absent(f fault.Fault) bool {
	switch f.Text {
	case notSet, mustBeSet, mustHold:
		return true
	}
	for _, text := range []string{howToSet, mustBeSetTo, mustHoldOf} {
		if strings.HasPrefix(f.Text, text) {
			return true
		}
	}
	return false
}

// HasAbove tells whether a path, or a group that holds it, has a fault.
func HasAbove(f *fault.List, path string) bool {
	for !f.Has(path) {
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return false
		}
		path = path[:i]
	}
	return true
}

// WithPrefix puts a prefix before the path of each fault of err: paths are told as
// the person who wrote the configuration knows them. Other errors stay as they
// are.
func WithPrefix(err error, prefix string) error {
	var e *fault.Error
	if errors.As(err, &e) {
		for i := range e.Faults {
			e.Faults[i].Path = prefix + e.Faults[i].Path
		}
	}
	return err
}

type validator struct {
	*fault.List
	Validation
	placeholder string
}

// fields are those of a group, whose path with what divides it from theirs is the prefix.
func (c validator) fields(prefix string, fields []Field, root reflect.Value) {
	for i := range fields {
		f := &fields[i]
		path := prefix + f.Key
		if c.Has(path) { // a group, with all in it
			continue
		}
		v, ok := given(root.FieldByIndex(f.index))
		switch {
		case !ok && f.Required:
			c.missing(f, path)
		case !ok:
		case f.IsGroup():
			c.fields(path+".", f.Fields, root)
		case f.IsList():
			c.groups(f, path, v)
		default:
			c.field(f, path, v)
		}
	}
}

// given is the value behind pointers and interfaces, false for none.
func given(v reflect.Value) (reflect.Value, bool) {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return v, false
		}
		v = v.Elem()
	}
	return v, true
}

func (c validator) groups(f *Field, path string, list reflect.Value) {
	if f.Required && list.Len() == 0 {
		c.missing(f, path)
	}
	for i := range list.Len() {
		if at := fmt.Sprintf("%s[%d]", path, i); !c.Has(at) {
			c.fields(at+".", f.Fields, list.Index(i))
		}
	}
}

func (c validator) field(f *Field, path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Slice:
		if f.Required && v.Len() == 0 {
			c.missing(f, path)
		}
		for i := range v.Len() {
			c.item(f, fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Map:
		if f.Required && v.Len() == 0 {
			c.missing(f, path)
		}
		c.entries(f, path, v)
	case reflect.String:
		if strings.TrimSpace(v.String()) != "" {
			c.text(f, path, v)
			return
		}
		switch {
		case f.Required:
			c.missing(f, path)
		case v.String() != "" || f.Default != nil:
			c.Add(path, "must not be empty; remove the key for the default")
		}
	default:
		c.number(f, path, v)
	}
}

func (c validator) missing(f *Field, path string) {
	k := f.Type.Kind()
	switch list := k == reflect.Slice || k == reflect.Map; {
	case f.Secret:
		if c.HowToSet == nil {
			c.Add(path, notSet)
			return
		}
		c.Add(path, howToSet+"%s", c.HowToSet(path))
	case list && f.Format != nil:
		c.Add(path, mustHoldOf+"%s", f.Format.Want)
	case list:
		c.Add(path, mustHold)
	case f.Format != nil:
		c.Add(path, mustBeSetTo+"%s", f.Format.Want)
	case f.OneOf != nil:
		c.Add(path, mustBeSetTo+"%s", strings.Join(f.OneOf, " or "))
	default:
		c.Add(path, mustBeSet)
	}
}

func (c validator) entries(f *Field, of string, m reflect.Value) {
	values := map[string]reflect.Value{}
	for entries := m.MapRange(); entries.Next(); {
		values[entries.Key().String()] = entries.Value()
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		path := of + "." + key
		if f.Keys != nil && !f.Keys.Match(key) {
			c.Add(path, "must be %s", f.Keys.Want)
			continue
		}
		c.item(f, path, values[key])
	}
}

// item validates what a list or a map holds.
func (c validator) item(f *Field, path string, v reflect.Value) {
	v, ok := given(v)
	if !ok || c.Has(path) {
		return
	}
	if v.Kind() != reflect.String {
		c.number(f, path, v)
		return
	}
	if v.String() == "" && f.Type.Kind() == reflect.Slice {
		c.Add(path, "must not be empty")
		return
	}
	c.text(f, path, v)
}

func (c validator) text(f *Field, path string, v reflect.Value) {
	text, got := v.String(), ", got "+shorten(v.String())
	if isSecret(v) {
		if c.Offline && text == c.placeholder {
			return
		}
		got = ""
	}
	n := len([]rune(text))
	switch {
	case f.OneOf != nil && !slices.Contains(f.OneOf, text):
		c.Add(path, "must be %s%s%s", strings.Join(f.OneOf, " or "), got, f.because())
	case !f.fits(n):
		c.Add(path, "must have %s characters, got %d", f.Length, n)
	case f.Format != nil && !f.Format.Match(text):
		if meant := f.Format.suggestion(text); meant != "" && got != "" {
			got += fmt.Sprintf("; did you mean %q?", meant)
		}
		if what := f.Format.diagnosis(text); what != "" {
			got = ": " + what
		}
		c.Add(path, "must be %s%s%s", f.Format.Want, got, f.because())
	}
}

// shorten quotes a text that may be long, such as a PEM in a wrong place.
func shorten(text string) string {
	const most = 80
	if runes := []rune(text); len(runes) > most {
		return strconv.Quote(string(runes[:most])) + "..."
	}
	return strconv.Quote(text)
}

func (c validator) number(f *Field, path string, v reflect.Value) {
	var n float64
	var got string
	switch {
	case v.Type() == durationType:
		n, got = float64(v.Int()), fault.Duration(time.Duration(v.Int()))
	case v.CanInt():
		n, got = float64(v.Int()), strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		n, got = v.Float(), strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default: // flags, and what is known later
		return
	}
	if !f.inRange(n) || f.Step != "" && math.Mod(n, f.Number(f.Step)) != 0 {
		c.Add(path, "must be %s, got %s%s", f.Limits(), got, f.because())
	}
}
