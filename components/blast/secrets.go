package blast

import (
	"fmt"
	"slices"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/blast/phrase"
)

// Secret is what the change of one does, as the job files have it.
type Secret struct {
	// Keys are its items in the job's variable.
	Keys []string
	// Name is what a sentence calls it, Effect what its change means.
	Name     string
	Severity Severity
	Effect   string
	// Brief is the change in a headline, "" for one that is none.
	Brief string
	// Reloads: the proxy reads its configuration again, on all nodes that stay.
	Reloads bool
}

// brokerSecrets are EMQX's, of templates with change_mode noop.
var brokerSecrets = []Secret{
	{
		Keys: []string{"erlang_cookie"}, Name: "Erlang cookie", Severity: Interruption, Brief: "Erlang cookie changes",
		Effect: "A node takes the new cookie at its next start, and then no longer sees the nodes that have the old one: " +
			"the cluster splits until every node has restarted.",
	},
	{
		Keys: []string{"dashboard_password"}, Name: "dashboard password", Severity: Notice,
		Effect: "EMQX takes it at the first start on an empty volume only: change it in the dashboard.",
	},
	{
		Keys: []string{"api_key", "api_secret"}, Name: "API key", Severity: Notice,
		Effect: "EMQX takes it at the next start of a node; the old one stays valid until somebody deletes it.",
	},
	{
		Keys: []string{"tls_cert", "tls_key", "tls_ca"}, Name: "certificate", Severity: Notice,
		Effect: "EMQX reads it within 2 minutes, without a restart, where it ends TLS (tls.terminate: broker); connections that are open stay.",
	},
	{
		Keys: []string{"environment"}, Name: "encrypted environment of EMQX", Severity: Notice,
		Effect: "The job changes with it, and every node restarts in turn.",
	},
	{
		Keys: []string{"users"}, Name: "users", Severity: Notice,
		Effect: "Applied at run time at the end of the update, nothing restarts; who is connected as one that changes or goes is cut off then.",
	},
	{
		Keys: []string{"acl"}, Name: "rules of who may do what", Severity: Notice,
		Effect: "Applied at run time at the end of the update, nothing restarts; who holds a subscription that they allow no more is cut off then.",
	},
	{
		Keys: []string{"authn"}, Name: "authenticators", Severity: Notice,
		Effect: "Applied at run time at the end of the update, nothing restarts; who is connected stays.",
	},
	{
		Keys: []string{"authz"}, Name: "settings of authorization", Severity: Notice,
		Effect: "Applied at run time at the end of the update, nothing restarts; who is connected stays.",
	},
	{
		Keys: []string{"license_key"}, Name: "licence key", Severity: Notice,
		Effect: "EMQX takes it at the next start of a node.",
	},
}

// secrets are the jobs' Nomad variables.
func (a *Assessment) secrets() {
	for _, c := range a.Claim(func(c *Change) bool { return c.ShortType() == typeVariable }) {
		job := strings.TrimPrefix(c.Part(), "secrets-")
		l := Line{Severity: Notice, Area: "secrets"}
		switch c.Op {
		case Create:
			l.Severity, l.Text = None, fmt.Sprintf("The secrets of job %s are stored in Nomad, encrypted", job)
		case Delete, Replace:
			why := phrase.Bracket(Differences([]*Change{c}, map[string]string{"items": ""}))
			l.Text = fmt.Sprintf("The secrets of job %s are %s in Nomad%s", job, Past(c.Op), why)
			l.Details = []string{"What runs keeps what it has read. Nothing of the job starts while they are away."}
		default:
			a.changedSecrets(&l, c, job)
		}
		a.Add(l, []*Change{c})
	}
}

func (a *Assessment) changedSecrets(l *Line, c *Change, job string) {
	secrets := slices.Concat(brokerSecrets, a.Kinds.Proxy.Secrets(a))
	var names, others []string
	for _, d := range c.Diffs {
		key, isItem := strings.CutPrefix(d.Path, "items.")
		i := slices.IndexFunc(secrets, func(s Secret) bool { return slices.Contains(s.Keys, key) })
		switch {
		case isItem && i >= 0 && slices.Contains(names, secrets[i].Name):
		case isItem && i >= 0:
			s := secrets[i]
			names = append(names, s.Name)
			if s.Brief != "" {
				l.Brief = s.Brief
			}
			if s.Reloads {
				a.Nodes.ProxyReloaded = a.Staying()
			}
			if d.Kind == "delete" {
				s.Effect, s.Severity = "It is taken away: the job's other changes say what follows.", Notice
			}
			l.Severity = Worse(l.Severity, s.Severity)
			l.Details = append(l.Details, phrase.Capital(s.Name)+": "+s.Effect)
		default:
			others = phrase.AddNew(others, key)
		}
	}
	names = append(names, others...)
	if len(names) == 0 {
		names = []string{"the plan does not tell which"}
	}
	l.Text = fmt.Sprintf("Secrets of job %s change: %s", job, phrase.List(names))
}
