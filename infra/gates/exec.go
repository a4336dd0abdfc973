package gates

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"sync"
	"sync/atomic"

	nomad "github.com/hashicorp/nomad/api"
)

// ErrOutputLost means that a command began, and that the end of its output did not
// come: it was killed, with its task or alone.
var ErrOutputLost = errors.New("the end of the command's output was lost on its way through Nomad")

// Exec is part of [NomadClient].
func (c *nomadClient) Exec(ctx context.Context, alloc, task string, command ...string) (ExecResult, error) {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	r, err := answer(func(s Streams, wrapped ...string) error {
		_, err := c.Stream(ctx, alloc, task, s, wrapped...)
		return err
	}, command)
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

// answer runs a command in a way to stream it, and returns all of its output.
func answer(stream func(s Streams, wrapped ...string) error, command []string) (ExecResult, error) {
	stdin, end := io.Pipe()
	defer func() { _ = end.Close() }()
	var marks atomic.Int32
	marked := func() {
		if marks.Add(1) == 2 {
			_ = end.Close()
		}
	}
	stdout, stderr := untilMark{marked: marked}, untilMark{marked: marked}
	err := stream(Streams{In: stdin, Out: &stdout, Err: &stderr}, append([]string{"/bin/sh", "-c", wholeScript, endMark}, command...)...)
	if err != nil {
		return ExecResult{}, err
	}
	out, exit, ok := cutMark(stdout.text.Bytes())
	said, _, too := cutMark(stderr.text.Bytes())
	if !ok || !too {
		return ExecResult{Stdout: string(out), Stderr: string(said)}, ErrOutputLost
	}
	return ExecResult{Stdout: string(out), Stderr: string(said), Exit: exit}, nil
}

// untilMark keeps what is written, and tells when that is whole.
type untilMark struct {
	text   bytes.Buffer
	marked func()
	told   bool
}

func (w *untilMark) Write(p []byte) (int, error) {
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

// Stream goes through the servers. The API client would dial the node itself
// first, when it knows which; the gates need no route to the nodes, and from
// outside their network that address may be anybody's. Without a node in the
// allocation the client has nothing to dial.
func (c *nomadClient) Stream(ctx context.Context, alloc, task string, s Streams, command ...string) (int, error) {
	type end struct {
		exit int
		err  error
	}
	if s.In == nil {
		s.In = bytes.NewReader(nil)
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
	what := "output of " + command[0]
	select {
	case e := <-done:
		return e.exit, c.explain(what, e.err)
	case <-ctx.Done():
		// The client's handshake does not end with the context.
		return 0, c.explain(what, ctx.Err())
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
