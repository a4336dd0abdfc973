package stacks

import (
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"
)

// Wherever TLS ends, clients have four endpoints and four listeners; EMQX has four
// listeners where it ends it, and two where the proxies do. No job's text has the
// certificate.
func TestWhereTLSEnds(t *testing.T) {
	for terminate, want := range map[string]struct{ broker, tls, atProxy string }{
		"proxy":  {"{mqtt = 21883, ws = 21983}", "false", "true"},
		"broker": {"{mqtt = 21883, mqtts = 21884, ws = 21983, wss = 21984}", "true", "false"},
	} {
		t.Run(terminate, func(t *testing.T) {
			r, err := record(t, "staging", true, false, func(config map[string]string) {
				given := config["emqx-oci:tls"]
				config["emqx-oci:tls"] = strings.Replace(given, `"terminate":"broker"`, `"terminate":"`+terminate+`"`, 1)
				assert.Assert(t, strings.Contains(config["emqx-oci:tls"], `"terminate":"`+terminate+`"`))
			})
			assert.NilError(t, err)
			vars := func(name string) resource.PropertyMap {
				x, ok := r.Find("Job", name)
				assert.Assert(t, ok, name)
				for key, value := range x.Inputs {
					assert.Assert(t, !strings.Contains(value.String(), "BEGIN"), "%s of %s", key, name)
				}
				return x.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()
			}
			emqx, proxy := vars("cluster-emqx"), vars("cluster-haproxy")
			assert.Equal(t, emqx["tls"].StringValue(), want.tls)
			assert.Equal(t, emqx["ports"].StringValue(), want.broker)
			assert.Equal(t, proxy["tls_at_proxy"].StringValue(), want.atProxy)
			assert.Equal(t, proxy["ports"].StringValue(), "{mqtt = 1883, mqtts = 8883, ws = 8083, wss = 8084, admin = 8080}")
			listeners := 0
			for _, x := range r.Resources {
				if strings.HasSuffix(x.Type, "Listener") {
					listeners++
				}
			}
			assert.Equal(t, listeners, 4)
		})
	}
}
