package cloud

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// minUpdating is how long a load balancer stays UPDATING even without latency:
// long enough that two children created in parallel meet, as they do in OCI.
const minUpdating = 25 * time.Millisecond

// Options of Open; the zero value is right.
type Options struct {
	// Log gets one line for each thing the cloud does by itself (relaunch, health).
	Log func(string)
	// Latency of the operations; none by default.
	Latency Latency
	// Secrets are the first versions of what the vault holds, by OCID; default what [SecretID] names.
	Secrets map[string]string
	// Clock replaces the wall clock in tests.
	Clock Clock
}

// Cloud is the control plane. All methods may be called concurrently.
type Cloud struct {
	machine Machine
	log     func(string)
	latency Latency
	clock   Clock
	path    string
	lock    *os.File

	mu       sync.Mutex // guards what follows; never held while the machine works
	s        *state
	inflight map[string]*operation // by the resource worked on
	busy     map[string]bool       // balancers that are UPDATING
	streaks  map[string]int        // consecutive health checks that contradict the state
	pools    map[string]chan struct{}
	retryAt  map[string]time.Time // instances whose launch failed
	admitted map[string]bool      // instances whose rules are in place
	wake     chan struct{}        // tells Run that something is to be done
	lost     map[string]bool      // availability domains in which nothing runs

	closed  bool
	closing chan struct{}  // closed by Close
	work    sync.WaitGroup // operations under way

	net      pushed // what the machine was last told
	troubles troubles
}

// Open loads the state in dir, which is made when missing. One process may have
// it open at a time. Nothing is done on the machine until Run or a change.
func Open(dir string, m Machine, opts Options) (*Cloud, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("opening the cloud: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the cloud: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("opening the cloud in %s: another process has it open: %w", dir, err)
	}
	path := filepath.Join(dir, "cloud.json")
	s, err := loadState(path)
	if err != nil {
		_ = lock.Close()
		return nil, err
	}
	c := &Cloud{
		machine: m, log: opts.Log, latency: opts.Latency, clock: opts.Clock, path: path, lock: lock, s: s,
		inflight: map[string]*operation{}, busy: map[string]bool{}, streaks: map[string]int{},
		pools: map[string]chan struct{}{}, retryAt: map[string]time.Time{}, admitted: map[string]bool{},
		wake: make(chan struct{}, 1), closing: make(chan struct{}), lost: map[string]bool{},
	}
	for id, i := range s.Instances {
		c.admitted[id] = i.State == running
	}
	if c.log == nil {
		c.log = func(string) {}
	}
	if c.clock == nil {
		c.clock = wallClock{}
	}
	if s.given = opts.Secrets; s.given == nil {
		s.given = map[string]string{SecretID: Registries}
	}
	return c, nil
}

// Close cuts off what is under way and lets another process open the state.
func (c *Cloud) Close() error {
	c.mu.Lock()
	if !c.closed {
		c.closed = true
		close(c.closing)
	}
	c.mu.Unlock()
	c.work.Wait()
	return c.lock.Close()
}

func (c *Cloud) logf(format string, args ...any) { c.log(fmt.Sprintf(format, args...)) }

// change runs f under the lock and stores the state when f succeeds. f must leave
// the state alone when it fails.
func (c *Cloud) change(f func(s *state) error) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := f(c.s); err != nil {
		return err
	}
	return c.s.save(c.path)
}

func (c *Cloud) read(f func(s *state)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(c.s)
}

// pause waits as long as the real cloud would take.
func (c *Cloud) pause(ctx context.Context, token string, op Op) error {
	return c.clock.Sleep(ctx, c.latency.Of(token, op))
}

func kindOf(token string) (kind, error) {
	k, ok := kinds[token]
	if !ok {
		return kind{}, notSimulated(token)
	}
	return k, nil
}

// Work is a request that the cloud has accepted. It runs to its end whether or not
// anybody waits for that.
type Work struct {
	ID   string // what it works on
	c    *Cloud
	op   *operation
	what string
}

// Done is closed at its end; Err says then how it went.
func (w *Work) Done() <-chan struct{} { return w.op.done }

// Err is the error that the work ended with; nil before its end.
func (w *Work) Err() error {
	w.c.mu.Lock()
	defer w.c.mu.Unlock()
	return w.op.err
}

