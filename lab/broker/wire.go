package broker

import (
	"bufio"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
)

// Between nodes: one line each way with a nonce, an HMAC over both nonces keyed by
// the cookie each way (the cookie itself never travels), then gob messages.

const (
	kindDist = "dist" // membership and questions, on the distribution port
	kindCtl  = "ctl"  // the command line, on the distribution port
	kindCall = "call" // session moves, on the RPC port
	kindCast = "cast" // messages, one way, on the RPC port
)

const helloWord = "EMQX-STAND-IN/1"

// errCookie is what both sides see when the cookies differ.
var errCookie = errors.New("invalid challenge reply (different cookies)")

// errSilent is a node whose port is open and that says nothing: it is frozen.
var errSilent = errors.New("no answer")

// setupTimeout is Erlang's net_setuptime.
const setupTimeout = 7 * time.Second

type wire struct {
	conn net.Conn
	enc  *gob.Encoder
	buf  *bufio.Writer
	dec  *gob.Decoder
	peer string // the other side's node name
	mu   sync.Mutex
}

func nonce() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails since Go 1.24
	return hex.EncodeToString(b)
}

func proof(cookie string, parts ...string) string {
	m := hmac.New(sha256.New, []byte(cookie))
	m.Write([]byte(strings.Join(parts, "\n")))
	return hex.EncodeToString(m.Sum(nil))
}

// dialWire connects as node self and proves both sides hold the same cookie.
func dialWire(ctx context.Context, addr, kind, self, want, cookie string) (*wire, error) {
	ctx, cancel := context.WithTimeout(ctx, setupTimeout)
	defer cancel()
	var d net.Dialer
	conn, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	w, err := clientHello(conn, kind, self, want, cookie)
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return w, nil
}

func clientHello(conn net.Conn, kind, self, want, cookie string) (*wire, error) {
	_ = conn.SetDeadline(time.Now().Add(setupTimeout))
	r := bufio.NewReader(conn)
	mine := nonce()
	if _, err := fmt.Fprintf(conn, "%s %s %s %s\n", helloWord, kind, self, mine); err != nil {
		return nil, err
	}
	f, err := helloLine(r, 3)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("%w: %w", errSilent, err)
	}
	if err != nil {
		return nil, err
	}
	peer, theirs := f[1], f[2]
	if f[0] != helloWord || peer != want {
		return nil, fmt.Errorf("%s answers as node %q", want, peer)
	}
	if _, err := fmt.Fprintf(conn, "%s\n", proof(cookie, "client", kind, self, peer, mine, theirs)); err != nil {
		return nil, err
	}
	f, err = helloLine(r, 1)
	if err != nil || !hmac.Equal([]byte(f[0]), []byte(proof(cookie, "server", kind, self, peer, mine, theirs))) {
		return nil, errCookie
	}
	_ = conn.SetDeadline(time.Time{})
	return newWire(conn, r, peer), nil
}

func serverHello(conn net.Conn, self, cookie string, kinds ...string) (w *wire, kind, peer string, err error) {
	_ = conn.SetDeadline(time.Now().Add(setupTimeout))
	r := bufio.NewReader(conn)
	f, err := helloLine(r, 4)
	if err != nil {
		return nil, "", "", err
	}
	kind, peer, theirs := f[1], f[2], f[3]
	if f[0] != helloWord || !slices.Contains(kinds, kind) {
		return nil, kind, peer, errors.New("not a node of this kind")
	}
	mine := nonce()
	if _, err := fmt.Fprintf(conn, "%s %s %s\n", helloWord, self, mine); err != nil {
		return nil, kind, peer, err
	}
	f, err = helloLine(r, 1)
	if err != nil {
		return nil, kind, peer, err
	}
	if !hmac.Equal([]byte(f[0]), []byte(proof(cookie, "client", kind, peer, self, theirs, mine))) {
		return nil, kind, peer, errCookie
	}
	if _, err := fmt.Fprintf(conn, "%s\n", proof(cookie, "server", kind, peer, self, theirs, mine)); err != nil {
		return nil, kind, peer, err
	}
	_ = conn.SetDeadline(time.Time{})
	return newWire(conn, r, peer), kind, peer, nil
}

// helloLine reads one short line; whoever sends something else is cut off.
func helloLine(r *bufio.Reader, fields int) ([]string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, fmt.Errorf("reading the greeting: %w", err)
	}
	f := strings.Fields(string(line))
	if len(f) != fields || len(line) > 1024 {
		return nil, errors.New("reading the greeting: not a node")
	}
	return f, nil
}

func newWire(conn net.Conn, r *bufio.Reader, peer string) *wire {
	buf := bufio.NewWriterSize(conn, 16<<10)
	return &wire{conn: conn, buf: buf, enc: gob.NewEncoder(buf), dec: gob.NewDecoder(r), peer: peer}
}

func (w *wire) send(m *message) error {
	if err := w.enc.Encode(m); err != nil {
		return err
	}
	return w.buf.Flush()
}

func (w *wire) receive() (*message, error) {
	m := &message{}
	return m, w.dec.Decode(m)
}

// call asks and waits for the answer. After an error the wire is of no more use.
func (w *wire) call(m *message, timeout time.Duration) (*message, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	_ = w.conn.SetDeadline(time.Now().Add(timeout))
	if err := w.send(m); err != nil {
		return nil, err
	}
	r, err := w.receive()
	if err != nil {
		return nil, err
	}
	_ = w.conn.SetDeadline(time.Time{})
	if r.Err != "" {
		return r, errors.New(r.Err)
	}
	return r, nil
}

func (w *wire) close() { _ = w.conn.Close() }

// message is every question and answer; Op says which fields count.
type message struct {
	Op      string
	Err     string
	Node    string
	Cluster string
	Phase   string
	Since   int64 // when its database began to serve: the first one is the oldest member
	Born    int64
	Life    int64            // the start of its database, which a rejoin repeats
	Lost    map[string]int64 // members that it called dead in this life, with theirs
	Members map[string]member
	WaitFor []string
	Data    *clusterData
	Args    []string
	Text    string
	Code    int
	Stats   *nodeStats
	Clients []clientInfo
	Client  string
	Clean   bool
	Until   int64 // unix nanoseconds: nobody waits for the answer any more
	Session *session
	Publish *publication
	Routed  bool // the sender knows of a subscriber here, besides those of shared groups
	Shared  []string
	// RouteSeq says which change of the sender's routes this is, or up to which one it
	// goes; RouteBase from where they are counted.
	RouteBase, RouteSeq int64

	Listeners []listenerSpec
}
