package ocihosts

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// wordsAccessRule is what a security rule's name and description say.
type wordsAccessRule struct {
	// to is nodes or balancer; from a range, nodes or balancer.
	to, from string
	ports    string
	// protocol is the client protocol that it opens, "" for the cluster's own traffic.
	protocol string
	out      bool
}

var (
	wordsRuleName     = regexp.MustCompile(`^groups-(\w+)-in-(tcp|udp)-([0-9-]+)-from-(.+)$`)
	wordsRuleProtocol = regexp.MustCompile(`^clients.*, (\w+)$`)
	wordsRangeName    = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+)-(\d+)$`)
)

func wordsRuleOf(c *blast.Change) wordsAccessRule {
	var r wordsAccessRule
	for _, state := range []map[string]any{c.New, c.Old} {
		why, _ := state["description"].(string)
		if m := wordsRuleProtocol.FindStringSubmatch(why); m != nil {
			r.protocol = m[1]
		}
	}
	if m := wordsRuleName.FindStringSubmatch(c.Part()); m != nil {
		r.to, r.ports, r.from = m[1], m[2]+" "+m[3], wordsRangeName.ReplaceAllString(m[4], "$1/$2")
	} else {
		r.out, r.from = strings.HasSuffix(c.Name, "-out"), c.Part()
	}
	return r
}

// Opens is part of blast.HostWords.
func (words) Opens(c *blast.Change) string {
	if c.ShortType() != wordsRule {
		return ""
	}
	return wordsRuleOf(c).protocol
}

// AccessLines is part of blast.HostWords.
func (words) AccessLines(a *blast.Assessment) {
	w := &wordsHosts{Assessment: a}
	groups := w.Claim(func(c *blast.Change) bool { return c.ShortType() == wordsGroup })
	rules := w.Claim(func(c *blast.Change) bool { return c.ShortType() == wordsRule })
	if len(groups) > 0 && w.Before == 0 {
		w.Add(blast.Line{Severity: blast.None, Area: blast.AreaNetwork, Text: fmt.Sprintf("%s with %s are made", phrase.Count(len(groups), "security group"), phrase.Count(len(rules), "rule"))}, groups, rules)
		return
	}
	for _, same := range blast.Alike(groups) {
		l := blast.Line{Severity: blast.Notice, Area: blast.AreaNetwork, Text: fmt.Sprintf("Security groups are %s: %s%s", blast.Past(same[0].Op), blast.Parts(same, "groups-"), phrase.Bracket(blast.Differences(same, nil)))}
		switch {
		case same[0].Op == blast.Replace || same[0].Op == blast.Delete:
			l.Severity, l.Brief = blast.Interruption, "security groups "+blast.Past(same[0].Op)
			l.Details = []string{"What its rules let in is shut out until the new ones hold; instances that run keep the old group until their next launch."}
		case w.OnlyCosmetic(same):
			l.Severity, l.Text = blast.None, "Security groups get other names or tags"
		}
		w.Add(l, same)
	}
	// One line for each range, and one for the cluster's own traffic.
	type key struct{ op, from string }
	var order []key
	byKey := map[key][]*blast.Change{}
	for _, c := range rules {
		r := wordsRuleOf(c)
		k := key{c.Op, r.from}
		if r.protocol != "" {
			k.from = "clients of " + r.from
		}
		if byKey[k] == nil {
			order = append(order, k)
		}
		byKey[k] = append(byKey[k], c)
	}
	for _, k := range order {
		w.rules(k.op, k.from, byKey[k])
	}
}

func (w *wordsHosts) rules(op, from string, rules []*blast.Change) {
	var what []string
	for _, c := range rules {
		r := wordsRuleOf(c)
		switch {
		case r.protocol != "":
			what = phrase.AddNew(what, r.protocol)
		case r.out:
			what = phrase.AddNew(what, "everything out")
		default:
			what = phrase.AddNew(what, r.ports+" of the "+r.to)
		}
	}
	slices.Sort(what)
	l := blast.Line{Area: blast.AreaNetwork}
	clients := strings.HasPrefix(from, "clients of ")
	cidr := strings.TrimPrefix(from, "clients of ")
	switch op {
	case blast.Create:
		l.Severity, l.Text = blast.Notice, fmt.Sprintf("%s may reach %s", phrase.Capital(from), phrase.List(what))
	case blast.Delete:
		l.Severity = blast.Interruption
		l.Text, l.Brief = fmt.Sprintf("%s may no longer reach %s", phrase.Capital(from), phrase.List(what)), from+" shut out"
		inside, covered := w.stillIn(cidr, what)
		switch {
		case clients && covered:
			l.Severity, l.Brief = blast.Notice, ""
			l.Text += ", but another range of theirs lets them in"
		case clients && len(inside) > 0:
			l.Details = []string{"Of that range, " + phrase.List(inside) + " may still."}
		}
		if l.Severity == blast.Interruption {
			l.Details = append(l.Details, "New connections are refused; do not count on open ones to stay.")
		}
	default:
		l.Severity, l.Text = blast.Notice, fmt.Sprintf("Rules for %s are %s: %s%s", from, blast.Past(op), phrase.List(what), phrase.Bracket(blast.Differences(rules, nil)))
		if op == blast.Replace {
			l.Severity, l.Brief = blast.Interruption, "rules for "+from+" replaced"
		}
		if op == blast.Update && w.OnlyCosmetic(rules) {
			l.Severity = blast.None
		}
	}
	w.Add(l, rules)
}

// stillIn tells what the listeners that are there afterwards let in of a range: all of it,
// or some parts of it, whichever of these listeners it is.
func (w *wordsHosts) stillIn(cidr string, listeners []string) (inside []string, covered bool) {
	covered = true
	for _, name := range listeners {
		var ranges []string
		for _, l := range w.Settings.Offered() {
			if l.Name == name {
				ranges = l.ClientCIDRs
			}
		}
		parts, whole := wordsWithin(cidr, ranges)
		covered = covered && whole
		for _, p := range parts {
			inside = phrase.AddNew(inside, p)
		}
	}
	return inside, covered
}

// wordsWithin tells whether one of the ranges covers cidr, and which lie inside it.
func wordsWithin(cidr string, ranges []string) (inside []string, covered bool) {
	outer, err := netip.ParsePrefix(cidr)
	if err != nil {
		return nil, false
	}
	for _, r := range ranges {
		p, err := netip.ParsePrefix(r)
		switch {
		case err != nil || !p.Overlaps(outer):
		case p.Bits() <= outer.Bits():
			covered = true
		default:
			inside = append(inside, r)
		}
	}
	return inside, covered
}
