package emqxoci_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

var (
	link    = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading = regexp.MustCompile(`(?m)^#+ +(.*)$`)
	// inComment is where a sentence goes on in the next line of a comment.
	inComment = regexp.MustCompile(`\n[ \t]*(?://|#|%%?)?[ \t]*`)
	adrs      = regexp.MustCompile(`\bADRs? (\d+(?:(?:, | and | to )\d+)*)`)
	// bracketed is how the records name each other without a link.
	bracketed = regexp.MustCompile(`[(\[](\d{4})[)\]]`)
	number    = regexp.MustCompile(`\d+`)
	// elsewhere is what names a document that is no part of the tree.
	elsewhere = regexp.MustCompile(`(?i)\bdecisions? \d+|\bfaults? b\d+\b|\bfacts(?:\.md)? \d+\.\d|\b(?:facts|design)\.md\b`)
)

// texts are the files of the tree that people read.
func texts(t *testing.T) map[string]string {
	t.Helper()
	kinds := []string{".go", ".md", ".sh", ".hcl", ".cfg", ".yaml", ".yml", ".txt", ".erl"}
	found := map[string]string{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && (slices.Contains([]string{".git", ".tools", ".cache", "bin", "sdks"}, path) || d.Name() == "testdata"):
			return filepath.SkipDir
		case d.IsDir() || path == "references_test.go" || !slices.Contains(kinds, filepath.Ext(path)) && d.Name() != "Makefile":
			return nil
		case !d.Type().IsRegular():
			return nil
		}
		text, err := os.ReadFile(path)
		found[filepath.ToSlash(path)] = string(text)
		return err
	})
	assert.NilError(t, err)
	return found
}

// records are the numbers of docs/decisions.
func records(t *testing.T) map[string]bool {
	t.Helper()
	files, err := filepath.Glob("docs/decisions/[0-9]*.md")
	assert.NilError(t, err)
	known := map[string]bool{}
	for _, f := range files {
		n, _, _ := strings.Cut(filepath.Base(f), "-")
		assert.Check(t, !known[n], "two records have the number %s", n)
		known[n] = true
	}
	return known
}

// strangers are what a text names and the tree does not have: records by number, and documents by name.
func strangers(path, text string, known map[string]bool) []string {
	if filepath.Ext(path) == ".md" {
		text = heading.ReplaceAllString(text, "") // "Decision", and then "1."
	}
	text = inComment.ReplaceAllString(text, " ")
	unknown := elsewhere.FindAllString(text, -1)
	for _, m := range adrs.FindAllStringSubmatch(text, -1) {
		for _, n := range number.FindAllString(m[1], -1) {
			if !known[n] {
				unknown = append(unknown, "ADR "+n)
			}
		}
	}
	if strings.HasPrefix(path, "docs/decisions/") {
		for _, m := range bracketed.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				unknown = append(unknown, m[0])
			}
		}
	}
	return unknown
}

func TestNamedRecordsAndDocumentsExist(t *testing.T) {
	known := records(t)
	for path, text := range texts(t) {
		for _, s := range strangers(path, text, known) {
			t.Errorf("%s names %q: say the fact itself, or name a record of docs/decisions, as in \"ADR 0001\"", path, s)
		}
	}
}

func TestStrangersAreFound(t *testing.T) {
	known := map[string]bool{"0001": true, "0004": true}
	assert.DeepEqual(t, strangers("docs/decisions/x.md", "## Decision\n1. As ADR 0001 and\n[0004](x.md) say, (0001)", known), []string(nil))
	assert.DeepEqual(t, strangers("docs/decisions/x.md", "ADRs 0001, 0002 and 0004; ADR\n3; (0009)", known), []string{"ADR 0002", "ADR 3", "(0009)"})
	assert.DeepEqual(t, strangers("a.go", "// so (decision\n// 22), fault B1, facts 7.2, and facts.md.", known),
		[]string{"decision 22", "fault B1", "facts 7.2", "facts.md"})
}

// anchors are the names that a page's headings have.
func anchors(page string) []string {
	var names []string
	for _, m := range heading.FindAllStringSubmatch(page, -1) {
		names = append(names, strings.ReplaceAll(strings.Map(func(r rune) rune {
			if r == ' ' || r == '-' || r == '_' || r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r > 127 {
				return r
			}
			return -1
		}, strings.ToLower(m[1])), " ", "-"))
	}
	return names
}

// Every relative link of a page leads to a file or folder of the tree, and to a heading where it names one.
func TestLinksLeadSomewhere(t *testing.T) {
	all, links := texts(t), 0
	for path, text := range all {
		if filepath.Ext(path) != ".md" {
			continue
		}
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") || strings.HasPrefix(m[1], "mailto:") {
				continue
			}
			links++
			file, anchor, _ := strings.Cut(m[1], "#")
			target := path
			if file != "" {
				target = filepath.ToSlash(filepath.Join(filepath.Dir(path), file))
			}
			_, err := os.Stat(target)
			assert.Check(t, err, "%s links %s", path, m[1])
			assert.Check(t, !strings.HasPrefix(target, ".."), "%s links %s, which is outside the tree", path, m[1])
			if anchor != "" {
				assert.Check(t, slices.Contains(anchors(all[target]), anchor), "%s links %s: there is no such heading", path, m[1])
			}
		}
	}
	assert.Assert(t, links > 100, "the test must see the links, got %d", links)
}
