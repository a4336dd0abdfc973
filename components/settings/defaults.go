package settings

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// DefaultProxyImage is what a stack runs unless it names another one: HAProxy 3.2 is an LTS line, with fixes to 2030, and
// 3.0.12 has known holes (CVE-2026-110354).
const DefaultProxyImage = "haproxy:3.2.25"

func defaults() Settings {
	broker, proxy := cluster.BrokerTimes(cluster.DefaultDrain), cluster.ProxyTimes()
	return Settings{
		Cloud:   "oci",
		Latency: 1,
		Nodes:   Nodes{Count: 3, Shape: "VM.Standard.E5.Flex", OCPUs: 2, MemoryGB: 16, BootVolumeGB: 50, BootVolumeVPUsPerGB: 10},
		Volumes: Volumes{SizeGB: 150, VPUsPerGB: 10},
		Broker: Broker{
			Image: cluster.DefaultBrokerImage, CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: cluster.DefaultNoFile,
			KillTimeout: broker.KillTimeout, Drain: Drain(cluster.DefaultDrain), ShutdownDelay: broker.ShutdownDelay, Rollout: rollout(broker),
			Limits: brokerLimits(cluster.DefaultLimits, Flapping{Count: 15, Window: time.Minute, Ban: 5 * time.Minute}),
		},
		Proxy: Proxy{
			Image: DefaultProxyImage, CPU: 1000,
			KillTimeout: proxy.KillTimeout, ShutdownDelay: proxy.ShutdownDelay, Rollout: rollout(proxy),
		},
		Ports:     ports(cluster.DefaultPorts),
		Listeners: Listeners{MQTT: Listener{Open: OpenAll}, MQTTS: Listener{Open: OpenAll}, WS: Listener{Open: OpenAll}, WSS: Listener{Open: OpenAll}},
		Edge:      Edge{Kind: EdgeNetwork, Public: true, Backend: "address", Policy: "leastConnections", MinMbps: 10, MaxMbps: 100, HealthInterval: 10 * time.Second, HealthTimeout: 3 * time.Second, HealthRetries: 3},
		DNS:       DNS{TTL: 60},
		TLS:       TLS{Source: SourceSecrets, Terminate: TerminateProxy, Profile: cluster.ProfileIntermediate, Clients: ClientsNone},
		Auth:      Auth{ClientID: ClientIDAny, DenyAction: "ignore", Drift: DriftRepair},
		Nomad: Nomad{
			Datacenter: cluster.DefaultDatacenter, Region: cluster.DefaultRegion, Namespace: cluster.DefaultNamespace, Version: cluster.DefaultNomadVersion,
		},
		Consul: Consul{Datacenter: cluster.DefaultDatacenter, Version: cluster.DefaultConsulVersion},
		Gates: Gates{
			NodesReady: 20 * time.Minute, ClusterFormed: 30 * time.Minute, ProxiesReady: 10 * time.Minute,
			EdgeHealthy: 10 * time.Minute, RoundTrip: 5 * time.Minute, Settle: time.Minute,
		},
	}
}

// rollout is the pace among a job's times.
func rollout(t cluster.Times) Rollout {
	return Rollout{MinHealthyTime: t.MinHealthyTime, HealthyDeadline: t.HealthyDeadline, ProgressDeadline: t.ProgressDeadline}
}

// brokerLimits are EMQX's own defaults, which has none for the rates.
func brokerLimits(l cluster.Limits, flapping Flapping) Limits {
	return Limits{PacketKB: l.PacketKB, TopicLevels: l.TopicLevels, ClientIDLength: l.ClientIDLength, ConnectTimeout: l.ConnectTimeout, Flapping: flapping}
}

// ports are the components' as settings: see [Ports.Cluster].
func ports(p cluster.Ports) Ports {
	return Ports{MQTT: p.MQTT, MQTTS: p.MQTTS, WS: p.WS, WSS: p.WSS, Admin: p.Admin, Broker: BrokerPorts(p.Broker)}
}

// derive fills in what follows from other settings: the broker's memory says how many
// connections it holds, these how many the proxies let in, and these what a proxy
// needs. None of it follows from the number of nodes, so that a new one restarts
// nothing.
func (s *Settings) derive() {
	s.Broker.MaxConnections = s.brokerSize().Derived().MaxConnections
	if s.Proxy.MaxConn == 0 {
		s.Proxy.MaxConn = cluster.DefaultMaxConn(s.Broker.MaxConnections)
	}
	proxy := s.proxySize().Derived()
	s.Proxy.MemoryMB, s.Proxy.NoFile = proxy.MemoryMB, proxy.NoFile
	if s.Volumes.Count == 0 {
		s.Volumes.Count = s.Nodes.Count
	}
}
