package blast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// catalog is what Consul is told: the record of the intended cluster and the list
// of members that EMQX looks up when it starts.
func (a *Assessment) catalog() {
	for _, c := range a.Claim(func(c *Change) bool { return c.ShortType() == typeKeys && c.Part() == "entries" }) {
		l := Line{Severity: None, Area: "consul", Text: "The record of the intended cluster in Consul is " + Past(c.Op)}
		var what []string
		for i := range c.Diffs {
			d := &c.Diffs[i]
			name := map[string]string{"keys[0].value": "endpoints", "keys[1].value": "size", "keys[2].value": "version"}[d.Path]
			switch name {
			case "":
				what = append(what, d.Words(d.Path))
			case "endpoints":
				what = append(what, "endpoints")
			default:
				what = append(what, d.Words(name))
			}
		}
		l.Text += phrase.Bracket(strings.Join(what, ", ")) + ": people and programs may read it, the cluster does not"
		a.Add(l, []*Change{c})
	}
	for _, op := range []string{Delete, Replace, Update, Create} {
		some := a.Claim(func(c *Change) bool {
			return c.Op == op && slices.Contains([]string{typeMember, typeMembers}, c.ShortType())
		})
		if len(some) == 0 {
			continue
		}
		l := Line{Severity: Notice, Area: "consul", Text: fmt.Sprintf("The list of members in Consul: %s %s%s", phrase.Count(len(some), "entry"), Past(op), phrase.Bracket(Differences(some, nil)))}
		if op == Create {
			l.Severity = None
		}
		if op == Delete || op == Replace {
			l.Details = []string{"Members that run know each other without it. A node that starts while its list is short may stay alone."}
		}
		a.Add(l, some)
	}
}

// other is what nobody else spoke of, by what is done and type.
func (a *Assessment) other() {
	rest := a.Claim(func(*Change) bool { return true })
	type key struct{ op, typ string }
	var order []key
	byKey := map[key][]*Change{}
	for _, c := range rest {
		k := key{c.Op, c.ShortType()}
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
		op := Past(k.op)
		if op == "" {
			op = k.op
		}
		l := Line{
			Severity: Notice, Area: "other",
			Text:    fmt.Sprintf("%s %s: %s%s", phrase.Count(len(some), k.typ), op, phrase.List(names), phrase.Bracket(Differences(some, nil))),
			Details: []string{"What that means for the cluster is not known here: look at the plan."},
		}
		if k.op == Update && a.OnlyCosmetic(some) {
			l.Severity, l.Details = None, []string{"Names and tags only."}
		}
		a.Add(l, some)
	}
}
