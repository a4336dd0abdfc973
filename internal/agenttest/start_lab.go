//go:build lab && linux

package agenttest

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"net/http"
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

// logTail is how much of an agent's output a failed test shows.
const logTail = 6000

// output is a log that several goroutines write.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) tail() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.b.Bytes()
	return string(b[max(0, len(b)-logTail):])
}

// Start runs a program until the test ends, as PID 1 of process and mount
// namespaces of its own: with it, all that it started is killed, and all that it
// mounted is unmounted. A failed test shows the end of its output.
func Start(t testing.TB, name string, args ...string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the lab's tests need root: they make namespaces")
	}
	before := cgroups()
	t.Cleanup(func() { removeCgroups(before) })
	cmd := exec.Command("/bin/sh", append([]string{"-c", `mount -t proc proc /proc && exec "$0" "$@"`, Tool(t, name)}, args...)...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID, Unshareflags: syscall.CLONE_NEWNS}
	// No SIGTERM: an agent in development mode would stop its jobs first, for long.
	run(t, name, cmd, 0)
}

// StartBeside is Start without namespaces, for a test that runs in some already:
// Docker must see what Nomad mounts.
func StartBeside(t testing.TB, name string, args ...string) {
	t.Helper()
	run(t, name, exec.Command(Tool(t, name), args...), 10*time.Second)
}

// run gives the program grace to end after SIGTERM, and kills it then.
func run(t testing.TB, name string, cmd *exec.Cmd, grace time.Duration) {
	t.Helper()
	out := &output{}
	cmd.Stdout, cmd.Stderr, cmd.Env, cmd.Dir = out, out, environ(), t.TempDir()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	// For a test that is killed. The signal comes when the thread ends that started
	// the program; Go's threads last.
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	assert.NilError(t, cmd.Start())
	done := make(chan struct{})
	go func() { _ = cmd.Wait(); close(done) }()
	t.Cleanup(func() {
		if grace > 0 {
			_ = cmd.Process.Signal(syscall.SIGTERM)
		}
		select {
		case <-done:
		case <-time.After(grace):
			_ = cmd.Process.Kill()
			<-done
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", name, out.tail())
		}
	})
}

// environ is the test's environment without what would reach an agent from there.
func environ() []string {
	return slices.DeleteFunc(os.Environ(), func(kv string) bool {
		name, _, _ := strings.Cut(kv, "=")
		// Nomad dies at its start when its AWS client cannot read AWS_CA_BUNDLE.
		return strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "NOMAD_") || strings.HasPrefix(name, "CONSUL_")
	})
}

// cgroups are the control groups of agents that run on the machine itself, as those
// of tests do, parents first.
func cgroups() []string {
	var all []string
	for _, pattern := range []string{"/sys/fs/cgroup/*/nomad", "/sys/fs/cgroup/nomad.slice"} {
		roots, _ := filepath.Glob(pattern)
		for _, root := range roots {
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				if err == nil && d.IsDir() {
					all = append(all, path)
				}
				return nil
			})
		}
	}
	return all
}

// removeCgroups removes those that came since; a killed client leaves them empty.
func removeCgroups(before []string) {
	now := cgroups()
	slices.Reverse(now)
	for _, dir := range now {
		if slices.Contains(before, dir) {
			continue
		}
		// The last process may still be on its way out.
		for range 20 {
			if err := os.Remove(dir); err == nil || !errors.Is(err, syscall.EBUSY) {
				break
			}
			time.Sleep(50 * time.Millisecond)
		}
	}
}

// Await waits until a URL answers with text.
func Await(t testing.TB, url, text string) {
	t.Helper()
	last := "nothing"
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		resp, err := http.Get(url)
		if err != nil {
			last = err.Error()
			continue
		}
		raw, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if last = string(raw); err == nil && strings.Contains(last, text) {
			return
		}
	}
	t.Fatalf("%s does not answer with %s: %s", url, text, last)
}
