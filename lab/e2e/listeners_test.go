//go:build lab

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"gotest.tools/v3/assert"
)

// everyListener asks each listener of each broker, from a node beside it and from within.
// One that is off stays off; beside clients, an answer may come late once.
func (b *bed) everyListener(t *testing.T) {
	t.Helper()
	b.well(t, time.Minute)
	s, _ := b.look(t)
	assert.Assert(t, s.Well, "%+v", s.Problems)
	for i, n := range s.Nodes {
		assert.DeepEqual(t, n.Listeners, map[string]string{"mqtt": "ok", "mqtts": "ok", "ws": "ok", "wss": "ok"})
		out := b.broker(t, i, "emqx ctl listeners")
		assert.Equal(t, strings.Count(out, "running         : true"), 4, "%s: %s", n.Name, out)
		b.on(t, (i+1)%len(s.Nodes), fmt.Sprintf("for p in 21883 21884 21983 21984; do : <>/dev/tcp/%s/$p || exit 1; done", n.Address))
	}
}

// broker runs a command in the EMQX task of a node.
func (b *bed) broker(t *testing.T, node int, command string) string {
	t.Helper()
	return b.on(t, node, `docker exec "$(docker ps -q --filter name=^emqx-)" `+command).stdout
}

// restoredBesideClients restores, and changes a listener, while clients account for every
// message: EMQX writes the settings of all listeners on all members.
func restoredBesideClients(t *testing.T, b *bed) {
	b.everyListener(t)
	file := filepath.Join(b.project, "beside.tar.gz")
	b.underLoad(t, func() {
		b.must(t, "backup", "lab", "--out", file)
		b.must(t, "restore", "lab", file, "--yes")
		b.everyListener(t)

		// What a dashboard does: one member is told, and all write it.
		b.on(t, 1, `docker exec "$(docker ps -q --filter name=^emqx-)" cat /secrets/api_keys | tr -d '\n' | base64 -w0 | sed 's/^/Authorization: Basic /' |
			curl -sf -X PUT -H @- -H 'Content-Type: application/json' -d '{"type": "tcp", "id": "tcp:default", "max_connections": 90000}' http://127.0.0.1:18083/api/v5/listeners/tcp:default`)
		b.everyListener(t)
		out := b.broker(t, 2, "emqx ctl listeners")
		assert.Assert(t, strings.Contains(out, "max_conns       : 90000"), "%s", out)

		// From now on a backup has listeners: they stay out.
		assert.NilError(t, os.Remove(file))
		b.must(t, "backup", "lab", "--out", file)
		r := b.must(t, "restore", "lab", file, "--yes")
		assert.Assert(t, strings.Contains(r.stdout+r.stderr, "left out: the backup's [listeners]"), "%s", r)
		b.everyListener(t)
	})
}

// listenerOff takes one listener of one broker away. /status goes on saying "running".
func listenerOff(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	s, _ := b.look(t)
	b.broker(t, 1, "emqx ctl listeners stop tcp:default")
	code := b.on(t, 1, "curl -s -o /dev/null -w '%{http_code}' http://127.0.0.1:18083/status").stdout
	assert.Equal(t, strings.TrimSpace(code), "200")

	problem := b.sees(t, 20*time.Second, "EMQX on emqx-lab-1 does not accept all clients", "mqtt refuses connections")
	assert.Assert(t, strings.Contains(problem.Next, "nomad alloc restart"), "%+v", problem)
	eventually(t, 20*time.Second, "HAProxy's view", func() error {
		page := b.on(t, 0, "curl -s -m 5 http://"+s.Nodes[0].Address+":8080/haproxy_ready").stdout
		if want := "brokers that accept mqtt: 2, mqtts: 3, ws: 3, wss: 3"; strings.TrimSpace(page) != want {
			return fmt.Errorf("%q", page)
		}
		return nil
	})
	c := consulClient(t)
	critical := func(service string) error {
		entries, _, err := c.Health().Service(service, "lab", false, nil)
		if err != nil {
			return err
		}
		for _, e := range entries {
			if e.Node.Node == "emqx-lab-1" && e.Checks.AggregatedStatus() == consul.HealthCritical {
				return nil
			}
		}
		return fmt.Errorf("%s of emqx-lab-1 is not critical", service)
	}
	for _, service := range []string{"emqx", "emqx-listeners"} {
		eventually(t, 40*time.Second, "Consul", func() error { return critical(service) })
	}
	assert.Assert(t, critical("emqx-ws") != nil, "its other protocols go on")

	// New clients are served all the same, and the balancer takes nobody out.
	for range 6 {
		b.must(t, "lab", "exec", "--", "mosquitto_pub", "-h", name, "-q", "1", "-t", "e2e/listeners", "-m", "x")
	}
	for _, l := range []string{"mqtt", "mqtts", "ws", "wss"} { // by the brokers that accept it
		r := b.must(t, "verify", "lab", "--listener", l)
		assert.Assert(t, strings.HasPrefix(r.stdout, "G5 round trip: a message came back through "+name+" by "+l+" ("), "%s", r)
	}
	r := b.run(t, "verify", "lab", "--listener", "tcp")
	assert.Equal(t, r.code, 2, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "which offers mqtt, mqtts, ws and wss"), "%s", r)
	r = b.run(t, "verify", "lab")
	assert.Equal(t, r.code, 1, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "not all listeners stand: emqx-lab.emqx[1]: mqtt refuses connections"), "%s", r)

	b.broker(t, 1, "emqx ctl listeners start tcp:default")
	b.well(t, time.Minute)
	b.must(t, "verify", "lab")
	b.everyListener(t)
}
