package settings

import (
	"crypto/x509"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/certs"
)

// What "emqx-oci device init" makes is taken; another authority, another key, and what is none are not.
func TestTheAuthorityOfDevices(t *testing.T) {
	certificate, key := pair(t, "mqtt.example.com")
	authority := func() (ca, key, list string) {
		a, der, err := certs.NewDeviceAuthority("devices", 24*time.Hour, time.Now())
		assert.NilError(t, err)
		key, err = certs.KeyPEM(a.Key)
		assert.NilError(t, err)
		return certs.PEM(a.Certificate), key, certs.ListPEM(der)
	}
	one, ofOne, list := authority()
	two, ofTwo, other := authority()
	for name, x := range map[string]struct{ ca, key, clientCA, crl, want string }{
		"as init makes it":        {one, ofOne, "", "", ""},
		"with other clients":      {one, ofOne, two, "", ""},
		"with its list":           {one, ofOne, "", list, ""},
		"with a list each":        {one, ofOne, two, other + list, ""},
		"with others' lists":      {one, ofOne, two, other, "emqx-oci:tls.clientCrl: must hold a list of the authority in tls.deviceCa, too, or none of its devices gets in"},
		"another key":             {one, ofTwo, "", "", `emqx-oci:tls.deviceCa: must fit secrets.deviceCaKey: that of "devices" is another ECDSA P-256 key`},
		"two":                     {one + two, ofOne, "", "", "emqx-oci:tls.deviceCa: must be one certificate, got 2"},
		"a server's":              {certificate, key, "", "", "emqx-oci:tls.deviceCa: must be the certificate of an authority, got that of "},
		"a key that is none":      {one, "-----BEGIN PRIVATE KEY-----\nAA==\n-----END PRIVATE KEY-----\n", "", "", "emqx-oci:secrets.deviceCaKey: must be "},
		"a key that is encrypted": {one, "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAA==\n-----END ENCRYPTED PRIVATE KEY-----\n", "", "", "emqx-oci:secrets.deviceCaKey: must be "},
	} {
		t.Run(name, func(t *testing.T) {
			g := good()
			tls := map[string]string{"certificate": certificate, "privateKey": key, "clients": "optional", "deviceCa": x.ca}
			if x.clientCA != "" {
				tls["clientCa"] = x.clientCA
			}
			if x.crl != "" {
				tls["clientCrl"] = x.crl
			}
			var secrets map[string]string
			assert.NilError(t, json.Unmarshal([]byte(g["secrets"]), &secrets))
			secrets["deviceCaKey"], secrets["gatePassword"] = x.key, "a-word-of-the-gate"
			for group, value := range map[string]any{
				"tls": tls, "secrets": secrets,
				"auth": map[string]any{"rules": []any{map[string]any{"permit": "allow", "topics": []string{"devices/${username}/#"}}}},
			} {
				body, err := json.Marshal(value)
				assert.NilError(t, err)
				g[group] = string(body)
			}
			g["network"] = strings.Replace(g["network"], "{", `{"privateSubnetCidr": "10.0.2.0/24", `, 1)
			s, err := load("prod", g, "secrets", "tls")
			if x.want == "" {
				assert.NilError(t, err)
				assert.Equal(t, s.DeviceAuthority().KeyUsage, x509.KeyUsageCertSign|x509.KeyUsageCRLSign)
				return
			}
			assert.ErrorContains(t, err, x.want)
		})
	}
}
