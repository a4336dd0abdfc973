package main

import (
	"bytes"
	"fmt"
	"go/format"
	"reflect"
	"slices"
	"strings"
	"time"
)

// stackOnly are settings that say something of a stack, not of a cluster.
var stackOnly = []string{"cloud"}

const environmentText = "Part of every name that the cluster has in OCI, Nomad, Consul and EMQX, and never to be changed. " +
	"Default: the name of the stack."

// maybeSecret are maps whose values may each be a secret.
var maybeSecret = []string{"broker.env"}

// args are the typed arguments of the component: the settings, as a program gives them. What has no default is
// required; all else may be left out, and has the default of the setting. Secrets are inputs, the rest is plain, since
// it decides what the graph consists of.
func args(top *group) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from components/settings/settings.go by make settings. DO NOT EDIT.\n\n" +
		"package components\n\nimport \"github.com/pulumi/pulumi/sdk/v3/go/pulumi\"\n\n")
	comment(&b, "", "ClusterArgs are what a cluster is given, in the groups of the settings (docs/settings.md). A field that is left out has "+
		"the setting's default. Durations are texts such as \"90s\" or \"10m\".")
	b.WriteString("type ClusterArgs struct {\n")
	comment(&b, "\t", environmentText)
	b.WriteString("\tEnvironment *string `pulumi:\"environment,optional\"`\n\n")
	done := map[string]bool{}
	var groups []*item
	for i := range top.items {
		it := &top.items[i]
		if slices.Contains(stackOnly, it.Path) {
			continue
		}
		if err := argument(&b, it); err != nil {
			return nil, err
		}
		if it.group != nil {
			groups = append(groups, it)
		}
	}
	b.WriteString("}\n")
	for len(groups) > 0 {
		it := groups[0]
		groups = groups[1:]
		if done[it.goType()] {
			continue
		}
		done[it.goType()] = true
		b.WriteString("\n")
		comment(&b, "", it.goType()+": "+it.typeText())
		fmt.Fprintf(&b, "type %s struct {\n", it.goType())
		for i := range it.group.items {
			inner := &it.group.items[i]
			if err := argument(&b, inner); err != nil {
				return nil, err
			}
			if inner.group != nil {
				groups = append(groups, inner)
			}
		}
		b.WriteString("}\n")
	}
	return format.Source(b.Bytes())
}

// goType is the name of a group's type: that of its settings' type, with Args.
func (it *item) goType() string { return it.group.typ.Name() + "Args" }

// typeText says what a group is wherever it is used.
func (it *item) typeText() string {
	if it.doc != "" {
		return it.doc
	}
	return it.text
}

// required tells whether a group holds what must be given.
func (g *group) required() bool {
	return slices.ContainsFunc(g.items, func(it item) bool { return it.Required || it.group != nil && it.group.required() })
}

// argumentText says of an argument what it is, what it may be, and what it is when it is left out.
func argumentText(it *item) string {
	if it.group != nil {
		return it.text
	}
	text := it.text + fmt.Sprintf(" (%s; default: %s)", value(it), defaultText(it))
	return strings.ReplaceAll(strings.Replace(text, "; default: required", "; required", 1), "; default: none", "")
}

func argument(b *bytes.Buffer, it *item) error {
	key := it.Path[strings.LastIndex(it.Path, ".")+1:]
	name := it.Name
	var typ string
	optional := !it.Required
	switch {
	case it.group != nil:
		name, typ, optional = it.field, it.goType(), !it.group.required()
		if optional {
			typ = "*" + typ
		}
	case slices.Contains(maybeSecret, it.Path):
		typ = "pulumi.StringMapInput"
	case it.Type.Kind() == reflect.String && it.Type.Name() == "Secret":
		typ = "pulumi.StringInput"
	default:
		var err error
		if typ, err = plainType(it.Type); err != nil {
			return fmt.Errorf("generating the argument %s: %w", it.Path, err)
		}
		if optional && it.Type.Kind() != reflect.Slice && it.Type.Kind() != reflect.Map {
			typ = "*" + typ
		}
	}
	comment(b, "\t", argumentText(it))
	tag := key
	if optional {
		tag += ",optional"
	}
	extra := ""
	if strings.HasPrefix(typ, "pulumi.StringInput") {
		extra = ` provider:"secret"`
	}
	fmt.Fprintf(b, "\t%s %s `pulumi:\"%s\"%s`\n", name, typ, tag, extra)
	return nil
}

func plainType(t reflect.Type) (string, error) {
	if t == reflect.TypeFor[time.Duration]() {
		return "string", nil
	}
	switch t.Kind() {
	case reflect.String, reflect.Int, reflect.Float64, reflect.Bool:
		return t.Kind().String(), nil
	case reflect.Slice:
		of, err := plainType(t.Elem())
		return "[]" + of, err
	case reflect.Map:
		of, err := plainType(t.Elem())
		return "map[string]" + of, err
	}
	return "", fmt.Errorf("no argument has the type %s", t)
}

// comment writes text as comment lines of at most 118 characters.
func comment(b *bytes.Buffer, indent, text string) {
	line := indent + "//"
	for word := range strings.FieldsSeq(text) {
		if len(line)+1+len(word) > 118 {
			b.WriteString(line + "\n")
			line = indent + "//"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}
