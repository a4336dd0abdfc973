package oci

import (
	"context"
	"errors"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestAChangeIsSeenWhenTheRealProviderSeesIt: one of 3 s of a balancer takes 3 to 9 s
// with it (measured), of a volume up to the next of its doubling pauses.
func TestAChangeIsSeenWhenTheRealProviderSeesIt(t *testing.T) {
	const long = 3 * time.Second
	shortest, longest := time.Hour, time.Duration(0)
	for range 2000 {
		at := seen(byRequest, long)
		shortest, longest = min(shortest, at), max(longest, at)
	}
	// The first look is after 1 to 2 s, the second 1 to 8 s later, a third is rare.
	assert.Assert(t, shortest >= long && shortest < 3500*time.Millisecond, "%s", shortest)
	assert.Assert(t, longest > 8*time.Second && longest < 21*time.Second, "%s", longest)

	assert.Equal(t, seen(byState, 0), time.Duration(0))
	assert.Equal(t, seen(byState, 11*time.Second), 12700*time.Millisecond)
	assert.Equal(t, seen(answered, long), long)
}

func TestWaitsAreInTheCloudsTime(t *testing.T) {
	now := time.Unix(0, 0)
	wait := func(pace float64, token string, takes time.Duration, fails error) time.Duration {
		start := now
		p := poller{pace, func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }, func() time.Time { return now }}
		err := p.until(t.Context(), token, func() error { now = now.Add(takes); return fails })
		assert.Equal(t, err, fails)
		return now.Sub(start)
	}
	const volume = "oci:Core/volume:Volume"
	assert.Equal(t, wait(1, volume, 11*time.Second, nil), 12700*time.Millisecond)
	assert.Equal(t, wait(0.1, volume, 1100*time.Millisecond, nil), 1270*time.Millisecond)
	// A cloud without latency is not made slow, and what is refused is said at once.
	assert.Equal(t, wait(0, volume, time.Second, nil), time.Second)
	assert.Equal(t, wait(1, volume, 11*time.Second, errors.New("refused")), 11*time.Second)
}
