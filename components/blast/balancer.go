package blast

import (
	"fmt"
	"slices"
	"strings"
)

var edgeTypes = []string{typeBalancer, typeSet, typeListener}

// balancer is the network load balancer with its sets and listeners; sets that change
// only by the backends of nodes that come and go are theirs.
func (a *assessment) balancer() {
	edge := func(op string, types ...string) []*Change {
		return a.claim(func(c *Change) bool { return c.Op == op && slices.Contains(types, short(c.Type)) })
	}
	switch {
	case a.has(of(typeBalancer, opCreate)):
		made := edge(opCreate, edgeTypes...)
		a.waits.balancer, a.waits.edge, a.waits.listeners = true, count2(made, typeSet), count2(made, typeListener)
		a.add(Line{Severity: None, Area: "balancer", Text: fmt.Sprintf(
			"A balancer is made, with %s; it opens when HAProxy is ready", count(count2(made, typeListener), "listener"))}, made)
	case a.has(of(typeBalancer, opReplace)):
		a.replacedBalancer(edge(opReplace, edgeTypes...))
	case a.has(of(typeBalancer, opDelete)):
		a.add(Line{Severity: Interruption, Area: "balancer", Text: "The balancer is deleted: no client gets in", brief: "balancer deleted"}, edge(opDelete, edgeTypes...))
	}
	a.protocols(edge)
	a.listeners(edge)
	a.sets(edge)
	for _, c := range edge(opUpdate, typeBalancer) {
		l := Line{Severity: Notice, Area: "balancer", Text: "The balancer changes" + bracket(differences([]*Change{c}, nil))}
		if onlyCosmetic([]*Change{c}) {
			l.Severity, l.Text = None, "The balancer gets other names or tags"
		}
		a.waits.edge++
		a.add(l, []*Change{c})
	}
}

func count2(changes []*Change, types ...string) int {
	n := 0
	for _, c := range changes {
		if slices.Contains(types, short(c.Type)) {
			n++
		}
	}
	return n
}

func (a *assessment) replacedBalancer(all []*Change) {
	a.waits.balancer, a.waits.edge, a.waits.listeners = true, 2*count2(all, typeSet), 2*count2(all, typeListener)
	var why []*Change
	for _, c := range all {
		if short(c.Type) == typeBalancer {
			why = append(why, c)
		}
	}
	records := a.claim(func(c *Change) bool { return of(typeRecord, opUpdate)(c) && c.diff("items[0].rdata") != nil })
	a.add(Line{
		Severity: Interruption, Area: "balancer",
		Text: "The balancer is replaced, and with it its address" + bracket(differences(why, map[string]string{"subnetId": "subnet"})),
		Details: []string{
			fmt.Sprintf("Every connection is cut when the old one is deleted. Clients have to look up %s again: its record follows once the new balancer is healthy, "+
				"and resolvers keep the old address for up to %s.", a.s.DNS.Name, a.ttl(records)),
			"Whoever allows the old address in a firewall has to allow the new one.",
		},
		brief: "balancer replaced by one with another address",
	}, all, records)
}

type edgeClaim func(op string, types ...string) []*Change

// protocols that open or close: a listener with its set and rules.
func (a *assessment) protocols(edge edgeClaim) {
	for _, op := range []string{opDelete, opCreate} {
		listeners := edge(op, typeListener)
		if len(listeners) == 0 {
			continue
		}
		var names []string
		for _, c := range listeners {
			names = append(names, strings.TrimPrefix(c.part(), "listeners-"))
		}
		belongs := a.claim(func(c *Change) bool {
			switch {
			case c.Op != op:
				return false
			case short(c.Type) == typeSet:
				return slices.Contains(names, strings.TrimPrefix(c.part(), "balancer-"))
			}
			return short(c.Type) == typeRule && slices.Contains(names, ruleOf(c).protocol)
		})
		// Each set has a backend per node, whether the set itself is part of the plan or,
		// after an update that ended before the listeners, there already.
		backends := len(listeners) * a.after
		if op == opDelete {
			backends = len(listeners) * a.before
		}
		a.waits.listeners += len(listeners)
		a.waits.edge += count2(belongs, typeSet)
		l := Line{Severity: Interruption, Area: "balancer", Text: list(names) + pick(len(names), " closes", " close"), brief: list(names) + " closed"}
		if op == opCreate {
			l = Line{Severity: Notice, Area: "balancer", Text: list(names) + pick(len(names), " opens", " open")}
		}
		l.Text += fmt.Sprintf(": %s with %s and what belongs to them",
			count(len(listeners), "listener"), count(backends, "backend"))
		if op == opDelete {
			l.Details = []string{"Clients of these protocols are cut, and cannot connect any more."}
		}
		a.add(l, listeners, belongs)
	}
}

