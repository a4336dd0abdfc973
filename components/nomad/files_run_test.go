package nomad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// fakeNode is what the script sees of EMQX: a program that runs until it is asked
// to end, `emqx ctl`, and the REST API.
type fakeNode struct {
	t   *testing.T
	dir string
	api *httptest.Server

	mu      sync.Mutex
	clients []string
	sticky  bool  // clients come back here
	batches []int // clients of each kick
	kicked  []time.Time
	denied  bool
	idle    []int // sessions without their client at each question; the last number stays
	asked   int
}

func newFakeNode(t *testing.T, clients ...string) *fakeNode {
	t.Helper()
	n := &fakeNode{t: t, dir: t.TempDir(), clients: clients}
	n.api = httptest.NewServer(n)
	t.Cleanup(n.api.Close)
	n.write("api_keys", "key-1234:secret-1234\n", 0o600)
	n.write("size", "3\n", 0o600)
	n.write("emqx", `#!/bin/bash
cd "${0%/*}"
if [[ $1 == eval ]]; then
  echo "$2" >>evals
  [[ -e no-eval ]] && exit 1
  [[ $2 =~ \],\ ([0-9]+)\)\ of ]] || exit 2
  read -r left <left
  moved=$((left < BASH_REMATCH[1] ? left : BASH_REMATCH[1]))
  echo $((left - moved)) >left
  [[ -e sticky ]] && echo "$left" >left
  sleep "${EVAL_TIME:-0}"
  echo "a warning"
  echo "$moved"
  exit
fi
echo "$*" >>ctl
[[ $2 != rebalance || -e licensed ]]
`, 0o755)
	n.write("left", fmt.Sprintln(len(clients)), 0o600)
	n.write("broker", `#!/bin/bash
trap 'echo "broker: told to end"; exit 4' TERM
echo "broker: runs as $*"
touch `+n.dir+`/up
[[ $1 == crash ]] && exit 7
while :; do sleep 0.05; done
`, 0o755)
	return n
}

func (n *fakeNode) write(name, text string, mode os.FileMode) {
	n.t.Helper()
	assert.NilError(n.t, os.WriteFile(filepath.Join(n.dir, name), []byte(text), mode))
}

func (n *fakeNode) read(name string) string {
	text, _ := os.ReadFile(filepath.Join(n.dir, name))
	return string(text)
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if key, secret, _ := r.BasicAuth(); key != "key-1234" || secret != "secret-1234" || n.denied {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	q := r.URL.Query()
	switch r.Method + " " + r.URL.Path {
	case "GET /api/v5/clients":
		if q.Get("node") != "emqx@n2" {
			n.t.Errorf("asks for node %q", q.Get("node"))
		}
		limit, _ := strconv.Atoi(q.Get("limit"))
		list := []map[string]string{}
		if q.Get("conn_state") == "disconnected" {
			if len(n.idle) > 0 {
				list = make([]map[string]string, n.idle[min(n.asked, len(n.idle)-1)])
			}
			for i := range list {
				list[i] = map[string]string{"clientid": fmt.Sprint("away-", i)}
			}
			n.asked++
			_ = json.NewEncoder(w).Encode(map[string]any{"data": list})
			return
		}
		for _, id := range n.clients[:min(limit, len(n.clients))] {
			// An older EMQX does not know of fields.
			list = append(list, map[string]string{"clientid": id, "username": `"clientid":"x"`})
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"data": list, "meta": map[string]int{"limit": limit}})
	case "POST /api/v5/clients/kickout/bulk":
		var ids []string
		if err := json.NewDecoder(r.Body).Decode(&ids); err != nil {
			n.t.Errorf("the list of clients: %v", err)
		}
		n.batches, n.kicked = append(n.batches, len(ids)), append(n.kicked, time.Now())
		if !n.sticky {
			n.clients = slices.DeleteFunc(n.clients, func(id string) bool { return slices.Contains(ids, id) })
		}
		w.WriteHeader(http.StatusNoContent)
	default:
		n.t.Errorf("unexpected %s %s", r.Method, r.URL.Path)
	}
}

