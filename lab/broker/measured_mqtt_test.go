package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// What a real EMQX 5.8.9 answered to packets at the edge of what it takes, with mqtt.max_clientid_len = 30 and
// mqtt.max_topic_levels = 5, a built-in user u with the password p, and no rules.

type rawConnect struct {
	id                string
	user, password    *string
	stays             bool // clean start is off
	will, payload     *string
	willQoS, reserved byte
	name              string
	properties        []byte
}

func field(text string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(text))), text...) //nolint:gosec // short
}

func rawPacket(first byte, parts ...[]byte) []byte {
	var body []byte
	for _, p := range parts {
		body = append(body, p...)
	}
	return append(binary.AppendUvarint([]byte{first}, uint64(len(body))), body...) // MQTT's lengths are such numbers
}

func (c rawConnect) packet(v byte) []byte {
	flags := c.reserved
	body := append(field("MQTT"), v, 0, 0, 30)
	if c.name != "" {
		body = append(field(c.name), v, 0, 0, 30)
	}
	at := len(body) - 3
	if v == 5 {
		body = append(append(body, byte(len(c.properties))), c.properties...)
	}
	body = append(body, field(c.id)...)
	if !c.stays {
		flags |= 0x02
	}
	if c.will != nil {
		flags |= 0x04 | c.willQoS<<3
		if v == 5 {
			body = append(body, 0)
		}
		body = append(append(body, field(*c.will)...), field(*c.payload)...)
	}
	if c.user != nil {
		flags |= 0x80
		body = append(body, field(*c.user)...)
	}
	if c.password != nil {
		flags |= 0x40
		body = append(body, field(*c.password)...)
	}
	body[at] = flags
	return rawPacket(0x10, body)
}

// none is the properties of a packet that has none.
func none(v byte) []byte {
	if v == 5 {
		return []byte{0}
	}
	return nil
}

func rawSubscribe(v byte, id uint16, filters ...string) []byte {
	body := append(binary.BigEndian.AppendUint16(nil, id), none(v)...)
	for _, f := range filters {
		body = append(append(body, field(f)...), 1)
	}
	return rawPacket(0x82, body)
}

func rawPublish(v byte, topic string, qos byte, id uint16) []byte {
	body := field(topic)
	if qos > 0 {
		body = binary.BigEndian.AppendUint16(body, id)
	}
	return rawPacket(0x30|qos<<1, body, none(v), []byte("x"))
}

// answers are what comes until nothing more does: "CONNACK 85, closed".
func answers(t *testing.T, conn net.Conn, v byte, sent ...[]byte) string {
	t.Helper()
	var seen []string
	c := &client{t: t, conn: conn, v: v}
	for i, pk := range sent {
		if _, err := conn.Write(pk); err != nil {
			break
		}
		for {
			wait := 2 * time.Second
			if i == len(sent)-1 && len(seen) > i {
				wait = 150 * time.Millisecond // for what may come besides
			}
			assert.NilError(t, conn.SetReadDeadline(time.Now().Add(wait)))
			pk, err := c.readOne()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return strings.Join(seen, ", ")
			}
			if err != nil {
				return strings.Join(append(seen, "closed"), ", ")
			}
			codes := pk.ReasonCodes
			if len(codes) == 0 {
				codes = []byte{pk.ReasonCode}
			}
			assert.Equal(t, pk.Properties.ReasonString, "", "EMQX says no more than the code")
			seen = append(seen, fmt.Sprintf("%s %02x", strings.ToUpper(packets.PacketNames[pk.FixedHeader.Type]), codes))
			if i < len(sent)-1 {
				break
			}
		}
	}
	return strings.Join(seen, ", ")
}

func measuredNode(t *testing.T) *lab {
	t.Helper()
	l := newLab(t, 1, keyFile(t, "ops:s3cret\n"), "EMQX_MQTT__MAX_CLIENTID_LEN=30", "EMQX_MQTT__MAX_TOPIC_LEVELS=5",
		"EMQX_AUTHENTICATION=[{mechanism=password_based,backend=built_in_database,user_id_type=username,password_hash_algorithm={name=plain,salt_position=disable}}]")
	l.start(0)
	l.wantUp(0)
	code, body := httpDo("POST", l.url(0, "/api/v5/authentication/password_based%3Abuilt_in_database/users"), `{"user_id":"u","password":"p"}`, "ops", "s3cret")
	assert.Equal(t, code, 201, body)
	return l
}

