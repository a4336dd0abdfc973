package broker

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mochi-mqtt/server/v2/listeners"
)

// listener is one of EMQX's client listeners; it satisfies the server's interface.
type listener struct {
	app   *app
	cfg   listenerConfig
	idle  time.Duration // a connection has this long to send CONNECT
	log   *logger
	tls   *tlsFiles
	ln    net.Listener
	web   *http.Server
	ready chan net.Conn // connections past PROXY and TLS, for the web server
	open  atomic.Int64
	conns connSet        // all of them, CONNECT sent or not
	busy  sync.WaitGroup // calls into the server
	end   chan struct{}
	once  sync.Once
}

func newListener(c listenerConfig, idle time.Duration, log *logger) (*listener, error) {
	l := &listener{cfg: c, idle: idle, log: log, end: make(chan struct{}), ready: make(chan net.Conn)}
	if !c.tls {
		return l, nil
	}
	var err error
	l.tls, err = newTLSFiles(c, log)
	return l, err
}

func (l *listener) ID() string       { return l.cfg.id() }
func (l *listener) Address() string  { return l.ln.Addr().String() }
func (l *listener) Protocol() string { return l.cfg.typ }

// Init opens the address.
func (l *listener) Init(*slog.Logger) error {
	var err error
	l.ln, err = listenTCP(l.cfg.bind)
	return err
}

// Serve accepts until Close.
func (l *listener) Serve(establish listeners.EstablishFn) {
	if l.cfg.typ == "ws" || l.cfg.typ == "wss" {
		l.web = l.webServer(establish)
		go func() {
			if err := l.web.Serve(webAccept{l}); err != nil && !errors.Is(err, http.ErrServerClosed) {
				l.log.Debug("web server ended", "reason", err.Error())
			}
		}()
	}
	pace := newPacer(l.cfg.maxRate)
	for {
		c, err := l.ln.Accept()
		if err != nil {
			select {
			case <-l.end:
				return
			case <-time.After(50 * time.Millisecond): // out of files, most likely
				if errors.Is(err, net.ErrClosed) {
					return
				}
				l.log.Error("accepting a connection failed", "listener", l.ID(), "reason", err.Error())
				continue
			}
		}
		pace.wait(l.end)
		if l.cfg.maxConns > 0 && l.open.Load() >= int64(l.cfg.maxConns) {
			l.log.Warn("max_connections reached", "listener", l.ID())
			_ = c.Close()
			continue
		}
		l.open.Add(1)
		go l.handle(&countedConn{Conn: c, open: &l.open}, establish)
	}
}

// countedConn gives its place among the listener's connections back once.
type countedConn struct {
	net.Conn
	open *atomic.Int64
	once sync.Once
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.open.Add(-1) })
	return c.Conn.Close()
}

func (l *listener) handle(raw net.Conn, establish listeners.EstablishFn) {
	if !l.conns.add(raw) {
		_ = raw.Close()
		return
	}
	defer l.conns.remove(raw)
	if !l.cfg.admits(raw.RemoteAddr()) {
		_ = raw.Close()
		return
	}
	c, err := l.prepare(raw)
	if err != nil {
		l.log.Error("connection refused", "listener", l.ID(), "peername", raw.RemoteAddr().String(), "reason", err.Error())
		_ = raw.Close()
		return
	}
	if l.web != nil {
		w := &webConn{Conn: c, done: make(chan struct{})}
		select {
		case l.ready <- w:
			<-w.done
		case <-l.end:
			_ = c.Close()
		}
		return
	}
	l.establish(c, establish)
}

// prepare reads the PROXY header and does the TLS handshake.
func (l *listener) prepare(c net.Conn) (net.Conn, error) {
	if l.cfg.proxy {
		var err error
		if l.cfg.typ == "ws" || l.cfg.typ == "wss" {
			c, err = acceptWebProxy(c)
		} else {
			c, err = acceptProxy(c, l.cfg.proxyTimeout)
		}
		if err != nil {
			return nil, err
		}
	}
	if l.tls == nil {
		return c, nil
	}
	t := tls.Server(c, l.tls.config())
	ctx, cancel := context.WithTimeout(context.Background(), l.cfg.handshake)
	defer cancel()
	return t, t.HandshakeContext(ctx)
}

