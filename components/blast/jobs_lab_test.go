//go:build lab

package blast_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/nomad"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// What a report assumes of each variable of the two jobs, where it cannot ask, is what
// Nomad does with it. The driver is another one, and there are no services and volumes:
// nothing has to run for Nomad to say what it would restart.
func TestNomadRestartsWhatIsAssumed(t *testing.T) {
	address := agenttest.Nomad(t, "emqx-lab-0", map[string]any{
		"meta":         map[string]string{"pool_type": "emqx", "group-index": "0", "emqx_cluster": "lab"},
		"host_network": map[string]any{"emqx": map[string]string{"cidr": "127.0.0.1/32"}},
	})
	agenttest.Await(t, address+"/v1/nodes", `"Status":"ready"`)
	client, err := api.NewClient(&api.Config{Address: address})
	assert.NilError(t, err)
	broker, err := nomad.EMQXVars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 1, Image: "emqx/emqx:5.8.9", CPU: 100, MemoryMB: 600, MaxConnections: 100, KeepAliveMax: 600, NoFile: 4096,
		DrainRate: 10, DrainTimeout: 10 * time.Second, TLS: true, Auth: true,
	}.HCL2()
	assert.NilError(t, err)
	proxy, err := haproxy.Vars{
		Environment: "lab", Datacenter: "dc1", NodeCount: 1, Image: "haproxy:3.2.25", CPU: 50, MaxConn: 100, NoFile: 4096, KeepAliveMax: 600, TLS: true,
		ProxyProtocolFrom: "10.0.0.0/24", // without one nobody looks at who announces
	}.HCL2()
	assert.NilError(t, err)
	for _, c := range []struct {
		name, file string
		vars       map[string]string
	}{{emqxJob, nomad.EMQXJob, broker}, {haproxyJob, haproxy.Job, proxy}} {
		t.Run(c.name, func(t *testing.T) {
			whole, err := client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: c.file, Variables: nomad.VariablesFile(c.vars)})
			assert.NilError(t, err)
			said, _, err := client.Jobs().Validate(whole, nil)
			assert.NilError(t, err)
			assert.Equal(t, said.Error+said.Warnings, "", "each preview would show it")
			_, _, err = client.Jobs().Register(withoutDriver(t, client, c.file, c.vars), nil)
			assert.NilError(t, err)
			agenttest.Await(t, address+"/v1/allocations", `"JobID":"emqx-lab`+map[string]string{haproxyJob: "-haproxy"}[c.name]+`"`)
			asked := 0
			for _, name := range slices.Sorted(maps.Keys(c.vars)) {
				other := another(name, c.vars[name])
				if other == "" {
					continue
				}
				changed := maps.Clone(c.vars)
				changed[name] = other
				plan, _, err := client.Jobs().Plan(withoutDriver(t, client, c.file, changed), true, nil)
				assert.NilError(t, err, name)
				assert.Assert(t, plan.Diff.Type == "Edited", "%s changes nothing", name)
				u := plan.Annotations.DesiredTGUpdates[c.name]
				r := blast.Assess([]blast.Change{{
					Op: blast.Update, Type: "nomad:index/job:Job", Name: c.name,
					Diffs: []blast.Diff{{Path: "hcl2.vars." + name, Kind: "update", Old: c.vars[name], New: other}},
				}}, lab(), kinds)
				assumed := len(r.Nodes.Restarted)+len(r.Nodes.ProxyRestarted) > 0
				restarts := u.DestructiveUpdate+u.Ignore > 0
				assert.Check(t, restarts != (u.InPlaceUpdate > 0), "%s: %+v", name, u)
				assert.Check(t, assumed == restarts, "%s from %.40q to %.40q: assumed to restart: %t, Nomad: %+v", name, c.vars[name], other, assumed, u)
				asked++
			}
			assert.Assert(t, asked > 10)
		})
	}
}

// another is another value of a variable, "" for one that says which job it is, or where it may
// run.
func another(name, value string) string {
	switch {
	case slices.Contains([]string{"environment", "region", "namespace", "datacenter"}, name):
		return ""
	case value == "true" || value == "false":
		return map[string]string{"true": "false", "false": "true"}[value]
	case name == "tls_clients":
		return "" // with what it needs beside it
	case name == "ports" || name == "broker_ports":
		return regexp.MustCompile(`mqtt = \d+`).ReplaceAllString(value, "mqtt = 20001")
	case name == "limits" || name == "rates":
		return strings.Replace(value, "mqtt = 0", "mqtt = 5", 1)
	case name == "extra_env" || name == "per_client" || name == "authorities":
		return `{"EMQX_X" = "1"}`
	case slices.Contains([]string{"node_count", "cpu", "memory"}, name):
		return value + "0"
	}
	var n int
	if _, err := fmt.Sscanf(value, "%ds", &n); err == nil && value == fmt.Sprintf("%ds", n) {
		return fmt.Sprintf("%ds", n+1)
	}
	if _, err := fmt.Sscan(value, &n); err == nil && value == fmt.Sprint(n) {
		return fmt.Sprint(n + 1)
	}
	return value + "x"
}

// withoutDriver is a job as Nomad reads it, but for what a machine without Docker and Consul lacks.
// What its container is made of stays part of it.
func withoutDriver(t *testing.T, client *api.Client, file string, vars map[string]string) *api.Job {
	t.Helper()
	job, err := client.Jobs().ParseHCLOpts(&api.JobsParseRequest{JobHCL: file, Variables: nomad.VariablesFile(vars)})
	assert.NilError(t, err)
	g := job.TaskGroups[0]
	g.Services, g.Volumes = nil, nil
	for _, task := range g.Tasks {
		task.Driver, task.Config = "raw_exec", map[string]any{"command": "/bin/true", "args": []string{fmt.Sprint(task.Config)}}
		task.User, task.VolumeMounts, task.Services = "", nil, nil
	}
	return job
}
