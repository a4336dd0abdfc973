package renew

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"gotest.tools/v3/assert"
	"gotest.tools/v3/assert/cmp"

	"github.com/emqx-oci/emqx-oci/components/certs"
	"github.com/emqx-oci/emqx-oci/components/cluster"
	"github.com/emqx-oci/emqx-oci/infra/gates"
	"github.com/emqx-oci/emqx-oci/internal/agenttest"
)

// variables are Nomad's as far as they matter here.
type variables struct {
	mu     sync.Mutex
	held   map[string]gates.Variable
	denied bool
	// before is called at each write, as somebody else who writes, too.
	before func(path string)
}

func (v *variables) Variable(_ context.Context, path string) (gates.Variable, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.denied {
		return gates.Variable{}, gates.Fatal(errors.New("permission denied"))
	}
	return v.held[path], nil
}

func (v *variables) SetVariable(_ context.Context, path string, items map[string]string, version uint64) (bool, error) {
	if v.before != nil {
		v.before(path)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.held[path].Version != version {
		return false, nil
	}
	if v.held == nil {
		v.held = map[string]gates.Variable{}
	}
	v.held[path] = gates.Variable{Items: items, Version: version + 1, Changed: time.Now()}
	return true, nil
}

// nameServer is one of a zone, with the TXT records that it is given.
type nameServer struct {
	mu      sync.Mutex
	records map[string][]string
	address string
}

func newNameServer(t *testing.T) *nameServer {
	t.Helper()
	n := &nameServer{records: map[string][]string{}}
	udp, tcp := bothPorts(t)
	n.address = udp.LocalAddr().String()
	for _, s := range []*dns.Server{{PacketConn: udp, Handler: n}, {Listener: tcp, Handler: n}} {
		go func() { _ = s.ActivateAndServe() }()
		t.Cleanup(func() { _ = s.Shutdown() })
	}
	return n
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
		_ = udp.Close()
	}
	t.Fatal("no port is free for UDP and TCP")
	return nil, nil
}

func (n *nameServer) ServeDNS(w dns.ResponseWriter, q *dns.Msg) {
	n.mu.Lock()
	defer n.mu.Unlock()
	a := new(dns.Msg).SetReply(q)
	a.Authoritative = true
	name := q.Question[0].Name
	for _, v := range n.records[strings.ToLower(name)] {
		a.Answer = append(a.Answer, &dns.TXT{Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeTXT, Class: dns.ClassINET, Ttl: 1}, Txt: []string{v}})
	}
	_ = w.WriteMsg(a)
}

func (n *nameServer) set(name string, values []string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.records[name+"."] = values
}

// prove waits as a renewal does, and takes the records away.
func (n *nameServer) prove(ctx context.Context, name string, values []string, done func(context.Context) error) error {
	go func() {
		time.Sleep(200 * time.Millisecond) // a zone takes its time
		n.set(name, values)
	}()
	defer n.set(name, nil)
	if err := (Zone{Name: "example.com", Resolver: n.address}).Await(ctx, name, values, nil); err != nil {
		return err
	}
	return done(ctx)
}

// authority is a real one.
type authority struct {
	directory, ca, root string
}

