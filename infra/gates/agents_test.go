//go:build lab

package gates

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates/gateline"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// startNomad runs a server and client in one, which is node 0 of stack lab.
func startNomad(t *testing.T) string {
	t.Helper()
	page := httptest.NewServer(http.HandlerFunc(aloneMember))
	t.Cleanup(page.Close)
	key := filepath.Join(t.TempDir(), "api_keys")
	assert.NilError(t, os.WriteFile(key, []byte("key:secret\n"), 0o600))
	memberEnv = map[string]string{"NOMAD_ADDR_dashboard": strings.TrimPrefix(page.URL, "http://"), "KEY_FILE": key}
	return agenttest.Nomad(t, "emqx-lab-0", map[string]any{
		"meta":        map[string]string{"pool_type": "emqx", "group-index": "0", "emqx_cluster": "lab"},
		"host_volume": map[string]any{"emqx[0]": map[string]string{"path": t.TempDir()}},
	})
}

func newTestNomad(t *testing.T, address string) (NomadClient, *nomad.Client) {
	t.Helper()
	c, err := NewNomad(NomadConfig{Address: address})
	assert.NilError(t, err)
	return c, c.(*nomadClient).api
}

// memberEnv is what a task has of the job that is a member.
var memberEnv map[string]string

// aloneMember is the API of a member that is the whole cluster.
func aloneMember(w http.ResponseWriter, r *http.Request) {
	if key, secret, _ := r.BasicAuth(); key+secret != "keysecret" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	text := `{"name":"emqxcl","nodes":["emqx@emqx-lab-0.node.dc1.consul"],"self":"emqx@emqx-lab-0.node.dc1.consul"}`
	if r.URL.Path == "/api/v5/prometheus/stats" {
		text = "emqx_live_connections_count 0\nemqx_sessions_count 0\nemqx_cluster_nodes_stopped 0\n"
	}
	_, _ = w.Write([]byte(text))
}

// register runs a shell script as job emqx-lab, changed at will.
func register(t *testing.T, api *nomad.Client, script string, change ...func(*nomad.Job, *nomad.TaskGroup, *nomad.Task)) {
	t.Helper()
	task := nomad.NewTask("emqx", "raw_exec").SetConfig("command", "/bin/sh").SetConfig("args", []string{"-c", script})
	task.KillTimeout, task.Env = ptr(100*time.Millisecond), memberEnv
	task.Resources = &nomad.Resources{CPU: ptr(50), MemoryMB: ptr(32)}
	group := nomad.NewTaskGroup("emqx", 1).AddTask(task)
	group.RestartPolicy = &nomad.RestartPolicy{Attempts: ptr(1), Delay: ptr(time.Second), Interval: ptr(time.Minute), Mode: ptr("fail")}
	group.ReschedulePolicy = &nomad.ReschedulePolicy{Attempts: ptr(0), Unlimited: ptr(false)}
	group.Update = &nomad.UpdateStrategy{
		MaxParallel: ptr(1), HealthCheck: ptr("task_states"), MinHealthyTime: ptr(time.Second),
		HealthyDeadline: ptr(20 * time.Second), ProgressDeadline: ptr(25 * time.Second),
	}
	job := nomad.NewServiceJob("emqx-lab", "emqx-lab", "global", 50).AddTaskGroup(group)
	for _, c := range change {
		c(job, group, task)
	}
	_, _, err := api.Jobs().Register(job, nil)
	assert.NilError(t, err)
}

// told makes attempts until they hold, and returns what was told.
func told(t *testing.T, a attempts) (lines []string, err error) {
	t.Helper()
	err = repeat(t.Context(), SystemClock(), a, func(l gateline.Line, _ bool) { lines = append(lines, l.String()) })
	return lines, err
}

const jobFile = `
variable "script" { type = string }
variable "address" { type = string }
variable "key" { type = string }

job "emqx-text" {
  group "emqx" {
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    update {
      health_check      = "task_states"
      min_healthy_time  = "1s"
      healthy_deadline  = "20s"
      progress_deadline = "25s"
      auto_revert       = true
    }
    task "emqx" {
      driver = "raw_exec"
      config {
        command = "/bin/sh"
        args    = ["-c", var.script]
      }
      kill_timeout = "100ms"
      env = {
        NOMAD_ADDR_dashboard = var.address
        KEY_FILE             = var.key
      }
      resources {
        cpu    = 50
        memory = 32
      }
    }
  }
}
`

