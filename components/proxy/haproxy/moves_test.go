package haproxy

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

const tlsBrokerPort = 20884

// tlsMove is a stack of two nodes without plain listeners: a broker has a listener of one kind alone.
type tlsMove struct {
	*proxyLab
	authority *authority
	pair      tls.Certificate
	variable  map[string]item
	listeners [2]net.Listener
}

func newTLSMove(t *testing.T) *tlsMove {
	t.Helper()
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, serverName, "ecdsa")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	assert.NilError(t, err)
	l := prepareProxyLab(t, 0, nil)
	m := &tlsMove{proxyLab: l, authority: a, pair: pair, variable: map[string]item{ItemCertificate: {cert}, ItemPrivateKey: {key}}}
	port := strconv.Itoa(tlsBrokerPort)
	l.vars = map[string]string{"BROKER_mqtts": port, "BROKER_wss": port}
	l.secrets = map[string]item{itemBroker("mqtts"): {port}, itemBroker("wss"): {port}}
	l.job.Listeners, l.ports = []Listener{{Name: "mqtts"}, {Name: "wss"}}, map[int]int{}
	for i := range m.listeners {
		l.serveStatus(i)
	}
	return m
}

// says has the variable say where TLS ends.
func (m *tlsMove) says(terminate string) {
	m.variable[ItemTerminate], m.secrets[ItemTerminate] = item{terminate}, item{terminate}
	m.renderItems(m.variable, "tls.pem")
	m.write(m.config())
}

// begins has a broker listen as EMQX's job has it, and Consul name it.
func (m *tlsMove) begins(i int, terminate string) {
	port, serve := brokerPort, m.serveClients
	if terminate == settings.TerminateBroker {
		port, serve = tlsBrokerPort, m.serveTLSClients
	}
	m.listeners[i] = serve(i)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ports[i], m.named[i] = port, true
}

// serveTLSClients is a broker's listener that ends TLS behind a PROXY header.
func (m *tlsMove) serveTLSClients(i int) net.Listener {
	ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", m.ip(i), tlsBrokerPort))
	assert.NilError(m.t, err)
	m.t.Cleanup(func() { _ = ln.Close() })
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
					answerCheck(c, r)
					return
				}
				inside := tls.Server(&readConn{c, r}, &tls.Config{Certificates: []tls.Certificate{m.pair}})
				_, _ = fmt.Fprintf(inside, "broker %d\n", i)
				read := bufio.NewReader(inside)
				skipHello(read)
				_, _ = io.Copy(inside, read)
			}()
		}
	}()
	return ln
}

// dials connects a client, and tells to which broker.
func (m *tlsMove) dials(port int) (conn *tls.Conn, broker string, err error) {
	broker, conn, err = m.tlsClientOf(port, helloAt(port), &tls.Config{RootCAs: m.authority.pool()})
	return conn, broker, err
}

// endsAt tells who ends TLS, by the protocol that HAProxy alone agrees on.
func (m *tlsMove) endsAt(port int) string {
	conn, err := m.tlsClient(port, &tls.Config{RootCAs: m.authority.pool(), NextProtos: []string{"mqtt", "http/1.1"}})
	assert.NilError(m.t, err)
	defer func() { _ = conn.Close() }()
	if conn.ConnectionState().NegotiatedProtocol == "" {
		return settings.TerminateBroker
	}
	return settings.TerminateProxy
}

func (m *tlsMove) awaitsEnd(terminate string) {
	m.t.Helper()
	m.eventually(func() bool { return m.endsAt(8883) == terminate && m.endsAt(8084) == terminate })
}

// awaits is until so many brokers accept.
func (m *tlsMove) awaits(brokers int) {
	m.t.Helper()
	m.eventually(func() bool {
		code, page := m.page("/haproxy_ready")
		return code == http.StatusOK && page == fmt.Sprintf("brokers that accept mqtts: %d, wss: %[1]d", brokers)
	})
}

