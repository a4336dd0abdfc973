package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// startTimeout bounds the time until all clients are connected for the first time.
	startTimeout = 30 * time.Second
	// startPause is between the first connections of two clients: listeners limit connections per second.
	startPause = 2 * time.Millisecond
	// underWay is how long a message may take before a line of progress calls it lost.
	underWay = 2 * time.Second
	// hopeless is how long nothing has come when the end does not wait any longer for what is missing.
	hopeless = 3 * time.Second
	// maxListed bounds the lists of a report.
	maxListed = 1000
)

// run is one workload.
type run struct {
	resolved
	id    string
	start time.Time

	rows        []*row
	publishers  []*publisher
	subscribers []*subscriber
	clients     []*client

	mu         sync.Mutex
	errors     map[string]int
	breaks     []Break
	reconnects int
	nodes      []NodeSample
}

// Run publishes until Duration is over or ctx ends, waits for what is under way, and reports. An error says that the
// workload could not begin; whatever happens to its clients afterwards is in the report.
func Run(ctx context.Context, o Options) (Report, error) {
	s, err := o.resolve()
	if err != nil {
		return Report{}, err
	}
	r := newRun(s)
	// The clients outlive ctx: its end is the end of publishing.
	life, end := context.WithCancel(context.WithoutCancel(ctx))
	var clients sync.WaitGroup
	defer func() { end(); clients.Wait() }()
	for i, c := range r.clients {
		clients.Go(func() { c.stay(life, time.Duration(i)*startPause) })
	}
	if err := r.wait(ctx); err != nil {
		return Report{}, err
	}
	began := r.now()
	for _, s := range r.subscribers {
		s.begin(began)
	}
	publishing, stop := context.WithTimeout(ctx, r.Duration)
	defer stop()
	var pacers, watchers sync.WaitGroup
	for _, p := range r.publishers {
		pacers.Go(func() { p.pace(publishing) })
	}
	watching, blind := context.WithCancel(life)
	defer blind()
	watchers.Go(func() { r.watch(watching) })
	if r.NodeOf != nil {
		watchers.Go(func() { r.sample(watching) })
	}
	pacers.Wait()
	ended := r.now()
	for _, s := range r.subscribers {
		s.end(ended)
	}
	r.drain(life)
	blind()
	watchers.Wait()
	report := r.report(began, ended)
	report.Interrupted = ctx.Err() != nil
	return report, nil
}

func newRun(s resolved) *run {
	if s.Seed == 0 {
		s.Seed = rand.Uint64() >> 12 // what every reader of JSON can keep
	}
	random := func(client int) *rand.Rand { return rand.New(rand.NewPCG(s.Seed, uint64(client))) }
	r := &run{
		resolved: s, id: fmt.Sprintf("%08x", uint32(s.Seed^s.Seed>>32)), start: time.Now(), errors: map[string]int{},
	}
	topic := func(publisher int) string { return fmt.Sprintf("emqx-oci/load/%s/%d", r.id, publisher) }
	client := func(kind string, i, turn int) *client {
		n := len(r.clients)
		c := &client{
			run: r, kind: kind, name: fmt.Sprintf("load-%s-%s-%d", r.id, kind[:3], i),
			endpoint: s.endpoints[turn%len(s.endpoints)], random: random(n + 1),
		}
		if len(s.Sources) > 0 {
			c.source = s.Sources[n%len(s.Sources)]
		}
		r.clients = append(r.clients, c)
		return c
	}
	for j := range s.Subscribers {
		// One further than the publishers, so that messages cross from one protocol to another.
		c := &subscriber{client: client("subscriber", j, j+1), index: j, unreleased: map[uint16]bool{}}
		c.role = c
		r.subscribers = append(r.subscribers, c)
	}
	for i := range s.Publishers {
		p := &publisher{client: client("publisher", i, i), index: i, topic: topic(i), row: newRow(s.Fan, s.QoS > 0)}
		p.role = p
		r.publishers = append(r.publishers, p)
		r.rows = append(r.rows, p.row)
		for k := range s.Fan {
			reader := r.subscribers[(i+k)%s.Subscribers]
			reader.topics = append(reader.topics, p.topic)
		}
	}
	return r
}

func (r *run) now() time.Duration { return time.Since(r.start) }

