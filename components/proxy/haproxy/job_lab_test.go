//go:build lab

package haproxy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
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
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/internal/jobtest"
)

// clientAddress is where the clients are.
const clientAddress = "10.80.1.99"

// brokerAddresses are those of two more nodes, with a fake EMQX each.
var brokerAddresses = []string{"10.80.1.21", "10.80.1.22"}

func servers(t *testing.T) (*api.Client, *consul.Client) {
	t.Helper()
	return jobtest.Servers(t, append(brokerAddresses, clientAddress)...)
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
	assert.NilError(t, c.Agent().ServiceRegister(&consul.AgentServiceRegistration{
		ID: "emqx-dashboard" + address, Name: "emqx-dashboard", Address: address, Port: 18083, Tags: memberTags(address),
	}))
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		go b.serve(listen(l.BrokerPort))
	}
	return b
}

// memberTags are those of the broker's allocation.
func memberTags(address string) []string {
	return []string{"lab", fmt.Sprint("lab--", slices.Index(brokerAddresses, address))}
}

// putSecrets are those of the job, with the members that the test has.
func putSecrets(t *testing.T, n *api.Client, password, terminate string) map[string]string {
	t.Helper()
	items := map[string]string{ItemStatsUser: "stats", ItemStatsPassword: password, ItemTerminate: terminate, ItemMembers: strings.Join(brokerAddresses, " ")}
	for _, l := range cluster.Listeners(cluster.DefaultPorts, true) {
		items[itemBroker(l.Name)] = strconv.Itoa(l.BrokerPort)
	}
	jobtest.PutVariable(t, n, JobID("lab"), items)
	return items
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
			skipHello(r)
			_, _ = io.Copy(conn, r)
		}()
	}
}

