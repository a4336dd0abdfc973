//go:build lab

package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"golang.org/x/net/proxy"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/guest"
	"github.com/emqx-oci/emqx-oci/lab/images"
)

var everywhere = []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}

// TestLive goes through the life of one lab with two instances.
func TestLive(t *testing.T) {
	h := &handler{userData: map[string]string{}}
	m := newTestMachine(t, h)
	assert.NilError(t, m.Down(t.Context()))
	assert.NilError(t, m.Up(t.Context()))
	t.Cleanup(func() { assert.NilError(t, m.Down(context.Background())) })
	for n := range 2 {
		h.set(spec(n).ID, nodeScript)
		assert.NilError(t, m.SetFirewall(t.Context(), spec(n).ID, cloud.Firewall{
			Addresses: []netip.Addr{spec(n).Address},
			Ingress:   []cloud.Rule{{Protocol: "all", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.80.0.0/16")}}},
			Egress:    []cloud.Rule{{Protocol: "all", CIDRs: everywhere}},
		}))
		assert.NilError(t, m.LaunchInstance(t.Context(), spec(n)))
	}
	eventually(t, 60*time.Second, "two ready nodes with Docker", func() (bool, string) {
		out, _ := run(t, m, "servers", "curl", "-s", "http://127.0.0.1:4646/v1/nodes")
		return strings.Count(out, `"Status":"ready"`) == 2 && strings.Count(out, `"Healthy":true`) >= 2, out
	})
	for _, sub := range []struct {
		name string
		f    func(*testing.T, *Machine)
	}{
		{"host is hidden and safe", testHostHidden},
		{"oci and systemctl", testCommands},
		{"tries again", testTriesAgain},
		{"job runs in a container", testJob},
		{"image comes later", testAddImage},
		{"services come back", testServices},
		{"power", testPower},
		{"doors", testDoors},
		{"firewall", testFirewall},
		{"balancer", testBalancer},
		{"idle timeout", testIdleTimeout},
		{"address moves", testAddressMoves},
		{"volume keeps data", testVolume},
	} {
		t.Run(sub.name, func(t *testing.T) { sub.f(t, m) })
	}
	t.Run("second process adopts", func(t *testing.T) { testAdopt(t, &m, h) })
	t.Run("down leaves nothing", func(t *testing.T) { testDown(t, m) })
}

func testHostHidden(t *testing.T, m *Machine) {
	before, err := os.ReadFile("/proc/sys/fs/file-max")
	assert.NilError(t, err)
	out, code := run(t, m, "node-0", "sh", "-c", `
set -e
sysctl -w fs.file-max=4242 vm.swappiness=3
! sysctl -w kernel.core_pattern=core.x 2>/dev/null
sysctl -w net.core.somaxconn=4096
test -z "$(ls -A /root)"
! ls `+testDir+`/servers 2>/dev/null
ls /dev
test "$(hostname)" = node-0
test "$(cat /proc/1/comm)" = systemd
touch /usr/local/made-inside
`)
	assert.Equal(t, code, 0, out)
	after, err := os.ReadFile("/proc/sys/fs/file-max")
	assert.NilError(t, err)
	assert.Equal(t, string(after), string(before))
	assert.Assert(t, !strings.Contains(out, "vda"), out)
	_, err = os.Stat("/usr/local/made-inside")
	assert.Assert(t, os.IsNotExist(err))
	// What it keeps on the machine's disk lends no rights to whoever meets it there.
	out, code = run(t, m, "node-0", "cat", "/proc/1/mountinfo")
	assert.Equal(t, code, 0, out)
	kept := 0
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); strings.HasPrefix(f[3], testDir+"/") || strings.Contains(f[3], "/instances/node-0-") {
			assert.Assert(t, strings.Contains(f[5], "nosuid") && strings.Contains(f[5], "nodev"), line)
			kept++
		}
	}
	assert.Assert(t, kept >= 5, "the test must see the mounts: %s", out)
	st, err := os.Stat(testDir)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o700))
	// No interface of the lab is the host's.
	ifs, err := net.Interfaces()
	assert.NilError(t, err)
	for _, i := range ifs {
		assert.Assert(t, !strings.HasPrefix(i.Name, "v-"), i.Name)
	}
}

