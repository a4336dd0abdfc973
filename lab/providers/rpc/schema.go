package rpc

import (
	"encoding/json"
	"fmt"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

// schemaJSON is the plugin's Pulumi schema as far as the table knows it. The
// engine asks for it when it needs a package's types, which no program of ours does.
func schemaJSON(p Plugin) (string, error) {
	type m = map[string]any
	var typeOf func(t table.Type) m
	props := func(f *table.Fields) (m, []string) {
		all, required := m{}, []string{}
		for _, p := range f.Props {
			one := typeOf(p.Type)
			if p.Secret {
				one["secret"] = true
			}
			all[p.Name] = one
			if p.Required {
				required = append(required, p.Name)
			}
		}
		return all, required
	}
	typeOf = func(t table.Type) m {
		switch t.Kind {
		case table.List, table.Set:
			return m{"type": "array", "items": typeOf(*t.Elem)}
		case table.Map:
			return m{"type": "object", "additionalProperties": typeOf(*t.Elem)}
		case table.Object:
			return m{"$ref": "#/types/" + p.Name + ":index:" + t.Fields.Name}
		case table.Bool:
			return m{"type": "boolean"}
		case table.Any:
			return m{"$ref": "pulumi.json#/Any"}
		default:
			return m{"type": t.Kind.String()}
		}
	}
	resources, functions, types := m{}, m{}, m{}
	for token, r := range p.Schema.Resources {
		in, required := props(&r.In)
		out, _ := props(&r.Out)
		for k, v := range in {
			out[k] = v
		}
		resources[token] = m{"inputProperties": in, "requiredInputs": required, "properties": out}
	}
	for token, f := range p.Schema.Functions {
		in, required := props(&f.In)
		out, _ := props(&f.Out)
		functions[token] = m{"inputs": m{"properties": in, "required": required}, "outputs": m{"properties": out}}
	}
	for name, o := range p.Schema.Objects {
		all, required := props(o)
		types[p.Name+":index:"+name] = m{"type": "object", "properties": all, "required": required}
	}
	config, _ := props(&p.Schema.Config)
	text, err := json.Marshal(m{
		"name": p.Name, "version": p.Version, "resources": resources, "functions": functions, "types": types,
		"provider": m{"inputProperties": config},
	})
	if err != nil {
		return "", fmt.Errorf("writing the schema of %s: %w", p.Name, err)
	}
	return string(text), nil
}
