//go:build lab

package providers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/poll"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/lab/providers"
	"github.com/emqx-oci/emqx-oci/sdks/nomad"
)

// sleeper is a job like those of the stack: typed variables, one group.
const sleeper = `
variable "id" {
  type = string
}
variable "seconds" {
  type    = number
  default = 600
}
variable "env" {
  type    = map(string)
  default = {}
}
variable "command" {
  type    = string
  default = "/bin/sleep"
}
job "sleeper" {
  id = var.id
  type = "service"
  update {
    min_healthy_time  = "500ms"
    healthy_deadline  = "4s"
    progress_deadline = "5s"
    health_check      = "task_states"
  }
  group "g" {
    count = 1
    restart {
      attempts = 0
      mode     = "fail"
    }
    reschedule {
      attempts  = 0
      unlimited = false
    }
    task "t" {
      driver = "raw_exec"
      config {
        command = var.command
        args    = ["${var.seconds}"]
      }
      env = var.env
      resources {
        cpu    = 20
        memory = 16
      }
    }
  }
}
`

type nomadSettings struct {
	address, id, password string
	spec                  string
	vars                  map[string]string
	detached, forgetful   bool
	path                  string
	place                 []string // replaces the job when it changes
}

func nomadProgram(s nomadSettings) pulumi.RunFunc {
	return func(ctx *pulumi.Context) error {
		p, err := nomad.NewProvider(ctx, "nomad", &nomad.ProviderArgs{Address: pulumi.String(s.address)})
		if err != nil {
			return err
		}
		with := pulumi.Provider(p)
		secrets, err := nomad.NewVariable(ctx, "secrets", &nomad.VariableArgs{
			Path: pulumi.String(s.path), Items: pulumi.ToSecret(pulumi.StringMap{"password": pulumi.String(s.password)}).(pulumi.StringMapOutput),
		}, with)
		if err != nil {
			return err
		}
		vars := pulumi.StringMap{"id": pulumi.String(s.id)}
		for k, v := range s.vars {
			vars[k] = pulumi.String(v)
		}
		job, err := nomad.NewJob(ctx, "job", &nomad.JobArgs{
			Jobspec: pulumi.String(s.spec), Hcl2: &nomad.JobHcl2Args{Vars: vars}, Detach: pulumi.Bool(s.detached),
			PurgeOnDestroy: pulumi.Bool(true), RerunIfDead: pulumi.Bool(!s.forgetful),
		}, with, pulumi.ReplaceOnChanges(s.place), pulumi.DependsOn([]pulumi.Resource{secrets}))
		if err != nil {
			return err
		}
		ctx.Export("name", job.Name)
		ctx.Export("deployment", job.DeploymentStatus)
		return nil
	}
}

