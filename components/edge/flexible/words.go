package flexible

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/oci/limits"
)

// The types of the balancer and of its children.
const (
	balancerType    = typePrefix + "loadBalancer:LoadBalancer"
	setType         = typePrefix + "backendSet:BackendSet"
	backendType     = typePrefix + "backend:Backend"
	listenerType    = typePrefix + "listener:Listener"
	certificateType = typePrefix + "certificate:Certificate"
	suiteType       = typePrefix + "sslCipherSuite:SslCipherSuite"
)

// Seconds of OCI: those of lab/cloud/latency.go, which names source or assumption of each.
const (
	wordsBalancerSeconds = 60
	wordsChildSeconds    = 12
)

// words speak of the load balancer with its backend sets, backends, listeners, certificate and cipher suite.
type words struct{}

// Words are those for the changes of a load balancer in a plan.
func (Edge) Words() blast.EdgeWords { return words{} }

// Cosmetic is part of blast.EdgeWords.
func (words) Cosmetic(path string) bool { return limits.IsLabel(path) }

// of fits types of this folder: short names are those of other balancers, too.
func of(op string, types ...string) func(*blast.Change) bool {
	return func(c *blast.Change) bool { return c.Op == op && slices.Contains(types, c.Type) }
}

var wordsBackend = regexp.MustCompile(`^balancer-(.+)-(\d+)$`)

// wordsBackendOf is the protocol and the node of a backend, -1 for what is none.
func wordsBackendOf(c *blast.Change) (protocol string, node int) {
	m := wordsBackend.FindStringSubmatch(c.Part())
	if c.Type != backendType || m == nil {
		return "", -1
	}
	node, err := strconv.Atoi(m[2])
	if err != nil {
		return "", -1
	}
	return m[1], node
}

// ClaimBackends is part of blast.EdgeWords.
func (words) ClaimBackends(a *blast.Assessment, op string, nodes []int) []*blast.Change {
	return a.Claim(func(c *blast.Change) bool {
		_, node := wordsBackendOf(c)
		return c.Op == op && slices.Contains(nodes, node)
	})
}

// Inventory is part of blast.EdgeWords.
func (words) Inventory(a *blast.Assessment, op string, node int) string {
	var names []string
	for _, c := range a.Planned(of(op, backendType)) {
		if protocol, of := wordsBackendOf(c); of == node {
			names = append(names, protocol)
		}
	}
	if len(names) == 0 {
		return ""
	}
	slices.Sort(names)
	return fmt.Sprintf("%s of the balancer (%s)", phrase.Count(len(names), "backend"), strings.Join(names, ", "))
}

// ClaimLeft is part of blast.EdgeWords.
func (words) ClaimLeft(a *blast.Assessment) (gone []*blast.Change, until string) {
	return a.Claim(func(c *blast.Change) bool { return c.Op == blast.Delete && strings.HasPrefix(c.Type, typePrefix) }),
		fmt.Sprintf("from the restart of each %s until its end the old balancer's new connections fail there: they begin with a header that is expected no more.", a.Kinds.Proxy.Name())
}

// wordsEdge is what the words have found in one plan.
type wordsEdge struct {
	*blast.Assessment
	// made: there is a new balancer. parts and opened are its children without, and with its
	// listeners: what OCI has to do, some of it at once.
	made          bool
	parts, opened int
}

// EdgeLines is part of blast.EdgeWords.
func (words) EdgeLines(a *blast.Assessment) {
	w := wordsEdge{Assessment: a}
	w.balancer()
	w.protocols()
	w.certificate()
	w.sets()
	w.listeners()
	for _, c := range w.Claim(of(blast.Update, balancerType)) {
		w.parts++
		w.changed(c)
	}
	w.takes()
}

// changed is what an update of the balancer itself does.
func (w *wordsEdge) changed(c *blast.Change) {
	about := []*blast.Change{c}
	l := blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: "The balancer changes" + phrase.Bracket(blast.Differences(about, wordsPaths))}
	switch {
	case w.OnlyCosmetic(about):
		l.Severity, l.Text = blast.None, "The balancer gets other names or tags"
	case slices.ContainsFunc(c.Diffs, func(d blast.Diff) bool { return strings.HasPrefix(d.Path, "shape") }):
		l.Severity, l.Brief = blast.Interruption, "balancer of another bandwidth"
		l.Details = []string{"OCI resets every connection when the shape changes: all clients connect again at once."}
	}
	w.Add(l, about)
}

