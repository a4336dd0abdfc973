package blast

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Assess says what a plan means for the stack with these settings, which are
// those of the program that made the plan.
func Assess(changes []Change, s settings.Settings) Report {
	a := &assessment{
		s: &s, changes: changes, claimed: make([]bool, len(changes)),
		report: Report{Stack: s.Environment, Lines: []Line{}, Nodes: Nodes{
			Added: []string{}, Removed: []string{}, Restarted: []string{}, Relaunched: []string{},
			ProxyRestarted: []string{}, ProxyReloaded: []string{}, VolumeLost: []string{},
		}},
	}
	a.before, a.after = s.Nodes.Count, s.Nodes.Count
	a.countNodes()
	// What stands for many others first: a node that comes or goes takes its
	// volume, address and backends along, a balancer its children.
	a.volumes()
	a.comingNodes()
	a.goingNodes()
	a.backups()
	a.emqx()
	a.instances()
	a.addresses()
	a.haproxy()
	a.balancer()
	a.record()
	a.network()
	a.secrets()
	a.catalog()
	a.other()
	a.report.finish()
	a.report.Estimate = a.estimate()
	return a.report
}

// assessment is a report in the making.
type assessment struct {
	s       *settings.Settings
	changes []Change
	// claimed are the changes that a line speaks of. A change is claimed once, and
	// what nobody claims ends as "other": no change is silent.
	claimed []bool
	// before and after are the number of nodes.
	before, after int
	// waits are what the estimate is made of besides the nodes of the report.
	waits  waits
	report Report
}

// claim takes the changes that fit and that no other line has taken.
func (a *assessment) claim(fits func(*Change) bool) []*Change {
	var got []*Change
	for i := range a.changes {
		if !a.claimed[i] && fits(&a.changes[i]) {
			a.claimed[i] = true
			got = append(got, &a.changes[i])
		}
	}
	// The engine plans side by side: its order differs from run to run.
	slices.SortStableFunc(got, func(x, y *Change) int {
		if x.node() != y.node() {
			return x.node() - y.node()
		}
		return strings.Compare(x.Name, y.Name)
	})
	return got
}

// of fits a type and any of the operations.
func of(typ string, ops ...string) func(*Change) bool {
	return func(c *Change) bool { return short(c.Type) == typ && slices.Contains(ops, c.Op) }
}

// has tells whether the plan holds such a change, claimed or not.
func (a *assessment) has(fits func(*Change) bool) bool {
	for i := range a.changes {
		if fits(&a.changes[i]) {
			return true
		}
	}
	return false
}

func (a *assessment) add(l Line, about ...[]*Change) {
	for _, list := range about {
		for _, c := range list {
			l.Resources = append(l.Resources, c.label())
		}
	}
	a.report.Lines = append(a.report.Lines, l)
}

func (a *assessment) nodeName(i int) string { return cluster.NodeName(a.s.Environment, i) }

func (a *assessment) nodeNames(indexes []int) []string {
	names := make([]string, len(indexes))
	for i, n := range indexes {
		names[i] = a.nodeName(n)
	}
	return names
}

// countNodes reads how many nodes there are and will be: from the job, or from
// the pools that come and go.
func (a *assessment) countNodes() {
	come, go_ := 0, 0
	for i := range a.changes {
		c := &a.changes[i]
		switch {
		case of(typePool, opCreate)(c):
			come++
		case of(typePool, opDelete)(c):
			go_++
		}
	}
	a.before = a.after - come + go_
	for i := range a.changes {
		c := &a.changes[i]
		if !isJob(c, emqxJob) {
			continue
		}
		if c.Op == opCreate {
			a.before = 0
		}
		if d := c.diff("hcl2.vars.node_count"); d != nil {
			if n, ok := number(d.Old); ok {
				a.before = int(n)
			}
		}
	}
}

// indexes are the nodes of changes, each once, in order; changes of no node are
// left out.
func indexes(changes []*Change) []int {
	seen := map[int]bool{}
	for _, c := range changes {
		if n := c.node(); n >= 0 {
			seen[n] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// count is "1 node", "3 nodes".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	if strings.HasSuffix(what, "y") {
		return fmt.Sprintf("%d %sies", n, strings.TrimSuffix(what, "y"))
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// most names that a sentence lists; of more, the first and the last.
const mostNames = 9

// list joins names with commas; a long list is told by its ends.
func list(names []string) string { return joined(names, ", ") }

// sequence joins names in the order in which their turn comes.
func sequence(names []string) string { return joined(names, ", then ") }

func joined(names []string, sep string) string {
	if len(names) <= mostNames {
		return strings.Join(names, sep)
	}
	return strings.Join(names[:3], sep) + ", ... " + strings.TrimPrefix(sep, ", ") + names[len(names)-1]
}

// pick is the word for one or for several.
func pick(n int, one, several string) string {
	if n == 1 {
		return one
	}
	return several
}

// differences puts all that differs into words, the same only once.
func differences(changes []*Change, names map[string]string) string {
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
			if w := d.words(name); !slices.Contains(all, w) {
				all = append(all, w)
			}
		}
	}
	if len(all) > 6 {
		all = append(all[:6], fmt.Sprintf("%d more", len(all)-6))
	}
	return strings.Join(all, ", ")
}

// alike puts changes together that differ in the same way.
func alike(changes []*Change) [][]*Change {
	place := map[string]int{}
	var groups [][]*Change
	for _, c := range changes {
		key := c.Op + " " + differences([]*Change{c}, nil)
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

// nodeList names the nodes of changes, or the changes where they belong to none.
func (a *assessment) nodeList(changes []*Change) string {
	if nodes := indexes(changes); len(nodes) > 0 {
		return list(a.nodeNames(nodes))
	}
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Name
	}
	return list(names)
}

// verb is the third person of one, and the plain form of several.
func verb(one bool, word string) string {
	switch {
	case !one:
		return word
	case strings.HasSuffix(word, "o"):
		return word + "es"
	}
	return word + "s"
}

func appendNew(all []string, s string) []string {
	if slices.Contains(all, s) {
		return all
	}
	return append(all, s)
}

func maxOf(a, b Severity) Severity {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

// bracket puts words in brackets behind a sentence, when there are any.
func bracket(words string) string {
	if words == "" {
		return ""
	}
	return " (" + words + ")"
}