func TestConnectsAreAnsweredAsMeasured(t *testing.T) {
	t.Parallel()
	l := measuredNode(t)
	is := func(text string) *string { return &text }
	u, p, empty := is("u"), is("p"), is("")
	for _, c := range []struct {
		name        string
		connect     rawConnect
		three, five string
	}{
		{"right", rawConnect{id: "c", user: u, password: p}, "CONNACK 00", "CONNACK 00"},
		{"a wrong password", rawConnect{id: "c", user: u, password: is("x")}, "CONNACK 04, closed", "CONNACK 86, closed"},
		{"nobody", rawConnect{id: "c", user: is("n"), password: p}, "CONNACK 05, closed", "CONNACK 87, closed"},
		{"no password", rawConnect{id: "c", user: u}, "CONNACK 04, closed", "CONNACK 86, closed"},
		{"an empty password", rawConnect{id: "c", user: u, password: empty}, "CONNACK 04, closed", "CONNACK 86, closed"},
		{"an empty user and password", rawConnect{id: "c", user: empty, password: empty}, "CONNACK 05, closed", "CONNACK 87, closed"},
		{"no identifier", rawConnect{user: u, password: p}, "CONNACK 00", "CONNACK 00"},
		{"no identifier for a session that stays", rawConnect{user: u, password: p, stays: true}, "CONNACK 02, closed", "CONNACK 85, closed"},
		{"an identifier of 30", rawConnect{id: strings.Repeat("i", 30), user: u, password: p}, "CONNACK 00", "CONNACK 00"},
		{"one of 31", rawConnect{id: strings.Repeat("i", 31), user: u, password: p}, "CONNACK 02, closed", "CONNACK 85, closed"},
		{"one of 31, of nobody", rawConnect{id: strings.Repeat("i", 31), user: is("n"), password: p}, "CONNACK 02, closed", "CONNACK 85, closed"},
		{"a will", rawConnect{id: "c", user: u, password: p, will: is("a"), payload: is("x")}, "CONNACK 00", "CONNACK 00"},
		{"a will of nothing", rawConnect{id: "c", user: u, password: p, will: is("a"), payload: empty}, "CONNACK 00", "CONNACK 00"},
		{"a will nowhere", rawConnect{id: "c", user: u, password: p, will: empty, payload: is("x")}, "CONNACK 03, closed", "CONNACK 90, closed"},
		{"a will to a filter", rawConnect{id: "c", user: u, password: p, will: is("a/#"), payload: is("x")}, "CONNACK 03, closed", "CONNACK 90, closed"},
		{"a deep will", rawConnect{id: "c", user: u, password: p, will: is("a/b/c/d/e/f"), payload: is("x")}, "CONNACK 00", "CONNACK 00"},
		{"a will of QoS 3", rawConnect{id: "c", user: u, password: p, will: is("a"), payload: is("x"), willQoS: 3}, "closed", "CONNACK 95, closed"},
		{"the reserved flag", rawConnect{id: "c", user: u, password: p, reserved: 1}, "closed", "CONNACK 95, closed"},
		{"response information 2", rawConnect{id: "c", user: u, password: p, properties: []byte{0x19, 2}}, "CONNACK 00", "CONNACK 82, closed"},
		{"problem information 2", rawConnect{id: "c", user: u, password: p, properties: []byte{0x17, 2}}, "CONNACK 00", "CONNACK 82, closed"},
	} {
		for v, want := range map[byte]string{4: c.three, 5: c.five} {
			got := answers(t, dial(t, l.ip(0)+":1883"), v, c.connect.packet(v))
			assert.Check(t, got == want, "%s, version %d: got %s, want %s", c.name, v, got, want)
		}
	}
	other := rawConnect{id: "c", user: u, password: p, name: "NOPE"}
	assert.Equal(t, answers(t, dial(t, l.ip(0)+":1883"), 4, other.packet(4)), "closed", "another protocol")
}

