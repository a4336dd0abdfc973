package broker

import (
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/nomad"
)

const stacksOwn = "emqx-oci-gate"

// Which identifier EMQX takes for a client's, by the expressions of the job.
func TestIdentifiersAreBoundToUsers(t *testing.T) {
	t.Parallel()
	name, prefix := nomad.ClientIDIsUsername(stacksOwn), nomad.ClientIDBeginsWithUsername()
	for _, c := range []struct {
		user, id string
		of       nomad.ClientIDs
		own      bool
	}{
		{"ann", "ann", name, true},
		{"ann", "ann/1", name, false},
		{"ann", "bob", name, false},
		{"", "ann", name, false},
		{stacksOwn, stacksOwn + "/1", name, true},
		{stacksOwn, "ann", name, false},
		{stacksOwn, stacksOwn, name, false}, // it never calls itself so

		{"ann", "ann", prefix, true},
		{"ann", "ann/1", prefix, true},
		{"ann", "ann/1/ann", prefix, true},
		{"ann", "ann/", prefix, true},
		{"ann", "annie", prefix, false},
		{"ann", "anna/1", prefix, false},
		{"ann", "bob/1", prefix, false},
		{"ann", "/1", prefix, false},
		{"ann", "/ann/1", prefix, false},
		{"ann", "1", prefix, false},
		{"", "/1", prefix, false},
		{"", "ann", prefix, false},
		{"ann/1", "ann/1", prefix, false}, // ann may have that one
		{"ann/1", "ann/1/2", prefix, false},
		{"/", "/", prefix, false},
		{"a\xff", "a\xff/1", prefix, true}, // no text at all
		{"a\xff", "b\xff/1", prefix, false},
		{stacksOwn, stacksOwn + "/1", prefix, true},
	} {
		e, err := parseVariform(string(c.of))
		assert.NilError(t, err)
		got, err := e.render(&principal{clientID: c.id, username: &c.user})
		assert.NilError(t, err)
		want := nomad.RefusedClientID
		if c.own {
			want = c.id
		}
		assert.Equal(t, got, want, "user %q, identifier %q, %s", c.user, c.id, c.of)
	}
	e, err := parseVariform(string(prefix))
	assert.NilError(t, err)
	got, err := e.render(&principal{clientID: "/1"})
	assert.NilError(t, err)
	assert.Equal(t, got, nomad.RefusedClientID, "without a user name")
}

func TestExpressionsThatEMQXRefuses(t *testing.T) {
	t.Parallel()
	for _, text := range []string{"", "'x'", "1", "iif(clientid)", "nosuch(clientid)", "concat(clientid", "concat(clientid,)", "clientid username", "concat(clientid])", "a$b"} {
		_, err := parseVariform(text)
		assert.Assert(t, err != nil, text)
	}
}

