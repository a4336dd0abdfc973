package gates

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/gorilla/websocket"
)

// setback is why no message came back through a listener. Neither text holds what another
// attempt, or another listener with the same cause, would say differently, such as ports.
type setback struct {
	seen string
	// next is what to look at.
	next string
}

// unconnected is a TCP connection that nobody gives.
func (t *trip) unconnected(ctx context.Context, err error) *setback {
	record := fmt.Sprintf("the record of %s in its zone, and the zone's delegation; a resolver may remember for a while that there was none", t.Name)
	accept := t.onTheWay("the balancer's listeners and the health of its backends (`emqx-oci status`), " +
		"and whether network.clientCidrs holds the address that this machine has there")
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.As(err, &dns) && dns.IsNotFound && t.way.proxy == "":
		return &setback{fmt.Sprintf("%s does not resolve: no such host", t.Name), record}
	case errors.As(err, &dns) && t.way.proxy == "":
		return &setback{fmt.Sprintf("%s does not resolve: %s", t.Name, plain(err)), "the resolvers of this machine (/etc/resolv.conf)"}
	case t.way.proxy == "" && isClosed(err): // reset as soon as it was there
		return t.closedAtOnce()
	case t.way.proxy == "":
		return &setback{"nothing accepts a connection: " + plain(err), accept}
	case errors.As(errors.Unwrap(err), &op) && op.Op == "dial": // the proxy itself
		return &setback{
			fmt.Sprintf("the proxy %s accepts no connection: %s", t.way.proxy, plain(err)),
			"whether a SOCKS5 proxy listens there (gates.proxy)",
		}
	case ctx.Err() != nil || isTimeout(err):
		return &setback{fmt.Sprintf("nothing accepts a connection from the proxy %s: no answer within %s", t.way.proxy, t.patience), accept}
	}
	reply, ok := strings.CutPrefix(plain(err), "unknown error ") // x/net's words before the proxy's
	if !ok {
		return &setback{
			fmt.Sprintf("the proxy %s does not speak SOCKS5: %s", t.way.proxy, plain(err)),
			"what listens there (gates.proxy)",
		}
	}
	s := &setback{fmt.Sprintf("nothing accepts a connection from the proxy %s: %s", t.way.proxy, reply), accept}
	switch reply {
	case "host unreachable", "general SOCKS server failure": // what proxies say of names, too
		s.next = "whether the proxy resolves the name: " + record + "; " + accept
	case "connection not allowed by ruleset":
		s.next = "the rules of the proxy (gates.proxy)"
	}
	return s
}

// insecure is a TLS handshake that failed.
func (t *trip) insecure(err error) *setback {
	var dates x509.CertificateInvalidError
	var name x509.HostnameError
	var authority x509.UnknownAuthorityError
	var other *tls.CertificateVerificationError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dates) && dates.Reason == x509.Expired:
		return outOfDate(dates.Cert, time.Now())
	case errors.As(err, &name):
		return &setback{
			fmt.Sprintf("the certificate is for %s, not for %s", namesOf(name.Certificate), t.Name),
			"tls.certificate, which must be valid for the public name, and whether that leads to this cluster",
		}
	case errors.As(err, &authority):
		return &setback{
			fmt.Sprintf("the certificate is signed by an unknown authority, %q", authority.Cert.Issuer.String()),
			"tls.certificate, which must hold the whole chain, and tls.ca, which must hold the authority where it is none of this machine's",
		}
	case errors.As(err, &other):
		return &setback{"the certificate is not accepted: " + other.Err.Error(), "tls.certificate and its chain"}
	case errors.As(err, &record):
		return &setback{"no TLS is spoken there", "what listens on these ports (`emqx ctl listeners` on the nodes)"}
	}
	return t.broken("TLS handshake", err, setback{
		"the TLS handshake fails: " + plain(err), "EMQX's logs, and its versions and ciphers of TLS; the gate speaks TLS 1.2 and 1.3",
	})
}

