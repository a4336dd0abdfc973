package progress

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/sergi/go-diff/diffmatchpatch"
)

// context is how many unchanged lines stand around a changed one.
const context = 2

// changes reads what differs between a resource's states. The engine has put "[secret]" in every secret's place.
func changes(m apitype.StepEventMetadata) []Change {
	if m.Old == nil || m.New == nil {
		return nil
	}
	if len(m.DetailedDiff) == 0 {
		var all []Change
		for _, k := range slices.Sorted(slices.Values(slices.Concat(m.Diffs, m.Keys))) {
			if len(all) > 0 && all[len(all)-1].Path == k {
				continue
			}
			all = append(all, change(m, k, "update", slices.Contains(m.Keys, k), true))
		}
		return all
	}
	all := make([]Change, 0, len(m.DetailedDiff))
	for _, path := range slices.Sorted(maps.Keys(m.DetailedDiff)) {
		d := m.DetailedDiff[path]
		kind, replaces := strings.CutSuffix(string(d.Kind), "-replace")
		all = append(all, change(m, path, kind, replaces, d.InputDiff))
	}
	// Of an element of a set some providers name every field when one differs.
	if differ := slices.DeleteFunc(slices.Clone(all), Change.same); len(differ) > 0 {
		return differ
	}
	return all
}

// same tells whether a change has the same value before and after. What stands for a
// secret, or for what is known later, may be another one.
func (c Change) same() bool {
	if c.Kind != "update" || c.Replaces || !reflect.DeepEqual(c.Old, c.New) {
		return false
	}
	text := fmt.Sprint(c.Old)
	return !strings.Contains(text, hidden) && !strings.Contains(text, later)
}

// found is what a refresh found changed: the outputs, as they were and as they are.
func found(m apitype.StepEventMetadata) []Change {
	if m.Old == nil || m.New == nil {
		return nil
	}
	var all []Change
	for _, path := range slices.Sorted(maps.Keys(m.DetailedDiff)) {
		kind, _ := strings.CutSuffix(string(m.DetailedDiff[path].Kind), "-replace")
		old, _ := at(m.Old.Outputs, path)
		now, _ := at(m.New.Outputs, path)
		all = append(all, Change{Path: path, Kind: kind, Old: clean(old), New: clean(now)})
	}
	return all
}

// inputs are those of one of a resource's states.
func inputs(s *apitype.StepEventStateMetadata) map[string]any {
	if s == nil {
		return nil
	}
	plain, _ := clean(s.Inputs).(map[string]any)
	return plain
}

func change(m apitype.StepEventMetadata, path, kind string, replaces, inputs bool) Change {
	c := Change{Path: path, Kind: kind, Replaces: replaces}
	if kind != "add" {
		old, ok := at(m.Old.Inputs, path)
		if was, is := at(m.Old.Outputs, path); is && (!inputs || !ok) {
			old = was
		}
		c.Old = clean(old)
	}
	if kind != "delete" {
		v, _ := at(m.New.Inputs, path)
		c.New = clean(v)
	}
	return c
}

// What stands in the engine's values for a secret, and for what is known only once a resource exists.
const (
	signature = "4dabf18193072939515e22adb298388d"
	unknown   = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"

	hidden = "[secret]"
	later  = "(known later)"
)

// clean puts words in the place of the engine's signs. The engine hides the secrets themselves before.
func clean(v any) any {
	switch v := v.(type) {
	case string:
		if v == unknown {
			return later
		}
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = clean(v[i])
		}
		return out
	case map[string]any:
		if _, ok := v[signature]; ok {
			return hidden
		}
		out := make(map[string]any, len(v))
		for k := range v {
			out[k] = clean(v[k])
		}
		return out
	}
	return v
}

// at follows a property path into plain values.
func at(v map[string]any, path string) (any, bool) {
	keys, err := resource.ParsePropertyPath(path)
	if err != nil {
		return nil, false
	}
	var here any = v
	for _, k := range keys {
		switch in := here.(type) {
		case map[string]any:
			if _, ok := in[signature]; ok {
				return in, true // a secret as a whole, and so is all that is in it
			}
			name, ok := k.(string)
			if !ok {
				return nil, false
			}
			if here, ok = in[name]; !ok {
				return nil, false
			}
		case []any:
			i, ok := k.(int)
			if !ok || i < 0 || i >= len(in) {
				return nil, false
			}
			here = in[i]
		default:
			return nil, false
		}
	}
	return here, true
}

