package haproxy

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
)

// announced says something behind a header of PROXY protocol v2, which names a client, and hears the broker's name.
func (l *proxyLab) announced(port int, from, client, text string) (served bool) {
	l.t.Helper()
	c, err := (&net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}).Dial("tcp", l.addr(port))
	assert.NilError(l.t, err)
	l.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(5 * time.Second))
	header := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.ParseIP(client), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: port})
	_, err = header.WriteTo(c)
	assert.NilError(l.t, err)
	_, _ = io.WriteString(c, text)
	_, err = io.ReadFull(c, make([]byte, len("broker 0\n")))
	return err == nil
}

// hears is the client's address as a broker was told it.
func (l *proxyLab) hears() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.heard == nil {
		return ""
	}
	host, _, _ := net.SplitHostPort(l.heard.SourceAddr.String())
	return host
}

// Behind an edge that takes connections itself a header says who the client is, to the broker and to the limits of
// sources. The edge alone is believed, and where TLS has been ended the listeners of TLS take what is in clear.
func TestHAProxyBelievesTheEdge(t *testing.T) {
	t.Parallel()
	l := prepareProxyLab(t, 1, nil)
	l.job.TLSAtEdge, l.job.ProxyProtocolFrom, l.job.MaxConnPerSource = true, "127.9.0.0/24", 3
	l.job.Listeners = []Listener{{Name: "mqtt"}, {Name: "mqtts"}, {Name: "ws", Inside: true}, {Name: "wss"}}
	l.write(l.config())
	l.start()
	for _, port := range []int{1883, 8883, 8084} {
		assert.Assert(t, l.announced(port, "127.9.0.7", "203.0.113.9", helloAt(port)), "port %d", port)
		assert.Equal(t, l.hears(), "203.0.113.9")
	}
	// The fourth of one client is one too many; another's is not, though both come from the edge.
	assert.Assert(t, !l.announced(1883, "127.9.0.7", "203.0.113.9", connect))
	assert.Assert(t, l.announced(1883, "127.9.0.7", "203.0.113.10", connect))

	// Whoever is not the edge cannot say who he is, and is served as who he is.
	served, _ := l.say(1883, "127.0.0.1", connect)
	assert.Assert(t, served)
	assert.Equal(t, l.hears(), "127.0.0.1")
	assert.Assert(t, !l.announced(1883, "127.0.0.2", "203.0.113.11", connect), "anybody may say who he is")
	// To a listener that the edge does not have, nobody says so; and what is TLS is no MQTT.
	served, _ = l.say(8083, "127.9.0.8", helloAt(8083))
	assert.Assert(t, served)
	assert.Equal(t, l.hears(), "127.9.0.8")
	_, err := l.tlsClient(8883, &tls.Config{InsecureSkipVerify: true})
	assert.Assert(t, err != nil)
	assert.Equal(t, l.health(), http.StatusOK, "the page is asked without a header")
}

// TLS that passes through, and TLS that ends here, come behind the header, too.
func TestHAProxyEndsTLSBehindTheEdge(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	l := newTLSLab(t, 1, a, "ecdsa", func(v *Vars) { v.ProxyProtocolFrom = "127.0.0.0/8" })
	l.start()
	for _, port := range []int{8883, 8084} {
		raw, err := net.DialTimeout("tcp", l.addr(port), 5*time.Second)
		assert.NilError(t, err)
		t.Cleanup(func() { _ = raw.Close() })
		_ = raw.SetDeadline(time.Now().Add(8 * time.Second))
		header := proxyproto.HeaderProxyFromAddrs(2, &net.TCPAddr{IP: net.ParseIP("203.0.113.77"), Port: 40000}, &net.TCPAddr{IP: net.ParseIP("198.51.100.1"), Port: port})
		_, err = header.WriteTo(raw)
		assert.NilError(t, err)
		conn := tls.Client(raw, &tls.Config{ServerName: serverName, RootCAs: a.pool()})
		_, err = io.WriteString(conn, helloAt(port))
		assert.NilError(t, err)
		_, err = io.ReadFull(conn, make([]byte, len("broker 0\n")))
		assert.NilError(t, err)
		assert.Equal(t, l.hears(), "203.0.113.77")
	}
}

func TestWhatTheEdgeIsHasToFit(t *testing.T) {
	v := testVars()
	v.TLSAtEdge, v.TLSAtProxy, v.ProxyProtocolFrom = true, true, "10.0.0.1"
	_, err := v.HCL2()
	assert.ErrorContains(t, err, "tlsAtEdge: must be false where HAProxy ends TLS")
	assert.ErrorContains(t, err, `proxyProtocolFrom: must be a range such as 10.0.0.0/24, got "10.0.0.1"`)
}
