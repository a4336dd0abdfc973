package beside

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// script puts a program into a folder.
func script(t *testing.T, dir, name, text string) string {
	t.Helper()
	path := filepath.Join(dir, name)
	assert.NilError(t, os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700))
	return path
}

func TestFind(t *testing.T) {
	real, links, path := t.TempDir(), t.TempDir(), t.TempDir()
	t.Setenv("PATH", path)
	link := filepath.Join(links, "emqx-oci")
	assert.NilError(t, os.Symlink(script(t, real, "emqx-oci", ""), link))
	p := Program{Name: "emqx-oci-lab", Executable: link}

	_, err := p.Find()
	var missing *MissingError
	assert.Assert(t, errors.As(err, &missing))
	real, evalErr := filepath.EvalSymlinks(real)
	assert.NilError(t, evalErr)
	assert.ErrorContains(t, err, "emqx-oci-lab is a program of its own, and neither in "+real+` nor on PATH: "make build"`)

	onPath := script(t, path, "emqx-oci-lab", "")
	got, err := p.Find()
	assert.NilError(t, err)
	assert.Equal(t, got, onPath)

	// What is no program is passed over; the one beside what a link leads to comes first.
	assert.NilError(t, os.WriteFile(filepath.Join(real, "emqx-oci-lab"), nil, 0o600))
	got, err = p.Find()
	assert.NilError(t, err)
	assert.Equal(t, got, onPath)
	beside := script(t, links, "emqx-oci-lab", "")
	got, err = p.Find()
	assert.NilError(t, err)
	assert.Equal(t, got, onPath, "%s is beside the link, not the program", beside)
	assert.NilError(t, os.Chmod(filepath.Join(real, "emqx-oci-lab"), 0o700)) //nolint:gosec // a program
	got, err = p.Find()
	assert.NilError(t, err)
	assert.Equal(t, got, filepath.Join(real, "emqx-oci-lab"))
}

func TestOutput(t *testing.T) {
	t.Setenv("PATH", t.TempDir()+string(os.PathListSeparator)+os.Getenv("PATH"))
	dir := t.TempDir()
	p := Program{Name: "other", Executable: filepath.Join(dir, "one")}
	for name, c := range map[string]struct {
		script, out, want string
		code              int
	}{
		"well":           {script: `echo "$2"; echo chatter >&2`, out: "x y\n"},
		"its own words":  {script: `echo chatter >&2; echo "error: the lab is not running: start it" >&2; echo and more >&2; exit 2`, want: "the lab is not running: start it\nand more", code: 2},
		"without words":  {script: `exit 3`, want: "running " + dir + "/other attach x y: exit status 3"},
		"ended by force": {script: `echo "error: half" >&2; kill -9 $$`, want: "running " + dir + "/other attach x y: signal: killed"},
	} {
		t.Run(name, func(t *testing.T) {
			script(t, dir, "other", c.script)
			out, err := p.Output(t.Context(), "attach", "x y")
			assert.Equal(t, string(out), c.out)
			if c.want == "" {
				assert.NilError(t, err)
				return
			}
			assert.Error(t, err, c.want)
			var coded interface{ ExitCode() int }
			if c.code != 0 {
				assert.Assert(t, errors.As(err, &coded))
				assert.Equal(t, coded.ExitCode(), c.code)
			}
		})
	}
}

func TestOutputEndsWithItsContext(t *testing.T) {
	dir := t.TempDir()
	told := filepath.Join(dir, "told")
	script(t, dir, "other", `trap 'echo > "$1"; exit 143' TERM; echo > "$1.ready"; while :; do sleep 0.05; done`)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
			if _, err := os.Stat(told + ".ready"); err == nil {
				break
			}
		}
		cancel()
	}()
	_, err := Program{Name: "other", Executable: filepath.Join(dir, "one")}.Output(ctx, told)
	assert.ErrorIs(t, err, context.Canceled)
	_, err = os.Stat(told)
	assert.NilError(t, err, "it is told, and may end in order")
}

func TestBecomeTellsWhatIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	dir := t.TempDir()
	p := Program{Name: "other", Executable: filepath.Join(dir, "one")}
	assert.ErrorContains(t, p.Become("x"), "other is a program of its own")
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "other"), []byte("no program"), 0o700)) //nolint:gosec // one that cannot run
	err := p.Become("x")
	assert.Assert(t, err != nil && strings.HasPrefix(err.Error(), "running "+dir+"/other: "), "%v", err)
}
