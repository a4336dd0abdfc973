//go:build lab && linux

package peer

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

const nobody = 65534

// as has a shell, run by another user, say something to a port and print the answer.
func as(t *testing.T, uid uint32, to net.Addr, say string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	host, port, err := net.SplitHostPort(to.String())
	assert.NilError(t, err)
	cmd := exec.CommandContext(ctx, "/bin/bash", "-c", `exec 3<>"/dev/tcp/$0/$1"; printf "%b" "$2" >&3; timeout 3 cat <&3`, host, port, say)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
	said, _ := cmd.CombinedOutput() // how it ends depends on how the connection does
	return string(said)
}

func TestStrangersAreRefused(t *testing.T) {
	l := listen(t)
	lines := make(chan string, 10)
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(w, "done "+r.URL.Path)
	})}
	defer s.Close()
	go func() { _ = s.Serve(Own(l, Unauthorized, func(f string, a ...any) { lines <- fmt.Sprintf(f, a...) })) }()
	const ask = `GET /x HTTP/1.0\r\n\r\n`
	assert.Assert(t, strings.HasSuffix(as(t, 0, l.Addr(), ask), "done /x"))
	resp, err := http.ReadResponse(bufio.NewReader(strings.NewReader(as(t, nobody, l.Addr(), ask))), nil)
	assert.NilError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	assert.NilError(t, err)
	assert.Equal(t, resp.StatusCode, http.StatusForbidden)
	assert.Assert(t, strings.Contains(string(text), "for root alone"), "%s", text)
	// Again and again: the log says it once.
	as(t, nobody, l.Addr(), ask)
	assert.Assert(t, strings.Contains(<-lines, "it is of user 65534"))
	assert.Equal(t, len(lines), 0)
}
