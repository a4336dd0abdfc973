package broker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// Version is the version of EMQX that the stand-in stands for.
const Version = "5.8.9"

// Options hold every outside thing. The zero value is production.
type Options struct {
	Env      []string      // KEY=value; nil: the process's
	Stdout   io.Writer     // log and banner; nil: standard output
	Resolver *net.Resolver // nil: the system's (/etc/resolv.conf), in pure Go
	Retry    time.Duration // between attempts at discovery; 0: 5 s
	Jitter   time.Duration // the first attempt waits up to this long; 0: 3 s
	Tick     time.Duration // between pings of a peer; 0: 1 s
	Ready    func()        // called whenever the listeners are up
	CtlCost  time.Duration // processor time that a command takes to begin; 0: none

	// Processes is where ctl finds the node that runs; empty: /proc.
	Processes string

	// How long a silent member is waited for; see takeover.go. 0: as EMQX does.
	Takeover, Kick, Lock time.Duration
	// How long a partition is looked at before it is healed; see heal.go. 0: as EMQX does.
	Confirm, Heal time.Duration
	// Unresolved is how long Ctl takes to give up on a name that does not resolve. 0: as
	// the real one.
	Unresolved time.Duration
	// Silence is when it counts as silent. 0: 2 s, which is no figure of EMQX: it asks
	// and waits.
	Silence time.Duration
}

func (o Options) withDefaults() Options {
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Stdout == nil {
		o.Stdout = os.Stdout
	}
	if o.Processes == "" {
		o.Processes = "/proc"
	}
	if o.Resolver == nil {
		o.Resolver = &net.Resolver{PreferGo: true}
	}
	if o.Retry == 0 {
		o.Retry = 5 * time.Second
	}
	if o.Jitter == 0 {
		o.Jitter = 3 * time.Second
	}
	if o.Tick == 0 {
		o.Tick = time.Second
	}
	for d, def := range map[*time.Duration]time.Duration{
		&o.Takeover: takeoverTimeout, &o.Kick: kickTimeout, &o.Lock: lockTimeout, &o.Silence: silence,
		&o.Confirm: confirmTime, &o.Heal: healTime, &o.Unresolved: unresolved,
	} {
		if *d == 0 {
			*d = def
		}
	}
	if o.Ready == nil {
		o.Ready = func() {}
	}
	return o
}

const (
	phaseWaiting = "waiting" // has data, another member may have newer
	phaseJoining = "joining"
	phaseRunning = "running"
)

// node is one running stand-in.
type node struct {
	opts Options
	cfg  config
	log  *logger
	disk store
	born int64        // of this start; the longest running one is the oldest
	life atomic.Int64 // of its database's start, which joining repeats

	listenersWritten atomic.Bool // at run time, here or elsewhere
	accessNow        atomic.Pointer[access]
	drained          atomic.Int64 // when decisions were made void, unix nanoseconds
	confMu           sync.Mutex   // one change of the configuration at a time

	ctx  context.Context
	stop context.CancelCauseFunc
	wg   sync.WaitGroup

	mu      sync.Mutex
	phase   string
	since   int64 // when its database began to serve, which joining repeats
	schema  schema
	peers   map[string]*peer
	app     *app
	discoOn bool // discovery is going on
	// discoOff: the node was taken out of its cluster. Until its next start discovery does
	// not put it back (ekka:disable_autocluster is a setting of the process).
	discoOff bool
	reports  int  // of partitions, to this node as the leader
	healing  bool // this node restarts smaller sides

	// appMu serializes join, leave and stop, which take the application down.
	appMu   sync.Mutex
	stopped bool

	data *records // retained messages, API keys, users: what joining replaces
	conn connSet  // accepted node connections, closed at stop

	routed        *mqtt.TopicsIndex // which peers have a route for a topic, by their names
	clock         atomic.Int64      // the last stamp
	pause         atomic.Int64      // of a session that comes from another node, in nanoseconds
	admitsDevices atomic.Bool       // emqx_oci_devices.erl is loaded
	admitsNames   atomic.Bool       // it lets in others than devices, too
}

