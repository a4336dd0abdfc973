package progress

import (
	"encoding/base64"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/apitype"
	"gotest.tools/v3/assert"
)

func TestChangeRendering(t *testing.T) {
	script := strings.Repeat("echo a line of the boot script\n", 12)
	pack := func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }
	for name, c := range map[string]struct {
		change Change
		want   []string
	}{
		"short":    {Change{Path: "size", Kind: "update", Old: 3.0, New: 5.0}, []string{"~ size: 3 -> 5"}},
		"replaces": {Change{Path: "zone", Kind: "update", Replaces: true, Old: "a", New: "b"}, []string{`~ zone: "a" -> "b"  (needs a new resource)`}},
		"add":      {Change{Path: "tags", Kind: "add", New: map[string]any{"b": "2", "a": []any{1.0, true}}}, []string{`+ tags: {a: [1, true], b: "2"}`}},
		"delete":   {Change{Path: "tags.a", Kind: "delete", Old: "x"}, []string{`- tags.a: "x"`}},
		"secret":   {Change{Path: "items", Kind: "update", Old: hidden, New: hidden}, []string{"~ items: [secret] changes"}},
		"unknown":  {Change{Path: "id", Kind: "update", Old: "x", New: later}, []string{`~ id: "x" -> (known later)`}},
		"text": {
			Change{Path: "jobspec", Kind: "update", Old: "1\n2\n3\n4\n5\n6\n", New: "1\n2\n3\n4\nfive\n6\n"},
			[]string{"~ jobspec:", "      ...", "      3", "      4", "    - 5", "    + five", "      6"},
		},
		"user data": {
			Change{Path: "userData", Kind: "update", Old: pack(script + "old\n"), New: pack(script + "new\n")},
			[]string{"~ userData:", "      ...", "      echo a line of the boot script", "      echo a line of the boot script", "    - old", "    + new"},
		},
	} {
		t.Run(name, func(t *testing.T) { assert.DeepEqual(t, c.change.lines(false), c.want) })
	}
}

func TestChangesOfAnUpdate(t *testing.T) {
	secret := map[string]any{signature: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}
	got := changes(apitype.StepEventMetadata{
		Old: &apitype.StepEventStateMetadata{Inputs: map[string]any{
			"hcl2": map[string]any{"vars": map[string]any{"n": "3"}}, "items": secret, "list": []any{"a", "b"},
		}},
		New: &apitype.StepEventStateMetadata{Inputs: map[string]any{
			"hcl2": map[string]any{"vars": map[string]any{"n": "5"}}, "items": secret, "list": []any{"a", unknown},
		}},
		DetailedDiff: map[string]apitype.PropertyDiff{
			"hcl2.vars.n": {Kind: apitype.DiffUpdate, InputDiff: true}, "items": {Kind: apitype.DiffUpdateReplace}, "list[1]": {Kind: apitype.DiffUpdate},
			"gone.away": {Kind: apitype.DiffDelete},
		},
	})
	assert.DeepEqual(t, got, []Change{
		{Path: "gone.away", Kind: "delete"},
		{Path: "hcl2.vars.n", Kind: "update", Old: "3", New: "5"},
		{Path: "items", Kind: "update", Replaces: true, Old: hidden, New: hidden},
		{Path: "list[1]", Kind: "update", Old: "b", New: later},
	})
}

// Consul's provider names every field of the one key that differs.
func TestUnchangedFieldsAreNoChange(t *testing.T) {
	key := func(value string) map[string]any {
		return map[string]any{"keys": []any{map[string]any{"delete": true, "path": "emqx/lab/size", "value": value}}}
	}
	all := map[string]apitype.PropertyDiff{
		"keys[0].delete": {Kind: apitype.DiffUpdate}, "keys[0].path": {Kind: apitype.DiffUpdate}, "keys[0].value": {Kind: apitype.DiffUpdate},
	}
	got := changes(apitype.StepEventMetadata{
		Old: &apitype.StepEventStateMetadata{Inputs: key("3")}, New: &apitype.StepEventStateMetadata{Inputs: key("5")}, DetailedDiff: all,
	})
	assert.DeepEqual(t, got, []Change{{Path: "keys[0].value", Kind: "update", Old: "3", New: "5"}})
	// When nothing else is named, what is named is the reason.
	got = changes(apitype.StepEventMetadata{
		Old: &apitype.StepEventStateMetadata{Inputs: key("3")}, New: &apitype.StepEventStateMetadata{Inputs: key("3")},
		DetailedDiff: map[string]apitype.PropertyDiff{"keys[0].path": {Kind: apitype.DiffUpdate}},
	})
	assert.Equal(t, len(got), 1)
}

// The difference stands for both texts, and says no more than what differs.
func TestLineDiffIsADifference(t *testing.T) {
	for _, c := range []struct {
		before, after string
		changed       int
	}{{"", "a", 2}, {"a b c d", "b d e", 3}, {"a a a b", "a b a a", 2}, {"x", "x", 0}, {"a b c", "", 4}, {"a b c", "a x c", 2}} {
		var before, after []string
		changed := 0
		for _, l := range lineDiff(strings.ReplaceAll(c.before, " ", "\n"), strings.ReplaceAll(c.after, " ", "\n")) {
			if l == "  ..." { // nothing differs
				before, after = strings.Fields(c.before), strings.Fields(c.after)
				break
			}
			if l[0] != '+' {
				before = append(before, l[2:])
			}
			if l[0] != '-' {
				after = append(after, l[2:])
			}
			if l[0] != ' ' {
				changed++
			}
		}
		assert.Equal(t, strings.Join(before, " "), c.before)
		assert.Equal(t, strings.Join(after, " "), c.after)
		assert.Equal(t, changed, c.changed, "%q to %q", c.before, c.after)
	}
}

// A secret map hides its values, but the providers name the items that differ.
func TestItemOfASecret(t *testing.T) {
	secret := map[string]any{"items": map[string]any{signature: "1b47061264138c4ac30d75fd1eb44270", "ciphertext": "[secret]"}}
	state := &apitype.StepEventStateMetadata{Inputs: secret}
	got := changes(apitype.StepEventMetadata{
		Old: state, New: state,
		DetailedDiff: map[string]apitype.PropertyDiff{"items.stats_password": {Kind: apitype.DiffUpdate}},
	})
	assert.DeepEqual(t, got, []Change{{Path: "items.stats_password", Kind: "update", Old: hidden, New: hidden}})
	assert.DeepEqual(t, inputs(state), map[string]any{"items": hidden})
	assert.Assert(t, inputs(nil) == nil)
}
