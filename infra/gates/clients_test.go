package gates

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"
)

// answering is a server with one answer to everything.
func answering(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL
}

// silent accepts connections and says nothing.
func silent(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	assert.NilError(t, err)
	t.Cleanup(func() { _ = l.Close() })
	return "http://" + l.Addr().String()
}

// patience is short only where nothing else ends the wait: the machine may be busy.
var patience = map[string]time.Duration{"silent": 100 * time.Millisecond, "cut off": 100 * time.Millisecond}

func TestNomadClientTellsItsTroublesApart(t *testing.T) {
	for _, c := range []struct {
		name, address string
		fatal         bool
		says          string
	}{
		{"forbidden", answering(t, http.StatusForbidden, "Permission denied"), true, "permission denied; check nomad.token"},
		{"broken", answering(t, http.StatusInternalServerError, "No cluster leader"), false, "No cluster leader"},
		{"silent", silent(t), false, "cannot reach Nomad at http://127.0.0.1:"},
		{"nobody", "http://127.0.0.1:1", false, "cannot reach Nomad at http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := NewNomad(NomadConfig{Address: c.address, Timeout: patience[c.name]})
			assert.NilError(t, err)
			start := time.Now()
			_, err = client.Nodes(t.Context())
			assert.ErrorContains(t, err, c.says)
			assert.Equal(t, IsFatal(err), c.fatal)
			_, err = client.Exec(t.Context(), "alloc", "emqx", "emqx", "ctl")
			assert.Assert(t, err != nil)
			assert.Assert(t, time.Since(start) < 5*time.Second, "a request must be bounded")
		})
	}
	client, err := NewNomad(NomadConfig{Address: answering(t, http.StatusNotFound, "job not found")})
	assert.NilError(t, err)
	_, err = client.Job(t.Context(), "emqx-lab")
	assert.ErrorIs(t, err, ErrNotFound)
}

func TestNomadClientSaysWhyANodeIsSilent(t *testing.T) {
	for _, c := range []struct {
		name, address, says string
		fatal               bool
	}{
		{"ended", answering(t, http.StatusNotFound, "No path to node"), "the servers have no connection to it", false},
		{"cut off", silent(t), "nothing heard within 100ms", false},
		{"forbidden", answering(t, http.StatusForbidden, "Permission denied"), "permission denied; check nomad.token", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := NewNomad(NomadConfig{Address: c.address, Timeout: patience[c.name]})
			assert.NilError(t, err)
			err = client.Alive(t.Context(), "10000000-aaaa")
			assert.ErrorContains(t, err, c.says)
			assert.Equal(t, IsFatal(err), c.fatal)
		})
	}
	client, err := NewNomad(NomadConfig{Address: answering(t, http.StatusOK, "{}")})
	assert.NilError(t, err)
	assert.NilError(t, client.Alive(t.Context(), "10000000-aaaa"))
}

func TestNomadClientNamesTheCommandThatItMayNotDo(t *testing.T) {
	const id = "10000000-aaaa"
	denied, err := NewNomad(NomadConfig{Address: answering(t, http.StatusForbidden, "Permission denied")})
	assert.NilError(t, err)
	nobody, err := NewNomad(NomadConfig{Address: "http://127.0.0.1:1"})
	assert.NilError(t, err)
	for command, do := range map[string]func(NomadClient) error{
		"`nomad node drain -enable -deadline 1m0s 10000000`":        func(c NomadClient) error { return c.Drain(t.Context(), id, time.Minute) },
		"`nomad node drain -disable 10000000`":                      func(c NomadClient) error { return c.Undrain(t.Context(), id) },
		"`nomad operator api -X POST /v1/node/10000000-aaaa/purge`": func(c NomadClient) error { return c.Purge(t.Context(), id) },
	} {
		err := do(denied)
		assert.ErrorContains(t, err, "nomad.token do that, which needs node:write; with a token that has it: "+command)
		assert.Assert(t, IsFatal(err))
		err = do(nobody)
		assert.ErrorContains(t, err, "cannot reach Nomad at http://127.0.0.1:1: ")
		assert.Assert(t, !IsFatal(err))
	}
}

func TestConsulClientTellsItsTroublesApart(t *testing.T) {
	for _, c := range []struct {
		name, address string
		fatal         bool
		says          string
	}{
		{"forbidden", answering(t, http.StatusForbidden, "Permission denied"), true, "permission denied; check consul.token"},
		{"broken", answering(t, http.StatusInternalServerError, "No cluster leader"), false, "No cluster leader"},
		{"silent", silent(t), false, "cannot reach Consul at http://127.0.0.1:"},
		{"nobody", "http://127.0.0.1:1", false, "cannot reach Consul at http://127.0.0.1:1: dial tcp 127.0.0.1:1: connect: connection refused"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, err := NewConsul(ConsulConfig{Address: c.address, Timeout: patience[c.name]})
			assert.NilError(t, err)
			_, err = client.Service(t.Context(), "emqx-haproxy", "lab")
			assert.ErrorContains(t, err, c.says)
			assert.Equal(t, IsFatal(err), c.fatal)
		})
	}
}

