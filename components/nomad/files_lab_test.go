//go:build lab

package nomad

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	"github.com/hashicorp/nomad/api"
	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// The tests here run the jobs in a real Nomad beside a real Consul, in a network
// of their own. Only the driver is another one: raw_exec instead of Docker, as no
// image is needed to see what Nomad renders and what HAProxy does with it.
const (
	nodeAddress   = "10.80.1.11"
	clientAddress = "10.80.1.99"
)

// brokerAddresses are those of two more nodes, with a fake EMQX each.
var brokerAddresses = []string{"10.80.1.21", "10.80.1.22"}

// namespaceDir is the variable with Nomad's folder. Nomad leaves mounts there,
// which end with the namespace.
const namespaceDir = "FILES_LAB_DIR"

// inNamespace runs the test again in network, mount and process namespaces of its
// own, so that nothing it starts outlives it, and is true there.
func inNamespace(t *testing.T) bool {
	t.Helper()
	if os.Getenv(namespaceDir) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		t.Fatal("the lab's tests need root: they make network namespaces")
	}
	self, err := os.Executable()
	assert.NilError(t, err)
	cmd := exec.Command("unshare", "--net", "--mount", "--mount-proc", "--pid", "--fork", "--kill-child", self, "-test.run=^"+t.Name()+"$", "-test.v", "-test.timeout=5m")
	// Short: HAProxy has a socket below it, and a socket's path has 97 characters.
	dir, err := os.MkdirTemp("/tmp", "n")
	assert.NilError(t, err)
	defer os.RemoveAll(dir)
	cmd.Env = append(os.Environ(), namespaceDir+"="+dir)
	out, err := cmd.CombinedOutput()
	t.Log(string(out))
	// Nomad leaves its allocations' control groups behind; without a process
	// in it, such a directory can be removed.
	allocs, _ := filepath.Glob(filepath.Join(dir, "alloc", "*"))
	for _, a := range allocs {
		groups, _ := filepath.Glob("/sys/fs/cgroup/*/nomad/" + filepath.Base(a) + ".*")
		for _, g := range groups {
			_ = os.Remove(g)
		}
	}
	if err != nil {
		t.Fatal("failed in its namespace: ", err)
	}
	return false
}

// eventually repeats ask until it returns nil.
func eventually(t *testing.T, what string, limit time.Duration, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(limit); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, limit, err)
}

// servers starts Consul and Nomad.
func servers(t *testing.T) (*api.Client, *consul.Client) {
	t.Helper()
	for _, args := range [][]string{
		{"link", "set", "lo", "up"},
		{"addr", "add", nodeAddress + "/24", "dev", "lo"},
		{"addr", "add", clientAddress + "/24", "dev", "lo"},
		{"addr", "add", brokerAddresses[0] + "/24", "dev", "lo"},
		{"addr", "add", brokerAddresses[1] + "/24", "dev", "lo"},
	} {
		out, err := exec.Command("ip", args...).CombinedOutput()
		assert.NilError(t, err, string(out))
	}
	agenttest.StartBeside(t, "consul", "agent", "-dev", "-log-level=warn", "-node=emqx-lab-0", "-bind="+nodeAddress, "-datacenter=dc1")
	c, err := consul.NewClient(consul.DefaultConfig())
	assert.NilError(t, err)
	eventually(t, "Consul", 30*time.Second, func() error {
		leader, err := c.Status().Leader()
		if err == nil && leader == "" {
			err = errors.New("no leader")
		}
		return err
	})
	dir := os.Getenv(namespaceDir)
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		logs, _ := filepath.Glob(filepath.Join(dir, "alloc/*/alloc/logs/*.std*.0"))
		for _, log := range logs {
			raw, _ := os.ReadFile(log)
			t.Logf("%s:\n%s", filepath.Base(log), raw)
		}
	})
	assert.NilError(t, os.MkdirAll(filepath.Join(dir, "volume"), 0o700))
	config := filepath.Join(dir, "nomad.json")
	raw, err := json.Marshal(map[string]any{
		"name": "emqx-lab-0", "data_dir": dir, "bind_addr": nodeAddress,
		"addresses": map[string]any{"http": "127.0.0.1"}, "advertise": map[string]any{"http": nodeAddress},
		"server": map[string]any{"enabled": true, "bootstrap_expect": 1},
		"client": map[string]any{
			"enabled": true, "network_interface": "lo", "max_kill_timeout": "200s",
			"host_network": map[string]any{"emqx": map[string]any{"cidr": nodeAddress + "/32"}},
			"host_volume":  map[string]any{"emqx[0]": map[string]any{"path": filepath.Join(dir, "volume"), "read_only": false}},
			"meta":         map[string]any{"pool_type": "emqx", "emqx_cluster": "lab"},
			"options":      map[string]any{"fingerprint.denylist": "env_aws,env_gce,env_azure,env_digitalocean", "driver.allowlist": "raw_exec,docker"},
			// Below what a namespace may choose for outgoing connections.
			"min_dynamic_port": 21000, "max_dynamic_port": 21799,
		},
		"plugin": []any{
			map[string]any{"raw_exec": []any{map[string]any{"config": []any{map[string]any{"enabled": true}}}}},
			map[string]any{"docker": []any{map[string]any{"config": []any{map[string]any{
				"endpoint": os.Getenv("DOCKER_HOST"), "auth": []any{map[string]any{"config": filepath.Join(dir, "registries.json")}},
			}}}}},
		},
		"log_level": "WARN", "disable_update_check": true,
	})
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(config, raw, 0o600))
	agenttest.StartBeside(t, "nomad", "agent", "-config", config)
	n, err := api.NewClient(api.DefaultConfig())
	assert.NilError(t, err)
	eventually(t, "Nomad", 60*time.Second, func() error {
		nodes, _, err := n.Nodes().List(nil)
		if err == nil && (len(nodes) != 1 || nodes[0].Status != "ready" || !nodes[0].Drivers["raw_exec"].Healthy) {
			err = fmt.Errorf("nodes: %+v", nodes)
		}
		return err
	})
	return n, c
}

