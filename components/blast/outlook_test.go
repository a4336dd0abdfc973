package blast_test

import (
	"bytes"
	"strings"
	"testing"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/blast"
)

// The names of the two jobs in the program.
const (
	emqxJob    = "emqx"
	haproxyJob = "haproxy"
)

// asked are the fixtures in which a job changes, with Nomad's answer to it.
var asked = map[string]map[string]blast.Outlook{
	"image":      {emqxJob: {Restarted: three}},
	"memory":     {emqxJob: {Restarted: three}},
	"minhealthy": {emqxJob: {InPlace: 3}},
	"keepalive":  {emqxJob: {Restarted: three}, haproxyJob: {Restarted: three}},
	"maxconn":    {haproxyJob: {Restarted: three}},
	"tls-off":    {emqxJob: {Restarted: three}, haproxyJob: {Restarted: three}},
	"scale-out":  {emqxJob: {InPlace: 3, Placed: 2}, haproxyJob: {InPlace: 3, Placed: 2}},
	"scale-in":   {emqxJob: {InPlace: 2, Stopped: 1}, haproxyJob: {InPlace: 2, Stopped: 1}},
	"combo":      {emqxJob: {Restarted: three, Placed: 1}, haproxyJob: {InPlace: 3, Placed: 1}},
}

var three = []string{"emqx-lab-0", "emqx-lab-1", "emqx-lab-2"}

// Where Nomad says what the texts let expect, the report is the same.
func TestNomadsWordAgreesWithTheTexts(t *testing.T) {
	nodes := map[string]int{"scale-out": 5, "scale-in": 2, "combo": 4}
	for name, outlooks := range asked {
		t.Run(name, func(t *testing.T) {
			s := lab()
			if n := nodes[name]; n > 0 {
				s.Nodes.Count = n
			}
			changes := plan(t, name)
			told := 0
			for i := range changes {
				for job, o := range outlooks {
					if changes[i].IsJob(job) && changes[i].Op == blast.Update {
						changes[i].Outlook = &o
						told++
					}
				}
			}
			assert.Equal(t, told, len(outlooks))
			var text bytes.Buffer
			assert.NilError(t, blast.Assess(changes, s, kinds).Text(&text, false))
			golden.Assert(t, text.String(), name+".txt")
		})
	}
}

func TestNomadsWordWins(t *testing.T) {
	text := []blast.Diff{{Path: "jobspec", Kind: "update", Old: "job \"x\" {\n}\n", New: "job \"x\"   {\n}\n"}}
	image := []blast.Diff{{Path: "hcl2.vars.image", Kind: "update", Old: "emqx/emqx:5.8.8", New: "emqx/emqx:5.8.9"}}
	pace := []blast.Diff{{Path: "hcl2.vars.min_healthy_time", Kind: "update", Old: "10s", New: "11s"}}
	for name, c := range map[string]struct {
		job     string
		diffs   []blast.Diff
		outlook blast.Outlook
		want    []string
		not     string
	}{
		"another text of the same job": {emqxJob, text, blast.Outlook{}, []string{"0 nodes restarted: of EMQX's job only the job's text changes", "To Nomad that is no change"}, "Nomad compares"},
		"another text":                 {emqxJob, text, blast.Outlook{Restarted: three}, []string{"3 nodes restarted", "(the job's text)"}, "Nomad compares"},
		"a proxy's text":               {haproxyJob, text, blast.Outlook{Restarted: three}, []string{"HAProxy restarted on 3 nodes"}, "Nomad compares"},
		"less than all run":            {emqxJob, image, blast.Outlook{Restarted: three[1:2], Placed: 2}, []string{"1 node restarted: emqx-lab-1", "the only node that runs EMQX now", "EMQX starts on 2 nodes where it does not run now."}, ""},
		"what seemed gentle":           {emqxJob, pace, blast.Outlook{Restarted: three}, []string{"3 nodes restarted", "min healthy time 10s -> 11s"}, ""},
		"one that failed":              {haproxyJob, pace, blast.Outlook{InPlace: 2, Placed: 1, Stopped: 1}, []string{"HAProxy restarts nowhere", "HAProxy starts on 1 node where it does not run now."}, "HAProxy stops"},
		"one too many":                 {emqxJob, pace, blast.Outlook{InPlace: 3, Stopped: 1}, []string{"EMQX stops on 1 node that stays."}, ""},
		"a stopped job":                {emqxJob, nil, blast.Outlook{Placed: 3}, []string{"registered again", "EMQX starts on 3 nodes where it does not run now."}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			r := blast.Assess([]blast.Change{{Op: blast.Update, Type: "nomad:index/job:Job", Name: c.job, Diffs: c.diffs, Outlook: &c.outlook}}, lab(), kinds)
			all := r.Lines[0].Text + "\n" + strings.Join(r.Lines[0].Details, "\n")
			for _, want := range c.want {
				assert.Assert(t, strings.Contains(all, want), "%s", all)
			}
			assert.Assert(t, c.not == "" || !strings.Contains(all, c.not), "%s", all)
		})
	}
}
