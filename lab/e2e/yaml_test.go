//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestYAML deploys with a program in YAML: the component comes from its provider, in a process of its own, and so do
// its gates and guards.
func TestYAML(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.chapter(t, "a cluster of a YAML program", deployYAML)
}

func deployYAML(t *testing.T, b *bed) {
	b.must(t, "lab", "up")
	p := &plain{bed: b, path: b.tools + ":" + os.Getenv("PATH")}
	assert.NilError(t, json.Unmarshal([]byte(b.must(t, "lab", "env", "--json").stdout), &p.env))
	dir := t.TempDir()
	example, err := os.ReadFile(filepath.Join("..", "..", "examples", "yaml", "Pulumi.yaml"))
	assert.NilError(t, err)
	program := strings.ReplaceAll(string(example), "127.0.77.1", b.door)
	program = replaced(t, program, "path: ../../bin", "path: "+b.bin)
	run := func(changed string, args ...string) result {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte(changed), 0o600))
		return p.pulumiIn(t, dir, args...)
	}
	must := func(args ...string) result {
		r := run(program, args...)
		assert.Equal(t, r.code, 0, "%s", r)
		return r
	}
	refused := func(changed string, want ...string) {
		r := run(changed, "preview")
		assert.Assert(t, r.code != 0, "%s", r)
		for _, text := range want {
			assert.Assert(t, strings.Contains(r.stdout+r.stderr, text), "%q is missing in:\n%s", text, r)
		}
	}

	must("stack", "init")
	secrets := map[string]string{
		"erlangCookie": "aCookieOfTheYAMLProgram", "dashboardPassword": "a-dashboard-password", "apiKey": "an-api-key",
		"apiSecret": "an-api-secret-of-it", "statsPassword": "a-stats-password",
	}
	for name, value := range secrets {
		must("config", "set", "--secret", name, value)
	}

	few := replaced(t, replaced(t, program, "count: 3", "count: 0"), "sizeGb: 50", "sizeGb: 10")
	refused(few, "nodes.count: must be 1 to 100, got 0", "volumes.sizeGb: must be 50 to 32768, got 10")
	refused(replaced(t, program, "image: ocid1.image.oc1.lab-1.lab", `image: "${apiKey}"`), "nodes.image: must be no secret")

	// The first Ctrl-C ends a gate, and nothing behind it exists.
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte(program), 0o600))
	var so syncBuffer
	up := p.command(t.Context(), dir, "up", "--yes", "--skip-preview")
	up.Stdout, up.Stderr = &so, &so
	assert.NilError(t, up.Start())
	eventually(t, time.Minute, "G1 to wait", func() error {
		if s := so.String(); !strings.Contains(s, "G1 nodes ready: waiting") {
			return fmt.Errorf("so far: %s", s)
		}
		return nil
	})
	pressed := time.Now()
	assert.NilError(t, up.Process.Signal(os.Interrupt))
	assert.Assert(t, up.Wait() != nil, "%s", so.String())
	assert.Assert(t, time.Since(pressed) < 20*time.Second && strings.Contains(so.String(), "waiting for G1 nodes ready: stopped after"),
		"it ended %s after Ctrl-C:\n%s", time.Since(pressed), so.String())
	jobs, _, err := nomadClient(t).Jobs().List(nil)
	assert.NilError(t, err)
	assert.Equal(t, len(jobs), 0)

	out := must("up", "--yes", "--skip-preview").stdout
	for _, order := range [][2]string{ // what a gate says, and what is behind it
		{"G1 nodes ready: 3/3 nodes ready", "nomad:index:Job emqx-emqx created"},
		{"G2 cluster formed: 3/3 EMQX nodes running", "nomad:index:Job emqx-haproxy created"},
		{"G3 proxies ready: 3/3 proxies pass", "oci:NetworkLoadBalancer:Listener emqx-listeners-mqtt created"},
		{"G4 edge healthy: ", "oci:Dns:Rrset emqx-dns created"},
		{"oci:Dns:Rrset emqx-dns created", "verify: G5 round trip: a message came back through " + name + " by mqtt and ws"},
	} {
		before, after := strings.Index(out, order[0]), strings.Index(out, order[1])
		assert.Assert(t, before >= 0 && after > before, "%q must come before %q in:\n%s", order[0], order[1], out)
	}
	placement(t)

	// Nothing changes, and the check at the end is made all the same.
	again := must("up", "--yes", "--skip-preview", "--expect-no-changes")
	assert.Assert(t, strings.Contains(again.stdout, "verify: G5 round trip: a message came back through "+name+" by mqtt and ws"), "%s", again)

	// The guards' hook runs in previews.
	refused(replaced(t, program, "count: 3", "count: 2"), "volume-delete", "guards.allowVolumeDelete")

	// A group that is a secret as a whole is the same group.
	group, rest, _ := strings.Cut(program, "      secrets:\n")
	fields, tail, _ := strings.Cut(rest, "outputs:\n")
	r := run(group+"      secrets:\n        fn::secret:\n"+strings.ReplaceAll(fields, "        ", "          ")+"outputs:\n"+tail, "preview", "--expect-no-changes")
	assert.Equal(t, r.code, 0, "%s", r)

	state := must("stack", "export").stdout
	for name, value := range secrets {
		assert.Assert(t, !strings.Contains(state, value), "the state has %s in clear", name)
	}
}

// replaced is a text with another passage, which has to be there once.
func replaced(t *testing.T, text, from, to string) string {
	t.Helper()
	assert.Equal(t, strings.Count(text, from), 1, "%q in:\n%s", from, text)
	return strings.Replace(text, from, to, 1)
}
