//go:build lab

package e2e

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
	"github.com/emqx-oci/emqx-oci/lab/drill"
	"github.com/emqx-oci/emqx-oci/lab/load"
)

// drillBed is this lab as package drill knows it.
func (b *bed) drillBed(t *testing.T) drill.Bed {
	return drill.Bed{
		Lab: lab.Options{
			Dir: b.dir, Name: b.labName, Door: netip.MustParseAddr(b.door), Bin: b.bin, Tools: b.tools, Log: func(string) {},
		},
		Project: b.project,
		Log:     func(line string) { t.Log(line) },
	}
}

// survives breaks what breaks most often, under clients that keep count. How long they are away is told, not judged:
// `make drill` measures that on a machine that does nothing else.
func survives(t *testing.T, b *bed) {
	d, err := drill.Open(t.Context(), b.drillBed(t))
	assert.NilError(t, err)
	core := []string{"kill-broker", "kill-haproxy", "terminate-instance"}
	scenarios := slices.DeleteFunc(drill.Breaking(), func(s drill.Scenario) bool { return !slices.Contains(core, s.Name) })
	assert.Equal(t, len(scenarios), len(core))
	var results []drill.Result
	for _, s := range scenarios {
		result := d.Once(t.Context(), s)
		results = append(results, result)
		assert.Equal(t, len(result.Broken), 0, "%s: %s", s.Name, strings.Join(result.Broken, "\n"))
		assert.Assert(t, result.Report.Sent > 0, "%s: nobody published", s.Name)
	}
	var table strings.Builder
	assert.NilError(t, drill.Text(&table, drill.Lines(results)))
	t.Logf("\n%s", table.String())
}

// underLoad does something on purpose while clients keep count: nothing that was acknowledged may be lost.
func (b *bed) underLoad(t *testing.T, f func()) {
	t.Helper()
	own := b.drillBed(t)
	r, err := own.UnderLoad(t.Context(), func(context.Context) error { f(); return nil })
	assert.NilError(t, err)
	assert.Assert(t, r.Sent > 0)
	assert.Equal(t, r.Lost, uint64(0), "%s", lost(r))
	t.Logf("sent %d, lost %d, with session %d, missed while away %d, reconnects %d, p50 %.1f s, p99 %.1f s",
		r.Sent, r.Lost, r.LostWithSession, r.MissedWhileAway, r.Reconnects, r.ReconnectTime.P50, r.ReconnectTime.P99)
}

func lost(r load.Report) string {
	var text strings.Builder
	_ = r.Text(&text)
	return text.String()
}
