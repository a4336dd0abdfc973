//go:build lab

package e2e

import (
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/operate"
)

// questions: a member that does not answer in time is not called sick, and nothing is
// advised that would hurt one that is only busy.
func questions(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	b.fault(t, "freeze-broker 1")
	s, _ := b.look(t)
	assert.Equal(t, s.Nodes[0].Member+" "+s.Nodes[1].Member+" "+s.Nodes[2].Member, "running unknown running", "%+v", s.Problems)
	assert.Assert(t, named(s, "EMQX on emqx-lab-1", "not known to be well", "its API did not answer within 10s"), "%+v", s.Problems)
	for _, p := range s.Problems {
		text := p.What + " " + p.Next
		assert.Assert(t, !strings.Contains(text, "restart") && !strings.Contains(text, "full stop") && !strings.Contains(text, "force"), text)
	}
	r := b.run(t, "rebalance", "--dry-run")
	assert.Assert(t, r.code != 0 && strings.Contains(r.stdout+r.stderr, "not known whether EMQX on emqx-lab-1 is well"), "%s", r)
	b.fault(t, "freeze-broker 1 --undo")
	b.well(t, time.Minute)
}

func named(s operate.Status, words ...string) bool {
	for _, p := range s.Problems {
		all := true
		for _, w := range words {
			all = all && strings.Contains(p.What+" "+p.Next, w)
		}
		if all {
			return true
		}
	}
	return false
}