// Create makes a resource and returns when it is usable, as the real provider
// does. It is recorded before anything is done. One that failed, or that the cloud's
// own end cut off, is taken over by the next Create with the same inputs. One whose
// caller went away is that caller's: only its own retry token finds it again, as in
// OCI, where a program that has died leaves a resource that nobody knows.
func (c *Cloud) Create(ctx context.Context, token string, in Props) (string, Props, error) {
	token = resourceOf(token)
	w, err := c.create(ctx, token, in)
	if err != nil {
		return "", nil, err
	}
	err = c.await(ctx, w)
	if err != nil && ctx.Err() != nil {
		// A caller that stops waiting has the id: the service answers before it is done.
		return w.ID, nil, err
	}
	if err == nil {
		err = c.unheard(ctx, request("Create", token), w.ID)
	}
	if err != nil {
		return "", nil, err
	}
	out, err := c.own(token, w.ID)
	if err != nil {
		return "", nil, err
	}
	return w.ID, out, nil
}

// StartCreate answers as OCI's service does: with the resource in its first state. The
// caller has it from then on.
func (c *Cloud) StartCreate(ctx context.Context, token string, in Props) (*Work, Props, error) {
	token = resourceOf(token)
	w, err := c.create(ctx, token, in)
	if err == nil {
		err = c.unheard(ctx, request("Create", token), w.ID)
	}
	if err != nil {
		return nil, nil, err
	}
	c.attend(w)
	out, err := c.own(token, w.ID)
	return w, out, err
}

func (c *Cloud) create(ctx context.Context, token string, in Props) (*Work, error) {
	k, err := kindOf(token)
	if err == nil {
		err = c.call(ctx, request("Create", token))
	}
	if err != nil {
		return nil, err
	}
	in = clone(in)
	var op *operation
	var wait time.Duration
	var made bool
	err = c.accept(ctx, func(s *state) (err error) {
		op, wait, made, err = c.begin(s, k, token, in, retryToken(ctx))
		return err
	})
	if err != nil {
		if op != nil {
			c.finish(op, err)
		}
		return nil, err
	}
	w := &Work{op.id, c, op, fmt.Sprintf("creating %s %s", k.noun, op.id)}
	if !made {
		return w, nil
	}
	return w, c.perform(ctx, w, func(ctx context.Context) error { return c.finishChange(ctx, k, op.id, wait) })
}

// own hands a resource to the caller that has asked for it.
func (c *Cloud) own(token, id string) (Props, error) {
	var out Props
	err := c.change(func(s *state) error {
		r, ok := s.Resources[id]
		if !ok || r.Token != token {
			return notFound(id)
		}
		r.Acked = true
		out = clone(c.viewOf(r))
		return nil
	})
	return out, err
}

// unheard is for a resource whose creation was done and whose caller may never hear so.
func (c *Cloud) unheard(ctx context.Context, what, id string) error {
	lost := c.lose(ctx, what)
	if lost == nil {
		return nil
	}
	return errors.Join(lost, c.change(func(s *state) error {
		if r, ok := s.Resources[id]; ok {
			r.Abandoned = !r.Acked
		}
		return nil
	}))
}

// begin records a new resource, or finds the one that this Create, or one with the
// same inputs that failed, left behind, and says how long the rest takes. made is false
// when there is nothing more to do than to wait for the operation.
func (c *Cloud) begin(s *state, k kind, token string, in Props, retry string) (op *operation, wait time.Duration, made bool, err error) {
	wait = c.duration(k, token, OpCreate)
	kept := clone(in)
	delete(kept, k.passing)
	for _, r := range s.of(token) {
		again := retry != "" && r.Retry == retry
		if r.State == terminating || !again && (r.Acked || r.Abandoned || !equal(r.In, kept)) {
			continue
		}
		switch op := c.inflight[r.ID]; {
		case op == nil && again && r.State == k.ready:
			return ended(r.ID), 0, false, nil
		case op == nil:
			if r.State == k.ready {
				wait = 0
			}
			op, err := c.claim(k, r, OpCreate)
			return op, wait, true, err
		case op.left:
			return nil, 0, false, &unattendedError{op}
		case again:
			return op, 0, false, nil
		}
	}
	if id := str(in, "compartmentId"); id != "" && id != CompartmentID {
		return nil, 0, false, notFound(id)
	}
	if err := k.check(s, "", in, nil); err != nil {
		return nil, 0, false, err
	}
	now := c.clock.Now().UTC()
	r := &resource{Token: token, State: k.starting, Created: now, Updated: now, In: in, Retry: retry}
	if k.record != nil {
		if err := k.record(s, r); err != nil {
			return nil, 0, false, err
		}
	}
	if k.id == nil {
		r.ID = newOCID(k.noun)
	} else {
		r.ID = k.id(r)
	}
	op, err = c.claim(k, r, OpCreate)
	if err != nil {
		return nil, 0, false, err
	}
	r.Seq = s.next()
	s.Resources[r.ID] = r
	if k.placed != nil {
		k.placed(s, r)
	}
	r.In = kept
	return op, wait, true, nil
}

