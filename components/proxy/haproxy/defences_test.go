package haproxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
)

// say connects to a port from an address, says something and hears the broker's name, or
// how long it took until the connection was ended.
func (l *proxyLab) say(port int, from, text string) (served bool, after time.Duration) {
	l.t.Helper()
	began := time.Now()
	dialer := net.Dialer{Timeout: 5 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := dialer.Dial("tcp", l.addr(port))
	if err != nil {
		return false, time.Since(began)
	}
	l.t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(began.Add(20 * time.Second))
	_, _ = io.WriteString(c, text)
	_, err = io.ReadFull(c, make([]byte, len("broker 0\n")))
	return err == nil, time.Since(began)
}

// What is no MQTT at the port of MQTT is ended at the proxy, at once; every CONNECT that EMQX
// takes gets to a broker, in one piece or in many.
func TestHAProxyEndsWhatIsNoMQTT(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	l := newTLSLab(t, 1, a, "ecdsa", func(v *Vars) { v.ConnectTimeout = 3 * time.Second })
	l.start()
	header := "\x00\x04MQTT\x05\x02\x00\x3c"
	packet := func(body string) string {
		n := len(body)
		length := ""
		for {
			b := byte(n & 127)
			if n >>= 7; n > 0 {
				length += string([]byte{b | 128})
				continue
			}
			return "\x10" + length + string([]byte{b}) + body
		}
	}
	for name, text := range map[string]string{
		"3.1.1":                     connect,
		"3.1":                       packet("\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x04test"),
		"5":                         packet(header + "\x00\x00\x04test"),
		"5 with properties":         packet(header + "\x0f\x11\x00\x00\x00\x3c\x26\x00\x02ab\x00\x03cde\x00\x04test"),
		"no client identifier":      packet("\x00\x04MQTT\x04\x02\x00\x00\x00\x00"),
		"user, password and a will": packet("\x00\x04MQTT\x04\xc6\x00\x3c\x00\x04test\x00\x01t\x00\x02hi\x00\x04user\x00\x02pw"),
		"a bridge":                  packet("\x00\x04MQTT\x84\x02\x00\x3c\x00\x04test"),
		"a bridge of 3.1":           packet("\x00\x06MQIsdp\x83\x02\x00\x3c\x00\x04test"),
		"with what follows":         connect + "\xc0\x00",
		"longer than a buffer":      packet("\x00\x04MQTT\x04\x42\x00\x3c\x00\x04test\xc3\x50" + strings.Repeat("p", 50000)),
		"nearly so":                 packet("\x00\x04MQTT\x04\x42\x00\x3c\x00\x04test\x1b\x58" + strings.Repeat("p", 7000)),
	} {
		served, after := l.say(1883, "127.0.0.1", text)
		assert.Check(t, served && after < 2*time.Second, "%s: %t after %s", name, served, after)
	}
	for name, text := range map[string]string{
		"HTTP": "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "TLS": "\x16\x03\x01\x00\xa0\x01", "SSH": "SSH-2.0-x\r\n",
		"PUBLISH":          "\x30\x05\x00\x01tab",
		"another protocol": packet("\x00\x04AMQP\x04\x02\x00\x3c\x00\x04test"),
		"another version":  packet("\x00\x04MQTT\x09\x02\x00\x3c\x00\x04test"),
		"a reserved flag":  packet("\x00\x04MQTT\x04\x03\x00\x3c\x00\x04test"),
		"a PROXY header":   "PROXY TCP4 10.0.0.1 10.0.0.2 1 1883\r\n" + connect,
	} {
		served, after := l.say(1883, "127.0.0.1", text)
		assert.Check(t, !served && after < time.Second, "%s: %t after %s", name, served, after)
	}
	served, after := l.say(8083, "127.0.0.1", connect)
	assert.Check(t, !served && after < time.Second, "MQTT at the port of WebSockets: %t after %s", served, after)

	// By TLS, too: both say what they are, and the wrong one is ended.
	for port, wrong := range map[int]int{8883: 8084, 8084: 8883} {
		_, err := l.tlsClientSaying(port, helloAt(port), a.pool())
		assert.NilError(t, err)
		_, err = l.tlsClientSaying(port, helloAt(wrong), a.pool())
		assert.Assert(t, err != nil, "port %d", port)
	}
}

// Who says nothing, or not all of it, is ended when its time is over, and has taken no place
// at a broker. One that is slow and in time is served.
func TestHAProxyEndsASlowClient(t *testing.T) {
	t.Parallel()
	l := prepareProxyLab(t, 1, nil)
	l.job.ConnectTimeout = 3 * time.Second
	l.write(l.config())
	l.start()
	type result struct {
		served bool
		after  time.Duration
	}
	ends := map[string]chan result{}
	for name, x := range map[string]struct {
		port int
		text string
	}{"nothing": {1883, ""}, "a beginning": {1883, connect[:7]}, "all but the end": {1883, connect[:len(connect)-1]}, "nothing, by WebSocket": {8083, ""}} {
		ends[name] = make(chan result, 1)
		go func() {
			served, after := l.say(x.port, "127.0.0.1", x.text)
			ends[name] <- result{served, after}
		}()
	}
	c, err := net.Dial("tcp", l.addr(1883))
	assert.NilError(t, err)
	defer func() { _ = c.Close() }()
	for _, b := range []byte(connect) {
		_, err = c.Write([]byte{b})
		assert.NilError(t, err)
		time.Sleep(100 * time.Millisecond)
	}
	assert.Assert(t, lives(c), "it was slow, and in time")
	for name, end := range ends {
		r := <-end
		assert.Check(t, !r.served && r.after > 2500*time.Millisecond && r.after < 6*time.Second, "%s: %t after %s", name, r.served, r.after)
	}
	assert.Assert(t, lives(c), "a served client may be silent for longer")
	assert.Equal(t, l.health(), http.StatusOK)
}

// A source that floods is refused, and goes on being refused as long as it does; others are
// served meanwhile.
func TestHAProxyLimitsTheRateOfOneSource(t *testing.T) {
	t.Parallel()
	l := newProxyLabWith(t, 1, map[string]string{"PER_SOURCE_RATE": "20"})
	served := 0
	for range 60 {
		if ok, _ := l.say(1883, "127.0.0.1", connect); ok {
			served++
		}
	}
	assert.Assert(t, served >= 18 && served <= 20, "%d were let in", served) // what start asked is none of it
	other, _ := l.say(1883, "127.0.0.3", connect)
	assert.Assert(t, other, "another source pays for it")
	assert.Equal(t, l.health(), http.StatusOK)
}

// A flood of one source, more than HAProxy takes: with a limit for each source another one
// gets its place.
func TestHAProxyServesOthersBesideAFlood(t *testing.T) {
	t.Parallel()
	vars := small("100")
	vars["PER_SOURCE"] = "60"
	l := newProxyLabWith(t, 1, vars)
	assert.Equal(t, len(l.flood(300, "127.0.0.1")), 60)
	assert.Equal(t, len(l.flood(30, "127.0.0.3")), 30)
	assert.Equal(t, l.health(), http.StatusOK)
}

// A listener may be full and the others are not.
func TestHAProxyLimitsOneListener(t *testing.T) {
	t.Parallel()
	l := newProxyLabWith(t, 1, map[string]string{"LIMIT_ws": "5"})
	in := 0
	for range 10 {
		if ok, _ := l.say(8083, "127.0.0.1", helloAt(8083)); ok {
			in++
		}
	}
	assert.Equal(t, in, 5)
	ok, _ := l.say(1883, "127.0.0.1", connect)
	assert.Assert(t, ok)
}

// Who comes too fast waits for a turn, and is not refused: after an outage all come at once.
// The page of the balancer does not wait with them.
func TestHAProxyLetsComeOneAfterAnother(t *testing.T) {
	t.Parallel()
	l := newProxyLabWith(t, 1, map[string]string{"RATE_mqtt": "10"})
	health := l.watchHealth()
	began := time.Now()
	ends := make(chan error, 40)
	for range cap(ends) {
		go func() {
			ok, after := l.say(1883, "127.0.0.1", connect)
			if !ok {
				ends <- errors.New("ended after " + after.String())
				return
			}
			ends <- nil
		}()
	}
	for range cap(ends) {
		assert.NilError(t, <-ends)
	}
	took := time.Since(began)
	assert.Assert(t, took > 2*time.Second && took < 10*time.Second, "%s", took)
	asked, slow := health()
	assert.Assert(t, asked > 10 && len(slow) == 0, "of %d questions for its health: %v", asked, slow)
}

// A listener that is off is nowhere in the configuration, which HAProxy takes. With TLS
// ended at the proxy the plain one's backend stays as long as its TLS sibling is there.
func TestHAProxyHasTheListenersOfTheStack(t *testing.T) {
	for name, x := range map[string]struct {
		offered []string
		atProxy bool
		clients string
		gone    []string
	}{
		"TLS alone, ended here":       {[]string{"mqtts", "wss"}, true, "none", []string{"mqtt-in", "ws-in", "backend mqtts", "backend wss"}},
		"with certificates":           {[]string{"mqtts", "wss"}, true, "required", []string{"mqtt-in", "ws-in", "backend mqtt\n", "backend ws\n"}},
		"TLS alone, passed through":   {[]string{"mqtts", "wss"}, false, "none", []string{"mqtt-in", "ws-in", "backend mqtt\n", "backend ws\n", ":21883 "}},
		"one of four":                 {[]string{"wss"}, true, "none", []string{"mqtt-in", "ws-in", "mqtts-in", "backend mqtt\n"}},
		"one without TLS":             {[]string{"mqtt"}, true, "none", []string{"mqtts-in", "ws-in", "wss-in", "backend ws"}},
		"one without, passed through": {[]string{"ws"}, false, "none", []string{"mqtt-in", "mqtts-in", "wss-in", "backend mqtt"}},
	} {
		t.Run(name, func(t *testing.T) {
			v := testVars()
			v.TLSAtProxy, v.TLSClients = x.atProxy, x.clients
			for _, listener := range x.offered {
				v.Listeners = append(v.Listeners, Listener{Name: listener})
			}
			a := newAuthority(t, "servers")
			dir, err := os.MkdirTemp("", "") // a socket's path may be no longer than 107 bytes
			assert.NilError(t, err)
			t.Cleanup(func() { _ = os.RemoveAll(dir) })
			l := &proxyLab{t: t, job: v, subnet: "127.0.0.", dir: dir}
			config := l.config()
			for _, text := range x.gone {
				assert.Assert(t, !strings.Contains(config, text), "%q is in\n%s", text, config)
			}
			ready := "brokers that accept"
			for i, listener := range cluster.ListenerNames(cluster.NamedListeners(cluster.DefaultPorts, true, x.offered)) {
				assert.Assert(t, strings.Contains(config, "frontend "+listener+"-in\n"))
				ready += map[bool]string{true: ", ", false: " "}[i > 0] + listener + ": "
			}
			assert.Assert(t, strings.Contains(config, ready[:strings.Index(ready, ":")]), config)
			l.certify(a, "ecdsa")
			t.Setenv("CERTIFICATES", l.dir)
			assert.NilError(t, os.Mkdir(filepath.Join(l.dir, "further"), 0o700))
			if x.clients != "none" {
				l.renderItems(map[string]item{ItemClientCA: {a.pem()}}, "ca.pem")
			}
			out, err := checkHAProxy(t, config)
			assert.NilError(t, err, out)
			assert.Assert(t, !strings.Contains(out, "WARNING"), out)
		})
	}
}
