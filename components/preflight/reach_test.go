package preflight_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/stacks"
)

// ends are stack files at the ends of what the settings accept: one step further
// is refused (TestWhatNoStackFileReaches).
var ends = map[string]map[string]map[string]any{
	"as quick as may be": {
		"broker": {
			"killTimeout": "130s", "drain": map[string]any{"rate": 0}, "shutdownDelay": "1s",
			"minHealthyTime": "1s", "healthyDeadline": "2s", "progressDeadline": "130s",
		},
		"proxy": {"shutdownDelay": "1s", "killTimeout": "11s", "minHealthyTime": "1s", "healthyDeadline": "2s", "progressDeadline": "11s"},
	},
	"as slow as may be": {
		"broker": {
			"killTimeout": "10m", "drain": map[string]any{"rate": 1, "timeout": "7m"}, "keepAliveMax": 1200,
			"minHealthyTime": "9m58s", "healthyDeadline": "9m59s", "progressDeadline": "10m",
		},
		"proxy": {"shutdownDelay": "590s", "killTimeout": "10m", "minHealthyTime": "9m58s", "healthyDeadline": "9m59s", "progressDeadline": "10m"},
	},
	"as small as may be": {
		"nodes": {"count": 1}, "volumes": {"count": 1},
		"broker": {"cpu": 100, "memoryMb": 320, "noFile": 1124, "maxConnections": 100, "keepAliveMax": 10},
		"proxy":  {"cpu": 50, "maxConn": 100, "memoryMb": 74, "noFile": 1112},
	},
	"as large as may be": {
		"nodes": {"count": 100, "memoryGb": 4096}, "volumes": {"count": 100},
		"broker":  {"cpu": 1000000, "memoryMb": 4000000, "noFile": 16777216, "maxConnections": 0},
		"proxy":   {"cpu": 1000000, "maxConn": 2000000, "memoryMb": 64524, "noFile": 4000912},
		"network": {"privateSubnetCidr": ""},
	},
	"the lowest ports": {"ports": {
		"mqtt": 1024, "mqtts": 1025, "ws": 1026, "wss": 1027, "admin": 1028, "broker": map[string]any{"mqtt": 1029, "mqtts": 1030, "ws": 1031, "wss": 1032},
	}},
	"the highest ports": {"ports": {
		"mqtt": 65535, "mqtts": 65534, "ws": 65533, "wss": 65532, "admin": 65531,
		"broker": map[string]any{"mqtt": 65530, "mqtts": 65529, "ws": 65528, "wss": 65527},
	}},
	"one domain":  {"oci": {"availabilityDomains": []string{"A"}}},
	"two domains": {"oci": {"availabilityDomains": []string{"A", "B", "A"}}},
	"more volumes than nodes, some of them others'": {"volumes": {
		"count": 7, "adopt": map[string]string{"1": "ocid1.volume.oc1.eu-frankfurt-1.aaaa"}, "restore": map[string]string{"5": "ocid1.volumebackup.oc1.eu-frankfurt-1.aaaa"},
	}},
	"variables of all kinds": {"broker": {"env": map[string]string{
		"EMQX_MQTT__A": `"${node.unique.name}"`, "EMQX_MQTT__B": "%{ if true }", "EMQX_MQTT__C": "line\nline", "EMQX_MQTT__D": `back\slash "quoted"`, "EMQX_MQTT__E": "{{ env }}",
	}}},
}

// Whatever a stack file says, as long as the settings take it, what the program makes of
// it holds together.
func TestTheEndsOfTheSettingsHoldTogether(t *testing.T) {
	for name, groups := range ends {
		t.Run(name, func(t *testing.T) {
			s, err := loadWith(t, "prod", true, groups)
			assert.NilError(t, err)
			found, err := stacks.Record(s)
			assert.NilError(t, err)
			for _, f := range preflight.Run(preflight.ProgramChecks, s, func() ([]recorder.Resource, error) { return found, nil }, time.Now()) {
				t.Error(f)
			}
			acceptedByNomad(t, found)
		})
	}
}

// acceptedByNomad asks Nomad's own rules about both jobs, without a server.
func acceptedByNomad(t *testing.T, found []recorder.Resource) {
	t.Helper()
	jobs := 0
	for _, r := range found {
		if r.Type == "nomad:index/job:Job" {
			jobs++
			out, err := validated(t, r)
			assert.NilError(t, err, out)
			assert.Assert(t, !strings.Contains(out, "Warnings"), out)
		}
	}
	assert.Equal(t, jobs, 2)
}

// validated is what `nomad job validate` says of a job.
func validated(t *testing.T, job recorder.Resource) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "job.nomad.hcl")
	assert.NilError(t, os.WriteFile(file, []byte(preflight.TextAt(job, "jobspec")), 0o600))
	args := []string{"job", "validate"}
	for name, value := range preflight.Property(job, "hcl2.vars").ObjectValue() {
		args = append(args, "-var", string(name)+"="+preflight.Text(preflight.Open(value)))
	}
	cmd := exec.CommandContext(t.Context(), agenttest.Tool(t, "nomad"), append(args, file)...)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR=http://127.0.0.1:1")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// What Nomad is asked here it would refuse: a port that is none, one that is there twice, times that do not fit.
