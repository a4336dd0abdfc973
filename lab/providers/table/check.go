package table

import (
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Check says everything that is wrong with the inputs of a resource called name,
// in the words of the bridged providers, all of it at once. Unknown values pass:
// they are looked at when they are known.
//
// It is strict in one thing where the real providers are not: they take a
// snake_case name for its camelCase twin.
func (f *Fields) Check(name string, news resource.PropertyMap) []string {
	c := &checker{name: name}
	c.object("", f, news)
	return c.reasons
}

type checker struct {
	name    string
	reasons []string
}

func (c *checker) fail(path, format string, args ...any) {
	c.reasons = append(c.reasons, fmt.Sprintf(format, args...)+
		fmt.Sprintf(". Examine values at '%s.%s'.", c.name, path))
}

var plainKey = regexp.MustCompile(`^[_a-zA-Z][-_a-zA-Z0-9]*$`)

func join(path, key string) string {
	switch {
	case path == "":
		return key
	case plainKey.MatchString(key):
		return path + "." + key
	default:
		return fmt.Sprintf("%s[%q]", path, key)
	}
}

// internalKey is one that the engine and the bridge add for themselves.
func internalKey(k resource.PropertyKey) bool {
	return k == "__defaults" || k == "__meta" || k == "__internal"
}

func (c *checker) object(path string, f *Fields, m resource.PropertyMap) {
	for _, p := range f.Props {
		v, given := m[resource.PropertyKey(p.Name)]
		v = Plain(v)
		if !given || v.IsNull() {
			if p.Required {
				// The real one adds the property's description after a colon.
				c.reasons = append(c.reasons, fmt.Sprintf("Missing required property '%s'", join(path, p.Name)))
			}
			continue
		}
		c.value(join(path, p.Name), p.Type, v)
	}
	for _, k := range m.StableKeys() {
		if _, known := f.Get(string(k)); !known && !internalKey(k) {
			c.fail(join(path, string(k)), "Invalid or unknown key")
		}
	}
}

func (c *checker) value(path string, t Type, v resource.PropertyValue) {
	v = Plain(v)
	if Unknown(v) || v.IsNull() || t.Kind == Any {
		return
	}
	switch t.Kind {
	case List, Set:
		if !v.IsArray() {
			c.fail(path, "Attribute must be a list")
			return
		}
		for i, e := range v.ArrayValue() {
			c.value(fmt.Sprintf("%s[%d]", path, i), *t.Elem, e)
		}
	case Map:
		if !v.IsObject() {
			c.fail(path, "Attribute must be a map")
			return
		}
		for _, k := range v.ObjectValue().StableKeys() {
			c.value(join(path, string(k)), *t.Elem, v.ObjectValue()[k])
		}
	case Object:
		if !v.IsObject() {
			c.fail(path, "Expected Object Type. Expected object, got %s", kindOf(v))
			return
		}
		c.object(path, t.Fields, v.ObjectValue())
	default:
		c.primitive(path, t, v)
	}
}

func (c *checker) primitive(path string, t Type, v resource.PropertyValue) {
	switch {
	case v.IsArray():
		c.fail(path, "Attribute must be a single value, not a list")
	case v.IsObject():
		c.fail(path, "Attribute must be a single value, not a map")
	case !v.IsString() && !v.IsNumber() && !v.IsBool():
		c.fail(path, "Inappropriate value: a %s is required, got %s", t, kindOf(v))
	case t.Kind == String:
		// Numbers and booleans are written as text, silently, as the real ones do.
	case t.Kind == Bool && v.IsString():
		if _, err := strconv.ParseBool(v.StringValue()); err != nil {
			c.fail(path, "cannot parse '' as bool: %s", err)
		}
	case t.Kind == Bool:
		if v.IsNumber() && v.NumberValue() != 0 && v.NumberValue() != 1 {
			c.fail(path, "Inappropriate value: a bool is required, got number")
		}
	case v.IsBool():
		c.fail(path, "Inappropriate value: a number is required, got bool")
	case v.IsString():
		if _, err := strconv.ParseFloat(v.StringValue(), 64); err != nil {
			c.fail(path, "cannot parse '' as int: %s", err)
		} else if t.Kind == Integer {
			if _, err := strconv.ParseInt(v.StringValue(), 10, 64); err != nil {
				c.fail(path, "cannot parse '' as int: %s", err)
			}
		}
	case t.Kind == Integer && v.NumberValue() != math.Trunc(v.NumberValue()):
		c.fail(path, "Attribute must be a whole number, got %v", v.NumberValue())
	}
}

func kindOf(v resource.PropertyValue) string {
	switch {
	case v.IsString():
		return "string"
	case v.IsBool():
		return "bool"
	case v.IsNumber():
		return "number"
	case v.IsArray():
		return "list"
	case v.IsObject():
		return "map"
	default:
		return v.TypeString()
	}
}

// Autoname gives the properties that make their own name a value: the one they
// had, else the resource's name with suffix. Like the bridge it notes them in
// __defaults, which is how a later diff knows that nobody chose the name.
func (f *Fields) Autoname(name, suffix string, olds, news resource.PropertyMap) resource.PropertyMap {
	var named []resource.PropertyValue
	out := news
	for _, p := range f.Props {
		key := resource.PropertyKey(p.Name)
		if v, given := news[key]; !p.Autoname || given && !Plain(v).IsNull() {
			continue
		}
		if len(named) == 0 {
			out = news.Copy()
		}
		old, had := olds[key]
		if had && slices.Contains(Defaulted(olds), p.Name) {
			out[key] = old
		} else {
			out[key] = resource.NewProperty(name + "-" + suffix)
		}
		named = append(named, resource.NewProperty(p.Name))
	}
	if len(named) > 0 {
		out["__defaults"] = resource.NewProperty(named)
	}
	return out
}

// Defaulted lists the properties whose value nobody chose.
func Defaulted(m resource.PropertyMap) []string {
	v := Plain(m["__defaults"])
	if !v.IsArray() {
		return nil
	}
	var out []string
	for _, e := range v.ArrayValue() {
		if e.IsString() {
			out = append(out, e.StringValue())
		}
	}
	return out
}
