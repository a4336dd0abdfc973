package operate

import (
	"context"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// nobodyThere is a round trip that ends at once, and G2 and G5 that say what they were told.
func nobodyThere(t *testing.T, formed bool) (c *Cluster, asked *string) {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	port := l.Addr().(*net.TCPAddr).Port
	assert.NilError(t, l.Close())
	offered := cluster.Listeners(cluster.Ports{MQTT: port, WS: port}, false)
	w := newWorld(t, 1)
	asked = new(string)
	answers := func(id string, s gates.Status) gates.Gate {
		return gates.Gate{ID: id, Title: "x", Timeout: time.Nanosecond, Check: func(context.Context) (gates.Status, error) {
			*asked += id
			return s, nil
		}}
	}
	c, err = New(Config{
		Proxy: testProxy, Environment: "lab", Datacenter: "dc1", Count: 1, Nomad: w, Consul: catalog{w},
		RoundTrip: gates.RoundTripArgs{Name: "127.0.0.1", Listeners: offered, Timeout: time.Second},
		Verification: []gates.Gate{
			answers("G2", gates.Status{Holds: formed}),
			answers("G5", gates.Status{Seen: "1/2", Parts: []gates.Part{{Name: "mqtt", Holds: true}, {Name: "ws"}}}),
		},
	})
	assert.NilError(t, err)
	return c, asked
}

func TestVerifyTellsOfEachListener(t *testing.T) {
	c, asked := nobodyThere(t, true)
	parts, err := c.Verify(t.Context(), VerifyOptions{})
	assert.ErrorContains(t, err, "waiting for G5 x")
	assert.Equal(t, *asked, "G2G5")
	assert.DeepEqual(t, parts, []gates.Part{{Name: "mqtt", Holds: true}, {Name: "ws"}})

	// Nobody has asked a listener when a gate before fails.
	c, asked = nobodyThere(t, false)
	parts, err = c.Verify(t.Context(), VerifyOptions{})
	assert.ErrorContains(t, err, "waiting for G2 x")
	assert.Equal(t, *asked, "G2")
	assert.Equal(t, len(parts), 0)
}

// What an attempt that is cut off says of a listener is less than the answer before.
func TestVerifyKeepsTheLastWholeAnswer(t *testing.T) {
	c, _ := nobodyThere(t, true)
	n := 0
	c.Verification = []gates.Gate{{ID: "G5", Title: "x", Timeout: time.Minute, Interval: time.Nanosecond, Check: func(context.Context) (gates.Status, error) {
		if n++; n == 1 {
			return gates.Status{Seen: "0/1", Parts: []gates.Part{{Name: "mqtt", Seen: "refused"}}}, nil
		}
		return gates.Status{Parts: []gates.Part{{Name: "mqtt", Seen: "cut off"}}}, gates.Fatal(errors.New("cut off"))
	}}}
	parts, err := c.Verify(t.Context(), VerifyOptions{})
	assert.ErrorContains(t, err, "cut off")
	assert.DeepEqual(t, parts, []gates.Part{{Name: "mqtt", Seen: "refused"}})
}

func TestVerifyOfOneListenerAsksNothingElse(t *testing.T) {
	c, asked := nobodyThere(t, true)
	parts, err := c.Verify(t.Context(), VerifyOptions{Listener: "ws"})
	assert.ErrorContains(t, err, "waiting for G5 round trip: did not hold within")
	assert.ErrorContains(t, err, "0/1 listeners: ws (")
	assert.ErrorContains(t, err, "nothing accepts a connection: connection refused; look next at: the balancer's listeners")
	assert.Equal(t, *asked, "")
	assert.Assert(t, len(parts) == 1 && parts[0].Name == "ws" && strings.HasPrefix(parts[0].Next, "the balancer's listeners"), "%+v", parts)

	parts, err = c.Verify(t.Context(), VerifyOptions{Listener: "wss"})
	assert.Error(t, err, `must be a listener of the stack, which offers mqtt and ws, got "wss", which comes with tls.certificate`)
	assert.Equal(t, *asked, "")
	assert.Equal(t, len(parts), 0)
}

func TestALookSendsAMessageWhereItIsToldTo(t *testing.T) {
	c, _ := nobodyThere(t, true)
	s := c.Status(t.Context(), StatusOptions{Probe: true})
	assert.Assert(t, strings.HasPrefix(s.RoundTrip, "0/2 listeners: mqtt ("), s.RoundTrip)
	var told []Problem
	for _, p := range s.Problems {
		if strings.Contains(p.What, "no message came back") {
			told = append(told, p)
		}
	}
	assert.Assert(t, len(told) == 1 && strings.HasPrefix(told[0].Next, "the balancer's listeners"), "%+v", s.Problems)
	assert.Equal(t, c.Status(t.Context(), StatusOptions{}).RoundTrip, "")
	c.RoundTrip = gates.RoundTripArgs{}
	assert.Equal(t, c.Status(t.Context(), StatusOptions{Probe: true}).RoundTrip, "")
}
