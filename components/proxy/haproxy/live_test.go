package haproxy

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"maps"
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
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// proxyLab is a real HAProxy, run by its real script, in front of brokers that say
// who they are and then repeat what they hear. Consul's DNS is a server that says
// what the test wants.
type proxyLab struct {
	t      *testing.T
	subnet string // 127.x.y.
	dir    string
	cmd    *exec.Cmd
	done   chan struct{}
	out    *outFile

	mu    sync.Mutex
	named map[int]bool // in Consul's answers
	// stranger is whose address Consul has for everybody, where somebody changed them.
	stranger string
	sick     map[int]bool // fails all its checks
	off      map[int]bool // runs, and does not speak MQTT on its first listener
	curt     map[int]bool // closes each connection at once
	answers  atomic.Int64

	vars    map[string]string // of the job, where they differ
	secrets map[string]item   // where they differ from those of the job

	ports map[int]int // of brokers, where it is not brokerPort
	job   Vars
	heard *proxyproto.Header // of the last client
	speak func(net.Conn)     // what brokers do with a client, where they do not repeat what they hear
}

// outFile is what the script prints; a file, as orphans keep a pipe open.
type outFile struct{ path string }

func (f *outFile) String() string {
	b, _ := os.ReadFile(f.path)
	return string(b)
}

var lastSubnet atomic.Int32

const brokerPort = 20883

func newProxyLab(t *testing.T, brokers int, env ...string) *proxyLab {
	t.Helper()
	return newProxyLabWith(t, brokers, nil, env...)
}

func newProxyLabWith(t *testing.T, brokers int, vars map[string]string, env ...string) *proxyLab {
	t.Helper()
	l := prepareProxyLab(t, brokers, vars)
	l.start(env...)
	return l
}

// prepareProxyLab has all but the running HAProxy.
func prepareProxyLab(t *testing.T, brokers int, vars map[string]string) *proxyLab {
	t.Helper()
	l := &proxyLab{
		t: t, job: testVars(), subnet: fmt.Sprintf("127.%d.%d.", 60+os.Getpid()%40, lastSubnet.Add(1)), dir: t.TempDir(),
		named: map[int]bool{}, sick: map[int]bool{}, off: map[int]bool{}, curt: map[int]bool{}, vars: vars,
	}
	for i := range brokers {
		l.named[i] = true
	}
	l.serveNames()
	for i := range brokers {
		l.serveBroker(i)
	}
	l.write(l.config())
	assert.NilError(t, os.WriteFile(l.dir+"/run.sh", []byte(Run), 0o600))
	l.owned(l.dir + "/run.sh")
	l.owned(l.dir)
	l.owned(filepath.Dir(l.dir)) // which is closed to others
	return l
}

func (l *proxyLab) ip(i int) string { return l.subnet + strconv.Itoa(10+i) }

func (l *proxyLab) serveNames() {
	up := make(chan struct{})
	s := &dns.Server{Addr: l.subnet + "1:8600", Net: "udp", Handler: l, NotifyStartedFunc: func() { close(up) }}
	go func() { _ = s.ListenAndServe() }()
	<-up
	l.t.Cleanup(func() { _ = s.Shutdown() })
}

func (l *proxyLab) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.answers.Add(1)
	m := new(dns.Msg)
	m.SetReply(q)
	name := q.Question[0].Name
	tag, port, byPort := strings.Cut(strings.TrimPrefix(strings.TrimSuffix(name, ".emqx-dashboard.service.consul."), "lab--"), "--")
	if i, err := strconv.Atoi(tag); err == nil && l.named[i] && (!byPort || port == strconv.Itoa(l.registered(i))) {
		address := l.ip(i)
		if l.stranger != "" {
			address = l.stranger
		}
		m.Answer = append(m.Answer, &dns.A{
			Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeA, Class: dns.ClassINET}, A: net.ParseIP(address),
		})
	}
	if len(m.Answer) == 0 {
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m)
}