func testCommands(t *testing.T, m *Machine) {
	out, code := run(t, m, "node-1", "oci", "bv", "volume", "list", "--all")
	assert.Equal(t, code, 7)
	assert.Assert(t, cmp.Contains(out, fmt.Sprintf(`"caller":%q,"args":"bv volume list --all"`, spec(1).ID)))
	assert.Assert(t, cmp.Contains(out, "asked"))
	out, code = run(t, m, "node-1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/opc/v2/instance/")
	assert.Equal(t, out+strconv.Itoa(code), "4010")
	out, code = run(t, m, "node-1", "curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", "http://169.254.169.254/opc/v1/instance/")
	assert.Equal(t, out+strconv.Itoa(code), "4040", "version 1 wants no header, where there is one")
	out, _ = run(t, m, "node-1", "systemctl", "is-active", "nomad", "ssh", "docker")
	assert.Equal(t, out, "active\ninactive\nactive\n")
	for _, where := range []string{"node-1", "internet"} {
		out, code = run(t, m, where, "no-such-program")
		assert.Equal(t, out, "no-such-program: not found in "+where+"\n")
		assert.Equal(t, code, exitNotFound)
	}
	out, code = run(t, m, "node-1", "systemctl", "start", "nothing-such")
	assert.Equal(t, code, 5, out)
	// The drop-in's limit holds, as far as this machine allows it.
	out, code = run(t, m, "node-1", "sh", "-c", "prlimit --noheadings --output SOFT --nofile --pid $(systemctl show --property MainPID --value nomad)")
	assert.Equal(t, code, 0, out)
	var own syscall.Rlimit
	assert.NilError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &own))
	assert.Assert(t, cmp.Contains([]string{"1048576", strconv.FormatUint(own.Max, 10)}, strings.TrimSpace(out)))
}

// testTriesAgain is what a boot script's unit lives on: systemd tries again, and what the
// unit says can be read without a login.
func testTriesAgain(t *testing.T, m *Machine) {
	out, code := run(t, m, "node-1", "sh", "-c", `
set -e
cat >/usr/local/bin/third-time <<'X'
#!/bin/sh
echo tried >>/run/tries
echo "try $(wc -l </run/tries)"
test "$(wc -l </run/tries)" -ge 3
X
chmod 755 /usr/local/bin/third-time
cat >/etc/systemd/system/third-time.service <<'X'
[Service]
Type=exec
RemainAfterExit=yes
ExecStart=/usr/local/bin/third-time
Restart=on-failure
RestartSec=100ms
StandardOutput=journal+console
X
systemctl start --no-block third-time
`)
	assert.Equal(t, code, 0, out)
	// It is active from the beginning of each try.
	eventually(t, 10*time.Second, "active after its third try", func() (bool, string) {
		out, _ := run(t, m, "node-1", "sh", "-c", "systemctl is-active third-time; cat /var/log/console.log")
		return strings.HasPrefix(out, "active\n") && strings.Contains(out, "try 3"), out
	})
	out, _ = run(t, m, "node-1", "sh", "-c", "echo by hand >/dev/console; sleep 0.3; cat /var/log/console.log")
	assert.Assert(t, cmp.Regexp(`(?s)third-time\[\d+\]: try 1\r\n.*third-time\[\d+\]: try 2\r\n.*third-time\[\d+\]: try 3\r\n`, out))
	assert.Assert(t, cmp.Contains(out, "by hand"))
	_, code = run(t, m, "node-1", "systemctl", "stop", "third-time")
	assert.Equal(t, code, 0)
	out, _ = run(t, m, "node-1", "systemctl", "is-active", "third-time")
	assert.Equal(t, out, "inactive\n")
}

const jobText = `{"Job":{"ID":"t","Name":"t","Type":"service","Datacenters":["dc1"],"TaskGroups":[{"Name":"g","Count":2,
"Constraints":[{"Operand":"distinct_hosts"}],
"Tasks":[{"Name":"x","Driver":"docker","Config":{"image":"localhost:1/haproxy:3.0.0","network_mode":"host","command":"sh","args":["-c","id -un; haproxy -v; sleep 1000"]},"Resources":{"CPU":50,"MemoryMB":32}}]}]}}`

func testJob(t *testing.T, m *Machine) {
	out, _ := run(t, m, "servers", "curl", "-s", "-X", "POST", "-d", jobText, "http://127.0.0.1:4646/v1/jobs")
	assert.Assert(t, cmp.Contains(out, "EvalID"))
	eventually(t, 40*time.Second, "two running tasks", func() (bool, string) {
		out, _ := run(t, m, "servers", "curl", "-s", "http://127.0.0.1:4646/v1/job/t/allocations")
		return strings.Count(out, `"ClientStatus":"running"`) == 2, out
	})
	out, _ = run(t, m, "node-0", "sh", "-c", "docker logs $(docker ps -q | head -1)")
	assert.Assert(t, cmp.Contains(out, "haproxy\nHAProxy version"))
}

