package broker

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
	"github.com/mochi-mqtt/server/v2/listeners"
)

// webAccept hands the web server only connections that are past PROXY and TLS.
type webAccept struct{ l *listener }

func (w webAccept) Accept() (net.Conn, error) {
	select {
	case c := <-w.l.ready:
		return c, nil
	case <-w.l.end:
		return nil, http.ErrServerClosed
	}
}
func (w webAccept) Close() error   { return nil }
func (w webAccept) Addr() net.Addr { return w.l.ln.Addr() }

// webConn tells when the web server, or the client it became, is done with it.
type webConn struct {
	net.Conn
	done chan struct{}
	once sync.Once
}

func (c *webConn) Close() error {
	c.once.Do(func() { close(c.done) })
	return c.Conn.Close()
}

func (l *listener) webServer(establish listeners.EstablishFn) *http.Server {
	up := websocket.Upgrader{Subprotocols: l.cfg.wsProtos, CheckOrigin: func(*http.Request) bool { return true }}
	mux := http.NewServeMux()
	mux.HandleFunc(l.cfg.wsPath, func(w http.ResponseWriter, r *http.Request) {
		if l.cfg.wsNeedProto && !offersOneOf(r, l.cfg.wsProtos) {
			http.Error(w, "no_supported_subprotocol", http.StatusBadRequest)
			return
		}
		c, err := up.Upgrade(w, r, nil)
		if err != nil {
			return // Upgrade has answered
		}
		if l.cfg.wsMaxFrame > 0 {
			c.SetReadLimit(int64(l.cfg.wsMaxFrame))
		}
		l.establish(&wsConn{Conn: c.UnderlyingConn(), ws: c, peer: l.wsPeer(r, c.RemoteAddr())}, establish)
	})
	return &http.Server{
		Handler: mux, ReadHeaderTimeout: 15 * time.Second, IdleTimeout: 15 * time.Second,
		ConnContext: func(ctx context.Context, c net.Conn) context.Context {
			w, ok := c.(*webConn)
			return context.WithValue(ctx, toldKey{}, ok && toldPeer(w.Conn))
		},
	}
}

// toldKey tells in a request's context that its connection had an address in its PROXY
// header.
type toldKey struct{}

func toldPeer(c net.Conn) bool {
	if t, ok := c.(*tls.Conn); ok {
		c = t.NetConn()
	}
	p, ok := c.(*proxiedConn)
	return ok && p.told
}

func offersOneOf(r *http.Request, protos []string) bool {
	for _, p := range websocket.Subprotocols(r) {
		for _, want := range protos {
			if p == want {
				return true
			}
		}
	}
	return false
}

// wsPeer is the PROXY header's address. Only a connection without one is whom its
// request says, as EMQX 5.8 has it by default (emqx_ws_connection, get_peer_info).
func (l *listener) wsPeer(r *http.Request, remote net.Addr) net.Addr {
	if told, _ := r.Context().Value(toldKey{}).(bool); told || l.cfg.wsAddrHeader == "" {
		return remote
	}
	first, _, _ := strings.Cut(r.Header.Get(l.cfg.wsAddrHeader), ",")
	ip, err := netip.ParseAddr(strings.TrimSpace(first))
	if err != nil {
		return remote
	}
	port := uint64(0)
	if _, p, err := net.SplitHostPort(remote.String()); err == nil {
		port, _ = strconv.ParseUint(p, 10, 16)
	}
	if p, err := strconv.ParseUint(r.Header.Get(l.cfg.wsPortHeader), 10, 16); err == nil {
		port = p
	}
	return net.TCPAddrFromAddrPort(netip.AddrPortFrom(ip, uint16(port)))
}

// wsConn is the byte stream inside binary frames.
type wsConn struct {
	net.Conn
	ws   *websocket.Conn
	r    io.Reader
	peer net.Addr
	mu   sync.Mutex // a frame at a time
}

func (c *wsConn) RemoteAddr() net.Addr { return c.peer }

func (c *wsConn) Read(p []byte) (int, error) {
	for {
		if c.r == nil {
			kind, r, err := c.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("frame_error: a text frame")
			}
			c.r = r
		}
		n, err := c.r.Read(p)
		if errors.Is(err, io.EOF) {
			c.r, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (c *wsConn) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := c.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// testCertificate stands for the public test certificates in EMQX's image.
func testCertificate() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	t := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "stand-in test certificate"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().AddDate(1, 0, 0), DNSNames: []string{"localhost"},
	}
	der, err := x509.CreateCertificate(rand.Reader, t, t, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}
