package settings

import (
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The page on settings names every setting there is, and no other.
func TestDocumentNamesEverySetting(t *testing.T) {
	page, err := os.ReadFile("../../docs/settings.md")
	assert.NilError(t, err)
	var documented []string
	for _, m := range regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\|").FindAllStringSubmatch(string(page), -1) {
		documented = append(documented, m[1])
	}
	slices.Sort(documented)
	known := paths("", reflect.TypeFor[Settings]())
	slices.Sort(known)
	assert.Assert(t, len(known) > 60, "the test must see the settings")
	assert.DeepEqual(t, documented, known)
}

// paths are the settings below a type, by their cfg tags.
func paths(prefix string, typ reflect.Type) []string {
	var all []string
	for field := range typ.Fields() {
		tag := field.Tag.Get("cfg")
		path := prefix + tag
		switch {
		case tag == "-":
		case strings.HasPrefix(tag, ","):
			all = append(all, paths(prefix, field.Type)...)
		case field.Type.Kind() == reflect.Struct:
			all = append(all, paths(path+".", field.Type)...)
		default:
			all = append(all, path)
		}
	}
	return all
}
