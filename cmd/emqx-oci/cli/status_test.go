package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/cmd/emqx-oci/cli"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/infra/operate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// fakeCluster says what it is told to, and writes down what it was asked.
type fakeCluster struct {
	cli.Cluster // what is not asked
	status      operate.Status
	plan        operate.Plan
	fail        error
	parts       []gates.Part
	devices     []operate.Device
	hang        bool // a rebalance lasts until it is cancelled
	deaf        bool // and a first Ctrl-C does not end it
	began       chan struct{}
	calls       []string

	backends  map[string]string
	edgeErr   error
	update    *orchestrate.Update
	updateErr error
}

func (c *fakeCluster) Status(ctx context.Context, o operate.StatusOptions) operate.Status {
	c.calls = append(c.calls, fmt.Sprintf("status %t", o.Probe))
	b, u := o.Balancer(ctx), o.LastUpdate(ctx)
	b.Asked = time.Time{}
	if b.Error == "" {
		b.Asked = c.status.Time
	}
	c.status.Balancer, c.status.LastUpdate = &b, &u
	if c.began != nil {
		close(c.began)
		<-ctx.Done()
	}
	return c.status
}

func (c *fakeCluster) Verify(_ context.Context, o operate.VerifyOptions) ([]gates.Part, error) {
	switch o.Listener {
	case "":
		o.Report("G2 cluster formed: 3/3 EMQX nodes running (100ms)")
	case "wss":
		o.Report("G5 round trip: a message came back through mqtt.lab.test by wss (0s)")
	default:
		return nil, &gates.UnknownListenerError{Name: o.Listener, Offered: []string{"mqtt", "mqtts", "ws", "wss"}}
	}
	return c.parts, c.fail
}

func (c *fakeCluster) Plan(context.Context, int) (operate.Plan, error) { return c.plan, nil }

func (c *fakeCluster) Rebalance(ctx context.Context, p operate.Plan, o operate.RebalanceOptions) (operate.Round, error) {
	c.calls = append(c.calls, fmt.Sprintf("move %d at %d", p.Moves(), o.Rate))
	r := operate.Round{Moved: 15, Clients: 90, Nodes: []operate.Load{{Name: "emqx-lab-0", Clients: 75, Move: 30}, {Name: "emqx-lab-1", Clients: 15}}}
	o.Report(r)
	if c.hang || c.deaf {
		close(c.began)
		<-ctx.Done()
		if c.deaf {
			<-o.Kill
		}
		return r, ctx.Err()
	}
	return r, c.fail
}

// operated runs a command on a cluster, on a terminal of some width; 0 is a pipe.
func operated(t *testing.T, c *fakeCluster, args string, width int, stdin string, sigs chan os.Signal) (out string, exit int) {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"Pulumi.yaml": "name: emqx-oci\n", "Pulumi.lab.yaml": "config: {}\n"} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	f := &fake{update: c.update, updateErr: c.updateErr}
	var stdout, stderr bytes.Buffer
	exit = cli.Run(cli.Options{
		Stdin: strings.NewReader(stdin), Stdout: &stdout, Stderr: &stderr, StdinTerminal: width > 0, StdoutTerminal: width > 0,
		Size: func() (int, int) { return width, 24 }, Getenv: func(string) string { return "" }, Dir: dir, Executable: "/usr/local/bin/emqx-oci", Signals: sigs,
		NewEngine: func(o orchestrate.Options) (cli.Engine, error) { f.opts = o; return f, nil },
		Operate:   func(string, orchestrate.Config) (cli.Cluster, error) { return c, nil },
		TicketKeys: func(stack string, _ orchestrate.Config) (string, error) {
			return "first of " + stack + "\nsecond\nthird\n", c.fail
		},
		Edge:      func(*pulumi.Context) (map[string]string, error) { return c.backends, c.edgeErr },
		Extension: f.extension,
	}, strings.Fields(args))
	return stdout.String() + stderr.String(), exit
}

