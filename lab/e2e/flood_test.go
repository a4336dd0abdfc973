//go:build lab

package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// flooder is the word that makes this program one: it runs in the lab's internet.
const flooder = "flood"

func TestMain(m *testing.M) {
	if len(os.Args) == 3 && os.Args[1] == flooder {
		floodFrom(os.Args[2])
		return
	}
	if len(os.Args) == 3 && os.Args[1] == askedServer {
		answerFrom(os.Args[2])
		return
	}
	os.Exit(m.Run())
}

// floodFrom opens MQTT connections that say CONNECT and then nothing, until the proxies
// have been refusing them for a while, and holds them until its input ends. A connection
// that is refused, or cut, comes again: that is what finds the last place.
func floodFrom(address string) {
	const workers, most, patience = 50, 25_000, 20
	var held, refused, cut atomic.Int64
	var group sync.WaitGroup
	end := time.Now().Add(90 * time.Second)
	for w := range workers {
		group.Go(func() {
			for misses := 0; misses < patience && held.Load() < most && time.Now().Before(end); {
				c, err := net.DialTimeout("tcp", address, 5*time.Second)
				if err == nil {
					err = hello(c, fmt.Sprintf("flood-%d-%d", w, held.Add(1)))
				}
				if err != nil {
					misses++
					refused.Add(1)
					if c != nil {
						held.Add(-1)
						_ = c.Close()
					}
					continue
				}
				misses = 0
				go func() { // keeps it, too
					_, _ = io.Copy(io.Discard, c)
					held.Add(-1)
					cut.Add(1)
				}()
			}
		})
	}
	group.Wait()
	fmt.Printf("held %d refused %d cut %d\n", held.Load(), refused.Load(), cut.Load())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// hello sends CONNECT with no keep-alive, so that nobody misses what follows, and waits
// for CONNACK.
func hello(c net.Conn, id string) error {
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, byte(len(id))}, id...)
	if _, err := c.Write(append([]byte{0x10, byte(len(body))}, body...)); err != nil {
		return err
	}
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	if _, err := io.ReadFull(c, make([]byte, 4)); err != nil {
		return err
	}
	return c.SetReadDeadline(time.Time{})
}

// flood starts one in the lab's internet. What it has taken is said once nothing more is
// to be had; it holds that until it is stopped.
func flood(t *testing.T, b *bed) (full <-chan string, stop func()) {
	t.Helper()
	out, end, err := os.Pipe()
	assert.NilError(t, err)
	t.Cleanup(func() { _, _ = out.Close(), end.Close() })
	cmd := b.command(t.Context(), "lab", "exec", "--", os.Args[0], flooder, name+":1883")
	cmd.Stdout, cmd.Stderr = end, end
	hold, err := cmd.StdinPipe()
	assert.NilError(t, err)
	assert.NilError(t, cmd.Start())
	line := make(chan string, 1)
	go func() {
		text := make([]byte, 4096)
		n, _ := out.Read(text)
		line <- string(text[:n])
	}()
	return line, func() { assert.NilError(t, hold.Close()); _ = cmd.Wait() }
}

// healthyBackends are those that the balancer sends clients to, of all.
func healthyBackends(t *testing.T, b *bed) (healthy, all int) {
	t.Helper()
	for _, balancer := range status(t, b).Cloud.Balancers {
		for _, set := range balancer.Sets {
			for _, backend := range set.Backends {
				all++
				if backend.Health == "OK" {
					healthy++
				}
			}
		}
	}
	return healthy, all
}

// flooded fills every place of the cluster from outside, without a password. Who is
// connected stays so, the balancer keeps every backend, and when the flood is over new
// clients come in within a minute.
func flooded(t *testing.T, b *bed) {
	before := restarts(t)
	b.underLoadOf(t, func() {
		full, stop := flood(t, b)
		worst, asked, said := 1000, 0, ""
		for said == "" {
			select {
			case said = <-full:
			case <-time.After(500 * time.Millisecond):
			}
			healthy, all := healthyBackends(t, b)
			assert.Equal(t, all, 12)
			worst, asked = min(worst, healthy), asked+1
		}
		t.Logf("the flood: %s", said)
		var held, refused, cut int
		_, err := fmt.Sscanf(said, "held %d refused %d cut %d", &held, &refused, &cut)
		assert.NilError(t, err, said)
		// 3 times proxy.maxConn, but for the clients that are valid.
		assert.Assert(t, held > 3700 && held <= 3900, "the flood has %d of 3,900 places", held)
		for range 30 {
			healthy, _ := healthyBackends(t, b)
			worst, asked = min(worst, healthy), asked+1
			time.Sleep(500 * time.Millisecond)
		}
		assert.Equal(t, worst, 12, "of 12 backends, asked %d times", asked)
		stop()
	})
	began := time.Now()
	eventually(t, time.Minute, "a new client after the flood", func() error {
		r := b.run(t, "verify", "lab")
		if r.code != 0 {
			return fmt.Errorf("%s", r)
		}
		return nil
	})
	t.Logf("normal again %s after the flood", time.Since(began).Round(100*time.Millisecond))
	assert.DeepEqual(t, restarts(t), before)
}

// underLoadOf is underLoad with clients that nobody may cut.
func (b *bed) underLoadOf(t *testing.T, f func()) {
	t.Helper()
	own := b.drillBed(t)
	r, err := own.UnderLoad(t.Context(), func(context.Context) error { f(); return nil })
	assert.NilError(t, err)
	assert.Assert(t, r.Sent > 0)
	assert.Equal(t, r.Lost, uint64(0), "%s", lost(r))
	assert.Equal(t, r.Reconnects, 0, "valid clients were cut: %s", lost(r))
}

// restarts are those of the tasks of both jobs, by node: a broker or proxy that was
// killed for memory is started again.
func restarts(t *testing.T) map[string]uint64 {
	t.Helper()
	c := nomadClient(t)
	found := map[string]uint64{}
	for _, job := range []string{emqxJob, proxyJob} {
		for _, a := range running(t, c, job) {
			for task, state := range a.TaskStates {
				found[strings.Join([]string{job, task, a.NodeName, a.ID}, " ")] = state.Restarts
			}
		}
	}
	return found
}
