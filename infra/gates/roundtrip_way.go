package gates

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/net/proxy"
)

// way is how all listeners are reached.
type way struct {
	dialer proxy.ContextDialer
	// proxy is the host and port of the SOCKS proxy; empty is a direct way.
	proxy string
	roots *x509.CertPool
	// shown is the client's certificate; nil is none.
	shown *tls.Certificate
}

// way reads what cannot get better by waiting.
func (a RoundTripArgs) way() (way, error) {
	var faults []error
	if a.Name == "" {
		faults = append(faults, errors.New("connecting by MQTT: no name given"))
	}
	if len(a.Listeners) == 0 {
		faults = append(faults, errors.New("connecting by MQTT: no listener given"))
	}
	w := way{dialer: &net.Dialer{}}
	var err error
	if w.roots, err = a.authorities(); err != nil {
		faults = append(faults, err)
	}
	if a.ClientCertificate != nil {
		shown, err := a.ClientCertificate()
		if err != nil {
			faults = append(faults, err)
		}
		w.shown = &shown
	}
	if a.Proxy != "" {
		if w.dialer, w.proxy, err = socks(a.Proxy); err != nil {
			faults = append(faults, fmt.Errorf("reading the proxy address %q: %w; give socks5h://host:port", a.Proxy, err))
		}
	}
	return w, errors.Join(faults...)
}

func socks(address string) (proxy.ContextDialer, string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, "", errors.Unwrap(err) // without the address, which is named already
	}
	d, err := proxy.FromURL(u, &net.Dialer{})
	if err != nil {
		return nil, "", err
	}
	return d.(proxy.ContextDialer), u.Host, nil //nolint:forcetypeassert // The SOCKS dialer of x/net is one.
}

// authorities are the system's, the stack's own, and its certificate where it is
// self-signed. A machine without any verifies by the stack's alone.
func (a RoundTripArgs) authorities() (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil {
		pool = x509.NewCertPool()
	}
	if a.CACert != "" && !pool.AppendCertsFromPEM([]byte(a.CACert)) {
		return nil, errors.New("reading the authority's certificate for the round trip: it holds no PEM certificate")
	}
	rest := []byte(a.Certificate)
	for {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return pool, nil
		}
		c, err := x509.ParseCertificate(block.Bytes)
		if err == nil && bytes.Equal(c.RawIssuer, c.RawSubject) && c.CheckSignature(c.SignatureAlgorithm, c.RawTBSCertificate, c.Signature) == nil {
			pool.AddCert(c)
		}
	}
}

// open is the way to the broker as a stream of bytes: TCP, and TLS and WebSocket where
// the listener has them.
func (t *trip) open(ctx context.Context) (net.Conn, *setback) {
	conn, err := t.way.dialer.DialContext(ctx, "tcp", net.JoinHostPort(t.Name, strconv.Itoa(t.listener.Port)))
	if err != nil {
		return nil, t.unconnected(ctx, err)
	}
	conn, s := t.layers(ctx, conn)
	if s != nil {
		return nil, s
	}
	// paho does not bound its writes and reads by the context of a call. The
	// context comes first all the same: its end says what was being waited for.
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline.Add(time.Second))
	}
	return conn, nil
}

// layers puts TLS and WebSocket upon a connection, which it closes when it cannot.
func (t *trip) layers(ctx context.Context, conn net.Conn) (net.Conn, *setback) {
	if t.listener.TLS {
		secured := tls.Client(conn, &tls.Config{
			ServerName: t.Name, RootCAs: t.way.roots, MinVersion: tls.VersionTLS12,
			GetClientCertificate: func(asked *tls.CertificateRequestInfo) (*tls.Certificate, error) {
				t.wantsCertificate = true
				// One of another issuer would be refused where none is not.
				if shown := t.way.shown; shown != nil && asked.SupportsCertificate(shown) == nil {
					t.showsCertificate = true
					return shown, nil
				}
				return &tls.Certificate{}, nil // none
			},
		})
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, t.insecure(err)
		}
		t.heard, conn = true, secured
	}
	if t.listener.Path == "" {
		return conn, nil
	}
	upgraded, s := t.upgrade(ctx, conn)
	if s != nil {
		_ = conn.Close()
		return nil, s
	}
	t.heard = true
	return upgraded, nil
}

// subprotocol is what a WebSocket has to carry, by MQTT 5, section 6.
const subprotocol = "mqtt"

func (t *trip) upgrade(ctx context.Context, conn net.Conn) (net.Conn, *setback) {
	// The dialer knows the context's deadline, not that somebody ends it before.
	stop := context.AfterFunc(ctx, func() { _ = conn.Close() })
	defer stop()
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	dialer := websocket.Dialer{NetDialContext: given, NetDialTLSContext: given, Subprotocols: []string{subprotocol}}
	address := url.URL{Scheme: t.listener.Scheme, Host: net.JoinHostPort(t.Name, strconv.Itoa(t.listener.Port)), Path: t.listener.Path}
	ws, response, err := dialer.DialContext(ctx, address.String(), nil)
	if response != nil {
		_ = response.Body.Close()
	}
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, t.notUpgraded(nil, ctx.Err())
	case err != nil:
		return nil, t.notUpgraded(response, err)
	case ws.Subprotocol() != subprotocol:
		return nil, t.otherSubprotocol(ws.Subprotocol())
	}
	return &stream{Conn: ws}, nil
}

// stream is the bytes in a WebSocket's binary messages, whose ends mean nothing to MQTT.
type stream struct {
	*websocket.Conn
	message io.Reader
}

// errText ends a connection: MQTT 5, section 6, wants binary messages alone.
var errText = errors.New("a WebSocket message of text, not of bytes")

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.message == nil {
			kind, message, err := s.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errText
			}
			s.message = message
		}
		n, err := s.message.Read(p)
		if errors.Is(err, io.EOF) {
			s.message, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (s *stream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

// Close says so before, as clients do, and waits for nobody.
func (s *stream) Close() error {
	_ = s.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(websocket.CloseNormalClosure, ""), time.Now().Add(time.Second))
	return s.Conn.Close()
}
