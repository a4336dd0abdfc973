package blast_test

import (
	"bufio"
	"bytes"
	"encoding/json"
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

	"github.com/emqx-oci/emqx-oci/components/blast"
	"github.com/emqx-oci/emqx-oci/components/edge/nlb"
	"github.com/emqx-oci/emqx-oci/components/hosts/ocihosts"
	"github.com/emqx-oci/emqx-oci/components/names/ocidns"
	"github.com/emqx-oci/emqx-oci/components/proxy/haproxy"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// kinds are those of the plans.
var kinds = blast.Kinds{Hosts: ocihosts.Hosts{}.Words(), Edge: nlb.Edge{}.Words(), Proxy: haproxy.Proxy{}.Words(), Names: ocidns.Names{}.Words()}

// plan reads a plan that a preview on the lab gave.
func plan(t testing.TB, name string) []blast.Change {
	t.Helper()
	f, err := os.Open(filepath.Join("testdata", name+".jsonl"))
	assert.NilError(t, err)
	defer func() { assert.NilError(t, f.Close()) }()
	changes := []blast.Change{}
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c blast.Change
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
func accounted(t testing.TB, changes []blast.Change, r blast.Report) {
	t.Helper()
	var want, got []string
	for i := range changes {
		want = append(want, changes[i].Label())
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
			report := blast.Assess(changes, s, kinds)
			accounted(t, changes, report)
			var text bytes.Buffer
			assert.NilError(t, report.Text(&text, false))
			for line := range strings.Lines(text.String()) {
				assert.Assert(t, utf8.RuneCountInString(line) <= blast.Width+1, line)
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
	var all []blast.Change
	for _, typ := range slices.Sorted(maps.Keys(types)) {
		for _, name := range types[typ] {
			for _, op := range []string{blast.Create, blast.Update, blast.Replace, blast.Delete, blast.Import, "odd"} {
				bare := blast.Change{Op: op, Type: typ, Name: name}
				full := bare
				full.Diffs = []blast.Diff{{Path: "odd", Kind: "update", Old: 1.0, New: []any{"x"}}, {Path: "displayName", Kind: "add", New: "n"}}
				for _, c := range []blast.Change{bare, full} {
					r := blast.Assess([]blast.Change{c}, lab(), kinds)
					accounted(t, []blast.Change{c}, r)
					assert.Assert(t, r.Lines[0].Text != "" && !strings.Contains(r.Lines[0].Text, "%!"), "%+v", r)
					assert.Assert(t, r.Headline != "" && strings.Contains(r.Headline, "restarted"), "%+v", r)
				}
				all = append(all, bare, full)
			}
		}
	}
	accounted(t, all, blast.Assess(all, lab(), kinds))
}

func TestJobs(t *testing.T) {
	text := "job \"x\" {\n  # why\n  count = 3\n  data = <<-EOT\n    # kept\n  EOT\n}\n"
	for name, c := range map[string]struct {
		job   string
		diffs []blast.Diff
		want  string
	}{
		"a count":                  {"emqx", []blast.Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "3", New: "3"}}, "0 nodes restarted"},
		"how it stops":             {"emqx", []blast.Diff{{Path: "hcl2.vars.kill_timeout", Kind: "update", Old: "150s", New: "160s"}}, "0 nodes restarted"},
		"how HAProxy stops":        {"haproxy", []blast.Diff{{Path: "hcl2.vars.kill_timeout", Kind: "update", Old: "60s", New: "70s"}}, "HAProxy restarted on 3 nodes"},
		"how it is registered":     {"emqx", []blast.Diff{{Path: "rerunIfDead", Kind: "update", Old: false, New: true}}, "0 nodes restarted"},
		"a comment":                {"emqx", []blast.Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "why", "because", 1)}}, "0 nodes restarted"},
		"a line":                   {"emqx", []blast.Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "3", "4", 1)}}, "3 nodes restarted"},
		"a comment that is a text": {"emqx", []blast.Diff{{Path: "jobspec", Kind: "update", Old: text, New: strings.Replace(text, "kept", "read", 1)}}, "3 nodes restarted"},
		"another namespace":        {"emqx", []blast.Diff{{Path: "hcl2.vars.namespace", Kind: "update", Old: "a", New: "b"}}, "3 nodes restarted at once"},
		"what nobody knows":        {"emqx", []blast.Diff{{Path: "hcl2.vars.new", Kind: "add", New: "b"}}, "3 nodes restarted, one at a time"},
		"a count and an image": {"emqx", []blast.Diff{
			{Path: "hcl2.vars.node_count", Kind: "update", Old: "2", New: "3"}, {Path: "hcl2.vars.image", Kind: "update", Old: "emqx/emqx:5.8.8", New: "emqx/emqx:5.8.9"},
		}, "2 nodes restarted, one at a time"},
		"a stopped job": {"emqx", nil, "0 nodes restarted"},
	} {
		t.Run(name, func(t *testing.T) {
			r := blast.Assess([]blast.Change{{Op: blast.Update, Type: "nomad:index/job:Job", Name: c.job, Diffs: c.diffs}}, lab(), kinds)
			assert.Assert(t, strings.Contains(r.Headline, c.want), r.Headline)
		})
	}
}

