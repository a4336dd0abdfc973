package reference_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/internal/structconfig"
	"github.com/emqx-oci/emqx-oci/internal/structconfig/reference"
)

// oven bakes.
type oven struct {
	// What it is called.
	Name string `cfg:"name" required:"true" format:"name"`
	// Where the heat
	// comes from.
	Fuel string `cfg:"fuel" oneof:"wood|gas"`
	// May be told.
	Maker string `cfg:"maker" oneof:"a|b"`
	// Of the door.
	Key code `cfg:"key" required:"true" secret:"true" length:"4..8"`
	// Burns while it is true.
	Lit bool `cfg:"lit"`
	// By its number or what is written on it.
	Recipe string  `cfg:"recipe" required:"true" format:"recipe"`
	Heat   heat    `cfg:"heat"`
	Timer  *timer  `cfg:"timer"`
	Racks  []racks `cfg:"-"`
}

// heat is how hot it gets.
type heat struct {
	// Of the air.
	Degrees float64 `cfg:"degrees" unit:"°C" range:"50..300.5" why:"bricks | crack"`
	// Until it is hot.
	Rise time.Duration `cfg:"rise" range:"1m.."`
	// By rack.
	Racks map[string]int `cfg:"racks" keys:"name" range:"0..10" step:"5"`
	// Which ones burn.
	Burners []string `cfg:"burners" required:"true" format:"name"`
	Outer   outer    `cfg:"outer"`
}

// outer is what a hand feels.
type outer struct {
	// As a number.
	Most int `cfg:"most" default:"from degrees"`
}

type timer struct {
	// Rings it.
	After *time.Duration `cfg:"after" required:"true"`
}

type racks struct{}

type code string

func (c code) Reveal() string { return string(c) }

func spec() *structconfig.Spec {
	return structconfig.Describe(oven{Fuel: "wood", Heat: heat{Degrees: 220, Rise: 90 * time.Minute}}, structconfig.Options{
		Format: func(name string) (structconfig.Format, bool) {
			return map[string]structconfig.Format{
				"name": {Want: "a word", Short: "word", Pattern: "^[a-z]+$"},
				"recipe": {
					Want: "a number such as no.7 or a title", Short: "number or title", Pattern: `^no\.[0-9]+$`,
					Name: &structconfig.Name{NotPrefix: "no.", Length: 6},
				},
			}[name], true
		},
		Placeholder: "(sealed)",
	})
}

var sealed = reference.Object{
	"type": "object", "required": []string{"sealed"}, "additionalProperties": false,
	"properties": reference.Object{"sealed": reference.Object{"type": "string"}},
}

func describe(t *testing.T, encrypted reference.Object) *reference.Reference {
	t.Helper()
	comments, err := reference.ReadComments("reference_test.go")
	assert.NilError(t, err)
	comments["timer"] = "timer rings."
	r, err := reference.New(spec(), comments, encrypted)
	assert.NilError(t, err)
	return r
}

func TestPage(t *testing.T) {
	assert.Equal(t, string(describe(t, nil).Page("Itself")), `
## Itself

| setting | value | default | what, and why |
|---|---|---|---|
| `+"`name`"+` | word | required | What it is called. |
| `+"`fuel`"+` | `+"`wood` or `gas`"+` | `+"`wood`"+` | Where the heat comes from. |
| `+"`maker`"+` | `+"`a` or `b`"+` | none | May be told. |
| `+"`key`"+` | secret 4 to 8 characters | required | Of the door. |
| `+"`lit`"+` | `+"`true` or `false`"+` | `+"`false`"+` | Burns while it is true. |
| `+"`recipe`"+` | number or title | required | By its number or what is written on it. |

## heat

heat is how hot it gets.

| setting | value | default | what, and why |
|---|---|---|---|
| `+"`heat.degrees`"+` | °C, 50 to 300.5 | `+"`220`"+` | Of the air. Limited, because bricks \| crack. |
| `+"`heat.rise`"+` | duration, at least 1m | `+"`1h30m`"+` | Until it is hot. |
| `+"`heat.racks`"+` | word to 0 to 10 in steps of 5 | none | By rack. |
| `+"`heat.burners`"+` | list of word | required | Which ones burn. |
| `+"`heat.outer`"+` | group |  | outer is what a hand feels. |
| `+"`heat.outer.most`"+` | text | from degrees | As a number. |

## timer

timer rings.

| setting | value | default | what, and why |
|---|---|---|---|
| `+"`timer.after`"+` | duration | required | Rings it. |
`)
}

func TestAValueWithoutACommentIsRefused(t *testing.T) {
	comments, err := reference.ReadComments("reference_test.go")
	assert.NilError(t, err)
	delete(comments, "heat.Degrees")
	_, err = reference.New(spec(), comments, nil)
	assert.Error(t, err, "describing heat.degrees: field heat.Degrees has no comment")
	_, err = reference.ReadComments("none.go")
	assert.ErrorContains(t, err, "reading comments: open none.go")
}

