package machine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
)

// Stdio are a command's streams.
type Stdio struct {
	In       io.Reader
	Out, Err io.Writer
}

// exitNotFound is what a shell answers for a program that is not there.
const exitNotFound = 127

var errNoProgram = errors.New("no such program")

// Exec runs a command in "internet", "foreign", "servers", "gateway", or in an
// instance (display name or OCID), and returns its exit code. In the first ones
// the command is a program of the host that sees the lab's network and names; in
// an instance it sees the instance's files and processes too. It needs no Up in
// this process, only a lab that is there.
func (m *Machine) Exec(ctx context.Context, where string, argv []string, io Stdio) (int, error) {
	if len(argv) == 0 {
		return 0, errors.New("running a command in the lab: which command?")
	}
	cmd, err := m.command(ctx, where, argv)
	if errors.Is(err, errNoProgram) {
		if io.Err != nil {
			_, _ = fmt.Fprintf(io.Err, "%s: not found in %s\n", argv[0], where)
		}
		return exitNotFound, nil
	}
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = io.In, io.Out, io.Err
	err = cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if ctx.Err() != nil {
			return 0, fmt.Errorf("running %s in %s: %w", argv[0], where, ctx.Err())
		}
		if ws, ok := exit.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
			return 128 + int(ws.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	if err != nil {
		return 0, fmt.Errorf("running %s in %s: %w", argv[0], where, err)
	}
	return 0, nil
}

func (m *Machine) command(ctx context.Context, where string, argv []string) (*exec.Cmd, error) {
	short := map[string]string{"internet": nsInternet, "foreign": nsForeign, "servers": nsServers, "gateway": nsGateway}[where]
	if short == "" {
		r, err := m.findRunning(where)
		if err != nil {
			return nil, err
		}
		// The instance's own environment, not the caller's.
		cmd := exec.CommandContext(ctx, "nsenter", append([]string{"-t", strconv.Itoa(r.Proc.PID), "-a", "--"}, lookedUp(where, argv)...)...)
		cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/root", "LANG=C.UTF-8", "TERM=xterm"}
		return cmd, nil
	}
	if !isNetNS(netnsPath(m.ns(short))) {
		return nil, fmt.Errorf("running %s in %s: %w; run `emqx-oci lab up`", argv[0], where, errDown)
	}
	// A program of the host, which the namespace has nothing to do with.
	if _, err := exec.LookPath(argv[0]); err != nil {
		return nil, errNoProgram
	}
	files, err := m.resolverFiles(short)
	if err != nil {
		return nil, err
	}
	args := []string{"exec", netnsPath(m.ns(short))}
	for target, source := range files {
		args = append(args, target+"="+source)
	}
	return exec.CommandContext(ctx, m.cfg.GuestBinary, append(append(args, "--"), argv...)...), nil
}

// lookedUp makes a shell inside look for the program first: whether it is there
// shows only there, and the one that enters would report itself.
func lookedUp(where string, argv []string) []string {
	const script = `command -v -- "$1" >/dev/null 2>&1 || { printf '%s: not found in %s\n' "$1" "$0" >&2; exit 127; }; exec "$@"`
	return append([]string{"/bin/sh", "-c", script, where}, argv...)
}

// findRunning works without Up too: it reads the instances from disk.
func (m *Machine) findRunning(where string) (record, error) {
	var names []string
	for _, r := range m.records() {
		if !r.Proc.alive() {
			continue
		}
		if where == r.Spec.ID || where == r.Spec.Name || where == r.Short {
			return r, nil
		}
		names = append(names, r.Spec.Name)
	}
	return record{}, fmt.Errorf("no place %q in the lab; there are internet, foreign, servers, gateway and the running instances [%s]", where, strings.Join(names, " "))
}