// run starts the script, asks it to end when the broker is up, and returns its exit
// code and what it printed.
func (n *fakeNode) run(index int, broker string, env ...string) (int, string) {
	n.t.Helper()
	n.write("run.sh", EMQXRun, 0o644)
	n.write("move.sh", EMQXMove, 0o644)
	cmd := exec.Command("bash", filepath.Join(n.dir, "run.sh"), filepath.Join(n.dir, "broker"), broker)
	cmd.Env = append([]string{
		"PATH=" + n.dir + ":" + os.Getenv("PATH"), "EMQX_NODE__NAME=emqx@n2", "EMQX_NODE__DATA_DIR=" + n.dir,
		"NOMAD_ADDR_dashboard=" + n.api.Listener.Addr().String(), fmt.Sprint("NOMAD_ALLOC_INDEX=", index),
		"DRAIN_RATE=10", "DRAIN_TIMEOUT=20", "DRAIN_EVACUATE=false", "SIZE_FILE=" + n.dir + "/size", "KEY_FILE=" + n.dir + "/api_keys",
	}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	assert.NilError(n.t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); n.read("up") == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(n.dir, "up")); err == nil {
			break
		}
	}
	time.Sleep(100 * time.Millisecond)
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	n.t.Log(out.String())
	assert.Assert(n.t, !strings.Contains(out.String(), "secret-1234"))
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestRunScriptIsClean(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"emqx-run.sh": EMQXRun, "move.sh": EMQXMove, "haproxy-run.sh": HAProxyRun} {
		out, err := exec.Command(agenttest.Tool(t, "shellcheck"), "files/"+name).CombinedOutput()
		assert.NilError(t, err, string(out))
		// Each is the text of a template: only the Erlang in it has such braces.
		assert.Equal(t, strings.Count(text, "{{"), strings.Count(text, "[{{'"), name)
	}
}

// Nomad starts a broker that ended again: it has to see how.
func TestRunScriptEndsWithEMQX(t *testing.T) {
	t.Parallel()
	code, out := newFakeNode(t).run(2, "crash")
	assert.Equal(t, code, 7, out)
	assert.Assert(t, !strings.Contains(out, "stop:"), out)
}

func TestRunScriptMovesClientsWithTheirSessions(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, make([]string, 73)...)
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(out, "stop: no client is left, 73 moved"))
	assert.Equal(t, len(n.batches), 0, "nobody loses a session")
	assert.Equal(t, n.read("ctl"), "", "a wanted node stays a member")
}

// A client finds its session only while the node that has it runs. Sessions whose
// clients were away before are not waited for.
func TestRunScriptWaitsForSessionsToFollow(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, "a", "b")
	n.idle = []int{2, 4, 3, 2}
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(out, "stop: their sessions have followed them\nstop: stopping EMQX"))
	assert.Equal(t, n.asked, 4)

	n = newFakeNode(t, "a", "b")
	n.idle = []int{2, 3}
	code, out = n.run(2, "go", "DRAIN_TIMEOUT=2")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(out, "stop: 1 sessions have not followed their clients\nstop: stopping EMQX"))
}

func TestRunScriptKicksClientsThatCannotBeMoved(t *testing.T) {
	t.Parallel()
	var ids []string
	for i := range 23 {
		ids = append(ids, fmt.Sprintf("client %d \"quoted\\\" ü", i))
	}
	n := newFakeNode(t, ids...)
	n.write("no-eval", "", 0o600)
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(out, "stop: EMQX does not move clients with their sessions: they are disconnected, and lose them"))
	assert.DeepEqual(t, n.batches, []int{10, 10, 3})
	assert.Assert(t, n.kicked[2].Sub(n.kicked[0]) > time.Second, "%v", n.kicked)
	assert.Assert(t, cmp.Contains(out, "stop: no client is left, 23 moved"))
}