func testAddImage(t *testing.T, m *Machine) {
	const ref = "localhost:1/emqx/emqx:5.8.10"
	assert.NilError(t, m.AddImage(t.Context(), Image{Ref: ref, Build: func() (v1.Image, error) { return images.Broker(guestBinary) }}))
	out, code := run(t, m, "node-1", "docker", "run", "--rm", "--network", "host", ref, "sh", "-c", "set -e; id -u; : >/opt/emqx/data/x; command -v emqx")
	assert.Equal(t, code, 0, out)
	assert.Equal(t, out, "1000\n/opt/emqx/bin/emqx\n")
}

func testServices(t *testing.T, m *Machine) {
	status := func() string {
		out, _ := run(t, m, "node-0", "systemctl", "show", "--property", "MainPID", "--value", "nomad")
		return strings.TrimSpace(out)
	}
	was := status()
	out, code := run(t, m, "node-0", "kill", "-9", was)
	assert.Equal(t, code, 0, out)
	eventually(t, 30*time.Second, "nomad is started again", func() (bool, string) {
		out, code := run(t, m, "node-0", "systemctl", "is-active", "nomad")
		now := status()
		return code == 0 && now != "0" && now != was, out + now
	})
	out, code = run(t, m, "node-0", "systemctl", "reload-or-restart", "consul")
	assert.Equal(t, code, 0, out)
	eventually(t, 30*time.Second, "consul answers", func() (bool, string) {
		out, _ := run(t, m, "node-0", "curl", "-s", "http://127.0.0.1:8500/v1/status/leader")
		return strings.Contains(out, "10.80.2.10"), out
	})
}

// testPower ends an instance as its own poweroff does, with all units stopped in their
// order, and then as a power cut does, with none.
func testPower(t *testing.T, m *Machine) {
	const units = `
set -e
for u in first last; do
	printf '[Unit]\nAfter=%s\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/echo begins\nExecStop=/bin/sh -c "sleep 0.2; echo %s has ended >>/var/log/ends"\n' \
		"$([ $u = last ] || echo last.service)" $u >/etc/systemd/system/$u.service
done
systemctl daemon-reload
systemctl start first last
journalctl --sync
`
	logs := m.path("instances", shortName(spec(1)), "log")
	ends := func() string {
		raw, err := os.ReadFile(filepath.Join(logs, "ends"))
		assert.NilError(t, err)
		return string(raw)
	}
	begin := func() {
		out, code := run(t, m, "node-1", "sh", "-c", units)
		assert.Equal(t, code, 0, out)
	}
	again := func() {
		assert.NilError(t, m.LaunchInstance(t.Context(), spec(1)))
		eventually(t, 60*time.Second, "node-1 is up again", func() (bool, string) {
			out, code := run(t, m, "node-1", "systemctl", "is-active", "nomad", "consul")
			return code == 0, out
		})
	}
	begin()
	out, code := run(t, m, "node-1", "systemctl", "--no-block", "poweroff")
	assert.Equal(t, code, 0, out)
	eventually(t, 30*time.Second, "node-1 has ended", func() (bool, string) { return !m.InstanceAlive(spec(1).ID), "" })
	assert.Equal(t, ends(), "first has ended\nlast has ended\n")
	again()
	begin()
	assert.NilError(t, m.KillInstance("node-1"))
	assert.Equal(t, ends(), "first has ended\nlast has ended\n", "nothing may run at a power cut")
	// What the units said is on the machine's disk.
	raw, err := exec.Command("journalctl", "-D", filepath.Join(logs, "journal"), "-u", "first", "-o", "cat").CombinedOutput()
	assert.NilError(t, err, string(raw))
	assert.Equal(t, strings.Count(string(raw), "begins\n"), 2, string(raw))
	again()
	// One whose systemd does not answer yet has no units, and nobody waits for Docker's 3 s.
	out, code = run(t, m, "node-1", "sh", "-c", "rm "+guest.SystemdSocket+"")
	assert.Equal(t, code, 0, out)
	began := time.Now()
	assert.NilError(t, m.TerminateInstance(t.Context(), spec(1).ID))
	assert.Assert(t, time.Since(began) < 3*time.Second, "it took %s", time.Since(began))
	again()
}