func putVariable(t *testing.T, n *api.Client, job string, items map[string]string) {
	t.Helper()
	eventually(t, "the keyring", 30*time.Second, func() error {
		_, _, err := n.Variables().Create(&api.Variable{Path: "nomad/jobs/" + job, Items: items}, nil)
		return err
	})
}

// startJob runs the job's only allocation, without Docker.
func startJob(t *testing.T, n *api.Client, job *api.Job, command string, args ...string) *api.Allocation {
	t.Helper()
	g := job.TaskGroups[0]
	task := g.Tasks[0]
	task.Driver, task.Config = "raw_exec", map[string]any{"command": command, "args": args}
	task.User, task.VolumeMounts, g.Volumes = "", nil, nil
	return runJob(t, n, job)
}

// runJob runs the job until its only task runs, and stops it at the test's end.
func runJob(t *testing.T, n *api.Client, job *api.Job) *api.Allocation {
	t.Helper()
	task := job.TaskGroups[0].Tasks[0]
	_, _, err := n.Jobs().Register(job, nil)
	assert.NilError(t, err)
	var id, seen string
	t.Cleanup(func() {
		if _, _, err := n.Jobs().Deregister(*job.ID, false, nil); err != nil {
			t.Error(err)
		}
		eventually(t, "the end of "+*job.ID, 60*time.Second, func() error {
			a, _, err := n.Allocations().Info(id, nil)
			if err == nil && a.ClientStatus == "running" {
				err = errors.New("still running")
			}
			return err
		})
	})
	eventually(t, *job.ID, 60*time.Second, func() error {
		allocs, _, err := n.Jobs().Allocations(*job.ID, true, nil)
		if err != nil || len(allocs) == 0 {
			evals, _, _ := n.Jobs().Evaluations(*job.ID, nil)
			for _, e := range evals {
				seen += fmt.Sprintf("%+v", e.FailedTGAllocs)
			}
			return fmt.Errorf("no allocation: %w %s", err, seen)
		}
		id = allocs[0].ID
		if s := allocs[0].TaskStates[task.Name]; s == nil || s.State != "running" {
			raw, _ := json.Marshal(s)
			return fmt.Errorf("task: %s", raw)
		}
		return nil
	})
	a, _, err := n.Allocations().Info(id, nil)
	assert.NilError(t, err)
	return a
}

