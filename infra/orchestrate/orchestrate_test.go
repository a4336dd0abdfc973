package orchestrate

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
)

// fakePulumi writes a command that plays the engine.
func fakePulumi(t *testing.T, script string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pulumi")
	assert.NilError(t, os.WriteFile(path, []byte("#!/bin/sh\ncase \"$*\" in version) echo v3.276.0; exit;; esac\n"+script), 0o755))
	return path
}

func project(t *testing.T, stack string) Options {
	t.Helper()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: emqx-oci\nruntime: go\nmain: infra\n"), 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.lab.yaml"), []byte(stack), 0o600))
	return Options{
		ProjectDir: dir, Stack: "lab", StageDir: t.TempDir(), Program: func(*pulumi.Context) error { return nil },
		Env: map[string]string{"PULUMI_CONFIG_PASSPHRASE": "a test"},
	}
}

func newRunner(t *testing.T, o Options) *Runner {
	t.Helper()
	r, err := New(o)
	assert.NilError(t, err)
	return r
}

func sum(t *testing.T, dir string) string {
	t.Helper()
	h := sha256.New()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	assert.NilError(t, err)
	for _, f := range files {
		b, err := os.ReadFile(f)
		assert.NilError(t, err)
		fmt.Fprintf(h, "%s %x\n", f, b)
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

func TestStagingLeavesTheProjectAloneAndEncryptsSecrets(t *testing.T) {
	o := project(t, "# mine\nconfig:\n  emqx-oci:nodes: {count: 3}\n  emqx-oci:cloud: lab\n")
	o.ExtraSecrets = map[string]string{"emqx-oci:secrets.erlangCookie": "a#b c", "emqx-oci:tls.privateKey": "line one\nline two\n"}
	o.ExtraConfig = map[string]string{"emqx-oci:tls.certificate": "cert"}
	before := sum(t, o.ProjectDir)
	r := newRunner(t, o)
	c, err := r.files(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, sum(t, o.ProjectDir), before)

	get := func(k string) string { v, _ := c.Get(k); return v }
	assert.Equal(t, get("nodes"), `{"count":3}`)
	assert.Equal(t, get("emqx-oci:cloud"), "lab")
	assert.Equal(t, get("secrets"), `{"erlangCookie":"a#b c"}`)
	assert.Equal(t, get("tls"), `{"certificate":"cert","privateKey":"line one\nline two\n"}`)
	assert.Assert(t, c.IsSecret("secrets") && c.IsSecret("tls") && !c.IsSecret("nodes"))
	assert.DeepEqual(t, c.Keys(), []string{"emqx-oci:cloud", "emqx-oci:nodes", "emqx-oci:secrets", "emqx-oci:tls"})

	name := filepath.Join(r.stage.dir, "Pulumi.lab.yaml")
	b, err := os.ReadFile(name)
	assert.NilError(t, err)
	staged := string(b)
	assert.Assert(t, !strings.Contains(staged, "a#b") && !strings.Contains(staged, "line two"), staged)
	assert.Assert(t, strings.Contains(staged, "encryptionsalt: v1:"), staged)
	st, err := os.Stat(name)
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o600))
	p, err := os.ReadFile(filepath.Join(r.stage.dir, "Pulumi.yaml"))
	assert.NilError(t, err)
	assert.Assert(t, !strings.Contains(string(p), "main"), "%s", p)

	// The salt stays: with another one, the secrets in the state could not be compared with those in the configuration.
	salt := staged[strings.Index(staged, "encryptionsalt"):]
	salt, _, _ = strings.Cut(salt, "\n")
	_, err = newRunner(t, o).files(t.Context())
	assert.NilError(t, err)
	b, err = os.ReadFile(name)
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(b), salt))
}

