package blast

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// plan reads a plan that a preview on the lab gave.
func plan(t testing.TB, name string) []Change {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	assert.NilError(t, err)
	defer func() { assert.NilError(t, f.Close()) }()
	changes := []Change{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c Change
		assert.NilError(t, json.Unmarshal(lines.Bytes(), &c))
		changes = append(changes, c)
	}
	assert.NilError(t, lines.Err())
	return changes
}

// lab are the settings of the plans, but with the times of a real deployment.
func lab() settings.Settings {
	s := settings.Settings{Environment: "lab", Latency: 1}
	s.Nodes.Count = 3
	s.Network.ClientCIDRs = []string{"203.0.113.0/24"}
	s.Broker.ShutdownDelay, s.Broker.KillTimeout, s.Broker.MinHealthyTime = 15*time.Second, 150*time.Second, 15*time.Second
	s.Broker.Drain = settings.Drain{Rate: 500, Timeout: 2 * time.Minute}
	s.Proxy.ShutdownDelay, s.Proxy.KillTimeout, s.Proxy.MinHealthyTime = 40*time.Second, 60*time.Second, 15*time.Second
	s.DNS.Name, s.DNS.TTL = "mqtt.lab.test", 60
	return s
}

// accounted: every change is in exactly one line.
func accounted(t testing.TB, changes []Change, r Report) {
	t.Helper()
	var want, got []string
	for i := range changes {
		want = append(want, changes[i].label())
	}
	for _, l := range r.Lines {
		got = append(got, l.Resources...)
	}
	slices.Sort(want)
	slices.Sort(got)
	assert.DeepEqual(t, got, want)
}

func TestReports(t *testing.T) {
	nodes := map[string]int{"scale-out": 5, "scale-in": 2, "combo": 4}
	plans, err := filepath.Glob("testdata/*.jsonl")
	assert.NilError(t, err)
	assert.Assert(t, len(plans) > 20)
	for _, file := range plans {
		name := strings.TrimSuffix(filepath.Base(file), ".jsonl")
		t.Run(name, func(t *testing.T) {
			s := lab()
			if n := nodes[name]; n > 0 {
				s.Nodes.Count = n
			}
			if name == "cidrs" {
				s.Network.ClientCIDRs = []string{"203.0.113.0/25"}
			}
			changes := plan(t, name)
			report := Assess(changes, s)
			accounted(t, changes, report)
			var text bytes.Buffer
			assert.NilError(t, report.Text(&text, false))
			for line := range strings.Lines(text.String()) {
				assert.Assert(t, utf8.RuneCountInString(line) <= Width+1, line)
			}
			golden.Assert(t, text.String(), name+".txt")
		})
	}
}

// What the plans of a lab do not show: resources that nobody knows, and every
// operation on every type, with and without differences.
func TestNoChangeIsSilent(t *testing.T) {
	types := map[string][]string{
		"oci:Core/volume:Volume": {"volumes-0", "volumes-7", "odd"},
		"oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment":                                    {"volumes-0-backup"},
		"oci:Core/privateIp:PrivateIp":                                                                          {"addresses-0", "odd"},
		"oci:Core/instanceConfiguration:InstanceConfiguration":                                                  {"pools-0-config", "odd"},
		"oci:Core/instancePool:InstancePool":                                                                    {"pools-0", "odd"},
		"oci:Core/networkSecurityGroup:NetworkSecurityGroup":                                                    {"groups-nodes"},
		"oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule":                            {"groups-nodes-in-tcp-4370-from-nodes", "groups-nodes-out", "odd"},
		"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer":                                       {"balancer"},
		"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified": {"balancer-mqtt", "odd"},
		"oci:NetworkLoadBalancer/listener:Listener":                                                             {"listeners-mqtt"},
		"oci:Dns/rrset:Rrset":                  {"dns"},
		"nomad:index/job:Job":                  {"emqx", "haproxy", "odd"},
		"nomad:index/variable:Variable":        {"secrets-emqx", "secrets-haproxy"},
		"consul:index/keys:Keys":               {"entries", "odd"},
		"consul:index/node:Node":               {"members"},
		"consul:index/service:Service":         {"members-0"},
		"random:index/password:RandomPassword": {"what"},
		"no-type":                              {""},
	}
	var all []Change
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		for _, name := range types[typ] {
			for _, op := range []string{opCreate, opUpdate, opReplace, opDelete, "import", "odd"} {
				bare := Change{Op: op, Type: typ, Name: name}
				full := bare
				full.Diffs = []Diff{{Path: "odd", Kind: "update", Old: 1.0, New: []any{"x"}}, {Path: "displayName", Kind: "add", New: "n"}}
				for _, c := range []Change{bare, full} {
					r := Assess([]Change{c}, lab())
					accounted(t, []Change{c}, r)
					assert.Assert(t, r.Lines[0].Text != "" && !strings.Contains(r.Lines[0].Text, "%!"), "%+v", r)
					assert.Assert(t, r.Headline != "" && strings.Contains(r.Headline, "restarted"), "%+v", r)
				}
				all = append(all, bare, full)
			}
		}
	}
	accounted(t, all, Assess(all, lab()))
}

