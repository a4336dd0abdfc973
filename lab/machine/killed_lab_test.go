//go:build lab

package machine

import (
	"context"
	"os"
	"os/exec"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// helperEnv tells a process that it is the helper, and names the guest that its parent built.
const helperEnv = "EMQX_OCI_LAB_TEST_HELPER"

// TestHelperUp is the process that TestKilled kills.
func TestHelperUp(t *testing.T) {
	if os.Getenv(helperEnv) == "" {
		return // it is no test of its own
	}
	h := &handler{userData: map[string]string{}}
	m := newTestMachine(t, h)
	assert.NilError(t, m.Up(t.Context()))
	for n := range 2 {
		h.set(spec(n).ID, nodeScript)
		assert.NilError(t, m.LaunchInstance(t.Context(), spec(n)))
		assert.NilError(t, m.CreateVolume(t.Context(), spec(n).ID, 1, ""))
		assert.NilError(t, m.AttachVolume(t.Context(), spec(n).ID, spec(n).ID, "/dev/oracleoci/oraclevdb"))
	}
	time.Sleep(time.Minute)
}

// A process killed at any moment leaves a lab that the next Up completes and that
// Down removes.
func TestKilled(t *testing.T) {
	for _, after := range []time.Duration{20, 60, 120, 250, 800, 1600, 2000, 2100, 2200, 2400, 3500} {
		after *= time.Millisecond
		t.Run(after.String(), func(t *testing.T) {
			cmd := exec.Command(os.Args[0], "-test.run=^TestHelperUp$")
			cmd.Env = append(os.Environ(), helperEnv+"="+guestBinary)
			assert.NilError(t, cmd.Start())
			time.Sleep(after)
			assert.NilError(t, cmd.Process.Kill())
			_ = cmd.Wait() // killed
			m := newTestMachine(t, &handler{})
			if after%time.Second == 0 || after > 2100*time.Millisecond {
				assert.NilError(t, m.Up(t.Context()))
				for n := range 2 {
					assert.NilError(t, m.LaunchInstance(t.Context(), spec(n)))
					assert.Assert(t, m.InstanceAlive(spec(n).ID))
				}
			}
			assert.NilError(t, m.Down(context.Background()))
			nothingLeft(t)
		})
	}
}
