package machine

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/guest"
)

func TestHierarchies(t *testing.T) {
	got := parseHierarchies(`proc /proc proc rw 0 0
cgroup /sys/fs/cgroup/cpu,cpuacct cgroup rw,nosuid,nodev,noexec,relatime,cpu,cpuacct 0 0
cgroup /other/cpu cgroup rw,cpu,cpuacct 0 0
cgroup /sys/fs/cgroup/systemd cgroup rw,relatime,xattr,release_agent=/lib/x,name=systemd 0 0
cgroup2 /sys/fs/cgroup/unified cgroup2 rw,nsdelegate 0 0
`)
	assert.DeepEqual(t, got, []guest.Cgroup{
		{Mount: "/sys/fs/cgroup/cpu,cpuacct", Type: "cgroup", Options: "cpu,cpuacct"},
		{Mount: "/sys/fs/cgroup/systemd", Type: "cgroup", Options: "none,name=systemd"},
		{Mount: "/sys/fs/cgroup/unified", Type: "cgroup2"},
	})
}

func TestProcessIdentity(t *testing.T) {
	self := identify(os.Getpid())
	assert.Assert(t, self.alive())
	// The same pid of another boot, or of another start, is another process.
	other := self
	other.Boot = "another"
	assert.Assert(t, !other.alive())
	other = self
	other.Start = "1"
	assert.Assert(t, !other.alive())
	assert.Assert(t, !procID{}.alive())
	assert.Assert(t, !procID{PID: 1, Boot: bootID()}.alive())
	assert.NilError(t, other.end(9, time.Second), "it must not be killed")
}

func TestACommandThatIsMissingInside(t *testing.T) {
	inside := func(argv ...string) (stdout, stderr string, exit int) {
		t.Helper()
		argv = lookedUp("emqx-lab-0", argv)
		var out, errs strings.Builder
		cmd := exec.CommandContext(t.Context(), argv[0], argv[1:]...)
		cmd.Stdout, cmd.Stderr = &out, &errs
		_ = cmd.Run()
		return out.String(), errs.String(), cmd.ProcessState.ExitCode()
	}
	stdout, stderr, exit := inside("printf", "%s|", "a b", "$c", "")
	assert.Equal(t, stdout, "a b|$c||")
	assert.Equal(t, stderr, "")
	assert.Equal(t, exit, 0)
	_, _, exit = inside("sh", "-c", "exit 7")
	assert.Equal(t, exit, 7)
	for _, missing := range []string{"no-such-program", "/no/such/program"} {
		stdout, stderr, exit = inside(missing, "x")
		assert.Equal(t, stdout, "")
		assert.Equal(t, stderr, missing+": not found in emqx-lab-0\n")
		assert.Equal(t, exit, exitNotFound)
	}
}

type answerer struct {
	dns.ResponseWriter
	msg *dns.Msg
}

func (a *answerer) WriteMsg(m *dns.Msg) error { a.msg = m; return nil }
func (a *answerer) LocalAddr() net.Addr       { return &net.UDPAddr{} }

func TestZone(t *testing.T) {
	z := newZone("lab.test")
	assert.NilError(t, z.set([]cloud.Record{
		{Name: "mqtt.lab.test", Type: "A", Data: "198.51.100.1", TTL: 30},
		{Name: "broker.lab.test", Type: "CNAME", Data: "mqtt.lab.test.", TTL: 30},
	}))
	ask := func(name string, kind uint16) *dns.Msg {
		q := new(dns.Msg)
		q.SetQuestion(name, kind)
		var a answerer
		z.ServeDNS(&a, q)
		return a.msg
	}
	m := ask("MQTT.lab.test.", dns.TypeA)
	assert.Equal(t, len(m.Answer), 1)
	assert.Equal(t, m.Answer[0].(*dns.A).A.String(), "198.51.100.1")
	assert.Equal(t, len(ask("broker.lab.test.", dns.TypeA).Answer), 2)
	m = ask("mqtt.lab.test.", dns.TypeAAAA)
	assert.Equal(t, m.Rcode, dns.RcodeSuccess, "the name exists, this type does not")
	assert.Equal(t, len(m.Answer), 0)
	assert.Equal(t, ask("example.com.", dns.TypeA).Rcode, dns.RcodeNameError)
	assert.Equal(t, z.firstA(), "mqtt.lab.test")

	err := z.set([]cloud.Record{{Name: "a.lab.test", Type: "A", Data: "no address"}, {Name: "example.com", Type: "A", Data: "1.2.3.4", TTL: 1}})
	assert.ErrorContains(t, err, `reading record a.lab.test A "no address"`)
	assert.ErrorContains(t, err, "not in the zone")
	assert.Equal(t, z.firstA(), "mqtt.lab.test", "a bad zone changes nothing")
}

func TestMissingThingsAreNamedTogether(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := checkRequirements(Config{GuestBinary: "/none/lab-guest", ConsulBinary: "/none/consul", NomadBinary: "/none/nomad"})
	assert.ErrorContains(t, err, "missing:")
	for _, want := range []string{`"/none/lab-guest": made by`, `"/none/nomad": made by`, "program curl", "apt-get install "} {
		assert.ErrorContains(t, err, want)
	}
}

func TestVolumeNames(t *testing.T) {
	m := &Machine{cfg: Config{Dir: t.TempDir()}}
	for _, bad := range []string{"", "..", "a/b", "a b"} {
		assert.ErrorContains(t, m.CreateVolume(t.Context(), bad, 1, ""), "its name cannot be a file's", bad)
	}
	assert.NilError(t, m.CreateVolume(t.Context(), "v", 150, ""))
	st, err := os.Stat(filepath.Join(m.cfg.Dir, "volumes", "v.img"))
	assert.NilError(t, err)
	assert.Equal(t, st.Size(), int64(150<<30))
	assert.NilError(t, m.CreateVolume(t.Context(), "v", 50, ""), "an existing volume is kept")
	assert.ErrorContains(t, m.ResizeVolume(t.Context(), "v", 50), "cannot shrink")
}

func TestShortNames(t *testing.T) {
	a := shortName(cloud.InstanceSpec{ID: "x1", Name: "emqx-Lab_0"})
	b := shortName(cloud.InstanceSpec{ID: "x2", Name: "emqx-Lab_0"})
	assert.Assert(t, strings.HasPrefix(a, "emqx-lab-0-"), a)
	assert.Assert(t, a != b)
	assert.Assert(t, len(record{}.veth()) <= 15)
}
