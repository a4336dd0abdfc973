package gates

import (
	"context"
	"time"
)

// EdgeArgs describe gate G4.
type EdgeArgs struct {
	// Count is the number of backends that must be healthy in all: nodes times
	// backend sets. Zero means as many as are returned, at least one.
	Count int
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// EdgeHealthy is gate G4: every backend of every backend set is healthy.
// health asks the load balancer: it returns the status of every backend ("OK",
// "WARNING", "CRITICAL", "UNKNOWN") by a name that a reader can place, such as
// "mqtt/emqx-lab-0".
func EdgeHealthy(health func(context.Context) (map[string]string, error), args EdgeArgs) Gate {
	return Gate{
		ID: "G4", Title: "edge healthy", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) { panic("soon") },
	}
}
