//go:build lab

package e2e

import "testing"

// TestAccess deploys a cluster whose proxies end TLS, on a lab of its own: a change of where TLS ends takes as long as
// two rolls, and the story of the other chapters watches EMQX's own four listeners.
func TestAccess(t *testing.T) {
	t.Parallel()
	b := newBed(t)
	b.edit(t, tlsAtBroker, tlsAtProxy)
	chapter := b.chapters(t)
	chapter("a cluster", func(t *testing.T) {
		b.must(t, "lab", "up")
		b.withDevices(t)
		b.must(t, "up", "lab", "--yes")
	})
	var closed string
	chapter("who may connect is what the stack says", func(t *testing.T) { closed = b.whoMayConnect(t) })
	chapter("devices come and go", func(t *testing.T) { devicesComeAndGo(t, b) })
	chapter("everybody may connect", func(t *testing.T) {
		b.withoutDevices(t)
		b.opens(t, closed)
	})
	for _, c := range []struct {
		name string
		f    func(*testing.T, *bed)
	}{
		{"TLS ended at the proxy", tlsEndsAtProxy},
		{"plain listeners are off", plainListenersOff},
		{"clients show certificates", clientsShowCertificates}, // to the end: it leaves them required
	} {
		b.chapter(t, c.name, c.f)
	}
}
