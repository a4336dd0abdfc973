package broker

import (
	"net"
	"sort"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// Who may start of members that all wait, given whom each waits for.
func TestWhoMayStart(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		waits map[string][]string
		may   string
	}{
		{"all killed at once", map[string][]string{"a": {"b", "c"}, "b": {"a", "c"}, "c": {"a", "b"}}, "a"},
		{"a ring", map[string][]string{"a": {"b", "c"}, "b": {"a", "c"}, "c": {"b"}}, "c"},
		{"the last one is not there", map[string][]string{"a": {"b", "c"}, "b": {"c"}}, ""},
		{"two of three are there", map[string][]string{"a": {"b", "c"}, "b": {"a", "c"}}, ""},
		{"the older one waits for a pair", map[string][]string{"a": {"b", "c"}, "b": {"c"}, "c": {"b"}}, "b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			var may []string
			for self := range c.waits {
				n := &node{cfg: config{node: nodeName{"emqx", self}}, peers: map[string]*peer{}, schema: schema{Cluster: "x"}}
				full := func(names []string) (out []string) {
					for _, s := range names {
						out = append(out, "emqx@"+s)
					}
					return out
				}
				for other, waits := range c.waits {
					if other != self {
						n.peers["emqx@"+other] = &peer{phase: phaseWaiting, cluster: "x", waitFor: full(waits)}
					}
				}
				if n.mayStart(full(c.waits[self])) {
					may = append(may, self)
				}
			}
			sort.Strings(may)
			assert.Equal(t, strings.Join(may, ","), c.may)
		})
	}
}

func TestAStopIsQuickWhateverIsConnected(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := l.start(0, "EMQX_LISTENERS__WS__DEFAULT__ENABLE=true", "EMQX_LISTENERS__WS__DEFAULT__BIND="+l.ip(0)+":8083")
	l.wantUp(0)
	for range 3 {
		defer func(c net.Conn) { _ = c.Close() }(dial(t, l.ip(0)+":1883")) // says nothing
		defer func(c net.Conn) { _ = c.Close() }(dial(t, l.ip(0)+":8083"))
		defer func(c net.Conn) { _ = c.Close() }(dial(t, l.ip(0)+":4370"))
	}
	c := l.mqtt(0, connectOpts{id: "c", v: 5})
	w, _ := connect(t, dialWS(t, dial(t, l.ip(0)+":8083"), "ws://x/mqtt", nil), connectOpts{id: "w", v: 5})
	begin := time.Now()
	assert.NilError(t, p.stop(t))
	assert.Assert(t, time.Since(begin) < time.Second, "%v", time.Since(begin))
	c.wantClosed()
	w.wantClosed()
}

func TestPropertiesTravelBetweenNodes(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	l.start(1)
	l.wantCluster(0, []int{0, 1}, nil)
	l.wantCluster(1, []int{0, 1}, nil)
	l.wantUp(0)
	l.wantUp(1)
	s := l.mqtt(1, connectOpts{id: "s", v: 5})
	s.subscribe("p", 1)
	l.wantRoute(0, "p", 1)
	pub := l.mqtt(0, connectOpts{id: "p", v: 5})
	pk := publishPacket("p", "x")
	pk.Properties.ContentType, pk.Properties.ResponseTopic, pk.Properties.CorrelationData = "text/plain", "back", []byte{1, 2}
	pk.Properties.MessageExpiryInterval = 100
	pk.FixedHeader.Retain = true
	pub.send(pk)
	for range 2 { // live, then retained to a new subscriber
		got := s.wantMessage("p", "x")
		assert.Equal(t, got.Properties.ContentType, "text/plain")
		assert.Equal(t, got.Properties.ResponseTopic, "back")
		assert.DeepEqual(t, got.Properties.CorrelationData, []byte{1, 2})
		assert.Assert(t, got.Properties.MessageExpiryInterval > 90)
		s = l.mqtt(1, connectOpts{id: "s2", v: 5})
		s.subscribe("p", 1)
	}
}