// sick is a cluster with something of everything.
func sick() operate.Status {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	n := func(n int) *int { return &n }
	return operate.Status{
		ProxyTitle: "HAProxy",
		Stack:      "lab", Time: now, RoundTrip: "a message came back through mqtt.lab.test by mqtt, mqtts, ws and wss",
		Problems: []operate.Problem{
			{What: "emqx-lab-1 is down in Nomad", Next: "whether the instance runs: the pool replaces one that has ended, and the node comes back by itself"},
			{What: "job emqx-lab is being deployed: version 4 is running: 1 of 3 healthy"},
		},
		Nodes: []operate.NodeStatus{
			{
				Name: "emqx-lab-0", Nomad: "ready", Member: "running", Clients: n(1200), Sessions: n(1305), Check: "passing",
				Broker: operate.Allocation{State: "running", Version: 4, Restarts: 2, Since: ago(90 * time.Second)},
				Proxy:  operate.Allocation{State: "running", Since: ago(50 * time.Hour)},
			},
			{
				Name: "emqx-lab-1", Nomad: "down", Member: "stopped", Check: "absent",
				Broker: operate.Allocation{State: "lost", Version: 3, Since: ago(5 * time.Hour)}, Proxy: operate.Allocation{State: "none"},
			},
			{
				Name: "emqx-lab-2", Nomad: "draining", Member: "waiting", Check: "critical", CheckSays: "503",
				Broker: operate.Allocation{State: "running", Version: 3, Since: ago(5 * time.Hour)}, Proxy: operate.Allocation{State: "running"},
			},
		},
		Broker: operate.JobStatus{ID: "emqx-lab", State: "running", Version: 4, Changed: ago(2 * time.Minute), Image: "emqx/emqx:5.8.9", Deployment: "running: 1 of 3 healthy"},
		Proxy:  operate.JobStatus{ID: "emqx-lab-haproxy", State: "running"},
	}
}

