package machine

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// server is one of the two agents in the servers' namespace.
type server struct {
	name   string
	argv   []string
	leader string // URL that names the leader once there is one
}

func (m *Machine) servers() []server {
	leader := func(address string) string { return m.cfg.Servers.scheme() + address + "/v1/status/leader" }
	return []server{
		{"consul", []string{m.cfg.ConsulBinary, "agent", "-config-file", m.path("servers", "consul.json")}, leader(m.cfg.Servers.consulAPI())},
		{"nomad", []string{m.cfg.NomadBinary, "agent", "-config", m.path("servers", "nomad.json")}, leader(nomadHTTP)},
	}
}

// startServers starts Consul and Nomad where they do not run, and waits until
// both have elected themselves.
func (m *Machine) startServers(ctx context.Context) error {
	if err := m.writeServerConfig(); err != nil {
		return err
	}
	for _, s := range m.servers() {
		if err := m.startServer(s); err != nil {
			return err
		}
	}
	for _, s := range m.servers() {
		if err := m.awaitLeader(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

func (m *Machine) writeServerConfig() error {
	consul := map[string]any{
		"server": true, "bootstrap_expect": 1, "node_name": m.cfg.Name + "-server",
		"datacenter": m.cfg.Datacenter, "data_dir": m.path("servers", "consul"),
		"bind_addr": serverAddress.String(), "client_addr": "127.0.0.1 " + serverAddress.String(),
		"ui_config":   map[string]any{"enabled": true},
		"performance": map[string]any{"raft_multiplier": 1}, "disable_update_check": true,
		"leave_on_terminate": false, "log_level": "INFO",
	}
	nomad := map[string]any{
		"name": m.cfg.Name + "-server", "region": m.cfg.Region, "datacenter": m.cfg.Datacenter,
		"data_dir": m.path("servers", "nomad"), "bind_addr": "0.0.0.0", "disable_update_check": true,
		"advertise": map[string]any{"http": serverAddress.String(), "rpc": serverAddress.String(), "serf": serverAddress.String()},
		"server":    map[string]any{"enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1},
		"consul":    map[string]any{"address": consulHTTP},
		"log_level": "INFO",
	}
	if m.cfg.Servers.Secured {
		m.secureConsul(consul)
		m.secureNomad(nomad)
	}
	if err := writeJSON(m.path("servers", "consul.json"), consul); err != nil {
		return fmt.Errorf("writing Consul's configuration: %w", err)
	}
	if err := writeJSON(m.path("servers", "nomad.json"), nomad); err != nil {
		return fmt.Errorf("writing Nomad's configuration: %w", err)
	}
	if m.cfg.Servers.Secured {
		return m.writeServerFiles()
	}
	return nil
}

func (m *Machine) serverFile(s server) string { return m.path("servers", s.name+".pid.json") }

func (m *Machine) startServer(s server) error {
	var p procID
	if err := readJSON(m.serverFile(s), &p); err == nil && p.alive() {
		return nil
	}
	// One that was started just before its starter was killed, and not recorded.
	for _, stray := range processesIn(m.ns(nsServers)) {
		line, err := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", stray.PID))
		if err == nil && strings.Contains(string(line), m.path("servers", s.name+".json")) {
			if err := stray.end(syscall.SIGKILL, 0); err != nil {
				return err
			}
		}
	}
	log, err := os.OpenFile(m.path("servers", s.name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("starting the %s server: %w", s.name, err)
	}
	defer log.Close()
	cmd := exec.Command(s.argv[0], s.argv[1:]...) //nolint:noctx // it outlives this call and this process
	cmd.Stdout, cmd.Stderr, cmd.Dir = log, log, "/"
	// Not this process's: AWS_CA_BUNDLE makes a Nomad agent die at start.
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=" + m.path("servers")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := inNetNS(m.ns(nsServers), cmd.Start); err != nil {
		return fmt.Errorf("starting the %s server: %w", s.name, err)
	}
	go func() { _ = cmd.Wait() }() // reaps it; how it ended is in its log
	return writeJSON(m.serverFile(s), identify(cmd.Process.Pid))
}

func (m *Machine) awaitLeader(ctx context.Context, s server) error {
	client := m.httpIn(nsServers)
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	var last string
	for {
		body, err := get(ctx, client, s.leader)
		switch {
		case err != nil:
			last = err.Error()
		case strings.Trim(strings.TrimSpace(body), `"`) != "" && strings.HasPrefix(body, `"`):
			return nil
		default:
			last = "no leader: " + body
		}
		var p procID
		if err := readJSON(m.serverFile(s), &p); err != nil || !p.alive() {
			return fmt.Errorf("waiting for the %s server: it ended; its last lines:\n%s", s.name, lastLines(m.path("servers", s.name+".log"), 5))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for the %s server's leader: %s; see %s", s.name, last, m.path("servers", s.name+".log"))
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// httpIn is a client in one of the lab's namespaces. It trusts the servers' authority.
func (m *Machine) httpIn(short string) *http.Client {
	return &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		TLSClientConfig:   m.cfg.Servers.client(),
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			return dialIn(ctx, m.ns(short), nil, "tcp4", address)
		},
	}}
}

func get(ctx context.Context, c *http.Client, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	resp, err := c.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return "", err
	}
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(raw)))
	}
	return string(raw), nil
}

func lastLines(path string, n int) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	all := strings.Split(strings.TrimRight(string(raw), "\n"), "\n")
	return strings.Join(all[max(0, len(all)-n):], "\n")
}