func outOfDate(c *x509.Certificate, now time.Time) *setback {
	const layout = "2006-01-02 15:04 MST"
	if now.Before(c.NotBefore) {
		return &setback{
			fmt.Sprintf("the certificate %q is not yet valid: it begins on %s", titleOf(c), c.NotBefore.UTC().Format(layout)),
			"the clock of this machine, then tls.certificate",
		}
	}
	return &setback{
		fmt.Sprintf("the certificate %q has expired: it ended on %s", titleOf(c), c.NotAfter.UTC().Format(layout)),
		"tls.certificate and tls.privateKey: set a renewed pair and run `emqx-oci up`",
	}
}

func titleOf(c *x509.Certificate) string {
	if c.Subject.CommonName != "" || len(c.DNSNames) == 0 {
		return c.Subject.CommonName
	}
	return c.DNSNames[0]
}

func namesOf(c *x509.Certificate) string {
	names := append([]string{}, c.DNSNames...)
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		return "no name"
	}
	if more := len(names) - maxListed; more > 0 {
		names = append(names[:maxListed], fmt.Sprintf("%d more", more))
	}
	return JoinNames(names)
}

// notUpgraded is an answer that is no WebSocket, or none.
func (t *trip) notUpgraded(response *http.Response, err error) *setback {
	switch {
	case response == nil:
		return t.broken("HTTP answer", err, setback{"no HTTP is spoken there: " + plain(err), t.upgrades()})
	case response.StatusCode == http.StatusSwitchingProtocols:
		return &setback{"the WebSocket handshake is not complete: " + plain(err), t.upgrades()}
	}
	return &setback{fmt.Sprintf("HTTP status %s instead of a WebSocket", response.Status), t.upgrades()}
}

func (t *trip) otherSubprotocol(got string) *setback {
	return &setback{fmt.Sprintf("the WebSocket gets the subprotocol %q, not %q", got, subprotocol), t.upgrades()}
}

func (t *trip) upgrades() string {
	return fmt.Sprintf("what answers there: EMQX's WebSocket listeners take %s with the subprotocol %s (`emqx ctl listeners` on the nodes)", t.listener.Path, subprotocol)
}

// certificateRefused: the listener wanted another certificate than it got.
func (t *trip) certificateRefused() *setback {
	if t.showsCertificate {
		return &setback{
			"the TLS handshake is refused: the listener does not take the gate's certificate",
			"the clock of this machine, which makes it for an hour; then what the proxies' logs say of their authorities and lists of revoked certificates",
		}
	}
	return &setback{
		"the TLS handshake is refused: the listener wants a certificate of the client, of authorities that are not the gate's",
		"whether each proxy has taken over its files (the logs of the proxies' job); where EMQX's listeners ask for certificates, the gate has none for them",
	}
}

// broken is the end of a connection, or of patience, while something was wanted:
// "TLS handshake", "CONNACK". Another error is what the caller says.
func (t *trip) broken(want string, err error, other setback) *setback {
	var alert *net.OpError
	switch {
	case isTimeout(err):
		if !t.heard {
			return &setback{
				fmt.Sprintf("the connection is accepted, and nothing answers within %s", t.patience),
				t.onTheWay("whether the proxies and EMQX have processor time, and their logs (`emqx-oci status`)"),
			}
		}
		return &setback{fmt.Sprintf("no %s within %s", want, t.patience), t.after("whether EMQX has processor time, and its logs (`emqx-oci status`)")}
	// TLS 1.3 says so only after the handshake, and what it says may be lost: who has written already is reset.
	case t.wantsCertificate && (isClosed(err) || errors.As(err, &alert) && alert.Op == "remote error"):
		return t.certificateRefused()
	case errors.As(err, &alert) && alert.Op == "remote error":
		return &setback{
			"the TLS handshake is refused: " + plain(err),
			"EMQX's logs: its versions and ciphers of TLS; the gate speaks TLS 1.2 and 1.3",
		}
	case isClosed(err) && !t.heard:
		return t.closedAtOnce()
	case isClosed(err):
		return &setback{"the connection is closed instead of " + want, t.after("EMQX's logs, which say why it closed the connection")}
	}
	return &other
}

