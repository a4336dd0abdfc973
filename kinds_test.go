package emqxoci_test

import (
	"go/ast"
	"go/token"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// kindNames are words of those who do something that another one could do as well, and of what only one of them registers.
var kindNames = regexp.MustCompile(`\boci\b|ocid|ha ?proxy|\bnlb\b|network load balancer|backend set|instance (pool|configuration)|` +
	`(availability|fault) domain|rrset|security group|private ip\b|\bvnic\b`)

var (
	// ourName is the program's own, which is no cloud's.
	ourName = regexp.MustCompile(`(?i)emqx[-_]?oci`)
	// camel is where a word begins inside a name.
	camel = regexp.MustCompile(`([a-z0-9])([A-Z])|([A-Z])([A-Z][a-z])`)
)

// kindIn is the word for an implementation in a name or a text, "" for none.
func kindIn(text string) string {
	return kindNames.FindString(strings.ToLower(camel.ReplaceAllString(ourName.ReplaceAllString(text, ""), "$1$3 $2$4")))
}

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
			found := kindIn(text)
			assert.Check(t, found == "", "%s names %q: %s", f.path, found, strings.Join(strings.Fields(text), " "))
			return true
		})
	}
	assert.Assert(t, seen > 100, "the test must see the tree: %d files", seen)
	for _, text := range []string{"poolOCI", "OCIRegion", "instancePoolType", "`an OCID`", "NetworkLoadBalancersBackendSetsUnified", "readHAProxy", "oci:Core/volume:Volume"} {
		assert.Check(t, kindIn(text) != "", text)
	}
	for _, text := range []string{"emqx-oci up", "EMQX_OCI_BIN", "a social association", "the balancer"} {
		assert.Check(t, kindIn(text) == "", text)
	}
}
