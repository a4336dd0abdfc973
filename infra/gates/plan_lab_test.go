//go:build lab

package gates

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

const plannedFile = `
variable "count" { type = number }
variable "script" { type = string }
variable "delay" { type = string }
variable "memory" { type = number }

job "emqx-plan" {
  group "emqx" {
    count          = var.count
    shutdown_delay = var.delay
    update {
      max_parallel     = 1
      health_check     = "task_states"
      min_healthy_time = "1s"
    }
    task "emqx" {
      driver       = "raw_exec"
      kill_timeout = "100ms"
      config {
        command = "/bin/sh"
        args    = ["-c", var.script]
      }
      resources {
        cpu    = 20
        memory = var.memory
      }
    }
  }
}
`

func plannedText(count int, script, delay string, memory int) JobText {
	return JobText{File: plannedFile, Variables: fmt.Sprintf("count = %d\nscript = %q\ndelay = %q\nmemory = %d\n", count, script, delay, memory)}
}

// What Nomad's answers come to, from a server that gives them.
func TestANomadServerPlans(t *testing.T) {
	client, api := newTestNomad(t, startNomad(t))
	assert.NilError(t, Wait(t.Context(), SystemClock(), NodesReady(client, NodesReadyArgs{
		Environment: "lab", Count: 1, Timeout: time.Minute, Interval: 200 * time.Millisecond, driver: "raw_exec",
	}), nil))
	plan := func(text JobText) JobPlan {
		t.Helper()
		p, err := client.Plan(t.Context(), text)
		assert.NilError(t, err)
		return p
	}
	groups := func(text JobText) GroupPlan {
		t.Helper()
		p := plan(text)
		assert.Equal(t, len(p.Errors)+len(p.Warnings), 0, "%v %v", p.Errors, p.Warnings)
		return p.Groups["emqx"]
	}
	const script = "exec sleep 3600"

	first := plan(plannedText(3, script, "1s", 16))
	assert.DeepEqual(t, first, JobPlan{ID: "emqx-plan", Changed: true, Groups: map[string]GroupPlan{"emqx": {Place: 3}}})
	_, err := client.Job(t.Context(), "emqx-plan")
	assert.ErrorIs(t, err, ErrNotFound, "a plan registers nothing")

	job, fault, err := client.(*nomadClient).parse(t.Context(), plannedText(3, script, "1s", 16))
	assert.NilError(t, err)
	assert.Equal(t, fault, "")
	_, _, err = api.Jobs().Register(job, nil)
	assert.NilError(t, err)
	t.Cleanup(func() { _, _, _ = api.Jobs().Deregister("emqx-plan", true, nil) })
	assert.NilError(t, Wait(t.Context(), SystemClock(), Gate{
		ID: "begin", Title: "all run", Interval: 200 * time.Millisecond, Timeout: time.Minute,
		Check: func(ctx context.Context) (Status, error) {
			deployments, err := client.Deployments(ctx, "emqx-plan")
			return Status{Holds: len(deployments) == 1 && deployments[0].Status == nomad.DeploymentStatusSuccessful, Seen: "not yet"}, err
		},
	}, nil))
	runs, err := Runners(t.Context(), client, "emqx-plan")
	assert.NilError(t, err)
	assert.DeepEqual(t, runs, []string{"emqx-lab-0", "emqx-lab-0", "emqx-lab-0"})

	assert.DeepEqual(t, plan(plannedText(3, script, "1s", 16)), JobPlan{ID: "emqx-plan", Groups: map[string]GroupPlan{"emqx": {}}})
	assert.DeepEqual(t, groups(plannedText(3, script, "2s", 16)), GroupPlan{InPlace: 3})
	assert.DeepEqual(t, groups(plannedText(3, script+" ", "1s", 16)), GroupPlan{Restart: 3})
	assert.DeepEqual(t, groups(plannedText(2, script, "1s", 16)), GroupPlan{InPlace: 2, Stop: 1})
	assert.DeepEqual(t, groups(plannedText(2, script+" ", "1s", 16)), GroupPlan{Restart: 2, Stop: 1})
	assert.DeepEqual(t, groups(plannedText(4, script, "1s", 16)), GroupPlan{InPlace: 3, Place: 1})
	// Nomad begins with the new one, and calls the roll behind it nothing.
	assert.DeepEqual(t, groups(plannedText(4, script+" ", "1s", 16)), GroupPlan{Restart: 3, Place: 1})

	large := groups(plannedText(3, script, "1s", 100_000_000))
	assert.Equal(t, large.Restart, 3)
	assert.Equal(t, large.Unplaced, 1)
	assert.Assert(t, strings.Contains(large.Why, "memory"), large.Why)

	assert.Assert(t, strings.Contains(plan(JobText{File: "job {"}).Errors[0], "Failed to parse job"))
	assert.Assert(t, strings.Contains(strings.Join(plan(plannedText(-1, script, "1s", 16)).Errors, "; "), "can't be negative"), "%v", plan(plannedText(-1, script, "1s", 16)).Errors)
	warned := plannedText(3, script, "1s", 16)
	warned.File = strings.Replace(warned.File, "max_parallel     = 1", "max_parallel     = 9", 1)
	assert.Equal(t, len(plan(warned).Warnings), 1, "%v", plan(warned).Warnings)
}
