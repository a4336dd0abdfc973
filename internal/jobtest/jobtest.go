package jobtest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/nomad/api"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// command runs a job command that needs no agent, and reaches none.
func command(t testing.TB, text string, vars map[string]string, args ...string) (string, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "job.nomad.hcl")
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	for k, v := range vars {
		args = append(args, "-var", k+"="+v)
	}
	cmd := exec.Command(agenttest.Tool(t, "nomad"), append(args, path)...)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR=http://127.0.0.1:1")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		return stdout.String(), fmt.Errorf("%w: %s%s", err, stdout.String(), stderr.String())
	}
	return stdout.String(), nil
}

// Parse is the job as Nomad itself reads the file, with values as on its command line.
func Parse(t testing.TB, text string, vars map[string]string) *api.Job {
	t.Helper()
	return parse(t, text, vars)
}

// ParseFile is the same with the values in a variables file.
func ParseFile(t testing.TB, text, vars string) *api.Job {
	t.Helper()
	path := filepath.Join(t.TempDir(), "vars.hcl")
	assert.NilError(t, os.WriteFile(path, []byte(vars), 0o600))
	return parse(t, text, nil, "-var-file", path)
}

func parse(t testing.TB, text string, vars map[string]string, args ...string) *api.Job {
	t.Helper()
	out, err := command(t, text, vars, append([]string{"job", "run", "-output"}, args...)...)
	assert.NilError(t, err)
	var job struct{ Job *api.Job }
	assert.NilError(t, json.Unmarshal([]byte(out), &job))
	return job.Job
}

// Validate wants Nomad to accept the file, without a warning.
func Validate(t testing.TB, text string, vars map[string]string) {
	t.Helper()
	out, err := command(t, text, vars, "job", "validate")
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(out, "Job validation successful"))
	assert.Assert(t, !strings.Contains(out, "Warnings"), out)
}

// Formatted wants the file to be as nomad fmt writes it.
func Formatted(t testing.TB, path string) {
	t.Helper()
	out, err := exec.Command(agenttest.Tool(t, "nomad"), "fmt", "-check", path).CombinedOutput()
	assert.NilError(t, err, "%s: run nomad fmt: %s", path, out)
}

// EachTLS runs a test with a certificate and without one.
func EachTLS(t *testing.T, run func(t *testing.T, tls bool)) {
	for _, tls := range []bool{true, false} {
		t.Run(fmt.Sprintf("tls=%t", tls), func(t *testing.T) { run(t, tls) })
	}
}

// OneNodeAtATime wants one group of count allocations, each on a node of environment lab
// of its own, of which one is updated or moved at a time (ADR 0003): max_parallel counts
// per group.
func OneNodeAtATime(t testing.TB, job *api.Job, count int) {
	t.Helper()
	assert.Equal(t, len(job.TaskGroups), 1)
	g := job.TaskGroups[0]
	assert.Equal(t, *g.Count, count)
	assert.Equal(t, *g.Update.MaxParallel, 1)
	assert.Equal(t, *g.Update.HealthCheck, "checks")
	assert.Equal(t, *g.Update.AutoRevert, true)
	assert.Equal(t, *g.Update.Canary, 0)
	assert.Equal(t, *g.Migrate.MaxParallel, 1)
	var constraints []string
	for _, c := range g.Constraints {
		constraints = append(constraints, c.LTarget+c.Operand+c.RTarget)
	}
	assert.DeepEqual(t, constraints, []string{"${meta.pool_type}=emqx", "${meta.emqx_cluster}=lab", "distinct_hoststrue"})
}

// LostNodeIsReplacedByItsSuccessor wants a client that is out of sight to keep its
// allocation, and a relaunched instance to get its own at once. Without a replacement it
// would wait for a day.
func LostNodeIsReplacedByItsSuccessor(t testing.TB, job *api.Job) {
	t.Helper()
	d := job.TaskGroups[0].Disconnect
	assert.Assert(t, d != nil && d.Replace != nil && d.LostAfter != nil)
	assert.Equal(t, *d.Replace, true)
	assert.Equal(t, *d.Reconcile, "keep_replacement")
	assert.Equal(t, *d.LostAfter, 15*time.Minute)
	assert.Equal(t, *job.TaskGroups[0].ReschedulePolicy.Unlimited, true)
}

