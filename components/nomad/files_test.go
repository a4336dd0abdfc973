package nomad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

func emqxVars() EMQXVars {
	return EMQXVars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 500, MemoryMB: 512, KeepAliveMax: 301, NoFile: 10000, TLS: true,
	}
}

func haproxyVars() HAProxyVars {
	return HAProxyVars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 3, Image: "haproxy:3.2.25",
		CPU: 500, MaxConn: 4000, NoFile: 10000, KeepAliveMax: 301, TLS: true,
	}
}

// nomadCommand runs a job command that needs no agent, and reaches none.
func nomadCommand(t *testing.T, text string, vars map[string]string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "job.nomad.hcl")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	for k, v := range vars {
		args = append(args, "-var", k+"="+v)
	}
	cmd := exec.Command(agenttest.Tool(t, "nomad"), append(args, path)...)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR=http://127.0.0.1:1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// parsed is the job as Nomad itself reads the file.
func parsed(t *testing.T, text string, vars map[string]string) *api.Job {
	t.Helper()
	out, err := nomadCommand(t, text, vars, "job", "run", "-output")
	assert.NilError(t, err)
	var job struct{ Job *api.Job }
	assert.NilError(t, json.Unmarshal([]byte(out), &job))
	return job.Job
}

func emqxJob(t *testing.T, v EMQXVars) *api.Job {
	t.Helper()
	vars, err := v.HCL2()
	assert.NilError(t, err)
	return parsed(t, EMQXJob, vars)
}

func haproxyJob(t *testing.T, v HAProxyVars) *api.Job {
	t.Helper()
	vars, err := v.HCL2()
	assert.NilError(t, err)
	return parsed(t, HAProxyJob, vars)
}

func eachTLS(t *testing.T, run func(t *testing.T, tls bool)) {
	for _, tls := range []bool{true, false} {
		t.Run(fmt.Sprintf("tls=%t", tls), func(t *testing.T) { run(t, tls) })
	}
}

func TestNomadAcceptsTheJobs(t *testing.T) {
	eachTLS(t, func(t *testing.T, tls bool) {
		e, h := emqxVars(), haproxyVars()
		e.TLS, h.TLS, e.License, e.MaxConnections = tls, tls, tls, 2000
		evars, err := e.HCL2()
		assert.NilError(t, err)
		hvars, err := h.HCL2()
		assert.NilError(t, err)
		for text, vars := range map[string]map[string]string{EMQXJob: evars, HAProxyJob: hvars} {
			out, err := nomadCommand(t, text, vars, "job", "validate")
			assert.NilError(t, err)
			assert.Assert(t, cmp.Contains(out, "Job validation successful"))
			assert.Assert(t, !strings.Contains(out, "Warnings"), out)
		}
	})
}

func TestJobFilesAreFormatted(t *testing.T) {
	for _, name := range []string{"emqx.nomad.hcl", "haproxy.nomad.hcl"} {
		out, err := exec.Command(agenttest.Tool(t, "nomad"), "fmt", "-check", filepath.Join("files", name)).CombinedOutput()
		assert.NilError(t, err, "%s: run nomad fmt: %s", name, out)
	}
}

