package cluster

import (
	"cmp"
	"fmt"
	"slices"
)

// Listener is one protocol that clients speak.
type Listener struct {
	// Name is the label of the port in jobs and the name of the balancer's
	// backend set and listener: mqtt, mqtts, ws, wss.
	Name string
	// EMQX is what EMQX calls it: tcp, ssl, ws, wss.
	EMQX string
	// Scheme of the URL that a client is given.
	Scheme string
	// Port is the same on the balancer and on HAProxy.
	Port int
	// BrokerPort is where EMQX listens for it on every node, for HAProxy alone.
	BrokerPort int
	// Path of the URL; empty for plain MQTT.
	Path string
	// TLS listeners exist only in a stack that has a certificate.
	TLS bool

	// ClientCIDRs are where its clients come from; none is wherever those of the stack do.
	ClientCIDRs []string
	// Inside: the edge does not have it, because it is for the private network alone and
	// the edge is on the internet. Clients speak to the proxies on the nodes.
	Inside bool
	// LeadsTo is EMQX's port for what has had its TLS ended by the proxy; 0 is BrokerPort.
	LeadsTo int
}

// Ports are where HAProxy and EMQX listen on every node. The balancer listens on
// HAProxy's first four for clients.
type Ports struct {
	// MQTT and MQTTS (TLS), WS and WSS (MQTT over WebSocket).
	MQTT, MQTTS, WS, WSS int
	// Admin is HAProxy's /haproxy_health and statistics, closed to clients.
	Admin int
	// Broker is where EMQX listens.
	Broker BrokerPorts
}

// BrokerPorts are where EMQX listens behind HAProxy: the same on every node,
// because EMQX keeps its listeners in a configuration that all members share
// (ADR 0025).
type BrokerPorts struct {
	MQTT, MQTTS, WS, WSS int
}

// DefaultPorts are those that IANA has registered for MQTT, and EMQX's own for
// WebSockets. EMQX's listeners lie between [BrokerMin] and [BrokerMax].
var DefaultPorts = Ports{
	MQTT: 1883, MQTTS: 8883, WS: 8083, WSS: 8084, Admin: 8080,
	Broker: BrokerPorts{MQTT: 21883, MQTTS: 21884, WS: 21983, WSS: 21984},
}

// Listeners are the protocols of a stack, always in the same order. Without a
// certificate the two TLS ones exist nowhere on the path.
func Listeners(ports Ports, tls bool) []Listener {
	var offered []Listener
	for _, l := range []Listener{
		{Name: "mqtt", EMQX: "tcp", Scheme: "mqtt", Port: ports.MQTT, BrokerPort: ports.Broker.MQTT},
		{Name: "mqtts", EMQX: "ssl", Scheme: "mqtts", Port: ports.MQTTS, BrokerPort: ports.Broker.MQTTS, TLS: true},
		{Name: "ws", EMQX: "ws", Scheme: "ws", Port: ports.WS, BrokerPort: ports.Broker.WS, Path: "/mqtt"},
		{Name: "wss", EMQX: "wss", Scheme: "wss", Port: ports.WSS, BrokerPort: ports.Broker.WSS, Path: "/mqtt", TLS: true},
	} {
		if tls || !l.TLS {
			offered = append(offered, l)
		}
	}
	return offered
}

// AtEdge are those of the listeners that the edge has.
func AtEdge(listeners []Listener) []Listener {
	return slices.DeleteFunc(slices.Clone(listeners), func(l Listener) bool { return l.Inside })
}

// ListenerNames are their names, in the same order.
func ListenerNames(listeners []Listener) []string {
	names := make([]string, len(listeners))
	for i, l := range listeners {
		names[i] = l.Name
	}
	return names
}

// NamedListeners are those of all four listeners that have one of these names; all of a
// stack with or without a certificate where none is given.
func NamedListeners(ports Ports, tls bool, names []string) []Listener {
	if len(names) == 0 {
		return Listeners(ports, tls)
	}
	return slices.DeleteFunc(Listeners(ports, true), func(l Listener) bool { return !slices.Contains(names, l.Name) })
}

// Ports that no setting moves.
const (
	// Distribution is Erlang's port between EMQX nodes named "emqx@...".
	Distribution = 4370
	// RPC carries EMQX's messages between nodes (port_discovery=manual).
	RPC = 5370
	// Dashboard serves EMQX's dashboard, REST API and /status.
	Dashboard = 18083
	// Gossip is Consul's LAN gossip, TCP and UDP.
	Gossip = 8301
	// DynamicMin and DynamicMax bound the ports that Nomad assigns on a node. No job
	// of this stack asks for one; another's must not get one of ours.
	DynamicMin = 21000
	DynamicMax = 21799
	// BrokerMin and BrokerMax bound the ports that no node's outgoing connection
	// takes, so that EMQX's listeners may move there at any time.
	BrokerMin = 21800
	BrokerMax = 21999
	// OutgoingMin and OutgoingMax bound the ports that a node's kernel gives to outgoing
	// connections (net.ipv4.ip_local_port_range); it leaves out [ReservedPorts].
	OutgoingMin = 1024
	OutgoingMax = 65535
)

