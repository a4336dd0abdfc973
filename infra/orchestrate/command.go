package orchestrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/blang/semver"
)

// minimumCLI is the oldest pulumi command that can keep its state in OCI's Object Storage: the ones before send every
// write in aws-chunked encoding (gocloud.dev before 0.46.1-0.20260810), which OCI answers with 501.
const minimumCLI = "3.258.0"

// terminateGrace is how long an engine that was told to stop at once may take before it is killed.
const terminateGrace = 2 * time.Second

// followEvery is how often an operation's text is looked at for those who want to see it.
const followEvery = 100 * time.Millisecond

// runMarker is set in the environment of everything the engine starts, plugins included, so that what a killed run
// left behind can be told from other people's processes.
const runMarker = "EMQX_OCI_RUN"

// findCLI says which pulumi command to use: the given one, else the one built into the project, else PATH's.
func findCLI(given, projectDir string) (string, error) {
	if given != "" {
		if err := executable(given); err != nil {
			return "", fmt.Errorf("using the pulumi command %q: %w", given, err)
		}
		return filepath.Abs(given)
	}
	for _, dir := range toolDirs(projectDir) {
		path := filepath.Join(dir, ".tools", "bin", "pulumi")
		if executable(path) == nil {
			return path, nil
		}
	}
	if path, err := exec.LookPath("pulumi"); err == nil {
		return filepath.Abs(path)
	}
	return "", &ToolError{Reason: "finding the pulumi command: not in .tools/bin of the project and not in PATH"}
}

// toolDirs are the project folder, and the program's own folder with its parents (bin/emqx-oci in a checkout).
func toolDirs(projectDir string) []string {
	dirs := []string{projectDir}
	if self, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(self); err == nil {
			self = real
		}
		for d := filepath.Dir(self); len(dirs) < 4; d = filepath.Dir(d) {
			dirs = append(dirs, d)
		}
	}
	return dirs
}

func executable(path string) error {
	st, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return errors.New("no such file")
	case err != nil:
		return err
	case st.IsDir() || st.Mode()&0o111 == 0:
		return errors.New("not an executable file")
	}
	return nil
}

// question marks what reads only: it leaves no log, and may die with its caller.
type question struct{}

// cli runs the pulumi command for the Automation API. The API's own runner connects the engine's output by pipes, so
// that an engine whose caller is killed dies of the next line it prints, in the middle of an operation, with the stack
// locked. This one gives a long operation files to print to: such an engine sees its program's connection end, finishes
// what is under way, writes it down and unlocks the stack. (Asking the kernel for a signal at the caller's death does
// not do: it comes once per dying thread, and the engine takes the second one for "at once".)
type cli struct {
	path    string
	version semver.Version
	stage   *stage
	// kill ends the running process and everything below it at once.
	kill <-chan struct{}
	// masked are the outputs that the last update left, in JSON, without its secrets.
	masked string
}

func newCLI(ctx context.Context, path string, st *stage, kill <-chan struct{}) (*cli, error) {
	cmd := exec.CommandContext(ctx, path, "version")
	cmd.Env = append(os.Environ(), "PULUMI_SKIP_UPDATE_CHECK=true")
	out, err := cmd.Output()
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, &ToolError{Reason: fmt.Sprintf("asking %s for its version: %v", path, err)}
	}
	v, err := semver.ParseTolerant(strings.TrimSpace(string(out)))
	if err != nil {
		return nil, &ToolError{Reason: fmt.Sprintf("reading the version of %s: %q is not one", path, strings.TrimSpace(string(out)))}
	}
	if lowest := semver.MustParse(minimumCLI); v.LT(lowest) || v.Major != lowest.Major {
		return nil, &ToolError{Reason: fmt.Sprintf("using %s: it is version %s, needed is %s or a later 3.x", path, v, lowest)}
	}
	return &cli{path: path, version: v, stage: st, kill: kill}, nil
}

// Version is part of auto.PulumiCommand.
func (c *cli) Version() semver.Version { return c.version }

