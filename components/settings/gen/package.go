package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
	"github.com/emqx-oci/emqx-oci/internal/structconfig/reference"
)

// typePrefix begins the token of a type of the package.
const typePrefix = "emqx:index:"

// packageSchema is the Pulumi schema of the package emqx: the component as other languages see it. Its arguments are
// those of [args], its outputs those of the Go type in the source file.
func packageSchema(r *reference.Reference, comments reference.Comments, source string) ([]byte, error) {
	about, outputs, err := readOutputs(source)
	if err != nil {
		return nil, err
	}
	p := publisher{r, comments, object{}}
	inputs, required, err := p.properties(r.Fields())
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
		"types": p.types,
		"resources": object{typePrefix + "Cluster": object{
			"isComponent": true, "description": about,
			"inputProperties": inputs, "requiredInputs": required,
			"properties": outputs, "required": names,
		}},
	})
}

// publisher makes properties of settings, and collects the types of groups.
type publisher struct {
	*reference.Reference
	comments reference.Comments
	types    object
}

// properties are a group's, and the names of those that must be given.
func (p publisher) properties(fields []structconfig.Field) (of object, must []string, err error) {
	of = object{}
	for _, f := range fields {
		if slices.Contains(stackOnly, f.Path) {
			continue
		}
		property, err := p.property(f)
		if err != nil {
			return nil, nil, err
		}
		if required(f) {
			must = append(must, f.Key)
		}
		property["description"] = argumentText(p.Reference, f)
		of[f.Key] = property
	}
	return of, must, nil
}

func (p publisher) property(f structconfig.Field) (object, error) {
	switch {
	case f.IsGroup() || f.IsList():
		name := typePrefix + groupType(f).Name() // SDKs add Args
		if p.types[name] == nil {
			of, must, err := p.properties(f.Fields)
			if err != nil {
				return nil, err
			}
			typ := object{"type": "object", "description": p.comments[groupType(f).Name()], "properties": of}
			if len(must) > 0 {
				typ["required"] = must
			}
			p.types[name] = typ
		}
		ref := object{"$ref": "#/types/" + name}
		if f.IsList() {
			return object{"type": "array", "items": ref, "plain": true}, nil
		}
		return ref, nil
	case slices.Contains(maybeSecret, f.Path):
		return object{"type": "object", "additionalProperties": object{"type": "string"}}, nil
	case f.Type == reflect.TypeFor[settings.Secret]():
		return object{"type": "string", "secret": true}, nil
	}
	plain, err := plainProperty(f.Type)
	if err != nil {
		return nil, fmt.Errorf("publishing the argument %s: %w", f.Path, err)
	}
	return plain, nil
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
	texts, err := reference.ReadComments(source)
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
