//go:build lab && drill

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	consul "github.com/hashicorp/consul/api"
	nomad "github.com/hashicorp/nomad/api"
	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/gates"
)

// TestSecured lives a stack's life on servers as production has them, with the tokens of the policies that the program
// prints and no others; what they do not allow is tried and refused.
func TestSecured(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up", "--secured")
	keys := readKeys(t, b)
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"the stack has the deployer's tokens and no others", func(t *testing.T, b *bed) {
			secrets := readSecrets(t, b)
			assert.Equal(t, secrets["emqx-oci:nomad.token"], keys.Nomad.Deployer)
			assert.Equal(t, secrets["emqx-oci:consul.token"], keys.Consul.Deployer)
			for path, value := range secrets {
				assert.Assert(t, value != keys.Nomad.Management && value != keys.Consul.Management, path)
			}
		}},
		{"up ends with a message through the public name", func(t *testing.T, b *bed) {
			r := b.must(t, "up", "lab", "--yes")
			assert.Assert(t, strings.Contains(r.stdout, "G5 round trip: a message came back"), "%s", r)
			again := b.must(t, "up", "lab", "--yes", "--json")
			assert.Equal(t, summary(t, again).Changed(), 0, "%s", again)
		}},
		{"strangers are refused", func(t *testing.T, b *bed) { strangersAreRefused(t, b) }},
		{"a job's variables are its own", func(t *testing.T, b *bed) { variablesAreTheJobs(t, b, keys) }},
		{"who previews changes nothing", func(t *testing.T, b *bed) { previewsBy(t, b, keys) }},
		{"the deployer writes the jobs' variables and no others", func(t *testing.T, b *bed) { writesTheJobs(t, b, keys) }},
		{"a change rolls and a node is added", func(t *testing.T, b *bed) {
			b.edit(t, "    count: 3\n", "    count: 4\n")
			b.edit(t, "    keepAliveMax: 120\n", "    keepAliveMax: 150\n")
			b.must(t, "up", "lab", "--yes")
			membersAre(t, b, keys, 4)
		}},
		// It leaves the cluster by itself: its job's identity may ask Nomad for the count.
		{"a node is taken away", func(t *testing.T, b *bed) {
			b.edit(t, "  emqx-oci:gates:\n", guardsOff+"  emqx-oci:gates:\n")
			b.edit(t, "    count: 4\n", "    count: 3\n")
			b.must(t, "up", "lab", "--yes")
			membersAre(t, b, keys, 3)
		}},
		{"a lost instance comes back by itself", func(t *testing.T, b *bed) {
			b.must(t, "lab", "fault", "terminate-instance", "1")
			eventually(t, 4*time.Minute, "whole again", func() error {
				if r := b.run(t, "verify", "lab"); r.code != 0 {
					return fmt.Errorf("%s", r)
				}
				return nil
			})
		}},
		{"status and verify are green", func(t *testing.T, b *bed) {
			b.must(t, "status", "lab")
			b.must(t, "verify", "lab")
		}},
		{"no token stands in clear in the instances' user data and logs", noTokenInTheOpen},
		{"destroy leaves nothing", func(t *testing.T, b *bed) { b.must(t, "destroy", "lab", "--yes") }},
	} {
		b.chapter(t, c.name, c.f)
	}
}

// nomadWith asks Nomad through the lab's door.
func nomadWith(t *testing.T, b *bed, token string) *nomad.Client {
	t.Helper()
	c, err := nomad.NewClient(&nomad.Config{Address: "http://" + b.door + ":4646", SecretID: token})
	assert.NilError(t, err)
	return c
}

// membersAre is what every broker says, asked as the deployer.
func membersAre(t *testing.T, b *bed, keys labKeys, count int) {
	t.Helper()
	client, err := gates.NewNomad(gates.NomadConfig{Address: "http://" + b.door + ":4646", Token: keys.Nomad.Deployer})
	assert.NilError(t, err)
	wantMembersBy(t, nomadWith(t, b, keys.Nomad.Deployer), client, count)
}

// writesTheJobs: a certificate that is renewed lies below both jobs' secrets.
func writesTheJobs(t *testing.T, b *bed, keys labKeys) {
	variables := nomadWith(t, b, keys.Nomad.Deployer).Variables()
	for _, path := range []string{"nomad/jobs/emqx-lab/emqx", "nomad/jobs/emqx-lab-haproxy/haproxy"} {
		_, _, err := variables.Create(&nomad.Variable{Path: path, Items: nomad.VariableItems{"certificate": "drill"}}, nil)
		assert.NilError(t, err, path)
		_, err = variables.Delete(path, nil)
		assert.NilError(t, err, path)
	}
	for _, path := range []string{"nomad/jobs/emqx-labour", "nomad/jobs/another", "nomad/jobs"} {
		_, _, err := variables.Create(&nomad.Variable{Path: path, Items: nomad.VariableItems{"certificate": "drill"}}, nil)
		assert.ErrorContains(t, err, "Permission denied", path)
	}
}

