package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/cmd/internal/beside"
	"github.com/emqx-oci/emqx-oci/components/guards"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate/progress"
)

// fake plays the engine and the program of a cloud, and writes down what it was asked.
type fake struct {
	opts    orchestrate.Options
	calls   []string
	plan    map[string]int
	fail    map[string]error
	asked   []string // of the program of a cloud
	stopped bool     // the lab
	hang    bool     // operations last until they are cancelled
	began   chan struct{}

	events  []progress.Event   // of a preview
	refused []guards.Violation // by the program's guards
	held    []orchestrate.Resource
	guards  *guards.Collector

	update    *orchestrate.Update
	updateErr error
}

func (f *fake) do(ctx context.Context, op progress.Operation) (orchestrate.Result, error) {
	f.calls = append(f.calls, string(op))
	res := orchestrate.Result{Operation: string(op), Stack: f.opts.Stack, Changes: f.plan}
	f.opts.View.Begin(op, f.opts.Stack)
	if f.guards != nil {
		f.guards.Report(settings.Guards{}, f.refused)
	}
	if op == progress.Preview {
		f.opts.View.Events(f.events)
		for _, e := range f.events {
			if e.Kind == progress.KindPlan {
				res.Plan = append(res.Plan, e)
			} else {
				res.Drift = append(res.Drift, e)
			}
		}
	}
	err := f.fail[string(op)]
	if f.hang {
		close(f.began)
		<-ctx.Done()
		err = &orchestrate.InterruptedError{Operation: string(op)}
	}
	if op == progress.Up && err == nil {
		res.Outputs, _ = f.Outputs(ctx)
	}
	end := progress.End{Operation: op, Stack: f.opts.Stack, Changes: f.plan, Cancelled: f.hang, Finished: err == nil}
	end.Err = f.opts.FinalError(res, err)
	f.opts.View.End(end)
	return res, end.Err
}

func (f *fake) Preview(ctx context.Context) (orchestrate.Result, error) {
	return f.do(ctx, progress.Preview)
}
func (f *fake) Up(ctx context.Context) (orchestrate.Result, error) { return f.do(ctx, progress.Up) }
func (f *fake) Refresh(ctx context.Context) (orchestrate.Result, error) {
	return f.do(ctx, progress.Refresh)
}

func (f *fake) Destroy(ctx context.Context) (orchestrate.Result, error) {
	return f.do(ctx, progress.Destroy)
}

func (f *fake) Cancel(context.Context) error {
	f.calls = append(f.calls, "cancel")
	return f.fail["cancel"]
}

func (f *fake) LastUpdate(context.Context) (*orchestrate.Update, error) { return f.update, f.updateErr }

func (f *fake) Ask(_ context.Context, program pulumi.RunFunc) error { return program(nil) }

func (f *fake) Aside(_ context.Context, _ string, program pulumi.RunFunc) error { return program(nil) }

func (f *fake) Note(text string) { f.opts.View.Note(text) }

func (f *fake) Outputs(context.Context) (orchestrate.Outputs, error) {
	return orchestrate.Outputs{
		"endpoints":         {Value: map[string]any{"mqtt": "mqtt://mqtt.lab.test:1883", "wss": "wss://mqtt.lab.test:8084/mqtt"}},
		"dnsName":           {Value: "mqtt.lab.test"},
		"tls":               {Value: "on"},
		"nodeNames":         {Value: []any{"emqx-lab-0", "emqx-lab-1"}},
		"dashboardPassword": {Value: "hunter2", Secret: true},
	}, f.fail["outputs"]
}

func (f *fake) Config(context.Context) (orchestrate.Config, error) {
	return orchestrate.NewConfig("emqx-oci", nil, nil), f.fail["config"]
}

// fakeExtension plays the program of a cloud.
type fakeExtension struct {
	f    *fake
	name string
}

func (f *fake) extension(name string) cli.Extension {
	if name != "lab" {
		return nil
	}
	return fakeExtension{f, name}
}

func (e fakeExtension) Become(args ...string) error {
	e.f.calls = append(e.f.calls, strings.Join(append([]string{"become emqx-oci-" + e.name}, args...), " "))
	return e.f.fail["become"]
}