func TestJobs(t *testing.T) {
	text := "job \"x\" {\n  # why\n  count = 3\n  data = <<-EOT\n    # kept\n  EOT\n}\n"
	for name, c := range map[string]struct {
		job   string
		diffs []Diff
		want  string
	}{
		"a count":                  {"emqx", []Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "3", New: "3"}}, "0 nodes restarted"},
		"how it stops":             {"emqx", []Diff{{Path: "hcl2.vars.kill_timeout", Kind: "update", Old: "150s", New: "160s"}}, "0 nodes restarted"},
		"how HAProxy stops":        {"haproxy", []Diff{{Path: "hcl2.vars.kill_timeout", Kind: "update", Old: "60s", New: "70s"}}, "HAProxy restarted on 3 nodes"},
		"how it is registered":     {"emqx", []Diff{{Path: "rerunIfDead", Kind: "update", Old: false, New: true}}, "0 nodes restarted"},
		"a comment":                {"emqx", []Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "why", "because", 1)}}, "0 nodes restarted"},
		"a line":                   {"emqx", []Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "3", "4", 1)}}, "3 nodes restarted"},
		"a comment that is a text": {"emqx", []Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "kept", "read", 1)}}, "3 nodes restarted"},
		"another namespace":        {"emqx", []Diff{{Path: "hcl2.vars.namespace", Kind: "update", Old: "a", New: "b"}}, "3 nodes restarted at once"},
		"what nobody knows":        {"emqx", []Diff{{Path: "hcl2.vars.new", Kind: "add", New: "b"}}, "3 nodes restarted, one at a time"},
		"a count and an image": {"emqx", []Diff{
			{Path: "hcl2.vars.node_count", Kind: "update", Old: "2", New: "3"}, {Path: "hcl2.vars.image", Kind: "update", Old: "emqx/emqx:5.8.8", New: "emqx/emqx:5.8.9"},
		}, "2 nodes restarted, one at a time"},
		"a stopped job": {"emqx", nil, "0 nodes restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			r := Assess([]Change{{Op: opUpdate, Type: "nomad:index/job:Job", Name: c.job, Diffs: c.diffs}}, lab())
			assert.Assert(t, strings.Contains(r.Headline, c.want), r.Headline)
		})
	}
}

// One node: nobody is left to serve.
func TestOneNode(t *testing.T) {
	s := lab()
	s.Nodes.Count = 1
	r := Assess([]Change{{Op: opUpdate, Type: "nomad:index/job:Job", Name: "emqx", Diffs: []Diff{{Path: "hcl2.vars.cpu", Kind: "update", Old: "1", New: "2"}}}}, s)
	assert.Equal(t, r.Headline, "1 node restarted")
	assert.Assert(t, strings.Contains(r.Lines[0].Details[0], "nobody is served"), "%+v", r.Lines)
	assert.Assert(t, !strings.Contains(strings.Join(r.Lines[0].Details, " "), "but for clients"), "%+v", r.Lines)
}

