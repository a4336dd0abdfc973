package gates

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// EdgeArgs describe gate G4.
type EdgeArgs struct {
	// Count is the number of backends that must be healthy in all: nodes times
	// backend sets. Zero means as many as are returned, at least one.
	Count int
	// Next is what to look at when a backend is not healthy.
	Next string
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
		Next: args.Next,
		Check: func(ctx context.Context) (Status, error) {
			backends, err := health(ctx)
			if err != nil {
				return Status{}, fmt.Errorf("asking the load balancer: %w", err)
			}
			return edgeHealthy(args, backends), nil
		},
	}
}

func edgeHealthy(args EdgeArgs, backends map[string]string) Status {
	var problems []string
	for name, status := range backends {
		if status != "OK" {
			problems = append(problems, fmt.Sprintf("%s is %s", name, status))
		}
	}
	slices.Sort(problems)
	want := max(args.Count, len(backends), 1)
	healthy := len(backends) - len(problems)
	seen := fmt.Sprintf("%d/%d backends healthy", healthy, want)
	switch {
	case healthy == want:
		return Status{Holds: true, Seen: seen}
	case len(problems) > 0:
		return Status{Seen: seen + ": " + joinSome(problems)}
	}
	return Status{Seen: fmt.Sprintf("%s: the balancer knows only %d", seen, len(backends))}
}