// PortRange are ports of a node, Min to Max, and who listens there.
type PortRange struct {
	Min, Max int
	Owner    string
}

// OccupiedPorts are the ports of a node that neither HAProxy nor EMQX's listeners
// can have, in rising order, Nomad's and Consul's own among them.
func OccupiedPorts() []PortRange {
	return []PortRange{
		{Distribution, Distribution, "EMQX's Erlang distribution"},
		{4646, 4648, "Nomad"},
		{RPC, RPC, "EMQX's cluster RPC"},
		{8300, 8302, "Consul"},
		{8500, 8503, "Consul"}, // HTTP, HTTPS, gRPC, gRPC with TLS
		{8600, 8600, "Consul's DNS"},
		{Dashboard, Dashboard, "EMQX's dashboard"},
		{DynamicMin, DynamicMax, fmt.Sprintf("other jobs (%d to %d)", DynamicMin, DynamicMax)},
	}
}

// ReservedPorts are those of a node that no outgoing connection takes: where somebody
// listens, or may do so at any time. They are in rising order and do not touch; nobody
// owns them.
func ReservedPorts(p Ports) []PortRange {
	ranges := append([]PortRange{{Min: BrokerMin, Max: BrokerMax}}, OccupiedPorts()...)
	for _, n := range p.Named() {
		ranges = append(ranges, PortRange{Min: n.Port, Max: n.Port})
	}
	slices.SortFunc(ranges, func(a, b PortRange) int { return a.Min - b.Min })
	var merged []PortRange
	for _, r := range ranges {
		if last := len(merged) - 1; last >= 0 && r.Min <= merged[last].Max+1 {
			merged[last].Max = max(merged[last].Max, r.Max)
			continue
		}
		merged = append(merged, PortRange{Min: r.Min, Max: r.Max})
	}
	return merged
}

// SourcePorts is how many connections a node can have to one port of another one, each
// from a port of its own.
func SourcePorts(p Ports) int {
	usable := OutgoingMax - OutgoingMin + 1
	for _, r := range ReservedPorts(p) {
		usable -= max(0, min(r.Max, OutgoingMax)-max(r.Min, OutgoingMin)+1)
	}
	return usable
}

// LowestPort that HAProxy and EMQX may have: they run without the right to lower ones.
const LowestPort = 1024

// NamedPort is a port with the name of its setting below "ports".
type NamedPort struct {
	Name string
	Port int
}

// Named are all ports, in a fixed order: mqtt, mqtts, ws, wss, admin, broker.mqtt
// and so on. The TLS ones count in a stack without a certificate too, so that one
// can be added.
func (p Ports) Named() []NamedPort {
	var own, broker []NamedPort
	for _, l := range Listeners(p, true) {
		own, broker = append(own, NamedPort{l.Name, l.Port}), append(broker, NamedPort{"broker." + l.Name, l.BrokerPort})
	}
	return slices.Concat(own, []NamedPort{{"admin", p.Admin}}, broker)
}

// Faults are what is wrong with the ports, in the order of [Ports.Named] and by those
// names. EMQX binds all addresses of a node and HAProxy one of them, so a port of one is
// none of the other's.
func (p Ports) Faults() []Fault {
	var found []Fault
	taken := map[int]string{}
	for _, n := range p.Named() {
		wrong := func(format string, args ...any) {
			found = append(found, Fault{Of: n.Name, Text: fmt.Sprintf(format, args...)})
		}
		if n.Port < LowestPort || n.Port > 65535 {
			wrong("must be %d to 65535, because nobody here has the right to lower ports, got %d", LowestPort, n.Port)
			continue
		}
		if i := slices.IndexFunc(OccupiedPorts(), func(r PortRange) bool { return n.Port >= r.Min && n.Port <= r.Max }); i >= 0 {
			wrong("must not be a port of %s, got %d", OccupiedPorts()[i].Owner, n.Port)
		} else if taken[n.Port] != "" {
			wrong("must be a port of its own, got %d, which is ports.%s", n.Port, taken[n.Port])
		}
		taken[n.Port] = cmp.Or(taken[n.Port], n.Name)
	}
	return found
}

// MinKeepAlive is the least that the largest keep-alive of a stack may be, in seconds.
const MinKeepAlive = 10

// IdleTimeout is how long every hop on a client's path must keep an idle
// connection, in seconds: 1.5 times the largest keep-alive, rounded up, because
// EMQX itself waits that long for a silent client (ADR 0006).
func IdleTimeout(keepAliveMax int) int { return (keepAliveMax*3 + 1) / 2 }