// What EMQX finds in its environment and in its files, with hostile secrets.
func TestEMQXJobInNomad(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	n, _ := servers(t)
	const password = `a "quoted" \ # value ${x} <&> ü 'end`
	putVariable(t, n, "emqx-lab", map[string]string{
		ItemErlangCookie: "abcdefghijklmnop", ItemDashboardPassword: password, ItemAPIKey: "deploy01", ItemAPISecret: "s3cr3t-s3cr3t",
		ItemTLSCert: "CERT\n", ItemTLSKey: "KEY\n", ItemTLSCA: "CA\n", ItemLicenseKey: "MjIw=.ME'Q/+=",
		ItemEnvironment: Environment(map[string]string{"EMQX_PLANTED": hostile}),
	})
	v := emqxVars()
	v.NodeCount, v.License, v.MaxConnections, v.ShutdownDelay, v.SecretEnv = 1, true, 2000, time.Second, "digest"
	out := filepath.Join(t.TempDir(), "out")
	a := startJob(t, n, emqxJob(t, v), "/bin/sh", "-c",
		`cd "$NOMAD_SECRETS_DIR" && { env -0 | tr '\n\0' '|\n' | sed 's/^/task: /'; stat -c '%n %a %u:%g' emqx.env; set -a; . ./emqx.env; `+
			`env -0 | tr '\n\0' '|\n' | grep -E '^(EMQX|ERL)'; for f in api_keys tls.key tls.crt ca.crt; do stat -c '%n %a %u:%g' $f; cat $f; done; } >`+out+`.tmp && mv `+out+`.tmp `+out+` && exec sleep 1000`)
	var raw []byte
	eventually(t, "the environment", 10*time.Second, func() (err error) {
		raw, err = os.ReadFile(out)
		return err
	})
	t.Log(string(raw))
	env, files, _ := strings.Cut(string(raw), "api_keys ")
	task, env, _ := strings.Cut(env, "emqx.env 400 1000:1000\n")
	assert.Assert(t, cmp.Contains(task, "task: EMQX_NODE__NAME="))
	for _, secret := range []string{"EMQX_NODE__COOKIE", "abcdefghijklmnop", "DEFAULT_PASSWORD", "MjIw", "EMQX_PLANTED", "s3cr3t"} {
		assert.Assert(t, !strings.Contains(task, secret), "Docker would show %s", secret)
	}
	get := func(key string) string {
		_, rest, ok := strings.Cut("\n"+env, "\n"+key+"=")
		assert.Assert(t, ok, key)
		value, _, _ := strings.Cut(rest, "\n")
		return value
	}
	var read string // HOCON reads a quoted string as JSON does
	assert.NilError(t, json.Unmarshal([]byte(get("EMQX_DASHBOARD__DEFAULT_PASSWORD")), &read))
	assert.Equal(t, read, password)
	assert.Assert(t, !strings.Contains(get("EMQX_DASHBOARD__DEFAULT_PASSWORD"), `\u`), "HOCON readers differ in \\u")
	assert.Equal(t, get("EMQX_NODE__COOKIE"), "abcdefghijklmnop", "quotes would make emqx ctl refuse")
	assert.Equal(t, get("EMQX_LICENSE__KEY"), "MjIw=.ME'Q/+=")
	assert.Equal(t, get("EMQX_PLANTED"), strings.ReplaceAll(hostile, "\n", "|"))
	assert.Equal(t, get("EMQX_NODE__NAME"), "emqx@emqx-lab-0.node.dc1.consul")
	assert.Equal(t, get("ERL_FLAGS"), "-kernel inet_dist_use_interface {10,80,1,11}")
	assert.Equal(t, get("EMQX_RPC__LISTEN_ADDRESS"), `"10.80.1.11"`)
	assert.Equal(t, get("EMQX_DASHBOARD__LISTENERS__HTTP__BIND"), `"0.0.0.0:18083"`)
	port := map[string]int{}
	for _, p := range a.AllocatedResources.Shared.Ports {
		assert.Equal(t, p.HostIP, nodeAddress, p.Label)
		port[p.Label] = p.Value
	}
	for key, label := range map[string]string{"TCP": "mqtt", "SSL": "mqtts", "WS": "ws", "WSS": "wss"} {
		assert.Equal(t, get("EMQX_LISTENERS__"+key+"__DEFAULT__BIND"), fmt.Sprintf(`"0.0.0.0:%d"`, port[label]))
	}
	assert.DeepEqual(t, port, map[string]int{"mqtt": 21883, "mqtts": 21884, "ws": 21983, "wss": 21984, "dashboard": 18083, "dist": 4370, "rpc": 5370})
	assert.Assert(t, cmp.Contains(get("EMQX_API_KEY__BOOTSTRAP_FILE"), `/secrets/api_keys"`))
	for _, text := range []string{"400 1000:1000\ndeploy01:s3cr3t-s3cr3t\n", "tls.key 400 1000:1000\nKEY\n", "tls.crt 400 1000:1000\nCERT\n", "ca.crt 400 1000:1000\nCA\n"} {
		assert.Assert(t, cmp.Contains(files, text))
	}
}

