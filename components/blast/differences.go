package blast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Differences puts all that differs into words, the same only once. names are the words for
// paths; a path with an empty one is left out, one without stands for itself.
func Differences(changes []*Change, names map[string]string) string {
	var all []string
	for _, c := range changes {
		for i := range c.Diffs {
			d := &c.Diffs[i]
			name, known := names[d.Path]
			if !known {
				name = d.Path
			}
			if name == "" {
				continue
			}
			all = phrase.AddNew(all, d.Words(name))
		}
	}
	if len(all) > 6 {
		all = append(all[:6], fmt.Sprintf("%d more", len(all)-6))
	}
	return strings.Join(all, ", ")
}

// Alike puts changes together that differ in the same way.
func Alike(changes []*Change) [][]*Change {
	place := map[string]int{}
	var groups [][]*Change
	for _, c := range changes {
		key := c.Op + " " + Differences([]*Change{c}, nil)
		at, known := place[key]
		if !known {
			at = len(groups)
			place[key] = at
			groups = append(groups, nil)
		}
		groups[at] = append(groups[at], c)
	}
	return groups
}

// Parts lists the names of changes, without the cluster's name and a prefix.
func Parts(changes []*Change, prefix string) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = strings.TrimPrefix(c.Part(), prefix)
	}
	return phrase.List(names)
}

// CountOf counts the changes of some types.
func CountOf(changes []*Change, types ...string) int {
	n := 0
	for _, c := range changes {
		if slices.Contains(types, c.ShortType()) {
			n++
		}
	}
	return n
}

// Past is what an operation has done, "" for an unknown one: "replaced".
func Past(op string) string {
	return map[string]string{Create: "created", Update: "updated", Replace: "replaced", Delete: "deleted", Import: "imported"}[op]
}
