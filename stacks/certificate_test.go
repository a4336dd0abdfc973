package stacks

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// A file with Windows' line ends, and one with what openssl writes around a certificate, are the same cluster: the same job,
// and the same secrets for it.
func TestLineEndsOfACertificateChangeNothing(t *testing.T) {
	opts, err := example.Options("..", "prod", true)
	assert.NilError(t, err)
	var given map[string]string
	assert.NilError(t, json.Unmarshal([]byte(opts.Config["emqx-oci:tls"]), &given))
	record := func(paste func(string) string) []recorder.Resource {
		values := maps.Clone(given)
		for _, key := range []string{"certificate", "privateKey", "ca"} {
			values[key] = paste(given[key])
		}
		body, err := json.Marshal(values)
		assert.NilError(t, err)
		opts.Config["emqx-oci:tls"] = string(body)
		r, err := recorder.Run(func(ctx *pulumi.Context) error {
			s, err := load(ctx)
			if err == nil {
				_, err = deploy(components.WithoutGates(ctx), s)
			}
			return err
		}, opts)
		assert.NilError(t, err)
		return r.Resources
	}
	inputs := func(all []recorder.Resource) map[string]string {
		texts := map[string]string{}
		for _, r := range all {
			properties, err := plugin.MarshalProperties(r.Inputs, plugin.MarshalOptions{KeepSecrets: true, KeepUnknowns: true, KeepResources: true})
			assert.NilError(t, err)
			body, err := json.Marshal(properties.AsMap())
			assert.NilError(t, err)
			texts[r.Type+" "+r.Name] = string(body)
		}
		return texts
	}
	want := inputs(record(func(s string) string { return s }))
	held := false
	for _, text := range want {
		held = held || strings.Contains(text, strings.Split(given["certificate"], "\n")[1])
	}
	assert.Assert(t, held, "the test must see the certificate")
	for name, paste := range map[string]func(string) string{
		"CRLF":     func(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") },
		"comments": func(s string) string { return "Bag Attributes\n    friendlyName: mqtt\n" + s + "\n" },
	} {
		assert.DeepEqual(t, inputs(record(paste)), want)
		t.Log(name, "is the same")
	}
}
