// Package official compares a table of the lab with what the official provider's
// schema says.
package official

import (
	"fmt"
	"sort"
	"strings"
	"testing"

	"github.com/emqx-oci/emqx-oci/internal/pluginschema"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// Compare checks that the table says what the official schema (its name and version,
// such as "nomad-2.6.1") says about every resource and function that the table has:
// the same names and types, required inputs, secrets, and replacement where the
// schema notes it.
func Compare(t *testing.T, schema string, s *table.Schema) {
	t.Helper()
	o, err := pluginschema.Official(schema)
	if err != nil {
		t.Fatal(err)
	}
	for _, fault := range faults(s, o) {
		t.Error(fault)
	}
}

func faults(s *table.Schema, o pluginschema.Schema) []string {
	c := comparer{types: o.Types, seen: map[string]bool{}}
	c.fields("config", &s.Config, o.Provider.InputProperties, nil)
	for token, r := range s.Resources {
		want, ok := o.Resources[token]
		if !ok {
			c.fault("%s: no such resource", token)
			continue
		}
		c.fields(token, &r.In, want.InputProperties, want.RequiredInputs)
		c.outputs(token, r, want.Properties)
	}
	for token, f := range s.Functions {
		want, ok := o.Functions[token]
		if !ok {
			c.fault("%s: no such function", token)
			continue
		}
		c.loose = true // nested results are the client's business
		c.fields(token, &f.In, want.Inputs.Properties, want.Inputs.Required)
		c.outputs(token, f, want.Outputs.Properties)
		c.loose = false
	}
	sort.Strings(c.faults)
	return c.faults
}

type comparer struct {
	types  map[string]pluginschema.Object
	seen   map[string]bool
	faults []string
	loose  bool
}

func (c *comparer) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *comparer) fields(path string, f *table.Fields, want map[string]pluginschema.Property, required []string) {
	for _, p := range f.Props {
		w, ok := want[p.Name]
		if !ok {
			c.fault("%s.%s: not in the official schema", path, p.Name)
			continue
		}
		c.same(path+"."+p.Name, p.Type, w)
		if !c.loose && p.Secret != w.Secret {
			c.fault("%s.%s: secret is %v there", path, p.Name, w.Secret)
		}
		if w.WillReplaceOnChanges && !p.Replace {
			c.fault("%s.%s: a change replaces there", path, p.Name)
		}
	}
	for name := range want {
		if _, ok := f.Get(name); !ok && !c.loose {
			c.fault("%s.%s: missing in the table", path, name)
		}
	}
	needed := map[string]bool{}
	for _, name := range required {
		needed[name] = true
	}
	for _, p := range f.Props {
		if p.Required != needed[p.Name] {
			c.fault("%s.%s: required is %v there", path, p.Name, needed[p.Name])
		}
	}
}

func (c *comparer) outputs(path string, r *table.Resource, want map[string]pluginschema.Property) {
	for name, w := range want {
		p, ok := r.Out.Get(name)
		if !ok {
			if _, input := r.In.Get(name); !input && !c.loose {
				c.fault("%s.%s: output is missing in the table", path, name)
			}
			continue
		}
		c.same(path+"."+name, p.Type, w)
	}
	for _, p := range r.Out.Props {
		if _, ok := want[p.Name]; !ok {
			c.fault("%s.%s: no such output in the official schema", path, p.Name)
		}
	}
}

func (c *comparer) same(path string, have table.Type, want pluginschema.Property) {
	switch {
	case have.Kind == table.Any:
	case want.Ref != "":
		token := strings.TrimPrefix(want.Ref, "#/types/")
		if have.Kind != table.Object {
			c.fault("%s: an object %s there", path, token)
			return
		}
		if !c.seen[token+have.Fields.Name] {
			c.seen[token+have.Fields.Name] = true
			c.fields(path, have.Fields, c.types[token].Properties, c.types[token].Required)
		}
	case want.Type == "array" && (have.Kind == table.List || have.Kind == table.Set):
		c.same(path+"[]", *have.Elem, *want.Items)
	case want.Type == "object" && have.Kind == table.Map:
		c.same(path+"{}", *have.Elem, *want.AdditionalProperties)
	case want.Type == "boolean" && have.Kind == table.Bool:
	case want.Type == have.Kind.String():
	default:
		c.fault("%s: %s here, %s there", path, have, want.Type)
	}
}
