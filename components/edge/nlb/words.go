package nlb

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

// The types of the balancer and of its children, as [blast.Change.ShortType] has them.
const (
	wordsBalancer = "oci:NetworkLoadBalancer"
	wordsSet      = "oci:NetworkLoadBalancersBackendSetsUnified"
	wordsListener = "oci:Listener"
)

// Seconds of OCI: those of lab/cloud/latency.go, which names source or assumption of each.
const (
	wordsBalancerSeconds = 60
	wordsChildSeconds    = 12
)

// words speak of the network load balancer with its backend sets and listeners.
type words struct{}

// Words are those for the changes of a network load balancer in a plan.
func (Edge) Words() blast.EdgeWords { return words{} }

// Cosmetic is part of blast.EdgeWords.
func (words) Cosmetic(path string) bool { return limits.IsLabel(path) }

// ClaimLeft is part of blast.EdgeWords. It passes packets on to the end, which the proxies take beside
// those of another balancer.
func (words) ClaimLeft(a *blast.Assessment) (gone []*blast.Change, until string) {
	return a.Claim(func(c *blast.Change) bool {
		return c.Op == blast.Delete && strings.HasPrefix(c.Type, "oci:NetworkLoadBalancer/")
	}), ""
}

// EdgeLines is part of blast.EdgeWords. Sets that change only by the backends of nodes that come and go are
// theirs.
func (words) EdgeLines(a *blast.Assessment) {
	w := wordsEdge{Assessment: a, parts: len(a.Planned(blast.Of(wordsSet, blast.Update)))}
	w.balancer()
	w.protocols()
	w.listeners()
	w.sets()
	for _, c := range w.claim(blast.Update, wordsBalancer) {
		about := []*blast.Change{c}
		l := blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: "The balancer changes" + phrase.Bracket(blast.Differences(about, nil))}
		if a.OnlyCosmetic(about) {
			l.Severity, l.Text = blast.None, "The balancer gets other names or tags"
		}
		w.parts++
		a.Add(l, about)
	}
	w.takes()
}

// wordsEdge is what the words have found in one plan.
type wordsEdge struct {
	*blast.Assessment
	// made: there is a new balancer. parts and opened are its sets, with changes of the balancer itself, and
	// its listeners: OCI takes them one by one.
	made          bool
	parts, opened int
}

func (w *wordsEdge) claim(op string, types ...string) []*blast.Change {
	return w.Claim(func(c *blast.Change) bool { return c.Op == op && slices.Contains(types, c.ShortType()) })
}

// balancer that is made, replaced or deleted, with its children.
func (w *wordsEdge) balancer() {
	all := []string{wordsBalancer, wordsSet, wordsListener}
	switch {
	case w.Has(blast.Of(wordsBalancer, blast.Create)):
		made := w.claim(blast.Create, all...)
		listeners := blast.CountOf(made, wordsListener)
		w.made = true
		w.parts, w.opened = w.parts+blast.CountOf(made, wordsSet), w.opened+listeners
		w.Add(blast.Line{Severity: blast.None, Area: blast.AreaEdge, Text: fmt.Sprintf("A balancer is made, with %s; it opens when %s is ready",
			phrase.Count(listeners, "listener"), w.Kinds.Proxy.Name())}, made)
	case w.Has(blast.Of(wordsBalancer, blast.Replace)):
		w.replaced(w.claim(blast.Replace, all...))
	case w.Has(blast.Of(wordsBalancer, blast.Delete)):
		w.Add(blast.Line{
			Severity: blast.Interruption, Area: blast.AreaEdge, Text: "The balancer is deleted: no client gets in", Brief: "balancer deleted",
		}, w.claim(blast.Delete, all...))
	}
}

func (w *wordsEdge) replaced(all []*blast.Change) {
	w.made = true
	w.parts, w.opened = w.parts+2*blast.CountOf(all, wordsSet), w.opened+2*blast.CountOf(all, wordsListener)
	var why []*blast.Change
	for _, c := range all {
		if c.ShortType() == wordsBalancer {
			why = append(why, c)
		}
	}
	followers, keep := w.Kinds.Names.ClaimFollowers(w.Assessment)
	w.Add(blast.Line{
		Severity: blast.Interruption, Area: blast.AreaEdge,
		Text: "The balancer is replaced, and with it its address" + phrase.Bracket(blast.Differences(why, map[string]string{"subnetId": "subnet"})),
		Details: []string{
			fmt.Sprintf("Every connection is cut when the old one is deleted. Clients have to look up %s again: its record follows once the new balancer is healthy, "+
				"and resolvers keep the old address for up to %s.", w.Settings.DNS.Name, keep),
			"Whoever allows the old address in a firewall has to allow the new one.",
		},
		Brief: "balancer replaced by one with another address",
	}, all, followers)
}

