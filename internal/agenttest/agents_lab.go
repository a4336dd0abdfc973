//go:build lab && linux

package agenttest

import (
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"
)

// Ports are free on loopback now.
func Ports(t testing.TB, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		assert.NilError(t, err)
		defer l.Close() // after the last one, so that no two are the same
		ports[i] = l.Addr().(*net.TCPAddr).Port
	}
	return ports
}

// Consul starts an agent in development mode on a port of loopback, with more flags
// where given. It may not answer yet.
func Consul(t testing.TB, port int, flags ...string) {
	t.Helper()
	p := Ports(t, 2)
	Start(t, "consul", append([]string{
		"agent", "-dev", "-bind=127.0.0.1", "-client=127.0.0.1", "-node=srv", "-disable-host-node-id", "-log-level=warn",
		fmt.Sprintf("-http-port=%d", port), fmt.Sprintf("-server-port=%d", p[0]), fmt.Sprintf("-serf-lan-port=%d", p[1]),
		"-serf-wan-port=-1", "-dns-port=-1", "-grpc-port=-1", "-grpc-tls-port=-1",
	}, flags...)...)
}

// Nomad starts an agent in development mode, with driver raw_exec, and returns its
// URL. It may not answer yet. The settings are added to its client's.
func Nomad(t testing.TB, name string, client map[string]any) string {
	t.Helper()
	p := Ports(t, 3)
	dir := t.TempDir()
	settings := map[string]any{
		"enabled": true, // without a plain value beside its objects, Nomad misreads the block
		"options": map[string]string{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean,consul"},
	}
	maps.Copy(settings, client)
	raw, err := json.Marshal(map[string]any{
		"name": name, "bind_addr": "127.0.0.1", "data_dir": filepath.Join(dir, "data"),
		"ports":  map[string]int{"http": p[0], "rpc": p[1], "serf": p[2]},
		"consul": map[string]string{"address": "127.0.0.1:1"},
		"client": settings,
		"plugin": map[string]any{"raw_exec": map[string]any{"config": map[string]any{"enabled": true}}},
	})
	assert.NilError(t, err)
	file := filepath.Join(dir, "nomad.json")
	assert.NilError(t, os.WriteFile(file, raw, 0o600))
	Start(t, "nomad", "agent", "-dev", "-log-level=WARN", "-config="+file)
	return fmt.Sprintf("http://127.0.0.1:%d", p[0])
}
