package orchestrate

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// A look at a running cluster must not need an engine, a backend or a lock.
func TestConfigurationIsReadWithoutAnEngine(t *testing.T) {
	o := project(t, "config:\n  emqx-oci:nodes: {count: 3}\n")
	o.PulumiCommand = fakePulumi(t, "echo 'nobody was to ask' >&2; exit 1\n")
	o.ExtraSecrets = map[string]string{"emqx-oci:nomad.token": "a token"}
	before := sum(t, o.ProjectDir)
	c, err := newRunner(t, o).Config(t.Context())
	assert.NilError(t, err)
	token, _ := c.Get("nomad")
	assert.Equal(t, token, `{"token":"a token"}`)
	assert.Assert(t, c.IsSecret("nomad") && !c.IsSecret("nodes"))
	assert.Equal(t, sum(t, o.ProjectDir), before)

	assert.DeepEqual(t, c.Keys(), []string{"emqx-oci:nodes", "emqx-oci:nomad"})

	o.Validate = func(Config) error { return errors.New("nodes.count: must be 1 to 100") }
	_, err = newRunner(t, o).Config(t.Context())
	var bad *ConfigError
	assert.Assert(t, errors.As(err, &bad), "%v", err)
}

func TestASecretOfAnotherStackIsNamed(t *testing.T) {
	sealed := func(phrase string) string {
		o := project(t, "config: {}\n")
		o.Env["PULUMI_CONFIG_PASSPHRASE"] = phrase
		o.ExtraSecrets = map[string]string{"emqx-oci:secrets.apiKey": "x", "emqx-oci:secrets.apiSecret": "x", "emqx-oci:license": "x"}
		_, err := newRunner(t, o).files(t.Context())
		assert.NilError(t, err)
		text, err := os.ReadFile(filepath.Join(o.StageDir, "lab", "Pulumi.lab.yaml"))
		assert.NilError(t, err)
		return string(text)
	}
	own, other := sealed("a test"), sealed("another")
	line := func(text, key string) string {
		_, rest, ok := strings.Cut(text, key+":\n")
		assert.Assert(t, ok, text)
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	mixed := strings.Replace(own, line(own, "apiSecret"), line(other, "apiSecret"), 1)
	_, err := newRunner(t, project(t, mixed)).files(t.Context())
	assert.Error(t, err, "decrypting the stack's secrets: emqx-oci:secrets.apiSecret was not encrypted for this stack (copied from another one's file?); "+
		"set it anew: pulumi config set --secret --path 'emqx-oci:secrets.apiSecret'")
	mixed = strings.Replace(mixed, line(own, "emqx-oci:license"), line(other, "emqx-oci:license"), 1)
	_, err = newRunner(t, project(t, mixed)).files(t.Context())
	assert.ErrorContains(t, err, "emqx-oci:license, emqx-oci:secrets.apiSecret were not encrypted for this stack")
}

// What stands in environments of Pulumi ESC only the engine can open.
func TestValuesOfEnvironmentsCount(t *testing.T) {
	o := project(t, "environment: [prod/network]\nconfig:\n  emqx-oci:nodes: {count: 3}\n")
	c, err := newRunner(t, o).files(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, c.values == nil, "the file alone was taken for all")
	read, err := Read(o.ProjectDir, "lab")
	assert.NilError(t, err)
	assert.DeepEqual(t, read.Environments(), []string{"prod/network"})
	assert.DeepEqual(t, read.Keys(), []string{"emqx-oci:nodes"})
}
