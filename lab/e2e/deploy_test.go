//go:build lab

package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
)

const (
	emqxJob  = "emqx-lab"
	proxyJob = "emqx-lab-haproxy"
	name     = "mqtt.lab.test"
)

// protocols are the ports that the internet may reach, in order.
var protocols = []int{1883, 8083, 8084, 8883}

// TestLab is the first of the stories, each of which plays on one lab, as a user would live it: each chapter
// begins where the one before it ended. This one deploys, looks at everything, and grows.
func TestLab(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	chapter := b.chapters(t)
	chapter("bad input ends with one message", func(t *testing.T) { badInput(t, b) })
	chapter("lab up", func(t *testing.T) {
		b.must(t, "lab", "up")
		again := b.must(t, "lab", "up")
		assert.Assert(t, strings.Contains(again.stdout+again.stderr, "up already"), "%s", again)
	})
	chapter("a secret of EMQX's own is planted", func(t *testing.T) { plantSecret(t, b) })
	chapter("an update that is killed is continued by the next", func(t *testing.T) { killedUpdate(t, b) })
	chapter("up ends with a message through the public name", func(t *testing.T) {
		r := b.must(t, "up", "lab", "--yes")
		assert.Assert(t, strings.Contains(r.stdout, "G5 round trip: a message came back through "+name+" by mqtt, mqtts, ws and wss"), "%s", r)
		assert.Assert(t, strings.Contains(r.stdout, "mqtt://"+name+":1883"), "%s", r)
		assert.Assert(t, !strings.Contains(r.stdout, "full stop"), "nobody served before: %s", r)
	})
	chapter("two allocations run on every node", placement)
	chapter("each broker has its volume", volumesHeld)
	chapter("a message published on one node is received through the others", func(t *testing.T) { acrossNodes(t, b) })
	chapter("all four protocols answer", func(t *testing.T) { allProtocols(t, b) })
	chapter("no secret stands in clear", func(t *testing.T) { noSecrets(t, b) })
	b.undisturbed(t, "a flood of idle clients cuts nobody", flooded)
	chapter("a command in a task is heard to its end", wholeAnswers)
	chapter("security groups are really closed", func(t *testing.T) { closedPorts(t, b) })
	chapter("other users of the machine get nothing out of the lab", func(t *testing.T) { strangers(t, b) })
	chapter("up again changes nothing", func(t *testing.T) {
		r := b.must(t, "up", "lab", "--yes", "--json")
		assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	})
	chapter("preview of a change shows it and does nothing", func(t *testing.T) { previewChange(t, b) })
	chapter("refresh finds no drift", func(t *testing.T) {
		b.must(t, "refresh", "lab")
		r := b.must(t, "preview", "lab", "--json")
		assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	})
	chapter("other health checks of the balancer cut nobody", func(t *testing.T) { healthChecks(t, b) })
	chapter("previews say what a change means", func(t *testing.T) { previews(t, b) })
	chapter("plain pulumi does the same", func(t *testing.T) { plainPulumi(t, b) })
	chapter("the life of a pull request", func(t *testing.T) { pullRequest(t, b) })
	chapter("an update over a sick cluster fails with the reason", func(t *testing.T) { sickCluster(t, b) })
	chapter("three nodes, five, and three again", func(t *testing.T) { b.underLoad(t, func() { scaling(t, b, 5) }) })
	// Without the load: two cores do not carry seven nodes and it in time.
	b.undisturbed(t, "three nodes, seven, and three again", func(t *testing.T, b *bed) { scaling(t, b, 7) })
}

