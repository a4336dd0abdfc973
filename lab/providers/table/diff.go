package table

import (
	"fmt"
	"reflect"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// ChangeKind says what happens to a property.
type ChangeKind int

// What can happen to a property.
const (
	Add ChangeKind = iota
	Delete
	Update
)

// Change is one difference.
type Change struct {
	Path    string
	Kind    ChangeKind
	Replace bool
	Unknown bool // the new value is not known yet
	Output  bool // a difference that no input has: something outside is not as it should be
}

// Diff is what would change.
type Diff struct {
	Changes []Change
	// DeleteBeforeReplace: the new one cannot exist beside the old one, because
	// somebody chose its name and keeps it.
	DeleteBeforeReplace bool
}

// Replace reports whether any change forces a replacement.
func (d Diff) Replace() bool {
	return slices.ContainsFunc(d.Changes, func(c Change) bool { return c.Replace })
}

// Touches reports whether the top-level property name is among the changes.
func (d Diff) Touches(name string) bool {
	return slices.ContainsFunc(d.Changes, func(c Change) bool { return topLevel(c.Path) == name })
}

func topLevel(path string) string {
	if i := strings.IndexAny(path, ".["); i >= 0 {
		return path[:i]
	}
	return path
}

// Diff compares the inputs of the last update with the new ones. State is looked
// at for watched properties only: a refresh brings the inputs up to date (see
// Drift), so what the cloud changed shows up there.
func (r *Resource) Diff(oldInputs, state, news resource.PropertyMap, ignore []string) Diff {
	var d differ
	for _, p := range r.In.Props {
		key := resource.PropertyKey(p.Name)
		o, n := Plain(oldInputs[key]), Plain(news[key])
		if p.Watched && empty(o) && empty(n) && !slices.Contains(ignore, p.Name) {
			o = Plain(state[key])
		}
		if p.Computed && left(n) {
			continue
		}
		d.value(p.Name, p.Type, withDefault(p, o), withDefault(p, n), p.Replace)
	}
	out := Diff{Changes: d.changes}
	for _, p := range r.In.Props {
		key := resource.PropertyKey(p.Name)
		if p.Autoname && out.Replace() && !out.Touches(p.Name) && !empty(Plain(news[key])) &&
			!slices.Contains(Defaulted(news), p.Name) {
			out.DeleteBeforeReplace = true
		}
	}
	return out
}

func withDefault(p *Property, v resource.PropertyValue) resource.PropertyValue {
	if p.Default != nil && v.IsNull() {
		return resource.NewPropertyValue(p.Default)
	}
	return v
}

// empty: the bridged providers cannot tell a missing value from a zero one.
func empty(v resource.PropertyValue) bool {
	v = Plain(v)
	switch {
	case v.IsNull():
		return true
	case v.IsString():
		return v.StringValue() == ""
	case v.IsArray():
		return len(v.ArrayValue()) == 0
	case v.IsObject():
		return len(v.ObjectValue()) == 0
	case v.IsBool():
		return !v.BoolValue()
	case v.IsNumber():
		return v.NumberValue() == 0
	}
	return false
}

// left reports whether a program leaves a value to the provider: false and 0 are
// values, "" and an empty list are not.
func left(v resource.PropertyValue) bool {
	v = Plain(v)
	return empty(v) && !v.IsBool() && !v.IsNumber()
}

type differ struct{ changes []Change }

func (d *differ) add(path string, kind ChangeKind, replace, unknown bool) {
	d.changes = append(d.changes, Change{Path: path, Kind: kind, Replace: replace, Unknown: unknown})
}

func (d *differ) value(path string, t Type, o, n resource.PropertyValue, replace bool) {
	o, n = Plain(o), Plain(n)
	switch {
	case Unknown(n):
		kind := Update
		if empty(o) {
			kind = Add
		}
		d.add(path, kind, replace, true)
	case empty(o) && empty(n):
	case empty(o) && !zeroIsAValue(t):
		d.add(path, Add, replace, false)
	case empty(n) && !zeroIsAValue(t):
		d.add(path, Delete, replace, false)
	case t.Kind == List && o.IsArray() && n.IsArray():
		d.list(path, t, o.ArrayValue(), n.ArrayValue(), replace)
	case t.Kind == Set && o.IsArray() && n.IsArray():
		d.set(path, t, o.ArrayValue(), n.ArrayValue(), replace)
	case t.Kind == Map && o.IsObject() && n.IsObject():
		d.keys(path, o.ObjectValue(), n.ObjectValue(), func(string) (Type, bool) { return *t.Elem, true }, replace)
	case t.Kind == Object && o.IsObject() && n.IsObject():
		d.keys(path, o.ObjectValue(), n.ObjectValue(), func(k string) (Type, bool) {
			p, ok := t.Fields.Get(k)
			if !ok {
				return Type{Kind: Any}, true
			}
			return p.Type, !p.Computed || !left(n.ObjectValue()[resource.PropertyKey(k)])
		}, replace)
	default:
		oj, _ := jsonValue(o)
		nj, _ := jsonValue(n)
		if !reflect.DeepEqual(canon(t, oj), canon(t, nj)) {
			d.add(path, Update, replace, false)
		}
	}
}

func zeroIsAValue(t Type) bool { return t.Kind == Bool || t.Kind == Number || t.Kind == Integer }

func (d *differ) list(path string, t Type, o, n []resource.PropertyValue, replace bool) {
	for i := range max(len(o), len(n)) {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case i >= len(o):
			d.add(at, Add, replace, Unknown(n[i]))
		case i >= len(n):
			d.add(at, Delete, replace, false)
		default:
			d.value(at, *t.Elem, o[i], n[i], replace)
		}
	}
}

