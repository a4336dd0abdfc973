//go:build lab

package nomad

import (
	"archive/tar"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// probe is the program of both images: it says what it finds, passes its health
// checks, and waits. A listener is asked behind a PROXY header of 28 bytes; how EMQX
// answers is in answerCheck.
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
	var files syscall.Rlimit
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files)
	found := map[string]any{"args": os.Args, "uid": os.Getuid(), "gid": os.Getgid(), "nofile": files.Max}
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

// probeImage is an image archive with the probe in the place of both programs.
func probeImage(t *testing.T) []byte {
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
	add("opt/emqx/bin/emqx", raw)
	add("bin/haproxy", raw)
	// What the scripts that run the two need, with its libraries.
	for _, name := range []string{"bash", "sh", "cat", "cp", "date", "dd", "flock", "grep", "head", "mkdir", "od", "rm", "sleep", "timeout"} {
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
	return b.Bytes()
}

// Docker's own part: the driver takes every option, logs in to a private registry, each
// user can read its secrets and write its data, and the limits hold.
func TestJobsInDocker(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	docker := startDocker(t)
	image := probeImage(t)
	private := privateRegistry(t)
	brokerImage := private + "/emqx/emqx:5.8.9"
	for name, change := range map[string]string{
		brokerImage: `ENTRYPOINT ["/not-it"]`, "haproxy:3.2.25": `ENV PATH=/bin`,
	} {
		cmd := exec.Command(docker, "import", "--change", change, "-", name)
		cmd.Stdin = bytes.NewReader(image)
		out, err := cmd.CombinedOutput()
		assert.NilError(t, err, string(out))
	}
	volume := filepath.Join(os.Getenv(namespaceDir), "volume")
	assert.NilError(t, os.Mkdir(volume, 0o700))
	assert.NilError(t, os.Chown(volume, 1000, 1000))
	n, _ := servers(t) // and the loopback device
	for _, args := range [][]string{
		{"--config", dockerLogin(t, private), "push", "--quiet", brokerImage},
		{"rmi", brokerImage},
	} {
		out, err := exec.Command(docker, args...).CombinedOutput()
		assert.NilError(t, err, string(out))
	}
	putVariable(t, n, cluster.EMQXJobID("lab"), map[string]string{
		ItemErlangCookie: "abcdefghijklmnop", ItemDashboardPassword: "password", ItemAPIKey: "deploy01", ItemAPISecret: "s3cr3t-s3cr3t",
		ItemTLSCert: "CERT\n", ItemTLSKey: "KEY\n", ItemTLSCA: "CA\n",
	})
	putVariable(t, n, cluster.HAProxyJobID("lab"), map[string]string{ItemStatsUser: "stats", ItemStatsPassword: "password"})

	e, h := emqxVars(), haproxyVars()
	e.Image = brokerImage
	e.NodeCount, e.ShutdownDelay, e.MinHealthyTime = 1, time.Second, time.Second
	h.NodeCount, h.ShutdownDelay, h.KillTimeout, h.MinHealthyTime = 1, time.Second, 11*time.Second, time.Second
	for _, tc := range []struct {
		job    *api.Job
		wanted []string
	}{
		{emqxJob(t, e), []string{`"args":["/opt/emqx/bin/emqx","foreground"]`, `"uid":1000`, `"gid":1000`, `"nofile":10000`, `"data":"written"`, `"/secrets/api_keys":23`, `"/secrets/tls.key":5`, nodeAddress + `\temqx-lab-0.node.dc1.consul\n`}},
		{haproxyJob(t, h), []string{`"uid":99`, `"gid":99`, `"nofile":10000`, `"args":["haproxy","-W","-db","-f","/tmp/haproxy"]`, `"/tmp/haproxy/haproxy.cfg":`}},
	} {
		end := func() {}
		if *tc.job.ID == cluster.EMQXJobID("lab") {
			end = earlierBroker(t, volume)
		}
		a := runJob(t, n, tc.job)
		if *tc.job.ID == cluster.EMQXJobID("lab") {
			time.Sleep(8 * time.Second) // min_healthy_time is 1 s
			d, _, err := n.Jobs().LatestDeployment(*tc.job.ID, nil)
			assert.NilError(t, err)
			assert.Equal(t, d.TaskGroups["emqx"].HealthyAllocs, 0, "an earlier broker answers its checks")
		}
		end()
		eventually(t, *tc.job.ID+" healthy", 60*time.Second, func() error {
			d, _, err := n.Jobs().LatestDeployment(*tc.job.ID, nil)
			if err == nil && d.Status != "successful" {
				now, _, _ := n.Allocations().Info(a.ID, nil)
				raw, _ := json.Marshal(now.TaskStates)
				err = fmt.Errorf("%s: %s", d.StatusDescription, raw)
			}
			return err
		})
		logs, err := filepath.Glob(filepath.Join(os.Getenv(namespaceDir), "alloc", a.ID, "alloc/logs/*.stdout.0"))
		assert.NilError(t, err)
		assert.Equal(t, len(logs), 1)
		raw, err := os.ReadFile(logs[0])
		assert.NilError(t, err)
		for _, text := range tc.wanted {
			assert.Assert(t, cmp.Contains(string(raw), text))
		}
	}
}

const registryUser, registryPassword = "puller", "t0ken-of-tests"

// privateRegistry refuses whoever does not log in, and returns its address: Docker takes
// one on loopback without TLS.
func privateRegistry(t *testing.T) string {
	t.Helper()
	all := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != registryUser || password != registryPassword {
			w.Header().Set("WWW-Authenticate", `Basic realm="private"`)
			http.Error(w, `{"errors":[{"code":"UNAUTHORIZED"}]}`, http.StatusUnauthorized)
			return
		}
		all.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.Listener.Addr().String()
}

// dockerLogin writes what docker login does, for this test and where Nomad's driver looks
// for it, and returns the folder for docker's own command.
func dockerLogin(t *testing.T, address string) string {
	t.Helper()
	raw, err := json.Marshal(map[string]any{"auths": map[string]any{address: map[string]string{
		"auth": base64.StdEncoding.EncodeToString([]byte(registryUser + ":" + registryPassword)),
	}}})
	assert.NilError(t, err)
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "config.json"), raw, 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(os.Getenv(namespaceDir), "registries.json"), raw, 0o600))
	return dir
}