func TestRequestsAreAnsweredAsMeasured(t *testing.T) {
	t.Parallel()
	l := measuredNode(t)
	u, p := "u", "p"
	deep := "a/b/c/d/e/f"
	publish := func(topic string, qos byte, id uint16) func(byte) []byte {
		return func(v byte) []byte { return rawPublish(v, topic, qos, id) }
	}
	subscribe := func(filters ...string) func(byte) []byte {
		return func(v byte) []byte { return rawSubscribe(v, 1, filters...) }
	}
	for _, c := range []struct {
		name        string
		send        func(v byte) []byte
		three, five string
	}{
		{"5 levels", subscribe("a/b/c/d/e"), "SUBACK 01", "SUBACK 01"},
		{"6 levels", subscribe(deep), "SUBACK 80", "SUBACK 8f"},
		{"5 and a wildcard", subscribe("a/b/c/d/e/#"), "SUBACK 80", "SUBACK 8f"},
		{"empty levels", subscribe("/////"), "SUBACK 80", "SUBACK 8f"},
		{"6 levels beside others", subscribe("a", deep), "SUBACK 0180", "SUBACK 018f"},
		{"5 levels of a group", subscribe("$share/g/a/b/c/d/e"), "SUBACK 01", "SUBACK 01"},
		{"6 levels of a group", subscribe("$share/g/" + deep), "SUBACK 80", "SUBACK 8f"},
		{"no filter", subscribe(), "closed", "DISCONNECT 8f, closed"},
		{"an empty filter", subscribe(""), "closed", "DISCONNECT 8f, closed"},
		{"one that is none", subscribe("a#"), "closed", "DISCONNECT 8f, closed"},
		{"one that goes on", subscribe("a", "a/#/b"), "closed", "DISCONNECT 8f, closed"},
		{"a group of nothing", subscribe("$share/g"), "closed", "DISCONNECT 8f, closed"},
		{"a group with a wildcard", subscribe("$share/+/a"), "closed", "DISCONNECT 8f, closed"},
		{"a group without a name", subscribe("$share//a"), "closed", "DISCONNECT 8f, closed"},
		{"the identifier 0", func(v byte) []byte { return rawSubscribe(v, 0, "a") }, "SUBACK 01", "SUBACK 01"},
		{"nothing to unsubscribe from", func(v byte) []byte { return rawPacket(0xa2, []byte{0, 1}, none(v)) }, "closed", "DISCONNECT 8f, closed"},
		{"6 levels to unsubscribe from", func(v byte) []byte { return rawPacket(0xa2, []byte{0, 1}, none(v), field(deep)) }, "UNSUBACK 00", "UNSUBACK 11"},
		{"a publication at 5 levels", publish("a/b/c/d/e", 1, 1), "PUBACK 00", "PUBACK 00"},
		{"at 6, QoS 0", publish(deep, 0, 0), "closed", "DISCONNECT 90, closed"},
		{"at 6, QoS 1", publish(deep, 1, 1), "closed", "DISCONNECT 90, closed"},
		{"at 6, QoS 2", publish(deep, 2, 1), "closed", "DISCONNECT 90, closed"},
		{"to a filter", publish("a/+", 1, 1), "closed", "DISCONNECT 90, closed"},
		{"to nowhere", publish("", 1, 1), "closed", "DISCONNECT 82, closed"},
		{"with the identifier 0", publish("a", 1, 0), "PUBACK 00", "PUBACK 00"},
		{"a second CONNECT", rawConnect{id: "c", user: &u, password: &p}.packet, "closed", "DISCONNECT 82, closed"},
	} {
		for v, want := range map[byte]string{4: c.three, 5: c.five} {
			got := answers(t, dial(t, l.ip(0)+":1883"), v, rawConnect{id: fmt.Sprint("c", v), user: &u, password: &p}.packet(v), c.send(v))
			assert.Check(t, got == "CONNACK 00, "+want, "%s, version %d: got %s, want %s", c.name, v, got, want)
		}
	}
}

// Whose connection EMQX breaks off for what it has sent leaves a will, as by any end but its own.
func TestAWillOfWhomEMQXBreaksOff(t *testing.T) {
	t.Parallel()
	l := measuredNode(t)
	watcher := l.mqtt(0, connectOpts{id: "watcher", user: "u", password: "p"})
	watcher.subscribe("wills/#", 1)
	for name, send := range map[string][]byte{
		"six": rawPublish(5, "a/b/c/d/e/f", 1, 1), "wildcard": rawPublish(5, "a/+", 1, 1), "filter": rawSubscribe(5, 1, "a#"),
	} {
		u, p, will, payload := "u", "p", "wills/"+name, ""
		conn := dial(t, l.ip(0)+":1883")
		got := answers(t, conn, 5, rawConnect{id: name, user: &u, password: &p, will: &will, payload: &payload}.packet(5), send)
		assert.Assert(t, strings.HasSuffix(got, "closed"), "%s: %s", name, got)
		pk := watcher.want(packets.Publish)
		assert.Equal(t, pk.TopicName, will)
		assert.Equal(t, string(pk.Payload), "")
	}
}
