//go:build lab

package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/lab"
)

// withDevices gives the stack an authority of its devices, and lets clients show certificates: what stands in its file in
// the place of [tlsAtProxy] and of [aServerRange].
const (
	tlsOfDevices = tlsAtProxy + "\n    clients: optional"
	aServerRange = "    serverCidrs: [10.80.2.0/24]\n"
	withSubnet   = aServerRange + "    privateSubnetCidr: 10.80.1.0/24\n"
)

func (b *bed) withDevices(t *testing.T) {
	t.Helper()
	dir := t.TempDir()
	b.must(t, "device", "init", "lab", "--out", dir)
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	for key, file := range map[string]string{"emqx-oci:tls.deviceCa": "device-ca.crt", "emqx-oci:secrets.deviceCaKey": "device-ca.key"} {
		text, err := os.ReadFile(filepath.Join(dir, file))
		assert.NilError(t, err)
		secrets[key] = string(text)
	}
	b.writeSecrets(t, secrets)
	b.edit(t, tlsAtProxy, tlsOfDevices)
	b.edit(t, aServerRange, withSubnet)
}

// withoutDevices takes the authority back.
func (b *bed) withoutDevices(t *testing.T) {
	t.Helper()
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	b.writeSecrets(t, secrets)
	b.edit(t, tlsOfDevices, tlsAtProxy)
	b.edit(t, withSubnet, aServerRange)
}

// writeSecrets gives the stack other secrets than the lab has made.
func (b *bed) writeSecrets(t *testing.T, secrets map[string]string) {
	t.Helper()
	body, err := json.Marshal(secrets)
	assert.NilError(t, err)
	var env map[string]string
	assert.NilError(t, json.Unmarshal([]byte(b.must(t, "lab", "env", "--json").stdout), &env))
	assert.NilError(t, os.WriteFile(env["EMQX_OCI_LAB_SECRETS"], body, 0o600))
}

// deviceStays is a client that comes back until CONNACK refuses it.
func (b *bed) deviceStays(t *testing.T, name, how string) stayingClient {
	t.Helper()
	c := stayingClient{out: &syncBuffer{}, ends: make(chan error, 1)}
	cmd := b.start(t, c.out, "lab", "exec", "--", "sh", "-c", fmt.Sprintf(
		`while :; do stdbuf -oL mosquitto_sub -d -i %s/of %s -q 1 -t devices/%s/stays 2>&1; case $? in 4|5) exit;; esac; sleep 0.2; done`, name, how, name))
	go func() { c.ends <- cmd.Wait() }()
	eventually(t, 20*time.Second, "a subscription", func() error {
		if s := c.out.String(); !strings.Contains(s, "received SUBACK") {
			return fmt.Errorf("%s", s)
		}
		return nil
	})
	return c
}

