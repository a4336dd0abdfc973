package preflight_test

import (
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/kinds"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/stacks"
	"github.com/emqx-oci/emqx-oci/stacks/example"
)

// trial is a stack of the tree with something changed, in its settings or in
// what it registers.
type trial struct {
	name     string
	stack    string // default prod
	tls      bool
	settings func(*settings.Settings)
	graph    func(g graph)
	now      time.Time // default today
	// want are the findings of the check, each as "severity path: message". The
	// word "example" stands for the check's own example.
	want []string
}

// graph is a recording that may be changed.
type graph []recorder.Resource

// set changes a property of the first resource of a kind; nil takes it away.
func (g graph) set(kind, dotted string, value any) {
	for i, r := range g {
		if !strings.HasSuffix(r.Type, ":"+kind) || !r.Custom {
			continue
		}
		g[i].Inputs = change(r.Inputs, strings.Split(dotted, "."), value)
		return
	}
	panic("no " + kind)
}

func change(m resource.PropertyMap, steps []string, value any) resource.PropertyMap {
	m = maps.Clone(m)
	key := resource.PropertyKey(steps[0])
	switch {
	case len(steps) > 1 && m[key].IsArray():
		list := slices.Clone(m[key].ArrayValue())
		list[0] = resource.NewProperty(change(list[0].ObjectValue(), steps[1:], value))
		m[key] = resource.NewProperty(list)
	case len(steps) > 1 && m[key].IsObject():
		m[key] = resource.NewProperty(change(m[key].ObjectValue(), steps[1:], value))
	case len(steps) > 1:
		m[key] = resource.NewProperty(change(resource.PropertyMap{}, steps[1:], value))
	case value == nil:
		delete(m, key)
	default:
		m[key] = resource.NewPropertyValue(value)
	}
	return m
}

// edit changes text of the job with this name.
func (g graph) edit(job, old, with string) { g.editAt(job, "jobspec", old, with) }

// configure changes text of HAProxy's configuration.
func (g graph) configure(old, with string) { g.editAt("haproxy", "config", old, with) }

func (g graph) editAt(job, what, old, with string) {
	for i, r := range g {
		if r.Type != "nomad:index/job:Job" || r.Name != "cluster-"+job {
			continue
		}
		at, in := []string{"jobspec"}, r.Inputs["jobspec"]
		if what == "config" {
			at, in = []string{"hcl2", "vars", "config"}, r.Inputs["hcl2"].ObjectValue()["vars"].ObjectValue()["config"]
		}
		text := strings.Replace(in.StringValue(), old, with, 1)
		if text == in.StringValue() {
			panic("not in the job: " + old)
		}
		g[i].Inputs = change(r.Inputs, at, text)
		return
	}
	panic("no job " + job)
}

// userData is what cloud-init makes of it.
func userData(encoded string) string {
	z, err := gzip.NewReader(base64.NewDecoder(base64.StdEncoding, strings.NewReader(encoded)))
	if err != nil {
		panic(err)
	}
	script, err := io.ReadAll(z)
	if err != nil {
		panic(err)
	}
	return string(script)
}

// boot changes text of the first node's boot script.
func (g graph) boot(old, with string) {
	const at = "instanceDetails.launchDetails.metadata.user_data"
	for _, r := range g {
		if !strings.HasSuffix(r.Type, ":InstanceConfiguration") {
			continue
		}
		v := resource.NewProperty(r.Inputs)
		for key := range strings.SplitSeq(at, ".") {
			v = v.ObjectValue()[resource.PropertyKey(key)]
		}
		script := userData(v.StringValue())
		if !strings.Contains(script, old) {
			panic("not in the boot script: " + old)
		}
		g.set("InstanceConfiguration", at, base64.StdEncoding.EncodeToString([]byte(strings.Replace(script, old, with, 1))))
		return
	}
	panic("no boot script")
}

func load(t testing.TB, stack string, tls bool) settings.Settings {
	t.Helper()
	s, err := loadWith(t, stack, tls, nil)
	assert.NilError(t, err)
	return s
}

