package emqxoci_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// linkInText is the target of a link or picture in Markdown, without its anchor.
var linkInText = regexp.MustCompile(`\]\(([^)#\s]+)(?:#[^)]*)?\)`)

// Pages send their readers only to what is there.
func TestLinksOfThePagesLead(t *testing.T) {
	links := 0
	look := func(page string) {
		text, err := os.ReadFile(page)
		assert.NilError(t, err)
		for _, m := range linkInText.FindAllStringSubmatch(string(text), -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			links++
			_, err := os.Stat(filepath.Join(filepath.Dir(page), filepath.FromSlash(m[1])))
			assert.Check(t, err, "%s links to %s", page, m[1])
		}
	}
	for _, page := range []string{"README.md", "CHANGELOG.md", "CONTRIBUTING.md", "SECURITY.md"} {
		look(page)
	}
	assert.NilError(t, filepath.WalkDir("docs", func(path string, _ fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(path, ".md") {
			look(path)
		}
		return err
	}))
	assert.Assert(t, links > 200, "the test must see the links, got %d", links)
}