func TestGatesAgainstANomadAgent(t *testing.T) {
	address := startNomad(t)
	client, api := newTestNomad(t, address)

	t.Run("G1 holds for a node with everything", func(t *testing.T) {
		var lines []string
		err := Wait(t.Context(), SystemClock(), NodesReady(client, NodesReadyArgs{
			Environment: "lab", Count: 1, Timeout: time.Minute, Interval: 200 * time.Millisecond, driver: "raw_exec",
		}), func(s string) { lines = append(lines, s) })
		assert.NilError(t, err)
		// The agent was asked before it listened.
		assert.Assert(t, strings.Contains(lines[0], "cannot reach Nomad at "+address), lines[0])
	})
	t.Run("G1 says what is missing", func(t *testing.T) {
		err := Wait(t.Context(), SystemClock(), NodesReady(client, NodesReadyArgs{
			Environment: "lab", Count: 2, Timeout: 500 * time.Millisecond, Interval: 100 * time.Millisecond, driver: "java-of-tests",
		}), nil)
		assert.ErrorContains(t, err, "0/2 nodes: emqx-lab-0 has no java-of-tests driver; emqx-lab-1 not registered in Nomad; look next at: the instance's console, where its boot says what it waits for")
	})

	gate := func() Gate {
		return ClusterFormed(client, ClusterFormedArgs{
			Job: "emqx-lab", Nodes: []string{"emqx@emqx-lab-0.node.dc1.consul"}, Timeout: time.Minute, Interval: 200 * time.Millisecond,
		})
	}
	wait := func(t *testing.T, g Gate) error {
		t.Helper()
		return Wait(t.Context(), SystemClock(), g, func(s string) { t.Log(s) })
	}
	t.Run("G2 waits for the job", func(t *testing.T) {
		g := gate()
		g.Timeout = 300 * time.Millisecond
		assert.ErrorContains(t, wait(t, g), "job emqx-lab not registered in Nomad")
	})
	t.Run("G2 holds when the members say so", func(t *testing.T) {
		register(t, api, "exec sleep 3600")
		assert.NilError(t, wait(t, gate()))
	})
	t.Run("a node is drained, and given back", func(t *testing.T) {
		args := NodeDrainedArgs{
			Environment: "lab", Jobs: []string{"emqx-lab", "no-such-job"}, Deadline: time.Minute, Timeout: time.Minute, Interval: 200 * time.Millisecond,
		}
		lines, err := told(t, NodeDrained(client, args).attempts([]Step{DrainNode(client, args)}))
		assert.NilError(t, err)
		assert.Assert(t, strings.HasPrefix(lines[0], "drain emqx-lab-0: begun ("), "%q", lines)
		assert.Assert(t, strings.HasPrefix(lines[len(lines)-1], "drain of emqx-lab-0: nothing runs there ("), "%q", lines)
		standing, ids, err := StandingOf(t.Context(), client, "lab", 0)
		assert.NilError(t, err)
		assert.Equal(t, standing, Drained)
		done, err := PurgeEndedNodes(client, ids).Do(t.Context())
		assert.NilError(t, err)
		assert.Equal(t, done, "", "its agent answers, so it stays")
		count, err := JobCount(t.Context(), client, "emqx-lab")
		assert.NilError(t, err)
		assert.Equal(t, count, 1)
		done, err = EndDrains(client, "lab", []int{0}).Do(t.Context())
		assert.NilError(t, err)
		assert.Equal(t, done, "emqx-lab-0")
		assert.NilError(t, wait(t, gate()), "its work comes back")
	})
	t.Run("G2 says why a task ends", func(t *testing.T) {
		register(t, api, "exit 78")
		err := wait(t, gate())
		assert.Assert(t, IsFatal(err), "%v", err)
		for _, part := range []string{"the deployment of version 1 of job emqx-lab failed", "emqx-lab.emqx[0]", "on emqx-lab-0", "task emqx: Terminated", "Exit Code: 78"} {
			assert.ErrorContains(t, err, part)
		}
	})
	t.Run("G2 says why a task cannot start", func(t *testing.T) {
		register(t, api, "", func(_ *nomad.Job, _ *nomad.TaskGroup, task *nomad.Task) {
			task.SetConfig("command", "/no/such/program")
		})
		err := wait(t, gate())
		assert.Assert(t, IsFatal(err), "%v", err)
		assert.ErrorContains(t, err, "/no/such/program")
	})
	t.Run("G2 goes on after the job was mended", func(t *testing.T) {
		register(t, api, "exec sleep 3601")
		assert.NilError(t, wait(t, gate()))
	})
	t.Run("G2 says why an allocation cannot be placed", func(t *testing.T) {
		register(t, api, "exec sleep 3602", func(job *nomad.Job, _ *nomad.TaskGroup, _ *nomad.Task) {
			job.Constrain(nomad.NewConstraint("${meta.group-index}", "=", "9"))
		})
		soon := func(count int) Gate {
			return ClusterFormed(client, ClusterFormedArgs{Job: "emqx-lab", Nodes: make([]string, count), Timeout: 3 * time.Second, Interval: 200 * time.Millisecond})
		}
		assert.ErrorContains(t, wait(t, soon(1)), `1 allocations of group emqx cannot be placed: 1 nodes excluded by "${meta.group-index} = 9"`)

		register(t, api, "exec sleep 3603", func(_ *nomad.Job, group *nomad.TaskGroup, _ *nomad.Task) {
			group.Count = ptr(5) // more than the loopback has addresses
			group.Networks = []*nomad.NetworkResource{{ReservedPorts: []nomad.Port{{Label: "dist", Value: 24370}}}}
			group.Update.MaxParallel = ptr(5)
		})
		assert.ErrorContains(t, wait(t, soon(5)), "reserved port collision dist=24370")

		register(t, api, "exec sleep 3604", func(_ *nomad.Job, group *nomad.TaskGroup, _ *nomad.Task) {
			group.Count = ptr(2)
			group.Volumes = map[string]*nomad.VolumeRequest{"data": {Name: "data", Type: "host", Source: "emqx", PerAlloc: true, AccessMode: "single-node-writer", AttachmentMode: "file-system"}}
			group.Update.MaxParallel = ptr(2)
		})
		assert.ErrorContains(t, wait(t, soon(2)), "missing compatible host volumes")
	})
	t.Run("G2 tells a fault that was taken back from one that was not", func(t *testing.T) {
		text := func(command string) JobText {
			return JobText{File: jobFile, Variables: fmt.Sprintf("script = %q\naddress = %q\nkey = %q", command, memberEnv["NOMAD_ADDR_dashboard"], memberEnv["KEY_FILE"])}
		}
		submit := func(text JobText) {
			t.Helper()
			job, err := api.Jobs().ParseHCLOpts(&nomad.JobsParseRequest{JobHCL: text.File, Variables: text.Variables})
			assert.NilError(t, err)
			_, _, err = api.Jobs().Register(job, nil)
			assert.NilError(t, err)
		}
		wants := func(text JobText) error {
			g := ClusterFormed(client, ClusterFormedArgs{
				Job: "emqx-text", Nodes: []string{"emqx@emqx-lab-0.node.dc1.consul"}, Text: text, Timeout: time.Minute, Interval: 200 * time.Millisecond,
			})
			return wait(t, g)
		}
		good, bad := text("exec sleep 3600"), text("exit 78")
		submit(good)
		assert.NilError(t, wants(good))
		submit(bad)
		assert.ErrorContains(t, wants(bad), "Failed due to unhealthy allocations")
		assert.NilError(t, Wait(t.Context(), SystemClock(), Gate{
			ID: "back", Title: "the old version", Interval: 100 * time.Millisecond, Timeout: time.Minute,
			Check: func(ctx context.Context) (Status, error) {
				job, err := client.Job(ctx, "emqx-text")
				return Status{Holds: err == nil && *job.Version == 2, Seen: "not yet"}, err
			},
		}, nil))
		assert.ErrorContains(t, wants(bad), "version 1 of job emqx-text failed and Nomad went back to an older one")
		submit(good) // makes no version
		assert.NilError(t, wants(good))
		_, _, err := api.Jobs().Deregister("emqx-text", true, nil)
		assert.NilError(t, err)
		_, err = client.Stands(t.Context(), JobText{File: "job {"})
		assert.ErrorContains(t, err, "Failed to parse job")
	})
	t.Run("G2 sees members missing", func(t *testing.T) {
		register(t, api, "exec sleep 3605")
		g := ClusterFormed(client, ClusterFormedArgs{Job: "emqx-lab", Nodes: []string{"emqx@other"}, Timeout: 8 * time.Second, Interval: 500 * time.Millisecond})
		assert.ErrorContains(t, wait(t, g), "0/1 EMQX nodes running: emqx@other is no member; emqx@emqx-lab-0.node.dc1.consul runs but does not belong here")
	})
	t.Run("G2 sees a job that somebody stopped", func(t *testing.T) {
		_, _, err := api.Jobs().Deregister("emqx-lab", false, nil)
		assert.NilError(t, err)
		g := gate()
		g.Timeout = time.Second
		assert.ErrorContains(t, wait(t, g), "job emqx-lab is stopped; look next at: who stopped it")
		// Started again, the old deployments say nothing.
		register(t, api, "exec sleep 3605")
		assert.NilError(t, wait(t, gate()))
	})
	t.Run("G2 looks at what runs when the deployment had failed before", func(t *testing.T) {
		flag := filepath.Join(t.TempDir(), "repaired")
		// A task that is restarted for ever recovers by itself when the cause goes.
		register(t, api, "test -e "+flag+" || exit 3; exec sleep 3600", func(_ *nomad.Job, group *nomad.TaskGroup, _ *nomad.Task) {
			group.RestartPolicy = &nomad.RestartPolicy{Attempts: ptr(1), Delay: ptr(time.Second), Interval: ptr(5 * time.Second), Mode: ptr("delay")}
			group.Update.HealthyDeadline, group.Update.ProgressDeadline = ptr(4*time.Second), ptr(5*time.Second)
		})
		err := wait(t, gate())
		assert.Assert(t, IsFatal(err), "%v", err)
		assert.ErrorContains(t, err, "Exit Code: 3")
		assert.NilError(t, os.WriteFile(flag, nil, 0o600))
		assert.NilError(t, wait(t, gate()), "another program's gate")
	})
	_, _, err := api.Jobs().Deregister("emqx-lab", true, nil)
	assert.NilError(t, err)
	assert.NilError(t, Wait(t.Context(), SystemClock(), Gate{
		ID: "end", Title: "no allocation left", Interval: 100 * time.Millisecond, Timeout: time.Minute,
		Check: func(ctx context.Context) (Status, error) {
			allocs, err := client.Allocations(ctx, "emqx-lab")
			running := 0
			for _, a := range allocs {
				if a.ClientStatus == "running" || a.ClientStatus == "pending" {
					running++
				}
			}
			return Status{Holds: running == 0, Seen: fmt.Sprint(running, " run")}, err
		},
	}, nil))
}

