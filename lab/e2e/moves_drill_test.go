//go:build lab && drill

package e2e

import (
	"context"
	"crypto/tls"
	"strings"
	"testing"
	"time"

	"gotest.tools/v3/assert"
)

// TestTLSMovesWithoutPlainListeners moves TLS from the brokers to the proxies and back in a stack that has no listener in
// clear: each broker has listeners of one kind alone. Clients come back as their node's EMQX and HAProxy restart, at once.
func TestTLSMovesWithoutPlainListeners(t *testing.T) {
	b := newBed(t)
	b.edit(t, "  emqx-oci:tls:\n", "  emqx-oci:listeners: {mqtt: {open: none}, ws: {open: none}}\n  emqx-oci:tls:\n")
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, x := range []struct{ name, from, to string }{{"to the proxies", tlsAtBroker, tlsAtProxy}, {"to the brokers", tlsAtProxy, tlsAtBroker}} {
		b.chapter(t, x.name, func(t *testing.T, b *bed) {
			b.edit(t, x.from, x.to)
			own := b.drillBed(t)
			r, err := own.UnderLoad(t.Context(), func(context.Context) error {
				b.must(t, "up", "lab", "--yes")
				return nil
			})
			assert.NilError(t, err)
			assert.Assert(t, r.Sent > 0)
			t.Logf("sent %d, lost %d, reconnects %d, longest away %.1f s", r.Sent, r.Lost, r.Reconnects, r.ReconnectTime.Max)
			assert.Equal(t, r.Lost, uint64(0), "%s", lost(r))
			assert.Assert(t, r.ReconnectTime.Max < 15, "%s", lost(r))
			b.must(t, "verify", "lab")
		})
	}
}

// TestACertificateIsEnough lets in who shows a certificate of the stack's authority, as whom that names, by mqtts and wss; a
// mere name opens no listener, in clear or not, and a user that the stack declares is asked for its password.
func TestACertificateIsEnough(t *testing.T) {
	b := newBed(t)
	b.must(t, "lab", "up")
	owners, strangers := newSigner(t, "owners"), newSigner(t, "strangers")
	valve, pump, foreign := owners.issue(t, "valve"), owners.issue(t, "pump"), strangers.issue(t, "valve")
	gate := owners.issue(t, "emqx-oci-gate")
	closed, _, _ := closedCluster(t, b)
	b.edit(t, openCluster, "    clientId: usernamePrefix\n    authenticators: [{kind: certificate}]\n"+closed+
		strings.Replace(ruleOfPump, "user: pump", "user: valve", 1))
	b.edit(t, "oc1.lab-1.private\n", "oc1.lab-1.private\n    privateSubnetCidr: 10.80.1.0/24\n")
	b.edit(t, tlsAtBroker, tlsAtProxy+"\n    clients: optional\n    clientCa: "+indented(inPEM("CERTIFICATE", owners.cert.Raw))+"   ")
	b.must(t, "up", "lab", "--yes")
	b.must(t, "verify", "lab")
	eventually(t, time.Minute, "certificates to be enough", func() error { // the module comes some seconds after the listeners
		if seen := b.tripWith(t, "mqtts", "valve", "", &valve); seen != "passes" {
			return errorOf(seen)
		}
		return nil
	})
	for name, x := range map[string]struct {
		shown          *tls.Certificate
		user, password string
		sees           string
	}{
		"a certificate":                     {&valve, "valve", "", "passes"},
		"a certificate, and a wrong word":   {&valve, "valve", "anything", "passes"},
		"as somebody else":                  {&valve, "pump", pumpsPassword, "CONNACK 0x8A"},
		"one of nobody's knowing":           {&foreign, "valve", "", "does not take"},
		"a declared user's":                 {&pump, "pump", "", "CONNACK 0x86"},
		"a declared user's, and its word":   {&pump, "pump", pumpsPassword, "passes"},
		"the stack's own":                   {&gate, "emqx-oci-gate", "", "CONNACK 0x86"},
		"a name":                            {nil, "valve", "", "CONNACK 0x86"},
		"a name and a word":                 {nil, "valve", "valve", "CONNACK 0x87"},
		"a user without a certificate":      {nil, "pump", pumpsPassword, "passes"},
		"a user that is none, and no word ": {nil, "nobody", "", "CONNACK 0x86"},
	} {
		listeners := []string{"mqtts", "wss"}
		if x.shown == nil {
			listeners = []string{"mqtt", "ws", "mqtts", "wss"}
		}
		for _, listener := range listeners {
			seen := b.tripWith(t, listener, x.user, x.password, x.shown)
			assert.Check(t, strings.Contains(seen, x.sees), "%s by %s: %s", name, listener, seen)
		}
	}
	r := b.must(t, "up", "lab", "--yes", "--json")
	assert.Equal(t, summary(t, r).Changed(), 0, "%s", r)
}

type errorOf string

func (e errorOf) Error() string { return string(e) }