// labKeys are what the lab keeps of its servers.
type labKeys struct {
	Gossip string
	Consul struct{ Management, Deployer, Preview, Agent, Default string }
	Nomad  struct{ Management, Deployer, Preview, Nodes string }
}

func readKeys(t *testing.T, b *bed) (k labKeys) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "servers.json"))
	assert.NilError(t, err)
	assert.NilError(t, json.Unmarshal(text, &k))
	assert.Assert(t, k.Nomad.Deployer != "" && k.Nomad.Preview != "" && k.Nomad.Nodes != "" && k.Consul.Deployer != "")
	return k
}

func readSecrets(t *testing.T, b *bed) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(b.dir, "secrets.json"))
	assert.NilError(t, err)
	var s map[string]string
	assert.NilError(t, json.Unmarshal(text, &s))
	return s
}

// inClear is what a process without a token is answered in a node, which is where the containers are, too: they have its
// network.
func inClear(t *testing.T, b *bed, method, url, body string) string {
	t.Helper()
	r := b.must(t, "lab", "exec", "--in", "emqx-lab-0", "--", "curl", "-s", "-m", "10", "-o", "/dev/null", "-w", "%{http_code}", "-X", method, "-d", body, url)
	return strings.TrimSpace(r.stdout)
}

func strangersAreRefused(t *testing.T, b *bed) {
	const agent, node = "http://127.0.0.1:8500/v1", "http://127.0.0.1:4646/v1"
	for _, x := range []struct{ what, method, url, body string }{
		{"a service in the catalog", http.MethodPut, agent + "/catalog/register", `{"Node":"rogue","Address":"10.80.1.250","Service":{"Service":"emqx","Tags":["lab"],"Port":1883}}`},
		{"a service of the node", http.MethodPut, agent + "/agent/service/register", `{"Name":"emqx","Tags":["lab"],"Port":1883}`},
		{"another size of the cluster", http.MethodPut, agent + "/kv/emqx/lab/size", "1"},
		{"the size of the cluster", http.MethodGet, agent + "/kv/emqx/lab/size", ""},
		{"the node in maintenance", http.MethodPut, agent + "/agent/maintenance?enable=true", ""},
		{"EMQX's secrets", http.MethodGet, node + "/var/nomad/jobs/emqx-lab", ""},
		{"HAProxy's secrets", http.MethodGet, node + "/var/nomad/jobs/emqx-lab-haproxy", ""},
		{"a job's end", http.MethodDelete, node + "/job/emqx-lab", ""},
		{"a job", http.MethodPost, node + "/jobs", `{"Job":{"ID":"rogue","Datacenters":["dc1"],"TaskGroups":[{"Name":"g","Tasks":[{"Name":"t","Driver":"docker"}]}]}}`},
		{"another node's introduction", http.MethodPost, node + "/acl/identity/client-introduction-token", `{"NodeName":"emqx-lab-9"}`},
		{"the nodes", http.MethodGet, node + "/nodes", ""},
	} {
		assert.Equal(t, inClear(t, b, x.method, x.url, x.body), "403", x.what)
	}
	// Nor does the door give more to who has no token, or lets in who speaks TLS another authority knows.
	c, err := consul.NewClient(&consul.Config{Address: b.door + ":8500"})
	assert.NilError(t, err)
	_, err = c.Catalog().Register(&consul.CatalogRegistration{Node: "rogue", Address: "10.80.1.250", Service: &consul.AgentService{Service: "emqx", Tags: []string{"lab"}, Port: 1883}}, nil)
	assert.ErrorContains(t, err, "Permission denied")
	_, err = http.Get("https://" + b.door + ":8500/v1/status/leader")
	assert.ErrorContains(t, err, "unknown authority")
	// What a node without a token needs is there: names, by DNS.
	r := b.must(t, "lab", "exec", "--in", "emqx-lab-0", "--", "getent", "hosts", "lab.emqx.service.consul")
	assert.Assert(t, strings.Contains(r.stdout, "10.80.1."), "%s", r)
	// The agent's API answers on loopback alone, and on none of the node's addresses.
	r = b.must(t, "lab", "exec", "--in", "emqx-lab-0", "--", "bash", "-c",
		`for a in 127.0.0.1 $(ip -o -4 addr show scope global | grep -o 'inet 10[0-9.]*' | cut -c 6-); do
  curl -s -m 5 -o /dev/null -w '%{http_code} ' "http://$a:4646/v1/agent/health"; done; true`)
	assert.Assert(t, strings.HasPrefix(r.stdout, "200 000 ") && strings.Count(r.stdout, "200") == 1, "%s", r)
}

