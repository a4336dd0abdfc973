package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

func TestASessionMovesToTheNodeTheClientReturnsOn(t *testing.T) {
	t.Parallel()
	for _, v := range []byte{4, 5} {
		t.Run(fmt.Sprint("v", v), func(t *testing.T) {
			t.Parallel()
			l := newLab(t, 2)
			l.start(0)
			l.start(1)
			l.wantCluster(0, []int{0, 1}, nil)
			l.wantCluster(1, []int{0, 1}, nil)
			l.wantUp(0)
			l.wantUp(1)
			for i := range 2 {
				l.letSessionsWait(i, 300*time.Millisecond)
			}
			c := l.mqtt(0, connectOpts{id: "dev", v: v, keep: true})
			c.subscribe("cmd", 1)
			// Live takeover: the old connection is cut.
			c2, ack := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: "dev", v: v, keep: true})
			assert.Equal(t, ack.SessionPresent, true)
			c.wantClosed()
			l.wantRoute(0, "cmd", 1)
			pub := l.mqtt(0, connectOpts{id: "pub"})
			pub.publish("cmd", "live", 1, false)
			c2.wantMessage("cmd", "live")
			// Messages queued while away move, in order.
			_ = c2.conn.Close()
			eventually(t, func() string {
				if out, _ := l.ctl(1, "clients", "show", "dev"); !strings.Contains(out, "connected=false") {
					return out
				}
				return ""
			})
			for i := range 20 {
				pub.publish("cmd", fmt.Sprint(i), 1, false)
			}
			c3, ack := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "dev", v: v, keep: true})
			assert.Equal(t, ack.SessionPresent, true)
			for i := range 20 {
				c3.wantMessage("cmd", fmt.Sprint(i))
			}
			out, _ := l.ctl(1, "clients", "list")
			assert.Equal(t, out, "No clients.")
			// A clean start ends it.
			c4, ack := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: "dev", v: v})
			assert.Equal(t, ack.SessionPresent, false)
			pub.publish("cmd", "nobody", 1, false)
			c4.wantSilence(150 * time.Millisecond)
		})
	}
}

// What another client has subscribed to is no subscription of this one's.
func TestUnsubscribeTellsWhetherThereWasASubscription(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	l.mqtt(0, connectOpts{id: "other", v: 5}).subscribe("t", 1)
	c := l.mqtt(0, connectOpts{id: "one", v: 5})
	unsubscribe := func(filter string) byte {
		c.id++
		c.send(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Unsubscribe, Qos: 1}, PacketID: c.id, Filters: packets.Subscriptions{{Filter: filter}},
		})
		return c.want(packets.Unsuback).ReasonCodes[0]
	}
	assert.Equal(t, unsubscribe("t"), packets.CodeNoSubscriptionExisted.Code)
	c.subscribe("t", 1)
	c.subscribe("$queue/t", 1)
	assert.Equal(t, unsubscribe("t"), packets.CodeSuccess.Code)
	assert.Equal(t, unsubscribe("$queue/t"), packets.CodeSuccess.Code)
	assert.Equal(t, unsubscribe("t"), packets.CodeNoSubscriptionExisted.Code)
}
