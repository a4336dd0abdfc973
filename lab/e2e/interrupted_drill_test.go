//go:build lab && drill

package e2e

import (
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestInterrupted cuts a lab's operations off at 20 points, which a seed decides: the
// one in EMQX_OCI_SEED, or another each time.
func TestInterrupted(t *testing.T) {
	seed, count := uint64(time.Now().UnixNano()), 20
	var err error
	if given := os.Getenv("EMQX_OCI_SEED"); given != "" {
		seed, err = strconv.ParseUint(given, 10, 64)
		assert.NilError(t, err)
	}
	if given := os.Getenv("EMQX_OCI_POINTS"); given != "" {
		count, err = strconv.Atoi(given)
		assert.NilError(t, err)
	}
	t.Logf("again with the same points: EMQX_OCI_SEED=%d EMQX_OCI_POINTS=%d", seed, count)
	b := newBed(t)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	s := newSeries(t, b)
	missed := 0
	for n, i := range draw(rand.New(rand.NewPCG(seed, 0)), count) { //nolint:gosec // a seed that can be given again
		if !t.Run(strconv.Itoa(n+1)+" "+i.String(), func(t *testing.T) {
			if !s.perform(t, i) {
				missed++
			}
		}) {
			b.diagnose(t)
			t.FailNow()
		}
	}
	assert.Assert(t, missed <= count/10, "%d operations ended before their point", missed)
}
