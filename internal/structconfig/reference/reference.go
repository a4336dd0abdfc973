package reference

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

// Reference is a struct with the texts of its fields.
type Reference struct {
	fields []structconfig.Field
	texts  map[string]string // by path
	// encrypted is the JSON Schema of an encrypted value, nil where there is none.
	encrypted Object
}

// New joins the fields of a struct with their comments. Each value must have one; a
// group without has that of its type. encrypted is the JSON Schema of the object that
// stands in the place of a text that is encrypted; nil where configuration holds no such.
func New(spec *structconfig.Spec, comments Comments, encrypted Object) (*Reference, error) {
	r := &Reference{fields: spec.Fields(), texts: map[string]string{}, encrypted: encrypted}
	return r, r.describe(r.fields, comments)
}

func (r *Reference) describe(fields []structconfig.Field, comments Comments) error {
	for _, f := range fields {
		name := f.Struct.Name() + "." + f.Name
		text := comments[name]
		if f.IsGroup() {
			// A group that is used twice says at each place what it is there.
			if text == "" {
				text = comments[f.Type.Name()]
			}
			if err := r.describe(f.Fields, comments); err != nil {
				return err
			}
		} else if err := r.describe(f.Fields, comments); err != nil {
			return err
		} else if text == "" {
			return fmt.Errorf("describing %s: field %s has no comment", f.Path, name)
		}
		if f.Why != "" {
			text += " Limited, because " + f.Why + "."
		}
		r.texts[f.Path] = text
	}
	return nil
}

// Fields are the struct's own, groups with theirs.
func (r *Reference) Fields() []structconfig.Field { return r.fields }

// Text is what the comments say of a field or a group.
func (r *Reference) Text(f structconfig.Field) string { return r.texts[f.Path] }