const good = `"name": "one", "recipe": "no.7", "key": "12345"`

// The schema refuses what a schema can see, and nothing that the validation accepts.
func TestSchemaAgreesWithTheValidation(t *testing.T) {
	schema, whereEncrypted := compile(t, describe(t, nil).Schema()), compile(t, describe(t, sealed).Schema())
	for _, tc := range []struct {
		text                   string
		valid, seen, encrypted bool // by the validation, by the schemas
	}{
		{`{` + good + `, "heat": {"burners": ["a"]}}`, true, true, false},
		{`{"name": "one", "recipe": "Scones", "key": "12345", "fuel": "gas", "maker": "", "lit": true, "timer": {"after": "5m"},
			"heat": {"burners": ["a"], "degrees": 300.5, "rise": "90s", "racks": {"a": 0, "b": 10}, "outer": {"most": 3}}}`, true, true, false},
		{`{"name": "one", "recipe": "no.7", "key": {"sealed": "x"}, "heat": {"burners": ["a"]}}`, false, false, true},
		{`{"name": "one", "recipe": {"sealed": "x"}, "heat": {"burners": [{"sealed": "x"}], "rise": {"sealed": "x"}}}`, false, false, true},
		{`{` + good + `, "heat": {"burners": []}}`, false, false, false},
		{`{` + good + `, "heat": {}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["A"]}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "degrees": 301}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "degrees": "60"}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "rise": "long"}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "rise": "1s"}}`, false, true, false}, // a schema cannot count time
		{`{` + good + `, "heat": {"burners": ["a"], "racks": {"a": 4}}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "racks": {"A": 5}}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "outer": {"most": 1.5}}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"], "outer": {"more": 1}}}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"]}, "fuel": "oil"}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"]}, "maker": "c"}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"]}, "lit": "no"}`, false, false, false},
		{`{` + good + `, "heat": {"burners": ["a"]}, "timer": {}}`, false, false, false},
		{`{"name": "one", "recipe": "no.x", "key": "12345", "heat": {"burners": ["a"]}}`, false, false, false},
		{`{"name": "one", "recipe": "Too long", "key": "12345", "heat": {"burners": ["a"]}}`, false, false, false},
		{`{"name": "one", "recipe": "no.7", "key": "123", "heat": {"burners": ["a"]}}`, false, false, false},
		{`{"name": "One", "recipe": "no.7", "key": "12345", "heat": {"burners": ["a"]}}`, false, false, false},
	} {
		assert.Equal(t, accepted(t, tc.text), tc.valid, tc.text)
		assert.Equal(t, follows(t, schema, tc.text), tc.seen, tc.text)
		// There the key must not be in clear.
		assert.Equal(t, follows(t, whereEncrypted, tc.text), tc.encrypted, tc.text)
	}
}

func TestSchemaTellsWhatTheFieldsAre(t *testing.T) {
	properties := func(o reference.Object) reference.Object { return o["properties"].(reference.Object) }
	top := properties(describe(t, sealed).Schema())
	assert.DeepEqual(t, top["fuel"], reference.Object{"enum": []string{"wood", "gas"}, "default": "wood", "description": "Where the heat comes from. (wood or gas)"})
	inner := top["heat"].(reference.Object)
	assert.Equal(t, inner["description"], "heat is how hot it gets.")
	assert.DeepEqual(t, properties(inner)["rise"], reference.Object{
		"type": []string{"string", "object"}, "default": "1h30m", "description": "Until it is hot. (duration, at least 1m)",
		"pattern": `^\+?(0|(([0-9]+(\.[0-9]*)?|\.[0-9]+)(ns|us|µs|μs|ms|s|m|h))+)$`, "patternErrorMessage": `must be a duration such as "90s" or "10m"`,
		"required": []string{"sealed"}, "additionalProperties": false, "properties": sealed["properties"],
	})
}

func accepted(t *testing.T, text string) bool {
	t.Helper()
	var given map[string]json.RawMessage
	assert.NilError(t, json.Unmarshal([]byte(text), &given))
	var f fault.List
	o := oven{Fuel: "wood", Heat: heat{Degrees: 220, Rise: 90 * time.Minute}}
	spec().Decode(&f, given, &o)
	spec().Validate(&f, &o, structconfig.Validation{})
	return f.Err() == nil
}

func compile(t *testing.T, o reference.Object) *jsonschema.Schema {
	t.Helper()
	text, err := json.Marshal(o)
	assert.NilError(t, err)
	c := jsonschema.NewCompiler()
	c.Draft = jsonschema.Draft7
	assert.NilError(t, c.AddResource("schema.json", bytes.NewReader(text)))
	schema, err := c.Compile("schema.json")
	assert.NilError(t, err)
	return schema
}

func follows(t *testing.T, schema *jsonschema.Schema, text string) bool {
	t.Helper()
	var v any
	assert.NilError(t, json.NewDecoder(strings.NewReader(text)).Decode(&v))
	return schema.Validate(v) == nil
}
