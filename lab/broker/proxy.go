package broker

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxiedConn is a connection whose PROXY header has been read.
type proxiedConn struct {
	net.Conn
	r    io.Reader
	peer net.Addr
	told bool // the header has an address
	cert *certificate
}

func (c *proxiedConn) Read(b []byte) (int, error) { return c.r.Read(b) }
func (c *proxiedConn) RemoteAddr() net.Addr       { return c.peer }

var (
	proxyV1 = []byte("PROXY ")
	proxyV2 = []byte("\r\n\r\n\x00\r\nQUIT\n")
)

var errNoProxyHeader = errors.New("proxy_proto_timeout")

// acceptProxy reads the PROXY header as EMQX's esockd does. A connection without
// one is closed when the timeout ends, not before, whatever it sends. A v2 LOCAL
// header of length 0 makes esockd read "the rest of the header", which swallows
// the next bytes: the MQTT client behind a proxy's health check then hangs.
func acceptProxy(c net.Conn, timeout time.Duration) (net.Conn, error) {
	deadline := time.Now().Add(timeout)
	_ = c.SetReadDeadline(deadline)
	r := bufio.NewReaderSize(c, 1024) // it stays with the connection
	for n := 1; ; n++ {
		b, err := r.Peek(n)
		if err != nil {
			return nil, err
		}
		if bytes.Equal(b, proxyV1) || bytes.Equal(b, proxyV2) {
			break
		}
		if !bytes.HasPrefix(proxyV1, b) && !bytes.HasPrefix(proxyV2, b) {
			// Hold it until the timeout. A read tells when the other side goes first.
			for err == nil {
				_, err = r.Discard(1)
			}
			return nil, errNoProxyHeader
		}
	}
	if b, err := r.Peek(16); err == nil && bytes.HasPrefix(b, proxyV2) && b[12] == 0x20 && b[14] == 0 && b[15] == 0 {
		_, _ = r.Discard(16)
		if _, err := r.Peek(1); err != nil {
			return nil, err
		}
		_, _ = r.Discard(r.Buffered())
		_ = c.SetReadDeadline(time.Time{})
		return &proxiedConn{Conn: c, r: r, peer: c.RemoteAddr()}, nil
	}
	h, err := proxyproto.Read(r)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{})
	return named(c, r, h), nil
}

// named is a connection of whoever its header names.
func named(c net.Conn, r io.Reader, h *proxyproto.Header) net.Conn {
	p := &proxiedConn{Conn: c, r: r, peer: c.RemoteAddr(), cert: namedCertificate(h)}
	if h.Command == proxyproto.PROXY && h.SourceAddr != nil {
		p.peer, p.told = h.SourceAddr, true
	}
	return p
}

// webHeaderTimeout is fixed in EMQX's web server (cowboy_clear, connection_process).
const webHeaderTimeout = time.Second

// acceptWebProxy reads the header as a WebSocket listener does: whole, in what the first
// read brings, or the connection is closed.
func acceptWebProxy(c net.Conn) (net.Conn, error) {
	_ = c.SetReadDeadline(time.Now().Add(webHeaderTimeout))
	first := make([]byte, 4096)
	n, err := c.Read(first)
	if err != nil {
		return nil, err
	}
	r := bytes.NewReader(first[:n])
	buffered := bufio.NewReader(r)
	h, err := proxyproto.Read(buffered)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{})
	return named(c, io.MultiReader(buffered, c), h), nil
}
