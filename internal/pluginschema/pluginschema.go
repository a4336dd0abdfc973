package pluginschema

import (
	"embed"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// Property is one property of a resource, a function or an object type.
type Property struct {
	Type                 string    `json:"type,omitempty"`
	Ref                  string    `json:"$ref,omitempty"`
	Items                *Property `json:"items,omitempty"`
	AdditionalProperties *Property `json:"additionalProperties,omitempty"`
	Secret               bool      `json:"secret,omitempty"`
	WillReplaceOnChanges bool      `json:"willReplaceOnChanges,omitempty"`
}

// Object is an object type, or what goes into a function and comes out of it.
type Object struct {
	Properties map[string]Property `json:"properties,omitempty"`
	Required   []string            `json:"required,omitempty"`
}

// Resource has the inputs and outputs of a resource.
type Resource struct {
	InputProperties map[string]Property `json:"inputProperties,omitempty"`
	RequiredInputs  []string            `json:"requiredInputs,omitempty"`
	Properties      map[string]Property `json:"properties,omitempty"`
}

// Function has the arguments and the result of a function.
type Function struct {
	Inputs  Object `json:"inputs"`
	Outputs Object `json:"outputs"`
}

// Schema is the part of a package schema that tests compare. Keys are tokens, such as "nomad:index/job:Job".
type Schema struct {
	Provider struct {
		InputProperties map[string]Property `json:"inputProperties"`
	} `json:"provider"`
	Resources map[string]Resource `json:"resources"`
	Functions map[string]Function `json:"functions,omitempty"`
	Types     map[string]Object   `json:"types"`
}

// Read reads a package schema, a whole one as `pulumi package get-schema` writes it or a reduced one.
func Read(r io.Reader) (Schema, error) {
	var s Schema
	err := json.NewDecoder(r).Decode(&s)
	return s, err
}

//go:embed official/*.json
var official embed.FS

// Official returns what the official package says of the resources and functions that the project has, and of the types
// that they refer to. The file is named after package and version, such as "nomad-2.6.1".
func Official(name string) (Schema, error) {
	file, err := official.Open("official/" + name + ".json")
	if err != nil {
		known, _ := fs.Glob(official, "official/*.json")
		return Schema{}, fmt.Errorf("there is no schema %q, only %s", name, strings.Join(known, ", "))
	}
	defer file.Close()
	s, err := Read(file)
	if err != nil {
		return s, fmt.Errorf("reading the schema %s: %w", name, err)
	}
	return s, nil
}

// Reduce leaves of a schema the named resources and functions, the types that these refer to, and the provider's
// configuration. A token that the schema does not have is an error.
func Reduce(s Schema, tokens []string) (Schema, error) {
	out := Schema{Provider: s.Provider, Resources: map[string]Resource{}, Functions: map[string]Function{}, Types: map[string]Object{}}
	k := keeper{from: s.Types, kept: out.Types}
	k.properties(s.Provider.InputProperties)
	for _, token := range tokens {
		r, isResource := s.Resources[token]
		f, isFunction := s.Functions[token]
		switch {
		case isResource:
			out.Resources[token] = r
			k.properties(r.InputProperties)
			k.properties(r.Properties)
		case isFunction:
			out.Functions[token] = f
			k.properties(f.Inputs.Properties)
			k.properties(f.Outputs.Properties)
		default:
			return out, fmt.Errorf("the schema has neither a resource nor a function %q", token)
		}
	}
	return out, nil
}

// keeper keeps the types that properties refer to.
type keeper struct{ from, kept map[string]Object }

func (k keeper) properties(all map[string]Property) {
	for _, p := range all {
		k.property(&p)
	}
}

func (k keeper) property(p *Property) {
	if p == nil {
		return
	}
	k.property(p.Items)
	k.property(p.AdditionalProperties)
	token, ok := strings.CutPrefix(p.Ref, "#/types/")
	if _, known := k.kept[token]; ok && !known {
		k.kept[token] = k.from[token]
		k.properties(k.from[token].Properties)
	}
}