func TestNomadRefusesWhatIsWrong(t *testing.T) {
	for _, x := range []struct{ job, old, with, want string }{
		{"emqx", "static       = 4370", "static       = 99999999", "99999999"},
		{"emqx", "static       = 4370", "static       = 5370", "already reserved by"},
		{"emqx", "progress_deadline = var.progress_deadline", `progress_deadline = "5m"`, "Healthy deadline must be less than progress deadline"},
		{"emqx", "kill_signal  = \"SIGTERM\"\n      kill_timeout = var.kill_timeout", "kill_signal  = \"SIGTERM\"\n      kill_timeout = \"20m\"", "KillTimout (20m0s) longer than"},
		{"haproxy", "min_healthy_time  = var.min_healthy_time", `min_healthy_time  = "5m"`, "Minimum healthy time must be less than healthy deadline"},
		{"haproxy", `interval = "2s"`, `interval = "100ms"`, "interval (100ms)"},
		{"haproxy", "memory = var.memory", "memory = 5", "minimum MemoryMB value is 10"},
	} {
		t.Run(x.with, func(t *testing.T) {
			g := graph(slices.Clone(unchanged(t, "prod", true).recorded))
			g.edit(x.job, x.old, x.with)
			i := slices.IndexFunc(g, func(r recorder.Resource) bool { return r.Type == "nomad:index/job:Job" && r.Name == "cluster-"+x.job })
			out, err := validated(t, g[i])
			assert.ErrorContains(t, err, "exit status")
			assert.Assert(t, strings.Contains(out, x.want), out)
		})
	}
}

// What a check looked for once, and which rule of the settings refuses it first.
func TestWhatNoStackFileReaches(t *testing.T) {
	broker := func(key string, value any) map[string]map[string]any {
		return map[string]map[string]any{"broker": {key: value}}
	}
	proxy := func(key string, value any) map[string]map[string]any {
		return map[string]map[string]any{"proxy": {key: value}}
	}
	for name, x := range map[string]struct {
		groups map[string]map[string]any
		rule   string
	}{
		"a broker that is killed early":          {broker("killTimeout", "249s"), "broker.killTimeout: must be at least 130s above drain.timeout (2m), as EMQX stops after it, got 4m9s"},
		"one that drains for longer":             {broker("drain", map[string]any{"rate": 1, "timeout": "7m1s"}), "broker.drain.timeout: must be 1s to 7m"},
		"a broker that Nomad's client kills":     {broker("killTimeout", "601s"), "broker.killTimeout: must be 130s to 10m"},
		"a proxy that is killed early":           {proxy("killTimeout", "49s"), "proxy.killTimeout: must be at least 10s above shutdownDelay (40s), got 49s"},
		"a proxy that Nomad's client kills":      {proxy("killTimeout", "601s"), "proxy.killTimeout: must be at most 10m, which is what the nodes' Nomad clients allow"},
		"no time to get healthy":                 {broker("minHealthyTime", "5m"), "broker.healthyDeadline: must be longer than minHealthyTime (5m), got 5m"},
		"no time to get on":                      {broker("progressDeadline", "5m"), "broker.progressDeadline: must be longer than healthyDeadline (5m), got 5m"},
		"no deadline":                            {broker("progressDeadline", "0s"), "broker.progressDeadline: must be longer than healthyDeadline (5m), got 0s"},
		"the same of the proxy":                  {proxy("progressDeadline", "5m"), "proxy.progressDeadline: must be longer than healthyDeadline (5m), got 5m"},
		"no duration":                            {broker("shutdownDelay", "soon"), "broker.shutdownDelay: must be a duration"},
		"a negative one":                         {broker("shutdownDelay", "-1s"), "broker.shutdownDelay: must be at least 1s"},
		"keep-alives that no listener outlasts":  {broker("keepAliveMax", 1201), "broker.keepAliveMax: must be 10 to 1200, got 1201"},
		"a proxy without memory for its clients": {proxy("memoryMb", 3293), "proxy.memoryMb: must be at least 3294 for 100000 connections of 33 kB, got 3293"},
		"a proxy without files for its clients":  {proxy("noFile", 200911), "proxy.noFile: must be at least 200912 for 100000 connections, got 200911"},
		"an edge that ends TLS":                  {map[string]map[string]any{"tls": {"terminate": "edge"}}, "tls.terminate: must be proxy or broker"},
		"a broker without memory":                {broker("memoryMb", 319), "broker.memoryMb: must be 320 to 4000000, got 319"},
		"a broker without CPU":                   {broker("cpu", 0), "broker.cpu: must be 100 to 1000000, got 0"},
		"no node":                                {map[string]map[string]any{"nodes": {"count": 0}}, "nodes.count: must be 1 to 100, got 0"},
		"a node without a volume":                {map[string]map[string]any{"volumes": {"count": 2}}, "volumes.count: must be 0 or nodes.count (3) to 100, got 2"},
		"a variable that no shell takes":         {broker("env", map[string]string{"EMQX-MQTT": "1"}), "EMQX-MQTT: must be a variable of EMQX"},
		"a listener's limit inside an object":    {broker("env", map[string]string{"EMQX_LISTENERS__TCP__DEFAULT": "{max_connections = infinity}"}), "EMQX_LISTENERS__TCP__DEFAULT: must not be set"},
		"a port that is none":                    {map[string]map[string]any{"ports": {"mqtt": 65536}}, "ports.mqtt: must be 1024 to 65535"},
		"a datacenter that is none":              {map[string]map[string]any{"nomad": {"datacenter": ""}, "consul": {"datacenter": "a b"}}, "datacenter: must be"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := loadWith(t, "prod", false, x.groups)
			assert.ErrorContains(t, err, x.rule)
		})
	}
	// Two programs at one port are a check's to tell, before anything else.
	s, err := loadWith(t, "prod", false, map[string]map[string]any{"ports": {"broker": map[string]any{"mqtt": 1883}}})
	assert.NilError(t, err)
	assert.Equal(t, len(preflight.Errors(preflight.Run(kinds.Checks(), s, func() ([]recorder.Resource, error) { return stacks.Record(s) }, time.Now()))), 1)
}
