//go:build lab

package e2e

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// planted is an encrypted variable of EMQX's in the lab's stack: its value must stand
// nowhere in clear. A password of a key that needs none changes nothing.
const (
	plantedName  = "EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__PASSWORD"
	plantedValue = "planted-where-nobody-may-see-it"
)

// plantSecret writes the variable into the stack file.
func plantSecret(t *testing.T, b *bed) {
	b.edit(t, "  emqx-oci:broker:\n", "  emqx-oci:broker:\n    env: {"+plantedName+": "+b.encrypted(t, plantedValue)[0]+"}\n")
}

// encrypted are values as they stand in the stack file, encrypted by Pulumi itself.
func (b *bed) encrypted(t *testing.T, values ...string) (secure []string) {
	t.Helper()
	p := newPlain(t, b)
	// On a copy: Pulumi writes the whole file anew.
	dir := t.TempDir()
	for _, name := range []string{"Pulumi.yaml", "Pulumi.lab.yaml"} {
		text, err := os.ReadFile(filepath.Join(b.project, name))
		assert.NilError(t, err)
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), text, 0o600))
	}
	// Before the first update there is no stack yet.
	r := p.pulumiIn(t, dir, "stack", "init")
	assert.Assert(t, r.code == 0 || strings.Contains(r.stderr, "already exists"), "%s", r)
	for _, value := range values {
		r := p.pulumiIn(t, dir, "config", "set", "--stack", "lab", "--secret", "emqx-oci:scratch", value)
		assert.Equal(t, r.code, 0, "%s", r)
		text, err := os.ReadFile(filepath.Join(dir, "Pulumi.lab.yaml"))
		assert.NilError(t, err)
		m := regexp.MustCompile(`emqx-oci:scratch:\s+secure: (\S+)`).FindSubmatch(text)
		assert.Assert(t, m != nil, "%s", text)
		secure = append(secure, `{secure: "`+string(m[1])+`"}`)
	}
	return secure
}
