package oci

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// troubled answers a number of times with an error, and then well.
type troubled struct {
	Backend
	err          error
	times, calls int
}

func (b *troubled) Read(context.Context, string, string) (map[string]any, error) {
	if b.calls++; b.calls <= b.times {
		return nil, b.err
	}
	return map[string]any{"id": "x"}, nil
}

func TestCallsAreRepeatedAsTheRealProviderRepeatsThem(t *testing.T) {
	for _, c := range []struct {
		err   error
		limit time.Duration // 0: not repeated
	}{
		{&cloud.Error{Status: 429, Code: "TooManyRequests"}, 10 * time.Minute},
		{&cloud.Error{Status: 500, Code: "InternalServerError"}, 2 * time.Minute},
		{&cloud.Error{Status: 409, Code: "IncorrectState"}, 2 * time.Minute},
		{&cloud.Error{Status: 409, Code: "Conflict"}, 2 * time.Minute},
		{fmt.Errorf("reading: %w", &cloud.TimeoutError{Call: "GetVolume"}), 2 * time.Minute},
		{&cloud.Error{Status: 409, Code: "InvalidatedRetryToken"}, 0},
		{&cloud.Error{Status: 500, Code: "InternalError", Message: "Out of host capacity."}, 0},
		{&cloud.Error{Status: 400, Code: "LimitExceeded"}, 0},
		{&cloud.Error{Status: 404, Code: "NotAuthorizedOrNotFound"}, 0},
		{&cloud.Error{Status: 412, Code: "NoEtagMatch"}, 0},
		{errors.New("other"), 0},
	} {
		for _, pace := range []float64{1, 0.1} {
			now := time.Unix(0, 0)
			sleep := func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
			r := retrying{pace: pace, sleep: sleep, now: func() time.Time { return now }}

			few := &troubled{err: c.err, times: 3}
			r.Backend = few
			_, err := r.Read(t.Context(), "t", "x")
			if c.limit == 0 {
				assert.ErrorIs(t, err, c.err)
				assert.Equal(t, few.calls, 1, "%v", c.err)
				continue
			}
			assert.NilError(t, err)
			assert.Equal(t, few.calls, 4)
			longest := scaled(2*(1+4+9)*time.Second, pace)
			assert.Assert(t, now.Sub(time.Unix(0, 0)) <= longest, "three pauses took %s", now.Sub(time.Unix(0, 0)))

			now = time.Unix(0, 0)
			r.Backend = &troubled{err: c.err, times: 1000}
			_, err = r.Read(t.Context(), "t", "x")
			assert.ErrorIs(t, err, c.err)
			took := now.Sub(time.Unix(0, 0))
			limit := scaled(c.limit, pace)
			assert.Assert(t, took >= limit && took <= limit+scaled(minPause, pace), "%v: gave up after %s of %s", c.err, took, limit)
		}
	}
}

func TestWithoutLatencyPatienceIsATenth(t *testing.T) {
	assert.Equal(t, newRetrying(nil, 0).pace, 0.1)
	assert.Equal(t, newRetrying(nil, 0.5).pace, 0.5)
}

func TestACancelledCallIsNotRepeated(t *testing.T) {
	b := &troubled{err: &cloud.Error{Status: 429, Code: "TooManyRequests"}, times: 9}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newRetrying(b, 0).Read(ctx, "t", "x")
	assert.ErrorIs(t, err, b.err)
	assert.Equal(t, b.calls, 1)
}
