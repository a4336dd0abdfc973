//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// backups takes the data out of the cluster, makes the cluster anew, with nothing in
// it, and puts the data back: what was retained comes to a subscriber again.
func backups(t *testing.T, b *bed) {
	const topics = 6
	for i := range topics {
		// Noise does not compress: the file takes several pieces on its way.
		b.must(t, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
			"head -c 400000 /dev/urandom | base64 -w0 >/tmp/e2e-backup; mosquitto_pub -h %s -q 1 -r -t e2e/backup/%d -f /tmp/e2e-backup; rm /tmp/e2e-backup", name, i))
	}
	sums := func() string {
		t.Helper()
		r := b.must(t, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
			"mosquitto_sub -h %s -q 1 -t e2e/backup/# -C %d -W 20 -F '%%t %%p' | sort | sha256sum", name, topics))
		return r.stdout
	}
	before := sums()

	file := filepath.Join(b.project, "data.tar.gz")
	r := b.must(t, "backup", "lab", "--out", file, "--json")
	var taken struct {
		Size   int64
		Tables []string
	}
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &taken))
	info, err := os.Stat(file)
	assert.NilError(t, err)
	assert.Equal(t, info.Size(), taken.Size)
	assert.Assert(t, taken.Size > 2<<20, "%d bytes", taken.Size)
	assert.Equal(t, info.Mode().Perm(), os.FileMode(0o600))
	assert.Assert(t, strings.Contains(strings.Join(taken.Tables, " "), "emqx_retainer_message"), "%v", taken.Tables)
	r = b.run(t, "backup", "lab", "--out", file)
	assert.Equal(t, r.code, 2, "a backup replaces nothing: %s", r)

	b.must(t, "destroy", "lab", "--yes")
	b.must(t, "up", "lab", "--yes")
	r = b.run(t, "restore", "lab", filepath.Join(b.project, "Pulumi.lab.yaml"), "--yes")
	assert.Equal(t, r.code, 1, "no backup: %s", r)
	r = b.must(t, "restore", "lab", file, "--yes", "--json")
	var restored struct {
		RetainedBefore, RetainedAfter map[string]int
	}
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &restored))
	assert.Equal(t, len(restored.RetainedAfter), 3)
	for node, n := range restored.RetainedAfter {
		assert.Equal(t, restored.RetainedBefore[node], 0, "%s", r)
		assert.Assert(t, n >= topics, "%s", r) // others retained messages, too
	}
	assert.Equal(t, sums(), before)
	// Nothing is left on the nodes.
	for i := range 3 {
		r := b.in(t, i, `docker exec "$(docker ps -q --filter name=^emqx-)" sh -c 'ls -d /tmp/emqx-oci-* /opt/emqx/data/backup/* 2>/dev/null || true'`)
		assert.Equal(t, strings.TrimSpace(r.stdout), "", "%s", r)
	}
	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}