// TestChanges: what changes a cluster on purpose, and what ends in the middle of it.
func TestChanges(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	chapter := b.chapters(t)
	chapter("a cluster", b.deploy)
	chapter("operations that are cut off are finished by the next", func(t *testing.T) { interrupted(t, b) })
	chapter("a new image rolls in one node at a time", func(t *testing.T) { b.underLoad(t, func() { newImage(t, b) }) })
	chapter("a relaunched instance is the same member with its data", func(t *testing.T) { relaunch(t, b) })
	chapter("a lost instance does not disturb a roll right after it", func(t *testing.T) { relaunchThenImage(t, b) })
	chapter("a roll right after a power cut has one broker on each volume", func(t *testing.T) { powerCutThenRoll(t, b) })
	chapter("a node without DNS and Consul is drained", func(t *testing.T) { withoutNames(t, b) })
	chapter("an instance that ends by its system moves its clients first", func(t *testing.T) { softStop(t, b) })
	chapter("instances get more memory one at a time", func(t *testing.T) { b.underLoad(t, func() { vertical(t, b) }) })
}

// TestFaults: what breaks by itself.
func TestFaults(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	chapter := b.chapters(t)
	chapter("a cluster", b.deploy)
	chapter("the lab survives its daemon", func(t *testing.T) { daemonKilled(t, b) })
	chapter("it survives what breaks most often", func(t *testing.T) { survives(t, b) })
	chapter("every fault does what it says", func(t *testing.T) { everyFault(t, b) })
	chapter("a member that is late is not called sick", func(t *testing.T) { questions(t, b) })
	chapter("clients are moved to a node that came back", func(t *testing.T) { rebalanced(t, b) })
	chapter("a listener that is off is noticed", func(t *testing.T) { listenerOff(t, b) })
	chapter("a full stop ends by itself", func(t *testing.T) { fullStop(t, b) })
}

// TestData: what a cluster keeps, and its end.
func TestData(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	chapter := b.chapters(t)
	chapter("a cluster", b.deploy)
	chapter("a restore and a changed listener beside clients", func(t *testing.T) { restoredBesideClients(t, b) })
	chapter("the data out and into a fresh cluster", func(t *testing.T) { backups(t, b) })
	chapter("a lost volume comes back from its backup", func(t *testing.T) { volumesBack(t, b) })
	chapter("destroy keeps what the stack keeps, and touches nothing when it must not", func(t *testing.T) { volumesStay(t, b) })
	chapter("destroy leaves nothing", func(t *testing.T) { destroyed(t, b) })
	chapter("a Go program in a module of its own deploys a cluster", func(t *testing.T) { importer(t, b) })
	chapter("volumes and a pool that others made are taken over", func(t *testing.T) { adoption(t, b) })
	chapter("down removes a lab that is full", func(t *testing.T) { fullDown(t, b) })
	chapter("lab down leaves nothing", func(t *testing.T) { emptyDown(t, b) })
}

// emptyDown removes a lab that nothing is deployed on.
func emptyDown(t *testing.T, b *bed) {
	ns := labNamespaces(t)
	up := inventory(t, ns)
	assert.Assert(t, len(up.Namespaces) >= 4 && len(up.Programs) >= 2, "the look-out sees nothing: %+v", up)
	b.must(t, "lab", "down")
	assert.DeepEqual(t, inventory(t, ns), things{})
	_, err := os.Stat(b.dir)
	assert.Assert(t, os.IsNotExist(err), "the lab's folder: %v", err)
}

func badInput(t *testing.T, b *bed) {
	r := b.run(t, "up", "lab", "--yes")
	assert.Equal(t, r.code, 1, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "emqx-oci lab up"), "%s", r)

	r = b.run(t, "up", "nosuch", "--yes")
	assert.Equal(t, r.code, 2, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "nosuch") && strings.Contains(r.stderr, "lab"), "%s", r)

	// A port of the lab in use: named, and nothing is left behind.
	l, err := net.Listen("tcp", b.door+":1883")
	assert.NilError(t, err)
	r = b.run(t, "lab", "up")
	assert.NilError(t, l.Close())
	assert.Equal(t, r.code, 1, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, b.door+":1883"), "%s", r)
	b.must(t, "lab", "down")
}

