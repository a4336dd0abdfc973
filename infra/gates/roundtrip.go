package gates

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"golang.org/x/net/proxy"

	"github.com/emqx-oci/emqx-oci/components/cluster"
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
	// Edge is what else to look at when no broker answers at all: what may be wrong on
	// the way to one. Empty is nothing.
	Edge string
	// AttemptTimeout bounds one whole attempt; default 10 s.
	AttemptTimeout time.Duration
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// gateTopics is where the gate's topics are, which are one per attempt.
const gateTopics = "emqx-oci/gate/"

// RoundTrip is gate G5: an MQTT 5 client connects through the public name,
// subscribes to a topic of its own, publishes with QoS 1 and receives the
// message. Once a broker has answered, what it said is what to look at next, and
// neither DNS nor the balancer.
func RoundTrip(args RoundTripArgs) Gate {
	title := "round trip"
	if args.TLS {
		title = "round trip over TLS"
	}
	if args.Port == 0 {
		args.Port = cluster.DefaultPorts.MQTT
		if args.TLS {
			args.Port = cluster.DefaultPorts.MQTTS
		}
	}
	if args.AttemptTimeout <= 0 {
		args.AttemptTimeout = 10 * time.Second
	}
	next := fmt.Sprintf("whether %s resolves to the balancer's address, the health of its backends, and the proxies' logs", args.Name)
	if args.Edge != "" {
		next += "; " + args.Edge
	}
	return Gate{
		ID: "G5", Title: title, Timeout: args.Timeout, Interval: args.Interval, Next: next,
		Check: func(ctx context.Context) (Status, error) {
			ctx, cancel := context.WithTimeout(ctx, args.AttemptTimeout)
			defer cancel()
			said, err := roundTrip(ctx, args)
			switch {
			case IsFatal(err):
				return Status{}, err
			case err != nil:
				return Status{Seen: OneLine(err.Error()), Next: args.nextOf(said)}, nil
			}
			return Status{Holds: true, Seen: "a message came back through " + args.address()}, nil
		},
	}
}

func (a RoundTripArgs) address() string { return net.JoinHostPort(a.Name, strconv.Itoa(a.Port)) }

// nextOf is what to look at after a broker's answers; empty when there is none.
func (a RoundTripArgs) nextOf(said conversation) string {
	if len(said) == 0 {
		return ""
	}
	as := "without a user name"
	if a.Username != "" {
		as = "as its own user"
	}
	return fmt.Sprintf("EMQX's authentication, authorization and limits, not DNS or the balancer, which led to it: %s; "+
		"the gate connects %s, and subscribes and publishes with QoS 1 below %s", strings.Join(said, ", "), as, gateTopics)
}

