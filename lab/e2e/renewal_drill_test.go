//go:build lab && drill

package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oracle/oci-go-sdk/v65/common"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// TestCertificatesAreRenewed is the chapter of TestAccess on a lab of its own.
func TestCertificatesAreRenewed(t *testing.T) {
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	b.chapter(t, "certificates are renewed by others", certificatesAreRenewed)
	b.chapter(t, "a certificate from the vault", certificateFromTheVault)
}

// putSecret makes a new version of a secret in the lab's vault, over its API.
func (b *bed) putSecret(t *testing.T, id, text string) {
	t.Helper()
	var env map[string]string
	assert.NilError(t, json.Unmarshal([]byte(b.must(t, "lab", "env", "--json").stdout), &env))
	key, err := os.ReadFile(env["TF_VAR_private_key_path"])
	assert.NilError(t, err)
	who := common.NewRawConfigurationProvider(env["TF_VAR_tenancy_ocid"], env["TF_VAR_user_ocid"], env["TF_VAR_region"], env["TF_VAR_fingerprint"], string(key), nil)
	first, _, _ := strings.Cut(env["CLIENT_HOST_OVERRIDES"], ";")
	_, url, _ := strings.Cut(first, "=")
	body := fmt.Sprintf(`{"secretContent": {"contentType": "BASE64", "content": %q}}`, base64.StdEncoding.EncodeToString([]byte(text)))
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url+"/20180608/secrets/"+id, strings.NewReader(body))
	assert.NilError(t, err)
	request.Header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	request.Header.Set("Content-Type", "application/json")
	assert.NilError(t, common.DefaultRequestSigner(who).Sign(request))
	answer, err := http.DefaultClient.Do(request)
	assert.NilError(t, err)
	defer func() { _ = answer.Body.Close() }()
	said, _ := io.ReadAll(answer.Body)
	assert.Equal(t, answer.StatusCode, http.StatusOK, "%s", said)
}

// certificateFromTheVault: a new version of the secret reaches those who come, by one command, and cuts nobody off; one that
// clients would refuse is not handed over.
func certificateFromTheVault(t *testing.T, b *bed) {
	own := newSigner(t, "the vault's")
	b.trusts(t, inPEM("CERTIFICATE", own.cert.Raw))
	text, err := os.ReadFile(filepath.Join(b.project, "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	at := strings.Index(string(text), "source: acme")
	end := at + strings.Index(string(text)[at:], tlsAtProxy)
	b.write(t, "Pulumi.lab.yaml", string(text[:at])+"source: vault\n    vaultSecret: "+cloud.CertificateSecretID+"\n    "+string(text[end:]))
	r := b.run(t, "certificate", "renew", "lab")
	assert.Assert(t, r.code == 1 && strings.Contains(r.stderr, "reading the secret tls.vaultSecret"), "%s", r)
	certificate, key := own.pair(t)
	b.putSecret(t, cloud.CertificateSecretID, certificate+key)
	b.underLoadOf(t, func() {
		b.must(t, "certificate", "renew", "lab")
		b.shownEverywhere(t, "the vault's")
	})
	_, another := own.pair(t)
	b.putSecret(t, cloud.CertificateSecretID, certificate+another)
	r = b.run(t, "certificate", "renew", "lab")
	assert.Assert(t, r.code == 1 && strings.Contains(r.stderr, "its certificate must fit its key"), "%s", r)
	b.shownEverywhere(t, "the vault's")
	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	b.well(t, 20*time.Second)
}
