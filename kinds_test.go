package emqxoci_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// kindNames are the words for implementations of the seams, and for what only one of them registers.
var kindNames = regexp.MustCompile(`(?i)haproxy|network ?load ?balancer|\bnlb\b|ocidns|ocihosts|\bocid|\boci\b|OCI|instance ?pool|instance ?configuration|availability ?domain|fault ?domain|rrset|backend ?set|security ?group|\bvnic\b`)

// ourName is the program's own, which is no cloud's.
var ourName = regexp.MustCompile(`(?i)emqx-oci|emqxoci|emqx_oci`)

// Adding a second implementation is adding a folder and a line, because nothing outside of such a folder names one.
func TestNothingOutsideNamesAKind(t *testing.T) {
	may := []string{
		"components/hosts", "components/edge", "components/proxy", "components/names", // the implementations
		"components/oci",   // what those in Oracle's cloud share
		"components/kinds", // the table
		// What a stack file may say is one vocabulary, whose words people read beside each other: its settings, the
		// arguments made of them, the examples of it, and the questions of init.
		"components/settings", "stacks/example",
	}
	files := map[string]bool{"components/args_cluster.go": true, "cmd/emqx-oci/cli/init_questions.go": true}
	seen := 0
	for _, f := range sources(t) {
		if !f.in("components", "stacks", "infra", "cmd/emqx-oci", "provider") || f.in(may...) || files[f.path] {
			continue
		}
		seen++
		ast.Inspect(f.syntax, func(n ast.Node) bool {
			var text string
			switch n := n.(type) {
			case *ast.ImportSpec:
				return false // the rooms' own test has them
			case *ast.Ident:
				text = n.Name
			case *ast.BasicLit:
				if n.Kind == token.STRING {
					text = n.Value
				}
			}
			found := kindNames.FindString(ourName.ReplaceAllString(text, ""))
			assert.Check(t, found == "", "%s names %q: %s", f.path, found, strings.Join(strings.Fields(text), " "))
			return true
		})
	}
	assert.Assert(t, seen > 100, "the test must see the tree: %d files", seen)
}