// killedUpdate ends an update with SIGKILL in its middle. What it had made is
// found by the next one: nothing is made twice.
func killedUpdate(t *testing.T, b *bed) {
	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	eventually(t, 2*time.Minute, "instance pools under way", func() error {
		if !strings.Contains(out.String(), "InstancePool") {
			return fmt.Errorf("so far: %s", out.String())
		}
		return nil
	})
	assert.NilError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	_ = cmd.Wait()
}

func placement(t *testing.T) {
	c := nomadClient(t)
	perNode := map[string]int{}
	for _, job := range []string{emqxJob, proxyJob} {
		for _, a := range running(t, c, job) {
			perNode[a.NodeName]++
		}
	}
	assert.DeepEqual(t, perNode, map[string]int{"emqx-lab-0": 2, "emqx-lab-1": 2, "emqx-lab-2": 2})
}

func running(t *testing.T, c *nomad.Client, job string) []*nomad.AllocationListStub {
	t.Helper()
	all, _, err := c.Jobs().Allocations(job, false, nil)
	assert.NilError(t, err)
	return slices.DeleteFunc(all, func(a *nomad.AllocationListStub) bool { return a.ClientStatus != "running" })
}

// acrossNodes opens subscribers until every node serves one, then publishes one
// message: all of them must get it.
func acrossNodes(t *testing.T, b *bed) {
	const subscribers = 18
	// -W bounds the wait; -i keeps the clients apart; the balancer spreads them by
	// their source ports.
	script := fmt.Sprintf(`for i in $(seq %d); do mosquitto_sub -h %s -i e2e-$i -t e2e/cross -q 1 -C 1 -W 60 & done; wait`, subscribers, name)
	var out syncBuffer
	cmd := b.start(t, &out, "lab", "exec", "--", "bash", "-c", script)
	eventually(t, 30*time.Second, "subscribers on every node", func() error {
		perNode := connections(t, b)
		total := 0
		for _, n := range perNode {
			total += n
		}
		if len(perNode) != 3 || total < subscribers {
			return fmt.Errorf("connections per node: %v", perNode)
		}
		return nil
	})
	// A node forwards to those that it knows to have a subscriber: word of a new one takes
	// a moment to reach it.
	c := nomadClient(t)
	eventually(t, time.Minute, "every node knows where the subscribers are", func() error {
		for _, a := range running(t, c, emqxJob) {
			if routes := inBroker(t, c, a, "emqx", "ctl", "topics", "show", "e2e/cross"); strings.Count(routes, "e2e/cross -> ") != 3 {
				return fmt.Errorf("%s knows: %s", a.NodeName, routes)
			}
		}
		return nil
	})
	b.must(t, "lab", "exec", "--", "mosquitto_pub", "-h", name, "-t", "e2e/cross", "-q", "1", "-m", "to all nodes")
	assert.NilError(t, cmd.Wait(), "%s", out.String())
	assert.Equal(t, strings.Count(out.String(), "to all nodes"), subscribers, "%s", out.String())
}

// connections counts MQTT clients per node, as the brokers themselves do.
func connections(t *testing.T, b *bed) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for i := range 3 {
		node := fmt.Sprintf("emqx-lab-%d", i)
		r := b.must(t, "lab", "exec", "--in", node, "--", "bash", "-c",
			`curl -fsS "http://$(hostname).node.dc1.consul:18083/api/v5/prometheus/stats?mode=node"`)
		for line := range strings.Lines(r.stdout) {
			var n int
			if strings.HasPrefix(line, "emqx_live_connections_count") {
				_, err := fmt.Sscanf(line[strings.LastIndex(line, " "):], "%d", &n)
				assert.NilError(t, err, "%s", line)
				if n > 0 {
					counts[node] += n
				}
			}
		}
	}
	return counts
}

