package drill

import (
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/lab/load"
)

func TestPromises(t *testing.T) {
	began := time.Now()
	cut := began.Add(100 * time.Second) // and 20 s long
	lostAt := func(sent, acked float64) load.Report {
		return load.Report{Started: began, Lost: 4, Losses: []load.Loss{
			{Subscriber: "a", Fate: load.Lost, Messages: 4, SentAtSeconds: sent, AckedAtSeconds: acked},
		}}
	}
	for name, c := range map[string]struct {
		promise Promise
		report  load.Report
		want    string
	}{
		"all, kept":         {All, load.Report{Duplicated: 3, SessionsLost: 1}, ""},
		"all, lost":         {All, load.Report{Lost: 1}, "1 acknowledged messages lost"},
		"all, with session": {All, load.Report{LostWithSession: 2}, "2 acknowledged messages lost with their session"},
		"all, away":         {All, load.Report{MissedWhileAway: 3}, "3 acknowledged messages missed by clients without a session"},
		"others, away":      {OthersSessions, load.Report{MissedWhileAway: 3, LostWithSession: 1}, ""},
		"others, lost":      {OthersSessions, load.Report{Lost: 4}, "4 acknowledged messages lost"},
		"stays, lost elsewhere": {StaysConnected, load.Report{
			Lost: 4, Breaks: []load.Break{{Client: "a"}}, Losses: []load.Loss{{Subscriber: "a", Fate: load.Lost, Messages: 4}},
		}, ""},
		"stays, lost": {StaysConnected, load.Report{
			Lost: 4, Breaks: []load.Break{{Client: "a"}}, Losses: []load.Loss{{Subscriber: "b", Fate: load.Lost, Messages: 4}},
		}, "4 acknowledged messages lost by subscribers whose connection stayed"},
		"one side, lost across the cut":    {OneSide, lostAt(100, 130), ""},
		"one side, lost on the way to it":  {OneSide, lostAt(99.5, 100.1), ""},
		"one side, lost until TCP notices": {OneSide, lostAt(125, 139), ""},
		"one side, lost before":            {OneSide, lostAt(90, 110), "4 acknowledged messages lost before or after the cut"},
		"one side, lost after":             {OneSide, lostAt(110, 150), "4 acknowledged messages lost before or after the cut"},
		"one side, not back":               {OneSide, load.Report{StillAway: 5}, "5 clients are not back"},
		"before and after, while it stops": {BeforeAndAfter, lostAt(101, 119), ""},
		"before and after, lost before":    {BeforeAndAfter, lostAt(99, 101), "4 acknowledged messages lost before the brokers stopped or after they came back"},
		"before and after, lost after":     {BeforeAndAfter, lostAt(101, 121), "4 acknowledged messages lost before the brokers stopped or after they came back"},
		"none":                             {None, load.Report{Lost: 4, LostWithSession: 1, MissedWhileAway: 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, strings.Join(c.promise.broken(c.report, cut, cut.Add(20*time.Second)), "; "), c.want)
		})
	}
}

// Each case of the drill is in the page's tables by its promise, and a name picks one.
func TestScenarios(t *testing.T) {
	page, err := os.ReadFile("../../docs/availability.md")
	assert.NilError(t, err)
	seen := map[string]bool{}
	for _, s := range append(Breaking(), Working()...) {
		assert.Assert(t, !seen[s.Name], s.Name)
		seen[s.Name] = true
		assert.Assert(t, s.Does != "" && s.Work != nil, s.Name)
		assert.Assert(t, cmp.Contains(string(page), "- **"+string(s.Promise)+"**"))
	}
	for _, s := range Original() {
		assert.Assert(t, seen[s.Name] && s.Promise == None, "%s is compared with nothing", s.Name)
	}
	assert.Equal(t, len(Original()), 5)
}