func newPebble(t *testing.T, resolver string) authority {
	t.Helper()
	dir := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	x := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "pebble"}, DNSNames: []string{"localhost"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, x, x, key.Public(), key)
	assert.NilError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	assert.NilError(t, err)
	block := func(label string, der []byte) []byte {
		return pem.EncodeToMemory(&pem.Block{Type: label, Bytes: der})
	}
	ports := make([]string, 2)
	for i := range ports {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		assert.NilError(t, err)
		ports[i] = l.Addr().String()
		assert.NilError(t, l.Close())
	}
	config, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": ports[0], "managementListenAddress": ports[1], "httpPort": 5002, "tlsPort": 5001,
		"certificate": filepath.Join(dir, "cert.pem"), "privateKey": filepath.Join(dir, "key.pem"), "keyAlgorithm": "ecdsa",
		"retryAfter": map[string]int{"authz": 1, "order": 1},
	}})
	assert.NilError(t, err)
	ca := block("CERTIFICATE", der)
	for file, text := range map[string][]byte{"cert.pem": ca, "key.pem": block("PRIVATE KEY", keyDER), "config.json": config} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, file), text, 0o600))
	}
	cmd := exec.Command(agenttest.Tool(t, "pebble"), "-config", filepath.Join(dir, "config.json"), "-dnsserver", resolver)
	// It forgets no proof here, so that each order is proved or not by itself.
	cmd.Env = append(os.Environ(), "PEBBLE_VA_NOSLEEP=1", "PEBBLE_AUTHZREUSE=0")
	assert.NilError(t, cmd.Start())
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}}}
	at := func(i int, path string) string {
		_, port, _ := net.SplitHostPort(ports[i])
		return "https://localhost:" + port + path
	}
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(100 * time.Millisecond) {
		answer, err := client.Get(at(1, "/roots/0"))
		if err == nil {
			root, err := io.ReadAll(answer.Body)
			_ = answer.Body.Close()
			assert.NilError(t, err)
			return authority{at(0, "/dir"), string(ca), string(root)}
		}
		assert.Assert(t, time.Now().Before(end), "pebble does not answer: %v", err)
	}
}

const host = "mqtt.example.com"

// bench is a renewal from a real authority.
func bench(t *testing.T) (*Renewal, *variables, *nameServer, authority) {
	t.Helper()
	zone := newNameServer(t)
	a := newPebble(t, zone.address)
	held := &variables{}
	roots, err := certs.ReadCertificates(a.root)
	assert.NilError(t, err)
	r := &Renewal{
		Store: Store{Variables: held, Paths: []string{"nomad/jobs/proxy/proxy", "nomad/jobs/emqx/emqx"}, Namespace: "default"},
		Host:  host, Trust: certs.Server{Authorities: roots}, Source: "acme", Now: time.Now,
	}
	client := Authority{Directory: a.directory, Contact: "ops@example.com", CACert: a.ca, Accounts: held, Account: "emqx-oci/prod/acme"}
	r.Get = func(ctx context.Context) (certs.Pair, error) { return client.Obtain(ctx, host, zone.prove) }
	return r, held, zone, a
}

// An authority that speaks ACME gives a certificate to who has the zone. Both jobs get it, with a key that stands nowhere else;
// it is renewed when it is due, by the same account, and not before.
func TestARealAuthorityRenews(t *testing.T) {
	r, held, zone, _ := bench(t)
	first, err := r.Do(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, first.Renewed && first.Ends.After(time.Now()))
	account := held.held["emqx-oci/prod/acme"].Items[itemAccountKey]
	assert.Assert(t, cmp.Contains(account, "PRIVATE KEY"))
	pair, err := r.Store.Held(t.Context())
	assert.NilError(t, err)
	assert.Equal(t, pair.Pair.Chain()[0].DNSNames[0], host)
	assert.Assert(t, len(pair.Pair.Chain()) > 1, "with its chain")
	assert.DeepEqual(t, held.held[r.Store.Paths[0]].Items, held.held[r.Store.Paths[1]].Items)
	_, err = tls.X509KeyPair([]byte(pair.Pair.Certificate), []byte(pair.Pair.Key))
	assert.NilError(t, err)
	assert.Equal(t, len(zone.records["_acme-challenge."+host+"."]), 0, "the proof is gone")

	again, err := r.Do(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, !again.Renewed && again.Ends.Equal(first.Ends))

	// The other job's goes missing: it gets the same one.
	delete(held.held, r.Store.Paths[1])
	again, err = r.Do(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, !again.Renewed)
	assert.DeepEqual(t, held.held[r.Store.Paths[0]].Items, held.held[r.Store.Paths[1]].Items)

	own := pair.Pair.Chain()[0]
	r.Now = func() time.Time { return own.NotAfter.Add(-own.NotAfter.Sub(own.NotBefore) / 3).Add(time.Minute) }
	if own.NotAfter.Sub(own.NotBefore) > 90*24*time.Hour {
		r.Now = func() time.Time { return own.NotAfter.Add(-certs.RenewBefore + time.Minute) }
	}
	r.Trust = certs.Server{UnknownAuthorities: true} // whose end is not what this is about
	renewed, err := r.Do(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, renewed.Renewed)
	next, err := r.Store.Held(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, next.Pair.Key != pair.Pair.Key, "each has a key of its own")
	assert.Equal(t, held.held["emqx-oci/prod/acme"].Items[itemAccountKey], account)
}

