package broker

import (
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// Rules are asked in order and the first that matches counts: who, action with its options, topics with
// placeholders, eq and all (emqx_authz_rule:match).
func TestRulesOfAFile(t *testing.T) {
	t.Parallel()
	rules, err := fileRules(`
%% a comment with {allow, all}.
{allow, {user, "ann"}, publish, ["a/#", {eq, "b/#"}]}.
{deny, {username, {re, "^sensor-[0-9]+$"}}, {publish, [{qos, [1, 2]}, {retain, true}]}, ["data"]}.
{allow, {clientid, <<"c1">>}, subscribe, all}.
{allow, {client, {re, "dev"}}, all, ["own/${clientid}/${username}", "eq own/+"]}.
{allow, {ipaddrs, ["10.1.0.0/16", "192.0.2.7"]}, {all, [{qos, 0}]}, ["net/+"]}.
{allow, {'and', [{ipaddr, "10.2.0.0/16"}, {'or', [{user, "x"}, {client, "y"}]}]}, publish, ["both"]}.
{allow, {client, "ret"}, {publish, [{retain, false}]}, ["r"]}.
{deny, all}.
`)
	assert.NilError(t, err)
	assert.Equal(t, len(rules), 8)
	pub, sub := action{publish: true}, action{}
	for _, c := range []struct {
		id, user, ip string
		do           action
		topic        string
		want         bool
	}{
		{"x", "ann", "10.9.0.1", pub, "a/b", true},
		{"x", "ann", "10.9.0.1", pub, "a", true}, // # is the level above it too
		{"x", "ann", "10.9.0.1", sub, "a/b", false},
		{"x", "ann", "10.9.0.1", pub, "b/#", true},
		{"x", "ann", "10.9.0.1", pub, "b/c", false},
		{"x", "sensor-1", "10.1.0.1", action{publish: true, qos: 0, retain: true}, "data", false},
		{"c1", "sensor-1", "10.9.0.1", sub, "$SYS/x", true}, // all topics, those with $ too
		{"dev1", "u", "10.9.0.1", pub, "own/dev1/u", true},
		{"dev1", "", "10.9.0.1", pub, "own/dev1/", false}, // a placeholder is never nothing
		{"dev1", "u", "10.9.0.1", pub, "own/dev2/u", false},
		{"my-dev", "", "10.9.0.1", sub, "own/+", true}, // an expression is looked for anywhere
		{"my-dev", "", "10.9.0.1", sub, "own/x", false},
		{"z", "", "10.1.3.4", sub, "net/+", true}, // of a filter + is a word
		{"z", "", "10.1.3.4", sub, "net/#", true},
		{"z", "", "10.1.3.4", sub, "net/a/b", false},
		{"z", "", "10.1.3.4", action{qos: 1}, "net/a", false},
		{"z", "", "192.0.2.7", pub, "net/a", true},
		{"y", "", "10.2.0.1", pub, "both", true},
		{"z", "", "10.2.0.1", pub, "both", false},
		{"z", "x", "10.3.0.1", pub, "both", false},
		{"ret", "", "10.3.0.1", pub, "r", true},
		{"ret", "", "10.3.0.1", action{publish: true, retain: true}, "r", false},
	} {
		who := &principal{clientID: c.id, host: netip.MustParseAddr(c.ip)}
		if c.user != "" {
			who.username = &c.user
		}
		got := matched(rules, who, c.do, c.topic)
		assert.Assert(t, got != nil && *got == c.want, "%+v", c)
	}
	for bad, want := range map[string]string{
		`{allow, all}`:                                    "full stop",
		`{permit, all}.`:                                  "invalid_authorization_permission",
		`{allow, all, write, ["t"]}.`:                     "invalid_authorization_action",
		`{allow, all, {publish, [{qos, 3}]}, ["t"]}.`:     "invalid_authorization_qos",
		`{allow, all, {publish, [{retain, on}]}, ["t"]}.`: "invalid_authorization_retain",
		`{allow, {ipaddr, "10.0.0"}, all, ["t"]}.`:        "invalid_client_match_condition",
		`{allow, {group, "x"}, all, ["t"]}.`:              "invalid_client_match_condition",
		`{allow, {user, {re, "("}}, all, ["t"]}.`:         "invalid_client_match_condition",
		`{allow, all, all, "t"}.`:                         "want a list of topics",
		"{allow, all}.\n{allow, all, all, [\"t]}.":        "line 2: a string has no end",
		`{allow, all, all, ["t"]}}.`:                      "full stop",
		strings.Repeat("[", 1000):                         "want a term",
	} {
		_, err := fileRules(bad)
		assert.ErrorContains(t, err, want, bad)
	}
}

// aclLab is one node whose rules are of a file.
func aclLab(t *testing.T, rules string, more ...string) *lab {
	t.Helper()
	l := newLab(t, 1)
	file := filepath.Join(t.TempDir(), "acl.conf")
	assert.NilError(t, os.WriteFile(file, []byte(rules), 0o600))
	l.extra = []string{`EMQX_AUTHORIZATION__SOURCES=[{type = file, path = "` + file + `"}]`}
	l.start(0, more...)
	l.wantUp(0)
	return l
}

// puback publishes and gives the code of what acknowledges it.
func (c *client) puback(topic string, qos byte) byte {
	c.t.Helper()
	c.id++
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos}, TopicName: topic, Payload: []byte("x"), PacketID: c.id,
	})
	return c.want(packets.Puback).ReasonCode
}

