package load

import (
	"net"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

type idle struct{ role }

func (idle) opened(*wire) {}
func (idle) closed()      {}
func (idle) fresh()       {}

// A proxy may close a connection seconds after the broker behind it has died: the session is gone since then.
func TestATimeWithoutSessionBeginsWithTheLastSignOfTheBroker(t *testing.T) {
	for name, present := range map[string]bool{"session gone": false, "session kept": true} {
		t.Run(name, func(t *testing.T) {
			r := &run{start: time.Now().Add(-time.Minute)}
			c := &client{run: r, role: idle{}, once: true, ready: true}
			w := &wire{}
			w.lastIn.Store(r.start.Add(10 * time.Second).UnixNano())
			c.disconnected(t.Context(), w, &brokenError{kind: "lost: closed"})
			assert.Assert(t, c.lostAt > 59*time.Second, "the client was connected until now")
			if !present {
				c.lostSession()
			}
			near, far := net.Pipe()
			defer near.Close()
			defer far.Close()
			c.connected(&wire{conn: near})
			_, windows := c.state()
			assert.Equal(t, len(windows), map[bool]int{false: 1, true: 0}[present])
			if !present {
				assert.Equal(t, windows[0].from, 10*time.Second)
			}
			assert.Assert(t, c.away < 10*time.Second, "away is from the break: %s", c.away)
		})
	}
}

// A session that died was taken for one that lives, because the broker that had the new one knew of another client's probe
// of the same name.
func TestNoTwoClientsHaveTheSameProbe(t *testing.T) {
	seen := map[string]bool{}
	r := &run{id: "r"}
	for _, c := range []*client{{run: r, name: "sub-0"}, {run: r, name: "sub-1"}} {
		for range probes {
			topic := c.probe()
			assert.Assert(t, !seen[topic], topic)
			seen[topic] = true
		}
	}
}
