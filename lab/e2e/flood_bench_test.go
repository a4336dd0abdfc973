//go:build lab && bench

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestBenchFlood measures what idle clients without a password do to those who are
// connected: as many as come in, held for 15 s.
func TestBenchFlood(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	before := restarts(t)
	fewest, said := 12, ""
	var over time.Time
	own := b.drillBed(t)
	r, err := own.UnderLoad(t.Context(), func(context.Context) error {
		full, stop := flood(t, b)
		var end time.Time
		for end.IsZero() || time.Now().Before(end) {
			healthy, _ := healthyBackends(t, b)
			fewest = min(fewest, healthy)
			select {
			case said = <-full:
				end = time.Now().Add(15 * time.Second)
			case <-time.After(300 * time.Millisecond):
			}
		}
		stop()
		over = time.Now()
		eventually(t, 5*time.Minute, "a cluster that is well after the flood", func() error {
			healthy, all := healthyBackends(t, b)
			fewest = min(fewest, healthy)
			if healthy < all {
				return fmt.Errorf("%d of %d backends", healthy, all)
			}
			if r := b.run(t, "verify", "lab"); r.code != 0 {
				return fmt.Errorf("%s", r)
			}
			return nil
		})
		return nil
	})
	assert.NilError(t, err)
	normal := time.Since(over)
	ended := 0
	for task, n := range restarts(t) {
		if n != before[task] {
			ended++
		}
	}
	t.Logf("the flood: %s", said)
	table := newTable("a flood of idle clients", "figure")
	table.row("valid clients that were cut, of 72", float64(r.Reconnects))
	table.row("longest that one was away, s", r.ReconnectTime.Max)
	table.row("backends at the fewest, of 12", float64(fewest))
	table.row("tasks that were killed", float64(ended))
	table.row("until all is well after it, s", normal.Seconds())
	table.row("acknowledged messages lost", float64(r.Lost))
	table.print(t)
}
