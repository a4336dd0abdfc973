package broker

import (
	"bytes"
	"io"
	"net"
	"slices"
	"testing"
	"time"

	"github.com/mochi-mqtt/server/v2/packets"
	"gotest.tools/v3/assert"
)

// client is a small MQTT client for any stream and version.
type client struct {
	t    *testing.T
	conn net.Conn
	v    byte
	in   chan packets.Packet
	kept []packets.Packet // came while something else was waited for
	id   uint16
}

type connectOpts struct {
	id   string
	v    byte
	keep bool // not clean, the session stays
	will string

	user, password string // not sent when empty
}

func connect(t *testing.T, conn net.Conn, o connectOpts) (*client, packets.Packet) {
	t.Helper()
	c, ack := tryConnect(t, conn, o)
	assert.Equal(t, ack.ReasonCode, byte(0))
	go c.loop()
	return c, ack
}

// tryConnect may be refused.
func tryConnect(t *testing.T, conn net.Conn, o connectOpts) (*client, packets.Packet) {
	t.Helper()
	if o.v == 0 {
		o.v = 4
	}
	c := &client{t: t, conn: conn, v: o.v, in: make(chan packets.Packet, 1000)}
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Connect}, ProtocolVersion: o.v,
		Connect: packets.ConnectParams{ProtocolName: []byte("MQTT"), ClientIdentifier: o.id, Clean: !o.keep, Keepalive: 30},
	}
	if o.keep && o.v == 5 {
		pk.Properties.SessionExpiryInterval, pk.Properties.SessionExpiryIntervalFlag = 3600, true
	}
	if o.will != "" {
		pk.Connect.WillFlag, pk.Connect.WillTopic, pk.Connect.WillPayload = true, o.will, []byte("gone")
	}
	pk.Connect.UsernameFlag, pk.Connect.Username = o.user != "", []byte(o.user)
	pk.Connect.PasswordFlag, pk.Connect.Password = o.password != "", []byte(o.password)
	c.send(pk)
	t.Cleanup(func() { _ = conn.Close() })
	ack := c.read(3 * time.Second)
	assert.Equal(t, ack.FixedHeader.Type, packets.Connack)
	return c, ack
}

func (c *client) send(pk packets.Packet) {
	c.t.Helper()
	pk.ProtocolVersion, pk.Mods.AllowResponseInfo = c.v, true
	var b bytes.Buffer
	var err error
	switch pk.FixedHeader.Type {
	case packets.Connect:
		err = pk.ConnectEncode(&b)
	case packets.Publish:
		err = pk.PublishEncode(&b)
	case packets.Subscribe:
		err = pk.SubscribeEncode(&b)
	case packets.Unsubscribe:
		err = pk.UnsubscribeEncode(&b)
	case packets.Puback:
		err = pk.PubackEncode(&b)
	case packets.Pubrec:
		err = pk.PubrecEncode(&b)
	case packets.Pubrel:
		err = pk.PubrelEncode(&b)
	case packets.Pubcomp:
		err = pk.PubcompEncode(&b)
	case packets.Disconnect:
		err = pk.DisconnectEncode(&b)
	}
	assert.NilError(c.t, err)
	_, err = c.conn.Write(b.Bytes())
	assert.NilError(c.t, err)
}

func (c *client) readOne() (packets.Packet, error) {
	var b [1]byte
	pk := packets.Packet{ProtocolVersion: c.v}
	if _, err := io.ReadFull(c.conn, b[:]); err != nil {
		return pk, err
	}
	if err := pk.FixedHeader.Decode(b[0]); err != nil {
		return pk, err
	}
	n, _, err := packets.DecodeLength(byteReader{c.conn})
	if err != nil {
		return pk, err
	}
	body := make([]byte, n)
	if _, err := io.ReadFull(c.conn, body); err != nil {
		return pk, err
	}
	pk.FixedHeader.Remaining = n
	switch pk.FixedHeader.Type {
	case packets.Connack:
		err = pk.ConnackDecode(body)
	case packets.Publish:
		err = pk.PublishDecode(body)
	case packets.Suback:
		err = pk.SubackDecode(body)
	case packets.Unsuback:
		err = pk.UnsubackDecode(body)
	case packets.Puback:
		err = pk.PubackDecode(body)
	case packets.Pubrec:
		err = pk.PubrecDecode(body)
	case packets.Pubrel:
		err = pk.PubrelDecode(body)
	case packets.Pubcomp:
		err = pk.PubcompDecode(body)
	case packets.Disconnect:
		err = pk.DisconnectDecode(body)
	}
	return pk, err
}

type byteReader struct{ r io.Reader }

func (b byteReader) ReadByte() (byte, error) {
	var x [1]byte
	_, err := io.ReadFull(b.r, x[:])
	return x[0], err
}

