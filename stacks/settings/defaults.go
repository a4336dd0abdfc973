package settings

import (
	"time"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// The images that a stack runs unless it names others. EMQX 5.8 is the last line
// under Apache-2.0; HAProxy 3.2 is an LTS line, with fixes to 2030, and 3.0.12 has known holes (CVE-2026-110354).
const (
	DefaultBrokerImage = "emqx/emqx:5.8.9"
	DefaultProxyImage  = "haproxy:3.2.25"
)

func defaults() Settings {
	rollout := Rollout{MinHealthyTime: 15 * time.Second, HealthyDeadline: 5 * time.Minute, ProgressDeadline: 10 * time.Minute}
	return Settings{
		Cloud:   "oci",
		Latency: 1,
		Nodes:   Nodes{Count: 3, Shape: "VM.Standard.E5.Flex", OCPUs: 2, MemoryGB: 16, BootVolumeGB: 50, BootVolumeVPUsPerGB: 10},
		Volumes: Volumes{SizeGB: 150, VPUsPerGB: 10},
		Broker: Broker{
			Image: DefaultBrokerImage, CPU: 2000, MemoryMB: 4096, KeepAliveMax: 600, NoFile: 1048576,
			KillTimeout: 270 * time.Second, Drain: Drain{Rate: 500, Timeout: 2 * time.Minute}, ShutdownDelay: 15 * time.Second, Rollout: rollout,
		},
		Proxy: Proxy{
			Image: DefaultProxyImage, CPU: 1000,
			KillTimeout: 60 * time.Second, ShutdownDelay: 40 * time.Second, Rollout: rollout,
		},
		Ports: Ports{
			MQTT: 1883, MQTTS: 8883, WS: 8083, WSS: 8084, Admin: 8080,
			Broker: BrokerPorts{MQTT: 21883, MQTTS: 21884, WS: 21983, WSS: 21984},
		},
		Edge:   Edge{Kind: "network", Public: true, Backend: "address", HealthInterval: 10 * time.Second, HealthTimeout: 3 * time.Second, HealthRetries: 3},
		DNS:    DNS{TTL: 60},
		TLS:    TLS{Terminate: "broker"},
		Nomad:  Nomad{Datacenter: "dc1", Region: "global", Namespace: "default", Version: "1.11.3"},
		Consul: Consul{Datacenter: "dc1", Version: "1.22.6"},
		Gates: Gates{
			NodesReady: 20 * time.Minute, ClusterFormed: 30 * time.Minute, ProxiesReady: 10 * time.Minute,
			EdgeHealthy: 10 * time.Minute, RoundTrip: 5 * time.Minute, Settle: time.Minute,
		},
	}
}

// maxConnDefault is the most that a proxy is given by itself.
const maxConnDefault = 50000

// derive fills in what follows from other settings: the broker's memory says how many
// connections it holds, these how many the proxies let in, and these what a proxy
// needs. None of it follows from the number of nodes, so that a new one restarts
// nothing.
func (s *Settings) derive() {
	if s.Broker.MaxConnections == 0 {
		s.Broker.MaxConnections = max(0, min(
			cluster.BrokerConnections(s.Broker.MemoryMB, s.TLS.Enabled()), s.Broker.NoFile-cluster.BrokerOwnFiles))
	}
	if s.Proxy.MaxConn == 0 {
		// Half: of two brokers one holds what both proxies let in, and of more all the more.
		s.Proxy.MaxConn = min(maxConnDefault, s.Broker.MaxConnections/2)
	}
	if s.Proxy.MemoryMB == 0 {
		s.Proxy.MemoryMB = cluster.ProxyMemoryMB(s.Proxy.MaxConn)
	}
	if s.Proxy.NoFile == 0 {
		s.Proxy.NoFile = cluster.ProxyFiles(s.Proxy.MaxConn)
	}
	if s.Volumes.Count == 0 {
		s.Volumes.Count = s.Nodes.Count
	}
}
