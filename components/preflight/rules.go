package preflight

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/oci/limits"
	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// rule is what an API accepts of one property. A dotted path leads to it, "[]"
// stands for every element of a list. A property that is absent, or that only
// the cloud knows, is not judged.
type rule struct {
	path string
	test test
}

// test says what is wrong with a value, "" when nothing is: "must be 1 to 9, got 0".
type test func(v resource.PropertyValue) string

// whole judges what several properties of a resource must be to each other.
type whole func(r recorder.Resource, wrong func(name, format string, args ...any))

// rules are what an API accepts of one type of resource.
type rules struct {
	required []string
	each     []rule
	whole    whole
}

// apply judges every resource of the tables' types.
func apply(in *input, table map[string]rules, r *report) {
	for _, x := range in.resources {
		t, ok := table[x.Type]
		if !ok {
			continue
		}
		for _, name := range t.required {
			if property(x, name).IsNull() {
				r.errorf(path(x, name), "must be set")
			}
		}
		for _, rule := range t.each {
			visit(resource.NewProperty(x.Inputs), strings.Split(rule.path, "."), "", func(at string, v resource.PropertyValue) {
				if complaint := rule.test(v); complaint != "" {
					r.errorf(path(x, at), "%s", complaint)
				}
			})
		}
		if t.whole != nil {
			t.whole(x, func(name, format string, args ...any) { r.errorf(path(x, name), format, args...) })
		}
	}
}

// visit calls found with every value at a path.
func visit(v resource.PropertyValue, steps []string, so string, found func(at string, v resource.PropertyValue)) {
	v = open(v)
	switch {
	case v.IsNull() || unknown(v):
	case len(steps) == 0:
		found(so, v)
	case steps[0] == "[]":
		if v.IsArray() {
			for i, element := range v.ArrayValue() {
				visit(element, steps[1:], fmt.Sprintf("%s[%d]", so, i), found)
			}
		}
	case v.IsObject():
		below := steps[0]
		if so != "" {
			below = so + "." + below
		}
		visit(v.ObjectValue()[resource.PropertyKey(steps[0])], steps[1:], below, found)
	}
}

// show prints a value as a person wrote it.
func show(v resource.PropertyValue) string {
	switch {
	case v.IsString():
		return strconv.Quote(v.StringValue())
	case v.IsNumber():
		return strconv.FormatFloat(v.NumberValue(), 'f', -1, 64)
	case v.IsBool():
		return strconv.FormatBool(v.BoolValue())
	default:
		return v.TypeString()
	}
}

func oneOf(allowed ...string) test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && slices.Contains(allowed, v.StringValue()) {
			return ""
		}
		return fmt.Sprintf("must be %s, got %s", strings.Join(allowed, " or "), show(v))
	}
}

// between takes whole numbers, as numbers or as text: OCI's API has both.
func between(low, high int) test {
	return func(v resource.PropertyValue) string {
		if n, ok := wholeNumber(v); ok && n >= low && n <= high {
			return ""
		}
		return fmt.Sprintf("must be %d to %d, got %s", low, high, show(v))
	}
}

// inTens takes whole numbers in steps of ten.
func inTens(low, high int) test {
	return func(v resource.PropertyValue) string {
		if n, ok := wholeNumber(v); ok && n >= low && n <= high && n%10 == 0 {
			return ""
		}
		return fmt.Sprintf("must be %d to %d in steps of 10, got %s", low, high, show(v))
	}
}

func wholeNumber(v resource.PropertyValue) (int, bool) {
	switch {
	case v.IsNumber():
		n := int(v.NumberValue())
		return n, float64(n) == v.NumberValue()
	case v.IsString():
		n, err := strconv.Atoi(v.StringValue())
		return n, err == nil
	}
	return 0, false
}

// length takes texts of so many characters.
func length(low, high int) test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && len(v.StringValue()) >= low && len(v.StringValue()) <= high {
			return ""
		}
		if v.IsString() {
			return fmt.Sprintf("must have %d to %d characters, got %d", low, high, len(v.StringValue()))
		}
		return fmt.Sprintf("must be text, got %s", show(v))
	}
}

// like takes texts of a form, which allowed describes.
func like(form *regexp.Regexp, allowed string) test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && form.MatchString(v.StringValue()) {
			return ""
		}
		return fmt.Sprintf("must be %s, got %s", allowed, show(v))
	}
}

// ocid takes the ids of things of a kind.
func ocid(kinds ...string) test {
	return func(v resource.PropertyValue) string {
		for _, kind := range kinds {
			if strings.HasPrefix(text(v), "ocid1."+kind+".") {
				return ""
			}
		}
		return fmt.Sprintf("must be an OCID that begins with ocid1.%s., got %s", kinds[0], show(v))
	}
}

func address(v resource.PropertyValue) string {
	if a, err := netip.ParseAddr(text(v)); err == nil && a.Is4() {
		return ""
	}
	return fmt.Sprintf("must be an IPv4 address, got %s", show(v))
}

var tagKey = regexp.MustCompile(limits.TagPattern)

// tags are OCI's limits of free-form tags: 10 on a resource, keys of 100 and
// values of 256 characters ("Service limits", "Tagging limits").
func tags(v resource.PropertyValue) string {
	if !v.IsObject() {
		return fmt.Sprintf("must be a map of texts, got %s", show(v))
	}
	all := v.ObjectValue()
	if len(all) > 10 {
		return fmt.Sprintf("must hold at most 10 tags, the stack's own three with them, got %d", len(all))
	}
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if !tagKey.MatchString(string(key)) {
			return fmt.Sprintf("must have keys of 1 to 100 printable characters without dots and spaces, got %q", string(key))
		}
		if value := text(open(all[key])); len(value) > 256 {
			return fmt.Sprintf("must have values of at most 256 characters, got %d at %q", len(value), string(key))
		}
	}
	return ""
}
