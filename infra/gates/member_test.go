package gates

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// said is what the script prints in the task of a member that serves.
func said(running, stopped []string) ExecResult {
	cluster, _ := json.Marshal(map[string]any{"name": "emqxcl", "nodes": running, "self": "emqx@x"})
	var nodes []map[string]string
	for _, n := range running {
		nodes = append(nodes, map[string]string{"node": n, "node_status": "running"})
	}
	for _, n := range stopped {
		nodes = append(nodes, map[string]string{"node": n, "node_status": "stopped"})
	}
	list, _ := json.Marshal(nodes)
	out := "\n--- born\n1700000000\n\n--- cluster\nHTTP/1.1 200 OK\r\n\r\n" + string(cluster) +
		fmt.Sprintf("\n--- stats\nemqx_live_connections_count 5\nemqx_sessions_count 7\nemqx_cluster_nodes_stopped %d\n", len(stopped))
	if len(stopped) > 0 {
		out += "\n--- nodes\nHTTP/1.1 200 OK\r\n\r\n" + string(list)
	}
	return ExecResult{Stdout: out}
}

// closed is what it prints where nothing listens yet.
func closed(born string) ExecResult { return ExecResult{Stdout: "\n--- born\n" + born + "\n"} }

// brokerPage is a member's API, as EMQX 5.8.9 answers.
type brokerPage struct {
	stopped  []string
	noStats  bool
	denied   bool
	hangs    string // the path that is never answered
	asked    int32
	password string
}

func (p *brokerPage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	atomic.AddInt32(&p.asked, 1)
	if r.URL.Path == p.hangs {
		<-r.Context().Done()
		return
	}
	if key, secret, _ := r.BasicAuth(); r.URL.Path != "/api/v5/prometheus/stats" && (p.denied || key != "key" || secret != p.password) {
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = w.Write([]byte(`{"code":"BAD_API_KEY_OR_SECRET","message":"Check api_key/api_secret"}`))
		return
	}
	switch r.URL.Path {
	case "/api/v5/cluster":
		_, _ = w.Write([]byte(`{"name":"emqxcl","nodes":["emqx@a","emqx@b"],"self":"emqx@a"}`))
	case "/api/v5/prometheus/stats":
		if p.noStats {
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, "# TYPE emqx_sessions_count gauge\n# HELP emqx_sessions_count \nemqx_sessions_count 9\nemqx_sessions_max 99\n"+
			"emqx_live_connections_count 4\nemqx_live_connections_max 44\nemqx_cluster_nodes_running 2\nemqx_cluster_nodes_stopped %d\n", len(p.stopped))
	case "/api/v5/nodes":
		text := `[{"node":"emqx@a","node_status":"running","connections":4}`
		for _, n := range p.stopped {
			text += `,{"node":"` + n + `","node_status":"stopped","role":"core"}`
		}
		_, _ = w.Write([]byte(text + "]"))
	}
}

// taskNomad runs what is asked in a real shell, as in a task.
type taskNomad struct {
	NomadClient
	t    *testing.T
	env  []string
	ctl  string // a shell script
	runs atomic.Int32
}

func (n *taskNomad) Exec(ctx context.Context, _, _ string, command ...string) (r ExecResult, err error) {
	n.runs.Add(1)
	bin := n.t.TempDir()
	assert.Check(n.t, os.WriteFile(filepath.Join(bin, "emqx"), []byte("#!/bin/sh\n"+n.ctl), 0o755))
	var out, errors strings.Builder
	cmd := exec.CommandContext(ctx, "/usr/bin/env", command...) // which looks for it in the task's own path
	cmd.Env = append([]string{"PATH=" + bin + ":" + os.Getenv("PATH")}, n.env...)
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errors, 100*time.Millisecond
	_ = cmd.Run()
	if ctx.Err() != nil {
		return r, ctx.Err()
	}
	return ExecResult{Stdout: out.String(), Stderr: errors.String(), Exit: cmd.ProcessState.ExitCode()}, nil
}

// inTask is a task with data, a key, and an API at an address.
func inTask(t *testing.T, address, secret string) *taskNomad {
	dir := t.TempDir()
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "mnesia", "emqx@a"), 0o700))
	key := filepath.Join(dir, "api_keys")
	assert.NilError(t, os.WriteFile(key, []byte("key:"+secret+"\n"), 0o600))
	return &taskNomad{t: t, ctl: "exit 7", env: []string{
		"NOMAD_ADDR_dashboard=" + address, "KEY_FILE=" + key, "EMQX_NODE__DATA_DIR=" + dir, "EMQX_NODE__NAME=emqx@a",
	}}
}

