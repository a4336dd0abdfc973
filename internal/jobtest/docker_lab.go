//go:build lab && linux

package jobtest

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// Docker runs a daemon of the namespace's own and returns the command that talks to it.
func Docker(t *testing.T) string {
	t.Helper()
	command := agenttest.Tool(t, "docker")
	dir := Dir()
	socket := "unix://" + dir + "/docker.sock"
	t.Setenv("DOCKER_HOST", socket)
	agenttest.StartBeside(t, "dockerd", "--host", socket, "--data-root", dir+"/docker", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs", "--log-level=error")
	Eventually(t, "Docker", 60*time.Second, func() error {
		out, err := exec.Command(command, "info").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	return strings.TrimSpace(command)
}

// probe is the program of the images: it says what it finds, passes the health checks of
// the broker or of a proxy, and waits. A listener is asked behind a PROXY header of 28
// bytes.
const probe = `package main

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"
)

var answers = map[byte]string{0x10: "\x20\x02\x00\x01", 'G': "HTTP/1.1 101 Switching Protocols\r\n\r\n", 0x16: "\x16\x03\x03\x00\x10\x02"}

func listen(address string) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		panic(err)
	}
	for {
		c, err := l.Accept()
		if err != nil {
			panic(err)
		}
		go func() {
			defer func() { _ = c.Close() }()
			asked := make([]byte, 29)
			if _, err := io.ReadFull(c, asked); err == nil {
				_, _ = io.WriteString(c, answers[asked[28]])
				_ = c.(*net.TCPConn).CloseWrite()
				_, _ = io.Copy(io.Discard, c)
			}
		}()
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-c" { // haproxy tries a file
		return
	}
	var files, core syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	_ = syscall.Getrlimit(syscall.RLIMIT_CORE, &core)
	found := map[string]any{"args": os.Args, "uid": os.Getuid(), "gid": os.Getgid(), "nofile": files.Max, "core": core.Max}
	// As whoever it is: what forbids it is the file system, as the error says.
	for _, folder := range []string{"/", "/bin", "/tmp"} {
		found["in "+folder] = "written"
		if err := os.WriteFile(folder+"/probe", nil, 0o600); err != nil {
			found["in "+folder] = err.(*os.PathError).Err.Error()
		}
	}
	for _, p := range []string{"/tmp/haproxy/haproxy.cfg", "/secrets/api_keys", "/secrets/tls.key"} {
		if raw, err := os.ReadFile(p); err == nil {
			found[p] = len(raw)
		}
	}
	if raw, err := os.ReadFile("/etc/hosts"); err == nil {
		found["hosts"] = string(raw)
	}
	if err := os.WriteFile("/opt/emqx/data/probe", nil, 0o600); err == nil {
		found["data"] = "written"
	}
	_ = json.NewEncoder(os.Stdout).Encode(found)
	address := os.Getenv("NOMAD_ADDR_dashboard")
	if address == "" {
		address = os.Getenv("NOMAD_ADDR_admin")
	} else {
		for _, port := range []string{"mqtt", "mqtts", "ws", "wss"} {
			go listen(os.Getenv("NOMAD_ADDR_" + port))
		}
	}
	panic(http.ListenAndServe(address, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {})))
}
`

// ImportProbe makes an image with that name in which the probe is at path. It says on one
// line of JSON, in the allocation's output ([Output]), which args, user, limits and files it has.
func ImportProbe(t *testing.T, docker, name, path, change string) {
	t.Helper()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "main.go"), []byte(probe), 0o600))
	cmd := exec.Command(agenttest.Tool(t, "go"), "build", "-o", filepath.Join(dir, "probe"), filepath.Join(dir, "main.go"))
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	out, err := cmd.CombinedOutput()
	assert.NilError(t, err, string(out))
	raw, err := os.ReadFile(filepath.Join(dir, "probe"))
	assert.NilError(t, err)
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	made := map[string]bool{".": true}
	var folder func(name string)
	folder = func(name string) { // one that is not listed is root's alone
		if !made[name] {
			folder(filepath.Dir(name))
			made[name] = true
			assert.NilError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755}))
		}
	}
	assert.NilError(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: "tmp/", Mode: 0o1777}))
	add := func(name string, raw []byte) {
		folder(filepath.Dir(name))
		assert.NilError(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o755, Size: int64(len(raw))}))
		_, err = w.Write(raw)
		assert.NilError(t, err)
	}
	add(path, raw)
	// What the scripts that run the jobs need, with its libraries.
	for _, name := range []string{"bash", "sh", "cat", "cp", "date", "dd", "flock", "grep", "head", "mkdir", "mv", "od", "openssl", "rm", "sleep", "timeout", "touch"} {
		program := agenttest.Tool(t, name)
		libraries, err := exec.Command("ldd", program).Output()
		assert.NilError(t, err)
		for _, file := range append(regexp.MustCompile(`/\S+`).FindAllString(string(libraries), -1), program) {
			raw, err := os.ReadFile(file)
			assert.NilError(t, err)
			if file == program {
				file = "/bin/" + name
			}
			if !made[file] {
				made[file] = true
				add(strings.TrimPrefix(file, "/"), raw)
			}
		}
	}
	assert.NilError(t, w.Close())
	load := exec.Command(docker, "import", "--change", change, "-", name)
	load.Stdin = &b
	out, err = load.CombinedOutput()
	assert.NilError(t, err, string(out))
}

