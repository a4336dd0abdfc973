package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"reflect"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// comments are those of a source file: of types by their name, of fields by
// "Type.Field", each as one line.
type comments map[string]string

func readComments(path string) (comments, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading the comments of the settings: %w", err)
	}
	found := comments{}
	for _, decl := range file.Decls {
		types, ok := decl.(*ast.GenDecl)
		if !ok || types.Tok != token.TYPE {
			continue
		}
		for _, spec := range types.Specs {
			t := spec.(*ast.TypeSpec)
			found[t.Name.Name] = oneLine(types.Doc.Text())
			fields, ok := t.Type.(*ast.StructType)
			if !ok {
				continue
			}
			for _, field := range fields.Fields.List {
				for _, name := range field.Names {
					found[t.Name.Name+"."+name.Name] = oneLine(field.Doc.Text())
				}
			}
		}
	}
	return found, nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// group is settings under one key, or a group in a group, or the top.
type group struct {
	key, text string
	items     []item
	typ       reflect.Type
}

// item is a setting, or a group of them.
type item struct {
	settings.Field
	text  string
	group *group
	// field is the Go field of a group, doc the comment of its type.
	field, doc string
}

// describe joins the fields with their comments. Each must have one.
func describe(c comments) (*group, error) {
	top := &group{}
	groups := map[string]*group{"": top}
	for _, f := range settings.Fields() {
		text := c[f.Struct.Name()+"."+f.Name]
		if text == "" {
			return nil, fmt.Errorf("describing %s: field %s.%s has no comment", f.Path, f.Struct.Name(), f.Name)
		}
		if f.Why != "" {
			text += " Limited, because " + f.Why + "."
		}
		at, err := groupOf(c, groups, reflect.TypeFor[settings.Settings](), f.Path)
		if err != nil {
			return nil, err
		}
		at.items = append(at.items, item{Field: f, text: text})
	}
	return top, nil
}

// groupOf is the group that holds a path, made when it is new.
func groupOf(c comments, groups map[string]*group, typ reflect.Type, path string) (*group, error) {
	at, prefix := groups[""], ""
	for {
		key, rest, deeper := strings.Cut(path, ".")
		if !deeper {
			return at, nil
		}
		field, ok := fieldByKey(typ, key)
		if !ok {
			return nil, fmt.Errorf("describing %s%s: no field has the key", prefix, path)
		}
		prefix += key + "."
		next, ok := groups[prefix]
		if !ok {
			// A group that is used twice says at each place what it is there.
			text := c[typ.Name()+"."+field.Name]
			if text == "" {
				text = c[field.Type.Name()]
			}
			next = &group{key: strings.TrimSuffix(prefix, "."), text: text, typ: field.Type}
			groups[prefix] = next
			at.items = append(at.items, item{Field: settings.Field{Path: next.key}, text: text, group: next, field: field.Name, doc: c[field.Type.Name()]})
		}
		at, path, typ = next, rest, field.Type
	}
}

func fieldByKey(typ reflect.Type, key string) (reflect.StructField, bool) {
	for field := range typ.Fields() {
		if field.Tag.Get("cfg") == key {
			return field, true
		}
	}
	return reflect.StructField{}, false
}
