package stacks

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// A stack with an authority of devices is planned without a cloud: both jobs know of it, HAProxy has its certificate, and
// its key stands nowhere.
func TestTheAuthorityOfDevicesReachesTheJobs(t *testing.T) {
	authority, _, err := certs.NewDeviceAuthority("devices", time.Hour, time.Now())
	assert.NilError(t, err)
	key, err := certs.KeyPEM(authority.Key)
	assert.NilError(t, err)
	set := func(text string, values map[string]any) string {
		group := map[string]any{}
		if text != "" {
			assert.NilError(t, json.Unmarshal([]byte(text), &group))
		}
		for name, value := range values {
			group[name] = value
		}
		body, err := json.Marshal(group)
		assert.NilError(t, err)
		return string(body)
	}
	r, err := record(t, "staging", true, false, func(config map[string]string) {
		config["emqx-oci:tls"] = set(config["emqx-oci:tls"], map[string]any{"terminate": "proxy", "clients": "optional", "deviceCa": certs.PEM(authority.Certificate)})
		config["emqx-oci:secrets"] = set(config["emqx-oci:secrets"], map[string]any{"deviceCaKey": key, "gatePassword": "a-word-of-the-gate"})
		config["emqx-oci:network"] = set(config["emqx-oci:network"], map[string]any{"privateSubnetCidr": "10.0.2.0/24"})
		config["emqx-oci:auth"] = `{"rules":[{"permit":"allow","topics":["devices/${username}/#"]}]}`
	})
	assert.NilError(t, err)
	var body []string
	for line := range strings.Lines(key) {
		if !strings.Contains(line, "-----") {
			body = append(body, strings.TrimSpace(line))
		}
	}
	for _, x := range r.Resources {
		for name, value := range x.Inputs {
			for _, part := range body {
				assert.Assert(t, !strings.Contains(value.String(), part), "the key stands in %s of %s", name, x.Name)
			}
		}
	}
	job := func(name string) map[string]any {
		x, ok := r.Find("Job", name)
		assert.Assert(t, ok, name)
		return x.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue().Mappable()
	}
	assert.Assert(t, strings.Contains(job("cluster-emqx")["devices"].(string), "-module(emqx_oci_devices)"))
	assert.Equal(t, job("cluster-haproxy")["tls_devices"], "true")
}
