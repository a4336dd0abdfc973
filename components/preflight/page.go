package preflight

import (
	"fmt"
	"strings"
)

// Page is docs/checks.md: every check, from the same table that performs them.
func Page(checks []Check) string {
	var b strings.Builder
	b.WriteString(`# Checks before an update

Every preview and update, by ` + "`emqx-oci`" + ` and by plain ` + "`pulumi`" + `, begins with these checks: of the settings, and of
every resource that is made of them. They ask no cloud and take less than a second. An error stops the update before
anything is registered; a warning is shown, and the update goes on. All findings come at once.

    emqx-oci check prod          # alone: no cloud, no engine, no backend, no passphrase
    emqx-oci check prod --json   # one object, for programs
    emqx-oci check --list        # names and reasons

The exit code is 0 without errors (warnings or not) and 2 with one. ` + "`check`" + ` begins with the rules of the settings
themselves ([settings.md](settings.md)), under the name ` + "`settings`" + `, and goes on with the checks when one of them is
broken. It does not open encrypted values: a certificate's dates are looked at by preview and update only.

What a change does to a cluster that exists cannot be told from a stack file. The guards compare with the stack's state:
a new Erlang cookie, a volume that shrinks or goes, fewer nodes, all nodes at once. That Nomad and Consul
can be reached is asked by preview and update, which say so when they cannot, and hand both jobs to Nomad: what its servers
have against them, or cannot place, is told in their words.

Paths that begin with ` + "`emqx-oci:`" + ` are settings; others name a resource and its property, as ` + "`Volume volumes-0.sizeInGbs`" + `.

| check | worst | why |
|---|---|---|
`)
	for _, c := range checks {
		fmt.Fprintf(&b, "| [%s](#%s) | %s | %s |\n", c.Name, c.Name, c.Severity, c.Reason)
	}
	b.WriteString(`
## What is counted

Quotas and limits that nobody enforces before an update is under way, and the check that counts instead:

| of | most | source | check |
|---|---|---|---|
`)
	for _, c := range checks {
		for _, q := range c.Quotas {
			check := "none: ask the tenancy"
			if q.Check != "" {
				check = "`" + q.Check + "`"
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", q.Of, q.Most, q.Source, check)
		}
	}
	for _, c := range checks {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n    %s: %s (check %s)\n\n%s\n", c.Name, c.Reason, c.Severity, c.Example, c.Name, c.Remedy)
	}
	return b.String()
}
