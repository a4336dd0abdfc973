package haproxy

import (
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// Whatever Consul says, clients are passed on to the members' own addresses: a stranger who
// registers himself under their names, or moves their addresses, gets nobody, and no check.
func TestHAProxyLeadsToMembersAlone(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 2)
	here := l.client(0)
	var came atomic.Int64
	for _, port := range []int{brokerPort, 18083} {
		ln, err := net.Listen("tcp", fmt.Sprintf("%s66:%d", l.subnet, port))
		assert.NilError(t, err)
		t.Cleanup(func() { _ = ln.Close() })
		go func() {
			for {
				c, err := ln.Accept()
				if err != nil {
					return
				}
				came.Add(1)
				_, _ = fmt.Fprintln(c, "broker 66")
				_ = c.Close()
			}
		}()
	}
	l.mu.Lock()
	l.stranger = l.subnet + "66"
	l.mu.Unlock()
	l.eventually(func() bool { return strings.Contains(l.out.String(), l.subnet+"66") })
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		c, who, err := l.dial()
		assert.NilError(t, err)
		assert.Assert(t, who < 2, "a client came to %d", who)
		_ = c.Close()
	}
	assert.Equal(t, came.Load(), int64(0))
	assert.Assert(t, lives(here))
	// Who leaves is out, though the stranger's answer of another name goes on.
	l.set(l.named, 0, false)
	time.Sleep(6 * time.Second)
	for range 6 {
		c, who, err := l.dial()
		assert.NilError(t, err)
		assert.Equal(t, who, 1)
		_ = c.Close()
	}
}

// Consul that names nobody takes no clients away: who answers gets them, strangers as little as ever.
func TestHAProxyServesWhileConsulNamesNobody(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 2)
	here := l.client(0)
	l.set(l.named, 0, false)
	l.set(l.named, 1, false)
	time.Sleep(8 * time.Second)
	_ = l.client(0)
	_ = l.client(1)
	assert.Assert(t, lives(here))
	assert.Equal(t, l.health(), 200)
	l.set(l.sick, 0, true)
	time.Sleep(5 * time.Second)
	for range 6 {
		c, who, err := l.dial()
		assert.NilError(t, err)
		assert.Equal(t, who, 1)
		_ = c.Close()
	}
}

// While EMQX moves to other ports, node by node, HAProxy leads to both: its job has those of
// before, and the variable the new ones.
func TestHAProxyFollowsPortsOfTheVariable(t *testing.T) {
	t.Parallel()
	l := prepareProxyLab(t, 2, nil)
	l.vars = map[string]string{"BROKER_mqtt": "20999"}
	l.write(l.config())
	l.start()
	_ = l.client(0)
	l.secrets = map[string]item{itemBroker("mqtt"): {"20999"}}
	l.vars = map[string]string{"BROKER_mqtt": fmt.Sprint(brokerPort)}
	l.write(l.config())
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	_ = l.client(1)
}
