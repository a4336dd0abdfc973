//go:build lab && drill

package e2e

import (
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
)

// Chapters of the story of TestLab, each group on a lab of its own: for work on them.

// TestOperate is the work between two updates on a lab of its own.
func TestOperate(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for name, chapter := range map[string]func(*testing.T, *bed){"rebalanced": rebalanced, "full stop": fullStop} {
		if !t.Run(name, func(t *testing.T) { chapter(t, b) }) {
			b.diagnose(t)
			t.FailNow()
		}
	}
}

// TestWhoMayConnect closes a cluster that runs, and opens it again.
func TestWhoMayConnect(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{{"who may connect", func(t *testing.T, b *bed) { b.opens(t, b.whoMayConnect(t)) }}, {"a user is taken away, another has a new password", usersChange}} {
		b.chapter(t, c.name, c.f)
	}
}

// TestDevices lets devices into a cluster that is closed from its beginning.
func TestDevices(t *testing.T) {
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	b.must(t, "lab", "up")
	closed, _, _ := closedCluster(t, b)
	b.edit(t, openCluster, closed)
	b.withDevices(t)
	b.must(t, "up", "lab", "--yes")
	if !t.Run("devices come and go", func(t *testing.T) { devicesComeAndGo(t, b) }) {
		b.diagnose(t)
	}
}

// TestFlood is a planted secret and a flood of idle clients.
func TestFlood(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	plantSecret(t, b)
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{{"no secret stands in clear", noSecrets}, {"flooded", flooded}} {
		b.chapter(t, c.name, c.f)
	}
}

// TestStrangers is its chapter on a lab of its own.
func TestStrangers(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	if !t.Run("strangers", func(t *testing.T) { strangers(t, b) }) {
		b.diagnose(t)
	}
}

// TestRelaunch is both chapters on a lab of their own.
func TestRelaunch(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T)
	}{
		{"more memory", func(t *testing.T) { b.underLoad(t, func() { vertical(t, b) }) }},
		{"a lost instance, then another image", func(t *testing.T) { relaunchThenImage(t, b) }},
	} {
		if !t.Run(c.name, c.f) {
			b.diagnose(t)
			return
		}
	}
}

// TestStopping is how a broker ends, and how one begins after a power cut, on a lab of its
// own.
func TestStopping(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	t.Run("held", volumesHeld)
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"names", withoutNames},
		{"soft stop", softStop},
		{"power cut", powerCutThenRoll},
	} {
		if !t.Run(c.name, func(t *testing.T) { c.f(t, b) }) {
			b.diagnose(t)
			return
		}
	}
}

// TestScaling is the growth to seven nodes on a lab of its own.
func TestScaling(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, count := range []int{5, 7} {
		if !t.Run(fmt.Sprintf("three nodes, %d, and three again", count), func(t *testing.T) { scaling(t, b, count) }) {
			b.diagnose(t)
			return
		}
	}
}

// TestVolumes is the chapters on volumes by themselves.
func TestVolumes(t *testing.T) {
	b := newBed(t)
	t.Cleanup(func() {
		if t.Failed() {
			b.diagnose(t)
		}
	})
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	t.Run("back", func(t *testing.T) { volumesBack(t, b) })
	t.Run("stay", func(t *testing.T) { volumesStay(t, b) })
	destroyed(t, b)
}

// TestScaleInLeavesTheVolume takes a node away whose volume is retained, and gives it
// back with what is on it. What counts is what the update before has written, so the
// setting may go with the node, and comes too late with it.
func TestScaleInLeavesTheVolume(t *testing.T) {
	b := newBed(t)
	t.Cleanup(func() {
		if t.Failed() {
			b.diagnose(t)
		}
	})
	const retain, three, four = "    retain: true\n", "    count: 3\n    ocpus", "    count: 4\n    ocpus"
	b.must(t, "lab", "up")
	b.edit(t, three, four)
	b.edit(t, volumeSettings, volumeSettings+retain+"    backupPolicy: silver\n")
	b.must(t, "up", "lab", "--yes")
	b.on(t, 3, "echo stays > /mnt/bv/emqx-3/e2e-volumes; sync")
	kept := volumeOf(t, b, 3)

	b.edit(t, four, three)
	b.edit(t, retain, "")
	r := b.must(t, "preview", "lab")
	for _, want := range []string{"The volume of emqx-lab-3 stays in OCI", kept.ID, "Volume cluster-volumes-3  (stays in the cloud)", "volumes.adopt"} {
		assert.Assert(t, strings.Contains(r.stdout, want), "%q is missing in\n%s", want, r)
	}
	assert.Assert(t, !strings.Contains(r.stdout, "DATA LOSS"), "%s", r)
	b.must(t, "up", "lab", "--yes")
	wantMembers(t, nomadClient(t), 3)
	assert.Equal(t, volumeOf(t, b, 3).ID, kept.ID)

	adopt := fmt.Sprintf("    adopt: {\"3\": %s}\n", kept.ID)
	b.edit(t, volumeSettings, volumeSettings+adopt)
	b.edit(t, three, four)
	b.must(t, "up", "lab", "--yes")
	assert.Equal(t, strings.TrimSpace(b.on(t, 3, "cat /mnt/bv/emqx-3/e2e-volumes").stdout), "stays")
	assert.Equal(t, len(status(t, b).Cloud.Volumes), 4)
	wantMembers(t, nomadClient(t), 4)

	// Now it is like any other.
	b.edit(t, adopt, "")
	b.must(t, "up", "lab", "--yes")
	b.edit(t, four, three)
	b.edit(t, volumeSettings, volumeSettings+retain)
	r = b.run(t, "up", "lab", "--yes")
	assert.Equal(t, r.code, 3, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, "DATA LOSS: the volume of node 3") && strings.Contains(r.stderr, "run one before this"), "%s", r)
	assert.Equal(t, volumeOf(t, b, 3).ID, kept.ID)
}

// TestQuestions is what the gates' questions see and cost, on a lab of its own.
func TestQuestions(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	r := b.must(t, "up", "lab", "--yes")
	assert.Assert(t, !strings.Contains(r.stdout, "full stop"), "nobody served before: %s", r)
	questions(t, b)
}

// TestListeners is the chapters on listeners by themselves.
func TestListeners(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{{"off", listenerOff}, {"restored", restoredBesideClients}} {
		b.chapter(t, c.name, c.f)
	}
}

// TestTLSEndsAtProxy is the chapter on a lab of its own, between both ways of a change beside
// clients.
func TestTLSEndsAtProxy(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"to the proxies", func(t *testing.T, b *bed) { tlsMoves(t, b, tlsAtBroker, tlsAtProxy) }},
		{"at the proxies", tlsEndsAtProxy},
		{"back to the brokers", func(t *testing.T, b *bed) { tlsMoves(t, b, tlsAtProxy, tlsAtBroker); b.everyListener(t) }},
	} {
		b.chapter(t, c.name, c.f)
	}
}

// TestImporter is the chapter on a Go program in a module of its own by itself.
func TestImporter(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	importer(t, b)
}

// TestAdoption is the chapter on volumes and a pool of somebody else's by itself.
func TestAdoption(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	r := newPlain(t, b).pulumiIn(t, b.project, "stack", "init", "--no-select")
	assert.Equal(t, r.code, 0, "%s", r)
	adoption(t, b)
}

// TestDown is the end of the story by itself.
func TestDown(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	fullDown(t, b)
	emptyDown(t, b)
}
