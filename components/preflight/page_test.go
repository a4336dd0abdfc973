package preflight_test

import (
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
)

// `make checks` writes the page.
func TestPage(t *testing.T) {
	page, err := filepath.Abs("../../docs/checks.md")
	assert.NilError(t, err)
	golden.Assert(t, preflight.Page(kinds.Checks()), page)
}
