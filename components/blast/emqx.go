package blast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// emqxJob is the name of the cluster's job in the program.
const emqxJob = "emqx"

var emqx = Job{
	Program: "EMQX",
	InPlace: []string{"shutdown_delay", "kill_timeout"},
	Bulky: map[string]string{ //nolint:gosec // names of variables and words for them, no secrets
		"extra_env": "environment of EMQX", "secret_env": "encrypted environment of EMQX", "move": "the script that moves clients",
		"holds": "the script that tells who has the volume", "takeover": "the module that lets sessions wait",
		"listeners": "the script that asks its listeners", "devices": "the module that lets clients in by their certificates", "certificate_names": "whose certificates are enough",
		"acl": "the rules of who may do what", "users_digest": "the users", "auth": "who may connect",
		"clientid_override": "which identifiers clients may have", "banned": "whom EMQX refuses from the start",
		"authorities": "the authorities of servers that it asks", "per_client": "what one client may do",
	},
}

// broker is what the estimate has of EMQX beside the nodes that restart.
type broker struct {
	// starts: EMQX comes to nodes where it was not. pulls: every node gets another image.
	starts, pulls bool
	// watched: Nomad takes the job's new version over in place, and still waits until every
	// allocation has stayed healthy with it.
	watched bool
}

// emqx is the cluster's job. Its line is always there: "0 nodes restarted" is
// what a reader looks for.
func (a *Assessment) emqx() {
	var b broker
	for _, c := range a.Claim(func(c *Change) bool { return c.IsJob(emqxJob) }) {
		about := []*Change{c}
		v := emqx.Effect(c)
		switch {
		case c.Op == Create:
			b.starts = true
			a.Add(Line{Severity: None, Area: "emqx", Text: fmt.Sprintf("EMQX starts on %s", phrase.Count(a.After, "node"))}, about)
		case c.Op == Delete:
			a.Nodes.Restarted = nil
			a.Add(Line{Severity: Interruption, Area: "emqx", Text: "EMQX stops on all nodes: nobody is served", Brief: "EMQX stops"}, about)
		case c.Op == Replace || v.Moves:
			a.report.atOnce = true
			b.pulls = a.restart(v, about)
		case v.Restarts:
			b.pulls = a.restart(v, about)
		case len(c.Diffs) == 0:
			// A job that Nomad lists as dead is registered again, and starts.
			a.Add(Line{Severity: Notice, Area: "emqx", Text: "EMQX's job is registered again: what was stopped starts, what runs stays"}, about)
		default:
			b.starts, b.watched = a.After > a.Before, c.TakenOver()
			text := "0 nodes restarted: of EMQX's job only " + phrase.And(v.Quiet) + phrase.Pick(len(v.Quiet), " changes", " change")
			detail := "Nomad takes that over without touching EMQX on nodes that run."
			if !c.TakenOver() {
				detail = "To Nomad that is no change of what runs."
			}
			a.Add(Line{Severity: None, Area: "emqx", Text: text, Details: []string{detail}}, about)
		}
		a.AddJobDetails(c, emqx)
	}
	a.takesBroker(b)
}

// restart tells of nodes whose EMQX restarts, and whether it does so with another image.
func (a *Assessment) restart(v Verdict, about []*Change) (pulls bool) {
	names := a.Restarting(about[0])
	nodes := len(names)
	if nodes == 0 {
		a.report.atOnce = false
		a.Add(Line{Severity: Notice, Area: "emqx", Text: "EMQX's job changes, and no node runs it" + phrase.Bracket(strings.Join(v.Why, ", "))}, about)
		return false
	}
	a.Nodes.Restarted = names
	b := a.Settings.Broker
	l := Line{Severity: Interruption, Area: "emqx"}
	order := phrase.Sequence(names)
	switch {
	case a.report.atOnce:
		l.Text = fmt.Sprintf("%s restarted, all at once: %s", phrase.Count(nodes, "node"), phrase.List(names))
	case nodes == 1:
		l.Text = "1 node restarted: " + order
	default:
		l.Text = fmt.Sprintf("%s restarted: %s, one at a time", phrase.Count(nodes, "node"), order)
	}
	l.Text += phrase.Bracket(strings.Join(v.Why, ", "))
	switch {
	case nodes == 1 && a.Before > 1:
		l.Details = append(l.Details, "It is the only node that runs EMQX now: nobody is served until it is back.")
	case nodes == 1:
		l.Details = append(l.Details, "It is the only node: nobody is served until it is back.")
	case a.report.atOnce:
		l.Details = append(l.Details, "The job moves to another place in Nomad: the old one stops on all nodes, and nobody is served until the new one runs.")
	default:
		l.Details = append(l.Details, fmt.Sprintf("Each leaves %s, stops %s later, and has to be healthy for %s before the next one: about %s of the clients reconnect at each.",
			a.Kinds.Proxy.Name(), phrase.Duration(b.ShutdownDelay), phrase.Duration(b.MinHealthyTime), phrase.Fraction(1, nodes)))
	}
	l.Details = append(l.Details, a.sessions())
	if !a.report.atOnce {
		l.Details = append(l.Details, "A node that does not become healthy stops the roll, and Nomad goes back to the version before.")
	}
	l.Details = append(l.Details, v.Doubts...)
	if older(about) {
		l.Details = append(l.Details, "EMQX does not support going back to an older version.")
	}
	a.Add(l, about)
	return slices.ContainsFunc(v.Why, func(w string) bool { return strings.HasPrefix(w, "image ") })
}

// takesBroker is the time of EMQX's job.
func (a *Assessment) takesBroker(job broker) {
	b, nodes := a.Settings.Broker, len(a.Nodes.Restarted)
	leave, healthy := phrase.Seconds(b.ShutdownDelay), phrase.Seconds(b.MinHealthyTime)
	switch {
	case nodes > 0:
		pull := 0
		if job.pulls {
			pull = a.Pull()
		}
		what := fmt.Sprintf("EMQX on each of %s: %d s to leave %s, %d to stop, ", phrase.Count(nodes, "node"), leave, a.Kinds.Proxy.Name(), secondsEMQXStop)
		if pull > 0 {
			what += fmt.Sprintf("%d for the image, ", pull)
		}
		what += fmt.Sprintf("%d to start, %d healthy", secondsEMQXStart, healthy)
		times := nodes
		if a.report.atOnce {
			times = 1
		}
		a.Takes(Rolling, Part{What: what, Seconds: times * (leave + secondsEMQXStop + pull + secondsEMQXStart + healthy)})
	case job.starts:
		a.Takes(Rolling, Part{What: "EMQX on new nodes: image, start, join", Seconds: a.Pull() + secondsForm + healthy})
	case job.watched:
		a.Takes(Rolling, Part{What: "EMQX to stay healthy", Seconds: healthy})
	}
}

// sessions: EMQX 5.8, open source, has no durable ones. A stopping node moves its
// clients with them.
func (a *Assessment) sessions() string {
	const text = "Sessions are in a node's memory"
	if d := a.Settings.Broker.Drain; d.Rate > 0 && a.After > 1 {
		return fmt.Sprintf("%s. Before it stops, it moves clients with theirs, %d a second for up to %s; the subscriptions and queued messages of the rest are lost.",
			text, d.Rate, phrase.Duration(d.Timeout))
	}
	return text + ": its subscriptions and queued messages are lost."
}

// older tells whether the image goes back.
func older(about []*Change) bool {
	for _, c := range about {
		if d := c.Diff("hcl2.vars.image"); d != nil {
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