func TestLines(t *testing.T) {
	result := func(seconds ...float64) Result {
		r := Result{Scenario: Scenario{Name: "kill", Does: "kills", Promise: All}, Whole: 8 * time.Second}
		r.Report = load.Report{Sent: 100, MissedWhileAway: 1, Reconnects: len(seconds), LongestGapSeconds: 2}
		for _, s := range seconds {
			r.Report.Breaks = append(r.Report.Breaks, load.Break{Seconds: s})
		}
		return r
	}
	second := result(4)
	second.Whole, second.Broken = 0, []string{"something\nis wrong"}
	second.Steps = []Step{{What: "it goes down", After: 1500 * time.Millisecond}, {What: "it comes back", After: -1}}
	lines := Lines([]Result{result(1, 2, 3), second, {Scenario: Scenario{Name: "other", Promise: None}}})
	assert.Equal(t, len(lines), 2)
	assert.DeepEqual(t, lines[0].cells(), []string{"kill", "all", "2", "200", "0", "0", "2", "2.0", "4", "2.0", "4.0", "8.0", "NO"})
	assert.DeepEqual(t, lines[1].cells(), []string{"other", "none", "1", "0", "0", "0", "0", "0.0", "0", "-", "-", "-", "-"})

	text := Markdown(lines)
	assert.Assert(t, cmp.Contains(text, "| `kill` | all | 2 | 200 |"))
	assert.Assert(t, cmp.Contains(text, "it goes down: 1.5 s; it comes back: not seen"))
	assert.Assert(t, cmp.Contains(text, "- `kill`: something is wrong\n"))
	var out strings.Builder
	assert.NilError(t, Text(&out, lines))
	assert.Assert(t, cmp.Contains(out.String(), "kill: something\nis wrong"))
}

// Each part of the page is what a run wrote: of all cases on the stand-in, on a real broker of
// those that were run, in their order.
func TestThePageHasEveryCase(t *testing.T) {
	text, err := os.ReadFile("../../docs/availability.md")
	assert.NilError(t, err)
	names := func(scenarios []Scenario) (names []string) {
		for _, s := range scenarios {
			names = append(names, s.Name)
		}
		return names
	}
	all := names(append(Breaking(), Working()...))
	rows := func(part string) (names []string) {
		_, rows, ok := strings.Cut(string(text), "<!-- "+part+" -->\n| "+strings.Join(columns, " | ")+" |\n")
		assert.Assert(t, ok, "the page has no table %s", part)
		rows, _, _ = strings.Cut(rows, "\n\n")
		for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\|").FindAllStringSubmatch(rows, -1) {
			names = append(names, m[1])
		}
		return names
	}
	assert.DeepEqual(t, rows("drill"), all)
	assert.DeepEqual(t, rows("drill-original"), names(Original()))
	real := rows("drill-real")
	ran := slices.DeleteFunc(slices.Clone(all), func(name string) bool { return !slices.Contains(real, name) })
	assert.DeepEqual(t, real, ran)
	for _, name := range []string{"kill-broker", "roll", "node-drain"} {
		assert.Assert(t, slices.Contains(real, name), "%s was not run on a real broker", name)
	}
}

func TestQuantiles(t *testing.T) {
	assert.Assert(t, math.IsNaN(quantile(nil, 0.5)))
	assert.Equal(t, quantile([]float64{7}, 0.99), 7.0)
	hundred := make([]float64, 100)
	for i := range hundred {
		hundred[i] = float64(100 - i)
	}
	assert.Equal(t, quantile(hundred, 0.5), 50.0)
	assert.Equal(t, quantile(hundred, 0.99), 99.0)
	assert.Equal(t, quantile(hundred, 1), 100.0)
}

func TestReplace(t *testing.T) {
	page, err := Replace("a\n<!-- x -->\nold\n<!-- /x -->\nb\n", "x", "new\n")
	assert.NilError(t, err)
	assert.Equal(t, page, "a\n<!-- x -->\nnew\n<!-- /x -->\nb\n")
	_, err = Replace("a\n<!-- /x -->\n<!-- x -->\n", "x", "new\n")
	assert.ErrorContains(t, err, "has no part between")

	text, err := os.ReadFile("../../docs/availability.md")
	assert.NilError(t, err)
	for _, part := range []string{"drill", "drill-original"} {
		_, err = Replace(string(text), part, "")
		assert.NilError(t, err)
	}
}