// broker is a fake EMQX: HTTP status, and listeners that want a PROXY header, answer
// checks, and then echo.
type broker struct {
	address string
	healthy atomic.Bool
	mu      sync.Mutex
	headers []*proxyproto.Header
}

func startBroker(t *testing.T, c *consul.Client, address string) *broker {
	t.Helper()
	b := &broker{address: address}
	b.healthy.Store(true)
	listen := func(port int) net.Listener {
		l, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", net.JoinHostPort(address, strconv.Itoa(port)))
		assert.NilError(t, err)
		t.Cleanup(func() { _ = l.Close() })
		return l
	}
	// A PROXY header in front of this is a bad request, and the check fails.
	status := listen(18083)
	go func() {
		_ = http.Serve(status, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/status" || !b.healthy.Load() {
				w.WriteHeader(http.StatusServiceUnavailable)
			}
		}))
	}()
	for i, service := range []string{"emqx", "emqx-tls", "emqx-ws", "emqx-wss"} {
		l := listen(21001 + i)
		go b.serve(l)
		assert.NilError(t, c.Agent().ServiceRegister(&consul.AgentServiceRegistration{
			ID: service + address, Name: service, Address: address, Port: 21001 + i, Tags: []string{"lab"},
		}))
	}
	return b
}

func (b *broker) serve(l net.Listener) {
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		go func() {
			defer conn.Close()
			r := bufio.NewReader(conn)
			h, err := proxyproto.Read(r)
			if err != nil {
				return // as EMQX: no header, no service
			}
			b.mu.Lock()
			b.headers = append(b.headers, h)
			b.mu.Unlock()
			if source, ok := h.SourceAddr.(*net.TCPAddr); ok && source.Port == checkPort {
				if b.healthy.Load() {
					answerCheck(conn, r)
				}
				return
			}
			fmt.Fprintf(conn, "%s\n", b.address)
			_, _ = io.Copy(conn, r)
		}()
	}
}

// dial connects as a client does and tells which broker answered.
func dial(port int) (net.Conn, string, error) {
	d := net.Dialer{Timeout: 3 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}}
	conn, err := d.Dial("tcp", net.JoinHostPort(nodeAddress, strconv.Itoa(port)))
	if err != nil {
		return nil, "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	line, err := bufio.NewReaderSize(conn, 16).ReadString('\n')
	if err != nil {
		_ = conn.Close()
		return nil, "", err
	}
	return conn, strings.TrimSpace(line), nil
}

func echoes(conn net.Conn) error {
	if _, err := io.WriteString(conn, "ping"); err != nil {
		return err
	}
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	got := make([]byte, 4)
	if _, err := io.ReadFull(conn, got); err != nil {
		return err
	}
	if string(got) != "ping" {
		return fmt.Errorf("got %q", got)
	}
	return nil
}

// get asks the admin port.
func get(path, password string) (int, string) {
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+nodeAddress+":8080"+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	if password != "" {
		req.SetBasicAuth("stats", password)
	}
	client := http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body)
}

func answers(path string, wanted int) func() error {
	return func() error {
		if code, body := get(path, ""); code != wanted {
			return fmt.Errorf("%s answers %d: %s", path, code, body)
		}
		return nil
	}
}

