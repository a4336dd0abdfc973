package blast

import (
	"fmt"
	"slices"
	"strings"
)

// catalog is what Consul is told: the record of the intended cluster and the list
// of members that EMQX looks up when it starts.
func (a *assessment) catalog() {
	for _, c := range a.claim(func(c *Change) bool { return short(c.Type) == typeKeys && c.part() == "entries" }) {
		l := Line{Severity: None, Area: "consul", Text: "The record of the intended cluster in Consul is " + past(c.Op)}
		var what []string
		for i := range c.Diffs {
			d := &c.Diffs[i]
			name := map[string]string{"keys[0].value": "endpoints", "keys[1].value": "size", "keys[2].value": "version"}[d.Path]
			switch name {
			case "":
				what = append(what, d.words(d.Path))
			case "endpoints":
				what = append(what, "endpoints")
			default:
				what = append(what, d.words(name))
			}
		}
		l.Text += bracket(strings.Join(what, ", ")) + ": people and programs may read it, the cluster does not"
		a.add(l, []*Change{c})
	}
	for _, op := range []string{opDelete, opReplace, opUpdate, opCreate} {
		some := a.claim(func(c *Change) bool {
			return c.Op == op && slices.Contains([]string{typeMember, typeMembers}, short(c.Type))
		})
		if len(some) == 0 {
			continue
		}
		l := Line{Severity: Notice, Area: "consul", Text: fmt.Sprintf("The list of members in Consul: %s %s%s", count(len(some), "entry"), past(op), bracket(differences(some, nil)))}
		if op == opCreate {
			l.Severity = None
		}
		if op == opDelete || op == opReplace {
			l.Details = []string{"Members that run know each other without it. A node that starts while its list is short may stay alone."}
		}
		a.add(l, some)
	}
}

// other is what nobody else spoke of, by what is done and type.
func (a *assessment) other() {
	rest := a.claim(func(*Change) bool { return true })
	type key struct{ op, typ string }
	var order []key
	byKey := map[key][]*Change{}
	for _, c := range rest {
		k := key{c.Op, short(c.Type)}
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], c)
	}
	for _, k := range order {
		some := byKey[k]
		names := make([]string, len(some))
		for i, c := range some {
			names[i] = c.Name
		}
		op := past(k.op)
		if op == "" {
			op = k.op
		}
		l := Line{
			Severity: Notice, Area: "other",
			Text:    fmt.Sprintf("%s %s: %s%s", count(len(some), k.typ), op, list(names), bracket(differences(some, nil))),
			Details: []string{"What that means for the cluster is not known here: look at the plan."},
		}
		if k.op == opUpdate && onlyCosmetic(some) {
			l.Severity, l.Details = None, []string{"Names and tags only."}
		}
		a.add(l, some)
	}
}
