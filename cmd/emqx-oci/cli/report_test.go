package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// planner is an engine whose preview has a plan.
type planner struct {
	*fake
	err error // the preview's end, after the plan
}

func (p *planner) Preview(context.Context) (orchestrate.Result, error) {
	p.calls = append(p.calls, "preview")
	v := p.opts.View
	v.Begin(progress.Preview, p.opts.Stack)
	if p.err == nil || isRefused(p.err) {
		if err := p.opts.Validate(orchestrate.Config{}); err != nil {
			return orchestrate.Result{}, err
		}
		v.Events([]progress.Event{
			{Kind: progress.KindMessage, Severity: "warning", Message: "an even number of nodes"},
			{Kind: progress.KindPlan, Op: "delete", Type: "oci:Core/volume:Volume", Name: "volumes-1"},
		})
	}
	changes := map[string]int{"delete": 1}
	v.End(progress.End{Operation: progress.Preview, Stack: p.opts.Stack, Changes: changes, Err: p.err, Finished: p.err == nil || isRefused(p.err)})
	return orchestrate.Result{Changes: changes}, p.err
}

func (p *planner) Up(context.Context) (orchestrate.Result, error) { return orchestrate.Result{}, nil }

func isRefused(err error) bool {
	var refused *guards.Error
	return errors.As(err, &refused)
}

func TestReport(t *testing.T) {
	refused := &guards.Error{Violations: []guards.Violation{{Guard: "volume-delete", Allow: "emqx-oci:guards.allowVolumeDelete", Message: "DATA LOSS: volume 1"}}}
	broken := &orchestrate.FailedError{Operation: "preview", Faults: []orchestrate.Fault{{Message: "Nomad does not answer"}}}
	const headline = "DATA LOSS: 1 volume deleted"
	for name, c := range map[string]struct {
		args  string
		stdin string
		err   error
		down  bool
		exit  int
		// out and page are what has to stand there, in this order; no is what must not.
		out, page []string
		no        string
	}{
		"preview": {
			args: "preview --markdown PAGE", out: []string{"1 to delete", headline, "!! volumes"},
			page: []string{"<!-- emqx-oci:preview:lab -->", headline, "an even number of nodes", "- oci:Volume volumes-1"},
		},
		"json":                   {args: "preview --json", out: []string{`"event":"plan"`, `"event":"impact"`, `"severity":"data-loss"`, `"event":"summary"`}},
		"a page on stdout":       {args: "preview --markdown -", out: []string{"<!-- emqx-oci:preview:lab -->\n### EMQX", headline}, no: "0.0s"},
		"two things on stdout":   {args: "preview --json --markdown -", exit: 2},
		"a page that nobody has": {args: "preview --markdown /none/page", exit: 1, out: []string{headline, "writing the page"}},
		"up asks":                {args: "up --markdown PAGE", stdin: "y\n", out: []string{headline, "Perform these changes"}, page: []string{headline}},
		"up does not ask":        {args: "up --yes --markdown PAGE", exit: 2, out: []string{"run \"emqx-oci preview lab --markdown"}},
		"a guard": {
			args: "preview --markdown PAGE", err: refused, exit: 3, out: []string{headline, "error: refused"},
			page: []string{"refused by 1 guard", headline, "**volume-delete**", "`emqx-oci:guards.allowVolumeDelete: true`", "- oci:Volume volumes-1"},
		},
		"a guard, then a failure": {
			args: "preview --markdown PAGE", err: errors.Join(refused, broken), exit: 3, out: []string{"error: "},
			page: []string{"refused by 1 guard", "**volume-delete**", "Nomad does not answer"},
		},
		"a failure":    {args: "preview --markdown PAGE", err: broken, exit: 1, page: []string{"the preview failed", "Nomad does not answer"}, no: headline},
		"no operation": {args: "preview --markdown PAGE", down: true, exit: 1, page: []string{"the preview failed", "the lab is not running"}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range map[string]string{"Pulumi.yaml": "name: emqx-oci\n", "Pulumi.lab.yaml": "config:\n  emqx-oci:cloud: lab\n"} {
				assert.NilError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
			}
			page := filepath.Join(dir, "page.md")
			p := &planner{fake: &fake{stopped: c.down}, err: c.err}
			var stdout, stderr bytes.Buffer
			exit := cli.Run(cli.Options{
				Stdin: strings.NewReader(c.stdin), Stdout: &stdout, Stderr: &stderr, StdinTerminal: c.stdin != "", StdoutTerminal: c.stdin != "",
				Size: func() (int, int) { return 80, 24 }, Getenv: func(k string) string { return map[string]string{"TERM": "dumb"}[k] }, Dir: dir,
				NewEngine: func(o orchestrate.Options) (cli.Engine, error) { p.opts = o; return p, nil },
				Extension: p.extension,
				Assess: func(stack string, _ orchestrate.Config, plan []progress.Event) (blast.Report, error) {
					assert.Equal(t, len(plan), 1)
					return blast.Report{
						Stack: stack, Severity: blast.DataLoss, Headline: headline,
						Lines: []blast.Line{{Severity: blast.DataLoss, Area: "volumes", Text: "gone"}},
					}, nil
				},
			}, strings.Fields(strings.ReplaceAll(c.args, "PAGE", page)))
			assert.Equal(t, exit, c.exit, "%s%s", &stdout, &stderr)
			inOrder(t, stdout.String()+stderr.String(), c.out)
			text, err := os.ReadFile(page)
			assert.Equal(t, err == nil, len(c.page) > 0, "%v", err)
			inOrder(t, string(text), c.page)
			if c.no != "" {
				assert.Assert(t, !strings.Contains(stdout.String()+string(text), c.no), "%s%s", &stdout, text)
			}
			if strings.Contains(c.args, "--json") && exit == 0 {
				for line := range strings.Lines(stdout.String()) {
					assert.Assert(t, json.Valid([]byte(line)), line)
				}
			}
		})
	}
}

func inOrder(t *testing.T, text string, parts []string) {
	t.Helper()
	rest := text
	for _, p := range parts {
		_, after, ok := strings.Cut(rest, p)
		assert.Assert(t, ok, "%q is missing, or not in its place:\n%s", p, text)
		rest = after
	}
}
