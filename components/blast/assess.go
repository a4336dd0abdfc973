package blast

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Assess says what a plan means for the stack with these settings, which are
// those of the program that made the plan, and of a cluster of these kinds.
func Assess(changes []Change, s settings.Settings, kinds Kinds) Report {
	a := &Assessment{
		Settings: &s, Kinds: kinds, changes: changes, claimed: make([]bool, len(changes)),
		report: Report{Stack: s.Environment, Lines: []Line{}, Nodes: Nodes{
			Added: []string{}, Removed: []string{}, Restarted: []string{}, Relaunched: []string{},
			ProxyRestarted: []string{}, ProxyReloaded: []string{}, VolumeLost: []string{},
		}},
	}
	a.Nodes = &a.report.Nodes
	a.countNodes()
	a.otherEdges()
	// What stands for many others first: a node that comes or goes takes its
	// volume, address and backends along, an edge its children, a protocol its rules.
	kinds.Hosts.VolumeLines(a)
	a.comingNodes()
	a.goingNodes()
	a.emqx()
	kinds.Hosts.HostLines(a)
	kinds.Proxy.ProxyLines(a)
	kinds.Edge.EdgeLines(a)
	kinds.Names.NameLines(a)
	kinds.Hosts.AccessLines(a)
	a.secrets()
	a.catalog()
	a.other()
	a.report.finish(kinds.Proxy.Area())
	a.report.Estimate = a.estimate()
	return a.report
}

// Assessment is a report in the making, as words see it.
type Assessment struct {
	// Settings are the stack's; nobody changes them.
	Settings *settings.Settings
	Kinds    Kinds
	// Before and After are the number of nodes.
	Before, After int
	// Nodes are those of the report.
	Nodes *Nodes

	changes []Change
	// claimed are the changes that a line speaks of. A change is claimed once, and
	// what nobody claims ends as "other": no change is silent.
	claimed []bool
	// takes are the parts of the estimate.
	takes  [phases][]Part
	report Report
}

// Claim takes the changes that fit and that no other line has taken, by node and name.
// Who claims changes has to [Assessment.Add] them to a line.
func (a *Assessment) Claim(fits func(*Change) bool) []*Change {
	var got []*Change
	for i := range a.changes {
		if !a.claimed[i] && fits(&a.changes[i]) {
			a.claimed[i] = true
			got = append(got, &a.changes[i])
		}
	}
	// The engine plans side by side: its order differs from run to run.
	slices.SortStableFunc(got, func(x, y *Change) int {
		if m, n := a.NodeOf(x), a.NodeOf(y); m != n {
			return m - n
		}
		return strings.Compare(x.Name, y.Name)
	})
	return got
}

// Planned are the changes that fit, whoever claims them.
func (a *Assessment) Planned(fits func(*Change) bool) []*Change {
	var got []*Change
	for i := range a.changes {
		if fits(&a.changes[i]) {
			got = append(got, &a.changes[i])
		}
	}
	return got
}

// Has tells whether the plan holds such a change, whoever claims it.
func (a *Assessment) Has(fits func(*Change) bool) bool { return len(a.Planned(fits)) > 0 }

// Of fits a type, as [Change.ShortType] has it, and any of the operations.
func Of(typ string, ops ...string) func(*Change) bool {
	return func(c *Change) bool { return c.ShortType() == typ && slices.Contains(ops, c.Op) }
}

// Add adds a line about changes that its speaker has claimed.
func (a *Assessment) Add(l Line, about ...[]*Change) {
	for _, some := range about {
		for _, c := range some {
			l.Resources = append(l.Resources, c.Label())
		}
	}
	a.report.Lines = append(a.report.Lines, l)
}

// memberNamed are the names of members' entries.
var memberNamed = regexp.MustCompile(`^members-(\d+)$`)

// NodeOf is the index of the node that a resource belongs to, -1 for none.
func (a *Assessment) NodeOf(c *Change) int {
	if found := memberNamed.FindStringSubmatch(c.Part()); found != nil {
		if n, err := strconv.Atoi(found[1]); err == nil {
			return n
		}
	}
	return a.Kinds.Hosts.NodeOf(c)
}

// NodesOf are the indexes of the nodes of changes, each once, in order; changes of no
// node are left out.
func (a *Assessment) NodesOf(changes []*Change) []int {
	seen := map[int]bool{}
	for _, c := range changes {
		if n := a.NodeOf(c); n >= 0 {
			seen[n] = true
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// NodeName is a node's name by its index.
func (a *Assessment) NodeName(i int) string { return cluster.NodeName(a.Settings.Environment, i) }

// NodeNames are the names of some nodes.
func (a *Assessment) NodeNames(indexes []int) []string {
	names := make([]string, len(indexes))
	for i, n := range indexes {
		names[i] = a.NodeName(n)
	}
	return names
}

// NodeList names the nodes of changes, or the changes where they belong to none.
func (a *Assessment) NodeList(changes []*Change) string {
	if nodes := a.NodesOf(changes); len(nodes) > 0 {
		return phrase.List(a.NodeNames(nodes))
	}
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = c.Name
	}
	return phrase.List(names)
}

// Staying are the names of the nodes that neither come nor go.
func (a *Assessment) Staying() []string {
	names := make([]string, max(0, min(a.Before, a.After)))
	for i := range names {
		names[i] = a.NodeName(i)
	}
	return names
}

// Share is that of the clients that n of the nodes serve: "1/3 of the clients".
func (a *Assessment) Share(n int) string {
	return phrase.Fraction(n, max(a.Before, 1)) + " of the clients"
}

// OnlyCosmetic tells whether changes are of names and labels alone.
func (a *Assessment) OnlyCosmetic(changes []*Change) bool {
	for _, c := range changes {
		for _, d := range c.Diffs {
			if !a.Kinds.Hosts.Cosmetic(d.Path) && !a.Kinds.Edge.Cosmetic(d.Path) {
				return false
			}
		}
	}
	return true
}

// countNodes reads how many nodes there are and will be: from the job, or from
// the hosts that come and go.
func (a *Assessment) countNodes() {
	a.After = a.Settings.Nodes.Count
	a.Before = a.After - len(a.Planned(a.isNode(Create))) + len(a.Planned(a.isNode(Delete)))
	for _, c := range a.Planned(func(c *Change) bool { return c.IsJob(emqxJob) }) {
		if c.Op == Create {
			a.Before = 0
		}
		if d := c.Diff("hcl2.vars.node_count"); d != nil {
			if n, ok := Number(d.Old); ok {
				a.Before = int(n)
			}
		}
	}
}

// isNode fits hosts that come, or go.
func (a *Assessment) isNode(op string) func(*Change) bool {
	return func(c *Change) bool { return c.Op == op && a.Kinds.Hosts.IsNode(c) }
}
