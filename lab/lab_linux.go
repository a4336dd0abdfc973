package lab

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/cloud/rest"
	"github.com/emqx-oci/emqx-oci/lab/machine"
)

// upTimeout bounds the building of an empty lab: namespaces, servers, images.
const upTimeout = 3 * time.Minute

// Up builds the lab and returns when it serves; a lab that is up stays as it is but
// for images out of archives, and one that lost its daemon gets a new one.
func Up(ctx context.Context, o Options) error {
	o, err := o.again()
	if err != nil {
		return err
	}
	if _, err := ask(ctx, o.Dir); err == nil {
		o.Log("the lab is up already")
		return giveRunning(ctx, o)
	}
	if _, err := machine.New(machineConfig(o)); err != nil {
		return err
	}
	if err := machine.OwnFolder(o.Dir); err != nil {
		return err
	}
	if err := o.give(nil); err != nil {
		return err
	}
	if err := o.save(); err != nil {
		return err
	}
	if _, err := secrets(o.Dir); err != nil {
		return err
	}
	if _, err := passphrase(o.Dir); err != nil {
		return err
	}
	return startDaemon(ctx, o)
}

// giveRunning is for images that a running lab does not know yet.
func giveRunning(ctx context.Context, o Options) error {
	if len(o.Archives) == 0 {
		return nil
	}
	has, err := o.known()
	if err != nil {
		return err
	}
	if err := o.give(slices.Concat(has.BrokerImages, has.ProxyImages)); err != nil {
		return err
	}
	return AddImages(ctx, o, Images{Broker: o.BrokerImages, Proxy: o.ProxyImages})
}

// startDaemon starts it in a session of its own and waits until it answers,
// passing on what it logs meanwhile.
func startDaemon(ctx context.Context, o Options) error {
	path := filepath.Join(o.Dir, "daemon.log")
	out, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("starting the lab's daemon: %w", err)
	}
	defer out.Close()
	// Not bound to ctx: the daemon outlives this command.
	cmd := exec.Command(filepath.Join(o.Bin, "emqx-oci-lab"), "daemon", "--lab-dir", o.Dir) //nolint:noctx // it outlives the command
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting the lab's daemon: %w", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()

	log, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("reading the lab's log: %w", err)
	}
	defer log.Close()
	lines := bufio.NewReader(log)
	last := ""
	follow := func() {
		for {
			line, err := lines.ReadString('\n')
			if err != nil {
				return
			}
			last = strings.TrimSpace(line)
			o.Log(last)
		}
	}
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(upTimeout)
	end := func() { _ = cmd.Process.Signal(syscall.SIGTERM); <-ended }
	for {
		select {
		case <-ended:
			follow()
			return fmt.Errorf("building the lab: its daemon ended: %s (whole log: %s)", strings.TrimPrefix(last, "emqx-oci: "), path)
		case <-ctx.Done():
			end()
			return fmt.Errorf("building the lab: %w; `emqx-oci lab down` removes what is there, `emqx-oci lab up` goes on", ctx.Err())
		case <-deadline:
			end()
			return fmt.Errorf("building the lab: not up within %s, the last it said was %q (whole log: %s)", upTimeout, last, path)
		case <-tick.C:
			follow()
			if _, err := ask(ctx, o.Dir); err == nil {
				return nil
			}
		}
	}
}

// Down ends the lab and removes all of it, whatever state it is in.
func Down(ctx context.Context, o Options) error {
	o, err := o.known()
	if err != nil {
		return err
	}
	m, err := machine.New(machineConfig(o))
	if err != nil {
		return err
	}
	if err := endDaemon(ctx, o.Dir); err != nil {
		return err
	}
	return m.Down(ctx)
}

// endDaemon asks the daemon to end, and makes it. The kernel names the process
// that listens on the socket, so no stale file can point at another.
func endDaemon(ctx context.Context, dir string) error {
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
	if err != nil {
		return nil // nobody listens: there is no daemon, or it is still building and Down takes its lock
	}
	defer conn.Close()
	raw, err := conn.(*net.UnixConn).SyscallConn()
	if err != nil {
		return fmt.Errorf("ending the lab's daemon: %w", err)
	}
	var cred *unix.Ucred
	var credErr error
	if err := raw.Control(func(fd uintptr) {
		cred, credErr = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || credErr != nil {
		return fmt.Errorf("ending the lab's daemon: %w", errors.Join(err, credErr))
	}
	pidfd, err := unix.PidfdOpen(int(cred.Pid), 0)
	if errors.Is(err, unix.ESRCH) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("ending the lab's daemon (process %d): %w", cred.Pid, err)
	}
	defer unix.Close(pidfd)
	for _, step := range []struct {
		signal unix.Signal
		wait   time.Duration
	}{{unix.SIGTERM, 10 * time.Second}, {unix.SIGKILL, 5 * time.Second}} {
		if err := unix.PidfdSendSignal(pidfd, step.signal, nil, 0); errors.Is(err, unix.ESRCH) {
			return nil
		} else if err != nil {
			return fmt.Errorf("ending the lab's daemon (process %d): %w", cred.Pid, err)
		}
		if ended, err := machine.AwaitEnd(pidfd, step.wait); err == nil && ended {
			return nil
		}
	}
	return fmt.Errorf("ending the lab's daemon (process %d): it does not end", cred.Pid)
}

// control talks to the daemon.
func control(dir string) *http.Client {
	return &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", filepath.Join(dir, controlSocket))
		},
	}}
}

