package orchestrate

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/workspace"
	"gopkg.in/yaml.v3"
)

// undoTime is how long an Initializer that was cancelled may take to remove what it made.
const undoTime = 30 * time.Second

// InitOptions are everything that an Initializer takes from outside.
type InitOptions struct {
	// ProjectDir holds Pulumi.yaml, and gets Pulumi.<stack>.yaml.
	ProjectDir string
	Stack      string
	// Owner is whose the stack will be in the backend: see [Options].
	Owner string
	// SecretsProvider is what encrypts the stack's secrets, as `pulumi stack init` takes it ("passphrase",
	// "awskms://..."); default: the backend's own.
	SecretsProvider string
	// Env is added to the engine's environment.
	Env map[string]string
	// PulumiCommand is the path of the pulumi command; default: .tools/bin of the project, then PATH.
	PulumiCommand string
	// Kill, once closed, ends the command under way at once.
	Kill <-chan struct{}
}

// Initializer makes a stack: it creates it in the backend and writes its first file.
type Initializer struct {
	opts InitOptions
	file string
	// Backend is the address of the backend that the stack will be kept in.
	Backend string
}

// ExistsError names a stack that is there already: its file, or itself in the backend.
type ExistsError struct {
	Stack string
	// File is the stack's file, "" when it is the backend that has the stack.
	File    string
	Backend string
}

func (e *ExistsError) Error() string {
	if e.File != "" {
		return fmt.Sprintf("making stack %q: %s is there already and stays as it is; edit it, or choose another name", e.Stack, e.File)
	}
	return fmt.Sprintf("making stack %q: %s has a stack of that name already; take its Pulumi.%s.yaml from where it was made, "+
		"or, when it never held anything, remove it with \"pulumi stack rm %s\"", e.Stack, e.Backend, e.Stack, e.Stack)
}

// ExitCode is the process's exit code for this error.
func (e *ExistsError) ExitCode() int { return ExitUsage }

// InitCancelledError ends an Initializer whose context ended. No file was written.
type InitCancelledError struct{}

func (*InitCancelledError) Error() string { return "init was cancelled, and no file written" }

func (*InitCancelledError) Unwrap() error { return context.Canceled }

// NewInitializer finds out all that would stand in the way, before anybody is asked anything: a file that exists, no
// pulumi command, nobody logged in, a stack that exists, no passphrase. Nothing is written.
func NewInitializer(ctx context.Context, o InitOptions) (*Initializer, error) {
	dir, err := locate(o.Owner, o.Stack, o.ProjectDir)
	if err != nil {
		return nil, err
	}
	o.ProjectDir = dir
	i := &Initializer{opts: o, file: filepath.Join(dir, "Pulumi."+o.Stack+".yaml")}
	if _, err := os.Lstat(i.file); err == nil {
		return nil, &ExistsError{Stack: o.Stack, File: i.file}
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("looking for the stack's file: %w", err)
	}
	w, err := i.open(ctx)
	if err != nil {
		return nil, err
	}
	defer w.close()
	if i.Backend, err = w.backend(ctx); err != nil {
		return nil, err
	}
	return i, errors.Join(i.checkPassphrase(), w.checkAbsent(ctx, i.Backend))
}

// checkPassphrase asks for the passphrase that the stack's secrets will be encrypted with, where it is one.
func (i *Initializer) checkPassphrase() error {
	switch i.opts.SecretsProvider {
	case "passphrase":
	case "", "default":
		if strings.HasPrefix(i.Backend, "http://") || strings.HasPrefix(i.Backend, "https://") {
			return nil // the service encrypts
		}
	default:
		return nil
	}
	for _, key := range []string{"PULUMI_CONFIG_PASSPHRASE", "PULUMI_CONFIG_PASSPHRASE_FILE"} {
		if _, ok := i.opts.Env[key]; ok {
			return nil
		}
		if _, ok := os.LookupEnv(key); ok {
			return nil
		}
	}
	return &UsageError{Reason: "encrypting the stack's secrets: there is no passphrase; choose one, keep it safe, and set it in " +
		"PULUMI_CONFIG_PASSPHRASE or PULUMI_CONFIG_PASSPHRASE_FILE, or name a key service with --secrets-provider"}
}

