package cluster

import (
	"slices"
	"testing"

	"gotest.tools/v3/assert"
)

// ADR 0004: the name must not hold an address, nor the short name a digit at
// its end.
func TestEMQXNameIsStable(t *testing.T) {
	assert.Equal(t, EMQXName(NodeName("prod", 1), "dc1"), "emqx@emqx-prod-1.node.dc1.consul")
}

func TestNodeTagsWinOverExtraOnes(t *testing.T) {
	assert.DeepEqual(t, NodeTags("prod", 2, map[string]string{"group-index": "9", "team": "iot"}), map[string]string{
		"emqx-cluster": "prod", "group-index": "2", "pool_type": "emqx", "team": "iot",
	})
}

func TestListenersWithoutACertificate(t *testing.T) {
	assert.Equal(t, len(Listeners(DefaultPorts, true)), 4)
	for _, l := range Listeners(DefaultPorts, false) {
		assert.Assert(t, l.Port == 1883 || l.Port == 8083, l.Name)
	}
}

// ADR 0006: at least 1.5 times the keep-alive, rounded up.
func TestIdleTimeout(t *testing.T) {
	assert.Equal(t, IdleTimeout(600), 900)
	assert.Equal(t, IdleTimeout(61), 92)
	assert.Equal(t, IdleTimeout(1200), 1800)
}

func TestPortsFollowTheStack(t *testing.T) {
	got, broker := map[string]int{}, map[string]int{}
	for _, l := range Listeners(Ports{MQTT: 2883, MQTTS: 2884, WS: 2885, WSS: 2886, Broker: BrokerPorts{MQTT: 3, MQTTS: 4, WS: 5, WSS: 6}}, true) {
		got[l.Name], broker[l.Name] = l.Port, l.BrokerPort
	}
	assert.DeepEqual(t, got, map[string]int{"mqtt": 2883, "mqtts": 2884, "ws": 2885, "wss": 2886})
	assert.DeepEqual(t, broker, map[string]int{"mqtt": 3, "mqtts": 4, "ws": 5, "wss": 6})
}

// Two jobs share the node's ports with Nomad and Consul: a port that is taken
// would only show when Nomad cannot place HAProxy.
func TestPortsThatCannotBe(t *testing.T) {
	assert.Equal(t, len(DefaultPorts.Faults()), 0)
	assert.DeepEqual(t, Ports{MQTT: 443, MQTTS: 8500, WS: 21500, WSS: 18083, Admin: 8501, Broker: DefaultPorts.Broker}.Faults(), []Fault{
		{Of: "mqtt", Text: "must be 1024 to 65535, because nobody here has the right to lower ports, got 443"},
		{Of: "mqtts", Text: "must not be a port of Consul, got 8500"},
		{Of: "ws", Text: "must not be a port of other jobs (21000 to 21799), got 21500"},
		{Of: "wss", Text: "must not be a port of EMQX's dashboard, got 18083"},
		{Of: "admin", Text: "must not be a port of Consul, got 8501"},
	})
	same := DefaultPorts
	same.Admin, same.Broker.WS, same.Broker.WSS = same.MQTT, same.MQTTS, 5370
	assert.DeepEqual(t, same.Faults(), []Fault{
		{Of: "admin", Text: "must be a port of its own, got 1883, which is ports.mqtt"},
		{Of: "broker.ws", Text: "must be a port of its own, got 8883, which is ports.mqtts"},
		{Of: "broker.wss", Text: "must not be a port of EMQX's cluster RPC, got 5370"},
	})
	assert.Assert(t, slices.IsSortedFunc(OccupiedPorts(), func(a, b PortRange) int { return a.Max - b.Min }))
}

// Consul's agent can serve HTTP, HTTPS, gRPC and gRPC with TLS; which of them are on is
// the image's to say.
func TestAllPortsOfConsulAreOccupied(t *testing.T) {
	for port := 8500; port <= 8503; port++ {
		ports := DefaultPorts
		ports.Broker.WS = port
		assert.Equal(t, len(ports.Faults()), 1, port)
	}
}