// duration is how long the real cloud takes.
func (c *Cloud) duration(k kind, token string, op Op) time.Duration {
	wait := c.latency.Of(token, op)
	if k.balancer != nil {
		wait = max(wait, minUpdating)
	}
	return wait
}

// finishChange waits, makes the recorded resource real and publishes what follows from
// it for firewalls, balancers and the zone.
func (c *Cloud) finishChange(ctx context.Context, k kind, id string, wait time.Duration) error {
	if err := c.clock.Sleep(ctx, wait); err != nil {
		return fmt.Errorf("waiting for %s %s: %w", k.noun, id, err)
	}
	if k.realize != nil {
		if err := k.realize(ctx, c, id); err != nil {
			return err
		}
	}
	err := c.change(func(s *state) error {
		r, ok := s.Resources[id]
		if !ok || r.State == terminating {
			return notFound(id)
		}
		r.State = k.ready
		return nil
	})
	if err != nil {
		return err
	}
	return c.push(ctx)
}

// Read returns a resource's properties, or an error that is ErrNotFound.
func (c *Cloud) Read(ctx context.Context, token, id string) (Props, error) {
	token = resourceOf(token)
	_, err := kindOf(token)
	if err == nil {
		err = c.call(ctx, request("Get", token))
	}
	if err != nil {
		return nil, err
	}
	c.claimed(id)
	return c.view(token, id)
}

// claimed notes that somebody knows of a resource.
func (c *Cloud) claimed(id string) {
	_ = c.change(func(s *state) error {
		r, ok := s.Resources[id]
		if !ok || r.Acked {
			return errNothing
		}
		r.Acked = true
		return nil
	})
}

func (c *Cloud) view(token, id string) (Props, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if e, ok := c.s.Ended[id]; ok && e.Token == token {
		return clone(e.View), nil
	}
	r, ok := c.s.Resources[id]
	if !ok || r.Token != token {
		return nil, notFound(id)
	}
	view := c.viewOf(r)
	if !shown(r, view) {
		return nil, notFound(id)
	}
	return clone(view), nil
}

// viewOf is a resource as it is now, in the middle of a change, too. The caller holds
// the lock.
func (c *Cloud) viewOf(r *resource) Props {
	k := kinds[r.Token]
	view := k.view(c.s, r)
	state := str(view, "state")
	if state == "" {
		return view
	}
	if op := c.inflight[r.ID]; op != nil && op.does == OpUpdate && r.State == k.ready && k.changing != "" {
		state = k.changing
	}
	if r.Token == typeBalancer && r.State == active && c.busy[r.ID] {
		state = updating
	}
	view["state"] = k.spelled(state)
	return view
}

// ETag is what tells one version of a resource from the next; empty where there is none.
func (c *Cloud) ETag(id string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r, ok := c.s.Resources[id]; ok {
		return r.etag()
	}
	return ""
}

// Update changes a resource in place. As in OCI, a property that in does not hold stays
// as it is; rules and record sets are written as a whole.
func (c *Cloud) Update(ctx context.Context, token, id string, in Props) (Props, error) {
	token = resourceOf(token)
	w, err := c.update(ctx, token, id, in)
	if err == nil {
		err = c.await(ctx, w)
	}
	if err == nil {
		err = c.lose(ctx, request("Update", token))
	}
	if err != nil {
		return nil, err
	}
	return c.view(token, id)
}

// StartUpdate answers as OCI's service does, before the change is made.
func (c *Cloud) StartUpdate(ctx context.Context, token, id string, in Props) (*Work, Props, error) {
	token = resourceOf(token)
	w, err := c.update(ctx, token, id, in)
	if err == nil {
		c.attend(w)
		err = c.lose(ctx, request("Update", token))
	}
	if err != nil {
		return nil, nil, err
	}
	out, err := c.view(token, id)
	return w, out, err
}

