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

// PlanText renders a plan event without colors: the resource, then what differs, indented.
func PlanText(e Event) []string { return planLines(e, false) }

// planLines renders what would happen to one resource.
func planLines(e Event, p palette) []string {
	s := signs[e.Op]
	if e.Kind == KindDrift {
		s.sign, s.color = " !", yellow // it happened; nobody plans it
	}
	out := []string{p.paint(s.color, s.sign+" "+Short(e.Type)) + " " + p.paint(bold, e.Name)}
	if e.Retained {
		out[0] += p.paint(dim, "  (stays in the cloud)")
	}
	if e.Message != "" {
		out[0] += p.paint(dim, "  ("+e.Message+")")
	}
	for _, c := range e.Changes {
		for _, l := range c.lines(p) {
			out = append(out, "       "+l)
		}
	}
	return out
}

// counted are the words of a count, in the order they are shown: before, after, and of a refresh, which does nothing
// itself.
var counted = []struct{ op, will, did, found string }{
	{"create", "to create", "created", "created"},
	{"update", "to update", "updated", "changed outside"},
	{"replace", "to replace", "replaced", "replaced"},
	{"delete", "to delete", "deleted", "gone"},
	{"import", "to import", "imported", "imported"},
	{"same", "unchanged", "unchanged", "unchanged"},
}

// Tally renders the counts: "3 to create, 41 unchanged" or "3 created, 41 unchanged".
func Tally(changes map[string]int, op Operation) string {
	var parts []string
	for _, w := range counted {
		n := changes[w.op]
		if n == 0 {
			continue
		}
		word := w.did
		switch op {
		case Preview:
			word = w.will
		case Refresh:
			word = w.found
		case Up, Destroy:
		}
		parts = append(parts, fmt.Sprintf("%d %s", n, word))
	}
	if len(parts) == 0 {
		return "nothing to do"
	}
	return strings.Join(parts, ", ")
}
