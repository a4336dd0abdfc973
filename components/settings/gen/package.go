package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// typePrefix begins the token of a type of the package.
const typePrefix = "emqx:index:"

// packageSchema is the Pulumi schema of the package emqx: the component as other languages see it. Its arguments are
// those of [args], its outputs those of the Go type in the source file.
func packageSchema(top *group, source string) ([]byte, error) {
	about, outputs, err := readOutputs(source)
	if err != nil {
		return nil, err
	}
	types := object{}
	inputs, required, err := properties(top, types)
	if err != nil {
		return nil, err
	}
	inputs["environment"] = object{"type": "string", "plain": true, "description": environmentText}
	names := []string{}
	for name := range outputs {
		names = append(names, name)
	}
	slices.Sort(names)
	exact := object{"respectSchemaVersion": true}
	return marshal(object{
		"name": "emqx", "displayName": "EMQX on Oracle Cloud",
		"description": "An EMQX cluster on Oracle Cloud, infrastructure to DNS name, as one component.",
		"keywords":    []string{"category/infrastructure", "kind/component", "emqx", "mqtt", "oci"},
		"repository":  "https://github.com/emqx-oci/emqx-oci", "license": "Apache-2.0",
		"language": object{"nodejs": exact, "python": exact, "go": exact, "csharp": exact},
		"config":   object{}, "provider": object{},
		"types": types,
		"resources": object{typePrefix + "Cluster": object{
			"isComponent": true, "description": about,
			"inputProperties": inputs, "requiredInputs": required,
			"properties": outputs, "required": names,
		}},
	})
}

// properties are a group's, and the names of those that must be given. The types of groups in it go to types.
func properties(g *group, types object) (of object, required []string, err error) {
	of = object{}
	for i := range g.items {
		it := &g.items[i]
		if slices.Contains(stackOnly, it.Path) {
			continue
		}
		key := it.Path[strings.LastIndex(it.Path, ".")+1:]
		p, must, err := propertyOf(it, types)
		if err != nil {
			return nil, nil, err
		}
		if must {
			required = append(required, key)
		}
		p["description"] = argumentText(it)
		of[key] = p
	}
	return of, required, nil
}

func propertyOf(it *item, types object) (p object, required bool, err error) {
	switch {
	case it.group != nil:
		name := typePrefix + it.group.typ.Name() // SDKs add Args
		if types[name] == nil {
			of, required, err := properties(it.group, types)
			if err != nil {
				return nil, false, err
			}
			types[name] = object{"type": "object", "description": it.typeText(), "properties": of}
			if len(required) > 0 {
				types[name].(object)["required"] = required
			}
		}
		return object{"$ref": "#/types/" + name}, it.group.required(), nil
	case slices.Contains(maybeSecret, it.Path):
		return object{"type": "object", "additionalProperties": object{"type": "string"}}, it.Required, nil
	case it.Type.Name() == "Secret":
		return object{"type": "string", "secret": true}, it.Required, nil
	}
	p, err = plainProperty(it.Type)
	if err != nil {
		return nil, false, fmt.Errorf("publishing the argument %s: %w", it.Path, err)
	}
	return p, it.Required, nil
}

// plainProperty is one that no output may be given for.
func plainProperty(t reflect.Type) (object, error) {
	kinds := map[reflect.Kind]string{reflect.String: "string", reflect.Int: "integer", reflect.Float64: "number", reflect.Bool: "boolean"}
	switch {
	case t == reflect.TypeFor[time.Duration]():
		return object{"type": "string", "plain": true}, nil
	case kinds[t.Kind()] != "":
		return object{"type": kinds[t.Kind()], "plain": true}, nil
	case t.Kind() == reflect.Slice:
		of, err := plainProperty(t.Elem())
		return object{"type": "array", "items": of, "plain": true}, err
	case t.Kind() == reflect.Map:
		of, err := plainProperty(t.Elem())
		return object{"type": "object", "additionalProperties": of, "plain": true}, err
	}
	return nil, fmt.Errorf("no property has the type %s", t)
}

// outputTypes are the schema's types of a component's fields.
var outputTypes = map[string]object{
	"StringOutput":      {"type": "string"},
	"StringMapOutput":   {"type": "object", "additionalProperties": object{"type": "string"}},
	"StringArrayOutput": {"type": "array", "items": object{"type": "string"}},
}

// readOutputs reads the comment and the fields of the component's type, which is called Cluster.
func readOutputs(source string) (about string, outputs object, err error) {
	texts, err := readComments(source)
	if err != nil {
		return "", nil, err
	}
	file, err := parser.ParseFile(token.NewFileSet(), source, nil, parser.SkipObjectResolution)
	if err != nil {
		return "", nil, fmt.Errorf("reading the component's outputs: %w", err)
	}
	outputs = object{}
	ast.Inspect(file, func(n ast.Node) bool {
		t, ok := n.(*ast.TypeSpec)
		if !ok || t.Name.Name != "Cluster" {
			return true
		}
		for _, field := range t.Type.(*ast.StructType).Fields.List {
			if field.Tag == nil {
				continue
			}
			tag, _ := strconv.Unquote(field.Tag.Value)
			name, goType := reflect.StructTag(tag).Get("pulumi"), field.Type.(*ast.SelectorExpr).Sel.Name
			p := object{"description": texts["Cluster."+field.Names[0].Name]}
			if outputTypes[goType] == nil || p["description"] == "" {
				err = fmt.Errorf("publishing the output %s: it has no comment, or its type %s has none in a schema", name, goType)
				return false
			}
			for key, value := range outputTypes[goType] {
				p[key] = value
			}
			outputs[name] = p
		}
		return false
	})
	if len(outputs) == 0 && err == nil {
		err = fmt.Errorf("reading %s: no type Cluster has outputs", source)
	}
	return texts["Cluster"], outputs, err
}