// balancer that is made, replaced or deleted, with its children.
func (w *wordsEdge) balancer() {
	all := []string{balancerType, setType, backendType, listenerType, certificateType, suiteType}
	count := func(made []*blast.Change) {
		w.made = true
		for _, c := range made {
			switch c.Type {
			case listenerType:
				w.opened++
			case balancerType:
			default:
				w.parts++
			}
		}
	}
	switch {
	case w.Has(of(blast.Create, balancerType)):
		made := w.Claim(of(blast.Create, all...))
		count(made)
		w.Add(blast.Line{Severity: blast.None, Area: blast.AreaEdge, Text: fmt.Sprintf("A balancer is made, with %s; it opens when %s is ready",
			phrase.Count(w.opened, "listener"), w.Kinds.Proxy.Name())}, made)
	case w.Has(of(blast.Replace, balancerType)):
		why := w.Planned(of(blast.Replace, balancerType))
		made := w.Claim(of(blast.Replace, all...))
		count(made)
		followers, keep := w.Kinds.Names.ClaimFollowers(w.Assessment)
		w.Add(blast.Line{
			Severity: blast.Interruption, Area: blast.AreaEdge,
			Text: "The balancer is replaced, and with it its address" + phrase.Bracket(blast.Differences(why, wordsPaths)),
			Details: []string{
				fmt.Sprintf("Every connection is cut when the old one is deleted. Clients have to look up %s again: its record follows once the new balancer is healthy, "+
					"and resolvers keep the old address for up to %s.", w.Settings.DNS.Name, keep),
				"Whoever allows the old address in a firewall has to allow the new one.",
			},
			Brief: "balancer replaced by one with another address",
		}, made, followers)
	case w.Has(of(blast.Delete, balancerType)):
		w.Add(blast.Line{
			Severity: blast.Interruption, Area: blast.AreaEdge, Text: "The balancer is deleted: no client gets in", Brief: "balancer deleted",
		}, w.Claim(of(blast.Delete, all...)))
	}
}

// protocols that open or close: a listener with its set, backends and rules.
func (w *wordsEdge) protocols() {
	for _, op := range []string{blast.Delete, blast.Create} {
		listeners := w.Claim(of(op, listenerType))
		if len(listeners) == 0 {
			continue
		}
		var names []string
		for _, c := range listeners {
			names = append(names, strings.TrimPrefix(c.Part(), "listeners-"))
		}
		belongs := w.Claim(func(c *blast.Change) bool {
			protocol, _ := wordsBackendOf(c)
			switch {
			case c.Op != op:
				return false
			case c.Type == setType:
				return slices.Contains(names, strings.TrimPrefix(c.Part(), "balancer-"))
			case protocol != "":
				return slices.Contains(names, protocol)
			}
			return slices.Contains(names, w.Kinds.Hosts.Opens(c))
		})
		w.parts, w.opened = w.parts+len(belongs), w.opened+len(listeners)
		l := blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: phrase.List(names) + phrase.Pick(len(names), " opens", " open")}
		if op == blast.Delete {
			l.Severity, l.Brief = blast.Interruption, phrase.List(names)+" closed"
			l.Text = phrase.List(names) + phrase.Pick(len(names), " closes", " close")
			l.Details = []string{"Clients of these protocols are cut, and cannot connect any more."}
		}
		l.Text += fmt.Sprintf(": %s and what belongs to them", phrase.Count(len(listeners), "listener"))
		w.Add(l, listeners, belongs)
	}
}

// certificate that is another one: it is made beside the old one, which goes when no listener has it.
func (w *wordsEdge) certificate() {
	for _, part := range []struct{ typ, what string }{{certificateType, "certificate"}, {suiteType, "cipher suite"}} {
		if renewed := w.Claim(of(blast.Replace, part.typ)); len(renewed) > 0 {
			w.parts += len(renewed)
			w.Add(blast.Line{
				Severity: blast.Notice, Area: blast.AreaEdge, Text: "The balancer gets another " + part.what + ": made beside the old one, which goes once no listener has it",
				Details: []string{"New connections have it from then on. OCI does not say that those which are open stay, nor that they do not."},
			}, renewed)
		}
		for _, op := range []string{blast.Create, blast.Delete} {
			if some := w.Claim(of(op, part.typ)); len(some) > 0 {
				w.parts += len(some)
				w.Add(blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: fmt.Sprintf("The balancer's %s is %s", part.what, blast.Past(op))}, some)
			}
		}
	}
}