const ruled = `{allow, {user, "ann"}, all, ["open/#", "will/${clientid}"]}.
{allow, {user, "bob"}, subscribe, ["#"]}.
{deny, all}.
`

// What a client is told of a refusal: 0x87 of each filter and publication to MQTT 5, 0x80 of a
// filter and an empty PUBACK to MQTT 3.1.1, and it stays connected (emqx_channel).
func TestRefusalsAreTold(t *testing.T) {
	t.Parallel()
	l := aclLab(t, ruled)
	five := l.mqtt(0, connectOpts{id: "five", v: 5, user: "ann"})
	three := l.mqtt(0, connectOpts{id: "three", user: "ann"})
	five.id++
	five.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: five.id,
		Filters: packets.Subscriptions{{Filter: "open/#", Qos: 1}, {Filter: "closed", Qos: 1}, {Filter: "$share/g/open/+"}, {Filter: "$share/g/closed"}},
	})
	assert.DeepEqual(t, five.want(packets.Suback).ReasonCodes, []byte{1, 0x87, 0, 0x87})
	assert.Equal(t, three.subscribe("closed", 1), byte(0x80))
	assert.Equal(t, three.subscribe("open/x", 1), byte(1))
	assert.Equal(t, five.puback("closed", 1), byte(0x87))
	assert.Equal(t, three.puback("closed", 1), byte(0))
	bob := l.mqtt(0, connectOpts{id: "bob", v: 5, user: "bob"})
	assert.Equal(t, bob.subscribe("#", 1), byte(1))
	three.publish("closed", "dropped", 1, false)
	three.publish("open/x", "passed", 1, false)
	bob.wantMessage("open/x", "passed")
	bob.wantSilence(100 * time.Millisecond)

	two, _ := tryConnect(t, dial(t, l.ip(0)+":1883"), connectOpts{id: "two", v: 5, user: "ann"})
	two.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 2}, TopicName: "closed", PacketID: 7})
	ack := two.read(3 * time.Second)
	assert.Equal(t, ack.FixedHeader.Type, packets.Pubrec)
	assert.Equal(t, ack.ReasonCode, byte(0x87))
}

// deny_action = disconnect: DISCONNECT with 0x87, also for a publication of QoS 0.
func TestADenialMayDisconnect(t *testing.T) {
	t.Parallel()
	l := aclLab(t, ruled, "EMQX_AUTHORIZATION__DENY_ACTION=disconnect")
	for name, act := range map[string]func(*client){
		"subscribe": func(c *client) {
			c.send(packets.Packet{
				FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: 9,
				Filters: packets.Subscriptions{{Filter: "open/1"}, {Filter: "closed"}},
			})
		},
		"publish 0": func(c *client) { c.send(publishPacket("closed", "x")) },
		"publish 1": func(c *client) {
			c.send(packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: "closed", PacketID: 9})
		},
	} {
		c := l.mqtt(0, connectOpts{id: name, v: 5, user: "ann"})
		act(c)
		why := c.want(packets.Disconnect)
		assert.Equal(t, why.ReasonCode, byte(0x87), name)
		assert.Equal(t, why.Properties.ReasonString, "", name)
		c.wantClosed()
		for _, pk := range c.kept {
			t.Fatalf("%s: got %s", name, packets.PacketNames[pk.FixedHeader.Type])
		}
	}
	old := l.mqtt(0, connectOpts{id: "old", user: "ann"})
	old.send(publishPacket("closed", "x"))
	_ = old.conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	said, err := io.ReadAll(old.conn)
	assert.NilError(t, err)
	assert.Equal(t, len(said), 0, "MQTT 3.1.1 has no such packet: %x", said)
}

