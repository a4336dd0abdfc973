package machine

import (
	"bufio"
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// proxiedListener is one of a balancer at an address of this machine's own.
func proxiedListener(t *testing.T, at netip.Addr, port int, secure *cloud.ListenerTLS, ends ...cloud.End) cloud.Balancer {
	t.Helper()
	return cloud.Balancer{ID: "b", Private: at, Listeners: []cloud.Listener{{
		Name: "mqtts", Port: port, IdleTimeout: 900 * time.Second,
		Proxied: &cloud.Proxied{Policy: "LEAST_CONNECTIONS", ProxyProtocol: 2, TLS: secure, Ends: ends},
	}}}
}

// pairOf is a certificate of that number, with its key.
func pairOf(t *testing.T, serial int64) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	assert.NilError(t, err)
	raw, err := x509.MarshalPKCS8PrivateKey(key)
	assert.NilError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})) + string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: raw}))
}

// The real HAProxy ends the TLS of a balancer's clients by its suite, and tells a backend in a header who they are.
func TestProxiedBalancers(t *testing.T) {
	certificate := pairOf(t, 7)
	heard := make(chan string, 10)
	backend, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = backend.Close() })
	go func() {
		for {
			c, err := backend.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				h, err := proxyproto.Read(bufio.NewReader(c))
				if err == nil {
					heard <- h.SourceAddr.String() + " by " + c.RemoteAddr().String()
				}
				_, _ = fmt.Fprintln(c, "hello")
			}()
		}
	}()

	dir := t.TempDir()
	at := netip.AddrFrom4([4]byte{127, 78, byte(os.Getpid() >> 8), byte(1 + os.Getpid()%254)})
	c := renderProxied(dir, []cloud.Balancer{proxiedListener(t, at, 8883, &cloud.ListenerTLS{
		Certificate: certificate, Protocols: []string{"TLSv1.3", "TLSv1.2"}, Ciphers: []string{"TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"}, Tickets: true,
	}, cloud.End{Address: netip.MustParseAddrPort(backend.Addr().String()), Up: true})})
	assert.Assert(t, !c.empty() && renderProxied(dir, nil).empty())
	assert.DeepEqual(t, c.states, map[string]bool{"b0-mqtts/n0": true})
	for path, text := range c.files {
		assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	config := filepath.Join(dir, "haproxy.cfg")
	assert.NilError(t, os.WriteFile(config, []byte(c.text), 0o600))
	program, err := exec.LookPath("haproxy")
	if err != nil {
		program = "/usr/sbin/haproxy"
	}
	cmd := exec.Command(program, "-W", "-db", "-f", config)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Signal(syscall.SIGTERM); _ = cmd.Wait() })

	hello := func(change func(*tls.Config)) error {
		settings := &tls.Config{InsecureSkipVerify: true}
		change(settings)
		dialer := &net.Dialer{Timeout: 2 * time.Second, LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
		conn, err := tls.DialWithDialer(dialer, "tcp", netip.AddrPortFrom(at, 8883).String(), settings)
		if err != nil {
			return err
		}
		defer func() { _ = conn.Close() }()
		_, err = bufio.NewReader(conn).ReadString('\n')
		return err
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		if err = hello(func(*tls.Config) {}); err == nil || time.Now().After(end) {
			break
		}
	}
	assert.NilError(t, err, "%s", &said)
	line := <-heard
	assert.Assert(t, strings.HasPrefix(line, "127.0.0.9:") && strings.Contains(line, " by "+at.String()+":"), line)
	assert.NilError(t, hello(func(c *tls.Config) { c.MaxVersion = tls.VersionTLS12 }))
	assert.ErrorContains(t, hello(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "protocol version")
	assert.ErrorContains(t, hello(func(c *tls.Config) {
		c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256}
	}), "handshake failure")
}

// A state of a server is no other configuration, and a certificate is.
func TestWhatLoadsProxiedBalancersAnew(t *testing.T) {
	at, end := netip.MustParseAddr("10.80.0.5"), netip.MustParseAddrPort("10.80.1.10:8883")
	of := func(certificate string, up bool) string {
		return renderProxied("/x", []cloud.Balancer{proxiedListener(t, at, 8883, &cloud.ListenerTLS{Certificate: certificate, Protocols: []string{"TLSv1", "TLSv1.2"}}, cloud.End{Address: end, Up: up})}).id()
	}
	assert.Equal(t, of("a", true), of("a", false))
	assert.Assert(t, of("a", true) != of("b", true))
	assert.Assert(t, strings.Contains(renderProxied("/x", []cloud.Balancer{proxiedListener(t, at, 1, &cloud.ListenerTLS{Protocols: []string{"TLSv1.1", "TLSv1"}})}).text, "ssl-min-ver TLSv1.0 ssl-max-ver TLSv1.1"))
}

// Clients of the internet come to the public address as its groups let them, and nobody to the private one.
func TestRulesOfProxiedBalancers(t *testing.T) {
	b := proxiedListener(t, netip.MustParseAddr("10.80.0.5"), 8883, nil)
	b.Public = netip.MustParseAddr("198.51.100.7")
	b.Ingress = []cloud.Rule{{Protocol: "tcp", CIDRs: prefixes("203.0.113.0/26"), PortMin: 8883, PortMax: 8883}}
	got := balancerRules([]cloud.Balancer{b})
	for _, want := range []string{
		"ip daddr 198.51.100.7 tcp dport 8883 ip saddr { 203.0.113.0/26 } dnat to 10.80.0.5:8883\n",
		"ip daddr 10.80.0.5 tcp dport 8883 ct status dnat accept\n    ip daddr 10.80.0.5 tcp dport 8883 ct state new drop\n",
	} {
		assert.Assert(t, strings.Contains(got, want), got)
	}
	b.Public = netip.Addr{}
	got = balancerRules([]cloud.Balancer{b})
	assert.Assert(t, strings.Contains(got, "ip daddr 10.80.0.5 tcp dport 8883 ip saddr { 203.0.113.0/26 } accept\n    ip daddr 10.80.0.5 tcp dport 8883 ct state new drop\n"), got)
	assert.Assert(t, !strings.Contains(timeoutRules([]cloud.Balancer{b}), "8883"), "HAProxy has a time-out of its own")
}