func TestClusterVerbs(t *testing.T) {
	unknown := operate.Status{
		ProxyTitle: "HAProxy",
		Stack:      "lab", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Nodes: []operate.NodeStatus{{Name: "emqx-lab-0", Member: "unknown"}},
		Problems: []operate.Problem{{What: "cannot reach Nomad at http://x: connection refused"}}, Broker: operate.JobStatus{ID: "emqx-lab"}, Proxy: operate.JobStatus{ID: "emqx-lab-haproxy"},
	}
	ending := sick()
	ending.Certificate = &operate.CertificateStatus{Setting: "tls.certificate", Name: "mqtt.lab.test", Ends: ending.Time.AddDate(0, 0, 6), DaysLeft: 6}
	ending.Further = []operate.CertificateStatus{{Setting: "tls.certificates[0].certificate", Name: "mqtt.example.eu", Ends: ending.Time.AddDate(0, 0, 60), DaysLeft: 60}}
	half := map[string]string{"mqtt/emqx-lab-0": "OK", "mqtt/emqx-lab-1": "CRITICAL", "ws/emqx-lab-0": "OK", "ws/emqx-lab-1": "CRITICAL"}
	failed := &orchestrate.Update{Kind: "update", Result: "failed", Started: sick().Time.Add(-10 * time.Minute), Ended: sick().Time.Add(-4 * time.Minute)}
	away := errors.New("connection refused")
	well := sick()
	well.Certificate = &operate.CertificateStatus{Setting: "tls.certificate", Name: "mqtt.lab.test", Ends: well.Time.AddDate(0, 0, 61), DaysLeft: 61}
	well.Well, well.Problems = true, []operate.Problem{}
	crowded := operate.Plan{Clients: 90, Target: 45, Nodes: []operate.Load{{Name: "emqx-lab-0", Clients: 90, Move: 45}, {Name: "emqx-lab-1"}}}
	even := operate.Plan{Clients: 90, Target: 45, Nodes: []operate.Load{{Name: "emqx-lab-0", Clients: 45}, {Name: "emqx-lab-1", Clients: 45}}}
	for name, c := range map[string]struct {
		args    string
		width   int
		stdin   string
		cluster fakeCluster
		exit    int
		calls   string
	}{
		"status in a pipe":       {args: "status", cluster: fakeCluster{status: sick()}, exit: 1, calls: "status false"},
		"status, wide":           {args: "status", width: 120, cluster: fakeCluster{status: sick(), backends: half, update: failed}, exit: 1, calls: "status false"},
		"status, narrow":         {args: "status", width: 60, cluster: fakeCluster{status: sick()}, exit: 1, calls: "status false"},
		"status as json":         {args: "status --json --probe", cluster: fakeCluster{status: ending, backends: half, update: failed}, exit: 1, calls: "status true"},
		"status of what is well": {args: "status", cluster: fakeCluster{status: well}, calls: "status false"},
		"status of a stack that was never made": {
			args: "status", cluster: fakeCluster{status: well, updateErr: &orchestrate.NotCreatedError{Stack: "lab"}, edgeErr: &orchestrate.NotCreatedError{Stack: "lab"}}, calls: "status false",
		},
		"status of what nobody knows": {args: "status", cluster: fakeCluster{status: unknown, edgeErr: away, updateErr: away}, exit: 1, calls: "status false"},
		"verify":                      {args: "verify"},
		"verify fails":                {args: "verify", cluster: fakeCluster{fail: errors.New("waiting for G3 proxies ready: 2/3 proxies pass")}, exit: 1},
		"verify one listener":         {args: "verify --listener wss"},
		"verify of no listener":       {args: "verify --listener tcp", exit: 2},
		"rebalance in a pipe":         {args: "rebalance", exit: 2},
		"rebalance dry":               {args: "rebalance --dry-run", cluster: fakeCluster{plan: crowded}},
		"rebalance of what is even":   {args: "rebalance --yes", cluster: fakeCluster{plan: even}},
		"rebalance":                   {args: "rebalance --yes --rate 7 --json", cluster: fakeCluster{plan: crowded}, calls: "move 45 at 7"},
		"rebalance asks, no":          {args: "rebalance", width: 80, stdin: "n\n", cluster: fakeCluster{plan: crowded}, exit: 1},
		"rebalance fails":             {args: "rebalance --yes --json", cluster: fakeCluster{plan: crowded, fail: errors.New("the cluster is not whole")}, exit: 1, calls: "move 45 at 0"},
		"rebalance at no rate":        {args: "rebalance --rate -1", exit: 2},
	} {
		t.Run(name, func(t *testing.T) {
			out, exit := operated(t, &c.cluster, c.args, c.width, c.stdin, nil)
			assert.Equal(t, exit, c.exit, "%s", out)
			assert.Equal(t, strings.Join(c.cluster.calls, ", "), c.calls)
			golden.Assert(t, fmt.Sprintf("exit %d\n%s", exit, out), strings.NewReplacer(" ", "-", ",", "").Replace(name)+".golden")
		})
	}
}

// Programs are told of each listener, whether or not all hold.
func TestVerifyTellsProgramsOfEachListener(t *testing.T) {
	type listener struct {
		Name       string
		Verified   bool
		Seen, Next string
	}
	for _, c := range []struct {
		cluster fakeCluster
		exit    int
		want    []listener
	}{
		{fakeCluster{parts: []gates.Part{{Name: "mqtt", Holds: true, Seen: "a message came back"}}}, 0, []listener{{Name: "mqtt", Verified: true, Seen: "a message came back"}}},
		{
			fakeCluster{parts: []gates.Part{{Name: "mqtt", Holds: true, Seen: "a message came back"}, {Name: "wss", Seen: "HTTP status 503", Next: "the logs"}}, fail: errors.New("no")},
			1,
			[]listener{{Name: "mqtt", Verified: true, Seen: "a message came back"}, {Name: "wss", Seen: "HTTP status 503", Next: "the logs"}},
		},
		{fakeCluster{fail: errors.New("waiting for G2")}, 1, nil},
	} {
		out, exit := operated(t, &c.cluster, "verify --json", 0, "", nil)
		assert.Equal(t, exit, c.exit, out)
		var got struct {
			Verified  bool
			Listeners []listener
			Error     string
		}
		line, _, _ := strings.Cut(out, "\n")
		assert.NilError(t, json.Unmarshal([]byte(line), &got), out)
		assert.DeepEqual(t, got.Listeners, c.want)
		assert.Assert(t, got.Verified == (exit == 0) && got.Verified == (got.Error == ""), out)
		assert.Equal(t, strings.Contains(line, "listeners"), c.want != nil, out)
	}
}

