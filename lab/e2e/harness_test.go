//go:build lab

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// bed is one lab and one project folder, with the commands as a user types them. Its lab stands
// beside a user's, beside that of another story, and beside another run of the suite: it has a name
// and a door of its own.
type bed struct {
	labName, door string
	dir, project  string
	bin, tools    string
}

// beds are those of the stories that run, by the story's name; made counts all of this process.
var (
	beds sync.Map
	made atomic.Int32
)

// bedOf is the bed that a test's story plays on.
func bedOf(t *testing.T) *bed {
	t.Helper()
	story, _, _ := strings.Cut(t.Name(), "/")
	b, found := beds.Load(story)
	assert.Assert(t, found, "%s has no bed yet", story)
	return b.(*bed)
}

// quiet is held for reading by each chapter, and for writing by one that wants the machine to itself.
var quiet sync.RWMutex

func newBed(t *testing.T) *bed {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("the end-to-end suite needs root")
	}
	bin, tools := os.Getenv("EMQX_OCI_BIN"), os.Getenv("EMQX_OCI_TOOLS")
	if bin == "" || tools == "" {
		t.Fatal("EMQX_OCI_BIN and EMQX_OCI_TOOLS are not set: run `make e2e`")
	}
	n, pid := int(made.Add(1)-1), os.Getpid()
	b := &bed{
		// No name is the beginning of another: what is left of a lab is found by it.
		labName: fmt.Sprintf("%c2e%07d", 'e'+n%20, pid%10_000_000), door: fmt.Sprintf("127.%d.%d.%d", 79+n%100, pid>>8&255, 1+pid%254),
		bin: bin, tools: tools,
	}
	// Not under t.TempDir: its path is too long for some of the lab's sockets.
	dir, err := os.MkdirTemp("/var/tmp", b.labName+"-")
	assert.NilError(t, err)
	b.dir, b.project = filepath.Join(dir, "lab"), filepath.Join(dir, "project")
	beds.Store(t.Name(), b)
	t.Cleanup(func() {
		// A folder that a lab still uses is what finds the rest of it: it stays.
		if r := b.run(t, "lab", "down"); r.code != 0 {
			t.Errorf("removing the lab: %s", r)
			return
		}
		assert.Check(t, os.RemoveAll(dir))
	})

	assert.NilError(t, os.MkdirAll(b.project, 0o755))
	for _, name := range []string{"Pulumi.yaml", "Pulumi.lab.yaml"} {
		text, err := os.ReadFile(filepath.Join("..", "..", name))
		assert.NilError(t, err)
		b.write(t, name, strings.ReplaceAll(string(text), "127.0.77.1", b.door))
	}
	return b
}

func (b *bed) write(t *testing.T, name, text string) {
	t.Helper()
	assert.NilError(t, os.WriteFile(filepath.Join(b.project, name), []byte(text), 0o644))
}

// edit replaces one passage of the lab's stack file, which has to be there once.
func (b *bed) edit(t *testing.T, from, to string) {
	t.Helper()
	path := filepath.Join(b.project, "Pulumi.lab.yaml")
	text, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Equal(t, strings.Count(string(text), from), 1, "%q in the stack file", from)
	b.write(t, "Pulumi.lab.yaml", strings.Replace(string(text), from, to, 1))
}

// givenImages names the variable with archives of images that the suite's labs are given, a
// colon between two: one of the real EMQX, say. What is in none of them a lab pulls, or makes.
const givenImages = "EMQX_OCI_E2E_IMAGES"

