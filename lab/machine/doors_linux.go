package machine

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/netip"
	"sync"

	"github.com/things-go/go-socks5"
	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/peer"
)

// SOCKSPort is the door into the internet namespace for any program.
const SOCKSPort = 1080

// Ports of the servers' APIs, with pages for browsers.
const (
	nomadPort  = 4646
	consulPort = 8500
)

// dialer makes a connection inside the lab.
type dialer func(context.Context) (net.Conn, error)

// openDoors makes the host's way in, on its loopback: the only sockets of the lab
// there. A port of MQTT leads where the public name leads, seen from the internet.
// All are for root alone: whoever may tell Nomad to run something is root here.
func (m *Machine) openDoors(ctx context.Context) error {
	fixed := func(short, address string) dialer {
		return func(ctx context.Context) (net.Conn, error) {
			return dialIn(ctx, m.ns(short), nil, "tcp4", address)
		}
	}
	targets := map[uint16]dialer{
		nomadPort:  fixed(nsServers, nomadHTTP),
		consulPort: fixed(nsServers, m.cfg.Servers.consulAPI()),
		SOCKSPort:  nil,
	}
	for _, port := range MQTTPorts {
		targets[port] = m.public(port)
	}
	var opened []net.Listener
	var faults []error
	listeners := map[uint16]net.Listener{}
	for port := range targets {
		l, err := m.listen(ctx, port)
		if err != nil {
			faults = append(faults, err)
			continue
		}
		opened = append(opened, l)
		listeners[port] = l
	}
	if len(faults) > 0 {
		for _, l := range opened {
			l.Close()
		}
		return errors.Join(faults...)
	}
	for port, l := range listeners {
		m.open(port, l, targets[port]) //nolint:contextcheck // it serves until the machine is closed
	}
	return nil
}

// openMQTT opens a door for every port that a balancer listens on and that has
// none yet: a stack may choose others than the usual ones. The balancer does not
// depend on it.
func (m *Machine) openMQTT(ctx context.Context, balancers []cloud.Balancer) {
	for _, b := range balancers {
		for _, l := range b.Listeners {
			port := uint16(l.Port)
			if m.hasDoor(port) {
				continue
			}
			door, err := m.listen(ctx, port)
			if err != nil {
				m.cfg.Log("%v", err)
				continue
			}
			m.open(port, door, m.public(port)) //nolint:contextcheck // it serves until the machine is closed
		}
	}
}

func (m *Machine) hasDoor(port uint16) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.doors[port]
}

func (m *Machine) listen(ctx context.Context, port uint16) (net.Listener, error) {
	at := netip.AddrPortFrom(m.cfg.Door, port)
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp4", at.String())
	switch {
	case errors.Is(err, unix.EADDRINUSE):
		return nil, fmt.Errorf("opening the lab's door %s: another program listens there; stop it or choose another door address", at)
	case err != nil:
		return nil, fmt.Errorf("opening the lab's door %s: %w", at, err)
	}
	answer := ""
	if port == nomadPort || port == consulPort {
		answer = peer.Unauthorized
	}
	return peer.Own(l, answer, m.cfg.Log), nil
}

// open serves a door until the machine is closed.
func (m *Machine) open(port uint16, l net.Listener, to dialer) {
	m.mu.Lock()
	m.doors[port] = true
	m.mu.Unlock()
	m.onClose(func() { l.Close() })
	switch port {
	case SOCKSPort:
		go m.serveSOCKS(l)
	case nomadPort, consulPort:
		go m.serveDoor(l, to, m.meet)
	default:
		go m.serveDoor(l, to, func(in, out net.Conn) (net.Conn, net.Conn, error) { return in, out, nil })
	}
}

func (m *Machine) public(port uint16) dialer {
	return func(ctx context.Context) (net.Conn, error) { return m.dialPublic(ctx, port) }
}

// tlsRecord is the first byte of TLS, a handshake, which no HTTP begins with.
const tlsRecord = 0x16

