//go:build lab

package orchestrate_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/interrupted"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/enginetest"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// childVar holds the operation that this test binary is to perform as a program of its own, to be killed.
const childVar = "ORCHESTRATE_TEST_CHILD"

func TestMain(m *testing.M) {
	if op := os.Getenv(childVar); op != "" {
		os.Exit(child(op))
	}
	os.Exit(m.Run())
}

// world is a project with one stack, a backend and a cloud.
type world struct {
	t             *testing.T
	dir           string
	cloud         *enginetest.Cloud
	project, spec string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	cloud, stop, err := enginetest.Start()
	assert.NilError(t, err)
	t.Cleanup(stop)
	w := &world{t: t, dir: t.TempDir(), cloud: cloud}
	w.project, w.spec = filepath.Join(w.dir, "project"), filepath.Join(w.dir, "spec.json")
	for _, d := range []string{w.project, w.path("state"), w.path("home")} {
		assert.NilError(t, os.MkdirAll(d, 0o755))
	}
	w.file("project/Pulumi.yaml", "name: emqx-oci\nruntime: go\nmain: infra/\n")
	w.file("project/Pulumi.lab.yaml", "# kept as it is\nconfig:\n  emqx-oci:nodes: {count: 3}\n")
	return w
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) file(name, text string) {
	w.t.Helper()
	assert.NilError(w.t, os.WriteFile(w.path(name), []byte(text), 0o644))
}

func (w *world) set(s enginetest.Spec) {
	w.t.Helper()
	assert.NilError(w.t, s.Write(w.spec))
}

func (w *world) env() map[string]string {
	return map[string]string{
		"PULUMI_BACKEND_URL": "file://" + w.path("state"), "PULUMI_HOME": w.path("home"),
		"PULUMI_CONFIG_PASSPHRASE": "a test", "PULUMI_DEBUG_PROVIDERS": w.cloud.Env(),
	}
}

func (w *world) options() orchestrate.Options {
	return orchestrate.Options{
		ProjectDir: w.project, Stack: "lab", Program: enginetest.Program(w.spec), Bind: gates.WithContext,
		Env: w.env(), StageDir: w.path("stage"), ExtraSecrets: map[string]string{"emqx-oci:secrets.token": "s3cr3t#value"},
		PulumiCommand: os.Getenv("ORCHESTRATE_TEST_PULUMI"),
	}
}

// pulumiCommand is the path of the pulumi command that the tests use.
func pulumiCommand(t *testing.T) string {
	t.Helper()
	if path := os.Getenv("ORCHESTRATE_TEST_PULUMI"); path != "" {
		return path
	}
	path, err := exec.LookPath("pulumi")
	assert.NilError(t, err)
	return path
}

func (w *world) runner(change ...func(*orchestrate.Options)) *orchestrate.Runner {
	w.t.Helper()
	o := w.options()
	for _, c := range change {
		c(&o)
	}
	if file := os.Getenv("ORCHESTRATE_TEST_RECORD"); file != "" {
		f, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		assert.NilError(w.t, err)
		w.t.Cleanup(func() { _ = f.Close() })
		o.Record = f
	}
	r, err := orchestrate.New(o)
	assert.NilError(w.t, err)
	return r
}

// process is the program under test, running on its own.
type process struct {
	*exec.Cmd
	out  strings.Builder
	done chan struct{}
}

// start runs an operation in a process of its own. Its text goes to a pipe, as that of `emqx-oci up | tee`.
func (w *world) start(op string) *process {
	w.t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], "-test.run=^$"), done: make(chan struct{})}
	env, err := json.Marshal(w.env())
	assert.NilError(w.t, err)
	p.Env = append(os.Environ(), childVar+"="+op, "ORCHESTRATE_TEST_ENV="+string(env), "ORCHESTRATE_TEST_DIR="+w.dir)
	p.Stdout, p.Stderr = &p.out, &p.out
	assert.NilError(w.t, p.Start())
	go func() { defer close(p.done); _ = p.Wait() }()
	w.t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.done
	})
	return p
}

func (p *process) wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(d):
		t.Fatalf("the process did not end within %s; it said:\n%s", d, p.out.String())
	}
}