func TestClientsNeedAnAddress(t *testing.T) {
	_, err := NewNomad(NomadConfig{})
	assert.Error(t, err, "connecting to Nomad: no address given")
	_, err = NewConsul(ConsulConfig{})
	assert.Error(t, err, "connecting to Consul: no address given")
	_, err = NewNomad(NomadConfig{Address: "https://127.0.0.1:1", CACert: "no pem"})
	assert.ErrorContains(t, err, "connecting to Nomad at https://127.0.0.1:1")
}

// A server that takes only clients with a certificate of its own authority.
func TestClientsShowTheirCertificate(t *testing.T) {
	ca, config := testCA(t)
	keyDER, err := x509.MarshalPKCS8PrivateKey(config.Certificates[0].PrivateKey)
	assert.NilError(t, err)
	cert := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: config.Certificates[0].Certificate[0]}))
	key := string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/client/allocation/a/exec" {
			conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
			if err == nil {
				says(conn, "", 7)
				_ = conn.Close()
			}
			return
		}
		_, _ = fmt.Fprint(w, "[]")
	}))
	config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, x509.NewCertPool()
	assert.Assert(t, config.ClientCAs.AppendCertsFromPEM([]byte(ca)))
	server.TLS = config
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	// What the environment says of other servers must not matter.
	t.Setenv("CONSUL_CACERT", "/nowhere")
	t.Setenv("NOMAD_CACERT", "/nowhere")

	for _, c := range []struct{ name, ca, cert, key, says string }{
		{"all", ca, cert, key, ""},
		{"no certificate", ca, "", "", "certificate required"},
		{"no authority", "", cert, key, "unknown authority"},
	} {
		t.Run(c.name, func(t *testing.T) {
			n, err := NewNomad(NomadConfig{Address: server.URL, CACert: c.ca, Cert: c.cert, Key: c.key})
			assert.NilError(t, err)
			_, nodes := n.Nodes(t.Context())
			result, exec := n.Exec(t.Context(), "a", "emqx", "true")
			k, err := NewConsul(ConsulConfig{Address: server.URL, CACert: c.ca, Cert: c.cert, Key: c.key})
			assert.NilError(t, err)
			_, service := k.Service(t.Context(), "emqx-haproxy", "lab")
			for _, err := range []error{nodes, exec, service} {
				if c.says == "" {
					assert.NilError(t, err)
				} else {
					assert.ErrorContains(t, err, c.says)
				}
			}
			assert.Equal(t, result.Exit == 7, c.says == "")
		})
	}
	_, err = NewNomad(NomadConfig{Address: server.URL, Cert: cert})
	assert.ErrorContains(t, err, "connecting to Nomad at https://127.0.0.1:")
	_, err = NewConsul(ConsulConfig{Address: server.URL, Cert: cert})
	assert.ErrorContains(t, err, "connecting to Consul at https://127.0.0.1:")
}

// says is a command in a task that has ended.
func says(conn *websocket.Conn, text string, exit int) {
	end := fmt.Sprintf("\n%s %d\n", endMark, exit)
	_ = conn.WriteJSON(nomad.ExecStreamingOutput{Stdout: &nomad.ExecStreamingIOOperation{Data: []byte(beginLine + text + end)}})
	_ = conn.WriteJSON(nomad.ExecStreamingOutput{Stderr: &nomad.ExecStreamingIOOperation{Data: []byte(end)}})
	_ = conn.WriteJSON(nomad.ExecStreamingOutput{Exited: true, Result: &nomad.ExecStreamingExitResult{ExitCode: exit}})
}

func TestExecNeverDialsTheNode(t *testing.T) {
	var dialled atomic.Bool
	node := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { dialled.Store(true) }))
	t.Cleanup(node.Close)
	mux := http.NewServeMux()
	mux.HandleFunc("/v1/node/", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/v1/node/" {
			http.Error(w, "missing node ID", http.StatusInternalServerError)
			return
		}
		_ = json.NewEncoder(w).Encode(nomad.Node{ID: "n", Status: "ready", HTTPAddr: node.Listener.Addr().String()})
	})
	mux.HandleFunc("/v1/allocation/", func(w http.ResponseWriter, _ *http.Request) {
		_ = json.NewEncoder(w).Encode(nomad.Allocation{ID: "a", NodeID: "n"})
	})
	mux.HandleFunc("/v1/client/allocation/a/exec", func(w http.ResponseWriter, r *http.Request) {
		conn, err := (&websocket.Upgrader{}).Upgrade(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.Close() }()
		var command []string
		_ = json.Unmarshal([]byte(r.URL.Query().Get("command")), &command)
		says(conn, strings.Join(command[len(command)-2:], " "), 3)
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	client, err := NewNomad(NomadConfig{Address: server.URL})
	assert.NilError(t, err)
	result, err := client.Exec(t.Context(), "a", "emqx", "emqx", "ctl")
	assert.NilError(t, err)
	assert.DeepEqual(t, result, ExecResult{Stdout: "emqx ctl", Exit: 3})
	assert.Assert(t, !dialled.Load(), "the node itself was dialled")
}