// protocols that open or close: a listener with its set and rules.
func (w *wordsEdge) protocols() {
	for _, op := range []string{blast.Delete, blast.Create} {
		listeners := w.claim(op, wordsListener)
		if len(listeners) == 0 {
			continue
		}
		var names []string
		for _, c := range listeners {
			names = append(names, strings.TrimPrefix(c.Part(), "listeners-"))
		}
		belongs := w.Claim(func(c *blast.Change) bool {
			switch {
			case c.Op != op:
				return false
			case c.ShortType() == wordsSet:
				return slices.Contains(names, strings.TrimPrefix(c.Part(), "balancer-"))
			}
			return slices.Contains(names, w.Kinds.Hosts.Opens(c))
		})
		// Each set has a backend per node, whether the set itself is part of the plan or,
		// after an update that ended before the listeners, there already.
		backends := len(listeners) * w.After
		if op == blast.Delete {
			backends = len(listeners) * w.Before
		}
		w.parts, w.opened = w.parts+blast.CountOf(belongs, wordsSet), w.opened+len(listeners)
		l := blast.Line{
			Severity: blast.Interruption, Area: blast.AreaEdge,
			Text: phrase.List(names) + phrase.Pick(len(names), " closes", " close"), Brief: phrase.List(names) + " closed",
		}
		if op == blast.Create {
			l = blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: phrase.List(names) + phrase.Pick(len(names), " opens", " open")}
		}
		l.Text += fmt.Sprintf(": %s with %s and what belongs to them",
			phrase.Count(len(listeners), "listener"), phrase.Count(backends, "backend"))
		if op == blast.Delete {
			l.Details = []string{"Clients of these protocols are cut, and cannot connect any more."}
		}
		w.Add(l, listeners, belongs)
	}
}

// listeners that stay.
func (w *wordsEdge) listeners() {
	for _, op := range []string{blast.Replace, blast.Update} {
		for _, same := range blast.Alike(w.claim(op, wordsListener)) {
			w.opened += len(same)
			names := blast.Parts(same, "listeners-")
			port := same[0].Diff("port")
			l := blast.Line{Severity: blast.Notice, Area: blast.AreaEdge}
			switch {
			case op == blast.Replace:
				l.Severity, l.Brief = blast.Interruption, "listeners replaced: "+names
				l.Text = "Listeners are replaced: " + names + phrase.Bracket(blast.Differences(same, nil))
				l.Details = []string{"Clients cannot connect between the old one's end and the new one's begin."}
			case port != nil:
				l.Severity, l.Brief = blast.Interruption, "another port for "+names
				l.Text = fmt.Sprintf("%s moves from port %s to port %s", names, blast.Value(port.Old), blast.Value(port.New))
				l.Details = []string{"Clients that use the old port are refused."}
			default:
				l.Text = "Listeners change: " + names + phrase.Bracket(blast.Differences(same, map[string]string{"tcpIdleTimeout": "idle timeout in s"}))
			}
			w.Add(l, same)
		}
	}
}

// takes is the time of all that was found.
func (w *wordsEdge) takes() {
	if w.made || w.parts > 0 {
		seconds := w.parts * wordsChildSeconds
		what := phrase.InTurn(w.parts, "part") + " of the balancer"
		if w.made {
			seconds += wordsBalancerSeconds
			what = "the balancer with " + strings.TrimSuffix(phrase.InTurn(w.parts, "part"), ",")
		}
		w.Takes(blast.Making, blast.Part{What: what, Seconds: w.Latency(seconds)})
	}
	if w.opened > 0 {
		w.Takes(blast.Opening, blast.Part{
			What: strings.TrimSuffix(phrase.InTurn(w.opened, "listener"), ","), Seconds: w.Latency(w.opened * wordsChildSeconds),
		})
	}
}