// What EMQX takes while it runs restarts nothing; whether there are users at all is of the job.
func TestWhoMayConnectIsAppliedAtRunTime(t *testing.T) {
	variable := blast.Change{Op: blast.Update, Type: "nomad:index/variable:Variable", Name: "secrets-emqx"}
	for _, item := range []string{"users", "acl", "authn", "authz"} {
		variable.Diffs = append(variable.Diffs, blast.Diff{Path: "items." + item, Kind: "update"})
	}
	r := blast.Assess([]blast.Change{variable}, lab(), kinds)
	assert.Equal(t, r.Headline, "0 nodes restarted; no interruption")
	assert.Equal(t, r.Lines[0].Text, "Secrets of job emqx change: users, rules of who may do what, authenticators, settings of authorization")
	assert.Equal(t, len(r.Lines[0].Details), 4)
	for _, detail := range r.Lines[0].Details {
		assert.Assert(t, strings.Contains(detail, "Applied at run time at the end of the update, nothing restarts"), detail)
	}
	job := blast.Change{Op: blast.Update, Type: "nomad:index/job:Job", Name: "emqx", Diffs: []blast.Diff{{Path: "hcl2.vars.auth", Kind: "update", Old: "false", New: "true"}}}
	assert.Assert(t, strings.Contains(blast.Assess([]blast.Change{job}, lab(), kinds).Headline, "3 nodes restarted, one at a time"))
}

// One node: nobody is left to serve.
func TestOneNode(t *testing.T) {
	s := lab()
	s.Nodes.Count = 1
	r := blast.Assess([]blast.Change{{Op: blast.Update, Type: "nomad:index/job:Job", Name: "emqx", Diffs: []blast.Diff{{Path: "hcl2.vars.cpu", Kind: "update", Old: "1", New: "2"}}}}, s, kinds)
	assert.Equal(t, r.Headline, "1 node restarted")
	assert.Assert(t, strings.Contains(r.Lines[0].Details[0], "nobody is served"), "%+v", r.Lines)
	assert.Assert(t, !strings.Contains(strings.Join(r.Lines[0].Details, " "), "but for clients"), "%+v", r.Lines)
}

func TestJSON(t *testing.T) {
	text, err := json.MarshalIndent(blast.Assess(plan(t, "combo"), func() settings.Settings { s := lab(); s.Nodes.Count = 4; return s }(), kinds), "", "  ")
	assert.NilError(t, err)
	golden.Assert(t, string(text)+"\n", "combo.json")
}

// A job that somebody else registered since the last update is overwritten by the next.
func TestJobsChangedOutside(t *testing.T) {
	for _, job := range []string{"emqx", "haproxy"} {
		c := blast.Change{Op: blast.Update, Type: "nomad:index/job:Job", Name: job, ID: "id-of-" + job, Diffs: []blast.Diff{{Path: "hcl2.vars.node_count", Kind: "update", Old: "2", New: "3"}}}
		quiet := blast.Assess([]blast.Change{c}, lab(), kinds)
		assert.Equal(t, quiet.Severity, blast.None)
		c.Outside = true
		r := blast.Assess([]blast.Change{c}, lab(), kinds)
		assert.Equal(t, r.Severity, blast.Notice)
		assert.Assert(t, strings.Contains(strings.Join(r.Lines[0].Details, " "), "another version of the job than the stack registered"), "%+v", r.Lines)
		assert.Assert(t, strings.Contains(strings.Join(r.Lines[0].Details, " "), "nomad job history -p id-of-"+job), "%+v", r.Lines)
	}
}
