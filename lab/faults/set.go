package faults

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// Node is a node of the cluster as the cloud has it now.
type Node struct {
	Index     int
	Name      string
	Instance  string // OCID; empty when the node has none
	State     string // OCI's word
	Domain    string
	Addresses []netip.Addr
	Volume    string // OCID of the node's volume; empty when it has none
}

// Cut is a path on which packets are dropped, both ways.
type Cut struct {
	A, B  []netip.Addr
	Ports []int // of either end, TCP and UDP; none means all packets
}

// Lab is what a Set breaks. All calls are idempotent.
type Lab interface {
	Nodes() []Node
	Servers() netip.Addr

	// Container finds the one running container of a task; Signal ("KILL", "STOP",
	// "CONT") reaches all of its processes.
	Container(ctx context.Context, instance, task string) (string, error)
	Signal(ctx context.Context, instance, container, signal string) error

	StopInstance(ctx context.Context, instance string) error
	StartInstance(ctx context.Context, instance string) error
	TerminateInstance(ctx context.Context, instance string) error
	LoseDomain(ctx context.Context, ad string) error
	RestoreDomain(ad string)
	// PullVolume names who had it, "" for nobody.
	PullVolume(ctx context.Context, volume string) (instance, device string, err error)
	// PushVolume attaches it to a stopped instance.
	PushVolume(ctx context.Context, instance, volume, device string) error
	FillVolume(ctx context.Context, instance, volume string) error
	EmptyVolume(instance, volume string) error

	SetCuts(ctx context.Context, cuts []Cut) error
	PowerServer(ctx context.Context, name string, on bool) error
	SetTroubles(delay time.Duration, faults []cloud.APIFault)
}

// entry is an active fault and what undoing it needs to know.
type entry struct {
	Active
	Kept map[string]string `json:"kept,omitempty"`
}

// Set holds what is broken in one lab; it lives in the lab's daemon.
type Set struct {
	lab  Lab
	file string
	log  func(string)
	now  func() time.Time

	shown  atomic.Pointer[[]Active] // active, for who must not wait for a fault under way
	mu     sync.Mutex               // one fault at a time
	active []entry
	cuts   []Cut // as the lab was last told
}

var _ Injector = (*Set)(nil)

// Open makes the set of a lab. What a daemon before this one left broken is named
// in file, and undone: faults live no longer than their daemon.
func Open(ctx context.Context, lab Lab, file string, log func(string)) (*Set, error) {
	s := &Set{lab: lab, file: file, log: log, now: time.Now}
	raw, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return s, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading what is broken in the lab: %w", err)
	}
	if err := json.Unmarshal(raw, &s.active); err != nil {
		return nil, fmt.Errorf("reading what is broken in the lab: %s: %w", file, err)
	}
	if len(s.active) > 0 {
		log("undoing the faults of the daemon before this one")
	}
	if err := errors.Join(s.Clear(ctx), lab.SetCuts(ctx, nil)); err != nil {
		log(err.Error()) // the lab comes up with it; `lab fault --clear` tries again
	}
	return s, nil
}

// tick is how often ends of time and new addresses are looked for.
const tick = 500 * time.Millisecond

// Run undoes faults whose time is over, and lets cuts follow their nodes to new
// addresses, until ctx ends.
func (s *Set) Run(ctx context.Context) {
	t := time.NewTicker(tick)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := s.tend(ctx); err != nil && ctx.Err() == nil {
				s.log(err.Error())
			}
		}
	}
}

func (s *Set) tend(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	for _, e := range slices.Clone(s.active) {
		if !e.Until.IsZero() && !s.now().Before(e.Until) {
			k, err := find(e.Name)
			if err == nil {
				err = s.repair(ctx, k, e.Fault)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("undoing %s, whose time is over: %w", e.Fault, err))
			}
		}
	}
	return errors.Join(append(errs, s.pushCuts(ctx))...)
}

// Active lists what has not been undone, oldest first.
func (s *Set) Active(context.Context) ([]Active, error) {
	if shown := s.shown.Load(); shown != nil {
		return slices.Clone(*shown), nil
	}
	return nil, nil
}

// run is one doing or undoing.
type run struct {
	ctx   context.Context //nolint:containedctx // it lives as long as the call that it is of
	set   *Set
	lab   Lab
	fault Fault
	node  Node              // of faults of one node
	kept  map[string]string // what do left for undo
}

