package nomad

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/lab/providers/table"
)

const declared = `
variable "image" {
  type = string
}
variable "count" {
  type    = number
  default = 1
}
variable "plain" {
  default = "x"
}
variable "tls" {
  type    = bool
  default = false
}
variable "env" {
  type    = map(string)
  default = {}
}
job "a" {}
`

func TestVariablesBecomeAVariablesFile(t *testing.T) {
	got, err := spec{text: declared, vars: map[string]string{
		"image": `a"b ${x} %{y}`, "count": "3", "plain": "007", "tls": "true", "env": `{"A" = "1"}`,
	}}.variables()
	assert.NilError(t, err)
	assert.Equal(t, got, `image = "a\"b $${x} %%{y}"
count = "3"
plain = "007"
tls = true
env = {"A" = "1"}
`)
}

func TestVariablesFailWithoutAServer(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		vars map[string]string
		want string
	}{
		"not set":      {declared, nil, `Unset variable "image"`},
		"not declared": {declared, map[string]string{"image": "a", "imag": "b"}, `A "imag" variable was passed`},
		"no syntax":    {"job {", nil, "input.hcl:1"},
		"no value":     {declared, map[string]string{"image": "a", "env": "{"}, "value for var.env"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := spec{text: c.text, vars: c.vars}.variables()
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func job() *table.Resource { return table.MustParse(rows).Resources[jobToken] }

func plan(t *testing.T, address string, state rpc.Props, olds, news resource.PropertyMap) (*rpc.Plan, error) {
	t.Helper()
	c, err := open(address, nil)
	assert.NilError(t, err)
	d := job().Diff(olds, nil, news, nil)
	p := &rpc.Plan{State: state, News: news, Diff: &d}
	return p, c.(rpc.Planner).Plan(t.Context(), job(), p)
}

func in(m map[string]any) resource.PropertyMap { return resource.NewPropertyMapFromMap(m) }

// nobody is an address where no server answers.
const nobody = "http://127.0.0.1:1"

func TestPreviewOfACreateWithoutAServer(t *testing.T) {
	ok := in(map[string]any{"jobspec": declared, "hcl2": map[string]any{"vars": map[string]any{"image": "a"}}})
	_, err := plan(t, nobody, nil, nil, ok)
	assert.NilError(t, err, "the server may be part of what is created")

	_, err = plan(t, nobody, nil, nil, in(map[string]any{"jobspec": declared}))
	assert.ErrorContains(t, err, `error parsing jobspec: `)
	assert.ErrorContains(t, err, `Unset variable "image"`)

	unknown := ok.Copy()
	unknown["hcl2"] = resource.NewProperty(resource.PropertyMap{"vars": resource.NewProperty(resource.PropertyMap{
		"image": resource.MakeComputed(resource.NewProperty("")),
	})})
	_, err = plan(t, nobody, nil, nil, unknown)
	assert.ErrorContains(t, err, `Unset variable "image"`, "one unknown variable fails the preview")

	unknown["jobspec"] = resource.MakeComputed(resource.NewProperty(""))
	_, err = plan(t, nobody, nil, nil, unknown)
	assert.NilError(t, err, "a text unknown as a whole is not looked at")
}

// fakeNomad parses any text into job b, and knows job a at modify index 7.
func fakeNomad(t *testing.T) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/v1/jobs/parse":
			id := "a"
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "renamed") {
				id = "b"
			}
			if strings.Contains(string(body), "bad") {
				http.Error(w, "Failed to parse job: input.hcl:1,1-2: nonsense", http.StatusBadRequest)
				return
			}
			_, _ = w.Write([]byte(`{"ID":"` + id + `","Name":"` + id + `","Datacenters":["dc1"]}`))
		case "/v1/job/a":
			_, _ = w.Write([]byte(`{"ID":"a","JobModifyIndex":7}`))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func TestPlanOfAnUpdate(t *testing.T) {
	address := fakeNomad(t)
	state := func(index string) rpc.Props {
		return rpc.Props{"id": "a", "name": "a", "namespace": "default", "modifyIndex": index}
	}
	old := in(map[string]any{"jobspec": `job "a" {}`})

	p, err := plan(t, address, state("7"), old, in(map[string]any{"jobspec": `job "a" { type = "batch" }`}))
	assert.NilError(t, err)
	assert.Assert(t, !p.Diff.Replace())
	assert.Equal(t, p.Known["name"], "a")

	_, err = plan(t, address, state("6"), old, in(map[string]any{"jobspec": `job "a" { type = "batch" }`}))
	assert.Error(t, err, "job modify index has changed since last refresh")

	with := func(name, value string) resource.PropertyMap {
		return in(map[string]any{"jobspec": "variable \"b\" {}\njob \"a\" {}", "hcl2": map[string]any{"vars": map[string]any{name: value}}})
	}
	_, err = plan(t, address, state("6"), with("b", "1"), with("c", "1"))
	assert.ErrorContains(t, err, `Unset variable "b"`)
	p, err = plan(t, address, state("6"), with("b", "1"), with("b", "2"))
	assert.NilError(t, err, "nothing is compared where only variables change")
	assert.Equal(t, len(p.Diff.Changes), 1)

	p, err = plan(t, address, state("6"), old, in(map[string]any{"jobspec": `job "renamed" {}`}))
	assert.NilError(t, err)
	assert.Assert(t, p.Diff.Replace(), "another job id is another job")

	p, err = plan(t, address, state("6"), old, in(map[string]any{"jobspec": `job "renamed" {}`, "deregisterOnIdChange": false}))
	assert.NilError(t, err)
	assert.Assert(t, !p.Diff.Replace())

	_, err = plan(t, address, state("7"), old, in(map[string]any{"jobspec": `job "bad" {}`}))
	assert.Error(t, err, "error parsing jobspec: input.hcl:1,1-2: nonsense")
}

func TestDeadJobIsADifferenceOnlyWithRerunIfDead(t *testing.T) {
	state := rpc.Props{"id": "a", "name": "a", "namespace": "default", "status": "dead"}
	same := in(map[string]any{"jobspec": "x"})
	p, err := plan(t, nobody, state, same, same)
	assert.NilError(t, err)
	assert.Equal(t, len(p.Diff.Changes), 0)

	rerun := in(map[string]any{"jobspec": "x", "rerunIfDead": true})
	p, err = plan(t, nobody, state, rerun, rerun)
	assert.NilError(t, err)
	assert.Equal(t, len(p.Diff.Changes), 1)
}

func TestVariableIsCheckedAsThePluginDoes(t *testing.T) {
	r := table.MustParse(rows).Resources[variableToken]
	items := map[string]any{"k": "v"}
	for path, want := range map[string]string{
		"a b":                    "contains invalid characters",
		"nomad":                  "reserved top-level",
		"nomad/other":            "only paths at",
		"nomad/job-templates":    "write variables at the level below",
		strings.Repeat("a", 129): "less than 128",
	} {
		got := check(r, "x", in(map[string]any{"path": path, "items": items}))
		assert.Equal(t, len(got), 1, path)
		assert.Assert(t, strings.Contains(got[0], want), got[0])
		assert.Assert(t, strings.HasSuffix(got[0], "Examine values at 'x.path'."), got[0])
	}
	assert.Equal(t, len(check(r, "x", in(map[string]any{"path": "nomad/jobs/a", "items": items}))), 0)
	assert.Equal(t, len(check(r, "x", in(map[string]any{"path": "a"}))), 1)
	assert.Equal(t, len(check(r, "x", in(map[string]any{"path": "a", "items": items, "itemsWo": "{}", "itemsWoVersion": 1}))), 1)
}
