package lab

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/base64"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/config"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

func TestSecretsAreDrawnOnceAndPrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "lab")
	first, err := secrets(dir)
	assert.NilError(t, err)
	second, err := secrets(dir)
	assert.NilError(t, err)
	assert.DeepEqual(t, first, second)

	info, err := os.Stat(filepath.Join(dir, secretsFile))
	assert.NilError(t, err)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o600))

	seen := map[string]string{}
	for path, value := range first {
		assert.Assert(t, len(value) >= 12, "%s is short", path)
		assert.Equal(t, seen[value], "", "%s repeats", path)
		seen[value] = path
	}
	assert.Assert(t, cmp.Regexp("^[A-Za-z][A-Za-z0-9]{19,}$", first["emqx-oci:secrets.erlangCookie"]))
	other, err := secrets(t.TempDir())
	assert.NilError(t, err)
	for path, value := range other {
		assert.Assert(t, value != first[path], "%s is the same in two labs", path)
	}
}

func TestDamagedSecretsAreAnErrorAndStay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, secretsFile)
	assert.NilError(t, os.WriteFile(path, []byte("{"), 0o600))
	_, err := secrets(dir)
	assert.ErrorContains(t, err, "lab down")
	text, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Equal(t, string(text), "{")
}

func TestCertificatesServeTheName(t *testing.T) {
	now := time.Now()
	ca, cert, key, err := certificates("mqtt.lab.test", now)
	assert.NilError(t, err)
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	assert.NilError(t, err)
	pool := x509.NewCertPool()
	assert.Assert(t, pool.AppendCertsFromPEM([]byte(ca)))
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	assert.NilError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: "mqtt.lab.test", Roots: pool, CurrentTime: now})
	assert.NilError(t, err)
	_, err = leaf.Verify(x509.VerifyOptions{DNSName: "other.test", Roots: pool, CurrentTime: now})
	assert.Assert(t, err != nil)
}

// Pulumi.lab.yaml carries a salt of this very passphrase.
func TestPassphraseIsTheOneOfTheStackFile(t *testing.T) {
	path, err := passphrase(t.TempDir())
	assert.NilError(t, err)
	phrase, err := os.ReadFile(path)
	assert.NilError(t, err)
	text, err := os.ReadFile(filepath.Join("..", "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	m := regexp.MustCompile(`(?m)^encryptionsalt: v1:([^:]+):(\S+)$`).FindStringSubmatch(string(text))
	assert.Assert(t, m != nil)
	salt, err := base64.StdEncoding.DecodeString(m[1])
	assert.NilError(t, err)
	check, err := config.NewSymmetricCrypterFromPassphrase(string(phrase), salt).DecryptValue(t.Context(), m[2])
	assert.NilError(t, err)
	assert.Equal(t, check, "pulumi")
}

func TestPassphraseOfAnOlderLabStays(t *testing.T) {
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "passphrase"), []byte("drawn"), 0o600))
	path, err := passphrase(dir)
	assert.NilError(t, err)
	phrase, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Equal(t, string(phrase), "drawn")
}
