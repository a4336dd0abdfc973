package broker

import (
	"archive/tar"
	"compress/gzip"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// wantListener waits until the member says whether a listener of its runs.
func (l *lab) wantListener(i int, id string, running bool) {
	l.t.Helper()
	eventually(l.t, func() string {
		out, code := l.ctl(i, "listeners")
		_, after, _ := strings.Cut(out, id+"\n")
		if code == 0 && strings.Contains(strings.Split(after, "current_conn")[0], fmt.Sprintf("running         : %t\n", running)) {
			return ""
		}
		return fmt.Sprintf("node %d: %s running=%t wanted: %s", i, id, running, out)
	})
}

// Each member of this lab has an address of its own in its environment, as jobs had it:
// what one writes closes the listener of the other, and nobody is told but who asks it.
func TestAListenerWrittenOnOneMemberIsWrittenOnAll(t *testing.T) {
	t.Parallel()
	keys := filepath.Join(t.TempDir(), "keys")
	assert.NilError(t, os.WriteFile(keys, []byte("key:secret-secret\n"), 0o600))
	l := newLab(t, 2, "EMQX_API_KEY__BOOTSTRAP_FILE="+keys)
	l.start(0)
	other := l.start(1)
	l.wantWhole()
	stays := l.mqtt(0, connectOpts{id: "stays"})
	code, body := httpDo("PUT", l.url(0, "/api/v5/listeners/tcp:default"), `{"type": "tcp", "id": "tcp:default", "max_connections": 5000}`, "key", "secret-secret")
	assert.Equal(t, code, http.StatusOK, body)
	l.wantListener(0, "tcp:default", true)
	l.wantListener(1, "tcp:default", false)
	stays.publish("still", "here", 1, false)
	code, body = httpGet(l.url(1, "/status"))
	assert.Equal(t, code, http.StatusOK)
	assert.Assert(t, strings.Contains(body, "emqx is running"), body)
	code, body = httpGet(l.url(1, "/api/v5/listeners"), "key", "secret-secret")
	assert.Equal(t, code, http.StatusOK)
	assert.Assert(t, strings.Contains(body, `"running":false`), body)
	assert.Assert(t, strings.Contains(other.out.String(), "failed_to_start: tcp:default"), other.out.String())

	// The environment wins again at the next start.
	assert.NilError(t, other.stop(t))
	l.start(1)
	l.wantWhole()
	l.wantListener(1, "tcp:default", true)

	// What this member cannot have is refused, and goes no further.
	code, body = httpDo("PUT", l.url(0, "/api/v5/listeners/tcp:default"), `{"type": "tcp", "id": "tcp:default", "bind": "192.0.2.1:1883"}`, "key", "secret-secret")
	assert.Equal(t, code, http.StatusBadRequest)
	assert.Assert(t, strings.Contains(body, "eaddrnotavail"), body)
	l.wantListener(1, "tcp:default", true)
}

// import_config writes the importing member's listeners, also from an archive that has
// none; one without cluster.hocon leaves them.
func TestAnImportWritesListeners(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	second := l.start(1)
	l.wantWhole()
	out, _ := l.ctl(0, "data", "export")
	path := regexp.MustCompile(`exported to (.*)\.$`).FindStringSubmatch(out)[1]
	bare := without(t, path, clusterFile)
	out, _ = l.ctl(0, "data", "import", bare)
	assert.Assert(t, strings.HasSuffix(out, "Data has been imported successfully."), out)
	l.wantListener(1, "tcp:default", true)
	out, _ = l.ctl(0, "data", "import", path)
	assert.Assert(t, strings.HasSuffix(out, "Data has been imported successfully."), out)
	l.wantListener(0, "tcp:default", true)
	l.wantListener(1, "tcp:default", false)
	// From then on an export has them, and another cluster's addresses close this one's.
	out, _ = l.ctl(0, "data", "export")
	foreign := regexp.MustCompile(`exported to (.*)\.$`).FindStringSubmatch(out)[1]
	assert.NilError(t, second.stop(t))
	l.start(1)
	l.wantWhole()
	out, code := l.ctl(1, "data", "import", foreign)
	assert.Equal(t, code, 0)
	assert.Assert(t, strings.Contains(out, "Data has been imported, but some errors occurred"), out)
	l.wantListener(1, "tcp:default", false)
}

// without is an archive that lacks a file.
func without(t *testing.T, path, name string) string {
	t.Helper()
	in, err := os.Open(path)
	assert.NilError(t, err)
	defer func() { _ = in.Close() }()
	z, err := gzip.NewReader(in)
	assert.NilError(t, err)
	to := filepath.Join(t.TempDir(), filepath.Base(path))
	out, err := os.Create(to)
	assert.NilError(t, err)
	zw := gzip.NewWriter(out)
	w := tar.NewWriter(zw)
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			break
		}
		if strings.HasSuffix(h.Name, name) {
			continue
		}
		assert.NilError(t, w.WriteHeader(h))
		_, err = io.Copy(w, r)
		assert.NilError(t, err)
	}
	assert.NilError(t, w.Close())
	assert.NilError(t, zw.Close())
	assert.NilError(t, out.Close())
	return to
}