// Write creates the stack in the backend and writes its file: text, which has to end inside its "config:", with the
// secrets encrypted behind it. secrets go by path, "emqx-oci:secrets.apiKey", all in one group. A file that appeared
// meanwhile stays as it is. When Write fails, nothing of what it made is left.
func (i *Initializer) Write(ctx context.Context, text []byte, secrets map[string]string) (file string, err error) {
	w, err := i.open(ctx)
	if err != nil {
		return "", err
	}
	defer w.close()
	if err := w.create(ctx, i.opts.SecretsProvider); err != nil {
		return "", err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, w.remove(context.WithoutCancel(ctx)))
		}
	}()
	for _, path := range slices.Sorted(maps.Keys(secrets)) {
		// By its standard input: every user of the machine can read a command line.
		if _, err := w.pulumi(ctx, "encrypting "+path, secrets[path], "config", "set", "--secret", "--path", path, "--stack", qualified(i.opts.Owner, i.opts.Stack)); err != nil {
			return "", err
		}
	}
	whole, err := w.finish(text)
	if err != nil {
		return "", err
	}
	if ctx.Err() != nil {
		return "", &InitCancelledError{}
	}
	return i.file, i.place(whole)
}

// place puts the file into the project: whole or not at all, and never over another one.
func (i *Initializer) place(text []byte) error {
	tmp, err := os.CreateTemp(i.opts.ProjectDir, ".new-stack-*")
	if err != nil {
		return fmt.Errorf("writing %s: %w", i.file, err)
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(text)
	// To be committed, and read by others: what is secret in it is encrypted.
	err = errors.Join(err, tmp.Chmod(0o644), tmp.Sync(), tmp.Close())
	if err == nil {
		err = os.Link(tmp.Name(), i.file) // a rename would replace a file that appeared meanwhile
	}
	if errors.Is(err, fs.ErrExist) {
		return &ExistsError{Stack: i.opts.Stack, File: i.file}
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", i.file, err)
	}
	return nil
}

// initWork is a folder in which the pulumi command makes a stack, out of sight.
type initWork struct {
	*cli
	dir, stack string
	full       string // as the backend has it
	env        []string
}

func (i *Initializer) open(ctx context.Context) (*initWork, error) {
	path, err := findCLI(i.opts.PulumiCommand, i.opts.ProjectDir)
	if err != nil {
		return nil, err
	}
	project, err := os.ReadFile(filepath.Join(i.opts.ProjectDir, "Pulumi.yaml"))
	if err != nil {
		return nil, fmt.Errorf("reading the project: %w", err)
	}
	if project, err = withoutMain(project); err != nil {
		return nil, fmt.Errorf("reading Pulumi.yaml: %w", err)
	}
	dir, err := os.MkdirTemp("", "emqx-oci-init-*")
	if err != nil {
		return nil, fmt.Errorf("making a folder to work in: %w", err)
	}
	w := &initWork{dir: dir, stack: i.opts.Stack, full: qualified(i.opts.Owner, i.opts.Stack)}
	st := &stage{dir: dir}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "runs"), 0o700), st.write("Pulumi.yaml", project)); err != nil {
		w.close()
		return nil, fmt.Errorf("making a folder to work in: %w", err)
	}
	for _, k := range slices.Sorted(maps.Keys(i.opts.Env)) {
		w.env = append(w.env, k+"="+i.opts.Env[k])
	}
	if w.cli, err = newCLI(ctx, path, st, i.opts.Kill); err != nil {
		w.close()
		if ctx.Err() != nil {
			err = &InitCancelledError{}
		}
		return nil, err
	}
	return w, nil
}

func (w *initWork) close() { _ = os.RemoveAll(w.dir) }

// pulumi runs the command and gives what it printed.
func (w *initWork) pulumi(ctx context.Context, doing, stdin string, args ...string) (string, error) {
	out, errs, _, err := w.Run(ctx, w.dir, strings.NewReader(stdin), nil, nil, w.env, args...)
	switch {
	case ctx.Err() != nil:
		return "", &InitCancelledError{}
	case err == nil:
		return out, nil
	}
	said := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(errs), "error: "))
	switch {
	// The first where nobody has ever logged in, the second where a login would have to ask.
	case strings.Contains(said, "this command requires logging in"), strings.Contains(said, "PULUMI_ACCESS_TOKEN must be set for login"):
		return "", &UsageError{Reason: "nobody is logged in to a backend that keeps the stack's state: run \"pulumi login\" for Pulumi Cloud, " +
			"\"pulumi login s3://...\" or \"pulumi login file://...\" for one of your own, or set PULUMI_BACKEND_URL"}
	case said == "":
		return "", fmt.Errorf("%s: %w", doing, err)
	}
	return "", fmt.Errorf("%s: %s", doing, said)
}

