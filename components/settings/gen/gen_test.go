package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

const root = "../../.."

func TestTheTreeHoldsWhatIsGenerated(t *testing.T) {
	files, err := generate(root)
	assert.NilError(t, err)
	assert.Equal(t, len(files), 4)
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join(root, name))
		assert.NilError(t, err)
		assert.Assert(t, string(got) == string(want), "%s is not what components/settings/settings.go says: run make settings", name)
	}
}

func TestThePageNamesEverySetting(t *testing.T) {
	files, err := generate(root)
	assert.NilError(t, err)
	page := string(files["docs/settings.md"])
	assert.Assert(t, len(settings.Spec().Values()) > 90, "the test must see the settings")
	for _, f := range settings.Spec().Values() {
		assert.Equal(t, strings.Count(page, "\n| `"+f.Path+"` | "), 1, f.Path)
	}
}
