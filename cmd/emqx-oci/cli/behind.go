package cli

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"github.com/emqx-oci/emqx-oci/infra/operate"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// behind asks those that only the engine can ask: the stack's history, and the cloud's balancer with the stack's own
// credentials. An engine takes seconds to start, so a watch has it ask beside its looks.
type behind struct {
	mu       sync.Mutex
	balancer operate.BalancerStatus
	update   operate.UpdateStatus
	// Closed when something is known of each.
	balancerKnown, updateKnown chan struct{}
}

const (
	// behindTimeout is what a look waits for them: an engine answers within some seconds, and
	// a cloud's API that is away is asked for minutes.
	behindTimeout = 10 * time.Second
	// behindEvery lies between the questions of a watch.
	behindEvery = 10 * time.Second
)

// newBehind asks at once, and again when there is an interval, until ctx ends.
func (a *app) newBehind(ctx context.Context, stack string, every time.Duration) *behind {
	b := &behind{balancerKnown: make(chan struct{}), updateKnown: make(chan struct{})}
	go func() {
		for {
			a.ask(ctx, stack, b)
			if every == 0 {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(every):
			}
		}
	}()
	return b
}

func (a *app) ask(ctx context.Context, stack string, b *behind) {
	ctx, cancel := context.WithTimeout(ctx, behindTimeout)
	defer cancel()
	// Nothing is written down, so an engine that hangs is ended at once.
	t, err := a.open(quiet, stack, func(o *orchestrate.Options) { o.Kill = ctx.Done() }) //nolint:contextcheck // what a cloud is asked before has a time of its own
	if err != nil {
		b.sawUpdate(nil, err)
		b.sawBalancer(nil, err)
		return
	}
	defer t.close()
	u, err := t.LastUpdate(ctx)
	b.sawUpdate(u, inTime(ctx, err))
	if a.Edge == nil {
		b.sawBalancer(nil, errors.New("this program cannot ask"))
		return
	}
	var health map[string]string
	err = t.Ask(ctx, func(p *pulumi.Context) error {
		var err error
		health, err = a.Edge(p)
		return err
	})
	b.sawBalancer(health, inTime(ctx, err))
}

// inTime is the error of a question; one that was cut off says only that.
func inTime(ctx context.Context, err error) error {
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("no answer within %s", behindTimeout)
	}
	return err
}

func (b *behind) sawUpdate(u *orchestrate.Update, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.update = operate.UpdateStatus{}
	var none *orchestrate.NotCreatedError
	switch {
	case errors.As(err, &none): // nobody ever updated it
	case err != nil:
		b.update.Error = err.Error()
	case u != nil:
		b.update = operate.UpdateStatus{Kind: u.Kind, Result: u.Result, Started: u.Started, Ended: u.Ended}
	}
	closeOnce(b.updateKnown)
}

func (b *behind) sawBalancer(health map[string]string, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.balancer = operate.BalancerStatus{Backends: operate.Backends(health), Asked: time.Now()}
	if err != nil {
		b.balancer.Error = err.Error()
	}
	closeOnce(b.balancerKnown)
}

func closeOnce(ch chan struct{}) {
	select {
	case <-ch:
	default:
		close(ch)
	}
}

// Both wait for the first answer where there is patience.
func (b *behind) lastUpdate(patient bool) func(context.Context) operate.UpdateStatus {
	return func(ctx context.Context) operate.UpdateStatus {
		if !b.wait(ctx, b.updateKnown, patient) {
			return operate.UpdateStatus{Error: "still asking"}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.update
	}
}

func (b *behind) backends(patient bool) func(context.Context) operate.BalancerStatus {
	return func(ctx context.Context) operate.BalancerStatus {
		if !b.wait(ctx, b.balancerKnown, patient) {
			return operate.BalancerStatus{Error: "still asking"}
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		return b.balancer
	}
}

func (b *behind) wait(ctx context.Context, ch <-chan struct{}, patient bool) bool {
	if patient {
		select {
		case <-ch:
		case <-ctx.Done():
		}
	}
	select {
	case <-ch:
		return true
	default:
		return false
	}
}