// backend is where the person at the keyboard is logged in.
func (w *initWork) backend(ctx context.Context) (string, error) {
	out, err := w.pulumi(ctx, "asking where the stack's state would be kept", "", "whoami", "--json")
	if err != nil {
		return "", err
	}
	var who struct{ URL string }
	if err := json.Unmarshal([]byte(out), &who); err != nil || who.URL == "" {
		return "", fmt.Errorf("asking where the stack's state would be kept: pulumi said %q", strings.TrimSpace(out))
	}
	return who.URL, nil
}

func (w *initWork) checkAbsent(ctx context.Context, backend string) error {
	out, err := w.pulumi(ctx, "listing the backend's stacks", "", "stack", "ls", "--json")
	if err != nil {
		return err
	}
	var found []struct{ Name string }
	if err := json.Unmarshal([]byte(out), &found); err != nil {
		return fmt.Errorf("listing the backend's stacks: %w", err)
	}
	organization, _, owned := strings.Cut(w.full, "/")
	for _, s := range found {
		at := strings.LastIndex(s.Name, "/")
		if s.Name[at+1:] == w.stack && (!owned || at < 0 || strings.HasPrefix(s.Name, organization+"/")) {
			return &ExistsError{Stack: w.stack, Backend: backend}
		}
	}
	return nil
}

func (w *initWork) create(ctx context.Context, provider string) error {
	args := []string{"stack", "init", w.full, "--no-select"}
	if provider != "" {
		args = append(args, "--secrets-provider", provider)
	}
	// That the stack is new was seen before the questions: what an interrupted call leaves is this one's.
	_, err := w.pulumi(ctx, "creating the stack in the backend", "", args...)
	var cut *InitCancelledError
	var made *ExistsError
	if errors.As(err, &cut) && errors.As(w.checkAbsent(context.WithoutCancel(ctx), ""), &made) {
		err = errors.Join(err, w.remove(context.WithoutCancel(ctx)))
	}
	return err
}

// remove takes the stack that was made just now out of the backend.
func (w *initWork) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, undoTime)
	defer cancel()
	_, err := w.pulumi(ctx, fmt.Sprintf("removing the stack that was just made (do it yourself: pulumi stack rm %s)", w.full),
		"", "stack", "rm", w.full, "--yes")
	return err
}

// finish puts text and what the pulumi command wrote together: its own way of adding to a file drops blank lines.
func (w *initWork) finish(text []byte) ([]byte, error) {
	name := filepath.Join(w.dir, "Pulumi."+w.stack+".yaml")
	made, err := os.ReadFile(name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("reading the stack's new file: %w", err)
	}
	var parts map[string]yaml.Node
	if err := yaml.Unmarshal(made, &parts); err != nil {
		return nil, fmt.Errorf("reading the stack's new file: %w", err)
	}
	config := parts["config"]
	delete(parts, "config")
	var b bytes.Buffer
	b.Write(text)
	for _, part := range []struct {
		content any
		indent  string
		empty   bool
	}{{&config, "  ", config.IsZero()}, {parts, "", len(parts) == 0}} {
		if part.empty {
			continue
		}
		var rendered bytes.Buffer
		e := yaml.NewEncoder(&rendered)
		e.SetIndent(2)
		if err := errors.Join(e.Encode(part.content), e.Close()); err != nil {
			return nil, fmt.Errorf("writing the stack's new file: %w", err)
		}
		for line := range strings.Lines(rendered.String()) {
			b.WriteString(part.indent + line)
		}
	}
	var whole workspace.ProjectStack
	if err := yaml.Unmarshal(b.Bytes(), &whole); err != nil {
		return nil, fmt.Errorf("writing the stack's new file: %w", err)
	}
	return b.Bytes(), nil
}
