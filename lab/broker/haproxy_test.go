package broker

import (
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"text/template"
	"time"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// Where the proxy of a test listens.
var proxyPorts = map[string]string{"mqtt": "2883", "mqtts": "2884", "ws": "2083", "wss": "2084", "admin": "2080"}

// proxy runs a real HAProxy with its job's own configuration in front of the first member, whose listeners with PROXY protocol
// are at these ports. It asks for the clients' certificates and takes those that are given.
func (l *lab) proxy(mqttPort, wsPort uint16, server tls.Certificate, clients string) {
	t := l.t
	t.Helper()
	at := l.ip(0)
	names := &dns.Server{Addr: at + ":8653", Net: "udp", Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg)
		m.SetReply(q)
		name := q.Question[0].Name
		m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(at)}}
		_ = w.WriteMsg(m)
	})}
	go func() { _ = names.ListenAndServe() }()
	t.Cleanup(func() { _ = names.Shutdown() })

	vars, err := haproxy.Vars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 1, Image: "haproxy:3.2.25", CPU: 500, MaxConn: 1000, KeepAliveMax: 301,
		TLS: true, TLSAtProxy: true, TLSClients: "optional",
	}.HCL2()
	assert.NilError(t, err)
	env, dir := jobtest.Parse(t, haproxy.Job, vars).TaskGroups[0].Tasks[0].Env, t.TempDir()
	env["NOMAD_JOB_ID"], env["NOMAD_TASK_DIR"] = haproxy.JobID("lab"), dir
	env["BROKER_mqtt"], env["BROKER_ws"] = fmt.Sprint(mqttPort), fmt.Sprint(wsPort)
	for name, port := range proxyPorts {
		env["NOMAD_ADDR_"+name] = at + ":" + port
	}
	type item struct{ Value string }
	parsed, err := template.New("").Option("missingkey=error").Funcs(template.FuncMap{
		"env": func(name string) string { return env[name] }, "parseBool": strconv.ParseBool, "regexMatch": regexp.MatchString,
		"replaceAll": func(from, to, s string) string { return strings.ReplaceAll(s, from, to) },
		"split":      func(at, s string) []string { return strings.Split(s, at) },
		"nomadVar": func(string) map[string]item {
			return map[string]item{
				haproxy.ItemMembers: {at}, "broker_mqtt": {env["BROKER_mqtt"]}, "broker_ws": {env["BROKER_ws"]},
				"broker_mqtts": {env["BROKER_mqtts"]}, "broker_wss": {env["BROKER_wss"]},
				haproxy.ItemStatsUser: {"stats"}, haproxy.ItemStatsPassword: {"password"}, haproxy.ItemTerminate: {"proxy"}, haproxy.ItemClients: {"optional"},
			}
		},
	}).Parse(haproxy.Config)
	assert.NilError(t, err)
	var config strings.Builder
	assert.NilError(t, parsed.Execute(&config, nil))
	key, err := x509.MarshalPKCS8PrivateKey(server.PrivateKey)
	assert.NilError(t, err)
	assert.NilError(t, os.Mkdir(dir+"/further", 0o700))
	for name, text := range map[string]string{
		"haproxy.cfg": strings.ReplaceAll(config.String(), "127.0.0.1:8600", at+":8653"), "ca.pem": clients,
		"tls.pem": pemOf("CERTIFICATE", server.Certificate[0]) + pemOf("PRIVATE KEY", key),
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	cmd := exec.Command(agenttest.Tool(t, "haproxy"), "-W", "-db", "-f", dir+"/haproxy.cfg")
	cmd.Env = append(os.Environ(), "CERTIFICATES="+dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var out strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &out
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(out.String())
		}
	})
	eventually(t, func() string {
		r, err := (&http.Client{Timeout: time.Second}).Get("http://" + at + ":" + proxyPorts["admin"] + "/haproxy_ready")
		if err != nil {
			return err.Error()
		}
		_ = r.Body.Close()
		if r.StatusCode != http.StatusOK {
			return r.Status
		}
		return ""
	})
}