// variablesAreTheJobs has another job's identity ask, and the identity of a task with whose token Nomad knows it.
func variablesAreTheJobs(t *testing.T, b *bed, keys labKeys) {
	management := nomadWith(t, b, keys.Nomad.Management)
	allocs, _, err := management.Jobs().Allocations(proxyJob, false, nil)
	assert.NilError(t, err)
	assert.Assert(t, len(allocs) > 0)
	identity := probe(t, b, management)
	_, _, err = identity.Variables().Peek("nomad/jobs/emqx-probe", nil)
	assert.NilError(t, err, "its own it may read, though there is none")
	for _, path := range []string{"nomad/jobs/emqx-lab", "nomad/jobs/emqx-lab-haproxy"} {
		_, _, err = identity.Variables().Read(path, nil)
		assert.ErrorContains(t, err, "Permission denied", path)
	}
	_, _, err = identity.Jobs().ScaleStatus(emqxJob, nil)
	assert.ErrorContains(t, err, "Permission denied", "EMQX's own identity alone may ask for its count")
}

// probe runs a job of its own on a node, and returns a client that is it.
func probe(t *testing.T, b *bed, c *nomad.Client) *nomad.Client {
	t.Helper()
	job, err := c.Jobs().ParseHCL(`
job "emqx-probe" {
  datacenters = ["dc1"]
  group "g" {
    task "t" {
      driver = "docker"
      identity {
        file = true
      }
      config {
        image   = "haproxy:3.2.25"
        entrypoint = ["/bin/sh", "-c", "sleep 600"]
      }
      resources {
        cpu    = 20
        memory = 32
      }
    }
  }
}`, true)
	assert.NilError(t, err)
	_, _, err = c.Jobs().Register(job, nil)
	assert.NilError(t, err)
	t.Cleanup(func() {
		_, _, err := c.Jobs().Deregister("emqx-probe", true, nil)
		assert.Check(t, err)
	})
	var token syncBuffer
	eventually(t, time.Minute, "the probe's identity", func() error {
		all, _, err := c.Jobs().Allocations("emqx-probe", false, nil)
		if err != nil || len(all) == 0 || all[0].ClientStatus != "running" {
			return fmt.Errorf("%v: %w", all, err)
		}
		token = syncBuffer{}
		_, err = c.Allocations().Exec(t.Context(), &nomad.Allocation{ID: all[0].ID}, "t", false, []string{"cat", "/secrets/nomad_token"}, strings.NewReader(""), &token, &token, nil, nil)
		if err == nil && !strings.HasPrefix(token.String(), "ey") {
			err = fmt.Errorf("no identity: %s", token.String())
		}
		return err
	})
	return nomadWith(t, b, strings.TrimSpace(token.String()))
}

// previewsBy previews with the tokens of who previews alone: what the stack wants to change is seen, and an update with them
// is refused before anything is touched.
func previewsBy(t *testing.T, b *bed, keys labKeys) {
	path := filepath.Join(b.dir, "secrets.json")
	before, err := os.ReadFile(path)
	assert.NilError(t, err)
	text := strings.NewReplacer(keys.Nomad.Deployer, keys.Nomad.Preview, keys.Consul.Deployer, keys.Consul.Preview).Replace(string(before))
	assert.NilError(t, os.WriteFile(path, []byte(text), 0o600))
	defer func() { assert.NilError(t, os.WriteFile(path, before, 0o600)) }()
	b.edit(t, "    keepAliveMax: 120\n", "    keepAliveMax: 130\n")
	defer b.edit(t, "    keepAliveMax: 130\n", "    keepAliveMax: 120\n")
	r := b.must(t, "preview", "lab", "--json")
	assert.Assert(t, summary(t, r).Changed() > 0, "%s", r)
	r = b.run(t, "up", "lab", "--yes")
	assert.Assert(t, r.code != 0 && strings.Contains(r.String(), "ermission denied"), "%s", r)
}

// noTokenInTheOpen looks where everybody on a node may look, and where logs go.
func noTokenInTheOpen(t *testing.T, b *bed) {
	keys := readKeys(t, b)
	const script = `curl -s -H 'Authorization: Bearer Oracle' http://169.254.169.254/opc/v2/instance/metadata/user_data | base64 -d | gunzip | grep -cF -- "$1"
grep -rlF -- "$1" /var/log /run/emqx-boot; find /etc/consul.d /etc/nomad.d /etc/emqx-consul.token -perm /004 -type f -exec grep -lF -- "$1" {} +; true`
	found := func(text string) string {
		return strings.TrimSpace(b.must(t, "lab", "exec", "--in", "emqx-lab-0", "--", "bash", "-c", script, "grep", text).stdout)
	}
	// What is there is found: a name in the user data, and decoys.
	assert.Assert(t, found("ocid1.vaultsecret.oc1.lab-1.consul") != "0")
	b.must(t, "lab", "exec", "--in", "emqx-lab-0", "--", "bash", "-c", "echo a-decoy | tee /var/log/decoy.log >/etc/consul.d/decoy.pem; chmod 644 /etc/consul.d/decoy.pem")
	assert.Equal(t, found("a-decoy"), "0\n/var/log/decoy.log\n/etc/consul.d/decoy.pem")
	for _, secret := range []string{keys.Gossip, keys.Consul.Agent, keys.Consul.Default, keys.Nomad.Nodes, keys.Nomad.Deployer, keys.Consul.Deployer} {
		assert.Equal(t, found(secret), "0")
	}
}
