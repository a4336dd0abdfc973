package lab

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
	"time"

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

func TestPassphraseIsDrawnOnce(t *testing.T) {
	dir := t.TempDir()
	path, err := passphrase(dir)
	assert.NilError(t, err)
	first, err := os.ReadFile(path)
	assert.NilError(t, err)
	_, err = passphrase(dir)
	assert.NilError(t, err)
	again, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.DeepEqual(t, first, again)
	assert.Assert(t, len(first) > 30)
}