func allProtocols(t *testing.T, b *bed) {
	ca := filepath.Join(b.dir, lab.CAFile)
	for _, p := range []struct {
		port  int
		extra []string
	}{{1883, nil}, {8883, []string{"--cafile", ca}}} {
		topic := fmt.Sprintf("e2e/port/%d", p.port)
		args := append([]string{"lab", "exec", "--", "mosquitto_pub", "-h", name, "-p", fmt.Sprint(p.port), "-t", topic, "-m", "kept", "-q", "1", "-r"}, p.extra...)
		b.must(t, args...)
		args = append([]string{"lab", "exec", "--", "mosquitto_sub", "-h", name, "-p", fmt.Sprint(p.port), "-t", topic, "-C", "1", "-W", "20"}, p.extra...)
		assert.Equal(t, strings.TrimSpace(b.must(t, args...).stdout), "kept")
	}
	// mosquitto's clients of this distribution speak no WebSocket: curl shows the
	// upgrade, through the whole path, in clear and over TLS.
	for _, url := range []string{"http://" + name + ":8083/mqtt", "https://" + name + ":8084/mqtt"} {
		r := b.run(t, "lab", "exec", "--", "curl", "-sS", "-i", "--http1.1", "-m", "3", "--cacert", ca,
			"-H", "Connection: Upgrade", "-H", "Upgrade: websocket", "-H", "Sec-WebSocket-Version: 13",
			"-H", "Sec-WebSocket-Key: ZTJlLWUyZS1lMmUtZTJlIQ==", "-H", "Sec-WebSocket-Protocol: mqtt", url)
		assert.Assert(t, strings.HasPrefix(r.stdout, "HTTP/1.1 101 "), "%s: %s", url, r)
	}
	// The loopback door, for programs of this machine.
	conn, err := net.DialTimeout("tcp", b.door+":1883", 5*time.Second)
	assert.NilError(t, err)
	assert.NilError(t, conn.Close())
}

// noSecrets looks for every secret of the stack in all that others may read.
func noSecrets(t *testing.T, b *bed) {
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	secrets["emqx-oci:broker.env."+plantedName] = plantedValue
	secrets["emqx-oci:auth.users[0].password"], secrets["emqx-oci:auth.users[1].password"] = metersPassword, pumpsPassword
	texts := map[string]string{}
	c := nomadClient(t)
	for i := range 3 {
		// What Docker says of the containers, and what Nomad lets a command in one see.
		texts[fmt.Sprint("docker inspect on node ", i)] = b.on(t, i, "docker inspect $(docker ps -q)").stdout
	}
	for _, a := range running(t, c, emqxJob) {
		texts["environment of "+a.NodeName] = b.must(t, "lab", "exec", "--in", a.NodeName, "--", "sh", "-c",
			"docker exec $(docker ps -q --filter name=emqx-"+a.ID+") env").stdout
	}
	for _, job := range []string{emqxJob, proxyJob} {
		j, _, err := c.Jobs().Info(job, nil)
		assert.NilError(t, err)
		text, err := json.Marshal(j)
		assert.NilError(t, err)
		texts["job "+job] = string(text)
	}
	roots := []string{"pulumi", "stage", "daemon.log", "servers"} // the servers' logs, raft logs and snapshots
	for _, pattern := range []string{"instances/*/log", "instances/*/disk/docker/containers", "instances/*/disk/nomad/data/client/state.db"} {
		found, err := filepath.Glob(filepath.Join(b.dir, pattern))
		assert.NilError(t, err)
		assert.Assert(t, len(found) >= 3, "%s: %v", pattern, found)
		for _, path := range found {
			rel, err := filepath.Rel(b.dir, path)
			assert.NilError(t, err)
			roots = append(roots, rel)
		}
	}
	for _, root := range roots {
		assert.NilError(t, filepath.WalkDir(filepath.Join(b.dir, root), func(path string, d os.DirEntry, err error) error {
			if err != nil || !d.Type().IsRegular() {
				return err
			}
			text, err := os.ReadFile(path)
			if errors.Is(err, fs.ErrNotExist) { // a log that was put away meanwhile
				return nil
			}
			texts[path] = string(text)
			return err
		}))
	}
	assert.Assert(t, len(texts) > 4, "too little to look at: %d texts", len(texts))
	checked := 0
	for where, text := range texts {
		for path, secret := range secrets {
			if path == "emqx-oci:tls.certificate" || path == "emqx-oci:tls.ca" || path == "emqx-oci:tls.deviceCa" {
				continue // public
			}
			// As written, and as JSON writes its line ends.
			for _, form := range []string{secret, strings.ReplaceAll(secret, "\n", `\n`)} {
				assert.Check(t, !strings.Contains(text, form), "%s stands in clear in %s", path, where)
			}
			checked++
		}
	}
	t.Logf("looked for %d pairs of text and secret", checked)
}

