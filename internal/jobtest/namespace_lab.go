//go:build lab && linux

package jobtest

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// NodeAddress is that of the node emqx-lab-0, which runs everything.
const NodeAddress = "10.80.1.11"

// namespaceDir is the variable with Nomad's folder. Nomad leaves mounts there,
// which end with the namespace.
const namespaceDir = "FILES_LAB_DIR"

// Dir is Nomad's folder.
func Dir() string { return os.Getenv(namespaceDir) }

// InNamespace runs the test again in network, mount and process namespaces of its
// own, so that nothing it starts outlives it, and is true there.
func InNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceDir) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Fatal("the lab's tests need root: they make network namespaces")
	}
	self, err := os.Executable()
	assert.NilError(t, err)
	cmd := exec.Command("unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	// Short: HAProxy has a socket below it, and a socket's path has 97 characters.
	dir, err := os.MkdirTemp("/tmp", "n")
	assert.NilError(t, err)
	defer os.RemoveAll(dir)
	cmd.Env = append(os.Environ(), namespaceDir+"="+dir)
	out, err := cmd.CombinedOutput()
	t.Log(string(out))
	// Nomad leaves its allocations' control groups behind; without a process
	// in it, such a directory can be removed.
	allocs, _ := filepath.Glob(filepath.Join(dir, "alloc", "*"))
	for _, a := range allocs {
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/nomad/" + filepath.Base(a) + ".*")
		for _, g := range groups {
			_ = os.Remove(g)
		}
	}
	if err != nil {
		t.Fatal("failed in its namespace: ", err)
	}
	return false
}

// Eventually repeats ask until it returns nil.
func Eventually(t *testing.T, what string, limit time.Duration, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, limit, err)
}

// Servers starts Consul and Nomad in the test's network, which has the other addresses,
// too. Nomad keeps the volume of allocation 0 in the folder volume of [Dir]; Docker may
// be there already ([Docker]), and pulls with the logins in registries.json of [Dir].
func Servers(t *testing.T, others ...string) (*api.Client, *consul.Client) {
	t.Helper()
	commands := [][]string{{"link", "set", "lo", "up"}}
	for _, address := range append([]string{NodeAddress}, others...) {
		commands = append(commands, []string{"addr", "add", address + "/24", "dev", "lo"})
	}
	for _, args := range commands {
		out, err := exec.Command("ip", args...).CombinedOutput()
		assert.NilError(t, err, string(out))
	}
	agenttest.StartBeside(t, "consul", "agent", "-dev", "-log-level=warn", "-node=emqx-lab-0", "-bind="+NodeAddress, "-datacenter=dc1")
	c, err := consul.NewClient(consul.DefaultConfig())
	assert.NilError(t, err)
	Eventually(t, "Consul", 30*time.Second, func() error {
		leader, err := c.Status().Leader()
		if err == nil && leader == "" {
			err = errors.New("no leader")
		}
		return err
	})
	dir := Dir()
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(dir, "alloc/*/alloc/logs/*.std*.0"))
		for _, log := range logs {
			raw, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", filepath.Base(log), raw)
		}
	})
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "volume"), 0o700))
	config := filepath.Join(dir, "nomad.json")
	raw, err := json.Marshal(map[string]any{
		"name": "emqx-lab-0", "data_dir": dir, "bind_addr": NodeAddress,
		"addresses": map[string]any{"http": "127.0.0.1"}, "advertise": map[string]any{"http": NodeAddress},
		"server": map[string]any{"enabled": true, "bootstrap_expect": 1},
		"client": map[string]any{
			"enabled": true, "network_interface": "lo", "max_kill_timeout": "200s",
			"host_network": map[string]any{"emqx": map[string]any{"cidr": NodeAddress + "/32"}},
			"host_volume":  map[string]any{"emqx[0]": map[string]any{"path": filepath.Join(dir, "volume"), "read_only": false}},
			"meta":         map[string]any{"pool_type": "emqx", "emqx_cluster": "lab"},
			"options":      map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean", "driver.allowlist": "raw_exec,docker"},
			// Below what a namespace may choose for outgoing connections.
			"min_dynamic_port": 21000, "max_dynamic_port": 21799,
		},
		"plugin": []any{
			map[string]any{"raw_exec": []any{map[string]any{"config": []any{map[string]any{"enabled": true}}}}},
			map[string]any{"docker": []any{map[string]any{"config": []any{map[string]any{
				"endpoint": os.Getenv("DOCKER_HOST"), "auth": []any{map[string]any{"config": filepath.Join(dir, "registries.json")}},
			}}}}},
		},
		"log_level": "WARN", "disable_update_check": true,
	})
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(config, raw, 0o600))
	agenttest.StartBeside(t, "nomad", "agent", "-config", config)
	n, err := api.NewClient(api.DefaultConfig())
	assert.NilError(t, err)
	Eventually(t, "Nomad", 60*time.Second, func() error {
		nodes, _, err := n.Nodes().List(nil)
		if err == nil && (len(nodes) != 1 || nodes[0].Status != "ready" || !nodes[0].Drivers["raw_exec"].Healthy) {
			err = fmt.Errorf("nodes: %+v", nodes)
		}
		return err
	})
	return n, c
}

// PutVariable writes the Nomad variable of a job.
func PutVariable(t *testing.T, n *api.Client, job string, items map[string]string) {
	t.Helper()
	Eventually(t, "the keyring", 30*time.Second, func() error {
		_, _, err := n.Variables().Create(&api.Variable{Path: "nomad/jobs/" + job, Items: items}, nil)
		return err
	})
}

// StartWithoutDocker runs the job's only allocation by driver raw_exec: no image is
// needed to see what Nomad renders and what a program does with it.
func StartWithoutDocker(t *testing.T, n *api.Client, job *api.Job, command string, args ...string) *api.Allocation {
	t.Helper()
	g := job.TaskGroups[0]
	task := g.Tasks[0]
	task.Driver, task.Config = "raw_exec", map[string]any{"command": command, "args": args}
	task.User, task.VolumeMounts, g.Volumes = "", nil, nil
	return Start(t, n, job)
}

// Start runs the job until its only task runs, and stops it at the test's end.
func Start(t *testing.T, n *api.Client, job *api.Job) *api.Allocation {
	t.Helper()
	task := job.TaskGroups[0].Tasks[0]
	_, _, err := n.Jobs().Register(job, nil)
	assert.NilError(t, err)
	var id, seen string
	t.Cleanup(func() {
		if _, _, err := n.Jobs().Deregister(*job.ID, false, nil); err != nil {
			t.Error(err)
		}
		Eventually(t, "the end of "+*job.ID, 60*time.Second, func() error {
			a, _, err := n.Allocations().Info(id, nil)
			if err == nil && a.ClientStatus == "running" {
				err = errors.New("still running")
			}
			return err
		})
	})
	Eventually(t, *job.ID, 60*time.Second, func() error {
		allocs, _, err := n.Jobs().Allocations(*job.ID, true, nil)
		if err != nil || len(allocs) == 0 {
			evals, _, _ := n.Jobs().Evaluations(*job.ID, nil)
			for _, e := range evals {
				seen += fmt.Sprintf("%+v", e.FailedTGAllocs)
			}
			return fmt.Errorf("no allocation: %w %s", err, seen)
		}
		id = allocs[0].ID
		if s := allocs[0].TaskStates[task.Name]; s == nil || s.State != "running" {
			raw, _ := json.Marshal(s)
			return fmt.Errorf("task: %s", raw)
		}
		return nil
	})
	a, _, err := n.Allocations().Info(id, nil)
	assert.NilError(t, err)
	return a
}