func pemOf(label string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der}))
}

// By the whole way, on each listener: a certificate that HAProxy has verified is enough for whom it names, and nobody gets in by
// a mere name, nor by a PROXY header of its own.
func TestCertificatesThroughHAProxy(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	const p, ws = "EMQX_LISTENERS__TCP__PROXIED__", "EMQX_LISTENERS__WS__PROXIED__"
	l.start(0, certNames+"USERNAME=cn", p+"BIND="+l.ip(0)+":1884", p+"PROXY_PROTOCOL=true", ws+"BIND="+l.ip(0)+":8085", ws+"PROXY_PROTOCOL=true",
		`EMQX_AUTHENTICATION=[{mechanism = password_based, backend = built_in_database, user_id_type = username, password_hash_algorithm {name = bcrypt}}]`)
	l.wantUp(0)
	l.wantREST(0, "POST", "/authentication/password_based%3Abuilt_in_database/users", `{"user_id":"ann","password":"ann's"}`, 201)
	out, exit := l.ctl(0, "eval_erl", fmt.Sprintf(waitExpression, devicesFile, devicesFile, 1))
	assert.Equal(t, exit, 0, out)
	certificates, authorities := map[string]tls.Certificate{}, ""
	for _, name := range []string{"server", "bob", "ann", "emqx-oci-gate"} {
		cert, _ := clientCert(t, pkix.Name{CommonName: name})
		certificates[name] = cert
		authorities += pemOf("CERTIFICATE", cert.Certificate[0])
	}
	l.proxy(1884, 8085, certificates["server"], authorities)

	at := func(listener, shows string) net.Conn {
		conn := dial(t, l.ip(0)+":"+proxyPorts[listener])
		if strings.HasSuffix(listener, "s") && listener != "ws" {
			conf := &tls.Config{InsecureSkipVerify: true}
			if shows != "" {
				conf.Certificates = []tls.Certificate{certificates[shows]}
			}
			conn = tls.Client(conn, conf)
		}
		if strings.HasPrefix(listener, "ws") {
			conn = dialWS(t, conn, "ws://x/mqtt", nil)
		}
		return conn
	}
	both, all := []string{"mqtts", "wss"}, []string{"mqtt", "ws", "mqtts", "wss"}
	for _, x := range []struct {
		listeners             []string
		shows, user, password string
		want                  byte
	}{
		{both, "bob", "", "", 0},
		{both, "bob", "ann", "ann's", 0}, // as bob
		{both, "ann", "ann", "", 0x86},
		{both, "ann", "ann", "ann's", 0},
		{both, "emqx-oci-gate", "emqx-oci-gate", "", 0x86},
		{all, "", "bob", "", 0x86},
		{all, "", "bob", "bob", 0x87},
		{all, "", "ann", "ann's", 0},
	} {
		for _, listener := range x.listeners {
			c, ack := tryConnect(t, at(listener, x.shows), connectOpts{id: "c-" + listener, v: 5, user: x.user, password: x.password})
			assert.Equal(t, ack.ReasonCode, x.want, "%+v by %s", x, listener)
			if x.want == 0 && x.shows != "" {
				_, text := l.rest(0, "GET", "/clients?clientid=c-"+listener, "")
				assert.Assert(t, strings.Contains(text, `"username":"`+x.shows+`"`), text)
			}
			_ = c.conn.Close()
		}
	}
	for _, listener := range []string{"mqtt", "mqtts"} {
		conn := proxied(t, at(listener, ""), "bob")
		_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
		_, _ = conn.Write([]byte("\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04test"))
		n, _ := conn.Read(make([]byte, 1))
		assert.Equal(t, n, 0, "%s took a header of the client's", listener)
	}
}