// set compares without order: equal elements pair up first, what is left is
// compared by position.
func (d *differ) set(path string, t Type, o, n []resource.PropertyValue, replace bool) {
	equal := func(a, b resource.PropertyValue) bool {
		var probe differ
		probe.value("", *t.Elem, a, b, false)
		return len(probe.changes) == 0
	}
	restOld := slices.Clone(o)
	var restNew []int
	for i, e := range n {
		if j := slices.IndexFunc(restOld, func(v resource.PropertyValue) bool { return equal(v, e) }); j >= 0 {
			restOld = slices.Delete(restOld, j, j+1)
		} else {
			restNew = append(restNew, i)
		}
	}
	for k, i := range restNew {
		at := fmt.Sprintf("%s[%d]", path, i)
		if k < len(restOld) {
			d.value(at, *t.Elem, restOld[k], n[i], replace)
		} else {
			d.add(at, Add, replace, Unknown(n[i]))
		}
	}
	for k := len(restNew); k < len(restOld); k++ {
		d.add(fmt.Sprintf("%s[%d]", path, len(n)+k-len(restNew)), Delete, replace, false)
	}
}

func (d *differ) keys(path string, o, n resource.PropertyMap, row func(string) (Type, bool), replace bool) {
	names := map[string]bool{}
	for k := range o {
		names[string(k)] = true
	}
	for k := range n {
		names[string(k)] = true
	}
	sorted := make([]string, 0, len(names))
	for k := range names {
		sorted = append(sorted, k)
	}
	sort.Strings(sorted)
	for _, k := range sorted {
		t, compare := row(k)
		if compare && !internalKey(resource.PropertyKey(k)) {
			d.value(join(path, k), t, o[resource.PropertyKey(k)], n[resource.PropertyKey(k)], replace)
		}
	}
}

// Drift returns inputs with the values that state has for them now, so that what
// somebody changed outside is planned back by the next update. Values that mean
// the same are kept as the program wrote them, and only what the program gave is
// looked at.
func (r *Resource) Drift(inputs resource.PropertyMap, state map[string]any) resource.PropertyMap {
	return driftFields(&r.In, inputs, r.In.Canon(state))
}

func driftFields(f *Fields, in resource.PropertyMap, state map[string]any) resource.PropertyMap {
	out := in.Copy()
	for k, v := range in {
		p, ok := f.Get(string(k))
		s, has := state[string(k)]
		if !ok || !has {
			continue
		}
		out[k] = driftValue(p.Type, v, s)
	}
	return out
}

func driftValue(t Type, in resource.PropertyValue, state any) resource.PropertyValue {
	if in.IsSecret() {
		return resource.MakeSecret(driftValue(t, Plain(in), state))
	}
	in = Plain(in)
	switch s := state.(type) {
	case map[string]any:
		if t.Kind == Object && in.IsObject() {
			return resource.NewProperty(driftFields(t.Fields, in.ObjectValue(), s))
		}
	case []any:
		if t.Kind == Set && in.IsArray() {
			s = pairUp(t, in.ArrayValue(), s)
		}
		if (t.Kind == List || t.Kind == Set) && in.IsArray() && len(s) == len(in.ArrayValue()) {
			list := make([]resource.PropertyValue, len(s))
			for i, e := range s {
				list[i] = driftValue(*t.Elem, in.ArrayValue()[i], e)
			}
			return resource.NewProperty(list)
		}
	}
	j, _ := jsonValue(in)
	if reflect.DeepEqual(canon(t, j), canon(t, state)) {
		return in
	}
	return resource.NewPropertyValue(state)
}

// pairUp orders the elements of a set as the inputs have them, by the fields that
// the inputs give.
func pairUp(t Type, in []resource.PropertyValue, state []any) []any {
	rest := slices.Clone(state)
	out := make([]any, 0, len(state))
	for _, e := range in {
		j := slices.IndexFunc(rest, func(s any) bool {
			want, _ := jsonValue(driftValue(*t.Elem, e, canon(*t.Elem, s)))
			have, _ := jsonValue(e)
			return reflect.DeepEqual(canon(*t.Elem, have), canon(*t.Elem, want))
		})
		if j < 0 {
			return state
		}
		out = append(out, rest[j])
		rest = slices.Delete(rest, j, j+1)
	}
	return append(out, rest...)
}