// A will is authorized when it is sent (prepare_will_message_for_publishing).
func TestAWillIsAuthorized(t *testing.T) {
	t.Parallel()
	l := aclLab(t, ruled)
	bob := l.mqtt(0, connectOpts{id: "bob", v: 5, user: "bob"})
	assert.Equal(t, bob.subscribe("#", 1), byte(1))
	for _, id := range []string{"other", "own"} {
		c := l.mqtt(0, connectOpts{id: id, v: 5, user: "ann", will: "will/own"})
		_ = c.conn.Close()
	}
	bob.wantMessage("will/own", "gone")
	bob.wantSilence(100 * time.Millisecond)
}

// A topic that comes as an alias is authorized as what it stands for (process_alias comes first).
func TestAnAliasIsAuthorizedAsItsTopic(t *testing.T) {
	t.Parallel()
	l := aclLab(t, ruled)
	c := l.mqtt(0, connectOpts{id: "c", v: 5, user: "ann"})
	for i, topic := range []string{"closed", "", "open/x", ""} {
		c.id++
		c.send(packets.Packet{
			FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: 1}, TopicName: topic, PacketID: c.id,
			Properties: packets.Properties{TopicAlias: uint16(1 + i/2), TopicAliasFlag: true},
		})
		want := byte(0x87)
		if i >= 2 {
			want = 0
		}
		assert.Equal(t, c.want(packets.Puback).ReasonCode, want, i)
	}
}

// Rules are for what a client asks, not for what is delivered to it.
func TestDeliveriesAreNotAuthorized(t *testing.T) {
	t.Parallel()
	l := aclLab(t, `{allow, all, subscribe, [{eq, "a/+"}]}.
{allow, all, publish, ["a/b"]}.
{deny, all}.`)
	c := l.mqtt(0, connectOpts{id: "c", v: 5})
	assert.Equal(t, c.subscribe("a/+", 1), byte(1))
	assert.Equal(t, c.subscribe("a/b", 1), byte(0x87))
	c.publish("a/b", "comes", 1, false)
	c.wantMessage("a/b", "comes")
}

const databaseRules = "/authorization/sources/built_in_database/rules"