func TestPassphrase(t *testing.T) {
	o := project(t, "config: {}\n")
	o.ExtraSecrets = map[string]string{"emqx-oci:secrets.erlangCookie": "x"}
	_, err := newRunner(t, o).files(t.Context())
	assert.NilError(t, err)
	staged, err := os.ReadFile(filepath.Join(o.StageDir, "lab", "Pulumi.lab.yaml"))
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(o.ProjectDir, "Pulumi.lab.yaml"), staged, 0o600))

	file := filepath.Join(t.TempDir(), "phrase")
	assert.NilError(t, os.WriteFile(file, []byte("another\n"), 0o600))
	t.Setenv("PULUMI_CONFIG_PASSPHRASE", "")
	assert.NilError(t, os.Unsetenv("PULUMI_CONFIG_PASSPHRASE"))
	o.Env = map[string]string{"PULUMI_CONFIG_PASSPHRASE_FILE": file}
	_, err = newRunner(t, o).files(t.Context())
	var bad *ConfigError
	assert.Assert(t, errors.As(err, &bad), "%v", err)
	assert.ErrorContains(t, err, "is not the one they were written with")

	o.Env = nil
	_, err = newRunner(t, o).files(t.Context())
	assert.ErrorContains(t, err, "there is no passphrase")
	assert.NilError(t, os.WriteFile(file, []byte("a test\n"), 0o600))
	o.Env = map[string]string{"PULUMI_CONFIG_PASSPHRASE_FILE": file}
	_, err = newRunner(t, o).files(t.Context())
	assert.NilError(t, err)
}

func TestFaultsBeforeTheEngineStarts(t *testing.T) {
	never := fakePulumi(t, "echo started >&2; exit 1\n")
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
		exit   int
	}{
		"unknown stack": {func(o *Options) { o.Stack = "prd" }, "unknown stack \"prd\": there is no Pulumi.prd.yaml in DIR; the stacks are: lab", 2},
		"all settings": {func(o *Options) {
			o.Validate = func(Config) error {
				return errors.Join(errors.New("emqx-oci:nodes.count: must be 1 to 32, got 0"), errors.New("emqx-oci:dns.name: is required"))
			}
		}, "configuration of stack \"lab\":\n  emqx-oci:nodes.count: must be 1 to 32, got 0\n  emqx-oci:dns.name: is required", 2},
		"no project": {func(o *Options) { o.ProjectDir += "/none" }, "no Pulumi.yaml in DIR/none: run emqx-oci in the project's folder, or name it with --project", 2},
		"no yaml": {func(o *Options) {
			_ = os.WriteFile(o.ProjectDir+"/Pulumi.lab.yaml", []byte("config: ["), 0o600)
		}, "configuration of stack \"lab\": reading DIR/Pulumi.lab.yaml: ", 2},
		"no such command": {func(o *Options) { o.PulumiCommand = "/none" }, "using the pulumi command \"/none\": no such file", 1},
		"old command": {func(o *Options) {
			o.PulumiCommand = fakePulumi(t, "")
			_ = os.WriteFile(o.PulumiCommand, []byte("#!/bin/sh\necho v3.100.0\n"), 0o755)
		}, "it is version 3.100.0, needed is 3.258.0 or a later 3.x; \"make tools\" builds it", 1},
	} {
		t.Run(name, func(t *testing.T) {
			o := project(t, "config:\n  emqx-oci:cloud: lab\n")
			o.PulumiCommand = never
			dir := o.ProjectDir
			c.change(&o)
			_, err := newRunner(t, o).Up(t.Context())
			assert.ErrorContains(t, err, strings.ReplaceAll(c.want, "DIR", dir))
			exit := ExitFailed
			var coded interface{ ExitCode() int }
			if errors.As(err, &coded) {
				exit = coded.ExitCode()
			}
			assert.Equal(t, exit, c.exit)
		})
	}
	_, err := New(Options{Program: func(*pulumi.Context) error { return nil }, Stack: "../../etc"})
	assert.ErrorContains(t, err, "cannot be a stack's name")
	for _, owner := range []string{"a/b/c", "/", "a/", "..", "a b"} {
		_, err = New(Options{Program: func(*pulumi.Context) error { return nil }, Stack: "prod", Owner: owner})
		assert.ErrorContains(t, err, "cannot stand before a stack's name", owner)
	}
}

