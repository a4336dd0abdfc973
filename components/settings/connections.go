package settings

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// leastMaxConn is the least that a proxy is of use with.
const leastMaxConn = 100

// validateConnections holds what the proxies let in, what the brokers take and what
// their memory holds against each other.
func (s *Settings) validateConnections(f checker) {
	if f.Has("broker.memoryMb") || f.Has("broker.maxConnections") || f.Has("broker.noFile") {
		return
	}
	tls, limit := s.TLS.Enabled(), s.Broker.MaxConnections
	if need := cluster.BrokerMemoryMB(limit, tls); s.Broker.MemoryMB < need {
		f.Add("broker.memoryMb", "must be at least %d for broker.maxConnections (%d, %s), got %d, which holds %d",
			need, limit, eachKB(tls), s.Broker.MemoryMB, cluster.BrokerConnections(s.Broker.MemoryMB, tls))
		return
	}
	if f.Has("proxy.maxConn") || f.Has("nodes.count") {
		return
	}
	if s.Proxy.MaxConn < leastMaxConn {
		f.Add("proxy.maxConn", "must be at least %d, or 0 for half of what a broker takes (%d), got %d", leastMaxConn, limit, s.Proxy.MaxConn)
		return
	}
	if share := cluster.BrokerShare(s.Proxy.MaxConn, s.Nodes.Count); share > limit {
		f.Add("proxy.maxConn", "must be at most %d for %s: a broker gets up to %d clients while one is away, and takes %d "+
			"(broker.maxConnections; broker.memoryMb holds %d, %s), got %d",
			s.mostMaxConn(), nodes(s.Nodes.Count), share, limit, cluster.BrokerConnections(s.Broker.MemoryMB, tls), eachKB(tls), s.Proxy.MaxConn)
	}
}

// mostMaxConn is the most that the brokers take while one of them is away.
func (s *Settings) mostMaxConn() int {
	if s.Nodes.Count < 2 {
		return s.Broker.MaxConnections
	}
	return s.Broker.MaxConnections * (s.Nodes.Count - 1) / s.Nodes.Count
}

func eachKB(tls bool) string {
	if tls {
		return fmt.Sprintf("%d kB each with TLS", cluster.BrokerConnectionTLSKB)
	}
	return fmt.Sprintf("%d kB each", cluster.BrokerConnectionKB)
}

func nodes(count int) string {
	if count == 1 {
		return "1 node"
	}
	return fmt.Sprintf("%d nodes", count)
}

// Cluster are the ports as the components take them: where HAProxy and EMQX listen.
func (p Ports) Cluster() cluster.Ports {
	return cluster.Ports{
		MQTT: p.MQTT, MQTTS: p.MQTTS, WS: p.WS, WSS: p.WSS, Admin: p.Admin, Broker: cluster.BrokerPorts(p.Broker),
	}
}