func (e fakeExtension) Output(_ context.Context, args ...string) ([]byte, error) {
	e.f.asked = append(e.f.asked, e.name+": "+strings.Join(args, " "))
	switch {
	case args[0] == "attach" && e.f.stopped:
		return nil, errors.New(`the lab is not running: start it with "emqx-oci lab up"`)
	case args[0] == "attach":
		return []byte(`{"env": {"PULUMI_BACKEND_URL": "file:///it's here", "EMQX_OCI_STAGE_DIR": "/stage of the lab"},
			"secrets": {"emqx-oci:secrets.apiKey": "k"}}`), nil
	case args[0] == "prepare":
		e.f.calls = append(e.f.calls, "prepare")
		return nil, e.f.fail["prepare"]
	default:
		e.f.calls = append(e.f.calls, strings.Join(args, " "))
		return []byte("--lab-dir\tfolder of the lab\n--latency\twait as the real cloud makes one wait\n--latency-scale\n:4\n"), nil
	}
}

var times = regexp.MustCompile(`"time":"[^"]*"`)

// call is one run of the command line.
type call struct {
	args     string
	command  string // what the program is called by; in DIR, the folder of the project
	stdin    string
	terminal bool
	env      map[string]string
}

func run(t *testing.T, f *fake, c call, sigs chan os.Signal) (out, errs string, exit int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Pulumi.yaml": "name: emqx-oci\n", "Pulumi.lab.yaml": "config:\n  emqx-oci:cloud: lab\n", "Pulumi.prod.yaml": "config: {}\n",
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	assert.NilError(t, os.Mkdir(filepath.Join(dir, "below"), 0o700))
	var stdout, stderr bytes.Buffer
	f.guards = &guards.Collector{}
	exit = cli.Run(cli.Options{
		Stdin: strings.NewReader(c.stdin), Stdout: &stdout, Stderr: &stderr, StdinTerminal: c.terminal, StdoutTerminal: c.terminal,
		Size: func() (int, int) { return 80, 24 }, Getenv: func(k string) string { return c.env[k] },
		Dir: filepath.Join(dir, "below"), Executable: "/usr/local/bin/emqx-oci",
		Command: strings.ReplaceAll(c.command, "DIR", dir), Signals: sigs, Version: "1.2.3",
		Guards:    f.guards,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { f.opts = o; return f, nil },
		Extension: f.extension,
	}, strings.Fields(strings.ReplaceAll(c.args, "DIR", dir)))
	clean := func(s string) string {
		return times.ReplaceAllString(strings.ReplaceAll(s, dir, "DIR"), `"time":"TIME"`)
	}
	return clean(stdout.String()), clean(stderr.String()), exit
}

