package broker

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// A ban keeps a client out before its password is looked at; of those that are connected it ends only
// the session of a client identifier that is banned by name (emqx_banned:check, on_banned).
func TestBans(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	p := l.start(1)
	l.wantWhole()
	byName := l.mqtt(1, connectOpts{id: "bad", v: 5, will: "w"})
	byUser := l.mqtt(1, connectOpts{id: "other", v: 5, user: "eve"})
	byAddress := l.mqtt(0, connectOpts{id: "third", v: 5})

	l.wantREST(0, "POST", "/banned", `{"as":"clientid","who":"bad","reason":"loud"}`, 200)
	assert.Equal(t, byName.want(packets.Disconnect).ReasonCode, byte(0x98))
	byName.wantClosed()
	assert.Assert(t, strings.Contains(l.wantREST(1, "POST", "/banned", `{"as":"clientid","who":"bad"}`, 400), "ALREADY_EXISTS"))
	l.wantREST(1, "POST", "/banned", `{"as":"username","who":"eve"}`, 200)
	for i := range 2 {
		l.wantCodes(i, connectOpts{id: "bad"}, 0x8A, 5)
		l.wantCodes(i, connectOpts{id: "new", user: "eve"}, 0x8A, 5)
		l.wantCodes(i, connectOpts{id: "new", user: "ann"}, 0, 0)
	}
	byUser.publish("t", "still here", 1, false)

	l.wantREST(0, "POST", "/banned", `{"as":"peerhost_net","who":"127.0.0.0/8","until":`+fmt.Sprint(time.Now().Unix()+100)+`}`, 200)
	l.wantCodes(0, connectOpts{id: "new"}, 0x8A, 5)
	byAddress.publish("t", "still here", 1, false)
	l.wantREST(0, "DELETE", "/banned/peerhost_net/127.0.0.0%2F8", "", 204)
	l.wantREST(0, "DELETE", "/banned/peerhost_net/127.0.0.0%2F8", "", 404)
	l.wantCodes(0, connectOpts{id: "new"}, 0, 0)

	l.wantREST(0, "POST", "/banned", `{"as":"peerhost","who":"localhost"}`, 400)
	l.wantREST(0, "POST", "/banned", `{"as":"clientid","who":"x","until":"2020-01-01T00:00:00Z"}`, 400)
	l.wantREST(0, "POST", "/banned", `{"as":"clientid_re","who":"^tmp-","until":"2090-01-01T00:00:00Z"}`, 200)
	l.wantCodes(1, connectOpts{id: "tmp-1"}, 0x8A, 5)
	assert.Assert(t, strings.Contains(l.wantREST(1, "GET", "/banned?clientid=bad", "", 200), `"count":1`))
	assert.Assert(t, strings.Contains(l.wantREST(1, "GET", "/banned?like_clientid=a", "", 200), `"count":1`))

	assert.NilError(t, p.stop(t))
	l.wantREST(0, "DELETE", "/banned/username/eve", "", 204)
	l.start(1)
	l.wantWhole()
	l.wantCodes(1, connectOpts{id: "bad"}, 0x8A, 5) // it is on disk
	l.wantCodes(1, connectOpts{id: "new", user: "eve"}, 0, 0)
	l.wantREST(1, "DELETE", "/banned", "", 204)
	l.wantCodes(0, connectOpts{id: "bad"}, 0, 0)
}

// A ban that is over is none.
func TestABanEnds(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	l.wantREST(0, "POST", "/banned", fmt.Sprintf(`{"as":"username","who":"eve","until":%d}`, time.Now().Unix()+2), 200)
	l.wantCodes(0, connectOpts{id: "c", user: "eve"}, 0x8A, 5)
	eventually(t, func() string {
		if code := l.connack(0, connectOpts{id: "c", user: "eve", v: 5}); code != 0 {
			return fmt.Sprint(code)
		}
		return ""
	})
	l.wantREST(0, "POST", "/banned", `{"as":"username","who":"eve"}`, 200)
}
