// Package beside finds the programs of this project that stand beside each other, as git finds its subcommands, and runs
// them. It also has the words in which emqx-oci asks the program of a cloud: see [Attachment].
package beside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Attachment is what the program of a cloud, emqx-oci-<cloud>, prints as one JSON object when it is called with "attach": what
// emqx-oci needs to work on a stack whose setting "cloud" names it. A cloud that is not there is an error: the program prints
// "error: " and what to do, and ends with an exit code.
//
// Such a program also understands "prepare STACK --project DIR", before the stack is deployed: it gets ready for what the
// stack file names, such as images; and "exec -- COMMAND", by which a person runs a command where the clients are.
type Attachment struct {
	// Env is the environment of Pulumi's engine: backend, passphrase, providers. EMQX_OCI_STAGE_DIR in it is the folder that
	// the engine works in.
	Env map[string]string `json:"env"`
	// Secrets are settings that the cloud made for its stack, by path: "emqx-oci:secrets.erlangCookie".
	Secrets map[string]string `json:"secrets"`
}

// Program is one that stands beside another.
type Program struct {
	// Name of the file: "emqx-oci-lab".
	Name string
	// Executable is the path of the program that looks for it.
	Executable string
	// Called is what it is told to have been called by: hints repeat it. Default Name.
	Called string
}

// MissingError says that a program is neither beside the other one nor on PATH.
type MissingError struct{ Name, Folder string }

func (e *MissingError) Error() string {
	return fmt.Sprintf("%s is a program of its own, and neither in %s nor on PATH: \"make build\" in a checkout of this project makes it, "+
		"with all that it needs beside it", e.Name, e.Folder)
}

// Find gives its path: in the folder of the other one, whose links are followed, else on PATH. The error is a
// [*MissingError].
func (p Program) Find() (string, error) {
	from := p.Executable
	if real, err := filepath.EvalSymlinks(from); err == nil {
		from = real
	}
	folder := filepath.Dir(from)
	if path := filepath.Join(folder, p.Name); runnable(path) {
		return path, nil
	}
	if path, err := exec.LookPath(p.Name); err == nil {
		return path, nil
	}
	return "", &MissingError{p.Name, folder}
}

func runnable(path string) bool {
	st, err := os.Stat(path)
	return err == nil && st.Mode().IsRegular() && st.Mode()&0o111 != 0
}

// Become replaces this process by the program, which so has its terminal, its signals and its exit code. It returns only
// with an error.
func (p Program) Become(args ...string) error {
	path, err := p.Find()
	if err != nil {
		return err
	}
	name := p.Called
	if name == "" {
		name = p.Name
	}
	if err := syscall.Exec(path, append([]string{name}, args...), os.Environ()); err != nil { //nolint:gosec // of our own
		return fmt.Errorf("running %s: %w", path, err)
	}
	return nil
}

// Output runs the program and gives what it prints. What it complains of is the error, and its exit code the error's. It ends
// when the context does.
func (p Program) Output(ctx context.Context, args ...string) ([]byte, error) {
	path, err := p.Find()
	if err != nil {
		return nil, err
	}
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, path, args...) //nolint:gosec // of our own
	cmd.Stderr = &stderr
	// A group of its own: a signal of the terminal is for this program, which passes it on.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	out, err := cmd.Output()
	if err == nil {
		return out, nil
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	var exit *exec.ExitError
	if text := complaint(stderr.String()); text != "" && errors.As(err, &exit) && exit.ExitCode() > 0 {
		return nil, &failed{text, exit.ExitCode()}
	}
	return nil, fmt.Errorf("running %s %s: %w", path, strings.Join(args, " "), err)
}

// complaint is the text of an error among what a program of ours wrote.
func complaint(stderr string) string {
	_, text, _ := strings.Cut("\n"+stderr, "\nerror: ")
	return strings.TrimSpace(text)
}

// failed is what another program said at its end.
type failed struct {
	text string
	code int
}

func (e *failed) Error() string { return e.text }
func (e *failed) ExitCode() int { return e.code }
