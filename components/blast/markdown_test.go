package blast

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/golden"
)

// entries renders a plan as the engine's own lines do, in short.
func entries(changes []Change) []Entry {
	var all []Entry
	for _, c := range changes {
		e := Entry{Op: c.Op, Lines: []string{" ~ " + c.label()}}
		for _, d := range c.Diffs {
			e.Lines = append(e.Lines, fmt.Sprintf("       ~ %s: %v -> %v", d.Path, d.Old, d.New))
		}
		all = append(all, e)
	}
	return all
}

func TestPages(t *testing.T) {
	report := func(name string, nodes int) *Report {
		s := lab()
		s.Nodes.Count = nodes
		r := Assess(plan(t, name), s)
		return &r
	}
	for name, p := range map[string]Page{
		"scale-out": {Stack: "lab", Report: report("scale-out", 5), Diff: entries(plan(t, "scale-out"))},
		"refused": {
			Stack: "lab", Report: report("domains", 3), Diff: entries(plan(t, "domains")), Warnings: []string{"emqx-oci:nodes.count: should be odd"},
			Refusals: []Refusal{
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
	r := Report{Headline: nasty, Lines: []Line{{Severity: Notice, Area: "other", Text: nasty, Details: []string{nasty}}}}
	text := Page{
		Stack: "lab", Report: &r, Errors: []string{nasty}, Warnings: []string{nasty},
		Refusals: []Refusal{{Guard: nasty, Allow: nasty, Message: nasty}},
		Diff:     []Entry{{Op: opUpdate, Lines: strings.Split(" ~ x\n"+nasty, "\n")}},
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
	var diff []Entry
	for i := range 500 {
		diff = append(diff, Entry{Op: opCreate, Lines: []string{fmt.Sprintf(" + oci:Thing %03d", i), "       + " + long}})
	}
	diff = append(diff, Entry{Op: opUpdate, Lines: []string{" ~ oci:Another", strings.Repeat("ö", PageLimit)}})
	r := Report{Headline: "h"}
	for range 50 {
		r.Lines = append(r.Lines, Line{Severity: Notice, Text: long})
	}
	text := Page{Stack: "lab", Report: &r, Diff: diff}.Markdown()
	assert.Assert(t, len(text) <= PageLimit && len(text) > PageLimit*9/10, len(text))
	assert.Assert(t, utf8.ValidString(text))
	for _, want := range []string{"! oci:Another   (too long to show)", "+ oci:Thing 000", "resources left out", "</details>"} {
		assert.Assert(t, strings.Contains(text, want), "%s is missing: ...%s", want, text[len(text)-300:])
	}
	// Errors that alone are too long.
	text = Page{Stack: "lab", Errors: []string{strings.Repeat(long+"\n", 500)}, Diff: diff}.Markdown()
	assert.Assert(t, len(text) <= PageLimit, len(text))
	assert.Equal(t, strings.Count(text, "\n```")%2, 0)
}

// A cluster of 100 nodes, all of which change: thousands of resources.
func hundred() []Change {
	var changes []Change
	add := func(op, typ, name string, diffs ...Diff) {
		changes = append(changes, Change{Op: op, Type: typ, Name: name, Diffs: diffs, Old: map[string]any{"sizeInGbs": "150"}})
	}
	for i := range 100 {
		add(opUpdate, "oci:Core/volume:Volume", fmt.Sprintf("volumes-%d", i), Diff{Path: "sizeInGbs", Kind: "update", Old: "150", New: fmt.Sprint(150 + i%7*10)})
		add(opReplace, "oci:Core/instanceConfiguration:InstanceConfiguration", fmt.Sprintf("pools-%d-config", i),
			Diff{Path: "instanceDetails.launchDetails.metadata.user_data", Kind: "update", Replaces: true, Old: strings.Repeat("a", 16000), New: strings.Repeat("b", 16000)})
		add(opUpdate, "oci:Core/instancePool:InstancePool", fmt.Sprintf("pools-%d", i), Diff{Path: "instanceConfigurationId", Kind: "update"})
		add(opCreate, "oci:Core/volumeBackupPolicyAssignment:VolumeBackupPolicyAssignment", fmt.Sprintf("volumes-%d-backup", i))
		for j := range 20 {
			add(opDelete, "oci:Core/networkSecurityGroupSecurityRule:NetworkSecurityGroupSecurityRule", fmt.Sprintf("groups-nodes-in-tcp-%d-from-10.%d.0.0-16", 1000+j, i))
		}
	}
	for _, set := range []string{"mqtt", "mqtts", "ws", "wss"} {
		add(opUpdate, "oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", "balancer-"+set)
		c := &changes[len(changes)-1]
		c.Old, c.New = map[string]any{"backends": []any{}}, map[string]any{"backends": []any{}}
		for i := range 100 {
			c.Diffs = append(c.Diffs, Diff{Path: fmt.Sprintf("backends[%d].port", i), Kind: "update", Old: 1.0, New: 2.0})
			for port, inputs := range []map[string]any{c.Old, c.New} {
				inputs["backends"] = append(inputs["backends"].([]any), map[string]any{"name": fmt.Sprintf("emqx-lab-%d", i), "port": float64(port)})
			}
		}
	}
	job := strings.Repeat("  line\n", 600)
	add(opUpdate, "nomad:index/job:Job", "emqx", Diff{Path: "jobspec", Kind: "update", Old: job, New: job + "x\n"})
	add(opUpdate, "nomad:index/job:Job", "haproxy", Diff{Path: "jobspec", Kind: "update", Old: job, New: job + "x\n"})
	return changes
}

func TestHundredNodes(t *testing.T) {
	s := lab()
	s.Nodes.Count = 100
	changes := hundred()
	r := Assess(changes, s)
	accounted(t, changes, r)
	assert.Equal(t, len(r.Nodes.Restarted), 100)
	text := Page{Stack: "lab", Report: &r, Diff: entries(changes)}.Markdown()
	assert.Assert(t, len(text) <= PageLimit, len(text))
	assert.Assert(t, strings.Contains(text, "emqx-lab-0, then emqx-lab-1, then emqx-lab-2, ... then emqx-lab-99"), text[:3000])
}

func BenchmarkReportOf100Nodes(b *testing.B) {
	s := lab()
	s.Nodes.Count = 100
	changes := hundred()
	diff := entries(changes)
	for b.Loop() {
		r := Assess(changes, s)
		_ = Page{Stack: "lab", Report: &r, Diff: diff}.Markdown()
	}
}
