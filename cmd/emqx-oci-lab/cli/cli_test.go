package cli_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci-lab/cli"
	"github.com/emqx-oci/emqx-oci/lab/faults"
	workload "github.com/emqx-oci/emqx-oci/lab/load"
)

// fake plays the lab, and writes down what it was asked.
type fake struct {
	calls   []string
	fail    map[string]error
	asked   []string // of emqx-oci
	stopped bool
	lost    uint64 // of a workload
}

type fakeLab struct{ f *fake }

func (l fakeLab) Up(_ context.Context, o cli.UpOptions) error {
	l.f.calls = append(l.f.calls, strings.TrimSpace(fmt.Sprintf("lab up %g %s", o.Latency, strings.Join(o.Images, " "))))
	o.Log("building")
	return l.f.fail["lab up"]
}

func (l fakeLab) Prepare(_ context.Context, project, stack string) error {
	l.f.calls = append(l.f.calls, "prepare "+stack+" of "+project)
	return nil
}

func (l fakeLab) Down(context.Context) error {
	l.f.calls = append(l.f.calls, "lab down")
	return nil
}

func (l fakeLab) Status(_ context.Context, w io.Writer, asJSON bool) error {
	_, err := fmt.Fprintln(w, "status", asJSON)
	return err
}

func (l fakeLab) Exec(_ context.Context, where string, argv []string, _ cli.Stdio) (int, error) {
	l.f.calls = append(l.f.calls, where+": "+strings.Join(argv, " "))
	return 7, nil
}
func (l fakeLab) Daemon(context.Context) error { l.f.calls = append(l.f.calls, "daemon"); return nil }
func (l fakeLab) Env() (map[string]string, error) {
	return map[string]string{"PULUMI_BACKEND_URL": "file:///it's here"}, nil
}

func (l fakeLab) Tools() (map[string]string, error) {
	return map[string]string{"NOMAD_ADDR": "http://127.0.77.1:4646"}, nil
}

func (l fakeLab) Secrets() (map[string]string, error) {
	return map[string]string{"emqx-oci:secrets.apiKey": "k"}, nil
}
func (l fakeLab) Running() bool           { return !l.f.stopped }
func (l fakeLab) Faults() faults.Injector { return fakeFaults(l) }
func (l fakeLab) CAFile() string          { return "testdata/ca.pem" }

// fakeFaults writes down what it was asked to break.
type fakeFaults struct{ f *fake }

func (l fakeFaults) Do(_ context.Context, f faults.Fault) error {
	l.f.calls = append(l.f.calls, "fault "+f.String()+" for "+f.For.String())
	return l.f.fail["fault"]
}

func (l fakeFaults) Undo(_ context.Context, f faults.Fault) error {
	l.f.calls = append(l.f.calls, "undo "+f.String())
	return nil
}

func (l fakeFaults) Clear(context.Context) error {
	l.f.calls = append(l.f.calls, "clear faults")
	return nil
}

func (l fakeFaults) Active(context.Context) ([]faults.Active, error) {
	since := time.Date(2026, 1, 2, 3, 4, 5, 0, time.Local)
	return []faults.Active{{Fault: faults.Fault{Name: "cut-nodes", Target: []string{"0", "2"}}, Since: since}}, nil
}

// call is one run of the command line, as people call it: "lab up".
type call struct {
	args  string
	by    string // what emqx-oci is called by; in DIR, the folder of the project
	stdin string
}

