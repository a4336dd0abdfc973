package haproxy

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// small is a HAProxy for so many clients, with few connections beyond them.
func small(clients string) map[string]string {
	return map[string]string{"CLIENTS": clients, "MAXCONN": "260"}
}

// flood dials n connections from an address, half of them over WebSocket's port, and
// returns those that are let in.
func (l *proxyLab) flood(n int, from string) (in []net.Conn) {
	l.t.Helper()
	dialer := net.Dialer{Timeout: time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	var dialled []net.Conn
	for i := range n {
		port := []int{1883, 8083}[i%2]
		c, err := dialer.Dial("tcp", l.addr(port))
		if err != nil {
			assert.Assert(l.t, errors.Is(err, syscall.ECONNRESET), "refused, not left to wait: %v", err)
			continue
		}
		_, _ = io.WriteString(c, helloAt(port))
		dialled = append(dialled, c)
	}
	for _, c := range dialled {
		began := time.Now()
		switch {
		case lives(c):
			in = append(in, c)
			l.t.Cleanup(func() { _ = c.Close() })
		default:
			_ = c.Close()
			assert.Assert(l.t, time.Since(began) < time.Second, "must be refused, and is left to wait")
		}
	}
	return in
}

// watchHealth asks for the health page until it is ended, and returns what went wrong.
func (l *proxyLab) watchHealth() func() (asked int, slow []time.Duration) {
	asked, slow := 0, []time.Duration(nil)
	stop := repeat(50*time.Millisecond, func() {
		began := time.Now()
		asked++
		if code := l.health(); code != http.StatusOK || time.Since(began) > time.Second {
			slow = append(slow, time.Since(began))
		}
	})
	return func() (int, []time.Duration) {
		stop()
		return asked, slow
	}
}

// ADR 0032: clients fill what is theirs, over all protocols together. Who is in
// stays in, the next ones are refused at once, and a full HAProxy is well.
func TestHAProxyFullOfClientsIsWell(t *testing.T) {
	t.Parallel()
	l := newProxyLabWith(t, 1, small("200"))
	valid := l.client(0)
	health := l.watchHealth()
	in := l.flood(700, "127.0.0.1")
	assert.Equal(t, len(in), 199, "beside the one that was there")
	time.Sleep(time.Second)
	asked, slow := health()
	assert.Assert(t, asked > 10)
	assert.Equal(t, len(slow), 0, "of %d questions for its health: %v", asked, slow)
	assert.Assert(t, lives(valid), "who was there is cut")
	_, _, err := l.dial()
	assert.Assert(t, err != nil && !strings.Contains(err.Error(), "timeout"), "must be refused at once: %v", err)

	for _, c := range in {
		_ = c.Close()
	}
	l.eventually(func() bool {
		c, _, err := l.dial()
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	assert.Assert(t, lives(valid))
}

// EMQX closes a connection that sends no CONNECT. A client that does not hear it keeps
// no place.
func TestHAProxyForgetsHalfClosedConnections(t *testing.T) {
	t.Parallel()
	l := newProxyLabWith(t, 1, small("100"))
	l.set(l.curt, 0, true)
	for range 100 {
		c, _, err := l.dial() // all are in
		assert.NilError(t, err)
		t.Cleanup(func() { _ = c.Close() })
	}
	began := time.Now()
	l.set(l.curt, 0, false)
	l.eventually(func() bool {
		c, _, err := l.dial()
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	assert.Assert(t, time.Since(began) < 10*time.Second, "after %s", time.Since(began))
}
