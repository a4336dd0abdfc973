package cloud

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"
)

// apiTimeout is how long a caller waits for an answer that does not come. OCI's
// SDK waits 60 s; the lab's users shall see the same in less.
const apiTimeout = 5 * time.Second

// APIFault makes calls of the API fail.
type APIFault struct {
	// Status, Code and Message are the answer; Status 0 is no answer at all.
	Status        int
	Code, Message string
	// Done does what was asked for before it withholds the answer.
	Done bool
	// Match is a part of the call, in any case: "CreateVolume oci:Core/volume:Volume"
	// of a provider, "oci bv volume list" of an instance. Empty is all of them.
	Match string
	// Rate is the part of the calls that fail, above 0 to 1.
	Rate float64
	// Until is when it is over; zero is never.
	Until time.Time
}

// TimeoutError is an API call that got no answer. Its caller cannot know whether it
// was done.
type TimeoutError struct{ Call string }

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("%s: net/http: request canceled (Client.Timeout exceeded while awaiting headers)", e.Call)
}

// Timeout tells that it is one, as net.Error does.
func (e *TimeoutError) Timeout() bool { return true }

// troubles are what the API suffers from.
type troubles struct {
	mu     sync.Mutex
	delay  time.Duration
	faults []APIFault
}

// SetTroubles makes every call of the API take so much longer and some of them
// fail; it replaces what was set before. It is forgotten when the cloud closes.
func (c *Cloud) SetTroubles(delay time.Duration, faults []APIFault) {
	c.troubles.mu.Lock()
	defer c.troubles.mu.Unlock()
	c.troubles.delay, c.troubles.faults = delay, append([]APIFault(nil), faults...)
}

type retryKey struct{}

// WithRetryToken gives all calls of ctx the token by which the service knows a
// repetition of one that it has done already (OCI's header opc-retry-token).
func WithRetryToken(ctx context.Context, token string) context.Context {
	return context.WithValue(ctx, retryKey{}, token)
}

func retryToken(ctx context.Context) string {
	token, _ := ctx.Value(retryKey{}).(string)
	return token
}

type matchKey struct{}

// WithIfMatch lets changes of ctx be done to that version of a resource alone (the
// header if-match of OCI's API).
func WithIfMatch(ctx context.Context, etag string) context.Context {
	return context.WithValue(ctx, matchKey{}, etag)
}

// rightVersion refuses a change that is meant for another version.
func rightVersion(ctx context.Context, r *resource) error {
	if etag, _ := ctx.Value(matchKey{}).(string); etag != "" && etag != r.etag() {
		return &Error{http.StatusPreconditionFailed, "NoEtagMatch", "The etag of " + r.ID + " is " + r.etag() + ", and if-match wants " + etag}
	}
	return nil
}

// request is how a call of a provider is named: CreateVolume and the whole token.
func request(verb, token string) string {
	return verb + token[strings.LastIndexByte(token, ':')+1:] + " " + token
}

// call is passed by every request of the API before anything is done.
func (c *Cloud) call(ctx context.Context, what string) error {
	c.troubles.mu.Lock()
	delay := c.troubles.delay
	c.troubles.mu.Unlock()
	if delay > 0 {
		if err := c.clock.Sleep(ctx, delay); err != nil {
			return err
		}
	}
	return c.strike(ctx, what, false)
}

// lose withholds the answer to a call that was done.
func (c *Cloud) lose(ctx context.Context, what string) error { return c.strike(ctx, what, true) }

// strike fails a call by the first fault that is meant for it.
func (c *Cloud) strike(ctx context.Context, what string, done bool) error {
	c.troubles.mu.Lock()
	faults := c.troubles.faults
	c.troubles.mu.Unlock()
	now := c.clock.Now()
	for _, f := range faults {
		if f.Done != done || !f.Until.IsZero() && !now.Before(f.Until) || !strings.Contains(strings.ToLower(what), strings.ToLower(f.Match)) {
			continue
		}
		if f.Rate < 1 && rand.Float64() >= f.Rate { //nolint:gosec // nothing is secret in a fault
			continue
		}
		if f.Status == 0 {
			if err := c.clock.Sleep(ctx, apiTimeout); err != nil {
				return err
			}
			return &TimeoutError{Call: what}
		}
		return &Error{f.Status, f.Code, f.Message}
	}
	return nil
}
