package preflight

import (
	"strconv"
	"strings"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

func proxyMemory(in *input, r *report) {
	if in.proxy == nil {
		return
	}
	maxconn, err := strconv.Atoi(in.proxy.section("global").value("maxconn"))
	if err != nil {
		r.errorf(path(in.haproxy.resource, "hcl2.vars.config")+": maxconn", "must be a number: HAProxy would take it from its limit of files")
		return
	}
	each, memory := cluster.ProxyConnectionKB, cluster.ProxyMemoryMB
	for _, s := range in.proxy.sections {
		for _, line := range s.lines {
			if line[0] == "bind" && strings.Contains(strings.Join(line, " "), " ssl") {
				each, memory = cluster.ProxyConnectionTLSKB, cluster.ProxyMemoryTLSMB
			}
		}
	}
	need := memory(maxconn - cluster.ProxyHeadroom)
	if got := in.haproxy.task.one("resources").number("memory"); got < need {
		r.errorf(setting("proxy.memoryMb"), "must be at least %d for %d connections of %d kB, got %d", need, maxconn, each, got)
	}
}

// brokerMemory: each listener has a limit, and none takes more than the memory holds.
// A variable of the user's may have put it away again.
func brokerMemory(in *input, r *report) {
	if in.emqx == nil {
		return
	}
	memory, tls := in.emqx.task.one("resources").number("memory"), in.settings.TLS.Enabled()
	most := cluster.BrokerConnections(memory, tls) + cluster.BrokerSpare
	for _, l := range in.listeners() {
		name := "EMQX_LISTENERS__" + strings.ToUpper(l.EMQX) + "__DEFAULT__MAX_CONNECTIONS"
		got := in.emqx.env[name]
		if n, err := strconv.Atoi(got); err != nil || n > most {
			r.errorf(in.emqx.path("env."+name), "must be at most %d, what broker.memoryMb (%d) holds, got %q: EMQX takes clients until the kernel kills it", most, memory, got)
		}
	}
}

// listeners are those that the job opens.
func (in *input) listeners() []cluster.Listener {
	return cluster.Listeners(in.settings.Ports.Cluster(), in.settings.TLS.Enabled())
}

// sourcePorts: HAProxy reaches a broker's listener from one address, with one
// port of its own for each connection.
func sourcePorts(in *input, r *report) {
	usable, ok := in.sourcePorts()
	nodes := len(in.kind(poolType))
	if !ok || nodes == 0 {
		return
	}
	s := in.settings
	if most := nodes * usable; s.Proxy.MaxConn > most {
		r.errorf(setting("proxy.maxConn"), "must be at most %d: a HAProxy has %d source ports to a listener of each of %d brokers, got %d", most, usable, nodes, s.Proxy.MaxConn)
	} else if most := (nodes - 1) * usable; nodes > 1 && s.Proxy.MaxConn > most {
		r.warnf(setting("proxy.maxConn"), "should be at most %d, so that the source ports last while one broker is away, got %d", most, s.Proxy.MaxConn)
	}
	derived := cluster.BrokerConnections(s.Broker.MemoryMB, s.TLS.Enabled())
	if most := nodes * usable; s.Broker.MaxConnections > most && s.Broker.MaxConnections < derived {
		r.warnf(setting("broker.maxConnections"), "should be at most %d: %d HAProxies with %d source ports each cannot bring more to a listener, got %d",
			most, nodes, usable, s.Broker.MaxConnections)
	}
}

// sourcePorts is how many ports the kernel of a node gives to outgoing
// connections, as the boot script sets it.
func (in *input) sourcePorts() (int, bool) {
	for _, b := range in.boots {
		_, after, ok := strings.Cut(b.text, "net.ipv4.ip_local_port_range = ")
		if !ok {
			continue
		}
		line, _, _ := strings.Cut(after, "\n")
		ends := strings.Fields(line)
		if len(ends) != 2 {
			continue
		}
		low, err := strconv.Atoi(ends[0])
		high, err2 := strconv.Atoi(ends[1])
		if err != nil || err2 != nil {
			continue
		}
		usable := high - low + 1
		for reserved := range strings.SplitSeq(b.vars["RESERVED_PORTS"], ",") {
			from, to, ranged := strings.Cut(reserved, "-")
			if !ranged {
				to = from
			}
			first, err := strconv.Atoi(from)
			last, err2 := strconv.Atoi(to)
			if err == nil && err2 == nil {
				usable -= max(0, min(last, high)-max(first, low)+1)
			}
		}
		return usable, true
	}
	return 0, false
}

// files: a connection is one file in EMQX and two in HAProxy.
func files(in *input, r *report) {
	if in.proxy == nil || in.emqx == nil {
		return
	}
	maxconn, _ := strconv.Atoi(in.proxy.section("global").value("maxconn"))
	if got, ok := nofile(in.haproxy); ok {
		if need := cluster.ProxyFiles(maxconn - cluster.ProxyHeadroom); got < need {
			r.errorf(setting("proxy.noFile"), "must be at least %d, two for each of %d connections and %d of its own, got %d",
				need, maxconn, cluster.ProxyOwnFiles, got)
		}
	}
	nodes := len(in.kind(poolType))
	got, ok := nofile(in.emqx)
	if !ok || nodes == 0 {
		return
	}
	// The proxies spread what they let in over the brokers; with one away, over
	// the others.
	whole, degraded := cluster.BrokerFiles(maxconn), cluster.BrokerFiles(cluster.BrokerShare(maxconn, nodes))
	switch {
	case got < whole:
		r.errorf(setting("broker.noFile"), "must be at least %d for its share of %d connections of each HAProxy, got %d", whole, maxconn, got)
	case got < degraded:
		r.warnf(setting("broker.noFile"), "should be at least %d, for the connections of the HAProxies while one broker is away, got %d", degraded, got)
	}
	in.dockerFiles(r)
}

// dockerFiles: a container that asks for more than the daemon has does not start.
func (in *input) dockerFiles(r *report) {
	for _, b := range in.boots {
		limit, err := strconv.Atoi(b.vars["NOFILE"])
		if err != nil {
			continue
		}
		for _, j := range []*job{in.emqx, in.haproxy} {
			if got, ok := nofile(j); ok && got > limit {
				r.errorf(j.path("task.config.ulimit.nofile"), "must be at most %d, the limit of the nodes' Docker, got %d", limit, got)
			}
		}
		return
	}
}

func nofile(j *job) (int, bool) {
	soft, _, _ := strings.Cut(j.task.one("config").one("ulimit").text("nofile"), ":")
	n, err := strconv.Atoi(soft)
	return n, err == nil
}