func TestCases(t *testing.T) {
	changes := map[string]int{"create": 2, "same": 1}
	upFailed := &orchestrate.FailedError{Operation: "up", Faults: []orchestrate.Fault{{Resource: "nomad:Job emqx-lab", Message: "2/3 nodes"}}}
	destroyFailed := &orchestrate.FailedError{Operation: "destroy", Faults: []orchestrate.Fault{{Message: "409"}}}
	locked := &orchestrate.LockedError{Stack: "lab", Locks: []orchestrate.Lock{{User: "ann", Host: "box", PID: 7, Since: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}}}
	dumb := map[string]string{"TERM": "dumb"}
	volume, job := "oci:Core/volume:Volume", "nomad:index/job:Job"
	loses := map[string]int{"delete": 1, "same": 60}
	loss := []progress.Event{{Kind: progress.KindPlan, Op: "delete", Type: volume, Name: "volumes-3", URN: "u3"}}
	refused := []guards.Violation{
		{Guard: guards.VolumeDelete, Allow: "emqx-oci:guards.allowVolumeDelete", Message: "DATA LOSS: the volume of node 3 (emqx-prod-3) would be deleted"},
		{Guard: guards.VolumeShrink, Message: "the volume of node 1 (emqx-prod-1) would shrink"},
	}
	unprotect := map[string]error{"preview": &orchestrate.FailedError{Operation: "preview", Faults: []orchestrate.Fault{{Resource: "oci:Volume volumes-3", Message: "it is protected"}}}}
	hook := map[string]error{"up": &orchestrate.FailedError{Operation: "up", Faults: []orchestrate.Fault{{Resource: "emqx:Layout layout", Message: "refused"}}}}
	lines := make([]string, 20)
	for i := range lines {
		lines[i] = fmt.Sprintf("line %d", i)
	}
	drift := []progress.Event{
		{Kind: progress.KindDrift, Op: "update", Type: job, Name: "emqx", URN: "u1", Message: "changed outside the stack", Changes: []progress.Change{
			{Path: "hcl2.vars.image", Kind: "update", Old: "emqx/emqx:5.8.9", New: "emqx/emqx:5.8.1"},
			{Path: "jobspec", Kind: "add", New: strings.Join(lines, "\n")},
		}},
		{Kind: progress.KindDrift, Op: "delete", Type: volume, Name: "volumes-1", URN: "u2", Message: "is gone"},
		{Kind: progress.KindDrift, Op: "update", Type: job, Name: "haproxy", URN: "u4", Message: "changed outside the stack", Changes: []progress.Change{{Path: "modifyIndex", Kind: "update", Old: "1", New: "2"}}},
	}
	drifted := append(slices.Clone(drift), []progress.Event{
		{Kind: progress.KindPlan, Op: "update", Type: job, Name: "emqx", URN: "u1", Changes: []progress.Change{{Path: "hcl2.vars.image", Kind: "update", Old: "emqx/emqx:5.8.1", New: "emqx/emqx:5.8.9"}}},
		{Kind: progress.KindPlan, Op: "create", Type: volume, Name: "volumes-1", URN: "u2"},
		{Kind: progress.KindPlan, Op: "update", Type: "oci:Dns/rrset:Rrset", Name: "dns", URN: "u3", Changes: []progress.Change{{Path: "items[0].ttl", Kind: "update", Old: 60.0, New: 30.0}}},
	}...)
	driftCounts := map[string]int{"create": 1, "update": 2, "same": 60}
	for name, c := range map[string]struct {
		call
		fake
		calls string
	}{
		"no command":                   {call: call{args: ""}},
		"unknown command":              {call: call{args: "deploy"}},
		"unknown flag":                 {call: call{args: "up --force"}},
		"two stacks":                   {call: call{args: "preview lab prod"}},
		"version":                      {call: call{args: "version"}},
		"unknown stack":                {call: call{args: "preview prd"}},
		"no project":                   {call: call{args: "preview -C /none"}},
		"lab is down":                  {call: call{args: "preview"}, fake: fake{stopped: true}},
		"prod needs no lab":            {call: call{args: "preview prod"}, fake: fake{stopped: true, plan: changes}, calls: "preview"},
		"preview":                      {call: call{args: "preview"}, fake: fake{plan: changes}, calls: "preview"},
		"up in a pipe":                 {call: call{args: "up prod"}},
		"up in a pipe, yes":            {call: call{args: "up --yes"}, fake: fake{plan: changes}, calls: "prepare up"},
		"up by its path":               {call: call{args: "up --yes", command: "DIR/below/bin/emqx-oci"}, calls: "prepare up"},
		"up by another path":           {call: call{args: "up --yes -C DIR", command: "/opt/bin/emqx-oci"}, calls: "prepare up"},
		"up of prod, yes":              {call: call{args: "up prod -y"}, calls: "up"},
		"up as json":                   {call: call{args: "up --json"}},
		"up asks, yes":                 {call: call{args: "up", terminal: true, stdin: "y\n", env: dumb}, fake: fake{plan: changes}, calls: "preview prepare up"},
		"up asks, no":                  {call: call{args: "up", terminal: true, stdin: "\n", env: dumb}, fake: fake{plan: changes}, calls: "preview"},
		"up asks, end of input":        {call: call{args: "up", terminal: true, env: dumb}, fake: fake{plan: changes}, calls: "preview"},
		"up without changes":           {call: call{args: "up", terminal: true, env: dumb}, fake: fake{plan: map[string]int{"same": 3}}, calls: "preview prepare up"},
		"preview refused":              {call: call{args: "preview prod"}, fake: fake{plan: loses, events: loss, refused: refused}, calls: "preview"},
		"preview refused as json":      {call: call{args: "preview prod --json"}, fake: fake{plan: loses, events: loss, refused: refused}, calls: "preview"},
		"preview refused and failed":   {call: call{args: "preview prod"}, fake: fake{plan: loses, events: loss, refused: refused[:1], fail: unprotect}, calls: "preview"},
		"preview of a lost volume":     {call: call{args: "preview prod"}, fake: fake{plan: loses, events: loss}, calls: "preview"},
		"up asks nothing when refused": {call: call{args: "up prod", terminal: true, stdin: "y\n", env: dumb}, fake: fake{plan: loses, events: loss, refused: refused}, calls: "preview"},
		"up refused":                   {call: call{args: "up prod -y"}, fake: fake{refused: refused[:1], fail: hook}, calls: "up"},
		"preview finds drift":          {call: call{args: "preview prod --refresh --expect-no-changes"}, fake: fake{plan: driftCounts, events: drifted}, calls: "preview"},
		"preview finds drift as json":  {call: call{args: "preview prod --refresh --expect-no-changes --json"}, fake: fake{plan: driftCounts, events: drifted}, calls: "preview"},
		"preview finds no drift":       {call: call{args: "preview prod --refresh --expect-no-changes"}, fake: fake{plan: map[string]int{"same": 60}, events: drift[2:]}, calls: "preview"},
		"up fails":                     {call: call{args: "up -y"}, fake: fake{fail: map[string]error{"up": upFailed}}, calls: "prepare up"},
		"up is refused":                {call: call{args: "up -y"}, fake: fake{fail: map[string]error{"up": locked}}, calls: "prepare up"},
		"bad configuration":            {call: call{args: "up -y"}, fake: fake{fail: map[string]error{"up": &orchestrate.ConfigError{Stack: "lab", Err: errors.New("a: one\nb: two")}}}, calls: "prepare up"},
		"unknown stack as json":        {call: call{args: "preview prd --json"}},
		"destroy in a pipe":            {call: call{args: "destroy"}},
		"destroy asks, yes":            {call: call{args: "destroy prod", terminal: true, stdin: "prod\n", env: dumb}, calls: "destroy"},
		"destroy asks, y":              {call: call{args: "destroy prod", terminal: true, stdin: "y\n", env: dumb}},
		"destroy asks, of volumes":     {call: call{args: "destroy prod", terminal: true, stdin: "prod\n", env: dumb}, fake: fake{held: held("")}, calls: "destroy"},
		"destroy asks, keeps some":     {call: call{args: "destroy prod", terminal: true, stdin: "prod\n", env: dumb}, fake: fake{held: held("one")}, calls: "destroy"},
		"destroy of what is protected": {call: call{args: "destroy prod", terminal: true, env: dumb}, fake: fake{held: held("protected")}},
		"destroy refused as json":      {call: call{args: "destroy prod -y --json"}, fake: fake{held: held("protected")}},
		"destroy keeps volumes":        {call: call{args: "destroy prod -y"}, fake: fake{held: held("retained"), plan: map[string]int{"delete": 2}}, calls: "destroy"},
		"destroy keeps, as json":       {call: call{args: "destroy prod -y --json"}, fake: fake{held: held("retained"), plan: map[string]int{"delete": 2}}, calls: "destroy"},
		"destroy fails and keeps":      {call: call{args: "destroy prod -y"}, fake: fake{held: held("retained")[1:], fail: map[string]error{"destroy": destroyFailed}}, calls: "destroy"},
		"destroy of a locked stack":    {call: call{args: "destroy prod -y"}, fake: fake{held: held("retained"), fail: map[string]error{"destroy": locked}}, calls: "destroy"},
		"destroy of an unread state":   {call: call{args: "destroy prod -y"}, fake: fake{fail: map[string]error{"resources": errors.New("reading the stack's state: access denied")}}},
		"destroy of nothing":           {call: call{args: "destroy -y"}, fake: fake{fail: map[string]error{"resources": &orchestrate.NotCreatedError{Stack: "lab"}}}},
		"refresh":                      {call: call{args: "refresh"}, calls: "refresh"},
		"outputs":                      {call: call{args: "outputs"}},
		"outputs as json":              {call: call{args: "outputs --json"}},
		"outputs with secrets":         {call: call{args: "outputs --show-secrets"}},
		"outputs of nothing":           {call: call{args: "outputs"}, fake: fake{fail: map[string]error{"outputs": &orchestrate.NotCreatedError{Stack: "lab"}}}},
		"cancel":                       {call: call{args: "cancel prod"}, calls: "cancel"},
		"lab":                          {call: call{args: "lab"}, calls: "become emqx-oci-lab"},
		"lab with flags":               {call: call{args: "-C /none lab exec --in emqx-lab-0 -- ls --json"}, calls: "become emqx-oci-lab -C /none exec --in emqx-lab-0 -- ls --json"},
		"lab asked for help":           {call: call{args: "lab up --help"}, calls: "become emqx-oci-lab up --help"},
		"help of lab":                  {call: call{args: "help lab up"}, calls: "become emqx-oci-lab up --help"},
		"lab without its program":      {call: call{args: "lab up"}, fake: fake{fail: map[string]error{"become": &beside.MissingError{Name: "emqx-oci-lab", Folder: "/usr/local/bin"}}}, calls: "become emqx-oci-lab up"},
		"lab that is completed":        {call: call{args: "__complete lab up --la"}, calls: "__complete up --la"},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fake
			out, errs, exit := run(t, &f, c.call, nil)
			text := fmt.Sprintf("$ emqx-oci %s\n-- stdout --\n%s-- stderr --\n%s-- exit %d --\n", c.args, out, errs, exit)
			golden.Assert(t, text, strings.ReplaceAll(strings.ReplaceAll(name, ", ", "-"), " ", "-")+".golden")
			assert.Equal(t, strings.Join(f.calls, " "), c.calls)
		})
	}
}