// Run is part of auto.PulumiCommand.
func (c *cli) Run(ctx context.Context, dir string, stdin io.Reader, extraOut, extraErr []io.Writer, env []string,
	args ...string,
) (stdout, stderr string, code int, err error) {
	if err := ctx.Err(); err != nil {
		return "", "", -1, err
	}
	// What the Automation API asks after every update and nobody reads, at 0.4 s each.
	if len(args) > 1 && args[0] == "stack" && ctx.Value(question{}) == nil {
		switch {
		case args[1] == "history":
			return "[]", "", 0, nil
		case args[1] == "output" && slices.Contains(args, "--show-secrets"):
			return c.masked, "", 0, nil // it compares them to tell what is secret
		case args[1] == "output":
			defer func() { c.masked = stdout }()
		}
	}
	if !slices.Contains(args, "--non-interactive") {
		args = append([]string{"--non-interactive"}, args...)
	}
	cmd := exec.Command(c.path, args...) //nolint:noctx // stop below ends it: gently, then hard.
	cmd.Dir, cmd.Stdin = dir, stdin
	cmd.Env = append(os.Environ(), env...)
	cmd.Env = append(cmd.Env, "PULUMI_AUTOMATION_API=true", "PULUMI_SKIP_UPDATE_CHECK=true", runMarker+"="+c.stage.id())
	cmd.Env = append(cmd.Env, skipMetadata(cmd.Env)...)
	ownGroup(cmd)
	long := isLong(args) && ctx.Value(question{}) == nil
	var out, errs output
	if long {
		out, errs, err = c.stage.logs()
		if err != nil {
			return "", "", -1, err
		}
	} else {
		out, errs = &memory{}, &memory{}
	}
	defer out.Close()
	defer errs.Close()
	cmd.Stdout, cmd.Stderr = out.writer(), errs.writer()

	if err := cmd.Start(); err != nil {
		return "", "", -1, fmt.Errorf("starting %s: %w", c.path, err)
	}
	forget, err := c.stage.record(cmd.Process.Pid)
	if err != nil {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return "", "", -1, err
	}
	ended := make(chan struct{})
	stopped := make(chan struct{})
	go func() { defer close(stopped); c.stop(ctx, cmd.Process.Pid, ended) }()
	var followers sync.WaitGroup
	followers.Go(func() { follow(out, io.MultiWriter(extraOut...), ended) })
	followers.Go(func() { follow(errs, io.MultiWriter(extraErr...), ended) })
	err = cmd.Wait()
	close(ended)
	<-stopped
	followers.Wait()
	code = cmd.ProcessState.ExitCode()
	// One that a signal ended may have left the stack locked: its note tells the next run whose lock that is. The engine
	// obeys a signal at once when it comes after the operation's end, before it has unlocked.
	if code >= 0 {
		forget()
	}
	return out.String(), errs.String(), code, err
}

// skipMetadata makes a state that is kept in a folder survive a kill. Beside the state, which is replaced as a whole, the engine
// keeps a file of attributes that it truncates and then writes; cut off in between, the stack cannot be opened any more
// ("failed to load checkpoint: EOF"). Nobody needs that file.
func skipMetadata(env []string) []string {
	const key = "PULUMI_BACKEND_URL="
	at := -1
	for i, v := range env {
		if strings.HasPrefix(v, key) {
			at = i // the last one counts
		}
	}
	if at < 0 || !strings.HasPrefix(env[at], key+"file://") || strings.Contains(env[at], "metadata=") {
		return nil
	}
	mark := "?"
	if strings.Contains(env[at], "?") {
		mark = "&"
	}
	return []string{env[at] + mark + "metadata=skip"}
}

// stop asks the process to stop when ctx ends, and kills it with all below it when kill says so.
func (c *cli) stop(ctx context.Context, pid int, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-c.kill:
	case <-ctx.Done():
		interrupt(pid)
		select {
		case <-ended:
			return
		case <-c.kill:
		}
	}
	below := descendants(pid)
	interrupt(pid)
	select {
	case <-ended:
	case <-time.After(terminateGrace):
		below = append(below, descendants(pid)...)
		killPID(pid)
	}
	for _, p := range below {
		killPID(p)
	}
}

// isLong tells the operations on a stack from the short questions about one.
func isLong(args []string) bool {
	for _, a := range args {
		switch a {
		case "up", "preview", "refresh", "destroy":
			return true
		case "stack", "config", "version", "cancel", "plugin", "whoami":
			return false
		}
	}
	return false
}

// output is where a child prints to.
type output interface {
	writer() io.Writer
	String() string
	Close() error
}

type memory struct{ bytes.Buffer }

func (m *memory) writer() io.Writer { return &m.Buffer }
func (m *memory) Close() error      { return nil }

// file hands the child the file itself: no pipe, no copying process in between.
type file struct{ *os.File }

func (f file) writer() io.Writer { return f.File }

// follow copies what a child prints into a file to w, until it has ended.
func follow(o output, w io.Writer, ended <-chan struct{}) {
	f, ok := o.(file)
	if !ok {
		<-ended
		_, _ = io.WriteString(w, o.String())
		return
	}
	in, err := os.Open(f.Name())
	if err != nil {
		return
	}
	defer in.Close()
	for last := false; ; {
		_, _ = io.Copy(w, in)
		if last {
			return
		}
		select {
		case <-ended:
			last = true
		case <-time.After(followEvery):
		}
	}
}

func (f file) String() string {
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return ""
	}
	return string(b)
}
