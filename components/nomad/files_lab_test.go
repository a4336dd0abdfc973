//go:build lab

package nomad

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// What EMQX finds in its environment and in its files, with hostile secrets.
func TestEMQXJobInNomad(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	n, _ := jobtest.Servers(t)
	const password = `a "quoted" \ # value ${x} <&> ü 'end`
	jobtest.PutVariable(t, n, "emqx-lab", map[string]string{
		ItemErlangCookie: "abcdefghijklmnop", ItemDashboardPassword: password, ItemAPIKey: "deploy01", ItemAPISecret: "s3cr3t-s3cr3t",
		ItemTLSCert: "CERT\n", ItemTLSKey: "KEY\n", ItemTLSCA: "CA\n", ItemLicenseKey: "MjIw=.ME'Q/+=",
		ItemEnvironment: Environment(map[string]string{"EMQX_PLANTED": hostile}),
	})
	v := emqxVars()
	v.NodeCount, v.License, v.MaxConnections, v.ShutdownDelay, v.SecretEnv = 1, true, 2000, time.Second, "digest"
	out := filepath.Join(t.TempDir(), "out")
	a := jobtest.StartWithoutDocker(t, n, emqxJob(t, v), "/bin/sh", "-c",
		`cd "$NOMAD_SECRETS_DIR" && { env -0 | tr '\n\0' '|\n' | sed 's/^/task: /'; stat -c '%n %a %u:%g' emqx.env; set -a; . ./emqx.env; `+
			`env -0 | tr '\n\0' '|\n' | grep -E '^(EMQX|ERL)'; for f in api_keys tls.key tls.crt ca.crt; do stat -c '%n %a %u:%g' $f; cat $f; done; } >`+out+`.tmp && mv `+out+`.tmp `+out+` && exec sleep 1000`)
	var raw []byte
	jobtest.Eventually(t, "the environment", 10*time.Second, func() (err error) {
		raw, err = os.ReadFile(out)
		return err
	})
	t.Log(string(raw))
	env, files, _ := strings.Cut(string(raw), "api_keys ")
	task, env, _ := strings.Cut(env, "emqx.env 400 1000:1000\n")
	assert.Assert(t, cmp.Contains(task, "task: EMQX_NODE__NAME="))
	for _, secret := range []string{"EMQX_NODE__COOKIE", "abcdefghijklmnop", "DEFAULT_PASSWORD", "MjIw", "EMQX_PLANTED", "s3cr3t"} {
		assert.Assert(t, !strings.Contains(task, secret), "Docker would show %s", secret)
	}
	get := func(key string) string {
		_, rest, ok := strings.Cut("\n"+env, "\n"+key+"=")
		assert.Assert(t, ok, key)
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	// ADR 0070: the script's own expression, Erlang, and Nomad itself, with the task's identity.
	_, text, ok := strings.Cut(EMQXRun, "printf -v text '{ok, T}")
	assert.Assert(t, ok)
	text, _, _ = strings.Cut("{ok, T}"+text, "'")
	ask := func(token string) string {
		expression := fmt.Sprintf(strings.TrimSuffix(text, "."), token, taskValue(t, task, "API_SOCKET"), a.JobID, a.Namespace)
		said, err := exec.Command(agenttest.Tool(t, "erl"), "-noshell", "-eval", `io:format("~p~n", [catch begin `+expression+` end]), halt().`).CombinedOutput()
		assert.NilError(t, err, string(said))
		return strings.Join(strings.Fields(string(said)), "")
	}
	assert.Equal(t, ask(taskValue(t, task, "TOKEN_FILE")), "{false,1}")
	none := filepath.Join(t.TempDir(), "token")
	assert.NilError(t, os.WriteFile(none, nil, 0o600))
	assert.Assert(t, cmp.Contains(ask(none), "nomatch"), "whoever comes without an identity")
	assert.Assert(t, !strings.Contains(task, "task: NOMAD_TOKEN="), "Docker would show the token")

	var read string // HOCON reads a quoted string as JSON does
	assert.NilError(t, json.Unmarshal([]byte(get("EMQX_DASHBOARD__DEFAULT_PASSWORD")), &read))
	assert.Equal(t, read, password)
	assert.Assert(t, !strings.Contains(get("EMQX_DASHBOARD__DEFAULT_PASSWORD"), `\u`), "HOCON readers differ in \\u")
	assert.Equal(t, get("EMQX_NODE__COOKIE"), "abcdefghijklmnop", "quotes would make emqx ctl refuse")
	assert.Equal(t, get("EMQX_LICENSE__KEY"), "MjIw=.ME'Q/+=")
	assert.Equal(t, get("EMQX_PLANTED"), strings.ReplaceAll(hostile, "\n", "|"))
	assert.Equal(t, get("EMQX_NODE__NAME"), "emqx@emqx-lab-0.node.dc1.consul")
	assert.Equal(t, get("ERL_FLAGS"), "-kernel inet_dist_use_interface {10,80,1,11}")
	assert.Equal(t, get("EMQX_RPC__LISTEN_ADDRESS"), `"10.80.1.11"`)
	assert.Equal(t, get("EMQX_DASHBOARD__LISTENERS__HTTP__BIND"), `"0.0.0.0:18083"`)
	port := map[string]int{}
	for _, p := range a.AllocatedResources.Shared.Ports {
		assert.Equal(t, p.HostIP, jobtest.NodeAddress, p.Label)
		port[p.Label] = p.Value
	}
	for key, label := range map[string]string{"TCP": "mqtt", "SSL": "mqtts", "WS": "ws", "WSS": "wss"} {
		assert.Equal(t, get("EMQX_LISTENERS__"+key+"__DEFAULT__BIND"), fmt.Sprintf(`"0.0.0.0:%d"`, port[label]))
	}
	assert.DeepEqual(t, port, map[string]int{"mqtt": 21883, "mqtts": 21884, "ws": 21983, "wss": 21984, "dashboard": 18083, "dist": 4370, "rpc": 5370})
	assert.Assert(t, cmp.Contains(get("EMQX_API_KEY__BOOTSTRAP_FILE"), `/secrets/api_keys"`))
	for _, text := range []string{"400 1000:1000\ndeploy01:s3cr3t-s3cr3t\n", "tls.key 400 1000:1000\nKEY\n", "tls.crt 400 1000:1000\nCERT\n", "ca.crt 400 1000:1000\nCA\n"} {
		assert.Assert(t, cmp.Contains(files, text))
	}
}

// taskValue is a variable of the task's environment.
func taskValue(t *testing.T, task, name string) string {
	t.Helper()
	_, rest, ok := strings.Cut("\n"+task, "\ntask: "+name+"=")
	assert.Assert(t, ok, name)
	value, _, _ := strings.Cut(rest, "\n")
	return value
}