func TestTheLabsStackGetsItsEnvironmentAndSecrets(t *testing.T) {
	var f fake
	_, _, exit := run(t, &f, call{args: "up -y --lab-dir /the/lab"}, nil)
	assert.Equal(t, exit, 0)
	assert.Equal(t, f.opts.Env["PULUMI_BACKEND_URL"], "file:///it's here")
	assert.Equal(t, f.opts.ExtraSecrets["emqx-oci:secrets.apiKey"], "k")
	assert.Equal(t, f.opts.StageDir, "/stage of the lab")
	assert.DeepEqual(t, f.asked, []string{"lab: attach --lab-dir /the/lab", "lab: prepare lab --project " + f.opts.ProjectDir + " --lab-dir /the/lab"})
	f = fake{}
	_, _, exit = run(t, &f, call{args: "up -y --stage-dir /mine"}, nil)
	assert.Equal(t, exit, 0)
	assert.Equal(t, f.opts.StageDir, "/mine")
	odd := t.TempDir()
	for name, text := range map[string]string{"Pulumi.yaml": "name: emqx-oci\n", "Pulumi.odd.yaml": "config:\n  emqx-oci:cloud: labb\n"} {
		assert.NilError(t, os.WriteFile(filepath.Join(odd, name), []byte(text), 0o600))
	}
	for _, stack := range []string{"prod", "odd -C " + odd} { // what is no cloud at all is for the settings to tell
		f = fake{}
		_, _, exit = run(t, &f, call{args: "preview " + stack}, nil)
		assert.Equal(t, exit, 0)
		assert.Equal(t, len(f.opts.Env)+len(f.opts.ExtraSecrets)+len(f.asked), 0)
	}
}