// rolls has one broker after the other stop, and begin with the other kind of listener.
func (m *tlsMove) rolls(terminate string) {
	m.t.Helper()
	for i := range m.listeners {
		m.set(m.named, i, false)
		time.Sleep(cluster.Forgotten)
		for _, port := range []int{8883, 8084, 8883, 8084, 8883, 8084} {
			conn, broker, err := m.dials(port)
			assert.NilError(m.t, err)
			assert.Equal(m.t, broker, fmt.Sprintf("broker %d", 1-i), "the one that stops gets new clients")
			_ = conn.Close()
		}
		assert.NilError(m.t, m.listeners[i].Close())
		time.Sleep(time.Second)
		m.begins(i, terminate)
		m.awaits(2)
	}
}

// A move of TLS between HAProxy and brokers that have a listener of one kind alone, as a stack has them without plain
// listeners: the secrets first, then one broker after the other, then the job. Nobody is refused, nor cut.
func TestTLSMovesBetweenProxyAndBrokers(t *testing.T) {
	t.Parallel()
	m := newTLSMove(t)
	for i := range m.listeners {
		m.begins(i, settings.TerminateBroker)
	}
	m.says(settings.TerminateBroker)
	m.start()
	m.awaits(2)
	stays, _, err := m.dials(8883)
	assert.NilError(t, err)

	var mu sync.Mutex
	var faults []string
	asked, began := 0, time.Now()
	stop := repeat(50*time.Millisecond, func() {
		port := []int{8883, 8084}[asked%2]
		conn, _, err := m.dials(port)
		mu.Lock()
		defer mu.Unlock()
		if asked++; err != nil {
			faults = append(faults, fmt.Sprintf("%d, after %s: %v", port, time.Since(began), err))
			return
		}
		_ = conn.Close()
	})
	for _, to := range []string{settings.TerminateProxy, settings.TerminateBroker} {
		m.says(to)
		m.awaitsEnd(settings.TerminateProxy)
		m.awaits(2)
		m.rolls(to)
		m.job.TLSAtProxy = to == settings.TerminateProxy
		m.says(to)
		m.awaitsEnd(to)
		m.awaits(2)
		t.Logf("it is at the %s after %s", to, time.Since(began))
	}
	stop()
	mu.Lock()
	defer mu.Unlock()
	assert.DeepEqual(t, faults, []string(nil))
	assert.Assert(t, asked > 200, "%d were asked", asked)
	assert.Assert(t, lives(stays))
	assert.Assert(t, cmp.Contains(m.config(), "default_backend mqtts\n"))
}

// While TLS moves Consul may name nobody: who answers gets the clients, whichever kind of listener that is.
func TestHAProxyServesWhileTLSMovesAndConsulNamesNobody(t *testing.T) {
	t.Parallel()
	m := newTLSMove(t)
	m.begins(0, settings.TerminateBroker)
	m.begins(1, settings.TerminateProxy)
	m.says(settings.TerminateProxy)
	m.start()
	m.awaits(2)
	m.set(m.named, 0, false)
	m.set(m.named, 1, false)
	time.Sleep(cluster.Forgotten)
	for range 6 {
		_, broker, err := m.dials(8883)
		assert.NilError(t, err)
		assert.Equal(t, broker, "broker 0", "by default where the job says that brokers are")
	}
	assert.NilError(t, m.listeners[0].Close())
	m.eventually(func() bool {
		_, broker, err := m.dials(8883)
		return err == nil && broker == "broker 1"
	})
}

