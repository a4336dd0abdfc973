package machine

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/emqx-oci/emqx-oci/lab/cloud"
)

// setProxied has one HAProxy in the gateway's namespace take the connections of the balancers that do so themselves. What
// is connected stays with the process that took it when another configuration comes; a backend that gets no new
// connections keeps those that it has.
func (m *Machine) setProxied(ctx context.Context, balancers []cloud.Balancer) error {
	dir := m.path("proxied")
	want := renderProxied(dir, balancers)
	p, running := m.proxiedProcess()
	if want.empty() {
		if !running {
			return nil
		}
		return p.end(syscall.SIGTERM, 5*time.Second)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	if !running || m.proxiedID(ctx) != want.id() {
		if err := m.loadProxied(ctx, dir, want, p, running); err != nil {
			return fmt.Errorf("serving the balancers: %w", err)
		}
	}
	for _, server := range slices.Sorted(maps.Keys(want.states)) {
		state := map[bool]string{true: "ready", false: "drain"}[want.states[server]]
		if _, err := m.askProxied(ctx, "set server "+server+" state "+state); err != nil {
			return fmt.Errorf("serving the balancers: %w", err)
		}
	}
	return nil
}

// loadProxied starts HAProxy, or lets it read its configuration anew, and waits until it serves.
func (m *Machine) loadProxied(ctx context.Context, dir string, want proxiedConfig, p procID, running bool) error {
	program, err := lookProgram("haproxy")
	if err != nil {
		return err
	}
	for path, text := range want.files {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return err
		}
	}
	config := filepath.Join(dir, "haproxy.cfg")
	// It says of itself which configuration it has.
	text := strings.Replace(want.text, "global\n", "global\n    description "+want.id()+"\n", 1)
	if err := os.WriteFile(config+".new", []byte(text), 0o600); err != nil {
		return err
	}
	if out, err := exec.CommandContext(ctx, program, "-c", "-f", config+".new").CombinedOutput(); err != nil {
		return fmt.Errorf("HAProxy refuses its configuration: %w: %s", err, out)
	}
	if err := os.Rename(config+".new", config); err != nil {
		return err
	}
	if running {
		err = syscall.Kill(p.PID, syscall.SIGUSR2)
	} else {
		err = m.startProxied(dir, program, config)
	}
	if err != nil {
		return err
	}
	if !waitUntil(15*time.Second, func() bool { return m.proxiedID(ctx) == want.id() }) {
		return fmt.Errorf("HAProxy does not serve its configuration; its last lines:\n%s", lastLines(filepath.Join(dir, "haproxy.log"), 5))
	}
	m.forgetFiles(dir, want)
	return nil
}

func (m *Machine) startProxied(dir, program, config string) error {
	log, err := os.OpenFile(filepath.Join(dir, "haproxy.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	cmd := exec.Command(program, "-W", "-db", "-f", config) //nolint:noctx // it outlives this call and this process
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := inNetNS(m.ns(nsGateway), cmd.Start); err != nil {
		return err
	}
	go func() { _ = cmd.Wait() }() // reaps it; how it ended is in its log
	return writeJSON(m.proxiedFile(), identify(cmd.Process.Pid))
}

func (m *Machine) proxiedFile() string { return m.path("proxied", "haproxy.pid.json") }

func (m *Machine) proxiedProcess() (p procID, running bool) {
	err := readJSON(m.proxiedFile(), &p)
	return p, err == nil && p.alive()
}

// forgetFiles removes certificates that nothing names any more.
func (*Machine) forgetFiles(dir string, want proxiedConfig) {
	old, _ := filepath.Glob(filepath.Join(dir, "*.pem"))
	for _, path := range old {
		if _, used := want.files[path]; !used {
			_ = os.Remove(path)
		}
	}
}

// proxiedID is the configuration that HAProxy serves, "" while it serves none.
func (m *Machine) proxiedID(ctx context.Context) string {
	out, err := m.askProxied(ctx, "show info")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(out) {
		if id, ok := strings.CutPrefix(line, "description: "); ok {
			return strings.TrimSpace(id)
		}
	}
	return ""
}

// askProxied gives HAProxy a command, and fails with what it has against it.
func (m *Machine) askProxied(ctx context.Context, command string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	conn, err := (&net.Dialer{}).DialContext(ctx, "unix", m.path("proxied", "admin.sock"))
	if err != nil {
		return "", err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.WriteString(conn, command+"\n"); err != nil {
		return "", err
	}
	out, err := io.ReadAll(conn)
	if err != nil {
		return "", err
	}
	if said := strings.TrimSpace(string(out)); strings.HasPrefix(command, "set ") && said != "" {
		return "", fmt.Errorf("HAProxy was told %q: %s", command, said)
	}
	return string(out), nil
}
