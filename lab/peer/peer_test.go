package peer

import (
	"io"
	"net"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

func listen(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func dial(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp4", l.Addr().String())
	assert.NilError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	assert.NilError(t, c.SetDeadline(time.Now().Add(5*time.Second)))
	return c
}

func TestOnesOwnComeIn(t *testing.T) {
	assert.NilError(t, Able())
	l := listen(t)
	own := Own(l, Unauthorized, t.Logf)
	out := dial(t, l)
	_, err := io.WriteString(out, "hello")
	assert.NilError(t, err)
	// One that says nothing more is still there.
	assert.NilError(t, out.(*net.TCPConn).CloseWrite())
	in, err := own.Accept()
	assert.NilError(t, err)
	defer in.Close()
	said, err := io.ReadAll(in)
	assert.NilError(t, err)
	assert.Equal(t, string(said), "hello")
}

// What was sent before the caller hung up may be anybody's: the kernel calls the
// owner of such a socket root.
func TestACallerWhoHasGoneIsNobody(t *testing.T) {
	l := listen(t)
	own := Own(l, "", t.Logf)
	gone := dial(t, l)
	_, err := io.WriteString(gone, "do it")
	assert.NilError(t, err)
	assert.NilError(t, gone.Close())
	stays := dial(t, l)
	_, err = io.WriteString(stays, "next")
	assert.NilError(t, err)
	in, err := own.Accept()
	assert.NilError(t, err)
	defer in.Close()
	said := make([]byte, 4)
	_, err = io.ReadFull(in, said)
	assert.NilError(t, err)
	assert.Equal(t, string(said), "next")
}

func TestOnlyLoopbackCanBeTold(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	_, err := uidOf(a)
	assert.ErrorContains(t, err, "is not TCP over IPv4")
}

func TestAcceptEndsWithItsListener(t *testing.T) {
	l := listen(t)
	own := Own(l, "", nil)
	assert.NilError(t, own.Close())
	_, err := own.Accept()
	assert.ErrorIs(t, err, net.ErrClosed)
}