func TestGatesAgainstAConsulAgent(t *testing.T) {
	port := agenttest.Ports(t, 1)[0]
	address := fmt.Sprintf("http://127.0.0.1:%d", port)
	client, err := NewConsul(ConsulConfig{Address: address})
	assert.NilError(t, err)
	gate := ProxiesReady(client, ProxiesReadyArgs{Service: "emqx-haproxy", Environment: "lab", Count: 3, Timeout: 30 * time.Second, Interval: 100 * time.Millisecond})
	_, err = once(t, gate)
	assert.ErrorContains(t, err, "cannot reach Consul at "+address+": ")
	assert.ErrorContains(t, err, "connection refused")

	agenttest.Consul(t, port)
	api := client.(*consulClient).api
	put := func(i int, tag, status, output string) error {
		node := fmt.Sprintf("emqx-lab-%d", i)
		_, err := api.Catalog().Register(&consul.CatalogRegistration{
			Node: node, Address: fmt.Sprintf("10.80.1.1%d", i),
			Service: &consul.AgentService{ID: "haproxy-" + tag, Service: "emqx-haproxy", Tags: []string{tag}, Port: 8080},
			Check:   &consul.AgentCheck{Node: node, CheckID: "haproxy-" + tag, Name: "backends", Status: status, Output: output, ServiceID: "haproxy-" + tag},
		}, nil)
		return err
	}
	assert.NilError(t, Wait(t.Context(), SystemClock(), Gate{
		ID: "start", Title: "leader", Timeout: 30 * time.Second, Interval: 100 * time.Millisecond,
		Check: func(context.Context) (Status, error) { return Status{Holds: true}, put(0, "lab", "passing", "") },
	}, nil))
	assert.NilError(t, put(1, "lab", "passing", ""))
	// Another stack's proxy on the third node must not be counted.
	assert.NilError(t, put(2, "prod", "passing", ""))
	s, err := once(t, gate)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "2/3 proxies pass: only 2 instances of emqx-haproxy registered in Consul")

	assert.NilError(t, put(2, "lab", "critical", "HTTP GET http://10.80.1.12:8080/haproxy_health: 503 Service Unavailable\n"))
	s, err = once(t, gate)
	assert.NilError(t, err)
	assert.Equal(t, s.Seen, "2/3 proxies pass: emqx-lab-2 is critical: backends: HTTP GET http://10.80.1.12:8080/haproxy_health: 503 Service Unavailable")

	assert.NilError(t, put(2, "lab", "passing", ""))
	assert.NilError(t, Wait(t.Context(), SystemClock(), gate, nil))
}
