package components

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// whileRolling makes a gate of the last check patient with a cluster that moves
// and short with one that does not. After a change of the EMQX image nothing
// else waits for the roll, which takes minutes; a cluster that no deployment is
// mending is sick once settle has passed, and waiting longer only hides it.
func whileRolling(g gates.Gate, settle time.Duration, rolling func(context.Context) bool, now func() time.Time) gates.Gate {
	check := g.Check
	var still time.Time
	g.Check = func(ctx context.Context) (gates.Status, error) {
		status, err := check(ctx)
		if gates.IsFatal(err) || err == nil && status.Holds {
			return status, err
		}
		if rolling(ctx) {
			still = time.Time{}
			return status, err
		}
		if still.IsZero() {
			still = now()
		}
		if now().Sub(still) < settle {
			return status, err
		}
		if err == nil {
			err = errors.New(status.Seen)
		}
		return status, gates.Fatal(err)
	}
	return g
}

// deploying tells whether Nomad has a deployment of one of the jobs to finish, or an
// allocation to stop.
func deploying(client gates.NomadClient, jobs ...string) func(context.Context) bool {
	return func(ctx context.Context) bool {
		for _, job := range jobs {
			allocs, err := client.Allocations(ctx, job)
			if err == nil && slices.ContainsFunc(allocs, gates.Stopping) {
				return true
			}
			found, err := client.Deployments(ctx, job)
			if err != nil {
				continue
			}
			if slices.ContainsFunc(found, gates.Active) {
				return true
			}
		}
		return false
	}
}