func TestAMemberIsAsked(t *testing.T) {
	n := func(n int) *int { return &n }
	for name, c := range map[string]struct {
		page  brokerPage
		ctl   string
		want  MemberView
		asked int32 // HTTP requests
	}{
		"well":               {want: MemberView{Answered: true, Running: []string{"emqx@a", "emqx@b"}, Clients: n(4), Sessions: n(9)}, asked: 2},
		"one stopped":        {page: brokerPage{stopped: []string{"emqx@d", "emqx@c"}}, want: MemberView{Answered: true, Running: []string{"emqx@a", "emqx@b"}, Stopped: []string{"emqx@c", "emqx@d"}, Clients: n(4), Sessions: n(9)}, asked: 3},
		"the page is closed": {page: brokerPage{noStats: true, stopped: []string{"emqx@c"}}, want: MemberView{Answered: true, Running: []string{"emqx@a", "emqx@b"}, Stopped: []string{"emqx@c"}}, asked: 3},
		"a key that it does not know": {
			page: brokerPage{denied: true}, ctl: `[ "$*" = "ctl cluster status --json" ] && echo 'WARNING: cookie' && echo '{"stopped_nodes":["emqx@c"],"running_nodes":["emqx@a"]}'`,
			want: MemberView{Answered: true, Running: []string{"emqx@a"}, Stopped: []string{"emqx@c"}}, asked: 2,
		},
		"a key that it does not know, and no ctl": {
			page: brokerPage{denied: true}, ctl: "echo no pings >&2; exit 1",
			want: MemberView{Says: "its API answers 401 Unauthorized: {\"code\":\"BAD_API_KEY_OR_SECRET\",\"message\":\"Check api_key/api_secret\"}, " +
				"and `emqx ctl cluster status --json` ends with exit code 1: no pings"}, asked: 2,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.page.password = `s"e'c:r$et`
			server := httptest.NewServer(&c.page)
			defer server.Close()
			task := inTask(t, strings.TrimPrefix(server.URL, "http://"), c.page.password)
			if c.ctl != "" {
				task.ctl = c.ctl
			}
			v, err := AskMember(t.Context(), task, "emqx", labAlloc(0, 1))
			assert.NilError(t, err)
			if c.page.denied { // it tells its clients all the same
				assert.Equal(t, v.Clients == nil, true)
			}
			assert.DeepEqual(t, v, c.want)
			if !c.page.denied {
				assert.Equal(t, atomic.LoadInt32(&c.page.asked), c.asked)
				assert.Equal(t, task.runs.Load(), int32(1), "an `emqx ctl` costs a second of the node's processor")
			}
		})
	}
}

func TestAMemberThatDoesNotServe(t *testing.T) {
	gone, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	assert.NilError(t, gone.Close())
	task := inTask(t, gone.Addr().String(), "s")
	view := func(started time.Time) MemberView {
		a := labAlloc(0, 1)
		a.TaskStates["emqx"].StartedAt = started
		v, err := AskMember(t.Context(), task, "emqx", a)
		assert.NilError(t, err)
		return v
	}
	assert.DeepEqual(t, view(time.Now()), MemberView{Closed: true, Fresh: true, Says: "nothing listens on its API's port"})
	assert.DeepEqual(t, view(time.Now().Add(time.Minute)), MemberView{Closed: true, Says: "nothing listens on its API's port"})
	task.env[2] = "EMQX_NODE__DATA_DIR=/none"
	assert.DeepEqual(t, view(time.Now().Add(time.Minute)), MemberView{Closed: true, Fresh: true, Says: "nothing listens on its API's port"})
}

// A question that runs out of time says nothing of the member.
func TestAMemberThatIsLate(t *testing.T) {
	t.Parallel()
	page := &brokerPage{hangs: "/api/v5/cluster"}
	server := httptest.NewServer(page)
	t.Cleanup(server.CloseClientConnections)
	task := inTask(t, strings.TrimPrefix(server.URL, "http://"), "")
	begin := time.Now()
	v, err := AskMember(t.Context(), task, "emqx", labAlloc(0, 1))
	assert.NilError(t, err)
	assert.DeepEqual(t, v, MemberView{Late: true, Says: "its API did not answer within 10s"})
	assert.Assert(t, time.Since(begin) < askTime+sessionTime)

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	v, err = AskMember(ctx, task, "emqx", labAlloc(0, 1))
	assert.NilError(t, err)
	assert.Assert(t, v.Late && !v.Closed && !v.Lost, "%+v", v)
}

// The names of stopped members come from a page that waits for one that hangs.
func TestNamesOfStoppedMembersAreNotWaitedFor(t *testing.T) {
	t.Parallel()
	page := &brokerPage{hangs: "/api/v5/nodes", stopped: []string{"emqx@c"}}
	server := httptest.NewServer(page)
	t.Cleanup(server.CloseClientConnections)
	v, err := AskMember(t.Context(), inTask(t, strings.TrimPrefix(server.URL, "http://"), ""), "emqx", labAlloc(0, 1))
	assert.NilError(t, err)
	assert.Assert(t, v.Answered && v.Nameless == 1 && v.Stopped == nil, "%+v", v)
}

func TestAskingOnce(t *testing.T) {
	f := &fakeNomad{}
	var asked atomic.Int32
	f.exec = func(alloc, _ string, _ []string) (ExecResult, error) {
		asked.Add(1)
		if strings.HasPrefix(alloc, "a1") {
			return ExecResult{}, Fatal(errors.New("no"))
		}
		return said(labNodes, nil), nil
	}
	ctx := AskingOnce(t.Context())
	for range 3 {
		views, err := askMembers(ctx, f, "emqx", []*nomad.AllocationListStub{labAlloc(0, 1), labAlloc(2, 1)})
		assert.NilError(t, err)
		assert.Assert(t, views[0].Answered && views[1].Answered)
	}
	_, err := AskMember(ctx, f, "emqx", labAlloc(1, 1))
	assert.Assert(t, IsFatal(err))
	assert.Equal(t, asked.Load(), int32(3))
	_, err = AskMember(AskingOnce(t.Context()), f, "emqx", labAlloc(0, 1))
	assert.NilError(t, err)
	assert.Equal(t, asked.Load(), int32(4))
}
