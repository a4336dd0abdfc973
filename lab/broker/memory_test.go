package broker

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
)

// The real one: 21 to 26 kB for a held connection, 43 kB while they come in.
const heldKB, comingKB = 26, 43

// holdConnections opens n MQTT connections through a PROXY header, as HAProxy does.
func holdConnections(t testing.TB, address string, n int) []net.Conn {
	t.Helper()
	held := make([]net.Conn, 0, n)
	for i := range n {
		c, err := net.Dial("tcp", address)
		assert.NilError(t, err)
		held = append(held, c)
		from := &net.TCPAddr{IP: net.IPv4(203, 0, 113, 9), Port: 1024 + i}
		var b bytes.Buffer
		_, err = proxyproto.HeaderProxyFromAddrs(2, from, c.RemoteAddr()).WriteTo(&b)
		assert.NilError(t, err)
		pk := packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: 4,
			Connect: packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: fmt.Sprint("idle-", i), Clean: true, Keepalive: 600},
		}
		assert.NilError(t, pk.ConnectEncode(&b))
		_, err = c.Write(b.Bytes())
		assert.NilError(t, err)
		_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
		_, err = io.ReadFull(c, make([]byte, 4)) // CONNACK
		assert.NilError(t, err)
	}
	return held
}

// footprint is what the process needs of memory: the heap grows by [GarbagePercent] before it
// is collected, stacks do not.
func footprint() float64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)*(1+GarbagePercent/100.) + float64(m.StackInuse)
}

// A lab whose proxies let in what the real broker holds must not lose its brokers.
func TestAConnectionTakesWhatTheRealOneTakes(t *testing.T) {
	const n = 2000
	l := newLab(t, 1, "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	l.start(0)
	l.wantUp(0)
	before := footprint()
	held := holdConnections(t, l.ip(0)+":1883", n)
	each := (footprint() - before) / n / 1024
	t.Logf("%.1f kB a connection", each)
	assert.Assert(t, each < comingKB, "%.1f kB a connection; the real one takes %d, %d while they come in", each, heldKB, comingKB)
	for _, c := range held {
		_ = c.Close()
	}
}