// The clients' lines of progress, as `emqx-oci lab load` writes them.
func TestWorkloadKnowsWhenAllAreThere(t *testing.T) {
	w := &workload{}
	at := time.Unix(1_700_000_000, 0)
	w.note("connecting", at)
	assert.Assert(t, !w.started())
	w.note(load.Event{Connected: 70, Reconnecting: 2}.String(), at)
	assert.Assert(t, w.started() && w.away == 2 && w.wholeAt.IsZero())
	w.note(load.Event{Connected: 72}.String(), at.Add(time.Second))
	w.note(load.Event{Connected: 72}.String(), at.Add(2*time.Second))
	assert.Equal(t, w.wholeAt, at.Add(time.Second))
	w.note(load.Event{Connected: 71, Reconnecting: 1}.String(), at)
	assert.Assert(t, w.wholeAt.IsZero())
}

func TestSettings(t *testing.T) {
	r := &Run{Drill: &Drill{Bed: Bed{Project: t.TempDir()}}}
	path := filepath.Join(r.Project, stackFile)
	assert.NilError(t, os.WriteFile(path, []byte("config:\n  emqx-oci:edge:\n    healthRetries: 2\n"), 0o600))
	for _, want := range []string{"healthRetries: 3", "healthRetries: 2"} {
		assert.NilError(t, r.toggle("edge", "healthRetries", 2, 3))
		text, err := os.ReadFile(path)
		assert.NilError(t, err)
		assert.Assert(t, cmp.Contains(string(text), want))
	}
	assert.NilError(t, r.set("guards", map[string]any{"allowScaleIn": true}))
	assert.NilError(t, r.set("edge", map[string]any{"healthRetries": nil}))
	text, err := os.ReadFile(path)
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(string(text), "allowScaleIn: true") && !strings.Contains(string(text), "healthRetries"), "%s", text)
	assert.NilError(t, os.WriteFile(path, []byte("a: b\n"), 0o600))
	assert.ErrorContains(t, r.set("edge", nil), "has no config")
}

// The original's figures replace those of the configuration as it stands in the tree.
func TestOriginalProxy(t *testing.T) {
	config, err := os.ReadFile("../../components/proxy/haproxy/files/haproxy.cfg")
	assert.NilError(t, err)
	text := string(config)
	task := &nomad.Task{Templates: []*nomad.Template{{EmbeddedTmpl: &text}}}
	job := &nomad.Job{TaskGroups: []*nomad.TaskGroup{{Tasks: []*nomad.Task{task}}}}
	assert.NilError(t, originalProxy(job))
	got := *task.Templates[0].EmbeddedTmpl
	assert.Assert(t, cmp.Contains(got, "inter 10s fall 3 rise 5"))
	assert.Equal(t, strings.Count(got, "    timeout client 3m\n")+strings.Count(got, "    timeout server 3m\n"), 2)
	for _, ours := range []string{"fastinter", "\n    option srvtcpka", "tcp-ut ", " on-marked-down shutdown"} {
		assert.Assert(t, !strings.Contains(got, ours), "%s is still there", ours)
	}
	none := "no checks"
	task.Templates[0].EmbeddedTmpl = &none
	assert.ErrorContains(t, originalProxy(job), "expected form")
}

func TestOriginalBroker(t *testing.T) {
	count := 3
	job := &nomad.Job{TaskGroups: []*nomad.TaskGroup{{
		Count:   &count,
		Volumes: map[string]*nomad.VolumeRequest{"data": {Source: "emqx", PerAlloc: true}},
		Tasks:   []*nomad.Task{{Config: map[string]any{"image": "x", "entrypoint": []string{"/bin/bash"}}}},
	}}}
	assert.NilError(t, originalBroker(job))
	assert.Equal(t, len(job.TaskGroups), 3)
	g := job.TaskGroups[2]
	assert.Equal(t, *g.Name, "emqx-2")
	assert.Equal(t, *g.Count, 1)
	assert.Equal(t, g.Volumes["data"].Source, "emqx[2]")
	assert.Assert(t, !g.Volumes["data"].PerAlloc)
	assert.Equal(t, *g.Tasks[0].KillTimeout, 5*time.Second)
	assert.Equal(t, g.Tasks[0].Config["image"], "x")
	assert.ErrorContains(t, originalBroker(job), "more than one group")
}
