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
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pires/go-proxyproto"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/settings"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

const tlsBrokerPort = 20884

// serveTLSBroker is a broker's listener that ends TLS behind a PROXY header.
func (l *proxyLab) serveTLSBroker(i int, pair tls.Certificate) {
	ln, err := net.Listen("tcp", fmt.Sprintf("%s:%d", l.ip(i), tlsBrokerPort))
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
					answerCheck(c, r)
					return
				}
				inside := tls.Server(&readConn{c, r}, &tls.Config{Certificates: []tls.Certificate{pair}})
				_, _ = fmt.Fprintf(inside, "broker %d\n", i)
				read := bufio.NewReader(inside)
				skipHello(read)
				_, _ = io.Copy(inside, read)
			}()
		}
	}()
}

// A move of TLS between HAProxy and brokers that have a listener of one kind alone, as a stack has them without plain
// listeners: the secrets first, then one broker after the other, then the job. Nobody is refused, nor cut.
func TestTLSMovesBetweenProxyAndBrokers(t *testing.T) {
	t.Parallel()
	a := newAuthority(t, "servers")
	cert, key := a.issue(t, serverName, "ecdsa")
	pair, err := tls.X509KeyPair([]byte(cert), []byte(key))
	assert.NilError(t, err)
	l := prepareProxyLab(t, 2, nil)
	for i := range 2 {
		l.serveTLSBroker(i, pair)
	}
	plain, own := map[int]int{0: brokerPort, 1: brokerPort}, map[int]int{0: tlsBrokerPort, 1: tlsBrokerPort}
	consul := func(plain, own map[int]int) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.services = map[string]map[int]int{"_emqx": plain, "_emqx-ws": plain, "_emqx-tls": own, "_emqx-wss": own}
	}
	consul(nil, own)
	l.job.Listeners = []Listener{{Name: "mqtts"}, {Name: "wss"}}
	nomad := func(terminate string) {
		l.secrets = map[string]item{ItemTerminate: {terminate}}
		l.renderItems(map[string]item{ItemTerminate: {terminate}, ItemCertificate: {cert}, ItemPrivateKey: {key}}, "tls.pem")
		l.write(l.config())
	}
	// endsAt tells who ends TLS, by the protocol that HAProxy alone agrees on.
	endsAt := func(port int) string {
		conn, err := l.tlsClient(port, &tls.Config{RootCAs: a.pool(), NextProtos: []string{"mqtt", "http/1.1"}})
		assert.NilError(t, err)
		defer func() { _ = conn.Close() }()
		if conn.ConnectionState().NegotiatedProtocol == "" {
			return settings.TerminateBroker
		}
		return settings.TerminateProxy
	}
	// Whom Consul names no more HAProxy may know for half a minute: a broker that has gone fails its checks.
	served := regexp.MustCompile(`^brokers that accept mqtts: [2-4], wss: [2-4]$`)
	ready := func() {
		t.Helper()
		l.eventually(func() bool {
			code, page := l.page("/haproxy_ready")
			return code == http.StatusOK && served.MatchString(page)
		})
	}
	nomad(settings.TerminateBroker)
	l.start()
	ready()
	stays, err := l.tlsClient(8883, &tls.Config{RootCAs: a.pool()})
	assert.NilError(t, err)

	var mu sync.Mutex
	var faults []string
	asked := 0
	stop := repeat(100*time.Millisecond, func() {
		port := []int{8883, 8084}[asked%2]
		conn, err := l.tlsClient(port, &tls.Config{RootCAs: a.pool()})
		mu.Lock()
		defer mu.Unlock()
		if asked++; err != nil {
			faults = append(faults, fmt.Sprintf("%d: %v", port, err))
			return
		}
		_ = conn.Close()
	})
	for _, to := range []string{settings.TerminateProxy, settings.TerminateBroker} {
		nomad(to)
		l.eventually(func() bool { return endsAt(8883) == settings.TerminateProxy && endsAt(8084) == settings.TerminateProxy })
		ready()
		from, there := plain, own
		if to == settings.TerminateProxy {
			from, there = own, plain
		}
		one, other := map[int]int{1: from[1]}, map[int]int{0: there[0]}
		if to == settings.TerminateProxy {
			consul(other, one)
		} else {
			consul(one, other)
		}
		time.Sleep(5 * time.Second) // whom Consul does not name any more HAProxy forgets in this time
		ready()
		if to == settings.TerminateProxy {
			consul(plain, nil)
		} else {
			consul(nil, own)
		}
		time.Sleep(5 * time.Second)
		ready()
		l.job.TLSAtProxy = to == settings.TerminateProxy
		nomad(to)
		l.eventually(func() bool { return endsAt(8883) == to && endsAt(8084) == to })
		ready()
	}
	stop()
	mu.Lock()
	defer mu.Unlock()
	assert.DeepEqual(t, faults, []string(nil))
	assert.Assert(t, asked > 50, "%d were asked", asked)
	assert.Assert(t, lives(stays))
	assert.Assert(t, cmp.Contains(l.config(), "default_backend mqtts\n"))
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
		"proxy":   own,
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
	stack := func(tls settings.TLS) settings.Settings {
		s := settings.Settings{Environment: "lab", TLS: tls}
		s.Nodes.Count = 3
		for _, l := range []*settings.Listener{&s.Listeners.MQTT, &s.Listeners.MQTTS, &s.Listeners.WS, &s.Listeners.WSS} {
			l.Open = settings.OpenAll
		}
		return s
	}
	for before, old := range stacks {
		for after, new := range stacks {
			t.Run(before+" to "+after, func(t *testing.T) {
				v := testVars()
				of := vars(stack(old))
				v.TLS, v.TLSAtProxy, v.TLSProfile, v.TLSClients, v.Listeners = of.TLS, of.TLSAtProxy, of.TLSProfile, of.TLSClients, of.Listeners
				v.TLSRevocations, v.TLSDevices, v.TLSTickets = of.TLSRevocations, of.TLSDevices, of.TLSTickets
				items, dir := secretItems(t, stack(new)), t.TempDir()
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
			})
		}
	}
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
