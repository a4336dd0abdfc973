package table

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Parse reads rows. A line that starts at the margin opens a section:
//
//	resource <token>
//	function <token>
//	object <name>
//	config
//
// and the indented lines below it are its properties:
//
//	in|out <name> <type> [required] [replace] [computed] [secret] [autoname]
//	                     [watched] [volatile] [default=<json>]
//
// Types are string, number, integer, bool, any, list(T), set(T), map(T) and
// object(Name). Blank lines and lines that start with # are skipped.
func Parse(text string) (*Schema, error) {
	s := &Schema{Resources: map[string]*Resource{}, Functions: map[string]*Resource{}, Objects: map[string]*Fields{}}
	var in, out *Fields
	for i, line := range strings.Split(text, "\n") {
		words := strings.Fields(line)
		if len(words) == 0 || strings.HasPrefix(words[0], "#") {
			continue
		}
		if line[0] != ' ' && line[0] != '\t' {
			var err error
			if in, out, err = s.open(words); err != nil {
				return nil, fmt.Errorf("reading line %d of a table: %w", i+1, err)
			}
			continue
		}
		p, err := s.property(words)
		if err == nil {
			switch {
			case words[0] == "in" && in != nil:
				in.Props = append(in.Props, p)
			case words[0] == "out" && out != nil:
				out.Props = append(out.Props, p)
			default:
				err = fmt.Errorf("%q has no place here", line)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("reading line %d of a table: %w", i+1, err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.Objects)) {
		if len(s.Objects[name].Props) == 0 {
			return nil, fmt.Errorf("reading a table: object %s is used but has no properties", name)
		}
	}
	return s, nil
}

// MustParse is Parse for tables that are part of the program.
func MustParse(text string) *Schema {
	s, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return s
}

func (s *Schema) open(words []string) (in, out *Fields, err error) {
	if words[0] == "config" {
		return &s.Config, nil, nil
	}
	if len(words) != 2 {
		return nil, nil, fmt.Errorf("%q opens no section", strings.Join(words, " "))
	}
	switch words[0] {
	case "resource", "function":
		r := &Resource{Token: words[1]}
		if words[0] == "resource" {
			s.Resources[r.Token] = r
		} else {
			s.Functions[r.Token] = r
		}
		return &r.In, &r.Out, nil
	case "object":
		return s.object(words[1]), nil, nil
	}
	return nil, nil, fmt.Errorf("%q opens no section", strings.Join(words, " "))
}

func (s *Schema) object(name string) *Fields {
	if o, ok := s.Objects[name]; ok {
		return o
	}
	o := &Fields{Name: name}
	s.Objects[name] = o
	return o
}

func (s *Schema) property(words []string) (*Property, error) {
	if len(words) < 3 {
		return nil, fmt.Errorf("%q: want in|out, a name and a type", strings.Join(words, " "))
	}
	t, err := s.parseType(words[2])
	if err != nil {
		return nil, err
	}
	p := &Property{Name: words[1], Type: t}
	for _, w := range words[3:] {
		switch {
		case w == "required":
			p.Required = true
		case w == "replace":
			p.Replace = true
		case w == "computed":
			p.Computed = true
		case w == "secret":
			p.Secret = true
		case w == "autoname":
			p.Autoname = true
		case w == "watched":
			p.Watched = true
		case w == "volatile":
			p.Volatile = true
		case strings.HasPrefix(w, "default="):
			if err := json.Unmarshal([]byte(strings.TrimPrefix(w, "default=")), &p.Default); err != nil {
				return nil, fmt.Errorf("default of %s: %w", p.Name, err)
			}
		default:
			return nil, fmt.Errorf("property %s: unknown word %q", p.Name, w)
		}
	}
	return p, nil
}

func (s *Schema) parseType(text string) (Type, error) {
	name, arg, nested := strings.Cut(text, "(")
	kind, ok := kindNames[name]
	if !ok || nested != (kind >= List) || nested && !strings.HasSuffix(arg, ")") {
		return Type{}, fmt.Errorf("%q is no type", text)
	}
	t := Type{Kind: kind}
	arg = strings.TrimSuffix(arg, ")")
	switch kind {
	case Object:
		t.Fields = s.object(arg)
	case List, Set, Map:
		elem, err := s.parseType(arg)
		if err != nil {
			return Type{}, err
		}
		t.Elem = &elem
	default:
	}
	return t, nil
}