// stamp is the time in nanoseconds, never twice the same: it tells messages apart.
func (n *node) stamp() int64 {
	for {
		last := n.clock.Load()
		now := max(last+1, time.Now().UnixNano())
		if n.clock.CompareAndSwap(last, now) {
			return now
		}
	}
}

// Run starts a node and returns when ctx ends (nil) or it cannot go on.
func Run(ctx context.Context, opts Options) error {
	opts = opts.withDefaults()
	_, _ = fmt.Fprintf(opts.Stdout, "This is a STAND-IN for EMQX %s, made for the emqx-oci lab. It is not EMQX.\n", Version)
	cfg, err := loadConfig(opts.Env)
	if err != nil {
		return fmt.Errorf("reading the configuration: %w", err)
	}
	disk, err := openStore(cfg.dataDir, cfg.node)
	if err != nil {
		return err
	}
	n := &node{
		opts: opts, cfg: cfg, disk: disk, log: newLogger(opts.Stdout, cfg.logLevel),
		born: time.Now().UnixNano(), peers: map[string]*peer{}, routed: mqtt.NewTopicsIndex(),
	}
	n.life.Store(n.born)
	n.data = newRecords(disk, cfg.retain, n.log)
	n.ctx, n.stop = context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, n.shutdown)()
	defer n.wg.Wait()
	defer n.shutdown() //nolint:contextcheck // the node's own context outlives the caller's, to say goodbye
	if cfg.cookie == defaultCookie {
		n.log.print("WARNING: Default (insecure) Erlang cookie is in use. Set EMQX_NODE__COOKIE.")
	}
	for _, name := range cfg.unknown {
		n.log.Warn("unknown_env_vars", "name", name, "did_you_mean", nearestVariable(name))
	}
	if len(cfg.idle) > 0 {
		n.log.print("settings of EMQX without effect in the stand-in: " + strings.Join(cfg.idle, ", "))
	}
	if err := n.boot(); err != nil { //nolint:contextcheck // the node's own context outlives the caller's, to say goodbye
		return err
	}
	<-n.ctx.Done()
	cause := context.Cause(n.ctx) //nolint:contextcheck // the node's own context outlives the caller's, to say goodbye
	if ctx.Err() == nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return nil
}

// shutdown cuts the clients first, while the other nodes still get their wills.
func (n *node) shutdown() {
	n.appMu.Lock()
	defer n.appMu.Unlock()
	if n.stopped {
		return
	}
	n.stopped = true
	n.stopApp()
	for _, p := range n.runningPeers() {
		p.rpc.drain(500 * time.Millisecond)
	}
	n.stop(nil)
	n.conn.closeAll()
	n.mu.Lock()
	for _, p := range n.peers {
		p.close()
	}
	n.mu.Unlock()
	n.data.close()
	n.log.print("EMQX stand-in " + n.cfg.node.String() + " is stopped")
}

