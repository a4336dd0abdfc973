package gates

import (
	"context"
	"time"
)

// RoundTripArgs describe gate G5. Only Name is required.
type RoundTripArgs struct {
	// Name is the public DNS name. It is resolved by the system, or behind Proxy.
	Name string
	// Port is the MQTT listener; default 1883, or 8883 with TLS.
	Port int
	// Proxy is a SOCKS5 proxy that resolves Name at its side:
	// "socks5h://127.0.77.1:1080". Empty means to connect directly.
	Proxy string
	// TLS switches to MQTT over TLS. CACert is the PEM text that verifies the
	// server; empty means the system's authorities. ServerName defaults to Name.
	TLS        bool
	CACert     string
	ServerName string
	// Username and Password are sent when Username is not empty.
	Username, Password string
	// AttemptTimeout bounds one whole attempt; default 10 s.
	AttemptTimeout time.Duration
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// RoundTrip is gate G5: an MQTT 5 client connects through the public name,
// subscribes to a topic of its own, publishes with QoS 1 and receives the
// message.
func RoundTrip(args RoundTripArgs) Gate {
	return Gate{
		ID: "G5", Title: "round trip", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) { panic("soon") },
	}
}