func (t *trip) closedAtOnce() *setback {
	return &setback{
		"the connection is accepted and closed before any answer",
		t.onTheWay("the proxies' logs: one closes at once what it has no broker for (G3 says so) or no place (proxy.maxConn); then EMQX's"),
	}
}

// unheard is broken while a packet was wanted.
func (t *trip) unheard(packet string, err error) *setback {
	return t.broken(packet, err, setback{fmt.Sprintf("no %s of MQTT 5: %s", packet, plain(err)), t.after("what listens there, and EMQX's logs")})
}

// refused is a reason code that says no.
func (t *trip) refused(packet string, code byte, own string) *setback {
	seen := "refused by the broker: " + packet + " " + reason(code, own)
	if packet == "DISCONNECT" {
		seen = "the broker disconnects: " + reason(code, own)
	}
	return &setback{seen, t.after(t.adviceOn(packet, code))}
}

// adviceOn is which part of EMQX gives such a reason.
func (t *trip) adviceOn(packet string, code byte) string {
	switch code {
	case 0x86, 0x8c:
		return "EMQX's authentication"
	case 0x87:
		if packet == "CONNACK" {
			return "EMQX's authentication"
		}
		return "EMQX's authorization, which must let the gate subscribe and publish below " + gateTopics
	case 0x8a:
		return "EMQX's list of banned clients, and its flapping detection"
	case 0x88, 0x89, 0x8b, 0x93, 0x96, 0x97, 0x9c, 0x9d, 0x9f:
		return "the load of EMQX, and its limits of connections, rates and quotas (`emqx-oci status`)"
	case 0x8f, 0x90, 0x95:
		return "EMQX's limits of packets and topics (mqtt.max_topic_levels, mqtt.max_packet_size)"
	case 0x9b:
		return "EMQX's mqtt.max_qos_allowed: the gate needs QoS 1"
	}
	return "EMQX's logs"
}

func (t *trip) withoutQoS() *setback {
	return &setback{"the broker takes QoS 0 alone: CONNACK with maximum QoS 0", t.after(t.adviceOn("CONNACK", 0x9b))}
}

func (t *trip) notDelivered() *setback {
	return &setback{
		fmt.Sprintf("published, but the message did not come back within %s", t.patience),
		t.after("what in EMQX keeps a message from its subscriber: authorization that ignores in silence, extensions, its load and logs"),
	}
}

// after is for what a broker can be asked about, for it was reached: it adds what was said.
func (t *trip) after(next string) string {
	next += "; not the name or the balancer, which led to it"
	if len(t.said) == 0 {
		return next
	}
	as := "without a user name"
	if t.Username != "" {
		as = "with its own"
	}
	return fmt.Sprintf("%s; the gate connects %s, and was told %s", next, as, strings.Join(t.said, ", "))
}

// onTheWay is for where nothing has answered.
func (t *trip) onTheWay(next string) string {
	if t.Edge != "" {
		next += "; " + t.Edge
	}
	return next
}

func isTimeout(err error) bool {
	var timed net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) || errors.Is(err, syscall.ETIMEDOUT) ||
		errors.As(err, &timed) && timed.Timeout()
}

func isClosed(err error) bool {
	var closing *websocket.CloseError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) ||
		errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNABORTED) || errors.As(err, &closing) || errors.Is(err, websocket.ErrCloseSent)
}

// plain is what happened, without the addresses around it: the port of this side is another
// one each time.
func plain(err error) string {
	if isTimeout(err) {
		return "no answer in time"
	}
	if isClosed(err) {
		return "the connection is closed"
	}
	var dns *net.DNSError
	if errors.As(err, &dns) { // "read udp 127.0.0.1:40414->127.0.0.53:53: connection refused"
		return strings.TrimSpace(dns.Err[strings.LastIndex(dns.Err, ": ")+1:])
	}
	var number syscall.Errno
	if errors.As(err, &number) {
		return number.Error()
	}
	for {
		var op *net.OpError
		if !errors.As(err, &op) || op.Err == nil {
			return err.Error()
		}
		err = op.Err
	}
}