func previewChange(t *testing.T, b *bed) {
	b.edit(t, "memoryMb: 512", "memoryMb: 544")
	r := b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "512") && strings.Contains(r.stdout, "544"), "%s", r)
	j := b.must(t, "preview", "lab", "--json")
	assert.Equal(t, summary(t, j).Changed(), 1, "%s", j)
	job, _, err := nomadClient(t).Jobs().Info(emqxJob, nil)
	assert.NilError(t, err)
	assert.Equal(t, *job.TaskGroups[0].Tasks[0].Resources.MemoryMB, 512)
	b.edit(t, "memoryMb: 544", "memoryMb: 512")
}

// sickCluster stops a broker for good: its node takes no work any more. An update
// without any change must not call that a success (ADR 0018).
func sickCluster(t *testing.T, b *bed) {
	c := nomadClient(t)
	allocs := running(t, c, emqxJob)
	victim := allocs[0]
	_, err := c.Nodes().ToggleEligibility(victim.NodeID, false, nil)
	assert.NilError(t, err)
	full, _, err := c.Allocations().Info(victim.ID, nil)
	assert.NilError(t, err)
	_, err = c.Allocations().Stop(full, nil)
	assert.NilError(t, err)
	eventually(t, time.Minute, "the broker is gone", func() error {
		if n := len(running(t, c, emqxJob)); n != 2 {
			return fmt.Errorf("%d brokers run", n)
		}
		return nil
	})

	r := b.run(t, "up", "lab", "--yes")
	assert.Equal(t, r.code, 1, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "G2") && strings.Contains(r.stderr, "2"), "%s", r)

	_, err = c.Nodes().ToggleEligibility(victim.NodeID, true, nil)
	assert.NilError(t, err)
	b.must(t, "up", "lab", "--yes")
	placement(t)
}

// newImage changes the broker's image, and watches that never more than one node
// is away meanwhile (ADR 0003).
func newImage(t *testing.T, b *bed) {
	const image = "emqx/emqx:5.8.8"
	b.edit(t, "  emqx-oci:broker:\n", "  emqx-oci:broker:\n    image: "+image+"\n")
	c := nomadClient(t)
	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fewest := 3
	for end := false; !end; {
		select {
		case err := <-ended:
			assert.NilError(t, err, "%s", out.String())
			end = true
		case <-time.After(100 * time.Millisecond):
			fewest = min(fewest, len(running(t, c, emqxJob)))
		}
	}
	assert.Equal(t, fewest, 2, "the fewest brokers that ran at a time")
	allocs := running(t, c, emqxJob)
	assert.Equal(t, len(allocs), 3)
	for _, stub := range allocs {
		a, _, err := c.Allocations().Info(stub.ID, nil)
		assert.NilError(t, err)
		assert.Equal(t, a.Job.LookupTaskGroup("emqx").Tasks[0].Config["image"], image)
	}
}