// roundTrip also gives what the broker has answered until then, on success too.
func roundTrip(ctx context.Context, args RoundTripArgs) (said conversation, err error) {
	conn, err := dialMQTT(ctx, args)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()

	id := randomID()
	topic := gateTopics + id
	got := make(chan string, 1)
	lost := make(chan error, 1)
	client := paho.NewClient(paho.ClientConfig{
		Conn: conn,
		OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) {
			select {
			case got <- string(p.Packet.Payload):
			default:
			}
			return true, nil
		}},
		OnClientError: func(err error) { notify(lost, err) },
		OnServerDisconnect: func(d *paho.Disconnect) {
			text := ""
			if d.Properties != nil {
				text = d.Properties.ReasonString
			}
			notify(lost, &disconnectedError{reason(d.ReasonCode, text)})
		},
		PacketTimeout: args.AttemptTimeout,
	})
	connect := &paho.Connect{ClientID: "emqx-oci-gate-" + id, CleanStart: true, KeepAlive: 30}
	if args.Username != "" {
		connect.UsernameFlag, connect.Username = true, args.Username
		connect.PasswordFlag, connect.Password = args.Password != "", []byte(args.Password)
	}
	ack, err := client.Connect(ctx, connect)
	if ack != nil {
		said.add("CONNACK", connackReason(ack))
	}
	if err != nil {
		if ack != nil && ack.ReasonCode != 0 {
			return said, fmt.Errorf("connecting by MQTT to %s: refused by the broker: %s", args.address(), connackReason(ack))
		}
		err = said.orLost(ctx, lost, err)
		return said, fmt.Errorf("connecting by MQTT to %s: %w", args.address(), err)
	}
	defer func() { _ = client.Disconnect(&paho.Disconnect{}) }()

	granted, err := client.Subscribe(ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{{Topic: topic, QoS: 1}}})
	if granted != nil && len(granted.Reasons) == 1 {
		text := ""
		if granted.Properties != nil {
			text = granted.Properties.ReasonString
		}
		said.add("SUBACK", reason(granted.Reasons[0], text))
	}
	if err != nil {
		err = said.orLost(ctx, lost, err)
		return said, fmt.Errorf("subscribing at %s: %w", args.address(), err)
	}
	published, err := client.Publish(ctx, &paho.Publish{Topic: topic, QoS: 1, Payload: []byte(id)})
	if published != nil {
		text := ""
		if published.Properties != nil {
			text = published.Properties.ReasonString
		}
		said.add("PUBACK", reason(published.ReasonCode, text))
	}
	if err != nil {
		err = said.orLost(ctx, lost, err)
		return said, fmt.Errorf("publishing at %s: %w", args.address(), err)
	}
	select {
	case payload := <-got:
		if payload != id {
			return said, fmt.Errorf("receiving at %s: another message came back", args.address())
		}
		return said, nil
	case err := <-lost:
		err = said.heard(err)
		return said, fmt.Errorf("receiving at %s: %w", args.address(), err)
	case <-ctx.Done():
		return said, fmt.Errorf("receiving at %s: published, but the message did not come back within %s", args.address(), args.AttemptTimeout)
	}
}

func dialMQTT(ctx context.Context, args RoundTripArgs) (net.Conn, error) {
	if args.Name == "" {
		return nil, Fatal(errors.New("connecting by MQTT: no name given"))
	}
	var config *tls.Config
	if args.TLS {
		config = &tls.Config{ServerName: args.ServerName, MinVersion: tls.VersionTLS12}
		if config.ServerName == "" {
			config.ServerName = args.Name
		}
		if args.CACert != "" {
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM([]byte(args.CACert)) {
				return nil, Fatal(errors.New("reading the authority's certificate for the round trip: it holds no PEM certificate"))
			}
		}
	}
	var dialer proxy.ContextDialer = &net.Dialer{}
	via := ""
	if args.Proxy != "" {
		u, err := url.Parse(args.Proxy)
		if err != nil {
			return nil, Fatal(fmt.Errorf("reading the proxy address %q: %w", args.Proxy, err))
		}
		d, err := proxy.FromURL(u, &net.Dialer{})
		if err != nil {
			return nil, Fatal(fmt.Errorf("reading the proxy address %q: %w; give socks5h://host:port", args.Proxy, err))
		}
		dialer = d.(proxy.ContextDialer) //nolint:forcetypeassert // The SOCKS dialer of x/net is one.
		via = " through " + u.Host
	}
	conn, err := dialer.DialContext(ctx, "tcp", args.address())
	if err != nil {
		return nil, fmt.Errorf("connecting to %s%s: %w", args.address(), via, err)
	}
	// paho does not bound its writes and reads by the context of a call. The
	// context comes first all the same: its end says what was being waited for.
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline.Add(time.Second))
	}
	if config == nil {
		return conn, nil
	}
	secured := tls.Client(conn, config)
	if err := secured.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("starting TLS with %s: %w", args.address(), err)
	}
	return packets.NewThreadSafeConn(secured), nil
}

func notify(lost chan<- error, err error) {
	select {
	case lost <- err:
	default:
	}
}

func randomID() string {
	b := make([]byte, 8)
	_, _ = rand.Read(b) // never fails, says crypto/rand
	return hex.EncodeToString(b)
}