func run(t *testing.T, f *fake, c call) (out, errs string, exit int) {
	t.Helper()
	dir := t.TempDir()
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "Pulumi.yaml"), []byte("name: emqx-oci\n"), 0o600))
	var stdout, stderr bytes.Buffer
	args := strings.Fields(strings.ReplaceAll(c.args, "DIR", dir))
	exit = cli.Run(cli.Options{
		Stdin: strings.NewReader(c.stdin), Stdout: &stdout, Stderr: &stderr, Getenv: func(string) string { return "" },
		Dir: dir, Executable: "/usr/local/bin/emqx-oci-lab", Command: strings.ReplaceAll(c.by, "DIR", dir),
		Lab: func(string) cli.Lab { return fakeLab{f} },
		Load: func(ctx context.Context, o workload.Options) (workload.Report, error) {
			f.calls = append(f.calls, fmt.Sprintf("load %v by %d from %v", o.Endpoints, o.Publishers, o.Sources))
			if o.NodeOf != nil {
				<-ctx.Done()
				nodes, err := o.NodeOf(ctx)
				f.calls = append(f.calls, fmt.Sprint(nodes, err))
			}
			o.OnEvent(workload.Event{AtSeconds: 1, SentRate: 150, ReceivedRate: 149.6, Connected: 39, Reconnecting: 1})
			return workload.Report{QoS: 1, Lost: f.lost, Endpoints: o.Endpoints}, f.fail["load"]
		},
		Deploy: func(_ context.Context, args ...string) ([]byte, error) {
			f.asked = append(f.asked, strings.Join(args, " "))
			return []byte(`{"endpoints": {"mqtt": "mqtt://mqtt.lab.test:1883", "wss": "wss://mqtt.lab.test:8084/mqtt"}, "nodeNames": ["emqx-lab-0"], "tls": "on"}`), f.fail["outputs"]
		},
	}, args[1:])
	clean := func(s string) string { return strings.ReplaceAll(s, dir, "DIR") }
	for i := range f.calls {
		f.calls[i] = clean(f.calls[i])
	}
	return clean(stdout.String()), clean(stderr.String()), exit
}

func TestCases(t *testing.T) {
	for name, c := range map[string]struct {
		call
		fake
		calls string
	}{
		"lab":                        {call: call{args: "lab"}},
		"lab up":                     {call: call{args: "lab up"}, calls: "lab up 0"},
		"lab up, with images":        {call: call{args: "lab up --image emqx,5.tar --image /b.tar.gz"}, calls: "lab up 0 emqx,5.tar /b.tar.gz"},
		"lab up, slow":               {call: call{args: "lab up --latency oci --latency-scale 0.1"}, calls: "lab up 0.1"},
		"lab up, wrong latency":      {call: call{args: "lab up --latency aws"}},
		"lab up fails":               {call: call{args: "lab up"}, fake: fake{fail: map[string]error{"lab up": errors.New("building the lab: needs root")}}, calls: "lab up 0"},
		"lab down":                   {call: call{args: "lab down"}, fake: fake{stopped: true}, calls: "lab down"},
		"lab status":                 {call: call{args: "lab status --json"}},
		"lab status of none":         {call: call{args: "lab status"}, fake: fake{stopped: true}},
		"lab exec":                   {call: call{args: "lab exec -- mosquitto_pub -h mqtt.lab.test --json"}, calls: "internet: mosquitto_pub -h mqtt.lab.test --json"},
		"lab exec elsewhere":         {call: call{args: "lab exec --in emqx-lab-0 nomad node status -v"}, calls: "emqx-lab-0: nomad node status -v"},
		"lab exec of nothing":        {call: call{args: "lab exec"}},
		"lab fault":                  {call: call{args: "lab fault cut-nodes 0 2 --for 30s"}, calls: "fault cut-nodes 0 2 for 30s"},
		"lab fault undone":           {call: call{args: "lab fault isolate 1 --undo"}, calls: "undo isolate 1"},
		"lab fault unknown":          {call: call{args: "lab fault kil-broker 1"}},
		"lab fault with bad targets": {call: call{args: "lab fault cut-nodes 1 1 --rate 2"}},
		"lab fault fails":            {call: call{args: "lab fault kill-broker 7"}, fake: fake{fail: map[string]error{"fault": errors.New("kill-broker: no node 7: there are [0 (emqx-lab-0)]")}}, calls: "fault kill-broker 7 for 0s"},
		"lab fault list":             {call: call{args: "lab fault --list"}},
		"lab fault clear":            {call: call{args: "lab fault --clear"}, calls: "clear faults"},
		"lab fault of nothing":       {call: call{args: "lab fault"}},
		"lab fault while down":       {call: call{args: "lab fault kill-broker 1"}, fake: fake{stopped: true}},
		"lab load": {
			call: call{args: "lab load --publishers 3 --subscribers 2 --rate 0.5 --sources 203.0.113.11-12 --protocols mqtts,wss --json"},
			calls: "internet: /usr/local/bin/emqx-oci-lab load --here --leash --endpoints wss://mqtt.lab.test:8084/mqtt --ca testdata/ca.pem " +
				"--publishers=3 --subscribers=2 --rate=0.5 --sources=203.0.113.11-12 --json=true",
		},
		"lab load of a stack that is not there": {
			call: call{args: "lab load --protocols mqtt,ws"}, fake: fake{fail: map[string]error{"outputs": errors.New("no stack")}},
			calls: "internet: /usr/local/bin/emqx-oci-lab load --here --leash --endpoints mqtt://mqtt.lab.test:1883,ws://mqtt.lab.test:8083/mqtt --ca testdata/ca.pem",
		},
		"lab load with wrong flags": {call: call{args: "lab load --publishers -1 --qos 3 --keep-alive 10ms --sources 203.0.113.9-2 --ca missing.pem"}},
		"lab load by no protocol":   {call: call{args: "lab load --protocols mqtt,amqp"}},
		"lab load while down":       {call: call{args: "lab load"}, fake: fake{stopped: true}},
		"lab load here":             {call: call{args: "lab load --here --endpoints mqtt://h,ws://h --sources 10.0.0.1,10.0.0.8-9"}, calls: "load [mqtt://h ws://h] by 30 from [10.0.0.1 10.0.0.8 10.0.0.9]"},
		"lab load on a leash": {
			call:  call{args: "lab load --here --leash --endpoints mqtt://h", stdin: "{\"load-x-pub-0\":\"emqx@a\"}\n"},
			calls: "load [mqtt://h] by 30 from [] map[load-x-pub-0:emqx@a] <nil>",
		},
		"lab load that loses":        {call: call{args: "lab load --here --endpoints mqtt://h --json"}, fake: fake{lost: 3}, calls: "load [mqtt://h] by 30 from []"},
		"lab load that cannot begin": {call: call{args: "lab load --here --endpoints mqtt://h"}, fake: fake{fail: map[string]error{"load": errors.New("0 of 40 connected")}}, calls: "load [mqtt://h] by 30 from []"},
		"lab env":                    {call: call{args: "lab env"}},
		"lab bogus":                  {call: call{args: "lab bogus"}},
		"lab daemon":                 {call: call{args: "lab daemon"}, calls: "daemon"},
		"lab up by its path":         {call: call{args: "lab up", by: "DIR/bin/emqx-oci"}, calls: "lab up 0"},
		"lab attach":                 {call: call{args: "lab attach"}},
		"lab attach of none":         {call: call{args: "lab attach"}, fake: fake{stopped: true}},
		"lab prepare":                {call: call{args: "lab prepare staging --project DIR"}, calls: "prepare staging of DIR"},
		"lab prepare nothing":        {call: call{args: "lab prepare"}},
		"lab up asked for help":      {call: call{args: "lab up --help"}},
	} {
		t.Run(name, func(t *testing.T) {
			f := c.fake
			out, errs, exit := run(t, &f, c.call)
			text := fmt.Sprintf("$ emqx-oci %s\n-- stdout --\n%s-- stderr --\n%s-- exit %d --\n", c.args, out, errs, exit)
			golden.Assert(t, text, strings.ReplaceAll(strings.ReplaceAll(name, ", ", "-"), " ", "-")+".golden")
			assert.Equal(t, strings.Join(f.calls, " "), c.calls)
		})
	}
}

