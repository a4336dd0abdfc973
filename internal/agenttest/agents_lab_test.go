//go:build lab && linux

package agenttest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// A test that fails leaves its jobs running.
func TestNothingOfAnAgentStays(t *testing.T) {
	marker := filepath.Join(t.TempDir(), "marker")
	var alloc string
	t.Run("agent", func(t *testing.T) {
		address := agenttest.Nomad(t, "a", nil)
		agenttest.Await(t, address+"/v1/nodes", `"Status":"ready"`)
		api, err := nomad.NewClient(&nomad.Config{Address: address})
		assert.NilError(t, err)
		task := nomad.NewTask("t", "raw_exec").SetConfig("command", "/bin/sh").
			SetConfig("args", []string{"-c", "trap '' TERM INT; setsid sleep 3600 & echo > " + marker + "; sleep 3600 " + marker})
		_, _, err = api.Jobs().Register(nomad.NewServiceJob("j", "j", "global", 50).AddTaskGroup(nomad.NewTaskGroup("g", 1).AddTask(task)), nil)
		assert.NilError(t, err)
		for end := time.Now().Add(30 * time.Second); ; time.Sleep(100 * time.Millisecond) {
			if _, err := os.Stat(marker); err == nil {
				break
			}
			assert.Assert(t, time.Now().Before(end), "the task does not start")
		}
		allocs, _, err := api.Jobs().Allocations("j", true, nil)
		assert.NilError(t, err)
		assert.Equal(t, len(allocs), 1)
		alloc = allocs[0].ID
	})
	mounts, err := os.ReadFile("/proc/self/mounts")
	assert.NilError(t, err)
	assert.Assert(t, !strings.Contains(string(mounts), alloc), "mounts stay: %s", mounts)
	for _, pattern := range []string{"/sys/fs/cgroup/*/nomad/" + alloc + ".*", "/sys/fs/cgroup/nomad.slice/*/" + alloc + ".*", "/tmp/NomadClient*/" + alloc} {
		found, err := filepath.Glob(pattern)
		assert.NilError(t, err)
		assert.Equal(t, len(found), 0, "%v stay", found)
	}
	lines, err := filepath.Glob("/proc/[0-9]*/cmdline")
	assert.NilError(t, err)
	for _, name := range lines {
		raw, _ := os.ReadFile(name) // the process may have ended
		line := string(raw)
		assert.Assert(t, !strings.Contains(line, marker) && !strings.Contains(line, alloc), "%s stays: %q", name, line)
	}
}
