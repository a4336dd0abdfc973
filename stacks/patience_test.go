package stacks

import (
	"context"
	"errors"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

func TestLastCheckIsPatientOnlyWhileTheClusterMoves(t *testing.T) {
	var now time.Time
	now = now.Add(time.Hour)
	rolling, holds := true, false
	g := whileRolling(gates.Gate{Check: func(context.Context) (gates.Status, error) {
		return gates.Status{Holds: holds, Seen: "2/3 EMQX nodes running"}, nil
	}}, time.Minute, func(context.Context) bool { return rolling }, func() time.Time { return now })
	ask := func(after time.Duration) error {
		now = now.Add(after)
		_, err := g.Check(t.Context())
		return err
	}
	assert.NilError(t, ask(0))
	assert.NilError(t, ask(10*time.Minute), "a deployment is going on")
	rolling = false
	assert.NilError(t, ask(time.Second))
	assert.NilError(t, ask(59*time.Second))
	err := ask(time.Second)
	assert.Assert(t, gates.IsFatal(err))
	assert.ErrorContains(t, err, "2/3 EMQX nodes running")
	rolling = true
	assert.NilError(t, ask(time.Second), "moving again")
	rolling, holds = false, true
	assert.NilError(t, ask(time.Hour))
}

func TestLastCheckPassesAFatalReasonOn(t *testing.T) {
	cause := gates.Fatal(errors.New("deployment failed"))
	g := whileRolling(gates.Gate{Check: func(context.Context) (gates.Status, error) { return gates.Status{}, cause }},
		time.Minute, func(context.Context) bool { return true }, time.Now)
	_, err := g.Check(t.Context())
	assert.ErrorIs(t, err, cause)
}