// Where the edge has ended TLS until now, and brokers take it over one by one, what it sends in clear comes to both kinds.
func TestHAProxyEncryptsForBrokersWhatTheEdgeHasEnded(t *testing.T) {
	t.Parallel()
	m := newTLSMove(t)
	m.job.TLSAtEdge = true
	m.begins(0, settings.TerminateEdge)
	m.begins(1, settings.TerminateBroker)
	m.says(settings.TerminateBroker)
	m.start()
	m.awaits(2)
	for range 8 {
		for _, port := range []int{8883, 8084} {
			served, _ := m.say(port, "127.0.0.1", helloAt(port))
			assert.Assert(t, served, "port %d", port)
		}
	}
	assert.NilError(t, m.listeners[0].Close())
	m.awaits(1)
	for _, port := range []int{8883, 8084} {
		served, _ := m.say(port, "127.0.0.1", helloAt(port))
		assert.Assert(t, served, "port %d", port)
	}
}

// tlsStacks are stacks that differ in what HAProxy has of TLS.
func tlsStacks(t *testing.T) map[string]settings.TLS {
	t.Helper()
	a, clients, devices := newAuthority(t, "servers"), newAuthority(t, "clients"), newAuthority(t, "devices")
	cert, key := a.issue(t, serverName, "ecdsa")
	other, otherKey := a.issue(t, "other.example.com", "ecdsa")
	own := settings.TLS{
		Terminate: settings.TerminateProxy, Profile: "intermediate", Clients: settings.ClientsNone, Certificate: settings.Secret(cert), PrivateKey: settings.Secret(key),
	}
	with := func(change func(*settings.TLS)) settings.TLS {
		t := own
		change(&t)
		return t
	}
	return map[string]settings.TLS{
		"none":    {Terminate: settings.TerminateProxy, Profile: "intermediate", Clients: settings.ClientsNone},
		"broker":  with(func(t *settings.TLS) { t.Terminate = settings.TerminateBroker }),
		"edge":    with(func(t *settings.TLS) { t.Terminate = settings.TerminateEdge }),
		"proxy":   own,
		"outside": with(func(t *settings.TLS) { t.Source, t.Certificate, t.PrivateKey = settings.SourceVariable, "", "" }),
		"modern":  with(func(t *settings.TLS) { t.Profile = "modern" }),
		"tickets": with(func(t *settings.TLS) { t.TicketKeys = settings.RotateTicketKeys("") }),
		"further": with(func(t *settings.TLS) {
			t.Certificates = []settings.ServerCertificate{{Certificate: settings.Secret(other), PrivateKey: settings.Secret(otherKey)}}
		}),
		"optional": with(func(t *settings.TLS) {
			t.Clients, t.ClientCA = settings.ClientsOptional, settings.Secret(clients.pem())
		}),
		"required": with(func(x *settings.TLS) {
			x.Clients, x.ClientCA, x.DeviceCA = settings.ClientsRequired, settings.Secret(clients.pem()), settings.Secret(devices.pem())
			x.ClientCRL = settings.Secret(clients.revoke(t) + devices.revoke(t))
		}),
	}
}

// The secrets change minutes before the job does, and HAProxy may end and start between: from each stack to each other one
// it takes what it finds then, and asks for certificates of clients as long as both do.
func TestHAProxyStartsAtAnyMomentOfAnUpdate(t *testing.T) {
	t.Parallel()
	stacks := tlsStacks(t)
	for before, old := range stacks {
		for after, new := range stacks {
			t.Run(before+" to "+after, func(t *testing.T) { startsBetween(t, old, new, settings.OpenAll) })
		}
	}
	for _, before := range []string{"none", "broker", "proxy", "required", "edge"} {
		for _, after := range []string{"broker", "proxy", "required", "edge"} {
			t.Run(before+" to "+after+" without plain listeners", func(t *testing.T) { startsBetween(t, stacks[before], stacks[after], settings.OpenNone) })
		}
	}
}