// registered is the port by which a broker is in Consul.
func (l *proxyLab) registered(i int) int {
	if port, own := l.ports[i]; own {
		return port
	}
	return brokerPort
}

func (l *proxyLab) serveBroker(i int) {
	_ = l.serveClients(i)
	l.serveStatus(i)
}

func (l *proxyLab) serveStatus(i int) {
	status, err := net.Listen("tcp", l.ip(i)+":18083")
	assert.NilError(l.t, err)
	s := &http.Server{ReadHeaderTimeout: time.Second, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.sick[i] {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	})}
	go func() { _ = s.Serve(status) }()
	l.t.Cleanup(func() { _ = s.Close() })
}

// serveClients is a broker's plain listener.
func (l *proxyLab) serveClients(i int) net.Listener {
	ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.ip(i), brokerPort))
	assert.NilError(l.t, err)
	l.t.Cleanup(func() { _ = ln.Close() })
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				r := bufio.NewReader(c)
				h, err := proxyproto.Read(r)
				if err != nil {
					return
				}
				if source, ok := h.SourceAddr.(*net.TCPAddr); ok && source.Port == checkPort {
					l.answerCheck(i, c, r)
					return
				}
				l.mu.Lock()
				l.heard = h
				l.mu.Unlock()
				if l.speak != nil {
					l.speak(&readConn{c, r})
					return
				}
				_, _ = fmt.Fprintf(c, "broker %d\n", i)
				if l.is(l.curt, i) {
					return
				}
				skipHello(r)
				_, _ = io.Copy(c, r)
			}()
		}
	}()
	return ln
}

// readConn is a connection of which something has been read already.
type readConn struct {
	net.Conn
	r *bufio.Reader
}

func (c *readConn) Read(p []byte) (int, error) { return c.r.Read(p) }

func (l *proxyLab) answerCheck(i int, w io.Writer, r *bufio.Reader) {
	first, _ := r.Peek(1)
	l.mu.Lock()
	silent := l.sick[i] || l.off[i] && bytes.Equal(first, []byte{0x10})
	l.mu.Unlock()
	if !silent {
		answerCheck(w, r)
	}
}

func (l *proxyLab) set(m map[int]bool, i int, v bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m[i] = v
}

func (l *proxyLab) is(m map[int]bool, i int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return m[i]
}

// config is the real configuration with this lab's addresses.
func (l *proxyLab) config() string {
	env := envOf(l.t, l.job)
	env["NOMAD_TASK_DIR"] = l.dir
	secrets := held(l.job)
	secrets[ItemMembers] = item{l.members()}
	for _, name := range []string{"mqtt", "mqtts", "ws", "wss"} {
		env["BROKER_"+name] = strconv.Itoa(brokerPort)
		secrets[itemBroker(name)] = item{strconv.Itoa(brokerPort)}
	}
	maps.Copy(env, l.vars)
	for port, number := range map[string]int{"mqtt": 1883, "mqtts": 8883, "ws": 8083, "wss": 8084, "admin": 8080} {
		env["NOMAD_ADDR_"+port] = l.addr(number)
	}
	maps.Copy(secrets, l.secrets)
	text := renderHAProxy(l.t, env, secrets)
	return strings.ReplaceAll(text, "127.0.0.1:8600", l.subnet+"1:8600")
}

// members are the addresses of all brokers that there ever were.
func (l *proxyLab) members() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var all []string
	for _, i := range slices.Sorted(maps.Keys(l.named)) {
		all = append(all, l.ip(i))
	}
	if len(all) == 0 {
		return l.ip(0)
	}
	return strings.Join(all, " ")
}

func (l *proxyLab) addr(port int) string { return fmt.Sprintf("%s2:%d", l.subnet, port) }

// jobUser is who the task is in Nomad. Who is root may write to a file of mode 0400, which hides faults.
const jobUser = 99