// sets that stay, with their backends, and those that are replaced by one beside them.
func (w *wordsEdge) sets() {
	if sets := w.Claim(of(blast.Replace, setType)); len(sets) > 0 {
		backends := w.Claim(of(blast.Replace, backendType))
		w.parts += len(sets) + len(backends)
		w.Add(blast.Line{
			Severity: blast.Notice, Area: blast.AreaEdge,
			Text:    "Backend sets are replaced: " + blast.Parts(sets, "balancer-") + phrase.Bracket(blast.Differences(sets, wordsPaths)),
			Details: []string{"Others are made beside them, with their backends, and the listeners move. The old ones go at the end of the update."},
		}, sets, backends)
	}
	for _, op := range []string{blast.Replace, blast.Delete, blast.Create, blast.Update} {
		backends := w.Claim(of(op, backendType))
		if len(backends) == 0 {
			continue
		}
		w.parts += len(backends)
		l := blast.Line{
			Severity: blast.Notice, Area: blast.AreaEdge,
			Text: fmt.Sprintf("%s %s%s", phrase.Count(len(backends), "backend"), blast.Past(op), phrase.Bracket(blast.Differences(backends, wordsPaths))),
		}
		if op == blast.Replace || op == blast.Delete {
			l.Severity, l.Brief = blast.Interruption, l.Text
			l.Details = []string{"Connections through an old backend may be cut; the balancer sends new ones through those that are healthy."}
		}
		w.Add(l, backends)
	}
	for _, op := range []string{blast.Create, blast.Delete, blast.Update} {
		if sets := w.Claim(of(op, setType)); len(sets) > 0 {
			w.parts += len(sets)
			w.Add(blast.Line{Severity: blast.Notice, Area: blast.AreaEdge, Text: "Backend sets are " + blast.Past(op) + ": " + blast.Parts(sets, "balancer-") + phrase.Bracket(blast.Differences(sets, wordsPaths))}, sets)
		}
	}
}

// listeners that stay.
func (w *wordsEdge) listeners() {
	for _, op := range []string{blast.Replace, blast.Update} {
		for _, same := range blast.Alike(w.Claim(of(op, listenerType))) {
			w.opened += len(same)
			names := blast.Parts(same, "listeners-")
			port := same[0].Diff("port")
			l := blast.Line{Severity: blast.Notice, Area: blast.AreaEdge}
			switch {
			case op == blast.Replace:
				l.Severity, l.Brief = blast.Interruption, "listeners replaced: "+names
				l.Text = "Listeners are replaced: " + names + phrase.Bracket(blast.Differences(same, wordsPaths))
				l.Details = []string{"Clients cannot connect between the old one's end and the new one's begin."}
			case port != nil:
				l.Severity, l.Brief = blast.Interruption, "another port for "+names
				l.Text = fmt.Sprintf("%s moves from port %s to port %s", names, blast.Value(port.Old), blast.Value(port.New))
				l.Details = []string{"Clients that use the old port are refused."}
			case wordsEndsTLS(same[0].Old) != wordsEndsTLS(same[0].New):
				l.Severity, l.Brief = blast.Interruption, "TLS ends elsewhere for "+names
				l.Text = "TLS ends elsewhere for " + names
				l.Details = []string{fmt.Sprintf("From the restart of each %s until the balancer's listeners change, one takes what the other has ended for what it has not: "+
					"new connections to %s fail there.", w.Kinds.Proxy.Name(), names)}
			default:
				l.Text = "Listeners change: " + names + phrase.Bracket(blast.Differences(same, wordsPaths))
			}
			w.Add(l, same)
		}
	}
}

// wordsEndsTLS tells whether a listener's inputs have its TLS ended.
func wordsEndsTLS(inputs map[string]any) bool { return inputs["sslConfiguration"] != nil }

// takes is the time of all that was found. Changes of one balancer wait for each other in the service.
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

// wordsPaths are words for properties; names follow from the rest.
var wordsPaths = map[string]string{
	"subnetIds[0]": "subnet", "isPrivate": "private", "name": "", "defaultBackendSetName": "backend set", "backendsetName": "",
	"shapeDetails.minimumBandwidthInMbps": "least Mbit/s", "shapeDetails.maximumBandwidthInMbps": "most Mbit/s",
	"healthChecker.intervalMs": "health check every ms", "healthChecker.timeoutInMillis": "its timeout in ms", "healthChecker.retries": "its retries",
	"healthChecker.port": "its port", "healthChecker.urlPath": "its page",
	"connectionConfiguration.idleTimeoutInSeconds": "idle timeout in s",
	"sslConfiguration.certificateName":             "certificate", "sslConfiguration.cipherSuiteName": "cipher suite",
}
