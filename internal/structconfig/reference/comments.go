package reference

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"strings"
)

// Comments are those of a source file: of types by their name, of fields by
// "Type.Field", each as one line.
type Comments map[string]string

// ReadComments reads a source file of Go.
func ReadComments(path string) (Comments, error) {
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ParseComments|parser.SkipObjectResolution)
	if err != nil {
		return nil, fmt.Errorf("reading comments: %w", err)
	}
	found := Comments{}
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