func child(op string) int {
	var w world
	w.dir = os.Getenv("ORCHESTRATE_TEST_DIR")
	o := orchestrate.Options{
		ProjectDir: w.path("project"), Stack: "lab", Program: enginetest.Program(w.path("spec.json")), Bind: gates.WithContext,
		StageDir: w.path("stage"), ExtraSecrets: map[string]string{"emqx-oci:secrets.token": "s3cr3t#value"},
		PulumiCommand: os.Getenv("ORCHESTRATE_TEST_PULUMI"), View: progress.NewPlain(os.Stdout, false),
	}
	if err := json.Unmarshal([]byte(os.Getenv("ORCHESTRATE_TEST_ENV")), &o.Env); err != nil {
		panic(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	kill := make(chan struct{})
	o.Kill = kill
	sigs := make(chan os.Signal, 2)
	signal.Notify(sigs, os.Interrupt)
	go func() {
		<-sigs
		cancel()
		<-sigs
		close(kill)
	}()
	r, err := orchestrate.New(o)
	if err == nil {
		switch op {
		case "up":
			_, err = r.Up(ctx)
		case "destroy":
			_, err = r.Destroy(ctx)
		case "preview":
			_, err = r.Preview(ctx)
		}
	}
	var cut *orchestrate.InterruptedError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &cut):
		fmt.Println(err)
		return 130
	default:
		fmt.Println("error:", err)
		return 1
	}
}

// leftovers are the processes of the engine that still run for this world.
func (w *world) leftovers() []string {
	var found []string
	dirs, _ := filepath.Glob("/proc/[0-9]*")
	for _, d := range dirs {
		env, err := os.ReadFile(d + "/environ")
		exe, _ := os.Readlink(d + "/exe")
		if self, _ := os.Readlink("/proc/self/exe"); err != nil || !strings.Contains(string(env), w.path("state")) || exe == self {
			continue
		}
		cmd, _ := os.ReadFile(d + "/cmdline")
		found = append(found, filepath.Base(d)+" "+strings.ReplaceAll(string(cmd), "\x00", " "))
	}
	return found
}

func (w *world) noLeftovers() {
	w.t.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for len(w.leftovers()) > 0 && time.Now().Before(deadline) {
		time.Sleep(50 * time.Millisecond)
	}
	assert.DeepEqual(w.t, w.leftovers(), []string(nil))
	locks, _ := filepath.Glob(w.path("state/.pulumi/locks/*/*/*/*.json"))
	assert.Equal(w.t, len(locks), 0, "locks left: %v", locks)
}

func abc() enginetest.Spec {
	return enginetest.Spec{Things: []enginetest.ThingSpec{
		{Name: "a", Text: "one"}, {Name: "b", Text: "two", After: []string{"a"}}, {Name: "c", Text: "three", After: []string{"b"}},
	}}
}

func TestUpCreatesThenChangesNothing(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	begin := time.Now()
	res, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	t.Logf("first up: %s", time.Since(begin))
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
	assert.DeepEqual(t, res.Changes, map[string]int{"create": 3})
	assert.Equal(t, res.Outputs["b"].Value, "two")
	assert.DeepEqual(t, res.Outputs["token"], orchestrate.Output{Value: orchestrate.Hidden, Secret: true})
	read, err := w.runner().Outputs(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, read["token"], orchestrate.Output{Value: "s3cr3t#value", Secret: true})

	begin = time.Now()
	res, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	t.Logf("second up: %s", time.Since(begin))
	assert.Assert(t, !res.Changed(), "%v", res.Changes)
	assert.Equal(t, len(w.cloud.Calls()), 3)
	w.noLeftovers()
}

// The owner is the backend's business: file, folder and settings go by the name alone.
func TestAStackOfAnOrganization(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	owned := func(o *orchestrate.Options) { o.Owner = "organization/emqx-oci" }
	res, err := w.runner(owned).Up(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, res.Stack, "lab")
	// A folder's only organization is this one, so it is the same stack without it.
	res, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, !res.Changed(), "%v", res.Changes)

	o := w.options()
	o.Owner = "somebody"
	r, err := orchestrate.New(o)
	assert.NilError(t, err)
	_, err = r.Up(t.Context())
	assert.ErrorContains(t, err, "organization", "the backend, not we, says who may own")
}

var _ = syscall.SIGKILL

