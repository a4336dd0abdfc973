package components

import (
	"context"
	"errors"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
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

// jobOf is a Nomad that has one job.
type jobOf struct {
	gates.NomadClient
	alloc  nomad.AllocationListStub
	status string
}

func (j *jobOf) Allocations(context.Context, string) ([]*nomad.AllocationListStub, error) {
	return []*nomad.AllocationListStub{&j.alloc}, nil
}

func (j *jobOf) Deployments(context.Context, string) ([]*nomad.Deployment, error) {
	return []*nomad.Deployment{{Status: j.status}}, nil
}

func TestWhatNomadHasToFinish(t *testing.T) {
	for _, c := range []struct {
		deployment, desired, client string
		want                        bool
	}{
		{"running", "run", "running", true},
		{"successful", "run", "running", false},
		{"successful", "stop", "running", true},
		{"successful", "stop", "complete", false},
		{"successful", "stop", "lost", false},
	} {
		j := &jobOf{alloc: nomad.AllocationListStub{DesiredStatus: c.desired, ClientStatus: c.client}, status: c.deployment}
		assert.Equal(t, deploying(j, "emqx-lab")(t.Context()), c.want, "%+v", c)
	}
}