// meet lets a caller of the servers' APIs speak TLS or not, whatever they speak: the door is on
// this machine's loopback and for root alone, so a browser and a tool without certificates do,
// and the stack may ask as a production's does.
func (m *Machine) meet(in, out net.Conn) (net.Conn, net.Conn, error) {
	server, err := m.cfg.Servers.server()
	if server == nil || err != nil {
		return in, out, err
	}
	caller := &peeked{Conn: in, r: bufio.NewReader(in)}
	first, err := caller.r.Peek(1)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("hearing a caller: %w", err)
	case first[0] == tlsRecord && !m.cfg.Servers.Secured:
		return tls.Server(caller, server), out, nil
	case first[0] != tlsRecord && m.cfg.Servers.Secured:
		return caller, tls.Client(out, m.cfg.Servers.client()), nil
	}
	return caller, out, nil
}

// peeked is a connection of which a reader holds the beginning.
type peeked struct {
	net.Conn
	r *bufio.Reader
}

func (p *peeked) Read(b []byte) (int, error) { return p.r.Read(b) }

// CloseWrite ends this side of what has two.
func (p *peeked) CloseWrite() error {
	if c, ok := p.Conn.(interface{ CloseWrite() error }); ok {
		return c.CloseWrite()
	}
	return nil
}

func (m *Machine) serveDoor(l net.Listener, dial dialer, meet func(in, out net.Conn) (net.Conn, net.Conn, error)) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer in.Close()
			out, err := dial(context.Background())
			if err != nil {
				m.cfg.Log("door %s: %v", l.Addr(), err)
				return
			}
			defer out.Close()
			caller, answers, err := meet(in, out)
			if err != nil {
				return // who opens a connection and says nothing
			}
			splice(caller, answers)
		}()
	}
}

// splice copies both ways and passes on each side's end.
func splice(a, b net.Conn) {
	var wg sync.WaitGroup
	for _, p := range [][2]net.Conn{{a, b}, {b, a}} {
		wg.Go(func() {
			// An error ends this direction, which is what closing says.
			_, _ = io.Copy(p[0], p[1])
			if c, ok := p[0].(interface{ CloseWrite() error }); ok {
				_ = c.CloseWrite()
			}
		})
	}
	wg.Wait()
}

// dialPublic connects from the internet to the stack's public name.
func (m *Machine) dialPublic(ctx context.Context, port uint16) (net.Conn, error) {
	name := m.cfg.PublicName
	if name == "" {
		name = m.zone.firstA()
	}
	if name == "" {
		return nil, errors.New("the lab's zone has no address record yet: run `up` first")
	}
	addrs, err := m.resolver().LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return nil, fmt.Errorf("resolving %s in the lab: %w", name, err)
	}
	return dialIn(ctx, m.ns(nsInternet), nil, "tcp4", netip.AddrPortFrom(addrs[0].Unmap(), port).String())
}

// serveSOCKS lets a program of the host be on the lab's internet: names are
// resolved and connections made there.
func (m *Machine) serveSOCKS(l net.Listener) {
	s := socks5.NewServer(
		socks5.WithDial(func(ctx context.Context, network, address string) (net.Conn, error) {
			return dialIn(ctx, m.ns(nsInternet), nil, network, address)
		}),
		socks5.WithResolver(socksResolver{m}),
		socks5.WithRule(&socks5.PermitCommand{EnableConnect: true}),
		socks5.WithLogger(socks5.NewLogger(log.New(io.Discard, "", 0))),
	)
	if err := s.Serve(l); err != nil && !errors.Is(err, net.ErrClosed) {
		m.cfg.Log("door %s: %v", l.Addr(), err)
	}
}

type socksResolver struct{ m *Machine }

func (r socksResolver) Resolve(ctx context.Context, name string) (context.Context, net.IP, error) {
	addrs, err := r.m.resolver().LookupNetIP(ctx, "ip4", name)
	if err != nil {
		return ctx, nil, err
	}
	return ctx, net.IP(addrs[0].Unmap().AsSlice()), nil
}
