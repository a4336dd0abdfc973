package gates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	nomad "github.com/hashicorp/nomad/api"
)

// ErrOutputLost means that a command began, and that the end of its output did not
// come: it was killed, with its task or alone.
var ErrOutputLost = errors.New("the end of the command's output was lost on its way through Nomad")

// Exec is part of [NomadClient].
func (c *nomadClient) Exec(ctx context.Context, alloc, task string, command ...string) (ExecResult, error) {
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout)
		defer cancel()
	}
	r, err := runToEnd(func(s Streams, wrapped ...string) error {
		_, err := c.Stream(ctx, alloc, task, s, wrapped...)
		return err
	}, command)
	if err != nil && ctx.Err() != nil {
		// Which is not that Nomad cannot be reached: the command may still run.
		return r, fmt.Errorf("running %s through Nomad at %s: no end of it in time: %w", command[0], c.address, context.Cause(ctx))
	}
	if err != nil {
		return r, fmt.Errorf("running %s: %w", command[0], err)
	}
	return r, nil
}

// wholeScript writes a command's exit code behind both of its outputs, and waits for
// the end of its input, which comes when both are here: Nomad ends a session with its
// command, and what is under way is lost.
const wholeScript = `"$@" </dev/null; code=$?; printf '\n%s %d\n' "$0" "$code"; printf '\n%s %d\n' "$0" "$code" >&2; read -r _; exit "$code"`

// endMark stands before the exit code.
const endMark = "end-of-output"

// runToEnd runs a command in a way to stream it, and returns all of its output.
func runToEnd(stream func(s Streams, wrapped ...string) error, command []string) (ExecResult, error) {
	stdin, end := io.Pipe()
	defer func() { _ = end.Close() }()
	var marks atomic.Int32
	marked := func() {
		if marks.Add(1) == 2 {
			_ = end.Close()
		}
	}
	stdout, stderr := &untilMark{marked: marked}, &untilMark{marked: marked}
	err := stream(Streams{In: stdin, Out: stdout, Err: stderr}, append([]string{"/bin/sh", "-c", wholeScript, endMark}, command...)...)
	if err != nil {
		return ExecResult{}, err
	}
	out, exit, ok := cutMark(stdout.bytes())
	said, _, too := cutMark(stderr.bytes())
	if !ok || !too {
		return ExecResult{Stdout: string(out), Stderr: string(said)}, ErrOutputLost
	}
	return ExecResult{Stdout: string(out), Stderr: string(said), Exit: exit}, nil
}

// untilMark keeps what is written, and tells when that is whole. A session that has
// ended may still write.
type untilMark struct {
	marked func()

	mu   sync.Mutex
	text bytes.Buffer
	told bool
}

func (w *untilMark) bytes() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return bytes.Clone(w.text.Bytes())
}

func (w *untilMark) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	// The line may come in two parts.
	if _, _, ok := cutMark(w.text.Bytes()[max(0, w.text.Len()-2*len(endMark)):]); ok && !w.told {
		w.told = true
		w.marked()
	}
	return len(p), nil
}

var ending = regexp.MustCompile(`\n` + endMark + ` (\d+)\n$`)

func cutMark(out []byte) (text []byte, exit int, ok bool) {
	at := ending.FindSubmatchIndex(out)
	if at == nil {
		return out, 0, false
	}
	exit, err := strconv.Atoi(string(out[at[2]:at[3]]))
	return out[:at[0]], exit, err == nil
}

// Stream is part of [NomadClient].
func (c *nomadClient) Stream(ctx context.Context, alloc, task string, s Streams, command ...string) (int, error) {
	return streamConfirmed(func(s Streams, wrapped ...string) (int, error) {
		exit, err := c.session(ctx, alloc, task, s, wrapped...)
		return exit, c.explain("output of "+command[0], err)
	}, s, command)
}

// beginScript says that it is there, and waits to be told to begin.
const beginScript = `echo begin; read -r _ || exit 0; exec "$@"`

