package broker

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

const waitFile = "../../components/nomad/files/emqx_oci_takeover.erl"

func waiting(file string, pause time.Duration) string {
	return fmt.Sprintf(waitExpression, file, file, pause.Milliseconds())
}

// letSessionsWait does on a node what the job does when the broker is up.
func (l *lab) letSessionsWait(i int, pause time.Duration) {
	l.t.Helper()
	out, code := l.ctl(i, "eval_erl", waiting(waitFile, pause))
	assert.Equal(l.t, code, 0, out)
	assert.Equal(l.t, out, "ok")
}

// What the stand-in takes for the script's expression is the script's expression.
func TestTheWaitingIsThatOfTheJob(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../components/nomad/files/emqx-run.sh")
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(string(script), "printf -v text '"+waitExpression+"'"))
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	for _, bad := range []string{"/nowhere/emqx_oci_takeover.erl", "moving_test.go"} {
		out, code := l.ctl(0, "eval_erl", waiting(bad, time.Second))
		assert.Assert(t, code == 1 && strings.Contains(out, "is not emqx_oci_takeover"), out)
	}
	l.letSessionsWait(0, time.Second)
}

// A session goes from node 0 to node 1 while a client publishes on node 2. What is on its
// way then is lost, unless the session waits for it.
func TestWhatIsOnItsWayWhileASessionMoves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		cut  [2]int // where it is held up
		wait bool
	}{
		"a message, lost":                 {[2]int{0, 2}, false},
		"a message, waited for":           {[2]int{0, 2}, true},
		"the word of a route, lost":       {[2]int{1, 2}, false},
		"the word of a route, waited for": {[2]int{1, 2}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 3)
			w := newWays(l)
			for i := range 3 {
				o := w.options(i)
				o.Env = append(o.Env, "EMQX_NODE__DIST_NET_TICKTIME=60s")
				o.Takeover = 0 // as long as EMQX's
				l.run(i, o)
				l.wantUp(i)
			}
			l.wantWhole()
			if c.wait {
				l.letSessionsWait(1, 3*time.Second)
			}
			id := nameLockedBy(l, 0, 1)
			old, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: id, v: 5, keep: true})
			old.subscribe("t", 1)
			_ = old.conn.Close()
			pub := l.mqtt(2, connectOpts{id: nameLockedBy(l, 0, 1) + "-pub"})
			l.wantRoute(2, "t", 0)
			// Node 2 has heard of node 1's routes: a message goes to who has told of none.
			l.mqtt(1, connectOpts{id: "another"}).subscribe("another", 1)
			l.wantRoute(2, "another", 1)

			heal := w.part(c.cut)
			defer heal()
			held := c.cut == [2]int{0, 2}
			if held {
				pub.publish("t", "on its way", 1, false) // returns when it is acknowledged
			}
			again, begin := &client{t: t, conn: dial(t, l.ip(1)+":1883"), v: 5}, time.Now()
			again.send(connectPacket(id))
			if c.wait {
				l.wantRoute(1, "t", 0, 1)
			} else {
				assert.Assert(t, again.read(5*time.Second).SessionPresent)
				l.wantRoute(1, "t", 1)
			}
			if !held {
				pub.publish("t", "on its way", 1, false)
			}
			heal()
			if c.wait {
				assert.Assert(t, again.read(10*time.Second).SessionPresent)
				assert.Assert(t, time.Since(begin) >= 3*time.Second)
				assert.Equal(t, string(again.read(5*time.Second).Payload), "on its way")
			}
			l.wantRoute(2, "t", 1)
			pub.publish("t", "the next", 1, false)
			assert.Equal(t, string(again.read(5*time.Second).Payload), "the next")
		})
	}
}

// A session that does not move waits for nothing.
func TestASessionThatStaysDoesNotWait(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	l.letSessionsWait(0, 5*time.Second)
	c, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "dev", v: 5, keep: true})
	c.subscribe("t", 1)
	_ = c.conn.Close()
	present, took, err := l.try(0, "dev", false)
	assert.NilError(t, err)
	assert.Assert(t, present && took < 3*time.Second, "after %s", took)
}

// nameLockedBy is a client identifier whose lock these nodes hold.
func nameLockedBy(l *lab, nodes ...int) string {
	var all, want []string
	for i := range l.dirs {
		all = append(all, l.name(i))
	}
	for _, i := range nodes {
		want = append(want, l.name(i))
	}
	for i := 0; ; i++ {
		id := fmt.Sprint("c", i)
		if ring := lockRing(id, all); !slices.ContainsFunc(ring, func(name string) bool { return !slices.Contains(want, name) }) {
			return id
		}
	}
}

func connectPacket(id string) packets.Packet {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Connect}, Connect: packets.ConnectParams{
		ProtocolName: []byte("MQTT"), ClientIdentifier: id, Keepalive: 30,
	}}
	pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
	return pk
}