// lines renders a change: one line for a short value, a difference line by line for a text.
func (c Change) lines(p palette) []string {
	note := ""
	if c.Replaces {
		note = p.paint(magenta, "  (needs a new resource)")
	}
	if c.Kind != "update" {
		sign, v, color := "+", c.New, green
		if c.Kind == "delete" {
			sign, v, color = "-", c.Old, red
		}
		out := []string{p.paint(color, sign+" "+c.Path+": "+firstLine(valueText(v))) + note}
		if text, ok := text(v); ok {
			out = []string{p.paint(color, sign+" "+c.Path+":") + note}
			for _, l := range strings.Split(strings.TrimRight(text, "\n"), "\n") {
				out = append(out, p.paint(color, "    "+sign+" "+l))
			}
		}
		return out
	}
	oldText, oldIs := text(c.Old)
	newText, newIs := text(c.New)
	if oldIs || newIs {
		if !oldIs {
			oldText = valueText(c.Old)
		}
		if !newIs {
			newText = valueText(c.New)
		}
		out := []string{p.paint(yellow, "~ "+c.Path+":") + note}
		for _, l := range lineDiff(oldText, newText) {
			switch l[0] {
			case '+':
				l = p.paint(green, l)
			case '-':
				l = p.paint(red, l)
			default:
				l = p.paint(dim, l)
			}
			out = append(out, "    "+l)
		}
		return out
	}
	old, now := valueText(c.Old), valueText(c.New)
	if old == now && old == hidden {
		return []string{p.paint(yellow, "~ "+c.Path+": "+hidden+" changes") + note}
	}
	return []string{p.paint(yellow, "~ "+c.Path+": ") + p.paint(red, old) + " -> " + p.paint(green, now) + note}
}

// text says whether a value is worth a difference by lines, and gives it: several lines, or several lines packed as
// base64 (and gzip), as user data are.
func text(v any) (string, bool) {
	s, ok := v.(string)
	if !ok {
		return "", false
	}
	if strings.Contains(strings.TrimRight(s, "\n"), "\n") {
		return s, true
	}
	if len(s) < 200 {
		return "", false
	}
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "", false
	}
	if z, err := gzip.NewReader(bytes.NewReader(b)); err == nil {
		if un, err := io.ReadAll(io.LimitReader(z, 1<<20)); err == nil {
			b = un
		}
	}
	if !utf8.Valid(b) || bytes.IndexByte(b, 0) >= 0 || bytes.IndexByte(b, '\n') < 0 {
		return "", false
	}
	return string(b), true
}

// valueText renders a value on one line.
func valueText(v any) string {
	switch v := v.(type) {
	case nil:
		return "(none)"
	case string:
		if v == hidden || v == later {
			return v
		}
		return fmt.Sprintf("%q", v)
	case float64:
		return fmt.Sprintf("%v", v)
	case bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, len(v))
		for i := range v {
			parts[i] = valueText(v[i])
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case map[string]any:
		parts := make([]string, 0, len(v))
		for _, k := range slices.Sorted(maps.Keys(v)) {
			parts = append(parts, k+": "+valueText(v[k]))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

func firstLine(s string) string {
	head, _, more := strings.Cut(s, "\n")
	if more {
		return head + " ..."
	}
	return head
}

// lineDiff gives the lines of both texts, marked "+ ", "- " and "  ", far unchanged ones left out as "...".
func lineDiff(before, after string) []string {
	d := diffmatchpatch.New()
	d.DiffTimeout = 0 // or the same texts would differ in another way on a slow machine
	a, b, lines := d.DiffLinesToRunes(strings.TrimRight(before, "\n")+"\n", strings.TrimRight(after, "\n")+"\n")
	marks := map[diffmatchpatch.Operation]string{diffmatchpatch.DiffDelete: "- ", diffmatchpatch.DiffInsert: "+ ", diffmatchpatch.DiffEqual: "  "}
	var all []string
	for _, part := range d.DiffCharsToLines(d.DiffMainRunes(a, b, false), lines) {
		for l := range strings.Lines(part.Text) {
			all = append(all, marks[part.Type]+strings.TrimSuffix(l, "\n"))
		}
	}
	return hunks(all)
}

// hunks leaves out what is far from a change.
func hunks(all []string) []string {
	near := make([]bool, len(all))
	for i, l := range all {
		if l[0] == ' ' {
			continue
		}
		for k := max(0, i-context); k <= min(len(all)-1, i+context); k++ {
			near[k] = true
		}
	}
	var out []string
	for i, l := range all {
		if near[i] {
			out = append(out, l)
		} else if i == 0 || near[i-1] {
			out = append(out, "  ...")
		}
	}
	return out
}
