package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/diag"
	"github.com/pulumi/pulumi/sdk/v3/go/common/diag/colors"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"google.golang.org/protobuf/testing/protocmp"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/registrations"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// TestMain lets the test's binary be emqx-oci, the pulumi command below it, and the
// program that plain pulumi runs.
func TestMain(m *testing.M) {
	if registrations.FakePulumi() {
		return
	}
	switch filepath.Base(os.Args[0]) {
	case "emqx-oci":
		main()
	case "program":
		pulumi.Run(stacks.Run)
	}
	os.Exit(m.Run())
}

// The command line hands the engine what the program does, as plain Pulumi does
// (a test of the package infra): same types, names, parents, inputs, providers,
// dependencies, protection and hooks.
func TestCommandLineRegistersWhatTheProgramDoes(t *testing.T) {
	for _, stack := range []string{"lab", "staging", "prod"} {
		t.Run(stack, func(t *testing.T) {
			opts, err := example.Options(filepath.Join("..", ".."), stack, true)
			assert.NilError(t, err)
			// The lab's own stack asks for a lab that runs: the end-to-end suite has one.
			opts.Config["emqx-oci:cloud"] = "oci"
			dir := project(t, stack, opts.Config, opts.SecretKeys)
			stop, err := example.Answering(opts.Config)
			assert.NilError(t, err)
			t.Cleanup(stop)
			run := registrations.Run{Project: "emqx-oci", Stack: stack, Config: opts.Config, SecretKeys: opts.SecretKeys, Answer: opts.Call}
			want := registrations.Direct(t, stacks.Run, run)
			assert.Assert(t, len(want.Resources) > 60 && len(want.Hooks) >= 4, "the monitor saw too little: %d", len(want.Resources))

			cmd := exec.CommandContext(t.Context(), registrations.Link(t, "emqx-oci"), "preview", stack, "-C", dir)
			cmd.Env = append(os.Environ(), "PULUMI_CONFIG_PASSPHRASE=example", "EMQX_OCI_STAGE_DIR="+t.TempDir())
			got := registrations.ByCommand(t, cmd, run)
			assert.DeepEqual(t, got, want, protocmp.Transform())
		})
	}
}

// project is a folder with the stack's file, its secrets encrypted.
func project(t *testing.T, stack string, values map[string]string, secretKeys []string) string {
	t.Helper()
	dir := t.TempDir()
	text, err := os.ReadFile(filepath.Join("..", "..", "Pulumi.yaml"))
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), text, 0o600))
	text, err = os.ReadFile(filepath.Join("..", "..", "Pulumi."+stack+".yaml"))
	assert.NilError(t, err)
	path := filepath.Join(dir, "Pulumi."+stack+".yaml")
	assert.NilError(t, os.WriteFile(path, []byte(strings.Replace(string(text), "cloud: lab", "cloud: oci", 1)), 0o600))

	p, err := workspace.LoadProject(filepath.Join(dir, "Pulumi.yaml"))
	assert.NilError(t, err)
	sink := diag.DefaultSink(os.Stderr, os.Stderr, diag.FormatOptions{Color: colors.Never})
	file, err := workspace.LoadProjectStack(sink, p, path)
	assert.NilError(t, err)
	crypter := config.NewSymmetricCrypterFromPassphrase("example", []byte("saltsalt"))
	check, err := crypter.EncryptValue(t.Context(), "pulumi")
	assert.NilError(t, err)
	file.EncryptionSalt = "v1:c2FsdHNhbHQ=:" + check
	for _, key := range secretKeys {
		var fields map[string]string
		assert.NilError(t, json.Unmarshal([]byte(values[key]), &fields))
		for name, value := range fields {
			sealed, err := crypter.EncryptValue(t.Context(), value)
			assert.NilError(t, err)
			assert.NilError(t, file.Config.Set(config.MustParseKey(key+"."+name), config.NewSecureValue(sealed), true))
		}
	}
	assert.NilError(t, file.Save(path))
	return dir
}
