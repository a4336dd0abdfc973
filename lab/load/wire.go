package load

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/gorilla/websocket"
)

// writeTimeout ends a connection whose other side takes nothing any more.
const writeTimeout = 10 * time.Second

// wire is one connection to a broker. Any goroutine may write, one reads.
type wire struct {
	conn    net.Conn
	in      *bufio.Reader
	window  int // messages that the broker takes unacknowledged
	present bool

	mu  sync.Mutex // of writing
	out bytes.Buffer

	lastIn, lastOut atomic.Int64 // Unix nanoseconds
	pinged          atomic.Int64 // when the PING was sent that has no answer yet, or 0
	cause           atomic.Pointer[error]
}

// dial opens the stream of bytes: TCP, TLS, WebSocket, or both.
func dial(ctx context.Context, s resolved, e endpoint, source netip.Addr) (*wire, error) {
	conn, err := s.Dial(ctx, "tcp", e.address, source)
	if err != nil {
		return nil, failure("dial", err)
	}
	// What follows has no context of its own everywhere.
	if deadline, ok := ctx.Deadline(); ok {
		_ = conn.SetDeadline(deadline)
	}
	if e.secure {
		secured := tls.Client(conn, s.tls(e))
		if err := secured.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, failure("tls", err)
		}
		conn = secured
	}
	if e.webSocket {
		conn, err = upgrade(ctx, conn, e)
		if err != nil {
			return nil, failure("websocket", err)
		}
	}
	w := &wire{conn: conn, in: bufio.NewReader(conn)}
	now := time.Now().UnixNano()
	w.lastIn.Store(now)
	w.lastOut.Store(now)
	return w, nil
}

func upgrade(ctx context.Context, conn net.Conn, e endpoint) (net.Conn, error) {
	given := func(context.Context, string, string) (net.Conn, error) { return conn, nil }
	d := websocket.Dialer{NetDialContext: given, NetDialTLSContext: given, Subprotocols: []string{"mqtt"}}
	ws, res, err := d.DialContext(ctx, e.url, nil)
	if res != nil {
		defer res.Body.Close()
	}
	if err != nil {
		_ = conn.Close()
		if res != nil {
			err = fmt.Errorf("%w: %s", err, res.Status)
		}
		return nil, err
	}
	return &stream{Conn: conn, ws: ws}, nil
}

