package gates

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// RoundTripArgs describe gate G5. Name and Listeners are required.
type RoundTripArgs struct {
	// Name is the public DNS name. It is resolved by the system, or behind Proxy.
	// Certificates are verified for it.
	Name string
	// Listeners are those that the stack offers: a message must come back through each.
	Listeners []cluster.Listener
	// Unasked are listeners of other stacks that are not among them, and why.
	Unasked map[string]string
	// Proxy is a SOCKS5 proxy that resolves Name at its side:
	// "socks5h://127.0.77.1:1080". Empty means to connect directly.
	Proxy string
	// CACert is the PEM text of authorities that count beside the system's.
	CACert string
	// Certificate is the PEM text of what the stack gives its TLS listeners. What is
	// self-signed in it counts as an authority: who made the stack trusts it.
	Certificate string
	// Username and Password are sent when Username is not empty.
	Username, Password string
	// ClientCertificate makes what is shown to a listener that asks for a certificate of its
	// issuer; one per attempt, as it may be good for less than Timeout. With nil nothing is.
	ClientCertificate func() (tls.Certificate, error)
	// Edge is what else to look at when nothing answers at all: what may be wrong on the
	// way to a proxy. Empty is nothing.
	Edge string
	// AttemptTimeout bounds one whole attempt, which asks all listeners side by side;
	// default 10 s.
	AttemptTimeout time.Duration
	// Timeout and Interval default to [DefaultTimeout] and [DefaultInterval].
	Timeout, Interval time.Duration
}

// Through are the same args for one listener alone, by its name: "mqtts". The only
// error is an [UnknownListenerError].
func (a RoundTripArgs) Through(listener string) (RoundTripArgs, error) {
	called := func(l cluster.Listener) bool { return l.Name == listener }
	if i := slices.IndexFunc(a.Listeners, called); i >= 0 {
		a.Listeners = a.Listeners[i : i+1]
		return a, nil
	}
	unknown := &UnknownListenerError{Name: listener, Why: a.Unasked[listener]}
	for _, l := range a.Listeners {
		unknown.Offered = append(unknown.Offered, l.Name)
	}
	return RoundTripArgs{}, unknown
}

// UnknownListenerError is a name that none of the stack's listeners has.
type UnknownListenerError struct {
	Name    string
	Offered []string
	// Why it is not there, as a clause; empty where that is not known.
	Why string
}

func (e *UnknownListenerError) Error() string {
	text := fmt.Sprintf("must be a listener of the stack, which offers %s, got %q", JoinNames(e.Offered), e.Name)
	if e.Why != "" {
		return text + ", " + e.Why
	}
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		if l.Name == e.Name && l.TLS {
			text += ", which comes with tls.certificate"
		}
	}
	return text
}

// RoundTrip is gate G5: through each listener an MQTT 5 client connects by the public
// name, as clients do, subscribes to a topic of its own, publishes with QoS 1 and receives
// the message. The gate holds when all messages have come back. What is to be looked at
// next follows from how far each got: who has heard a broker was led there by DNS and the
// balancer.
func RoundTrip(args RoundTripArgs) Gate {
	if args.AttemptTimeout <= 0 {
		args.AttemptTimeout = 10 * time.Second
	}
	return Gate{
		ID: "G5", Title: "round trip", Timeout: args.Timeout, Interval: args.Interval,
		Check: func(ctx context.Context) (Status, error) {
			w, err := args.way()
			if err != nil {
				return Status{}, Fatal(err)
			}
			s := args.status(args.attempt(ctx, w))
			if err := ctx.Err(); err != nil && !s.Holds {
				// Cut off: what an attempt before has seen says more.
				return Status{Next: s.Next, Parts: s.Parts}, errors.New(s.Seen)
			}
			return s, nil
		},
	}
}

// attempt goes through all listeners side by side.
func (a RoundTripArgs) attempt(ctx context.Context, w way) []Part {
	patience := a.AttemptTimeout
	if end, ok := ctx.Deadline(); ok {
		patience = min(patience, time.Until(end))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	parts := make([]Part, len(a.Listeners))
	var all errgroup.Group
	all.SetLimit(askedAtOnce)
	for i, l := range a.Listeners {
		all.Go(func() error {
			t := trip{RoundTripArgs: a, way: w, listener: l, patience: round(patience)}
			parts[i] = Part{Name: l.Name, Holds: true, Seen: "a message came back"}
			if s := t.run(ctx); s != nil {
				parts[i] = Part{Name: l.Name, Seen: OneLine(s.seen), Next: s.next}
			}
			return nil
		})
	}
	_ = all.Wait() // none returns an error
	return parts
}

// status names each listener that brought nothing back, once per cause.
func (a RoundTripArgs) status(parts []Part) Status {
	s := Status{Parts: parts}
	var back, through []string
	for _, p := range parts {
		through = append(through, p.Name)
		if p.Holds {
			back = append(back, p.Name)
		}
	}
	if len(back) == len(parts) {
		s.Holds, s.Seen = true, fmt.Sprintf("a message came back through %s by %s", a.Name, JoinNames(through))
		return s
	}
	port := func(i int) string { return fmt.Sprintf("%s (%d)", parts[i].Name, a.Listeners[i].Port) }
	var seen, next []string
	for _, of := range alike(parts, func(p Part) string { return p.Seen }, port) {
		seen = append(seen, JoinNames(of.names)+": "+of.text)
	}
	advice := alike(parts, func(p Part) string { return p.Next }, func(i int) string { return parts[i].Name })
	for _, of := range advice {
		if len(advice) > 1 {
			of.text = "for " + JoinNames(of.names) + ": " + of.text
		}
		next = append(next, of.text)
	}
	s.Seen = fmt.Sprintf("%d/%d listeners: %s", len(back), len(parts), strings.Join(seen, "; "))
	s.Next = strings.Join(next, "; ")
	return s
}

// named is one text, and who it is said of.
type named struct {
	text  string
	names []string
}

// alike are the texts of the parts that do not hold, each once.
func alike(parts []Part, text func(Part) string, name func(int) string) []named {
	var found []named
	for i, p := range parts {
		if p.Holds {
			continue
		}
		at := slices.IndexFunc(found, func(n named) bool { return n.text == text(p) })
		if at < 0 {
			at, found = len(found), append(found, named{text: text(p)})
		}
		found[at].names = append(found[at].names, name(i))
	}
	return found
}
