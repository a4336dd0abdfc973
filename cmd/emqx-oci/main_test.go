package main

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/registrations"
)

// labProgram puts a program into a folder that is on PATH.
func labProgram(t *testing.T, script string) (env []string) {
	t.Helper()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "emqx-oci-lab"), []byte("#!/bin/sh\n"+script), 0o700))
	return append(os.Environ(), "PATH="+dir+string(os.PathListSeparator)+os.Getenv("PATH"))
}

// The settings and the command line agree on which clouds have a program of their own.
func TestEveryCloudButOCIHasItsProgram(t *testing.T) {
	for _, f := range settings.Spec().Values() {
		if f.Path != "cloud" {
			continue
		}
		assert.Assert(t, slices.Contains(f.OneOf, "oci") && len(f.OneOf) > 1, "%v", f.OneOf)
		for _, name := range append(f.OneOf, "", "labb") {
			assert.Equal(t, extension(name, "", "") != nil, name != "oci" && slices.Contains(f.OneOf, name), name)
		}
	}
}

// `emqx-oci lab` is the lab's program: same process, same input, its own words and its own exit code.
func TestLabBecomesItsProgram(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), registrations.Link(t, "emqx-oci"), "lab", "exec", "--in", "x", "--", "a b", "--json")
	cmd.Env = labProgram(t, `printf '%s|' $$ "$@"; cat; echo complaint >&2; exit 7`)
	cmd.Stdin = strings.NewReader("input")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	assert.Equal(t, cmd.ProcessState.ExitCode(), 7, "%v", err)
	pid, rest, _ := strings.Cut(out.String(), "|")
	assert.Equal(t, pid, strconv.Itoa(cmd.Process.Pid))
	assert.Equal(t, rest, "exec|--in|x|--|a b|--json|input")
	assert.Equal(t, errs.String(), "complaint\n")
}

// What emqx-oci does with signals is forgotten by then.
func TestSignalsReachTheLabsProgram(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), registrations.Link(t, "emqx-oci"), "lab", "daemon")
	cmd.Env = labProgram(t, `trap 'echo told; exit 9' INT HUP TERM; echo ready; while :; do sleep 0.05; done`)
	out, err := cmd.StdoutPipe()
	assert.NilError(t, err)
	assert.NilError(t, cmd.Start())
	lines := bufio.NewScanner(out)
	assert.Assert(t, lines.Scan() && lines.Text() == "ready", lines.Text())
	assert.NilError(t, cmd.Process.Signal(syscall.SIGHUP))
	assert.Assert(t, lines.Scan() && lines.Text() == "told", lines.Text())
	_ = cmd.Wait()
	assert.Equal(t, cmd.ProcessState.ExitCode(), 9)
}

func TestLabWithoutItsProgram(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), registrations.Link(t, "emqx-oci"), "lab", "up")
	cmd.Env = append(os.Environ(), "PATH="+t.TempDir())
	out, err := cmd.CombinedOutput()
	assert.Equal(t, cmd.ProcessState.ExitCode(), 1, "%v", err)
	assert.Assert(t, strings.HasPrefix(string(out), "error: emqx-oci-lab is a program of its own, and neither in /") &&
		strings.Contains(string(out), `nor on PATH: "make build"`), "%s", out)
}