func TestHAProxyJobInNomad(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	const password = `p w'd"#$\${X} %[x] 'end`
	n, c := servers(t)
	putVariable(t, n, cluster.HAProxyJobID("lab"), map[string]string{ItemStatsUser: "stats", ItemStatsPassword: password})
	v := haproxyVars()
	v.NodeCount, v.ShutdownDelay, v.KillTimeout = 1, 5*time.Second, 20*time.Second
	// HAProxy's own template file is read by root here.
	job := haproxyJob(t, v)
	a := startJob(t, n, job, agenttest.Tool(t, "sh"), "${NOMAD_TASK_DIR}/run.sh")

	// No broker: nothing to send clients to.
	eventually(t, "HAProxy", 15*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
	first, second := startBroker(t, c, brokerAddresses[0]), startBroker(t, c, brokerAddresses[1])
	eventually(t, "the brokers", 20*time.Second, answers("/haproxy_health", http.StatusOK))

	t.Run("a client reaches a broker, and its address too", func(t *testing.T) {
		for _, port := range []int{1883, 8883, 8083, 8084} {
			conn, address, err := dial(port)
			assert.NilError(t, err, "port %d", port)
			assert.NilError(t, echoes(conn))
			b := map[string]*broker{first.address: first, second.address: second}[address]
			b.mu.Lock()
			at := slices.IndexFunc(b.headers, func(h *proxyproto.Header) bool { return h.SourceAddr.String() == conn.LocalAddr().String() })
			assert.Assert(t, at >= 0, "no header with the client's address")
			h := b.headers[at]
			b.mu.Unlock()
			assert.Equal(t, h.Version, byte(2))
			assert.Equal(t, h.Command, proxyproto.PROXY)
			assert.NilError(t, conn.Close())
		}
	})
	t.Run("a check has an address in its header", func(t *testing.T) {
		time.Sleep(3 * time.Second)
		for _, b := range []*broker{first, second} {
			b.mu.Lock()
			checks := 0
			for _, h := range b.headers {
				assert.Equal(t, h.Command, proxyproto.PROXY, "a LOCAL header hangs EMQX's parser")
				if h.SourceAddr.String() == fmt.Sprint("127.0.0.1:", checkPort) {
					checks++
				}
			}
			assert.Assert(t, checks >= 4, "each listener is asked")
			b.mu.Unlock()
		}
	})
	t.Run("both brokers get clients", func(t *testing.T) {
		seen := map[string]bool{}
		var held []net.Conn
		for range 6 {
			conn, address, err := dial(1883)
			assert.NilError(t, err)
			held = append(held, conn)
			seen[address] = true
		}
		for _, conn := range held {
			_ = conn.Close()
		}
		assert.Equal(t, len(seen), 2)
	})
	t.Run("the admin port", func(t *testing.T) {
		for _, page := range []string{"/stats", "/haproxy_stats", "/haproxy_stats;csv"} {
			code, body := get(page, password)
			assert.Equal(t, code, http.StatusOK, body)
			for _, wrong := range []string{"", "wrong", strings.Fields(password)[0]} {
				code, _ = get(page, wrong)
				assert.Equal(t, code, http.StatusUnauthorized, page)
			}
		}
		code, body := get("/metrics", "")
		assert.Equal(t, code, http.StatusOK)
		assert.Assert(t, cmp.Contains(body, "haproxy_backend_active_servers"))
		code, _ = get("/", "")
		assert.Equal(t, code, http.StatusNotFound)
	})
	t.Run("Consul sees it", func(t *testing.T) {
		eventually(t, "emqx-haproxy", 15*time.Second, func() error {
			found, _, err := c.Health().Service("emqx-haproxy", "lab", true, nil)
			if err == nil && (len(found) != 1 || found[0].Service.Port != 8080 || found[0].Service.Address != nodeAddress) {
				err = fmt.Errorf("passing: %+v", found)
			}
			return err
		})
	})
	t.Run("a sick broker gets no new clients, and keeps those it has", func(t *testing.T) {
		var conn net.Conn
		for conn == nil {
			got, address, err := dial(1883)
			assert.NilError(t, err)
			if address == first.address {
				conn = got
				continue
			}
			defer got.Close()
		}
		defer conn.Close()
		first.healthy.Store(false)
		time.Sleep(7 * time.Second)
		assert.NilError(t, echoes(conn))
		for range 5 {
			conn, address, err := dial(1883)
			assert.NilError(t, err)
			assert.Equal(t, address, second.address)
			_ = conn.Close()
		}
		assert.NilError(t, answers("/haproxy_health", http.StatusOK)())
	})
	t.Run("no broker, no health", func(t *testing.T) {
		second.healthy.Store(false)
		eventually(t, "the page", 10*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
		first.healthy.Store(true)
		second.healthy.Store(true)
		eventually(t, "the page", 15*time.Second, answers("/haproxy_health", http.StatusOK))
	})
	t.Run("Consul away for a moment empties nothing", func(t *testing.T) {
		for _, b := range []*broker{first, second} {
			for _, service := range []string{"emqx", "emqx-tls", "emqx-ws", "emqx-wss"} {
				assert.NilError(t, c.Agent().ServiceDeregister(service+b.address))
			}
		}
		time.Sleep(8 * time.Second)
		conn, _, err := dial(1883)
		assert.NilError(t, err, "hold nx")
		_ = conn.Close()
		for _, b := range []*broker{first, second} {
			for i, service := range []string{"emqx", "emqx-tls", "emqx-ws", "emqx-wss"} {
				assert.NilError(t, c.Agent().ServiceRegister(&consul.AgentServiceRegistration{
					ID: service + b.address, Name: service, Address: b.address, Port: 21001 + i, Tags: []string{"lab"},
				}))
			}
		}
	})
	t.Run("a new password keeps the clients", func(t *testing.T) {
		conn, _, err := dial(1883)
		assert.NilError(t, err)
		defer conn.Close()
		_, _, err = n.Variables().Update(&api.Variable{
			Path: "nomad/jobs/" + cluster.HAProxyJobID("lab"), Items: map[string]string{ItemStatsUser: "stats", ItemStatsPassword: "new password"},
		}, nil)
		assert.NilError(t, err)
		eventually(t, "the new password", 30*time.Second, func() error {
			if code, body := get("/stats", "new password"); code != http.StatusOK {
				return fmt.Errorf("%d %s", code, body)
			}
			return nil
		})
		assert.NilError(t, echoes(conn))
		now, _, err := n.Allocations().Info(a.ID, nil)
		assert.NilError(t, err)
		assert.Equal(t, now.TaskStates["haproxy"].Restarts, uint64(0))
		eventually(t, "the page", 15*time.Second, answers("/haproxy_health", http.StatusOK))
	})
	t.Run("a stop is announced before it happens", func(t *testing.T) {
		conn, _, err := dial(1883)
		assert.NilError(t, err)
		defer conn.Close()
		_, _, err = n.Jobs().Deregister(*job.ID, false, nil)
		assert.NilError(t, err)
		eventually(t, "the page", 5*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
		late, _, err := dial(1883)
		assert.NilError(t, err, "a client that comes before the balancer notices")
		assert.NilError(t, echoes(late))
		eventually(t, "the closed port", 10*time.Second, func() error {
			if conn, _, err := dial(1883); err == nil {
				_ = conn.Close()
				return errors.New("still open")
			}
			return nil
		})
		assert.NilError(t, echoes(conn), "the clients it has keep their time")
		eventually(t, "the end of the clients' time", 20*time.Second, func() error {
			if echoes(conn) == nil {
				return errors.New("still there")
			}
			return nil
		})
	})
}

// Without a certificate the two TLS ports are closed.
func TestHAProxyJobInNomadWithoutTLS(t *testing.T) {
	if !inNamespace(t) {
		return
	}
	n, c := servers(t)
	putVariable(t, n, cluster.HAProxyJobID("lab"), map[string]string{ItemStatsUser: "stats", ItemStatsPassword: "password"})
	v := haproxyVars()
	v.NodeCount, v.TLS, v.ShutdownDelay, v.KillTimeout = 1, false, time.Second, 12*time.Second
	startJob(t, n, haproxyJob(t, v), agenttest.Tool(t, "sh"), "${NOMAD_TASK_DIR}/run.sh")
	startBroker(t, c, brokerAddresses[0])
	eventually(t, "the broker", 20*time.Second, answers("/haproxy_health", http.StatusOK))
	for port, open := range map[int]bool{1883: true, 8083: true, 8883: false, 8084: false} {
		conn, _, err := dial(port)
		assert.Equal(t, err == nil, open, "port %d: %v", port, err)
		if err == nil {
			_ = conn.Close()
		}
	}
}
