package stacks_test

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/common/tokens"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/lab/providers/consul"
	"github.com/emqx-oci/emqx-oci/lab/providers/nomad"
	"github.com/emqx-oci/emqx-oci/lab/providers/oci"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// The lab's providers refuse what the official ones refuse: a property of
// another name or type, a missing one. Jobs are left to tests with a Nomad.
func TestProvidersAcceptEveryRegistration(t *testing.T) {
	providers := map[string]pulumirpc.ResourceProviderServer{
		"oci": rpc.New(oci.Plugin(nil, 0)), "nomad": rpc.New(nomad.Plugin("http://127.0.0.1:1")), "consul": rpc.New(consul.Plugin("http://127.0.0.1:1")),
	}
	for _, stack := range []string{"prod", "staging", "lab"} {
		opts, err := example.Options("..", stack, true)
		assert.NilError(t, err)
		opts.Preview = true
		stop, err := example.Answering(opts.Config)
		assert.NilError(t, err)
		t.Cleanup(stop)
		recording, err := recorder.Run(stacks.Run, opts)
		assert.NilError(t, err)
		checked := 0
		for _, x := range recording.Resources {
			if !x.Custom || strings.HasPrefix(x.Type, "pulumi:") || x.Type == "nomad:index/job:Job" {
				continue
			}
			provider := providers[strings.Split(x.Type, ":")[0]]
			assert.Assert(t, provider != nil, x.Type)
			news, err := plugin.MarshalProperties(x.Inputs, plugin.MarshalOptions{KeepUnknowns: true, KeepSecrets: true})
			assert.NilError(t, err)
			answer, err := provider.Check(t.Context(), &pulumirpc.CheckRequest{
				Urn:  string(resource.NewURN("test", "emqx-oci", "", tokens.Type(x.Type), x.Name)),
				News: news,
			})
			assert.NilError(t, err)
			for _, f := range answer.GetFailures() {
				t.Errorf("%s %s: %s %s", x.Type, x.Name, f.GetProperty(), f.GetReason())
			}
			checked++
		}
		assert.Assert(t, checked > 50, "checked only %d", checked)
	}
}
