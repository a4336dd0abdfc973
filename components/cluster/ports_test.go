package cluster

import (
	"testing"

	"gotest.tools/v3/assert"
)

// Ports that touch are one range, and those below the kernel's own take nothing away.
func TestSourcePorts(t *testing.T) {
	reserved := ReservedPorts(DefaultPorts)
	assert.DeepEqual(t, reserved[0], PortRange{Min: 1883, Max: 1883})
	assert.DeepEqual(t, reserved[len(reserved)-1], PortRange{Min: 21000, Max: 21999})
	assert.Equal(t, SourcePorts(DefaultPorts), 63493)
	apart := DefaultPorts
	apart.Broker = BrokerPorts{MQTT: 30000, MQTTS: 30001, WS: 30003, WSS: 80}
	assert.Equal(t, SourcePorts(apart), 63490)
}
