package structconfig

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Options are what the tags of a struct refer to.
type Options struct {
	// KeyTag is the tag that holds a field's key; default "cfg".
	KeyTag string
	// Format finds the format that a tag "format" or "keys" names; nil where none does.
	Format func(name string) (Format, bool)
	// Moved are keys that were once known, by their path, and where that is now: a path, or words.
	Moved map[string]string
	// Placeholder stands for an encrypted value that is not at hand; empty for none.
	Placeholder string
}

// Spec is what is known of a struct type: its fields, with their keys, limits and
// defaults. It does not change, so that any number of goroutines may use it.
type Spec struct {
	options Options
	typ     reflect.Type
	fields  []Field
}

// Describe reads the tags of a struct. defaults is one of it, or a pointer to
// one, filled with the defaults. Fields may be text, numbers, flags, durations, lists
// of these, maps from text to these, structs (groups), lists of groups, and pointers to
// values and groups that may be absent. A field of an interface type is validated as far as
// its value is of these kinds; it cannot be decoded.
//
// The tags are:
//
//	cfg       the key ([Options.KeyTag] names another tag); "-" for a field that is
//	          not configuration, ",inline" for a struct whose fields have no group of
//	          their own. Other words behind a comma are left to others.
//	unit      of the value, for the reader
//	range     "1..100", an end may be open; of each value in a list or map
//	step      the value is a multiple of it
//	oneof     the allowed values, "a|b"
//	length    characters, as a range
//	format    of the text, of each in a list or map; see [Options.Format]
//	keys      format of a map's keys
//	required  "true": has no default, and must be there
//	secret    "true": must be encrypted where configuration is kept
//	default   the default in words, where it follows from something else
//	why       the reason of the limit; ends its error and the page's text
//
// The tags are the program's own: Describe panics where one cannot be read.
func Describe(defaults any, o Options) *Spec {
	if o.KeyTag == "" {
		o.KeyTag = "cfg"
	}
	root := reflect.Indirect(reflect.ValueOf(defaults))
	d := describer{options: o, formats: map[string]*Format{}}
	return &Spec{options: o, typ: root.Type(), fields: d.fields("", nil, root)}
}

// Fields are the struct's own fields in their order, groups with theirs.
func (s *Spec) Fields() []Field { return slices.Clone(s.fields) }

// Values are all fields that hold a value, of all groups and of the groups in lists, in
// their order.
func (s *Spec) Values() []Field { return appendValues(nil, s.fields) }

func appendValues(all, fields []Field) []Field {
	for _, f := range fields {
		if f.IsGroup() || f.IsList() {
			all = appendValues(all, f.Fields)
			continue
		}
		all = append(all, f)
	}
	return all
}

// EachText calls with every text that a struct of the described type, or one that v points
// to, holds in its fields, those of lists of groups included: "users[1].name". What is
// absent or empty, and what lists and maps of texts hold, is left out.
func (s *Spec) EachText(v any, call func(path string, f *Field, text string)) {
	eachText("", s.fields, s.root(v), call)
}

func eachText(prefix string, fields []Field, group reflect.Value, call func(string, *Field, string)) {
	for i := range fields {
		f := &fields[i]
		v, err := group.FieldByIndexErr(f.index)
		if err != nil { // in a group that is absent
			continue
		}
		path := prefix + f.Key
		switch v, ok := given(v); {
		case !ok:
		case f.IsGroup():
			eachText(path+".", f.Fields, group, call)
		case f.IsList():
			for i := range v.Len() {
				eachText(fmt.Sprintf("%s[%d].", path, i), f.Fields, v.Index(i), call)
			}
		case v.Kind() == reflect.String && v.String() != "":
			call(path, f, v.String())
		}
	}
}

// root is the struct behind v, which is one of the described type or points to one.
func (s *Spec) root(v any) reflect.Value {
	root := reflect.Indirect(reflect.ValueOf(v))
	if !root.IsValid() || root.Type() != s.typ {
		panic(fmt.Sprintf("structconfig: got a %T, want a %s", v, s.typ))
	}
	return root
}

type describer struct {
	options Options
	formats map[string]*Format
}

