package orchestrate

import (
	"errors"
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

	o.Validate = func(Config) error { return errors.New("nodes.count: must be 1 to 100") }
	_, err = newRunner(t, o).Config(t.Context())
	var bad *ConfigError
	assert.Assert(t, errors.As(err, &bad), "%v", err)
}
