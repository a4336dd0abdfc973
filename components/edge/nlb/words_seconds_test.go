package nlb

import (
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// The estimate rests on the table of the lab's cloud, which names the sources.
func TestWordsSecondsAreTheLabsTable(t *testing.T) {
	real := cloud.LatencyOCI(1)
	for _, c := range []struct {
		token   string
		op      cloud.Op
		seconds int
	}{
		{"oci:NetworkLoadBalancer/networkLoadBalancer:NetworkLoadBalancer", cloud.OpCreate, wordsBalancerSeconds},
		{"oci:NetworkLoadBalancer/networkLoadBalancersBackendSetsUnified:NetworkLoadBalancersBackendSetsUnified", cloud.OpUpdate, wordsChildSeconds},
	} {
		assert.Equal(t, real.Of(c.token, c.op), time.Duration(c.seconds)*time.Second, c.token)
	}
}
