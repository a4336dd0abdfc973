package emqxoci_test

import (
	"encoding/json"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/sdks/nomad"
)

// pins are the programs that this tree names a version of: where it is read from, which
// line it has to be of, and when that line gets no more fixes. despite is the reason why
// one is kept after its end.
var pins = []struct {
	program, file, pattern, line string
	end                          string // yyyy-mm-dd; empty where none is announced
	source, despite              string
}{
	{
		"EMQX", "components/cluster/image.go", `emqx/emqx:([0-9.]+)`, "5.8", "2026-02-27",
		"EMQX's documents, \"Product support periods\"", "the last line of which anybody may run a cluster (ADR 0037)",
	},
	{"HAProxy", "components/settings/defaults.go", `haproxy:([0-9.]+)`, "3.2", "2030-04-01", "haproxy.org, table of branches: LTS to 2030", ""},
	{
		"Nomad", "components/cluster/names.go", `DefaultNomadVersion += "(1\.11\.[0-9]+)"`, "1.11", "2027-11-01",
		"HashiCorp's support policy: two years from a line's release, 2025-11", "",
	},
	{
		"Consul", "components/cluster/names.go", `DefaultConsulVersion += "(1\.22\.[0-9]+)"`, "1.22", "2027-10-01",
		"HashiCorp's support policy: two years from a line's release, 2025-10", "",
	},
	{"Docker", "components/hosts/ocihosts/boot.go", `DockerVersion, "([0-9.]+)"`, "29", "", "moby, BRANCHES-AND-TAGS.md: maintained until the next line", ""},
	{"Go", "go.mod", `toolchain go([0-9.]+)`, "1.26", "2027-02-01", "go.dev, release policy: until the second line after it, 2027-02", ""},
	{"Pulumi", "tools/pulumi/go.mod", `github.com/pulumi/pulumi/pkg/v3 v([0-9.]+)`, "3", "", "Pulumi supports the newest 3.x", ""},
}

// A line that has ended since fails this test: move the pin, or say why it stays.
func TestPinsAreOfLinesThatAreSupported(t *testing.T) {
	for _, p := range pins {
		text, err := os.ReadFile(p.file)
		assert.NilError(t, err)
		m := regexp.MustCompile(p.pattern).FindStringSubmatch(string(text))
		assert.Assert(t, m != nil, "%s has no version of %s", p.file, p.program)
		assert.Assert(t, strings.HasPrefix(m[1]+".", p.line+"."), "%s %s in %s is not of line %s: when does its own end?", p.program, m[1], p.file, p.line)
		assert.Assert(t, p.source != "", p.program)
		if p.end == "" {
			continue
		}
		end, err := time.Parse(time.DateOnly, p.end)
		assert.NilError(t, err)
		over := time.Now().After(end)
		assert.Assert(t, !over || p.despite != "", "%s %s gets no more fixes since %s (%s)", p.program, p.line, p.end, p.source)
		assert.Assert(t, over || p.despite == "", "%s %s has not ended: its exception is for later", p.program, p.line)
	}
}

// TestPluginVersionsAreThoseOfTheSDKs: the engine downloads the plugin that an SDK names,
// so the versions of the SDKs, of the lab's providers and on the page are one.
func TestPluginVersionsAreThoseOfTheSDKs(t *testing.T) {
	read := func(path string) string {
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		return string(text)
	}
	one := func(text, pattern string) string {
		found := regexp.MustCompile(pattern).FindStringSubmatch(text)
		assert.Assert(t, found != nil, pattern)
		return found[1]
	}
	modules, page := read("go.mod"), read("docs/tasks/first-deployment.md")
	for _, plugin := range []string{"oci", "nomad", "consul"} {
		var sdk string
		if plugin == "nomad" {
			sdk = one(read("sdks/nomad/schema.json"), `"version": "([^"]+)"`)
		} else {
			sdk = one(modules, `github.com/pulumi/pulumi-`+plugin+`/sdk/v\d+ v(\S+)`)
		}
		lab := map[string]string{"oci": "oci.go", "nomad": "provider.go", "consul": "provider.go"}[plugin]
		assert.Equal(t, one(read("lab/providers/"+plugin+"/"+lab), `const Version = "([^"]+)"`), sdk, plugin)
		assert.Equal(t, one(page, "(?m)^\\| `"+plugin+"` \\| (\\S+) \\|"), sdk, plugin)
	}
}

// TestNomadSDKNamesItsPlugin: the engine is asked for the plugin of the schema's version.
func TestNomadSDKNamesItsPlugin(t *testing.T) {
	text, err := os.ReadFile("sdks/nomad/schema.json")
	assert.NilError(t, err)
	var schema struct{ Version string }
	assert.NilError(t, json.Unmarshal(text, &schema))
	var asked string
	err = pulumi.RunErr(func(ctx *pulumi.Context) error {
		_, err := nomad.NewProvider(ctx, "nomad", &nomad.ProviderArgs{Address: pulumi.String("http://localhost")})
		return err
	}, pulumi.WithMocks("project", "stack", mocks(func(r pulumi.MockResourceArgs) {
		asked = r.RegisterRPC.GetVersion()
	})))
	assert.NilError(t, err)
	assert.Equal(t, asked, schema.Version)
}

type mocks func(pulumi.MockResourceArgs)

func (m mocks) NewResource(r pulumi.MockResourceArgs) (string, resource.PropertyMap, error) {
	m(r)
	return r.Name, r.Inputs, nil
}

func (mocks) Call(pulumi.MockCallArgs) (resource.PropertyMap, error) { return nil, nil }
