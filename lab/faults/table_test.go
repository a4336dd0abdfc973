package faults

import (
	"os"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// docs/lab.md has the table between its markers, as it is printed.
func TestTheDocumentHasTheTable(t *testing.T) {
	text, err := os.ReadFile("../../docs/lab.md")
	assert.NilError(t, err)
	_, after, ok := strings.Cut(string(text), "<!-- faults -->\n")
	assert.Assert(t, ok)
	table, _, ok := strings.Cut(after, "<!-- /faults -->")
	assert.Assert(t, ok)
	assert.Equal(t, table, Markdown())
}

func TestTheTableIsWhole(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range Table() {
		assert.Assert(t, !seen[k.Name], k.Name)
		seen[k.Name] = true
		assert.Assert(t, k.Does != "" && k.Real != "" && k.Target != "", k.Name)
		assert.Assert(t, (k.cut == nil) != (k.do == nil), "%s: either a cut or an action", k.Name)
		assert.Equal(t, k.undo != nil || k.cut != nil, k.Lasts(), k.Name)
		assert.Assert(t, strings.Contains(Help(), k.Name+" "+k.Target))
	}
}
