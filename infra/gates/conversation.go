package gates

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/eclipse/paho.golang/paho"
)

// conversation is what a broker said, packet by packet: "CONNACK 0x87 (not authorized)".
type conversation []string

func (a *conversation) add(packet, reason string) { *a = append(*a, packet+" "+reason) }

// heard takes the broker's last word, if an error is that.
func (a *conversation) heard(err error) error {
	var last *disconnectedError
	if errors.As(err, &last) {
		a.add("DISCONNECT", last.reason)
	}
	return err
}

// orLost prefers the reason why the connection went away to what the call that
// noticed it says.
func (a *conversation) orLost(ctx context.Context, lost <-chan error, err error) error {
	select {
	case cause := <-lost:
		return a.heard(cause)
	default:
	}
	if ctx.Err() != nil {
		return errors.New("no answer in time")
	}
	return err
}

// disconnectedError is the end of a connection by a broker that says why.
type disconnectedError struct{ reason string }

func (e *disconnectedError) Error() string { return "the broker disconnects: " + e.reason }

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

// connackReason adds a limit that the gate itself runs into.
func connackReason(ack *paho.Connack) string {
	text, own := "", ""
	if ack.Properties != nil {
		own = ack.Properties.ReasonString
		if q := ack.Properties.MaximumQoS; q != nil && *q == 0 {
			text = ", maximum QoS 0"
		}
	}
	return reason(ack.ReasonCode, own) + text
}
