package settings

import (
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

// notSet begins the fault of a secret that is absent.
const notSet = "is not set"

// checker holds the settings against the tags of their fields.
type checker struct {
	*fault.List
	offline bool
	// secretsFrom and cloud are the settings of these names.
	secretsFrom, cloud string
}

// checkFields checks each setting by itself. What could not be decoded has its
// fault already.
func (c checker) checkFields(s *Settings) {
	root := reflect.ValueOf(s).Elem()
	for _, f := range allFields() {
		if c.hasAbove(f.Path) {
			continue
		}
		switch v := root.FieldByIndex(f.index); v.Kind() {
		case reflect.Slice:
			if f.Required && v.Len() == 0 {
				c.Add(f.Path, "must hold at least one: %s", f.Format.Want)
			}
			for i := range v.Len() {
				c.checkItem(&f, fmt.Sprintf("%s[%d]", f.Path, i), v.Index(i))
			}
		case reflect.Map:
			switch m := v.Interface().(type) {
			case map[string]string:
				checkMap(c, &f, m)
			case map[string]int:
				checkMap(c, &f, m)
			}
		default:
			c.checkValue(&f, v)
		}
	}
}

func checkMap[V any](c checker, f *Field, m map[string]V) {
	for _, key := range slices.Sorted(maps.Keys(m)) {
		path := f.Path + "." + key
		if f.Keys != nil && !f.Keys.Match(key) {
			c.Add(path, "must be %s", f.Keys.Want)
			continue
		}
		c.checkItem(f, path, reflect.ValueOf(m[key]))
	}
}

// hasAbove tells whether a path, or a group that holds it, has a fault.
func (c checker) hasAbove(path string) bool {
	for {
		if c.Has(path) {
			return true
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return false
		}
		path = path[:i]
	}
}

// checkItem checks what a list or a map holds.
func (c checker) checkItem(f *Field, path string, v reflect.Value) {
	if c.Has(path) {
		return
	}
	if v.Kind() == reflect.String && v.String() == "" && f.Type.Kind() == reflect.Slice {
		c.Add(path, "must not be empty")
		return
	}
	c.checkText(f, path, v)
	c.checkNumber(f, path, v)
}

func (c checker) checkValue(f *Field, v reflect.Value) {
	if v.Kind() == reflect.String && strings.TrimSpace(v.String()) == "" {
		switch {
		case f.Required && f.Secret:
			c.Add(f.Path, notSet+"; %s", c.howToGet(f.Path))
		case f.Required:
			c.Add(f.Path, "must be set, to %s", f.Format.Want)
		case v.String() != "" || f.Default != nil:
			c.Add(f.Path, "must not be empty; remove the key for the default")
		}
		return
	}
	c.checkText(f, f.Path, v)
	c.checkNumber(f, f.Path, v)
}

func (c checker) howToGet(path string) string {
	if c.secretsFrom != "" {
		text := "it comes from the file that " + c.secretsFrom + " names"
		if c.cloud != defaults().Cloud { // whose program made it
			text += fmt.Sprintf(`: eval "$(emqx-oci %s env)"`, c.cloud)
		}
		return text
	}
	return "set it with: " + howToSet(path)
}

func (c checker) checkText(f *Field, path string, v reflect.Value) {
	if v.Kind() != reflect.String {
		return
	}
	text, got := v.String(), ", got "+shorten(v.String())
	if v.Type() == secretType {
		if c.offline && text == placeholder {
			return
		}
		got = ""
	}
	n := len([]rune(text))
	switch {
	case f.OneOf != nil && !slices.Contains(f.OneOf, text):
		c.Add(path, "must be %s%s%s", strings.Join(f.OneOf, " or "), got, f.because())
	case !f.inside(f.Length, float64(n)):
		c.Add(path, "must have %s characters, got %d", f.Length, n)
	case f.Format != nil && !f.Format.Match(text):
		if f.Format.near != nil {
			if meant := f.Format.near(text); meant != "" {
				got += fmt.Sprintf("; did you mean %q?", meant)
			}
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

func (c checker) checkNumber(f *Field, path string, v reflect.Value) {
	var n float64
	var got string
	switch {
	case v.Type() == durationType:
		n, got = float64(v.Int()), seconds(time.Duration(v.Int()))
	case v.CanInt():
		n, got = float64(v.Int()), strconv.FormatInt(v.Int(), 10)
	case v.CanFloat():
		n, got = v.Float(), strconv.FormatFloat(v.Float(), 'g', -1, 64)
	default:
		return
	}
	if !f.inRange(n) || f.Step != "" && math.Mod(n, f.Number(f.Step)) != 0 {
		c.Add(path, "must be %s, got %s%s", f.Limits(), got, f.because())
	}
}

func (f *Field) inRange(n float64) bool {
	b := f.Range
	return (b.Least == "" || n >= f.Number(b.Least)) && (b.Most == "" || n <= f.Number(b.Most))
}

// inside compares a count, which has no unit.
func (*Field) inside(b Bounds, n float64) bool {
	plain := Field{Range: b, Type: reflect.TypeFor[int]()}
	return plain.inRange(n)
}

func (f *Field) because() string {
	if f.Why == "" {
		return ""
	}
	return ": " + f.Why
}

// checkEncrypted refuses secrets that lie in the stack file in clear. Pulumi
// tells a program only whether a group holds any encrypted value; offline a
// placeholder stands for each, so what is none is in clear.
func (c checker) checkEncrypted(s *Settings, isSecret func(key string) bool) {
	root := reflect.ValueOf(s).Elem()
	for _, f := range allFields() {
		text := root.FieldByIndex(f.index)
		if !f.Secret || text.String() == "" {
			continue
		}
		group, _, _ := strings.Cut(f.Path, ".")
		if !isSecret(Project+":"+group) || c.offline && text.String() != placeholder {
			c.Add(f.Path, "must not be kept in clear; set it with: %s", howToSet(f.Path))
		}
	}
}

// seconds prints a duration the way it is written in a stack file.
func seconds(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}
