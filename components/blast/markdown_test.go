package blast_test

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"

	"github.com/emqx-oci/emqx-oci/components/blast"
)

// entries renders a plan as the engine's own lines do, in short.
func entries(changes []blast.Change) []blast.Entry {
	var all []blast.Entry
	for _, c := range changes {
		e := blast.Entry{Op: c.Op, Lines: []string{" ~ " + c.Label()}}
		for _, d := range c.Diffs {
			e.Lines = append(e.Lines, fmt.Sprintf("       ~ %s: %v -> %v", d.Path, d.Old, d.New))
		}
		all = append(all, e)
	}
	return all
}

func TestPages(t *testing.T) {
	report := func(name string, nodes int) *blast.Report {
		s := lab()
		s.Nodes.Count = nodes
		r := blast.Assess(plan(t, name), s, kinds)
		return &r
	}
	for name, p := range map[string]blast.Page{
		"scale-out": {Stack: "lab", Report: report("scale-out", 5), Diff: entries(plan(t, "scale-out"))},
		"refused": {
			Stack: "lab", Report: report("domains", 3), Diff: entries(plan(t, "domains")), Warnings: []string{"emqx-oci:nodes.count: should be odd"},
			Refusals: []blast.Refusal{
				{Guard: "volume-delete", Allow: "emqx-oci:guards.allowVolumeDelete", Message: "DATA LOSS: the volume of emqx-lab-1 would be replaced"},
				{Guard: "volume-shrink", Message: "OCI only grows volumes"},
			},
		},
		"failed": {Stack: "lab", Errors: []string{"configuration of stack \"lab\":\n  emqx-oci:nodes.coutn: is not a known setting; did you mean \"count\"?"}},
		"drift": {
			Stack: "lab", Report: report("domains", 3), Drift: "stack \"lab\" is not as expected: 2 to replace, 1 of them changed outside the stack\n" +
				"  oci:Volume volumes-1: changed outside the stack\n      ~ availabilityDomain: \"LAB:AD-2\" -> \"LAB:AD-3\"",
		},
		"nothing": {Stack: "lab", Report: report("none", 3)},
	} {
		t.Run(name, func(t *testing.T) { golden.Assert(t, p.Markdown(), "page-"+name+".md") })
	}
}

// Whatever stands in a plan: it ends neither the table, nor the fence, nor the
// fold, and calls nobody.
func TestPagesAreClosed(t *testing.T) {
	nasty := "a|b `c|d` <script>alert(1)</script> </details> <!-- --> @all #12 *x* _y_ [l](http://x) ![i](x) $z$ ~~q~~ \x1b[31m\u202e\n\n| x |\n```\n</details>\n````"
	r := blast.Report{Headline: nasty, Lines: []blast.Line{{Severity: blast.Notice, Area: "other", Text: nasty, Details: []string{nasty}}}}
	text := blast.Page{
		Stack: "lab", Report: &r, Errors: []string{nasty}, Warnings: []string{nasty},
		Refusals: []blast.Refusal{{Guard: nasty, Allow: nasty, Message: nasty}},
		Diff:     []blast.Entry{{Op: blast.Update, Lines: strings.Split(" ~ x\n"+nasty, "\n")}},
	}.Markdown()
	var fence string
	folds, rows := 0, 0
	for _, line := range strings.Split(text, "\n") {
		switch {
		case fence != "":
			if line == fence {
				fence = ""
			}
			continue
		case strings.HasPrefix(line, "```"):
			fence = strings.TrimRight(line, "abcdefghijklmnopqrstuvwxyz")
			continue
		case strings.HasPrefix(line, "| "):
			rows++
			bare := strings.ReplaceAll(line, `\|`, "")
			assert.Equal(t, strings.Count(bare, "|"), 3, line)
		}
		folds += strings.Count(line, "<details>") - strings.Count(line, "</details>")
		for _, bad := range []string{"<script", " @all", " #12", "\x1b", "\u202e"} {
			assert.Assert(t, !strings.Contains(line, bad), line)
		}
	}
	assert.Equal(t, fence, "")
	assert.Equal(t, folds, 0)
	assert.Equal(t, rows, 3)
}

