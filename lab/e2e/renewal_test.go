//go:build lab

package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	nomad "github.com/hashicorp/nomad/api"
	"github.com/miekg/dns"
	"golang.org/x/net/proxy"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
	"github.com/emqx-oci/emqx-oci/lab"
)

// variable of the certificate, where TLS ends at the proxies.
var proxysVariable = cluster.CertificateVariable(proxyJob, "haproxy")

// putCertificate is what somebody does who renews it outside the stack.
func putCertificate(t *testing.T, path, certificate, key string) {
	t.Helper()
	_, _, err := nomadClient(t).Variables().Update(&nomad.Variable{
		Path: path, Items: map[string]string{cluster.ItemCertificate: certificate, cluster.ItemPrivateKey: key},
	}, nil)
	assert.NilError(t, err)
}

// pair is a certificate of the signer's for the cluster's name, with its key, as PEM.
func (s *signer) pair(t *testing.T) (certificate, key string) {
	t.Helper()
	x := s.issue(t, name)
	der, err := x509.MarshalPKCS8PrivateKey(x.PrivateKey)
	assert.NilError(t, err)
	return inPEM("CERTIFICATE", x.Certificate[0]), inPEM("PRIVATE KEY", der)
}

// shownEverywhere waits until each node shows new clients a certificate of that issuer, on both encrypted protocols.
func (b *bed) shownEverywhere(t *testing.T, issuer string) {
	t.Helper()
	s, _ := b.look(t)
	for i, n := range s.Nodes {
		eventually(t, time.Minute, "a certificate of "+issuer+" at "+n.Name, func() error {
			if text := b.serves(t, i, n.Address, ""); !strings.Contains(text, issuer) {
				return fmt.Errorf("%s", text)
			}
			return nil
		})
	}
	for _, port := range []int{8883, 8084} {
		shown, err := b.handshake(t, port, &tls.Config{ServerName: name, InsecureSkipVerify: true})
		assert.NilError(t, err)
		assert.Assert(t, strings.Contains(shown.Issuer.CommonName, issuer), shown.Issuer.CommonName)
	}
}

// labsDNS lets a program of this machine ask the lab's name server, which only the lab's internet reaches.
func (b *bed) labsDNS(t *testing.T) string {
	t.Helper()
	socks, err := proxy.SOCKS5("tcp", b.door+":1080", nil, proxy.Direct)
	assert.NilError(t, err)
	ask := dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		answer := new(dns.Msg).SetRcode(q, dns.RcodeServerFailure)
		if raw, err := socks.Dial("tcp", "203.0.113.1:53"); err == nil {
			defer func() { _ = raw.Close() }()
			_ = raw.SetDeadline(time.Now().Add(5 * time.Second))
			c := &dns.Conn{Conn: raw}
			if c.WriteMsg(q) == nil {
				if got, err := c.ReadMsg(); err == nil {
					answer = got
				}
			}
		}
		_ = w.WriteMsg(answer)
	})
	udp, tcp := bothPorts(t)
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: ask}, {Listener: tcp, Handler: ask}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return udp.LocalAddr().String()
}

// bothPorts are one number that is free for both.
func bothPorts(t *testing.T) (net.PacketConn, net.Listener) {
	t.Helper()
	for range 50 {
		udp, err := net.ListenPacket("udp", "127.0.0.1:0")
		assert.NilError(t, err)
		tcp, err := net.Listen("tcp", udp.LocalAddr().String())
		if err == nil {
			return udp, tcp
		}
		assert.NilError(t, udp.Close())
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

// pebble is a real authority that speaks ACME, with the lab's DNS. It gives its directory, what to trust it by, and the root
// of what it issues.
func (b *bed) pebble(t *testing.T, dnsServer string) (directory, authority, root string) {
	t.Helper()
	dir := t.TempDir()
	own := newSigner(t, "pebble's own address")
	x := own.issue(t, "localhost")
	der, err := x509.MarshalPKCS8PrivateKey(x.PrivateKey)
	assert.NilError(t, err)
	address, management := freePort(t), freePort(t)
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": address, "managementListenAddress": management,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"), "httpPort": 5002, "tlsPort": 5001,
		"keyAlgorithm": "ecdsa", "retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	assert.NilError(t, err)
	for file, text := range map[string]string{
		"cert.pem": inPEM("CERTIFICATE", x.Certificate[0]), "key.pem": inPEM("PRIVATE KEY", der), "config.json": string(config),
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600))
	}
	out := &syncBuffer{}
	cmd := exec.Command(agenttest.Tool(t, "pebble"), "-config", filepath.Join(dir, "config.json"), "-dnsserver", dnsServer)
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1")
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })

	pool := x509.NewCertPool()
	pool.AddCert(own.cert)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	port := func(address string) string { return address[strings.LastIndex(address, ":"):] }
	eventually(t, 20*time.Second, "pebble", func() error {
		answer, err := client.Get("https://localhost" + port(management) + "/roots/0")
		if err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		defer func() { _ = answer.Body.Close() }()
		text, err := io.ReadAll(answer.Body)
		root = string(text)
		return err
	})
	return "https://localhost" + port(address) + "/dir", inPEM("CERTIFICATE", own.cert.Raw), root
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// trusts has the stack's round trip, and clients from now on, trust these authorities.
func (b *bed) trusts(t *testing.T, authorities ...string) {
	t.Helper()
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	delete(secrets, "emqx-oci:tls.certificate")
	delete(secrets, "emqx-oci:tls.privateKey")
	secrets["emqx-oci:tls.ca"] = strings.Join(authorities, "")
	b.writeSecrets(t, secrets)
	assert.NilError(t, os.WriteFile(filepath.Join(b.dir, lab.CAFile), []byte(strings.Join(authorities, "")), 0o644))
}