func TestKilledInTheMiddleThenNextUpContinues(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	release := w.cloud.Hold("b")
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create b", 30*time.Second))
	assert.NilError(t, p.Process.Kill())
	p.wait(t, 5*time.Second)
	t.Log(p.out.String())
	go func() { time.Sleep(time.Second); release() }()

	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
	w.noLeftovers()
}

func TestEverythingKilledInTheMiddleThenNextUpContinues(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	before, release := time.Now(), w.cloud.Hold("b")
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create b", 30*time.Second))
	for _, l := range w.leftovers() {
		var pid int
		_, _ = fmt.Sscan(l, &pid)
		assert.NilError(t, syscall.Kill(pid, syscall.SIGKILL))
	}
	assert.NilError(t, p.Process.Kill())
	p.wait(t, 5*time.Second)
	release()
	for len(w.cloud.Names()) < 2 {
		time.Sleep(10 * time.Millisecond)
	}

	// b exists, and nobody wrote that down.
	_, err := w.runner(func(o *orchestrate.Options) {
		o.Find = func(_ *pulumi.Context, lost []interrupted.Lost) (map[string][]string, error) {
			assert.Equal(t, len(lost), 1)
			assert.Assert(t, !lost[0].Since.IsZero() && lost[0].Since.After(before), "%s", lost[0].Since)
			return map[string][]string{lost[0].URN: {w.cloud.ID("a"), w.cloud.ID(lost[0].Name)}}, nil // a is known
		}
	}).Up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
	w.noLeftovers()
}

func TestInterruptEndsCleanly(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	w.cloud.Delay("b", 2*time.Second)
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create b", 30*time.Second))
	assert.NilError(t, p.Process.Signal(os.Interrupt))
	p.wait(t, 20*time.Second)
	t.Log(p.out.String())
	assert.Equal(t, p.ProcessState.ExitCode(), 130)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b"})
	w.noLeftovers()

	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
}

// A provider that is interrupted gives up what the cloud goes on with: the state does not know how it ended.
func TestAnInterruptedRunMakesTheNextOneLookFirst(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, p *process)
	}{
		{"interrupted", func(t *testing.T, p *process) { assert.NilError(t, p.Process.Signal(os.Interrupt)) }},
		{"killed", func(t *testing.T, p *process) { assert.NilError(t, p.Process.Kill()) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			w.set(abc())
			_, err := w.runner().Up(t.Context())
			assert.NilError(t, err)
			w.cloud.Delay("c", time.Second)
			p := w.start("destroy")
			assert.NilError(t, w.cloud.Entered("delete c", 30*time.Second))
			c.end(t, p)
			p.wait(t, 20*time.Second)
			w.noLeftovers()
			w.cloud.Delay("c", 0)

			// The cloud goes on with b, takes its time, and shows it as if it stayed.
			looks, resumed := 0, 0
			waits := func(o *orchestrate.Options) {
				o.Fates = func(_ *pulumi.Context, held []interrupted.Held) (map[string]interrupted.Fate, error) {
					looks++
					fates := map[string]interrupted.Fate{}
					for _, h := range held {
						assert.Check(t, h.Inputs["name"] == h.Name, "%+v", h)
						switch {
						case h.Name != "b":
						case looks < 3:
							fates[h.ID] = interrupted.Ending
						default:
							fates[h.ID] = interrupted.Gone
						}
					}
					if looks == 3 {
						w.cloud.Change("b", "", nil)
					}
					return fates, nil
				}
				o.Resume = func(held []interrupted.Held) error {
					resumed++
					assert.Check(t, !slices.ContainsFunc(held, func(h interrupted.Held) bool { return h.Name == "b" }))
					if resumed == 1 {
						return errors.New("finish it")
					}
					return nil
				}
			}
			_, err = w.runner(waits).Preview(t.Context()) // settles nothing
			assert.NilError(t, err)
			assert.Equal(t, looks, 0)
			_, err = w.runner(waits).Up(t.Context())
			assert.ErrorContains(t, err, "finish it")
			if c.name == "interrupted" || looks > 0 { // an engine whose command was killed may end well
				assert.Equal(t, looks, 3)
				assert.DeepEqual(t, w.cloud.Names(), []string{"a"})
			}
			res, err := w.runner(waits).Up(t.Context())
			assert.NilError(t, err)
			assert.Equal(t, resumed, 2)
			assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
			assert.Assert(t, res.Changes["refresh"] > 0 || res.Changes["create"] > 0, "%v", res.Changes)

			// Once is enough.
			w.cloud.Change("b", "", nil)
			res, err = w.runner().Up(t.Context())
			assert.NilError(t, err)
			assert.Assert(t, !res.Changed(), "%v", res.Changes)
		})
	}
}

