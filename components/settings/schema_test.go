package settings_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v5"
	"gopkg.in/yaml.v3"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// unseen are bad files whose fault no schema can see: in how settings fit
// together, in the value of a duration, in a range's host bits, in what Pulumi's
// reader alone refuses.
var unseen = []string{
	"auth-anonymous", "auth-certificate-at-broker", "auth-certificate-behind", "auth-certificate-of-devices", "auth-certificate-with-fields",
	"auth-certificate-without-clients", "auth-client-ids", "auth-client-ids-twice", "auth-no-gate", "auth-no-rules", "auth-servers-without-needs", "auth-sources", "auth-tokens",
	"broker-crashes-on-join", "broker-dashboard-moved", "broker-data-elsewhere", "broker-deadlines", "broker-drain",
	"broker-kill-after-progress", "broker-kill-timeout-long", "broker-kill-timeout-short", "broker-listeners-closed",
	"broker-minor-tag", "broker-moving-tag", "broker-needs-a-licence", "broker-no-tag", "broker-old",
	"broker-own-variable", "broker-roots-as-objects", "devices-key-alone", "devices-no-key", "devices-nobody-shows", "dns-apex", "dns-other-zone", "edge-ends-no-tls", "edge-flexible", "edge-half-second", "edge-timeout",
	"gates-before-nomad", "key-of-another-project",
	"listeners-all-inside", "listeners-none", "listeners-none-without-certificate", "listeners-vcn-public", "listeners-vcn-without-ranges",
	"network-host-bits", "network-of-another-region",
	"nodes-too-little-memory", "nomad-datacenter", "nomad-tls-over-http", "oci-region-mistyped", "oci-region-of-others",
	"proxy-connections", "proxy-files", "proxy-image", "proxy-kill-timeout", "proxy-memory", "secrets-missing",
	"tags-own", "tls-acme-empty", "tls-acme-private-zone", "tls-acme-unread", "tls-ca-alone", "tls-certificates-alone", "tls-certificates-at-broker", "tls-certificates-at-edge",
	"tls-clients-alone", "tls-clients-at-broker", "tls-clients-at-edge", "tls-clients-without-certificate", "tls-crl-without-clients",
	"tls-key-alone", "tls-no-key", "tls-source-at-edge", "tls-source-beside-certificate", "tls-tickets-alone", "tls-tickets-at-broker", "tls-tickets-at-edge",
	"tls-tickets-of-clients", "tls-vault-elsewhere", "tls-vault-no-secret", "tls-vault-unread",
	"volumes-adopt-and-restore", "volumes-fewer-than-nodes",
}

func TestSchemaKnowsGoodFromBad(t *testing.T) {
	schema := compiled(t)
	paths, err := filepath.Glob("../../Pulumi.*.yaml")
	assert.NilError(t, err)
	assert.Assert(t, len(paths) >= 3)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		assert.NilError(t, validate(schema, text), path)
		assert.Assert(t, bytes.HasPrefix(text, []byte("# yaml-language-server: $schema=components/settings/schema.json\n")), path)
	}
	for name, text := range stackFiles(t, "good") {
		assert.NilError(t, validate(schema, text), name)
	}
	var let []string
	for name, text := range stackFiles(t, "bad") {
		if validate(schema, text) == nil {
			let = append(let, name)
		}
	}
	slices.Sort(let)
	assert.DeepEqual(t, let, unseen)
}

func compiled(t testing.TB) *jsonschema.Schema {
	t.Helper()
	c := jsonschema.NewCompiler()
	assert.NilError(t, c.AddResource("schema.json", bytes.NewReader(settings.Schema)))
	schema, err := c.Compile("schema.json")
	assert.NilError(t, err)
	return schema
}

// validate reads the file as an editor does: without Pulumi.
func validate(schema *jsonschema.Schema, text []byte) error {
	var file any
	if err := yaml.Unmarshal(text, &file); err != nil {
		return err
	}
	body, err := json.Marshal(textKeys(file))
	if err != nil {
		return err
	}
	var v any
	if err := json.Unmarshal(body, &v); err != nil {
		return err
	}
	return schema.Validate(v)
}

// textKeys makes {1: 300} what JSON can say.
func textKeys(v any) any {
	switch v := v.(type) {
	case map[any]any:
		m := map[string]any{}
		for key, item := range v {
			m[fmt.Sprint(key)] = textKeys(item)
		}
		return m
	case map[string]any:
		for key, item := range v {
			v[key] = textKeys(item)
		}
	case []any:
		for i, item := range v {
			v[i] = textKeys(item)
		}
	}
	return v
}