// The built-in database: those of the client identifier first, then of the username, then for all;
// what was decided counts for a connection until the cache is emptied or its time is over.
func TestRulesOfTheDatabase(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	env := []string{
		"EMQX_AUTHORIZATION__SOURCES=[{type = built_in_database, max_rules = 2}]", "EMQX_AUTHORIZATION__NO_MATCH=deny",
		"EMQX_AUTHORIZATION__CACHE__EXCLUDES=[\"live/#\"]",
	}
	l.start(0, env...)
	l.start(1, env...)
	l.wantWhole()
	l.wantREST(0, "POST", databaseRules+"/users", `[{"username":"ann","rules":[{"topic":"a/${clientid}","permission":"allow","action":"publish","qos":[0,1]}]}]`, 204)
	l.wantREST(1, "POST", databaseRules+"/users", `[{"username":"ann","rules":[]}]`, 409)
	l.wantREST(1, "POST", databaseRules+"/clients", `[{"clientid":"c2","rules":[{"topic":"#","permission":"deny","action":"publish"}]}]`, 204)
	l.wantREST(1, "POST", databaseRules+"/all", `{"rules":[{"topic":"eq open/#","permission":"allow","action":"subscribe"}]}`, 204)
	l.wantREST(1, "POST", databaseRules+"/all", `{"rules":[{"topic":"x","permission":"allow","action":"read"}]}`, 400)
	l.wantREST(1, "PUT", databaseRules+"/users/bob", `{"username":"bob","rules":[{},{},{}]}`, 400)
	for i := range 2 {
		c := l.mqtt(i, connectOpts{id: "c1", v: 5, user: "ann"})
		assert.Equal(t, c.puback("a/c1", 1), byte(0))
		assert.Equal(t, c.puback("a/c2", 1), byte(0x87))
		assert.Equal(t, c.subscribe("open/#", 1), byte(1))
		assert.Equal(t, c.subscribe("open/x", 1), byte(0x87))
		c = l.mqtt(i, connectOpts{id: "c2", v: 5, user: "ann"})
		assert.Equal(t, c.puback("a/c2", 1), byte(0x87))
	}
	assert.Assert(t, strings.Contains(l.wantREST(0, "GET", databaseRules+"/users/ann", "", 200), `"retain":"all"`))
	assert.Assert(t, strings.Contains(l.wantREST(0, "GET", databaseRules+"/clients", "", 200), `"count":1`))

	c := l.mqtt(0, connectOpts{id: "c1", v: 5, user: "ann"})
	assert.Equal(t, c.puback("a/c1", 1), byte(0))
	assert.Equal(t, c.puback("live/x", 1), byte(0x87))
	l.wantREST(1, "PUT", databaseRules+"/users/ann", `{"username":"ann","rules":[{"topic":"live/#","permission":"allow","action":"all"}]}`, 204)
	assert.Equal(t, c.puback("a/c1", 1), byte(0), "what was decided counts for a minute")
	assert.Equal(t, c.puback("live/x", 1), byte(0), "but for topics that are not cached")
	l.wantREST(1, "DELETE", "/authorization/cache", "", 204)
	assert.Equal(t, c.puback("a/c1", 1), byte(0x87))

	l.wantREST(1, "DELETE", databaseRules+"/users/ann", "", 204)
	l.wantREST(1, "DELETE", databaseRules+"/users/ann", "", 404)
	l.wantREST(1, "DELETE", databaseRules, "", 400)
	l.wantREST(1, "DELETE", "/authorization/sources/built_in_database", "", 204)
	l.wantREST(0, "GET", databaseRules+"/all", "", 404)
}

// The cache forgets when its time is over, and keeps no more than its size.
func TestTheCacheOfDecisions(t *testing.T) {
	t.Parallel()
	var d decisions
	key := func(topic string) decisionKey { return decisionKey{action{publish: true}, topic} }
	d.put(key("a"), true, 2)
	d.put(key("b"), false, 2)
	allow, ok := d.get(key("a"), time.Minute, time.Time{})
	assert.Assert(t, allow && ok)
	_, ok = d.get(decisionKey{action{}, "a"}, time.Minute, time.Time{})
	assert.Assert(t, !ok, "another action")
	_, ok = d.get(key("a"), time.Nanosecond, time.Time{})
	assert.Assert(t, !ok)
	_, ok = d.get(key("a"), time.Minute, time.Now())
	assert.Assert(t, !ok)
	d.put(key("c"), true, 2)
	_, ok = d.get(key("a"), time.Minute, time.Time{})
	assert.Assert(t, !ok, "the oldest goes")
}

// A superuser may do all, and is asked nothing (emqx_authz:authorize).
func TestASuperuserMayDoAll(t *testing.T) {
	t.Parallel()
	l := aclLab(t, "{deny, all}.", "EMQX_AUTHENTICATION=["+builtinConf+"]")
	const users = "/authentication/password_based:built_in_database/users"
	l.wantREST(0, "POST", users, `{"user_id":"root","password":"p","is_superuser":true}`, 201)
	l.wantREST(0, "POST", users, `{"user_id":"ann","password":"p"}`, 201)
	root := l.mqtt(0, connectOpts{id: "root", v: 5, user: "root", password: "p"})
	ann := l.mqtt(0, connectOpts{id: "ann", v: 5, user: "ann", password: "p"})
	assert.Equal(t, root.subscribe("#", 1), byte(1))
	assert.Equal(t, ann.subscribe("t", 1), byte(0x87))
	assert.Equal(t, root.puback("t", 1), byte(0))
}

