package main

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"
)

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

const tableHead = "\n| setting | value | default | what, and why |\n|---|---|---|---|\n"

func page(top *group) []byte {
	var b bytes.Buffer
	b.WriteString(intro)
	b.WriteString("\n## Of the stack itself\n" + tableHead)
	for _, it := range top.items {
		if it.group == nil {
			row(&b, it)
		}
	}
	for _, it := range top.items {
		if it.group != nil {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n%s", it.Path, it.text, tableHead)
			rows(&b, it.group)
		}
	}
	return b.Bytes()
}

func rows(b *bytes.Buffer, g *group) {
	for _, it := range g.items {
		row(b, it)
		if it.group != nil {
			rows(b, it.group)
		}
	}
}

func row(b *bytes.Buffer, it item) {
	kind, def := "group", ""
	if it.group == nil {
		kind, def = value(&it), defaultText(&it)
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", it.Path, cell(kind), cell(def), cell(it.text))
}

// cell keeps a table's row whole.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// value tells what may stand there: "GB, 50 to 32768".
func value(it *item) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	switch {
	case it.OneOf != nil:
		add("`" + strings.Join(it.OneOf, "` or `") + "`")
	case it.Element() == reflect.TypeFor[time.Duration]():
		add("duration")
	case it.Type.Kind() == reflect.Bool:
		add("`true` or `false`")
	case it.Format != nil:
		add(it.Format.Short)
	}
	add(it.Unit)
	add(it.Limits())
	if !it.Length.Any() {
		add(it.Length.String() + " characters")
	}
	if len(parts) == 0 {
		add("text")
	}
	text := strings.Join(parts, ", ")
	switch {
	case it.Type.Kind() == reflect.Slice:
		return "list of " + text
	case it.Type.Kind() == reflect.Map:
		return it.Keys.Short + " to " + text
	case it.Secret:
		return "secret " + text
	default:
		return text
	}
}

func defaultText(it *item) string {
	switch {
	case it.DefaultText != "":
		return it.DefaultText
	case it.Default != nil:
		return "`" + it.DefaultString() + "`"
	case it.Required:
		return "required"
	default:
		return "none"
	}
}
