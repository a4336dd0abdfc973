package broker

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
)

// app is the part of a node that a join takes down and starts again: the MQTT
// server with its listeners, and the HTTP API.
type app struct {
	node    *node
	server  *mqtt.Server
	http    *api
	started time.Time
	done    chan struct{}

	seq         atomic.Uint32 // picks the node of a shared group in turn
	injected    atomic.Int64  // messages that the server counts though they came from no client
	forwarded   atomic.Int64  // messages sent to other nodes
	remotes     sync.Map      // node name -> *mqtt.Client that injects its messages
	connectedAt sync.Map      // *mqtt.Client -> time.Time
	routesDirty chan struct{}
	shared      atomic.Pointer[[]string] // filters of shared subscriptions on this node
	routes      routes                   // of all others

	router    *mqtt.Client // in whose name the server distributes what clients publish
	arrivals  atomic.Int64 // numbers messages in the order they come in
	memories  sync.Map     // client identifier -> *memory
	ids       idLocks
	leaving   sync.Map // client identifier -> *giving
	listenMu  sync.Mutex
	listeners []*listener             // those that run
	listening map[string]listenerSpec // all of them, by id

	// flow is shared by whoever distributes a message, and taken alone to move a session.
	flow sync.RWMutex
}

// startApp opens the listeners and serves; the caller holds appMu.
func (n *node) startApp() error {
	if n.stopped {
		return nil
	}
	a := &app{node: n, started: time.Now(), done: make(chan struct{}), routesDirty: make(chan struct{}, 1), listening: map[string]listenerSpec{}}
	a.shared.Store(&[]string{})
	a.routes.filters = map[string]bool{}
	a.routes.base = n.stamp()
	a.routes.seq.Store(a.routes.base)
	caps := mqtt.NewDefaultServerCapabilities()
	m := n.cfg.mqtt
	caps.MaximumMessageExpiryInterval = 0                             // else retained messages would go after a day
	caps.MaximumPacketSize = uint32(min(m.maxPacket, math.MaxUint32)) //nolint:gosec // bounded in the same line
	caps.MaximumClientWritesPending = 2048                            // each takes 8 bytes of every client
	caps.MaximumInflight = math.MaxUint16
	if m.maxQueue >= 0 {
		caps.MaximumInflight = uint16(min(m.maxInflight+m.maxQueue, math.MaxUint16)) //nolint:gosec // bounded in the same line
		caps.MaximumClientWritesPending = min(int32(caps.MaximumInflight), 2048)
	}
	caps.ReceiveMaximum = uint16(m.maxInflight)   //nolint:gosec // checked to be at most 65535
	caps.TopicAliasMaximum = uint16(m.topicAlias) //nolint:gosec // checked to be at most 65535
	caps.MaximumQos = byte(m.maxQoS)              //nolint:gosec // checked to be at most 2
	caps.RetainAvailable = flag(m.retain && n.cfg.retain.enable)
	caps.WildcardSubAvailable = flag(m.wildcard)
	caps.SharedSubAvailable = flag(m.shared)
	caps.Compatibilities.NoInheritedPropertiesOnAck = true
	a.server = mqtt.New(&mqtt.Options{
		Capabilities: caps, Logger: slog.New(slog.NewTextHandler(io.Discard, nil)),
		SysTopicResendInterval:  1 << 30, // its $SYS tree is not EMQX's
		ClientNetReadBufferSize: 512,     // larger packets are read past it
	})
	a.router = a.server.NewClient(nil, clusterListener, "router", true)
	a.router.Properties.ProtocolVersion = 5 // else messages would not expire
	if err := a.server.AddHook(&hook{app: a}, nil); err != nil {
		return err
	}
	for _, c := range n.cfg.listeners {
		l, err := newListener(c, n.cfg.mqtt.idleTimeout, n.log)
		if err == nil {
			l.app = a
			err = a.server.AddListener(l)
		}
		if err != nil {
			a.closeListeners()
			return fmt.Errorf("failed to start listener %s on %s: %w", c.id(), c.bind, err)
		}
		a.listeners = append(a.listeners, l)
		a.listening[c.id()] = specOf(c)
	}
	if err := errors.Join(n.loadKeys(), n.startAccess(), n.loadBans()); err != nil {
		a.closeListeners()
		return err
	}
	if n.cfg.dashboard.bind != "" {
		h, err := openAPI(a)
		if err != nil {
			a.closeListeners()
			return fmt.Errorf("failed to start listener http:dashboard on %s: %w", n.cfg.dashboard.bind, err)
		}
		a.http = h
	}
	a.loadRetained()
	n.setApp(a)
	if err := a.server.Serve(); err != nil {
		n.setApp(nil)
		a.closeListeners()
		return err
	}
	for topic := range a.server.Topics.Retained.GetAll() {
		if strings.HasPrefix(topic, mqtt.SysPrefix) {
			a.server.Topics.RetainMessage(packets.Packet{TopicName: topic})
		}
	}
	for _, l := range a.listeners {
		n.log.print("Listener " + l.ID() + " on " + l.Address() + " started.")
	}
	if a.http != nil {
		a.http.serve()
		n.log.print("Listener http:dashboard on " + n.cfg.dashboard.bind + " started.")
	}
	go a.housekeep()
	n.opts.Ready()
	return nil
}

