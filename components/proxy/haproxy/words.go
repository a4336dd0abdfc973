package haproxy

import (
	"fmt"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// wordsJobName is the job's name in the program, and the area of its lines.
const wordsJobName = "haproxy"

const (
	// wordsStartSeconds is what HAProxy takes to start.
	wordsStartSeconds = 3
	// wordsReserve is how much sooner than killTimeout HAProxy cuts what is left (hard-stop-after).
	wordsReserve = 5 * time.Second
)

var wordsJob = blast.Job{Program: "HAProxy", Bulky: map[string]string{"config": "HAProxy's configuration"}}

// words speak of HAProxy's job.
type words struct{}

// Words are those for the changes of HAProxy's job in a plan.
func (Proxy) Words() blast.ProxyWords { return words{} }

// Name is part of blast.ProxyWords.
func (words) Name() string { return wordsJob.Program }

// Area is part of blast.ProxyWords.
func (words) Area() string { return wordsJobName }

// Secrets is part of blast.ProxyWords. The job's template sends a signal: the master process starts a new
// worker, and the old one ends as on a stop: after the grace time and hard-stop-after, with what is still
// connected.
func (words) Secrets(a *blast.Assessment) []blast.Secret {
	nodes := a.Staying()
	each := fmt.Sprintf("HAProxy reads it on one node after another (%s), new connections have it at once, and those that are open stay for up to a day", phrase.List(nodes))
	members := []string{ItemMembers}
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		members = append(members, itemBroker(l.Name))
	}
	whom := blast.Secret{Keys: members, Name: "brokers that HAProxy leads to", Severity: blast.Notice, Effect: each + "."}
	switch a.Settings.TLS.Terminate {
	case settings.TerminateBroker:
		each = "HAProxy passes TLS through and does not read it"
	case settings.TerminateEdge:
		each = "TLS ends before HAProxy, which does not read it"
	}
	return []blast.Secret{whom, {
		Keys: []string{ItemCertificate, ItemPrivateKey, ItemFurther}, Name: "certificate at HAProxy", Severity: blast.Notice, Effect: each + ". One that it cannot read leaves the old one in use.",
	}, {
		Keys: []string{ItemClientCA, ItemClientCRL, ItemClients}, Name: "authorities and revocations of clients' certificates", Severity: blast.Notice,
		Effect: each + ": a revoked certificate opens no new connection.",
	}, {
		Keys: []string{ItemTicketKeys}, Name: "keys of session tickets", Severity: blast.Notice,
		Effect: each + ". Tickets of the key that makes them now are good until the next rotation.",
	}, {
		Keys: []string{ItemTerminate}, Name: "where TLS ends", Severity: blast.Notice,
		Effect: "Who ends it next begins before the other stops: HAProxy at once, for new connections, or EMQX as each node restarts. Clients connect again as their node's EMQX and HAProxy restart, and no more.",
	}, {
		Keys: []string{"stats_user", "stats_password"}, Name: "password of HAProxy's statistics", Severity: blast.Interruption,
		Effect: fmt.Sprintf("HAProxy reads it again on all nodes at about the same time (%s). The new process takes new connections at once; "+
			"connections of the old one are cut when it ends, about %s later. Sessions stay in EMQX.",
			phrase.List(nodes), phrase.Duration(a.Settings.Proxy.KillTimeout-wordsReserve)),
		Brief:   "HAProxy reloaded on " + phrase.Count(len(nodes), "node"),
		Reloads: true,
	}}
}

// ProxyLines is part of blast.ProxyWords.
func (w words) ProxyLines(a *blast.Assessment) {
	// starts: HAProxy comes to nodes where it was not. watched: Nomad takes the job's new version over in
	// place, and still waits until every allocation has stayed healthy with it.
	var starts, watched bool
	for _, c := range a.Claim(func(c *blast.Change) bool { return c.IsJob(wordsJobName) }) {
		l := blast.Line{Severity: blast.None, Area: wordsJobName}
		v := wordsJob.Effect(c)
		switch {
		case c.Op == blast.Create:
			starts = true
			l.Text = fmt.Sprintf("HAProxy starts on %s", phrase.Count(a.After, "node"))
		case c.Op == blast.Delete:
			l.Severity, l.Text, l.Brief = blast.Interruption, "HAProxy stops on all nodes: nobody is served", "HAProxy stops"
		case c.Op == blast.Replace || v.Restarts:
			l = w.restart(a, c, v)
		case len(c.Diffs) == 0:
			l.Severity, l.Text = blast.Notice, "HAProxy's job is registered again: what was stopped starts, what runs stays"
		default:
			starts, watched = a.After > a.Before, c.TakenOver()
			l.Text = "HAProxy restarts nowhere: of its job only " + phrase.And(v.Quiet) + phrase.Pick(len(v.Quiet), " changes", " change")
		}
		a.Add(l, []*blast.Change{c})
		a.AddJobDetails(c, wordsJob)
	}
	w.takes(a, starts, watched)
}

// restart is the line of nodes whose HAProxy restarts.
func (words) restart(a *blast.Assessment, c *blast.Change, v blast.Verdict) blast.Line {
	names := a.Restarting(c)
	nodes := len(names)
	why := phrase.Bracket(strings.Join(v.Why, ", "))
	if nodes == 0 {
		return blast.Line{Severity: blast.Notice, Area: wordsJobName, Text: "HAProxy's job changes, and no node runs it" + why}
	}
	a.Nodes.ProxyRestarted = names
	p := a.Settings.Proxy
	how := ", one at a time"
	if nodes == 1 {
		how = ""
	}
	l := blast.Line{Severity: blast.Interruption, Area: wordsJobName}
	if c.Op == blast.Replace || v.Moves {
		how = ", all at once"
		l.Details = []string{"Nobody gets in until the new ones run."}
	} else {
		l.Details = []string{fmt.Sprintf("Each stops taking clients in after %s, and cuts what is left about %s after it was told to stop: about %s of the clients "+
			"reconnect at each. Their sessions stay in EMQX.", phrase.Duration(p.ShutdownDelay), phrase.Duration(p.KillTimeout-wordsReserve), phrase.Fraction(1, nodes))}
	}
	l.Details = append(l.Details, v.Doubts...)
	l.Brief = "HAProxy restarted on " + phrase.Count(nodes, "node") + how
	l.Text = l.Brief + why
	return l
}

// takes is the time of HAProxy's job.
func (words) takes(a *blast.Assessment, starts, watched bool) {
	p, nodes := a.Settings.Proxy, len(a.Nodes.ProxyRestarted)
	healthy := phrase.Seconds(p.MinHealthyTime)
	switch {
	case nodes > 0:
		stop := phrase.Seconds(p.KillTimeout) - phrase.Seconds(wordsReserve)
		a.Takes(blast.Rolling, blast.Part{
			What: fmt.Sprintf("HAProxy on each of %s: %d s to let its clients go, %d to start, %d healthy",
				phrase.Count(nodes, "node"), stop, wordsStartSeconds, healthy),
			Seconds: nodes * (stop + wordsStartSeconds + healthy),
		})
	case starts:
		a.Takes(blast.Rolling, blast.Part{What: "HAProxy on new nodes", Seconds: a.Pull() + wordsStartSeconds + healthy})
	case watched:
		a.Takes(blast.Rolling, blast.Part{What: "HAProxy to stay healthy", Seconds: healthy})
	}
}
