//go:build lab

package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// volumeSettings is the passage of the lab's stack file that the chapters add to.
const volumeSettings = "    sizeGb: 50 # a sparse file\n"

// volumesBack gives the volumes a backup policy, backs one up, loses it, and makes
// it anew from the backup, larger: its node is the same member with its data, as
// docs/tasks/backup-and-restore.md says.
func volumesBack(t *testing.T, b *bed) {
	b.edit(t, volumeSettings, volumeSettings+"    backupPolicy: silver\n")
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changes["create"], 3, "%s", r)

	b.must(t, "lab", "exec", "--", "mosquitto_pub", "-h", name, "-t", "volumes/kept", "-m", "retained", "-q", "1", "-r")
	b.on(t, 1, "echo before > /mnt/bv/emqx-1/e2e-volumes; sync")
	old := volumeOf(t, b, 1)
	var made struct {
		Data struct {
			ID    string `json:"id"`
			State string `json:"lifecycle-state"`
		} `json:"data"`
	}
	r = b.on(t, 0, "oci bv backup create --volume-id "+old.ID+" --display-name e2e --type FULL --wait-for-state AVAILABLE --auth instance_principal")
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &made), "%s", r)
	assert.Equal(t, made.Data.State, "AVAILABLE")
	b.on(t, 1, "echo after > /mnt/bv/emqx-1/e2e-volumes; sync")

	// Somebody detaches it by force and deletes it.
	b.fault(t, "detach-volume 1")
	b.on(t, 0, "oci bv volume delete --volume-id "+old.ID+" --force --auth instance_principal")
	b.must(t, "refresh", "lab")
	b.fault(t, "terminate-instance 1")

	b.edit(t, volumeSettings, volumeSettings+fmt.Sprintf("    sizeGbByNode: {\"1\": 60}\n    restore: {\"1\": %s}\n", made.Data.ID))
	r = b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "a volume from a backup (emqx-lab-1)"), "%s", r)
	assert.Assert(t, !strings.Contains(r.stdout, "DATA LOSS"), "%s", r)
	eventually(t, 4*time.Minute, "a healthy cluster", func() error {
		if r := b.run(t, "up", "lab", "--yes"); r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	b.fault(t, "detach-volume 1 --undo") // the instance that lost it is gone
	now := volumeOf(t, b, 1)
	assert.Assert(t, now.ID != old.ID && now.SizeGB == 60, "%+v", now)
	assert.Equal(t, strings.TrimSpace(b.on(t, 1, "cat /mnt/bv/emqx-1/e2e-volumes").stdout), "before")
	var blocks int
	r = b.on(t, 1, "df --output=size -B1G /mnt/bv/emqx-1 | tail -n 1")
	_, err := fmt.Sscan(r.stdout, &blocks)
	assert.NilError(t, err, "%s", r)
	assert.Assert(t, blocks > 55, "the file system has %d GB", blocks)
	wantMembers(t, nomadClient(t), 3)
	got := b.must(t, "lab", "exec", "--", "mosquitto_sub", "-h", name, "-t", "volumes/kept", "-C", "1", "-W", "20")
	assert.Equal(t, strings.TrimSpace(got.stdout), "retained")

	// The settings may stay, go, or name another backup: a volume is made once.
	r = b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "volumes.restore.1 has no effect"), "%s", r)
	b.edit(t, fmt.Sprintf("    restore: {\"1\": %s}\n", made.Data.ID), "")
	r = b.must(t, "preview", "lab", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	placement(t)
}

