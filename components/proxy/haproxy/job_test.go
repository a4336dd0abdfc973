package haproxy

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

func testVars() Vars {
	return Vars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
		CPU: 500, MaxConn: 4000, NoFile: 10000, KeepAliveMax: 301, TLS: true,
	}
}

func testJob(t *testing.T, v Vars) *api.Job {
	t.Helper()
	vars, err := v.HCL2()
	assert.NilError(t, err)
	return jobtest.Parse(t, Job, vars)
}

// brokerJob is EMQX's, which shares the nodes.
func brokerJob(t *testing.T, tls bool) *api.Job {
	t.Helper()
	vars, err := nomad.EMQXVars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 500, MemoryMB: 512, KeepAliveMax: 301, NoFile: 10000, TLS: tls,
	}.HCL2()
	assert.NilError(t, err)
	return jobtest.Parse(t, nomad.EMQXJob, vars)
}

func TestNomadAcceptsTheJob(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := testVars()
		v.TLS = tls
		vars, err := v.HCL2()
		assert.NilError(t, err)
		jobtest.Validate(t, Job, vars)
	})
}

func TestJobFileIsFormatted(t *testing.T) { jobtest.Formatted(t, "files/haproxy.nomad.hcl") }

func TestRunScriptIsClean(t *testing.T) {
	t.Parallel()
	out, err := exec.Command(agenttest.Tool(t, "shellcheck"), "files/haproxy-run.sh").CombinedOutput()
	assert.NilError(t, err, string(out))
	assert.Assert(t, !strings.Contains(Run, "{{"), "it is the text of a template")
}

// ADR 0025: HAProxy owns the client ports of a node, EMQX has its own, on all
// addresses: one port in both jobs could not be bound twice. In the original both jobs
// ask for the same ports.
func TestThePortsOfBothJobsFitOnOneNode(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := testVars()
		v.TLS = tls
		emqx, haproxy := brokerJob(t, tls).TaskGroups[0], testJob(t, v).TaskGroups[0]
		static := map[int]string{}
		for _, g := range []*api.TaskGroup{emqx, haproxy} {
			assert.Equal(t, len(g.Networks), 1)
			assert.Equal(t, g.Networks[0].Mode, "host")
			assert.Equal(t, g.Tasks[0].Config["network_mode"], "host")
			for _, p := range g.Networks[0].ReservedPorts {
				assert.Equal(t, static[p.Value], "", "port %d is taken twice", p.Value)
				static[p.Value] = *g.Name + " " + p.Label
			}
			for _, p := range append(g.Networks[0].ReservedPorts, g.Networks[0].DynamicPorts...) {
				assert.Equal(t, p.HostNetwork, "emqx", p.Label)
			}
		}
		wanted := map[int]string{
			cluster.Dashboard: "emqx dashboard", cluster.Distribution: "emqx dist", cluster.RPC: "emqx rpc",
			cluster.DefaultPorts.Admin: "haproxy admin",
		}
		for _, l := range cluster.Listeners(cluster.DefaultPorts, tls) {
			wanted[l.Port], wanted[l.BrokerPort] = "haproxy "+l.Name, "emqx "+l.Name
		}
		assert.DeepEqual(t, static, wanted)
		assert.Equal(t, len(emqx.Networks[0].DynamicPorts), 0, "a port that differs from node to node")
	})
}

func TestHAProxyListensWhereTheStackSays(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := testVars()
		v.TLS, v.Ports = tls, cluster.Ports{MQTT: 2883, MQTTS: 2884, WS: 2885, WSS: 2886, Admin: 9080, Broker: cluster.DefaultPorts.Broker}
		got := map[string]int{}
		for _, p := range testJob(t, v).TaskGroups[0].Networks[0].ReservedPorts {
			got[p.Label] = p.Value
		}
		want := map[string]int{"mqtt": 2883, "ws": 2885, "admin": 9080}
		if tls {
			want["mqtts"], want["wss"] = 2884, 2886
		}
		assert.DeepEqual(t, got, want)
	})
}

func TestOneNodeAtATime(t *testing.T) { jobtest.OneNodeAtATime(t, testJob(t, testVars()), 3) }

func TestALostNodeIsReplacedByItsSuccessor(t *testing.T) {
	jobtest.LostNodeIsReplacedByItsSuccessor(t, testJob(t, testVars()))
}

func TestService(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := testVars()
		v.TLS = tls
		job := testJob(t, v)
		assert.DeepEqual(t, jobtest.Services(t, job), map[string]string{"emqx-haproxy": "admin"})
		assert.Equal(t, job.TaskGroups[0].Services[0].Checks[0].Path, ReadyPath)
	})
}

// More or fewer nodes restart none of the others: Nomad compares the tasks.
func TestTasksKnowNothingOfTheCount(t *testing.T) {
	few, many := testVars(), testVars()
	few.NodeCount, many.NodeCount = 3, 4
	assert.DeepEqual(t, testJob(t, few).TaskGroups[0].Tasks, testJob(t, many).TaskGroups[0].Tasks)
}

// ADR 0013: time to stop. The original is killed after 5 s.
func TestStopping(t *testing.T) {
	v := testVars()
	v.ShutdownDelay, v.KillTimeout = 70*time.Second, 100*time.Second
	task := testJob(t, v).TaskGroups[0].Tasks[0]
	assert.Equal(t, task.KillSignal, "SIGTERM")
	assert.Equal(t, *task.KillTimeout, 100*time.Second)
	assert.Equal(t, task.Env["GRACE"], "70")
	assert.Equal(t, task.Env["HARD_STOP"], "25")
}

// ADR 0007: no secret in the job's text, and no change of one ends HAProxy, which loads
// its configuration anew by itself.
func TestSecretsComeFromNomadVariables(t *testing.T) {
	task := testJob(t, testVars()).TaskGroups[0].Tasks[0]
	jobtest.SecretsAreFilesOf(t, task, 99)
	for _, template := range task.Templates {
		assert.Equal(t, *template.ChangeMode, "noop", *template.DestPath)
	}
}

// ADR 0013: one HAProxy for each node, in the foreground. The original runs
// three, each a daemon whose container ends at once.
func TestHAProxyTask(t *testing.T) {
	v := testVars()
	v.NodeCount = 5
	job := testJob(t, v)
	assert.Equal(t, *job.ID, JobID("lab"))
	assert.Equal(t, *job.TaskGroups[0].Count, 5)
	task := job.TaskGroups[0].Tasks[0]
	assert.DeepEqual(t, task.Config["entrypoint"], []any{"/bin/sh", "${NOMAD_TASK_DIR}/run.sh"})
	assert.Assert(t, cmp.Contains(Run, "haproxy -W -db "))
	assert.Assert(t, !strings.Contains(Config, "daemon"))
	assert.Equal(t, *task.Resources.MemoryMB, cluster.ProxyMemoryMB(4000, false))
	assert.Equal(t, task.Env["IDLE_TIMEOUT"], fmt.Sprintf("%ds", cluster.IdleTimeout(301)))
	assert.Equal(t, *task.Templates[0].EmbeddedTmpl, Run)
	assert.Equal(t, *task.Templates[1].EmbeddedTmpl, Config)
}
