//go:build lab

package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/term"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
)

// worldVar holds the folder of a test's world; this test binary is then the command line over it.
const worldVar = "CLI_TEST_WORLD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(worldVar); dir != "" {
		os.Exit(command(dir))
	}
	os.Exit(m.Run())
}

// command is main() over a test's world.
func command(dir string) int {
	sigs := make(chan os.Signal, 4)
	signal.Notify(sigs, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGPIPE)
	return cli.Run(cli.Options{
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr,
		StdinTerminal: term.IsTerminal(0), StdoutTerminal: term.IsTerminal(1),
		Size:   func() (int, int) { w, h, _ := term.GetSize(1); return w, h },
		Getenv: os.Getenv, Dir: filepath.Join(dir, "project"), Signals: sigs, Version: "test",
		Program: enginetest.Program(filepath.Join(dir, "spec.json")), Bind: gates.WithContext,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { return orchestrate.New(o) },
		Extension: func(name string) cli.Extension {
			if name != "lab" {
				return nil
			}
			return worldCloud(dir)
		},
	}, os.Args[1:])
}

// worldCloud is the program of a cloud that only has an environment.
type worldCloud string

func (worldCloud) Become(...string) error { return errors.New("not here") }

func (w worldCloud) Output(_ context.Context, args ...string) ([]byte, error) {
	if args[0] != "attach" {
		return nil, nil
	}
	text, err := os.ReadFile(filepath.Join(string(w), "env.json"))
	return fmt.Appendf(nil, `{"env": %s, "secrets": {"emqx-oci:secrets.token": "s3cr3t#value"}}`, text), err
}

type world struct {
	dir   string
	cloud *enginetest.Cloud
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, stop, err := enginetest.Start()
	assert.NilError(t, err)
	t.Cleanup(stop)
	w := &world{dir: t.TempDir(), cloud: cloud}
	for _, d := range []string{"project", "state", "home"} {
		assert.NilError(t, os.MkdirAll(filepath.Join(w.dir, d), 0o755))
	}
	w.file(t, "project/Pulumi.yaml", "name: emqx-oci\nruntime: go\n")
	w.file(t, "project/Pulumi.lab.yaml", "config:\n  emqx-oci:cloud: lab\n")
	env, err := json.Marshal(map[string]string{
		"PULUMI_BACKEND_URL": "file://" + w.dir + "/state", "PULUMI_HOME": w.dir + "/home",
		"PULUMI_CONFIG_PASSPHRASE": "a test", "PULUMI_DEBUG_PROVIDERS": cloud.Env(),
	})
	assert.NilError(t, err)
	w.file(t, "env.json", string(env))
	w.set(t, enginetest.Spec{Things: []enginetest.ThingSpec{{Name: "a", Text: "one"}, {Name: "b", Text: "two", After: []string{"a"}}}})
	return w
}

func (w *world) file(t *testing.T, name, text string) {
	t.Helper()
	assert.NilError(t, os.WriteFile(filepath.Join(w.dir, name), []byte(text), 0o600))
}

func (w *world) set(t *testing.T, s enginetest.Spec) {
	t.Helper()
	assert.NilError(t, s.Write(filepath.Join(w.dir, "spec.json")))
}

type running struct {
	*exec.Cmd
	out, err bytes.Buffer
}

func (w *world) start(t *testing.T, args ...string) *running {
	t.Helper()
	r := &running{Cmd: exec.Command(os.Args[0], args...)}
	r.Env = append(os.Environ(), worldVar+"="+w.dir, "EMQX_OCI_STAGE_DIR="+w.dir+"/stage")
	r.Stdout, r.Stderr = &r.out, &r.err
	assert.NilError(t, r.Start())
	t.Cleanup(func() { _ = r.Process.Kill() })
	return r
}

// run gives what a command prints and returns.
func (w *world) run(t *testing.T, args ...string) (out, errs string, exit int) {
	t.Helper()
	r := w.start(t, args...)
	_ = r.Wait()
	return r.out.String(), r.err.String(), r.ProcessState.ExitCode()
}

func TestTheVerbsOverTheRealEngine(t *testing.T) {
	w := newWorld(t)
	out, errs, exit := w.run(t, "up")
	assert.Equal(t, exit, 2, out+errs)
	assert.Equal(t, errs, "error: nobody to ask, for this is no terminal: run \"emqx-oci up lab --yes\"\n")

	out, errs, exit = w.run(t, "outputs")
	assert.Equal(t, exit, 1, out+errs)
	assert.Equal(t, errs, "error: stack \"lab\" was never deployed: run \"emqx-oci up lab\" first\n")

	out, errs, exit = w.run(t, "up", "--yes")
	assert.Equal(t, exit, 0, out+errs)
	assert.Equal(t, errs, "")
	assert.Assert(t, strings.Contains(out, "created   sim:Thing b"), out)

	out, errs, exit = w.run(t, "outputs", "--json")
	assert.Equal(t, exit, 0, out+errs)
	assert.Equal(t, out, "{\n  \"a\": \"one\",\n  \"b\": \"two\",\n  \"token\": \"[secret]\"\n}\n")

	out, errs, exit = w.run(t, "up", "--yes", "--json")
	assert.Equal(t, exit, 0, out+errs)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	for _, l := range lines {
		assert.Assert(t, json.Valid([]byte(l)), l)
	}
	var last struct {
		Event, Result string
		Changes       map[string]int
		ExitCode      int
	}
	assert.NilError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.Equal(t, last.Event+" "+last.Result, "summary succeeded")
	assert.DeepEqual(t, last.Changes, map[string]int{"same": 2})

	out, errs, exit = w.run(t, "destroy", "--yes")
	assert.Equal(t, exit, 0, out+errs)
	assert.Equal(t, len(w.cloud.Names()), 0)
}

func TestSignalsOverTheRealEngine(t *testing.T) {
	for _, c := range []struct {
		signal syscall.Signal
		exit   int
	}{{syscall.SIGINT, 130}, {syscall.SIGTERM, 143}, {syscall.SIGHUP, 129}} {
		t.Run(c.signal.String(), func(t *testing.T) {
			w := newWorld(t)
			w.cloud.Delay("a", time.Second)
			r := w.start(t, "up", "--yes")
			assert.NilError(t, w.cloud.Entered("create a", 30*time.Second))
			assert.NilError(t, r.Process.Signal(c.signal))
			_ = r.Wait()
			assert.Equal(t, r.ProcessState.ExitCode(), c.exit, r.out.String()+r.err.String())
			assert.DeepEqual(t, w.cloud.Names(), []string{"a"})
			_, errs, exit := w.run(t, "up", "--yes")
			assert.Equal(t, exit, 0, errs)
		})
	}
}

func TestReaderThatLeavesCancelsTheRun(t *testing.T) {
	w := newWorld(t)
	w.cloud.Delay("a", time.Second)
	r := &running{Cmd: exec.Command("sh", "-c", `"$0" up --yes | head -1; true`, os.Args[0])}
	r.Env = append(os.Environ(), worldVar+"="+w.dir, "EMQX_OCI_STAGE_DIR="+w.dir+"/stage")
	assert.NilError(t, r.Run())
	_, errs, exit := w.run(t, "up", "--yes")
	assert.Equal(t, exit, 0, errs)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b"})
}