// owned gives a path to the task's user, as far as the test may.
func (l *proxyLab) owned(path string) {
	if os.Geteuid() == 0 {
		assert.NilError(l.t, os.Chown(path, jobUser, jobUser))
	}
}

// write does as Nomad does: a new file takes the place of the old one.
func (l *proxyLab) write(config string) { l.render("haproxy.cfg", config) }

func (l *proxyLab) render(name, text string) {
	assert.NilError(l.t, os.WriteFile(l.dir+"/new", []byte(text), 0o400))
	l.owned(l.dir + "/new")
	assert.NilError(l.t, os.Rename(l.dir+"/new", l.dir+"/"+name))
}

func (l *proxyLab) start(env ...string) {
	f, err := os.Create(filepath.Join(l.dir, "out"))
	assert.NilError(l.t, err)
	l.out = &outFile{f.Name()}
	l.cmd = exec.Command("/bin/sh", l.dir+"/run.sh")
	l.cmd.Env = append([]string{
		"PATH=" + filepath.Dir(agenttest.Tool(l.t, "haproxy")) + ":" + os.Getenv("PATH"), "NOMAD_SECRETS_DIR=" + l.dir, "FOLDER=" + l.dir + "/own",
		"NOMAD_ALLOC_INDEX=0", "GRACE=4", "HARD_STOP=3", "SPREAD=5",
	}, env...)
	// HAProxy comes back to where it began, and a tree below /root is closed to its user.
	l.cmd.Dir = "/"
	l.cmd.Stdout, l.cmd.Stderr = f, f
	l.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if os.Geteuid() == 0 {
		l.cmd.SysProcAttr.Credential = &syscall.Credential{Uid: jobUser, Gid: jobUser}
	}
	assert.NilError(l.t, l.cmd.Start())
	l.done = make(chan struct{})
	go func() {
		_ = l.cmd.Wait()
		close(l.done)
	}()
	l.t.Cleanup(func() {
		_ = syscall.Kill(-l.cmd.Process.Pid, syscall.SIGKILL)
		<-l.done
		_ = f.Close()
		if l.t.Failed() {
			l.t.Log(l.out.String())
		}
	})
	l.eventually(func() bool { return l.health() == http.StatusOK })
}

func (l *proxyLab) health() int {
	code, _ := l.page("/haproxy_health")
	return code
}

// page asks the admin port.
func (l *proxyLab) page(path string) (int, string) {
	c := http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Get("http://" + l.addr(8080) + path)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	text, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(text)
}

func (l *proxyLab) eventually(f func() bool) {
	l.t.Helper()
	for end := time.Now().Add(15 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if f() {
			return
		}
	}
	l.t.Fatalf("waited in vain; the script said:\n%s", l.out)
}

// dial connects a client; the broker says who it is.
func (l *proxyLab) dial() (net.Conn, int, error) {
	c, err := net.DialTimeout("tcp", l.addr(1883), 5*time.Second)
	if err != nil {
		return nil, -1, err
	}
	_ = c.SetDeadline(time.Now().Add(8 * time.Second))
	_, _ = io.WriteString(c, helloAt(1883))
	var line []byte
	for b := make([]byte, 1); !bytes.HasSuffix(line, []byte("\n")); line = append(line, b[0]) {
		if _, err := c.Read(b); err != nil {
			_ = c.Close()
			return nil, -1, err
		}
	}
	i, err := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(string(line), "broker ")))
	return c, i, err
}

// client is a connection to broker i.
func (l *proxyLab) client(i int) net.Conn {
	l.t.Helper()
	var conn net.Conn
	l.eventually(func() bool {
		c, who, err := l.dial()
		assert.NilError(l.t, err)
		l.t.Cleanup(func() { _ = c.Close() })
		conn = c
		return who == i
	})
	return conn
}

