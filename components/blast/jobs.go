package blast

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// The names of the two jobs in the program.
const (
	emqxJob    = "emqx"
	haproxyJob = "haproxy"
)

func isJob(c *Change, name string) bool { return short(c.Type) == typeJob && c.part() == name }

// inPlace are the variables whose change Nomad takes over without a restart
// (scheduler/util.go, tasksUpdated): counts, the pace of a deployment, and what
// happens when an allocation stops.
var inPlace = []string{"node_count", "min_healthy_time", "healthy_deadline", "progress_deadline"}

// inPlaceEMQX: HAProxy reads its own two from its environment.
var inPlaceEMQX = append([]string{"shutdown_delay", "kill_timeout"}, inPlace...)

// flags of the resource say how the job is registered, not what it is.
var flags = []string{"detach", "rerunIfDead", "purgeOnDestroy", "deregisterOnDestroy", "deregisterOnIdChange", "policyOverride", "readAllocationIds"}

const (
	// theText is how a job's text stands among the reasons.
	theText = "the job's text"
	// textDetail is what is assumed of it, as Nomad alone can tell.
	textDetail = "Nomad compares what the job's text comes to: where that is the same as before, nothing restarts."
)

// verdict is what an update of a job does to its running allocations.
type verdict struct {
	restarts bool
	// moves: the job is registered elsewhere, and the old one stopped.
	moves bool
	// why are the reasons for it, in words; quiet are the changes beside them.
	why, quiet []string
}

func judge(c *Change, gentle []string) verdict {
	var v verdict
	for i := range c.Diffs {
		d := &c.Diffs[i]
		name, isVar := strings.CutPrefix(d.Path, "hcl2.vars.")
		words := d.words(strings.ReplaceAll(name, "_", " "))
		switch {
		case name == "config" || name == "extra_env" || name == "ports" || name == "run" || name == "move" || name == "holds" || name == "takeover" || name == "listeners":
			words = map[string]string{
				"config": "HAProxy's configuration", "extra_env": "environment of EMQX", "ports": "ports", "run": "the script that runs it",
				"move": "the script that moves clients", "holds": "the script that tells who has the volume",
				"takeover": "the module that lets sessions wait", "listeners": "the script that asks its listeners",
			}[name]
		case name == "secret_env":
			words = "encrypted environment of EMQX"
		case d.Path == "jobspec":
			words = theText
		}
		switch {
		case d.Path == "jobspec" && sameButComments(d.Old, d.New):
			v.quiet = append(v.quiet, "comments in its text")
		case slices.Contains(flags, d.Path),
			isVar && slices.Contains(gentle, name):
			v.quiet = append(v.quiet, words)
		case isVar && (name == "namespace" || name == "region"):
			v.moves, v.restarts = true, true
			v.why = append(v.why, words)
		default:
			v.restarts = true
			v.why = append(v.why, words)
		}
	}
	return v
}

// effect is what an update of a job does, by Nomad's word where it gave one: it compares
// what both texts come to, with all that is registered.
func effect(c *Change, gentle []string) verdict {
	v := judge(c, gentle)
	if c.Outlook == nil || c.Op != opUpdate || v.moves || len(c.Diffs) == 0 {
		return v
	}
	v.restarts = len(c.Outlook.Restarted) > 0
	switch {
	case v.restarts && len(v.why) == 0:
		v.why, v.quiet = v.quiet, nil
	case !v.restarts:
		v.quiet, v.why = append(v.why, v.quiet...), nil
	}
	return v
}

// restarting are the nodes whose allocation an update restarts: all that stay, where Nomad
// was not asked.
func (a *assessment) restarting(c *Change) []string {
	if c.Outlook != nil && c.Op == opUpdate && len(c.Outlook.Restarted) > 0 {
		return c.Outlook.Restarted
	}
	names := make([]string, max(0, min(a.before, a.after)))
	for i := range names {
		names[i] = a.nodeName(i)
	}
	return names
}

// takenOver tells whether allocations that run get the new version, and are watched with it.
func takenOver(c *Change) bool { return c.Outlook == nil || c.Outlook.InPlace > 0 }

// strays are allocations that Nomad starts or stops though their nodes neither come nor go.
func (a *assessment) strays(c *Change, program string) {
	if c.Outlook == nil || c.Op != opUpdate {
		return
	}
	l := &a.report.Lines[len(a.report.Lines)-1]
	starts := max(0, c.Outlook.Placed-len(a.report.Nodes.Added))
	if starts > 0 {
		l.Details = append(l.Details, fmt.Sprintf("%s starts on %s where it does not run now.", program, count(starts, "node")))
	}
	// One that has failed, or whose node is away, is stopped and placed anew.
	if n := c.Outlook.Stopped - len(a.report.Nodes.Removed) - starts; n > 0 {
		l.Severity = maxOf(l.Severity, Interruption)
		l.Details = append(l.Details, fmt.Sprintf("%s stops on %s that %s.", program, count(n, "node"), pick(n, "stays", "stay")))
	}
}