func TestASignalEndsAWatchAndARebalance(t *testing.T) {
	for args, want := range map[string]struct {
		exit int
		says string
	}{
		"status --watch":  {0, ""},
		"status":          {130, "error: looking at the cluster was stopped\n"},
		"rebalance --yes": {130, "error: rebalancing was stopped: 15 clients moved, and stay so\n"},
	} {
		sigs := make(chan os.Signal, 1)
		c := &fakeCluster{hang: true, began: make(chan struct{}), plan: operate.Plan{Nodes: []operate.Load{{Move: 1}}}}
		go func() {
			<-c.began
			sigs <- syscall.SIGINT
		}()
		out, exit := operated(t, c, args, 0, "", sigs)
		assert.Equal(t, exit, want.exit, "%s: %s", args, out)
		assert.Assert(t, strings.HasSuffix(out, want.says), out)
		assert.Assert(t, !strings.Contains(out, "next up"), out)
	}
}

func TestASecondSignalDoesNotWaitForWhatIsMoved(t *testing.T) {
	sigs := make(chan os.Signal, 1)
	c := &fakeCluster{deaf: true, began: make(chan struct{}), plan: operate.Plan{Nodes: []operate.Load{{Move: 1}}}}
	go func() {
		<-c.began
		sigs <- syscall.SIGINT
		sigs <- syscall.SIGINT
	}()
	out, exit := operated(t, c, "rebalance --yes", 0, "", sigs)
	assert.Equal(t, exit, 130, out)
	assert.Assert(t, strings.HasSuffix(out, "error: rebalancing was stopped: 15 clients moved and more under way, for 5 s at most\n"), out)
}

// What a broker or a cloud says cannot write to the terminal's title, or over what
// stands there already.
func TestWhatOthersSayIsPrintable(t *testing.T) {
	const hostile = "no \x1b]0;root\x07way\x1b[1A\r\u202e"
	for _, width := range []int{0, 80} {
		out, exit := operated(t, &fakeCluster{fail: errors.New(hostile)}, "verify lab", width, "", nil)
		assert.Equal(t, exit, 1, out)
		assert.Assert(t, strings.Contains(out, `no \u001b]0;root\u0007way\u001b[1A\u000d\u202e`), "%q", out)
		s := operate.Status{Stack: "lab", Problems: []operate.Problem{{What: hostile}}}
		for _, args := range []string{"status lab", "status lab --watch"} {
			if width == 0 && strings.Contains(args, "watch") {
				continue
			}
			c := &fakeCluster{status: s}
			var sigs chan os.Signal
			if strings.Contains(args, "watch") {
				sigs = make(chan os.Signal, 1)
				time.AfterFunc(500*time.Millisecond, func() { sigs <- syscall.SIGINT })
			}
			out, _ := operated(t, c, args, width, "", sigs)
			assert.Assert(t, strings.Contains(out, `\u001b]0;root\u0007way`), "%q", out)
			for _, bad := range []string{"\x1b]", "\x07", "\x1b[1A", "\u202e"} {
				assert.Assert(t, !strings.Contains(out, bad), "%q", out)
			}
		}
	}
}

// They go into a pipe as they are.
func TestTicketsPrintsTheNextKeys(t *testing.T) {
	out, exit := operated(t, &fakeCluster{}, "tickets", 0, "", nil)
	assert.Equal(t, out, "first of lab\nsecond\nthird\n")
	assert.Equal(t, exit, 0)
	out, exit = operated(t, &fakeCluster{}, "tickets --json", 0, "", nil)
	assert.Equal(t, out, `{"ticketKeys":"first of lab\nsecond\nthird\n"}`+"\n")
	assert.Equal(t, exit, 0)
	out, exit = operated(t, &fakeCluster{fail: errors.New("no configuration")}, "tickets", 0, "", nil)
	assert.Equal(t, out, "error: making keys of session tickets: no configuration\n")
	assert.Equal(t, exit, 1)
}
