package settings

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Field is what is known of one setting: its Go field with its tags and its
// default. [Settings] tells what the tags mean.
type Field struct {
	// Path is what a person writes behind the project's name: "nodes.count".
	Path string
	// Struct and Name are the Go field, which holds the comment.
	Struct reflect.Type
	Name   string
	// Type of the value.
	Type reflect.Type
	// Default is nil where the setting has none; DefaultText says it in words
	// where it follows from something else.
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
	// Required settings have no default and must be there.
	Required bool
	// Secret settings must be encrypted in the stack file.
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

// Fields are all settings in the order of [Settings].
func Fields() []Field { return slices.Clone(allFields()) }

var allFields = sync.OnceValue(func() []Field {
	d := defaults()
	return appendFields(nil, "", nil, reflect.ValueOf(d))
})

func appendFields(all []Field, prefix string, index []int, group reflect.Value) []Field {
	for i := range group.NumField() {
		field, value := group.Type().Field(i), group.Field(i)
		tag := field.Tag.Get("cfg")
		at := append(append([]int{}, index...), i)
		switch {
		case tag == "-":
		case tag == ",inline":
			all = appendFields(all, prefix, at, value)
		case field.Type.Kind() == reflect.Struct:
			all = appendFields(all, prefix+tag+".", at, value)
		default:
			all = append(all, newField(prefix+tag, group.Type(), field, value, at))
		}
	}
	return all
}

func newField(path string, owner reflect.Type, field reflect.StructField, value reflect.Value, index []int) Field {
	tag := field.Tag.Get
	f := Field{
		Path: path, Struct: owner, Name: field.Name, Type: field.Type, index: index,
		DefaultText: tag("default"), Unit: tag("unit"), Step: tag("step"), Why: tag("why"),
		Range: parseBounds(tag("range")), Length: parseBounds(tag("length")),
		Format: newFormat(tag("format")), Keys: newFormat(tag("keys")),
		Required: tag("required") == "true", Secret: tag("secret") == "true",
	}
	if words := tag("oneof"); words != "" {
		f.OneOf = strings.Split(words, "|")
	}
	if !value.IsZero() || isFlag(field.Type) && f.DefaultText == "" || f.zeroIsAllowed() {
		f.Default = value.Interface()
	}
	return f
}

func isFlag(t reflect.Type) bool { return t.Kind() == reflect.Bool }

// zeroIsAllowed: 0 is a default of its own where it lies in the range and is not
// the sign for a derived one.
func (f *Field) zeroIsAllowed() bool {
	return f.Type.Kind() == reflect.Int && f.DefaultText == "" && f.Range.Least == "0"
}

func parseBounds(tag string) Bounds {
	least, most, _ := strings.Cut(tag, "..")
	return Bounds{Least: least, Most: most}
}

// DefaultString is the default as it is written in a stack file, empty for none.
func (f *Field) DefaultString() string {
	switch v := f.Default.(type) {
	case nil:
		return ""
	case time.Duration:
		return seconds(v)
	default:
		return fmt.Sprint(v)
	}
}

// Element is the type of what a list or a map holds, else the type itself.
func (f *Field) Element() reflect.Type {
	if k := f.Type.Kind(); k == reflect.Slice || k == reflect.Map {
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
// nanoseconds. The tags are ours, so one that cannot be read is a bug.
func (f *Field) Number(text string) float64 {
	if f.Element() == durationType {
		d, err := time.ParseDuration(text)
		if err != nil {
			panic(fmt.Sprintf("settings: reading the tags of %s: %v", f.Path, err))
		}
		return float64(d)
	}
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		panic(fmt.Sprintf("settings: reading the tags of %s: %v", f.Path, err))
	}
	return n
}
