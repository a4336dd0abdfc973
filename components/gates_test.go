package components

import (
	"crypto/x509"
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

// Where clients are asked for certificates the round trip has one of its own user, which follows from the stack's secrets.
func TestTheRoundTripHasACertificateWhereClientsShowOne(t *testing.T) {
	s := settings.Settings{Environment: "prod", TLS: settings.TLS{Terminate: settings.TerminateProxy, Certificate: "chain", Clients: settings.ClientsNone}}
	s.Secrets.ErlangCookie = "aCookie"
	assert.Assert(t, conditions{Settings: s}.roundTripArgs().ClientCertificate == nil)
	for _, clients := range []string{settings.ClientsOptional, settings.ClientsRequired} {
		s.TLS.Clients = clients
		for _, anonymous := range []bool{false, true} { // in which the cluster has no users
			s.Auth.Anonymous = anonymous
			shown, err := conditions{Settings: s}.roundTripArgs().ClientCertificate()
			assert.NilError(t, err)
			leaf, err := x509.ParseCertificate(shown.Certificate[0])
			assert.NilError(t, err)
			assert.Equal(t, leaf.Subject.CommonName, settings.GateUser)
			assert.Equal(t, leaf.Issuer.CommonName, "emqx-oci-gate of prod")
		}
	}
}
