//go:build lab

package stacks

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// On the real engine, with a program of an engine's own around the recording one: warnings are shown and the preview
// goes on, errors end it with every finding.
func TestChecksOnTheRealEngine(t *testing.T) {
	dir := t.TempDir()
	for _, folder := range []string{"project", "state", "home"} {
		assert.NilError(t, os.Mkdir(filepath.Join(dir, folder), 0o700))
	}
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "project/Pulumi.yaml"), []byte("name: emqx-oci\nruntime: go\n"), 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "project/Pulumi.lab.yaml"), []byte("config: {}\n"), 0o600))
	s := exampleSettings(t, "staging")
	var shown strings.Builder
	r, err := orchestrate.New(orchestrate.Options{
		ProjectDir: dir + "/project", Stack: "lab", StageDir: dir + "/stage",
		Env: map[string]string{
			"PULUMI_BACKEND_URL": "file://" + dir + "/state", "PULUMI_HOME": dir + "/home",
			"PULUMI_CONFIG_PASSPHRASE": "a test", "PULUMI_SKIP_UPDATE_CHECK": "true",
		},
		Program: func(ctx *pulumi.Context) error { return preflightFirst(ctx, s) },
		View:    progress.NewPlain(&shown, false),
	})
	assert.NilError(t, err)

	s.Nodes.Count, s.Volumes.Count = 4, 4
	_, err = r.Preview(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, strings.Count(shown.String(), "warning: emqx-oci:nodes.count: should be odd, got 4"), 1, shown.String())

	s.Ports.WS, s.Broker.Env = 22, map[string]string{"EMQX_DURABLE_SESSIONS__ENABLE": "true"}
	_, err = r.Preview(t.Context())
	assert.ErrorContains(t, err, "emqx-oci:ports.ws: must be 1024 to 65535, because nobody here has the right to lower ports, got 22 (check port-collision)")
	assert.ErrorContains(t, err, "has no durable sessions in a cluster (check edition)")
	// The graph cannot be built with that port either: still one cause, one error.
	assert.Equal(t, strings.Count(err.Error(), "got 22"), 1, "%v", err)
}
