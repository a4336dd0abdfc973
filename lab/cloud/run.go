package cloud

import (
	"context"
	"errors"
	"sync"
	"time"
)

// How often the cloud looks after itself. Both are far below the intervals of
// the real cloud, where latency tables stretch what follows.
const (
	poolTick   = 500 * time.Millisecond
	healthTick = 100 * time.Millisecond
)

// Run is the cloud's own life until ctx ends: first it asserts on the machine
// what the state says, then pools relaunch what dies and health checks put
// backends in and out. It returns ctx's error.
func (c *Cloud) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	defer wg.Wait()
	report := c.reporter(ctx)
	c.forget()
	if err := c.change(func(s *state) error { s.unfinishedBackups(); return nil }); err != nil {
		report(err)
	}
	if err := c.reassert(ctx); err != nil {
		report(err)
		c.poke()
	}
	wg.Go(func() { c.watchHealth(ctx, healthTick) })
	ticker := time.NewTicker(poolTick)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-ticker.C:
		}
		// Not waited for: with latencies on, one relaunch takes minutes, and a pool
		// that is being worked on is left out of the next round.
		wg.Go(func() { report(c.tend(ctx)) })
		select {
		case <-c.wake:
			err := c.reassert(ctx)
			report(err)
			if err != nil {
				c.poke()
			}
		default:
		}
	}
}

// reporter logs errors, each once until another one comes.
func (c *Cloud) reporter(ctx context.Context) func(error) {
	var mu sync.Mutex
	last := ""
	return func(err error) {
		mu.Lock()
		defer mu.Unlock()
		if err == nil || ctx.Err() != nil || err.Error() == last {
			return
		}
		last = err.Error()
		c.logf("tending the cloud: %v; it is tried again", err)
	}
}

func (c *Cloud) poke() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// tend gives every pool that nobody is working on what it needs. Pools do not
// wait for each other: an instance takes minutes when latencies are on.
func (c *Cloud) tend(ctx context.Context) error {
	var ids, ending []string
	c.read(func(s *state) {
		for _, r := range s.of(typePool) {
			if c.inflight[r.ID] != nil {
				continue
			}
			ids = append(ids, r.ID)
			if r.State == terminating {
				ending = append(ending, r.ID)
			}
		}
	})
	err := c.each(ids, func(id string) error {
		lock := c.poolLock(id)
		select {
		case lock <- struct{}{}:
			defer func() { <-lock }()
			return c.reconcile(ctx, id, false)
		default:
			return nil
		}
	})
	if err != nil {
		return err
	}
	err = c.change(func(s *state) error {
		unchanged := errNothing
		for _, id := range ids { // one whose creation was cut off is complete now
			if r, ok := s.Resources[id]; ok && r.State == provisioning && c.inflight[id] == nil && s.complete(id) {
				r.State, unchanged = running, nil
			}
		}
		return unchanged
	})
	if err != nil && !errors.Is(err, errNothing) {
		return err
	}
	for _, id := range ending {
		if err := c.finishDelete(ctx, kinds[typePool], id); err != nil {
			return err
		}
	}
	return nil
}

// reassert tells the machine everything again, and finishes what a process that
// died, or a machine that refused, left half done.
func (c *Cloud) reassert(ctx context.Context) error {
	var volumes, deletions []*resource
	var ties []attachment
	c.read(func(s *state) {
		for _, r := range s.of(typeVolume) {
			copied := *r
			switch {
			case c.inflight[r.ID] != nil:
			case r.State == terminating:
				deletions = append(deletions, &copied)
			default:
				volumes = append(volumes, &copied)
			}
		}
		for id, r := range s.Resources {
			// All other kinds live in the records alone, so a deletion only has to end.
			if r.State == terminating && c.inflight[id] == nil && r.Token != typeVolume && r.Token != typePool {
				copied := *r
				deletions = append(deletions, &copied)
			}
		}
		for _, a := range s.attachments() {
			if i, ok := s.Instances[a.Instance]; ok && i.State == running && a.State != detached {
				ties = append(ties, *a)
			}
		}
	})
	var errs []error
	for _, r := range volumes {
		errs = append(errs, kinds[r.Token].realize(ctx, c, r.ID))
	}
	for _, r := range deletions {
		errs = append(errs, c.finishDelete(ctx, kinds[r.Token], r.ID))
	}
	for _, a := range ties {
		switch {
		case !c.machine.InstanceAlive(a.Instance): // its pool releases the volume
		case a.State == detaching:
			errs = append(errs, c.finishDetach(ctx, a.ID))
		default:
			errs = append(errs, c.finishAttach(ctx, a.ID))
		}
	}
	errs = append(errs, c.change(func(s *state) error {
		// What waited for nothing but the clock is as usable as it gets; whether a
		// caller takes it over is another matter (Acked).
		for id, r := range s.Resources {
			if c.inflight[id] == nil && r.Token != typePool && r.State == kinds[r.Token].starting {
				r.State = kinds[r.Token].ready
			}
		}
		return nil
	}))
	return errors.Join(append(errs, c.push(ctx))...)
}