// The endpoints of a load are those that emqx-oci tells, in the place that this call names.
func TestLoadAsksForTheStacksOutputs(t *testing.T) {
	var f fake
	_, _, exit := run(t, &f, call{args: "lab load -C DIR --lab-dir /the/lab --stage-dir /stage"})
	assert.Equal(t, exit, 7)
	assert.Equal(t, len(f.asked), 1)
	assert.Assert(t, strings.HasPrefix(f.asked[0], "outputs lab --json --project /") && strings.HasSuffix(f.asked[0], " --stage-dir /stage --lab-dir /the/lab"), f.asked[0])
	f = fake{}
	run(t, &f, call{args: "lab load --endpoints mqtt://mqtt.lab.test:1883"})
	assert.Equal(t, len(f.asked), 0)
}

// A shell asks for what may follow; the words before it are those of emqx-oci.
func TestCompletion(t *testing.T) {
	var out bytes.Buffer
	exit := cli.Run(cli.Options{Stdout: &out, Stderr: io.Discard, Getenv: func(string) string { return "" }}, []string{"__complete", "up", "--laten"})
	assert.Equal(t, exit, 0)
	assert.Equal(t, out.String(), "--latency\twait as the real cloud makes one wait: none or oci\n--latency-scale\tpart of the real cloud's latencies\n:4\n")
}
