package cloud

import (
	"context"
	"errors"
	"fmt"
)

// operation is a request that the cloud has accepted. It runs to its end whether
// or not its caller waits for that, as in the real cloud.
type operation struct {
	id, balancer string // what it works on
	does         Op
	done         chan struct{}

	// Guarded by the cloud's lock.
	ended    bool
	left     bool // its caller has gone
	attended bool // its caller has had its answer, and looks for itself how it goes
	err      error
}

// unattendedError refuses, for a moment, what meets an operation whose caller has
// gone: nobody else could tell when to try again.
type unattendedError struct{ op *operation }

func (e *unattendedError) Error() string {
	return e.op.id + " is being changed by a request that was cut off"
}

var errClosed = errors.New("the cloud is closed")

// accept records a request. It waits for an operation on the same resource whose
// caller has gone.
func (c *Cloud) accept(ctx context.Context, f func(s *state) error) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := c.change(f)
		var busy *unattendedError
		if !errors.As(err, &busy) {
			return err
		}
		select {
		case <-busy.op.done:
		case <-ctx.Done():
			return fmt.Errorf("waiting for an earlier request to %s: %w", busy.op.id, ctx.Err())
		}
	}
}

// free refuses a resource that another operation works on. The caller holds the lock.
func (c *Cloud) free(k kind, id string) error {
	switch op := c.inflight[id]; {
	case op == nil:
		return nil
	case op.left:
		return &unattendedError{op}
	default:
		return incorrectState("%s %s is being changed by another request", k.noun, id)
	}
}

// claim marks a resource, and the balancer it belongs to, as being worked on.
// The caller holds the lock.
func (c *Cloud) claim(k kind, r *resource, does Op) (*operation, error) {
	op := &operation{id: r.ID, does: does, done: make(chan struct{})}
	if k.balancer != nil {
		op.balancer = k.balancer(r)
		if b, ok := c.s.Resources[op.balancer]; ok && b != r && b.State == creating {
			return nil, conflict("Invalid State Transition of NLB lifeCycle state from Creating to Updating")
		}
		if c.busy[op.balancer] {
			// Word for word what OCI answers (terraform-provider-oci#1456).
			return nil, conflict("Invalid State Transition of NLB lifeCycle state from Updating to Updating")
		}
		c.busy[op.balancer] = true
	}
	c.inflight[r.ID] = op
	return op, nil
}

// ended is an operation of which nothing is left to be done.
func ended(id string) *operation {
	op := &operation{id: id, done: make(chan struct{}), ended: true}
	close(op.done)
	return op
}

// finish notes how an operation ended, and returns whether nobody waits for its answer.
func (c *Cloud) finish(op *operation, err error) (alone bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	op.ended, op.err = true, err
	if c.inflight[op.id] == op { // a pool's deletion does not wait for its creation to end
		delete(c.inflight, op.id)
	}
	delete(c.busy, op.balancer)
	close(op.done)
	return op.left || op.attended
}

// perform runs what was accepted to its end. Only the cloud's own end cuts it off; its
// state is as after a crash then, and the next process continues.
func (c *Cloud) perform(ctx context.Context, w *Work, f func(context.Context) error) error {
	op := w.op
	c.mu.Lock()
	closed := c.closed
	if !closed {
		c.work.Add(1)
	}
	c.mu.Unlock()
	if closed {
		c.finish(op, errClosed)
		return errClosed
	}
	work, stop := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-c.closing:
			stop()
		case <-op.done:
		}
	}()
	go func() {
		defer c.work.Done()
		defer stop()
		err := f(work)
		if c.finish(op, err) && err != nil {
			c.logf("%s: %v; nobody waits for it, the cloud goes on trying", w.what, err)
			c.poke()
		}
	}()
	return nil
}

// attend notes that the caller has its answer and does not wait: the cloud goes on
// trying what fails.
func (c *Cloud) attend(w *Work) {
	c.mu.Lock()
	defer c.mu.Unlock()
	w.op.attended = true
	if w.op.err != nil {
		c.poke()
	}
}

// await returns how work ended, or the end of ctx when it comes first.
func (c *Cloud) await(ctx context.Context, w *Work) error {
	op := w.op
	select {
	case <-op.done:
		return op.err
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if op.ended {
		return op.err
	}
	op.left = true
	if r, ok := c.s.Resources[op.id]; ok && !r.Acked {
		r.Abandoned = true
		if err := c.s.save(c.path); err != nil {
			return err
		}
	}
	return fmt.Errorf("%s: %w; the cloud goes on with it", w.what, ctx.Err())
}
