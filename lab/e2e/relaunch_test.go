//go:build lab

package e2e

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// vertical gives every instance more memory and its agents another configuration, in an
// update that is killed between the drain of the second node and the end of its instance.
// The next one goes on there: never two nodes are away, and every node comes back with its
// data. Before that, the agents' files are made those of an older boot script.
func vertical(t *testing.T, b *bed) {
	before := nodesOf(t, b)
	for i := range before {
		assert.Equal(t, b.in(t, i, fmt.Sprintf("echo kept-%d > /mnt/bv/emqx-%d/vertical", i, i)).code, 0)
	}
	const truncates = "jq -e .dns_config.enable_truncate /etc/consul.d/emqx.json"
	for i := range before {
		r := b.in(t, i, `f=/etc/consul.d/emqx.json; jq 'del(.dns_config)' $f >/tmp/old && cat /tmp/old >$f`)
		assert.Equal(t, r.code, 0, "%s", r)
	}
	// Consul is there already: of a version that is not the default only the boot script becomes another.
	b.edit(t, "    servers: [10.80.2.10]\n", "    servers: [10.80.2.10]\n    version: 1.22.5\n")
	announced := func(what string) {
		t.Helper()
		r := b.must(t, "preview", "lab")
		said := strings.Join(strings.Fields(r.stdout), " ") // its lines are broken anywhere
		assert.Assert(t, strings.Contains(said, "3 nodes relaunched, one after another") && strings.Contains(said, what), "%s", r)
	}
	announced("another boot script")
	b.edit(t, "memoryGb: 4", "memoryGb: 6")
	announced("memory in GB 4 -> 6")
	assert.Equal(t, nodesOf(t, b), before)

	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	fewest := b.fewestBrokers(t, func() error {
		if s := out.String(); !strings.Contains(s, "drain of emqx-lab-1") {
			return errors.New(s)
		}
		return nil
	})
	assert.NilError(t, syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL))
	_ = cmd.Wait()
	half := nodesOf(t, b)
	for i := range half {
		assert.Equal(t, b.in(t, i, truncates).code == 0, i == 0, "the agent of node %d", i)
	}
	assert.Assert(t, half[0].instance != before[0].instance && half[1] == before[1] && half[2] == before[2], "%v, before %v", half, before)

	var rest syncBuffer
	cmd = b.start(t, &rest, "up", "lab", "--yes")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fewest = min(fewest, b.fewestBrokers(t, func() error {
		select {
		case err := <-ended:
			assert.NilError(t, err, "%s", rest.String())
			return nil
		default:
			return errors.New("the update goes on")
		}
	}))
	assert.Equal(t, fewest, 2, "the fewest brokers that ran at a time")
	assert.Assert(t, !strings.Contains(rest.String(), "drain of emqx-lab-0"), "%s", rest.String())

	now := nodesOf(t, b)
	for i := range now {
		assert.Assert(t, now[i].instance != before[i].instance, "instance %d stays", i)
		assert.Equal(t, now[i].volume, before[i].volume)
		assert.Equal(t, now[i].reserved, before[i].reserved)
		kept := b.in(t, i, fmt.Sprintf("cat /mnt/bv/emqx-%d/vertical", i))
		assert.Equal(t, strings.TrimSpace(kept.stdout), fmt.Sprintf("kept-%d", i))
		assert.Equal(t, b.in(t, i, truncates).code, 0, "the agent of node %d", i)
	}
	assert.Equal(t, now[0], half[0], "a node that was done is left alone")
	again := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, again).Changed(), 0, "%s", again)
	placement(t)
}

// relaunchThenImage loses an instance, and has a new image rolled as soon as its
// pool has launched another. For Nomad the lost one may still come back.
func relaunchThenImage(t *testing.T, b *bed) {
	old := b.instance(t, 1)
	b.fault(t, "terminate-instance 1")
	c := nomadClient(t)
	eventually(t, 3*time.Minute, "its return", func() error {
		if now := b.instance(t, 1); now.ID == old.ID || now.State != "RUNNING" {
			return fmt.Errorf("%+v", now)
		}
		if n := len(running(t, c, emqxJob)); n != 3 {
			return fmt.Errorf("%d brokers run", n)
		}
		return nil
	})
	b.otherImage(t)
	var out syncBuffer
	cmd := b.start(t, &out, "up", "lab", "--yes")
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	fewest := b.fewestBrokers(t, func() error {
		select {
		case err := <-ended:
			assert.NilError(t, err, "%s", out.String())
			return nil
		default:
			return errors.New("the update goes on")
		}
	})
	assert.Equal(t, fewest, 2, "the fewest brokers that ran at a time")
	placement(t)
	wantMembers(t, c, 3)
	nodes, _, err := c.Nodes().List(nil)
	assert.NilError(t, err)
	for _, n := range nodes {
		assert.Equal(t, n.Status, "ready", "%s is still in Nomad", n.Name)
	}
}

// otherImage asks for the other one of the two images that this lab has.
func (b *bed) otherImage(t *testing.T) {
	t.Helper()
	const to, from = "    image: emqx/emqx:5.8.8\n", "  emqx-oci:broker:\n"
	text, err := os.ReadFile(filepath.Join(b.project, "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	if strings.Contains(string(text), to) {
		b.edit(t, to, "")
	} else {
		b.edit(t, from, from+to)
	}
}

// nodeParts are what makes node i that node, and the instance that it is now.
type nodeParts struct{ instance, volume, reserved string }

func nodesOf(t *testing.T, b *bed) [3]nodeParts {
	t.Helper()
	var all [3]nodeParts
	s := b.status(t)
	for i := range all {
		for _, x := range s.Cloud.Instances {
			if x.Index == fmt.Sprint(i) && x.State == "RUNNING" {
				all[i].instance, all[i].reserved = x.ID, strings.Join(x.Reserved, " ")
			}
		}
		at := slices.IndexFunc(s.Cloud.Volumes, func(v cloud.VolumeStatus) bool { return v.Index == fmt.Sprint(i) })
		all[i].volume = s.Cloud.Volumes[at].ID
	}
	return all
}

// fewestBrokers counts the brokers that run until end says nil.
func (b *bed) fewestBrokers(t *testing.T, end func() error) int {
	t.Helper()
	c := nomadClient(t)
	fewest := 3
	eventually(t, 8*time.Minute, "the end", func() error {
		fewest = min(fewest, len(running(t, c, emqxJob)))
		return end()
	})
	return fewest
}
