package nomad

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

func TestEMQXVarsRefuse(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*EMQXVars)
		fault  string
	}{
		"short kill":       {func(v *EMQXVars) { v.KillTimeout = 5 * time.Second }, "killTimeout: must be at least 130s, as EMQX takes up to 120 s to stop, got 5s"},
		"latest":           {func(v *EMQXVars) { v.Image = "emqx/emqx:latest" }, "image: must name a version, such as emqx/emqx:5.8.9"},
		"no tag":           {func(v *EMQXVars) { v.Image = "registry.example.com:5000/emqx" }, "image: must name a version, such as emqx/emqx:5.8.9"},
		"needs a licence":  {func(v *EMQXVars) { v.Image = "emqx/emqx:5.9.0" }, "image: \"emqx/emqx:5.9.0\" with 3 nodes needs a licence key from 5.9 on"},
		"enterprise":       {func(v *EMQXVars) { v.Image = "emqx/emqx-enterprise:6.0.1" }, "needs a licence key"},
		"digest":           {func(v *EMQXVars) { v.Image = "emqx/emqx:5.10.0@sha256:" + strings.Repeat("a", 64) }, "needs a licence key"},
		"cookie in env":    {func(v *EMQXVars) { v.Env = map[string]string{"EMQX_NODE__COOKIE": "x"} }, "env.EMQX_NODE__COOKIE: must not be set: node.cookie is the stack's own"},
		"discovery in env": {func(v *EMQXVars) { v.Env = map[string]string{"EMQX_CLUSTER__DISCOVERY_STRATEGY": "static"} }, "env.EMQX_CLUSTER__DISCOVERY_STRATEGY: must not be set: cluster.discovery_strategy is the stack's own"},
		"licence in env":   {func(v *EMQXVars) { v.Env = map[string]string{"EMQX_LICENSE__KEY": "x"} }, "env.EMQX_LICENSE__KEY: must not be set: license.key is the stack's own"},
		"secret in env":    {func(v *EMQXVars) { v.Env = map[string]string{"EMQX_AUTHENTICATION__1__PASSWORD": "x"} }, "env.EMQX_AUTHENTICATION__1__PASSWORD: must not be in the job's text"},
		"crashes on join":  {func(v *EMQXVars) { v.Image = "emqx/emqx:5.8.3" }, "image: must be 5.8.5 or newer with several nodes"},
		"too long a kill":  {func(v *EMQXVars) { v.KillTimeout, v.ProgressDeadline = 11*time.Minute, time.Hour }, "killTimeout: must be at most 10m, which is what the nodes' Nomad clients allow, got 11m"},
		"long environment": {func(v *EMQXVars) { v.Environment = strings.Repeat("a", 32) }, "environment: must have a name of lower-case letters and digits with single dashes between, at most 31"},
		"datacenter":       {func(v *EMQXVars) { v.Datacenter = "DC1" }, "datacenter: must be 1 to 63 lower-case letters"},
		"no variable name": {func(v *EMQXVars) { v.Env = map[string]string{"A-B": "x"} }, "env.A-B: must be a variable of EMQX"},
		"no node":          {func(v *EMQXVars) { v.NodeCount = 0 }, "nodeCount: must be 1 to 100, got 0"},
		"too many nodes":   {func(v *EMQXVars) { v.NodeCount = 101 }, "nodeCount: must be 1 to 100, got 101"},
		"environment":      {func(v *EMQXVars) { v.Environment = "Prod_1" }, "environment: must have a name of lower-case letters"},
		"deadlines":        {func(v *EMQXVars) { v.ProgressDeadline = time.Minute }, "progressDeadline: must be longer than healthyDeadline (5m), got 1m"},
		"files":            {func(v *EMQXVars) { v.MaxConnections, v.MemoryMB = 20000, 4096 }, "noFile: must be at least 21024 for broker.maxConnections (20000) and 1024 files of its own, got 10000"},
		"memory":           {func(v *EMQXVars) { v.MaxConnections = 9000 }, "memoryMb: must be at least 1036 for broker.maxConnections (9000, 85 kB each with TLS), got 512"},
		"no memory":        {func(v *EMQXVars) { v.MemoryMB = 288 }, "memoryMb: must be at least 320, of which an idle EMQX takes 288, got 288"},
	} {
		t.Run(name, func(t *testing.T) {
			v := emqxVars()
			tc.change(&v)
			_, err := v.HCL2()
			assert.ErrorContains(t, err, tc.fault)
		})
	}
}