// wait returns when all clients are connected.
func (r *run) wait(ctx context.Context) error {
	timeout := time.NewTimer(startTimeout + time.Duration(len(r.clients))*startPause)
	defer timeout.Stop()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		connected := r.connected()
		if connected == len(r.clients) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("connecting the clients: %d of %d connected: %w%s", connected, len(r.clients), ctx.Err(), r.reasons())
		case <-timeout.C:
			return fmt.Errorf("connecting the clients: %d of %d connected after %s%s", connected, len(r.clients), startTimeout, r.reasons())
		case <-tick.C:
		}
	}
}

func (r *run) connected() int {
	n := 0
	for _, c := range r.clients {
		if ready, _ := c.state(); ready {
			n++
		}
	}
	return n
}

// reasons lists what went wrong so far.
func (r *run) reasons() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for kind, n := range r.errors {
		all = append(all, fmt.Sprintf("%s (%d times)", kind, n))
	}
	if len(all) == 0 {
		return ""
	}
	slices.Sort(all)
	return ": " + strings.Join(all, ", ")
}

// drain waits until nothing is under way any more: all clients are back, every message is acknowledged, and what was
// promised has come or will never come.
func (r *run) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.Settle)
	defer cancel()
	received, quiet := uint64(0), time.Now()
	for {
		unfinished, missing := r.pending()
		if now := r.received(); now != received || unfinished {
			received, quiet = now, time.Now()
		}
		if !unfinished && (!missing || time.Since(quiet) > hopeless) || !pause(ctx, 50*time.Millisecond) {
			return
		}
	}
}

// pending tells whether clients have something to do, and whether messages are missing that may come.
func (r *run) pending() (unfinished, missing bool) {
	unfinished = r.connected() < len(r.clients)
	for _, p := range r.publishers {
		unfinished = unfinished || p.inFlight() > 0
	}
	m := r.missing(forever, nil)
	return unfinished, m.lost+m.withSession > 0
}

func (r *run) received() (n uint64) {
	for _, s := range r.subscribers {
		s.mu.Lock()
		n += s.received
		s.mu.Unlock()
	}
	return n
}

// missing counts what was promised until the given time and did not come, and calls f for each range.
func (r *run) missing(until time.Duration, f func(Loss)) (m missed) {
	for _, s := range r.subscribers {
		_, windows := s.state()
		for i, row := range r.rows {
			reader, ok := s.reads(uint64(i))
			if !ok {
				continue
			}
			row.missing(reader, until, windows, func(l Loss) {
				m.add(l)
				if f != nil {
					l.Publisher, l.Subscriber = r.publishers[i].name, s.name
					f(l)
				}
			})
		}
	}
	return m
}

// fault counts an error, unless it comes from the end of the run.
func (r *run) fault(ctx context.Context, err error) {
	var broken *brokenError
	if ctx.Err() != nil || !errors.As(err, &broken) {
		return
	}
	r.count(broken.kind)
}

func (r *run) count(kind string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.errors[kind]++
}

func (r *run) broke(b Break) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reconnects++
	if len(r.breaks) < maxListed {
		r.breaks = append(r.breaks, b)
	}
}

// sample asks for the clients of each node. Answers that do not change are listed once.
func (r *run) sample(ctx context.Context) {
	ours := map[string]bool{}
	for _, c := range r.clients {
		ours[c.name] = true
	}
	for ok := true; ok; ok = pause(ctx, r.NodeEvery) {
		asked, cancel := context.WithTimeout(ctx, max(r.NodeEvery, time.Second))
		nodes, err := r.NodeOf(asked)
		cancel()
		if err != nil {
			r.fault(ctx, &brokenError{kind: "asking for the clients' nodes"})
			continue
		}
		if nodes == nil { // not known yet
			continue
		}
		sample := NodeSample{AtSeconds: seconds(r.now()), Connections: map[string]int{}}
		for name, node := range nodes {
			if ours[name] {
				sample.Connections[node]++
			}
		}
		r.mu.Lock()
		if n := len(r.nodes); len(sample.Connections) > 0 && n < maxListed && (n == 0 || !sample.same(r.nodes[n-1])) {
			r.nodes = append(r.nodes, sample)
		}
		r.mu.Unlock()
	}
}
