package broker

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"
)

// What the stand-in takes for the script's question to Nomad is the script's, and it is asked
// with the task's token.
func TestTheQuestionToNomadIsThatOfTheJob(t *testing.T) {
	t.Parallel()
	script, err := os.ReadFile("../../components/nomad/files/emqx-run.sh")
	assert.NilError(t, err)
	assert.Assert(t, cmp.Contains(string(script), "printf -v text '"+jobExpression+"'"))

	dir, err := os.MkdirTemp("", "task-api") // a socket's path is short
	assert.NilError(t, err)
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	assert.NilError(t, os.WriteFile(dir+"/token", []byte("eyJ.token"), 0o600))
	l := newLab(t, 1)
	l.start(0)
	l.wantUp(0)
	ask := func(job string) (string, int) {
		return l.ctl(0, "eval_erl", fmt.Sprintf(jobExpression, dir+"/token", dir+"/api.sock", job, "default"))
	}
	out, code := ask("emqx-lab")
	assert.Assert(t, code == 1 && strings.Contains(out, "badmatch"), out)
	socket, err := (&net.ListenConfig{}).Listen(t.Context(), "unix", dir+"/api.sock")
	assert.NilError(t, err)
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("X-Nomad-Token") != "eyJ.token" || r.URL.Path != "/v1/job/emqx-lab/scale" {
			w.WriteHeader(http.StatusForbidden)
			return
		}
		_, _ = fmt.Fprint(w, `{"JobID":"emqx-lab","JobStopped":false,"TaskGroups":{"emqx":{"Desired":3,"Placed":3}}}`)
	})}
	go func() { _ = s.Serve(socket) }()
	t.Cleanup(func() { _ = s.Close() })
	out, code = ask("emqx-lab")
	assert.Equal(t, code, 0, out)
	assert.Equal(t, out, "{false,3}")
	out, code = ask("another")
	assert.Assert(t, code == 1 && strings.Contains(out, "nomatch"), out)
}
