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
