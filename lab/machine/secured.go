package machine

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"
)

// Servers is what Consul's and Nomad's servers are secured with. Without a certificate the
// servers are open, and the doors to them pass on what they get.
type Servers struct {
	// CA, Certificate and Key are PEM. The certificate is for both servers, by
	// server.<datacenter>.consul, server.<region>.nomad, 127.0.0.1, their own address and
	// the door's.
	CA, Certificate, Key string

	// Secured: TLS, ACLs that deny by default, and keys of gossip. Else the certificate is
	// the doors' alone.
	Secured bool
	// GossipKey is of both servers' gossip, 32 bytes in base64.
	GossipKey string
	// ConsulManagement is the token with which Consul's ACLs begin.
	ConsulManagement string
	// ConsulAgent is the token of Consul's server itself, ConsulNomad that of Nomad's server.
	ConsulAgent, ConsulNomad string
}

// Ports of the servers' APIs in their namespace. Consul's own https has one beside http.
const (
	consulHTTP  = "127.0.0.1:8500"
	consulHTTPS = "127.0.0.1:8501"
	nomadHTTP   = "127.0.0.1:4646"
)

// consulAPI is where Consul's server answers in its namespace.
func (s Servers) consulAPI() string {
	if s.Secured {
		return consulHTTPS
	}
	return consulHTTP
}

func (s Servers) scheme() string {
	if s.Secured {
		return "https://"
	}
	return "http://"
}

// client verifies the servers.
func (s Servers) client() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(s.CA))
	return &tls.Config{RootCAs: roots, ServerName: "127.0.0.1", MinVersion: tls.VersionTLS12}
}

// server is how a door itself speaks TLS; nil where it has no certificate.
func (s Servers) server() (*tls.Config, error) {
	if s.Certificate == "" {
		return nil, nil //nolint:nilnil // it has none
	}
	pair, err := tls.X509KeyPair([]byte(s.Certificate), []byte(s.Key))
	if err != nil {
		return nil, fmt.Errorf("reading the certificate of the lab's servers: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

func (s Servers) validate() error {
	if s.Secured && (s.CA == "" || s.Certificate == "" || s.Key == "" || s.GossipKey == "" || s.ConsulManagement == "" || s.ConsulAgent == "" || s.ConsulNomad == "") {
		return errors.New("secured servers need an authority, a certificate, a gossip key and Consul's tokens")
	}
	return nil
}

// secureConsul adds to the configuration of Consul's server what makes it a production's.
func (m *Machine) secureConsul(config map[string]any) {
	s := m.cfg.Servers
	config["encrypt"] = s.GossipKey
	config["ports"] = map[string]any{"http": -1, "https": 8501}
	config["tls"] = map[string]any{
		"defaults":     map[string]any{"ca_file": m.path("servers", "ca.pem"), "cert_file": m.path("servers", "server.pem"), "key_file": m.path("servers", "server-key.pem"), "verify_outgoing": true},
		"internal_rpc": map[string]any{"verify_incoming": true, "verify_server_hostname": true},
	}
	// An agent without a certificate of its own asks for one by its token.
	config["auto_encrypt"] = map[string]any{"allow_tls": true}
	config["acl"] = map[string]any{
		"enabled": true, "default_policy": "deny", "enable_token_persistence": true,
		"tokens": map[string]any{"initial_management": s.ConsulManagement, "agent": s.ConsulAgent},
	}
}

// secureNomad does the same for Nomad's.
func (m *Machine) secureNomad(config map[string]any) {
	s := m.cfg.Servers
	ca, cert, key := m.path("servers", "ca.pem"), m.path("servers", "server.pem"), m.path("servers", "server-key.pem")
	config["tls"] = map[string]any{
		"http": true, "rpc": true, "ca_file": ca, "cert_file": cert, "key_file": key, "verify_server_hostname": true,
	}
	config["acl"] = map[string]any{"enabled": true}
	config["server"] = map[string]any{
		"enabled": true, "bootstrap_expect": 1, "raft_multiplier": 1, "encrypt": s.GossipKey,
		// A node without an introduction stays out.
		"client_introduction": map[string]any{"enforcement": "strict"},
	}
	config["consul"] = map[string]any{"address": consulHTTPS, "ssl": true, "ca_file": ca, "token": s.ConsulNomad}
}

// writeServerFiles writes what the configurations name.
func (m *Machine) writeServerFiles() error {
	s := m.cfg.Servers
	for name, text := range map[string]string{"ca.pem": s.CA, "server.pem": s.Certificate, "server-key.pem": s.Key} {
		if err := os.WriteFile(m.path("servers", name), []byte(strings.TrimSpace(text)+"\n"), 0o600); err != nil {
			return fmt.Errorf("writing the certificates of the lab's servers: %w", err)
		}
	}
	return nil
}
