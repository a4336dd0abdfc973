package recorder

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// userDataDigest is what an instance pool's tag says of its instance's user data.
var userDataDigest = regexp.MustCompile(`boot script [0-9a-f]{12}$`)

// Text is the recording as a tree that reads well in a review and stays the
// same while the graph does. Long texts and user data are left out: they have
// tests of their own.
func (r *Recording) Text() string {
	children := map[string][]Resource{}
	for _, x := range r.Resources {
		children[x.Parent] = append(children[x.Parent], x)
	}
	var b strings.Builder
	writeTree(&b, children, "", "")
	return b.String()
}

func writeTree(b *strings.Builder, children map[string][]Resource, parent, indent string) {
	level := children[parent]
	slices.SortFunc(level, func(x, y Resource) int {
		if c := strings.Compare(x.Name, y.Name); c != 0 {
			return c
		}
		return strings.Compare(x.Type, y.Type)
	})
	for _, x := range level {
		fmt.Fprintf(b, "%s%s %s\n", indent, x.Name, x.Type)
		line := func(key, value string) {
			if value != "" {
				fmt.Fprintf(b, "%s    %s %s\n", indent, key, value)
			}
		}
		line("provider:", x.Provider)
		line("after:", strings.Join(x.DependsOn, " "))
		line("gates:", strings.Join(x.Gates, ", "))
		line("ignores:", strings.Join(x.IgnoreChanges, " "))
		if x.Protect {
			line("protected:", "true")
		}
		if x.Retain {
			line("retained:", "true")
		}
		line("takes over:", x.Import)
		for _, key := range slices.Sorted(maps.Keys(x.Inputs)) {
			line("."+string(key), valueText(string(key), x.Inputs[key]))
		}
		// A component and its main child share a name; only the component has
		// children.
		if !x.Custom {
			writeTree(b, children, x.Name, indent+"  ")
		}
	}
}

func valueText(key string, v resource.PropertyValue) string {
	switch {
	case v.IsSecret():
		return "[secret]"
	case v.IsComputed() || v.IsOutput():
		return "(unknown)"
	case v.IsNull():
		return "null"
	case v.IsBool():
		return strconv.FormatBool(v.BoolValue())
	case v.IsNumber():
		return strconv.FormatFloat(v.NumberValue(), 'f', -1, 64)
	case v.IsString():
		s := v.StringValue()
		if key == "user_data" {
			return "(user data)"
		}
		if strings.Contains(strings.TrimSpace(s), "\n") {
			return "(text)"
		}
		return strconv.Quote(userDataDigest.ReplaceAllString(s, "boot script (digest)"))
	case v.IsArray():
		items := make([]string, len(v.ArrayValue()))
		for i, item := range v.ArrayValue() {
			items[i] = valueText(key, item)
		}
		return "[" + strings.Join(items, ", ") + "]"
	case v.IsObject():
		o := v.ObjectValue()
		items := make([]string, 0, len(o))
		for _, k := range slices.Sorted(maps.Keys(o)) {
			items = append(items, string(k)+"="+valueText(string(k), o[k]))
		}
		return "{" + strings.Join(items, ", ") + "}"
	case v.IsResourceReference():
		return "(resource " + v.ResourceReferenceValue().URN.Name() + ")"
	default:
		return v.TypeString()
	}
}

// Texts are all strings among the inputs, at any depth, secret ones left out.
func Texts(v resource.PropertyValue) []string {
	var found []string
	switch {
	case v.IsString():
		found = append(found, v.StringValue())
	case v.IsArray():
		for _, item := range v.ArrayValue() {
			found = append(found, Texts(item)...)
		}
	case v.IsObject():
		for _, item := range v.ObjectValue() {
			found = append(found, Texts(item)...)
		}
	}
	return found
}
