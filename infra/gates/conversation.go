package gates

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// gateTopics is where the gate's topics are, which are one per attempt and listener.
const gateTopics = "emqx-oci/gate/"

// trip is one message there and back through one listener.
type trip struct {
	RoundTripArgs
	way      way
	listener cluster.Listener
	// patience bounds it, as text says it.
	patience time.Duration

	// heard: something has answered, be it to TLS or to WebSocket alone.
	heard bool
	// wantsCertificate: the listener asked for a certificate of the client.
	wantsCertificate bool
	// showsCertificate: it was shown one.
	showsCertificate bool
	said             conversation
}

// run is nil when the message came back. Session and topic are the run's own; what is
// published is not retained.
func (t *trip) run(ctx context.Context) *setback {
	conn, s := t.open(ctx)
	if s != nil {
		return s
	}
	defer func() { _ = conn.Close() }()
	id := randomID()
	got := make(chan struct{}, 1)
	// paho's calls outlive a connection that is lost, as a session might: they end with this,
	// whose cause is why.
	live, end := context.WithCancelCause(ctx)
	defer end(nil)
	client := paho.NewClient(paho.ClientConfig{
		// Only a plain TCP connection takes packets of several writers by itself.
		Conn: packets.NewThreadSafeConn(conn),
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			if string(p.Packet.Payload) == id {
				select {
				case got <- struct{}{}:
				default: // a second time, as QoS 1 allows
				}
			}
			return true, nil
		}},
		OnClientError: func(err error) { end(err) },
		OnServerDisconnect: func(d *paho.Disconnect) {
			text := ""
			if d.Properties != nil {
				text = d.Properties.ReasonString
			}
			end(&disconnectedError{d.ReasonCode, text})
		},
		PacketTimeout: t.AttemptTimeout,
	})
	if s := t.connect(ctx, client, id); s != nil {
		return s
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }()
	if s := t.subscribe(live, client, gateTopics+id); s != nil {
		return s
	}
	if s := t.publish(live, client, gateTopics+id, id); s != nil {
		return s
	}
	select {
	case <-got:
		return nil
	case <-live.Done():
		if ctx.Err() != nil {
			return t.notDelivered()
		}
		return t.ended(live, "message")
	}
}

func (t *trip) connect(ctx context.Context, client *paho.Client, id string) *setback {
	// Where identifiers are bound to users, one begins with the name of its user and a slash.
	connect := &paho.Connect{ClientID: cmp.Or(t.Username, "emqx-oci-gate") + "/" + id, CleanStart: true, KeepAlive: 30}
	if t.Username != "" {
		connect.UsernameFlag, connect.Username = true, t.Username
		connect.PasswordFlag, connect.Password = t.Password != "", []byte(t.Password)
	}
	ack, err := client.Connect(ctx, connect)
	if ack == nil {
		return t.unheard("CONNACK", err)
	}
	var own string
	limited := false
	if p := ack.Properties; p != nil {
		own, limited = p.ReasonString, p.MaximumQoS != nil && *p.MaximumQoS == 0
	}
	t.heard = true
	t.said.add("CONNACK", ack.ReasonCode, own)
	switch {
	case ack.ReasonCode >= refusal:
		return t.refused("CONNACK", ack.ReasonCode, own)
	case err != nil:
		return t.unheard("CONNACK", err)
	case limited:
		return t.withoutQoS()
	}
	return nil
}

func (t *trip) subscribe(live context.Context, client *paho.Client, topic string) *setback {
	ack, err := client.Subscribe(live, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}})
	if ack == nil || len(ack.Reasons) != 1 {
		return t.away(live, "SUBACK", err)
	}
	own := ""
	if ack.Properties != nil {
		own = ack.Properties.ReasonString
	}
	t.said.add("SUBACK", ack.Reasons[0], own)
	if ack.Reasons[0] >= refusal {
		return t.refused("SUBACK", ack.Reasons[0], own)
	}
	return nil
}

func (t *trip) publish(live context.Context, client *paho.Client, topic, id string) *setback {
	ack, err := client.Publish(live, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(id)})
	if ack == nil {
		return t.away(live, "PUBACK", err)
	}
	own := ""
	if ack.Properties != nil {
		own = ack.Properties.ReasonString
	}
	t.said.add("PUBACK", ack.ReasonCode, own)
	if ack.ReasonCode >= refusal {
		return t.refused("PUBACK", ack.ReasonCode, own)
	}
	return nil
}

// away is why no answer to a packet came. Who fails to write may have been told why before,
// which the other end of the connection is about to say.
func (t *trip) away(live context.Context, want string, err error) *setback {
	soon := time.NewTimer(time.Second)
	defer soon.Stop()
	select {
	case <-live.Done():
		return t.ended(live, want)
	case <-soon.C:
		return t.unheard(want, err)
	}
}

// ended takes the broker's last word, if the end of a connection has one.
func (t *trip) ended(live context.Context, want string) *setback {
	cause := context.Cause(live)
	var last *disconnectedError
	if errors.As(cause, &last) {
		t.said.add("DISCONNECT", last.code, last.own)
		return t.refused("DISCONNECT", last.code, last.own)
	}
	return t.unheard(want, cause)
}

// conversation is what a broker said, packet by packet: "CONNACK 0x87 (not authorized)".
type conversation []string

func (a *conversation) add(packet string, code byte, own string) {
	*a = append(*a, packet+" "+reason(code, own))
}

// disconnectedError is the end of a connection by a broker that says why.
type disconnectedError struct {
	code byte
	own  string
}

func (e *disconnectedError) Error() string { return "the broker disconnects: " + reason(e.code, e.own) }

// refusal is the first of the reason codes that say no (MQTT 5, section 2.4).
const refusal = 0x80

// reasonNames are MQTT 5's names of its reason codes (section 2.4), of those that a broker
// may give to the gate.
var reasonNames = map[byte]string{
	0x00: "success", 0x01: "QoS 1 granted", 0x10: "no matching subscribers",
	0x80: "unspecified error", 0x81: "malformed packet", 0x82: "protocol error", 0x83: "implementation specific error",
	0x84: "unsupported protocol version", 0x85: "client identifier not valid", 0x86: "bad user name or password",
	0x87: "not authorized", 0x88: "server unavailable", 0x89: "server busy", 0x8a: "banned", 0x8b: "server shutting down",
	0x8c: "bad authentication method", 0x8d: "keep alive timeout", 0x8e: "session taken over", 0x8f: "topic filter invalid",
	0x90: "topic name invalid", 0x93: "receive maximum exceeded", 0x95: "packet too large", 0x96: "message rate too high",
	0x97: "quota exceeded", 0x98: "administrative action", 0x99: "payload format invalid", 0x9a: "retain not supported",
	0x9b: "QoS not supported", 0x9c: "use another server", 0x9d: "server moved", 0x9f: "connection rate exceeded",
	0xa0: "maximum connect time",
}

// reason puts a reason code, and what the broker adds in its own words, into text.
func reason(code byte, own string) string {
	text, name := fmt.Sprintf("0x%02x", code), reasonNames[code]
	if name != "" {
		text += " (" + name + ")"
	}
	if own != "" && !strings.EqualFold(own, name) {
		text += ", " + own
	}
	return text
}

func randomID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}