func testDoors(t *testing.T, m *Machine) {
	for port, path := range map[int]string{4646: "/v1/status/leader", 8500: "/v1/status/leader"} {
		resp, err := http.Get(fmt.Sprintf("http://%s:%d%s", testDoor, port, path))
		assert.NilError(t, err)
		body, err := io.ReadAll(resp.Body)
		resp.Body.Close()
		assert.NilError(t, err)
		assert.Assert(t, cmp.Contains(string(body), "10.80.2.10"))
	}
	m2, err := New(m.cfg)
	assert.NilError(t, err)
	m2.cfg.Dir += "-other"
	err = m2.Up(t.Context())
	assert.ErrorContains(t, err, "opening the lab's door 127.0.78.1:4646: another program listens there")
	assert.NilError(t, os.RemoveAll(m2.cfg.Dir))
	m2.cfg.Dir = m.cfg.Dir
	assert.ErrorContains(t, m2.Up(t.Context()), "another process serves it")
}

// reply serves "<name> <peer>" on a port of an instance.
func reply(t *testing.T, m *Machine, n int, at netip.Addr, port int) {
	t.Helper()
	l, err := listenIn(t.Context(), m.ns(shortName(spec(n))), netip.AddrPortFrom(at, uint16(port)).String())
	assert.NilError(t, err)
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				fmt.Fprintf(c, "%s %s\n", spec(n).Name, c.RemoteAddr().(*net.TCPAddr).IP)
				_, _ = io.Copy(c, c)
			}()
		}
	}()
}