// devicesComeAndGo: both kinds are added to a cluster that is closed, connect by each protocol, and are revoked; nobody else
// notices, and neither does an update.
func devicesComeAndGo(t *testing.T, b *bed) {
	dir := t.TempDir()
	b.must(t, "device", "add", "valve", "lab", "--out", dir)
	b.must(t, "device", "add", "stays", "lab", "--out", dir)
	b.must(t, "device", "add", "gauge", "lab", "--certificate", "--out", dir)
	assert.Equal(t, b.run(t, "device", "add", "gauge", "lab").code, 1, "it is there")
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		assert.NilError(t, err)
		return strings.TrimSpace(string(text))
	}
	secrets, err := lab.Secrets(lab.Options{Dir: b.dir})
	assert.NilError(t, err)
	ca := filepath.Join(dir, "ca.pem")
	assert.NilError(t, os.WriteFile(ca, []byte(secrets["emqx-oci:tls.ca"]), 0o600))
	valve, stays := "-h "+name+" -u valve -P "+read("valve.password"), "-h "+name+" -u stays -P "+read("stays.password")
	gauge := "-h " + name + " -p 8883 --cafile " + ca + " --cert " + dir + "/gauge.crt --key " + dir + "/gauge.key"

	// By each protocol; a name is no password, and a password not another's.
	for _, l := range []string{"mqtt", "mqtts", "ws", "wss"} {
		seen := b.roundTrips(t, "valve", read("valve.password"))[l]
		assert.Check(t, strings.Contains(seen, "not authorized") && !strings.Contains(seen, "CONNACK"), "%s: it is in, and its topics are others: %s", l, seen)
	}
	b.everywhere(t, "valve", read("stays.password"), "CONNACK 0x86 (bad user name or password)")
	b.everywhere(t, "gauge", "", "CONNACK 0x86 (bad user name or password)")
	b.everywhere(t, "nobody", read("valve.password"), "CONNACK 0x87 (not authorized)")

	// Who shows a device's certificate needs no more, by either protocol that has one.
	shown := func() *tls.Certificate {
		c, err := tls.LoadX509KeyPair(dir+"/gauge.crt", dir+"/gauge.key")
		assert.NilError(t, err)
		return &c
	}
	first := shown()
	in := func(c *tls.Certificate) map[string]bool {
		is := map[string]bool{}
		for _, l := range []string{"mqtts", "wss"} {
			seen := b.tripWith(t, l, "gauge", "", c)
			is[l] = strings.Contains(seen, "not authorized") && !strings.Contains(seen, "CONNACK")
			t.Logf("gauge by %s: %s", l, seen)
		}
		return is
	}
	assert.DeepEqual(t, in(first), map[string]bool{"mqtts": true, "wss": true})

	one, two, three := b.deviceStays(t, "valve", valve), b.deviceStays(t, "gauge", gauge), b.deviceStays(t, "stays", stays)
	r := b.must(t, "device", "list", "lab")
	for _, words := range []string{"gauge certificate in yes", "valve password in yes", "stays password in yes"} {
		assert.Assert(t, b.listed(r.stdout, words), "%q is not in %s", words, r)
	}
	// An update leaves them alone.
	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	assert.Assert(t, !strings.Contains(r.stdout, "match users"), "%s", r)

	for name, c := range map[string]stayingClient{"valve": one, "gauge": two} {
		begun := time.Now()
		r := b.must(t, "device", "revoke", name, "lab")
		c.isCutOff(t, 4, 5)
		assert.Assert(t, time.Since(begun) < 10*time.Second, "%s after %s", name, time.Since(begun))
		assert.Assert(t, strings.Contains(r.stdout, "device "+name+" is revoked: 1 session cut off"), "%s", r)
	}
	// The name again, the certificate of earlier not.
	assert.NilError(t, os.Rename(dir+"/gauge.crt", dir+"/old.crt"))
	assert.NilError(t, os.Rename(dir+"/gauge.key", dir+"/old.key"))
	b.must(t, "device", "add", "gauge", "lab", "--certificate", "--out", dir)
	again := b.deviceStays(t, "gauge", gauge)
	old := strings.NewReplacer("gauge.crt", "old.crt", "gauge.key", "old.key").Replace(gauge)
	r = b.run(t, "lab", "exec", "--", "sh", "-c", "mosquitto_pub -d -i gauge/old "+old+" -q 1 -t devices/gauge/x -m x 2>&1")
	assert.Assert(t, r.code != 0 && !strings.Contains(r.stdout, "received CONNACK (0)"), "%s", r)

	assert.DeepEqual(t, in(shown()), map[string]bool{"mqtts": true, "wss": true})
	assert.DeepEqual(t, in(first), map[string]bool{"mqtts": false, "wss": false})

	r = b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	for _, c := range []stayingClient{three, again} {
		assert.Equal(t, strings.Count(c.out.String(), "received CONNACK"), 1, "%s", c.out.String())
	}
	noSecrets(t, b)
	for _, name := range []string{"stays", "gauge"} {
		b.must(t, "device", "revoke", name, "lab")
	}
}

// listed tells whether a line of a table has these words in this order.
func (b *bed) listed(table, words string) bool {
	for line := range strings.Lines(table) {
		fields, all := strings.Fields(line), true
		for _, w := range strings.Fields(words) {
			found := false
			for !found && len(fields) > 0 {
				found, fields = fields[0] == w, fields[1:]
			}
			all = all && found
		}
		if all {
			return true
		}
	}
	return false
}
