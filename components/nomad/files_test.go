package nomad

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"text/template"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

func emqxVars() EMQXVars {
	return EMQXVars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 3, Image: "emqx/emqx:5.8.9",
		CPU: 500, MemoryMB: 512, KeepAliveMax: 301, NoFile: 10000, TLS: true,
	}
}

func emqxJob(t *testing.T, v EMQXVars) *api.Job {
	t.Helper()
	vars, err := v.HCL2()
	assert.NilError(t, err)
	return jobtest.Parse(t, EMQXJob, vars)
}

func TestNomadAcceptsTheJob(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := emqxVars()
		v.TLS, v.License, v.MaxConnections = tls, tls, 2000
		vars, err := v.HCL2()
		assert.NilError(t, err)
		jobtest.Validate(t, EMQXJob, vars)
	})
}

func TestJobFileIsFormatted(t *testing.T) { jobtest.Formatted(t, "files/emqx.nomad.hcl") }

// ADR 0003: the volume pins allocation i to node i. The original has one group for each
// node.
func TestOneNodeAtATime(t *testing.T) {
	job := emqxJob(t, emqxVars())
	assert.Equal(t, *job.ID, cluster.EMQXJobID("lab"))
	jobtest.OneNodeAtATime(t, job, 3)
	g := job.TaskGroups[0]
	volume := g.Volumes["data"]
	assert.Equal(t, volume.Type, "host")
	assert.Equal(t, volume.Source, "emqx")
	assert.Assert(t, volume.PerAlloc && !volume.ReadOnly)
	assert.Equal(t, *g.Tasks[0].VolumeMounts[0].Volume, "data")
	assert.Equal(t, *g.Tasks[0].VolumeMounts[0].Destination, "/opt/emqx/data")
	// EMQX cannot write its data as another user; the original runs as root.
	assert.Equal(t, g.Tasks[0].User, "1000:1000")
}

func TestALostNodeIsReplacedByItsSuccessor(t *testing.T) {
	jobtest.LostNodeIsReplacedByItsSuccessor(t, emqxJob(t, emqxVars()))
}

// ADR 0002: the environment is a tag of every service, or no name that holds
// it resolves; one service for each protocol. ADR 0004: the list of members is
// not Nomad's.
func TestServices(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := emqxVars()
		v.TLS = tls
		wanted := map[string]string{
			"emqx": "mqtt", "emqx-ws": "ws", "emqx-listeners": "dashboard", "emqx-dashboard": "dashboard", "emqx-metrics": "dashboard",
		}
		if tls {
			wanted["emqx-tls"], wanted["emqx-wss"] = "mqtts", "wss"
		}
		assert.DeepEqual(t, jobtest.Services(t, emqxJob(t, v)), wanted)
		for _, s := range emqxJob(t, v).TaskGroups[0].Services {
			if s.Name == "emqx-dashboard" {
				assert.Equal(t, len(s.Tags), map[bool]int{true: 6, false: 4}[tls], "%v", s.Tags)
			}
		}
	})
}

// ADR 0070: the task has Nomad's token in a file, and not in its environment, which Docker tells.
func TestTheTaskHasItsIdentityInAFile(t *testing.T) {
	task := emqxJob(t, emqxVars()).TaskGroups[0].Tasks[0]
	assert.Assert(t, task.Identity != nil && task.Identity.File && !task.Identity.Env)
	assert.Equal(t, task.Env["TOKEN_FILE"], "${NOMAD_SECRETS_DIR}/nomad_token")
	assert.Equal(t, task.Env["API_SOCKET"], "${NOMAD_SECRETS_DIR}/api.sock")
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
}

// ADR 0025: EMQX writes all but "node" and "rpc" cluster-wide, at an import and at a
// change in the dashboard. A value that differs from node to node there closes the
// listeners of all nodes but one.
func TestWhatEMQXSharesIsTheSameOnEveryNode(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
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
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
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
				wanted = `"/tmp/emqx-certificate/` + file + `"`
			}
			assert.Equal(t, get("SSL", "SSL_OPTIONS__"+key), wanted)
			assert.Equal(t, get("WSS", "SSL_OPTIONS__"+key), wanted)
		}
	})
}

