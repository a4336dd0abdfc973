package broker

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"github.com/miekg/dns"
	"gotest.tools/v3/assert"
)

// Every test has a /24 of loopback addresses of its own, so that nodes can use
// EMQX's fixed ports and tests can run at the same time.
var lastNet atomic.Int32

func loopbackNet() string {
	n := lastNet.Add(1)
	return fmt.Sprintf("127.%d.%d.", 100+os.Getpid()%150, n)
}

// names is a DNS server whose answers a test changes as it goes.
type names struct {
	mu   sync.Mutex
	a    map[string]string
	srv  map[string][]string
	off  bool
	addr string
	// most SRV records of an answer by UDP to one who asks without EDNS; 0: all. Whether
	// it says so is says: Consul's udp_answer_limit and enable_truncate.
	most int
	says bool
}

func newNames(t *testing.T, addr string) *names {
	d := &names{a: map[string]string{}, srv: map[string][]string{}, addr: addr}
	for _, network := range []string{"udp", "tcp"} {
		s := &dns.Server{Addr: d.addr, Net: network, Handler: d}
		up := make(chan error, 1)
		s.NotifyStartedFunc = func() { up <- nil }
		go func() { up <- s.ListenAndServe() }()
		assert.NilError(t, <-up)
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return d
}

func (d *names) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return
	}
	m := new(dns.Msg)
	m.SetReply(q)
	name := q.Question[0].Name
	hdr := func(typ uint16) dns.RR_Header { return dns.RR_Header{Name: name, Rrtype: typ, Class: dns.ClassINET} }
	switch ip, ok := d.a[name]; {
	case q.Question[0].Qtype == dns.TypeA && ok:
		m.Answer = append(m.Answer, &dns.A{Hdr: hdr(dns.TypeA), A: net.ParseIP(ip)})
	case q.Question[0].Qtype == dns.TypeSRV:
		for _, target := range d.srv[name] {
			m.Answer = append(m.Answer, &dns.SRV{Hdr: hdr(dns.TypeSRV), Port: 4370, Target: target})
		}
		if w.RemoteAddr().Network() == "udp" && q.IsEdns0() == nil && d.most > 0 && len(m.Answer) > d.most {
			m.Answer, m.Truncated = m.Answer[:d.most], d.says
		}
	case !ok:
		m.Rcode = dns.RcodeNameError
	}
	_ = w.WriteMsg(m)
}

func (d *names) set(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
}

func (d *names) resolver() *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		var dialer net.Dialer
		return dialer.DialContext(ctx, network, d.addr)
	}}
}

// lab is a handful of nodes n0.test, n1.test ... that find each other by SRV.
type lab struct {
	t      *testing.T
	subnet string
	dns    *names
	dirs   []string
	extra  []string

	// domain is what the nodes' hosts end in, discovery the name of their list, and
	// resolver who knows both: test, and dns, unless changed.
	domain, discovery string
	resolver          *net.Resolver
}

func newLab(t *testing.T, nodes int, extra ...string) *lab {
	t.Helper()
	l := &lab{t: t, subnet: loopbackNet(), extra: extra, domain: "test", discovery: "lab.emqx-cluster.test"}
	l.dns = newNames(t, l.subnet+"253:5353")
	l.resolver = l.dns.resolver()
	for i := range nodes {
		l.dirs = append(l.dirs, t.TempDir())
		l.dns.a[fmt.Sprintf("n%d.test.", i)] = l.ip(i)
	}
	l.members(nodes)
	return l
}

func (l *lab) ip(i int) string            { return fmt.Sprintf("%s%d", l.subnet, 10+i) }
func (l *lab) name(i int) string          { return fmt.Sprintf("emqx@n%d.%s", i, l.domain) }
func (l *lab) url(i int, p string) string { return "http://" + l.ip(i) + ":18083" + p }

// members sets the SRV answer to the first n nodes.
func (l *lab) members(n int) {
	l.dns.set(func() {
		var targets []string
		for i := range n {
			targets = append(targets, fmt.Sprintf("n%d.test.", i))
		}
		l.dns.srv["lab.emqx-cluster.test."] = targets
	})
}

func (l *lab) env(i int, more ...string) []string {
	ip := l.ip(i)
	return append(append([]string{
		"EMQX_NODE__NAME=" + l.name(i), "EMQX_NODE__COOKIE=secret", "EMQX_NODE__DATA_DIR=" + l.dirs[i],
		"EMQX_CLUSTER__DISCOVERY_STRATEGY=dns", "EMQX_CLUSTER__DNS__RECORD_TYPE=srv", "EMQX_CLUSTER__DNS__NAME=" + l.discovery,
		"EMQX_RPC__PORT_DISCOVERY=manual", "EMQX_RPC__SERVER_PORT=5370", "EMQX_RPC__LISTEN_ADDRESS=" + ip,
		"ERL_FLAGS=-kernel inet_dist_use_interface {" + strings.ReplaceAll(ip, ".", ",") + "}",
		"EMQX_LISTENERS__TCP__DEFAULT__BIND=" + ip + ":1883", "EMQX_LISTENERS__SSL__DEFAULT__ENABLE=false",
		"EMQX_LISTENERS__WS__DEFAULT__ENABLE=false", "EMQX_LISTENERS__WSS__DEFAULT__ENABLE=false",
		"EMQX_DASHBOARD__LISTENERS__HTTP__BIND=" + ip + ":18083", "EMQX_RETAINER__BACKEND__STORAGE_TYPE=disc",
		"EMQX_AUTHORIZATION__SOURCES=[]", "EMQX_LOG__CONSOLE__LEVEL=info",
	}, l.extra...), more...)
}