func TestLicence(t *testing.T) {
	v := emqxVars()
	v.Image = "emqx/emqx:5.9.0"
	v.NodeCount = 1
	_, err := v.HCL2()
	assert.NilError(t, err, "one node needs no key")
	v.NodeCount, v.License = 3, true
	_, err = v.HCL2()
	assert.NilError(t, err)
}

// Settings and components have one set of defaults.
func TestTimesDefaultToTheGroundFloors(t *testing.T) {
	v := emqxVars()
	v.DrainRate, v.DrainTimeout = cluster.DefaultDrain.Rate, cluster.DefaultDrain.Timeout
	vars, err := v.HCL2()
	assert.NilError(t, err)
	for name, want := range map[string]string{
		"shutdown_delay": "15s", "kill_timeout": "270s", "min_healthy_time": "15s", "healthy_deadline": "300s", "progress_deadline": "600s",
	} {
		assert.Equal(t, vars[name], want, name)
	}
}

// Bad input is told at once, all of it.
func TestAllFaultsAtOnce(t *testing.T) {
	_, err := EMQXVars{}.HCL2()
	for _, path := range []string{"environment", "datacenter", "image", "nodeCount", "cpu", "memoryMb", "keepAliveMax", "noFile"} {
		assert.ErrorContains(t, err, path+": ")
	}
}

func TestSeconds(t *testing.T) {
	for d, s := range map[time.Duration]string{90 * time.Second: "90s", time.Hour: "3600s", 1500 * time.Millisecond: "2s", 0: "0s"} {
		assert.Equal(t, Seconds(d), s)
	}
}

func TestCheckSecrets(t *testing.T) {
	good := func() map[string]string {
		return map[string]string{
			ItemErlangCookie: "abcdefghijklmnopqrst", ItemDashboardPassword: `a"b\c#d'e$f%`, ItemAPIKey: "deploy01", ItemAPISecret: "s3cr3t-s3cr3t",
			ItemTLSCert: "c", ItemTLSKey: "k", ItemTLSCA: "a",
		}
	}
	assert.NilError(t, CheckEMQXSecrets(good(), true, false))
	for item, bad := range map[string][]string{
		ItemErlangCookie:      {"", "short", "0123456789012345678901", "abcdefghijklmnopqrs#", "abcdefghijklmnopqr t", `"abcdefghijklmnopqrst"`},
		ItemDashboardPassword: {"", "short", "line\nbreak", "nul\x00nulnul"},
		ItemAPIKey:            {"", "with:colon", "with space"},
		ItemAPISecret:         {"", "a:b:c:d:e"},
		ItemTLSKey:            {""},
	} {
		for _, value := range bad {
			items := good()
			items[item] = value
			err := CheckEMQXSecrets(items, true, false)
			assert.ErrorContains(t, err, item+": must")
			if value != "" {
				assert.Assert(t, !strings.Contains(err.Error(), value), "the error shows the secret")
			}
		}
	}
	assert.ErrorContains(t, CheckEMQXSecrets(good(), true, true), ItemLicenseKey)
}

// One way of giving the values is the provider's, the other that of whoever asks the
// servers: they must make one job.
func TestAVariablesFileMakesTheSameJob(t *testing.T) {
	v := emqxVars()
	v.Env = map[string]string{"EMQX_A": `"quoted # \ value"`, "EMQX_B": "%{if true}x", "EMQX_C": "${var.environment}"}
	vars, err := v.HCL2()
	assert.NilError(t, err)
	assert.DeepEqual(t, jobtest.ParseFile(t, EMQXJob, VariablesFile(vars)), jobtest.Parse(t, EMQXJob, vars))
}