// Whom a PROXY header names EMQX believes, so it asks who writes one, where it can: it takes
// rules for a WebSocket listener and never asks them (emqx_listeners:ranch_opts), and a rule
// that does nothing would look like a guard.
func TestNamesOfCertificatesAreTheProxiesToTell(t *testing.T) {
	v := emqxVars()
	v.TLS, v.CertificateNamesFrom = false, "10.0.2.0/24"
	env := emqxJob(t, v).TaskGroups[0].Tasks[0].Env
	assert.Equal(t, env["EMQX_MQTT__PEER_CERT_AS_USERNAME"], "cn")
	assert.Equal(t, env["EMQX_LISTENERS__TCP__DEFAULT__ACCESS_RULES"], `["allow 10.0.2.0/24","deny all"]`)
	assert.Equal(t, env["EMQX_LISTENERS__WS__DEFAULT__ACCESS_RULES"], "")

	v.CertificateNamesFrom = ""
	for name := range emqxJob(t, v).TaskGroups[0].Tasks[0].Env {
		assert.Assert(t, !strings.HasSuffix(name, "__ACCESS_RULES") && !strings.HasPrefix(name, "EMQX_MQTT__PEER_CERT"), name)
	}
}

// More or fewer nodes restart none of the others: Nomad compares the tasks.
func TestTasksKnowNothingOfTheCount(t *testing.T) {
	few, many := emqxVars(), emqxVars()
	few.NodeCount, many.NodeCount = 3, 4
	assert.DeepEqual(t, emqxJob(t, few).TaskGroups[0].Tasks, emqxJob(t, many).TaskGroups[0].Tasks)
}

// ADR 0013: time to stop, and out of HAProxy first. The original is killed
// after 5 s.
func TestStopping(t *testing.T) {
	g := emqxJob(t, emqxVars()).TaskGroups[0]
	assert.Equal(t, *g.Tasks[0].KillTimeout, 150*time.Second)
	assert.Equal(t, g.Tasks[0].KillSignal, "SIGTERM")
	assert.Equal(t, *g.ShutdownDelay, 15*time.Second)
}

// ADR 0007: no secret in a job's text, all of them files of the one who reads
// them, and no change of one restarts a node, let alone all.
func TestSecretsComeFromNomadVariables(t *testing.T) {
	v := emqxVars()
	v.License = true
	emqx := emqxJob(t, v).TaskGroups[0].Tasks[0]
	jobtest.SecretsAreFilesOf(t, emqx, 1000)
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

	v.TLS, v.License = false, false
	assert.Equal(t, len(emqxJob(t, v).TaskGroups[0].Tasks[0].Templates), 9)
}

