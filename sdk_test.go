package emqxoci_test

import (
	"os"
	"reflect"
	"testing"

	"github.com/emqx-oci/emqx-oci/internal/pluginschema"
	"gotest.tools/v3/assert"
)

func readSchema(t *testing.T, path string) pluginschema.Schema {
	t.Helper()
	file, err := os.Open(path)
	assert.NilError(t, err)
	defer file.Close()
	s, err := pluginschema.Read(file)
	assert.NilError(t, err)
	return s
}

// TestNomadSDKMatchesTheOfficialSchema compares the hand-written schema with
// what the official one says of the same resources: each property must exist
// there with the same type, secrecy and replacement.
func TestNomadSDKMatchesTheOfficialSchema(t *testing.T) {
	ours := readSchema(t, "sdks/nomad/schema.json")
	assert.Equal(t, len(ours.Resources), 2)

	official, err := pluginschema.Official("nomad-2.6.1")
	assert.NilError(t, err)
	same := func(t *testing.T, where string, mine, theirs map[string]pluginschema.Property) {
		t.Helper()
		for name, m := range mine {
			o, ok := theirs[name]
			assert.Check(t, ok, "%s.%s is no property of the official package", where, name)
			assert.Check(t, reflect.DeepEqual(m, o), "%s.%s: ours %+v, official %+v", where, name, m, o)
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