func TestPeek(t *testing.T) {
	o := project(t, "config:\n  emqx-oci:cloud: lab\n  emqx-oci:nodes: {count: 3}\n")
	v, err := Peek(o.ProjectDir, "lab", "emqx-oci:cloud")
	assert.NilError(t, err)
	assert.Equal(t, v, "lab")
	v, err = Peek(o.ProjectDir, "lab", "emqx-oci:nodes")
	assert.NilError(t, err)
	assert.Equal(t, v, "")
	_, err = Peek(o.ProjectDir, "x", "y")
	assert.ErrorContains(t, err, "the stacks are: lab")
	_, err = Peek(o.ProjectDir, "../x", "y")
	assert.ErrorContains(t, err, "cannot be a stack's name")
}

// engineDouble is a cli over a script, in a stage of its own.
func engineDouble(t *testing.T, script string, kill chan struct{}) *cli {
	t.Helper()
	st, err := openStage(t.TempDir(), "", "lab")
	assert.NilError(t, err)
	c, err := newCLI(t.Context(), fakePulumi(t, script), st, kill)
	assert.NilError(t, err)
	return c
}

func TestEngineIsAskedOnceToStop(t *testing.T) {
	c := engineDouble(t, "trap 'echo asked' INT\necho ready >$OUT\ni=0; while [ $i -lt 10 ]; do sleep 0.05; i=$((i+1)); done\necho done\n", make(chan struct{}))
	ctx, cancel := context.WithCancel(t.Context())
	ready := filepath.Join(t.TempDir(), "ready")
	go func() {
		for _, err := os.Stat(ready); err != nil; _, err = os.Stat(ready) {
			time.Sleep(5 * time.Millisecond)
		}
		cancel()
	}()
	out, _, code, err := c.Run(ctx, t.TempDir(), nil, nil, nil, []string{"OUT=" + ready}, "up")
	assert.NilError(t, err)
	assert.Equal(t, code, 0)
	assert.Equal(t, out, "asked\ndone\n")
	assert.Equal(t, len(c.stage.runs()), 0)
}

// An engine that a signal ended has not unlocked the stack: the next run has to know the lock for its own.
func TestAnEngineThatASignalEndedIsRemembered(t *testing.T) {
	for script, want := range map[string]claim{"kill -INT $$\n": stale, "exit 1\n": foreign} {
		c := engineDouble(t, "echo $$ >$OUT\n"+script, make(chan struct{}))
		file := filepath.Join(t.TempDir(), "pid")
		_, _, _, err := c.Run(t.Context(), t.TempDir(), nil, nil, nil, []string{"OUT=" + file}, "destroy")
		assert.Assert(t, err != nil)
		text, err := os.ReadFile(file)
		assert.NilError(t, err)
		pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
		assert.NilError(t, err)
		host, err := os.Hostname()
		assert.NilError(t, err)
		assert.Equal(t, claimOf([]Lock{{Host: host, PID: pid}}, c.stage.runs()), want, "%q", script)
	}
}

func TestKillEndsTheEngineAndItsPlugins(t *testing.T) {
	kill := make(chan struct{})
	c := engineDouble(t, "trap '' INT\nsetsid sleep 100 &\necho $! >$OUT\nwait\n", kill)
	pidFile := filepath.Join(t.TempDir(), "pid")
	pid := 0
	go func() {
		for pid == 0 {
			b, _ := os.ReadFile(pidFile)
			_, _ = fmt.Sscan(string(b), &pid)
			time.Sleep(5 * time.Millisecond)
		}
		close(kill)
	}()
	begin := time.Now()
	_, _, _, err := c.Run(t.Context(), t.TempDir(), nil, nil, nil, []string{"OUT=" + pidFile}, "up")
	assert.Assert(t, err != nil)
	assert.Assert(t, time.Since(begin) < terminateGrace+3*time.Second)
	for i := 0; ; i++ {
		if _, alive := startedAt(pid); !alive {
			break
		}
		assert.Assert(t, i < 100, "the plugin %d still runs", pid)
		time.Sleep(20 * time.Millisecond)
	}
}

