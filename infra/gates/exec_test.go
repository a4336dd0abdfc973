package gates

import (
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// inShell streams a command as Nomad does, but for what it loses.
func inShell(s Streams, wrapped ...string) error {
	cmd := exec.Command(wrapped[0], wrapped[1:]...)
	cmd.Stdout, cmd.Stderr = s.Out, s.Err
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	go func() { // a command that is killed leaves its input open
		_, _ = io.Copy(in, s.In)
		_ = in.Close()
	}()
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil
	}
	return err
}

func TestExecReturnsAllThatACommandSays(t *testing.T) {
	for name, c := range map[string]struct {
		command []string
		want    ExecResult
	}{
		"both outputs":    {[]string{"sh", "-c", "echo out; echo err >&2; exit 3"}, ExecResult{Stdout: "out\n", Stderr: "err\n", Exit: 3}},
		"nothing":         {[]string{"true"}, ExecResult{}},
		"no newline":      {[]string{"printf", "%s", "a  b"}, ExecResult{Stdout: "a  b"}},
		"much":            {[]string{"sh", "-c", "head -c 3000000 /dev/zero | tr '\\0' x"}, ExecResult{Stdout: strings.Repeat("x", 3000000)}},
		"the mark itself": {[]string{"printf", "\\nend-of-output 7\\nmore"}, ExecResult{Stdout: "\nend-of-output 7\nmore"}},
		"reads its input": {[]string{"cat"}, ExecResult{}},
	} {
		t.Run(name, func(t *testing.T) {
			r, err := runToEnd(inShell, c.command)
			assert.NilError(t, err)
			assert.Assert(t, r == c.want, "%d %q %q", r.Exit, r.Stdout[:min(80, len(r.Stdout))], r.Stderr)
		})
	}
	r, err := runToEnd(inShell, []string{"no-such-program"})
	assert.NilError(t, err)
	assert.Equal(t, r.Exit, 127)
}

// A command that is killed has said something; nobody may take it for all.
func TestExecTellsThatOutputWasLost(t *testing.T) {
	r, err := runToEnd(inShell, []string{"sh", "-c", "echo begin; kill -9 $PPID"})
	assert.ErrorIs(t, err, ErrOutputLost)
	assert.Equal(t, r.Stdout, "begin\n")
	_, err = runToEnd(func(Streams, ...string) error { return errors.New("connection refused") }, []string{"true"})
	assert.Error(t, err, "connection refused")
}

// The session ends with the command, so the command may not end before both of its
// outputs are here.
func TestExecHoldsTheCommandUntilItsOutputIsHere(t *testing.T) {
	for name, late := range map[string]func(*Streams){
		"out": func(s *Streams) { s.Out = nil },
		"err": func(s *Streams) { s.Err = nil },
	} {
		t.Run(name, func(t *testing.T) {
			ended := make(chan struct{})
			_, err := runToEnd(func(s Streams, wrapped ...string) error {
				late(&s)
				go func() {
					defer close(ended)
					_ = inShell(s, wrapped...)
				}()
				select {
				case <-ended:
					t.Error("it ended while an output was under way")
				case <-time.After(300 * time.Millisecond):
				}
				return nil
			}, []string{"true"})
			assert.ErrorIs(t, err, ErrOutputLost)
			<-ended // the wait is over with the question
		})
	}
}

// A session that Nomad's docker driver ends at once leaves a command that starts with
// nobody to hear it.
func TestACommandBeginsInASessionThatIsThere(t *testing.T) {
	ran := filepath.Join(t.TempDir(), "ran")
	command := []string{"sh", "-c", "read -r x; echo \"$x\" | tee -a " + ran + "; echo err >&2; exit 3"}
	deaf := func(s Streams, wrapped ...string) (int, error) {
		cmd := exec.Command(wrapped[0], wrapped[1:]...) // without input, its output dropped
		assert.Check(t, cmd.Run())
		return 0, nil
	}
	for _, c := range []struct {
		deaf int
		want string
	}{{0, "said\n"}, {1, "said\n"}, {beginTries - 1, "said\n"}, {beginTries, ""}} {
		assert.NilError(t, os.RemoveAll(ran))
		sessions := 0
		var out, said bytes.Buffer
		exit, err := streamConfirmed(func(s Streams, wrapped ...string) (int, error) {
			if sessions++; sessions <= c.deaf {
				return deaf(s, wrapped...)
			}
			return 3, inShell(s, wrapped...)
		}, Streams{In: strings.NewReader("said\nmore\n"), Out: &out, Err: &said}, command)
		did, _ := os.ReadFile(ran)
		assert.Equal(t, string(did), c.want, "it runs once, or not at all")
		assert.Equal(t, out.String(), c.want)
		if c.want == "" {
			assert.Error(t, err, "running sh: Nomad ended 8 sessions before the command could begin")
			continue
		}
		assert.NilError(t, err)
		assert.Equal(t, exit, 3)
		assert.Equal(t, said.String(), "err\n")
	}
	var out bytes.Buffer
	exit, err := streamConfirmed(func(s Streams, _ ...string) (int, error) {
		_, _ = io.WriteString(s.Out, "no /bin/sh here")
		return 127, nil
	}, Streams{Out: &out}, command)
	assert.NilError(t, err)
	assert.Assert(t, exit == 127 && out.String() == "no /bin/sh here", out.String())
	// What Nomad knows to have gone wrong is not tried again.
	for _, c := range []struct {
		exit int
		err  error
	}{{126, nil}, {0, errors.New("no such allocation")}} {
		sessions := 0
		exit, err := streamConfirmed(func(Streams, ...string) (int, error) { sessions++; return c.exit, c.err }, Streams{}, []string{"true"})
		assert.Equal(t, sessions, 1)
		assert.Equal(t, exit, c.exit)
		assert.ErrorIs(t, err, c.err)
	}
}