// sameButComments compares job texts as HCL reads them: lines that are only a
// comment, outside of here-documents, are nothing.
func sameButComments(before, after any) bool {
	x, ok := before.(string)
	y, too := after.(string)
	return ok && too && code(x) == code(y)
}

var heredoc = regexp.MustCompile(`<<-?([A-Za-z_]+)\s*$`)

func code(text string) string {
	var b strings.Builder
	end := ""
	for line := range strings.Lines(text) {
		bare := strings.TrimSpace(line)
		if end == "" && (bare == "" || strings.HasPrefix(bare, "#") || strings.HasPrefix(bare, "//")) {
			continue
		}
		b.WriteString(line)
		if end == bare && end != "" {
			end = ""
		} else if m := heredoc.FindStringSubmatch(line); m != nil && end == "" {
			end = m[1]
		}
	}
	return b.String()
}

// outside adds to a job's line that the update takes away what is no work of the
// stack's: the official provider compares versions only where the job's text
// changes, and most changes are of its variables.
func (a *assessment) outside(c *Change) {
	if !c.Outside {
		return
	}
	l := &a.report.Lines[len(a.report.Lines)-1]
	l.Severity = maxOf(l.Severity, Notice)
	l.Details = append(l.Details, "Nomad runs another version of the job than the stack registered: somebody changed it, or Nomad went back to an "+
		"earlier one. This update takes its place; `nomad job history -p "+c.ID+"` shows what it was.")
}

// emqx is the cluster's job. Its line is always there: "0 nodes restarted" is
// what a reader looks for.
func (a *assessment) emqx() {
	for _, c := range a.claim(func(c *Change) bool { return isJob(c, emqxJob) }) {
		about := []*Change{c}
		v := effect(c, inPlaceEMQX)
		switch {
		case c.Op == opCreate:
			a.waits.emqxStarts = true
			a.add(Line{Severity: None, Area: "emqx", Text: fmt.Sprintf("EMQX starts on %s", count(a.after, "node"))}, about)
		case c.Op == opDelete:
			a.report.Nodes.Restarted = nil
			a.add(Line{Severity: Interruption, Area: "emqx", Text: "EMQX stops on all nodes: nobody is served", brief: "EMQX stops"}, about)
		case c.Op == opReplace || v.moves:
			a.report.atOnce = true
			a.restart(a.restarting(c), v.why, about)
		case v.restarts:
			a.restart(a.restarting(c), v.why, about)
		case len(c.Diffs) == 0:
			// A job that Nomad lists as dead is registered again, and starts.
			a.add(Line{Severity: Notice, Area: "emqx", Text: "EMQX's job is registered again: what was stopped starts, what runs stays"}, about)
		default:
			a.waits.emqxStarts, a.waits.emqxWatched = a.after > a.before, takenOver(c)
			text := "0 nodes restarted: of EMQX's job only " + joinAnd(v.quiet) + pick(len(v.quiet), " changes", " change")
			detail := "Nomad takes that over without touching EMQX on nodes that run."
			if !takenOver(c) {
				detail = "To Nomad that is no change of what runs."
			}
			a.add(Line{Severity: None, Area: "emqx", Text: text, Details: []string{detail}}, about)
		}
		a.strays(c, "EMQX")
		a.outside(c)
	}
}

func (a *assessment) restart(names, why []string, about []*Change) {
	nodes := len(names)
	if nodes == 0 {
		a.report.atOnce = false
		a.add(Line{Severity: Notice, Area: "emqx", Text: "EMQX's job changes, and no node runs it" + bracket(strings.Join(why, ", "))}, about)
		return
	}
	a.report.Nodes.Restarted = names
	a.waits.pull = slices.ContainsFunc(why, func(w string) bool { return strings.HasPrefix(w, "image ") })
	b := a.s.Broker
	l := Line{Severity: Interruption, Area: "emqx"}
	order := sequence(names)
	switch {
	case a.report.atOnce:
		l.Text = fmt.Sprintf("%s restarted, all at once: %s", count(nodes, "node"), list(names))
	case nodes == 1:
		l.Text = "1 node restarted: " + order
	default:
		l.Text = fmt.Sprintf("%s restarted: %s, one at a time", count(nodes, "node"), order)
	}
	l.Text += bracket(strings.Join(why, ", "))
	switch {
	case nodes == 1 && a.before > 1:
		l.Details = append(l.Details, "It is the only node that runs EMQX now: nobody is served until it is back.")
	case nodes == 1:
		l.Details = append(l.Details, "It is the only node: nobody is served until it is back.")
	case a.report.atOnce:
		l.Details = append(l.Details, "The job moves to another place in Nomad: the old one stops on all nodes, and nobody is served until the new one runs.")
	default:
		l.Details = append(l.Details, fmt.Sprintf("Each leaves HAProxy, stops %s later, and has to be healthy for %s before the next one: about %s of the clients reconnect at each.",
			plain(b.ShutdownDelay), plain(b.MinHealthyTime), fraction(1, nodes)))
	}
	l.Details = append(l.Details, a.sessions())
	if !a.report.atOnce {
		l.Details = append(l.Details, "A node that does not become healthy stops the roll, and Nomad goes back to the version before.")
	}
	if slices.Contains(why, theText) && about[0].Outlook == nil {
		l.Details = append(l.Details, textDetail)
	}
	if older(about) {
		l.Details = append(l.Details, "EMQX does not support going back to an older version.")
	}
	a.add(l, about)
}