// ADR 0025: HAProxy owns the client ports of a node, EMQX has its own, on all
// addresses: one port in both jobs could not be bound twice. In the original both jobs
// ask for the same ports.
func TestThePortsOfBothJobsFitOnOneNode(t *testing.T) {
	eachTLS(t, func(t *testing.T, tls bool) {
		e, h := emqxVars(), haproxyVars()
		e.TLS, h.TLS = tls, tls
		emqx, haproxy := emqxJob(t, e).TaskGroups[0], haproxyJob(t, h).TaskGroups[0]
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
	eachTLS(t, func(t *testing.T, tls bool) {
		v := haproxyVars()
		v.TLS, v.Ports = tls, cluster.Ports{MQTT: 2883, MQTTS: 2884, WS: 2885, WSS: 2886, Admin: 9080, Broker: cluster.DefaultPorts.Broker}
		got := map[string]int{}
		for _, p := range haproxyJob(t, v).TaskGroups[0].Networks[0].ReservedPorts {
			got[p.Label] = p.Value
		}
		want := map[string]int{"mqtt": 2883, "ws": 2885, "admin": 9080}
		if tls {
			want["mqtts"], want["wss"] = 2884, 2886
		}
		assert.DeepEqual(t, got, want)
	})
}

// ADR 0003: one group, because max_parallel counts per group, and the volume
// pins allocation i to node i. The original has one group for each node.
func TestOneNodeAtATime(t *testing.T) {
	for _, job := range []*api.Job{emqxJob(t, emqxVars()), haproxyJob(t, haproxyVars())} {
		assert.Equal(t, len(job.TaskGroups), 1)
		g := job.TaskGroups[0]
		assert.Equal(t, *g.Count, 3)
		assert.Equal(t, *g.Update.MaxParallel, 1)
		assert.Equal(t, *g.Update.HealthCheck, "checks")
		assert.Equal(t, *g.Update.AutoRevert, true)
		assert.Equal(t, *g.Update.Canary, 0)
		assert.Equal(t, *g.Migrate.MaxParallel, 1)
		var constraints []string
		for _, c := range g.Constraints {
			constraints = append(constraints, c.LTarget+c.Operand+c.RTarget)
		}
		assert.DeepEqual(t, constraints, []string{"${meta.pool_type}=emqx", "${meta.emqx_cluster}=lab", "distinct_hoststrue"})
	}
	g := emqxJob(t, emqxVars()).TaskGroups[0]
	volume := g.Volumes["data"]
	assert.Equal(t, volume.Type, "host")
	assert.Equal(t, volume.Source, "emqx")
	assert.Assert(t, volume.PerAlloc && !volume.ReadOnly)
	assert.Equal(t, *g.Tasks[0].VolumeMounts[0].Volume, "data")
	assert.Equal(t, *g.Tasks[0].VolumeMounts[0].Destination, "/opt/emqx/data")
	// EMQX cannot write its data as another user; the original runs as root.
	assert.Equal(t, g.Tasks[0].User, "1000:1000")
}

// A client that is out of sight keeps its broker; a relaunched instance gets its
// own at once. Without a replacement it would wait for a day.
func TestALostNodeIsReplacedByItsSuccessor(t *testing.T) {
	for _, job := range []*api.Job{emqxJob(t, emqxVars()), haproxyJob(t, haproxyVars())} {
		d := job.TaskGroups[0].Disconnect
		assert.Assert(t, d != nil && d.Replace != nil && d.LostAfter != nil)
		assert.Equal(t, *d.Replace, true)
		assert.Equal(t, *d.Reconcile, "keep_replacement")
		assert.Equal(t, *d.LostAfter, 15*time.Minute)
		assert.Equal(t, *job.TaskGroups[0].ReschedulePolicy.Unlimited, true)
	}
}

// ADR 0002: the environment is a tag of every service, or no name that holds
// it resolves; one service for each protocol. ADR 0004: the list of members is
// not Nomad's.
func TestServices(t *testing.T) {
	eachTLS(t, func(t *testing.T, tls bool) {
		e, h := emqxVars(), haproxyVars()
		e.TLS, h.TLS = tls, tls
		services := append(emqxJob(t, e).TaskGroups[0].Services, haproxyJob(t, h).TaskGroups[0].Services...)
		got := map[string]string{}
		for _, s := range services {
			got[s.Name] = s.PortLabel
			assert.DeepEqual(t, s.Tags, []string{"lab"})
			assert.Equal(t, s.Provider, "consul")
			assert.Equal(t, s.Address, "")
		}
		wanted := map[string]string{
			"emqx": "mqtt", "emqx-ws": "ws", "emqx-listeners": "dashboard", "emqx-dashboard": "dashboard", "emqx-metrics": "dashboard", "emqx-haproxy": "admin",
		}
		if tls {
			wanted["emqx-tls"], wanted["emqx-wss"] = "mqtts", "wss"
		}
		assert.DeepEqual(t, got, wanted)
	})
}

// ADRs 0004 and 0026: no check restarts a node that waits for its peers; the services
// that traffic comes by ask their own port beside /status, which tells nothing of it, and
// none of them goes through Nomad's agent.
func TestChecksAskStatusAndListenersAndRestartNothing(t *testing.T) {
	traffic := map[string]bool{"emqx": true, "emqx-tls": true, "emqx-ws": true, "emqx-wss": true}
	for _, s := range emqxJob(t, emqxVars()).TaskGroups[0].Services {
		types := map[string]int{}
		for _, c := range s.Checks {
			types[c.Type]++
			assert.Assert(t, c.CheckRestart == nil && s.CheckRestart == nil, s.Name)
			switch c.Type {
			case "http":
				assert.Equal(t, c.Path, "/status")
				assert.Assert(t, c.PortLabel == "dashboard" || c.PortLabel == "" && s.PortLabel == "dashboard")
			case "tcp":
				assert.Equal(t, c.PortLabel, "", "the service's own")
			}
		}
		switch {
		case traffic[s.Name]:
			assert.DeepEqual(t, types, map[string]int{"http": 1, "tcp": 1})
		case s.Name == "emqx-listeners":
			// Nomad runs it itself, too: no client is sent by it.
			assert.DeepEqual(t, types, map[string]int{"script": 1})
			assert.Equal(t, s.Checks[0].TaskName+" "+strings.Join(s.Checks[0].Args, " "),
				"emqx -c /bin/bash ${NOMAD_TASK_DIR}/holds.sh && exec /bin/bash ${NOMAD_TASK_DIR}/listeners.sh")
		default:
			assert.DeepEqual(t, types, map[string]int{"http": 1})
		}
	}
	checks := haproxyJob(t, haproxyVars()).TaskGroups[0].Services[0].Checks
	assert.Equal(t, checks[0].Path, cluster.ReadyPath)
}

// ADR 0025: EMQX writes all but "node" and "rpc" cluster-wide, at an import and at a
// change in the dashboard. A value that differs from node to node there closes the
// listeners of all nodes but one.
func TestWhatEMQXSharesIsTheSameOnEveryNode(t *testing.T) {
	eachTLS(t, func(t *testing.T, tls bool) {
		v := emqxVars()
		v.TLS, v.License, v.MaxConnections, v.MemoryMB, v.NoFile = tls, tls, 9000, 2048, 20000
		shared := 0
		for name, value := range emqxJob(t, v).TaskGroups[0].Tasks[0].Env {
			root, _, nested := strings.Cut(strings.TrimPrefix(name, "EMQX_"), "__")
			if !strings.HasPrefix(name, "EMQX_") || nested && (root == "NODE" || root == "RPC") {
				continue
			}
			shared++
			// In Docker this folder is /secrets in every allocation.
			assert.Assert(t, !strings.Contains(strings.ReplaceAll(value, "${NOMAD_SECRETS_DIR}", ""), "${"), "%s differs: %s", name, value)
		}
		assert.Assert(t, shared > 10)
	})
}

// `emqx ctl` needs the node's own name, and a drain must not need DNS for it.
func TestTheNodesOwnNameNeedsNoDNS(t *testing.T) {
	task := emqxJob(t, emqxVars()).TaskGroups[0].Tasks[0]
	_, host, _ := strings.Cut(task.Env["EMQX_NODE__NAME"], "@")
	assert.DeepEqual(t, task.Config["extra_hosts"], []any{host + ":${NOMAD_IP_dist}", "${attr.unique.hostname}:${NOMAD_IP_dist}"})
}

// ADR 0004: the name is the node's, not an address's, and the short name ends
// with no digit; peers are found in the stack's own list.
func TestIdentityAndDiscovery(t *testing.T) {
	env := emqxJob(t, emqxVars()).TaskGroups[0].Tasks[0].Env
	name := strings.ReplaceAll(env["EMQX_NODE__NAME"], "${node.unique.name}", cluster.NodeName("lab", 0))
	assert.Equal(t, name, cluster.EMQXName(cluster.NodeName("lab", 0), "dc1"))
	for key, value := range map[string]string{
		"EMQX_CLUSTER__DISCOVERY_STRATEGY":      "dns",
		"EMQX_CLUSTER__DNS__RECORD_TYPE":        "srv",
		"EMQX_CLUSTER__DNS__NAME":               `"lab.emqx-cluster.service.consul"`,
		"EMQX_RPC__PORT_DISCOVERY":              "manual",
		"EMQX_RPC__SERVER_PORT":                 "5370",
		"EMQX_RPC__LISTEN_ADDRESS":              `"${NOMAD_IP_rpc}"`,
		"EMQX_DASHBOARD__LISTENERS__HTTP__BIND": `"0.0.0.0:18083"`,
		// ADR 0009: in memory by default.
		"EMQX_RETAINER__BACKEND__STORAGE_TYPE": "disc",
	} {
		assert.Equal(t, env[key], value, key)
	}
}

func TestListeners(t *testing.T) {
	eachTLS(t, func(t *testing.T, tls bool) {
		v := emqxVars()
		v.TLS, v.MaxConnections = tls, 2000
		v.Env = map[string]string{"EMQX_LISTENERS__TCP__DEFAULT__ACCEPTORS": "64", "EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS": "1"}
		task := emqxJob(t, v).TaskGroups[0].Tasks[0]
		get := func(listener, key string) string {
			return task.Env["EMQX_LISTENERS__"+listener+"__DEFAULT__"+key]
		}
		v.Ports = cluster.DefaultPorts
		v.Ports.Broker.WSS = 31984
		task = emqxJob(t, v).TaskGroups[0].Tasks[0]
		ports := map[string]int{"TCP": 21883, "WS": 21983}
		if tls {
			ports["SSL"], ports["WSS"] = 21884, 31984
		}
		for _, l := range []string{"TCP", "WS", "SSL", "WSS"} {
			port, on := ports[l]
			if !on {
				assert.Equal(t, get(l, "ENABLE"), "false", l)
				assert.Equal(t, get(l, "BIND"), "", l)
				continue
			}
			assert.Equal(t, get(l, "ENABLE"), "true", "%s: else one that was switched off stays so at a restart", l)
			assert.Equal(t, get(l, "BIND"), fmt.Sprintf(`"0.0.0.0:%d"`, port), l)
			assert.Equal(t, get(l, "PROXY_PROTOCOL"), "true", l)
		}
		assert.Equal(t, get("WS", "MAX_CONNECTIONS"), strconv.Itoa(2000+cluster.BrokerSpare))
		assert.Equal(t, get("WS", "WEBSOCKET__PROXY_ADDRESS_HEADER"), `""`)
		assert.Equal(t, get("WS", "WEBSOCKET__PROXY_PORT_HEADER"), `""`)
		assert.Equal(t, get("WS", "WEBSOCKET__IDLE_TIMEOUT"), fmt.Sprintf(`"%ds"`, cluster.IdleTimeout(301)))
		assert.Equal(t, get("TCP", "MAX_CONNECTIONS"), "1", "the user's value wins")
		assert.Equal(t, get("TCP", "ACCEPTORS"), "64")
		for key, file := range map[string]string{"CERTFILE": "tls.crt", "KEYFILE": "tls.key", "CACERTFILE": "ca.crt"} {
			wanted := ""
			if tls {
				wanted = `"${NOMAD_SECRETS_DIR}/` + file + `"`
			}
			assert.Equal(t, get("SSL", "SSL_OPTIONS__"+key), wanted)
			assert.Equal(t, get("WSS", "SSL_OPTIONS__"+key), wanted)
		}
	})
}

// More or fewer nodes restart none of the others: Nomad compares the tasks.
func TestTasksKnowNothingOfTheCount(t *testing.T) {
	few, many := emqxVars(), emqxVars()
	few.NodeCount, many.NodeCount = 3, 4
	assert.DeepEqual(t, emqxJob(t, few).TaskGroups[0].Tasks, emqxJob(t, many).TaskGroups[0].Tasks)
	few2, many2 := haproxyVars(), haproxyVars()
	few2.NodeCount, many2.NodeCount = 3, 4
	assert.DeepEqual(t, haproxyJob(t, few2).TaskGroups[0].Tasks, haproxyJob(t, many2).TaskGroups[0].Tasks)
}

// ADR 0013: time to stop, and out of HAProxy first. The original is killed
// after 5 s.
func TestStopping(t *testing.T) {
	g := emqxJob(t, emqxVars()).TaskGroups[0]
	assert.Equal(t, *g.Tasks[0].KillTimeout, 150*time.Second)
	assert.Equal(t, g.Tasks[0].KillSignal, "SIGTERM")
	assert.Equal(t, *g.ShutdownDelay, 15*time.Second)

	v := haproxyVars()
	v.ShutdownDelay, v.KillTimeout = 70*time.Second, 100*time.Second
	task := haproxyJob(t, v).TaskGroups[0].Tasks[0]
	assert.Equal(t, task.KillSignal, "SIGTERM")
	assert.Equal(t, *task.KillTimeout, 100*time.Second)
	assert.Equal(t, task.Env["GRACE"], "70")
	assert.Equal(t, task.Env["HARD_STOP"], "25")
}

// ADR 0007: no secret in a job's text, all of them files of the one who reads
// them, and no change of one restarts a node, let alone all.
func TestSecretsComeFromNomadVariables(t *testing.T) {
	v := emqxVars()
	v.License = true
	emqx, haproxy := emqxJob(t, v).TaskGroups[0].Tasks[0], haproxyJob(t, haproxyVars()).TaskGroups[0].Tasks[0]
	for _, task := range []*api.Task{emqx, haproxy} {
		assert.Assert(t, len(task.Templates) > 0)
		for _, f := range task.Templates {
			if strings.HasPrefix(*f.DestPath, "${NOMAD_TASK_DIR}/") {
				assert.Assert(t, !strings.Contains(*f.EmbeddedTmpl, "nomadVar"), *f.DestPath)
				assert.Equal(t, *f.ChangeMode, "noop")
				continue
			}
			assert.Assert(t, strings.HasPrefix(*f.DestPath, "${NOMAD_SECRETS_DIR}/"), *f.DestPath)
			assert.Assert(t, *f.ChangeMode != "restart", *f.DestPath)
			assert.Equal(t, *f.Perms, "0400", *f.DestPath)
			assert.Equal(t, *f.ErrMissingKey, true)
			// Variables of the container stand in clear in what Docker says of it.
			assert.Assert(t, f.Envvars == nil || !*f.Envvars, *f.DestPath)
			uid := 1000
			if task == haproxy {
				uid = 99
			}
			assert.Equal(t, *f.Uid, uid, *f.DestPath)
		}
	}
	all := ""
	for _, f := range emqx.Templates {
		all += *f.DestPath + "\n" + *f.EmbeddedTmpl
	}
	for _, item := range []string{
		ItemErlangCookie, ItemDashboardPassword, ItemAPIKey, ItemAPISecret, ItemTLSCert, ItemTLSKey, ItemTLSCA, ItemLicenseKey,
		`nomadVar "nomad/jobs/` + cluster.EMQXJobID("lab") + `"`,
	} {
		assert.Assert(t, cmp.Contains(all, item))
	}
	for key := range emqx.Env {
		assert.Assert(t, !slices.Contains([]string{"EMQX_NODE__COOKIE", "EMQX_DASHBOARD__DEFAULT_PASSWORD", "EMQX_LICENSE__KEY"}, key), key)
	}
	for _, template := range haproxy.Templates {
		assert.Equal(t, *template.ChangeMode, "noop", *template.DestPath)
	}

	v.TLS, v.License = false, false
	assert.Equal(t, len(emqxJob(t, v).TaskGroups[0].Tasks[0].Templates), 9)
}

// ADR 0013: one HAProxy for each node, in the foreground. The original runs
// three, each a daemon whose container ends at once.
func TestHAProxyTask(t *testing.T) {
	v := haproxyVars()
	v.NodeCount = 5
	job := haproxyJob(t, v)
	assert.Equal(t, *job.ID, cluster.HAProxyJobID("lab"))
	assert.Equal(t, *job.TaskGroups[0].Count, 5)
	task := job.TaskGroups[0].Tasks[0]
	assert.DeepEqual(t, task.Config["entrypoint"], []any{"/bin/sh", "${NOMAD_TASK_DIR}/run.sh"})
	assert.Assert(t, cmp.Contains(HAProxyRun, "haproxy -W -db "))
	assert.Assert(t, !strings.Contains(HAProxyConfig, "daemon"))
	assert.Equal(t, *task.Resources.MemoryMB, cluster.ProxyMemoryMB(4000))
	assert.Equal(t, task.Env["IDLE_TIMEOUT"], fmt.Sprintf("%ds", cluster.IdleTimeout(301)))
	assert.Equal(t, *task.Templates[0].EmbeddedTmpl, HAProxyRun)
	assert.Equal(t, *task.Templates[1].EmbeddedTmpl, HAProxyConfig)
	assert.Equal(t, *emqxJob(t, emqxVars()).ID, cluster.EMQXJobID("lab"))
}

// The provider shows a job as a text diff: the same values, the same text.
func TestVariablesAreStable(t *testing.T) {
	v := emqxVars()
	v.Env = map[string]string{"EMQX_B": "2", "EMQX_A": "1", "EMQX_C": "3"}
	first, err := v.HCL2()
	assert.NilError(t, err)
	for range 20 {
		again, err := v.HCL2()
		assert.NilError(t, err)
		assert.DeepEqual(t, first, again)
	}
	assert.Equal(t, first["extra_env"], `{"EMQX_A" = "1", "EMQX_B" = "2", "EMQX_C" = "3"}`)
}

// Encrypted variables are in the secrets; the job tells only that they are others.
func TestSecretEnvironment(t *testing.T) {
	vars := map[string]string{"EMQX_B": "it's", "EMQX_A": `"a b"`}
	assert.Equal(t, Environment(vars), "EMQX_A='\"a b\"'\nEMQX_B='it'\\''s'\n")
	digest := EnvironmentDigest(vars, "key")
	assert.Equal(t, len(digest), 32)
	assert.Assert(t, EnvironmentDigest(vars, "other") != digest, "whoever guesses a value could try it")
	assert.Assert(t, EnvironmentDigest(map[string]string{"EMQX_A": "x"}, "key") != digest)
	assert.Equal(t, EnvironmentDigest(nil, "key"), "")

	v := emqxVars()
	file := func() string {
		for _, f := range emqxJob(t, v).TaskGroups[0].Tasks[0].Templates {
			if strings.HasSuffix(*f.DestPath, "/emqx.env") {
				return *f.EmbeddedTmpl
			}
		}
		return ""
	}
	assert.Assert(t, cmp.Contains(file(), "{{- if false }}\n{{ .environment.Value }}"))
	v.SecretEnv = digest
	assert.Assert(t, cmp.Contains(file(), "{{- if true }}\n{{ .environment.Value }}"))
	assert.Equal(t, emqxJob(t, v).TaskGroups[0].Tasks[0].Env["SECRETS_DIGEST"], digest)
}

// A value of the user's reaches EMQX as it is, whatever HCL would make of it.
func TestExtraEnvIsNotInterpreted(t *testing.T) {
	v := emqxVars()
	v.Env = map[string]string{
		"EMQX_A": `"quoted # \ value"`, "EMQX_B": "%{if true}x", "EMQX_C": "${var.environment}", "EMQX_D": "a\nb\tc", "EMQX_E": "ü $ { } $$",
	}
	env := emqxJob(t, v).TaskGroups[0].Tasks[0].Env
	for key, value := range v.Env {
		assert.Equal(t, env[key], value, key)
	}
}
