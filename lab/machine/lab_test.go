//go:build lab

package machine

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/images"
)

const (
	testLab  = "mtst"
	testDir  = "/var/lib/emqx-oci-mtst"
	testDoor = "127.0.78.1"
)

// handler plays the cloud: user data for all, and an oci command that echoes.
type handler struct {
	mu       sync.Mutex
	userData map[string]string
}

func (h *handler) Metadata(id, path string) ([]byte, string, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch path {
	case "/opc/v2/instance/metadata/user_data":
		d, ok := h.userData[id]
		return []byte(base64.StdEncoding.EncodeToString([]byte(d))), "text/plain", ok
	case "/opc/v2/instance/":
		return fmt.Appendf(nil, `{"id":%q}`, id), "application/json", true
	}
	return nil, "", false
}

func (h *handler) CLI(_ context.Context, caller string, args []string) (stdout, stderr []byte, exit int) {
	return fmt.Appendf(nil, `{"data":{"caller":%q,"args":%q}}`+"\n", caller, strings.Join(args, " ")), []byte("asked\n"), 7
}

func (h *handler) set(id, script string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.userData[id] = script
}

func repo(t *testing.T, elem ...string) string {
	t.Helper()
	p, err := filepath.Abs(filepath.Join(append([]string{"..", ".."}, elem...)...))
	assert.NilError(t, err)
	return p
}

func newTestMachine(t *testing.T, h InstanceHandler) *Machine {
	t.Helper()
	m, err := New(Config{
		Name: testLab, Dir: testDir, Door: netip.MustParseAddr(testDoor), Handler: h,
		GuestBinary: guestBinary, ConsulBinary: repo(t, ".tools/bin/consul"), NomadBinary: repo(t, ".tools/bin/nomad"),
		Images: []Image{{Ref: "localhost:1/haproxy:3.0.0", Build: func() (v1.Image, error) { return images.HAProxy() }}},
		Log:    t.Logf,
	})
	assert.NilError(t, err)
	return m
}

var guestBinary string

func TestMain(m *testing.M) {
	// A helper begins at once with what it is killed in.
	if guestBinary = os.Getenv(helperEnv); guestBinary != "" {
		os.Exit(m.Run())
	}
	dir, err := os.MkdirTemp("", "guest")
	if err != nil {
		panic(err)
	}
	guestBinary = filepath.Join(dir, "lab-guest")
	cmd := exec.Command("go", "build", "-o", guestBinary, "../guest/cmd/lab-guest")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		panic(fmt.Sprintf("%v: %s", err, out))
	}
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

// nodeScript is a boot script in small: what the real one does, as far as this
// package has to carry it.
const nodeScript = `#!/bin/bash
set -eux
address=$(ip -4 -o addr show ens3 | awk '{print $4}' | cut -d/ -f1)
cat >/etc/consul.d/x.json <<X
{"node_name":"$(hostname)","data_dir":"/opt/consul","bind_addr":"$address","retry_join":["10.80.2.10"]}
X
cat >/etc/nomad.d/x.json <<X
{"name":"$(hostname)","data_dir":"/opt/nomad/data","bind_addr":"$address","client":{"enabled":true,"servers":["10.80.2.10:4647"]}}
X
mkdir -p /etc/systemd/system/nomad.service.d
printf '[Service]\nLimitNOFILE=1048576\n' >/etc/systemd/system/nomad.service.d/emqx.conf
systemctl daemon-reload
systemctl enable --now docker
systemctl enable --now consul
systemctl enable --now nomad
sysctl -w fs.file-max=2097152 net.ipv4.ip_local_reserved_ports=1883
touch /var/lib/done
`

func spec(n int) cloud.InstanceSpec {
	return cloud.InstanceSpec{
		ID:   fmt.Sprintf("ocid1.instance.oc1.lab-1.n%d", n),
		Name: fmt.Sprintf("node-%d", n), Address: netip.AddrFrom4([4]byte{10, 80, 1, byte(100 + n)}),
	}
}

func run(t *testing.T, m *Machine, where string, argv ...string) (string, int) {
	t.Helper()
	var out bytes.Buffer
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	code, err := m.Exec(ctx, where, argv, Stdio{Out: &out, Err: &out})
	assert.NilError(t, err)
	return out.String(), code
}

func eventually(t *testing.T, limit time.Duration, what string, f func() (bool, string)) {
	t.Helper()
	last := ""
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ok, seen := f()
		if ok {
			return
		}
		last = seen
	}
	t.Fatalf("%s: not within %s; last: %s", what, limit, last)
}
