//go:build lab

package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// everyFault needs a lab that is deployed and healthy, and leaves one. Each effect is
// looked at from outside.
func everyFault(t *testing.T, b *bed) {
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"an API that fails and is slow", brokenAPI},
		{"packets between nodes and to servers", cutNetwork},
		{"a full disk", fullDisk},
		{"a frozen broker", frozenBroker},
		{"killed processes are started again", killedProcesses},
		{"servers away and back", stoppedServers},
		{"a terminated instance and a lost domain", lostInstances},
		{"a stopped instance and a pulled volume", stoppedInstance},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.f(t, b) }) {
			t.FailNow()
		}
	}
	assert.Equal(t, len(b.status(t).Faults), 0)
	eventually(t, 2*time.Minute, "a cluster that is well again, without an update", func() error {
		if r := b.run(t, "verify", "lab"); r.code != 0 {
			return errors.New(r.String())
		}
		return nil
	})
}

func (b *bed) fault(t *testing.T, line string) {
	t.Helper()
	b.must(t, append([]string{"lab", "fault"}, strings.Fields(line)...)...)
}

func (b *bed) status(t *testing.T) lab.Status {
	t.Helper()
	var s lab.Status
	assert.NilError(t, json.Unmarshal([]byte(b.must(t, "lab", "status", "--json").stdout), &s))
	return s
}

// instance is the node's youngest.
func (b *bed) instance(t *testing.T, node int) (out cloud.InstanceStatus) {
	t.Helper()
	for _, i := range b.status(t).Cloud.Instances {
		if i.Index == fmt.Sprint(node) && !i.Created.Before(out.Created) {
			out = i
		}
	}
	return out
}

// path is a TCP connection from a node.
type path struct {
	from int
	to   string
	port int
}

// probe tells which connections can be opened, all tried at once.
func (b *bed) probe(t *testing.T, paths map[string]path) map[string]bool {
	t.Helper()
	open := map[string]bool{}
	var mu sync.Mutex
	var wg sync.WaitGroup
	for name, p := range paths {
		wg.Go(func() {
			r := b.in(t, p.from, fmt.Sprintf("timeout 1 bash -c '</dev/tcp/%s/%d'", p.to, p.port))
			mu.Lock()
			defer mu.Unlock()
			open[name] = r.code == 0
		})
	}
	wg.Wait()
	return open
}

func (b *bed) in(t *testing.T, node int, script string) result {
	t.Helper()
	return b.run(t, "lab", "exec", "--in", fmt.Sprintf("emqx-lab-%d", node), "--", "bash", "-c", script)
}

// distribution is the port on which the brokers speak to each other.
const distribution = 4370

func brokenAPI(t *testing.T, b *bed) {
	b.fault(t, "fail-api 429 --for 3s")
	r := b.must(t, "refresh", "lab")
	assert.Assert(t, r.took > 3*time.Second, "nothing was refused: %s", r)
	eventually(t, 5*time.Second, "the end of its time", func() error {
		if n := len(b.status(t).Faults); n > 0 {
			return fmt.Errorf("%d faults", n)
		}
		return nil
	})
	b.fault(t, "fail-api Conflict --match GetVolume")
	r = b.run(t, "refresh", "lab")
	assert.Assert(t, r.code == 1 && strings.Contains(r.stdout+r.stderr, "409-Conflict"), "%s", r)
	b.fault(t, "--clear")
	const list = "oci --auth instance_principal bv volume list --compartment-id ocid1.compartment.oc1..lab"
	b.fault(t, "slow-api 1s")
	start := time.Now()
	assert.Equal(t, b.in(t, 0, list).code, 0)
	assert.Assert(t, time.Since(start) > time.Second)
	b.fault(t, "slow-api --undo")
	r = b.run(t, "lab", "fault", "kil-broker", "1")
	assert.Assert(t, r.code == 2 && strings.Contains(r.stderr, "did you mean kill-broker?"), "%s", r)
	r = b.run(t, "lab", "fault", "kill-broker", "9")
	assert.Assert(t, r.code == 1 && strings.Contains(r.stderr, "0 (emqx-lab-0), 1 (emqx-lab-1)"), "%s", r)
}

