//go:build lab

package nomad

import (
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
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/registry"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// Docker's own part: the driver takes every option, logs in to a private registry, EMQX's
// user can read its secrets and write its data, and the limits hold.
func TestEMQXJobInDocker(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	docker := jobtest.Docker(t)
	certificate, key := selfSigned(t, "mqtt.example.com")
	private := privateRegistry(t)
	image := private + "/emqx/emqx:5.8.9"
	jobtest.ImportProbe(t, docker, image, "opt/emqx/bin/emqx", `ENTRYPOINT ["/not-it"]`)
	volume := filepath.Join(jobtest.Dir(), "volume")
	assert.NilError(t, os.Mkdir(volume, 0o700))
	assert.NilError(t, os.Chown(volume, 1000, 1000))
	n, _ := jobtest.Servers(t) // and the loopback device
	run := func(args ...string) string {
		out, err := exec.Command(docker, args...).CombinedOutput()
		assert.NilError(t, err, string(out))
		return strings.TrimSpace(string(out))
	}
	run("--config", dockerLogin(t, private), "push", "--quiet", image)
	_, digest, found := strings.Cut(run("inspect", "--format", "{{index .RepoDigests 0}}", image), "@")
	assert.Assert(t, found)
	run("rmi", image)
	jobtest.PutVariable(t, n, cluster.EMQXJobID("lab"), map[string]string{
		ItemErlangCookie: "abcdefghijklmnop", ItemDashboardPassword: "password", ItemAPIKey: "deploy01", ItemAPISecret: "s3cr3t-s3cr3t",
		ItemTLSCert: certificate, ItemTLSKey: key, ItemTLSCA: certificate,
	})
	v := emqxVars()
	v.Image = image + "@" + digest // as production has it
	v.NodeCount, v.ShutdownDelay, v.MinHealthyTime = 1, time.Second, time.Second
	end := earlierBroker(t, volume)
	a := jobtest.Start(t, n, emqxJob(t, v))
	time.Sleep(8 * time.Second) // min_healthy_time is 1 s
	d, _, err := n.Jobs().LatestDeployment(a.JobID, nil)
	assert.NilError(t, err)
	assert.Equal(t, d.TaskGroups["emqx"].HealthyAllocs, 0, "an earlier broker answers its checks")
	end()
	jobtest.AwaitDeployment(t, n, a)
	for _, text := range []string{
		`"args":["/opt/emqx/bin/emqx","foreground"]`, `"uid":1000`, `"gid":1000`, `"nofile":10000`, `"data":"written"`, `"/secrets/api_keys":23`, fmt.Sprintf(`"/secrets/tls.key":%d`, len(key)+1),
		jobtest.NodeAddress + `\temqx-lab-0.node.dc1.consul\n`,
	} {
		assert.Assert(t, cmp.Contains(jobtest.Output(t, a), text))
	}
	jobtest.Hardened(t, docker, a)
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
	assert.NilError(t, os.WriteFile(filepath.Join(jobtest.Dir(), "registries.json"), raw, 0o600))
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
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(jobtest.NodeAddress, "18083"))
	assert.NilError(t, err)
	go func() {
		_ = http.Serve(l, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	}()
	return func() {
		_ = l.Close()
		_ = lock.Close()
	}
}
