//go:build lab

// Package agents starts real Nomad and Consul agents for tests, on free loopback
// ports, and ends them.
package agents

import (
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// Tool finds a program among the repository's own tools or on PATH. A missing one
// fails the test: a skip would look like a pass.
func Tool(t *testing.T, name string) string {
	t.Helper()
	_, here, _, _ := runtime.Caller(0)
	own := filepath.Join(filepath.Dir(here), "..", "..", "..", "..", ".tools", "bin", name)
	if _, err := os.Stat(own); err == nil {
		return own
	}
	path, err := exec.LookPath(name)
	assert.NilError(t, err, "%s is needed: make tools", name)
	return path
}

// Environ is the test's environment without what disturbs the agents: a Nomad
// client dies at its start when AWS_CA_BUNDLE is set.
func Environ(extra ...string) []string {
	var out []string
	for _, kv := range os.Environ() {
		name, _, _ := strings.Cut(kv, "=")
		if name != "AWS_CA_BUNDLE" && !strings.HasPrefix(name, "NOMAD_") && !strings.HasPrefix(name, "CONSUL_") {
			out = append(out, kv)
		}
	}
	return append(out, extra...)
}

// Port is a port that is free on loopback now.
func Port(t *testing.T) int {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer l.Close() //nolint:errcheck // it was only asked for its number
	return l.Addr().(*net.TCPAddr).Port
}

// Consul starts an agent in dev mode and returns its URL.
func Consul(t *testing.T) string {
	t.Helper()
	port := Port(t)
	start(t, "consul", "agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1",
		fmt.Sprintf("-http-port=%d", port), fmt.Sprintf("-server-port=%d", Port(t)), fmt.Sprintf("-serf-lan-port=%d", Port(t)),
		"-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1", "-log-level=warn", "-disable-host-node-id")
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	answer(t, url+"/v1/catalog/nodes", "127.0.0.1")
	return url
}

// Nomad starts an agent in dev mode and returns its URL.
func Nomad(t *testing.T) string {
	t.Helper()
	port := Port(t)
	dir := t.TempDir()
	config := fmt.Sprintf(`
bind_addr = "127.0.0.1"
ports { 
  http = %d 
  rpc  = %d 
  serf = %d 
}
consul { 
  address = "127.0.0.1:1" 
}
client {
  options = { "fingerprint.denylist" = "env_aws,env_azure,env_digitalocean,env_gce,consul" }
}
plugin "raw_exec" {
  config { 
    enabled = true 
  }
}
`, port, Port(t), Port(t))
	file := filepath.Join(dir, "nomad.hcl")
	assert.NilError(t, os.WriteFile(file, []byte(config), 0o600))
	start(t, "nomad", "agent", "-dev", "-config="+file, "-log-level=WARN")
	url := fmt.Sprintf("http://127.0.0.1:%d", port)
	answer(t, url+"/v1/nodes", `"Status":"ready"`)
	return url
}

type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

func start(t *testing.T, tool string, args ...string) {
	t.Helper()
	cmd := exec.Command(Tool(t, tool), args...) //nolint:gosec,noctx // the test chooses, and ends it below
	cmd.Env = Environ()
	cmd.Dir = t.TempDir()
	var out lines
	cmd.Stdout, cmd.Stderr = &out, &out
	// A group of its own: the executors of a Nomad client go with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	assert.NilError(t, cmd.Start())
	done := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGINT)
		select {
		case <-done:
		case <-time.After(5 * time.Second):
		}
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		<-done
		if t.Failed() {
			t.Logf("%s said:\n%s", tool, out.String())
		}
	})
}

func answer(t *testing.T, url, want string) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	last := ""
	for time.Now().Before(deadline) {
		resp, err := http.Get(url) //nolint:noctx,gosec // loopback, polled for a minute at most
		if err == nil {
			var b bytes.Buffer
			_, _ = b.ReadFrom(resp.Body)
			_ = resp.Body.Close()
			if last = b.String(); strings.Contains(last, want) {
				return
			}
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Fatalf("%s does not answer with %s: %s", url, want, last)
}