func cutNetwork(t *testing.T, b *bed) {
	address := make([]string, 3)
	for i := range address {
		address[i] = b.instance(t, i).Reserved[0]
	}
	const servers = "10.80.2.10"
	paths := map[string]path{
		"0-2": {0, address[2], distribution}, "2-0": {2, address[0], distribution}, "0-1": {0, address[1], distribution},
		"1-2": {1, address[2], distribution}, "0-consul": {0, servers, 8300}, "0-nomad": {0, servers, 4647},
	}
	for line, closed := range map[string]string{
		"cut-nodes 0 2": "0-2 2-0", "isolate 0": "0-2 2-0 0-1", "cut-consul 0": "0-consul", "cut-nomad 0": "0-nomad",
	} {
		b.fault(t, line)
		active := b.status(t).Faults
		assert.Assert(t, len(active) == 1 && active[0].String() == line, "%v", active)
		for name, open := range b.probe(t, paths) {
			assert.Equal(t, open, !strings.Contains(" "+closed+" ", " "+name+" "), "%s while %s", name, line)
		}
		b.fault(t, line+" --undo")
		for name, open := range b.probe(t, paths) {
			assert.Assert(t, open, "%s after %s", name, line)
		}
	}
}

// onVolume goes to the node's volume, and fails where it is not mounted.
const onVolume = `set -e; d="$(findmnt -n -o TARGET -t ext4 | grep "$(hostname | grep -o '[0-9]*$')$" | tail -1)"; [ -n "$d" ]; cd "$d"; `

func fullDisk(t *testing.T, b *bed) {
	const write = onVolume + "echo something >e2e; rm e2e"
	assert.Equal(t, b.in(t, 0, write).code, 0)
	b.fault(t, "fill-disk 0")
	r := b.in(t, 0, onVolume+"echo something >e2e")
	assert.Assert(t, r.code != 0, "%s", r)
	r = b.in(t, 0, onVolume+"df --output=avail . | tail -1")
	assert.Equal(t, strings.TrimSpace(r.stdout), "0")
	b.fault(t, "fill-disk 0 --undo")
	assert.Equal(t, b.in(t, 0, write).code, 0)
}

func frozenBroker(t *testing.T, b *bed) {
	url := fmt.Sprintf("curl -fsS -m 2 http://%s:18083/status", b.instance(t, 1).Reserved[0])
	assert.Equal(t, b.in(t, 0, url).code, 0)
	b.fault(t, "freeze-broker 1")
	assert.Equal(t, b.in(t, 0, url).code, 28, "curl's word for too late")
	b.fault(t, "freeze-broker 1 --undo")
	assert.Equal(t, b.in(t, 0, url).code, 0)
	b.fault(t, "freeze-haproxy 1")
	assert.Equal(t, b.in(t, 1, `docker top "$(docker ps -q --filter name=^haproxy-)" -eo pid,stat | grep -q " T"`).code, 0)
	b.fault(t, "freeze-haproxy 1 --undo")
	assert.Equal(t, b.in(t, 1, `docker top "$(docker ps -q --filter name=^haproxy-)" -eo pid,stat | grep " T"`).code, 1)
}

func killedProcesses(t *testing.T, b *bed) {
	// As seen by the instance: the container's first process, and when it began.
	const began = `docker inspect --format '{{.State.Running}} {{.State.StartedAt}}' $(docker ps -aq --filter name=^%s- | head -1)`
	tasks := map[string]string{"emqx": "kill-broker 0", "haproxy": "kill-haproxy 0"}
	was := map[string]string{}
	for task, line := range tasks {
		was[task] = b.in(t, 0, fmt.Sprintf(began, task)).stdout
		assert.Assert(t, strings.HasPrefix(was[task], "true"), was[task])
		b.fault(t, line)
	}
	for task := range tasks {
		eventually(t, 30*time.Second, task+" runs again", func() error {
			now := b.in(t, 0, fmt.Sprintf(began, task)).stdout
			if now == was[task] || !strings.HasPrefix(now, "true") {
				return errors.New(now)
			}
			return nil
		})
	}
}