// Passages of the stack file: who brings the certificate.
const (
	byVariable = "source: variable\n    " + tlsAtProxy
	acmeOf     = "source: acme\n    acme: {directory: %q, contact: ops@example.com, termsAgreed: true, resolver: %q, ca: %s}\n    " + tlsAtProxy
)

// certificatesAreRenewed: from a variable that somebody else writes, and by a real authority that looks at the lab's zone.
// Clients are connected by all four protocols while new ones come, and none is cut off.
func certificatesAreRenewed(t *testing.T, b *bed) {
	before, after := newSigner(t, "the first of others"), newSigner(t, "the second of others")
	resolver := b.labsDNS(t)
	directory, address, root := b.pebble(t, resolver)
	b.trusts(t, inPEM("CERTIFICATE", before.cert.Raw), inPEM("CERTIFICATE", after.cert.Raw), root)

	b.edit(t, tlsAtProxy, byVariable)
	r := b.run(t, "up", "lab", "--yes")
	assert.Assert(t, r.code != 0 && strings.Contains(r.String(), "must find certificate and key in the Nomad variable "+proxysVariable) &&
		strings.Contains(r.String(), "nomad var put"), "%s", r)
	certificate, _ := before.pair(t)
	_, another := before.pair(t)
	putCertificate(t, proxysVariable, certificate, another)
	r = b.run(t, "up", "lab", "--yes")
	assert.Assert(t, r.code != 0 && strings.Contains(r.String(), "its certificate must fit its key"), "%s", r)
	certificate, key := before.pair(t)
	putCertificate(t, proxysVariable, certificate, key)
	b.must(t, "up", "lab", "--yes")
	b.shownEverywhere(t, "the first of others")
	b.well(t, 20*time.Second)

	b.underLoadOf(t, func() {
		// One that is broken stays where it is, and is told of.
		certificate, key = after.pair(t)
		putCertificate(t, proxysVariable, certificate, another)
		eventually(t, time.Minute, "what status says of a broken one", func() error {
			s, _ := b.look(t)
			if s.Outside == nil || !strings.Contains(s.Outside.Problem, "must fit its key") || len(s.Outside.Refused) != len(s.Nodes) {
				return fmt.Errorf("%+v", s.Outside)
			}
			return nil
		})
		b.shownEverywhere(t, "the first of others")
		putCertificate(t, proxysVariable, certificate, key)
		b.shownEverywhere(t, "the second of others")
	})
	b.well(t, 20*time.Second)

	b.edit(t, byVariable, fmt.Sprintf(acmeOf, directory, resolver, quoted(address)))
	b.underLoadOf(t, func() {
		r := b.must(t, "certificate", "renew", "lab", "--force")
		assert.Assert(t, strings.Contains(r.stdout, "is handed to the proxies and brokers"), "%s", r)
		b.shownEverywhere(t, "Pebble Intermediate")
		r = b.must(t, "certificate", "renew", "lab")
		assert.Assert(t, strings.Contains(r.stdout, "is still the one in use"), "%s", r)
	})
	left, err := dns.Exchange(new(dns.Msg).SetQuestion("_acme-challenge."+name+".", dns.TypeTXT), resolver)
	assert.NilError(t, err)
	assert.Equal(t, len(left.Answer), 0, "the proof is left in the zone: %s", left)
	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "no resource of the stack has to do with a renewal: %s", r)
	b.must(t, "verify", "lab")
	b.well(t, 20*time.Second)
	noSecrets(t, b)
}

// quoted is text as YAML has it on one line.
func quoted(text string) string {
	body, _ := json.Marshal(text) // a string has no faults
	return string(body)
}
