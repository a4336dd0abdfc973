//go:build lab

package haproxy

import (
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// A host that dies says nothing. HAProxy ends its sessions after 5 s, so that their
// clients come back to another broker: those that wait for something, by its
// keep-alive, and those that had sent something, by tcp-ut. The kernel alone would
// repeat unanswered data for a quarter of an hour, and sends no probes meanwhile.
func TestADeadHostEndsItsSessions(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	l := &proxyLab{t: t, job: testVars(), curt: map[int]bool{}, subnet: "10.99.0.", dir: t.TempDir(), named: map[int]bool{0: true, 1: true}, sick: map[int]bool{}, off: map[int]bool{}}
	ip(t, "link", "set", "lo", "up")
	cut := l.host(0)
	for _, own := range []string{"1", "2", "11"} {
		ip(t, "addr", "add", l.subnet+own+"/24", "dev", "near")
	}
	ip(t, "link", "set", "near", "up")
	l.serveNames()
	l.serveBroker(1)
	l.write(l.config())
	assert.NilError(t, os.WriteFile(l.dir+"/run.sh", []byte(Run), 0o600))
	l.owned(l.dir + "/run.sh")
	l.owned(l.dir)
	l.owned(filepath.Dir(l.dir))
	l.start()

	waits, sends, elsewhere := l.client(0), l.client(0), l.client(1)
	assert.Assert(t, lives(waits) && lives(sends) && lives(elsewhere))
	start := time.Now()
	cut()
	type end struct {
		client string
		took   time.Duration
		err    error
	}
	ended := make(chan end)
	for client, c := range map[string]net.Conn{"waits": waits, "had sent something": sends} {
		_ = c.SetDeadline(start.Add(30 * time.Second))
		go func() {
			_, err := io.Copy(io.Discard, c)
			ended <- end{client, time.Since(start), err}
		}()
	}
	_, err := io.WriteString(sends, "is anybody there?")
	assert.NilError(t, err)
	for range 2 {
		e := <-ended
		t.Logf("the client that %s was let go after %s (%v)", e.client, e.took.Round(100*time.Millisecond), e.err)
		assert.Check(t, e.took > 3*time.Second && e.took < 8*time.Second, "the one that %s: %s", e.client, e.took)
	}
	assert.Assert(t, lives(elsewhere), "a client of the other broker lost its session")
	for range 6 {
		c, who, err := l.dial()
		assert.NilError(t, err)
		assert.Equal(t, who, 1)
		assert.NilError(t, c.Close())
	}
}

// host puts broker i on a host of its own, at the far end of a cable; the returned
// function makes the host fall silent.
func (l *proxyLab) host(i int) (cut func()) {
	l.t.Helper()
	threads, dead := make(chan int), make(chan struct{})
	wired, ready, silent := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		// The thread ends with the test, and with it and its sockets the network.
		runtime.LockOSThread()
		defer close(silent)
		assert.Check(l.t, unix.Unshare(unix.CLONE_NEWNET))
		threads <- unix.Gettid()
		<-wired
		ip(l.t, "addr", "add", l.ip(i)+"/24", "dev", "far")
		ip(l.t, "link", "set", "far", "up")
		l.serveBroker(i)
		close(ready)
		<-dead
		// Without its address it neither answers nor refuses: the cable stays as it is.
		ip(l.t, "addr", "flush", "dev", "far")
	}()
	ip(l.t, "link", "add", "near", "type", "veth", "peer", "name", "far", "netns", fmt.Sprint(<-threads))
	close(wired)
	select {
	case <-ready:
	case <-silent:
		l.t.FailNow()
	}
	return func() {
		close(dead)
		<-silent
	}
}

// ip runs the command of that name in the network of the calling thread.
func ip(t *testing.T, args ...string) {
	t.Helper()
	out, err := exec.Command("ip", args...).CombinedOutput()
	assert.NilError(t, err, "ip %s: %s", strings.Join(args, " "), out)
}
