package preflight

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"github.com/emqx-oci/emqx-oci/components/recorder"
)

// Rules are what an API accepts of one type of resource.
type Rules struct {
	// Required are the properties that must be set, by their dotted paths.
	Required []string
	// Each judges properties one by one.
	Each []Rule
	// Whole judges what several of them must be to each other; nil for nothing.
	Whole func(r recorder.Resource, wrong Wrong)
}

// Rule is what an API accepts of one property. A dotted path leads to it, "[]"
// stands for every element of a list. A property that is absent, or that only
// the cloud knows, is not judged.
type Rule struct {
	Path string
	Test Test
}

// Test says what is wrong with a value, "" when nothing is: "must be 1 to 9, got 0".
type Test func(v resource.PropertyValue) string

// Wrong tells what is wrong with a property of the resource at hand.
type Wrong func(property, format string, args ...any)

// apply judges every resource that the table has rules for.
func (in *Input) apply(table map[string]Rules, r *Report) {
	for _, x := range in.Resources {
		t, ok := table[x.Type]
		if !ok {
			continue
		}
		for _, name := range t.Required {
			if Property(x, name).IsNull() {
				r.Errorf(Path(x, name), "must be set")
			}
		}
		for _, rule := range t.Each {
			visit(resource.NewProperty(x.Inputs), strings.Split(rule.Path, "."), "", func(at string, v resource.PropertyValue) {
				if complaint := rule.Test(v); complaint != "" {
					r.Errorf(Path(x, at), "%s", complaint)
				}
			})
		}
		if t.Whole != nil {
			t.Whole(x, func(name, format string, args ...any) { r.Errorf(Path(x, name), format, args...) })
		}
	}
}

// visit calls found with every value at a path.
func visit(v resource.PropertyValue, steps []string, so string, found func(at string, v resource.PropertyValue)) {
	v = Open(v)
	switch {
	case v.IsNull() || Unknown(v):
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

// Show prints a value as a person wrote it.
func Show(v resource.PropertyValue) string {
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

// OneOf takes some texts.
func OneOf(allowed ...string) Test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && slices.Contains(allowed, v.StringValue()) {
			return ""
		}
		return fmt.Sprintf("must be %s, got %s", strings.Join(allowed, " or "), Show(v))
	}
}

// Between takes whole numbers, as numbers or as text: APIs have both.
func Between(low, high int) Test {
	return func(v resource.PropertyValue) string {
		if n, ok := WholeNumber(v); ok && n >= low && n <= high {
			return ""
		}
		return fmt.Sprintf("must be %d to %d, got %s", low, high, Show(v))
	}
}

// PortNumber takes the ports of TCP and UDP.
var PortNumber = Between(1, 65535)

// InSteps takes whole numbers that are a multiple of step, as [Between] does.
func InSteps(step, low, high int) Test {
	return func(v resource.PropertyValue) string {
		if n, ok := WholeNumber(v); ok && n >= low && n <= high && n%step == 0 {
			return ""
		}
		return fmt.Sprintf("must be %d to %d in steps of %d, got %s", low, high, step, Show(v))
	}
}

// WholeNumber is a whole number that a value is, or says as text.
func WholeNumber(v resource.PropertyValue) (n int, ok bool) {
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

// Length takes texts of so many bytes.
func Length(low, high int) Test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && len(v.StringValue()) >= low && len(v.StringValue()) <= high {
			return ""
		}
		if v.IsString() {
			return fmt.Sprintf("must have %d to %d characters, got %d", low, high, len(v.StringValue()))
		}
		return fmt.Sprintf("must be text, got %s", Show(v))
	}
}

// Like takes texts of a form, which allowed describes.
func Like(form *regexp.Regexp, allowed string) Test {
	return That(allowed, form.MatchString)
}

// That takes the texts that accepts does, which allowed describes.
func That(allowed string, accepts func(string) bool) Test {
	return func(v resource.PropertyValue) string {
		if v.IsString() && accepts(v.StringValue()) {
			return ""
		}
		return fmt.Sprintf("must be %s, got %s", allowed, Show(v))
	}
}

// IPv4 takes an address.
var IPv4 = That("an IPv4 address", func(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Is4()
})

// TextMap takes maps of texts that fault has nothing against.
func TextMap(fault func(map[string]string) string) Test {
	return func(v resource.PropertyValue) string {
		if !v.IsObject() {
			return fmt.Sprintf("must be a map of texts, got %s", Show(v))
		}
		texts := map[string]string{}
		for key, value := range v.ObjectValue() {
			texts[string(key)] = Text(Open(value))
		}
		return fault(texts)
	}
}