func TestInterruptEndsAGateAtOnce(t *testing.T) {
	w := newWorld(t)
	s := abc()
	s.Things[1].Gate = w.path("gate")
	w.set(s)
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create a", 30*time.Second))
	time.Sleep(time.Second)
	begin := time.Now()
	assert.NilError(t, p.Process.Signal(os.Interrupt))
	p.wait(t, 20*time.Second)
	t.Log(p.out.String())
	assert.Assert(t, time.Since(begin) < 5*time.Second)
	assert.Equal(t, p.ProcessState.ExitCode(), 130)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a"})
	w.noLeftovers()
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	release := w.cloud.Hold("b")
	defer release()
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create b", 30*time.Second))
	assert.NilError(t, p.Process.Signal(os.Interrupt))
	time.Sleep(500 * time.Millisecond)
	begin := time.Now()
	assert.NilError(t, p.Process.Signal(os.Interrupt))
	p.wait(t, 20*time.Second)
	t.Log(p.out.String())
	assert.Assert(t, time.Since(begin) < 4*time.Second, "%s", time.Since(begin))
	assert.Equal(t, p.ProcessState.ExitCode(), 130)
	assert.DeepEqual(t, w.leftovers(), []string(nil))
	release()

	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	w.noLeftovers()
}

func TestSecondRunSaysWhoHoldsTheStack(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	release := w.cloud.Hold("b")
	p := w.start("up")
	assert.NilError(t, w.cloud.Entered("create b", 30*time.Second))
	_, err := w.runner().Up(t.Context())
	var locked *orchestrate.LockedError
	assert.Assert(t, errors.As(err, &locked), "%v", err)
	t.Log(err)
	assert.Assert(t, strings.HasPrefix(err.Error(), `stack "lab" is locked by root@`), "%v", err)
	release()
	p.wait(t, 20*time.Second)
	assert.Equal(t, p.ProcessState.ExitCode(), 0, p.out.String())
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
	w.noLeftovers()
}

func TestFailureHalfWayThenNextUpContinues(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	w.cloud.Fail("b", "the cloud has no room for b")
	_, err := w.runner().Up(t.Context())
	assert.Error(t, err, "up failed: sim:Thing b: the cloud has no room for b")
	assert.DeepEqual(t, w.cloud.Names(), []string{"a"})
	w.noLeftovers()

	w.cloud.Fail("b", "")
	_, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, w.cloud.Calls(), []string{"create a", "create b", "create c"})
}

func TestFailingGateGivesItsReason(t *testing.T) {
	w := newWorld(t)
	s := abc()
	s.Things[1].Gate, s.Things[1].GateTimeout = w.path("gate"), 1
	w.set(s)
	_, err := w.runner().Up(t.Context())
	t.Log(err)
	assert.ErrorContains(t, err, "0/1 files: gate is missing")
	for _, noise := range []string{"code:", "stdout", "hook", "rpc error", "%!"} {
		assert.Assert(t, !strings.Contains(err.Error(), noise), "%q in: %v", noise, err)
	}
	assert.DeepEqual(t, w.cloud.Names(), []string{"a"})
	w.file("gate", "")
	_, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, w.cloud.Names(), []string{"a", "b", "c"})
}

func TestFailingProgramGivesItsReasonOnce(t *testing.T) {
	w := newWorld(t)
	w.set(enginetest.Spec{Fail: "verifying the cluster after the update: G2 cluster formed: 2/3 members"})
	_, err := w.runner().Up(t.Context())
	assert.Error(t, err, "up failed: verifying the cluster after the update: G2 cluster formed: 2/3 members")
	w.set(abc())
	w.cloud.Fail("a", "not today")
	w.cloud.Fail("b", "not today, either")
	s := abc()
	s.Things[1].After = nil
	w.set(s)
	_, err = w.runner().Up(t.Context())
	assert.ErrorContains(t, err, ": not today") // a's or b's: the engine stops at the first of two that are under way
}

