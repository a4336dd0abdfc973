//go:build lab

package e2e

import (
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"

	"github.com/emqx-oci/emqx-oci/infra/operate"
	"github.com/emqx-oci/emqx-oci/lab"
)

// Passages of the stack file of a balancer that takes connections itself.
const (
	healthOfEdge = "    healthInterval: 2s\n"
	flexibleEdge = "    kind: flexible\n" + healthOfEdge
	publicSubnet = "oc1.lab-1.public\n"
	publicRange  = publicSubnet + "    publicSubnetCidr: 10.80.0.0/24\n"
	tlsAtEdge    = "terminate: edge"
)

// TestEdge deploys a cluster behind OCI's load balancer, which ends TLS, on a lab of its own.
func TestEdge(t *testing.T) {
	b := newBed(t)
	b.edit(t, healthOfEdge, flexibleEdge)
	b.edit(t, publicSubnet, publicRange)
	b.edit(t, tlsAtBroker, tlsAtEdge)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	b.chapter(t, "TLS ended at the edge", tlsEndsAtEdge)
}

// tlsEndsAtEdge looks at a cluster whose balancer ends TLS, and renews its certificate beside clients, none of which may
// be cut.
func tlsEndsAtEdge(t *testing.T, b *bed) {
	b.well(t, time.Minute)
	var s operate.Status
	eventually(t, time.Minute, "what the balancer thinks of its backends", func() error {
		if s, _ = b.look(t); s.Balancer.Error != "" { // the engine may take longer than status waits
			return errors.New(s.Balancer.Error)
		}
		return nil
	})
	for i, n := range s.Nodes {
		assert.DeepEqual(t, n.Listeners, map[string]string{"mqtt": "ok", "ws": "ok"})
		page := b.on(t, i, "curl -s -m 5 http://"+n.Address+":8080/haproxy_ready").stdout
		assert.Equal(t, strings.TrimSpace(page), "brokers that accept mqtt: 3, mqtts: 3, ws: 3, wss: 3")
	}
	b.must(t, "verify", "lab")
	allProtocols(t, b)
	for _, port := range []int{8883, 8084} {
		hello := func(change func(*tls.Config)) error {
			c := &tls.Config{ServerName: name, InsecureSkipVerify: true}
			change(c)
			_, err := b.handshake(t, port, c)
			return err
		}
		for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
			assert.NilError(t, hello(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version }))
		}
		assert.ErrorContains(t, hello(func(c *tls.Config) { c.MinVersion, c.MaxVersion = tls.VersionTLS10, tls.VersionTLS11 }), "protocol version")
		assert.ErrorContains(t, hello(func(c *tls.Config) {
			c.MaxVersion, c.CipherSuites = tls.VersionTLS12, []uint16{tls.TLS_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_RSA_WITH_AES_256_CBC_SHA}
		}), "handshake failure")
	}
	b.knowsItsClients(t)

	authority := b.renewCertificate(t)
	p := strings.Join(strings.Fields(b.must(t, "preview", "lab").stdout), " ")
	assert.Assert(t, strings.Contains(p, "The balancer gets another certificate: made beside the old one, which goes once no listener has it"), p)
	b.underLoadOf(t, func() {
		b.must(t, "up", "lab", "--yes")
		for _, port := range []int{8883, 8084} {
			shown, err := b.handshake(t, port, &tls.Config{ServerName: name, InsecureSkipVerify: true})
			assert.NilError(t, err)
			assert.Equal(t, shown.Issuer.CommonName, renewedAuthority)
		}
	})
	text, err := os.ReadFile(authority)
	assert.NilError(t, err)
	assert.NilError(t, os.WriteFile(filepath.Join(b.dir, lab.CAFile), text, 0o644))
	b.must(t, "verify", "lab")
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
	noSecrets(t, b)
}

// knowsItsClients: EMQX sees where a client is, by whatever listener, and not the balancer.
func (b *bed) knowsItsClients(t *testing.T) {
	t.Helper()
	ca := filepath.Join(b.dir, lab.CAFile)
	for id, args := range map[string]string{"plain-client": "-p 1883", "tls-client": "-p 8883 --cafile " + ca} {
		b.start(t, &syncBuffer{}, append([]string{"lab", "exec", "--", "mosquitto_sub", "-h", name, "-i", id, "-t", "e2e/where"}, strings.Fields(args)...)...)
		eventually(t, 20*time.Second, id+" at its own address", func() error {
			seen := ""
			for i := range 3 {
				// It ends with 1 where it has clients to list.
				seen += b.in(t, i, `docker exec "$(docker ps -q --filter name=^emqx-)" emqx ctl clients list`).stdout
			}
			for line := range strings.Lines(seen) {
				if strings.Contains(line, id) && strings.Contains(line, "peername=203.0.113.") {
					return nil
				}
			}
			return fmt.Errorf("%s", seen)
		})
	}
}
