package haproxy

import (
	"strconv"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// Settings and components have one set of defaults.
func TestDefaultsAreTheGroundFloors(t *testing.T) {
	v := testVars()
	v.NoFile = 0
	vars, err := v.HCL2()
	assert.NilError(t, err)
	for name, want := range map[string]string{
		"shutdown_delay": "40s", "kill_timeout": "60s", "min_healthy_time": "15s", "healthy_deadline": "300s", "progress_deadline": "600s",
		"nofile": strconv.Itoa(cluster.ProxyFiles(v.MaxConn)),
	} {
		assert.Equal(t, vars[name], want, name)
	}
}

func TestVarsRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*Vars)
		fault  string
	}{
		// The original's: 50,000 connections in 512 MB.
		"memory": {func(v *Vars) { v.MaxConn, v.MemoryMB, v.NoFile = 50000, 512, 200000 }, "memoryMb: must be at least 1682 for 50000 connections of 33 kB, got 512"},
		"files":  {func(v *Vars) { v.MaxConn = 5000 }, "noFile: must be at least 10912 for 5000 connections, got 10000"},
		"kill":   {func(v *Vars) { v.KillTimeout = 45 * time.Second }, "killTimeout: must be at least 10s above shutdownDelay (40s), got 45s"},
		"ports": {func(v *Vars) {
			v.Ports = cluster.DefaultPorts
			v.Ports.WSS = 443
		}, "ports.wss: must be 1024 to 65535, because nobody here has the right to lower ports, got 443"},
		"none": {func(v *Vars) { v.MaxConn = 0 }, "maxConn: must be 100 to"},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVars()
			tc.change(&v)
			_, err := v.HCL2()
			assert.ErrorContains(t, err, tc.fault)
		})
	}
}

// Bad input is told at once, all of it.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := Vars{}.HCL2()
	for _, path := range []string{"environment", "datacenter", "image", "nodeCount", "cpu", "maxConn", "keepAliveMax"} {
		assert.ErrorContains(t, err, path+": ")
	}
}

func TestCheckSecrets(t *testing.T) {
	assert.NilError(t, CheckSecrets(map[string]string{ItemStatsUser: "admin", ItemStatsPassword: `pw'd"#$\${X}yz`}, false))
	assert.ErrorContains(t, CheckSecrets(map[string]string{ItemStatsUser: "a:b", ItemStatsPassword: "long-enough-it-is"}, false), "stats_user: must be printable ASCII without spaces, and hold no colon")
	assert.ErrorContains(t, CheckSecrets(map[string]string{ItemStatsUser: "a", ItemStatsPassword: "line\nbreak"}, false), "stats_password: must be 12 or more characters of printable ASCII")
}

// One way of giving the values is the provider's, the other that of whoever asks the
// servers: they must make one job.
func TestAVariablesFileMakesTheSameJob(t *testing.T) {
	vars, err := testVars().HCL2()
	assert.NilError(t, err)
	assert.DeepEqual(t, jobtest.ParseFile(t, Job, nomad.VariablesFile(vars)), jobtest.Parse(t, Job, vars))
}