func TestPreviewShowsChangesAndTouchesNothing(t *testing.T) {
	w := newWorld(t)
	s := abc()
	s.Things[0].Text = "job {\n  count = 3\n  name = \"x\"\n}\n"
	s.Things[1].Zone = "one"
	w.set(s)
	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	calls := len(w.cloud.Calls())

	s.Things[0].Text = "job {\n  count = 5\n  name = \"x\"\n}\n"
	s.Things[1].Zone = "two"
	s.Things[2] = enginetest.ThingSpec{Name: "d", Text: "new"}
	w.set(s)
	var out strings.Builder
	res, err := w.runner(func(o *orchestrate.Options) { o.View = progress.NewPlain(&out, false) }).Preview(t.Context())
	assert.NilError(t, err)
	t.Log(out.String())
	for _, want := range []string{
		" ~ sim:Thing a\n", "-   count = 3\n", "+   count = 5\n", "+- sim:Thing b\n", `~ zone: "one" -> "two"  (needs a new resource)`,
		" + sim:Thing d\n", " - sim:Thing c\n", "1 to create, 1 to update, 1 to replace, 1 to delete\n",
	} {
		assert.Assert(t, strings.Contains(out.String(), want), "missing %q in:\n%s", want, out.String())
	}
	assert.DeepEqual(t, res.Changes, map[string]int{"create": 1, "update": 1, "replace": 1, "delete": 1})
	var plan []string
	for _, e := range res.Plan {
		assert.Equal(t, e.Kind, progress.KindPlan)
		plan = append(plan, e.Op+" "+e.Name)
	}
	slices.Sort(plan)
	assert.DeepEqual(t, plan, []string{"create d", "delete c", "replace b", "update a"})
	assert.Equal(t, len(w.cloud.Calls()), calls)
}

// Plain `pulumi destroy` finds out in its preview; without one everything around a protected resource would go first.
func TestDestroyTouchesNothingAroundAProtectedResource(t *testing.T) {
	w := newWorld(t)
	s := abc()
	s.Things[0].Protect, s.Things[2].Protect = true, true
	w.set(s)
	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	calls := len(w.cloud.Calls())
	_, err = w.runner().Destroy(t.Context())
	var protected *orchestrate.ProtectedError
	assert.Assert(t, errors.As(err, &protected), "%v", err)
	assert.Equal(t, len(protected.Resources), 2, "%v", err)
	assert.Assert(t, strings.Contains(err.Error(), `stack "lab" protects:`) && strings.Contains(err.Error(), " a ") && strings.Contains(err.Error(), " c "), "%v", err)
	assert.Equal(t, protected.ExitCode(), 3)
	assert.Equal(t, len(w.cloud.Calls()), calls)

	w.set(abc())
	_, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	_, err = w.runner().Destroy(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(w.cloud.Names()), 0)
}

func TestDestroyLeavesNothing(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	_, err := w.runner().Destroy(t.Context())
	var never *orchestrate.NotCreatedError
	assert.Assert(t, errors.As(err, &never), "%v", err)
	_, err = w.runner().Up(t.Context())
	assert.NilError(t, err)
	_, err = w.runner().Refresh(t.Context())
	assert.NilError(t, err)
	res, err := w.runner().Destroy(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, res.Changes["delete"], 3)
	assert.Equal(t, len(w.cloud.Names()), 0)
	w.noLeftovers()
}

func TestStackFilesAndSecretsStayPut(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	before := map[string]string{}
	files := []string{"project/Pulumi.yaml", "project/Pulumi.lab.yaml"}
	for _, f := range files {
		b, err := os.ReadFile(w.path(f))
		assert.NilError(t, err)
		before[f] = string(b)
	}
	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	out, err := w.runner().Outputs(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, out["token"].Value, "s3cr3t#value")
	assert.Equal(t, out.Plain(false)["token"], orchestrate.Hidden)
	for _, f := range files {
		b, err := os.ReadFile(w.path(f))
		assert.NilError(t, err)
		assert.Equal(t, string(b), before[f])
	}
	// Nowhere, the engine's texts included.
	found, _ := exec.Command("grep", "-rl", "s3cr3t#value", w.dir).Output()
	assert.Equal(t, string(found), "")
	st, err := os.Stat(w.path("stage/lab"))
	assert.NilError(t, err)
	assert.Equal(t, st.Mode().Perm(), os.FileMode(0o700))
}
