package oci

import (
	"context"
	cryptorand "crypto/rand"
	"errors"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// The official provider repeats a call that the service refuses for the moment: for
// up to 10 minutes on 429 and 500, and 2 minutes on 409 and calls without an answer
// (oracle/terraform-provider-oci, internal/tfresource/retry.go;
// docs.oracle.com/en-us/iaas/Content/dev/terraform/troubleshooting.htm). The lab
// does so for a tenth of that, and repeats IncorrectState alone of the 409s: a
// Conflict is to fail here, because it says that a graph changes one thing twice.
const (
	longRetry  = time.Minute
	shortRetry = 12 * time.Second
	maxBackOff = 5 * time.Second
)

// retrying repeats calls of a backend.
type retrying struct {
	Backend
	sleep func(context.Context, time.Duration) error
	now   func() time.Time
}

func newRetrying(b Backend) retrying { return retrying{b, sleep, time.Now} }

func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

// patience is how long a call that ends with err is repeated; 0 is not at all.
func patience(err error) time.Duration {
	var late *cloud.TimeoutError
	var service *cloud.Error
	switch {
	case errors.As(err, &late):
		return shortRetry
	case !errors.As(err, &service):
		return 0
	case service.Status == http.StatusTooManyRequests, service.Code == "InternalServerError":
		return longRetry
	case service.Code == "IncorrectState":
		return shortRetry
	}
	return 0
}

// again runs a call until it succeeds, is refused for good, or patience ends. The
// last refusal is the answer; a context that ends is one, too.
func (r retrying) again(ctx context.Context, call func() error) error {
	start := r.now()
	for n := time.Duration(1); ; n++ {
		err := call()
		limit := patience(err)
		if limit == 0 {
			return err
		}
		// Quadratic, with jitter: calls that were refused together do not meet again.
		pause := min(200*time.Millisecond*n*n, maxBackOff)
		pause = pause/2 + rand.N(pause) //nolint:gosec // nothing is secret in a pause
		if r.now().Add(pause).Sub(start) > limit {
			return err
		}
		if r.sleep(ctx, pause) != nil {
			return err
		}
	}
}

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
