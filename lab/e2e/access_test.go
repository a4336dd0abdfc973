//go:build lab

package e2e

import "testing"

// TestAccess deploys a cluster whose proxies end TLS, on a lab of its own: a change of where TLS ends takes as long as
// two rolls, and the story of the other chapters watches EMQX's own four listeners.
func TestAccess(t *testing.T) {
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	b.must(t, "lab", "up")
	b.must(t, "up", "lab", "--yes")
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"who may connect is what the stack says", whoMayConnect},
		{"TLS ended at the proxy", tlsEndsAtProxy},
		{"plain listeners are off", plainListenersOff},
		{"clients show certificates", clientsShowCertificates}, // to the end: it leaves them required
	} {
		b.chapter(t, c.name, c.f)
	}
}
