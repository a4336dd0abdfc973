//go:build lab

package e2e

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// syncBuffer collects what a running command prints.
type syncBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *syncBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *syncBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// summaryLine is the last line of `--json`.
type summaryLine struct {
	Event   string         `json:"event"`
	Result  string         `json:"result"`
	Changes map[string]int `json:"changes"`
}

// Changed counts the resources that were, or would be, touched.
func (s summaryLine) Changed() int {
	n := 0
	for op, count := range s.Changes {
		if op != "same" && op != "read" && op != "refresh" {
			n += count
		}
	}
	return n
}

func summary(t *testing.T, r result) summaryLine {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(r.stdout), "\n")
	var s summaryLine
	assert.NilError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &s), "%s", r)
	assert.Equal(t, s.Event, "summary", "%s", r)
	return s
}

func status(t *testing.T, b *bed) lab.Status {
	t.Helper()
	r := b.must(t, "lab", "status", "--json")
	var s lab.Status
	assert.NilError(t, json.Unmarshal([]byte(r.stdout), &s), "%s", r)
	return s
}

func instanceNamed(t *testing.T, b *bed, name string) cloud.InstanceStatus {
	t.Helper()
	for _, i := range status(t, b).Cloud.Instances {
		if i.Name == name && i.State != "TERMINATED" && i.State != "TERMINATING" {
			return i
		}
	}
	return cloud.InstanceStatus{}
}

// cutPower ends an instance's first process, and with it all there is in it.
func cutPower(t *testing.T, b *bed, id string) {
	t.Helper()
	for _, g := range status(t, b).Guests {
		if g.ID == id {
			assert.NilError(t, syscall.Kill(g.PID, syscall.SIGKILL))
			return
		}
	}
	t.Fatalf("no instance %s on this machine", id)
}

// closedPorts scans as an attacker would. A port that answers a peer and not the
// attacker is closed by the security groups, and not because nobody listens.
func closedPorts(t *testing.T, b *bed) {
	s := status(t, b)
	assert.Equal(t, len(s.Cloud.Balancers), 1)
	balancer := netip.MustParseAddr(s.Cloud.Balancers[0].Public)
	var nodes []netip.Addr
	for _, i := range s.Cloud.Instances {
		nodes = append(nodes, netip.MustParseAddr(i.Address))
		for _, r := range i.Reserved {
			nodes = append(nodes, netip.MustParseAddr(r))
		}
	}
	assert.Equal(t, len(nodes), 6)

	all := make([]int, 65535)
	for i := range all {
		all[i] = i + 1
	}
	inner := []int{4370, 5370, 18083}
	own := make([]int, 1000) // the range of the brokers' own listeners
	for i := range own {
		own[i] = 21000 + i
	}

	t.Run("from the internet", func(t *testing.T) {
		assert.DeepEqual(t, openPorts(t, "inet", balancer, all), protocols)
		for _, n := range nodes {
			assert.DeepEqual(t, openPorts(t, "inet", n, slices.Concat(protocols, inner, []int{8080, 22, 4646, 8500, 8301}, own)), []int(nil))
		}
	})
	t.Run("from a foreign subnet", func(t *testing.T) {
		for _, n := range nodes {
			assert.DeepEqual(t, openPorts(t, "foreign", n, all), []int(nil))
		}
	})
	t.Run("from a peer", func(t *testing.T) {
		from := instanceNamed(t, b, "emqx-lab-1")
		to := netip.MustParseAddr(instanceNamed(t, b, "emqx-lab-0").Reserved[0])
		ns := namespaceOf(t, b, from.ID)
		assert.DeepEqual(t, openPorts(t, ns, to, inner), inner)
		assert.Equal(t, len(openPorts(t, ns, to, own)), 4, "one listener of the broker for each protocol")
	})
	t.Run("from the balancer", func(t *testing.T) {
		for _, set := range s.Cloud.Balancers[0].Sets {
			for _, be := range set.Backends {
				assert.Equal(t, be.Health, "OK", "%s %s", set.Name, be.Name)
			}
		}
	})
}

// namespaceOf names an instance's network namespace, after "<lab>-".
func namespaceOf(t *testing.T, b *bed, id string) string {
	t.Helper()
	for _, g := range status(t, b).Guests {
		if g.ID == id {
			return filepath.Base(filepath.Dir(g.Logs))
		}
	}
	t.Fatalf("no instance %s on this machine", id)
	return ""
}

