package components

import (
	"fmt"
	"strings"
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/settings"
)

// Each listener is tried at its port of the stack, and the certificate verified by what the stack says of it.
func TestTheRoundTripGoesThroughWhatTheStackOffers(t *testing.T) {
	s := settings.Settings{DNS: settings.DNS{Name: "mqtt.example.com"}, Ports: settings.Ports{MQTT: 1, MQTTS: 2, WS: 3, WSS: 4}}
	s.TLS.CA, s.Gates.Proxy = "clients' authority", "socks5h://10.0.0.1:1080"
	for certificate, want := range map[settings.Secret]string{"": "mqtt 1, ws 3", "chain": "mqtt 1, mqtts 2, ws 3, wss 4"} {
		s.TLS.Certificate = certificate
		args := conditions{Settings: s}.roundTripArgs()
		var got []string
		for _, l := range args.Listeners {
			got = append(got, fmt.Sprint(l.Name, " ", l.Port))
		}
		assert.Equal(t, strings.Join(got, ", "), want)
		assert.Equal(t, args.Name+" "+args.Proxy, "mqtt.example.com socks5h://10.0.0.1:1080")
		assert.Equal(t, args.CACert+", "+args.Certificate, "clients' authority, "+certificate.Reveal())
	}
}

// What only the round trip can find out is told with the setting that changes it.
func TestTheRoundTripNamesTheEdge(t *testing.T) {
	s := settings.Settings{Edge: settings.Edge{Public: true, Backend: "address"}}
	assert.Equal(t, onTheWay(s), "emqx-oci:edge.backend, which is address: where G4 holds and no client gets through, try privateIp")
	s.Edge = settings.Edge{Backend: "privateIp"}
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "whether this machine is inside the network") && strings.HasSuffix(onTheWay(s), "try address"), onTheWay(s))
	s.Gates.Proxy = "socks5h://10.0.0.1:1080"
	assert.Assert(t, strings.HasPrefix(onTheWay(s), "emqx-oci:edge.backend"), onTheWay(s))
}
