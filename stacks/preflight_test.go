package stacks

import (
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// Errors of the checks end the program before anything is registered, all in
// one error.
func TestRunBeginsWithTheChecks(t *testing.T) {
	opts, err := example.Options("..", "prod", false)
	assert.NilError(t, err)
	opts.Preview = true
	opts.Config["emqx-oci:broker"] = `{"memoryMb": 20480, "env": {"EMQX_MQTT__X": "a#b", "EMQX_FILE_TRANSFER__ENABLE": "true"}}`
	r, err := recorder.Run(Run, opts)
	assert.ErrorContains(t, err, `emqx-oci:broker.env.EMQX_MQTT__X: must be quoted inside`)
	assert.ErrorContains(t, err, `has nothing of this part (check edition)`)
	assert.Equal(t, len(r.Resources), 0)
}

// exampleSettings are those of a stack of the tree with a certificate.
func exampleSettings(t *testing.T, stack string) settings.Settings {
	t.Helper()
	opts, err := example.Options("..", stack, true)
	assert.NilError(t, err)
	s, err := settings.Load(stack, settings.Source{
		Get:      func(key string) (string, bool) { v, ok := opts.Config[key]; return v, ok },
		IsSecret: func(string) bool { return true }, Getenv: func(string) string { return "" },
	})
	assert.NilError(t, err)
	return s
}

// A look without the cloud and without the secrets sees the graph that an
// update registers.
func TestRecordIsTheGraph(t *testing.T) {
	s := exampleSettings(t, "prod")
	var hidden settings.Secret = "[secret]"
	assert.Assert(t, hidden.Hidden())
	s.Secrets = settings.Secrets{ErlangCookie: hidden, APIKey: hidden}
	s.TLS.Certificate, s.TLS.PrivateKey, s.TLS.CA = hidden, hidden, ""
	s.OCI.AvailabilityDomains, s.Network.VCN, s.Network.PrivateSubnet = nil, "by-name", "by-name"

	got, err := Record(s)
	assert.NilError(t, err)
	want := mustRecord(t, "prod", true, true)
	assert.DeepEqual(t, namesOf(got), namesOf(want.Resources))
}

func namesOf(all []recorder.Resource) []string {
	var names []string
	for _, r := range all {
		names = append(names, r.Type+" "+r.Name)
	}
	slices.SortFunc(names, strings.Compare)
	return names
}