// earlierBroker is one that Nomad does not know: it has the volume, and answers at the
// node's address until the returned function ends it.
func earlierBroker(t *testing.T, volume string) func() {
	t.Helper()
	lock, err := os.Create(filepath.Join(volume, "broker.lock"))
	assert.NilError(t, err)
	assert.NilError(t, lock.Chown(1000, 1000))
	_, err = fmt.Fprintln(lock, "00000000-1111-2222-3333-444444444444 2026-11-29T00:00:00Z")
	assert.NilError(t, err)
	assert.NilError(t, syscall.Flock(int(lock.Fd()), syscall.LOCK_EX))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(nodeAddress, "18083"))
	assert.NilError(t, err)
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	return func() {
		_ = l.Close()
		_ = lock.Close()
	}
}

// startDocker runs a daemon of the namespace's own and returns the command that
// talks to it.
func startDocker(t *testing.T) string {
	t.Helper()
	command := agenttest.Tool(t, "docker")
	dir := os.Getenv(namespaceDir)
	socket := "unix://" + dir + "/docker.sock"
	t.Setenv("DOCKER_HOST", socket)
	agenttest.StartBeside(t, "dockerd", "--host", socket, "--data-root", dir+"/docker", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--bridge=none", "--iptables=false", "--ip6tables=false", "--storage-driver=vfs", "--log-level=error")
	eventually(t, "Docker", 60*time.Second, func() error {
		out, err := exec.Command(command, "info").CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, out)
		}
		return err
	})
	return strings.TrimSpace(command)
}