// listeners that stay.
func (a *assessment) listeners(edge edgeClaim) {
	for _, op := range []string{opReplace, opUpdate} {
		for _, same := range alike(edge(op, typeListener)) {
			a.waits.listeners += len(same)
			names := listenerNames(same)
			port := same[0].diff("port")
			l := Line{Severity: Notice, Area: "balancer"}
			switch {
			case op == opReplace:
				l.Severity, l.brief = Interruption, "listeners replaced: "+names
				l.Text = "Listeners are replaced: " + names + bracket(differences(same, nil))
				l.Details = []string{"Clients cannot connect between the old one's end and the new one's begin."}
			case port != nil:
				l.Severity, l.brief = Interruption, "another port for "+names
				l.Text = fmt.Sprintf("%s moves from port %s to port %s", names, value(port.Old), value(port.New))
				l.Details = []string{"Clients that use the old port are refused."}
			default:
				l.Text = "Listeners change: " + names + bracket(differences(same, map[string]string{"tcpIdleTimeout": "idle timeout in s"}))
			}
			a.add(l, same)
		}
	}
}

func setNames(changes []*Change) string      { return trimmed(changes, "balancer-") }
func listenerNames(changes []*Change) string { return trimmed(changes, "listeners-") }

func trimmed(changes []*Change, prefix string) string {
	names := make([]string, len(changes))
	for i, c := range changes {
		names[i] = strings.TrimPrefix(c.part(), prefix)
	}
	return list(names)
}

func past(op string) string {
	return map[string]string{opCreate: "created", opUpdate: "updated", opReplace: "replaced", opDelete: "deleted", "import": "imported"}[op]
}

// ttl is how long resolvers keep what they have: the record's old one.
func (a *assessment) ttl(records []*Change) string {
	for _, c := range records {
		if d := c.diff("items[0].ttl"); d != nil {
			return value(d.Old) + " s"
		}
	}
	return fmt.Sprintf("%d s", a.s.DNS.TTL)
}

// record is the public name.
func (a *assessment) record() {
	for _, c := range a.claim(func(c *Change) bool { return short(c.Type) == typeRecord }) {
		a.waits.record = true
		one := []*Change{c}
		address, ttl := c.diff("items[0].rdata"), c.diff("items[0].ttl")
		l := Line{Severity: Notice, Area: "dns"}
		was, _ := c.Old["domain"].(string)
		switch {
		case c.Op == opCreate:
			l.Severity, l.Text = None, a.s.DNS.Name+" is made, once the balancer finds healthy backends"
		case c.Op == opDelete:
			l.Severity, l.Text, l.brief = Interruption, "The DNS record goes away: clients no longer find the balancer", "DNS record removed"
		case c.Op == opReplace && c.diff("domain") != nil:
			l.Severity, l.brief = Interruption, "DNS name "+was+" goes away"
			l.Text = fmt.Sprintf("The DNS name %s goes away, %s comes", was, a.s.DNS.Name)
			l.Details = []string{"Clients that know only the old name cannot connect once resolvers have forgotten it. A certificate has to name the new one."}
		case c.Op == opReplace:
			l.Severity, l.brief = Interruption, "DNS record replaced"
			l.Text = "The DNS record is replaced" + bracket(differences(one, nil))
			l.Details = []string{"The name does not resolve in between."}
		case address != nil:
			l.Severity, l.brief = Interruption, "DNS record gets another address"
			l.Text = a.s.DNS.Name + " gets another address" + bracket(address.words("address"))
			l.Details = []string{"Resolvers keep the old one for up to " + a.ttl(one) + "."}
		case ttl != nil:
			l.Text = fmt.Sprintf("%s may be kept by resolvers for %s s instead of %s s", a.s.DNS.Name, value(ttl.New), value(ttl.Old))
		default:
			l.Text = "The DNS record changes" + bracket(differences(one, nil))
		}
		a.add(l, one)
	}
}
