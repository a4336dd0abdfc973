package broker

import (
	"context"
	"io"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// Which of the API's questions waits for a member that hangs decides who may be asked
// while one does: on EMQX 5.8.9 the list of nodes takes 30 s, and the rest no time.
func TestWhoWaitsForAMemberThatHangs(t *testing.T) {
	t.Parallel()
	l := newLab(t, 3)
	l.start(0, keyFile(t, "ops:s3cret:administrator\n"), "EMQX_NODE__DIST_NET_TICKTIME=60s")
	l.start(1)
	frozen := l.startProcess(2)
	l.wantWhole()
	assert.NilError(t, frozen.Signal(syscall.SIGSTOP))
	defer func() { _ = frozen.Signal(syscall.SIGCONT) }()

	get := func(path string, within time.Duration) (string, error) {
		ctx, cancel := context.WithTimeout(t.Context(), within)
		defer cancel()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, l.url(0, path), nil)
		assert.NilError(t, err)
		r.SetBasicAuth("ops", "s3cret")
		a, err := http.DefaultClient.Do(r)
		if err != nil {
			return "", err
		}
		defer func() { _ = a.Body.Close() }()
		text, err := io.ReadAll(a.Body)
		return string(text), err
	}
	text, err := get("/api/v5/cluster", 2*time.Second)
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(text, l.name(2)), "it is missed by nobody yet: %s", text)
	text, err = get("/api/v5/prometheus/stats", 2*time.Second)
	assert.NilError(t, err)
	assert.Assert(t, strings.Contains(text, "emqx_cluster_nodes_stopped 0\n"), text)
	_, err = get("/api/v5/nodes", 8*time.Second)
	assert.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestACommandTakesTheProcessorFirst(t *testing.T) {
	before := processorTime()
	burn(50 * time.Millisecond)
	assert.Assert(t, processorTime()-before >= 50*time.Millisecond)
}
