package cluster

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

var listeners = []Listener{
	{Name: "mqtt", Scheme: "mqtt", Port: 1883},
	{Name: "mqtts", Scheme: "mqtts", Port: 8883, TLS: true},
	{Name: "ws", Scheme: "ws", Port: 8083, Path: "/mqtt"},
	{Name: "wss", Scheme: "wss", Port: 8084, Path: "/mqtt", TLS: true},
}

// Listeners are the protocols of a stack, always in the same order. Without a
// certificate the two TLS ones exist nowhere on the path.
func Listeners(tls bool) []Listener {
	var offered []Listener
	for _, l := range listeners {
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
	// ProxyAdmin is HAProxy's /haproxy_health and statistics.
	ProxyAdmin = 8080
	// Gossip is Consul's LAN gossip, TCP and UDP.
	Gossip = 8301
	// DynamicMin and DynamicMax bound the ports that Nomad assigns on a node.
	DynamicMin = 21000
	DynamicMax = 21999
)

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