// lives says whether a connection still carries something there and back. What the
// broker heard first is the PROXY header.
func lives(c net.Conn) bool {
	_ = c.SetDeadline(time.Now().Add(2 * time.Second))
	if _, err := io.WriteString(c, "!"); err != nil {
		return false
	}
	for b := make([]byte, 1); ; {
		if _, err := c.Read(b); err != nil {
			return false
		}
		if b[0] == '!' {
			return true
		}
	}
}

// flow connects clients, one after another, until it is ended; it returns how many
// came through and what went wrong.
func (l *proxyLab) flow() func() (int, []string) {
	var count int
	var faults []string
	start := time.Now()
	stop := repeat(5*time.Millisecond, func() {
		c, _, err := l.dial()
		if err != nil {
			faults = append(faults, fmt.Sprintf("after %s: %v", time.Since(start).Round(10*time.Millisecond), err))
			return
		}
		count++
		_ = c.Close()
	})
	return func() (int, []string) {
		stop()
		return count, faults
	}
}

// repeat calls f again and again, with a pause before each, until it is stopped; no call runs after that.
func repeat(pause time.Duration, f func()) (stop func()) {
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-over:
				return
			case <-time.After(pause):
				f()
			}
		}
	}()
	return func() {
		close(over)
		<-ended
	}
}

// A broker that leaves Consul, or fails its check, gets no new clients within the time
// that a stopping one waits; those it has stay, and carry on when it is back.
func TestHAProxyKeepsConnectionsOfABrokerThatLeaves(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(l *proxyLab, gone bool){
		"out of Consul": func(l *proxyLab, gone bool) { l.set(l.named, 0, !gone) },
		"sick":          func(l *proxyLab, gone bool) { l.set(l.sick, 0, gone) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newProxyLab(t, 2)
			here, other := l.client(0), l.client(1)
			leave(l, true)
			start := time.Now()
			last := start
			for time.Since(last) < 3*time.Second {
				c, who, err := l.dial()
				assert.NilError(t, err)
				_ = c.Close()
				if who == 0 {
					last = time.Now()
				}
				assert.Assert(t, time.Since(start) < 20*time.Second, "it still gets clients")
				time.Sleep(2 * time.Millisecond)
			}
			t.Logf("the last new client came %s after it left", last.Sub(start).Round(10*time.Millisecond))
			assert.Assert(t, last.Sub(start) < cluster.Forgotten)
			assert.Assert(t, lives(here) && lives(other))
			leave(l, false)
			_ = l.client(0)
			assert.Assert(t, lives(here))
		})
	}
}

// EMQX's /status is well whatever listeners are off. A broker that does not speak MQTT
// gets no new clients, and keeps those it has. Where none does, the page that Consul asks
// says so, and the one that the balancer asks stays well: it would cut all other clients.
func TestHAProxyNoticesAListenerThatIsOff(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 2)
	ready := func(code, mqtt int) func() bool {
		return func() bool {
			got, said := l.page("/haproxy_ready")
			return got == code && said == fmt.Sprintf("brokers that accept mqtt: %d, mqtts: 2, ws: 2, wss: 2", mqtt)
		}
	}
	l.eventually(ready(http.StatusOK, 2))
	here := l.client(0)
	l.set(l.off, 0, true)
	l.eventually(ready(http.StatusOK, 1))
	for range 6 {
		c, who, err := l.dial()
		assert.NilError(t, err)
		assert.Equal(t, who, 1)
		_ = c.Close()
	}
	l.set(l.off, 1, true)
	l.eventually(ready(http.StatusServiceUnavailable, 0))
	assert.Equal(t, l.health(), http.StatusOK)
	assert.Assert(t, lives(here))
	l.set(l.off, 0, false)
	l.eventually(ready(http.StatusOK, 1))
	assert.Assert(t, lives(here))
	_ = l.client(0)
}

