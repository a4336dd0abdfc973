package operate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strconv"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// ErrNotRunning means that a node has no EMQX allocation that runs.
var ErrNotRunning = errors.New("no EMQX allocation runs")

// ErrOutputLost means that a command ran, and that the end of its output did not
// come: Nomad may close an exec session before the last frame is through.
var ErrOutputLost = errors.New("the end of the command's output was lost on its way through Nomad")

// Broker finds the running EMQX allocation of node i. The error wraps
// [ErrNotRunning] when there is none.
func (c *Cluster) Broker(ctx context.Context, i int) (*nomad.AllocationListStub, error) {
	if i < 0 || i >= len(c.Nodes) {
		return nil, fmt.Errorf("finding EMQX on node %d: must be 0 to %d", i, len(c.Nodes)-1)
	}
	allocs, err := c.Nomad.Allocations(ctx, c.BrokerJob)
	if err != nil {
		return nil, fmt.Errorf("finding EMQX on %s: %w", c.Nodes[i].Name, err)
	}
	a := newest(allocs, i)
	if a == nil || a.ClientStatus != nomad.AllocClientStatusRunning {
		return nil, fmt.Errorf("finding EMQX on %s: %w", c.Nodes[i].Name, ErrNotRunning)
	}
	return a, nil
}

// index of an allocation stands at the end of its name: "emqx-lab.emqx[2]".
var index = regexp.MustCompile(`\[(\d+)\]$`)

// newest is the allocation of node i that counts: one that is meant to run before
// one that is not, the younger before the older.
func newest(allocs []*nomad.AllocationListStub, i int) *nomad.AllocationListStub {
	var found *nomad.AllocationListStub
	better := func(a *nomad.AllocationListStub) bool {
		if found == nil {
			return true
		}
		wanted, before := a.DesiredStatus == nomad.AllocDesiredStatusRun, found.DesiredStatus == nomad.AllocDesiredStatusRun
		if wanted != before {
			return wanted
		}
		return a.CreateIndex > found.CreateIndex
	}
	for _, a := range allocs {
		m := index.FindStringSubmatch(a.Name)
		if m == nil || m[1] != strconv.Itoa(i) {
			continue
		}
		if better(a) {
			found = a
		}
	}
	return found
}

// Run runs a command beside EMQX on node i, with the caller's streams, until it ends
// or the context does: ending the context ends the waiting, not always the command.
// A command that ran has an exit code and no error. The end of its output may be
// lost; see [Cluster.Ask].
func (c *Cluster) Run(ctx context.Context, i int, streams gates.Streams, command ...string) (exit int, err error) {
	a, err := c.Broker(ctx, i)
	if err != nil {
		return 0, err
	}
	exit, err = c.Nomad.Stream(ctx, a.ID, brokerTask, streams, command...)
	if err != nil {
		return 0, fmt.Errorf("running %s on %s: %w", command[0], c.Nodes[i].Name, err)
	}
	return exit, nil
}

// Ask runs a command that changes nothing beside EMQX on node i, and returns its
// whole output: one that comes back cut off is asked for again, twice. Each try takes
// 10 s at most.
func (c *Cluster) Ask(ctx context.Context, i int, command ...string) (gates.ExecResult, error) {
	a, err := c.Broker(ctx, i)
	if err != nil {
		return gates.ExecResult{}, err
	}
	r, err := c.ask(ctx, a.ID, command...)
	if err != nil {
		return r, fmt.Errorf("asking %s on %s: %w", command[0], c.Nodes[i].Name, err)
	}
	return r, nil
}

// whole runs a command and writes its exit code behind its output: without that line
// the output is not whole. Then it waits for the end of its input, which comes when the
// line is here: Nomad ends a session with its command, and what is under way is lost.
// It needs a shell and nothing else.
const whole = `"$@" </dev/null; code=$?; printf '\n%s %d\n' "$0" "$code"; read -r _; exit "$code"`

// mark stands before the exit code.
const mark = "end-of-output"

func (c *Cluster) ask(ctx context.Context, alloc string, command ...string) (r gates.ExecResult, err error) {
	for range 3 {
		if r, err = c.askOnce(ctx, alloc, command...); !errors.Is(err, ErrOutputLost) || ctx.Err() != nil {
			break
		}
	}
	return r, err
}

func (c *Cluster) askOnce(ctx context.Context, alloc string, command ...string) (gates.ExecResult, error) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	var stderr bytes.Buffer
	stdin, end := io.Pipe()
	defer func() { _ = end.Close() }()
	stdout := untilMark{end: end}
	_, err := c.Nomad.Stream(ctx, alloc, brokerTask, gates.Streams{In: stdin, Out: &stdout, Err: &stderr},
		append([]string{"/bin/sh", "-c", whole, mark}, command...)...)
	if err != nil {
		return gates.ExecResult{}, err
	}
	text, exit, ok := cutMark(stdout.text.String())
	if !ok {
		return gates.ExecResult{Stdout: text, Stderr: stderr.String()}, ErrOutputLost
	}
	return gates.ExecResult{Stdout: text, Stderr: stderr.String(), Exit: exit}, nil
}

// untilMark keeps what is written, and ends the command's input when that is whole.
type untilMark struct {
	text bytes.Buffer
	end  io.Closer
}

func (w *untilMark) Write(p []byte) (int, error) {
	w.text.Write(p)
	// The line may come in two parts.
	if _, _, ok := cutMark(string(w.text.Bytes()[max(0, w.text.Len()-2*len(mark)):])); ok {
		_ = w.end.Close()
	}
	return len(p), nil
}

var ending = regexp.MustCompile(`\n` + mark + ` (\d+)\n$`)

func cutMark(out string) (text string, exit int, ok bool) {
	at := ending.FindStringSubmatchIndex(out)
	if at == nil {
		return out, 0, false
	}
	exit, err := strconv.Atoi(out[at[2]:at[3]])
	return out[:at[0]], exit, err == nil
}