// ask connects and reads one line.
func ask(m *Machine, short string, from net.Addr, to string) (string, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	c, err := dialIn(ctx, m.ns(short), from, "tcp4", to)
	if err != nil {
		return "", err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	buf := make([]byte, 100)
	k, err := c.Read(buf)
	return strings.TrimSpace(string(buf[:k])), err
}

func testFirewall(t *testing.T, m *Machine) {
	a := spec(0).Address
	reply(t, m, 0, a, 7001)
	reply(t, m, 0, a, 7002)
	fw := cloud.Firewall{
		Addresses: []netip.Addr{a},
		Ingress: []cloud.Rule{
			{Protocol: "tcp", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.80.9.10/32"), netip.MustParsePrefix("10.80.9.0/24")}, PortMin: 7001, PortMax: 7001},
			{Protocol: "tcp", PortMin: 7002, PortMax: 7002}, // for nobody
		},
		Egress: []cloud.Rule{{Protocol: "tcp", CIDRs: everywhere}, {Protocol: "udp", CIDRs: everywhere}},
	}
	open := fw
	open.Ingress = []cloud.Rule{{Protocol: "all", CIDRs: []netip.Prefix{netip.MustParsePrefix("10.80.0.0/16")}}}
	t.Cleanup(func() { assert.NilError(t, m.SetFirewall(context.Background(), spec(0).ID, open)) })
	assert.NilError(t, m.SetFirewall(t.Context(), spec(0).ID, fw))
	got, err := ask(m, nsForeign, nil, a.String()+":7001")
	assert.NilError(t, err)
	assert.Equal(t, got, "node-0 10.80.9.10")
	_, err = ask(m, nsForeign, nil, a.String()+":7002")
	assert.ErrorContains(t, err, "timeout")
	// Another namespace than the rule's.
	_, err = ask(m, nsServers, nil, a.String()+":7001")
	assert.ErrorContains(t, err, "timeout")
	// The internet reaches no node, whatever its rules.
	assert.NilError(t, m.SetFirewall(t.Context(), spec(0).ID, cloud.Firewall{Addresses: fw.Addresses, Ingress: []cloud.Rule{{Protocol: "all", CIDRs: everywhere}}}))
	_, err = ask(m, nsInternet, nil, a.String()+":7001")
	assert.ErrorContains(t, err, "timeout")
	// No egress rule: the node reaches nobody, but answers.
	_, err = ask(m, shortName(spec(0)), nil, "10.80.2.10:4646")
	assert.ErrorContains(t, err, "timeout")
	got, err = ask(m, nsForeign, nil, a.String()+":7002")
	assert.NilError(t, err)
	assert.Equal(t, got, "node-0 10.80.9.10")
}

var (
	publicAddr  = netip.MustParseAddr("198.51.100.7")
	privateAddr = netip.MustParseAddr("10.80.0.5")
)

func oneBalancer(preserve bool, idle time.Duration, backends ...netip.AddrPort) []cloud.Balancer {
	return []cloud.Balancer{{
		ID: "b", Public: publicAddr, Private: privateAddr,
		Ingress:   []cloud.Rule{{Protocol: "tcp", CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/26")}, PortMin: 1883, PortMax: 1884}},
		Listeners: []cloud.Listener{{Name: "mqtt", Port: 1883, IdleTimeout: idle, PreserveSource: preserve, Backends: backends}},
	}}
}

func openAll(t *testing.T, m *Machine) {
	t.Helper()
	for n := range 2 {
		assert.NilError(t, m.SetFirewall(t.Context(), spec(n).ID, cloud.Firewall{
			Addresses: []netip.Addr{spec(n).Address},
			Ingress:   []cloud.Rule{{Protocol: "all", CIDRs: everywhere}}, Egress: []cloud.Rule{{Protocol: "all", CIDRs: everywhere}},
		}))
	}
}

func testBalancer(t *testing.T, m *Machine) {
	openAll(t, m)
	var backends []netip.AddrPort
	for n := range 2 {
		reply(t, m, n, spec(n).Address, 7010)
		backends = append(backends, netip.AddrPortFrom(spec(n).Address, 7010))
	}
	assert.NilError(t, m.SetBalancers(t.Context(), oneBalancer(true, time.Hour, backends...)))
	to := netip.AddrPortFrom(publicAddr, 1883).String()
	seen := map[string]int{}
	for k := range 40 {
		from := netip.AddrFrom4([4]byte{203, 0, 113, byte(11 + k)})
		got, err := ask(m, nsInternet, &net.TCPAddr{IP: from.AsSlice()}, to)
		assert.NilError(t, err)
		name, peer, _ := strings.Cut(got, " ")
		assert.Equal(t, peer, from.String())
		seen[name]++
	}
	assert.Assert(t, seen["node-0"] >= 8 && seen["node-1"] >= 8, "%v", seen)
	// Outside the security group, and a port without a listener.
	_, err := ask(m, nsInternet, &net.TCPAddr{IP: net.IPv4(203, 0, 113, 90)}, to)
	assert.ErrorContains(t, err, "timeout")
	_, err = ask(m, nsInternet, nil, netip.AddrPortFrom(publicAddr, 1884).String())
	assert.ErrorContains(t, err, "timeout")

	// An unhealthy backend gets nothing new; a flow of before goes on.
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	long, err := dialIn(ctx, m.ns(nsInternet), nil, "tcp4", to)
	assert.NilError(t, err)
	defer long.Close()
	_ = long.SetDeadline(time.Now().Add(5 * time.Second))
	buf := make([]byte, 100)
	k, err := long.Read(buf)
	assert.NilError(t, err)
	was := strings.Fields(string(buf[:k]))[0]
	left := 1
	if was == "node-1" {
		left = 0
	}
	assert.NilError(t, m.SetBalancers(t.Context(), oneBalancer(true, time.Hour, backends[left])))
	for range 10 {
		got, err := ask(m, nsInternet, nil, to)
		assert.NilError(t, err)
		assert.Assert(t, cmp.Contains(got, spec(left).Name))
	}
	_, err = long.Write([]byte("still there"))
	assert.NilError(t, err)
	k, err = long.Read(buf)
	assert.NilError(t, err)
	assert.Equal(t, string(buf[:k]), "still there")

	assert.NilError(t, m.SetBalancers(t.Context(), oneBalancer(false, time.Hour, backends...)))
	got, err := ask(m, nsInternet, nil, to)
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(got, privateAddr.String()))

	// Through the name: Exec's resolver, the MQTT door, and SOCKS.
	assert.NilError(t, m.SetZone(t.Context(), []cloud.Record{{Name: "mqtt.lab.test", Type: "A", Data: publicAddr.String(), TTL: 1}}))
	out, code := run(t, m, "internet", "getent", "ahostsv4", "mqtt.lab.test")
	assert.Equal(t, code, 0)
	assert.Assert(t, cmp.Contains(out, publicAddr.String()))
	_, code = run(t, m, "internet", "getent", "ahostsv4", "www.lab.test")
	assert.Equal(t, code, 2)
	out, code = run(t, m, "node-0", "getent", "ahostsv4", "mqtt.lab.test")
	assert.Equal(t, code, 0)
	assert.Assert(t, cmp.Contains(out, publicAddr.String()))
	c, err := net.Dial("tcp", testDoor+":1883")
	assert.NilError(t, err)
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	k, err = c.Read(buf)
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(string(buf[:k]), "node-"))
	// A balancer that listens elsewhere gets a door of its own.
	elsewhere := oneBalancer(true, time.Hour, backends...)
	elsewhere[0].Listeners[0].Port = 2883
	elsewhere[0].Ingress[0].PortMin, elsewhere[0].Ingress[0].PortMax = 2883, 2883
	assert.NilError(t, m.SetBalancers(t.Context(), elsewhere))
	other, err := net.Dial("tcp", testDoor+":2883")
	assert.NilError(t, err)
	defer other.Close()
	_ = other.SetDeadline(time.Now().Add(2 * time.Second))
	k, err = other.Read(buf)
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(string(buf[:k]), "node-"))
	assert.NilError(t, m.SetBalancers(t.Context(), oneBalancer(true, time.Hour, backends...)))

	d, err := proxy.SOCKS5("tcp", testDoor+":1080", nil, nil)
	assert.NilError(t, err)
	s, err := d.Dial("tcp", "mqtt.lab.test:1883")
	assert.NilError(t, err)
	defer s.Close()
	k, err = s.Read(buf)
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(string(buf[:k]), "node-"))

	// Health checks come from the balancer's private address.
	l, err := listenIn(t.Context(), m.ns(shortName(spec(0))), spec(0).Address.String()+":8080")
	assert.NilError(t, err)
	defer l.Close()
	var from string
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			from = q.RemoteAddr
			w.WriteHeader(http.StatusServiceUnavailable)
		}))
	}()
	status, err := m.CheckHTTP(t.Context(), privateAddr, "http://"+spec(0).Address.String()+":8080/haproxy_health")
	assert.NilError(t, err)
	assert.Equal(t, status, 503)
	assert.Assert(t, strings.HasPrefix(from, privateAddr.String()+":"), from)
}

