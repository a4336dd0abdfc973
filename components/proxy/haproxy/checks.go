package haproxy

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Tried are the lines that are not warned of. The tests run 2.6 here, and have run a 3.2.0, the
// line of the default; a 3.4.0 has taken the configuration without a warning.
var Tried = []string{"2.6", "3.2", "3.4"}

// Checks are those of HAProxy between what it is given and what the brokers are.
func (Proxy) Checks() []preflight.Check {
	return []preflight.Check{
		{
			Name: "kill-timeout", After: "port-collision", Severity: preflight.Warning, Graph: checkForgotten,
			Reason:  "A node that leaves too early cuts clients off.",
			Example: `emqx-oci:broker.shutdownDelay: should be at least 9s, for which HAProxy may send new clients to a broker that left Consul, got 8s`,
			Remedy:  "Raise the delay that the message names.",
		},
		{
			Name: "source-ports", After: "broker-memory", Severity: preflight.Error, Graph: checkSourcePorts,
			Reason:  "A HAProxy has about 63,000 connections to one listener of a broker: then its source ports are used up, and clients are refused.",
			Example: `emqx-oci:proxy.maxConn: must be at most 190479: a HAProxy has 63493 source ports to a listener of each of 3 brokers, got 300000`,
			Remedy:  "Add nodes, or lower `proxy.maxConn` or `broker.maxConnections`.",
		},
		{
			Name: "files", After: "source-ports", Severity: preflight.Error, Graph: checkFiles,
			Reason:  "A connection takes a file in EMQX: at the limit new clients are refused.",
			Example: `emqx-oci:broker.noFile: must be at least 101224 for its share of 100200 connections of each HAProxy, got 101024`,
			Remedy:  "Raise `broker.noFile`, or lower `proxy.maxConn`.",
			Quotas: []preflight.Quota{
				{Of: "nodes", Most: fmt.Sprint(cluster.MaxNodes), Source: "names that HAProxy asks Consul for, each once a second", Check: "settings"},
			},
		},
		{
			Name: "versions", Severity: preflight.Warning, Settings: checkVersion,
			Reason:  "What a program of another version does differently nobody has looked at; EMQX 5.8 gets no more fixes.",
			Example: `emqx-oci:proxy.image: should be of a line that was tried, 2.6 or 3.2 or 3.4, got "haproxy:2.8.3"`,
			Remedy:  "Try it on the lab or in staging first: `make test` with the image, an update, a roll, a drill. For EMQX see [0037](decisions/0037-an-ended-line-stays-with-its-reason.md).",
		},
	}
}

// checkForgotten: a broker that stops must be out of every proxy's list before it does.
func checkForgotten(in *preflight.Input, r *preflight.Report) {
	if in.Settings.Latency == 0 { // where no answer is lost
		return
	}
	if delay := in.Settings.Broker.ShutdownDelay; delay < cluster.Forgotten {
		r.Warnf(preflight.Setting("broker.shutdownDelay"), "should be at least %s, for which HAProxy may send new clients to a broker that left Consul, got %s", cluster.Forgotten, delay)
	}
}

// checkSourcePorts: HAProxy reaches a broker's listener from one address, with one
// port of its own for each connection.
func checkSourcePorts(in *preflight.Input, r *preflight.Report) {
	s := in.Settings
	nodes, usable := s.Nodes.Count, cluster.SourcePorts(s.Ports.Cluster())
	most := nodes * usable
	if s.Proxy.MaxConn > most {
		r.Errorf(preflight.Setting("proxy.maxConn"), "must be at most %d: a HAProxy has %d source ports to a listener of each of %d brokers, got %d", most, usable, nodes, s.Proxy.MaxConn)
	} else if degraded := most - usable; nodes > 1 && s.Proxy.MaxConn > degraded {
		r.Warnf(preflight.Setting("proxy.maxConn"), "should be at most %d, so that the source ports last while one broker is away, got %d", degraded, s.Proxy.MaxConn)
	}
	derived := cluster.BrokerConnections(s.Broker.MemoryMB, s.TLS.AtBroker())
	if s.Broker.MaxConnections > most && s.Broker.MaxConnections < derived {
		r.Warnf(preflight.Setting("broker.maxConnections"), "should be at most %d: %d HAProxies with %d source ports each cannot bring more to a listener, got %d",
			most, nodes, usable, s.Broker.MaxConnections)
	}
}

// checkFiles: each connection of a HAProxy is a file of the broker that gets it, those
// beyond the clients' too.
func checkFiles(in *preflight.Input, r *preflight.Report) {
	s := in.Settings
	maxconn, got := s.Proxy.MaxConn+cluster.ProxyHeadroom, s.Broker.NoFile
	// The proxies spread what they let in over the brokers; with one away, over
	// the others.
	whole, degraded := cluster.BrokerFiles(maxconn), cluster.BrokerFiles(cluster.BrokerShare(maxconn, s.Nodes.Count))
	switch {
	case got < whole:
		r.Errorf(preflight.Setting("broker.noFile"), "must be at least %d for its share of %d connections of each HAProxy, got %d", whole, maxconn, got)
	case got < degraded:
		r.Warnf(preflight.Setting("broker.noFile"), "should be at least %d, for the connections of the HAProxies while one broker is away, got %d", degraded, got)
	}
}

// checkVersion warns of an image whose line was not tried. An image of one's own may hold
// anything under any tag: of that nothing is known.
func checkVersion(s settings.Settings, _ time.Time, r *preflight.Report) {
	if name, line, ok := preflight.ImageLine(s.Proxy.Image); ok && strings.HasPrefix(name, "haproxy") && !slices.Contains(Tried, line) {
		r.Warnf(preflight.Setting("proxy.image"), "should be of a line that was tried, %s, got %q", strings.Join(Tried, " or "), s.Proxy.Image)
	}
}