func TestRunScriptGivesUpInTime(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		change func(*fakeNode)
		env    string // one or more, with blanks between
		want   string
		kicks  int
	}{
		"moved ones come back": {func(n *fakeNode) { _ = os.Remove(n.dir + "/no-eval"); n.write("sticky", "", 0o600) }, "DRAIN_TIMEOUT=2", "2 s are over", 0},
		"it takes too long":    {func(n *fakeNode) { _ = os.Remove(n.dir + "/no-eval") }, "EVAL_TIME=60 DRAIN_TIMEOUT=3", "3 s are over, 0 moved", 0},
		"they come back":       {func(n *fakeNode) { n.sticky = true }, "DRAIN_TIMEOUT=2", "2 s are over", 1},
		"no drain":             {func(*fakeNode) {}, "DRAIN_RATE=0", "stop: stopping EMQX", 0},
		"a key refused":        {func(n *fakeNode) { n.denied = true }, "", "stop: the REST API does not answer", 0},
		"no API":               {func(n *fakeNode) { n.api.Close() }, "", "stop: the REST API does not answer", 0},
		"no key":               {func(n *fakeNode) { _ = os.Remove(n.dir + "/api_keys") }, "", "stop: the REST API does not answer", 0},
		"no evacuation":        {func(*fakeNode) {}, "DRAIN_EVACUATE=true", "stop: no client is left, 2 moved", 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t, "a", "b")
			n.write("no-eval", "", 0o600)
			tc.change(n)
			start := time.Now()
			code, out := n.run(2, "go", strings.Fields(tc.env)...)
			assert.Equal(t, code, 4, out)
			assert.Assert(t, time.Since(start) < 10*time.Second)
			assert.Assert(t, cmp.Contains(out, tc.want))
			assert.Assert(t, len(n.batches) >= tc.kicks && (tc.kicks > 0 || len(n.batches) == 0), "%v", n.batches)
		})
	}
}

func TestRunScriptEvacuatesWithALicence(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	n.write("licensed", "", 0o600)
	code, out := n.run(2, "go", "DRAIN_EVACUATE=true")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(n.read("ctl"), "ctl rebalance start --evacuation"))
	assert.Assert(t, cmp.Contains(n.read("ctl"), "--conn-evict-rate 10 --sess-evict-rate 10"))
	assert.Assert(t, cmp.Contains(out, "stop: evacuated"))
	assert.Equal(t, len(n.batches), 0)
}

// Scale-in: the record says fewer, whatever the job said when this node began.
func TestRunScriptLeavesWhenNoLongerWanted(t *testing.T) {
	t.Parallel()
	for size, leaves := range map[string]bool{"2\n": true, "3\n": false, "\n": false, "nonsense": false, "0": false} {
		t.Run(strings.TrimSpace(size), func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t)
			n.write("size", size, 0o600)
			assert.NilError(t, os.MkdirAll(n.dir+"/mnesia/emqx@n2", 0o700))
			code, out := n.run(2, "go")
			assert.Equal(t, code, 4, out)
			_, err := os.Stat(n.dir + "/left-the-cluster")
			assert.Equal(t, err == nil, leaves)
			assert.Equal(t, n.read("ctl") == "ctl cluster leave\n", leaves, n.read("ctl"))

			// Wanted again: it begins as a new member, once.
			_ = os.Remove(n.dir + "/up")
			n.write("size", "3\n", 0o600)
			code, _ = n.run(2, "go")
			assert.Equal(t, code, 4)
			_, err = os.Stat(n.dir + "/mnesia/emqx@n2")
			assert.Equal(t, os.IsNotExist(err), leaves)
			_, err = os.Stat(n.dir + "/left-the-cluster")
			assert.Assert(t, os.IsNotExist(err))
		})
	}
}
