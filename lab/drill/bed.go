package drill

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	nomad "github.com/hashicorp/nomad/api"

	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/lab"
)

// Names of the lab's stack.
const (
	stack      = "lab"
	brokerJob  = "emqx-" + stack
	proxyJob   = "emqx-" + stack + "-haproxy"
	brokerTask = "emqx"
	publicName = "mqtt.lab.test"
	stackFile  = "Pulumi.lab.yaml"
)

// Bed is a lab, and a project folder for its stack.
type Bed struct {
	// Lab names folder, door, tools and programs of the lab; its Log is not used.
	Lab lab.Options
	// Project is a folder with Pulumi.yaml and Pulumi.lab.yaml that may be changed.
	Project string
	// Images are archives of `docker save` that the lab runs instead of what it makes itself: a real EMQX, under both names
	// that a roll changes between. Default none: the stand-in.
	Images []string
	// Log gets a line of progress; default nowhere.
	Log func(string)
}

func (b *Bed) say(format string, args ...any) {
	if b.Log != nil {
		b.Log(fmt.Sprintf(format, args...))
	}
}

// Prepare makes the project folder from another one.
func (b *Bed) Prepare(from string) error {
	if err := os.MkdirAll(b.Project, 0o755); err != nil { //nolint:gosec // what is in it is no secret
		return fmt.Errorf("making the drill's project: %w", err)
	}
	for _, name := range []string{"Pulumi.yaml", stackFile} {
		text, err := os.ReadFile(filepath.Join(from, name))
		if err != nil {
			return fmt.Errorf("making the drill's project: %w", err)
		}
		own := strings.ReplaceAll(string(text), lab.DefaultDoor.String(), b.Lab.Door.String())
		if err := os.WriteFile(filepath.Join(b.Project, name), []byte(own), 0o600); err != nil {
			return fmt.Errorf("making the drill's project: %w", err)
		}
	}
	return nil
}

// Output is what a command left.
type Output struct {
	Code int
	Text string
	Took time.Duration
}

func (o Output) String() string {
	return fmt.Sprintf("exit %d after %s\n%s", o.Code, o.Took.Round(100*time.Millisecond), o.Text)
}

// command is emqx-oci as a user calls it. It is a group of its own, so that what it starts can be ended with it.
func (b *Bed) command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Lab.Bin, "emqx-oci"), args...)
	cmd.Dir = b.Project
	cmd.Env = append(os.Environ(),
		"EMQX_OCI_LAB_DIR="+b.Lab.Dir, "EMQX_OCI_LAB_NAME="+b.Lab.Name, "EMQX_OCI_LAB_DOOR="+b.Lab.Door.String(),
		"EMQX_OCI_TOOLS="+b.Lab.Tools, "EMQX_OCI_PULUMI="+filepath.Join(b.Lab.Tools, "pulumi"), "NO_COLOR=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// Call runs emqx-oci to its end.
func (b *Bed) Call(ctx context.Context, args ...string) (Output, error) {
	return run(b.command(ctx, args...))
}

// Must is Call of what has to succeed.
func (b *Bed) Must(ctx context.Context, args ...string) error {
	o, err := b.Call(ctx, args...)
	if err == nil && o.Code != 0 {
		err = fmt.Errorf("emqx-oci %s: %s", strings.Join(args, " "), o)
	}
	return err
}

// labUp makes the lab, or gives a running one the images that the stack file names by now.
func (b *Bed) labUp(ctx context.Context) error {
	args := []string{"lab", "up"}
	for _, path := range b.Images {
		args = append(args, "--image", path)
	}
	return b.Must(ctx, args...)
}

// nomadCommand runs one of Nomad's own commands.
func (b *Bed) nomadCommand(ctx context.Context, args ...string) error {
	cmd := exec.CommandContext(ctx, filepath.Join(b.Lab.Tools, "nomad"), args...)
	cmd.Env = append(os.Environ(), "NOMAD_ADDR="+b.nomadAddress())
	o, err := run(cmd)
	if err == nil && o.Code != 0 {
		err = fmt.Errorf("nomad %s: %s", strings.Join(args, " "), o)
	}
	return err
}

func run(cmd *exec.Cmd) (Output, error) {
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	start := time.Now()
	err := cmd.Run()
	o := Output{Text: text.String(), Took: time.Since(start)}
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return o, fmt.Errorf("running %s: %w", filepath.Base(cmd.Path), err)
	}
	o.Code = cmd.ProcessState.ExitCode()
	return o, nil
}

// in runs a script where the lab's clients are ("internet") or in an instance, and fails when it does.
func (b *Bed) in(ctx context.Context, where, script string) error {
	return b.feed(ctx, where, script, "")
}

// feed is in with something to read, which no list of processes shows.
func (b *Bed) feed(ctx context.Context, where, script, input string) error {
	var errs bytes.Buffer
	code, err := lab.Exec(ctx, b.Lab, where, []string{"bash", "-c", script}, strings.NewReader(input), io.Discard, &errs)
	if err == nil && code != 0 {
		err = fmt.Errorf("in %s: exit %d: %s", where, code, strings.TrimSpace(errs.String()))
	}
	return err
}

// Status is what the lab's daemon says.
func (b *Bed) Status(ctx context.Context) (s lab.Status, err error) {
	out, in := io.Pipe()
	go func() { in.CloseWithError(lab.PrintStatus(ctx, b.Lab, in, true)) }()
	if err := json.NewDecoder(out).Decode(&s); err != nil {
		return s, fmt.Errorf("asking the lab: %w", err)
	}
	_, err = io.Copy(io.Discard, out)
	return s, err
}

func (b *Bed) nomadAddress() string { return "http://" + b.Lab.Door.String() + ":4646" }

func (b *Bed) nomad() (*nomad.Client, error) {
	c, err := nomad.NewClient(&nomad.Config{Address: b.nomadAddress()})
	if err != nil {
		return nil, fmt.Errorf("connecting to Nomad: %w", err)
	}
	return c, nil
}

// nodeName is OCI's, Consul's and Nomad's name of a node.
func nodeName(node int) string { return fmt.Sprintf("emqx-%s-%d", stack, node) }

// pause waits, or ends with its context.
var pause = gates.SystemClock().Sleep