func testIdleTimeout(t *testing.T, m *Machine) {
	reply(t, m, 0, spec(0).Address, 7011)
	assert.NilError(t, m.SetBalancers(t.Context(), oneBalancer(true, 2*time.Second, netip.AddrPortFrom(spec(0).Address, 7011))))
	long, err := dialIn(t.Context(), m.ns(nsInternet), nil, "tcp4", netip.AddrPortFrom(publicAddr, 1883).String())
	assert.NilError(t, err)
	defer long.Close()
	buf := make([]byte, 100)
	echo := func() error {
		_ = long.SetDeadline(time.Now().Add(700 * time.Millisecond))
		if _, err := long.Write([]byte("x")); err != nil {
			return err
		}
		_, err := long.Read(buf)
		return err
	}
	_, err = long.Read(buf)
	assert.NilError(t, err)
	for range 4 {
		time.Sleep(time.Second)
		assert.NilError(t, echo(), "an active flow stays")
	}
	time.Sleep(3500 * time.Millisecond)
	assert.ErrorContains(t, echo(), "timeout", "an idle flow is forgotten")
}

// A reserved address goes to the instance that the cloud assigns it to, at once.
func testAddressMoves(t *testing.T, m *Machine) {
	reserved := netip.MustParseAddr("10.80.1.10")
	for n := range 2 {
		out, code := run(t, m, spec(n).Name, "ip", "addr", "add", reserved.String()+"/24", "dev", "ens3")
		assert.Equal(t, code, 0, out)
		reply(t, m, n, reserved, 7020)
	}
	_, err := ask(m, nsForeign, nil, reserved.String()+":7020")
	assert.Assert(t, err != nil, "nobody has the address yet")
	all := []cloud.Rule{{Protocol: "all", CIDRs: everywhere}}
	for _, n := range []int{0, 1, 0} {
		for k := range 2 {
			own := []netip.Addr{spec(k).Address}
			if k == n {
				own = append(own, reserved)
			}
			assert.NilError(t, m.SetFirewall(t.Context(), spec(k).ID, cloud.Firewall{Addresses: own, Ingress: all, Egress: all}))
		}
		got, err := ask(m, nsForeign, nil, reserved.String()+":7020")
		assert.NilError(t, err)
		assert.Equal(t, got, spec(n).Name+" 10.80.9.10")
	}
	for n := range 2 {
		run(t, m, spec(n).Name, "ip", "addr", "del", reserved.String()+"/24", "dev", "ens3")
	}
	openAll(t, m)
}