// Services are the ports of the job's services by their names. Each has the environment
// lab as its first tag, or no name that holds it resolves (ADR 0002); further ones are of one
// member (ADR 0070).
func Services(t testing.TB, job *api.Job) map[string]string {
	t.Helper()
	ports := map[string]string{}
	for _, s := range job.TaskGroups[0].Services {
		ports[s.Name] = s.PortLabel
		assert.Assert(t, len(s.Tags) > 0)
		assert.Equal(t, s.Tags[0], "lab")
		for _, tag := range s.Tags[1:] {
			assert.Assert(t, strings.HasPrefix(tag, "lab--${NOMAD_ALLOC_INDEX}"), tag)
		}
		assert.Equal(t, s.Provider, "consul")
		assert.Equal(t, s.Address, "")
	}
	return ports
}

// SecretsAreFilesOf wants what the task reads from Nomad variables to be in files of the
// user uid alone, and no change of one to restart it, let alone all (ADR 0007).
func SecretsAreFilesOf(t testing.TB, task *api.Task, uid int) {
	t.Helper()
	assert.Assert(t, len(task.Templates) > 0)
	for _, f := range task.Templates {
		if strings.HasPrefix(*f.DestPath, "${NOMAD_TASK_DIR}/") {
			assert.Assert(t, !strings.Contains(*f.EmbeddedTmpl, "nomadVar"), *f.DestPath)
			assert.Equal(t, *f.ChangeMode, "noop")
			continue
		}
		assert.Assert(t, strings.HasPrefix(*f.DestPath, "${NOMAD_SECRETS_DIR}/"), *f.DestPath)
		assert.Assert(t, *f.ChangeMode != "restart", *f.DestPath)
		assert.Equal(t, *f.Perms, "0400", *f.DestPath)
		assert.Equal(t, *f.ErrMissingKey, true)
		// Variables of the container stand in clear in what Docker says of it.
		assert.Assert(t, f.Envvars == nil || !*f.Envvars, *f.DestPath)
		assert.Equal(t, *f.Uid, uid, *f.DestPath)
	}
}

// RecordBoth records what a program registers in an update, which must be what it
// registers in a preview.
func RecordBoth(t testing.TB, program pulumi.RunFunc) *recorder.Recording {
	t.Helper()
	up, err := recorder.Run(program, recorder.Options{})
	assert.NilError(t, err)
	preview, err := recorder.Run(program, recorder.Options{Preview: true})
	assert.NilError(t, err)
	assert.Equal(t, preview.Text(), up.Text(), "everything here is known at plan time")
	return up
}

// Registered wants a component of that name to have registered the job file as it is,
// with a value for each variable that it declares, and returns the job.
func Registered(t testing.TB, r *recorder.Recording, name, text string) recorder.Resource {
	t.Helper()
	job, ok := r.Find("Job", name)
	assert.Assert(t, ok)
	assert.Equal(t, job.Type, "nomad:index/job:Job")
	assert.Equal(t, job.Parent, name)
	assert.Equal(t, job.Inputs["jobspec"].StringValue(), text, "the file, untouched")
	for _, flag := range []string{"detach", "rerunIfDead", "purgeOnDestroy"} {
		assert.Equal(t, job.Inputs.Mappable()[flag], true, flag)
	}
	// Of the variables the provider sees only that they change.
	assert.DeepEqual(t, job.ReplaceOnChanges, []string{"hcl2.vars.environment", "hcl2.vars.namespace", "hcl2.vars.region"})
	// Every variable that the file declares without a default is given.
	vars := job.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue().Mappable()
	for _, line := range strings.Split(text, "\n") {
		if variable, ok := strings.CutPrefix(line, `variable "`); ok {
			_, given := vars[variable[:strings.Index(variable, `"`)]]
			assert.Assert(t, given, line)
		}
	}
	return job
}
