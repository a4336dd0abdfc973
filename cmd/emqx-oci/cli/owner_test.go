package cli_test

import (
	"testing"

	"gotest.tools/v3/assert"
)

// An organization and a project go to the engine; files and settings know the name alone.
func TestStackOfAnOrganization(t *testing.T) {
	for args, want := range map[string]string{"up prod -y": "", "up acme/prod -y": "acme", "up acme/iot/prod -y": "acme/iot"} {
		f := &fake{}
		_, errs, exit := run(t, f, call{args: args}, nil)
		assert.Equal(t, exit, 0, "%s: %s", args, errs)
		assert.Equal(t, f.opts.Stack, "prod", args)
		assert.Equal(t, f.opts.Owner, want, args)
	}
}