func (l *listener) establish(c net.Conn, establish listeners.EstablishFn) {
	if l.idle > 0 {
		_ = c.SetDeadline(time.Now().Add(l.idle)) // the server sets its own after CONNECT
	}
	defer func() { _ = c.Close() }()
	if !l.enter() {
		return
	}
	defer l.busy.Done()
	k := newLink(c)
	k.authn = l.cfg.authn
	defer k.finish(l.app)
	if err := establish(l.ID(), k); err != nil {
		l.log.Debug("connection ended", "listener", l.ID(), "peername", c.RemoteAddr().String(), "reason", err.Error())
	}
}

// enter counts a call into the server, unless the listener closes.
func (l *listener) enter() bool {
	l.conns.mu.Lock()
	defer l.conns.mu.Unlock()
	if l.conns.closed {
		return false
	}
	l.busy.Add(1)
	return true
}

// Close stops accepting, says goodbye to the clients, cuts who has not even sent
// CONNECT, and waits until nobody is inside the server.
func (l *listener) Close(closeClients listeners.CloseFn) {
	l.once.Do(func() { close(l.end) })
	if l.ln != nil {
		_ = l.ln.Close()
	}
	closeClients(l.ID())
	if l.web != nil {
		_ = l.web.Close()
	}
	l.conns.closeAll()
	l.busy.Wait()
}

// pacer lets at most rate connections a second through.
type pacer struct {
	every time.Duration
	next  time.Time
}

func newPacer(rate float64) *pacer {
	if rate <= 0 {
		return &pacer{}
	}
	return &pacer{every: time.Duration(float64(time.Second) / rate)}
}

func (p *pacer) wait(end <-chan struct{}) {
	if p.every == 0 {
		return
	}
	now := time.Now()
	if floor := now.Add(-time.Second); p.next.Before(floor) {
		p.next = floor // unused room is kept for a second
	}
	if d := p.next.Sub(now); d > 0 {
		select {
		case <-end:
		case <-time.After(d):
		}
	}
	p.next = p.next.Add(p.every)
}

// tlsFiles keeps a listener's certificate. A file with new content is taken up
// within two minutes, as by Erlang's PEM cache, or at once by pem_cache clean all.
type tlsFiles struct {
	cfg  listenerConfig
	log  *logger
	mu   sync.Mutex
	read time.Time
	conf *tls.Config
	leaf *x509.Certificate
}

const pemCacheLife = 2 * time.Minute

func newTLSFiles(c listenerConfig, log *logger) (*tlsFiles, error) {
	f := &tlsFiles{cfg: c, log: log}
	return f, f.load()
}

func (f *tlsFiles) load() error {
	var cert tls.Certificate
	var err error
	if f.cfg.certFile == "" {
		f.log.print("WARNING: listener " + f.cfg.id() + " uses a test certificate; set SSL_OPTIONS__CERTFILE and __KEYFILE.")
		cert, err = testCertificate()
	} else {
		cert, err = tls.LoadX509KeyPair(f.cfg.certFile, f.cfg.keyFile)
	}
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	conf := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: max(f.cfg.minTLS, tls.VersionTLS12), MaxVersion: f.cfg.maxTLS}
	if f.cfg.caFile != "" {
		pem, err := os.ReadFile(f.cfg.caFile)
		if err != nil {
			return fmt.Errorf("reading cacertfile: %w", err)
		}
		conf.ClientCAs = x509.NewCertPool()
		if !conf.ClientCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("reading cacertfile %s: no certificate in it", f.cfg.caFile)
		}
	}
	switch {
	case f.cfg.verifyPeer && f.cfg.requireCert:
		conf.ClientAuth = tls.RequireAndVerifyClientCert
	case f.cfg.verifyPeer:
		conf.ClientAuth = tls.VerifyClientCertIfGiven
	}
	leaf, err := x509.ParseCertificate(cert.Certificate[0])
	if err != nil {
		return err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.conf, f.leaf, f.read = conf, leaf, time.Now()
	return nil
}

func (f *tlsFiles) config() *tls.Config {
	f.mu.Lock()
	stale := f.cfg.certFile != "" && time.Since(f.read) > pemCacheLife
	f.mu.Unlock()
	if stale {
		if err := f.load(); err != nil {
			f.log.Error("reloading a certificate failed; the old one stays", "listener", f.cfg.id(), "reason", err.Error())
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.conf
}

// expiry is when the certificate ends; the file is read anew, so that the metric
// tells of what is on disk.
func (f *tlsFiles) expiry() time.Time {
	f.config()
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.leaf.NotAfter
}
