package blast

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// setChange is what becomes of a backend set and of the backends inside it, each of
// which is a node's.
type setChange struct {
	*Change
	// added, removed and moved are the nodes whose backend comes, goes, or gets
	// another address or port.
	added, removed, moved []int
	// ports are those of backends that get another one: "port 1883 -> 2883".
	ports []string
}

// set reads a change of a backend set. The provider tells elements of a set by their
// place, and a plan has them in any order; their names say which is which.
func (c *Change) set() setChange {
	s := setChange{Change: c}
	before, after := backendsOf(c.Old), backendsOf(c.New)
	for _, node := range slices.Sorted(maps.Keys(after)) {
		was, is := before[node], after[node]
		switch {
		case was == nil:
			s.added = append(s.added, node)
		case end(was) != end(is):
			s.moved = append(s.moved, node)
			if value(was["port"]) != value(is["port"]) {
				s.ports = appendNew(s.ports, fmt.Sprintf("port %s -> %s", value(was["port"]), value(is["port"])))
			}
		}
	}
	for _, node := range slices.Sorted(maps.Keys(before)) {
		if after[node] == nil {
			s.removed = append(s.removed, node)
		}
	}
	return s
}

// end is where a backend leads to.
func end(backend map[string]any) string {
	return value(backend["ipAddress"]) + " " + value(backend["targetId"]) + " " + value(backend["port"])
}

var nodeNamed = regexp.MustCompile(`-(\d+)$`)

// backendsOf are the backends in the inputs of a set, by the index of their node.
func backendsOf(inputs map[string]any) map[int]map[string]any {
	found := map[int]map[string]any{}
	all, _ := inputs["backends"].([]any)
	for _, b := range all {
		backend, _ := b.(map[string]any)
		name, _ := backend["name"].(string)
		if m := nodeNamed.FindStringSubmatch(name); m != nil {
			if node, err := strconv.Atoi(m[1]); err == nil {
				found[node] = backend
			}
		}
	}
	return found
}

// protocol is the set's name.
func (s *setChange) protocol() string { return strings.TrimPrefix(s.part(), "balancer-") }

// rest are the differences beside the backends.
func (s *setChange) rest() *Change {
	c := *s.Change
	c.Diffs = slices.DeleteFunc(slices.Clone(c.Diffs), func(d Diff) bool {
		return d.Path == "backends" || strings.HasPrefix(d.Path, "backends[")
	})
	return &c
}

// comesAndGoesWith tells whether the set changes only because these nodes come, or go.
func (s *setChange) comesAndGoesWith(op string, nodes []int) bool {
	theirs, others := s.added, s.removed
	if op == opDelete {
		theirs, others = others, theirs
	}
	return len(theirs) > 0 && len(others)+len(s.moved)+len(s.rest().Diffs) == 0 &&
		!slices.ContainsFunc(theirs, func(n int) bool { return !slices.Contains(nodes, n) })
}

// claimSets takes the updated sets that change with these nodes alone.
func (a *assessment) claimSets(op string, nodes []int) []*Change {
	return a.claim(func(c *Change) bool {
		if !of(typeSet, opUpdate)(c) {
			return false
		}
		s := c.set()
		return s.comesAndGoesWith(op, nodes)
	})
}

// protocolsOf are the sets in which a node's backend comes, or goes.
func (a *assessment) protocolsOf(op string, node int) []string {
	var names []string
	for _, c := range a.planned(of(typeSet, opCreate, opUpdate, opDelete)) {
		s := c.set()
		nodes := s.added
		if op == opDelete {
			nodes = s.removed
		}
		if slices.Contains(nodes, node) {
			names = append(names, s.protocol())
		}
	}
	slices.Sort(names)
	return names
}

// sets that stay, and those that come, go or are replaced without their listener.
func (a *assessment) sets(edge edgeClaim) {
	var moved, removed, added, other []setChange
	for _, c := range edge(opUpdate, typeSet) {
		a.waits.edge++
		switch s := c.set(); {
		case len(s.moved) > 0:
			moved = append(moved, s)
		case len(s.removed) > 0:
			removed = append(removed, s)
		case len(s.added) > 0:
			added = append(added, s)
		default:
			other = append(other, s)
		}
	}
	if len(moved) > 0 {
		n, nodes, why := a.told(moved, func(s setChange) []int { return s.moved })
		l := Line{Severity: Interruption, Area: "balancer", brief: count(n, "backend") + " replaced"}
		l.Text = fmt.Sprintf("%s of %s %s replaced%s", count(n, "backend"), nodes, pick(n, "is", "are"), bracket(why))
		l.Details = []string{"Connections through an old backend are cut; the balancer sends new ones through those that are healthy."}
		a.add(l, changesOf(moved))
	}
	if len(removed) > 0 {
		n, nodes, why := a.told(removed, func(s setChange) []int { return s.removed })
		l := Line{Severity: Interruption, Area: "balancer", brief: count(n, "backend") + " removed"}
		l.Text = fmt.Sprintf("%s of %s %s removed: the balancer no longer uses HAProxy there%s", count(n, "backend"), nodes, pick(n, "is", "are"), bracket(why))
		a.add(l, changesOf(removed))
	}
	if len(added) > 0 {
		n, nodes, why := a.told(added, func(s setChange) []int { return s.added })
		a.add(Line{Severity: Notice, Area: "balancer", Text: fmt.Sprintf("%s for %s%s", count(n, "backend"), nodes, bracket(why))}, changesOf(added))
	}
	for _, same := range alike(changesOf(other)) {
		a.add(Line{Severity: Notice, Area: "balancer", Text: "Backend sets change: " + setNames(same) + bracket(differences(same, setWords))}, same)
	}
	for _, op := range []string{opReplace, opDelete, opCreate} {
		sets := edge(op, typeSet)
		if len(sets) == 0 {
			continue
		}
		a.waits.edge += len(sets)
		l := Line{Severity: Interruption, Area: "balancer", brief: "backend sets " + past(op)}
		l.Text = "Backend sets are " + past(op) + ": " + setNames(sets) + bracket(differences(sets, setWords))
		if op == opCreate {
			l.Severity, l.brief = Notice, ""
		}
		a.add(l, sets)
	}
}

// told counts backends of sets, names their nodes, and says what else differs.
func (a *assessment) told(sets []setChange, of func(setChange) []int) (n int, nodes, why string) {
	seen := map[int]bool{}
	var words []string
	for _, s := range sets {
		n += len(of(s))
		for _, node := range of(s) {
			seen[node] = true
		}
		for _, w := range s.ports {
			words = appendNew(words, w)
		}
	}
	for _, s := range sets {
		if w := differences([]*Change{s.rest()}, setWords); w != "" {
			words = appendNew(words, w)
		}
	}
	return n, list(a.nodeNames(slices.Sorted(maps.Keys(seen)))), strings.Join(words, ", ")
}

func changesOf(sets []setChange) []*Change {
	all := make([]*Change, len(sets))
	for i := range sets {
		all[i] = sets[i].Change
	}
	return all
}

var setWords = map[string]string{
	"healthChecker.intervalInMillis": "health check every ms", "healthChecker.timeoutInMillis": "its timeout in ms", "healthChecker.retries": "its retries",
	"healthChecker.port": "its port",
}
