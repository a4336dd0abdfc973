package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/components/preflight"
	"github.com/emqx-oci/emqx-oci/infra/orchestrate"
)

// checkFile checks the production stack of the tree with encrypted secrets and its text changed.
func checkFile(t *testing.T, change ...string) []preflight.Finding {
	t.Helper()
	text, err := os.ReadFile("../../Pulumi.prod.yaml")
	assert.NilError(t, err)
	changed := strings.NewReplacer(change...).Replace(string(text))
	changed += "\n  emqx-oci:secrets:\n"
	for _, name := range []string{"erlangCookie", "dashboardPassword", "apiKey", "apiSecret", "statsPassword"} {
		changed += "    " + name + ":\n      secure: AAABAJ8xk1\n"
	}
	if !strings.Contains(changed, "  emqx-oci:tls:\n") {
		changed += "  emqx-oci:tls:\n    certificate: {secure: AAABAJ8xk1}\n    privateKey: {secure: AAABAJ8xk1}\n"
	}
	dir := t.TempDir()
	for name, text := range map[string]string{"Pulumi.yaml": "name: emqx-oci\nruntime: go\n", "Pulumi.prod.yaml": changed} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	c, err := orchestrate.Read(dir, "prod")
	assert.NilError(t, err)
	return check("prod", c)
}

// With all of its secrets closed the production stack passes, but for a word on EMQX's line.
func TestCheckOfTheProductionStack(t *testing.T) {
	got := checkFile(t)
	assert.Equal(t, len(got), 1, "%v", got)
	assert.Equal(t, got[0].Check+" "+string(got[0].Severity)+" "+got[0].Path, "versions warning emqx-oci:broker.image")
}

// Faults of the settings and findings of the checks come in one run, and none of them twice.
func TestCheckTellsEverythingOnce(t *testing.T) {
	var got []string
	for _, f := range checkFile(t, "count: 3", "count: 4", "keepAliveMax: 600", "keepAliveMax: 5000", "maxConn: 100000", "maxConn: 300000\n    maxCon: 1") {
		got = append(got, f.Check+" "+string(f.Severity)+" "+f.Path)
	}
	for _, want := range []string{
		"settings error emqx-oci:broker.keepAliveMax", "settings error emqx-oci:proxy.maxCon", "even-nodes warning emqx-oci:nodes.count",
	} {
		n := 0
		for _, g := range got {
			if g == want {
				n++
			}
		}
		assert.Equal(t, n, 1, "%s in %q", want, got)
	}
	for _, g := range got {
		assert.Assert(t, !strings.Contains(g, "(graph)"), "a graph of wrong settings only repeats them: %q", got)
	}
}

// A certificate that lies in clear is looked at whole: that it is for another name does not hide that it has ended.
func TestCheckTellsAllOfACertificate(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	assert.NilError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{"mqtt.example.org"}, NotAfter: time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	assert.NilError(t, err)
	text := strings.ReplaceAll(string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), "\n", "\n      ")
	var got []string
	for _, f := range checkFile(t, "config:\n", "config:\n  emqx-oci:tls:\n    certificate: |\n      "+text+"\n    privateKey: {secure: AAABAJ8xk1}\n") {
		if strings.HasPrefix(f.Path, "emqx-oci:tls.") {
			got = append(got, f.String())
		}
	}
	slices.Sort(got)
	assert.DeepEqual(t, got, []string{
		`emqx-oci:tls.certificate: must be valid for dns.name: it is for mqtt.example.org, not mqtt.example.com (check settings)`,
		`emqx-oci:tls.certificate: must be valid, got one ("mqtt.example.org") that ended on 2026-01-02 (check certificate)`,
	})
}

// What may stand in environments of Pulumi ESC is not missing: check cannot read them, and says so once.
func TestCheckOfAStackWithEnvironments(t *testing.T) {
	var got []preflight.Finding
	for _, f := range checkFile(t, "config:\n", "environment:\n  - emqx/prod\nconfig:\n", "    compartment: ocid1.compartment.oc1..aaaaaaaaprodexample\n", "") {
		assert.Assert(t, f.Check != preflight.GraphCheck, "%v", f)
		if f.Path == "environment" {
			got = append(got, f)
		}
		assert.Assert(t, !strings.Contains(f.Message, "must be set"), "%v", f)
	}
	assert.Equal(t, len(got), 1, "%v", got)
	assert.Equal(t, got[0].Severity, preflight.Warning)
	assert.Equal(t, got[0].Message, "is not read without an engine: what emqx/prod of Pulumi ESC set is seen by preview and up; not set in the stack file: oci.compartment")
}

// Whether a stack has a certificate may stand in a file that is not at hand: what depends on it is a warning.
func TestCheckWithoutTheFileOfSecrets(t *testing.T) {
	t.Setenv("EMQX_OCI_LAB_SECRETS", "")
	text, err := os.ReadFile("../../Pulumi.lab.yaml")
	assert.NilError(t, err)
	// A stack whose clients get in by certificates can be recorded without a cloud, too.
	text = []byte(strings.NewReplacer("    anonymous: true # its internet is on this machine\n", "    authenticators: [{kind: certificate}]\n    rules: [{permit: allow, topics: [x]}]\n",
		"    terminate: broker", "    clients: required\n    clientCa: {secure: AAABAJ8xk1}\n    terminate: proxy",
		"    serverCidrs", "    privateSubnetCidr: 10.80.1.0/24\n    serverCidrs").Replace(string(text)))
	dir := t.TempDir()
	for name, text := range map[string]string{
		"Pulumi.yaml":     "name: emqx-oci\nruntime: go\n",
		"Pulumi.lab.yaml": string(text) + "\n  emqx-oci:listeners: {mqtt: {open: none}, ws: {open: none}}\n",
	} {
		assert.NilError(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	c, err := orchestrate.Read(dir, "lab")
	assert.NilError(t, err)
	found := false
	for _, f := range check("lab", c) {
		assert.Assert(t, f.Severity == preflight.Warning, "%v", f)
		if f.Path == "emqx-oci:listeners" {
			assert.Equal(t, f.Message, "must leave one open: mqtt and ws are none, and mqtts and wss need tls.certificate; whether that is so says the file that EMQX_OCI_LAB_SECRETS names, which was not read")
			found = true
		}
	}
	assert.Assert(t, found)
}
