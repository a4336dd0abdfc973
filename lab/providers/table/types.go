package table

import "strings"

// Kind is the kind of a Type.
type Kind int

// The kinds. A Set is a list whose order means nothing.
const (
	String Kind = iota
	Number
	Integer
	Bool
	Any
	List
	Set
	Map
	Object
)

var kindNames = map[string]Kind{
	"string": String, "number": Number, "integer": Integer, "bool": Bool, "any": Any,
	"list": List, "set": Set, "map": Map, "object": Object,
}

// String is the kind's word in the rows.
func (k Kind) String() string {
	for n, other := range kindNames {
		if k == other {
			return n
		}
	}
	return "?"
}

// Type is the type of a property.
type Type struct {
	Kind   Kind
	Elem   *Type   // of List, Set and Map
	Fields *Fields // of Object
}

// String is the type as the rows write it.
func (t Type) String() string {
	name := t.Kind.String()
	switch t.Kind {
	case List, Set, Map:
		return name + "(" + t.Elem.String() + ")"
	case Object:
		return name + "(" + t.Fields.Name + ")"
	default:
		return name
	}
}

// Property is one row.
type Property struct {
	Name     string
	Type     Type
	Required bool
	// Replace: a change cannot be made in place.
	Replace bool
	// Computed: the provider fills it in when it is left out, so leaving it out is no change.
	Computed bool
	// Secret: its value is a secret in the outputs whatever the program said.
	Secret bool
	// Autoname: made from the resource's name and a random suffix when left out.
	Autoname bool
	// Watched: optional and not computed, and somebody else sets it: a value in the
	// state that the program does not give is planned away.
	Watched bool
	// Volatile (outputs): not known any more once an update is planned.
	Volatile bool
	// Default is the value that stands for a missing one, nil for none.
	Default any
}

// Fields are the properties of a resource or of an object type.
type Fields struct {
	Name  string
	Props []*Property
}

// Get finds a property by name.
func (f *Fields) Get(name string) (*Property, bool) {
	if f == nil {
		return nil, false
	}
	for _, p := range f.Props {
		if p.Name == name {
			return p, true
		}
	}
	return nil, false
}

// Names of the properties, in the order of the rows.
func (f *Fields) Names() []string {
	names := make([]string, 0, len(f.Props))
	for _, p := range f.Props {
		names = append(names, p.Name)
	}
	return names
}

// Resource is a resource type or a function.
type Resource struct {
	Token   string
	In, Out Fields // Out holds only what is not among the inputs
}

// Schema is everything a provider offers.
type Schema struct {
	Resources map[string]*Resource
	Functions map[string]*Resource
	Config    Fields
	Objects   map[string]*Fields
}

// Secrets lists the top-level properties of r that are always secret.
func (r *Resource) Secrets() []string {
	var out []string
	for _, f := range []*Fields{&r.In, &r.Out} {
		for _, p := range f.Props {
			if p.Secret {
				out = append(out, p.Name)
			}
		}
	}
	return out
}

// Operation is the last part of the token: Volume of oci:Core/volume:Volume.
func (r *Resource) Operation() string {
	return r.Token[strings.LastIndexByte(r.Token, ':')+1:]
}