func testVolume(t *testing.T, m *Machine) {
	const id, dev = "ocid1.volume.oc1.lab-1.v0", "/dev/oracleoci/oraclevdb"
	ctx := t.Context()
	assert.NilError(t, m.CreateVolume(ctx, id, 2, ""))
	assert.NilError(t, m.AttachVolume(ctx, spec(0).ID, id, dev))
	assert.NilError(t, m.AttachVolume(ctx, spec(0).ID, id, dev))
	out, code := run(t, m, "node-0", "sh", "-c", "set -e; ! blkid -p "+dev+"; mkfs.ext4 -q -L emqx-0 "+dev+"; mkdir -p /mnt/bv; mount "+dev+" /mnt/bv; findmnt -n -o SOURCE /mnt/bv; echo kept >/mnt/bv/file")
	assert.Equal(t, code, 0, out)
	err := m.AttachVolume(ctx, spec(1).ID, id, dev)
	assert.ErrorContains(t, err, "it is attached to instance "+spec(0).ID)
	testBackup(t, m, id)
	// A terminated instance stops its services: Consul's node leaves.
	h1 := spec(1)
	began := time.Now()
	assert.NilError(t, m.TerminateInstance(ctx, h1.ID))
	t.Logf("terminate: %s", time.Since(began))
	out, _ = run(t, m, "servers", "curl", "-s", "http://127.0.0.1:8500/v1/catalog/nodes")
	assert.Assert(t, !strings.Contains(out, h1.Name), out)
	assert.NilError(t, m.LaunchInstance(ctx, h1))
	// A power cut, then the pool's next instance.
	assert.NilError(t, m.KillInstance(spec(0).ID))
	assert.Assert(t, !m.InstanceAlive(spec(0).ID))
	assert.NilError(t, m.TerminateInstance(ctx, spec(0).ID))
	next := cloud.InstanceSpec{ID: "ocid1.instance.oc1.lab-1.next", Name: "node-0", Address: netip.MustParseAddr("10.80.1.110")}
	assert.NilError(t, m.LaunchInstance(ctx, next))
	assert.NilError(t, m.ResizeVolume(ctx, id, 3))
	assert.NilError(t, m.AttachVolume(ctx, next.ID, id, dev))
	out, code = run(t, m, "node-0", "sh", "-c", "set -e; mkdir -p /mnt/bv; mount "+dev+" /mnt/bv; cat /mnt/bv/file; blockdev --getsize64 "+dev)
	assert.Equal(t, code, 0, out)
	assert.Equal(t, out, fmt.Sprintf("kept\n%d\n", 3<<30))
	out, code = run(t, m, "node-0", "umount", "/mnt/bv")
	assert.Equal(t, code, 0, out)
	assert.NilError(t, m.DetachVolume(ctx, next.ID, id))
	_, code = run(t, m, "node-0", "test", "-e", dev)
	assert.Equal(t, code, 1)
	assert.ErrorContains(t, m.ResizeVolume(ctx, id, 1), "cannot shrink")
	// Left attached and mounted, for Down.
	assert.NilError(t, m.AttachVolume(ctx, next.ID, id, dev))
	_, code = run(t, m, "node-0", "mount", dev, "/mnt/bv")
	assert.Equal(t, code, 0)
}

// testBackup copies a volume while a program writes to it, and looks at the copy
// as another volume.
func testBackup(t *testing.T, m *Machine, id string) {
	const backup, copied, dev = "ocid1.volumebackup.oc1.lab-1.b0", "ocid1.volume.oc1.lab-1.copy", "/dev/oracleoci/oraclevdc"
	ctx := t.Context()
	out, code := run(t, m, "node-0", "sh", "-c", "(n=0; while [ -e /mnt/bv/file ]; do n=$((n+1)); echo $n >/mnt/bv/count; done) >/dev/null 2>&1 &")
	assert.Equal(t, code, 0, out)
	began := time.Now()
	assert.NilError(t, m.BackupVolume(ctx, id, backup))
	t.Logf("backup: %s", time.Since(began))
	out, code = run(t, m, "node-0", "timeout", "5", "sh", "-c", "echo changed >/mnt/bv/file; cat /mnt/bv/file")
	assert.Equal(t, code, 0, "the file system is still frozen: %s", out)
	assert.NilError(t, m.CreateVolume(ctx, copied, 3, backup))
	assert.NilError(t, m.ResizeVolume(ctx, copied, 3))
	assert.NilError(t, m.AttachVolume(ctx, spec(0).ID, copied, dev))
	out, code = run(t, m, "node-0", "sh", "-c", "set -e; fsck.ext4 -n -f "+dev+" >&2; mkdir -p /mnt/copy; mount -o ro "+dev+" /mnt/copy; cat /mnt/copy/file; blockdev --getsize64 "+dev+"; umount /mnt/copy; echo kept >/mnt/bv/file")
	assert.Equal(t, code, 0, out)
	assert.Assert(t, strings.HasSuffix(out, fmt.Sprintf("kept\n%d\n", 3<<30)), out)
	assert.NilError(t, m.DetachVolume(ctx, spec(0).ID, copied))
	assert.NilError(t, m.DeleteVolume(ctx, copied))
	assert.NilError(t, m.DeleteBackup(ctx, backup))
	assert.NilError(t, m.DeleteBackup(ctx, backup))
	assert.ErrorContains(t, m.CreateVolume(ctx, copied, 3, backup), "from backup")
}