const beginLine = "begin\n"

// beginTries: of sessions on a busy machine about one in a hundred does not begin.
const beginTries = 8

// streamConfirmed runs a command in a session that is known to be there. Nomad's docker driver
// asks Docker whether the command still runs as soon as it has asked it to start it; a
// command that was not yet started has ended, with code 0, as far as Nomad knows
// (ExecTaskStreaming of Nomad 1.11.2). It starts a moment later, with nobody to hear it.
// So it waits for a word that only a session that heard it gives, and a session that
// heard nothing is begun anew.
func streamConfirmed(session func(s Streams, wrapped ...string) (int, error), s Streams, command []string) (int, error) {
	if s.In == nil {
		s.In = bytes.NewReader(nil)
	}
	wrapped := append([]string{"/bin/sh", "-c", beginScript, "begin"}, command...)
	for range beginTries {
		there, over := make(chan struct{}), make(chan struct{})
		out := &afterBegin{w: s.Out, there: there}
		in := &heldReader{r: io.MultiReader(strings.NewReader("\n"), s.In), there: there, over: over}
		exit, err := session(Streams{In: in, Out: out, Err: s.Err}, wrapped...)
		close(over)
		if err != nil || exit != 0 || out.begun() {
			return exit, err
		}
	}
	return 0, fmt.Errorf("running %s: Nomad ended %d sessions before the command could begin", command[0], beginTries)
}

// afterBegin passes on what comes behind the first line, and tells when that is there.
type afterBegin struct {
	w     io.Writer
	mu    sync.Mutex
	first []byte
	there chan struct{}
}

func (a *afterBegin) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	n := min(len(p), len(beginLine)-len(a.first))
	a.first = append(a.first, p[:n]...)
	rest := p[n:]
	switch {
	case n == 0 || len(a.first) < len(beginLine):
	case string(a.first) == beginLine:
		close(a.there)
	default: // why it cannot begin
		rest = append(a.first, rest...)
	}
	if len(rest) > 0 && a.w != nil {
		if _, err := a.w.Write(rest); err != nil {
			return 0, err
		}
	}
	return len(p), nil
}

func (a *afterBegin) begun() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return string(a.first) == beginLine
}

// heldReader has nothing to read until the command is there, and nothing once the
// session is over: what comes too late would be read for the next one.
type heldReader struct {
	r           io.Reader
	there, over chan struct{}
}

func (h *heldReader) Read(p []byte) (int, error) {
	select {
	case <-h.over:
		return 0, io.EOF
	default:
	}
	select {
	case <-h.there:
	case <-h.over:
		return 0, io.EOF
	}
	return h.r.Read(p)
}

// session goes through the servers. The API client would dial the node itself
// first, when it knows which; the gates need no route to the nodes, and from
// outside their network that address may be anybody's. Without a node in the
// allocation the client has nothing to dial.
func (c *nomadClient) session(ctx context.Context, alloc, task string, s Streams, command ...string) (int, error) {
	type end struct {
		exit int
		err  error
	}
	stdout, stderr := &cutWriter{w: s.Out}, &cutWriter{w: s.Err}
	defer stdout.cut()
	defer stderr.cut()
	done := make(chan end, 1)
	go func() {
		exit, err := c.api.Allocations().Exec(ctx, &nomad.Allocation{ID: alloc}, task, false, command,
			s.In, stdout, stderr, nil, (&nomad.QueryOptions{}).WithContext(ctx))
		done <- end{exit, err}
	}()
	select {
	case e := <-done:
		return e.exit, e.err
	case <-ctx.Done():
		// The client's handshake does not end with the context.
		return 0, ctx.Err()
	}
}

// cutWriter keeps what comes too late from a writer that is the caller's again.
type cutWriter struct {
	mu sync.Mutex
	w  io.Writer
}

func (c *cutWriter) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.w == nil {
		return len(b), nil
	}
	return c.w.Write(b)
}

func (c *cutWriter) cut() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.w = nil
}
