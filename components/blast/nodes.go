package blast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// comingNodes are the nodes that get a host, with everything that comes for them.
func (a *Assessment) comingNodes() {
	nodes := a.NodesOf(a.Planned(a.isNode(Create)))
	if len(nodes) == 0 {
		return
	}
	belongs := a.Claim(func(c *Change) bool { return c.Op == Create && slices.Contains(nodes, a.NodeOf(c)) })
	backends := a.Kinds.Edge.ClaimBackends(a, Create, nodes)
	names := a.NodeNames(nodes)
	a.Nodes.Added = names
	l := Line{Severity: None, Area: "nodes", Text: fmt.Sprintf("%s added: %s", phrase.Count(len(names), "node"), phrase.List(names))}
	l.Details = append(l.Details, a.belongings(Create, nodes, belongs, phrase.Pick(len(names), "With", "Each with")))
	if a.Before > 0 {
		l.Details = append(l.Details, phrase.Pick(len(names), "It joins", "They join")+" the running cluster. Connections stay where they are: "+
			"only clients that connect from then on come to "+phrase.Pick(len(names), "it.", "them."))
	}
	a.Add(l, belongs, backends)
}

// goingNodes are the nodes whose host goes.
func (a *Assessment) goingNodes() {
	nodes := a.NodesOf(a.Planned(a.isNode(Delete)))
	if len(nodes) == 0 {
		return
	}
	belongs := a.Claim(func(c *Change) bool { return c.Op == Delete && slices.Contains(nodes, a.NodeOf(c)) })
	backends := a.Kinds.Edge.ClaimBackends(a, Delete, nodes)
	names := a.NodeNames(nodes)
	a.Nodes.Removed = names
	l := Line{
		Severity: Interruption, Area: "nodes",
		Text:    fmt.Sprintf("%s removed: %s", phrase.Count(len(names), "node"), phrase.List(names)),
		Details: []string{a.belongings(Delete, nodes, belongs, phrase.Pick(len(names), "What goes with it:", "What goes with each:"))},
	}
	if a.After > 0 {
		l.Details = append(l.Details,
			fmt.Sprintf("EMQX stops there first%s: about %s reconnect to the others. %s",
				phrase.Pick(len(names), "", ", on all at once"), a.Share(len(names)), a.sessions()),
			phrase.Pick(len(names), "It leaves", "Each leaves")+" EMQX's cluster by itself as it stops; of one that is dead already the runbook says what to do.")
	} else {
		l.Details = append(l.Details, "Nobody is served any more.")
	}
	a.Add(l, belongs, backends)
}

// belongings lists what comes or goes with nodes, once for all of them when they
// are alike.
func (a *Assessment) belongings(op string, nodes []int, changes []*Change, opening string) string {
	per := map[int]string{}
	for _, n := range nodes {
		var mine []*Change
		for _, c := range changes {
			if a.NodeOf(c) == n {
				mine = append(mine, c)
			}
		}
		per[n] = a.inventory(mine, a.Kinds.Edge.Inventory(a, op, n))
	}
	same := true
	for _, n := range nodes {
		same = same && per[n] == per[nodes[0]]
	}
	if same {
		return opening + " " + per[nodes[0]] + "."
	}
	var parts []string
	for _, n := range nodes {
		parts = append(parts, a.NodeName(n)+" with "+per[n])
	}
	return strings.Join(parts, "; ") + "."
}

// inventory is what one node brings: what is its own, and what it has at the edge.
func (a *Assessment) inventory(changes []*Change, edge string) string {
	words := a.Kinds.Hosts.Inventory(changes)
	if slices.ContainsFunc(changes, func(c *Change) bool { return c.ShortType() == typeMember }) {
		words = append(words, "an entry in the list of members")
	}
	if edge != "" {
		words = append(words, edge)
	}
	if len(words) == 0 {
		return "nothing else"
	}
	return phrase.And(words)
}