func stoppedServers(t *testing.T, b *bed) {
	leaders := func() error {
		for _, url := range []string{":8500/v1/status/leader", ":4646/v1/status/leader"} {
			res, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + b.door + url)
			if err != nil {
				return err
			}
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return errors.New(res.Status)
			}
		}
		return nil
	}
	assert.NilError(t, leaders())
	b.fault(t, "stop-servers both")
	assert.Assert(t, leaders() != nil)
	b.fault(t, "stop-servers both --undo")
	eventually(t, 10*time.Second, "leaders", leaders)
}

func stoppedInstance(t *testing.T, b *bed) {
	was := b.instance(t, 1)
	b.fault(t, "stop-instance 1")
	b.fault(t, "detach-volume 2")
	r := b.in(t, 2, onVolume+"echo something >e2e")
	assert.Assert(t, r.code != 0 && strings.Contains(r.stderr, "Input/output error"), "%s", r)
	for _, v := range b.status(t).Cloud.Volumes {
		assert.Equal(t, v.Instance == "", v.Index == "2", "%+v", v)
	}
	b.fault(t, "detach-volume 2 --undo")
	now := b.instance(t, 1) // seconds later: its pool has launched no other
	assert.Assert(t, now.ID == was.ID && now.State == "STOPPED", "%+v", now)
	b.fault(t, "stop-instance 1 --undo")
	now = b.instance(t, 1)
	assert.Assert(t, now.ID == was.ID && now.State == "RUNNING" && now.Address == was.Address, "%+v", now)
	b.mounted(t, 1)
	b.mounted(t, 2)
}

// mounted waits until a node's volume can be written to.
func (b *bed) mounted(t *testing.T, node int) {
	t.Helper()
	eventually(t, 30*time.Second, "the volume is mounted again", func() error {
		if r := b.in(t, node, onVolume+"echo something >e2e; rm e2e"); r.code != 0 {
			return errors.New(r.String())
		}
		return nil
	})
}

func lostInstances(t *testing.T, b *bed) {
	was := map[int]cloud.InstanceStatus{1: b.instance(t, 1), 2: b.instance(t, 2)}
	b.fault(t, "lose-domain AD-3")
	b.fault(t, "terminate-instance 1")
	eventually(t, 40*time.Second, "another instance of node 1", func() error {
		now := b.instance(t, 1)
		if now.State != "RUNNING" || now.ID == was[1].ID || now.Address == was[1].Address || len(now.Reserved) == 0 {
			return fmt.Errorf("%+v", now)
		}
		return nil
	})
	now := b.instance(t, 2)
	assert.Assert(t, now.ID != was[2].ID && now.State == "PROVISIONING", "%+v", now)
	// Nomad has given up looking for another place by now. Its servers were away just before: a leader that takes
	// over gives each client five minutes for its next heartbeat (failover_heartbeat_ttl), and this one may have
	// had no time for one.
	c := nomadClient(t)
	eventually(t, 6*time.Minute, "Nomad misses node 2", func() error {
		for _, a := range running(t, c, emqxJob) {
			if a.NodeName == "emqx-lab-2" {
				return errors.New(a.ClientStatus)
			}
		}
		return nil
	})
	time.Sleep(20 * time.Second)
	b.fault(t, "lose-domain AD-3 --undo")
	b.mounted(t, 1)
	b.mounted(t, 2)
	eventually(t, time.Minute, "brokers on all nodes", func() error {
		if n := len(running(t, c, emqxJob)); n != 3 {
			return fmt.Errorf("%d", n)
		}
		return nil
	})
}
