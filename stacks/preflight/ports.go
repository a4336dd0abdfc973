package preflight

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/recorder"
	"github.com/emqx-oci/emqx-oci/stacks/settings"
)

// taken are the ports of a node that nothing of the stack may take: the lowest,
// the highest, and whose they are (Nomad's and Consul's documents, "Ports").
var taken = []struct {
	low, high int
	owner     string
}{
	{22, 22, "SSH"},
	{53, 53, "the node's DNS"},
	{cluster.Distribution, cluster.Distribution, "EMQX's Erlang distribution"},
	{cluster.RPC, cluster.RPC, "EMQX's cluster RPC"},
	{cluster.Dashboard, cluster.Dashboard, "EMQX's dashboard"},
	{4646, 4648, "the Nomad agent"},
	{8300, 8302, "Consul's RPC and gossip"},
	{8500, 8503, "the Consul agent"},
	{8600, 8600, "Consul's DNS"},
	{cluster.DynamicMin, cluster.DynamicMax, "jobs whose ports Nomad chooses"},
}

func portCollision(s settings.Settings, _ time.Time, r *report) {
	owner := map[int]string{}
	for _, p := range []struct {
		name string
		port int
	}{
		{"mqtt", s.Ports.MQTT},
		{"mqtts", s.Ports.MQTTS},
		{"ws", s.Ports.WS},
		{"wss", s.Ports.WSS},
		{"admin", s.Ports.Admin},
		{"broker.mqtt", s.Ports.Broker.MQTT},
		{"broker.mqtts", s.Ports.Broker.MQTTS},
		{"broker.ws", s.Ports.Broker.WS},
		{"broker.wss", s.Ports.Broker.WSS},
	} {
		path := setting("ports." + p.name)
		if other, twice := owner[p.port]; twice {
			r.errorf(path, "must be a port of its own, got %d, which is ports.%s", p.port, other)
		}
		owner[p.port] = p.name
		for _, t := range taken {
			if p.port >= t.low && p.port <= t.high {
				r.errorf(path, "must be free on a node, got %d, which belongs to %s", p.port, t.owner)
			}
		}
	}
}

// clientPath follows each protocol from the balancer to EMQX: the ports are
// written down in the balancer, its backends, the rules and the proxies' job.
func clientPath(in *input, r *report) {
	if in.haproxy == nil || in.emqx == nil || in.proxy == nil {
		return
	}
	fixed, admitted := in.haproxy.ports(), in.admitted()
	for _, l := range in.kind(listenerType) {
		port, set := number(property(l, "port")), text(property(l, "defaultBackendSetName"))
		if !admitted(port) {
			r.errorf(path(l, "port"), "must be a port that a security rule admits, got %d", port)
		}
		ends := 0
		for _, b := range in.kind(backendType) {
			if text(property(b, "backendSetName")) != set {
				continue
			}
			ends++
			if got := number(property(b, "port")); !slices.Contains(slices.Collect(maps.Values(fixed)), got) {
				r.errorf(path(b, "port"), "must be a port of the HAProxy job (%s), got %d", list(fixed), got)
			} else if fixed[set] != got {
				r.errorf(path(b, "port"), "must be HAProxy's own port for %s, %d, got %d", set, fixed[set], got)
			} else if !admitted(got) {
				r.errorf(path(b, "port"), "must be a port that a security rule admits, got %d", got)
			}
		}
		if ends == 0 {
			r.errorf(path(l, "defaultBackendSetName"), "must name a set with backends, got %q", set)
		}
	}
	for _, set := range in.kind(backendSetType) {
		switch got := number(property(set, "healthChecker.port")); {
		case got != fixed["admin"]:
			r.errorf(path(set, "healthChecker.port"), "must be HAProxy's admin port %d, got %d", fixed["admin"], got)
		case !admitted(got):
			r.errorf(path(set, "healthChecker.port"), "must be a port that a security rule admits, got %d", got)
		}
	}
	in.proxyToBroker(r, admitted)
}

// proxyToBroker: HAProxy sends a PROXY header, and EMQX drops every connection
// without one, or hangs on one that it does not expect. EMQX's members share what
// they know of their listeners, so each binds all addresses, at one port.
func (in *input) proxyToBroker(r *report, admitted func(port int) bool) {
	sends := false
	for _, line := range in.proxy.section("defaults").lines {
		sends = sends || line[0] == "default-server" && (slices.Contains(line, "send-proxy-v2") || slices.Contains(line, "send-proxy"))
	}
	for kind, label := range map[string]string{"TCP": "mqtt", "SSL": "mqtts", "WS": "ws", "WSS": "wss"} {
		port, offered := in.emqx.ports()[label]
		if !offered {
			continue
		}
		prefix := "EMQX_LISTENERS__" + kind + "__DEFAULT__"
		if got, want := in.emqx.env[prefix+"BIND"], fmt.Sprintf("0.0.0.0:%d", port); strings.Trim(got, `"`) != want {
			r.errorf(in.emqx.path("env."+prefix+"BIND"), "must be %s, the same on every node and where HAProxy looks for it, got %s", want, got)
		} else if !admitted(port) {
			r.errorf(in.emqx.path("env."+prefix+"BIND"), "must be a port that a security rule admits, got %d", port)
		}
		if got := in.emqx.env[prefix+"PROXY_PROTOCOL"]; (got == "true") != sends {
			r.errorf(in.emqx.path("env."+prefix+"PROXY_PROTOCOL"), "must be %t, as HAProxy's default-server says, got %q", sends, got)
		}
	}
}

// admitted tells whether any ingress rule for TCP has a port.
func (in *input) admitted() func(port int) bool {
	rules := in.kind(securityRuleType)
	return func(port int) bool {
		return slices.ContainsFunc(rules, func(x recorder.Resource) bool {
			ports := property(x, "tcpOptions.destinationPortRange")
			return text(property(x, "direction")) == "INGRESS" && ports.IsObject() &&
				number(property(x, "tcpOptions.destinationPortRange.min")) <= port && port <= number(property(x, "tcpOptions.destinationPortRange.max"))
		})
	}
}

// list prints a job's fixed ports by their labels.
func list(ports map[string]int) string {
	words := make([]string, 0, len(ports))
	for _, label := range slices.Sorted(maps.Keys(ports)) {
		words = append(words, fmt.Sprintf("%s %d", label, ports[label]))
	}
	return strings.Join(words, ", ")
}
