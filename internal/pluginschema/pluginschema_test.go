package pluginschema

import (
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// What is reduced has the types behind types, and nothing that nobody asked for.
func TestReduceKeepsWhatIsReferredTo(t *testing.T) {
	s, err := Read(strings.NewReader(`{
		"resources": {
			"a:index/x:X": {"inputProperties": {"y": {"type": "array", "items": {"$ref": "#/types/a:index/Y:Y"}, "description": "long"}}},
			"a:index/other:Other": {"inputProperties": {"o": {"$ref": "#/types/a:index/O:O"}}}},
		"types": {
			"a:index/Y:Y": {"properties": {"z": {"type": "object", "additionalProperties": {"$ref": "#/types/a:index/Z:Z"}}}},
			"a:index/Z:Z": {"properties": {"y": {"$ref": "#/types/a:index/Y:Y"}}},
			"a:index/O:O": {}}}`))
	assert.NilError(t, err)
	r, err := Reduce(s, []string{"a:index/x:X"})
	assert.NilError(t, err)
	assert.Equal(t, len(r.Resources), 1)
	assert.Equal(t, len(r.Types), 2)
	assert.Equal(t, r.Types["a:index/Z:Z"].Properties["y"].Ref, "#/types/a:index/Y:Y")

	_, err = Reduce(s, []string{"a:index/z:Z"})
	assert.ErrorContains(t, err, `neither a resource nor a function "a:index/z:Z"`)
}

func TestAnUnknownSchemaNamesTheKnownOnes(t *testing.T) {
	_, err := Official("nomad-0")
	assert.ErrorContains(t, err, "official/nomad-2.6.1.json")
}
