package blast

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strings"
)

// accessRule is what a security rule's name and description say.
type accessRule struct {
	// to is nodes or balancer; from a range, nodes or balancer.
	to, from string
	ports    string
	// protocol is the client protocol that it opens, "" for the cluster's own traffic.
	protocol string
	out      bool
}

var (
	ruleName     = regexp.MustCompile(`^groups-(\w+)-in-(tcp|udp)-([0-9-]+)-from-(.+)$`)
	ruleProtocol = regexp.MustCompile(`^clients.*, (\w+)$`)
	rangeName    = regexp.MustCompile(`^(\d+\.\d+\.\d+\.\d+)-(\d+)$`)
)

func ruleOf(c *Change) accessRule {
	var r accessRule
	for _, state := range []map[string]any{c.New, c.Old} {
		why, _ := state["description"].(string)
		if m := ruleProtocol.FindStringSubmatch(why); m != nil {
			r.protocol = m[1]
		}
	}
	if m := ruleName.FindStringSubmatch(c.part()); m != nil {
		r.to, r.ports, r.from = m[1], m[2]+" "+m[3], rangeName.ReplaceAllString(m[4], "$1/$2")
	} else {
		r.out, r.from = strings.HasSuffix(c.Name, "-out"), c.part()
	}
	return r
}

// network is who may reach what.
func (a *assessment) network() {
	groups := a.claim(func(c *Change) bool { return short(c.Type) == typeGroup })
	rules := a.claim(func(c *Change) bool { return short(c.Type) == typeRule })
	if len(groups) > 0 && a.before == 0 {
		a.add(Line{Severity: None, Area: "network", Text: fmt.Sprintf("%s with %s are made", count(len(groups), "security group"), count(len(rules), "rule"))}, groups, rules)
		return
	}
	for _, same := range alike(groups) {
		l := Line{Severity: Notice, Area: "network", Text: fmt.Sprintf("Security groups are %s: %s%s", past(same[0].Op), trimmed(same, "groups-"), bracket(differences(same, nil)))}
		switch {
		case same[0].Op == opReplace || same[0].Op == opDelete:
			l.Severity, l.brief = Interruption, "security groups "+past(same[0].Op)
			l.Details = []string{"What its rules let in is shut out until the new ones hold; instances that run keep the old group until their next launch."}
		case onlyCosmetic(same):
			l.Severity, l.Text = None, "Security groups get other names or tags"
		}
		a.add(l, same)
	}
	// One line for each range, and one for the cluster's own traffic.
	type key struct{ op, from string }
	var order []key
	byKey := map[key][]*Change{}
	for _, c := range rules {
		r := ruleOf(c)
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
		a.rules(k.op, k.from, byKey[k])
	}
}

func (a *assessment) rules(op, from string, rules []*Change) {
	var what []string
	for _, c := range rules {
		r := ruleOf(c)
		switch {
		case r.protocol != "":
			what = appendNew(what, r.protocol)
		case r.out:
			what = appendNew(what, "everything out")
		default:
			what = appendNew(what, r.ports+" of the "+r.to)
		}
	}
	slices.Sort(what)
	l := Line{Area: "network"}
	clients := strings.HasPrefix(from, "clients of ")
	cidr := strings.TrimPrefix(from, "clients of ")
	switch op {
	case opCreate:
		l.Severity, l.Text = Notice, fmt.Sprintf("%s may reach %s", capital(from), list(what))
	case opDelete:
		l.Severity = Interruption
		l.Text, l.brief = fmt.Sprintf("%s may no longer reach %s", capital(from), list(what)), from+" shut out"
		inside, covered := within(cidr, a.s.Network.ClientCIDRs)
		switch {
		case clients && covered:
			l.Severity, l.brief = Notice, ""
			l.Text += ", but another range of network.clientCidrs lets them in"
		case clients && len(inside) > 0:
			l.Details = []string{"Of that range, " + list(inside) + " may still."}
		}
		if l.Severity == Interruption {
			l.Details = append(l.Details, "New connections are refused; do not count on open ones to stay.")
		}
	default:
		l.Severity, l.Text = Notice, fmt.Sprintf("Rules for %s are %s: %s%s", from, past(op), list(what), bracket(differences(rules, nil)))
		if op == opReplace {
			l.Severity, l.brief = Interruption, "rules for "+from+" replaced"
		}
		if op == opUpdate && onlyCosmetic(rules) {
			l.Severity = None
		}
	}
	a.add(l, rules)
}

// within tells whether one of the ranges covers cidr, and which lie inside it.
func within(cidr string, ranges []string) (inside []string, covered bool) {
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

func capital(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}
