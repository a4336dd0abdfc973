package broker

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"gotest.tools/v3/assert"
)

func TestHOCONValues(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]any{
		`a#b`: "a", `a b`: "ab", `0012`: hoconInt{"12"}, `true`: true, `"a#b"`: "a#b", `"a b"`: "a b", `"true"`: "true",
		`"0012"`: "0012", ``: "", `plain`: "plain", `a//b`: "a", `a/b`: "a/b", `10.0.0.1:1883`: "10.0.0.1:1883",
		`/opt/emqx/data`: "/opt/emqx/data", `5s`: "5s", `1MB`: "1MB", `80%`: "80%", `1.5`: 1.5, `-3`: hoconInt{"-3"}, `null`: nil,
		`"q\"uote"`: `q"uote`, `"""raw "x" """`: `raw "x" `, `12abc`: "12abc", `0012abc`: "0012abc", `a,b`: "a,b", `p@ss%w|rd-1_x.y`: "p@ss%w|rd-1_x.y",
		`pa$$word`: "pa$$word", `abcd==`: "abcd==", `"unclosed`: `"unclosed`, `http://x/y`: "http://x/y", "a\nb": "ab",
	} {
		assert.DeepEqual(t, parseHocon(in), want, cmpInt)
	}
	assert.DeepEqual(t, parseHocon(`#x`), map[string]any{})
	assert.DeepEqual(t, parseHocon(`a=b`), map[string]any{"a": "b"})
	assert.DeepEqual(t, parseHocon(`{a = 1, b { c: "x" }}`), map[string]any{"a": hoconInt{"1"}, "b": map[string]any{"c": "x"}}, cmpInt)
	assert.DeepEqual(t, parseHocon(`[emqx@a.b, emqx@c.d]`), []any{"emqx@a.b", "emqx@c.d"})
	assert.DeepEqual(t, parseHocon(`[]`), []any{})
}

var cmpInt = cmp.AllowUnexported(hoconInt{})

func load(env ...string) (config, error) {
	return loadConfig(append([]string{"EMQX_NODE__NAME=emqx@127.0.0.1", "EMQX_NODE__COOKIE=c"}, env...))
}

// The entry of listeners.quic.*.enable counts, and not the shorter listeners.quic.*, in whichever order
// the table is read.
func TestTheClosestEntryCounts(t *testing.T) {
	t.Parallel()
	for range 50 {
		k, ok := lookupKey([]string{"listeners", "quic", "default", "enable"})
		assert.Assert(t, ok)
		_, err := k.check(false)
		assert.NilError(t, err)
	}
}

// As hocon does it (check_env of hocon_tconf 0.44): a typing mistake costs the setting, not
// the broker.
func TestAnUnknownVariableIsNoSetting(t *testing.T) {
	t.Parallel()
	for bad, near := range map[string]string{
		"EMQX_LISTENERS__TCP__DEFAULT__BINDD=1884":  "EMQX_LISTENERS__TCP__DEFAULT__BIND",
		"EMQX_CLUSTER__DISCOVERY__STRATEGY=dns":     "EMQX_CLUSTER__DISCOVERY_STRATEGY",
		"EMQX_NODE__COOKI=x":                        "EMQX_NODE__COOKIE",
		"EMQX_RETAINER__BACKEND__STORAGETYPE=disc":  "EMQX_RETAINER__BACKEND__STORAGE_TYPE",
		"EMQX_LISTENERS__SSL__DEFAULT__CERTFILE=/x": "EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CERTFILE",
	} {
		c, err := load(bad)
		assert.NilError(t, err)
		name, _, _ := strings.Cut(bad, "=")
		assert.DeepEqual(t, c.unknown, []string{name})
		assert.Equal(t, nearestVariable(name), near)
	}
	for _, silent := range []string{"EMQX_NONE=1", "EMQX_LISTENERS_TCP_DEFAULT_BIND=1884", "EMQX_FOO__BAR=1"} {
		c, err := load(silent)
		assert.NilError(t, err)
		assert.Equal(t, len(c.unknown), 0, silent)
	}
	_, err := load(`EMQX_LISTENERS__TCP__DEFAULT={bindd = "1883"}`)
	assert.ErrorContains(t, err, "EMQX_LISTENERS__TCP__DEFAULT: EMQX has no setting")
	assert.ErrorContains(t, err, "did you mean EMQX_LISTENERS__TCP__DEFAULT")
}

func TestAllFaultsComeAtOnce(t *testing.T) {
	t.Parallel()
	_, err := load("EMQX_LISTENERS__TCP__DEFAULT__BIND=\"localhost:1883\"", "EMQX_CLUSTER__DNS__RECORD_TYPE=SRV",
		"EMQX_NODE__MAX_PORTS=12", "EMQX_LISTENERS__WS__DEFAULT__PROXY_PROTOCOL=yes", "EMQX_MQTT__IDLE_TIMEOUT=soon")
	for _, want := range []string{
		"a host name cannot be bound", `want one of a, aaaa, srv, got "SRV"`, "1024 to 134217727", "want true or false", "want a duration",
	} {
		assert.ErrorContains(t, err, want)
	}
}