// relaunch cuts an instance's power. The pool starts another one, with another
// address, which is the same member with the same volume.
func relaunch(t *testing.T, b *bed) {
	old := instanceNamed(t, b, "emqx-lab-1")
	b.must(t, "lab", "exec", "--in", "emqx-lab-1", "--", "bash", "-c", "echo kept > /mnt/bv/emqx-1/e2e-mark")
	cutPower(t, b, old.ID)
	eventually(t, 2*time.Minute, "another instance", func() error {
		if i := instanceNamed(t, b, "emqx-lab-1"); i.ID == old.ID || i.State != "RUNNING" {
			return fmt.Errorf("instance %+v", i)
		}
		return nil
	})
	now := instanceNamed(t, b, "emqx-lab-1")
	assert.Assert(t, now.Address != old.Address, "primary address %s", now.Address)
	eventually(t, 2*time.Minute, "the reserved address", func() error {
		if i := instanceNamed(t, b, "emqx-lab-1"); !slices.Equal(i.Reserved, old.Reserved) {
			return fmt.Errorf("reserved addresses %v, before %v", i.Reserved, old.Reserved)
		}
		return nil
	})
	// No update of the stack is needed; this one only watches, and changes nothing.
	eventually(t, 3*time.Minute, "a healthy cluster", func() error {
		r := b.run(t, "up", "lab", "--yes", "--json")
		if r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		if n := summary(t, r).Changed(); n != 0 {
			return fmt.Errorf("%d changes", n)
		}
		return nil
	})
	assert.Equal(t, strings.TrimSpace(b.must(t, "lab", "exec", "--in", "emqx-lab-1", "--", "cat", "/mnt/bv/emqx-1/e2e-mark").stdout), "kept")
	nodes, _, err := nomadClient(t).Nodes().List(nil)
	assert.NilError(t, err)
	nodes = slices.DeleteFunc(nodes, func(n *nomad.NodeListStub) bool { return n.Name != "emqx-lab-1" })
	assert.Equal(t, len(nodes), 1, "Nomad has forgotten the instance that is gone")
	placement(t)
}

