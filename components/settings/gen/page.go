package main

// intro begins docs/settings.md; the tables follow.
const intro = `# Settings

One stack is one file, ` + "`Pulumi.<stack>.yaml`" + `; the stack's name is the environment (lower-case letters, digits and
single dashes, at most 31). Each group is one structured key, ` + "`emqx-oci:<group>`" + `. A mistyped key, a wrong type or a
value out of range is an error before anything is touched, and all faults come at once:

    error: configuration of stack "lab": emqx-oci:nodes.coutn: is not a known setting; did you mean "count"?

Durations are written ` + "`90s`, `5m`" + `. "required" has no default. Text may be encrypted, one value or a whole group at a
time (` + "`pulumi config set --secret --path`" + `); "secret" must be. Editors that speak to the YAML language server show all this
and complete keys in a stack file that begins with

    # yaml-language-server: $schema=components/settings/schema.json

This page and that schema are generated from [` + "`components/settings/settings.go`" + `](../components/settings/settings.go)
(` + "`make settings`" + `).
`
