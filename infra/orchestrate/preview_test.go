//go:build lab

package orchestrate_test

import (
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// names are "op name" of events, sorted.
func names(events []progress.Event) []string {
	var all []string
	for _, e := range events {
		all = append(all, e.Op+" "+e.Name)
	}
	slices.Sort(all)
	return all
}

func TestPreviewReadsTheCloudsFirstWhenAsked(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	_, err := w.runner().Up(t.Context())
	assert.NilError(t, err)
	w.cloud.Change("b", "text", "by hand")
	w.cloud.Change("c", "", nil)
	calls := len(w.cloud.Calls())

	var out strings.Builder
	refresh := func(o *orchestrate.Options) { o.Refresh, o.View = true, progress.NewPlain(&out, false) }
	res, err := w.runner(refresh).Preview(t.Context())
	assert.NilError(t, err)
	t.Log(out.String())
	assert.DeepEqual(t, names(res.Drift), []string{"delete c", "update b"})
	assert.DeepEqual(t, names(res.Plan), []string{"create c", "update b"})
	assert.DeepEqual(t, res.Changes, map[string]int{"create": 1, "update": 1, "same": 1})
	for _, want := range []string{
		" ! sim:Thing b  (changed outside the stack)\n", `~ text: "two" -> "by hand"`, " ! sim:Thing c  (is gone)\n",
		" ~ sim:Thing b\n", `~ text: "by hand" -> "two"`, " + sim:Thing c\n",
	} {
		assert.Assert(t, strings.Contains(out.String(), want), "missing %q in:\n%s", want, out.String())
	}

	// Nothing of it was written down, and nothing touched.
	res, err = w.runner().Preview(t.Context())
	assert.NilError(t, err)
	assert.DeepEqual(t, res.Changes, map[string]int{"same": 3})
	assert.Equal(t, len(res.Plan)+len(res.Drift), 0)
	assert.Equal(t, len(w.cloud.Calls()), calls)
	w.noLeftovers()
}

// coded is an error with an exit code of its own.
type coded struct{ error }

func (coded) ExitCode() int { return 7 }

func TestFinalErrorHasTheLastWord(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	var out strings.Builder
	var judged orchestrate.Result
	res, err := w.runner(func(o *orchestrate.Options) {
		o.View = progress.NewJSON(&out)
		o.FinalError = func(res orchestrate.Result, err error) error {
			assert.NilError(t, err)
			judged = res
			return coded{errors.New("not like this")}
		}
	}).Preview(t.Context())
	assert.Error(t, err, "not like this")
	assert.DeepEqual(t, names(judged.Plan), []string{"create a", "create b", "create c"})
	assert.DeepEqual(t, judged.Operation+" "+judged.Stack, "preview lab")
	assert.DeepEqual(t, res.Changes, map[string]int{"create": 3})
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	var last struct {
		Event, Result, Error string
		Changes              map[string]int
		ExitCode             int
	}
	assert.NilError(t, json.Unmarshal([]byte(lines[len(lines)-1]), &last))
	assert.Equal(t, last.Event+" "+last.Result+" "+last.Error, "summary failed not like this")
	assert.Equal(t, last.ExitCode, 7)
	assert.DeepEqual(t, last.Changes, map[string]int{"create": 3})
}

// The update performs what was previewed, and asks the engine nothing twice.
func TestPreviewThenUpOpensTheStackOnce(t *testing.T) {
	w := newWorld(t)
	w.set(abc())
	w.file("pulumi", "#!/bin/sh\necho \"$*\" >>"+w.path("calls")+"\nexec "+pulumiCommand(t)+" \"$@\"\n")
	assert.NilError(t, os.Chmod(w.path("pulumi"), 0o755))
	r := w.runner(func(o *orchestrate.Options) { o.PulumiCommand = w.path("pulumi") })
	_, err := r.Preview(t.Context())
	assert.NilError(t, err)
	before := w.calls()
	t.Log(strings.Join(before, "\n"))
	w.file("project/Pulumi.lab.yaml", "config: {emqx-oci:nodes: {count: 5}}\n")
	res, err := r.Up(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, len(w.cloud.Names()), 3)
	assert.Equal(t, res.Outputs["b"].Value, "two")
	asked := w.calls()[len(before):]
	t.Log(strings.Join(asked, "\n"))
	for _, c := range asked {
		for _, again := range []string{"version", "stack select", "stack init", "config"} {
			assert.Assert(t, !strings.Contains(c, again), c)
		}
	}
	staged, err := os.ReadFile(w.path("stage/lab/Pulumi.lab.yaml"))
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(staged), "count: 3"), string(staged))
	w.noLeftovers()
}

func (w *world) calls() []string {
	w.t.Helper()
	b, err := os.ReadFile(w.path("calls"))
	assert.NilError(w.t, err)
	return strings.Split(strings.TrimSpace(string(b)), "\n")
}
