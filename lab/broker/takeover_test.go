package broker

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// patience of the tests, with the proportions of EMQX's.
func impatient(o Options) Options {
	o.Takeover, o.Kick, o.Lock, o.Silence = time.Second, 300*time.Millisecond, 2*time.Second, 300*time.Millisecond
	o.Confirm, o.Heal = 100*time.Millisecond, 700*time.Millisecond
	return o
}

// TestMain is a node of its own when a test asks for one that can be frozen.
func TestMain(m *testing.M) {
	server := os.Getenv("BROKER_TEST_DNS")
	if server == "" {
		os.Exit(m.Run())
	}
	err := Run(context.Background(), impatient(Options{
		Retry: 150 * time.Millisecond, Jitter: 20 * time.Millisecond, Tick: 50 * time.Millisecond,
		Resolver: &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, network, server)
		}},
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (l *lab) startProcess(i int) *os.Process {
	l.t.Helper()
	out := &buffer{}
	cmd := exec.Command(os.Args[0])
	cmd.Env, cmd.Stdout, cmd.Stderr = append(l.env(i), "BROKER_TEST_DNS="+l.dns.addr), out, out
	assert.NilError(l.t, cmd.Start())
	l.t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if l.t.Failed() {
			l.t.Logf("node %d:\n%s", i, out)
		}
	})
	return cmd.Process
}

func (l *lab) startImpatient(i int) {
	l.t.Helper()
	l.run(i, impatient(l.options(i)))
}

// try connects, and says how long that took and what came of it.
func (l *lab) try(i int, id string, clean bool) (present bool, took time.Duration, err error) {
	l.t.Helper()
	begin := time.Now()
	c := &client{t: l.t, conn: dial(l.t, l.ip(i)+":1883"), v: 5}
	defer func() { _ = c.conn.Close() }()
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: packets.ConnectParams{
		ProtocolName: []byte("MQTT"), ClientIdentifier: id, Clean: clean, Keepalive: 30,
	}}
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
	c.send(pk)
	_ = c.conn.SetReadDeadline(time.Now().Add(20 * time.Second))
	ack, err := c.readOne()
	return ack.SessionPresent, time.Since(begin), err
}

// A member that is frozen holds up who has a session there, and who needs it for the
// lock on its name; nobody else.
func TestAFrozenMember(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.startImpatient(0)
	l.startImpatient(1)
	frozen := l.startProcess(2)
	l.wantWhole()
	all := []string{l.name(0), l.name(1), l.name(2)}
	named := func(locked bool) string {
		for i := 0; ; i++ {
			id := fmt.Sprint("c", i)
			if ring := lockRing(id, all); strings.Contains(strings.Join(ring, " "), l.name(2)) == locked {
				return id
			}
		}
	}
	free, locked := named(false), named(true)
	for _, id := range []string{free + "-x", free} {
		c, _ := connect(t, dial(t, l.ip(2)+":1883"), connectOpts{id: id, v: 5, keep: true})
		c.subscribe("cmd/"+id, 1)
		_ = c.conn.Close()
	}
	time.Sleep(200 * time.Millisecond) // the others are told
	assert.NilError(t, frozen.Signal(syscall.SIGSTOP))
	time.Sleep(time.Second)

	within := func(got time.Duration, from, to time.Duration) {
		t.Helper()
		assert.Assert(t, got >= from && got < to, "%s is not between %s and %s", got, from, to)
	}
	other := free + "0"
	for i := 0; strings.Contains(strings.Join(lockRing(other, all), " "), l.name(2)); i++ {
		other = fmt.Sprint(free, i)
	}
	_, took, err := l.try(0, other, false)
	assert.NilError(t, err)
	within(took, 0, time.Second)
	_, took, err = l.try(0, locked, false)
	assert.NilError(t, err)
	within(took, 4*time.Second, 8*time.Second) // the lock, taken and given back
	// Who has a session there is turned away; a new session does not wait for ever.
	_, took, err = l.try(1, free, false)
	assert.ErrorContains(t, err, "EOF")
	within(took, 2*time.Second, 5*time.Second)
	present, took, err := l.try(1, free, true)
	assert.NilError(t, err)
	assert.Equal(t, present, false)
	within(took, 600*time.Millisecond, 3*time.Second)

	pub := l.mqtt(0, connectOpts{id: other})
	pub.publish("cmd/"+free+"-x", "hello", 1, false)
	assert.NilError(t, frozen.Signal(syscall.SIGCONT))
	time.Sleep(500 * time.Millisecond)
	c, ack := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: free + "-x", v: 5, keep: true})
	assert.Equal(t, ack.SessionPresent, true)
	c.wantMessage("cmd/"+free+"-x", "hello")
}

// A message that the client has not acknowledged survives a publication of the client
// with the same packet identifier.
func TestIdentifiersOfBothDirections(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	for _, qos := range []byte{1, 2} {
		id := fmt.Sprint("dev", qos)
		conn := dial(t, l.ip(0)+":1883")
		c := &client{t: t, conn: conn, v: 4}
		hello := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: packets.ConnectParams{
			ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: 30,
		}}
		c.send(hello)
		c.read(time.Second)
		c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 1, Filters: packets.Subscriptions{{Filter: "to/" + id, Qos: 1}}})
		c.read(time.Second)
		l.mqtt(0, connectOpts{id: "pub" + id}).publish("to/"+id, "kept", 1, false)
		first := c.read(time.Second)
		assert.Equal(t, first.FixedHeader.Type, packets.Publish)
		// The client uses the same identifier for its own.
		own := publishPacket("from/"+id, "mine")
		own.FixedHeader.Qos, own.PacketID = qos, first.PacketID
		c.send(own)
		assert.Equal(t, c.read(time.Second).PacketID, first.PacketID)
		_ = conn.Close()
		c = &client{t: t, conn: dial(t, l.ip(0)+":1883"), v: 4}
		c.send(hello)
		assert.Equal(t, c.read(time.Second).SessionPresent, true)
		again := c.read(time.Second)
		assert.Equal(t, string(again.Payload), "kept")
		assert.Assert(t, again.FixedHeader.Dup && again.PacketID == first.PacketID)
		if qos == 2 { // and the server remembers what it has had
			own.FixedHeader.Dup = true
			c.send(own)
			assert.Equal(t, c.read(time.Second).FixedHeader.Type, packets.Pubrec)
		}
	}
}

// What EMQX promises: a client that has its acknowledgement finds the message in every
// session of that node.
func TestAcknowledgedIsDistributed(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	sub, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "sub", keep: true})
	sub.subscribe("t", 2)
	_ = sub.conn.Close()
	eventually(t, func() string {
		if out, _ := l.ctl(0, "clients", "show", "sub"); !strings.Contains(out, "connected=false") {
			return out
		}
		return ""
	})
	pub := l.mqtt(0, connectOpts{id: "pub"})
	for i := range 50 {
		pub.publish("t", fmt.Sprint(i), byte(1+i%2), false)
		out, _ := l.ctl(0, "clients", "show", "sub")
		assert.Assert(t, strings.Contains(out, fmt.Sprintf("inflight=%d,", i+1)), "%d: %s", i, out)
	}
	again, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "sub", keep: true})
	for i := range 50 {
		again.wantMessage("t", fmt.Sprint(i))
	}
}
