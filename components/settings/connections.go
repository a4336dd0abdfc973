package settings

import (
	"fmt"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// brokerSize is the broker's as the rules take it.
func (s *Settings) brokerSize() cluster.BrokerSize {
	b := s.Broker
	return cluster.BrokerSize{MemoryMB: b.MemoryMB, NoFile: b.NoFile, MaxConnections: b.MaxConnections, TLS: s.TLS.AtBroker()}
}

// proxySize is the proxy's as the rules take it.
func (s *Settings) proxySize() cluster.ProxySize {
	p := s.Proxy
	return cluster.ProxySize{MaxConn: p.MaxConn, MaxConnPerSource: p.MaxConnPerSource, MemoryMB: p.MemoryMB, NoFile: p.NoFile, TLS: s.TLS.AtProxy()}
}

// validateConnections holds what the proxies let in, what the brokers take and what
// their memory and files hold against each other.
func (s *Settings) validateConnections(f checker) {
	if f.Has("broker.memoryMb") || f.Has("broker.maxConnections") || f.Has("broker.noFile") {
		return
	}
	broker := s.brokerSize()
	if found := broker.Faults(); len(found) > 0 {
		f.addFaults("broker.", found)
		return
	}
	if f.Has("proxy.maxConn") || f.Has("nodes.count") {
		return
	}
	limit := broker.MaxConnections
	if s.Proxy.MaxConn < cluster.MinMaxConn {
		f.Add("proxy.maxConn", "must be at least %d, or 0 for half of what a broker takes (%d), got %d", cluster.MinMaxConn, limit, s.Proxy.MaxConn)
		return
	}
	if share := cluster.BrokerShare(s.Proxy.MaxConn, s.Nodes.Count); share > limit {
		f.Add("proxy.maxConn", "must be at most %d for %s: a broker gets up to %d clients while one is away, and takes %d "+
			"(broker.maxConnections; broker.memoryMb holds %d, %s), got %d",
			cluster.MaxConnOf(limit, s.Nodes.Count), nodes(s.Nodes.Count), share, limit,
			cluster.BrokerConnections(s.Broker.MemoryMB, broker.TLS), broker.Each(), s.Proxy.MaxConn)
	}
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

// Times are the broker's job's as the components take them.
func (b Broker) Times() cluster.Times { return b.times(b.ShutdownDelay, b.KillTimeout) }

// Times are the proxies' job's.
func (p Proxy) Times() cluster.Times { return p.times(p.ShutdownDelay, p.KillTimeout) }

// Cluster are the sizes and times among the limits as the components take them.
func (l Limits) Cluster() cluster.Limits {
	return cluster.Limits{PacketKB: l.PacketKB, TopicLevels: l.TopicLevels, ClientIDLength: l.ClientIDLength, ConnectTimeout: l.ConnectTimeout}
}