// volumesStay ends a destroy in every way in which it must not begin, and looks
// that no client noticed; then it destroys a stack that keeps its volumes, and
// takes them over again, as docs/tasks/destroy.md says.
func volumesStay(t *testing.T, b *bed) {
	const clients = 9
	var out syncBuffer
	subscribers := b.start(t, &out, "lab", "exec", "--", "bash", "-c",
		fmt.Sprintf("for i in $(seq %d); do stdbuf -oL mosquitto_sub -d -h %s -i stays-$i -t volumes/none & done; wait", clients, name))
	calm := func(after string) {
		t.Helper()
		eventually(t, 20*time.Second, "every client is connected "+after, func() error {
			n := 0
			for _, on := range staying(t, nomadClient(t)) {
				n += on
			}
			if n != clients {
				return fmt.Errorf("%d of %d", n, clients)
			}
			return nil
		})
		assert.Equal(t, strings.Count(out.String(), "sending CONNECT"), clients, "a client had to come back %s:\n%s", after, out.String())
	}
	calm("at first")

	assert.Equal(t, b.run(t, "destroy", "lab").code, 2)
	calm("after a destroy with nobody to ask")
	r := b.atTerminal(t, "y\n", "destroy", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "its 3 volumes and the data on them included") && strings.Contains(r.stdout, "nothing was changed"), "%s", r)
	calm("after a destroy that was declined")
	r = b.atTerminal(t, "\x03", "destroy", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "asking was cancelled") || strings.Contains(r.stdout, "Type the stack's name"), "%s", r)
	assert.Assert(t, r.code != 0, "%s", r)
	calm("after a destroy that was cancelled at its question")

	b.edit(t, volumeSettings, volumeSettings+"    protect: true\n")
	b.must(t, "up", "lab", "--yes")
	r = b.run(t, "destroy", "lab", "--yes")
	assert.Equal(t, r.code, 3, "%s", r)
	assert.Assert(t, strings.Contains(r.stderr, volumeOf(t, b, 2).ID) && strings.Contains(r.stderr, "volumes.retain"), "%s", r)
	calm("after a destroy that protection refused")
	_ = syscall.Kill(-subscribers.Process.Pid, syscall.SIGKILL)
	_ = subscribers.Wait()

	b.edit(t, "    protect: true\n", "    retain: true\n")
	b.must(t, "up", "lab", "--yes")
	b.on(t, 2, "echo stays > /mnt/bv/emqx-2/e2e-volumes; sync")
	before := status(t, b).Cloud.Volumes
	r = b.must(t, "destroy", "lab", "--yes", "--json")
	type volume struct {
		Index  int    `json:"index"`
		SizeGB int    `json:"sizeGb"`
		ID     string `json:"id"`
		Domain string `json:"domain"`
	}
	var kept struct {
		Event   string   `json:"event"`
		Volumes []volume `json:"volumes"`
	}
	for line := range strings.Lines(r.stdout) {
		if strings.Contains(line, `"event":"kept"`) {
			assert.NilError(t, json.Unmarshal([]byte(line), &kept))
		}
	}
	assert.Equal(t, len(kept.Volumes), 3, "%s", r)
	adopt := "    adopt:\n"
	for i, v := range kept.Volumes {
		assert.DeepEqual(t, v, volume{i, before[i].SizeGB, before[i].ID, before[i].AvailabilityDomain})
		adopt += fmt.Sprintf("      \"%d\": %s\n", v.Index, v.ID)
	}
	s := status(t, b)
	assert.Equal(t, len(s.Cloud.Volumes), 3)
	assert.Equal(t, len(s.Cloud.Instances)+len(s.Cloud.Addresses)+len(s.Cloud.Balancers)+len(s.Cloud.Records), 0, "%+v", s.Cloud)

	b.edit(t, volumeSettings, volumeSettings+adopt)
	r = b.must(t, "preview", "lab")
	assert.Assert(t, strings.Contains(r.stdout, "taken over with what is on them"), "%s", r)
	b.must(t, "up", "lab", "--yes")
	for i := range 3 {
		assert.Equal(t, volumeOf(t, b, i).ID, before[i].ID)
	}
	assert.Equal(t, strings.TrimSpace(b.on(t, 2, "cat /mnt/bv/emqx-2/e2e-volumes").stdout), "stays")
	placement(t)
	wantMembers(t, nomadClient(t), 3)
	got := b.must(t, "lab", "exec", "--", "mosquitto_sub", "-h", name, "-t", "volumes/kept", "-C", "1", "-W", "20")
	assert.Equal(t, strings.TrimSpace(got.stdout), "retained")

	// What was adopted is the stack's own, like any other.
	b.edit(t, "    retain: true\n", "")
	b.edit(t, adopt, "")
	b.edit(t, "    backupPolicy: silver\n", "")
	b.must(t, "up", "lab", "--yes")
	r = b.must(t, "preview", "lab", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}

// on runs a script on a node, which has to succeed.
func (b *bed) on(t *testing.T, node int, script string) result {
	t.Helper()
	r := b.in(t, node, script)
	assert.Equal(t, r.code, 0, "%s: %s", script, r)
	return r
}

func volumeOf(t *testing.T, b *bed, node int) cloud.VolumeStatus {
	t.Helper()
	all := status(t, b).Cloud.Volumes
	i := slices.IndexFunc(all, func(v cloud.VolumeStatus) bool { return v.Index == fmt.Sprint(node) })
	assert.Assert(t, i >= 0, "no volume of node %d in %+v", node, all)
	return all[i]
}

// atTerminal runs a command on a terminal of its own, and types something once it asks.
func (b *bed) atTerminal(t *testing.T, typed string, args ...string) result {
	t.Helper()
	var out syncBuffer
	line := filepath.Join(b.bin, "emqx-oci") + " " + strings.Join(args, " ")
	cmd := exec.CommandContext(t.Context(), "script", "-qec", line, "/dev/null")
	own := b.command(t.Context())
	cmd.Dir, cmd.Env = own.Dir, append(own.Env, "TERM=dumb")
	cmd.Stdout, cmd.Stderr = &out, &out
	in, err := cmd.StdinPipe()
	assert.NilError(t, err)
	start := time.Now()
	assert.NilError(t, cmd.Start())
	eventually(t, time.Minute, "the question", func() error {
		if !strings.Contains(out.String(), "to go on: ") {
			return fmt.Errorf("so far: %s", out.String())
		}
		return nil
	})
	_, err = io.WriteString(in, typed)
	assert.NilError(t, err)
	_ = cmd.Wait()
	return result{code: cmd.ProcessState.ExitCode(), stdout: out.String(), took: time.Since(start)}
}