// dial connects as a client does and tells which broker answered.
func dial(port int) (net.Conn, string, error) {
	d := net.Dialer{Timeout: 3 * time.Second, LocalAddr: &net.TCPAddr{IP: net.ParseIP(clientAddress)}}
	conn, err := d.Dial("tcp", net.JoinHostPort(jobtest.NodeAddress, strconv.Itoa(port)))
	if err != nil {
		return nil, "", err
	}
	_ = conn.SetReadDeadline(time.Now().Add(3 * time.Second))
	_, _ = io.WriteString(conn, helloAt(port))
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
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, "http://"+jobtest.NodeAddress+":8080"+path, nil)
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
	if !jobtest.InNamespace(t) {
		return
	}
	const password = `p w'd"#$\${X} %[x] 'end`
	n, c := servers(t)
	items := putSecrets(t, n, password, settings.TerminateBroker)
	v := testVars()
	v.NodeCount, v.ShutdownDelay, v.KillTimeout = 1, 5*time.Second, 20*time.Second
	// HAProxy's own template file is read by root here.
	job := testJob(t, v)
	a := jobtest.StartWithoutDocker(t, n, job, agenttest.Tool(t, "sh"), "${NOMAD_TASK_DIR}/run.sh")

	// No broker: nothing to send clients to.
	jobtest.Eventually(t, "HAProxy", 15*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
	first, second := startBroker(t, c, brokerAddresses[0]), startBroker(t, c, brokerAddresses[1])
	jobtest.Eventually(t, "the brokers", 20*time.Second, answers("/haproxy_health", http.StatusOK))

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
		jobtest.Eventually(t, "both, by every listener", 20*time.Second, func() error { // the health page is about any
			if _, body := get("/haproxy_ready", ""); body != "brokers that accept mqtt: 2, mqtts: 2, ws: 2, wss: 2" {
				return errors.New(body)
			}
			return nil
		})
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
		jobtest.Eventually(t, "emqx-haproxy", 15*time.Second, func() error {
			found, _, err := c.Health().Service("emqx-haproxy", "lab", true, nil)
			if err == nil && (len(found) != 1 || found[0].Service.Port != 8080 || found[0].Service.Address != jobtest.NodeAddress) {
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
		jobtest.Eventually(t, "the page", 10*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
		first.healthy.Store(true)
		second.healthy.Store(true)
		jobtest.Eventually(t, "the page", 15*time.Second, answers("/haproxy_health", http.StatusOK))
	})
	t.Run("Consul away for a moment empties nothing", func(t *testing.T) {
		for _, b := range []*broker{first, second} {
			assert.NilError(t, c.Agent().ServiceDeregister("emqx-dashboard"+b.address))
		}
		time.Sleep(8 * time.Second)
		conn, _, err := dial(1883)
		assert.NilError(t, err, "who answers gets clients")
		_ = conn.Close()
		assert.NilError(t, answers("/haproxy_health", http.StatusOK)())
		for _, b := range []*broker{first, second} {
			assert.NilError(t, c.Agent().ServiceRegister(&consul.AgentServiceRegistration{
				ID: "emqx-dashboard" + b.address, Name: "emqx-dashboard", Address: b.address, Port: 18083, Tags: memberTags(b.address),
			}))
		}
	})
	t.Run("a new password keeps the clients", func(t *testing.T) {
		conn, _, err := dial(1883)
		assert.NilError(t, err)
		defer conn.Close()
		items[ItemStatsPassword] = "new password"
		_, _, err = n.Variables().Update(&api.Variable{Path: "nomad/jobs/" + JobID("lab"), Items: items}, nil)
		assert.NilError(t, err)
		jobtest.Eventually(t, "the new password", 30*time.Second, func() error {
			if code, body := get("/stats", "new password"); code != http.StatusOK {
				return fmt.Errorf("%d %s", code, body)
			}
			return nil
		})
		assert.NilError(t, echoes(conn))
		now, _, err := n.Allocations().Info(a.ID, nil)
		assert.NilError(t, err)
		assert.Equal(t, now.TaskStates["haproxy"].Restarts, uint64(0))
		jobtest.Eventually(t, "the page", 15*time.Second, answers("/haproxy_health", http.StatusOK))
	})
	t.Run("a stop is announced before it happens", func(t *testing.T) {
		conn, _, err := dial(1883)
		assert.NilError(t, err)
		defer conn.Close()
		_, _, err = n.Jobs().Deregister(*job.ID, false, nil)
		assert.NilError(t, err)
		jobtest.Eventually(t, "the page", 5*time.Second, answers("/haproxy_health", http.StatusServiceUnavailable))
		late, _, err := dial(1883)
		assert.NilError(t, err, "a client that comes before the balancer notices")
		assert.NilError(t, echoes(late))
		jobtest.Eventually(t, "the closed port", 10*time.Second, func() error {
			if conn, _, err := dial(1883); err == nil {
				_ = conn.Close()
				return errors.New("still open")
			}
			return nil
		})
		assert.NilError(t, echoes(conn), "the clients it has keep their time")
		jobtest.Eventually(t, "the end of the clients' time", 20*time.Second, func() error {
			if echoes(conn) == nil {
				return errors.New("still there")
			}
			return nil
		})
	})
}

// Without a certificate the two TLS ports are closed.
func TestHAProxyJobInNomadWithoutTLS(t *testing.T) {
	if !jobtest.InNamespace(t) {
		return
	}
	n, c := servers(t)
	putSecrets(t, n, "password", "")
	v := testVars()
	v.NodeCount, v.TLS, v.ShutdownDelay, v.KillTimeout = 1, false, time.Second, 12*time.Second
	jobtest.StartWithoutDocker(t, n, testJob(t, v), agenttest.Tool(t, "sh"), "${NOMAD_TASK_DIR}/run.sh")
	startBroker(t, c, brokerAddresses[0])
	jobtest.Eventually(t, "the broker", 20*time.Second, answers("/haproxy_ready", http.StatusOK))
	for port, open := range map[int]bool{1883: true, 8083: true, 8883: false, 8084: false} {
		conn, _, err := dial(port)
		assert.Equal(t, err == nil, open, "port %d: %v", port, err)
		if err == nil {
			_ = conn.Close()
		}
	}
}