// AddImages makes images known to the instances of a running lab: what a registry
// does for a stack that changes its image.
func AddImages(ctx context.Context, o Options, want Images) error {
	body, err := json.Marshal(want)
	if err != nil {
		return fmt.Errorf("adding images to the lab: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://lab/images", bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("adding images to the lab: %w", err)
	}
	res, err := control(o.withDefaults().Dir).Do(req)
	if err != nil {
		return unreached(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(res.Body)
		return fmt.Errorf("adding images to the lab: %s", strings.TrimSpace(string(text)))
	}
	return nil
}

// ask reads the daemon's status; an error means that the lab is not up.
func ask(ctx context.Context, dir string) (Status, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://lab/status", nil)
	if err != nil {
		return Status{}, err
	}
	res, err := control(dir).Do(req)
	if err != nil {
		return Status{}, fmt.Errorf("asking the lab's daemon: %w", err)
	}
	defer res.Body.Close()
	var s Status
	if err := json.NewDecoder(res.Body).Decode(&s); err != nil {
		return Status{}, fmt.Errorf("asking the lab's daemon: %w", err)
	}
	return s, nil
}

// ErrNotUp says that there is no lab to talk to.
var ErrNotUp = errors.New(`the lab is not running: start it with "emqx-oci lab up"`)

// unreached says why the daemon was not reached.
func unreached(err error) error {
	if errors.Is(err, fs.ErrPermission) {
		return ErrNotYours
	}
	return ErrNotUp
}

// Running reports whether there is a lab to talk to, or one that is for others.
func Running(ctx context.Context, o Options) bool {
	_, err := ask(ctx, o.withDefaults().Dir)
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// PrintStatus writes what the lab consists of, as text or as JSON.
func PrintStatus(ctx context.Context, o Options, w io.Writer, asJSON bool) error {
	s, err := ask(ctx, o.withDefaults().Dir)
	if err != nil {
		return unreached(err)
	}
	return s.write(w, asJSON)
}

// Exec runs a program of this machine where the lab's clients are ("internet"), in
// another team's machine of the same network ("foreign"), or in an instance, by
// name, and returns its exit code.
func Exec(ctx context.Context, o Options, where string, argv []string, stdin io.Reader, stdout, stderr io.Writer) (int, error) {
	o, err := o.known()
	if err != nil {
		return 0, err
	}
	if _, err := ask(ctx, o.Dir); err != nil {
		return 0, unreached(err)
	}
	m, err := machine.New(machineConfig(o))
	if err != nil {
		return 0, err
	}
	return m.Exec(ctx, where, argv, machine.Stdio{In: stdin, Out: stdout, Err: stderr})
}

// Env is the environment in which Pulumi's engine works on the lab, ours or the
// plain one: attached providers or the way to the cloud's API for the official ones, a
// state backend, a passphrase, the lab's secrets and a folder to work in.
func Env(ctx context.Context, o Options) (map[string]string, error) {
	o = o.withDefaults()
	s, err := ask(ctx, o.Dir)
	if err != nil {
		return nil, unreached(err)
	}
	pass, err := passphrase(o.Dir)
	if err != nil {
		return nil, err
	}
	if _, err := secrets(o.Dir); err != nil { // they exist from now on
		return nil, err
	}
	key, err := apiKey(o.Dir)
	if err != nil {
		return nil, err
	}
	state := filepath.Join(o.Dir, "pulumi")
	if err := os.MkdirAll(state, 0o700); err != nil {
		return nil, fmt.Errorf("making the folder for Pulumi's state: %w", err)
	}
	env := map[string]string{
		// Without the file of attributes that is else kept beside the state: it is truncated
		// before it is written, and a state whose attributes are cut off cannot be read.
		"PULUMI_BACKEND_URL":            "file://" + state + "?metadata=skip",
		"PULUMI_CONFIG_PASSPHRASE_FILE": pass,
		"EMQX_OCI_STAGE_DIR":            filepath.Join(o.Dir, "stage"),
		// What the lab's stack file names as secretsFrom.
		"EMQX_OCI_LAB_SECRETS": filepath.Join(o.Dir, secretsFile),
		// Any client of OCI's API finds the lab by these: the official provider by all of
		// them, others by the key.
		"CLIENT_HOST_OVERRIDES":   rest.HostOverrides(s.API),
		"TF_VAR_tenancy_ocid":     cloud.TenancyID,
		"TF_VAR_user_ocid":        rest.UserID,
		"TF_VAR_fingerprint":      key.Fingerprint,
		"TF_VAR_private_key_path": filepath.Join(o.Dir, keyFile),
		"TF_VAR_region":           cloud.Region,
	}
	if o.Plugins == OfficialPlugins {
		return env, nil
	}
	env["PULUMI_DEBUG_PROVIDERS"] = s.Providers
	// A program's host names the official plugins to the engine, which would download
	// them beside the attached ones.
	env["PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION"] = "true"
	return env, nil
}

// Tools is the environment for the servers' own commands, `nomad` and `consul`, on the lab: they may do
// everything. They go through the doors, which take them without certificates.
func Tools(o Options) (map[string]string, error) {
	o, err := o.known()
	if err != nil {
		return nil, err
	}
	env := map[string]string{"NOMAD_ADDR": o.nomadDoor(), "CONSUL_HTTP_ADDR": o.consulDoor()}
	if !o.Secured {
		return env, nil
	}
	keys, err := servers(o.Dir, o.Door)
	if err != nil {
		return nil, err
	}
	env["NOMAD_TOKEN"], env["CONSUL_HTTP_TOKEN"] = keys.Nomad.Management, keys.Consul.Management
	return env, nil
}

// Secrets are the settings of the stack that the lab made, secrets above all, by path.
func Secrets(o Options) (map[string]string, error) {
	return secrets(o.withDefaults().Dir)
}
