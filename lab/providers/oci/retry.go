package oci

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/http"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// The official provider repeats a call that the service refuses for the moment: for 10
// minutes on 429, and for 2 on any 409 and 500 and on calls without an answer, with
// random pauses of 1 s to twice the square of the number of tries, in seconds
// (oracle/terraform-provider-oci, internal/tfresource/retry.go). Not repeated are a 500
// that says that the host's capacity is out, and a 409 about a retry token. The lab takes
// a tenth of these times, or the part that its operations take of OCI's.
const (
	longRetry   = 10 * time.Minute
	shortRetry  = 2 * time.Minute
	minPause    = time.Second
	mostTries   = 12  // from then on pauses grow no more
	usualHaste  = 0.1 // where operations take no time
	noCapacity  = "Out of host capacity"
	staleTokens = "InvalidatedRetryToken"
)

// retrying repeats calls of a backend.
type retrying struct {
	Backend
	pace  float64 // of its time: 1 is as long as the official provider
	sleep func(context.Context, time.Duration) error
	now   func() time.Time
}

func newRetrying(b Backend, pace float64) retrying {
	if pace <= 0 {
		pace = usualHaste
	}
	return retrying{b, pace, cloud.Sleep, time.Now}
}

// patience is how long the official provider repeats a call that ends with err; 0 is not
// at all.
func patience(err error) time.Duration {
	var late *cloud.TimeoutError
	var service *cloud.Error
	switch {
	case errors.As(err, &late):
		return shortRetry
	case !errors.As(err, &service), strings.Contains(err.Error(), noCapacity), service.Code == staleTokens:
		return 0
	}
	switch service.Status {
	case http.StatusTooManyRequests:
		return longRetry
	case http.StatusConflict, http.StatusInternalServerError:
		return shortRetry
	}
	return 0
}

// pauseAfter is a random pause after so many tries, 1 s to twice their square.
func pauseAfter(tries int) time.Duration {
	tries = min(tries, mostTries)
	most := time.Duration(2*tries*tries)*time.Second - minPause
	return minPause + rand.N(most+1) //nolint:gosec // nothing is secret in a pause
}

// again runs a call until it succeeds, is refused for good, or patience ends. The
// last refusal is the answer; a context that ends is one, too.
func (r retrying) again(ctx context.Context, call func() error) error {
	start := r.now()
	for tries := 1; ; tries++ {
		err := call()
		limit := scaled(patience(err), r.pace)
		waited := r.now().Sub(start)
		if waited >= limit {
			return err
		}
		// The last try is when the time is over.
		pause := min(scaled(pauseAfter(tries), r.pace), limit-waited+scaled(minPause, r.pace))
		if r.sleep(ctx, pause) != nil {
			return err
		}
	}
}

func scaled(d time.Duration, by float64) time.Duration { return time.Duration(float64(d) * by) }

// Create gives all of its tries one retry token, as OCI's SDK does: a call that was
// done, and whose answer was lost, makes no second resource.
func (r retrying) Create(ctx context.Context, token string, in map[string]any) (id string, out map[string]any, err error) {
	ctx = cloud.WithRetryToken(ctx, cryptorand.Text())
	err = r.again(ctx, func() (err error) { id, out, err = r.Backend.Create(ctx, token, in); return err })
	return id, out, err
}

func (r retrying) Read(ctx context.Context, token, id string) (out map[string]any, err error) {
	err = r.again(ctx, func() (err error) { out, err = r.Backend.Read(ctx, token, id); return err })
	return out, err
}

func (r retrying) Update(ctx context.Context, token, id string, in map[string]any) (out map[string]any, err error) {
	err = r.again(ctx, func() (err error) { out, err = r.Backend.Update(ctx, token, id, in); return err })
	return out, err
}

func (r retrying) Delete(ctx context.Context, token, id string) error {
	return r.again(ctx, func() error { return r.Backend.Delete(ctx, token, id) })
}

func (r retrying) Invoke(ctx context.Context, token string, args map[string]any) (out map[string]any, err error) {
	err = r.again(ctx, func() (err error) { out, err = r.Backend.Invoke(ctx, token, args); return err })
	return out, err
}
