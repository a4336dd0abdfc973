package broker

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

func keyFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "keys")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	return "EMQX_API_KEY__BOOTSTRAP_FILE=" + path
}

func TestHealthNeedsNoCredentialsAndNodesDo(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, keyFile(t, "ops:first\nops:s3cret:administrator\n"), `EMQX_DASHBOARD__DEFAULT_PASSWORD="pa#ss"`)
	l.wantUp(0)
	for _, p := range []string{"/status", "/api/v5/status"} {
		code, body := httpGet(l.url(0, p))
		assert.Equal(t, code, 200)
		assert.Equal(t, body, "Node emqx@n0.test is started\nemqx is running")
		_, body = httpGet(l.url(0, p+"?format=json"))
		assert.Assert(t, strings.Contains(body, `"node_name":"emqx@n0.test"`) && strings.Contains(body, `"app_status":"running"`), body)
	}
	code, _ := httpGet(l.url(0, "/api/v5/prometheus/stats"))
	assert.Equal(t, code, 200)
	for _, auth := range [][]string{nil, {"ops", "first"}, {"nobody", "s3cret"}, {"token"}} {
		code, _ = httpGet(l.url(0, "/api/v5/nodes"), auth...)
		assert.Equal(t, code, 401)
	}
	code, body := httpGet(l.url(0, "/api/v5/nodes"), "ops", "s3cret")
	assert.Equal(t, code, 200)
	var nodes []map[string]any
	assert.NilError(t, json.Unmarshal([]byte(body), &nodes))
	assert.Equal(t, nodes[0]["node"], "emqx@n0.test")
	assert.Equal(t, nodes[0]["node_status"], "running")
	assert.Equal(t, nodes[0]["version"], Version)

	code, _ = httpDo("POST", l.url(0, "/api/v5/login"), `{"username":"admin","password":"public"}`)
	assert.Equal(t, code, 401)
	code, body = httpDo("POST", l.url(0, "/api/v5/login"), `{"username":"admin","password":"pa#ss"}`)
	assert.Equal(t, code, 200)
	var login struct{ Token string }
	assert.NilError(t, json.Unmarshal([]byte(body), &login))
	code, _ = httpGet(l.url(0, "/api/v5/nodes"), login.Token)
	assert.Equal(t, code, 200)
}

func TestTheDashboardPasswordActsAtTheFirstStartOnly(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := l.start(0, "EMQX_DASHBOARD__DEFAULT_PASSWORD=one")
	l.wantUp(0)
	assert.NilError(t, p.stop(t))
	l.start(0, "EMQX_DASHBOARD__DEFAULT_PASSWORD=two")
	l.wantUp(0)
	for pw, want := range map[string]int{"one": 200, "two": 401} {
		code, _ := httpDo("POST", l.url(0, "/api/v5/login"), fmt.Sprintf(`{"username":"admin","password":%q}`, pw))
		assert.Equal(t, code, want)
	}
}

func TestBadKeyFileEndsTheStart(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	for text, want := range map[string]string{"nocolon\n": "line 1: want key:secret", "a:b:viewer\n": "enterprise"} {
		assert.ErrorContains(t, waitEnd(t, l.start(0, keyFile(t, text))), want)
	}
}

