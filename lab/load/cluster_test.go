package load

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab/broker"
)

var lastCluster atomic.Int32

// log is what a node says, kept for a test that fails.
type log struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

// takeoverPause is how long a session from another node waits, as the job has it do.
const takeoverPause = 250 * time.Millisecond

// letSessionsWait has a node do so, by the job's own expression.
func letSessionsWait(t *testing.T, env []string) {
	t.Helper()
	const file = "../../components/nomad/files/emqx_oci_takeover.erl"
	text := fmt.Sprintf(`{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(%d).`,
		file, file, takeoverPause.Milliseconds())
	said := &log{}
	code := broker.Ctl(broker.Options{Env: env, Stdout: said}, []string{"eval_erl", text}, said)
	assert.Equal(t, code, 0, said.b.String())
}

// startCluster runs nodes of the stand-in for EMQX, each on a loopback address of its
// own, and returns their MQTT addresses.
func startCluster(t *testing.T, nodes int) []string {
	t.Helper()
	subnet := fmt.Sprintf("127.%d.%d.", 30+os.Getpid()%60, lastCluster.Add(1))
	var addresses, names []string
	var envs [][]string
	for i := range nodes {
		names = append(names, fmt.Sprintf(`"emqx@%s%d"`, subnet, 10+i))
	}
	for i := range nodes {
		ip := fmt.Sprintf("%s%d", subnet, 10+i)
		addresses = append(addresses, ip+":1883")
		env := []string{
			"EMQX_NODE__NAME=emqx@" + ip, "EMQX_NODE__COOKIE=secret", "EMQX_NODE__DATA_DIR=" + t.TempDir(),
			"EMQX_CLUSTER__DISCOVERY_STRATEGY=static", "EMQX_CLUSTER__STATIC__SEEDS=[" + strings.Join(names, ",") + "]",
			"EMQX_RPC__PORT_DISCOVERY=manual", "EMQX_RPC__SERVER_PORT=5370", "EMQX_RPC__LISTEN_ADDRESS=" + ip,
			"ERL_FLAGS=-kernel inet_dist_use_interface {" + strings.ReplaceAll(ip, ".", ",") + "}",
			"EMQX_LISTENERS__TCP__DEFAULT__BIND=" + ip + ":1883", "EMQX_LISTENERS__SSL__DEFAULT__ENABLE=false",
			"EMQX_LISTENERS__WS__DEFAULT__ENABLE=false", "EMQX_LISTENERS__WSS__DEFAULT__ENABLE=false",
			"EMQX_DASHBOARD__LISTENERS__HTTP__BIND=" + ip + ":18083",
		}
		envs = append(envs, env)
		ctx, stop := context.WithCancel(context.Background())
		done, said := make(chan error, 1), &log{}
		go func() {
			done <- broker.Run(ctx, broker.Options{
				Env: env, Stdout: said, Retry: 100 * time.Millisecond, Jitter: 10 * time.Millisecond, Tick: 50 * time.Millisecond,
			})
		}()
		t.Cleanup(func() {
			stop()
			assert.NilError(t, <-done)
			if t.Failed() {
				t.Logf("node %d:\n%s", i, &said.b)
			}
		})
	}
	for i := range nodes {
		url := fmt.Sprintf("http://%s%d:18083/api/v5/prometheus/stats", subnet, 10+i)
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(20 * time.Millisecond) {
			if strings.Contains(get(url), fmt.Sprintf("emqx_cluster_nodes_running %d\n", nodes)) {
				break
			}
			assert.Assert(t, time.Now().Before(end), "node %d finds no cluster: %s", i, get(url))
		}
		letSessionsWait(t, envs[i])
	}
	return addresses
}

func get(url string) string {
	r, err := http.Get(url)
	if err != nil {
		return err.Error()
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// Clients come back on another node than before, again and again. Their sessions go
// with them: nothing may be lost, and of QoS 2 nothing may come twice.
func TestSessionsThatMove(t *testing.T) {
	t.Parallel()
	for qos := byte(1); qos <= 2; qos++ {
		t.Run(fmt.Sprint("qos ", qos), func(t *testing.T) {
			t.Parallel()
			nodes := startCluster(t, 3)
			p := newPath(t, nodes[0])
			o := brisk(p.url())
			o.QoS, o.Duration = qos, 4*time.Second
			r := during(t, o, func() {
				for i := range 6 {
					p.lead(nodes[(i+1)%3])
					time.Sleep(2 * takeoverPause)
				}
			})
			unharmed(t, r, qos)
			assert.Assert(t, r.Reconnects >= 5, "%d", r.Reconnects)
		})
	}
}

// unharmed is a workload whose connections broke and whose sessions lived on.
func unharmed(t *testing.T, r Report, qos byte) {
	t.Helper()
	assert.Equal(t, r.Lost, uint64(0), "%+v", r.Losses)
	assert.Equal(t, r.MissedWhileAway, uint64(0))
	assert.Equal(t, r.Acknowledged, r.Sent)
	assert.Equal(t, r.OutOfOrder, uint64(0))
	assert.Equal(t, r.StillAway, 0)
	assert.Equal(t, r.SessionsLost, 0)
	if qos == 2 {
		assert.Equal(t, r.Duplicated, uint64(0))
	}
}
