package reference

import (
	"bytes"
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/internal/structconfig"
)

const tableHead = "\n| setting | value | default | what, and why |\n|---|---|---|---|\n"

// Page are the sections of a Markdown page: one with a table of the struct's own values, under
// the given title, and one for each group. A group in a group is a row of the table,
// and its fields are the next ones.
func (r *Reference) Page(title string) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "\n## %s\n%s", title, tableHead)
	for _, f := range r.fields {
		if !f.IsGroup() {
			r.row(&b, f)
		}
	}
	for _, f := range r.fields {
		if f.IsGroup() {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n%s", f.Path, r.Text(f), tableHead)
			r.rows(&b, f.Fields)
		}
	}
	return b.Bytes()
}

func (r *Reference) rows(b *bytes.Buffer, fields []structconfig.Field) {
	for _, f := range fields {
		r.row(b, f)
		r.rows(b, f.Fields)
	}
}

func (r *Reference) row(b *bytes.Buffer, f structconfig.Field) {
	kind, def := "group", ""
	if !f.IsGroup() {
		kind, def = Allowed(&f), DefaultText(&f)
	}
	fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.Path, cell(kind), cell(def), cell(r.Text(f)))
}

// cell keeps a table's row whole.
func cell(text string) string { return strings.ReplaceAll(text, "|", `\|`) }

// Allowed tells what may stand there: "GB, 50 to 32768".
func Allowed(f *structconfig.Field) string {
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	switch {
	case f.IsList():
		return "list of groups"
	case f.OneOf != nil:
		add("`" + strings.Join(f.OneOf, "` or `") + "`")
	case f.Element() == reflect.TypeFor[time.Duration]():
		add("duration")
	case f.Type.Kind() == reflect.Bool:
		add("`true` or `false`")
	case f.Format != nil:
		add(f.Format.Short)
	}
	add(f.Unit)
	add(f.Limits())
	if !f.Length.Any() {
		add(f.Length.String() + " characters")
	}
	if len(parts) == 0 {
		add("text")
	}
	text := strings.Join(parts, ", ")
	switch {
	case f.Type.Kind() == reflect.Slice:
		return "list of " + text
	case f.Type.Kind() == reflect.Map && f.Keys != nil:
		return f.Keys.Short + " to " + text
	case f.Type.Kind() == reflect.Map:
		return "text to " + text
	case f.Secret:
		return "secret " + text
	default:
		return text
	}
}

// DefaultText tells what a field is when it is not given: the default, "required" or "none".
func DefaultText(f *structconfig.Field) string {
	switch {
	case f.DefaultText != "":
		return f.DefaultText
	case f.Default != nil:
		return "`" + f.DefaultString() + "`"
	case f.Required:
		return "required"
	default:
		return "none"
	}
}
