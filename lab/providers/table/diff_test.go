package table_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

func changes(d table.Diff) []string {
	kinds := map[table.ChangeKind]string{table.Add: "+", table.Delete: "-", table.Update: "~"}
	out := []string{}
	for _, c := range d.Changes {
		s := kinds[c.Kind] + c.Path
		if c.Replace {
			s += "!"
		}
		out = append(out, s)
	}
	return out
}

func TestDiff(t *testing.T) {
	base := map[string]any{
		"kind": "k", "size": 3, "tags": map[string]any{"a": "1", "b": "2"},
		"check": map[string]any{"port": 1}, "list": []any{"a", "b"},
		"items": []any{map[string]any{"rdata": "1"}, map[string]any{"rdata": "2", "ttl": 60}},
	}
	with := func(over map[string]any) map[string]any {
		m := map[string]any{}
		for k, v := range base {
			m[k] = v
		}
		for k, v := range over {
			if v == nil {
				delete(m, k)
			} else {
				m[k] = v
			}
		}
		return m
	}
	for _, c := range []struct {
		name string
		news map[string]any
		want []string
	}{
		{"nothing", with(nil), []string{}},
		{"a replacing property", with(map[string]any{"kind": "l"}), []string{"~kind!"}},
		{"the same as text", with(map[string]any{"size": "3"}), []string{}},
		{"a default written out", with(map[string]any{"on": true}), []string{}},
		{"against the default", with(map[string]any{"on": false}), []string{"~on"}},
		{"computed, left out", with(map[string]any{"tags": nil}), []string{}},
		{"map entries", with(map[string]any{"tags": map[string]any{"a": "9", "c": "3"}}), []string{"~tags.a", "-tags.b", "+tags.c"}},
		{"nested", with(map[string]any{"check": map[string]any{"port": 2, "path": "/"}}), []string{"~check.port", "+check.path"}},
		{"a block gone", with(map[string]any{"check": nil}), []string{"-check"}},
		{"a set in another order", with(map[string]any{"items": []any{map[string]any{"rdata": "2", "ttl": 60}, map[string]any{"rdata": "1"}}}), []string{}},
		{"a set grown", with(map[string]any{"items": []any{map[string]any{"rdata": "3"}, map[string]any{"rdata": "1"}, map[string]any{"rdata": "2", "ttl": 60}}}), []string{"+items[0]"}},
		{"a set shrunk", with(map[string]any{"items": []any{map[string]any{"rdata": "1"}}}), []string{"-items[1]"}},
		{"a set changed", with(map[string]any{"items": []any{map[string]any{"rdata": "1"}, map[string]any{"rdata": "2", "ttl": 61}}}), []string{"~items[1].ttl"}},
		{"a list in another order", with(map[string]any{"list": []any{"b", "a"}}), []string{"~list[0]", "~list[1]"}},
		{"an integer gone", with(map[string]any{"size": nil}), []string{"~size"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := thing(t).Diff(props(base), nil, props(c.news), nil)
			// Keys of objects are compared in order; the test does not care.
			assert.DeepEqual(t, set(changes(d)), set(c.want))
		})
	}
}

func set(in []string) map[string]bool {
	out := map[string]bool{}
	for _, s := range in {
		out[s] = true
	}
	return out
}

func TestUnknownIsAChange(t *testing.T) {
	news := props(map[string]any{"size": 1})
	news["kind"] = resource.MakeComputed(resource.NewProperty(""))
	d := thing(t).Diff(props(map[string]any{"kind": "k", "size": 1}), nil, news, nil)
	assert.DeepEqual(t, changes(d), []string{"~kind!"})
	assert.Assert(t, d.Changes[0].Unknown)
}

func TestWatchedPropertyIsPlannedAway(t *testing.T) {
	in := props(map[string]any{"kind": "k"})
	state := props(map[string]any{"kind": "k", "owner": "somebody"})
	assert.DeepEqual(t, changes(thing(t).Diff(in, state, in, nil)), []string{"-owner"})
	assert.DeepEqual(t, changes(thing(t).Diff(in, state, in, []string{"owner"})), []string{})
}

func TestChosenNameDeletesBeforeItReplaces(t *testing.T) {
	chosen := func(kind string) resource.PropertyMap { return props(map[string]any{"kind": kind, "name": "n"}) }
	assert.Assert(t, thing(t).Diff(chosen("k"), nil, chosen("l"), nil).DeleteBeforeReplace)
	made := func(kind string) resource.PropertyMap {
		return thing(t).In.Autoname("x", "abc", nil, props(map[string]any{"kind": kind}))
	}
	assert.Assert(t, !thing(t).Diff(made("k"), nil, made("l"), nil).DeleteBeforeReplace)
	other := props(map[string]any{"kind": "l", "name": "m"})
	assert.Assert(t, !thing(t).Diff(chosen("k"), nil, other, nil).DeleteBeforeReplace)
}

func TestDriftTakesWhatChangedAndKeepsWhatMeansTheSame(t *testing.T) {
	in := props(map[string]any{
		"kind": "k", "size": "3", "list": []any{"a"},
		"items": []any{map[string]any{"rdata": "1"}, map[string]any{"rdata": "2"}},
	})
	in["check"] = resource.MakeSecret(resource.NewProperty(props(map[string]any{"port": 1})))
	got := thing(t).Drift(in, map[string]any{
		"kind": "k", "size": 3.0, "list": []any{"a", "b"}, "owner": "somebody", "time": "now",
		"check": map[string]any{"port": 2.0, "path": "/"},
		"items": []any{map[string]any{"rdata": "2", "ttl": 60.0}, map[string]any{"rdata": "1", "ttl": 60.0}},
	})
	assert.Equal(t, got["size"].V, "3", "the program's way to write it is kept")
	assert.DeepEqual(t, table.Values(got), map[string]any{
		"kind": "k", "size": "3", "list": []any{"a", "b"}, "check": map[string]any{"port": 2.0},
		"items": []any{map[string]any{"rdata": "1"}, map[string]any{"rdata": "2"}},
	})
	assert.Assert(t, got["check"].IsSecret())
}