func TestVerboseTextComesWhileTheEngineRuns(t *testing.T) {
	c := engineDouble(t, "echo first\nwhile ! [ -e $OUT ]; do sleep 0.02; done\necho last\n", make(chan struct{}))
	gate := filepath.Join(t.TempDir(), "gate")
	w := writer(func(b []byte) {
		if strings.Contains(string(b), "first") {
			_ = os.WriteFile(gate, nil, 0o600)
		}
	})
	out, _, _, err := c.Run(t.Context(), t.TempDir(), nil, []io.Writer{w}, nil, []string{"OUT=" + gate}, "up")
	assert.NilError(t, err)
	assert.Equal(t, out, "first\nlast\n")
}

func TestLocks(t *testing.T) {
	host, err := os.Hostname()
	assert.NilError(t, err)
	text := func(pid int) string {
		return "error: the stack is currently locked by 1 lock(s). Either wait for the other process(es) to end or delete the lock file with `pulumi cancel`.\n" +
			fmt.Sprintf("  file:///x/locks/y.json: created by root@%s (pid %d) at 2026-11-21T18:38:45Z", host, pid)
	}
	held, ok := locks(text(os.Getpid()))
	assert.Assert(t, ok)
	assert.Equal(t, len(held), 1)
	assert.Equal(t, held[0].PID, os.Getpid())
	assert.Assert(t, !held[0].Gone)
	assert.ErrorContains(t, &LockedError{Stack: "lab", Locks: held}, `stack "lab" is locked by root@`+host)
	_, ok = locks("error: something else")
	assert.Assert(t, !ok)

	self, _ := startedAt(os.Getpid())
	parent, _ := startedAt(os.Getppid())
	live := run{PID: os.Getpid(), Started: self, Owner: os.Getppid(), OwnerStarted: parent}
	orphan := live
	orphan.OwnerStarted = "another boot/1"
	reused := live
	reused.Started = "another boot/1"
	for name, c := range map[string]struct {
		own  map[int]run
		want claim
	}{
		"not ours":              {nil, foreign},
		"ours, at work":         {map[int]run{live.PID: live}, foreign},
		"ours, orphaned":        {map[int]run{live.PID: orphan}, finishing},
		"ours, and the pid not": {map[int]run{live.PID: reused}, stale},
	} {
		t.Run(name, func(t *testing.T) { assert.Equal(t, claimOf(held, c.own), c.want) })
	}
	held[0].Host = "elsewhere"
	assert.Equal(t, claimOf(held, map[int]run{live.PID: reused}), foreign)
	assert.Equal(t, claimOf(nil, nil), foreign)
}

func TestErrorsAreOneMessage(t *testing.T) {
	one := &FailedError{Operation: "up", Faults: []Fault{{Resource: "nomad:Job emqx", Message: "2/3 nodes"}}}
	assert.Error(t, one, "up failed: nomad:Job emqx: 2/3 nodes")
	two := &FailedError{Operation: "up", Faults: []Fault{{Resource: "a b", Message: "x\ny"}, {Message: "z"}}}
	assert.Error(t, two, "up failed:\n  a b: x\n  y\n  z")
	api := errors.New("failed to select stack: exit status 1\ncode: 255\nstdout: \nstderr: warning: old\nerror: no route to the backend\n") //nolint:revive // what the engine prints
	assert.Error(t, newRunner(t, project(t, "config: {}\n")).plainError(t.Context(), "opening stack lab", api), "opening stack lab: no route to the backend")
}

type writer func([]byte)

func (w writer) Write(b []byte) (int, error) { w(b); return len(b), nil }
