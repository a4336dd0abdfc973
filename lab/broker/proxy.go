package broker

import (
	"bufio"
	"bytes"
	"errors"
	"net"
	"time"

	"github.com/pires/go-proxyproto"
)

// proxiedConn is a connection whose PROXY header has been read.
type proxiedConn struct {
	net.Conn
	r    *bufio.Reader
	peer net.Addr
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
		return &proxiedConn{c, r, c.RemoteAddr()}, nil
	}
	h, err := proxyproto.Read(r)
	if err != nil {
		return nil, err
	}
	_ = c.SetReadDeadline(time.Time{})
	peer := c.RemoteAddr()
	if h.Command == proxyproto.PROXY && h.SourceAddr != nil {
		peer = h.SourceAddr
	}
	return &proxiedConn{c, r, peer}, nil
}
