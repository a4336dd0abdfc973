package broker

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

func moving(most, slice, pause int) string { return fmt.Sprintf(moveExpression, most, slice, pause) }

// What the stand-in takes for the script's expression is the script's expression.
func TestTheExpressionIsThatOfTheJob(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../components/nomad/files/move.sh")
	assert.NilError(t, err)
	for line := range strings.Lines(string(script)) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), "expression='"); ok {
			assert.Equal(t, strings.ReplaceAll(strings.TrimSuffix(text, "'"), `'\''`, `'`), moveExpression)
			return
		}
	}
	t.Fatal("move.sh has no line that begins with expression=")
}

// A moved client finds its session on the node it comes to, and nobody who is not
// moved notices.
func TestMovedClientsKeepTheirSessions(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	l.wantUp(0)
	l.wantUp(1)
	pub := l.mqtt(1, connectOpts{id: "pub"})
	willWatch := l.mqtt(1, connectOpts{id: "watch"})
	willWatch.subscribe("will", 1)
	for _, v := range []byte{4, 5} {
		id := fmt.Sprint("device-", v)
		c := l.mqtt(0, connectOpts{id: id, v: v, keep: true, will: "will"})
		c.subscribe("cmd", 1)
		out, code := l.ctl(0, "eval_erl", moving(10, 1, 1))
		assert.Equal(t, code, 0, out)
		assert.Equal(t, out, "1")
		if v == 5 {
			assert.Equal(t, c.want(packets.Disconnect).ReasonCode, byte(0x9c))
		}
		c.wantClosed()
		willWatch.wantMessage("will", "gone")
		// Nobody is connected now, though the session is there.
		out, _ = l.ctl(0, "eval_erl", moving(10, 1, 1))
		assert.Equal(t, out, "0")
		pub.publish("cmd", "while away", 1, false)
		c2, ack := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: id, v: v, keep: true})
		assert.Equal(t, ack.SessionPresent, true, "version %d", v)
		c2.wantMessage("cmd", "while away")
		_ = c2.conn.Close()
	}
	pub.publish("other", "pub is still here", 1, false)
}

func TestMovingKeepsToNumberAndRate(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	for i := range 7 {
		l.mqtt(0, connectOpts{id: fmt.Sprint("device-", i), keep: true})
	}
	start := time.Now()
	out, _ := l.ctl(0, "eval_erl", moving(4, 2, 300))
	assert.Equal(t, out, "4")
	assert.Assert(t, time.Since(start) >= 600*time.Millisecond)
	out, _ = l.ctl(0, "eval_erl", moving(100, 50, 1))
	assert.Equal(t, out, "3")
	for _, bad := range []string{moving(0, 1, 1), "erlang:memory().", ""} {
		out, code := l.ctl(0, "eval_erl", bad)
		assert.Equal(t, code, 1, out)
	}
	out, _ = l.ctl(0, "eval_erl", "erlang:memory().")
	assert.Assert(t, cmp.Contains(out, "the stand-in evaluates no Erlang"))
}