func (b *bed) command(ctx context.Context, args ...string) *exec.Cmd {
	if len(args) > 1 && args[0] == "lab" && args[1] == "up" {
		for _, archive := range filepath.SplitList(os.Getenv(givenImages)) {
			args = append(args, "--image", archive)
		}
	}
	cmd := exec.CommandContext(ctx, filepath.Join(b.bin, "emqx-oci"), args...)
	cmd.Dir = b.project
	cmd.Env = append(os.Environ(),
		"EMQX_OCI_LAB_DIR="+b.dir, "EMQX_OCI_LAB_NAME="+b.labName, "EMQX_OCI_LAB_DOOR="+b.door,
		"NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	return cmd
}

// chapter is a part of a story: without it nothing that follows would mean anything. Chapters of
// another story may be played meanwhile, on the same machine.
func (b *bed) chapter(t *testing.T, name string, f func(*testing.T, *bed)) {
	t.Helper()
	quiet.RLock()
	defer quiet.RUnlock()
	b.play(t, name, f)
}

// undisturbed is a chapter that needs all of the machine: it measures, or it loads it so much that
// others would be late.
func (b *bed) undisturbed(t *testing.T, name string, f func(*testing.T, *bed)) {
	t.Helper()
	quiet.Lock()
	defer quiet.Unlock()
	b.play(t, name, f)
}

// chapters are those of a story that is told in one function.
func (b *bed) chapters(t *testing.T) func(name string, f func(*testing.T)) {
	return func(name string, f func(*testing.T)) {
		t.Helper()
		b.chapter(t, name, func(t *testing.T, _ *bed) { f(t) })
	}
}

// deploy makes the lab, and on it what the stack file says.
func (b *bed) deploy(t *testing.T) {
	t.Helper()
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
}

func (b *bed) play(t *testing.T, name string, f func(*testing.T, *bed)) {
	t.Helper()
	if !t.Run(name, func(t *testing.T) { f(t, b) }) {
		b.diagnose(t)
		t.FailNow()
	}
}

// result is what a command left: its exit code, and all that it printed.
type result struct {
	code           int
	stdout, stderr string
	took           time.Duration
}

// The error output comes first: of a long text, who keeps the log may cut the rest.
func (r result) String() string {
	return fmt.Sprintf("exit %d after %s\n%s%s", r.code, r.took.Round(100*time.Millisecond), r.stderr, r.stdout)
}

// run runs a command to its end.
func (b *bed) run(t *testing.T, args ...string) result {
	t.Helper()
	// Not the test's own context: it has ended when clean-up runs.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	var stdout, stderr bytes.Buffer
	cmd := b.command(ctx, args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	start := time.Now()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("emqx-oci %s: %v", strings.Join(args, " "), err)
	}
	r := result{cmd.ProcessState.ExitCode(), stdout.String(), stderr.String(), time.Since(start)}
	t.Logf("emqx-oci %s: exit %d after %s", strings.Join(args, " "), r.code, r.took.Round(100*time.Millisecond))
	return r
}

// must runs a command that has to succeed.
func (b *bed) must(t *testing.T, args ...string) result {
	t.Helper()
	r := b.run(t, args...)
	assert.Equal(t, r.code, 0, "emqx-oci %s: %s", strings.Join(args, " "), r)
	return r
}

// start runs a command in the background; its output goes to w.
func (b *bed) start(t *testing.T, w io.Writer, args ...string) *exec.Cmd {
	t.Helper()
	cmd := b.command(context.Background(), args...)
	cmd.Stdout, cmd.Stderr = w, w
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() {
		if cmd.ProcessState == nil { // else its number may be another's by now
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return cmd
}

func nomadClient(t *testing.T) *nomad.Client {
	t.Helper()
	c, err := nomad.NewClient(&nomad.Config{Address: "http://" + bedOf(t).door + ":4646"})
	assert.NilError(t, err)
	return c
}

func consulClient(t *testing.T) *consul.Client {
	t.Helper()
	c, err := consul.NewClient(&consul.Config{Address: bedOf(t).door + ":8500"})
	assert.NilError(t, err)
	return c
}

// eventually polls a condition and fails with what it said last.
func eventually(t *testing.T, within time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, within, err)
		}
		time.Sleep(200 * time.Millisecond)
	}
}
