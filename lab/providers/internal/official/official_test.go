package official

import (
	"os"
	"strings"
	"testing"

	"github.com/emqx-oci/emqx-oci/internal/pluginschema"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
	"gotest.tools/v3/assert"
)

// The comparison finds what is spoilt in a table that is right.
func TestSpoiltTablesAreFound(t *testing.T) {
	rows, err := os.ReadFile("../../nomad/table.txt")
	assert.NilError(t, err)
	o, err := pluginschema.Official("nomad-2.6.1")
	assert.NilError(t, err)
	for _, c := range []struct{ from, to, fault string }{
		{"in path string required", "in path number required", "nomad:index/variable:Variable.path: number here, string there"},
		{"resource nomad:index/variable:Variable", "resource nomad:index/variables:Variable", "nomad:index/variables:Variable: no such resource"},
		{"function nomad:index/getNodes:getNodes", "function nomad:index/nodes:nodes", "nomad:index/nodes:nodes: no such function"},
	} {
		spoilt := strings.Replace(string(rows), c.from, c.to, 1)
		assert.Assert(t, spoilt != string(rows), c.from)
		found := faults(table.MustParse(spoilt), o)
		assert.Assert(t, strings.Contains(strings.Join(found, "\n"), c.fault), "%q: %v", c.to, found)
	}
}
