package cli_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/components/fault"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// checkWith runs the command line in a project with a stack "prod", whose checks find what is given.
func checkWith(t *testing.T, findings []preflight.Finding, args ...string) (out, errs string, exit int) {
	t.Helper()
	return checkFaulty(t, nil, findings, args...)
}

// checkFaulty does so with settings that are refused with an error.
func checkFaulty(t *testing.T, refused error, findings []preflight.Finding, args ...string) (out, errs string, exit int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Pulumi.yaml": "name: emqx-oci\nruntime: go\n", "Pulumi.prod.yaml": "config:\n  emqx-oci:cloud: oci\n  emqx-oci:secrets:\n    apiKey:\n      secure: AAAA\n",
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	f := &fake{plan: map[string]int{"create": 1}, guards: &guards.Collector{}}
	var stdout, stderr bytes.Buffer
	exit = cli.Run(cli.Options{
		Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" }, Dir: dir, Executable: dir,
		Check: func(stack string, c orchestrate.Config) []preflight.Finding {
			assert.Equal(t, stack, "prod")
			cloud, _ := c.Get("emqx-oci:cloud")
			assert.Equal(t, cloud, "oci")
			return findings
		},
		Checks:   kinds.Checks(),
		Validate: func(string, orchestrate.Config) error { return refused },
		Guards:   f.guards,
		// An engine that does nothing but look at the configuration.
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) {
			f.opts = o
			c, err := orchestrate.Read(dir, o.Stack)
			assert.NilError(t, err)
			if err := o.Validate(c); err != nil {
				err = &orchestrate.ConfigError{Stack: o.Stack, Err: err}
				f.fail = map[string]error{string(progress.Preview): err, string(progress.Up): err, string(progress.Destroy): err}
			}
			return f, nil
		},
	}, args)
	return stdout.String(), stderr.String(), exit
}

var (
	wrong = preflight.Finding{Check: "port-collision", Severity: preflight.Error, Path: "emqx-oci:ports.ws", Message: "must be free, got 22"}
	odd   = preflight.Finding{Check: "even-nodes", Severity: preflight.Warning, Path: "emqx-oci:nodes.count", Message: "should be odd, got 2"}
)

func TestCheck(t *testing.T) {
	out, errs, exit := checkWith(t, nil, "check", "prod")
	assert.Equal(t, exit, 0)
	assert.Equal(t, out+errs, "29 checks passed, 0 warnings\n")

	out, errs, exit = checkWith(t, []preflight.Finding{odd}, "check", "prod")
	assert.Equal(t, exit, 0)
	assert.Equal(t, out+errs, "warning: emqx-oci:nodes.count: should be odd, got 2 (check even-nodes)\n28 checks passed, 1 warning\n")

	out, errs, exit = checkWith(t, []preflight.Finding{wrong, odd}, "check", "prod")
	assert.Equal(t, exit, 2)
	assert.Equal(t, out+errs, `error: emqx-oci:ports.ws: must be free, got 22 (check port-collision)
warning: emqx-oci:nodes.count: should be odd, got 2 (check even-nodes)
27 checks passed, 1 warning, 1 error
`)
}

func TestCheckAsJSON(t *testing.T) {
	out, errs, exit := checkWith(t, nil, "check", "prod", "--json")
	assert.Equal(t, exit, 0)
	assert.Equal(t, out+errs, `{"stack":"prod","passed":29,"errors":0,"warnings":0,"findings":[]}`+"\n")

	out, errs, exit = checkWith(t, []preflight.Finding{wrong}, "check", "prod", "--json")
	assert.Equal(t, exit, 2)
	assert.Equal(t, out+errs, `{"stack":"prod","passed":28,"errors":1,"warnings":0,"findings":[`+
		`{"check":"port-collision","severity":"error","path":"emqx-oci:ports.ws","message":"must be free, got 22"}]}`+"\n")
}

func TestCheckOfNoStack(t *testing.T) {
	_, errs, exit := checkWith(t, nil, "check", "nowhere")
	assert.Equal(t, exit, 2)
	assert.Assert(t, bytes.Contains([]byte(errs), []byte("the stacks are: prod")), errs)
}

func TestCheckList(t *testing.T) {
	out, _, exit := checkWith(t, nil, "check", "--list")
	assert.Equal(t, exit, 0)
	for _, c := range kinds.Checks() {
		assert.Assert(t, bytes.Contains([]byte(out), []byte(c.Reason)), c.Name)
	}
	out, _, exit = checkWith(t, nil, "check", "--list", "--json")
	assert.Equal(t, exit, 0)
	assert.Equal(t, out[:len(`[{"name":"port-collision","severity":"error","reason":"`)], `[{"name":"port-collision","severity":"error","reason":"`)
}

// Who is refused for the settings hears in the same run what the checks have against the rest.
func TestPreviewTellsFaultsAndFindingsAtOnce(t *testing.T) {
	refused := &fault.Error{Faults: []fault.Fault{{Path: "emqx-oci:dns.name", Text: "must be set"}}}
	told := preflight.Finding{Check: cli.SettingsCheck, Severity: preflight.Error, Path: "emqx-oci:dns.name", Message: "must be set"}
	const alone = "error: configuration of stack \"prod\": emqx-oci:dns.name: must be set\n"
	for _, args := range [][]string{{"preview", "prod"}, {"up", "prod", "--yes"}} {
		_, errs, exit := checkFaulty(t, refused, []preflight.Finding{told, wrong, odd}, args...)
		assert.Equal(t, exit, 2, args)
		assert.Equal(t, errs, "error: configuration of stack \"prod\":\n  emqx-oci:dns.name: must be set\n  emqx-oci:ports.ws: must be free, got 22 (check port-collision)\n")
		_, errs, _ = checkFaulty(t, refused, []preflight.Finding{told, odd}, args...)
		assert.Equal(t, errs, alone)
		// Nothing could be read, so that nothing can be checked.
		_, errs, _ = checkFaulty(t, errors.New("no such file"), []preflight.Finding{wrong}, args...)
		assert.Equal(t, errs, "error: configuration of stack \"prod\": no such file\n")
	}
	_, errs, _ := checkFaulty(t, refused, []preflight.Finding{told, wrong}, "destroy", "prod", "--yes")
	assert.Equal(t, errs, alone)
}

// What is about to be deployed has to pass; what is taken away does not.
func TestChecksStopPreviewAndUp(t *testing.T) {
	for _, args := range [][]string{{"preview", "prod"}, {"up", "prod", "--yes"}} {
		_, errs, exit := checkWith(t, []preflight.Finding{wrong, odd}, args...)
		assert.Equal(t, exit, 2, args)
		assert.Equal(t, errs, "error: configuration of stack \"prod\": emqx-oci:ports.ws: must be free, got 22 (check port-collision)\n")
		_, errs, exit = checkWith(t, []preflight.Finding{odd}, args...)
		assert.Equal(t, exit, 0, errs)
	}
	_, errs, exit := checkWith(t, []preflight.Finding{wrong}, "destroy", "prod", "--yes")
	assert.Equal(t, exit, 0, errs)
}