func (l *lab) options(i int, more ...string) Options {
	return Options{
		Env: l.env(i, more...), Resolver: l.resolver, Retry: 150 * time.Millisecond, Jitter: 20 * time.Millisecond, Tick: 50 * time.Millisecond,
		Unresolved: 400 * time.Millisecond,
	}
}

// proc is a node that runs.
type proc struct {
	out  *buffer
	end  context.CancelFunc
	done chan error
}

func (l *lab) start(i int, more ...string) *proc {
	l.t.Helper()
	return l.run(i, l.options(i, more...))
}

func (l *lab) run(i int, o Options) *proc {
	l.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &proc{out: &buffer{}, end: cancel, done: make(chan error, 1)}
	o.Stdout = p.out
	go func() { p.done <- Run(ctx, o) }()
	l.t.Cleanup(func() {
		_ = p.stop(l.t)
		if l.t.Failed() {
			l.t.Logf("node %d:\n%s", i, p.out)
		}
	})
	return p
}

func (p *proc) stop(t *testing.T) error {
	t.Helper()
	p.end()
	select {
	case err := <-p.done:
		p.done <- err
		return err
	case <-time.After(10 * time.Second):
		t.Fatal("the node does not stop")
		return nil
	}
}

type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func (l *lab) ctl(i int, args ...string) (string, int) {
	l.t.Helper()
	out, errs := &buffer{}, &buffer{}
	o := l.options(i)
	o.Stdout = out
	code := Ctl(o, args, errs)
	return strings.TrimSpace(out.String() + errs.String()), code
}

// eventually polls until f says "".
func eventually(t *testing.T, f func() string) {
	t.Helper()
	last := ""
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(15 * time.Millisecond) {
		if last = f(); last == "" {
			return
		}
	}
	t.Fatal("waited in vain: " + last)
}

// wantCluster waits until node i sees exactly these running and stopped ones.
func (l *lab) wantCluster(i int, running, stopped []int) {
	l.t.Helper()
	list := func(ids []int) string {
		var q []string
		for _, id := range ids {
			q = append(q, `"`+l.name(id)+`"`)
		}
		return "[" + strings.Join(q, ",") + "]"
	}
	want := `{"stopped_nodes":` + list(stopped) + `,"running_nodes":` + list(running) + `}`
	eventually(l.t, func() string {
		got, _ := l.ctl(i, "cluster", "status", "--json")
		if got == want {
			return ""
		}
		return fmt.Sprintf("node %d: want %s, got %s", i, want, got)
	})
}

// wantWhole waits until all nodes serve and count each other in.
func (l *lab) wantWhole() {
	l.t.Helper()
	var all []int
	for i := range l.dirs {
		all = append(all, i)
	}
	for i := range l.dirs {
		l.wantCluster(i, all, nil)
		l.wantUp(i)
	}
}

// wantRoute waits until node i sends messages for a filter to these nodes, and no others.
func (l *lab) wantRoute(i int, filter string, to ...int) {
	l.t.Helper()
	want := map[string]bool{}
	for _, node := range to {
		want[filter+" -> "+l.name(node)] = true
	}
	eventually(l.t, func() string {
		out, _ := l.ctl(i, "topics", "show", filter)
		got := strings.FieldsFunc(out, func(r rune) bool { return r == '\n' })
		if len(got) == len(want) && !slices.ContainsFunc(got, func(line string) bool { return !want[line] }) {
			return ""
		}
		return fmt.Sprintf("node %d: want %v, got %q", i, want, out)
	})
}

func (l *lab) wantUp(i int) {
	l.t.Helper()
	eventually(l.t, func() string {
		code, body := httpGet(l.url(i, "/status"))
		if code == 200 {
			return ""
		}
		return fmt.Sprint("status: ", code, " ", body)
	})
}

func httpGet(url string, auth ...string) (int, string) { return httpDo("GET", url, "", auth...) }

func httpDo(method, url, body string, auth ...string) (int, string) {
	req, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return 0, err.Error()
	}
	if len(auth) == 2 {
		req.SetBasicAuth(auth[0], auth[1])
	} else if len(auth) == 1 {
		req.Header.Set("Authorization", "Bearer "+auth[0])
	}
	c := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	r, err := c.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = r.Body.Close() }()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	var conn net.Conn
	eventually(t, func() string {
		var err error
		if conn, err = net.DialTimeout("tcp", addr, time.Second); err != nil {
			return err.Error()
		}
		return ""
	})
	return conn
}

func (l *lab) mqtt(i int, o connectOpts) *client {
	l.t.Helper()
	c, _ := connect(l.t, dial(l.t, l.ip(i)+":1883"), o)
	return c
}

func dialWS(t *testing.T, conn net.Conn, url string, header http.Header) net.Conn {
	t.Helper()
	d := websocket.Dialer{
		Subprotocols: []string{"mqtt"}, NetDial: func(string, string) (net.Conn, error) { return conn, nil },
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
	}
	ws, _, err := d.Dial(url, header)
	assert.NilError(t, err)
	return &wsConn{Conn: ws.UnderlyingConn(), ws: ws, peer: ws.RemoteAddr()}
}