func (n *node) setApp(a *app) {
	n.mu.Lock()
	n.app = a
	n.mu.Unlock()
}

// stopApp cuts all clients, as open source EMQX does; the caller holds appMu.
func (n *node) stopApp() {
	n.mu.Lock()
	a := n.app
	n.app = nil
	n.mu.Unlock()
	if a == nil {
		return
	}
	close(a.done)
	if a.http != nil {
		a.http.close()
	}
	_ = a.server.Close()
}

func (a *app) closeListeners() {
	for _, l := range a.listeners {
		l.Close(func(string) {})
	}
	if a.http != nil {
		a.http.close()
	}
}

// withApp runs f when the application is up.
func (n *node) withApp(f func(*app)) {
	n.mu.Lock()
	a := n.app
	n.mu.Unlock()
	if a != nil {
		f(a)
	}
}

// loadRetained puts the node's retained messages into the server.
func (a *app) loadRetained() {
	for _, p := range a.node.data.all() {
		a.server.Topics.RetainMessage(p.packet())
	}
}

// inject delivers a message of another node here.
func (a *app) inject(from string, m *message) {
	v, ok := a.remotes.Load(from)
	if !ok {
		cl := a.server.NewClient(nil, clusterListener, "$node/"+from, true)
		cl.Properties.ProtocolVersion = 5
		v, _ = a.remotes.LoadOrStore(from, cl)
	}
	pk := m.Publish.packet()
	if pk.FixedHeader.Qos > 0 {
		pk.PacketID = 1 // only its presence is checked
	}
	tag(&pk, m.Publish.At, m.Shared)
	a.flow.RLock()
	defer a.flow.RUnlock()
	if !m.Routed && len(m.Shared) == 0 {
		(&hook{app: a}).keep(pk)
		return
	}
	a.injected.Add(1)
	if err := a.server.InjectPacket(v.(*mqtt.Client), pk); err != nil {
		a.node.log.Warn("delivering a message of another node failed", "topic", pk.TopicName, "reason", err.Error())
	}
}

// housekeep ends sessions of MQTT 3 clients that were away too long, and keeps
// the list of shared groups current.
func (a *app) housekeep() {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-a.done:
			return
		case <-tick.C:
			expiry := int64(a.node.cfg.mqtt.sessionExpiry.Seconds())
			for _, cl := range a.server.Clients.GetAll() {
				if t := cl.StopTime(); t > 0 && cl.Properties.ProtocolVersion < 5 && time.Now().Unix()-t > expiry {
					a.forget(cl)
				}
			}
		case <-a.routesDirty:
			time.Sleep(20 * time.Millisecond) // gather what comes together
			a.findShared()
			a.unroute()
		}
	}
}

func (a *app) routesChanged() {
	select {
	case a.routesDirty <- struct{}{}:
	default:
	}
}

func (a *app) findShared() {
	set := map[string]bool{}
	for _, cl := range a.server.Clients.GetAll() {
		for f := range cl.State.Subscriptions.GetAll() {
			if mqtt.IsSharedFilter(f) {
				set[f] = true
			}
		}
	}
	now := sortedKeys(set)
	if old := a.shared.Swap(&now); !slices.Equal(*old, now) {
		a.node.announce(a.node.ctx)
	}
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

// publish sends a message of the API as if a client had.
func (a *app) publish(topic string, payload []byte, qos byte, retain bool) error {
	if topic == "" || !mqtt.IsValidFilter(topic, true) {
		return fmt.Errorf("%q is no topic to publish to", topic)
	}
	return a.distribute("api", packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Retain: retain}, TopicName: topic, Payload: payload,
	})
}
