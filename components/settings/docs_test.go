package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

var (
	// variableInText is a variable with its value, as docs write it: `EMQX_X: "value"`.
	variableInText = regexp.MustCompile("`(EMQX_[A-Z0-9_]+): ([^`]+)`")
	// settingInText is a setting by its path: `nodes.count`, `emqx-oci:nodes.count`.
	settingInText = regexp.MustCompile("`(?:emqx-oci:)?([a-z]+)\\.([a-zA-Z.]+)(?:: [^`]*)?`")
)

// What docs tell to set can be set: variables are accepted, and settings exist. Pages
// whose examples are what is refused are left out.
func TestWhatDocsNameCanBeSet(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../../README.md", "../../docs/*.md", "../../docs/tasks/*.md"} {
		found, err := filepath.Glob(pattern)
		assert.NilError(t, err)
		pages = append(pages, found...)
	}
	variables, paths := 0, 0
	for _, page := range pages {
		text, err := os.ReadFile(page)
		assert.NilError(t, err)
		for _, m := range variableInText.FindAllStringSubmatch(string(text), -1) {
			variables++
			g := good()
			g["broker"] = fmt.Sprintf(`{"env": {%q: %q}}`, m[1], strings.Trim(m[2], `"`))
			_, err := load("prod", g, "secrets")
			assert.Check(t, err, "%s tells to set %s", page, m[0])
		}
		if strings.HasSuffix(page, "checks.md") {
			continue
		}
		for _, m := range settingInText.FindAllStringSubmatch(string(text), -1) {
			if group := func(f structconfig.Field) bool { return f.Key == m[1] }; !slices.ContainsFunc(Spec().Fields(), group) || elsewhere[m[1]+"."+m[2]] {
				continue
			}
			paths++
			assert.Check(t, known(m[1]+"."+m[2]), "%s names %s, and there is no such setting", page, m[0])
		}
	}
	assert.Assert(t, variables >= 3 && paths >= 50, "the test must see the docs: %d, %d", variables, paths)
}

// elsewhere are paths that look like settings and are EMQX's, or files of this tree.
var elsewhere = map[string]bool{
	"node.dist_net_ticktime": true,
	"nomad.hcl":              true, // files
	"secrets.json":           true,
}

// known tells whether a path is a setting, or a group of some.
func known(path string) bool {
	return slices.ContainsFunc(Spec().Values(), func(f structconfig.Field) bool {
		return f.Path == path || strings.HasPrefix(f.Path, path+"[].") || strings.HasPrefix(f.Path, path+".") || f.Type.Kind() == reflect.Map && strings.HasPrefix(path, f.Path+".")
	})
}
