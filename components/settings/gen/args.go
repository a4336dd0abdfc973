package main

import (
	"bytes"
	"fmt"
	"go/format"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
	"github.com/emqx-oci/emqx-oci/internal/structconfig/reference"
)

// stackOnly are settings that say something of a stack, not of a cluster.
var stackOnly = []string{"cloud", "latency", "secretsFrom"}

const environmentText = "Part of every name that the cluster has in OCI, Nomad, Consul and EMQX, and never to be changed. " +
	"Default: the name of the stack."

// maybeSecret are maps whose values may each be a secret.
var maybeSecret = []string{"broker.env"}

// args are the typed arguments of the component: the settings, as a program gives them. What has no default is
// required; all else may be left out, and has the default of the setting. Secrets are inputs, the rest is plain, since
// it decides what the graph consists of.
func args(r *reference.Reference, comments reference.Comments) ([]byte, error) {
	var b bytes.Buffer
	b.WriteString("// Code generated from components/settings/settings.go by make settings. DO NOT EDIT.\n\n" +
		"package components\n\nimport \"github.com/pulumi/pulumi/sdk/v3/go/pulumi\"\n\n")
	comment(&b, "", "ClusterArgs are what a cluster is given, in the groups of the settings (docs/settings.md). A field that is left out has "+
		"the setting's default. Durations are texts such as \"90s\" or \"10m\".")
	b.WriteString("type ClusterArgs struct {\n")
	comment(&b, "\t", environmentText)
	b.WriteString("\tEnvironment *string `pulumi:\"environment,optional\"`\n\n")
	done := map[string]bool{}
	var groups []structconfig.Field
	fields := func(all []structconfig.Field) error {
		for _, f := range all {
			if slices.Contains(stackOnly, f.Path) {
				continue
			}
			if err := argument(&b, r, f); err != nil {
				return err
			}
			if f.IsGroup() || f.IsList() {
				groups = append(groups, f)
			}
		}
		return nil
	}
	if err := fields(r.Fields()); err != nil {
		return nil, err
	}
	b.WriteString("}\n")
	for len(groups) > 0 {
		f := groups[0]
		groups = groups[1:]
		if done[goType(f)] {
			continue
		}
		done[goType(f)] = true
		b.WriteString("\n")
		comment(&b, "", goType(f)+": "+comments[groupType(f).Name()])
		fmt.Fprintf(&b, "type %s struct {\n", goType(f))
		if err := fields(f.Fields); err != nil {
			return nil, err
		}
		b.WriteString("}\n")
	}
	return format.Source(b.Bytes())
}

// goType is the name of a group's type: that of its settings' type, with Args.
func goType(group structconfig.Field) string { return groupType(group).Name() + "Args" }

// groupType is the settings' type of a group, or of those in a list.
func groupType(f structconfig.Field) reflect.Type {
	if f.IsList() {
		return f.Type.Elem()
	}
	return f.Type
}

// required tells whether a field must be given, or is a group that holds such.
func required(f structconfig.Field) bool {
	return f.Required || !f.IsList() && slices.ContainsFunc(f.Fields, required)
}

// argumentText says of an argument what it is, what it may be, and what it is when it is left out.
func argumentText(r *reference.Reference, f structconfig.Field) string {
	text := r.Text(f)
	if f.IsGroup() {
		return text
	}
	switch def := reference.DefaultText(&f); def {
	case "none":
		return text + fmt.Sprintf(" (%s)", reference.Allowed(&f))
	case "required":
		return text + fmt.Sprintf(" (%s; required)", reference.Allowed(&f))
	default:
		return text + fmt.Sprintf(" (%s; default: %s)", reference.Allowed(&f), def)
	}
}

func argument(b *bytes.Buffer, r *reference.Reference, f structconfig.Field) error {
	var typ string
	switch {
	case f.IsList():
		typ = "[]" + goType(f)
	case f.IsGroup():
		if typ = goType(f); !required(f) {
			typ = "*" + typ
		}
	case slices.Contains(maybeSecret, f.Path):
		typ = "pulumi.StringMapInput"
	case f.Type == reflect.TypeFor[settings.Secret]():
		typ = "pulumi.StringInput"
	default:
		var err error
		if typ, err = plainType(f.Type); err != nil {
			return fmt.Errorf("generating the argument %s: %w", f.Path, err)
		}
		if !f.Required && f.Type.Kind() != reflect.Slice && f.Type.Kind() != reflect.Map {
			typ = "*" + typ
		}
	}
	comment(b, "\t", argumentText(r, f))
	tag, extra := f.Key, ""
	if !required(f) {
		tag += ",optional"
	}
	if typ == "pulumi.StringInput" {
		extra = ` provider:"secret"`
	}
	fmt.Fprintf(b, "\t%s %s `pulumi:\"%s\"%s`\n", f.Name, typ, tag, extra)
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
	default:
		return "", fmt.Errorf("no argument has the type %s", t)
	}
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