// boot opens the node's own ports, finds out whether its data may be used, and
// starts the application.
func (n *node) boot() error {
	distPort := n.cfg.node.distPort()
	dist, err := listenTCP(net.JoinHostPort(n.cfg.distAddr, strconv.Itoa(distPort)))
	if err != nil {
		return fmt.Errorf("opening the distribution port: %w", err)
	}
	context.AfterFunc(n.ctx, func() { _ = dist.Close() })
	rpc, err := listenTCP(net.JoinHostPort(n.cfg.rpcAddr, strconv.Itoa(n.cfg.rpcPort)))
	if err != nil {
		return fmt.Errorf("opening the RPC port: %w", err)
	}
	context.AfterFunc(n.ctx, func() { _ = rpc.Close() })
	had, err := n.disk.load(schemaFile, &n.schema)
	if err != nil {
		return err
	}
	if err := n.data.reopen(nil); err != nil {
		return err
	}
	if err := n.loadClusterConf(); err != nil {
		return err
	}
	if !had {
		n.schema = n.freshSchema()
		if err := n.saveSchema(); err != nil {
			return err
		}
	}
	n.setPhase(phaseWaiting)
	n.accept(dist, kindDist, kindCtl)
	n.accept(rpc, kindCall, kindCast)
	if len(n.others()) > 0 {
		if err := n.waitForData(); err != nil {
			if n.ctx.Err() != nil {
				return nil //nolint:nilerr // stopped while waiting
			}
			return err
		}
	}
	n.setPhase(phaseRunning)
	n.appMu.Lock()
	err = n.startApp()
	n.appMu.Unlock()
	if err != nil {
		return err
	}
	n.announce(n.ctx)
	n.pullData()
	n.log.print(fmt.Sprintf("EMQX %s is running now! (stand-in, node %s)", Version, n.cfg.node))
	n.goDiscover()
	n.wg.Go(n.autoclean)
	return nil
}

func (n *node) freshSchema() schema {
	self := n.cfg.node.String()
	return schema{
		Cluster: newClusterID(),
		Members: map[string]member{self: {At: time.Now().UnixNano()}}, Down: map[string]int64{},
	}
}

func (n *node) setPhase(p string) {
	now := n.stamp()
	n.mu.Lock()
	defer n.mu.Unlock()
	if p == phaseRunning && n.since == 0 {
		n.since = now
	}
	n.phase = p
}

func (n *node) currentPhase() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.phase
}

// saveSchema writes the schema; the caller holds mu or is alone.
func (n *node) saveSchema() error {
	if err := n.disk.save(schemaFile, n.schema); err != nil {
		return fmt.Errorf("writing the cluster schema: %w", err)
	}
	return nil
}

// listenTCP opens an address; nothing in it takes long enough to cancel.
func listenTCP(addr string) (net.Listener, error) {
	var c net.ListenConfig
	return c.Listen(context.Background(), "tcp", addr)
}

// accept serves a node port until the node stops.
func (n *node) accept(ln net.Listener, kinds ...string) {
	n.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil { // out of files, most likely
				n.log.Error("accepting a node connection failed", "reason", err.Error())
				time.Sleep(100 * time.Millisecond)
				continue
			}
			n.wg.Go(func() { n.serveConn(c, kinds) })
		}
	})
}

func (n *node) serveConn(c net.Conn, kinds []string) {
	if !n.conn.add(c) {
		_ = c.Close()
		return
	}
	defer n.conn.remove(c)
	defer func() { _ = c.Close() }()
	w, kind, peer, err := serverHello(c, n.cfg.node.String(), n.cfg.cookie, kinds...)
	if errors.Is(err, errCookie) {
		n.log.Error("connection attempt from node rejected: "+err.Error(), "node", peer, "peername", c.RemoteAddr().String())
		return
	}
	if err != nil {
		n.log.Debug("node connection refused", "peername", c.RemoteAddr().String(), "reason", err.Error())
		return
	}
	for {
		m, err := w.receive()
		if err != nil {
			return
		}
		reply := n.handle(kind, w.peer, m)
		if kind == kindCast {
			continue
		}
		_ = c.SetWriteDeadline(time.Now().Add(30 * time.Second))
		if err := w.send(reply); err != nil {
			return
		}
	}
}

// connSet remembers open connections so that a stop can cut them.
type connSet struct {
	mu     sync.Mutex
	m      map[net.Conn]bool
	closed bool
}

func (s *connSet) add(c net.Conn) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	if s.m == nil {
		s.m = map[net.Conn]bool{}
	}
	s.m[c] = true
	return true
}

func (s *connSet) remove(c net.Conn) {
	s.mu.Lock()
	delete(s.m, c)
	s.mu.Unlock()
}

func (s *connSet) closeAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	for c := range s.m {
		_ = c.Close()
	}
}
