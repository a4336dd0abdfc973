package main

import (
	"os"
	"path/filepath"
	"testing"

	"google.golang.org/protobuf/testing/protocmp"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/registrations"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// TestMain lets the test's binary be the program itself.
func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "program" {
		main()
		return
	}
	os.Exit(m.Run())
}

// What a language host runs for `pulumi up` is the same function that emqx-oci
// runs: a test of cmd/emqx-oci compares that entry with the same recording.
func TestPlainPulumiRegistersWhatTheProgramDoes(t *testing.T) {
	for _, stack := range []string{"lab", "staging", "prod"} {
		t.Run(stack, func(t *testing.T) {
			opts, err := example.Options("..", stack, true)
			assert.NilError(t, err)
			stop, err := example.Answering(opts.Config)
			assert.NilError(t, err)
			t.Cleanup(stop)
			run := registrations.Run{Project: "emqx-oci", Stack: stack, Config: opts.Config, SecretKeys: opts.SecretKeys, Answer: opts.Call}
			want := registrations.Direct(t, stacks.Run, run)
			assert.Assert(t, len(want.Resources) > 60 && len(want.Hooks) >= 4, "the monitor saw too little: %d", len(want.Resources))
			assert.DeepEqual(t, registrations.Plain(t, registrations.Link(t, "program"), run), want, protocmp.Transform())
		})
	}
}
