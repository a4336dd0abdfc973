package nlb

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// wordsSetChange is what becomes of a backend set and of the backends inside it, each of
// which is a node's.
type wordsSetChange struct {
	*blast.Change
	// added, removed and moved are the nodes whose backend comes, goes, or gets
	// another address or port.
	added, removed, moved []int
	// ports are those of backends that get another one: "port 1883 -> 2883".
	ports []string
}

// wordsSetOf reads a change of a backend set. The provider tells elements of a set by their
// place, and a plan has them in any order; their names say which is which.
func wordsSetOf(c *blast.Change) wordsSetChange {
	s := wordsSetChange{Change: c}
	before, after := wordsBackendsOf(c.Old), wordsBackendsOf(c.New)
	for _, node := range slices.Sorted(maps.Keys(after)) {
		was, is := before[node], after[node]
		switch {
		case was == nil:
			s.added = append(s.added, node)
		case wordsEnd(was) != wordsEnd(is):
			s.moved = append(s.moved, node)
			if blast.Value(was["port"]) != blast.Value(is["port"]) {
				s.ports = phrase.AddNew(s.ports, fmt.Sprintf("port %s -> %s", blast.Value(was["port"]), blast.Value(is["port"])))
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

// wordsEnd is where a backend leads to.
func wordsEnd(backend map[string]any) string {
	return blast.Value(backend["ipAddress"]) + " " + blast.Value(backend["targetId"]) + " " + blast.Value(backend["port"])
}

var wordsNodeNamed = regexp.MustCompile(`-(\d+)$`)

// wordsBackendsOf are the backends in the inputs of a set, by the index of their node.
func wordsBackendsOf(inputs map[string]any) map[int]map[string]any {
	found := map[int]map[string]any{}
	all, _ := inputs["backends"].([]any)
	for _, b := range all {
		backend, _ := b.(map[string]any)
		name, _ := backend["name"].(string)
		if m := wordsNodeNamed.FindStringSubmatch(name); m != nil {
			if node, err := strconv.Atoi(m[1]); err == nil {
				found[node] = backend
			}
		}
	}
	return found
}

// protocol is the set's name.
func (s *wordsSetChange) protocol() string { return strings.TrimPrefix(s.Part(), "balancer-") }

// rest are the differences beside the backends.
func (s *wordsSetChange) rest() *blast.Change {
	c := *s.Change
	c.Diffs = slices.DeleteFunc(slices.Clone(c.Diffs), func(d blast.Diff) bool {
		return d.Path == "backends" || strings.HasPrefix(d.Path, "backends[")
	})
	return &c
}

// comesAndGoesWith tells whether the set changes only because these nodes come, or go.
func (s *wordsSetChange) comesAndGoesWith(op string, nodes []int) bool {
	theirs, others := s.added, s.removed
	if op == blast.Delete {
		theirs, others = others, theirs
	}
	return len(theirs) > 0 && len(others)+len(s.moved)+len(s.rest().Diffs) == 0 &&
		!slices.ContainsFunc(theirs, func(n int) bool { return !slices.Contains(nodes, n) })
}

// ClaimBackends is part of blast.EdgeWords: updated sets that change with these nodes alone.
func (words) ClaimBackends(a *blast.Assessment, op string, nodes []int) []*blast.Change {
	return a.Claim(func(c *blast.Change) bool {
		if !blast.Of(wordsSet, blast.Update)(c) {
			return false
		}
		s := wordsSetOf(c)
		return s.comesAndGoesWith(op, nodes)
	})
}

// Inventory is part of blast.EdgeWords: the sets in which a node's backend comes, or goes.
func (words) Inventory(a *blast.Assessment, op string, node int) string {
	var names []string
	for _, c := range a.Planned(blast.Of(wordsSet, blast.Create, blast.Update, blast.Delete)) {
		s := wordsSetOf(c)
		nodes := s.added
		if op == blast.Delete {
			nodes = s.removed
		}
		if slices.Contains(nodes, node) {
			names = append(names, s.protocol())
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("%s of the balancer (%s)", phrase.Count(len(names), "backend"), strings.Join(names, ", "))
}

// sets that stay, and those that come, go or are replaced without their listener.
func (w *wordsEdge) sets() {
	var moved, removed, added, other []wordsSetChange
	for _, c := range w.claim(blast.Update, wordsSet) {
		switch s := wordsSetOf(c); {
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
		n, nodes, why := w.told(moved, func(s wordsSetChange) []int { return s.moved })
		l := blast.Line{Severity: blast.Interruption, Area: blast.AreaEdge, Brief: phrase.Count(n, "backend") + " replaced"}
		l.Text = fmt.Sprintf("%s of %s %s replaced%s", phrase.Count(n, "backend"), nodes, phrase.Pick(n, "is", "are"), phrase.Bracket(why))
		l.Details = []string{"Connections through an old backend are cut; the balancer sends new ones through those that are healthy."}
		w.Add(l, wordsChangesOf(moved))
	}
	if len(removed) > 0 {
		n, nodes, why := w.told(removed, func(s wordsSetChange) []int { return s.removed })
		l := blast.Line{Severity: blast.Interruption, Area: blast.AreaEdge, Brief: phrase.Count(n, "backend") + " removed"}
		l.Text = fmt.Sprintf("%s of %s %s removed: the balancer no longer uses %s there%s",
			phrase.Count(n, "backend"), nodes, phrase.Pick(n, "is", "are"), w.Kinds.Proxy.Name(), phrase.Bracket(why))
		w.Add(l, wordsChangesOf(removed))
	}
	if len(added) > 0 {
		n, nodes, why := w.told(added, func(s wordsSetChange) []int { return s.added })
		w.Add(blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: fmt.Sprintf("%s for %s%s", phrase.Count(n, "backend"), nodes, phrase.Bracket(why))}, wordsChangesOf(added))
	}
	for _, same := range blast.Alike(wordsChangesOf(other)) {
		w.Add(blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: "Backend sets change: " + blast.Parts(same, "balancer-") + phrase.Bracket(blast.Differences(same, wordsSetPaths))}, same)
	}
	for _, op := range []string{blast.Replace, blast.Delete, blast.Create} {
		sets := w.claim(op, wordsSet)
		if len(sets) == 0 {
			continue
		}
		w.parts += len(sets)
		l := blast.Line{Severity: blast.Interruption, Area: blast.AreaEdge, Brief: "backend sets " + blast.Past(op)}
		l.Text = "Backend sets are " + blast.Past(op) + ": " + blast.Parts(sets, "balancer-") + phrase.Bracket(blast.Differences(sets, wordsSetPaths))
		if op == blast.Create {
			l.Severity, l.Brief = blast.Notice, ""
		}
		w.Add(l, sets)
	}
}

// told counts backends of sets, names their nodes, and says what else differs.
func (w *wordsEdge) told(sets []wordsSetChange, of func(wordsSetChange) []int) (n int, nodes, why string) {
	seen := map[int]bool{}
	var reasons []string
	for _, s := range sets {
		n += len(of(s))
		for _, node := range of(s) {
			seen[node] = true
		}
		for _, port := range s.ports {
			reasons = phrase.AddNew(reasons, port)
		}
	}
	for _, s := range sets {
		if rest := blast.Differences([]*blast.Change{s.rest()}, wordsSetPaths); rest != "" {
			reasons = phrase.AddNew(reasons, rest)
		}
	}
	return n, phrase.List(w.NodeNames(slices.Sorted(maps.Keys(seen)))), strings.Join(reasons, ", ")
}

func wordsChangesOf(sets []wordsSetChange) []*blast.Change {
	all := make([]*blast.Change, len(sets))
	for i := range sets {
		all[i] = sets[i].Change
	}
	return all
}

var wordsSetPaths = map[string]string{
	"healthChecker.intervalInMillis": "health check every ms", "healthChecker.timeoutInMillis": "its timeout in ms", "healthChecker.retries": "its retries",
	"healthChecker.port": "its port",
}