// fields are those of a group, or of the struct itself.
func (d *describer) fields(prefix string, index []int, group reflect.Value) []Field {
	var all []Field
	for i := range group.NumField() {
		field, value := group.Type().Field(i), group.Field(i)
		at := append(slices.Clone(index), i)
		key, options, _ := strings.Cut(field.Tag.Get(d.options.KeyTag), ",")
		inline := options == "inline" || field.Anonymous && key == ""
		switch {
		case key == "-", !field.IsExported() && !field.Anonymous:
		case inline && field.Type.Kind() == reflect.Struct:
			all = append(all, d.fields(prefix, at, value)...)
		case key == "":
			panic(fmt.Sprintf("structconfig: field %s.%s has no tag %q with its key", group.Type(), field.Name, d.options.KeyTag))
		default:
			all = append(all, d.field(key, prefix+key, group.Type(), field, value, at))
		}
	}
	for i, f := range all {
		if slices.ContainsFunc(all[:i], func(other Field) bool { return other.Key == f.Key }) {
			panic(fmt.Sprintf("structconfig: two fields have the key %s", f.Path))
		}
	}
	return all
}

func (d *describer) field(key, path string, owner reflect.Type, field reflect.StructField, value reflect.Value, index []int) Field {
	tag := field.Tag.Get
	f := Field{
		Key: key, Path: path, Struct: owner, Name: field.Name, Type: field.Type, index: index,
		DefaultText: tag("default"), Unit: tag("unit"), Step: tag("step"), Why: tag("why"),
		Range: parseBounds(tag("range")), Length: parseBounds(tag("length")),
		Format: d.format(path, tag("format")), Keys: d.format(path, tag("keys")),
		Required: tag("required") == "true", Secret: tag("secret") == "true",
	}
	if words := tag("oneof"); words != "" {
		f.OneOf = strings.Split(words, "|")
	}
	pointer := f.Type.Kind() == reflect.Pointer
	if pointer {
		f.Type = f.Type.Elem()
	}
	switch {
	case f.IsList():
		if f.Fields = d.fields(path+"[].", nil, reflect.New(f.Type.Elem()).Elem()); value.Len() > 0 {
			panic(fmt.Sprintf("structconfig: %s is a list of groups, which cannot have a default", path))
		}
		return f
	case f.Type.Kind() == reflect.Struct:
		inner := reflect.New(f.Type).Elem()
		if v := reflect.Indirect(value); v.IsValid() {
			inner = v
		}
		f.Fields = d.fields(path+".", index, inner)
		return f
	case !isPlain(f.Element()) && f.Element().Kind() != reflect.Interface || pointer && !isPlain(f.Type):
		panic(fmt.Sprintf("structconfig: %s has the type %s, which is none of configuration", path, field.Type))
	case f.Required && !pointer && !f.mayBeMissing():
		panic(fmt.Sprintf("structconfig: %s is required, and a %s is always there: make it a pointer", path, field.Type))
	}
	f.checkNumbers()
	if pointer {
		if !value.IsNil() {
			f.Default = value.Elem().Interface()
		}
		return f
	}
	if !value.IsZero() || f.Type.Kind() == reflect.Bool && f.DefaultText == "" || f.zeroIsAllowed() {
		f.Default = value.Interface()
	}
	return f
}

// isPlain tells whether a type is of one value.
func isPlain(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.String, reflect.Bool, reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64, reflect.Float32, reflect.Float64:
		return true
	default:
		return false
	}
}

func (d *describer) format(path, name string) *Format {
	if name == "" {
		return nil
	}
	if f, ok := d.formats[name]; ok {
		return f
	}
	var f Format
	var ok bool
	if d.options.Format != nil {
		f, ok = d.options.Format(name)
	}
	if !ok {
		panic(fmt.Sprintf("structconfig: %s has the format %q, and none is called so", path, name))
	}
	f.compile()
	d.formats[name] = &f
	return &f
}

func parseBounds(tag string) Bounds {
	least, most, _ := strings.Cut(tag, "..")
	return Bounds{Least: least, Most: most}
}

var durationType = reflect.TypeFor[time.Duration]()