// loadWith loads a stack whose file says something else in some groups, by their keys.
func loadWith(t testing.TB, stack string, tls bool, groups map[string]map[string]any) (settings.Settings, error) {
	t.Helper()
	opts, err := example.Options("../..", stack, tls)
	assert.NilError(t, err)
	for group, values := range groups {
		all := map[string]any{}
		if text, ok := opts.Config[settings.Project+":"+group]; ok {
			assert.NilError(t, json.Unmarshal([]byte(text), &all))
		}
		maps.Copy(all, values)
		text, err := json.Marshal(all)
		assert.NilError(t, err)
		opts.Config[settings.Project+":"+group] = string(text)
	}
	return settings.Load(stack, settings.Source{
		Get:      func(key string) (string, bool) { v, ok := opts.Config[key]; return v, ok },
		IsSecret: func(string) bool { return true },
		Getenv:   func(string) string { return "" },
	})
}

// stackOfTree is one as its file says, and what it registers.
type stackOfTree struct {
	settings settings.Settings
	recorded []recorder.Resource
}

var tree = map[string]stackOfTree{}

func unchanged(t testing.TB, stack string, tls bool) stackOfTree {
	t.Helper()
	key := fmt.Sprint(stack, tls)
	if _, ok := tree[key]; !ok {
		s := load(t, stack, tls)
		found, err := stacks.Record(s)
		assert.NilError(t, err)
		tree[key] = stackOfTree{s, found}
	}
	return tree[key]
}

func (x trial) run(t testing.TB, check preflight.Check) {
	t.Helper()
	stack := x.stack
	if stack == "" {
		stack = "prod"
	}
	base := unchanged(t, stack, x.tls)
	s := base.settings
	if x.settings != nil {
		x.settings(&s)
	}
	record := func() ([]recorder.Resource, error) {
		found, err := slices.Clone(base.recorded), error(nil)
		if x.settings != nil {
			found, err = stacks.Record(s)
		}
		slices.SortFunc(found, func(a, b recorder.Resource) int { return strings.Compare(a.Name, b.Name) })
		if x.graph != nil {
			x.graph(found)
		}
		return found, err
	}
	now := x.now
	if now.IsZero() {
		now = time.Now()
	}
	got := []string{}
	for _, f := range preflight.Run([]preflight.Check{check}, s, record, now) {
		if f.Check == check.Name {
			got = append(got, fmt.Sprintf("%s %s: %s", f.Severity, f.Path, f.Message))
		}
	}
	want := []string{}
	for _, w := range x.want {
		if w == "example" {
			w = string(check.Severity) + " " + check.Example
		}
		want = append(want, w)
	}
	assert.DeepEqual(t, got, want)
}

// Every check has a trial that fires it, whose message is the example of its
// page, and one that does not.
func TestChecks(t *testing.T) {
	known := map[string]bool{}
	for _, c := range slices.Concat(kinds.Checks(), preflight.ProgramChecks) {
		known[c.Name] = true
		t.Run(c.Name, func(t *testing.T) {
			fires, quiet, shown := false, false, false
			for _, x := range trials[c.Name] {
				fires, quiet = fires || len(x.want) > 0, quiet || len(x.want) == 0
				shown = shown || slices.Contains(x.want, "example")
				t.Run(x.name, func(t *testing.T) { x.run(t, c) })
			}
			assert.Assert(t, fires, "no trial fires it")
			assert.Assert(t, quiet, "no trial leaves it quiet")
			assert.Assert(t, shown, "no trial gives its example")
			for _, text := range []string{c.Name, c.Reason, c.Example, string(c.Severity)} {
				assert.Assert(t, text != "")
			}
			product := slices.ContainsFunc(kinds.Checks(), func(x preflight.Check) bool { return x.Name == c.Name })
			assert.Equal(t, c.Remedy != "", product, "who can change something about it")
			assert.Assert(t, strings.HasSuffix(c.Reason, ".") && !strings.Contains(c.Reason, "\n"), c.Reason)
		})
	}
	for name := range trials {
		assert.Assert(t, known[name], "there is no check %q", name)
	}
}

// The stacks of the tree pass, with the warnings that their files are known for.
func TestStacksOfTheTree(t *testing.T) {
	want := map[string][]string{
		"prod":    {"versions", "clear-text"},
		"staging": nil,
		"lab":     nil,
	}
	for stack, warnings := range want {
		t.Run(stack, func(t *testing.T) {
			s := load(t, stack, false)
			findings := preflight.Run(kinds.Checks(), s, func() ([]recorder.Resource, error) { return stacks.Record(s) }, time.Now())
			assert.NilError(t, preflight.Err(findings))
			var got []string
			for _, f := range preflight.Warnings(findings) {
				got = append(got, f.Check)
			}
			assert.DeepEqual(t, got, warnings)
		})
	}
}