// stream is the bytes inside a WebSocket's binary frames.
type stream struct {
	net.Conn
	ws    *websocket.Conn
	frame io.Reader
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.frame == nil {
			kind, r, err := s.ws.NextReader()
			if err != nil {
				return 0, err
			}
			if kind != websocket.BinaryMessage {
				return 0, errors.New("a frame of text came")
			}
			s.frame = r
		}
		n, err := s.frame.Read(p)
		if errors.Is(err, io.EOF) {
			s.frame, err = nil, nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (s *stream) Write(p []byte) (int, error) {
	if err := s.ws.WriteMessage(websocket.BinaryMessage, p); err != nil {
		return 0, err
	}
	return len(p), nil
}

// send writes a packet in one piece. An error has ended the connection already.
func (w *wire) send(kind byte, content packets.Packet) error {
	p := packets.ControlPacket{FixedHeader: packets.FixedHeader{Type: kind}, Content: content}
	if kind == packets.PUBREL || kind == packets.SUBSCRIBE || kind == packets.UNSUBSCRIBE {
		p.Flags = 2
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.out.Reset()
	if _, err := p.WriteTo(&w.out); err != nil {
		return err
	}
	_ = w.conn.SetWriteDeadline(time.Now().Add(writeTimeout))
	if _, err := w.conn.Write(w.out.Bytes()); err != nil {
		w.fail(failure("lost", err))
		return err
	}
	w.lastOut.Store(time.Now().UnixNano())
	return nil
}

// receive reads the next packet.
func (w *wire) receive() (*packets.ControlPacket, error) {
	p, err := packets.ReadPacket(w.in)
	if err != nil {
		w.fail(failure("lost", err))
		return nil, *w.cause.Load()
	}
	w.lastIn.Store(time.Now().UnixNano())
	return p, nil
}

// fail ends the connection; the first reason counts.
func (w *wire) fail(cause error) {
	w.cause.CompareAndSwap(nil, &cause)
	_ = w.conn.Close()
}

// open sends CONNECT and reads CONNACK. The deadline stays until established.
func (w *wire) open(ctx context.Context, s resolved, id string) error {
	deadline, _ := ctx.Deadline()
	_ = w.conn.SetReadDeadline(deadline)
	expiry := uint32(s.SessionExpiry / time.Second)
	connect := &packets.Connect{
		ProtocolName: "MQTT", ProtocolVersion: 5, ClientID: id, KeepAlive: uint16(s.KeepAlive / time.Second),
		Properties: &packets.Properties{SessionExpiryInterval: &expiry},
	}
	if s.Username != "" {
		connect.UsernameFlag, connect.Username = true, s.Username
		connect.PasswordFlag, connect.Password = s.Password != "", []byte(s.Password)
		connect.ClientID = s.Username + "/" + id // as a stack may want it (auth.clientId)
	}
	if err := w.send(packets.CONNECT, connect); err != nil {
		return failure("connack", err)
	}
	p, err := packets.ReadPacket(w.in)
	if err != nil {
		return failure("connack", err)
	}
	ack, ok := p.Content.(*packets.Connack)
	if !ok {
		return &brokenError{kind: "connack: another packet", cause: fmt.Errorf("got %s", p.PacketType())}
	}
	if ack.ReasonCode != 0 {
		return &brokenError{kind: "connack: " + reason(ack.ReasonCode)}
	}
	w.present, w.window = ack.SessionPresent, s.Window
	if ack.Properties != nil && ack.Properties.ReceiveMaximum != nil {
		w.window = min(w.window, int(*ack.Properties.ReceiveMaximum))
	}
	return nil
}

// subscribe asks for topics. The answer is left to the reader: what a session has queued may come before it.
func (w *wire) subscribe(qos byte, topics []string) error {
	subscribe := &packets.Subscribe{PacketID: subscribeID, Properties: &packets.Properties{}}
	for _, topic := range topics {
		// Retained messages are none of this workload's.
		subscribe.Subscriptions = append(subscribe.Subscriptions, packets.SubOptions{Topic: topic, QoS: qos, RetainHandling: 2})
	}
	if err := w.send(packets.SUBSCRIBE, subscribe); err != nil {
		return failure("suback", err)
	}
	return nil
}

// unsubscribe gives topics back; the answer is left to the reader.
func (w *wire) unsubscribe(id uint16, topics ...string) error {
	unsubscribe := &packets.Unsubscribe{PacketID: id, Topics: topics, Properties: &packets.Properties{}}
	if err := w.send(packets.UNSUBSCRIBE, unsubscribe); err != nil {
		return failure("unsuback", err)
	}
	return nil
}

// established ends the attempt's deadline.
func (w *wire) established() { _ = w.conn.SetReadDeadline(time.Time{}) }

// keepAlive asks a silent broker whether it is there, as mosquitto's library does: also when only it is silent, or a
// publisher would never notice. It ends with the connection.
func (w *wire) keepAlive(done <-chan struct{}, every, patience time.Duration) {
	timer := time.NewTimer(every)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
		}
		now, pinged := time.Now(), w.pinged.Load()
		idle := now.Sub(time.Unix(0, min(w.lastIn.Load(), w.lastOut.Load())))
		switch {
		case pinged != 0 && now.Sub(time.Unix(0, pinged)) >= patience:
			w.fail(&brokenError{kind: "lost: no answer to PING", silent: true})
			return
		case pinged != 0:
			timer.Reset(patience - now.Sub(time.Unix(0, pinged)))
		case idle >= every:
			w.pinged.Store(now.UnixNano())
			if w.send(packets.PINGREQ, &packets.Pingreq{}) != nil {
				return
			}
			timer.Reset(patience)
		default:
			timer.Reset(every - idle)
		}
	}
}

// leave ends the connection and the session, without a word about errors: it is over.
func (w *wire) leave() {
	over := uint32(0)
	_ = w.send(packets.DISCONNECT, &packets.Disconnect{Properties: &packets.Properties{SessionExpiryInterval: &over}})
	w.fail(errEnded)
}

// errEnded is the reason of connections that the run's end closes.
var errEnded = &brokenError{kind: "ended"}

// Packet identifiers of the only SUBSCRIBE of a connection and of its two UNSUBSCRIBEs, the one that asks and the one that
// tidies up. Some brokers take them for those of messages that they send themselves, which they number from 1.
const (
	subscribeID   = 0xffff
	probeID       = 0xfffe
	unsubscribeID = 0xfffd
)

// checkSuback tells what the broker did not grant.
func checkSuback(ack *packets.Suback, qos byte) error {
	for _, code := range ack.Reasons {
		switch {
		case code >= 0x80:
			return &brokenError{kind: "suback: " + reason(code)}
		case code < qos:
			return &brokenError{kind: fmt.Sprintf("suback: granted QoS %d instead of %d", code, qos)}
		}
	}
	return nil
}
