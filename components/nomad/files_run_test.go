package nomad

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
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

	"github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// hostile is what a shell could make something else of.
const hostile = "a \"quoted\" \\ # $value ${x} `id` $(id) <&> ü 'end'\nand a line; true"

// fakeNode is what the script sees of EMQX: a program that runs until it is asked
// to end, `emqx ctl`, and the REST API, its own and that of another member.
type fakeNode struct {
	t     *testing.T
	dir   string
	api   *httptest.Server
	other *httptest.Server

	mu      sync.Mutex
	clients []string
	sticky  bool  // clients come back here
	batches []int // clients of each kick
	kicked  []time.Time
	denied  bool
	stay    time.Duration // of the broker, before it is told to end
	idle    []int         // sessions without their client at each question; the last number stays
	asked   int
	stays   bool // the other member keeps this one, whatever it was asked
}

// otherHost is where the other member is: on the same port at another address.
const otherHost = "127.0.0.2"

func newFakeNode(t *testing.T, clients ...string) *fakeNode {
	t.Helper()
	n := &fakeNode{t: t, dir: t.TempDir(), clients: clients}
	n.api = httptest.NewServer(n)
	t.Cleanup(n.api.Close)
	_, port, err := net.SplitHostPort(n.api.Listener.Addr().String())
	assert.NilError(t, err)
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(otherHost, port))
	assert.NilError(t, err)
	n.other = &httptest.Server{Listener: l, Config: &http.Server{Handler: n, ReadHeaderTimeout: time.Minute}}
	n.other.Start()
	t.Cleanup(n.other.Close)
	n.write("api_keys", "key-1234:secret-1234\n", 0o600)
	n.write("size", "3\n", 0o600)
	n.write("nomad", "{false,2}\n", 0o600)
	n.write("secrets.env", Environment(map[string]string{"EMQX_NODE__COOKIE": hostile}), 0o600)
	n.write("emqx", `#!/bin/bash
cd "${0%/*}"
[[ -v EMQX_NODE__COOKIE ]] && touch leaked
if [[ $1 == eval && $2 == *compile:file* ]]; then
  echo "$2" >>loads
  sleep "${LOAD_TIME:-0}"
  [[ -e not-yet ]] && rm not-yet && echo "Node not responding to pings." && exit 1
  echo "a warning"
  echo ok
  exit
fi
if [[ $1 == eval && $2 == *api.sock* ]]; then
  echo "$2" >>questions
  [[ -e nomad ]] && cat nomad && exit
  echo "RPC to emqx@n2 error: {badmatch,{error,enoent}}"
  exit 1
fi
if [[ $1 == eval ]]; then
  echo "$2" >>evals
  [[ -e no-eval ]] && exit 1
  [[ -e busy ]] && rm busy && echo "Node not responding to pings." && exit 1
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
# Exit codes as those of EMQX 5.8: what prints ends with 0, whatever it says, and what
# returns true with 1.
case "$2 $3" in
"cluster leave")
  if [[ -e says ]]; then cat says; else echo "Leave the cluster successfully."; fi
  exit 0
  ;;
"rebalance start")
  if [[ -e licensed ]]; then echo "Rebalance(evacuation) started"; else echo "Usage: emqx ctl"; fi
  ;;
esac
exit 1
`, 0o755)
	n.write("left", fmt.Sprintln(len(clients)), 0o600)
	n.write("broker", `#!/bin/bash
trap 'echo "broker: told to end"; exit 4' TERM
echo "broker: runs as $*"
echo $$ >`+n.dir+`/pid
printf %s "$EMQX_NODE__COOKIE" >`+n.dir+`/cookie
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
	case "GET /api/v5/nodes":
		self, _, _ := net.SplitHostPort(r.Host)
		members := []map[string]string{{"node": "emqx@" + otherHost, "node_status": "running"}}
		if left := n.read("ctl") != ""; self != otherHost && r.Host != otherHost || n.stays || !left {
			members = append(members, map[string]string{"node": "emqx@n2", "node_status": "running"})
		}
		_ = json.NewEncoder(w).Encode(members)
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

// script is one of the task's, as it runs there.
func (n *fakeNode) script(index int, args []string, env ...string) *exec.Cmd {
	for name, text := range map[string]string{"run.sh": EMQXRun, "move.sh": EMQXMove, "holds.sh": EMQXHolds, "emqx_oci_takeover.erl": EMQXTakeover} {
		n.write(name, text, 0o644)
	}
	args[0] = filepath.Join(n.dir, args[0])
	cmd := exec.Command("bash", args...)
	cmd.Env = append([]string{
		"PATH=" + n.dir + ":" + os.Getenv("PATH"), "EMQX_NODE__NAME=emqx@n2", "EMQX_NODE__DATA_DIR=" + n.dir,
		"NOMAD_ALLOC_ID=" + firstAlloc, "NEW_CERTIFICATES=" + n.dir,
		"NOMAD_ADDR_dashboard=" + n.api.Listener.Addr().String(), fmt.Sprint("NOMAD_ALLOC_INDEX=", index),
		"TAKEOVER_PAUSE=0", "DRAIN_RATE=10", "DRAIN_TIMEOUT=20", "DRAIN_EVACUATE=false", "SIZE_FILE=" + n.dir + "/size",
		"API_SOCKET=/secrets/api.sock", "TOKEN_FILE=/secrets/nomad_token", "NOMAD_JOB_ID=emqx-lab", "NOMAD_NAMESPACE=default",
		"KEY_FILE=" + n.dir + "/api_keys", "SECRETS_FILE=" + n.dir + "/secrets.env",
	}, env...)
	// Its broker and what it has in the background outlive a script that is killed.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	n.t.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		}
	})
	return cmd
}

const firstAlloc, secondAlloc = "00000000-1111-2222-3333-444444444444", "99999999-1111-2222-3333-444444444444"

// run starts the script, asks it to end when the broker is up, and returns its exit
// code and what it printed.
func (n *fakeNode) run(index int, broker string, env ...string) (int, string) {
	n.t.Helper()
	cmd := n.script(index, []string{"run.sh", filepath.Join(n.dir, "broker"), broker}, env...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	assert.NilError(n.t, cmd.Start())
	for end := time.Now().Add(10 * time.Second); n.read("up") == "" && time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(n.dir, "up")); err == nil {
			break
		}
	}
	time.Sleep(max(n.stay, 100*time.Millisecond))
	_ = cmd.Process.Signal(syscall.SIGTERM)
	_ = cmd.Wait()
	n.t.Log(out.String())
	assert.Assert(n.t, !strings.Contains(out.String(), "secret-1234"))
	return cmd.ProcessState.ExitCode(), out.String()
}

func TestRunScriptIsClean(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{"emqx-run.sh": EMQXRun, "move.sh": EMQXMove, "holds.sh": EMQXHolds} {
		out, err := exec.Command(agenttest.Tool(t, "shellcheck"), "files/"+name).CombinedOutput()
		assert.NilError(t, err, string(out))
		// Each is the text of a template: only the Erlang in it has such braces.
		assert.Equal(t, strings.Count(text, "{{"), strings.Count(text, "[{{'"), name)
	}
	assert.Assert(t, !strings.Contains(EMQXTakeover+EMQXDevices, "{{"))
}

// The module is loaded when the broker is up, once, and again where that failed.
func TestRunScriptLetsSessionsWait(t *testing.T) {
	t.Parallel()
	load := func(n *fakeNode) string {
		erl := n.dir + "/emqx_oci_takeover.erl"
		return fmt.Sprintf(`{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(250).`, erl, erl) + "\n"
	}
	n := newFakeNode(t)
	n.stay = 2 * time.Second
	code, out := n.run(2, "go", "TAKEOVER_PAUSE=250")
	assert.Equal(t, code, 4, out)
	assert.Equal(t, n.read("loads"), load(n))
	assert.Assert(t, !strings.Contains(out, "start:"), out)

	n = newFakeNode(t)
	n.stay = 8 * time.Second
	n.write("not-yet", "", 0o600)
	_, out = n.run(2, "go", "TAKEOVER_PAUSE=250")
	assert.Equal(t, n.read("loads"), load(n)+load(n), out)
	assert.Equal(t, strings.Count(out, `start: sessions that come here do not wait: emqx eval answers "Node not responding to pings."`), 1, out)

	n = newFakeNode(t)
	n.stay = time.Second
	_, out = n.run(2, "go")
	assert.Equal(t, n.read("loads"), "", out)
}

// That of the devices is loaded where it is there, whether or not sessions wait.
func TestRunScriptLetsDevicesIn(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	n.stay = 2 * time.Second
	n.write("emqx_oci_devices.erl", EMQXDevices, 0o644)
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	erl := n.dir + "/emqx_oci_devices.erl"
	assert.Equal(t, n.read("loads"), fmt.Sprintf(`{ok, M, B} = compile:file("%s", [binary]), {module, M} = code:load_binary(M, "%s", B), M:start(0).`, erl, erl)+"\n")

	// Who else may get in by a certificate the job's variable says.
	n = newFakeNode(t)
	n.stay = 2 * time.Second
	n.write("emqx_oci_devices.erl", EMQXDevices, 0o644)
	_, out = n.run(2, "go", "CERTIFICATE_NAMES=1")
	assert.Assert(t, strings.HasSuffix(strings.TrimSpace(n.read("loads")), "M:start(1)."), out)

	// The job has it where it is asked for.
	v := emqxVars()
	for _, asked := range []bool{false, true} {
		v.Auth, v.CertificateNamesFrom, v.CertificateNames = true, "10.0.2.0/24", asked
		task := emqxJob(t, v).TaskGroups[0].Tasks[0]
		assert.Equal(t, task.Env["CERTIFICATE_NAMES"], map[bool]string{true: "1"}[asked])
		assert.Equal(t, slices.ContainsFunc(task.Templates, func(x *api.Template) bool { return strings.HasSuffix(*x.DestPath, "/emqx_oci_devices.erl") }), asked)
	}
	v.Auth = false
	_, bad := v.HCL2()
	assert.ErrorContains(t, bad, "certificateNames: must be false without auth")
	v.CertificateNames = false
	for _, asked := range []bool{false, true} {
		v.Auth, v.CertificateNamesFrom, v.DeviceCertificates = true, "10.0.2.0/24", asked
		found := slices.ContainsFunc(emqxJob(t, v).TaskGroups[0].Tasks[0].Templates, func(x *api.Template) bool {
			return strings.HasSuffix(*x.DestPath, "/emqx_oci_devices.erl") && *x.EmbeddedTmpl == EMQXDevices
		})
		assert.Equal(t, found, asked)
	}
	v.Auth = false
	_, err := v.HCL2()
	assert.ErrorContains(t, err, "deviceCertificates: must be false without auth")
}

// A broker that does not come up, or is told to end meanwhile, is not held up by it.
func TestRunScriptDoesNotWaitForTheWaiting(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	begin := time.Now()
	code, out := n.run(2, "go", "TAKEOVER_PAUSE=250", "LOAD_TIME=20")
	assert.Assert(t, code == 4 && time.Since(begin) < 15*time.Second, "%d after %s: %s", code, time.Since(begin), out)
}

// Cookie and passwords are EMQX's own: not those of what Docker shows, nor of the
// commands that the script runs beside it.
func TestRunScriptHandsSecretsToEMQXAlone(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	code, out := n.run(5, "go", "DRAIN_RATE=0")
	assert.Equal(t, code, 4, out)
	assert.Equal(t, n.read("cookie"), hostile)
	assert.Equal(t, n.read("ctl"), "ctl cluster leave\n")
	_, err := os.Stat(filepath.Join(n.dir, "leaked"))
	assert.Assert(t, os.IsNotExist(err), "emqx ctl has the cookie in its environment")

	n = newFakeNode(t)
	code, out = n.run(2, "go", "SECRETS_FILE="+n.dir+"/none")
	assert.Assert(t, code != 0 && code != 4, "EMQX starts without its secrets: %d %s", code, out)
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

// A busy node that does not answer once is asked again: to give up ends its sessions.
func TestRunScriptAsksABusyNodeAgain(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t, make([]string, 7)...)
	n.write("busy", "", 0o600)
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	assert.Assert(t, cmp.Contains(out, `exit code 1 and answers "Node not responding to pings."`))
	assert.Assert(t, cmp.Contains(out, "stop: EMQX did not answer, 0 moved: asking again\nstop: no client is left, 7 moved"))
	assert.Equal(t, len(n.batches), 0, "nobody loses a session")
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
	for i := range n.kicked[1:] {
		assert.Assert(t, n.kicked[i+1].Sub(n.kicked[i]) >= time.Second, "%v", n.kicked)
	}
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
			assert.Assert(t, time.Since(start) < 12*time.Second)
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

// Scale-in: the record says fewer, whatever the job said when this node began. EMQX ends
// with 0 whatever came of it: a node has left when another member says so, and only what
// such a node knew is put aside at its next start.
func TestRunScriptLeavesWhenNoLongerWanted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		size   string
		change func(*fakeNode)
		asks   bool
		leaves bool
		want   string
	}{
		"not wanted":    {size: "2\n", asks: true, leaves: true, want: "stop: emqx@127.0.0.2 does not know this node any more: it has left"},
		"wanted":        {size: "3\n"},
		"no record":     {size: "\n"},
		"nonsense":      {size: "nonsense"},
		"nobody wanted": {size: "0"},
		"Nomad wants it": {
			size: "2", want: "stop: Consul says 2 nodes, and Nomad 3: this node stays a member",
			change: func(n *fakeNode) { n.write("nomad", "a warning\n{false,3}\n", 0o600) },
		},
		"the whole job is stopped": {
			size: "2", want: "stop: Consul says 2 nodes, and in Nomad the whole job is stopped: this node stays a member",
			change: func(n *fakeNode) { n.write("nomad", "{true,2}\n", 0o600) },
		},
		"Nomad does not say": {
			size: "2", want: "stop: Consul says 2 nodes, and Nomad says nothing of its job: this node stays a member (RPC to emqx@n2 error: {badmatch,{error,enoent}})",
			change: func(n *fakeNode) { _ = os.Remove(n.dir + "/nomad") },
		},
		"EMQX fails and ends with 0": {
			size: "2", asks: true, want: "stop: emqx@127.0.0.2 still has this node as a member\nstop: if it stays one: 'emqx ctl cluster force-leave emqx@n2'",
			change: func(n *fakeNode) {
				n.stays = true
				n.write("says", "Failed to leave the cluster: {failed_to_leave,['emqx@n1']}\n", 0o600)
			},
		},
		"EMQX says yes, the others no": {
			size: "2", asks: true, want: "stop: emqx@127.0.0.2 still has this node as a member",
			change: func(n *fakeNode) { n.stays = true },
		},
		"nobody knows": {
			size: "2", asks: true, want: "stop: no other member says whether this node has left",
			change: func(n *fakeNode) { n.other.Close(); n.write("says", "Failed to leave the cluster: x\n", 0o600) },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newFakeNode(t)
			n.write("size", tc.size, 0o600)
			if tc.change != nil {
				tc.change(n)
			}
			assert.NilError(t, os.MkdirAll(n.dir+"/mnesia/emqx@n2", 0o700))
			n.write("mnesia/emqx@n2/data", "kept", 0o600)
			code, out := n.run(2, "go")
			assert.Equal(t, code, 4, out)
			_, err := os.Stat(n.dir + "/left-the-cluster")
			assert.Equal(t, err == nil, tc.leaves)
			assert.Equal(t, n.read("ctl") == "ctl cluster leave\n", tc.asks, n.read("ctl"))
			assert.Assert(t, cmp.Contains(out, tc.want))

			// Wanted again: it begins as a new member, once, and nothing is gone.
			_ = os.Remove(n.dir + "/up")
			n.write("size", "3\n", 0o600)
			code, out = n.run(2, "go")
			assert.Equal(t, code, 4)
			_, err = os.Stat(n.dir + "/mnesia/emqx@n2")
			assert.Equal(t, os.IsNotExist(err), tc.leaves)
			_, err = os.Stat(n.dir + "/left-the-cluster")
			assert.Assert(t, os.IsNotExist(err))
			aside, err := filepath.Glob(n.dir + "/left-2*")
			assert.NilError(t, err)
			for _, dir := range aside {
				assert.Equal(t, n.read(filepath.Base(dir)+"/data"), "kept")
			}
			switch {
			case tc.leaves: // what it knew when it left, and what was there when it came back
				assert.Equal(t, len(aside), 2, "%v", aside)
				assert.Assert(t, cmp.Contains(out, "says emqx@127.0.0.2); what was left of it is in "+aside[1]))
				assert.Assert(t, cmp.Contains(out, "start: data aside in "+n.dir+"/left-*: "))
			case tc.asks:
				assert.Equal(t, len(aside), 1, "%v", aside)
				assert.Assert(t, cmp.Contains(out, "start: nobody says that "+aside[0]+" was left behind"))
			default:
				assert.Equal(t, len(aside), 0, "%v", aside)
			}
			if !tc.leaves {
				assert.Equal(t, n.read("mnesia/emqx@n2/data"), "kept")
			}
		})
	}
}

// EMQX deletes what it has on disk when it leaves: it is there under another name, as it was
// last. What another member says was left behind is bounded, and nothing else is removed.
func TestRunScriptDeletesNothingThatIsNotLeftBehind(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	n.write("size", "2\n", 0o600)
	for i := range 6 {
		dir := fmt.Sprintf("left-2001010%dT000000Z", i+1)
		assert.NilError(t, os.MkdirAll(n.dir+"/"+dir, 0o700))
		if i > 0 {
			n.write(dir+"/left.behind", "on a day\n", 0o600)
		}
	}
	assert.NilError(t, os.MkdirAll(n.dir+"/mnesia/emqx@n2", 0o700))
	n.write("mnesia/emqx@n2/data", "before, ", 0o600)
	// As EMQX does: it writes the last of it, and unlinks its files.
	emqx := n.read("emqx")
	n.write("emqx", strings.Replace(emqx, `"cluster leave")`, `"cluster leave")
  echo -n "and at the end" >>mnesia/emqx@n2/data
  rm -r mnesia/emqx@n2`, 1), 0o755)
	code, out := n.run(2, "go")
	assert.Equal(t, code, 4, out)
	kept := func() (names []string) {
		all, err := filepath.Glob(n.dir + "/left-2*")
		assert.NilError(t, err)
		for _, dir := range all {
			names = append(names, strings.TrimPrefix(filepath.Base(dir), "left-200101"))
		}
		return names
	}
	assert.Assert(t, cmp.Contains(out, "start: nobody says that "+n.dir+"/left-20010101T000000Z was left behind: it stays until somebody removes it"))
	assert.Assert(t, cmp.Contains(out, "start: removing "+n.dir+"/left-20010102T000000Z, left behind on a day"))
	names := kept()
	assert.DeepEqual(t, names[:5], []string{"01T000000Z", "03T000000Z", "04T000000Z", "05T000000Z", "06T000000Z"})
	assert.Equal(t, len(names), 6)
	assert.Equal(t, n.read(filepath.Base(names[5])+"/data"), "before, and at the end")
	assert.Assert(t, cmp.Contains(n.read(filepath.Base(names[5])+"/left.behind"), "says emqx@127.0.0.2"))
}

// The expression is run.sh's own, and the answer one of Nomad's: what Erlang makes of it is
// what the script decides by.
func TestErlangReadsNomadsAnswer(t *testing.T) {
	t.Parallel()
	erl := agenttest.Tool(t, "erl")
	_, text, ok := strings.Cut(EMQXRun, "printf -v text '{ok, T}")
	assert.Assert(t, ok)
	text, _, _ = strings.Cut("{ok, T}"+text, "'")
	dir, err := os.MkdirTemp("", "task-api") // a socket's path is short
	assert.NilError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	assert.NilError(t, os.WriteFile(dir+"/nomad_token", []byte("eyJ.token"), 0o600))
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", dir+"/api.sock")
	assert.NilError(t, err)
	answer := func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/job/emqx-lab/scale" || r.URL.Query().Get("namespace") != "prod" || r.Header.Get("X-Nomad-Token") != "eyJ.token" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_ = json.NewEncoder(w).Encode(api.JobScaleStatusResponse{
			JobID: "emqx-lab", Namespace: "prod", JobModifyIndex: 77, TaskGroups: map[string]api.TaskGroupScaleStatus{"emqx": {
				Desired: 4, Placed: 5, Events: []api.ScalingEvent{{Message: strings.Repeat("many ", 5000)}},
			}},
		})
	}
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(answer)}
	go func() { _ = s.Serve(l) }()
	t.Cleanup(func() { _ = s.Close() })
	for namespace, want := range map[string]string{"prod": "{false,4}", "other": "badmatch,nomatch"} {
		expression := strings.TrimSuffix(fmt.Sprintf(text, dir+"/nomad_token", dir+"/api.sock", "emqx-lab", namespace), ".")
		cmd := exec.Command(erl, "-noshell", "-eval", `io:format("~p~n", [catch begin `+expression+` end]), halt().`)
		out, err := cmd.CombinedOutput()
		assert.NilError(t, err, string(out))
		assert.Assert(t, strings.Contains(strings.Join(strings.Fields(string(out)), ""), want), string(out))
	}
}

// Whoever starts a second broker on a volume, it waits until the first one is gone: also
// when only the script that ran it has ended. The check answers for one allocation.
func TestOneBrokerHasTheVolume(t *testing.T) {
	t.Parallel()
	n := newFakeNode(t)
	holds := func(alloc string) string {
		out, err := n.script(2, []string{"holds.sh"}, "NOMAD_ALLOC_ID="+alloc).CombinedOutput()
		return fmt.Sprint(err == nil, " ", string(out))
	}
	start := func(alloc string) (*exec.Cmd, *lines) {
		cmd, out := n.script(2, []string{"run.sh", filepath.Join(n.dir, "broker"), "go"}, "NOMAD_ALLOC_ID="+alloc), &lines{}
		cmd.Stdout, cmd.Stderr = out, out
		assert.NilError(t, cmd.Start())
		t.Cleanup(func() { _ = cmd.Process.Kill() })
		return cmd, out
	}
	await := func(what string, f func() bool) {
		t.Helper()
		for end := time.Now().Add(10 * time.Second); !f(); time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatal("waited in vain: " + what)
			}
		}
	}
	assert.Assert(t, cmp.Contains(holds(firstAlloc), "false"), "no lock, no broker")
	first, out := start(firstAlloc)
	await("the first broker", func() bool { return out.has("broker: runs") })
	assert.Assert(t, cmp.Contains(holds(firstAlloc), "true this allocation's broker has the volume, since 2"))
	broker, err := strconv.Atoi(strings.TrimSpace(n.read("pid")))
	assert.NilError(t, err)
	t.Cleanup(func() { _ = syscall.Kill(broker, syscall.SIGKILL) })

	second, waits := start(secondAlloc)
	await("who has it", func() bool {
		return waits.has("start: another broker has the volume, that of allocation " + firstAlloc + ", since 2")
	})
	assert.Assert(t, cmp.Contains(holds(secondAlloc), "false allocation "+firstAlloc+" has the volume"))
	assert.NilError(t, first.Process.Kill()) // of the script alone
	time.Sleep(2500 * time.Millisecond)
	assert.Assert(t, !waits.has("broker: runs"), "two brokers on one volume")
	assert.Assert(t, cmp.Contains(holds(firstAlloc), "true"))

	assert.NilError(t, syscall.Kill(broker, syscall.SIGKILL))
	await("the second broker", func() bool { return waits.has("broker: runs") })
	assert.Assert(t, cmp.Contains(holds(secondAlloc), "true"))
	assert.Assert(t, cmp.Contains(holds(firstAlloc), "false allocation "+secondAlloc))
	assert.NilError(t, second.Process.Signal(syscall.SIGTERM))
	_ = second.Wait()
	assert.Equal(t, second.ProcessState.ExitCode(), 4)
	assert.Assert(t, cmp.Contains(holds(secondAlloc), "false no broker has the volume"), "the name of who had it last stays")

	// One that waits can be ended.
	third, out := start(firstAlloc)
	await("the third broker", func() bool { return out.has("broker: runs") })
	fourth, waits := start(secondAlloc)
	await("who has it", func() bool { return waits.has("another broker") })
	assert.NilError(t, fourth.Process.Signal(syscall.SIGTERM))
	_ = fourth.Wait()
	assert.Equal(t, fourth.ProcessState.ExitCode(), 143)
	assert.NilError(t, third.Process.Signal(syscall.SIGTERM))
	_ = third.Wait()
}

// lines is what a program has printed so far.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) has(text string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Contains(l.b.String(), text)
}