// A volume that shrinks is refused by a guard; should one come through, the
// report does not call it growth.
func TestShrink(t *testing.T) {
	r := Assess([]Change{{Op: opUpdate, Type: "oci:Core/volume:Volume", Name: "volumes-1", Diffs: []Diff{{Path: "sizeInGbs", Kind: "update", Old: "150", New: "100"}}}}, lab())
	assert.Equal(t, r.Lines[0].Text, "The volume of emqx-lab-1 shrinks from 150 to 100 GB")
	assert.Equal(t, r.Severity, Interruption)
}

func TestAllVolumesAreLost(t *testing.T) {
	var changes []Change
	for i := range 3 {
		changes = append(changes, Change{
			Op: opReplace, Type: "oci:Core/volume:Volume", Name: fmt.Sprintf("volumes-%d", i), Old: map[string]any{"sizeInGbs": "150"},
			Diffs: []Diff{{Path: "availabilityDomain", Kind: "update", Replaces: true, Old: "A", New: "B"}},
		})
	}
	r := Assess(changes, lab())
	assert.Equal(t, r.Severity, DataLoss)
	assert.DeepEqual(t, r.Nodes.VolumeLost, []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"})
	assert.Assert(t, strings.Contains(r.Lines[0].Details[1], "the whole cluster"), "%+v", r.Lines)
}

func TestJSON(t *testing.T) {
	text, err := json.MarshalIndent(Assess(plan(t, "combo"), func() settings.Settings { s := lab(); s.Nodes.Count = 4; return s }()), "", "  ")
	assert.NilError(t, err)
	golden.Assert(t, string(text)+"\n", "combo.json")
}

// A cloud with a part of OCI's latencies has a part of the estimate; an instance has to boot all the same.
func TestEstimatesFollowTheCloudsLatency(t *testing.T) {
	launch := func(latency float64) (launch, away, pull int) {
		s := lab()
		s.Latency = latency
		a := assessment{s: &s}
		a.report.Lines = []Line{{}}
		a.report.Nodes.Added = []string{"emqx-lab-3"}
		for _, p := range a.estimate().Parts {
			if strings.HasPrefix(p.What, "launch and boot") {
				launch = p.Seconds
			}
		}
		return launch, a.away(), a.pull()
	}
	for latency, want := range map[float64][3]int{1: {239, 303, 20}, 0.5: {120, 152, 10}, 0: {8, 8, 0}} {
		l, away, pull := launch(latency)
		fixed := whole(lab().Broker.ShutdownDelay) + secondsEMQXStop + secondsForm + whole(lab().Broker.MinHealthyTime)
		assert.DeepEqual(t, [3]int{l, away - fixed - pull, pull}, want)
	}
}

// The estimate rests on the table of the lab's cloud, which names the sources.
func TestSecondsAreTheLabsTable(t *testing.T) {
	real := cloud.LatencyOCI(1)
	for _, c := range []struct {
		token   string
		op      cloud.Op
		seconds int
	}{
		{"oci:Core/volume:Volume", cloud.OpCreate, secondsVolume},
		{"oci:Core/instancePool:InstancePool", cloud.OpCreate, secondsPool},
		{cloud.LaunchInstance, cloud.OpCreate, secondsLaunch},
		{cloud.BootInstance, cloud.OpCreate, secondsBoot},
		{cloud.AttachVolume, cloud.OpCreate, secondsAttach},
		{cloud.AssignAddress, cloud.OpCreate, secondsAddress},
		{cloud.TerminateInstance, cloud.OpDelete, secondsEnd},
		{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", cloud.OpCreate, secondsBalancer},
		{"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", cloud.OpUpdate, secondsChild},
		{"oci:Dns/rrset:Rrset", cloud.OpUpdate, secondsRecord},
	} {
		assert.Equal(t, real.Of(c.token, c.op), time.Duration(c.seconds)*time.Second, c.token)
	}
}

// What an update that ended at a gate left to do: the sets are there with all their
// backends, and only the listeners come.
func TestListenersOfSetsThatExist(t *testing.T) {
	r := Assess([]Change{
		{Op: opCreate, Type: "oci:NetworkLoadBalancer/listener:Listener", Name: "listeners-mqtt"},
		{Op: opCreate, Type: "oci:NetworkLoadBalancer/listener:Listener", Name: "listeners-ws"},
	}, lab())
	assert.Equal(t, r.Lines[0].Text, "mqtt, ws open: 2 listeners with 6 backends and what belongs to them")
}

// The elements of a provider's set have no order, and a plan tells their places.
func TestBackendsAreToldByNode(t *testing.T) {
	backend := func(node int, address string, port float64) any {
		return map[string]any{"name": fmt.Sprintf("emqx-lab-%d", node), "ipAddress": address, "port": port}
	}
	set := func(diffs []Diff, before, after []any) Change {
		return Change{
			Op: opUpdate, Type: "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", Name: "balancer-mqtt",
			Diffs: diffs, Old: map[string]any{"backends": before}, New: map[string]any{"backends": after},
		}
	}
	ends := []Diff{{Path: "backends[0].port", Kind: "update", Old: 1883.0, New: 2883.0}}
	checks := Diff{Path: "healthChecker.port", Kind: "update", Old: 8080.0, New: 9080.0}
	for name, c := range map[string]struct {
		change Change
		want   string
	}{
		"another order": {
			set([]Diff{checks}, []any{backend(0, "a", 1), backend(1, "b", 1)}, []any{backend(1, "b", 1), backend(0, "a", 1)}),
			"Backend sets change: mqtt (its port 8080 -> 9080)",
		},
		"another port": {
			set(ends, []any{backend(0, "a", 1883), backend(1, "b", 1883)}, []any{backend(0, "a", 2883), backend(1, "b", 2883)}),
			"2 backends of emqx-lab-0, emqx-lab-1 are replaced (port 1883 -> 2883)",
		},
		"another port of the checks too": {
			set(append(ends, checks), []any{backend(0, "a", 1883)}, []any{backend(0, "a", 2883)}),
			"1 backend of emqx-lab-0 is replaced (port 1883 -> 2883, its port 8080 -> 9080)",
		},
		"one that goes without its node": {
			set(nil, []any{backend(0, "a", 1), backend(1, "b", 1)}, []any{backend(1, "b", 1)}),
			"1 backend of emqx-lab-0 is removed: the balancer no longer uses HAProxy there",
		},
		"one that comes without its node": {set(nil, []any{}, []any{backend(2, "c", 1)}), "1 backend for emqx-lab-2"},
	} {
		r := Assess([]Change{c.change}, lab())
		assert.Equal(t, r.Lines[0].Text, c.want, name)
		accounted(t, []Change{c.change}, r)
	}
}

// A job that somebody else registered since the last update is overwritten by the next.
func TestJobsChangedOutside(t *testing.T) {
	for _, job := range []string{"emqx", "haproxy"} {
		c := Change{Op: opUpdate, Type: "nomad:index/job:Job", Name: job, ID: "id-of-" + job, Diffs: []Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "2", New: "3"}}}
		quiet := Assess([]Change{c}, lab())
		assert.Equal(t, quiet.Severity, None)
		c.Outside = true
		r := Assess([]Change{c}, lab())
		assert.Equal(t, r.Severity, Notice)
		assert.Assert(t, strings.Contains(strings.Join(r.Lines[0].Details, " "), "another version of the job than the stack registered"), "%+v", r.Lines)
		assert.Assert(t, strings.Contains(strings.Join(r.Lines[0].Details, " "), "nomad job history -p id-of-"+job), "%+v", r.Lines)
	}
}
