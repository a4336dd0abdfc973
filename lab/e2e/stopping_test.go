//go:build lab

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// brokersOn counts the processes of EMQX on a node, or of its stand-in: with the lock on
// the volume a second one does not begin.
func (b *bed) brokersOn(t *testing.T, node int) int {
	t.Helper()
	r := b.in(t, node, `pgrep -fc '^/opt/emqx/(bin/emqx foreground|erts.*/beam)' || :`)
	n := 0
	_, _ = fmt.Sscan(r.stdout, &n) // a node without power says nothing
	return n
}

// powerCutThenRoll cuts a node's power, gives it back, and has another image rolled at
// once, while Nomad still decides what becomes of the allocation that reconnects. Then a
// broker of another allocation is started on a node behind Nomad's back.
func powerCutThenRoll(t *testing.T, b *bed) {
	c := nomadClient(t)
	b.fault(t, "stop-instance 1")
	eventually(t, time.Minute, "Nomad misses node 1", func() error {
		for _, a := range running(t, c, emqxJob) {
			if a.NodeName == "emqx-lab-1" {
				return errors.New(a.ClientStatus)
			}
		}
		return nil
	})
	b.fault(t, "stop-instance 1 --undo")
	b.otherImage(t)
	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	back, most := false, 0
	eventually(t, 8*time.Minute, "the end of the update", func() error {
		var counts [3]int
		var all sync.WaitGroup
		for i := range counts {
			all.Go(func() { counts[i] = b.brokersOn(t, i) })
		}
		all.Wait()
		here := 0
		for _, n := range counts {
			most = max(most, n)
			if n > 0 {
				here++
			}
		}
		back = back || counts[1] > 0
		assert.Assert(t, here >= 2, "two of three are away: %v (node 1 has been back: %t)\n%s", counts, back, out.String())
		select {
		case err := <-ended:
			assert.NilError(t, err, "%s", out.String())
			return nil
		default:
			return errors.New(out.String())
		}
	})
	assert.Equal(t, most, 1, "brokers on one volume at a time")
	b.well(t, 3*time.Minute)
	placement(t)

	// Somebody else's broker on the node's volume, in a container of its own: it waits for
	// as long as the node's own runs, and says for whom.
	own := b.allocOf(t, emqxJob, 0)
	stranger := fmt.Sprintf(`id=$(docker ps -q --filter name=^/?emqx-%s)
docker run -d --name stranger --network host --user 1000:1000 --entrypoint /bin/bash \
  $(docker inspect -f '{{range .Mounts}}{{if eq .Type "bind"}}-v {{.Source}}:{{.Destination}} {{end}}{{end}}' $id) \
  -e NOMAD_ALLOC_ID=stranger -e NOMAD_ADDR_dashboard=127.0.0.1:1 -e DRAIN_RATE=0 "$(docker inspect -f '{{.Image}}' $id)" /local/run.sh /opt/emqx/bin/emqx foreground >/dev/null
sleep 4; docker logs stranger; docker inspect -f 'running {{.State.Running}}' stranger; docker rm -f stranger >/dev/null`, own.ID)
	said := b.on(t, 0, stranger).stdout
	assert.Assert(t, strings.Contains(said, "another broker has the volume, that of allocation "+own.ID) && strings.Contains(said, "running true"), said)
	b.well(t, 3*time.Minute)
}

// allocOf is the running allocation of a job on a node.
func (b *bed) allocOf(t *testing.T, job string, node int) *nomad.AllocationListStub {
	t.Helper()
	for _, a := range running(t, nomadClient(t), job) {
		if a.NodeName == fmt.Sprintf("emqx-lab-%d", node) {
			return a
		}
	}
	t.Fatalf("job %s does not run on node %d", job, node)
	return nil
}

// withoutNames takes DNS and Consul's agent from a node, and then its broker: questions
// are answered, and its clients are moved with their sessions all the same.
func withoutNames(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	c := nomadClient(t)
	a := b.allocOf(t, emqxJob, 2)
	own := b.drillBed(t)
	r, err := own.UnderLoad(t.Context(), func(context.Context) error {
		b.on(t, 2, "systemctl stop dnsmasq consul")
		assert.Assert(t, b.in(t, 2, "timeout 3 getent ahosts emqx-lab-2.node.dc1.consul").code != 0, "the name still resolves")
		begin := time.Now()
		said := inBroker(t, c, a, "emqx", "ctl", "status")
		assert.Assert(t, strings.Contains(said, "is started") && time.Since(begin) < 10*time.Second, "%s after %s", said, time.Since(begin))
		full, _, err := c.Allocations().Info(a.ID, nil)
		assert.NilError(t, err)
		_, err = c.Allocations().Stop(full, nil)
		assert.NilError(t, err)
		eventually(t, time.Minute, "the end of the broker on node 2", func() error {
			now, _, err := c.Allocations().Info(a.ID, nil)
			if err == nil && now.ClientStatus != "complete" {
				err = errors.New(now.ClientStatus)
			}
			return err
		})
		b.on(t, 2, "systemctl start consul dnsmasq")
		b.well(t, 2*time.Minute)
		return nil
	})
	assert.NilError(t, err)
	said := allocation(c, a)
	assert.Assert(t, strings.Contains(said, "stop: no client is left") && strings.Contains(said, "stop: their sessions have followed them"), said)
	assert.Equal(t, r.SessionsLost, 0, "%s\n%s", said, lost(r))
	t.Logf("sent %d, lost %d, reconnects %d, sessions lost %d", r.Sent, r.Lost, r.Reconnects, r.SessionsLost)
}

// softStop ends an instance by its system, as OCI's soft stop and a reboot do: what it
// serves is moved before Consul, DNS and Docker stop.
func softStop(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	old := b.instance(t, 1)
	r := b.on(t, 1, "systemctl is-active emqx-drain")
	assert.Equal(t, r.stdout, "active\n", "%s", r)
	own := b.drillBed(t)
	report, err := own.UnderLoad(t.Context(), func(context.Context) error {
		b.fault(t, "terminate-instance 1")
		eventually(t, 3*time.Minute, "another instance of node 1", func() error {
			if now := b.instance(t, 1); now.ID == old.ID || now.State != "RUNNING" {
				return fmt.Errorf("%+v", now)
			}
			return nil
		})
		b.well(t, 3*time.Minute)
		return nil
	})
	assert.NilError(t, err)
	assert.Equal(t, report.SessionsLost, 0, "%s", lost(report))
	t.Logf("sent %d, lost %d, reconnects %d, sessions lost %d", report.Sent, report.Lost, report.Reconnects, report.SessionsLost)
}

// volumesHeld: the check that Nomad counts passes for each broker, and for the right one.
func volumesHeld(t *testing.T) {
	entries, _, err := consulClient(t).Health().Service("emqx-listeners", "lab", true, nil)
	assert.NilError(t, err)
	assert.Equal(t, len(entries), 3)
	for _, a := range running(t, nomadClient(t), emqxJob) {
		found := false
		for _, e := range entries {
			found = found || strings.Contains(e.Service.ID, a.ID)
		}
		raw, _ := json.Marshal(entries)
		assert.Assert(t, found, "%s is not among %s", a.ID, raw)
	}
}
