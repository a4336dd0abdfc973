//go:build bench

package haproxy

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// processes are those of the lab's HAProxy: the script's group.
func (l *proxyLab) processes() (pids []int) {
	all, err := filepath.Glob("/proc/[0-9]*/stat")
	assert.NilError(l.t, err)
	for _, path := range all {
		if fields := statOf(path); len(fields) > 2 && fields[2] == strconv.Itoa(l.cmd.Process.Pid) {
			pid, err := strconv.Atoi(filepath.Base(filepath.Dir(path)))
			assert.NilError(l.t, err)
			pids = append(pids, pid)
		}
	}
	assert.Assert(l.t, len(pids) > 1, "the script runs no HAProxy")
	return pids
}

// statOf are the fields of /proc/<pid>/stat behind the command's name, which may hold blanks.
func statOf(path string) []string {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil // it has ended
	}
	_, rest, _ := bytes.Cut(text, []byte(") "))
	return strings.Fields(string(rest))
}

// processorSeconds is what HAProxy has taken of processors, in the kernel's steps of 10 ms.
func (l *proxyLab) processorSeconds() float64 {
	ticks := 0
	for _, pid := range l.processes() {
		fields := statOf(fmt.Sprintf("/proc/%d/stat", pid))
		for _, i := range []int{11, 12} { // utime, stime
			n, err := strconv.Atoi(fields[i])
			assert.NilError(l.t, err)
			ticks += n
		}
	}
	return float64(ticks) / 100
}

// memoryKB is HAProxy's own memory, without what it shares with files.
func (l *proxyLab) memoryKB() (sum float64) {
	for _, pid := range l.processes() {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
		assert.NilError(l.t, err)
		for line := range strings.Lines(string(text)) {
			if rest, found := strings.CutPrefix(line, "Private_Dirty:"); found {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				assert.NilError(l.t, err)
				sum += float64(n)
			}
		}
	}
	return sum
}

// inParallel calls f n times, eight at once, and keeps the connections.
func (l *proxyLab) inParallel(n int, f func() (net.Conn, error)) (conns []net.Conn) {
	l.t.Helper()
	var mu sync.Mutex
	var wg sync.WaitGroup
	next := make(chan struct{})
	for range 8 {
		wg.Go(func() {
			for range next {
				c, err := f()
				mu.Lock()
				assert.Check(l.t, err)
				conns = append(conns, c)
				mu.Unlock()
			}
		})
	}
	for range n {
		next <- struct{}{}
	}
	close(next)
	wg.Wait()
	if l.t.Failed() {
		l.t.FailNow()
	}
	return conns
}

// handshake is a client that goes as soon as TLS is there.
func (l *proxyLab) handshake(c *tls.Config) (net.Conn, error) {
	raw, err := net.DialTimeout("tcp", l.addr(8883), 5*time.Second)
	if err != nil {
		return nil, err
	}
	defer func() { _ = raw.Close() }()
	conn := tls.Client(raw, c)
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if err := conn.Handshake(); err != nil {
		return nil, err
	}
	// What TLS 1.3 needs for another time comes behind the handshake, before the broker's words.
	_, err = conn.Read(make([]byte, 16))
	return nil, err
}

// TestBenchHandshakes measures what a connection by TLS costs HAProxy: its processor time, whatever else the machine
// does, beside the same connection without TLS.
func TestBenchHandshakes(t *testing.T) {
	const n = 1500
	var rows []string
	for _, kind := range []string{"ecdsa", "rsa"} {
		a := newAuthority(t, "servers")
		l := newTLSLab(t, 1, a, kind, func(*Vars) {})
		l.start()
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			config := &tls.Config{RootCAs: a.pool(), ServerName: serverName, MinVersion: version, MaxVersion: version}
			for _, resumed := range []bool{false, true} {
				if resumed {
					config.ClientSessionCache = tls.NewLRUClientSessionCache(1)
					_, err := l.handshake(config)
					assert.NilError(t, err)
					again, err := l.tlsClient(8883, config)
					assert.NilError(t, err)
					if !again.ConnectionState().DidResume {
						continue // Go's client resumes TLS 1.2 by tickets alone
					}
				}
				before := l.processorSeconds()
				l.inParallel(n, func() (net.Conn, error) { return l.handshake(config) })
				spent := l.processorSeconds() - before
				rows = append(rows, fmt.Sprintf("| %s, %s, %s | %.0f |", kind, tls.VersionName(version), map[bool]string{false: "whole", true: "resumed"}[resumed], n/spent))
			}
		}
	}
	fmt.Printf("\n| connections by mqtts | a second of one core of HAProxy |\n| --- | --- |\n%s\n", strings.Join(rows, "\n"))
}

// TestBenchIdleTLSClients measures the memory that HAProxy keeps for clients which do nothing, where it ends TLS and
// where it passes it through, which to it is a client without TLS.
func TestBenchIdleTLSClients(t *testing.T) {
	const n = 4000
	var rows []string
	for _, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		// One of its own for each: what others gave back would be taken again.
		a := newAuthority(t, "servers")
		l := newTLSLab(t, 1, a, "ecdsa", func(v *Vars) { v.MaxConn, v.NoFile = 2*n, 20_000 })
		l.start()
		what, dial := "passed through", func() (net.Conn, error) {
			c, _, err := l.dial()
			return c, err
		}
		if version != 0 {
			what, dial = tls.VersionName(version)+" ends here", func() (net.Conn, error) {
				return l.tlsClient(8883, &tls.Config{RootCAs: a.pool(), MinVersion: version, MaxVersion: version})
			}
		}
		before := l.memoryKB()
		conns := l.inParallel(n, dial)
		time.Sleep(time.Second) // buffers are given back when nothing moves any more
		rows = append(rows, fmt.Sprintf("| %s | %.1f |", what, (l.memoryKB()-before)/n))
		for _, c := range conns {
			assert.NilError(t, c.Close())
		}
	}
	fmt.Printf("\n| idle client of HAProxy | kB |\n| --- | --- |\n%s\n", strings.Join(rows, "\n"))
}