// A stack gives up its certificate, its licence key, or its encrypted variables, and the
// secrets change before the job does. After a template that fails Nomad renders none of a
// running task any more.
func TestAnItemThatIsTakenAwayFailsNoTemplate(t *testing.T) {
	v := emqxVars()
	v.License, v.SecretEnv = true, EnvironmentDigest(map[string]string{"EMQX_A": "1"}, "key")
	type item struct{ Value string }
	items := map[string]item{}
	for _, name := range []string{ItemErlangCookie, ItemDashboardPassword, ItemAPIKey, ItemAPISecret} {
		items[name] = item{name}
	}
	rendered := 0
	for _, f := range emqxJob(t, v).TaskGroups[0].Tasks[0].Templates {
		if f.ErrMissingKey == nil || !*f.ErrMissingKey {
			continue
		}
		tmpl, err := template.New(*f.DestPath).Option("missingkey=error").Funcs(template.FuncMap{
			"nomadVar":        func(string) map[string]item { return items },
			"toUnescapedJSON": func(s string) string { return s },
			"replaceAll":      func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
		}).Parse(*f.EmbeddedTmpl)
		assert.NilError(t, err)
		var text strings.Builder
		assert.NilError(t, tmpl.Execute(&text, nil))
		rendered++
		if strings.HasSuffix(*f.DestPath, "/emqx.env") {
			// EMQX may start at that moment, and refuses a listener whose certificate is empty.
			assert.Assert(t, cmp.Contains(text.String(), "\nEMQX_LISTENERS__SSL__DEFAULT__ENABLE=false\nEMQX_LISTENERS__WSS__DEFAULT__ENABLE=false"))
			assert.Assert(t, !strings.Contains(text.String(), "LICENSE"), text.String())
			items[ItemTLSCert], items[ItemLicenseKey] = item{"certificate"}, item{"licence"}
			text.Reset()
			assert.NilError(t, tmpl.Execute(&text, nil))
			assert.Assert(t, !strings.Contains(text.String(), "LISTENERS"), text.String())
			assert.Assert(t, cmp.Contains(text.String(), "\nEMQX_LICENSE__KEY='licence'\n"))
			delete(items, ItemTLSCert)
			delete(items, ItemLicenseKey)
		}
	}
	assert.Equal(t, rendered, 5, "emqx.env, api_keys and three files of TLS")
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
	assert.Assert(t, cmp.Contains(file(), "{{- if false }}\n{{ (index . \"environment\").Value }}"))
	v.SecretEnv = digest
	assert.Assert(t, cmp.Contains(file(), "{{- if true }}\n{{ (index . \"environment\").Value }}"))
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

// A listener that is off is off, whatever the image or the dashboard says, and has neither
// port nor service.
func TestListenersThatAreOff(t *testing.T) {
	v := emqxVars()
	v.TLS, v.Listeners = true, []string{"mqtts", "ws"}
	group := emqxJob(t, v).TaskGroups[0]
	labels, services := map[string]bool{}, map[string]bool{}
	for _, p := range group.Networks[0].ReservedPorts {
		labels[p.Label] = true
	}
	for _, s := range group.Services {
		services[s.Name] = true
	}
	for name, x := range map[string]struct {
		listener, service string
		on                bool
	}{"mqtt": {"TCP", "emqx", false}, "mqtts": {"SSL", "emqx-tls", true}, "ws": {"WS", "emqx-ws", true}, "wss": {"WSS", "emqx-wss", false}} {
		assert.Equal(t, group.Tasks[0].Env["EMQX_LISTENERS__"+x.listener+"__DEFAULT__ENABLE"], strconv.FormatBool(x.on), name)
		assert.Equal(t, labels[name], x.on, name)
		assert.Equal(t, services[x.service], x.on, name)
	}
	assert.Assert(t, services["emqx-dashboard"], "by which HAProxy finds brokers")
	v.TLS = false
	_, err := v.HCL2()
	assert.ErrorContains(t, err, `listeners[0]: must be one of mqtt, ws, got "mqtts"`)
}

// ADR 0054: what a client may send.
func TestLimitsReachEMQX(t *testing.T) {
	limits := func(l cluster.Limits, env map[string]string) map[string]string {
		v := emqxVars()
		v.Limits, v.Env = l, env
		got := map[string]string{}
		for name, value := range emqxJob(t, v).TaskGroups[0].Tasks[0].Env {
			if short, ok := strings.CutPrefix(name, "EMQX_MQTT__"); ok {
				got[short] = value
			}
		}
		return got
	}
	assert.DeepEqual(t, limits(cluster.Limits{}, nil), map[string]string{
		"MAX_PACKET_SIZE": `"1024KB"`, "MAX_TOPIC_LEVELS": "128", "MAX_CLIENTID_LEN": "65535", "IDLE_TIMEOUT": `"15s"`,
	})
	own := cluster.Limits{PacketKB: 64, TopicLevels: 8, ClientIDLength: 40, ConnectTimeout: 5 * time.Second}
	assert.DeepEqual(t, limits(own, map[string]string{"EMQX_MQTT__MAX_PACKET_SIZE": "2MB"}), map[string]string{
		"MAX_PACKET_SIZE": "2MB", "MAX_TOPIC_LEVELS": "8", "MAX_CLIENTID_LEN": "40", "IDLE_TIMEOUT": `"5s"`,
	})
	v := emqxVars()
	v.Limits = cluster.Limits{PacketKB: 1 << 20, TopicLevels: -1, ClientIDLength: 22, ConnectTimeout: time.Millisecond}
	_, err := v.HCL2()
	for _, path := range []string{"packetKb: must be 1 to 262143", "topicLevels: must be 1 to 65535", "clientIdLength: must be 23 to 65535", "connectTimeout: must be whole seconds"} {
		assert.ErrorContains(t, err, "limits."+path)
	}
}
