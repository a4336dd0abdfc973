package cluster

import (
	"cmp"
	"fmt"
)

// Listener is one protocol that clients speak.
type Listener struct {
	// Name is the label of the port in jobs and the name of the balancer's
	// backend set and listener: mqtt, mqtts, ws, wss.
	Name string
	// Scheme of the URL that a client is given.
	Scheme string
	// Port is the same on the balancer and on HAProxy.
	Port int
	// Path of the URL; empty for plain MQTT.
	Path string
	// TLS listeners exist only in a stack that has a certificate.
	TLS bool
}

// Ports are where HAProxy listens on every node. The balancer listens on the
// same four for clients.
type Ports struct {
	// MQTT and MQTTS (TLS), WS and WSS (MQTT over WebSocket).
	MQTT, MQTTS, WS, WSS int
	// Admin is HAProxy's /haproxy_health and statistics, closed to clients.
	Admin int
}

// DefaultPorts are those that IANA has registered for MQTT, and EMQX's own for
// WebSockets.
var DefaultPorts = Ports{MQTT: 1883, MQTTS: 8883, WS: 8083, WSS: 8084, Admin: 8080}

// Listeners are the protocols of a stack, always in the same order. Without a
// certificate the two TLS ones exist nowhere on the path.
func Listeners(ports Ports, tls bool) []Listener {
	var offered []Listener
	for _, l := range []Listener{
		{Name: "mqtt", Scheme: "mqtt", Port: ports.MQTT},
		{Name: "mqtts", Scheme: "mqtts", Port: ports.MQTTS, TLS: true},
		{Name: "ws", Scheme: "ws", Port: ports.WS, Path: "/mqtt"},
		{Name: "wss", Scheme: "wss", Port: ports.WSS, Path: "/mqtt", TLS: true},
	} {
		if tls || !l.TLS {
			offered = append(offered, l)
		}
	}
	return offered
}

// Ports that are fixed on every node. EMQX's client listeners are not among
// them: Nomad assigns those between DynamicMin and DynamicMax, because HAProxy
// owns the fixed client ports of the same host (decision 1).
const (
	// Distribution is Erlang's port between EMQX nodes named "emqx@...".
	Distribution = 4370
	// RPC carries EMQX's messages between nodes (port_discovery=manual).
	RPC = 5370
	// Dashboard serves EMQX's dashboard, REST API and /status.
	Dashboard = 18083
	// Gossip is Consul's LAN gossip, TCP and UDP.
	Gossip = 8301
	// DynamicMin and DynamicMax bound the ports that Nomad assigns on a node.
	DynamicMin = 21000
	DynamicMax = 21999
)

// PortRange are ports of a node, Min to Max, and who listens there.
type PortRange struct {
	Min, Max int
	Owner    string
}

// OccupiedPorts are the ports of a node that HAProxy cannot have, in rising
// order, Nomad's and Consul's own among them.
func OccupiedPorts() []PortRange {
	return []PortRange{
		{Distribution, Distribution, "EMQX's Erlang distribution"},
		{4646, 4648, "Nomad"},
		{RPC, RPC, "EMQX's cluster RPC"},
		{8300, 8302, "Consul"},
		{8500, 8500, "Consul"},
		{8502, 8502, "Consul"},
		{8600, 8600, "Consul's DNS"},
		{Dashboard, Dashboard, "EMQX's dashboard"},
		{DynamicMin, DynamicMax, fmt.Sprintf("EMQX's listeners (%d to %d)", DynamicMin, DynamicMax)},
	}
}

// LowestPort that HAProxy may have: it runs without the right to lower ones.
const LowestPort = 1024

// Faults are what is wrong with the ports, by the name of the setting: mqtt,
// mqtts, ws, wss, admin. The two TLS ones count in a stack without a certificate
// too, so that one can be added.
func (p Ports) Faults() map[string]string {
	faults := map[string]string{}
	taken := map[int]string{}
	named := append(Listeners(p, true), Listener{Name: "admin", Port: p.Admin})
	for _, l := range named {
		switch {
		case l.Port < LowestPort || l.Port > 65535:
			faults[l.Name] = fmt.Sprintf("must be %d to 65535, because HAProxy has no right to lower ports, got %d", LowestPort, l.Port)
			continue
		case taken[l.Port] != "":
			faults[l.Name] = fmt.Sprintf("must differ from %s, got %d for both", taken[l.Port], l.Port)
		}
		taken[l.Port] = cmp.Or(taken[l.Port], l.Name)
		for _, r := range OccupiedPorts() {
			if l.Port >= r.Min && l.Port <= r.Max {
				faults[l.Name] = fmt.Sprintf("must not be a port of %s, got %d", r.Owner, l.Port)
			}
		}
	}
	return faults
}

// HealthPath is what the balancer and Consul ask HAProxy: it fails when no EMQX
// backend is up.
const HealthPath = "/haproxy_health"

// MaxIdleTimeout is the longest idle timeout that this project asks of a
// network load balancer, in seconds. Oracle's documents show 1200 and name no
// upper limit; the value is a cautious one.
const MaxIdleTimeout = 1800

// IdleTimeout is how long every hop on a client's path must keep an idle
// connection, in seconds: 1.5 times the largest keep-alive, rounded up, because
// EMQX itself waits that long for a silent client (decision 7).
func IdleTimeout(keepAliveMax int) int { return (keepAliveMax*3 + 1) / 2 }