func (c *Cloud) update(ctx context.Context, token, id string, in Props) (*Work, error) {
	k, err := kindOf(token)
	if err == nil {
		err = c.call(ctx, request("Update", token))
	}
	if err != nil {
		return nil, err
	}
	in = clone(in)
	var op *operation
	err = c.accept(ctx, func(s *state) error {
		r, ok := s.get(token, id)
		if !ok {
			return notFound(id)
		}
		if err := rightVersion(ctx, r); err != nil {
			return err
		}
		if err := c.free(k, id); err != nil {
			return err
		}
		full := in
		if !k.whole {
			full = clone(r.In)
			maps.Copy(full, in)
		}
		if err := k.check(s, id, full, r.In); err != nil {
			return err
		}
		var err error
		if op, err = c.claim(k, r, OpUpdate); err != nil {
			return err
		}
		r.In, r.Updated = full, c.clock.Now().UTC()
		if k.take != nil {
			k.take(s, r)
		}
		if k.placed != nil {
			k.placed(s, r)
		}
		delete(r.In, k.passing)
		return nil
	})
	if err != nil {
		if op != nil {
			c.finish(op, err)
		}
		return nil, err
	}
	w := &Work{id, c, op, fmt.Sprintf("updating %s %s", k.noun, id)}
	return w, c.perform(ctx, w, func(ctx context.Context) error {
		return c.finishChange(ctx, k, id, c.duration(k, token, OpUpdate))
	})
}

// Delete removes a resource; an unknown id is success.
func (c *Cloud) Delete(ctx context.Context, token, id string) error {
	token = resourceOf(token)
	w, err := c.delete(ctx, token, id)
	if errors.Is(err, ErrNotFound) {
		return nil
	}
	if err == nil {
		err = c.await(ctx, w)
	}
	if err == nil {
		err = c.lose(ctx, request("Delete", token))
	}
	return err
}

// StartDelete answers as OCI's service does, before the resource is gone; an unknown id
// is an error that is ErrNotFound.
func (c *Cloud) StartDelete(ctx context.Context, token, id string) (*Work, error) {
	token = resourceOf(token)
	w, err := c.delete(ctx, token, id)
	if err == nil {
		c.attend(w)
		err = c.lose(ctx, request("Delete", token))
	}
	return w, err
}

func (c *Cloud) delete(ctx context.Context, token, id string) (*Work, error) {
	k, err := kindOf(token)
	if err == nil {
		err = c.call(ctx, request("Delete", token))
	}
	if err != nil {
		return nil, err
	}
	var op *operation
	err = c.accept(ctx, func(s *state) error {
		r, ok := s.Resources[id]
		if !ok || r.Token != token {
			return notFound(id)
		}
		if err := rightVersion(ctx, r); err != nil {
			return err
		}
		var busy *unattendedError
		if err := c.free(k, id); err != nil && (k.noun != poolNoun || errors.As(err, &busy)) { // a pool's own lock makes the deletion wait
			return err
		}
		if k.held != nil {
			if err := k.held(s, r); err != nil {
				return err
			}
		}
		var err error
		if op, err = c.claim(k, r, OpDelete); err != nil {
			return err
		}
		r.State = terminating
		return nil
	})
	if err != nil {
		if op != nil {
			c.finish(op, err)
		}
		return nil, err
	}
	w := &Work{id, c, op, fmt.Sprintf("deleting %s %s", k.noun, id)}
	return w, c.perform(ctx, w, func(ctx context.Context) error {
		if err := c.clock.Sleep(ctx, c.duration(k, token, OpDelete)); err != nil {
			return fmt.Errorf("%s: %w", w.what, err)
		}
		return c.finishDelete(ctx, k, id)
	})
}

// finishDelete ends what Delete has marked; also after a restart.
func (c *Cloud) finishDelete(ctx context.Context, k kind, id string) error {
	if k.dismantle != nil {
		if err := k.dismantle(ctx, c, id); err != nil {
			return fmt.Errorf("deleting %s %s: %w", k.noun, id, err)
		}
	}
	err := c.change(func(s *state) error {
		r, ok := s.Resources[id]
		if !ok {
			return nil
		}
		s.keepEnd(k, r, c.clock.Now().UTC())
		if k.onDelete != nil {
			k.onDelete(s, r)
		}
		delete(s.Resources, id)
		return nil
	})
	if err != nil {
		return err
	}
	return c.push(ctx)
}