// sessions: EMQX 5.8, open source, has no durable ones. A stopping node moves its
// clients with them.
func (a *assessment) sessions() string {
	const text = "Sessions are in a node's memory"
	if d := a.s.Broker.Drain; d.Rate > 0 && a.after > 1 {
		return fmt.Sprintf("%s. Before it stops, it moves clients with theirs, %d a second for up to %s; the subscriptions and queued messages of the rest are lost.",
			text, d.Rate, plain(d.Timeout))
	}
	return text + ": its subscriptions and queued messages are lost."
}

// share of the clients that n of the nodes serve.
func (a *assessment) share(n int) string { return fraction(n, max(a.before, 1)) + " of the clients" }

func fraction(n, of int) string {
	switch {
	case n <= 0:
		return "none"
	case n >= of:
		return "all"
	case n*2 == of:
		return "half"
	case of%n == 0:
		return fmt.Sprintf("1/%d", of/n)
	}
	return fmt.Sprintf("%d/%d", n, of)
}

// older tells whether the image goes back.
func older(about []*Change) bool {
	for _, c := range about {
		if d := c.diff("hcl2.vars.image"); d != nil {
			was, known := version(d.Old)
			now, too := version(d.New)
			return known && too && now.Before(was)
		}
	}
	return false
}

// version is that of an image.
func version(reference any) (cluster.Version, bool) {
	text, _ := reference.(string)
	i, err := cluster.ParseImage(text)
	v, ok := i.Version()
	return v, err == nil && ok && v.Patch >= 0
}

// haproxy is the job in front of EMQX.
func (a *assessment) haproxy() {
	for _, c := range a.claim(func(c *Change) bool { return isJob(c, haproxyJob) }) {
		about := []*Change{c}
		v := effect(c, inPlace)
		switch {
		case c.Op == opCreate:
			a.waits.proxiesStart = true
			a.add(Line{Severity: None, Area: "haproxy", Text: fmt.Sprintf("HAProxy starts on %s", count(a.after, "node"))}, about)
		case c.Op == opDelete:
			a.add(Line{Severity: Interruption, Area: "haproxy", Text: "HAProxy stops on all nodes: nobody is served", brief: "HAProxy stops"}, about)
		case c.Op == opReplace || v.restarts:
			a.proxyRestart(a.restarting(c), v, c.Op == opReplace || v.moves, about)
		case len(c.Diffs) == 0:
			a.add(Line{Severity: Notice, Area: "haproxy", Text: "HAProxy's job is registered again: what was stopped starts, what runs stays"}, about)
		default:
			a.waits.proxiesStart, a.waits.proxiesWatched = a.after > a.before, takenOver(c)
			text := "HAProxy restarts nowhere: of its job only " + joinAnd(v.quiet) + pick(len(v.quiet), " changes", " change")
			a.add(Line{Severity: None, Area: "haproxy", Text: text}, about)
		}
		a.strays(c, "HAProxy")
		a.outside(c)
	}
}

func (a *assessment) proxyRestart(names []string, v verdict, atOnce bool, about []*Change) {
	nodes := len(names)
	if nodes == 0 {
		a.add(Line{Severity: Notice, Area: "haproxy", Text: "HAProxy's job changes, and no node runs it" + bracket(strings.Join(v.why, ", "))}, about)
		return
	}
	a.report.Nodes.ProxyRestarted = names
	p := a.s.Proxy
	how := ", one at a time"
	if nodes == 1 {
		how = ""
	}
	l := Line{Severity: Interruption, Area: "haproxy"}
	if atOnce {
		how = ", all at once"
		l.Details = []string{"Nobody gets in until the new ones run."}
	} else {
		l.Details = []string{fmt.Sprintf("Each stops taking clients in after %s, and cuts what is left about %s after it was told to stop: about %s of the clients "+
			"reconnect at each. Their sessions stay in EMQX.", plain(p.ShutdownDelay), plain(p.KillTimeout-5*time.Second), fraction(1, max(nodes, 1)))}
	}
	if slices.Contains(v.why, theText) && about[0].Outlook == nil {
		l.Details = append(l.Details, textDetail)
	}
	l.brief = "HAProxy restarted on " + count(nodes, "node") + how
	l.Text = l.brief + bracket(strings.Join(v.why, ", "))
	a.add(l, about)
}

// plain writes a duration without zeros: "45 s", "2 min 30 s".
func plain(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	switch {
	case s < 120:
		return fmt.Sprintf("%d s", s)
	case s%60 == 0:
		return fmt.Sprintf("%d min", s/60)
	}
	return fmt.Sprintf("%d min %d s", s/60, s%60)
}