// startsBetween has HAProxy read what it finds where the variable is that of the new stack already, and the job that of the old one.
func startsBetween(t *testing.T, old, new settings.TLS, plain string) {
	t.Helper()
	stack := func(tls settings.TLS) settings.Settings {
		s := settings.Settings{Environment: "lab", TLS: tls, Ports: settings.Ports{Broker: settings.BrokerPorts(cluster.DefaultPorts.Broker)}}
		s.Nodes.Count = 3
		s.Listeners.MQTT.Open, s.Listeners.WS.Open, s.Listeners.MQTTS.Open, s.Listeners.WSS.Open = plain, plain, settings.OpenAll, settings.OpenAll
		return s
	}
	v := testVars()
	of := vars(stack(old), cluster.Arrival{})
	v.TLS, v.TLSAtProxy, v.TLSAtEdge, v.TLSProfile, v.TLSClients, v.Listeners = of.TLS, of.TLSAtProxy, of.TLSAtEdge, of.TLSProfile, of.TLSClients, of.Listeners
	v.TLSOutside = of.TLSOutside
	v.TLSRevocations, v.TLSDevices, v.TLSTickets = of.TLSRevocations, of.TLSDevices, of.TLSTickets
	items, dir := secretItems(t, stack(new)), t.TempDir()
	if old.Outside() || new.Outside() { // an update wants it to be there
		certificate, key := newAuthority(t, "outside").issue(t, serverName, "ecdsa")
		items[cluster.ItemCertificate], items[cluster.ItemPrivateKey] = item{certificate}, item{key}
	}
	assert.NilError(t, os.Mkdir(filepath.Join(dir, "further"), 0o700))
	for _, x := range testJob(t, v).TaskGroups[0].Tasks[0].Templates {
		switch name := filepath.Base(*x.DestPath); name {
		case "run.sh", "haproxy.cfg":
		case "revoked.map":
			assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte("\n"), 0o600))
		case "further.pem":
			text := strings.TrimSpace(renderTemplate(t, *x.EmbeddedTmpl, nil, items))
			if text != "" {
				assert.NilError(t, os.WriteFile(filepath.Join(dir, "further", "1001.pem"), []byte(text), 0o600))
			}
		default:
			assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(renderTemplate(t, *x.EmbeddedTmpl, nil, items)), 0o600))
		}
	}
	config := renderHAProxy(t, envOf(t, v), items)
	assert.NilError(t, os.WriteFile(filepath.Join(dir, "haproxy.cfg"), []byte(config), 0o600))
	cmd := exec.Command(agenttest.Tool(t, "haproxy"), "-c", "-f", filepath.Join(dir, "haproxy.cfg"))
	cmd.Env = append(os.Environ(), "CERTIFICATES="+dir)
	out, err := cmd.CombinedOutput()
	assert.NilError(t, err, "%s\n%s", out, config)
	assert.Assert(t, !strings.Contains(string(out), "WARNING"), string(out))
	both := old.VerifiesClients() && new.VerifiesClients()
	assert.Equal(t, strings.Contains(config, `ca-file "${CERTIFICATES}/ca.pem" verify `+old.Clients), both)
	assert.Equal(t, strings.Contains(config, "crl-file"), both && old.ClientCRL != "" && new.ClientCRL != "")
}

// Keys of tickets that are taken out of the stack, and HAProxy restarts before its job has changed.
func TestHAProxyStartsWithoutTheKeysOfItsJob(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	l := newTLSLab(t, 1, a, "ecdsa", func(v *Vars) { v.TLSTickets = true })
	l.secrets = map[string]item{ItemTicketKeys: {}}
	l.write(l.config())
	l.renderItems(nil, "tickets")
	l.start()
	_, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool()})
	assert.NilError(t, err)
}

// A variable that says nothing of clients' certificates, as one from before this was in it, opens nothing: HAProxy refuses
// the files, and goes on with those that it has.
func TestHAProxyOpensNothingForWantOfAnItem(t *testing.T) {
	v := testVars()
	v.TLSAtProxy, v.TLSClients = true, settings.ClientsRequired
	items := held(v)
	delete(items, ItemClients)
	assert.Assert(t, cmp.Contains(renderHAProxy(t, envOf(t, v), items), `ca-file "${CERTIFICATES}/ca.pem" verify required`))
}
