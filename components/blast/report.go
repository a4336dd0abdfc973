package blast

import (
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Severity is how much a part of a change hurts.
type Severity string

// The severities, from the least.
const (
	// None: nobody notices.
	None Severity = "none"
	// Notice: nothing stops, but somebody should know.
	Notice Severity = "notice"
	// Interruption: connections are cut, or clients shut out.
	Interruption Severity = "interruption"
	// DataLoss: data are gone afterwards.
	DataLoss Severity = "data-loss"
)

var severities = []Severity{None, Notice, Interruption, DataLoss}

// Worse is the worse of two.
func Worse(a, b Severity) Severity {
	if b.rank() > a.rank() {
		return b
	}
	return a
}

func (s Severity) rank() int { return slices.Index(severities, s) }

// Report is what a plan means. The JSON names are stable: programs read them.
type Report struct {
	// Stack is the stack's name.
	Stack string `json:"stack"`
	// Severity is the worst of the lines.
	Severity Severity `json:"severity"`
	// Headline is the report in one sentence.
	Headline string `json:"headline"`
	Nodes    Nodes  `json:"nodes"`
	// Lines are the parts, the worst first. Every change of the plan belongs to
	// exactly one.
	Lines []Line `json:"lines"`
	// Estimate is about how long the update takes.
	Estimate Estimate `json:"estimate"`

	// atOnce: the nodes do not restart one after another.
	atOnce bool
}

// Nodes are the nodes that a change reaches, by name, in the order in which it does.
type Nodes struct {
	Added   []string `json:"added"`
	Removed []string `json:"removed"`
	// Restarted: EMQX restarts, on the host that it is on.
	Restarted []string `json:"restarted"`
	// Relaunched: the host ends, and another one takes its place.
	Relaunched []string `json:"relaunched"`
	// ProxyRestarted: the proxy restarts there. ProxyReloaded: it reads its
	// configuration again.
	ProxyRestarted []string `json:"proxyRestarted"`
	ProxyReloaded  []string `json:"proxyReloaded"`
	// VolumeLost: the data volume is deleted, or replaced by an empty one.
	VolumeLost []string `json:"volumeLost"`
}

// Line is one part of a report.
type Line struct {
	Severity Severity `json:"severity"`
	// Area is nodes, emqx, secrets, consul, other, one of those of hosts, edge and names,
	// or the proxy's own.
	Area string `json:"area"`
	// Text is what happens; Details are what that means, and what to do.
	Text    string   `json:"text"`
	Details []string `json:"details,omitempty"`
	// Resources are those of the plan that this is about: "nomad:Job emqx".
	Resources []string `json:"resources,omitempty"`

	// Brief is the line in a headline, "" when the headline has it otherwise.
	Brief string `json:"-"`
}

// The areas of the lines of hosts, edge and names.
const (
	AreaVolumes   = "volumes"
	AreaInstances = "instances"
	AreaAddresses = "addresses"
	AreaNetwork   = "network"
	AreaEdge      = "balancer"
	AreaNames     = "dns"
)

// Estimate is a sum of parts, each with what it rests on.
type Estimate struct {
	// Seconds of all parts, but for those that run beside a longer one.
	Seconds int    `json:"seconds"`
	Parts   []Part `json:"parts"`
}

// Part is one part of the time.
type Part struct {
	What    string `json:"what"`
	Seconds int    `json:"seconds"`
	// Beside parts run at the same time as the one before, which takes longer.
	Beside bool `json:"beside,omitempty"`
}

// finish sorts the lines and writes the headline.
func (r *Report) finish(proxy string) {
	// Areas in the order in which lines of one severity stand; what is not among them comes last.
	areas := []string{
		AreaVolumes, "nodes", "emqx", AreaInstances, AreaAddresses, proxy, AreaEdge, AreaNames, AreaNetwork, "secrets", "consul",
	}
	place := func(l Line) int {
		if i := slices.Index(areas, l.Area); i >= 0 {
			return i
		}
		return len(areas)
	}
	slices.SortStableFunc(r.Lines, func(a, b Line) int {
		if a.Severity != b.Severity {
			return b.Severity.rank() - a.Severity.rank()
		}
		return place(a) - place(b)
	})
	r.Severity = None
	for _, l := range r.Lines {
		if l.Severity.rank() > r.Severity.rank() {
			r.Severity = l.Severity
		}
	}
	r.Headline = r.headline()
}

func (r *Report) headline() string {
	if len(r.Lines) == 0 {
		return "no changes; 0 nodes restarted; no interruption"
	}
	var parts []string
	for _, l := range r.Lines {
		if l.Severity == DataLoss {
			parts = append(parts, "DATA LOSS: "+l.Brief)
		}
	}
	n := r.Nodes
	for _, c := range []struct {
		nodes []string
		what  string
	}{{n.Added, "added"}, {n.Removed, "removed"}, {n.Relaunched, "relaunched"}} {
		if len(c.nodes) > 0 {
			parts = append(parts, phrase.Count(len(c.nodes), "node")+" "+c.what)
		}
	}
	restarted := phrase.Count(len(n.Restarted), "node") + " restarted"
	switch {
	case r.atOnce:
		restarted += " at once"
	case len(n.Restarted) > 1:
		restarted += ", one at a time"
	}
	parts = append(parts, restarted)
	for _, l := range r.Lines {
		if l.Severity != DataLoss && l.Brief != "" {
			parts = append(parts, l.Brief)
		}
	}
	if r.Severity.rank() < Interruption.rank() {
		parts = append(parts, "no interruption")
	}
	return strings.Join(parts, "; ")
}