// Do breaks something.
func (s *Set) Do(ctx context.Context, f Fault) error {
	k, err := f.check(false)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &run{ctx: ctx, set: s, lab: s.lab, fault: f, kept: map[string]string{}}
	if err := r.findNodes(k); err != nil {
		return fmt.Errorf("%s: %w", f.Name, err)
	}
	at := slices.IndexFunc(s.active, func(e entry) bool { return e.key() == f.key() })
	if at >= 0 && k.target != onDuration && k.target != onCode {
		r.kept = s.active[at].Kept
		if r.kept == nil {
			r.kept = map[string]string{}
		}
	}
	before := slices.Clone(s.active)
	if k.Lasts() {
		e := entry{Active: Active{Fault: f, Since: s.now().UTC()}, Kept: r.kept}
		if f.For > 0 {
			e.Until = e.Since.Add(f.For)
		}
		if at >= 0 {
			e.Since = s.active[at].Since
			s.active[at] = e
		} else {
			s.active = append(s.active, e)
		}
		// On disk before it is done: whoever comes after a killed daemon undoes it.
		if err := s.save(); err != nil {
			s.active = before
			return err
		}
	}
	switch {
	case k.cut != nil:
		err = s.pushCuts(ctx)
	default:
		err = k.do(r)
	}
	if err != nil {
		if k.Lasts() && at < 0 { // not half of it
			err = errors.Join(err, s.repair(ctx, k, f))
		}
		return fmt.Errorf("%s: %w", f, err)
	}
	s.log("fault: " + f.String())
	return s.save()
}

// Undo repairs it.
func (s *Set) Undo(ctx context.Context, f Fault) error {
	k, err := f.check(true)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.repair(ctx, k, f); err != nil {
		return fmt.Errorf("undoing %s: %w", f, err)
	}
	s.log("fault undone: " + f.String())
	return nil
}

// repair undoes one fault and forgets it. The caller holds the lock.
func (s *Set) repair(ctx context.Context, k Kind, f Fault) error {
	r := &run{ctx: ctx, set: s, lab: s.lab, fault: f, kept: map[string]string{}}
	keep := slices.Clone(s.active)
	s.active = slices.DeleteFunc(s.active, func(e entry) bool {
		same := e.key() == f.key() || len(f.Target) == 0 && e.Name == f.Name
		if same && e.Kept != nil {
			r.kept = e.Kept
		}
		return same
	})
	var err error
	switch {
	case k.cut != nil:
		err = s.pushCuts(ctx)
	default:
		// A node that is no more has nothing to repair.
		if r.findNodes(k) == nil || k.target != onNode {
			err = k.undo(r)
		}
	}
	if err != nil {
		s.active = keep
		return err
	}
	return s.save()
}

// Clear undoes everything, the newest first.
func (s *Set) Clear(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	var errs []error
	all := slices.Clone(s.active)
	for _, e := range slices.Backward(all) {
		k, err := find(e.Name)
		if err == nil {
			err = s.repair(ctx, k, e.Fault)
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("undoing %s: %w", e.Fault, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Set) save() error {
	shown := make([]Active, len(s.active))
	for i, e := range s.active {
		shown[i] = e.Active
	}
	s.shown.Store(&shown)
	raw, err := json.MarshalIndent(s.active, "", "  ")
	if err == nil {
		err = os.WriteFile(s.file+".new", raw, 0o600)
	}
	if err == nil {
		err = os.Rename(s.file+".new", s.file)
	}
	if err != nil {
		return fmt.Errorf("recording what is broken in the lab: %w", err)
	}
	return nil
}

// findNodes resolves the node numbers; what does not exist is told with what does.
func (r *run) findNodes(k Kind) error {
	if k.target != onNode && k.target != onNodes {
		return nil
	}
	nodes := r.lab.Nodes()
	var errs []error
	for _, word := range r.fault.Target {
		n, ok := node(nodes, word)
		if !ok {
			errs = append(errs, fmt.Errorf("no node %s: there are [%s]", word, names(nodes)))
			continue
		}
		r.node = n
	}
	return errors.Join(errs...)
}

func node(nodes []Node, word string) (Node, bool) {
	at := slices.IndexFunc(nodes, func(n Node) bool { return strconv.Itoa(n.Index) == word })
	if at < 0 {
		return Node{}, false
	}
	return nodes[at], true
}

func names(nodes []Node) string {
	words := make([]string, len(nodes))
	for i, n := range nodes {
		words[i] = fmt.Sprintf("%d (%s)", n.Index, n.Name)
	}
	return strings.Join(words, ", ")
}

// pushCuts tells the lab which packets to drop now. The caller holds the lock.
func (s *Set) pushCuts(ctx context.Context) error {
	var cuts []Cut
	for _, e := range s.active {
		if k, err := find(e.Name); err == nil && k.cut != nil {
			cuts = append(cuts, k.cut(s, e)...)
		}
	}
	if reflect.DeepEqual(cuts, s.cuts) {
		return nil
	}
	if err := s.lab.SetCuts(ctx, cuts); err != nil {
		return err
	}
	s.cuts = cuts
	return nil
}
