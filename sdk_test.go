package emqxoci_test

import (
	"encoding/json"
	"os"
	"testing"

	"gotest.tools/v3/assert"
)

// sdkSchema is the part of a Pulumi package schema that the check reads.
type sdkSchema struct {
	Resources map[string]struct {
		InputProperties map[string]sdkType
		Properties      map[string]sdkType
		RequiredInputs  []string
	}
	Types    map[string]struct{ Properties map[string]sdkType }
	Provider struct{ InputProperties map[string]sdkType }
}

type sdkType struct {
	Type                 string
	Ref                  string `json:"$ref"`
	Items                *sdkType
	AdditionalProperties *sdkType
	Secret               bool
	WillReplaceOnChanges bool
}

func readSchema(t *testing.T, path string) sdkSchema {
	t.Helper()
	text, err := os.ReadFile(path)
	assert.NilError(t, err)
	var s sdkSchema
	assert.NilError(t, json.Unmarshal(text, &s))
	return s
}

// TestNomadSDKMatchesTheOfficialSchema compares the hand-written schema with
// the official one, wherever that file is at hand: each property must exist
// there with the same type, secrecy and replacement.
func TestNomadSDKMatchesTheOfficialSchema(t *testing.T) {
	ours := readSchema(t, "sdks/nomad/schema.json")
	assert.Equal(t, len(ours.Resources), 2)

	const path = "../shared/schemas/nomad-2.6.1.json"
	if _, err := os.Stat(path); err != nil {
		t.Log("the official schema is not at hand; the shape of ours was read, nothing compared")
		return
	}
	official := readSchema(t, path)
	same := func(t *testing.T, where string, mine, theirs map[string]sdkType) {
		t.Helper()
		for name, m := range mine {
			o, ok := theirs[name]
			assert.Check(t, ok, "%s.%s is no property of the official package", where, name)
			assert.Check(t, equalType(m, o), "%s.%s: ours %+v, official %+v", where, name, m, o)
		}
	}
	for token, r := range ours.Resources {
		o, ok := official.Resources[token]
		assert.Assert(t, ok, token)
		same(t, token, r.InputProperties, o.InputProperties)
		same(t, token, r.Properties, o.Properties)
		assert.DeepEqual(t, r.RequiredInputs, o.RequiredInputs)
	}
	for token, ty := range ours.Types {
		same(t, token, ty.Properties, official.Types[token].Properties)
	}
	same(t, "provider", ours.Provider.InputProperties, official.Provider.InputProperties)
}

func equalType(a, b sdkType) bool {
	inner := func(x, y *sdkType) bool {
		if x == nil || y == nil {
			return x == y
		}
		return equalType(*x, *y)
	}
	return a.Type == b.Type && a.Ref == b.Ref && a.Secret == b.Secret &&
		a.WillReplaceOnChanges == b.WillReplaceOnChanges &&
		inner(a.Items, b.Items) && inner(a.AdditionalProperties, b.AdditionalProperties)
}
