package cloud

import (
	"context"
	"encoding/base64"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// The current version of a secret is the last one, for instances and for the API alike; earlier ones can be asked for, and a
// lab that starts again has them.
func TestASecretHasVersions(t *testing.T) {
	l := newLab(t)
	ask := func(args Props) (string, error) {
		out, err := l.Invoke(context.Background(), getSecretbundle, args)
		if err != nil {
			return "", err
		}
		text, err := base64.StdEncoding.DecodeString(out["secretBundleContents"].([]any)[0].(Props)["content"].(string))
		return string(text), err
	}
	got, err := ask(Props{"secretId": SecretID})
	assert.NilError(t, err)
	assert.Equal(t, got, Registries)
	_, err = ask(Props{"secretId": CertificateSecretID})
	assert.ErrorContains(t, err, "NotAuthorizedOrNotFound")
	for _, text := range []string{"first", "second"} {
		assert.NilError(t, l.PutSecret(CertificateSecretID, base64.StdEncoding.EncodeToString([]byte(text))))
		got, err = ask(Props{"secretId": CertificateSecretID})
		assert.NilError(t, err)
		assert.Equal(t, got, text)
	}
	got, err = ask(Props{"secretId": CertificateSecretID, "versionNumber": "1"})
	assert.NilError(t, err)
	assert.Equal(t, got, "first")
	_, err = ask(Props{"secretId": CertificateSecretID, "versionNumber": "3"})
	assert.Assert(t, err != nil)
	assert.ErrorContains(t, l.PutSecret(CertificateSecretID, "no base64!"), "must be base64")
	assert.Assert(t, strings.Contains(l.PutSecret("ocid1.vaultsecret.oc1.lab-1.other", "eA==").Error(), "NotAuthorizedOrNotFound"))
}