// Sources and settings at run time, on all members; rules of a file that came by the API lie in the data
// directory of each, and cluster.hocon has their path.
func TestSourcesAtRunTime(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	var env []string
	p := l.start(0, env...)
	l.start(1, env...)
	l.wantWhole()
	c := l.mqtt(1, connectOpts{id: "c", v: 5})
	assert.Equal(t, c.puback("t", 1), byte(0))
	l.wantREST(0, "POST", "/authorization/sources", `{"type":"file","rules":"{deny, all, publish, [\"t\"]}."}`, 204)
	l.wantREST(0, "POST", "/authorization/sources", `{"type":"file","rules":"{deny, all}."}`, 400)
	l.wantREST(0, "PUT", "/authorization/sources/file", `{"type":"file","rules":"{deny, all"}`, 400)
	l.wantREST(0, "PUT", "/authorization/sources/file", `{"type":"file","path":"/etc/hostname"}`, 400)
	l.wantREST(0, "POST", "/authorization/sources", `{"type":"mysql"}`, 400)
	assert.Equal(t, c.puback("t", 1), byte(0x87), "a source that changes empties the cache")
	assert.Equal(t, c.puback("u", 1), byte(0))
	settings := l.wantREST(1, "PUT", "/authorization/settings", `{"no_match":"deny","deny_action":"ignore","cache":{"enable":false}}`, 200)
	assert.Assert(t, strings.Contains(settings, `"no_match":"deny"`), settings)
	l.wantREST(1, "PUT", "/authorization/settings", `{"no_match":"maybe","deny_action":"ignore","cache":{}}`, 400)
	c = l.mqtt(0, connectOpts{id: "c", v: 5})
	assert.Equal(t, c.puback("u", 1), byte(0x87))
	for i := range 2 {
		conf, err := os.ReadFile(filepath.Join(l.dirs[i], "configs", "cluster.hocon"))
		assert.NilError(t, err)
		assert.Assert(t, strings.Contains(string(conf), filepath.Join(l.dirs[i], "authz", "acl.conf")) && !strings.Contains(string(conf), "{deny"), string(conf))
		rules, err := os.ReadFile(filepath.Join(l.dirs[i], "authz", "acl.conf"))
		assert.NilError(t, err)
		assert.Equal(t, string(rules), `{deny, all, publish, ["t"]}.`)
	}
	l.wantREST(0, "POST", "/authorization/sources", `{"type":"built_in_database"}`, 204)
	l.wantREST(0, "POST", databaseRules+"/all", `{"rules":[{"topic":"t","permission":"allow","action":"publish"}]}`, 204)
	assert.Equal(t, c.puback("t", 1), byte(0), "the new source is before the others")
	l.wantREST(0, "POST", "/authorization/sources/built_in_database/move", `{"position":"rear"}`, 204)
	assert.Equal(t, c.puback("t", 1), byte(0x87))
	l.wantREST(0, "PUT", "/authorization/sources/order", `[{"type":"built_in_database"},{"type":"file"}]`, 204)
	assert.Equal(t, c.puback("t", 1), byte(0))
	l.wantREST(0, "PUT", "/authorization/sources/built_in_database", `{"type":"built_in_database","enable":false}`, 204)
	assert.Equal(t, c.puback("t", 1), byte(0x87))

	assert.NilError(t, p.stop(t))
	o := l.options(0) // what was changed is there again, but for what the environment has
	l.run(0, o)
	l.wantWhole()
	l.wantREST(0, "GET", "/authorization/sources/file", "", 404)
	assert.Assert(t, strings.Contains(l.wantREST(0, "GET", "/authorization/settings", "", 200), `"no_match":"deny"`))
	assert.Assert(t, strings.Contains(l.wantREST(1, "GET", "/authorization/sources/file", "", 200), "{deny, all, publish"))
}

// Whatever a file of rules has in it, it is rules or a fault.
func FuzzRulesOfAFile(f *testing.F) {
	for _, seed := range []string{
		defaultRules, ruled, `{allow, {'and', [{ipaddr, "10.0.0.0/8"}]}, {publish, [{qos, [0, 1]}]}, [<<"a/#"/utf8>>, {eq, "b"}]}.`,
		"%", "{", "'", `"a" "b".`, "<<\"", "-1.", "{allow, all}. {deny",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		rules, err := fileRules(text)
		if err != nil {
			return
		}
		matched(rules, &principal{clientID: "c", host: netip.MustParseAddr("10.0.0.1")}, action{publish: true}, "a/b")
	})
}