// openPorts tells which of the ports accept a connection from a namespace of the lab.
func openPorts(t *testing.T, ns string, to netip.Addr, ports []int) []int {
	t.Helper()
	var open []int
	done := make(chan error, 1)
	go func() {
		done <- func() error {
			runtime.LockOSThread()
			// The first thread of a process lives on when its goroutine ends, and would
			// make this whole process look like one of the lab's.
			home, err := netns.Get()
			if err != nil {
				return fmt.Errorf("finding this process's namespace: %w", err)
			}
			defer home.Close()
			defer func() {
				if netns.Set(home) == nil {
					runtime.UnlockOSThread()
				}
			}()
			h, err := netns.GetFromName(bedOf(t).labName + "-" + ns)
			if err != nil {
				return fmt.Errorf("opening namespace %s: %w", ns, err)
			}
			defer h.Close()
			if err := netns.Set(h); err != nil {
				return fmt.Errorf("entering namespace %s: %w", ns, err)
			}
			for batch := range slices.Chunk(ports, 8000) {
				found, err := connectAll(to, batch)
				if err != nil {
					return err
				}
				open = append(open, found...)
			}
			return nil
		}()
	}()
	assert.NilError(t, <-done)
	return open
}

// connectAll opens connections to all ports at once and returns those that succeed within half a second.
func connectAll(to netip.Addr, ports []int) ([]int, error) {
	fds := make([]unix.PollFd, len(ports))
	defer func() {
		for _, fd := range fds {
			if fd.Fd > 0 {
				unix.Close(int(fd.Fd))
			}
		}
	}()
	for i, port := range ports {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("opening a socket: %w", err)
		}
		fds[i] = unix.PollFd{Fd: int32(fd), Events: unix.POLLOUT}
		// Refused at once or under way: poll tells.
		_ = unix.Connect(fd, &unix.SockaddrInet4{Port: port, Addr: to.As4()})
	}
	time.Sleep(500 * time.Millisecond)
	for {
		_, err := unix.Poll(fds, 0)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EINTR) { // which the runtime's own signals cause
			return nil, fmt.Errorf("waiting for connections: %w", err)
		}
	}
	var open []int
	for i, fd := range fds {
		if fd.Revents&unix.POLLOUT == 0 {
			continue
		}
		if code, err := unix.GetsockoptInt(int(fd.Fd), unix.SOL_SOCKET, unix.SO_ERROR); err == nil && code == 0 {
			open = append(open, ports[i])
		}
	}
	return open, nil
}

// things that a lab makes, by kind.
type things struct{ Namespaces, Mounts, Loops, Programs []string }

// inventory lists what stands on the machine of this lab, and of it alone: others
// may work beside it. Programs are those in the given namespaces.
func inventory(t *testing.T, namespaces map[string]bool) things {
	t.Helper()
	var out things
	for _, path := range namespaceFiles(t) {
		out.Namespaces = append(out.Namespaces, filepath.Base(path))
	}
	f, err := os.Open("/proc/self/mountinfo")
	assert.NilError(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if strings.Contains(lines.Text(), bedOf(t).labName) {
			out.Mounts = append(out.Mounts, lines.Text())
		}
	}
	loops, err := exec.Command("losetup", "--noheadings", "--output", "NAME,BACK-FILE").Output()
	assert.NilError(t, err)
	for line := range strings.Lines(string(loops)) {
		if strings.Contains(line, bedOf(t).labName) {
			out.Loops = append(out.Loops, strings.TrimSpace(line))
		}
	}
	for pid, in := range processes(t) {
		if namespaces[in[0]] || namespaces[in[1]] {
			name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
			out.Programs = append(out.Programs, strings.TrimSpace(string(name)))
		}
	}
	return out
}

func namespaceFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("/run/netns/" + bedOf(t).labName + "-*")
	assert.NilError(t, err)
	return files
}

// labNamespaces are the network namespaces of the lab that runs, and the process
// namespaces of what lives in them.
func labNamespaces(t *testing.T) map[string]bool {
	t.Helper()
	out := map[string]bool{}
	for _, path := range namespaceFiles(t) {
		var st unix.Stat_t
		assert.NilError(t, unix.Stat(path, &st))
		out[fmt.Sprintf("net:[%d]", st.Ino)] = true
	}
	ours, err := os.Readlink("/proc/self/ns/pid")
	assert.NilError(t, err)
	for _, in := range processes(t) {
		if out[in[0]] && in[1] != ours {
			out[in[1]] = true
		}
	}
	return out
}

// processes maps each living process to its network and process namespace.
func processes(t *testing.T) map[int][2]string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*")
	assert.NilError(t, err)
	out := map[int][2]string{}
	for _, dir := range dirs {
		net, errNet := os.Readlink(dir + "/ns/net")
		pid, errPID := os.Readlink(dir + "/ns/pid")
		if number, err := strconv.Atoi(filepath.Base(dir)); err == nil && errNet == nil && errPID == nil {
			out[number] = [2]string{net, pid} // a zombie has none
		}
	}
	return out
}