func TestConfigFaults(t *testing.T) {
	t.Parallel()
	for env, want := range map[string]string{
		"EMQX_NODE__COOKIE=true":                                               "want a string, got a boolean",
		"EMQX_NODE__COOKIE=#abc":                                               "EMQX_NODE__COOKIE",
		"EMQX_NODE__COOKIE=a=b":                                                "EMQX_NODE__COOKIE",
		"EMQX_NODE__NAME=emqx":                                                 "want name@host",
		"EMQX_RPC__LISTEN_ADDRESS=host":                                        "bad_ip_address",
		"ERL_FLAGS=-kernel inet_dist_use_interface 10.0.0.1":                   "inet_dist_use_interface {a,b,c,d}",
		"EMQX_CLUSTER__DISCOVERY_STRATEGY=etcd":                                "no etcd discovery",
		"EMQX_CLUSTER__DISCOVERY_STRATEGY=consul":                              "want one of manual",
		"EMQX_LISTENERS__QUIC__DEFAULT__BIND=14567":                            "no QUIC listener",
		"EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CERTFILE=/x":               "go together",
		"EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__FAIL_IF_NO_PEER_CERT=true": "needs verify",
		"EMQX_LISTENERS__WS__DEFAULT__BIND=1883":                               "share the address",
		"EMQX_LISTENERS__TCP__EXTRA__ACCEPTORS=4":                              "bind: required",
		"EMQX_DURABLE_SESSIONS__ENABLE=true":                                   "no durable sessions",
		"EMQX_AUTHENTICATION__1__MECHANISM=scram":                              "no authentication by scram",
		"EMQX_NODE__ROLE=replicant":                                            "want one of core",
	} {
		_, err := load(env)
		assert.ErrorContains(t, err, want, env)
	}
	_, err := loadConfig([]string{"EMQX_NODE__NAME=emqx@h.x", "EMQX_CLUSTER__DISCOVERY_STRATEGY=dns"})
	assert.ErrorContains(t, err, "must be an IP address")
}

func TestConfigValues(t *testing.T) {
	t.Parallel()
	c, err := loadConfig([]string{
		"EMQX_NODE_NAME=emqx@wins.x", "EMQX_NODE__NAME=emqx@loses.x", `EMQX_NODE__COOKIE="a#b c"`, "EMQX_NODE__DATA_DIR=/d",
		"EMQX_CLUSTER__DISCOVERY_STRATEGY=dns", "EMQX_CLUSTER__DNS__RECORD_TYPE=srv", "EMQX_CLUSTER__DNS__NAME=lab.emqx-cluster.service.consul",
		"EMQX_RPC__PORT_DISCOVERY=manual", "EMQX_RPC__SERVER_PORT=5370", "EMQX_RPC__LISTEN_ADDRESS=10.80.1.10",
		"ERL_FLAGS=+x -kernel inet_dist_use_interface {10,80,1,10}", "EMQX_LISTENERS__TCP__DEFAULT__BIND=10.80.1.10:21000",
		"EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS=infinity", "EMQX_LISTENERS__TCP__DEFAULT__MAX_CONN_RATE=500/s",
		"EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true", "EMQX_LISTENERS__SSL__DEFAULT__ENABLE=false", "EMQX_LISTENERS__WSS__DEFAULT__ENABLE=false",
		`EMQX_LISTENERS__WS__DEFAULT={bind = "10.80.1.10:21001", proxy_protocol = true, proxy_protocol_timeout = 5s}`,
		"EMQX_DASHBOARD__LISTENERS__HTTP__BIND=10.80.1.10:18083", "EMQX_NODE__MAX_PORTS=1048576", "EMQX_MQTT__MAX_PACKET_SIZE=2MB",
		"EMQX_LOG__CONSOLE__LEVEL=info", "EMQX_LICENSE__KEY=abc", "HOME=/", "EMQX_RETAINER__BACKEND__STORAGE_TYPE=disc",
	})
	assert.NilError(t, err)
	assert.Equal(t, c.node.String(), "emqx@wins.x")
	assert.Equal(t, c.cookie, "a#b c")
	assert.Equal(t, c.distAddr, "10.80.1.10")
	assert.Equal(t, c.rpcPort, 5370)
	assert.Equal(t, c.mqtt.maxPacket, 2<<20)
	assert.Equal(t, c.retain.disc, true)
	assert.Equal(t, len(c.listeners), 2)
	tcp, ws := c.listeners[0], c.listeners[1]
	assert.Equal(t, tcp.bind, "10.80.1.10:21000")
	assert.Equal(t, tcp.maxRate, 500.0)
	assert.Equal(t, tcp.maxConns, 0)
	assert.Assert(t, tcp.proxy && ws.proxy)
	assert.Equal(t, tcp.proxyTimeout, 3*time.Second)
	assert.Equal(t, ws.proxyTimeout, 5*time.Second)
	assert.Equal(t, ws.bind, "10.80.1.10:21001")
	assert.DeepEqual(t, c.idle, []string{"license.key", "node.max_ports"})
	assert.Equal(t, c.dashboard.bind, "10.80.1.10:18083")
}