// Another's session stays where it is, whoever asks for it: with the ban that CONNACK tells of,
// and without it.
func TestNobodyTakesOverAnothersSession(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
		return path
	}
	users, err := nomad.UsersFile([]nomad.User{{Name: "ann", Password: "ann's-password"}, {Name: "bob", Password: "bob's-password"}, {Name: stacksOwn, Password: "its-password"}}, "k")
	assert.NilError(t, err)
	of := nomad.ClientIDBeginsWithUsername()
	acl := write("acl.conf", nomad.RulesFile(append(nomad.RefusedRules(of), nomad.Rule{Allow: true, Action: "all", Topics: []string{"#"}}), false))
	l := newLab(t, 2)
	for i := range 2 {
		l.start(i, `EMQX_AUTHENTICATION=[{"backend":"built_in_database","bootstrap_file":"`+write("users.json", users)+`","bootstrap_type":"hash","mechanism":"password_based",`+
			`"password_hash_algorithm":{"name":"bcrypt","salt_rounds":10},"user_id_type":"username"}]`,
			`EMQX_AUTHORIZATION__SOURCES=[{"enable":true,"path":"`+acl+`","type":"file"}]`, "EMQX_AUTHORIZATION__NO_MATCH=deny",
			`EMQX_MQTT__CLIENTID_OVERRIDE="`+string(of)+`"`, `EMQX_BANNED__BOOTSTRAP_FILE="`+write("banned.csv", of.Banned())+`"`,
			"EMQX_API_KEY__BOOTSTRAP_FILE="+write("key", "ops:s3cret-s3cret\n"))
	}
	l.wantWhole() // a node that joins begins anew
	ann, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "ann/1", v: 5, keep: true, user: "ann", password: "ann's-password"})
	assert.Equal(t, ann.subscribe("t", 1), byte(1))
	bob := connectOpts{id: "ann/1", user: "bob", password: "bob's-password"}
	for _, node := range []int{0, 1} {
		l.wantCodes(node, bob, 0x8A, 5)
		l.wantCodes(node, connectOpts{user: "bob", password: "bob's-password"}, 0x8A, 5) // none of its own
		l.wantCodes(node, connectOpts{id: "bob/1", user: "bob", password: "bob's-password"}, 0, 0)
	}

	// Several of one user side by side, as the stack's own on each listener.
	var all []*client
	for _, id := range []string{"1", "2", "3", "4"} {
		c, _ := connect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: stacksOwn + "/" + id, v: 5, user: stacksOwn, password: "its-password"})
		all = append(all, c)
	}
	for _, c := range all {
		assert.Equal(t, c.subscribe("x", 1), byte(1))
	}

	// Should somebody take the ban away: connected, with nobody's session, and no right to anything.
	code, text := httpDo("DELETE", l.url(0, "/api/v5/banned/clientid/"+nomad.RefusedClientID), "", "ops", "s3cret-s3cret")
	assert.Equal(t, code, 204, "%s", text)
	bob.v = 5
	c, ack := connect(t, dial(t, l.ip(0)+":1883"), bob)
	assert.Assert(t, !ack.SessionPresent)
	assert.Equal(t, c.subscribe("t", 1), byte(0x87))

	p, _ := connect(t, dial(t, l.ip(1)+":1883"), connectOpts{id: "bob/p", v: 5, user: "bob", password: "bob's-password"})
	p.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: "t", Payload: []byte("still here")})
	ann.wantMessage("t", "still here")
}

// On TCP and in a WebSocket, and by the name that a proxy hands over, whatever the client says.
func TestIdentifiersAreHeldAgainstACertificatesName(t *testing.T) {
	t.Parallel()
	banned := filepath.Join(t.TempDir(), "banned.csv")
	of := nomad.ClientIDIsUsername(stacksOwn)
	assert.NilError(t, os.WriteFile(banned, []byte(of.Banned()), 0o600))
	l := newLab(t, 1)
	env := []string{certNames + "USERNAME=cn", `EMQX_MQTT__CLIENTID_OVERRIDE="` + string(of) + `"`, "EMQX_BANNED__BOOTSTRAP_FILE=" + banned}
	for typ, port := range map[string]string{"TCP": "1884", "WS": "8083"} {
		p := "EMQX_LISTENERS__" + typ + "__PROXIED__"
		env = append(env, p+"BIND="+l.ip(0)+":"+port, p+"PROXY_PROTOCOL=true")
	}
	l.start(0, env...)
	l.wantUp(0)
	for id, want := range map[string]byte{"device": 0, "liar": 0x8A, "device/1": 0x8A} {
		for _, conn := range []net.Conn{
			proxied(t, l.port("1884"), "device"), dialWS(t, proxied(t, l.port("8083"), "device"), "ws://x/mqtt", nil),
		} {
			_, ack := tryConnect(t, conn, connectOpts{id: id, v: 5, user: "liar"})
			assert.Equal(t, ack.ReasonCode, want, id)
			_ = conn.Close()
		}
	}
}