// What the program makes of any stack holds together: only the program can be at fault here.
func TestEveryGraphHoldsTogether(t *testing.T) {
	variants := map[string]func(*settings.Settings){
		"as it is": func(*settings.Settings) {},
		"other ports": func(s *settings.Settings) {
			s.Ports = settings.Ports{
				MQTT: 11883, MQTTS: 18883, WS: 9083, WSS: 9084, Admin: 9090, Broker: settings.BrokerPorts{MQTT: 31883, MQTTS: 31884, WS: 31885, WSS: 31886},
			}
		},
		"one node":           func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 1, 1 },
		"seven nodes":        func(s *settings.Settings) { s.Nodes.Count, s.Volumes.Count = 7, 9 },
		"protected":          func(s *settings.Settings) { s.Volumes.Protect = true },
		"unprotected":        func(s *settings.Settings) { s.Volumes.Protect = false },
		"another datacenter": func(s *settings.Settings) { s.Nomad.Datacenter, s.Consul.Datacenter = "iot-9", "iot-9" },
		"another name":       func(s *settings.Settings) { s.Environment = "eu-1" },
		"private addresses":  func(s *settings.Settings) { s.Edge.Backend = "privateIp" },
		"no plain listener": func(s *settings.Settings) {
			if s.TLS.Enabled() {
				s.Listeners.MQTT.Open, s.Listeners.WS.Open = settings.OpenNone, settings.OpenNone
			}
		},
		"no plain listener, passed through": func(s *settings.Settings) {
			if s.TLS.Terminate = settings.TerminateBroker; s.TLS.Enabled() {
				s.Listeners.MQTT.Open, s.Listeners.WS.Open = settings.OpenNone, settings.OpenNone
			}
		},
		"one for the private network": func(s *settings.Settings) {
			s.Listeners.MQTT = settings.Listener{Open: settings.OpenVCN, ClientCIDRs: []string{"10.0.0.0/8"}}
		},
		"more of EMQX": env("EMQX_MQTT__MAX_QOS_ALLOWED", "1"),
	}
	for _, stack := range []string{"prod", "staging", "lab"} {
		for name, change := range variants {
			for _, tls := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s, %s, TLS %t", stack, name, tls), func(t *testing.T) {
					s := load(t, stack, tls)
					change(&s)
					found := preflight.Run(preflight.ProgramChecks, s, func() ([]recorder.Resource, error) { return stacks.Record(s) }, time.Now())
					assert.Equal(t, len(found), 0, "%v", found)
				})
			}
		}
	}
}

// A type of resource without rules would slip through.
func TestEveryTypeHasRules(t *testing.T) {
	seen := map[string]bool{}
	for _, stack := range []string{"prod", "staging", "lab"} {
		s := load(t, stack, true)
		found, err := stacks.Record(s)
		assert.NilError(t, err)
		for _, r := range found {
			if r.Custom {
				seen[r.Type] = true
				assert.Assert(t, preflight.Known(kinds.Checks(), r.Type), "no rules for %s", r.Type)
			}
		}
	}
	assert.Assert(t, len(seen) >= 16, "the test must see the graph: %v", seen)
	assert.Assert(t, !preflight.Known(kinds.Checks(), "oci:Core/volumeGroup:VolumeGroup"))
}

func TestErr(t *testing.T) {
	warning := preflight.Finding{Check: "w", Severity: preflight.Warning, Path: "p", Message: "m"}
	wrong := preflight.Finding{Check: "e", Severity: preflight.Error, Path: "p", Message: "m"}
	assert.NilError(t, preflight.Err([]preflight.Finding{warning}))
	err := preflight.Err([]preflight.Finding{warning, wrong})
	assert.Error(t, err, "p: m (check e)")
	var failed *preflight.FailedError
	assert.Assert(t, errors.As(err, &failed))
	assert.Equal(t, failed.ExitCode(), 2)
	assert.DeepEqual(t, preflight.Sort([]preflight.Finding{warning, wrong, warning}), []preflight.Finding{wrong, warning})
}

func BenchmarkRun(b *testing.B) {
	for _, n := range []int{3, 100} {
		b.Run(fmt.Sprint(n, " nodes"), func(b *testing.B) {
			s := load(b, "prod", true)
			s.Nodes.Count, s.Volumes.Count = n, n
			for b.Loop() {
				findings := preflight.Run(kinds.Checks(), s, func() ([]recorder.Resource, error) { return stacks.Record(s) }, time.Now())
				assert.NilError(b, preflight.Err(findings))
			}
		})
	}
}
