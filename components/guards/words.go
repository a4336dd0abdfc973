package guards

import (
	"fmt"
	"strings"
)

// place is a node's index and name.
type place struct {
	index int
	name  string
}

// longList is the number of nodes from which on a row of them is named by its
// ends.
const longList = 5

// nodes names nodes: "node 3 (emqx-prod-3)", "nodes 3 and 4 (emqx-prod-3,
// emqx-prod-4)", "nodes 3 to 9 (emqx-prod-3 to emqx-prod-9)".
func nodes(list []place) string {
	if len(list) == 1 {
		return fmt.Sprintf("node %d (%s)", list[0].index, list[0].name)
	}
	first, last := list[0], list[len(list)-1]
	if len(list) >= longList && last.index-first.index == len(list)-1 {
		return fmt.Sprintf("nodes %d to %d (%s to %s)", first.index, last.index, first.name, last.name)
	}
	indexes, names := make([]string, len(list)), make([]string, len(list))
	for i, p := range list {
		indexes[i], names[i] = fmt.Sprint(p.index), p.name
	}
	return fmt.Sprintf("nodes %s and %s (%s)",
		strings.Join(indexes[:len(indexes)-1], ", "), indexes[len(indexes)-1], strings.Join(names, ", "))
}

// some picks the word for one node or several.
func some(list []place, one, several string) string {
	if len(list) == 1 {
		return one
	}
	return several
}