// Hardened looks at what Docker has made of the job, and what the probe has found: nothing of the image can be changed,
// no core is left, and neither processes nor logs fill the node.
func Hardened(t *testing.T, docker string, a *api.Allocation) {
	t.Helper()
	said := Output(t, a)
	for _, text := range []string{
		`"core":0`, `"in /":"read-only file system"`, `"in /bin":"read-only file system"`, `"in /tmp":"written"`,
	} {
		assert.Assert(t, strings.Contains(said, text), "%s is not in %s", text, said)
	}
	out, err := exec.Command(docker, "ps", "--quiet", "--filter", "name="+a.ID).Output()
	assert.NilError(t, err)
	out, err = exec.Command(docker, "inspect", "--format", "{{json .HostConfig}}", strings.TrimSpace(string(out))).CombinedOutput()
	assert.NilError(t, err, string(out))
	var host struct {
		ReadonlyRootfs bool
		PidsLimit      int
		LogConfig      struct {
			Type   string
			Config map[string]string
		}
	}
	assert.NilError(t, json.Unmarshal(out, &host))
	assert.Assert(t, host.ReadonlyRootfs)
	assert.Equal(t, host.PidsLimit, 4096)
	assert.Equal(t, host.LogConfig.Type, "json-file")
	assert.DeepEqual(t, host.LogConfig.Config, map[string]string{"max-size": "2m", "max-file": "2"})
	group := a.Job.TaskGroups[0]
	logs := group.Tasks[0].LogConfig
	assert.Assert(t, *logs.MaxFiles**logs.MaxFileSizeMB*2 < *group.EphemeralDisk.SizeMB, "%d files of %d MB of two streams, in %d MB", *logs.MaxFiles, *logs.MaxFileSizeMB, *group.EphemeralDisk.SizeMB)
}

// AwaitDeployment waits until Nomad calls the job's deployment successful.
func AwaitDeployment(t *testing.T, n *api.Client, a *api.Allocation) {
	t.Helper()
	Eventually(t, a.JobID+" healthy", 60*time.Second, func() error {
		d, _, err := n.Jobs().LatestDeployment(a.JobID, nil)
		if err == nil && d.Status != "successful" {
			now, _, _ := n.Allocations().Info(a.ID, nil)
			raw, _ := json.Marshal(now.TaskStates)
			err = fmt.Errorf("%s: %s", d.StatusDescription, raw)
		}
		return err
	})
}

// Output is what the allocation's only task has printed.
func Output(t *testing.T, a *api.Allocation) string {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(Dir(), "alloc", a.ID, "alloc/logs/*.stdout.0"))
	assert.NilError(t, err)
	assert.Equal(t, len(logs), 1)
	raw, err := os.ReadFile(logs[0])
	assert.NilError(t, err)
	return string(raw)
}
