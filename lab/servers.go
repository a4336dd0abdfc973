package lab

import (
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/emqx-oci/emqx-oci/components/policies"
	"github.com/emqx-oci/emqx-oci/lab/cloud"
	"github.com/emqx-oci/emqx-oci/lab/machine"
)

// serversFile holds what the lab's servers are secured with, readable by root only.
const serversFile = "servers.json"

// serverKeys are what the lab's servers are secured with, and the tokens of everybody who
// asks them. What has no value yet is made by the servers.
type serverKeys struct {
	CA     string  `json:"ca"`
	Server keyPair `json:"server"`
	// Agents is one certificate for all nodes' agents, Consul's and Nomad's.
	Agents keyPair `json:"agents"`
	Gossip string  `json:"gossip"`

	Consul struct {
		Management string `json:"management"` // may do everything
		Server     string `json:"server"`     // the server's own agent
		Nomad      string `json:"nomad"`      // Nomad's server
		Deployer   string `json:"deployer"`
		Preview    string `json:"preview"`
		Agent      string `json:"agent"`   // the nodes' agents
		Default    string `json:"default"` // who asks them without a token
	} `json:"consul"`
	Nomad struct {
		Management string `json:"management"`
		Deployer   string `json:"deployer"`
		Preview    string `json:"preview"`
		Nodes      string `json:"nodes"` // the nodes' boot scripts
	} `json:"nomad"`
}

// servers returns the keys of the lab in dir, which are drawn at the first call. The servers'
// certificate is for the doors, too.
func servers(dir string, door netip.Addr) (*serverKeys, error) {
	path := filepath.Join(dir, serversFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		k, err := drawServers(door, time.Now())
		if err != nil {
			return nil, err
		}
		return k, k.save(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the keys of the lab's servers: %w", err)
	}
	k := &serverKeys{}
	if err := json.Unmarshal(text, k); err != nil {
		return nil, fmt.Errorf("reading the keys of the lab's servers: %s: %w (remove the lab with `emqx-oci lab down`)", path, err)
	}
	return k, nil
}

func drawServers(door netip.Addr, now time.Time) (*serverKeys, error) {
	a, err := newAuthority("emqx-oci lab servers", now)
	if err != nil {
		return nil, err
	}
	k := &serverKeys{CA: a.pem()}
	here := []net.IP{net.IPv4(127, 0, 0, 1), net.IP(machine.ServerAddress().AsSlice())}
	both := []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	if k.Server, err = a.issue([]string{"server.dc1.consul", "server.global.nomad", "localhost"}, append(here, net.IP(door.AsSlice())), both...); err != nil {
		return nil, err
	}
	if k.Agents, err = a.issue([]string{"client.dc1.consul", "client.global.nomad", "localhost"}, here[:1], both...); err != nil {
		return nil, err
	}
	gossip := make([]byte, 32)
	_, _ = rand.Read(gossip) // never fails (crypto/rand)
	k.Gossip = base64.StdEncoding.EncodeToString(gossip)
	for _, token := range []*string{
		&k.Consul.Management, &k.Consul.Server, &k.Consul.Nomad, &k.Consul.Deployer, &k.Consul.Preview, &k.Consul.Agent, &k.Consul.Default,
		&k.Nomad.Management,
	} {
		*token = uuid()
	}
	return k, nil
}

func (k *serverKeys) save(dir string) error {
	text, err := json.MarshalIndent(k, "", "  ")
	if err == nil {
		err = writeFile(filepath.Join(dir, serversFile), text, 0o600)
	}
	if err != nil {
		return fmt.Errorf("writing the keys of the lab's servers: %w", err)
	}
	return nil
}

// machine is what the servers' processes get of it.
func (k *serverKeys) machine(secured bool) machine.Servers {
	return machine.Servers{
		CA: k.CA, Certificate: k.Server.Certificate, Key: k.Server.Key, Secured: secured, GossipKey: k.Gossip,
		ConsulManagement: k.Consul.Management, ConsulAgent: k.Consul.Server, ConsulNomad: k.Consul.Nomad,
	}
}

// OCIDs of the vault's secrets with which the nodes' agents join.
const (
	consulSecretID = "ocid1.vaultsecret.oc1.lab-1.consul" //nolint:gosec // a name
	nomadSecretID  = "ocid1.vaultsecret.oc1.lab-1.nomad"  //nolint:gosec // a name
)

// settings are the stack's settings that follow from it, by their path.
func (k *serverKeys) settings(secured bool) map[string]string {
	if !secured {
		return nil
	}
	return map[string]string{
		"emqx-oci:nomad.token": k.Nomad.Deployer, "emqx-oci:consul.token": k.Consul.Deployer,
		"emqx-oci:nomad.agentSecret": nomadSecretID, "emqx-oci:consul.agentSecret": consulSecretID,
		"emqx-oci:consul.authMethod": policies.DefaultAuthMethod,
	}
}

// vault is what the cloud's vault has for the nodes.
func (k *serverKeys) vault(secured bool) (map[string]string, error) {
	out := map[string]string{cloud.SecretID: cloud.Registries}
	if !secured {
		return out, nil
	}
	for id, content := range map[string]map[string]string{
		consulSecretID: {
			"gossipKey": k.Gossip, "ca": k.CA, "certificate": k.Agents.Certificate, "privateKey": k.Agents.Key,
			"agentToken": k.Consul.Agent, "defaultToken": k.Consul.Default,
		},
		nomadSecretID: {"ca": k.CA, "certificate": k.Agents.Certificate, "privateKey": k.Agents.Key, "token": k.Nomad.Nodes},
	} {
		text, err := json.Marshal(content)
		if err != nil {
			return nil, fmt.Errorf("writing the vault's secrets: %w", err)
		}
		out[id] = string(text)
	}
	return out, nil
}

// uuid draws one of version 4, as tokens are.
func uuid() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b)
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