// daemonKilled ends the lab's daemon with SIGKILL: traffic goes on, and the next
// `lab up` adopts what runs.
func daemonKilled(t *testing.T, b *bed) {
	ids := running(t, nomadClient(t), emqxJob)
	s := status(t, b)
	// What the kernel sends when a peer closes its connection is no reason to end.
	assert.NilError(t, syscall.Kill(s.PID, syscall.SIGPIPE))
	time.Sleep(time.Second)
	assert.Equal(t, status(t, b).PID, s.PID)

	assert.NilError(t, syscall.Kill(s.PID, syscall.SIGKILL))
	eventually(t, 10*time.Second, "the daemon's end", func() error {
		if r := b.run(t, "lab", "status"); r.code == 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	b.must(t, "lab", "up")
	assert.Equal(t, len(status(t, b).Cloud.Instances), 3)
	after := running(t, nomadClient(t), emqxJob)
	assert.Equal(t, len(after), len(ids))
	for _, a := range after {
		assert.Assert(t, slices.ContainsFunc(ids, func(o *nomad.AllocationListStub) bool { return o.ID == a.ID }), "%s is new", a.Name)
	}
	b.must(t, "up", "lab", "--yes")
}

func destroyed(t *testing.T, b *bed) {
	b.must(t, "destroy", "lab", "--yes")
	nothingLeft(t, b)
	noOutputs(t, b)
}

// noOutputs asks the state's own file: no resource is left in it.
func noOutputs(t *testing.T, b *bed) {
	t.Helper()
	out := b.must(t, "outputs", "lab", "--json")
	assert.Equal(t, strings.TrimSpace(out.stdout), "{}", "%s", out)
}

// nothingLeft looks for what a destroyed stack left in any of its places.
func nothingLeft(t *testing.T, b *bed) {
	s := status(t, b)
	assert.Equal(t, len(s.Cloud.Instances)+len(s.Cloud.Volumes)+len(s.Cloud.Addresses)+len(s.Cloud.Balancers)+len(s.Cloud.Records), 0, "%+v", s.Cloud)
	assert.Equal(t, len(s.Cloud.Unclaimed), 0, "%v", s.Cloud.Unclaimed)

	jobs, _, err := nomadClient(t).Jobs().List(nil)
	assert.NilError(t, err)
	assert.Equal(t, len(jobs), 0)
	vars, _, err := nomadClient(t).Variables().PrefixList("", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(vars), 0)

	c := consulClient(t)
	services, _, err := c.Catalog().Services(nil)
	assert.NilError(t, err)
	for s := range services {
		assert.Check(t, !strings.HasPrefix(s, "emqx"), "service %s stays in Consul", s)
	}
	keys, _, err := c.KV().Keys("emqx/", "", nil)
	assert.NilError(t, err)
	assert.Equal(t, len(keys), 0, "%v", keys)
}

// fullDown removes a lab with a whole cluster in it, whose Nomad clients were
// killed first: they leave helpers of logs and containers behind.
func fullDown(t *testing.T, b *bed) {
	b.must(t, "up", "lab", "--yes")
	for i := range 3 {
		b.must(t, "lab", "exec", "--in", fmt.Sprintf("emqx-lab-%d", i), "--", "bash", "-c",
			"kill -9 $(pgrep -f '^/usr/bin/nomad agent')")
	}
	ns := labNamespaces(t)
	up := inventory(t, ns)
	for _, p := range []string{"emqx", "haproxy", "dockerd"} {
		assert.Assert(t, slices.Contains(up.Programs, p), "%s is not among %v", p, up.Programs)
	}
	assert.Equal(t, len(up.Loops), 3, "%v", up.Loops)
	b.must(t, "lab", "down")
	assert.DeepEqual(t, inventory(t, ns), things{})
	_, err := os.Stat(b.dir)
	assert.Assert(t, os.IsNotExist(err), "the lab's folder: %v", err)
	b.must(t, "lab", "up")
}

// diagnose prints what a reader of a failed run asks for first.
func (b *bed) diagnose(t *testing.T) {
	r := b.run(t, "lab", "status")
	t.Logf("%s", r)
	if text, err := os.ReadFile(filepath.Join(b.dir, "daemon.log")); err == nil {
		lines := bytes.Split(text, []byte("\n"))
		t.Logf("daemon.log:\n%s", bytes.Join(lines[max(0, len(lines)-40):], []byte("\n")))
	}
	logs, _ := filepath.Glob(filepath.Join(b.dir, "instances", "*", "log", "emqx-boot.log"))
	for _, path := range logs {
		text, _ := os.ReadFile(path)
		lines := bytes.Split(text, []byte("\n"))
		t.Logf("%s:\n%s", path, bytes.Join(lines[max(0, len(lines)-15):], []byte("\n")))
	}
	c := nomadClient(t)
	for _, job := range []string{emqxJob, proxyJob} {
		allocs, _, _ := c.Jobs().Allocations(job, false, nil) // no Nomad, no allocations
		for _, a := range allocs {
			if a.ClientStatus != "complete" {
				t.Log(allocation(c, a))
			}
		}
	}
}

// allocation is what happened to one, and the end of what it says.
func allocation(c *nomad.Client, a *nomad.AllocationListStub) string {
	var out strings.Builder
	fmt.Fprintf(&out, "%s (%s) on %s: wanted %s, is %s\n", a.Name, a.ID, a.NodeName, a.DesiredStatus, a.ClientStatus)
	for name, state := range a.TaskStates {
		for _, e := range state.Events {
			fmt.Fprintf(&out, "  %s %s %s: %s\n", time.Unix(0, e.Time).UTC().Format(time.RFC3339), name, e.Type, e.DisplayMessage)
		}
		for _, stream := range []string{"stdout", "stderr"} {
			cancel := make(chan struct{})
			// Without its node the client asks the servers, which it can reach.
			frames, faults := c.AllocFS().Logs(&nomad.Allocation{ID: a.ID}, false, name, stream, "end", 4000, cancel, nil)
			end := time.After(5 * time.Second)
			for more := true; more; {
				select {
				case f, ok := <-frames:
					if more = ok; ok {
						fmt.Fprintf(&out, "  %s: %s\n", stream, f.Data)
					}
				case err := <-faults:
					fmt.Fprintf(&out, "  %s: %v\n", stream, err)
					more = false
				case <-end:
					more = false
				}
			}
			close(cancel)
		}
	}
	return out.String()
}
