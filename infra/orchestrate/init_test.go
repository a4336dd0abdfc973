//go:build lab

package orchestrate_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

const newStack = "# kept\n\nconfig:\n  # kept, too\n  emqx-oci:nodes: {count: 3}\n\n  # the secrets\n"

var newSecrets = map[string]string{"emqx-oci:secrets.a": "first secret", "emqx-oci:secrets.b": "second secret"}

func (w *world) initOptions() orchestrate.InitOptions {
	return orchestrate.InitOptions{
		ProjectDir: w.project, Stack: "prod", Env: w.env(), PulumiCommand: os.Getenv("ORCHESTRATE_TEST_PULUMI"),
	}
}

// untouched checks that nothing of the stack is left, in the project, in the backend, or on the way there.
func (w *world) untouched() {
	w.t.Helper()
	entries, err := os.ReadDir(w.project)
	assert.NilError(w.t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	assert.DeepEqual(w.t, names, []string{"Pulumi.lab.yaml", "Pulumi.yaml"})
	w.noStack()
}

func (w *world) noStack() {
	w.t.Helper()
	_, err := os.Stat(filepath.Join(w.path("state"), ".pulumi", "stacks", "emqx-oci", "prod.json"))
	assert.Assert(w.t, os.IsNotExist(err), "the stack is in the backend: %v", err)
	left, err := filepath.Glob(filepath.Join(os.TempDir(), "emqx-oci-init-*"))
	assert.NilError(w.t, err)
	assert.Equal(w.t, len(left), 0, "%v", left)
}

func initWorld(t *testing.T) *world {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	return newWorld(t)
}

func TestInitWritesAFileThatTheEngineReads(t *testing.T) {
	w := initWorld(t)
	i, err := orchestrate.NewInitializer(t.Context(), w.initOptions())
	assert.NilError(t, err)
	assert.Equal(t, i.Backend, "file://"+w.path("state")+"?metadata=skip")
	w.untouched()
	file, err := i.Write(t.Context(), []byte(newStack), newSecrets)
	assert.NilError(t, err)
	text, err := os.ReadFile(file)
	assert.NilError(t, err)
	assert.Assert(t, strings.HasPrefix(string(text), newStack), "%s", text)
	for _, secret := range newSecrets {
		assert.Assert(t, !strings.Contains(string(text), secret), "%s", text)
	}
	var seen orchestrate.Config
	r := w.runner(func(o *orchestrate.Options) {
		o.Stack, o.ExtraSecrets = "prod", nil
		o.Validate = func(c orchestrate.Config) error { seen = c; return errors.New("enough") }
	})
	_, err = r.Preview(t.Context())
	assert.ErrorContains(t, err, "enough")
	secrets, _ := seen.Get("secrets")
	assert.Equal(t, secrets, `{"a":"first secret","b":"second secret"}`)
	assert.Assert(t, seen.IsSecret("secrets"))
}

func TestInitIsRefusedBeforeAnythingIsAsked(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*world, *orchestrate.InitOptions)
		want   string
	}{
		"a file": {func(w *world, _ *orchestrate.InitOptions) { w.file("project/Pulumi.prod.yaml", "mine") }, "is there already and stays as it is"},
		"a link to nowhere": {func(w *world, _ *orchestrate.InitOptions) {
			assert.NilError(t, os.Symlink("nowhere", w.path("project/Pulumi.prod.yaml")))
		}, "is there already and stays as it is"},
		"a name":        {func(_ *world, o *orchestrate.InitOptions) { o.Stack = "../prod" }, "cannot be a stack's name"},
		"no login":      {func(_ *world, o *orchestrate.InitOptions) { delete(o.Env, "PULUMI_BACKEND_URL") }, `nobody is logged in`},
		"no passphrase": {func(_ *world, o *orchestrate.InitOptions) { delete(o.Env, "PULUMI_CONFIG_PASSPHRASE") }, "PULUMI_CONFIG_PASSPHRASE"},
		"no pulumi":     {func(_ *world, o *orchestrate.InitOptions) { o.PulumiCommand = "/none/pulumi" }, "/none/pulumi"},
		"a stack of old": {func(w *world, o *orchestrate.InitOptions) {
			w.makeStack(o)
			assert.NilError(w.t, os.Remove(w.path("project/Pulumi.prod.yaml")))
		}, "pulumi stack rm prod"},
		"an unread folder": {func(w *world, o *orchestrate.InitOptions) { o.ProjectDir = w.path("nothing") }, "reading the project"},
	} {
		t.Run(name, func(t *testing.T) {
			for _, key := range []string{"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL", "PULUMI_ACCESS_TOKEN"} {
				t.Setenv(key, "")
				assert.NilError(t, os.Unsetenv(key))
			}
			w := initWorld(t)
			o := w.initOptions()
			c.change(w, &o)
			_, err := orchestrate.NewInitializer(t.Context(), o)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func (w *world) makeStack(o *orchestrate.InitOptions) {
	w.t.Helper()
	i, err := orchestrate.NewInitializer(w.t.Context(), *o)
	assert.NilError(w.t, err)
	_, err = i.Write(w.t.Context(), []byte(newStack), newSecrets)
	assert.NilError(w.t, err)
}

func TestInitLeavesAFileThatAppearsMeanwhile(t *testing.T) {
	w := initWorld(t)
	i, err := orchestrate.NewInitializer(t.Context(), w.initOptions())
	assert.NilError(t, err)
	w.file("project/Pulumi.prod.yaml", "somebody's")
	_, err = i.Write(t.Context(), []byte(newStack), newSecrets)
	var exists *orchestrate.ExistsError
	assert.Assert(t, errors.As(err, &exists), "%v", err)
	text, err := os.ReadFile(w.path("project/Pulumi.prod.yaml"))
	assert.NilError(t, err)
	assert.Equal(t, string(text), "somebody's")
	w.noStack()
}

func TestTwoInitsAtOnceMakeOneStack(t *testing.T) {
	w := initWorld(t)
	var group sync.WaitGroup
	errs := make([]error, 2)
	var both []*orchestrate.Initializer
	for range errs {
		i, err := orchestrate.NewInitializer(t.Context(), w.initOptions())
		assert.NilError(t, err)
		both = append(both, i)
	}
	for n, i := range both {
		group.Go(func() { _, errs[n] = i.Write(context.Background(), []byte(newStack), newSecrets) })
	}
	group.Wait()
	assert.Assert(t, (errs[0] == nil) != (errs[1] == nil), "%v", errs)
	_, err := os.Stat(filepath.Join(w.path("state"), ".pulumi", "stacks", "emqx-oci", "prod.json"))
	assert.NilError(t, err)
	_, err = os.Stat(w.path("project/Pulumi.prod.yaml"))
	assert.NilError(t, err)
}

// TestInitThatIsCancelledLeavesNothing cancels where the pulumi command is at work, whatever time it takes to come there.
func TestInitThatIsCancelledLeavesNothing(t *testing.T) {
	for name, at := range map[string]string{
		"before the stack is made": "stack init before",
		"when the stack is made":   "stack init after",
		"before a secret is":       "config set before",
		"when a secret is":         "config set after",
	} {
		t.Run(name, func(t *testing.T) {
			w := initWorld(t)
			o := w.initOptions()
			var reached func() bool
			o.PulumiCommand, reached = w.pulumiThatHalts(at)
			i, err := orchestrate.NewInitializer(t.Context(), o)
			assert.NilError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			go func() {
				for ctx.Err() == nil && !reached() {
					time.Sleep(10 * time.Millisecond)
				}
				cancel()
			}()
			_, err = i.Write(ctx, []byte(newStack), newSecrets)
			assert.ErrorIs(t, err, context.Canceled)
			assert.Assert(t, reached(), "it was never at %q", at)
			w.untouched()
		})
	}
}

// pulumiThatHalts is the pulumi command, but that it halts until it is interrupted once it is at a point: its two words
// and whether before or after its work. reached says whether it has come there.
func (w *world) pulumiThatHalts(at string) (path string, reached func() bool) {
	w.t.Helper()
	path, mark := w.path("pulumi-that-halts"), w.path("halted")
	script := `#!/bin/bash
words="$*" words="${words#--non-interactive }"
case $words in "stack init "* | "config set "*) ;; *) exec "$PULUMI" "$@" ;; esac
halt() {
  [[ "$AT" == "$(cut -d' ' -f1,2 <<<"$words") $1" ]] || return 0
  trap 'exit 130' INT
  touch "$MARK"
  while :; do sleep 0.05; done
}
halt before
"$PULUMI" "$@" || exit
halt after
`
	for name, value := range map[string]string{"PULUMI": pulumiCommand(w.t), "AT": at, "MARK": mark} {
		script = strings.ReplaceAll(script, `"$`+name+`"`, "'"+value+"'")
	}
	assert.NilError(w.t, os.WriteFile(path, []byte(script), 0o700))
	return path, func() bool {
		_, err := os.Stat(mark)
		return err == nil
	}
}

func TestInitThatFailsLeavesNothing(t *testing.T) {
	w := initWorld(t)
	o := w.initOptions()
	o.SecretsProvider = "bogus://key"
	i, err := orchestrate.NewInitializer(t.Context(), o)
	assert.NilError(t, err)
	_, err = i.Write(t.Context(), []byte(newStack), newSecrets)
	assert.ErrorContains(t, err, "unknown secrets provider type 'bogus'")
	w.untouched()

	i, err = orchestrate.NewInitializer(t.Context(), w.initOptions())
	assert.NilError(t, err)
	_, err = i.Write(t.Context(), []byte("config: {not: [yaml\n"), newSecrets)
	assert.ErrorContains(t, err, "writing the stack's new file")
	w.untouched()
}