// What an authority refuses, and what is not to be handed over, leaves what is there.
func TestARefusalLeavesWhatIsThere(t *testing.T) {
	r, held, zone, a := bench(t)
	r.Get = func(ctx context.Context) (certs.Pair, error) {
		client := Authority{Directory: a.directory, CACert: a.ca, Accounts: held, Account: "emqx-oci/prod/acme"}
		return client.Obtain(ctx, host, func(ctx context.Context, name string, _ []string, done func(context.Context) error) error {
			zone.set(name, []string{"another value"})
			return done(ctx)
		})
	}
	_, err := r.Do(t.Context())
	assert.ErrorContains(t, err, "proving "+host+": the authority at "+a.directory)
	assert.ErrorContains(t, err, "Correct value not found for DNS challenge")
	assert.Equal(t, len(held.held), 1, "the account's alone")

	r.Get = func(ctx context.Context) (certs.Pair, error) {
		return Authority{Directory: a.directory, CACert: a.ca, Accounts: held, Account: "emqx-oci/prod/acme"}.Obtain(ctx, "other.example.com", zone.prove)
	}
	_, err = r.Do(t.Context())
	assert.ErrorContains(t, err, "is not handed over, as clients would refuse it: it must be valid for dns.name")
	assert.Equal(t, len(held.held), 1)

	// Nobody knows the authority's own address.
	r.Get = func(ctx context.Context) (certs.Pair, error) {
		return Authority{Directory: a.directory, Accounts: held, Account: "emqx-oci/prod/acme"}.Obtain(ctx, host, zone.prove)
	}
	_, err = r.Do(t.Context())
	assert.ErrorContains(t, err, "unknown authority")
}

func TestTheStoreTellsWhatItHolds(t *testing.T) {
	held := &variables{}
	s := Store{Variables: held, Paths: []string{"a", "b"}, Namespace: "iot"}
	h, err := s.Held(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, h.Missing)
	assert.Equal(t, s.HowToWrite(), "nomad var put -namespace iot a certificate=@chain.pem private_key=@key.pem")
	_, err = held.SetVariable(t.Context(), "a", map[string]string{cluster.ItemCertificate: "x", "mine": "1"}, 0)
	assert.NilError(t, err)
	h, err = s.Held(t.Context())
	assert.NilError(t, err)
	assert.Assert(t, !h.Missing && cmp.Contains(h.Fault, "its key must be a private key in PEM")().Success(), h.Fault)

	changed, err := s.Put(t.Context(), certs.Pair{Certificate: "c", Key: "k"})
	assert.NilError(t, err)
	assert.Assert(t, changed)
	assert.Equal(t, held.held["a"].Items["mine"], "1", "what somebody else keeps there stays")
	changed, err = s.Put(t.Context(), certs.Pair{Certificate: "c", Key: "k"})
	assert.NilError(t, err)
	assert.Assert(t, !changed)

	// Somebody else is faster.
	held.before = func(path string) {
		held.before = nil
		_, _ = held.SetVariable(context.Background(), path, nil, held.held[path].Version)
	}
	_, err = s.Put(t.Context(), certs.Pair{Certificate: "d", Key: "k"})
	assert.ErrorContains(t, err, "somebody else writes it at the same time")
	held.denied = true
	_, err = s.Held(t.Context())
	assert.Assert(t, gates.IsFatal(err))
}