func (c *client) read(d time.Duration) packets.Packet {
	c.t.Helper()
	_ = c.conn.SetReadDeadline(time.Now().Add(d))
	pk, err := c.readOne()
	assert.NilError(c.t, err)
	_ = c.conn.SetReadDeadline(time.Time{})
	return pk
}

// loop answers the QoS handshakes and hands everything else on.
func (c *client) loop() {
	defer close(c.in)
	for {
		pk, err := c.readOne()
		if err != nil {
			return
		}
		switch {
		case pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos == 1:
			c.reply(packets.Puback, pk.PacketID)
		case pk.FixedHeader.Type == packets.Publish && pk.FixedHeader.Qos == 2:
			c.reply(packets.Pubrec, pk.PacketID)
		case pk.FixedHeader.Type == packets.Pubrel:
			c.reply(packets.Pubcomp, pk.PacketID)
			continue
		case pk.FixedHeader.Type == packets.Pubrec:
			c.reply(packets.Pubrel, pk.PacketID)
			continue
		}
		c.in <- pk
	}
}

func (c *client) reply(typ byte, id uint16) {
	pk := packets.Packet{FixedHeader: packets.FixedHeader{Type: typ}, PacketID: id, ProtocolVersion: c.v}
	if typ == packets.Pubrel {
		pk.FixedHeader.Qos = 1
	}
	var b bytes.Buffer
	switch typ {
	case packets.Puback:
		_ = pk.PubackEncode(&b)
	case packets.Pubrec:
		_ = pk.PubrecEncode(&b)
	case packets.Pubrel:
		_ = pk.PubrelEncode(&b)
	case packets.Pubcomp:
		_ = pk.PubcompEncode(&b)
	}
	_, _ = c.conn.Write(b.Bytes())
}

func (c *client) want(typ byte) packets.Packet {
	c.t.Helper()
	if i := slices.IndexFunc(c.kept, func(pk packets.Packet) bool { return pk.FixedHeader.Type == typ }); i >= 0 {
		pk := c.kept[i]
		c.kept = slices.Delete(c.kept, i, i+1)
		return pk
	}
	for {
		select {
		case pk, ok := <-c.in:
			if !ok {
				c.t.Fatalf("closed while waiting for %s", packets.PacketNames[typ])
			}
			if pk.FixedHeader.Type == typ {
				return pk
			}
			c.kept = append(c.kept, pk)
		case <-time.After(5 * time.Second):
			c.t.Fatalf("no %s came", packets.PacketNames[typ])
		}
	}
}

func (c *client) wantMessage(topic, payload string) packets.Packet {
	c.t.Helper()
	pk := c.want(packets.Publish)
	assert.Equal(c.t, pk.TopicName, topic)
	assert.Equal(c.t, string(pk.Payload), payload)
	return pk
}

func (c *client) wantSilence(d time.Duration) {
	c.t.Helper()
	for _, pk := range c.kept {
		if pk.FixedHeader.Type == packets.Publish {
			c.t.Fatalf("got %s: %s", pk.TopicName, pk.Payload)
		}
	}
	for end := time.After(d); ; {
		select {
		case pk, ok := <-c.in:
			if !ok {
				c.t.Fatal("the connection closed")
			}
			if pk.FixedHeader.Type == packets.Publish {
				c.t.Fatalf("got %s: %s", pk.TopicName, pk.Payload)
			}
		case <-end:
			return
		}
	}
}

func (c *client) wantClosed() {
	c.t.Helper()
	for end := time.After(5 * time.Second); ; {
		select {
		case _, ok := <-c.in:
			if !ok {
				return
			}
		case <-end:
			c.t.Fatal("the connection stays open")
		}
	}
}

func (c *client) subscribe(filter string, qos byte) byte {
	c.t.Helper()
	c.id++
	c.send(packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Subscribe, Qos: 1}, PacketID: c.id,
		Filters: packets.Subscriptions{{Filter: filter, Qos: qos}},
	})
	return c.want(packets.Suback).ReasonCodes[0]
}

func (c *client) publish(topic, payload string, qos byte, retain bool) {
	c.t.Helper()
	pk := packets.Packet{
		FixedHeader: packets.FixedHeader{Type: packets.Publish, Qos: qos, Retain: retain}, TopicName: topic, Payload: []byte(payload),
	}
	if qos > 0 {
		c.id++
		pk.PacketID = c.id
	}
	c.send(pk)
	switch qos {
	case 1:
		c.want(packets.Puback)
	case 2:
		c.want(packets.Pubcomp)
	}
}

func publishPacket(topic, payload string) packets.Packet {
	return packets.Packet{FixedHeader: packets.FixedHeader{Type: packets.Publish}, TopicName: topic, Payload: []byte(payload)}
}