func TestNomadOnTheEngine(t *testing.T) {
	address := agenttest.Nomad(t, "lab", nil)
	agenttest.Await(t, address+"/v1/nodes", `"Status":"ready"`)
	client, err := api.NewClient(&api.Config{Address: address})
	assert.NilError(t, err)
	info := func(id string) *api.Job {
		job, _, err := client.Jobs().Info(id, nil)
		if err != nil && strings.Contains(err.Error(), "404") {
			return nil
		}
		assert.NilError(t, err)
		return job
	}
	e := newEngine(t, providers.Config{NomadAddr: "http://127.0.0.1:1"})
	s := nomadSettings{
		address: address, id: "emqx-lab", password: "topsecret", spec: sleeper, path: "nomad/jobs/emqx-lab",
		vars: map[string]string{"seconds": "601", "env": `{ "A" = "1" }`},
	}

	created, res := e.up(nomadProgram(s))
	assert.DeepEqual(t, created, map[string]int{"create": 4}) // two, the provider and the stack
	assert.Equal(t, res.Outputs["name"].Value, "emqx-lab")
	assert.Equal(t, res.Outputs["deployment"].Value, "successful", "detach = false waits for the deployment")
	job := info("emqx-lab")
	assert.Equal(t, *job.Status, "running")
	assert.Equal(t, fmt.Sprint(job.TaskGroups[0].Tasks[0].Config["args"]), "[601]")
	assert.Equal(t, job.TaskGroups[0].Tasks[0].Env["A"], "1")
	v, _, err := client.Variables().Read("nomad/jobs/emqx-lab", nil)
	assert.NilError(t, err)
	assert.Equal(t, v.Items["password"], "topsecret")
	assert.Assert(t, !strings.Contains(e.state(), "topsecret"))

	same, _ := e.up(nomadProgram(s))
	assert.DeepEqual(t, same, map[string]int{})
	// Nomad marks the job stable and counts it by itself; that is not a change of ours.
	e.refresh()
	same, _ = e.up(nomadProgram(s))
	assert.DeepEqual(t, same, map[string]int{})

	s.vars["seconds"], s.password, s.detached = "602", "other", true
	assert.DeepEqual(t, e.preview(nomadProgram(s)), map[string]int{"update": 2})
	updated, _ := e.up(nomadProgram(s))
	assert.DeepEqual(t, updated, map[string]int{"update": 2})
	assert.Equal(t, *info("emqx-lab").Version, uint64(1))

	t.Run("somebody else changes the job", func(t *testing.T) {
		job := info("emqx-lab")
		job.Priority = new(int)
		*job.Priority = 60
		_, _, err := client.Jobs().Register(job, nil)
		assert.NilError(t, err)
		s.vars["seconds"] = "603"
		// Only another text is held against Nomad's version: this goes over the change.
		updated, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, updated, map[string]int{"update": 1})
		assert.Equal(t, *info("emqx-lab").Priority, 50)
	})

	t.Run("stopped from outside", func(t *testing.T) {
		_, _, err := client.Jobs().Deregister("emqx-lab", false, nil)
		assert.NilError(t, err)
		poll.WaitOn(t, func(poll.LogT) poll.Result {
			if *info("emqx-lab").Status == "dead" {
				return poll.Success()
			}
			return poll.Continue("not dead yet")
		}, poll.WithTimeout(20*time.Second))
		e.refresh()
		again, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, again, map[string]int{"update": 1})
		assert.Assert(t, *info("emqx-lab").Status != "dead")
	})

	t.Run("gone from outside", func(t *testing.T) {
		_, _, err := client.Jobs().Deregister("emqx-lab", true, nil)
		assert.NilError(t, err)
		_, err = client.Variables().Delete("nomad/jobs/emqx-lab", nil)
		assert.NilError(t, err)
		assert.DeepEqual(t, e.refresh(), map[string]int{"delete": 2})
		again, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, again, map[string]int{"create": 2})
	})

	t.Run("another id by a variable", func(t *testing.T) {
		s.id, s.place = "emqx-lab2", []string{"hcl2.vars.id"}
		assert.DeepEqual(t, e.preview(nomadProgram(s)), map[string]int{"replace": 1})
		replaced, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, replaced, map[string]int{"replace": 1})
		assert.Assert(t, info("emqx-lab") == nil)
		assert.Assert(t, info("emqx-lab2") != nil)

		// What the provider makes of it by itself: two jobs.
		s.id, s.place = "emqx-lab3", nil
		updated, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, updated, map[string]int{"update": 1})
		assert.Assert(t, info("emqx-lab2") != nil)
		assert.Assert(t, info("emqx-lab3") != nil)
		_, _, err := client.Jobs().Deregister("emqx-lab2", true, nil)
		assert.NilError(t, err)
	})

	t.Run("another path of the secrets", func(t *testing.T) {
		s.path = "nomad/jobs/emqx-lab3"
		replaced, _ := e.up(nomadProgram(s))
		assert.DeepEqual(t, replaced, map[string]int{"replace": 1})
	})

	e.destroy()
	assert.Assert(t, info("emqx-lab3") == nil, "purged")
	all, _, err := client.Variables().List(nil)
	assert.NilError(t, err)
	assert.Equal(t, len(all), 0)
}

func TestNomadFaultsOnTheEngine(t *testing.T) {
	address := agenttest.Nomad(t, "lab", nil)
	agenttest.Await(t, address+"/v1/nodes", `"Status":"ready"`)
	e := newEngine(t, providers.Config{})
	s := nomadSettings{address: address, id: "a", password: "x", spec: sleeper, path: "nomad/jobs/a", detached: true}

	bad := s
	bad.spec = strings.Replace(sleeper, "driver =", "drivr =", 1)
	text := e.previewFails(nomadProgram(bad))
	assert.Assert(t, strings.Contains(text, "error parsing jobspec"), text)
	assert.Assert(t, strings.Contains(text, "drivr"), text)

	bad = s
	bad.vars = map[string]string{"secnds": "1"}
	text = e.previewFails(nomadProgram(bad))
	assert.Assert(t, strings.Contains(text, `"secnds"`), text)

	bad = s
	bad.path = "nomad/other"
	text = e.previewFails(nomadProgram(bad))
	assert.Assert(t, strings.Contains(text, "only paths at 'nomad/jobs'"), text)

	away := s
	away.address = "http://127.0.0.1:1"
	assert.DeepEqual(t, e.preview(nomadProgram(away)), map[string]int{"create": 4})

	// A deployment that fails says no more than its deadline, and is kept.
	failing := s
	failing.detached, failing.forgetful, failing.vars = false, true, map[string]string{"command": "/bin/false"}
	text = e.upFails(nomadProgram(failing))
	assert.Assert(t, strings.Contains(text, "error waiting for job 'a' to schedule/deploy successfully"), text)
	assert.Assert(t, strings.Contains(text, "terminated with status 'failed'"), text)
	text = e.upFails(nomadProgram(failing))
	assert.Assert(t, strings.Contains(text, "terminated with status 'failed'"), "the same words again: %s", text)
	e.refresh()
	same, _ := e.up(nomadProgram(failing))
	assert.Equal(t, same["update"]+same["create"], 0, "the false green of the real provider: %v", same)
	e.destroy()
}