func testAdopt(t *testing.T, mp **Machine, h *handler) {
	m := *mp
	before := map[string]int{}
	for _, i := range m.Instances() {
		before[i.ID] = i.PID
	}
	assert.Equal(t, len(before), 2)
	assert.NilError(t, m.Close())
	m = newTestMachine(t, h)
	*mp = m
	began := time.Now()
	assert.NilError(t, m.Up(t.Context()))
	t.Logf("second up: %s", time.Since(began))
	for _, i := range m.Instances() {
		assert.Equal(t, before[i.ID], i.PID)
		assert.Assert(t, m.InstanceAlive(i.ID))
	}
	_, code := run(t, m, "node-1", "oci", "x")
	assert.Equal(t, code, 7)
	out, _ := run(t, m, "internet", "getent", "ahostsv4", "mqtt.lab.test")
	assert.Assert(t, cmp.Contains(out, publicAddr.String()))
	assert.NilError(t, m.LaunchInstance(t.Context(), spec(1)))
}

func testDown(t *testing.T, m *Machine) {
	living := labProcesses(t)
	assert.Assert(t, len(living) > 6, "%v", living)
	// A killed Nomad client leaves its log and container helpers behind.
	run(t, m, "node-1", "sh", "-c", "kill -9 $(pidof nomad)")
	began := time.Now()
	assert.NilError(t, m.Down(t.Context()))
	t.Logf("down: %s", time.Since(began))
	for _, p := range living {
		assert.Assert(t, !p.alive(), "process %d lives", p.PID)
	}
	nothingLeft(t)
	assert.NilError(t, m.Down(t.Context()), "a second Down finds nothing to do")
}

// labProcesses finds them by cgroup and namespace, whoever started them.
func labProcesses(t *testing.T) []procID {
	t.Helper()
	var out []procID
	files, err := filepath.Glob("/proc/[0-9]*/cgroup")
	assert.NilError(t, err)
	for _, f := range files {
		raw, err := os.ReadFile(f)
		if err == nil && strings.Contains(string(raw), "/"+testLab+"/") {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(f)))
			assert.NilError(t, err)
			// A dead orphan stays until whoever is init here collects it.
			if p := identify(pid); p.alive() {
				out = append(out, p)
			}
		}
	}
	for _, n := range []string{nsServers, nsGateway, nsForeign, nsInternet} {
		out = append(out, processesIn(testLab+"-"+n)...)
	}
	return out
}

func nothingLeft(t *testing.T) {
	t.Helper()
	assert.Equal(t, len(labProcesses(t)), 0)
	_, err := os.Stat(testDir)
	assert.Assert(t, os.IsNotExist(err))
	left, err := filepath.Glob(netnsDir + "/" + testLab + "-*")
	assert.NilError(t, err)
	assert.Equal(t, len(left), 0, "%v", left)
	assert.Equal(t, len(loopsOf(func(f string) bool { return strings.HasPrefix(f, testDir) })), 0)
	groups, err := hierarchies()
	assert.NilError(t, err)
	for _, g := range groups {
		_, err := os.Stat(filepath.Join(g.Mount, testLab))
		assert.Assert(t, os.IsNotExist(err), g.Mount)
	}
	mounts, err := filepath.Glob("/proc/[0-9]*/mountinfo")
	assert.NilError(t, err)
	for _, f := range mounts {
		raw, err := os.ReadFile(f)
		assert.Assert(t, err != nil || !strings.Contains(string(raw), testDir), f)
	}
}
