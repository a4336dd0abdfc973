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
		{&cloud.Error{Status: 429, Code: "TooManyRequests"}, longRetry},
		{&cloud.Error{Status: 500, Code: "InternalServerError"}, longRetry},
		{&cloud.Error{Status: 409, Code: "IncorrectState"}, shortRetry},
		{fmt.Errorf("reading: %w", &cloud.TimeoutError{Call: "GetVolume"}), shortRetry},
		{&cloud.Error{Status: 409, Code: "Conflict"}, 0},
		{&cloud.Error{Status: 500, Code: "InternalError", Message: "Out of host capacity."}, 0},
		{&cloud.Error{Status: 404, Code: "NotAuthorizedOrNotFound"}, 0},
		{errors.New("other"), 0},
	} {
		now := time.Unix(0, 0)
		sleep := func(_ context.Context, d time.Duration) error { now = now.Add(d); return nil }
		r := retrying{sleep: sleep, now: func() time.Time { return now }}

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

		now = time.Unix(0, 0)
		r.Backend = &troubled{err: c.err, times: 1000}
		_, err = r.Read(t.Context(), "t", "x")
		assert.ErrorIs(t, err, c.err)
		took := now.Sub(time.Unix(0, 0))
		assert.Assert(t, took <= c.limit && took > c.limit/3, "%v: gave up after %s of %s", c.err, took, c.limit)
	}
}

func TestACancelledCallIsNotRepeated(t *testing.T) {
	b := &troubled{err: &cloud.Error{Status: 429, Code: "TooManyRequests"}, times: 9}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := newRetrying(b).Read(ctx, "t", "x")
	assert.ErrorIs(t, err, b.err)
	assert.Equal(t, b.calls, 1)
}
