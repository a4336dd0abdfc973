//go:build lab

package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

const nobody = 65534

// strangers: a lab is root on this machine, to whoever may tell it to do something.
// So a process of another user gets nothing out of any socket that a process of the
// lab listens on in this machine's own network, and nothing out of its folder.
func strangers(t *testing.T, b *bed) {
	sockets := b.listening(t)
	var others []string
	for _, s := range sockets {
		if !strings.HasPrefix(s, b.door+":") {
			others = append(others, s)
		}
	}
	for _, port := range append([]int{4646, 8500, 1080}, protocols...) {
		assert.Assert(t, slices.Contains(sockets, fmt.Sprintf("%s:%d", b.door, port)), "the look-out does not see port %d: %v", port, sockets)
	}
	assert.Equal(t, len(others), 4, "the providers, the cloud's API, and nothing else: %v", others)
	var wg sync.WaitGroup
	for _, s := range sockets {
		wg.Go(func() {
			heard := false
			for kind, probe := range probes(t) {
				heard = heard || len(say(t, 0, s, probe)) > 0
				if got := say(t, nobody, s, probe); got != "" && !strings.HasPrefix(got, "HTTP/1.1 403 ") {
					t.Errorf("%s answers to nobody's %s: %q", s, kind, got)
				}
			}
			if !heard {
				t.Errorf("%s answers to nothing, not even root's", s)
			}
		})
	}
	wg.Wait()
	log, err := os.ReadFile(filepath.Join(b.dir, "daemon.log"))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(log), "it is of user 65534, and only user 0 may come in"), "%s", log)

	answered := 0
	assert.NilError(t, filepath.WalkDir(b.dir, func(path string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && d.Name() == "disk": // what Docker and the agents keep
			return filepath.SkipDir
		case d.Type()&fs.ModeSocket != 0:
			ask := []string{"curl", "--silent", "--max-time", "5", "--unix-socket", path, "http://lab/status"}
			_, err := asUser(t, 0, nil, ask...)
			assert.NilError(t, err, "%s", path)
			_, err = asUser(t, nobody, nil, ask...)
			assert.Assert(t, err != nil, "nobody is answered by %s", path)
			answered++
		}
		return nil
	}))
	assert.Assert(t, answered >= 4, "the daemon's and each instance's, got %d", answered)

	// Root of an instance is root: what it leaves behind must not lend that to others.
	b.on(t, 0, "cp /usr/bin/id /var/log/lend && chmod 4755 /var/log/lend")
	var left string
	for _, g := range status(t, b).Guests {
		if g.Name == "emqx-lab-0" {
			left = filepath.Join(g.Logs, "lend")
		}
	}
	said, err := asUser(t, 0, nil, left)
	assert.NilError(t, err, "%s", said)
	_, err = asUser(t, nobody, nil, left)
	assert.ErrorIs(t, err, fs.ErrPermission)
	said, err = asUser(t, nobody, nil, "ls", b.dir)
	assert.Assert(t, err != nil && strings.Contains(said, "Permission denied"), "%s", said)
	b.on(t, 0, "rm /var/log/lend")
}

// listening are the addresses at which processes of the lab listen in this
// machine's network. Those in namespaces of the lab nobody reaches from here.
func (b *bed) listening(t *testing.T) []string {
	t.Helper()
	at := map[string]string{} // by the socket's inode
	for _, file := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		text, err := os.ReadFile(file)
		assert.NilError(t, err)
		for line := range strings.Lines(string(text)) {
			const listens = "0A"
			if f := strings.Fields(line); len(f) > 9 && f[3] == listens {
				at["socket:["+f[9]+"]"] = address(t, f[1])
			}
		}
	}
	inLab := labNamespaces(t)
	var found []string
	for pid, in := range processes(t) {
		environ, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid)) // it may have ended
		if !inLab[in[0]] && !inLab[in[1]] && !bytes.Contains(environ, []byte(b.dir)) {
			continue
		}
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", pid))
		for _, file := range files {
			link, _ := os.Readlink(file)
			if a := at[link]; a != "" && !slices.Contains(found, a) {
				found = append(found, a)
			}
		}
	}
	slices.Sort(found)
	return found
}

// address reads the kernel's notation: 014D007F:1226.
func address(t *testing.T, text string) string {
	t.Helper()
	host, port, _ := strings.Cut(text, ":")
	if len(host) != 8 {
		return "[" + host + "]:" + port // in version 6: no socket of the lab
	}
	var ip [4]byte
	var number int
	_, err := fmt.Sscanf(host+" "+port, "%02X%02X%02X%02X %04X", &ip[3], &ip[2], &ip[1], &ip[0], &number)
	assert.NilError(t, err)
	return fmt.Sprintf("%s:%d", net.IP(ip[:]), number)
}

// probes are the first words of the protocols that the lab speaks.
func probes(t *testing.T) map[string]string {
	t.Helper()
	here, there := net.Pipe()
	defer there.Close()
	go func() { _ = tls.Client(here, &tls.Config{InsecureSkipVerify: true}).Handshake() }()
	hello := make([]byte, 16<<10)
	n, err := there.Read(hello)
	assert.NilError(t, err)
	return map[string]string{
		"HTTP":  "GET / HTTP/1.0\r\n\r\n",
		"gRPC":  "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00",
		"MQTT":  "\x10\x0d\x00\x04MQTT\x04\x02\x00\x3c\x00\x01x",
		"SOCKS": "\x05\x01\x00",
		"TLS":   string(hello[:n]),
	}
}

// say has a process of a user say something to an address, and returns the answer.
func say(t *testing.T, uid uint32, to, text string) string {
	t.Helper()
	host, port, _ := net.SplitHostPort(to)
	said, _ := asUser(t, uid, []byte(text), "/bin/bash", "-c", `exec 3<>"/dev/tcp/$0/$1" && cat >&3 && timeout 2 cat <&3`, host, port)
	// What bash says of a connection that was closed under its hands is no answer.
	if strings.HasPrefix(said, host+":") || strings.Contains(said, "Connection reset") || strings.Contains(said, "Broken pipe") {
		return ""
	}
	return said[:min(64, len(said))]
}

func asUser(t *testing.T, uid uint32, stdin []byte, command ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Stdin, cmd.Dir = bytes.NewReader(stdin), "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	out, err := cmd.CombinedOutput()
	return string(out), err
}
