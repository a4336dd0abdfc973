//go:build lab

package machine

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// TestProxiedBalancersOnTheGateway has the network of a lab, and a balancer in front of a server that says who its client is.
func TestProxiedBalancersOnTheGateway(t *testing.T) {
	m := newTestMachine(t, &handler{userData: map[string]string{}})
	assert.NilError(t, m.Down(t.Context()))
	assert.NilError(t, m.takeLock())
	t.Cleanup(func() { assert.NilError(t, m.Down(context.Background())) })
	assert.NilError(t, m.buildNetwork(t.Context()))

	end := netip.AddrPortFrom(serverAddress, 7010)
	l, err := listenIn(t.Context(), m.ns(nsServers), end.String())
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				h, err := proxyproto.Read(r)
				if err != nil {
					return
				}
				fmt.Fprintf(c, "%s by %s\n", h.SourceAddr.(*net.TCPAddr).IP, c.RemoteAddr().(*net.TCPAddr).IP)
				_, _ = io.Copy(c, r)
			}()
		}
	}()
	first, second := pairOf(t, 1), pairOf(t, 2)
	balancer := func(certificate string, up bool) []cloud.Balancer {
		b := proxiedListener(t, privateAddr, 8883, &cloud.ListenerTLS{Certificate: certificate, Protocols: []string{"TLSv1.2", "TLSv1.3"}, Tickets: true}, cloud.End{Address: end, Up: up})
		b.Public = publicAddr
		b.Ingress = []cloud.Rule{{Protocol: "tcp", CIDRs: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/26")}, PortMin: 8883, PortMax: 8883}}
		return []cloud.Balancer{b}
	}
	// dial gives a client's connection, what it is told, and the number of the certificate that it is shown.
	dial := func(from netip.Addr, to netip.Addr) (conn *tls.Conn, line string, serial int64, err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		raw, err := dialIn(ctx, m.ns(nsInternet), &net.TCPAddr{IP: from.AsSlice()}, "tcp4", netip.AddrPortFrom(to, 8883).String())
		if err != nil {
			return nil, "", 0, err
		}
		t.Cleanup(func() { _ = raw.Close() })
		_ = raw.SetDeadline(time.Now().Add(10 * time.Second))
		conn = tls.Client(raw, &tls.Config{InsecureSkipVerify: true})
		if err := conn.Handshake(); err != nil {
			return nil, "", 0, err
		}
		line, err = bufio.NewReader(io.LimitReader(conn, 64)).ReadString('\n')
		return conn, strings.TrimSpace(line), conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), err
	}
	echoes := func(c *tls.Conn) {
		t.Helper()
		_, err := io.WriteString(c, "still there")
		assert.NilError(t, err)
		buf := make([]byte, len("still there"))
		_, err = io.ReadFull(c, buf)
		assert.NilError(t, err)
	}
	inside, outside := netip.MustParseAddr("203.0.113.12"), netip.MustParseAddr("203.0.113.90")

	assert.NilError(t, m.SetBalancers(t.Context(), balancer(first, true)))
	stays, line, serial, err := dial(inside, publicAddr)
	assert.NilError(t, err)
	assert.Equal(t, line, "203.0.113.12 by "+privateAddr.String())
	assert.Equal(t, serial, int64(1))
	for _, x := range []struct{ from, to netip.Addr }{{outside, publicAddr}, {inside, privateAddr}} {
		_, _, _, err := dial(x.from, x.to)
		assert.Assert(t, err != nil, "%s reaches %s", x.from, x.to)
	}
	// Another certificate is for new connections; those that are there stay.
	assert.NilError(t, m.SetBalancers(t.Context(), balancer(second, true)))
	_, _, serial, err = dial(inside, publicAddr)
	assert.NilError(t, err)
	assert.Equal(t, serial, int64(2))
	echoes(stays)
	// A backend that is not well gets no new ones, and the configuration is not loaded anew for it.
	before := m.proxiedID(t.Context())
	assert.NilError(t, m.SetBalancers(t.Context(), balancer(second, false)))
	_, _, _, err = dial(inside, publicAddr)
	assert.Assert(t, err != nil, "the backend is down")
	echoes(stays)
	assert.NilError(t, m.SetBalancers(t.Context(), balancer(second, true)))
	assert.Equal(t, m.proxiedID(t.Context()), before)
	_, _, _, err = dial(inside, publicAddr)
	assert.NilError(t, err)
	// Without a balancer nobody listens any more.
	assert.NilError(t, m.SetBalancers(t.Context(), nil))
	_, running := m.proxiedProcess()
	assert.Assert(t, !running)
}
