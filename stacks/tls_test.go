package stacks

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/lab/providers/consul"
	"github.com/emqx-oci/emqx-oci/lab/providers/nomad"
	"github.com/emqx-oci/emqx-oci/lab/providers/rpc"
	"github.com/emqx-oci/emqx-oci/stacks/example"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// What the providers are told of TLS and tokens is what they accept, and neither
// key nor token can be read in the state.
func TestProvidersAreToldOfTLSAndTokens(t *testing.T) {
	t.Setenv("NOMAD_TOKEN", "a-nomad-token-of-the-environment")
	t.Setenv("CONSUL_HTTP_TOKEN", "a-consul-token-of-the-environment")
	opts, err := example.Options("..", "lab", true)
	assert.NilError(t, err)
	var pair struct{ Certificate, PrivateKey, CA string }
	assert.NilError(t, json.Unmarshal([]byte(opts.Config["emqx-oci:tls"]), &pair))
	client, err := json.Marshal(map[string]string{"ca": pair.CA, "certificate": pair.Certificate, "privateKey": pair.PrivateKey})
	assert.NilError(t, err)
	for _, group := range []string{"nomad", "consul"} {
		set(t, opts.Config, group, fmt.Sprintf(`{"address": "https://127.0.0.1:1", "tls": %s}`, client))
		opts.SecretKeys = append(opts.SecretKeys, "emqx-oci:"+group)
	}
	r, err := recorder.Run(func(ctx *pulumi.Context) error {
		s, err := settings.Load(ctx.Stack(), settings.Source{Get: ctx.GetConfig, IsSecret: ctx.IsConfigSecret})
		if err != nil {
			return err
		}
		_, err = deploy(ctx, s, noGates)
		return err
	}, opts)
	assert.NilError(t, err)

	for _, c := range []struct {
		provider, token, secret string
		plugin                  rpc.Plugin
	}{
		{"nomad", "secretId", "a-nomad-token-of-the-environment", nomad.Plugin("")},
		{"consul", "token", "a-consul-token-of-the-environment", consul.Plugin("")},
	} {
		x, ok := r.Find(c.provider, c.provider)
		assert.Assert(t, ok, c.provider)
		assert.Equal(t, x.Inputs["caPem"].StringValue(), pair.CA)
		assert.Equal(t, x.Inputs["certPem"].StringValue(), pair.Certificate)
		for key, want := range map[string]string{"keyPem": pair.PrivateKey, c.token: c.secret} {
			value := x.Inputs[resource.PropertyKey(key)]
			assert.Assert(t, value.IsSecret(), "%s of the %s provider would stand in the state", key, c.provider)
			assert.Equal(t, value.SecretValue().Element.StringValue(), want)
		}

		server := rpc.New(c.plugin)
		news, err := plugin.MarshalProperties(x.Inputs, plugin.MarshalOptions{KeepSecrets: true})
		assert.NilError(t, err)
		checked, err := server.CheckConfig(t.Context(), &pulumirpc.CheckRequest{
			Urn: string(resource.NewURN("test", "emqx-oci", "", "pulumi:providers:x", c.provider)), News: news,
		})
		assert.NilError(t, err)
		assert.Equal(t, len(checked.GetFailures()), 0, "%v", checked.GetFailures())
		_, err = server.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: checked.GetInputs()})
		assert.NilError(t, err)
	}
}
