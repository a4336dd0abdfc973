package blast

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// item is what the change of a secret does, as the job files have it: EMQX's are
// templates with change_mode noop, HAProxy's one with a signal.
type item struct {
	keys     []string
	name     string
	severity Severity
	effect   string
}

var items = []item{
	{[]string{"erlang_cookie"}, "Erlang cookie", Interruption, "A node takes the new cookie at its next start, and then no longer sees the nodes that have the old one: " +
		"the cluster splits until every node has restarted."},
	{[]string{"dashboard_password"}, "dashboard password", Notice, "EMQX takes it at the first start on an empty volume only: change it in the dashboard."},
	{[]string{"api_key", "api_secret"}, "API key", Notice, "EMQX takes it at the next start of a node; the old one stays valid until somebody deletes it."},
	{[]string{"tls_cert", "tls_key", "tls_ca"}, "certificate", Notice, "EMQX reads it within 2 minutes, without a restart; connections that are open stay."},
	{[]string{"environment"}, "encrypted environment of EMQX", Notice, "The job changes with it, and every node restarts in turn."},
	{[]string{"license_key"}, "licence key", Notice, "EMQX takes it at the next start of a node."},
	{[]string{"stats_user", "stats_password"}, "password of HAProxy's statistics", Interruption, ""},
}

// secrets are the jobs' Nomad variables.
func (a *assessment) secrets() {
	for _, c := range a.claim(func(c *Change) bool { return short(c.Type) == typeVariable }) {
		job := strings.TrimPrefix(c.part(), "secrets-")
		l := Line{Severity: Notice, Area: "secrets"}
		switch c.Op {
		case opCreate:
			l.Severity, l.Text = None, fmt.Sprintf("The secrets of job %s are stored in Nomad, encrypted", job)
		case opDelete, opReplace:
			l.Text = fmt.Sprintf("The secrets of job %s are %s in Nomad%s", job, past(c.Op), bracket(differences([]*Change{c}, map[string]string{"items": ""})))
			l.Details = []string{"What runs keeps what it has read. Nothing of the job starts while they are away."}
		default:
			a.changedSecrets(&l, c, job)
		}
		a.add(l, []*Change{c})
	}
}

func (a *assessment) changedSecrets(l *Line, c *Change, job string) {
	var names, others []string
	for _, d := range c.Diffs {
		key, isItem := strings.CutPrefix(d.Path, "items.")
		i := slices.IndexFunc(items, func(x item) bool { return slices.Contains(x.keys, key) })
		switch {
		case isItem && i >= 0 && slices.Contains(names, items[i].name):
		case isItem && i >= 0:
			names = append(names, items[i].name)
			effect, severity := items[i].effect, items[i].severity
			if effect == "" {
				effect = a.reloaded(l)
			}
			if key == "erlang_cookie" {
				l.brief = "Erlang cookie changes"
			}
			if d.Kind == opDelete {
				effect, severity = "It is taken away: the job's other changes say what follows.", Notice
			}
			l.Severity = maxOf(l.Severity, severity)
			l.Details = append(l.Details, capital(items[i].name)+": "+effect)
		default:
			others = appendNew(others, key)
		}
	}
	names = append(names, others...)
	if len(names) == 0 {
		names = []string{"the plan does not tell which"}
	}
	l.Text = fmt.Sprintf("Secrets of job %s change: %s", job, list(names))
}

// reloaded: the master process starts a new worker, and the old one ends as on a
// stop: after the grace time and hard-stop-after, with what is still connected.
func (a *assessment) reloaded(l *Line) string {
	names := make([]string, min(a.before, a.after))
	for i := range names {
		names[i] = a.nodeName(i)
	}
	a.report.Nodes.ProxyReloaded = names
	l.brief = "HAProxy reloaded on " + count(len(names), "node")
	return fmt.Sprintf("HAProxy reads it again on all nodes at about the same time (%s). The new process takes new connections at once; "+
		"connections of the old one are cut when it ends, about %s later. Sessions stay in EMQX.",
		list(names), plain(a.s.Proxy.KillTimeout-5*time.Second))
}
