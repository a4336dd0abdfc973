//go:build lab

package e2e

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// plainListenersOff takes both listeners in clear away from a cluster whose proxies end TLS: the update is green, the
// balancer's view was never bad, and from outside the ports are closed. EMQX does not restart: the proxies still lead to
// its plain listeners.
func plainListenersOff(t *testing.T, b *bed) {
	before, _ := b.look(t)
	b.edit(t, "  emqx-oci:tls:\n", "  emqx-oci:listeners: {mqtt: {open: none}, ws: {open: none}}\n  emqx-oci:tls:\n")
	p := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
	assert.Assert(t, strings.Contains(p, "HAProxy restarted on 3 nodes, one at a time"), p)
	assert.Assert(t, !strings.Contains(p, "3 nodes restarted"), p)
	r, unwell := beside(t, b, before.Nodes[0].Address, before.Nodes[1].Address, before.Nodes[2].Address)
	assert.Equal(t, len(unwell), 0, "the balancer would have had fewer than two nodes: %q", unwell)
	assert.Assert(t, strings.Contains(r.stdout, " by mqtts and wss"), "%s", r)
	outputs := b.must(t, "outputs", "lab").stdout
	assert.Assert(t, strings.Contains(outputs, "mqtts://") && !strings.Contains(outputs, "mqtt://") && !strings.Contains(outputs, "ws://"), outputs)
	b.well(t, time.Minute)
	r = b.must(t, "verify", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "by mqtts and wss"), "%s", r)
	r = b.run(t, "verify", "lab", "--listener", "mqtt")
	assert.Equal(t, r.code, 2, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "which listeners.mqtt.open: none has taken away"), "%s", r)

	after, _ := b.look(t)
	for i, n := range after.Nodes {
		assert.Equal(t, n.Broker.ID, before.Nodes[i].Broker.ID, "a broker restarted")
		page := b.on(t, i, "curl -s -m 5 http://"+n.Address+":8080/haproxy_ready").stdout
		assert.Equal(t, strings.TrimSpace(page), "brokers that accept mqtts: 3, wss: 3")
		b.on(t, i, "for p in 1883 8083; do ! (: <>/dev/tcp/"+n.Address+"/$p) 2>/dev/null || exit 1; done; for p in 8883 8084; do : <>/dev/tcp/"+n.Address+"/$p || exit 1; done")
	}
	outside := func(port string) bool {
		return b.run(t, "lab", "exec", "--", "timeout", "3", "bash", "-c", ": <>/dev/tcp/"+name+"/"+port).code == 0
	}
	for port, open := range map[string]bool{"1883": false, "8083": false, "8883": true, "8084": true} {
		assert.Equal(t, outside(port), open, port)
	}
	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}

// beside updates, and asks the pages that the balancer asks meanwhile: it returns the answers of moments when more than
// one was not well.
func beside(t *testing.T, b *bed, addresses ...string) (r result, unwell []string) {
	t.Helper()
	asked := make(chan []string)
	over := make(chan struct{})
	go func() {
		var found []string
		for {
			select {
			case <-over:
				asked <- found
				return
			case <-time.After(time.Second):
			}
			pages := "" // each node's of itself: others than the balancer may not ask
			for i, a := range addresses {
				pages += b.in(t, i, "curl -s -m 2 -o /dev/null -w '%{http_code} ' http://"+a+":8080/haproxy_health").stdout
			}
			if strings.Count(pages, "200") < len(addresses)-1 {
				found = append(found, pages)
			}
		}
	}()
	r = b.must(t, "up", "lab", "--yes")
	close(over)
	return r, <-asked
}