func TestAListenerIsStoppedOnOneMemberAlone(t *testing.T) {
	t.Parallel()
	l := newLab(t, 2)
	l.start(0)
	l.start(1)
	l.wantWhole()
	out, code := l.ctl(0, "listeners", "stop", "tcp:default")
	assert.Equal(t, code, 0, out)
	l.wantListener(0, "tcp:default", false)
	l.wantListener(1, "tcp:default", true)
	_, code = l.ctl(0, "listeners", "start", "tcp:default")
	assert.Equal(t, code, 0)
	l.wantListener(0, "tcp:default", true)
	l.mqtt(0, connectOpts{id: "again"})
}

// What HAProxy's check says: a version of MQTT that nobody speaks is refused with CONNACK
// 1, and leaves nothing behind.
func TestAnUnknownVersionIsRefusedBeforeAllElse(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	l.start(0, "EMQX_LISTENERS__TCP__DEFAULT__PROXY_PROTOCOL=true")
	l.wantUp(0)
	check, err := hex.DecodeString("0d0a0d0a000d0a515549540a2111000c7f0000017f00000100010001" + "100c00044d5154540f0200000000")
	assert.NilError(t, err)
	conn := dial(t, l.ip(0)+":1883")
	_, err = conn.Write(check)
	assert.NilError(t, err)
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	answer, err := io.ReadAll(conn)
	assert.NilError(t, err)
	assert.Equal(t, hex.EncodeToString(answer), "20020001")
	out, _ := l.ctl(0, "clients", "list")
	assert.Equal(t, out, "No clients.")
}

// A WebSocket listener waits for a second, and wants the header whole.
func TestAWebSocketListenerWantsItsHeaderAtOnce(t *testing.T) {
	t.Parallel()
	l := newLab(t, 1)
	p := "EMQX_LISTENERS__WS__DEFAULT__"
	l.start(0, p+"ENABLE=true", p+"BIND="+l.ip(0)+":8083", p+"PROXY_PROTOCOL=true")
	l.wantUp(0)
	closedAfter := func(parts ...string) time.Duration {
		conn := dial(t, l.ip(0)+":8083")
		defer func() { _ = conn.Close() }()
		begin := time.Now()
		for _, part := range parts {
			_, err := io.WriteString(conn, part)
			assert.NilError(t, err)
			time.Sleep(100 * time.Millisecond)
		}
		_ = conn.SetReadDeadline(time.Now().Add(5 * time.Second))
		n, _ := conn.Read(make([]byte, 1))
		assert.Equal(t, n, 0)
		return time.Since(begin)
	}
	silent := closedAfter()
	assert.Assert(t, silent > 900*time.Millisecond && silent < 1900*time.Millisecond, "%v", silent)
	assert.Assert(t, closedAfter("\r\n\r\n\x00\r\nQU") < 900*time.Millisecond)

	// Who has said in its PROXY header who it is, is not asked again.
	conn := dial(t, l.ip(0)+":8083")
	_, err := io.WriteString(conn, "PROXY TCP4 203.0.113.7 10.0.0.1 4444 8083\r\n")
	assert.NilError(t, err)
	ws := dialWS(t, conn, "ws://x/mqtt", http.Header{"X-Forwarded-For": {"198.51.100.9"}, "X-Forwarded-Port": {"999"}})
	connect(t, ws, connectOpts{id: "w"})
	out, _ := l.ctl(0, "clients", "show", "w")
	assert.Assert(t, strings.Contains(out, "peername=203.0.113.7:4444,"), out)
}
