package table_test

import (
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

const rows = `
resource test:index/thing:Thing
  in kind string required replace
  in name string replace computed autoname
  in size integer
  in ratio number
  in on bool default=true
  in tags map(string) computed
  in owner string watched
  in check object(Check)
  in items set(object(Item))
  in list list(string)
  out id string
  out time string volatile

object Check
  in port integer required
  in path string

object Item
  in rdata string required
  in ttl integer
`

func thing(t *testing.T) *table.Resource {
	t.Helper()
	s, err := table.Parse(rows)
	assert.NilError(t, err)
	return s.Resources["test:index/thing:Thing"]
}

func props(m map[string]any) resource.PropertyMap { return resource.NewPropertyMapFromMap(m) }

func TestCheckSaysEverythingAtOnceInTheRealWords(t *testing.T) {
	got := thing(t).In.Check("x", props(map[string]any{
		"bogus": 1,
		"size":  1.5,
		"tags":  []any{"a"},
		"list":  "a",
		"check": map[string]any{"path": "/", "prot": "HTTP"},
		"items": []any{map[string]any{"rdata": "1"}, map[string]any{"ttl": "soon"}, "x"},
	}))
	assert.DeepEqual(t, got, []string{
		"Missing required property 'kind'",
		"Attribute must be a whole number, got 1.5. Examine values at 'x.size'.",
		"Attribute must be a map. Examine values at 'x.tags'.",
		"Missing required property 'check.port'",
		"Invalid or unknown key. Examine values at 'x.check.prot'.",
		"Missing required property 'items[1].rdata'",
		`cannot parse '' as int: strconv.ParseFloat: parsing "soon": invalid syntax. Examine values at 'x.items[1].ttl'.`,
		"Expected Object Type. Expected object, got string. Examine values at 'x.items[2]'.",
		"Attribute must be a list. Examine values at 'x.list'.",
		"Invalid or unknown key. Examine values at 'x.bogus'.",
	})
}

func TestCheckLetsUnknownsAndSecretsAndTextForNumbersPass(t *testing.T) {
	in := props(map[string]any{"size": "3", "on": "true", "tags": map[string]any{"a": 1}})
	in["kind"] = resource.MakeComputed(resource.NewProperty(""))
	in["check"] = resource.MakeSecret(resource.NewProperty(props(map[string]any{"port": 1})))
	in["items"] = resource.MakeOutput(resource.NewProperty(""))
	in["__defaults"] = resource.NewProperty([]resource.PropertyValue{})
	assert.Equal(t, len(thing(t).In.Check("x", in)), 0)
}

func TestCheckRefusesWrongTypes(t *testing.T) {
	for want, v := range map[string]any{
		"Attribute must be a single value, not a list. Examine values at 'x.kind'.":                                []any{1},
		"Attribute must be a single value, not a map. Examine values at 'x.kind'.":                                 map[string]any{},
		`cannot parse '' as bool: strconv.ParseBool: parsing "perhaps": invalid syntax. Examine values at 'x.on'.`: "perhaps",
		"Inappropriate value: a number is required, got bool. Examine values at 'x.size'.":                         true,
	} {
		in := props(map[string]any{"kind": "k"})
		switch v.(type) {
		case string:
			in["on"] = resource.NewPropertyValue(v)
		case bool:
			in["size"] = resource.NewPropertyValue(v)
		default:
			in["kind"] = resource.NewPropertyValue(v)
		}
		assert.DeepEqual(t, thing(t).In.Check("x", in), []string{want})
	}
}

func TestNullIsMissing(t *testing.T) {
	got := thing(t).In.Check("x", resource.PropertyMap{"kind": resource.NewNullProperty()})
	assert.DeepEqual(t, got, []string{"Missing required property 'kind'"})
}

func TestParseRefusesATableThatSaysNothing(t *testing.T) {
	for text, want := range map[string]string{
		"resource a\n  in x strin\n":               "no type",
		"resource a\n  in x list\n":                "no type",
		"resource a\n  in x string requird\n":      "unknown word",
		"resource a\n  in x object(Nobody)\n":      "object Nobody is used but has no properties",
		"  in x string\n":                          "no place",
		"resource\n":                               "opens no section",
		"object A\n  out x string\n":               "no place",
		"resource a\n  in x string default=nope\n": "default of x",
		"resource a\n  in x\n":                     "want in|out",
	} {
		_, err := table.Parse(text)
		assert.ErrorContains(t, err, want)
	}
}

func TestAutonameKeepsTheNameItMade(t *testing.T) {
	r := thing(t)
	first := r.In.Autoname("x", "abc", nil, props(map[string]any{"kind": "k"}))
	assert.Equal(t, first["name"].StringValue(), "x-abc")
	again := r.In.Autoname("x", "def", first, props(map[string]any{"kind": "k"}))
	assert.Equal(t, again["name"].StringValue(), "x-abc")
	chosen := r.In.Autoname("x", "def", first, props(map[string]any{"kind": "k", "name": "mine"}))
	assert.Equal(t, chosen["name"].StringValue(), "mine")
	_, marked := chosen["__defaults"]
	assert.Assert(t, !marked)
	anew := r.In.Autoname("x", "ghi", chosen, props(map[string]any{"kind": "k"}))
	assert.Equal(t, anew["name"].StringValue(), "x-ghi", "a chosen name is not kept once it is left out")
}
