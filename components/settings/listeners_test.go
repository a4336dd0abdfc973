package settings

import (
	"testing"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// Who may come to a listener, and where it is.
func TestWhatIsOffered(t *testing.T) {
	base := func() Settings {
		s := defaults()
		s.Network.ClientCIDRs = []string{"203.0.113.0/24", "10.0.0.0/8"}
		s.TLS.Certificate = "a certificate"
		return s
	}
	of := func(s Settings, name string) cluster.Listener {
		for _, l := range s.Offered() {
			if l.Name == name {
				return l
			}
		}
		return cluster.Listener{}
	}
	s := base()
	assert.DeepEqual(t, cluster.ListenerNames(s.Offered()), []string{"mqtt", "mqtts", "ws", "wss"})
	assert.DeepEqual(t, s.BrokerListeners(), []string{"mqtt", "ws"})
	assert.DeepEqual(t, of(s, "mqtt").ClientCIDRs, s.Network.ClientCIDRs)
	assert.Equal(t, len(s.Unasked()), 0)
	assert.DeepEqual(t, cluster.ListenerNames(s.PlainFromPublic()), []string{"mqtt", "ws"})

	s.Listeners.MQTT.Open = OpenVCN
	assert.DeepEqual(t, of(s, "mqtt").ClientCIDRs, []string{"10.0.0.0/8"})
	assert.Assert(t, of(s, "mqtt").Inside && !of(s, "ws").Inside)
	assert.DeepEqual(t, cluster.ListenerNames(cluster.AtEdge(s.Offered())), []string{"mqtts", "ws", "wss"})
	assert.DeepEqual(t, cluster.ListenerNames(s.PlainFromPublic()), []string{"ws"})
	assert.Equal(t, s.Unasked()["mqtt"], "which is for the private network alone (listeners.mqtt.open: vcn) and not at the balancer")
	s.Edge.Public = false
	assert.Assert(t, !of(s, "mqtt").Inside)
	assert.Equal(t, len(s.PlainFromPublic())+len(s.Unasked()), 0)

	s = base()
	s.Listeners.MQTT.Open, s.Listeners.WSS.Open = OpenNone, OpenNone
	assert.DeepEqual(t, s.BrokerListeners(), []string{"mqtt", "ws"}) // mqtts leads to mqtt
	assert.Equal(t, of(s, "mqtts").LeadsTo, 21883)
	assert.Equal(t, s.Unasked()["wss"], "which listeners.wss.open: none has taken away")
	s.TLS.Terminate = TerminateBroker
	assert.DeepEqual(t, s.BrokerListeners(), []string{"mqtts", "ws"})
	s.TLS.Certificate = ""
	assert.DeepEqual(t, s.BrokerListeners(), []string{"ws"})

	s = base()
	s.Listeners.WS.ClientCIDRs = []string{"172.16.0.0/12"}
	assert.DeepEqual(t, of(s, "ws").ClientCIDRs, []string{"172.16.0.0/12"})
	assert.DeepEqual(t, cluster.ListenerNames(s.PlainFromPublic()), []string{"mqtt"})
}
