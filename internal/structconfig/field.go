package structconfig

import (
	"fmt"
	"reflect"
	"strconv"
	"time"

	"github.com/emqx-oci/emqx-oci/components/fault"
)

// Field is what is known of one field: a value, or a group of fields. [Describe]
// tells which tags it comes from.
type Field struct {
	// Key is the field's own, Path its way from the root: "count", "nodes.count".
	Key, Path string
	// Struct and Name are the Go field, which holds the comment.
	Struct reflect.Type
	Name   string
	// Type of the value, without the pointer of one that may be absent.
	Type reflect.Type
	// Fields are those of a group, or of each group in a list, in their order. The rest is
	// of values, but for Required, which a group behind a pointer and a list of groups may
	// be, too. Paths in a list have no index: "users[].name".
	Fields []Field
	// Default is nil where the field has none; DefaultText says it in words where
	// it follows from something else.
	Default     any
	DefaultText string
	// Unit of the value; empty when there is none to tell.
	Unit string
	// Range and Length are bounds of each value, and of its characters.
	Range, Length Bounds
	// Step divides each value; empty for none.
	Step string
	// OneOf are all allowed values, nil for any.
	OneOf []string
	// Format is of each text, Keys of the keys of a map; nil for any.
	Format, Keys *Format
	// Required fields have no default and must be there.
	Required bool
	// Secret values must be encrypted where configuration is kept.
	Secret bool
	// Why is the reason of the limit.
	Why string

	index []int
}

// Bounds are the least and the most that are allowed, as they stand in a tag:
// "50", "130s"; an empty end is open.
type Bounds struct{ Least, Most string }

// Any tells that there is no bound.
func (b Bounds) Any() bool { return b.Least == "" && b.Most == "" }

func (b Bounds) String() string {
	switch {
	case b.Any():
		return ""
	case b.Most == "":
		return "at least " + b.Least
	case b.Least == "":
		return "at most " + b.Most
	default:
		return b.Least + " to " + b.Most
	}
}

// IsGroup tells whether the field is a group of fields.
func (f *Field) IsGroup() bool { return f.Type.Kind() == reflect.Struct }

// IsList tells whether the field is a list of groups.
func (f *Field) IsList() bool {
	return f.Type.Kind() == reflect.Slice && f.Type.Elem().Kind() == reflect.Struct
}

// zeroIsAllowed: 0 is a default of its own where it lies in the range and is not
// the sign for a derived one.
func (f *Field) zeroIsAllowed() bool {
	return reflect.Zero(f.Type).CanInt() && f.Type != durationType && f.DefaultText == "" && f.Range.Least == "0"
}

// mayBeMissing tells whether a value can be told from one that was not given.
func (f *Field) mayBeMissing() bool {
	switch f.Type.Kind() {
	case reflect.String, reflect.Slice, reflect.Map, reflect.Interface:
		return true
	default:
		return false
	}
}

// DefaultString is the default as it is written, empty for none.
func (f *Field) DefaultString() string {
	switch v := f.Default.(type) {
	case nil:
		return ""
	case time.Duration:
		return fault.Duration(v)
	default:
		return fmt.Sprint(v)
	}
}

// Element is the type of what a list or a map holds, else the type itself.
func (f *Field) Element() reflect.Type {
	if k := f.Type.Kind(); k == reflect.Slice || k == reflect.Map && f.Type.Key().Kind() == reflect.String {
		return f.Type.Elem()
	}
	return f.Type
}

// Limits are the range and its steps in words, empty for none.
func (f *Field) Limits() string {
	switch {
	case f.Step == "":
		return f.Range.String()
	case f.Element() == durationType && f.Step == "1s":
		return f.Range.String() + " in whole seconds"
	default:
		return f.Range.String() + " in steps of " + f.Step
	}
}

// Number reads a bound the way the field's values count: durations in
// nanoseconds. The tags are the program's own, so one that cannot be read is a bug.
func (f *Field) Number(text string) float64 {
	if f.Element() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(fmt.Sprintf("structconfig: reading the tags of %s: %v", f.Path, err))
		}
		return float64(d)
	}
	return f.count(text)
}

// count reads a bound of what has no unit.
func (f *Field) count(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("structconfig: reading the tags of %s: %v", f.Path, err))
	}
	return n
}

// checkNumbers panics where a bound or a step cannot be read.
func (f *Field) checkNumbers() {
	f.inRange(0)
	f.fits(0)
	if f.Step != "" {
		f.Number(f.Step)
	}
}

// inRange holds a value against its bounds, fits its number of characters.
func (f *Field) inRange(n float64) bool { return inside(f.Range, n, f.Number) }
func (f *Field) fits(length int) bool   { return inside(f.Length, float64(length), f.count) }

func inside(b Bounds, n float64, number func(string) float64) bool {
	least, most := b.Least == "" || n >= number(b.Least), b.Most == "" || n <= number(b.Most)
	return least && most
}

func (f *Field) because() string {
	if f.Why == "" {
		return ""
	}
	return ": " + f.Why
}
