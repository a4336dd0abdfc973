// Package official compares a table with the official provider's schema file,
// where such a file is at hand: it is not part of the tree.
package official

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

type property struct {
	Type                 string    `json:"type"`
	Ref                  string    `json:"$ref"`
	Items                *property `json:"items"`
	AdditionalProperties *property `json:"additionalProperties"`
	Secret               bool      `json:"secret"`
	WillReplaceOnChanges bool      `json:"willReplaceOnChanges"`
}

type object struct {
	Properties map[string]property `json:"properties"`
	Required   []string            `json:"required"`
}

type schema struct {
	Provider struct {
		InputProperties map[string]property `json:"inputProperties"`
	} `json:"provider"`
	Resources map[string]struct {
		InputProperties map[string]property `json:"inputProperties"`
		RequiredInputs  []string            `json:"requiredInputs"`
		Properties      map[string]property `json:"properties"`
	} `json:"resources"`
	Functions map[string]struct {
		Inputs  object `json:"inputs"`
		Outputs object `json:"outputs"`
	} `json:"functions"`
	Types map[string]object `json:"types"`
}

// Compare checks that the table says what the official schema in file says about
// every resource and function that it has: the same names and types, required
// inputs, secrets, and replacement where the schema notes it. The folder with the
// files is EMQX_OCI_SCHEMAS, by default ../shared/schemas beside the repository;
// without it nothing is compared.
func Compare(t *testing.T, root, file string, s *table.Schema) {
	t.Helper()
	dir := os.Getenv("EMQX_OCI_SCHEMAS")
	if dir == "" {
		dir = filepath.Join(root, "..", "shared", "schemas")
	}
	raw, err := os.ReadFile(filepath.Join(dir, file))
	if errors.Is(err, fs.ErrNotExist) {
		t.Logf("no official schema %s at hand: nothing is compared", file)
		return
	}
	var o schema
	if err == nil {
		err = json.Unmarshal(raw, &o)
	}
	if err != nil {
		t.Fatalf("reading the official schema: %v", err)
	}
	for _, fault := range faults(s, o) {
		t.Error(fault)
	}
}

func faults(s *table.Schema, o schema) []string {
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
	types  map[string]object
	seen   map[string]bool
	faults []string
	loose  bool
}

func (c *comparer) fault(format string, args ...any) {
	c.faults = append(c.faults, fmt.Sprintf(format, args...))
}

func (c *comparer) fields(path string, f *table.Fields, want map[string]property, required []string) {
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

func (c *comparer) outputs(path string, r *table.Resource, want map[string]property) {
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

func (c *comparer) same(path string, have table.Type, want property) {
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