func TestHAProxyReloadsWithoutAnyoneNoticing(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 2)
	old := l.client(1)
	end := l.flow()
	time.Sleep(300 * time.Millisecond)
	l.write(strings.Replace(l.config(), "/stats\n", "/statistics\n", 1))
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	time.Sleep(3 * time.Second)
	count, faults := end()
	t.Logf("%d connections", count)
	assert.DeepEqual(t, faults, []string(nil))
	assert.Assert(t, lives(old))
	assert.Equal(t, l.health(), http.StatusOK)
}

func TestHAProxyRefusesABrokenFile(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 1)
	old := l.client(0)
	l.write(l.config() + "\n    stats auth 'never-seen\n")
	l.eventually(func() bool {
		return strings.Contains(l.out.String(), "the new configuration is refused")
	})
	assert.Assert(t, !strings.Contains(l.out.String(), "never-seen"))
	time.Sleep(1500 * time.Millisecond)
	assert.Equal(t, strings.Count(l.out.String(), "is refused"), 1)
	assert.Assert(t, lives(old))
	assert.Equal(t, l.health(), http.StatusOK)
	// The next one is taken.
	l.write(l.config())
	l.eventually(func() bool { return strings.Contains(l.out.String(), "the new configuration is in use") })
	assert.Assert(t, lives(old))
}

// The balancer turns away before anybody is refused; who is connected has some time,
// and it is over before Nomad's kill.
func TestHAProxyStopsWithoutRefusing(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 2)
	// Even while it is loading something else: such a signal is lost.
	l.write(l.config())
	l.eventually(func() bool { return strings.Contains(l.out.String(), "Reloading HAProxy") })
	old := l.client(0)
	// What the script says stands before what it does: who was refused before it said so was refused too early.
	refuses := func() bool { return strings.Contains(l.out.String(), "no more clients") }
	count := 0
	comes := func() bool {
		c, _, err := l.dial()
		if err != nil {
			assert.Assert(t, refuses(), "client %d is refused while others may come: %v", count, err)
			return false
		}
		count++
		_ = c.Close()
		return true
	}
	assert.Assert(t, comes())
	start := time.Now()
	assert.NilError(t, l.cmd.Process.Signal(syscall.SIGTERM))
	// Clients come all the time, before the page fails and after it.
	for l.health() == http.StatusOK {
		assert.Assert(t, comes(), "it refuses before the balancer has been told")
	}
	assert.Equal(t, l.health(), http.StatusServiceUnavailable)
	assert.Assert(t, !refuses(), "the balancer has no time to turn away")
	told := count
	for comes() {
		time.Sleep(5 * time.Millisecond)
	}
	t.Logf("%d clients before the page failed, %d after it", told, count-told)
	assert.Assert(t, count > told && time.Since(start) >= 4*time.Second, "%s after the stop", time.Since(start))
	assert.Assert(t, lives(old))
	<-l.done
	assert.Assert(t, time.Since(start) < 14*time.Second)
	assert.Equal(t, l.cmd.ProcessState.ExitCode(), 0)
	said := l.out.String()
	assert.Assert(t, strings.Index(said, "the health page fails") < strings.Index(said, "no more clients"), said)
}

// Nomad starts a HAProxy that ended again: it has to see it at once.
func TestHAProxyScriptEndsWithHAProxy(t *testing.T) {
	t.Parallel()
	l := newProxyLab(t, 1)
	masters, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%[1]d/children", l.cmd.Process.Pid))
	assert.NilError(t, err)
	for _, field := range strings.Fields(string(masters)) {
		pid, err := strconv.Atoi(field)
		assert.NilError(t, err)
		if name, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid)); string(name) == "haproxy\n" {
			assert.NilError(t, syscall.Kill(pid, syscall.SIGKILL))
		}
	}
	select {
	case <-l.done:
	case <-time.After(500 * time.Millisecond):
		t.Fatal("it goes on")
	}
	assert.Assert(t, l.cmd.ProcessState.ExitCode() != 0)
}
