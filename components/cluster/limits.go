package cluster

import (
	"cmp"
	"fmt"
	"time"
)

// Limits are what EMQX takes from one client.
type Limits struct {
	// PacketKB is the size of a packet, in kB.
	PacketKB int
	// TopicLevels of a topic or a filter.
	TopicLevels int
	// ClientIDLength is that of a client identifier, in bytes.
	ClientIDLength int
	// ConnectTimeout is how long a client has for its CONNECT, in whole seconds.
	ConnectTimeout time.Duration
}

// DefaultConnectTimeout is EMQX's own (mqtt.idle_timeout).
const DefaultConnectTimeout = 15 * time.Second

// DefaultLimits are EMQX's own (apps/emqx/src/emqx_schema.erl of 5.8.9).
var DefaultLimits = Limits{PacketKB: 1024, TopicLevels: 128, ClientIDLength: 65535, ConnectTimeout: DefaultConnectTimeout}

// The bounds of [Limits] that EMQX has: a packet of 256 MB is one byte too long.
const (
	MaxPacketKB       = 256*1024 - 1
	MaxTopicLevels    = 65535
	MinClientIDLength = 23
	MaxClientIDLength = 65535
)

// Or are these limits, with those of other ones for what is 0.
func (l Limits) Or(other Limits) Limits {
	return Limits{
		PacketKB: cmp.Or(l.PacketKB, other.PacketKB), TopicLevels: cmp.Or(l.TopicLevels, other.TopicLevels),
		ClientIDLength: cmp.Or(l.ClientIDLength, other.ClientIDLength), ConnectTimeout: cmp.Or(l.ConnectTimeout, other.ConnectTimeout),
	}
}

// Faults are what EMQX would refuse to start with.
func (l Limits) Faults() []Fault {
	var found []Fault
	for _, x := range []struct {
		of             string
		got, low, high int
	}{
		{"packetKb", l.PacketKB, 1, MaxPacketKB},
		{"topicLevels", l.TopicLevels, 1, MaxTopicLevels},
		{"clientIdLength", l.ClientIDLength, MinClientIDLength, MaxClientIDLength},
	} {
		if x.got < x.low || x.got > x.high {
			found = append(found, Fault{Of: x.of, Text: fmt.Sprintf("must be %d to %d, got %d", x.low, x.high, x.got)})
		}
	}
	if l.ConnectTimeout < time.Second || l.ConnectTimeout%time.Second != 0 {
		found = append(found, Fault{Of: "connectTimeout", Text: fmt.Sprintf("must be whole seconds, 1s or more, got %s", l.ConnectTimeout)})
	}
	return found
}