// What the production job sets, as Nomad hands it over.
func TestTheJobsEnvironmentIsAccepted(t *testing.T) {
	t.Parallel()
	c, err := loadConfig([]string{
		"EMQX_NODE__NAME=emqx@emqx-lab-0.node.dc1.consul", "EMQX_NODE__COOKIE=0a1b2c3d4e5f", `EMQX_DASHBOARD__DEFAULT_PASSWORD="p#w:1 x"`,
		"EMQX_CLUSTER__DISCOVERY_STRATEGY=dns", "EMQX_CLUSTER__DNS__RECORD_TYPE=srv", `EMQX_CLUSTER__DNS__NAME="lab.emqx-cluster.service.consul"`,
		`EMQX_CLUSTER__AUTOCLEAN="168h"`, "EMQX_RPC__PORT_DISCOVERY=manual", "EMQX_RPC__SERVER_PORT=5370", `EMQX_RPC__LISTEN_ADDRESS="10.80.1.10"`,
		`EMQX_DASHBOARD__LISTENERS__HTTP__BIND="10.80.1.10:18083"`, `EMQX_API_KEY__BOOTSTRAP_FILE="/secrets/api_keys"`,
		"EMQX_RETAINER__BACKEND__STORAGE_TYPE=disc", `EMQX_LISTENERS__TCP__DEFAULT__BIND="10.80.1.10:21234"`,
		"EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true", "EMQX_LISTENERS__TCP__DEFAULT__MAX_CONNECTIONS=1000",
		`EMQX_LISTENERS__WS__DEFAULT__BIND="10.80.1.10:21235"`, `EMQX_LISTENERS__WS__DEFAULT__WEBSOCKET__IDLE_TIMEOUT="900s"`,
		`EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CERTFILE="/secrets/tls.crt"`, `EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__KEYFILE="/secrets/tls.key"`,
		`EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CACERTFILE="/secrets/ca.crt"`, "EMQX_LISTENERS__WSS__DEFAULT__ENABLE=false",
		"ERL_FLAGS=-kernel inet_dist_use_interface {10,80,1,10}",
	})
	assert.NilError(t, err)
	assert.Equal(t, c.cookie, "0a1b2c3d4e5f")
	assert.Equal(t, c.dashboard.password, "p#w:1 x")
	assert.Equal(t, c.autoclean, 168*time.Hour)
	assert.Equal(t, c.rpcAddr, "10.80.1.10")
	assert.Equal(t, len(c.listeners), 3)
	assert.Equal(t, c.listeners[0].maxConns, 1000)
}

func TestTrailingDigitsMoveThePorts(t *testing.T) {
	t.Parallel()
	for name, port := range map[string]int{"emqx@h": 4370, "emqx1@h": 4371, "emqx-12@h": 4382, "e2mqx@h": 4370} {
		n, err := parseNodeName(name)
		assert.NilError(t, err)
		assert.Equal(t, n.distPort(), port)
	}
	c, err := loadConfig([]string{"EMQX_NODE__NAME=emqx3@h", "EMQX_RPC__PORT_DISCOVERY=stateless"})
	assert.NilError(t, err)
	assert.Equal(t, c.rpcPort, 5373)
	c, err = loadConfig([]string{"EMQX_NODE__NAME=emqx3@h"}) // the image's default is manual
	assert.NilError(t, err)
	assert.Equal(t, c.rpcPort, 5369)
}

func TestARunThatCannotStartEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.members(1)
	l.start(0)
	l.wantUp(0)
	for name, more := range map[string][]string{
		"an address the host lacks": {"EMQX_LISTENERS__TCP__DEFAULT__BIND=192.0.2.1:1883"},
		"a used port":               {"EMQX_LISTENERS__TCP__DEFAULT__BIND=" + l.ip(0) + ":1883"},
		"a used dashboard port":     {"EMQX_DASHBOARD__LISTENERS__HTTP__BIND=" + l.ip(0) + ":18083"},
		"a used cluster port":       {"ERL_FLAGS=-kernel inet_dist_use_interface {" + strings.ReplaceAll(l.ip(0), ".", ",") + "}"},
		"no certificate":            {"EMQX_LISTENERS__SSL__DEFAULT__ENABLE=true", "EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__CERTFILE=/none", "EMQX_LISTENERS__SSL__DEFAULT__SSL_OPTIONS__KEYFILE=/none"},
		"no API key file":           {"EMQX_API_KEY__BOOTSTRAP_FILE=/none"},
		"an unwritable data folder": {"EMQX_NODE__DATA_DIR=/proc/none"},
	} {
		t.Run(name, func(t *testing.T) {
			o := l.options(1, more...)
			o.Stdout = io.Discard
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			err := Run(ctx, o)
			assert.Assert(t, err != nil)
			assert.NilError(t, ctx.Err())
		})
	}
}
