package progress

import (
	"fmt"
	"strings"
)

// signs stand before a planned resource.
var signs = map[string]struct {
	sign string
	color
}{
	"create": {" +", green}, "update": {" ~", yellow}, "replace": {"+-", magenta}, "delete": {" -", red},
	"refresh": {" <", cyan}, "import": {" =", cyan},
}

// planLines renders what would happen to one resource.
func planLines(e Event, p palette) []string {
	s := signs[e.Op]
	out := []string{p.paint(s.color, s.sign+" "+Short(e.Type)) + " " + p.paint(bold, e.Name)}
	for _, c := range e.Changes {
		for _, l := range c.lines(p) {
			out = append(out, "       "+l)
		}
	}
	return out
}

// planned are the words of a count, in the order they are shown.
var planned = []struct{ op, will, did string }{
	{"create", "to create", "created"},
	{"update", "to update", "updated"},
	{"replace", "to replace", "replaced"},
	{"delete", "to delete", "deleted"},
	{"import", "to import", "imported"},
	{"same", "unchanged", "unchanged"},
}

// Tally renders the counts: "3 to create, 41 unchanged" or "3 created, 41 unchanged".
func Tally(changes map[string]int, preview bool) string {
	var parts []string
	for _, w := range planned {
		n := changes[w.op]
		if n == 0 {
			continue
		}
		word := w.did
		if preview {
			word = w.will
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, word))
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}