func TestPagesFitAComment(t *testing.T) {
	long := strings.Repeat("x", 500)
	var diff []blast.Entry
	for i := range 500 {
		diff = append(diff, blast.Entry{Op: blast.Create, Lines: []string{fmt.Sprintf(" + oci:Thing %03d", i), "       + " + long}})
	}
	diff = append(diff, blast.Entry{Op: blast.Update, Lines: []string{" ~ oci:Another", strings.Repeat("ö", blast.PageLimit)}})
	r := blast.Report{Headline: "h"}
	for range 50 {
		r.Lines = append(r.Lines, blast.Line{Severity: blast.Notice, Text: long})
	}
	text := blast.Page{Stack: "lab", Report: &r, Diff: diff}.Markdown()
	assert.Assert(t, len(text) <= blast.PageLimit && len(text) > blast.PageLimit*9/10, len(text))
	assert.Assert(t, utf8.ValidString(text))
	for _, want := range []string{"! oci:Another   (too long to show)", "+ oci:Thing 000", "resources left out", "</details>"} {
		assert.Assert(t, strings.Contains(text, want), "%s is missing: ...%s", want, text[len(text)-300:])
	}
	// Errors that alone are too long.
	text = blast.Page{Stack: "lab", Errors: []string{strings.Repeat(long+"\n", 500)}, Diff: diff}.Markdown()
	assert.Assert(t, len(text) <= blast.PageLimit, len(text))
	assert.Equal(t, strings.Count(text, "\n```")%2, 0)
}

// A cluster of 100 nodes, all of which change: thousands of resources.
func hundred() []blast.Change {
	var changes []blast.Change
	add := func(op, typ, name string, diffs ...blast.Diff) {
		changes = append(changes, blast.Change{Op: op, Type: typ, Name: name, Diffs: diffs, Old: map[string]any{"sizeInGbs": "150"}})
	}
	for i := range 100 {
		add(blast.Update, "oci:Core/volume:Volume", fmt.Sprintf("volumes-%d", i), blast.Diff{Path: "sizeInGbs", Kind: "update", Old: "150", New: fmt.Sprint(150 + i%7*10)})
		add(blast.Replace, "oci:Core/instanceConfiguration:InstanceConfiguration", fmt.Sprintf("pools-%d-config", i),
			blast.Diff{Path: "instanceDetails.launchDetails.metadata.user_data", Kind: "update", Replaces: true, Old: strings.Repeat("a", 16000), New: strings.Repeat("b", 16000)})
		add(blast.Update, "oci:Core/instancePool:InstancePool", fmt.Sprintf("pools-%d", i), blast.Diff{Path: "instanceConfigurationId", Kind: "update"})
		add(blast.Create, "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment", fmt.Sprintf("volumes-%d-backup", i))
		for j := range 20 {
			add(blast.Delete, "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", fmt.Sprintf("groups-nodes-in-tcp-%d-from-10.%d.0.0-16", 1000+j, i))
		}
	}
	for _, set := range []string{"mqtt", "mqtts", "ws", "wss"} {
		add(blast.Update, "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", "balancer-"+set)
		c := &changes[len(changes)-1]
		c.Old, c.New = map[string]any{"backends": []any{}}, map[string]any{"backends": []any{}}
		for i := range 100 {
			c.Diffs = append(c.Diffs, blast.Diff{Path: fmt.Sprintf("backends[%d].port", i), Kind: "update", Old: 1.0, New: 2.0})
			for port, inputs := range []map[string]any{c.Old, c.New} {
				inputs["backends"] = append(inputs["backends"].([]any), map[string]any{"name": fmt.Sprintf("emqx-lab-%d", i), "port": float64(port)})
			}
		}
	}
	job := strings.Repeat("  line\n", 600)
	add(blast.Update, "nomad:index/job:Job", "emqx", blast.Diff{Path: "jobspec", Kind: "update", Old: job, New: job + "x\n"})
	add(blast.Update, "nomad:index/job:Job", "haproxy", blast.Diff{Path: "jobspec", Kind: "update", Old: job, New: job + "x\n"})
	return changes
}

func TestHundredNodes(t *testing.T) {
	s := lab()
	s.Nodes.Count = 100
	changes := hundred()
	r := blast.Assess(changes, s, kinds)
	accounted(t, changes, r)
	assert.Equal(t, len(r.Nodes.Restarted), 100)
	text := blast.Page{Stack: "lab", Report: &r, Diff: entries(changes)}.Markdown()
	assert.Assert(t, len(text) <= blast.PageLimit, len(text))
	assert.Assert(t, strings.Contains(text, "emqx-lab-0, then emqx-lab-1, then emqx-lab-2, ... then emqx-lab-99"), text[:3000])
}

func BenchmarkReportOf100Nodes(b *testing.B) {
	s := lab()
	s.Nodes.Count = 100
	changes := hundred()
	diff := entries(changes)
	for b.Loop() {
		r := blast.Assess(changes, s, kinds)
		_ = blast.Page{Stack: "lab", Report: &r, Diff: diff}.Markdown()
	}
}
