package haproxy

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"text/template"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

type item struct{ Value string }

// renderHAProxy does what Nomad's template runner does with the functions that
// the configuration uses; the lab suite renders it with Nomad itself.
func renderHAProxy(t *testing.T, env map[string]string, secrets map[string]item) string {
	t.Helper()
	return renderTemplate(t, Config, env, secrets)
}

func renderTemplate(t *testing.T, text string, env map[string]string, secrets map[string]item) string {
	t.Helper()
	all := map[string]item{}
	maps.Copy(all, secrets)
	secrets = all
	given := map[string]item{ItemMembers: {"10.0.1.11 10.0.1.12 10.0.1.13"}}
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		given[itemBroker(l.Name)] = item{strconv.Itoa(l.BrokerPort)}
	}
	for name, value := range given {
		if _, own := secrets[name]; !own {
			secrets[name] = value
		}
	}
	tmpl, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"env":       func(k string) string { return env[k] },
		"parseBool": strconv.ParseBool,
		"nomadVar": func(path string) map[string]item {
			assert.Assert(t, path == "nomad/jobs/emqx-lab-haproxy" || path == Proxy{}.CertificateVariable("lab"), path)
			return secrets
		},
		"nomadVarExists": func(path string) bool {
			assert.Equal(t, path, Proxy{}.CertificateVariable("lab"))
			return secrets[cluster.ItemCertificate] != item{}
		},
		"regexMatch": regexp.MatchString,
		"replaceAll": func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
		"split":      func(at, s string) []string { return strings.Split(s, at) },
	}).Parse(text)
	assert.NilError(t, err)
	var b strings.Builder
	assert.NilError(t, tmpl.Execute(&b, secrets))
	return b.String()
}

func haproxyEnv(t *testing.T, tls bool) map[string]string {
	t.Helper()
	v := testVars()
	v.TLS = tls
	return envOf(t, v)
}

// held are the items of the variable of a job that has come to its end, as far as the configuration looks at them.
func held(v Vars) map[string]item {
	items := map[string]item{ItemStatsUser: {"admin"}, ItemStatsPassword: {"password"}}
	if v.TLS {
		items[ItemTerminate], items[ItemClients] = item{settings.TerminateBroker}, item{v.TLSClients}
		if v.TLSAtProxy {
			items[ItemTerminate] = item{settings.TerminateProxy}
		}
		if v.TLSAtEdge {
			items[ItemTerminate] = item{settings.TerminateEdge}
		}
	}
	if v.TLSTickets {
		items[ItemTicketKeys] = item{"keys"}
	}
	if v.TLSRevocations {
		items[ItemClientCRL] = item{"lists"}
	}
	return items
}

func envOf(t *testing.T, v Vars) map[string]string {
	t.Helper()
	env := testJob(t, v).TaskGroups[0].Tasks[0].Env
	env["NOMAD_JOB_ID"], env["NOMAD_TASK_DIR"] = JobID("lab"), t.TempDir()
	for port, number := range map[string]string{"mqtt": "1883", "mqtts": "8883", "ws": "8083", "wss": "8084", "admin": "8080"} {
		env["NOMAD_ADDR_"+port] = "127.0.0.1:" + number
	}
	return env
}

// checkHAProxy is `haproxy -c` of the version that is installed.
func checkHAProxy(t *testing.T, config string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "haproxy.cfg")
	assert.NilError(t, os.WriteFile(path, []byte(config), 0o600))
	out, err := exec.Command(agenttest.Tool(t, "haproxy"), "-c", "-f", path).CombinedOutput()
	return string(out), err
}

func TestHAProxyAcceptsTheConfiguration(t *testing.T) {
	jobtest.EachTLS(t, func(t *testing.T, tls bool) {
		v := testVars()
		v.TLS = tls
		items := held(v)
		items[ItemStatsPassword] = item{`p w'd"#$\${X}%[x]`}
		config := renderHAProxy(t, haproxyEnv(t, tls), items)
		out, err := checkHAProxy(t, config)
		assert.NilError(t, err, out)
		assert.Assert(t, !strings.Contains(out, "WARNING"), out)
		for _, text := range []string{":8883", ":8084", ":21884 ", ":21984 ", "nbsrv(mqtts)"} {
			assert.Equal(t, strings.Contains(config, text), tls, text)
		}
		assert.Assert(t, cmp.Contains(config, fmt.Sprintf("maxconn %d\n", 4000+cluster.ProxyHeadroom)))
		assert.Assert(t, cmp.Contains(config, "timeout tunnel 452s\n"))
		assert.Assert(t, cmp.Contains(config, "    server mqtt-2-21883 10.0.1.13:21883 tcp-ut 5s track seen-mqtt/2-21883\n"))
		assert.Assert(t, cmp.Contains(config, "    server 2-21883 lab--2.emqx-dashboard.service.consul:21883 addr 10.0.1.13 port 21883\n"))
	})
}

// What HAProxy could not read back is refused with a reason, not cut short.
func TestHAProxyRefusesStatsCredentials(t *testing.T) {
	for _, bad := range []map[string]item{
		{ItemStatsUser: {"a:b"}, ItemStatsPassword: {"password"}},
		{ItemStatsUser: {"admin"}, ItemStatsPassword: {"pass\nglobal"}},
		{ItemStatsUser: {"ad\tmin"}, ItemStatsPassword: {"password"}},
	} {
		out, err := checkHAProxy(t, renderHAProxy(t, haproxyEnv(t, false), bad))
		assert.Assert(t, err != nil)
		assert.Assert(t, cmp.Contains(out, "stats_user must hold no colon"))
	}
}