func TestAClusterOverREST(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0, keyFile(t, "ops:s3cret\n")) // the key of one node serves on the other
	b := l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	l.wantUp(0)
	l.wantUp(1)
	eventually(t, func() string {
		if code, body := httpGet(l.url(1, "/api/v5/nodes"), "ops", "s3cret"); code != 200 {
			return body
		}
		return ""
	})
	c0 := l.mqtt(0, connectOpts{id: "c0", v: 5})
	c1 := l.mqtt(1, connectOpts{id: "c1"})
	c1.subscribe("t", 1)
	_, body := httpGet(l.url(1, "/api/v5/clients"), "ops", "s3cret")
	var list struct {
		Data []map[string]any
		Meta map[string]any
	}
	assert.NilError(t, json.Unmarshal([]byte(body), &list))
	assert.Equal(t, len(list.Data), 2)
	assert.Equal(t, list.Data[0]["clientid"], "c0")
	assert.Equal(t, list.Data[0]["node"], l.name(0))
	assert.Equal(t, list.Meta["count"], 2.0)
	for query, want := range map[string]string{
		"node=emqx@n1.test&conn_state=connected&fields=clientid":    `{"data":[{"clientid":"c1"}],"meta":{"count":1,"hasnext":false,"limit":100,"page":1}}`,
		"fields=node,clientid&limit=1":                              `{"data":[{"clientid":"c0","node":"emqx@n0.test"}],"meta":{"count":2,"hasnext":true,"limit":1,"page":1}}`,
		"fields=clientid&limit=1&page=2":                            `{"data":[{"clientid":"c1"}],"meta":{"count":2,"hasnext":false,"limit":1,"page":2}}`,
		"node=emqx@n1.test&conn_state=disconnected&fields=clientid": `{"data":[],"meta":{"count":0,"hasnext":false,"limit":100,"page":1}}`,
	} {
		code, body := httpGet(l.url(0, "/api/v5/clients?"+query), "ops", "s3cret")
		assert.Equal(t, code, 200)
		assert.Equal(t, strings.TrimSpace(body), want, query)
	}
	for mode, want := range map[string]string{
		"node": "emqx_live_connections_count 1\n", "all_nodes_aggregated": "emqx_live_connections_count 2\n",
		"all_nodes_unaggregated": "emqx_live_connections_count{node=\"emqx@n1.test\"} 1\n",
	} {
		_, body := httpGet(l.url(0, "/api/v5/prometheus/stats?mode="+mode))
		assert.Assert(t, strings.Contains(body, want), body)
	}
	code, body := httpDo("POST", l.url(0, "/api/v5/publish"), `{"topic":"t","payload":"api","qos":1}`, "ops", "s3cret")
	assert.Equal(t, code, 200, body)
	c1.wantMessage("t", "api")

	code, _ = httpDo("POST", l.url(0, "/api/v5/clients/kickout/bulk"), `["c0","c1","nobody"]`, "ops", "s3cret")
	assert.Equal(t, code, 204)
	assert.Equal(t, c0.want(packets.Disconnect).ReasonCode, packets.ErrAdministrativeAction.Code)
	c0.wantClosed()
	c1.wantClosed()
	eventually(t, func() string {
		_, body := httpGet(l.url(1, "/api/v5/prometheus/stats?mode=all_nodes_aggregated"))
		if strings.Contains(body, "emqx_live_connections_count 0\n") && strings.Contains(body, "emqx_sessions_count 0\n") {
			return ""
		}
		return body
	})

	assert.NilError(t, b.stop(t))
	l.wantCluster(0, []int{0}, []int{1})
	_, body = httpGet(l.url(0, "/api/v5/nodes"), "ops", "s3cret")
	assert.Assert(t, strings.Contains(body, `"node":"emqx@n1.test","node_status":"stopped"`), body)
	code, _ = httpDo("DELETE", l.url(0, "/api/v5/cluster/emqx@nobody.test/force_leave"), "", "ops", "s3cret")
	assert.Equal(t, code, 400)
	code, _ = httpDo("DELETE", l.url(0, "/api/v5/cluster/emqx@n1.test/force_leave"), "", "ops", "s3cret")
	assert.Equal(t, code, 204)
	l.wantCluster(0, []int{0}, nil)
}

func TestCtlWithoutANode(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	out, code := l.ctl(0, "status")
	assert.Equal(t, code, 1)
	assert.Assert(t, strings.Contains(out, "not responding to pings"), out)
	l.start(0)
	l.wantUp(0)
	out, code = l.ctl(0, "ping")
	assert.Equal(t, out, "pong")
	assert.Equal(t, code, 0)
	out, code = l.ctl(0, "nonsense")
	assert.Equal(t, code, 1)
	assert.Assert(t, strings.HasPrefix(out, "Usage:"), out)
	l.dns.set(func() { delete(l.dns.a, "n0.test.") })
	begin := time.Now()
	out, code = l.ctl(0, "status")
	assert.Equal(t, code, 1)
	assert.Assert(t, strings.Contains(out, "resolving the node's own name"), out)
	assert.Assert(t, time.Since(begin) >= l.options(0).Unresolved, "it tries for long: %s", time.Since(begin))
}