func TestACloudThatIsNotReadyIsNotDeployedOn(t *testing.T) {
	f := fake{fail: map[string]error{"prepare": errors.New("adding images to the lab: no space left on device")}}
	_, errs, exit := run(t, &f, call{args: "up -y"}, nil)
	assert.Equal(t, exit, 1)
	assert.Equal(t, errs, "error: adding images to the lab: no space left on device\n")
	assert.DeepEqual(t, f.calls, []string{"prepare"})
}

func TestSignals(t *testing.T) {
	for sig, want := range map[syscall.Signal]int{syscall.SIGINT: 130, syscall.SIGTERM: 143, syscall.SIGHUP: 129} {
		f := fake{hang: true, began: make(chan struct{})}
		sigs := make(chan os.Signal, 1)
		go func() { <-f.began; sigs <- sig }()
		_, errs, exit := run(t, &f, call{args: "up -y"}, sigs)
		assert.Equal(t, exit, want)
		assert.Equal(t, errs, "error: up was cancelled: what was finished is recorded; the next up continues from there\n")
	}
}

func TestSecondSignalKills(t *testing.T) {
	f := fake{hang: true, began: make(chan struct{})}
	sigs := make(chan os.Signal)
	killed := make(chan struct{})
	go func() {
		<-f.began
		kill := f.opts.Kill
		sigs <- syscall.SIGINT
		sigs <- syscall.SIGPIPE // one per line that nobody reads: not a wish
		select {
		case <-kill:
			t.Error("killed at the first signal")
		default:
		}
		sigs <- syscall.SIGINT
		<-kill
		close(killed)
	}()
	// The fake ends at the first signal; keep the command line alive behind it.
	f.fail = nil
	f2 := &slow{fake: &f, until: killed}
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: emqx-oci\n"), 0o600))
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.prod.yaml"), []byte("config: {}\n"), 0o600))
	var out bytes.Buffer
	exit := cli.Run(cli.Options{
		Stdin: strings.NewReader(""), Stdout: &out, Stderr: &out, Getenv: func(string) string { return "" }, Dir: dir, Signals: sigs,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { f.opts = o; return f2, nil },
		Extension: f.extension,
	}, []string{"up", "prod", "-y"})
	assert.Equal(t, exit, 130)
}

// slow waits after it was cancelled.
type slow struct {
	*fake
	until chan struct{}
}

func (s *slow) Up(ctx context.Context) (orchestrate.Result, error) {
	res, err := s.fake.Up(ctx)
	<-s.until
	return res, err
}
